"""The transport: httpx requests to a sandbox of this process, without a socket."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Protocol

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._docker import LOG
from ._responses import DROP

NO_RESPONSE = "Server disconnected without sending a response."
HALF_A_RESPONSE = "the connection was lost within the response"

# A response, or a description of a lost connection.
Outcome = httpx.Response | str


class Submit(Protocol):
    """Runs a coroutine function in the sandbox's event loop."""

    def __call__(
        self, function: Callable[..., Awaitable[Outcome]], *arguments: Any
    ) -> Future[Outcome]:
        """Return the coroutine's result."""
        ...


class SandboxTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Sends requests to a sandbox of this process, for sync and async clients alike.

    The application runs in the sandbox's own thread, so that a client may be used in any thread
    and any event loop, and has nothing to close. As over a socket, the read time-out limits the
    wait for the response, and the operation continues after that.
    """

    def __init__(self, running: Callable[[], tuple[ASGIApp, Submit]]) -> None:
        # Called for each request, as the sandbox may have been started again.
        self._running = running

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a sync client's request."""
        future = self._send(request, request.read())
        wait([future], _read_timeout(request))
        return _response(request, future)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send an async client's request."""
        future = self._send(request, await request.aread())
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def notify(_: object) -> None:
            # The client's loop may be closed by now.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        future.add_done_callback(notify)
        with suppress(TimeoutError):
            async with asyncio.timeout(_read_timeout(request)):
                await done.wait()
        return _response(request, future)

    def _send(self, request: httpx.Request, body: bytes) -> Future[Outcome]:
        try:
            app, submit = self._running()
            return submit(_exchange, app, request, body)
        except RuntimeError as error:
            raise httpx.ConnectError(str(error), request=request) from None


class _DropMiddleware:
    """Raises ConnectionError after the application, if it dropped the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False
        lost: str | None = None

        async def send_or_drop(message: Message) -> None:
            nonlocal lost, has_started
            if message is DROP:
                lost = HALF_A_RESPONSE if has_started else NO_RESPONSE
            else:
                has_started = True
                await send(message)

        try:
            await self._app(scope, receive, send_or_drop)
        except Exception:
            # The response was a 500; over a socket, uvicorn logs the exception.
            LOG.exception("the sandbox failed")
        if lost is not None:
            raise ConnectionError(lost)


async def _exchange(app: ASGIApp, request: httpx.Request, body: bytes) -> Outcome:
    # The body is read already; its stream belongs to the client's thread or loop.
    sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
    try:
        response = await httpx.ASGITransport(_DropMiddleware(app)).handle_async_request(sent)
    except ConnectionError as error:
        return str(error)
    content = await response.aread()
    return httpx.Response(response.status_code, headers=response.headers.raw, content=content)


def _response(request: httpx.Request, future: Future[Outcome]) -> httpx.Response:
    if not future.done():
        raise httpx.ReadTimeout("timed out", request=request)
    # Closing the sandbox cancels it.
    outcome = NO_RESPONSE if future.cancelled() else future.result()
    if isinstance(outcome, str):
        raise httpx.RemoteProtocolError(outcome, request=request)
    return outcome


def _read_timeout(request: httpx.Request) -> float | None:
    timeout: float | None = request.extensions.get("timeout", {}).get("read")
    return timeout
