"""User-supplied HTTP clients: their owner's settings, and those that do not apply to our calls."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import httpcore
import httpx
import httpx2
import httpx_aiohttp
import pytest
from tests.support.examples import BASE_URL
from tests.support.internals import replace_now
from tests.support.worlds import done

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    BadRequest,
    Client,
    ConfigurationError,
    Error,
    HttpError,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    Retry,
    RetryPolicy,
    Timeout,
    TransportError,
)
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

GET = ("get_repository", "1", "2")
OURS = {"auth_token": "ours"}


@dataclass
class Owner:
    """The owner of a sync or async client of one of the libraries.

    Attributes:
        library: httpx or httpx2.
        is_async: Which world.
        requests: The requests through a client with a scripted transport.
        status: The status of the scripted responses.
        headers: The headers of the scripted responses.
    """

    library: ModuleType
    is_async: bool
    requests: list[Any] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def scripted(self, **options: Any) -> Any:
        """Return a client of the library that never uses the network."""
        return self.real(transport=self.library.MockTransport(self._respond), **options)

    def real(self, **options: Any) -> Any:
        """Return a client of the library."""
        kind = self.library.AsyncClient if self.is_async else self.library.Client
        return kind(**options)

    def hook(self, hook: Callable[[Any], None]) -> dict[str, list[Any]]:
        """Return event hooks with a response hook."""

        async def awaited(response: Any) -> None:
            hook(response)

        return {"response": [awaited if self.is_async else hook]}

    def raw(self, http_client: Any, base_url: str = BASE_URL, **options: Any) -> Any:
        """Return a raw client over the user-supplied one, by default without retries."""
        kind: Any = AsyncAPIClient if self.is_async else APIClient
        options = {"max_retry_count": 0, **options}
        return kind(OURS, base_url=base_url, http_client=http_client, **options)

    async def call(self, http_client: Any, operation: str, *arguments: str) -> dict[str, Any]:
        """Call an operation through a user-supplied client."""
        body: dict[str, Any] = await done(getattr(self.raw(http_client), operation)(*arguments))
        return body

    def _respond(self, request: Any) -> Any:
        self.requests.append(request)
        return self.library.Response(self.status, json={}, headers=self.headers)


async def close(client: Any) -> None:
    """Close a sync or async client."""
    await done(client.aclose() if hasattr(client, "aclose") else client.close())


@asynccontextmanager
async def closing(client: Any) -> AsyncIterator[Any]:
    """Yield a sync or async client, and close it."""
    try:
        yield client
    finally:
        await close(client)


@pytest.fixture(
    params=[(httpx, False), (httpx, True), (httpx2, False), (httpx2, True)],
    ids=["httpx-sync", "httpx-async", "httpx2-sync", "httpx2-async"],
)
def owner(request: pytest.FixtureRequest) -> Owner:
    """An owner of a client, for each library, sync and async."""
    return Owner(*request.param)


async def test_closing_our_client_keeps_it_open(owner: Owner) -> None:
    """The owner, and other clients of ours, can still use it."""
    theirs = owner.scripted()
    ours = owner.raw(theirs)
    await close(ours)
    assert not theirs.is_closed
    with pytest.raises(Error, match="closed"):
        await done(ours.get_repository("1", "2"))
    assert await owner.call(theirs, *GET) == {}


async def test_a_client_closed_by_its_owner(owner: Owner) -> None:
    """A call through it is an Error that says so."""
    theirs = owner.scripted()
    ours = owner.raw(theirs)
    await close(theirs)
    with pytest.raises(Error, match=r"get_repository was not sent: the client was closed"):
        await done(ours.get_repository("1", "2"))


@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient, Client, AsyncClient])
@pytest.mark.parametrize(
    "wrong",
    [
        httpx.Client,
        httpx2.Client,
        httpx.AsyncClient,
        httpx2.AsyncClient,
        httpx.HTTPTransport,
        object,
        dict,
        APIClient,
    ],
    ids=lambda wrong: f"{wrong.__module__}.{wrong.__name__}",
)
def test_a_client_of_the_wrong_type_is_refused(kind: Any, wrong: type[Any]) -> None:
    """The constructor's error names the type: sync for async, or another class."""
    right = (
        (httpx.AsyncClient, httpx2.AsyncClient)
        if kind in (AsyncAPIClient, AsyncClient)
        else (httpx.Client, httpx2.Client)
    )
    organization = {"organization_id": "1"} if kind in (Client, AsyncClient) else {}
    options = {"credential": {}, "base_url": BASE_URL, "http_client": wrong(), **organization}
    if wrong in right:
        assert kind(**options)
        return
    name = re.escape(f"{wrong.__module__}.{wrong.__qualname__}")
    with pytest.raises(ConfigurationError, match=f"http_client must be .*, not a {name}$"):
        kind(**options)


