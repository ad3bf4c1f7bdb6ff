"""Deadline streams: the sockets below the HTTP library, and TLS over them.

They know what no layer above can know: whether a byte of the request was written, what is left of
the deadline at each read, and whether a response left bytes behind that nobody read. The sync and
the async ones differ in how they wait, and in nothing else.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar, cast

import httpcore

from ._answers import DEADLINE_PASSED
from ._process import process_token
from ._signals import from_signal_handler

# Bytes written at once: the deadline is checked before each piece.
_PIECE = 16 * 1024
# Bytes received ahead of the reader: an async stream stops reading above the first, and goes on
# below the second.
_HIGH_WATER = 256 * 1024
_LOW_WATER = 64 * 1024

T = TypeVar("T")


class CallState:
    """Per-call state shared by a connection's streams.

    Attributes:
        deadline: When the call has to be over, by the monotonic clock.
        request_written: Whether any byte of the request was written; None while the socket is
            untouched, as it stays where a test's mock replaces it.
        has_unread_data: Whether a stream holds bytes that were received and not read.
    """

    def __init__(self) -> None:
        self.deadline = 0.0
        self.request_written: bool | None = None
        self.has_unread_data: Callable[[], bool] = lambda: True

    def start(self, deadline: float) -> None:
        """Begin a call."""
        self.deadline = deadline
        self.request_written = None

    def mark_written(self, tls_layers: int) -> None:
        """Record a write. While TLS layers are missing, it is CONNECT traffic, not the request."""
        self.request_written = bool(self.request_written) or tls_layers <= 0

    def clamp_timeout(self, timeout: float | None, late: type[Exception]) -> float:
        """Return how long the socket may take, in seconds: the timeout, or what is left."""
        self.request_written = bool(self.request_written)
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise late(DEADLINE_PASSED)
        return remaining if timeout is None else min(timeout, remaining)


def translate(
    error: OSError, until: float, late: type[Exception], broken: type[Exception]
) -> Exception:
    """Return httpcore's exception for a socket's error, and a signal handler's as it is.

    A TimeoutError that comes when the socket's time is over is the socket's, whoever raised it.
    """
    timed_out = isinstance(error, TimeoutError)
    if from_signal_handler(error) and not (timed_out and time.monotonic() >= until):
        return error
    return (late if timed_out else broken)(str(error))


def _is_readable(fileno: int) -> bool:
    """Whether the socket has data to read, or was closed by the other side."""
    if fileno < 0:
        return True
    if hasattr(select, "poll"):  # select() takes no descriptor above 1023
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([fileno], [], [], 0)[0])


# -- TLS, over any stream ---------------------------------------------------------------------


class _Tls:
    """One layer of TLS in memory; a stream moves its bytes.

    Not `SSLSocket` nor `loop.start_tls`: those hide which bytes were received and not yet read.
    """

    def __init__(self, context: ssl.SSLContext, hostname: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)

    def run(self, call: Callable[[], T]) -> Generator[bytes, bytes, T]:
        """Carry out one call of OpenSSL.

        Yields:
            Bytes to write to the stream below; b"" to be sent bytes that were read from it.
        """
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                pass
            finally:
                # After an error as well: an alert tells the peer the reason.
                if pending := self._outgoing.read():
                    yield pending
            if received := (yield b""):
                self._incoming.write(received)
            else:
                self._incoming.write_eof()

    def read(self, max_bytes: int) -> bytes:
        """Decrypt; b"" at the end of the stream, whether or not its peer said goodbye."""
        try:
            return self.object.read(max_bytes)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def has_unread_data(self) -> bool:
        """Whether anything was received that nobody read. Reading it is the way to find out."""
        try:
            self.object.read(1)
        except ssl.SSLError as error:
            return not isinstance(error, ssl.SSLWantReadError) or self._incoming.pending > 0
        return True


# -- sync -----------------------------------------------------------------------------------------


class _BaseStream(httpcore.NetworkStream, ABC):
    """Both kinds of sync stream.

    Args:
        state: Of the call.
        tls_layers: Layers of TLS to come before the request itself can be written.
    """

    def __init__(self, state: CallState, tls_layers: int) -> None:
        self._state = state
        self._tls_layers = tls_layers
        state.has_unread_data = self.has_unread_data

    @abstractmethod
    def has_unread_data(self) -> bool:
        """Whether the stream holds bytes that were received and not read."""

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            stream = _TlsStream(
                self, _Tls(ssl_context, server_hostname), self._state, self._tls_layers - 1
            )
            stream.handshake(timeout)
        except BaseException:
            # httpcore forgets a stream whose handshake fails.
            self.close()
            raise
        return stream


class Stream(_BaseStream):
    """A socket."""

    def __init__(self, connected: socket.socket, state: CallState, tls_layers: int) -> None:
        super().__init__(state, tls_layers)
        self._socket = connected

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        allowed = self._state.clamp_timeout(timeout, httpcore.ReadTimeout)
        until = time.monotonic() + allowed
        try:
            self._socket.settimeout(allowed)
            return self._socket.recv(max_bytes)
        except OSError as error:
            raise translate(error, until, httpcore.ReadTimeout, httpcore.ReadError) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        while rest:
            allowed = self._state.clamp_timeout(timeout, httpcore.WriteTimeout)
            until = time.monotonic() + allowed
            self._state.mark_written(self._tls_layers)
            try:
                self._socket.settimeout(allowed)
                rest = rest[self._socket.send(rest[:_PIECE]) :]
            except OSError as error:
                raise translate(error, until, httpcore.WriteTimeout, httpcore.WriteError) from None

    def close(self) -> None:
        self._socket.close()

    def has_unread_data(self) -> bool:
        return False

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "is_readable":
                return _is_readable(self._socket.fileno())
            case "socket":
                return self._socket
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
        return None


class _TlsStream(_BaseStream):
    """TLS over a stream."""

    def __init__(self, below: _BaseStream, tls: _Tls, state: CallState, tls_layers: int) -> None:
        super().__init__(state, tls_layers)
        self._below = below
        self._tls = tls

    def _drive(self, steps: Generator[bytes, bytes, T], timeout: float | None) -> T:
        received = b""
        try:
            to_write = next(steps)
            while True:
                if to_write:
                    self._below.write(to_write, timeout)
                else:
                    received = self._below.read(_PIECE * 4, timeout)
                to_write = steps.send(received)
        except StopIteration as end:
            result: T = end.value
            return result

    def handshake(self, timeout: float | None) -> None:
        """Agree on a session.

        Raises:
            httpcore.ConnectTimeout: It took too long.
            httpcore.ConnectError: It failed.
        """
        try:
            self._drive(self._tls.run(self._tls.object.do_handshake), timeout)
        except httpcore.TimeoutException as error:
            raise httpcore.ConnectTimeout(str(error)) from None
        except (httpcore.NetworkError, ssl.SSLError) as error:
            raise httpcore.ConnectError(str(error)) from None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._drive(self._tls.run(lambda: self._tls.read(max_bytes)), timeout)
        except ssl.SSLError as error:
            raise httpcore.ReadError(str(error)) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        self._state.clamp_timeout(timeout, httpcore.WriteTimeout)
        self._state.mark_written(self._tls_layers)
        try:
            self._drive(self._tls.run(lambda: self._tls.object.write(buffer)), timeout)
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from None

    def close(self) -> None:
        self._below.close()

    def has_unread_data(self) -> bool:
        return self._tls.has_unread_data() or self._below.has_unread_data()

    def get_extra_info(self, info: str) -> Any:
        return self._tls.object if info == "ssl_object" else self._below.get_extra_info(info)


# -- async ----------------------------------------------------------------------------------------


class Protocol(asyncio.Protocol):
    """Keeps what was received until it is read, and wakes the one task that waits."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False
        self.error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._writing_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's is none of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) > _HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        return True  # the request may still be on its way out

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.error = exc
        self._writing_paused = False
        self._wake()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, until: float, late: type[Exception]) -> None:
        waiter = self._waiter = self._loop.create_future()

        def expire() -> None:
            if not waiter.done():
                waiter.set_exception(late("timed out"))

        timer = self._loop.call_at(until, expire)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    async def read(self, max_bytes: int, allowed: float) -> bytes:
        if not self.received:
            until = self._loop.time() + allowed
            while not (self.received or self.ended):
                await self._wait(until, httpcore.ReadTimeout)
            if not self.received and self.error is not None:
                raise httpcore.ReadError(str(self.error))
        if len(self.received) <= max_bytes:
            data = bytes(self.received)
            self.received.clear()
        else:
            data = bytes(self.received[:max_bytes])
            del self.received[:max_bytes]
        if self._reading_paused and len(self.received) < _LOW_WATER and not self.ended:
            self._reading_paused = False
            self.transport.resume_reading()
        return data

    async def write(self, buffer: bytes, allowed: float) -> None:
        if self.transport.is_closing():
            raise httpcore.WriteError(str(self.error or "the connection is closed"))
        self.transport.write(buffer)
        until = self._loop.time() + allowed
        while self._writing_paused:
            await self._wait(until, httpcore.WriteTimeout)


