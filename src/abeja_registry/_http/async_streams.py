"""Deadline streams for tasks, over asyncio's transports; `streams` has those for threads."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Generator
from contextlib import suppress
from typing import Any, TypeVar, cast

import httpcore

from .._api import process
from .streams import CHUNK_SIZE, CallState, is_readable
from .tls import Tls

# Back-pressure, in buffered bytes: reading pauses above the first, and resumes below the second.
_HIGH_WATER = 256 * 1024
_LOW_WATER = 64 * 1024

T = TypeVar("T")


class Protocol(asyncio.Protocol):
    """Buffers received bytes, and wakes the one waiting task."""

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
        # Not isinstance: uvloop's transports do not inherit from asyncio's.
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
        return True  # keep the transport open: the request may not be written yet

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


class _BaseAsyncStream(httpcore.AsyncNetworkStream):
    """As `_BaseStream`, for tasks."""

    def __init__(self, state: CallState, tls_layers: int) -> None:
        self._state = state
        self._tls_layers = tls_layers

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = _AsyncTlsStream(
                self, Tls(ssl_context, server_hostname), self._state, self._tls_layers - 1
            )
            await stream.handshake(timeout)
            self._state.tls_missing = self._tls_layers - 1
        except BaseException:
            await self.aclose()
            raise
        return stream


class AsyncStream(_BaseAsyncStream):
    """A transport of the event loop."""

    def __init__(self, protocol: Protocol, state: CallState, tls_layers: int) -> None:
        super().__init__(state, tls_layers)
        state.tls_missing = tls_layers
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._process = process.token

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        allowed = self._state.clamp_timeout(timeout, httpcore.ReadTimeout)
        return await self._protocol.read(max_bytes, allowed)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        allowed = self._state.begin_write(timeout, self._tls_layers)
        await self._protocol.write(buffer, allowed)

    async def aclose(self) -> None:
        # Not close(): that waits until the peer has read all unsent bytes.
        self._protocol.transport.abort()
        # The event loop closes the socket in its next iteration.
        await asyncio.sleep(0)

    def __del__(self) -> None:
        # The event loop keeps an open transport alive. After fork(), the parent owns the transport.
        if not self._protocol.transport.is_closing() and self._process is process.token:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._protocol.transport.abort)

    def get_extra_info(self, info: str) -> Any:
        transport = self._protocol.transport
        match info:
            case "is_readable":
                if self._protocol.received or self._protocol.ended:
                    return True
                return is_readable(transport.get_extra_info("socket").fileno())
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
        self, below: _BaseAsyncStream, tls: Tls, state: CallState, tls_layers: int
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
                    received = await self._below.read(CHUNK_SIZE * 4, timeout)
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
        self._state.begin_write(timeout, self._tls_layers)
        try:
            await self._drive(self._tls.run(lambda: self._tls.object.write(buffer)), timeout)
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from None

    async def aclose(self) -> None:
        await self._below.aclose()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._tls.object
        if info == "is_readable" and self._tls.has_unread_data():
            return True
        return self._below.get_extra_info(info)