async def test_its_auth_is_not_used(owner: Owner) -> None:
    """Requests have our credential only."""
    await owner.call(owner.scripted(auth=("their", "secret")), *GET)
    assert owner.requests[0].headers["authorization"] == "Bearer ours"


async def test_its_redirects_are_not_followed(owner: Owner) -> None:
    """A redirect is an error, even if the owner's client follows redirects."""
    owner.status, owner.headers = 307, {"location": "/elsewhere"}
    with pytest.raises(HttpError) as caught:
        await owner.call(owner.scripted(follow_redirects=True), *GET)
    assert caught.value.status_code == 307
    assert len(owner.requests) == 1


async def test_its_timeouts_are_not_used(owner: Owner) -> None:
    """Each call has our timeout."""
    theirs = owner.scripted(timeout=1)
    await done(owner.raw(theirs, timeout=7).get_repository("1", "2"))
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), 7.0)
    assert owner.requests[0].extensions["timeout"] == timeouts


async def test_the_deadline_bounds_its_timeouts(owner: Owner) -> None:
    """No connect, read or write may take longer than the remaining time."""
    await done(owner.raw(owner.scripted(), timeout=9, deadline=7).get_repository("1", "2"))
    timeouts = owner.requests[0].extensions["timeout"]
    assert timeouts.keys() == {"connect", "read", "write", "pool"}
    assert all(6 < seconds <= 7 for seconds in timeouts.values())


async def test_its_calls_are_retried(owner: Owner) -> None:
    """Each attempt is one request of the user-supplied client."""
    owner.status = 503
    ours = owner.raw(owner.scripted(), max_retry_count=2, retry=RetryPolicy(base_delay=0))
    with pytest.raises(HttpError) as caught:
        await done(ours.get_repository("1", "2"))
    assert [attempt.status for attempt in caught.value.history] == [503] * 3
    assert len(owner.requests) == 3


