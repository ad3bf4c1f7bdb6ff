"""Connection pools, used unless the user supplies a client.

Each connection is an HTTP transport of httpx over a connection of httpcore with our streams. The
HTTP library's own pool is not used: it fails at cancellation, forks and many connections.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, TypeVar

import httpcore
import httpx

from .._api import process
from .._api.responses import DEADLINE_PASSED, AttemptResult, NoResponse, Response
from .._settings.network import proxy_for
from .._settings.settings import Settings
from ..exceptions import Error
from .backends import AsyncBackend, Backend
from .certificates import create_ssl_context, names_tls_files, unused_ssl_context
from .decoding import aread_response, read_response
from .errors import map_exception
from .sender import Request
from .streams import CallState

# Open connections; further calls wait for a free one.
MAX_CONNECTIONS = 100
# Seconds that an idle connection is kept alive.
# Assumption: the API keeps an idle connection open for more than 15 seconds.
KEEPALIVE_EXPIRY = 15.0

_UNCLOSED = "a client was not closed: use it in a `with` block, or call its close() or aclose()"

T = TypeVar("T")

# The keys of httpx's `timeout` extension.
_TIMEOUTS = ("connect", "read", "write", "pool")
# Maximum length of a path and a query; httpx has the same limit for a whole URL.
_MAX_TARGET = 65_536


class _Url(httpx.URL):
    """An `httpx.URL` that is parsed only when a tool reads more than the four parts below.

    Sending needs only these parts, and parsing costs more than the rest of a request.
    """

    # These override httpx's properties.
    __slots__ = ("port", "raw_host", "raw_path", "raw_scheme")

    def __init__(self, base: httpx.URL, target: str) -> None:
        self._base = base
        path = base.raw_path.rstrip(b"/") + target.encode("ascii")
        self.raw_scheme, self.raw_host = base.raw_scheme, base.raw_host  # type: ignore[misc]
        self.port, self.raw_path = base.port, path  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        # Parse now, and take over httpx's attributes; copy and pickle look up dunders first.
        if not name.startswith("__"):
            vars(self).update(vars(self._base.copy_with(raw_path=self.raw_path)))
        try:
            return vars(self)[name]
        except KeyError:
            raise AttributeError(name) from None


class _Request(httpx.Request):
    """An `httpx.Request` built from checked parts."""

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        timeout: float,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = httpx.Headers(headers)
        self.stream = httpx.ByteStream(body)
        self.extensions = {"timeout": dict.fromkeys(_TIMEOUTS, timeout)}


class _BaseConnection:
    """A transport of httpx with one connection of httpcore."""

    def __init__(self, factory: Callable[[CallState], Any], context: ssl.SSLContext) -> None:
        super().__init__(verify=context, trust_env=False)  # type: ignore[call-arg]
        self.state = CallState()
        self.used_at = 0.0
        self.connection = _install(self, factory(self.state))


class _Connection(_BaseConnection, httpx.HTTPTransport):
    """A connection for threads. Tools that patch `httpx.HTTPTransport` see its requests."""


class _AsyncConnection(_BaseConnection, httpx.AsyncHTTPTransport):
    """As `_Connection`, for an event loop."""


def _install(transport: Any, connection: T) -> T:
    """Replace the pool of an httpx transport by one connection."""
    # The only private name of another library that this package needs: httpx has no argument
    # for httpcore's public `network_backend`.
    if "_pool" not in vars(transport):
        raise Error(
            f"httpx {httpx.__version__} is not supported, and no request was sent:"
            " install an earlier version, or pass http_client="
        )
    transport._pool = connection  # noqa: SLF001
    return connection


C = TypeVar("C", _Connection, _AsyncConnection)
S = TypeVar("S", threading.Semaphore, asyncio.Semaphore)


class _PoolState(Generic[C, S]):
    """The connections of one process and, for an async pool, of one event loop."""

    def __init__(self, slots: S) -> None:
        self.slots: S = slots
        # Last in, first out: the server has most likely kept the latest one open.
        self.idle: list[C] = []
        self.ssl_lock = threading.Lock()


class _BasePool(ABC, Generic[C, S]):
    """The common part of both pools: opening, reusing and expiring connections."""

    _kind: type[C]
    _core: type[httpcore.ConnectionPool | httpcore.AsyncConnectionPool]
    _backend: Callable[[CallState, int], Any]
    closed = True

    def __init__(
        self,
        settings: Settings,
        *,
        max_connections: int = MAX_CONNECTIONS,
        keepalive_expiry: float = KEEPALIVE_EXPIRY,
    ) -> None:
        self._max_connections = max_connections
        self._keepalive_expiry = keepalive_expiry
        # By process token; in an async pool by process token and event loop.
        self._states: dict[Any, _PoolState[C, S]] = {}
        self.proxy = proxy_for(settings.base_url)
        self._base = httpx.URL(settings.base_url)
        https = self._base.scheme == "https"
        self._https_proxy = (self.proxy or "").startswith("https:")
        # TLS to the API, and TLS to an https proxy.
        self._tls_layers = https + self._https_proxy
        self._ssl_context: ssl.SSLContext | None = None
        if not self._tls_layers:
            self._ssl_context = unused_ssl_context()
        elif names_tls_files():
            # Load now, so that the constructor raises the error of a bad file.
            self._ssl_context = create_ssl_context()
        self._origin = _core_url(self._base).origin
        self.closed = False

    @abstractmethod
    def _state(self) -> _PoolState[C, S]:
        """Return the state of this process, or of this event loop."""

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The context of every TLS session."""
        with self._state().ssl_lock:
            if self._ssl_context is None:
                # Lazy, as it takes tens of milliseconds.
                self._ssl_context = create_ssl_context(trust_env=False)
            return self._ssl_context

    def _pool_timeout(self) -> NoResponse:
        error = f"none of {self._max_connections} connections became free in time"
        return NoResponse(error, "", sent=False, timeout=True)

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
            # By default, httpcore would trust only its own CA bundle.
            ssl_context=context if self._https_proxy else None,
        )

    def _build_request(self, request: Request) -> httpx.Request:
        if len(request.target) > _MAX_TARGET:
            raise httpx.InvalidURL(f"the URL is longer than {_MAX_TARGET} characters")
        headers = [(b"Host", self._base.netloc), *request.headers]
        if request.body is not None:
            headers.append((b"Content-Length", b"%d" % len(request.body)))
        url = _Url(self._base, request.target)
        return _Request(request.method, url, headers, request.body or b"", request.timeout)

    def _checkout(self, idle: list[C], request: Request) -> tuple[C | None, list[C]]:
        """Return a reusable idle connection, or None; and the connections to close.

        A create always opens a connection: on an idle one that the server has just closed, or on
        which a late response arrives, the outcome of the create would be unknown.
        """
        oldest = time.monotonic() - self._keepalive_expiry
        expired = []
        with suppress(IndexError):  # another thread may have taken the last one
            while idle[0].used_at < oldest:
                expired.append(idle.pop(0))
            while request.idempotent:
                connection = idle.pop()
                if not connection.connection.has_expired():
                    return connection, expired
                expired.append(connection)
        return None, expired


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _refine(connection: _Connection | _AsyncConnection, result: NoResponse) -> NoResponse:
    """Correct a failed attempt by the streams' state, which is more exact than the exception."""
    state = connection.state
    if result.timeout and time.monotonic() >= state.deadline:
        # The deadline had clamped the timeout of the last read or write.
        result = replace(result, error=DEADLINE_PASSED, message="")
    if state.request_written is None:
        return result
    return replace(result, sent=result.sent and state.request_written, stage=state.stage)


