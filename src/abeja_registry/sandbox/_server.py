"""The server: uvicorn on a socket, in an event loop that runs already."""

import asyncio
import socket
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ._responses import DROP

# How long requests in flight may take after `stop`, in seconds.
GRACE = 1


class _DropMiddleware:
    """Closes the connection when the application sends DROP."""

    def __init__(self, app: ASGIApp, transport: asyncio.Transport) -> None:
        self._app = app
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_or_drop(message: Message) -> None:
            if message is not DROP:
                await send(message)
                return
            self._transport.abort()
            # uvicorn logs an error for an application that returns before that without a response.
            gone = False
            while not gone:
                gone = (await receive())["type"] == "http.disconnect"

        await self._app(scope, receive, send_or_drop)


class _JoiningTransport:
    """Sends the head of a response together with its body: one system call in place of two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write data, or hold it back until the next write, at most for a turn of the loop."""
        if self._head:
            data, self._head = self._head + data, b""
            self._transport.write(data)
        elif data:
            self._head = data
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Write the rest, and close the connection."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(H11Protocol):
    """Uvicorn's protocol, whose application can close the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _JoiningTransport(transport)))
        self.app = _DropMiddleware(self.app, transport)


class _CancelMiddleware:
    """Closes the connection of a request that is cancelled, and can cancel all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = asyncio.current_task()
        assert request is not None
        self._requests.add(request)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            await send(DROP)
        finally:
            self._requests.discard(request)

    def cancel_all(self) -> None:
        """Cancel the requests in flight; uvicorn's own way logs a traceback for each."""
        for request in self._requests:
            request.cancel()


class Server(uvicorn.Server):
    """Uvicorn's server on a listening socket.

    Args:
        app: The application.
        listener: The socket; the server closes it.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._requests = _CancelMiddleware(app)
        super().__init__(_config(self._requests))
        self._listener = listener
        self._ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and let `start` return."""
        await super().startup(sockets=sockets)
        self._ready.set()

    async def start(self) -> None:
        """Serve from now on; returns once it accepts requests, or raises the server's exception."""
        self._serving = asyncio.create_task(self.serve(sockets=[self._listener]))
        # A task that ends before it is ready has failed.
        self._serving.add_done_callback(lambda _: self._ready.set())
        await self._ready.wait()
        if self._serving.done():
            await self._serving

    async def stop(self) -> None:
        """Stop serving, after `start`; requests in flight have a second to end."""
        self.should_exit = True
        await asyncio.wait([self._serving], timeout=GRACE)
        self._requests.cancel_all()
        # uvicorn would wait for a client that reads nothing.
        for connection in self.server_state.connections:
            connection.transport.abort()
        await self._serving


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address; raises OSError if that fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is named: a response takes 1 ms, not 44.
    created = socket.create_server((host, port), family=family)
    return socket.socket(created.family, created.type, socket.IPPROTO_TCP, fileno=created.detach())


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        lifespan="off",
        ws="none",
        # The embedding program configures logging.
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        # Longer than `stop` leaves any request in flight.
        timeout_graceful_shutdown=10 * GRACE,
    )