async def test_the_environment_s_proxy_is_ignored(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that our own connections refuse does not matter."""
    theirs = owner.scripted()
    monkeypatch.setenv("https_proxy", "nonsense://a")
    assert await owner.call(theirs, *GET) == {}


async def test_its_headers_and_cookies_are_sent(owner: Owner) -> None:
    """Our headers take precedence over its headers with the same name."""
    owner.headers = {"set-cookie": "kept=1"}
    theirs = owner.scripted(headers={"user-agent": "theirs", "x-team": "theirs"})
    for _ in range(2):
        await owner.call(theirs, *GET)
    headers = owner.requests[1].headers
    assert headers["user-agent"].startswith("abeja-registry/")
    assert headers["x-team"] == "theirs"
    assert headers["cookie"] == "kept=1"


async def test_a_hook_may_read_the_body(owner: Owner, sandbox: Sandbox) -> None:
    """A response that the owner's hook has read is returned like any other."""
    [repository_id] = sandbox.seed(repositories=1, tags=0)
    seen: list[Any] = []

    def read(response: Any) -> None:
        seen.append(response.read())

    async def aread(response: Any) -> None:
        seen.append(await response.aread())

    hooks = {"response": [aread if owner.is_async else read]}
    async with closing(owner.real(event_hooks=hooks)) as theirs:
        ours = owner.raw(theirs, sandbox.url)
        body = await done(ours.get_repository(sandbox.organization_id, repository_id))
    assert body["id"] == repository_id
    assert repository_id.encode() in seen[0]


@pytest.mark.parametrize("mine", [LookupError("mine"), TimeoutError("mine")], ids=repr)
async def test_an_exception_of_a_hook_is_raised_unchanged(owner: Owner, mine: Exception) -> None:
    """It is not mistaken for a failure of the network, or for the end of the deadline."""

    def fail(_: Any) -> None:
        raise mine

    with pytest.raises(type(mine)) as caught:
        await owner.call(owner.scripted(event_hooks=owner.hook(fail)), *GET)
    assert caught.value is mine


async def test_raise_for_status_in_a_hook(owner: Owner) -> None:
    """The status is not mistaken for a lost response."""
    owner.status = 400
    hooks = owner.hook(lambda response: response.raise_for_status())
    with pytest.raises(BadRequest):
        await owner.call(owner.scripted(event_hooks=hooks), "create_repository", "1", "sample")


async def test_raise_for_status_after_reading_the_body(owner: Owner, sandbox: Sandbox) -> None:
    """The error has the API's description."""

    def read(response: Any) -> None:
        response.read()
        response.raise_for_status()

    async def aread(response: Any) -> None:
        await response.aread()
        response.raise_for_status()

    hooks = {"response": [aread if owner.is_async else read]}
    async with closing(owner.real(event_hooks=hooks)) as theirs:
        ours = owner.raw(theirs, sandbox.url)
        with pytest.raises(NotFound) as caught:
            await done(ours.get_repository(sandbox.organization_id, "404"))
    assert caught.value.error == "not_found"


async def test_raise_for_status_before_reading_the_body(owner: Owner, sandbox: Sandbox) -> None:
    """The error has the status only."""
    hooks = owner.hook(lambda response: response.raise_for_status())
    async with closing(owner.real(event_hooks=hooks)) as theirs:
        with pytest.raises(NotFound) as caught:
            await done(owner.raw(theirs, sandbox.url).get_repository(sandbox.organization_id, "1"))
    assert (caught.value.error, caught.value.error_description) == ("Not Found", "")


async def test_raise_for_status_of_another_response(owner: Owner) -> None:
    """A hook's own request, as for a token, does not decide our result."""

    def ask_elsewhere(response: Any) -> None:
        request = owner.library.Request("GET", "https://tokens.example.com/")
        owner.library.Response(404, request=request).raise_for_status()

    hooks = owner.hook(ask_elsewhere)
    with pytest.raises(TransportError, match=r"HTTPStatusError.*tokens\.example\.com"):
        await owner.call(owner.scripted(event_hooks=hooks), *GET)


async def test_a_hook_that_reads_half_the_body(owner: Owner, sandbox: Sandbox) -> None:
    """The call raises an Error, without an exception of the library."""
    [repository_id] = sandbox.seed(repositories=1, tags=0)

    def read(response: Any) -> None:
        next(response.iter_raw())

    async def aread(response: Any) -> None:
        await anext(response.aiter_raw())

    hooks = {"response": [aread if owner.is_async else read]}
    async with closing(owner.real(event_hooks=hooks)) as theirs:
        ours = owner.raw(theirs, sandbox.url)
        with pytest.raises(Error):
            await done(ours.get_repository(sandbox.organization_id, repository_id))


async def test_max_response_bytes_after_a_hook_has_read_the_body(
    owner: Owner, sandbox: Sandbox
) -> None:
    """The limit applies to a body that the hook has read, too."""
    [repository_id] = sandbox.seed(repositories=1, tags=0)

    def read(response: Any) -> None:
        response.read()

    async def aread(response: Any) -> None:
        await response.aread()

    hooks = {"response": [aread if owner.is_async else read]}
    async with closing(owner.real(event_hooks=hooks)) as theirs:
        ours = owner.raw(theirs, sandbox.url, max_response_bytes=20)
        with pytest.raises(InvalidResponse, match="larger than max_response_bytes"):
            await done(ours.get_repository(sandbox.organization_id, repository_id))


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_the_deadline_cancels_an_async_hook(library: ModuleType) -> None:
    """A request that was sent before may have been carried out."""

    async def wait(_: Any) -> None:
        await asyncio.Event().wait()

    owner = Owner(library, is_async=True)
    theirs = owner.scripted(event_hooks={"response": [wait]})
    ours = owner.raw(theirs, deadline=0.5)
    with pytest.raises(Timeout, match="the call's deadline has passed"):
        await ours.get_repository("1", "2")
    with pytest.raises(OutcomeUnknown, match="the call's deadline has passed"):
        await ours.create_repository("1", "sample")


# -- exceptions of custom transports --------------------------------------------------------------

NOT_SENT = ["ConnectTimeout", "PoolTimeout", "ConnectError", "ProxyError", "UnsupportedProtocol"]
# The transport's exception: its own, or one raised from httpcore's or from another.
CAUSES = [None, OSError(104, "Connection reset by peer"), httpcore.ConnectError("refused")]


@pytest.mark.parametrize("cause", CAUSES, ids=["none", "anybody's", "httpcore's"])
@pytest.mark.parametrize("name", NOT_SENT)
async def test_a_custom_transport_s_connect_error(
    owner: Owner, name: str, cause: Exception | None
) -> None:
    """The transport may have sent the request, so a create is not retried."""
    attempts: list[str] = []

    def fail(request: Any) -> Any:
        attempts.append(request.method)
        raise getattr(owner.library, name)("lost") from cause

    transport = owner.library.MockTransport(fail)
    ours = owner.raw(
        owner.real(transport=transport), max_retry_count=3, retry=RetryPolicy(base_delay=0)
    )
    with pytest.raises(OutcomeUnknown) as caught:
        await done(ours.create_repository("1", "sample"))
    assert attempts == ["POST"]
    assert caught.value.outcome_unknown
    with pytest.raises(TransportError):
        await done(ours.get_repository("1", "2"))
    assert attempts == ["POST", *["GET"] * (1 if name == "UnsupportedProtocol" else 4)]


@pytest.mark.parametrize("name", ["ConnectError", "ProxyError", "PoolTimeout", "ReadError"])
async def test_a_create_whose_body_is_lost_was_sent(owner: Owner, name: str) -> None:
    """The head has arrived: whatever class the error of the body has, the outcome is unknown."""
    attempts: list[str] = []
    library = owner.library

    class Broken(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Any:
            yield b'{"id"'
            raise getattr(library, name)("lost")

        async def __aiter__(self) -> Any:
            yield b'{"id"'
            raise getattr(library, name)("lost")

    def respond(request: Any) -> Any:
        attempts.append(request.method)
        return library.Response(200, headers={"content-length": "500"}, stream=Broken())

    ours = owner.raw(
        owner.real(transport=library.MockTransport(respond)),
        max_retry_count=1,
        retry=RetryPolicy(base_delay=0),
    )
    with pytest.raises(OutcomeUnknown):
        await done(ours.create_repository("1", "sample"))
    assert attempts == ["POST"]


async def test_no_attempt_begins_after_the_deadline(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that takes long leaves no time for another attempt, and none is sent."""
    now = [0.0]
    replace_now(monkeypatch, lambda: now[0])
    attempts: list[str] = []

    def respond(request: Any) -> Any:
        attempts.append(request.method)
        return owner.library.Response(503)

    def late(_: Retry) -> None:
        now[0] += 200

    ours = owner.raw(
        owner.real(transport=owner.library.MockTransport(respond)),
        on_retry=late,
        max_retry_count=1,
        retry=RetryPolicy(base_delay=0),
    )
    with pytest.raises(HttpError) as caught:
        await done(ours.delete_repository("1", "2"))
    assert attempts == ["DELETE"]
    [attempt] = caught.value.history
    reason = "the deadline ended before the retry was sent"
    assert (attempt.status, attempt.stop_reason) == (503, reason)


async def test_a_custom_transport_with_retries(owner: Owner) -> None:
    """An earlier attempt of the transport may have created the repository."""
    library = owner.library
    sent: list[str] = []

    class Retrying(library.HTTPTransport):  # type: ignore[misc,name-defined]
        def handle_request(self, request: Any) -> Any:
            sent.append(request.method)
            return super().handle_request(request)

    class AsyncRetrying(library.AsyncHTTPTransport):  # type: ignore[misc,name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            sent.append(request.method)
            return await super().handle_async_request(request)

    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    transport = (AsyncRetrying if owner.is_async else Retrying)()
    async with closing(owner.real(transport=transport)) as theirs:
        ours = owner.raw(theirs, url, max_retry_count=3, retry=RetryPolicy(base_delay=0))
        with pytest.raises(OutcomeUnknown):
            await done(ours.create_repository("1", "sample"))
    assert sent == ["POST"]


async def test_httpcore_s_connect_error(owner: Owner) -> None:
    """The request certainly was not sent, so a create is retried."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    async with closing(owner.real()) as theirs:
        ours = owner.raw(theirs, url, max_retry_count=2, retry=RetryPolicy(base_delay=0))
        with pytest.raises(TransportError) as caught:
            await done(ours.create_repository("1", "sample"))
    assert type(caught.value) is TransportError
    assert not caught.value.outcome_unknown
    assert len(caught.value.history) == 3


async def test_a_url_that_the_library_cannot_build(owner: Owner) -> None:
    """The call fails before the transport is used."""
    with pytest.raises(TransportError, match="InvalidURL") as caught:
        await owner.call(owner.scripted(), "create_repository", "1" * 70_000, "sample")
    assert type(caught.value) is TransportError
    assert not caught.value.outcome_unknown
    assert owner.requests == []


async def test_httpx_aiohttp_creates_once() -> None:
    """It reports a lost connection as a connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[bytes] = []

        def lose() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    accepted.append(connection.recv(65536))

        thread = threading.Thread(target=lose)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            async with httpx_aiohttp.HttpxAiohttpClient() as theirs:
                ours = AsyncAPIClient(OURS, base_url=url, http_client=theirs)
                with pytest.raises(OutcomeUnknown):
                    await ours.create_repository("1", "sample")
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert len([request for request in accepted if request.startswith(b"POST")]) == 1
