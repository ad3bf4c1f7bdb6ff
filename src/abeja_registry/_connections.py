"""Our own connections to the API: the door to the network unless a client is handed in.

Each is an HTTP transport that holds one connection. The library's own pool is not used for more
than one: under cancellation, forks and width it is the part that fails.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import httpx

from ._answers import Answer, Failure, Outcome
from ._config import Settings, ca_bundle, proxy_for
from ._wire import Request, aread, failure, read
from .exceptions import ConfigurationError

# Open at the same time, at the most; further calls wait for one that is done.
MAX_CONNECTIONS = 100

_NONE_FREE = Failure(
    f"none of {MAX_CONNECTIONS} connections came free in time", sent=False, timeout=True
)

T = TypeVar("T", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


class _Own(Generic[T]):
    """What both kinds share: how a connection is opened, and which are idle."""

    _transport: type[T]

    def __init__(self, settings: Settings) -> None:
        self._https = settings.base_url.startswith("https:")
        self._proxy = proxy_for(settings.base_url)
        self._ca_bundle = ca_bundle()
        # Last in, first out: what was used last is the least likely to have been closed.
        self._idle: list[T] = []
        self.closed = False

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        # Loading certificates takes tens of milliseconds: once, and only where TLS is spoken.
        if not self._https:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bundle = self._ca_bundle
        if bundle is None:
            return httpx.create_ssl_context(trust_env=False)
        try:
            if Path(bundle).is_dir():
                return ssl.create_default_context(capath=bundle)
            return ssl.create_default_context(cafile=bundle)
        except OSError as error:
            raise ConfigurationError(
                f"the CA bundle {bundle!r} that the environment names cannot be loaded: {error}"
            ) from None

    def _take(self) -> T:
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _open(self) -> T:
        return self._transport(
            verify=self._ssl_context,
            trust_env=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            proxy=self._proxy,
        )


class Connections(_Own[httpx.HTTPTransport]):
    """Our own connections, for threads."""

    _transport = httpx.HTTPTransport

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._free = threading.Semaphore(MAX_CONNECTIONS)

    def send(self, request: Request) -> Outcome:
        """Send a request over a connection that nobody else uses, and return what came."""
        if not self._free.acquire(timeout=request.timeout):
            return _NONE_FREE
        try:
            connection = self._take()
            clean = False
            try:
                outcome = self._exchange(connection, request)
                clean = isinstance(outcome, Answer)
                return outcome
            finally:
                if clean:
                    self._idle.append(connection)
                else:
                    connection.close()
        finally:
            self._free.release()
            if self.closed:
                self.close()

    def _exchange(self, connection: httpx.HTTPTransport, request: Request) -> Outcome:
        try:
            return read(connection.handle_request(_built(request)))
        except Exception as error:
            return failure(error)

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as its call is done."""
        self.closed = True
        # Several threads may be at it.
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


class AsyncConnections(_Own[httpx.AsyncHTTPTransport]):
    """Our own connections, for the tasks of an event loop."""

    _transport = httpx.AsyncHTTPTransport

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)

    async def send(self, request: Request) -> Outcome:
        """As `Connections.send`, awaited."""
        try:
            async with asyncio.timeout(request.timeout):
                await self._free.acquire()
        except TimeoutError:
            return _NONE_FREE
        try:
            connection = self._take()
            clean = False
            try:
                outcome = await self._exchange(connection, request)
                clean = isinstance(outcome, Answer)
                return outcome
            finally:
                if clean:
                    self._idle.append(connection)
                else:
                    await connection.aclose()
        finally:
            self._free.release()
            if self.closed:
                await self.aclose()

    async def _exchange(self, connection: httpx.AsyncHTTPTransport, request: Request) -> Outcome:
        try:
            return await aread(await connection.handle_async_request(_built(request)))
        except Exception as error:
            return failure(error)

    async def aclose(self) -> None:
        """As `Connections.close`, awaited."""
        self.closed = True
        while self._idle:
            await self._idle.pop().aclose()


def _built(request: Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.body,
        extensions={"timeout": httpx.Timeout(request.timeout).as_dict()},
    )
