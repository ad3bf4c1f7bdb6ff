"""Our own connections to the API: the door to the network unless a client is handed in.

Each is an HTTP transport that holds one connection, watched at its socket. The library's own pool
is not used for more than one: under cancellation, forks and width it is the part that fails.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, TypeVar

import httpcore
import httpx

from ._answers import DEADLINE_PASSED, Answer, Failure, Outcome
from ._config import Settings
from ._network import create_ssl_context, names_tls_files, proxy_for
from ._sockets import AsyncBackend, Backend, Watch
from ._wire import LATE, Request, aread, failure, read

# Open at the same time, at the most; further calls wait for one that is done.
MAX_CONNECTIONS = 100
# Seconds that a connection is kept without use. Assumption: the API keeps it longer.
KEPT_IDLE = 15.0
# Seconds, for a create: one that meets a connection which the API has just closed may be lost
# without a trace, so it goes out on a connection of late.
KEPT_IDLE_FOR_A_CREATE = 2.0

_NONE_FREE = Failure(
    f"none of {MAX_CONNECTIONS} connections came free in time", sent=False, timeout=True
)

_UNCLOSED = "a client was not closed: use it in a `with` block, or call its close() or aclose()"


class _Connection(httpx.HTTPTransport):
    """A transport of one connection, watched at its socket."""

    def __init__(self, origin: httpcore.Origin, layers: int, **options: Any) -> None:
        super().__init__(**options)
        self.watch = Watch()
        self.used_at = 0.0
        # The private names used here: httpx has no arguments for httpcore's network backend, and
        # for one connection in the place of a pool of one, which costs a tenth of a call.
        self._pool: Any
        self._pool._network_backend = Backend(self.watch, layers)
        self._pool = self._pool.create_connection(origin)

    def usable(self) -> bool:
        """Whether nothing was heard from the other side since the last call."""
        return not self._pool.has_expired()


class _AsyncConnection(httpx.AsyncHTTPTransport):
    """As `_Connection`, for an event loop."""

    def __init__(self, origin: httpcore.Origin, layers: int, **options: Any) -> None:
        super().__init__(**options)
        self.watch = Watch()
        self.used_at = 0.0
        self._pool: Any
        self._pool._network_backend = AsyncBackend(self.watch, layers)
        self._pool = self._pool.create_connection(origin)

    def usable(self) -> bool:
        """As `_Connection.usable`."""
        return not self._pool.has_expired()


T = TypeVar("T", _Connection, _AsyncConnection)
F = TypeVar("F", threading.Semaphore, asyncio.Semaphore)


class _Place(Generic[T, F]):
    """What belongs to one process, or to one event loop: its connections."""

    def __init__(self, free: F) -> None:
        # Last in, first out: what was used last is the least likely to have been closed.
        self.idle: list[T] = []
        self.free: F = free
        self.loading = threading.Lock()


class _Own(ABC, Generic[T]):
    """What both kinds share: how a connection is opened, which one is used, which is kept."""

    _kind: type[T]
    closed = True

    def __init__(self, settings: Settings) -> None:
        self.proxy = proxy_for(settings.base_url)
        https = settings.base_url.startswith("https:")
        self._https_proxy = (self.proxy or "").startswith("https:")
        # Of TLS, around a request: to the API, and to a proxy.
        self._layers = https + self._https_proxy
        self._ssl_context: ssl.SSLContext | None = None
        if not self._layers:
            self._ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        elif names_tls_files():
            # At once: whoever names one is told if it cannot be used.
            self._ssl_context = create_ssl_context()
        self._base = httpx.URL(settings.base_url)
        self._path = self._base.raw_path.decode().rstrip("/")
        self._origin = httpcore.URL(
            scheme=self._base.raw_scheme,
            host=self._base.raw_host,
            port=self._base.port,
            target=b"/",
        ).origin
        self.closed = False

    @abstractmethod
    def _here(self) -> _Place[T, Any]:
        """Return what belongs to this process, or to this event loop."""

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """What TLS is spoken with, if it is."""
        with self._here().loading:
            if self._ssl_context is None:
                # It takes tens of milliseconds: once, and with the first connection.
                self._ssl_context = create_ssl_context(trust_env=False)
            return self._ssl_context

    def _open(self) -> T:
        context = self.ssl_context
        return self._kind(
            self._origin,
            self._layers,
            verify=context,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEPT_IDLE
            ),
            # Of itself a proxy is trusted by the library's bundle alone.
            proxy=httpx.Proxy(self.proxy or "", ssl_context=context)
            if self._https_proxy
            else self.proxy,
        )

    def _built(self, request: Request) -> httpx.Request:
        """Return a request as httpx has it, of parts that need no more looking at."""
        if len(request.target) > _LONGEST_TARGET:
            raise httpx.InvalidURL(f"the URL is longer than {_LONGEST_TARGET} characters")
        headers = [(b"Host", self._base.netloc), *request.headers]
        if request.body is not None:
            headers.append((b"Content-Length", b"%d" % len(request.body)))
        built = httpx.Request(
            request.method,
            self._base,
            headers=headers,
            # Unlike content=, it has httpx add nothing.
            stream=httpx.ByteStream(request.body or b""),
            extensions={"timeout": dict.fromkeys(_TIMEOUTS, request.timeout)},
        )
        # Parsing the whole URL costs as much as the rest of the request.
        path, _, query = request.target.partition("?")
        built.url._uri_reference = self._base._uri_reference._replace(
            path=self._path + path, query=query or None
        )
        return built


# What httpx calls them.
_TIMEOUTS = ("connect", "read", "write", "pool")
# Characters of a path and a query: httpx takes no more of a whole URL.
_LONGEST_TARGET = 65_536


def _fits(connection: _Connection | _AsyncConnection, request: Request) -> bool:
    """Whether a request may go out on a connection that has been idle."""
    idle = time.monotonic() - connection.used_at
    if not request.replayable and idle > KEPT_IDLE_FOR_A_CREATE:
        return False
    return connection.usable()


def _expired(idle: list[T]) -> Iterator[T]:
    """Take out what has been idle for too long to be of use; the oldest stand first."""
    before = time.monotonic() - KEPT_IDLE
    with suppress(IndexError):  # several threads may be at it
        while idle[0].used_at < before:
            yield idle.pop(0)


def _known(connection: _Connection | _AsyncConnection, outcome: Outcome) -> Outcome:
    """Return an outcome with what the socket knows better than an exception's class."""
    watch = connection.watch
    if not isinstance(outcome, Failure):
        return outcome
    if outcome.timeout and time.monotonic() >= watch.deadline:
        # What is left of it is the time-out of the last read or write.
        outcome = replace(outcome, cause=DEADLINE_PASSED)
    if watch.written is None:
        return outcome
    return replace(outcome, sent=outcome.sent and watch.written)


