"""Our own connections to the API, unless the user supplies a client.

Each is an HTTP transport of one connection, with our streams at its socket. The HTTP library's own
pool is not used: cancellation, forks and many connections at once are what it fails at.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, TypeVar

import httpcore
import httpx

from .._api.process import process_token
from .._api.responses import DEADLINE_PASSED, Answer, Failure, Outcome
from .._settings.network import proxy_for
from .._settings.settings import Settings
from ..exceptions import Error
from .backends import AsyncBackend, Backend
from .certificates import create_ssl_context, names_tls_files
from .decoding import aread, read
from .errors import map_exception
from .sender import Request
from .streams import CallState

# Connections open at the same time; further calls wait for one of them.
MAX_CONNECTIONS = 100
# Seconds that an idle connection is kept. Assumption: the API keeps it longer.
KEEPALIVE_EXPIRY = 15.0

_POOL_TIMEOUT = Failure(
    f"none of {MAX_CONNECTIONS} connections came free in time", sent=False, timeout=True
)

_UNCLOSED = "a client was not closed: use it in a `with` block, or call its close() or aclose()"

T = TypeVar("T")

# What httpx calls the timeouts of a request.
_TIMEOUTS = ("connect", "read", "write", "pool")
# Characters of a path and a query: httpx accepts no more of a whole URL.
_MAX_TARGET = 65_536


class _Url(httpx.URL):
    """An `httpx.URL` that is parsed when a tool asks for more than the four parts below.

    Parsing costs more than all the rest of a request, and sending needs these parts alone.
    """

    def __init__(self, base: httpx.URL, target: str) -> None:
        self._base = base
        self._raw_path = base.raw_path.rstrip(b"/") + target.encode("ascii")

    @property
    def raw_scheme(self) -> bytes:
        return self._base.raw_scheme

    @property
    def raw_host(self) -> bytes:
        return self._base.raw_host

    @property
    def port(self) -> int | None:
        return self._base.port

    @property
    def raw_path(self) -> bytes:
        return self._raw_path

    def __getattr__(self, name: str) -> Any:
        # What httpx keeps in a URL that it parsed; copy and pickle look for dunders first.
        if not name.startswith("__"):
            vars(self).update(vars(self._base.copy_with(raw_path=self._raw_path)))
        try:
            return vars(self)[name]
        except KeyError:
            raise AttributeError(name) from None


class _Request(httpx.Request):
    """An `httpx.Request` of parts that need no checking."""

    def __init__(
        self, method: str, url: httpx.URL, headers: httpx.Headers, body: bytes, timeout: float
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.stream = httpx.ByteStream(body)
        self.extensions = {"timeout": dict.fromkeys(_TIMEOUTS, timeout)}


class _Connection(httpx.HTTPTransport):
    """A transport of one connection. Tools that patch `httpx.HTTPTransport` see its requests."""

    def __init__(self, factory: Callable[[CallState], Any], context: ssl.SSLContext) -> None:
        super().__init__(verify=context, trust_env=False)
        self.state = CallState()
        self.used_at = 0.0
        self.connection = _install(self, factory(self.state))


class _AsyncConnection(httpx.AsyncHTTPTransport):
    """As `_Connection`, for an event loop."""

    def __init__(self, factory: Callable[[CallState], Any], context: ssl.SSLContext) -> None:
        super().__init__(verify=context, trust_env=False)
        self.state = CallState()
        self.used_at = 0.0
        self.connection = _install(self, factory(self.state))


def _install(transport: httpx.HTTPTransport | httpx.AsyncHTTPTransport, connection: T) -> T:
    """Have a transport of httpx send over one connection of ours, in place of its pool."""
    # The one private name of another library that this package needs: httpx has no argument for
    # httpcore's public `network_backend`.
    if "_pool" not in vars(transport):
        raise Error(
            f"httpx {httpx.__version__} is not supported: nothing was sent."
            " Install an earlier version, or pass http_client="
        )
    transport._pool = connection  # type: ignore[assignment]
    return connection


C = TypeVar("C", _Connection, _AsyncConnection)
S = TypeVar("S", threading.Semaphore, asyncio.Semaphore)


class _PoolState(Generic[C, S]):
    """What belongs to one process and, where calls are tasks, to one event loop."""

    def __init__(self, slots: S) -> None:
        self.slots: S = slots
        # Last in, first out: the server is the least likely to have closed the latest.
        self.idle: list[C] = []
        self.ssl_lock = threading.Lock()


class _BasePool(ABC, Generic[C, S]):
    """What both pools share: how a connection opens, which one is used again, which is kept."""

    _kind: type[C]
    _core: type[httpcore.ConnectionPool | httpcore.AsyncConnectionPool]
    _backend: Callable[[CallState, int], Any]
    closed = True

    def __init__(self, settings: Settings) -> None:
        self.proxy = proxy_for(settings.base_url)
        self._base = httpx.URL(settings.base_url)
        https = self._base.scheme == "https"
        self._https_proxy = (self.proxy or "").startswith("https:")
        # Around a request: TLS to the API, and to a proxy.
        self._tls_layers = https + self._https_proxy
        self._ssl_context: ssl.SSLContext | None = None
        if not self._tls_layers:
            self._ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        elif names_tls_files():
            # At once, so that a file that cannot be loaded is an error of the constructor.
            self._ssl_context = create_ssl_context()
        self._origin = _core_url(self._base).origin
        self.closed = False

    @abstractmethod
    def _state(self) -> _PoolState[C, S]:
        """Return what belongs to this process, or to this event loop."""

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The context of every TLS session."""
        with self._state().ssl_lock:
            if self._ssl_context is None:
                # It takes tens of milliseconds: once, and with the first connection.
                self._ssl_context = create_ssl_context(trust_env=False)
            return self._ssl_context

    def _open(self) -> C:
        context = self.ssl_context

        def connect(state: CallState) -> Any:
            pool = self._core(
                ssl_context=context,
                proxy=self._core_proxy(context),
                network_backend=self._backend(state, self._tls_layers),
            )
            return pool.create_connection(self._origin)

        return self._kind(connect, context)

    def _core_proxy(self, context: ssl.SSLContext) -> httpcore.Proxy | None:
        if self.proxy is None:
            return None
        proxy = httpx.Proxy(self.proxy)
        return httpcore.Proxy(
            _core_url(proxy.url),
            auth=proxy.raw_auth,
            headers=proxy.headers.raw,
            # Of itself httpcore would trust its own bundle alone.
            ssl_context=context if self._https_proxy else None,
        )

    def _build_request(self, request: Request) -> httpx.Request:
        if len(request.target) > _MAX_TARGET:
            raise httpx.InvalidURL(f"the URL is longer than {_MAX_TARGET} characters")
        headers = [(b"Host", self._base.netloc), *request.headers]
        if request.body is not None:
            headers.append((b"Content-Length", b"%d" % len(request.body)))
        return _Request(
            request.method,
            _Url(self._base, request.target),
            httpx.Headers(headers),
            request.body or b"",
            request.timeout,
        )

    def _checkout(self, idle: list[C], request: Request) -> tuple[C | None, list[C]]:
        """Return an idle connection for a request, if one can serve, and those to be closed.

        A create gets none: the server may have just closed it, or a late response may still be
        on its way over it, and either would leave open what the create did.
        """
        oldest = time.monotonic() - KEEPALIVE_EXPIRY
        unusable = []
        with suppress(IndexError):  # several threads may be at it
            while idle[0].used_at < oldest:
                unusable.append(idle.pop(0))
            while request.replayable:
                connection = idle.pop()
                if not connection.connection.has_expired():
                    return connection, unusable
                unusable.append(connection)
        return None, unusable


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _refine(connection: _Connection | _AsyncConnection, outcome: Outcome) -> Outcome:
    """Return an outcome with what the streams know better than an exception's class."""
    state = connection.state
    if not isinstance(outcome, Failure):
        return outcome
    if outcome.timeout and time.monotonic() >= state.deadline:
        # The timeout of the last read or write was the rest of the deadline.
        outcome = replace(outcome, cause=DEADLINE_PASSED)
    if state.request_written is None:
        return outcome
    return replace(outcome, sent=outcome.sent and state.request_written)


