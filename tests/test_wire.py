"""Failures on the wire, as the documented exceptions, through each sender."""

from __future__ import annotations

import gzip
import pickle
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import httpx2
import pytest
import respx
from tests.support.examples import BASE_URL
from tests.support.scripted import ScriptedApi
from tests.support.server import Server, closing, raw_response

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    Attempt,
    Error,
    InternalServerError,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    Timeout,
    TooManyRequests,
    TransportError,
)

pytestmark = pytest.mark.anyio

GET = ("get_repository", "1", "2")
CREATE = ("create_repository", "1", "sample")
DELETE = ("delete_repository", "1", "2")

# The HTTP library's exceptions: may the API have seen the request, did time run out.
EXCEPTIONS = {
    "ConnectTimeout": (False, True),
    "PoolTimeout": (False, True),
    "ConnectError": (False, False),
    "ProxyError": (False, False),
    "UnsupportedProtocol": (False, False),
    "ReadTimeout": (True, True),
    "WriteTimeout": (True, True),
    "ReadError": (True, False),
    "WriteError": (True, False),
    "CloseError": (True, False),
    "LocalProtocolError": (True, False),
    "RemoteProtocolError": (True, False),
    "DecodingError": (True, False),
    "TooManyRedirects": (True, False),
}

Call = Callable[..., Awaitable[dict[str, Any]]]


def calling(client: Any) -> Call:
    """Return a function that calls an operation of a sync or async client."""

    async def call(operation: str, *arguments: str) -> dict[str, Any]:
        reply = getattr(client, operation)(*arguments)
        body: dict[str, Any] = await reply if isinstance(client, AsyncAPIClient) else reply
        return body

    return call


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, api: ScriptedApi) -> Call:
    """Call an operation of the scripted API once."""
    raw = api.raw if request.param == "sync" else api.async_raw
    return calling(raw(max_retry_count=0))


async def failed(call: Call, *arguments: str) -> Error:
    """Return the error that a call raises; no other exception is chained."""
    with pytest.raises(Error) as caught:
        await call(*arguments)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize(("name", "sent", "late"), [(n, *v) for n, v in EXCEPTIONS.items()])
async def test_an_exception_of_the_library_becomes_the_documented_one(
    api: ScriptedApi, call: Call, name: str, sent: bool, late: bool
) -> None:
    """The class tells a timeout; of a change, `outcome_unknown` tells whether it was sent."""
    api.fails(name)
    usual = Timeout if late else TransportError
    for arguments, kind, unknown in [
        (GET, usual, False),
        (DELETE, usual, sent),
        (CREATE, OutcomeUnknown if sent else usual, sent),
    ]:
        error = await failed(call, *arguments)
        assert type(error) is kind
        assert isinstance(error, TransportError)
        # The text of the one that refuses a header may hold the header.
        text = "" if name == "LocalProtocolError" else "scripted"
        assert error.history == (Attempt(error=name, message=text),)
        assert error.outcome_unknown is unknown
        assert (error.method, error.url) == (api.requests[-1].method, api.requests[-1].url)
        assert name in str(error)
        assert b"Bearer" not in pickle.dumps(error)


@pytest.mark.parametrize(
    "content", [b"<html>", b"", b"[1]", b'{"a": \xff}', b"[" * 300], ids=lambda content: content[:9]
)
async def test_a_success_without_a_json_object_is_invalid(
    api: ScriptedApi, call: Call, content: bytes
) -> None:
    """It is an InvalidResponse; the JSON parser's exception is not chained."""
    # With its length: without one, an empty body would be one that was lost.
    api.responds(content=content, headers={"content-length": str(len(content))})
    assert type(await failed(call, *GET)) is InvalidResponse


@pytest.mark.parametrize("header", ["gzip", "GZIP", "x-gzip"])
async def test_a_gzip_response_is_decompressed(api: ScriptedApi, call: Call, header: str) -> None:
    """Our requests accept gzip; a mock's response may be compressed too."""
    api.responds(content=gzip.compress(b'{"a": 1}'), headers={"content-encoding": header})
    assert await call(*GET) == {"a": 1}


@pytest.mark.parametrize("client", [APIClient, AsyncAPIClient], ids=["sync", "async"])
async def test_an_exception_of_a_test_double_is_raised_unchanged(client: Any) -> None:
    """It is not mistaken for a failure of the network."""
    mine = LookupError("mine")
    call = calling(client({}, base_url=BASE_URL))
    with respx.mock() as router:
        router.route().mock(side_effect=mine)
        with pytest.raises(LookupError) as caught:
            await call(*GET)
    assert caught.value is mine


# -- over a real socket ---------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    """A server whose responses a test writes byte by byte."""
    with Server() as server:
        yield server


@pytest.fixture
def limits() -> dict[str, Any]:
    """The client's timeouts and limits, unless a test sets others."""
    return {}


SENDERS: dict[str, tuple[Any, Any]] = {
    "sync-own": (APIClient, None),
    "sync-httpx": (APIClient, httpx.Client),
    "sync-httpx2": (APIClient, httpx2.Client),
    "async-own": (AsyncAPIClient, None),
    "async-httpx": (AsyncAPIClient, httpx.AsyncClient),
    "async-httpx2": (AsyncAPIClient, httpx2.AsyncClient),
}