class _BaseAsyncStream(httpcore.AsyncNetworkStream, ABC):
    """As `_BaseStream`, for tasks."""

    def __init__(self, state: CallState, tls_layers: int) -> None:
        self._state = state
        self._tls_layers = tls_layers
        state.has_unread_data = self.has_unread_data

    @abstractmethod
    def has_unread_data(self) -> bool:
        """As `_BaseStream.has_unread_data`."""

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = _AsyncTlsStream(
                self, _Tls(ssl_context, server_hostname), self._state, self._tls_layers - 1
            )
            await stream.handshake(timeout)
        except BaseException:
            await self.aclose()
            raise
        return stream


class AsyncStream(_BaseAsyncStream):
    """A transport of the event loop."""

    def __init__(self, protocol: Protocol, state: CallState, tls_layers: int) -> None:
        super().__init__(state, tls_layers)
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._process = process_token()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        allowed = self._state.clamp_timeout(timeout, httpcore.ReadTimeout)
        return await self._protocol.read(max_bytes, allowed)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        allowed = self._state.clamp_timeout(timeout, httpcore.WriteTimeout)
        self._state.mark_written(self._tls_layers)
        await self._protocol.write(buffer, allowed)

    async def aclose(self) -> None:
        # Not close(): that waits for a peer to take what is still unsent.
        self._protocol.transport.abort()
        # The event loop closes the socket in its next turn.
        await asyncio.sleep(0)

    def __del__(self) -> None:
        # The event loop keeps an open transport alive; one that a fork copied is its parent's.
        if not self._protocol.transport.is_closing() and self._process is process_token():
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._protocol.transport.abort)

    def has_unread_data(self) -> bool:
        return bool(self._protocol.received)

    def get_extra_info(self, info: str) -> Any:
        transport = self._protocol.transport
        match info:
            case "is_readable":
                if self._protocol.received or self._protocol.ended:
                    return True
                return _is_readable(transport.get_extra_info("socket").fileno())
            case "socket":
                return transport.get_extra_info("socket")
            case "client_addr":
                return transport.get_extra_info("sockname")
            case "server_addr":
                return transport.get_extra_info("peername")
        return None


