"""The sandbox in process: an httpx transport that needs no socket."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._app import DROP

LOG = logging.getLogger("abeja_registry.sandbox")

Submit = Callable[[Coroutine[Any, Any, httpx.Response]], "Future[httpx.Response]"]


class InProcess(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Carries requests to a sandbox of this process, for sync and async clients alike.

    The application runs in the sandbox's own thread, whoever asks: a client may be used from any
    thread and any event loop, and has nothing to close. A read time-out counts for the answer.
    """

    def __init__(self, app: ASGIApp, submit: Submit) -> None:
        self._app = app
        self._submit = submit

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a sync client's request."""
        future = self._submit(self._exchange(request, request.read()))
        try:
            return future.result(_read_timeout(request))
        except TimeoutError:
            future.cancel()
            raise httpx.ReadTimeout("timed out", request=request) from None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer an async client's request."""
        future = asyncio.wrap_future(self._submit(self._exchange(request, await request.aread())))
        try:
            return await asyncio.wait_for(future, _read_timeout(request))
        except TimeoutError:
            raise httpx.ReadTimeout("timed out", request=request) from None

    async def _exchange(self, request: httpx.Request, body: bytes) -> httpx.Response:
        # Headers as they would go out; the body is read, and its stream another world's.
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answer = await httpx.ASGITransport(self._carry).handle_async_request(sent)
        headers = answer.headers.raw
        return httpx.Response(answer.status_code, headers=headers, content=await answer.aread())

    async def _carry(self, scope: Scope, receive: Receive, send: Send) -> None:
        lost = started = False

        async def pass_on(message: Message) -> None:
            nonlocal lost, started
            if message is DROP:
                lost = True
            else:
                started = True
                await send(message)

        try:
            await self._app(scope, receive, pass_on)
        except Exception:
            # It was answered with 500; over a socket, uvicorn logs it.
            LOG.exception("the sandbox failed")
        if lost:
            raise httpx.RemoteProtocolError(
                "the connection was lost within the answer"
                if started
                else "Server disconnected without sending a response."
            )


def _read_timeout(request: httpx.Request) -> float | None:
    timeout: float | None = request.extensions.get("timeout", {}).get("read")
    return timeout