@pytest.fixture(params=[*SENDERS.values()], ids=[*SENDERS])
async def call_server(
    request: pytest.FixtureRequest, server: Server, limits: dict[str, Any]
) -> AsyncIterator[Call]:
    """Call an operation of the server once, through each sender."""
    kind, handed_in = request.param
    async with AsyncExitStack() as stack:

        async def entered(client: Any) -> Any:
            if hasattr(client, "__aenter__"):
                return await stack.enter_async_context(client)
            return stack.enter_context(client)

        http_client = handed_in and await entered(handed_in(verify=False))
        options = {"base_url": server.url, "http_client": http_client, "max_retry_count": 0}
        yield calling(await entered(kind({}, **options, **limits)))


BODY = b'{"a": 1}'
PADDED = BODY + b" " * 1_000_000
GZIPPED = gzip.compress(PADDED)
# The headers and the body.
LARGE = {
    "said": (b"Content-Length: 1000000000000", PADDED),
    "in chunks": (b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(PADDED), PADDED)),
    "until closed": (b"X: x", PADDED),
    "packed": (b"Content-Encoding: gzip\r\nContent-Length: %d" % len(GZIPPED), GZIPPED),
}


@pytest.mark.parametrize("limits", [{"max_response_bytes": 5_000}], ids=["little"])
@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(("headers", "body"), LARGE.values(), ids=LARGE)
async def test_a_response_that_is_too_large_is_not_read_completely(
    server: Server, call_server: Call, status: int, headers: bytes, body: bytes
) -> None:
    """A success is an InvalidResponse with the reason; an error keeps its status."""
    server.respond = server.dripping(b"HTTP/1.1 %d X\r\n%b\r\n\r\n%b" % (status, headers, body))
    error = await failed(call_server, *CREATE)
    if isinstance(error, NotFound):
        assert status == 404
        assert error.error_description == PADDED[:1_000].decode()
    else:
        assert status == 200
        assert type(error) is InvalidResponse
        assert "larger than max_response_bytes" in str(error)
        assert error.body == PADDED[:1_000].decode()
    assert error.outcome_unknown is (status == 200)


@pytest.mark.parametrize("limits", [{"max_response_bytes": len(BODY)}], ids=["enough"])
@pytest.mark.parametrize("more", [b"", b" "], ids=["all", "more"])
async def test_max_response_bytes_is_inclusive(
    server: Server, call_server: Call, more: bytes
) -> None:
    """A response of exactly this size is accepted; one more byte is not."""
    server.respond = closing(raw_response(BODY + more))
    if more:
        assert type(await failed(call_server, *GET)) is InvalidResponse
    else:
        assert await call_server(*GET) == {"a": 1}


CUT_ERRORS = {
    "cut": (
        b'HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\n{"error": "e"',
        InternalServerError,
        '{"error": "e"',
    ),
    "packed and cut": (
        b"HTTP/1.1 404 X\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b'{"error": "e"')[:-8],
        NotFound,
        '{"error": "e"',
    ),
    "packed and broken": (
        b"HTTP/1.1 404 X\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        NotFound,
        "",
    ),
}


@pytest.mark.parametrize(
    ("reply", "kind", "description"), CUT_ERRORS.values(), ids=CUT_ERRORS.keys()
)
async def test_a_truncated_error_keeps_its_status(
    server: Server, call_server: Call, reply: bytes, kind: type[Error], description: str
) -> None:
    """The error quotes the bytes that arrived."""
    server.respond = closing(reply)
    error = await failed(call_server, *CREATE)
    assert type(error) is kind
    assert error.args[1] == description


async def test_an_id_too_long_for_a_url(call_server: Call) -> None:
    """It is a TransportError, and the outcome is certain."""
    error = await failed(call_server, "delete_repository", "1", "x" * 70_000)
    assert type(error) is TransportError
    assert not error.outcome_unknown
    assert "InvalidURL" in str(error)


def test_a_quoted_exception_is_truncated() -> None:
    """An exception may quote an invalid status line of any length; our errors do not."""
    with (
        Server(lambda _: b"j" * 60_000 + b"\r\n\r\n") as peer,
        APIClient({}, base_url=peer.url, max_retry_count=0) as client,
        pytest.raises(TransportError) as caught,
    ):
        client.get_repository("1", "2")
    assert len(caught.value.history[0].message) == 1_000
    assert 1_000 < len(str(caught.value)) < 1_200


def test_an_ssl_error_is_a_lost_connection() -> None:
    """The library's async streams raise it unconverted; the outcome of a create is unknown."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise ssl.SSLError(1, "[SSL] record layer failure")

    with httpx.Client(transport=httpx.MockTransport(fail)) as theirs:
        client = APIClient({}, base_url="https://api.example.com", http_client=theirs)
        with pytest.raises(OutcomeUnknown, match="record layer failure"):
            client.create_repository("1", "sample")


def test_a_header_outside_utf_8_is_latin_1() -> None:
    """A Retry-After next to it is still read."""

    def refuse(_: httpx.Request) -> httpx.Response:
        headers = [(b"Retry-After", b"7"), (b"X-Name", b"caf\xe9")]
        return httpx.Response(429, headers=headers, json={})

    with httpx.Client(transport=httpx.MockTransport(refuse)) as theirs:
        client = APIClient(
            {}, base_url="https://api.example.com", http_client=theirs, max_retry_count=0
        )
        with pytest.raises(TooManyRequests) as caught:
            client.get_repository("1", "2")
    assert caught.value.retry_after == 7