class _AsyncTlsStream(_BaseAsyncStream):
    """As `_TlsStream`, for tasks."""

    def __init__(
        self, below: _BaseAsyncStream, tls: _Tls, state: CallState, tls_layers: int
    ) -> None:
        super().__init__(state, tls_layers)
        self._below = below
        self._tls = tls

    async def _drive(self, steps: Generator[bytes, bytes, T], timeout: float | None) -> T:
        received = b""
        try:
            to_write = next(steps)
            while True:
                if to_write:
                    await self._below.write(to_write, timeout)
                else:
                    received = await self._below.read(_PIECE * 4, timeout)
                to_write = steps.send(received)
        except StopIteration as end:
            result: T = end.value
            return result

    async def handshake(self, timeout: float | None) -> None:
        """As `_TlsStream.handshake`."""
        try:
            await self._drive(self._tls.run(self._tls.object.do_handshake), timeout)
        except httpcore.TimeoutException as error:
            raise httpcore.ConnectTimeout(str(error)) from None
        except (httpcore.NetworkError, ssl.SSLError) as error:
            raise httpcore.ConnectError(str(error)) from None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self._drive(self._tls.run(lambda: self._tls.read(max_bytes)), timeout)
        except ssl.SSLError as error:
            raise httpcore.ReadError(str(error)) from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        self._state.clamp_timeout(timeout, httpcore.WriteTimeout)
        self._state.mark_written(self._tls_layers)
        try:
            await self._drive(self._tls.run(lambda: self._tls.object.write(buffer)), timeout)
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from None

    async def aclose(self) -> None:
        await self._below.aclose()

    def has_unread_data(self) -> bool:
        return self._tls.has_unread_data() or self._below.has_unread_data()

    def get_extra_info(self, info: str) -> Any:
        return self._tls.object if info == "ssl_object" else self._below.get_extra_info(info)