def _clean(connection: _Connection | _AsyncConnection, outcome: Outcome) -> bool:
    """Whether a connection may be used again: its answer ended, and nothing came after it."""
    if not isinstance(outcome, Answer):
        return False
    connection.used_at = time.monotonic()
    at = connection._pool
    # There are wrappers around it, through a proxy several.
    while (inner := getattr(at, "_connection", None)) is not None:
        at = inner
    # What came too early is in h11's hands, and would be taken for the next call's answer.
    state = getattr(at, "_h11_state", None)
    if state is None or not at.is_idle() or state.trailing_data != (b"", False):
        return False
    return not connection.watch.holds_back()


# Kept for good: a child process has nothing to say to what its parent is connected to.
_PARENTS_CONNECTIONS: list[object] = []


class Connections(_Own[_Connection]):
    """Our own connections, for threads; a child process opens its own."""

    _kind = _Connection

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._places = {os.getpid(): _Place(threading.Semaphore(MAX_CONNECTIONS))}

    def _here(self) -> _Place[_Connection, threading.Semaphore]:
        process = os.getpid()
        if process not in self._places:
            _PARENTS_CONNECTIONS.extend(self._places.values())
            self._places.setdefault(process, _Place(threading.Semaphore(MAX_CONNECTIONS)))
        return self._places[process]

    def send(self, request: Request) -> Outcome:
        """Send a request over a connection that nobody else uses, and return what came."""
        place = self._here()
        if not place.free.acquire(timeout=min(request.timeout, request.left)):
            return _NONE_FREE
        try:
            connection = self._take(place.idle, request)
            clean = False
            try:
                outcome = self._exchange(connection, request)
                clean = _clean(connection, outcome)
                return outcome
            finally:
                if clean:
                    place.idle.append(connection)
                else:
                    connection.close()
        finally:
            place.free.release()
            if self.closed:
                self.close()

    def _take(self, idle: list[_Connection], request: Request) -> _Connection:
        for expired in _expired(idle):
            expired.close()
        with suppress(IndexError):  # several threads may be at it
            while True:
                connection = idle.pop()
                if _fits(connection, request):
                    return connection
                connection.close()
        return self._open()

    def _exchange(self, connection: _Connection, request: Request) -> Outcome:
        connection.watch.begin(request.deadline)
        try:
            outcome = read(connection.handle_request(self._built(request)), request)
        except Exception as error:
            outcome = failure(error)
        return _known(connection, outcome)

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as its call is done."""
        self.closed = True
        place = self._here()
        # Several threads may be at it.
        with suppress(IndexError):
            while True:
                place.idle.pop().close()

    def __del__(self) -> None:
        if not self.closed and self._here().idle:
            warnings.warn(_UNCLOSED, ResourceWarning, stacklevel=2, source=self)
            self.close()


class AsyncConnections(_Own[_AsyncConnection]):
    """Our own connections, for tasks; each event loop opens its own."""

    _kind = _AsyncConnection

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._places: dict[
            tuple[int, asyncio.AbstractEventLoop], _Place[_AsyncConnection, asyncio.Semaphore]
        ] = {}

    def _here(self) -> _Place[_AsyncConnection, asyncio.Semaphore]:
        key = os.getpid(), asyncio.get_running_loop()
        if key not in self._places:
            # Nothing can be closed through a loop that has ended.
            for ended in [other for other in list(self._places) if other[1].is_closed()]:
                self._places.pop(ended, None)
            self._places[key] = _Place(asyncio.Semaphore(MAX_CONNECTIONS))
        return self._places[key]

    async def send(self, request: Request) -> Outcome:
        """As `Connections.send`, awaited."""
        if not request.left:
            return Failure(DEADLINE_PASSED, sent=False, timeout=True)
        place = self._here()
        try:
            # Mostly there is nothing to wait for, and no time to keep.
            waits = place.free.locked()
            async with asyncio.timeout(min(request.timeout, request.left) if waits else None):
                await place.free.acquire()
        except TimeoutError:
            return _NONE_FREE
        try:
            connection = await self._take(place.idle, request)
            clean = False
            try:
                outcome = await self._exchange(connection, request)
                clean = _clean(connection, outcome)
                return outcome
            finally:
                if clean:
                    place.idle.append(connection)
                else:
                    await connection.aclose()
        finally:
            place.free.release()
            if self.closed:
                await self.aclose()

    async def _take(self, idle: list[_AsyncConnection], request: Request) -> _AsyncConnection:
        for expired in _expired(idle):
            await expired.aclose()
        while idle:
            connection = idle.pop()
            if _fits(connection, request):
                return connection
            await connection.aclose()
        return self._open()

    async def _exchange(self, connection: _AsyncConnection, request: Request) -> Outcome:
        connection.watch.begin(request.deadline)
        try:
            async with asyncio.timeout(request.left):
                response = await connection.handle_async_request(self._built(request))
            outcome = await aread(response, request)
        except TimeoutError:
            outcome = LATE
        except Exception as error:
            outcome = failure(error)
        return _known(connection, outcome)

    async def aclose(self) -> None:
        """As `Connections.close`, awaited, of this event loop's; another's stay open meanwhile."""
        self.closed = True
        place = self._here()
        while place.idle:
            await place.idle.pop().aclose()

    def __del__(self) -> None:
        if not self.closed and any(place.idle for place in self._places.values()):
            warnings.warn(_UNCLOSED, ResourceWarning, stacklevel=2, source=self)
