"""What went wrong on the wire, as the documented exception, through each door to the network."""

from __future__ import annotations

import gzip
import pickle
import ssl
import threading
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
    """Return what calls an operation of a client of either world."""

    async def call(operation: str, *arguments: str) -> dict[str, Any]:
        answer = getattr(client, operation)(*arguments)
        body: dict[str, Any] = await answer if isinstance(client, AsyncAPIClient) else answer
        return body

    return call


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, api: ScriptedApi) -> Call:
    """Call an operation of the scripted API, once."""
    raw = api.raw if request.param == "sync" else api.async_raw
    return calling(raw(max_retry_count=0))


async def failed(call: Call, *arguments: str) -> Error:
    """Return the error that a call comes to, which hangs on no other exception."""
    with pytest.raises(Error) as caught:
        await call(*arguments)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize(("name", "sent", "late"), [(n, *v) for n, v in EXCEPTIONS.items()])
async def test_an_exception_of_the_library_becomes_the_documented_one(
    api: ScriptedApi, call: Call, name: str, sent: bool, late: bool
) -> None:
    """The class says whether time ran out; of what changes something, whether it was sent."""
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
async def test_what_is_no_json_object_is_an_invalid_response(
    api: ScriptedApi, call: Call, content: bytes
) -> None:
    """A success that is no JSON object is told from no answer; what the parser said is dropped."""
    # With its length: without one, an empty body would be one that was lost.
    api.answers(content=content, headers={"content-length": str(len(content))})
    assert type(await failed(call, *GET)) is InvalidResponse


@pytest.mark.parametrize("header", ["gzip", "GZIP", "x-gzip"])
async def test_a_packed_answer_is_unpacked(api: ScriptedApi, call: Call, header: str) -> None:
    """An answer may come packed, as our requests allow it to; one through a mock comes so too."""
    api.answers(content=gzip.compress(b'{"a": 1}'), headers={"content-encoding": header})
    assert await call(*GET) == {"a": 1}


@pytest.mark.parametrize("client", [APIClient, AsyncAPIClient], ids=["sync", "async"])
async def test_an_exception_that_is_not_the_librarys_comes_out_as_it_is(client: Any) -> None:
    """A fault of somebody else's, such as a test double's, is not taken for the network's."""
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
    """A server whose answers the test writes byte by byte."""
    with Server() as server:
        yield server


@pytest.fixture
def limits() -> dict[str, Any]:
    """How long to wait for the server and what to take from it, unless a test says otherwise."""
    return {}


DOORS: dict[str, tuple[Any, Any]] = {
    "sync-own": (APIClient, None),
    "sync-httpx": (APIClient, httpx.Client),
    "sync-httpx2": (APIClient, httpx2.Client),
    "async-own": (AsyncAPIClient, None),
    "async-httpx": (AsyncAPIClient, httpx.AsyncClient),
    "async-httpx2": (AsyncAPIClient, httpx2.AsyncClient),
}
# Those whose library reads a head with no regard to the deadline.
BLIND = ("sync-httpx", "sync-httpx2")


def through(*names: str) -> pytest.MarkDecorator:
    """Let a test go through some of the doors only."""
    doors = [DOORS[name] for name in names]
    return pytest.mark.parametrize("call_server", doors, ids=names, indirect=True)


@pytest.fixture(params=[*DOORS.values()], ids=[*DOORS])
async def call_server(
    request: pytest.FixtureRequest, server: Server, limits: dict[str, Any]
) -> AsyncIterator[Call]:
    """Call an operation of the server through each door, once."""
    kind, handed_in = request.param
    async with AsyncExitStack() as stack:

        async def entered(client: Any) -> Any:
            if hasattr(client, "__aenter__"):
                return await stack.enter_async_context(client)
            return stack.enter_context(client)

        http_client = handed_in and await entered(handed_in(verify=False))
        options = {"base_url": server.url, "http_client": http_client, "max_retry_count": 0}
        yield calling(await entered(kind({}, **options, **limits)))


async def test_a_whole_answer_is_returned(server: Server, call_server: Call) -> None:
    """A body that comes in chunks and packed is the same as any other."""
    packed = gzip.compress(b'{"a": 1}')
    server.answer = closing(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (packed[:5], len(packed) - 5, packed[5:])
    )
    assert await call_server(*GET) == {"a": 1}


LOST = {
    "closed without an answer": b"",
    "closed within the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "closed within the body": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a": 1}',
    "closed within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{",
    "a packed body without its end": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    + gzip.compress(b'{"a": 1}')[:-8],
    "a packed body that is not": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n{}",
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n",
}


@pytest.mark.parametrize("answer", LOST.values(), ids=LOST.keys())
async def test_an_answer_that_is_not_whole_is_none(
    server: Server, call_server: Call, answer: bytes
) -> None:
    """A success that was cut short is a TransportError; of a create, an OutcomeUnknown."""
    server.answer = closing(answer)
    assert type(await failed(call_server, *GET)) is TransportError
    assert (await failed(call_server, *DELETE)).outcome_unknown
    assert type(await failed(call_server, *CREATE)) is OutcomeUnknown