def _is_reusable(
    connection: _Connection | _AsyncConnection, request: Request, outcome: Outcome
) -> bool:
    """Whether a connection can serve another call: the response ended, and nothing followed it."""
    if not (isinstance(outcome, Answer) and request.replayable):
        return False
    # h11 may hold bytes that it received beyond the response, and would take them for the next
    # one. Its state is behind private names of httpcore: without one of them, nobody can tell.
    at = connection.connection
    while (below := getattr(at, "_connection", None)) is not None:
        at = below
    h11_state = getattr(at, "_h11_state", None)
    return (
        getattr(h11_state, "trailing_data", None) == (b"", False)
        and getattr(connection.connection, "is_idle", bool)()
        and hasattr(connection.connection, "has_expired")
        and not connection.state.has_unread_data()
    )


class ConnectionPool(_BasePool[_Connection, threading.Semaphore]):
    """Our own connections, for threads; a child process opens its own."""

    _kind = _Connection
    _core = httpcore.ConnectionPool
    _backend = Backend

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._states: dict[object, _PoolState[_Connection, threading.Semaphore]] = {}

    def _state(self) -> _PoolState[_Connection, threading.Semaphore]:
        process = process_token()
        if state := self._states.get(process):
            return state
        # After fork() the sockets are the parent's too. To close this process's copies sends
        # nothing: TLS ends without a word, and TCP when its last copy is closed.
        for ancestor in set(self._states) - {process}:
            old = self._states.pop(ancestor, None)  # several threads may be at it
            for connection in old.idle if old else ():
                connection.close()
        return self._states.setdefault(process, _PoolState(threading.Semaphore(MAX_CONNECTIONS)))

    def send(self, request: Request) -> Outcome:
        """Send a request over a connection that serves no other call, and return the result."""
        state = self._state()
        if not state.slots.acquire(timeout=min(request.timeout, request.left)):
            return _POOL_TIMEOUT
        try:
            connection, unusable = self._checkout(state.idle, request)
            for each in unusable:
                each.close()
            connection = connection or self._open()
            reusable = False
            try:
                outcome = self._exchange(connection, request)
                reusable = _is_reusable(connection, request, outcome)
                return outcome
            finally:
                if reusable:
                    connection.used_at = time.monotonic()
                    state.idle.append(connection)
                else:
                    connection.close()
        finally:
            state.slots.release()
            if self.closed:
                self.close()

    def _exchange(self, connection: _Connection, request: Request) -> Outcome:
        connection.state.start(request.deadline)
        try:
            outcome = read(connection.handle_request(self._build_request(request)), request)
        except Exception as error:
            outcome = map_exception(error)
        return _refine(connection, outcome)

    def close(self) -> None:
        """Close idle connections now, and those in use as soon as their calls end."""
        self.closed = True
        idle = self._state().idle
        with suppress(IndexError):  # several threads may be at it
            while True:
                idle.pop().close()

    def __del__(self) -> None:
        if not self.closed and self._state().idle:
            warnings.warn(_UNCLOSED, ResourceWarning, stacklevel=2, source=self)
            self.close()


