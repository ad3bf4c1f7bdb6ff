"""Network backends: DNS look-up, TCP connection and deadline stream.

httpcore accepts them as its public argument `network_backend=`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, cast

import httpcore

from .async_streams import AsyncStream, Protocol
from .streams import CallState, Stream, translate

# Seconds before the next address of a host is tried in parallel ("happy eyeballs", RFC 8305).
ATTEMPT_DELAY = 0.25

# An entry of getaddrinfo(): family, type, protocol, canonical name, address.
_AddressInfo = tuple[int, int, int, str, Any]


class _BaseBackend:
    """The common part of both backends.

    Args:
        state: The state of the call that uses the connection.
        tls_layers: TLS layers that the connection needs before the request is written.
        attempt_delay: Seconds before a host's next address is tried in parallel.
    """

    def __init__(
        self, state: CallState, tls_layers: int, attempt_delay: float = ATTEMPT_DELAY
    ) -> None:
        self._state = state
        self._tls_layers = tls_layers
        self._attempt_delay = attempt_delay


class Backend(_BaseBackend, httpcore.NetworkBackend):
    """Opens connections for threads."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._look_up(host, port, timeout)
        allowed = self._state.clamp_timeout(timeout, httpcore.ConnectTimeout)
        connected = _connect(addresses, allowed, self._attempt_delay)
        return Stream(connected, self._state, self._tls_layers)

    def _look_up(self, host: str, port: int, timeout: float | None) -> list[_AddressInfo]:
        allowed = self._state.clamp_timeout(timeout, httpcore.ConnectTimeout)
        look_up = _LookUp(host, port)
        if look_up.start():
            look_up.thread.join(allowed)
        return look_up.addresses()


def _connect(addresses: list[_AddressInfo], allowed: float, delay: float) -> socket.socket:
    """Return a socket that is connected to the first address that accepts (RFC 8305)."""
    if len(addresses) == 1:
        # Blocking: a SOCKS library's monkey-patched socket cannot connect otherwise.
        return _connect_one(addresses[0], allowed)
    waiting = deque(addresses)
    failure: Exception | None = None
    with selectors.DefaultSelector() as selector:
        try:
            # Count down: a test may have frozen the clock.
            while allowed > 0 and (waiting or selector.get_map()):
                if waiting:
                    try:
                        selector.register(_begin_connect(waiting.popleft()), selectors.EVENT_WRITE)
                    except httpcore.ConnectError as error:
                        failure = error
                        continue
                pause = min(allowed, delay) if waiting else allowed
                started = time.monotonic()
                ready = selector.select(pause)
                allowed -= time.monotonic() - started if ready else pause
                for key, _ in ready:
                    candidate = cast(socket.socket, key.fileobj)
                    selector.unregister(candidate)
                    code = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        return candidate
                    candidate.close()
                    failure = httpcore.ConnectError(str(OSError(code, os.strerror(code))))
        finally:
            for key in list(selector.get_map().values()):
                cast(socket.socket, key.fileobj).close()
    if failure is None or allowed <= 0:
        raise httpcore.ConnectTimeout("timed out")
    raise failure


def _connect_one(address: _AddressInfo, allowed: float) -> socket.socket:
    until = time.monotonic() + allowed
    connected = _open_socket(address)
    try:
        connected.settimeout(allowed)
        connected.connect(address[4])
    except OSError as error:
        connected.close()
        raise translate(error, until, httpcore.ConnectTimeout, httpcore.ConnectError) from None
    except BaseException:
        connected.close()
        raise
    return connected


def _begin_connect(address: _AddressInfo) -> socket.socket:
    candidate = _open_socket(address)
    try:
        candidate.setblocking(False)
        candidate.connect(address[4])
    except BlockingIOError:
        pass
    except OSError as error:
        candidate.close()
        raise httpcore.ConnectError(str(error)) from None
    except BaseException:
        candidate.close()
        raise
    return candidate


def _open_socket(address: _AddressInfo) -> socket.socket:
    family, kind, protocol, *_ = address
    opened = None
    try:
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:  # out of descriptors, or an unsupported address family
        if opened is not None:
            opened.close()
        raise httpcore.ConnectError(str(error)) from None
    return opened


