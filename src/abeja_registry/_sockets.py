"""What is known at the socket alone, of the call that uses it.

Two things can't be told above: whether a byte of a request was written, and, where reads block,
what is left of a deadline at each of them. So httpcore, through its public interface, gets streams
of ours. Each knows how many layers of TLS are yet to come before the request itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, cast

import httpcore

from ._answers import DEADLINE_PASSED

# Bytes written in one go: before each piece the deadline is looked at.
_PIECE = 16 * 1024


class Watch:
    """What the streams of one connection are told, and tell, of the call that uses it.

    Attributes:
        deadline: When the call has to be over, by the monotonic clock.
        written: Whether any of the request was written; None while the socket is untouched, as
            it is for good where a test's mock stands in for it.
        holds_back: Tells whether something came that nobody read, and left the socket already.
    """

    def __init__(self) -> None:
        self.holds_back: Callable[[], bool] = lambda: False
        self.deadline = 0.0
        self.written: bool | None = None

    def begin(self, deadline: float) -> None:
        self.deadline = deadline
        self.written = None

    def wrote(self, layers: int) -> None:
        """Take note of a write; one below a layer of TLS that is to come is for a proxy."""
        self.written = bool(self.written) or layers <= 0

    def within(self, timeout: float | None, late: type[Exception]) -> float:
        """Return the seconds that the socket may take: the time-out, or what is left."""
        self.written = bool(self.written)
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise late(DEADLINE_PASSED)
        return left if timeout is None else min(timeout, left)


def _undecrypted(tls: object) -> bool:
    """Whether a layer of TLS took more from below than was read of it; one in memory may."""
    if not isinstance(tls, ssl.SSLObject):
        return False
    try:
        tls.read(1)
    except ssl.SSLError as error:
        return not isinstance(error, ssl.SSLWantReadError)
    return True


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, watch: Watch, layers: int) -> None:
        self._stream = stream
        self._watch = watch
        self._layers = layers
        watch.holds_back = self._holds_back

    def _holds_back(self) -> bool:
        return _undecrypted(self.get_extra_info("ssl_object"))

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._watch.within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            allowed = self._watch.within(timeout, httpcore.WriteTimeout)
            self._watch.wrote(self._layers)
            self._stream.write(buffer[start : start + _PIECE], allowed)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        allowed = self._watch.within(timeout, httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, allowed)
        return _Stream(stream, self._watch, self._layers - 1)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, watch: Watch, layers: int) -> None:
        self._stream = stream
        self._watch = watch
        self._layers = layers
        watch.holds_back = self._holds_back

    def _holds_back(self) -> bool:
        # The private names used here: a layer of TLS, and what the event loop has taken already,
        # are seen in anyio's stream alone.
        at = cast(Any, self._stream)._stream
        while (below := getattr(at, "transport_stream", None)) is not None:
            if _undecrypted(at._ssl_object):
                return True
            at = below
        return bool(at._protocol.read_queue)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._watch.wrote(self._layers)
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            # httpcore closes it after an error alone.
            await self.aclose()
            raise
        return _AsyncStream(stream, self._watch, self._layers - 1)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Backend(httpcore.SyncBackend):
    def __init__(self, watch: Watch, layers: int) -> None:
        self._watch = watch
        self._layers = layers

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *more: Any, **options: Any
    ) -> httpcore.NetworkStream:
        # One by one: given a name, httpcore allows the whole time-out for each of its addresses.
        *others, last = self._addresses(host, port, timeout)
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._connect(address, port, timeout, *more, **options)
        return self._connect(last, port, timeout, *more, **options)

    def _connect(
        self, address: str, port: int, timeout: float | None, *more: Any, **options: Any
    ) -> httpcore.NetworkStream:
        allowed = self._watch.within(timeout, httpcore.ConnectTimeout)
        stream = super().connect_tcp(address, port, allowed, *more, **options)
        return _Stream(stream, self._watch, self._layers)

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        with suppress(ValueError):
            ipaddress.ip_address(host)
            return [host]
        # The system's own look-up of a name knows no time-out, so a thread waits for it.
        found: SimpleQueue[list[Any] | OSError] = SimpleQueue()

        def look_up() -> None:
            try:
                found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except OSError as error:
                found.put(error)

        threading.Thread(target=look_up, name="abeja-registry-look-up", daemon=True).start()
        try:
            addresses = found.get(timeout=self._watch.within(timeout, httpcore.ConnectTimeout))
        except Empty:
            raise httpcore.ConnectTimeout(f"looking up {host!r} took too long") from None
        if isinstance(addresses, OSError):
            raise httpcore.ConnectError(str(addresses))
        return [str(address[0]) for *_, address in addresses]


class AsyncBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, watch: Watch, layers: int) -> None:
        self._watch = watch
        self._layers = layers
        # Any: httpcore says what this is only where anyio is installed, as it is beside httpx.
        self._backend: Any = httpcore.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *more: Any, **options: Any
    ) -> httpcore.AsyncNetworkStream:
        self._watch.written = False
        return _AsyncStream(
            await self._backend.connect_tcp(host, port, timeout, *more, **options),
            self._watch,
            self._layers,
        )