class AsyncConnectionPool(_BasePool[_AsyncConnection, asyncio.Semaphore]):
    """Our own connections, for tasks; each event loop opens its own."""

    _kind = _AsyncConnection
    _core = httpcore.AsyncConnectionPool
    _backend = AsyncBackend

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._states: dict[
            tuple[object, asyncio.AbstractEventLoop],
            _PoolState[_AsyncConnection, asyncio.Semaphore],
        ] = {}

    def _state(self) -> _PoolState[_AsyncConnection, asyncio.Semaphore]:
        key = process_token(), asyncio.get_running_loop()
        if key not in self._states:
            # Nothing can be closed through a loop that has ended, or through a parent's.
            for process, loop in list(self._states):
                if loop.is_closed() or process is not key[0]:
                    self._states.pop((process, loop), None)
            self._states[key] = _PoolState(asyncio.Semaphore(MAX_CONNECTIONS))
        return self._states[key]

    async def send(self, request: Request) -> Outcome:
        """As `ConnectionPool.send`, awaited."""
        if not request.left:
            return Failure(DEADLINE_PASSED, sent=False, timeout=True)
        state = self._state()
        if state.slots.locked():
            try:
                async with asyncio.timeout(min(request.timeout, request.left)):
                    await state.slots.acquire()
            except TimeoutError:
                return _POOL_TIMEOUT
        else:
            await state.slots.acquire()
        try:
            connection, unusable = self._checkout(state.idle, request)
            for each in unusable:
                await each.aclose()
            connection = connection or self._open()
            reusable = False
            try:
                outcome = await self._exchange(connection, request)
                reusable = _is_reusable(connection, request, outcome)
                return outcome
            finally:
                if reusable:
                    connection.used_at = time.monotonic()
                    state.idle.append(connection)
                else:
                    await connection.aclose()
        finally:
            state.slots.release()
            if self.closed:
                await self.aclose()

    async def _exchange(self, connection: _AsyncConnection, request: Request) -> Outcome:
        connection.state.start(request.deadline)
        try:
            response = await connection.handle_async_request(self._build_request(request))
            outcome = await aread(response, request, bounded=False)
        except Exception as error:
            outcome = map_exception(error)
        return _refine(connection, outcome)

    async def aclose(self) -> None:
        """As `ConnectionPool.close`, for this event loop; those of another stay open meanwhile."""
        self.closed = True
        idle = self._state().idle
        while idle:
            await idle.pop().aclose()

    def __del__(self) -> None:
        # Those of a parent process are its own to close.
        if not self.closed and any(
            state.idle for (process, _), state in self._states.items() if process is process_token()
        ):
            warnings.warn(_UNCLOSED, ResourceWarning, stacklevel=2, source=self)