class _LookUp:
    """The DNS look-up of a host.

    getaddrinfo() has no timeout, so it runs in a daemon thread, which neither the end of the
    process nor that of an event loop waits for.
    """

    def __init__(self, host: str, port: int, done: Callable[[], object] = lambda: None) -> None:
        self._host = host
        self._port = port
        self._done = done
        self._results: list[Sequence[_AddressInfo] | Exception] = []

    def start(self) -> bool:
        """Start the thread; return False if the look-up is done without one."""
        with suppress(ValueError):  # an IP address needs no DNS
            ipaddress.ip_address(self._host)
            self._look_up()
            return False
        self.thread = threading.Thread(target=self._run, name="abeja-registry-look-up", daemon=True)
        try:
            self.thread.start()
        except (RuntimeError, MemoryError):
            # The process has reached its limit of threads, or is ending.
            self._look_up()
            return False
        return True

    def _run(self) -> None:
        self._look_up()
        self._done()

    def _look_up(self) -> None:
        try:
            result = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._results.append(result)
        except Exception as error:  # also UnicodeError, for an invalid host name
            self._results.append(error)

    def addresses(self) -> list[_AddressInfo]:
        """Return the addresses, alternating between IPv6 and IPv4 (RFC 8305).

        Raises:
            httpcore.ConnectTimeout: The look-up is still running.
            httpcore.ConnectError: The look-up failed.
        """
        if not self._results:
            raise httpcore.ConnectTimeout(f"looking up {self._host!r} took too long")
        result = self._results[0]
        if isinstance(result, Exception):
            raise httpcore.ConnectError(str(result) or type(result).__name__)
        if not result:
            raise httpcore.ConnectError(f"{self._host!r} has no address")
        families: dict[int, deque[_AddressInfo]] = {}
        for address in result:
            families.setdefault(address[0], deque()).append(address)
        alternating = []
        while queues := [queue for queue in families.values() if queue]:
            alternating += [queue.popleft() for queue in queues]
        return alternating


# -- async ----------------------------------------------------------------------------------------


class AsyncBackend(_BaseBackend, httpcore.AsyncNetworkBackend):
    """As `Backend`, for tasks."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        allowed = self._state.clamp_timeout(timeout, httpcore.ConnectTimeout)
        limit = asyncio.timeout(allowed)
        try:
            async with limit:
                protocol = await _open(await _look_up(host, port), self._attempt_delay)
        except OSError as error:
            if isinstance(error, TimeoutError) and limit.expired():
                raise httpcore.ConnectTimeout("timed out") from None
            raise translate(
                error, math.inf, httpcore.ConnectTimeout, httpcore.ConnectError
            ) from None
        return AsyncStream(protocol, self._state, self._tls_layers)


async def _look_up(host: str, port: int) -> list[_AddressInfo]:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(done.set)

    look_up = _LookUp(host, port, wake)
    if look_up.start():
        await done.wait()
    return look_up.addresses()


async def _open(addresses: list[_AddressInfo], delay: float) -> Protocol:
    connected = await _aconnect(addresses, delay)
    try:
        _, protocol = await asyncio.get_running_loop().create_connection(Protocol, sock=connected)
    except BaseException:
        connected.close()
        raise
    return protocol


async def _aconnect(addresses: list[_AddressInfo], delay: float) -> socket.socket:
    """As `_connect`."""
    if len(addresses) == 1:
        return await _aconnect_one(addresses[0])
    waiting = deque(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException | None = None
    try:
        while True:
            if waiting:
                attempts.add(asyncio.create_task(_aconnect_one(waiting.popleft())))
            ended, attempts = await asyncio.wait(
                attempts,
                timeout=delay if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in ended:
                failure = attempt.exception()
                if failure is None:
                    # Others that connected at the same moment are closed below.
                    attempts |= ended - {attempt}
                    return attempt.result()
            if failure is not None and not (waiting or attempts):
                raise failure
    finally:
        for attempt in attempts:
            attempt.cancel()
        for other in await asyncio.gather(*attempts, return_exceptions=True):
            if isinstance(other, socket.socket):
                other.close()


async def _aconnect_one(address: _AddressInfo) -> socket.socket:
    connected = _open_socket(address)
    try:
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, address[4])
    except BaseException:
        connected.close()
        raise
    return connected
