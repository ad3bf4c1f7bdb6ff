"""The server: the API on a socket, by uvicorn, in an event loop that runs already."""

import asyncio
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ._answers import DROP

# Seconds that requests which are under way have to end.
GRACE = 1


class _Protocol(H11Protocol):
    """Uvicorn's protocol, which loses its connection when the application says so."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def droppable(scope: Scope, receive: Receive, send: Send) -> None:
            async def pass_on(message: Message) -> None:
                if message is not DROP:
                    await send(message)
                    return
                transport.abort()
                while (await receive())["type"] != "http.disconnect":
                    pass

            await app(scope, receive, pass_on)

        self.app = droppable


class Server(uvicorn.Server):
    """Uvicorn's server on a socket that listens already.

    Args:
        app: the application.
        listener: the socket; the server closes it.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(_config(self._cancellable(app)))
        self._requests: set[asyncio.Task[Any]] = set()
        self._listener = listener
        self._ready = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell `start` when it is done."""
        await super().startup(sockets=sockets)
        self._ready.set()

    async def start(self) -> None:
        """Serve from now on; returns once requests are answered, or raises what went wrong."""
        self._serving = asyncio.create_task(self.serve(sockets=[self._listener]))
        # What ends before it is ready went wrong.
        self._serving.add_done_callback(lambda _: self._ready.set())
        await self._ready.wait()
        if self._serving.done():
            await self._serving

    async def stop(self) -> None:
        """Stop serving; requests that are under way have a second to end."""
        self.should_exit = True
        if self._serving is not None:
            await asyncio.wait([self._serving], timeout=GRACE)
            # Not uvicorn's own way, which logs a traceback for each.
            for request in self._requests:
                request.cancel()
            # A client that reads nothing would keep its connection open, and uvicorn waiting.
            for connection in self.server_state.connections:
                connection.transport.abort()
            await self._serving

    def _cancellable(self, app: ASGIApp) -> ASGIApp:
        """Make an application whose requests, when they are cancelled, lose their connections."""

        async def cancellable(scope: Scope, receive: Receive, send: Send) -> None:
            request = asyncio.current_task()
            assert request is not None
            self._requests.add(request)
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                await send(DROP)
            finally:
                self._requests.discard(request)

        return cancellable


def listen(host: str, port: int) -> socket.socket:
    """Take an address; raises OSError if it can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only where the protocol is named: an answer takes 1 ms, not 44.
    made = socket.create_server((host, port), family=family)
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, fileno=made.detach())


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        lifespan="off",
        ws="none",
        # Logging belongs to the program that this runs in: uvicorn is not to set it up.
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        # Longer than `stop` leaves any request under way.
        timeout_graceful_shutdown=10 * GRACE,
    )