def _is_reusable(
    connection: _Connection | _AsyncConnection, request: Request, result: AttemptResult
) -> bool:
    """Whether a connection can be reused: its response is complete, and no bytes follow it."""
    if not (isinstance(result, Response) and request.idempotent):
        return False
    # h11 would parse buffered bytes after the response as the next response. Its state has private
    # names in httpcore; if one is missing, the connection is not reused.
    inner = connection.connection
    while (below := getattr(inner, "_connection", None)) is not None:
        inner = below
    h11_state = getattr(inner, "_h11_state", None)
    return (
        getattr(h11_state, "trailing_data", None) == (b"", False)
        and getattr(connection.connection, "is_idle", bool)()
        and hasattr(connection.connection, "has_expired")
    )


async def _acquire(slots: asyncio.Semaphore, seconds: float) -> bool:
    if not slots.locked():  # skip the timeout context if a slot is free
        return await slots.acquire()
    try:
        async with asyncio.timeout(seconds):
            return await slots.acquire()
    except TimeoutError:
        return False


class ConnectionPool(_BasePool[_Connection, threading.Semaphore]):
    """A pool for threads; a child process opens its own connections."""

    _kind = _Connection
    _core = httpcore.ConnectionPool
    _backend = Backend

    def _state(self) -> _PoolState[_Connection, threading.Semaphore]:
        current = process.token
        # After fork() the parent still uses the sockets. Closing the child's copies sends no bytes:
        # no TLS close_notify is sent, and no FIN before the last copy is closed.
        for ancestor in set(self._states) - {current}:
            old = self._states.pop(ancestor, None)  # another thread may have removed it
            for connection in old.idle if old else ():
                connection.close()
        new: _PoolState[_Connection, threading.Semaphore]
        new = _PoolState(threading.Semaphore(self._max_connections))
        return self._states.setdefault(current, new)

    def send(self, request: Request, remaining: float) -> AttemptResult:
        """Send a request over a connection that no other call uses, and return the result."""
        deadline = time.monotonic() + remaining
        state = self._states.get(process.token) or self._state()
        if not state.slots.acquire(timeout=max(0.0, min(request.timeout, remaining))):
            return self._pool_timeout()
        try:
            connection, expired = self._checkout(state.idle, request)
            for each in expired:
                each.close()
            connection = connection or self._open()
            reusable = False
            try:
                result = self._exchange(connection, request, deadline)
                reusable = _is_reusable(connection, request, result)
                return result
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

    def _exchange(
        self, connection: _Connection, request: Request, deadline: float
    ) -> AttemptResult:
        connection.state.deadline = deadline
        connection.state.request_written = None
        try:
            response = connection.handle_request(self._build_request(request))
            result = read_response(response, request, deadline)
        except Exception as error:
            result = map_exception(error, request.redact)
        return _refine(connection, result) if isinstance(result, NoResponse) else result

    def close(self) -> None:
        """Close idle connections now, and connections in use when their calls end."""
        self.closed = True
        idle = self._state().idle
        with suppress(IndexError):  # empty
            while True:
                idle.pop().close()

    def __del__(self) -> None:
        if not self.closed and self._state().idle:
            warnings.warn(_UNCLOSED, ResourceWarning, stacklevel=2, source=self)
            self.close()