@pytest.mark.parametrize("limits", [{"timeout": 0.5}], ids=["soon"])
@pytest.mark.parametrize(
    "answer", [b"", b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a": 1}'], ids=["head", "body"]
)
async def test_an_answer_that_does_not_come_is_a_timeout(
    server: Server, call_server: Call, answer: bytes
) -> None:
    """A server that stalls is given up in time, at its answer's head or in its body."""
    server.answer = server.dripping(answer)
    assert type(await failed(call_server, *GET)) is Timeout
    assert type(await failed(call_server, *CREATE)) is OutcomeUnknown


DRIPS = {
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


soon = pytest.mark.parametrize("limits", [{"deadline": 0.5}], ids=["soon"])


@soon
@pytest.mark.parametrize(("answer", "drop"), DRIPS.values(), ids=DRIPS)
async def test_a_body_that_drips_is_bounded_by_the_deadline(
    server: Server, call_server: Call, answer: bytes, drop: bytes
) -> None:
    """Bytes that come in time each do not put the end off."""
    server.answer = server.dripping(answer, drop)
    await check_that_it_ends(call_server)


@soon
@through(*(name for name in DOORS if name not in BLIND))
async def test_a_head_that_drips_is_bounded_by_the_deadline(
    server: Server, call_server: Call
) -> None:
    """Headers that come in time each do not put the end off."""
    server.answer = server.dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: x\r\n")
    await check_that_it_ends(call_server)


async def check_that_it_ends(call_server: Call) -> None:
    """See that calls end of themselves, with what is known, at their first attempt."""
    for arguments, kind in ((GET, Timeout), (CREATE, OutcomeUnknown)):
        error = await failed(call_server, *arguments)
        assert type(error) is kind
        assert len(error.history) == 1


@soon
@through(*BLIND)
async def test_a_head_that_drips_to_a_sync_client_handed_in_is_read_to_its_end(
    server: Server, call_server: Call
) -> None:
    """As the docs say: only the time-out of each read bounds it."""
    server.answer = server.dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: x\r\n")
    over = threading.Timer(1, server.over.set)
    over.start()
    error = await failed(call_server, *GET)
    over.join()
    assert type(error) is TransportError
    assert "RemoteProtocolError" in str(error)


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
async def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    server: Server, call_server: Call, status: int, headers: bytes, body: bytes
) -> None:
    """A success is an InvalidResponse that says why; an error keeps its status."""
    server.answer = server.dripping(b"HTTP/1.1 %d X\r\n%b\r\n\r\n%b" % (status, headers, body))
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
async def test_the_largest_answer_is_as_large_as_it_may_be(
    server: Server, call_server: Call, more: bytes
) -> None:
    """An answer of just so many bytes is taken, one with another byte is not."""
    server.answer = closing(raw_response(BODY + more))
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
    ("answer", "kind", "description"), CUT_ERRORS.values(), ids=CUT_ERRORS.keys()
)
async def test_an_errors_broken_body_does_not_hide_its_status(
    server: Server, call_server: Call, answer: bytes, kind: type[Error], description: str
) -> None:
    """An error status is believed though its body is cut short; what came of it is quoted."""
    server.answer = closing(answer)
    error = await failed(call_server, *CREATE)
    assert type(error) is kind
    assert error.args[1] == description


async def test_a_redirect_is_not_followed(server: Server, call_server: Call) -> None:
    """A redirect is an HttpError of its status, and the API is asked once."""
    server.answer = closing(raw_response(b"", 302, "Location: http://127.0.0.1:1/"))
    assert "(302 from http://127.0.0.1" in str(await failed(call_server, *GET))


async def test_a_refused_connection_sends_nothing(server: Server, call_server: Call) -> None:
    """Where nobody listens, not even a create's outcome is in doubt."""
    server.shutdown()
    server.server_close()
    error = await failed(call_server, *CREATE)
    assert type(error) is TransportError
    assert not error.outcome_unknown
    assert "ConnectError" in str(error)


async def test_a_url_that_the_library_cannot_send_is_never_sent(call_server: Call) -> None:
    """An id too long for a URL is a TransportError, whose outcome is certain."""
    error = await failed(call_server, "delete_repository", "1", "x" * 70_000)
    assert type(error) is TransportError
    assert not error.outcome_unknown
    assert "InvalidURL" in str(error)


def test_what_an_exception_says_is_bounded() -> None:
    """A status line of junk is quoted in it, however long: not so in our logs and errors."""
    with (
        Server(lambda _: b"j" * 60_000 + b"\r\n\r\n") as peer,
        APIClient({}, base_url=peer.url, max_retry_count=0) as client,
        pytest.raises(TransportError) as caught,
    ):
        client.get_repository("1", "2")
    assert len(caught.value.history[0].message) == 1_000
    assert 1_000 < len(str(caught.value)) < 1_200


def test_an_error_of_tls_that_the_library_lets_out_is_a_lost_connection() -> None:
    """As its async streams do: a create's outcome is open."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise ssl.SSLError(1, "[SSL] record layer failure")

    with httpx.Client(transport=httpx.MockTransport(fail)) as theirs:
        client = APIClient({}, base_url="https://api.example.com", http_client=theirs)
        with pytest.raises(OutcomeUnknown, match="record layer failure"):
            client.create_repository("1", "sample")


def test_a_header_that_is_no_utf_8_is_latin_1() -> None:
    """As HTTP had it: a Retry-After beside it is read all the same."""

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
