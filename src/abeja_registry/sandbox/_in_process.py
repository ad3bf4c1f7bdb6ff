"""The sandbox in process: an httpx transport that needs no socket."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._answers import DROP

LOG = logging.getLogger("abeja_registry.sandbox")

# An answer, or in words how the connection was lost.
Outcome = httpx.Response | str
Submit = Callable[[Coroutine[Any, Any, Outcome]], "Future[Outcome]"]

NO_ANSWER = "Server disconnected without sending a response."
HALF_AN_ANSWER = "the connection was lost within the answer"


class InProcess(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Carries requests to a sandbox of this process, for sync and async clients alike.

    The application runs in the sandbox's own thread, whoever asks: a client may be used from any
    thread and any event loop, and has nothing to close. As over a socket, a read time-out counts
    for the answer, and work goes on when nobody waits for it any more.
    """

    def __init__(self, running: Callable[[], tuple[ASGIApp, Submit]]) -> None:
        # What runs is asked for with each request: the sandbox may have been started anew.
        self._running = running

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a sync client's request."""
        future = self._sent(request, request.read())
        wait([future], _read_timeout(request))
        return _answer(request, future)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer an async client's request."""
        future = self._sent(request, await request.aread())
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: object) -> None:
            # A loop that is closed has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        future.add_done_callback(tell)
        with suppress(TimeoutError):
            async with asyncio.timeout(_read_timeout(request)):
                await done.wait()
        return _answer(request, future)

    def _sent(self, request: httpx.Request, body: bytes) -> "Future[Outcome]":
        try:
            app, submit = self._running()
            return submit(self._exchange(app, request, body))
        except RuntimeError as error:
            raise httpx.ConnectError(str(error), request=request) from None

    async def _exchange(self, app: ASGIApp, request: httpx.Request, body: bytes) -> Outcome:
        lost: str | None = None

        async def carry(scope: Scope, receive: Receive, send: Send) -> None:
            started = False

            async def pass_on(message: Message) -> None:
                nonlocal lost, started
                if message is DROP:
                    lost = HALF_AN_ANSWER if started else NO_ANSWER
                else:
                    started = True
                    await send(message)

            try:
                await app(scope, receive, pass_on)
            except Exception:
                # It was answered with 500; over a socket, uvicorn logs it.
                LOG.exception("the sandbox failed")
            if lost is not None:
                raise ConnectionError(lost)

        # Headers as they would go out; the body is read, and its stream another world's.
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        try:
            answer = await httpx.ASGITransport(carry).handle_async_request(sent)
        except ConnectionError as error:
            return str(error)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers.raw, content=content)


def _answer(request: httpx.Request, future: "Future[Outcome]") -> httpx.Response:
    if not future.done():
        raise httpx.ReadTimeout("timed out", request=request)
    # It is cancelled where the sandbox was closed.
    outcome = NO_ANSWER if future.cancelled() else future.result()
    if isinstance(outcome, str):
        raise httpx.RemoteProtocolError(outcome, request=request)
    return outcome


def _read_timeout(request: httpx.Request) -> float | None:
    timeout: float | None = request.extensions.get("timeout", {}).get("read")
    return timeout