class AsyncConnectionPool(_BasePool[_AsyncConnection, asyncio.Semaphore]):
    """A pool for tasks; each event loop opens its own connections."""

    _kind = _AsyncConnection
    _core = httpcore.AsyncConnectionPool
    _backend = AsyncBackend

    def _state(self) -> _PoolState[_AsyncConnection, asyncio.Semaphore]:
        key = process.token, asyncio.get_running_loop()
        if state := self._states.get(key):
            return state
        # Drop the transports of a closed loop or of a parent process: they cannot be closed here.
        for token, loop in list(self._states):
            if loop.is_closed() or token is not key[0]:
                self._states.pop((token, loop), None)
        self._states[key] = _PoolState(asyncio.Semaphore(self._max_connections))
        return self._states[key]

    async def send(self, request: Request, remaining: float) -> AttemptResult:
        """As `ConnectionPool.send`, awaited."""
        deadline = time.monotonic() + remaining
        state = self._state()
        if not await _acquire(state.slots, min(request.timeout, remaining)):
            return self._pool_timeout()
        try:
            connection, expired = self._checkout(state.idle, request)
            for each in expired:
                await each.aclose()
            connection = connection or self._open()
            reusable = False
            try:
                result = await self._exchange(connection, request, deadline)
                reusable = _is_reusable(connection, request, result)
                return result
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

    async def _exchange(
        self, connection: _AsyncConnection, request: Request, deadline: float
    ) -> AttemptResult:
        connection.state.deadline = deadline
        connection.state.request_written = None
        try:
            response = await connection.handle_async_request(self._build_request(request))
            result = await aread_response(response, request)
        except Exception as error:
            result = map_exception(error, request.redact)
        return _refine(connection, result) if isinstance(result, NoResponse) else result

    async def aclose(self) -> None:
        """As `ConnectionPool.close`, for the connections of this event loop."""
        self.closed = True
        idle = self._state().idle
        while idle:
            await idle.pop().aclose()

    def __del__(self) -> None:
        # A parent process closes its own connections.
        if not self.closed and any(
            state.idle for (token, _), state in self._states.items() if token is process.token
        ):
            warnings.warn(_UNCLOSED, ResourceWarning, stacklevel=2, source=self)
