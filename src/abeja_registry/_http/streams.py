"""Deadline streams: the sockets below the HTTP library, and TLS over them.

They know three things that no layer above knows: whether a byte of the request was written, the
remaining time at each read, and whether unread bytes follow a response. Sync and async streams
differ only in how they wait.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any, TypeVar

import httpcore

from .._api.responses import DEADLINE_PASSED, Stage
from .signals import from_signal_handler
from .tls import Tls

# Bytes per write; the deadline is checked before each one.
CHUNK_SIZE = 16 * 1024
T = TypeVar("T")


class CallState:
    """Per-call state shared by a connection's streams.

    Attributes:
        deadline: When the call must end, by the monotonic clock.
        request_written: Whether any byte of the request was written; None before any use of a
            socket, and always None if a test mocks the transport.
        tls_missing: TLS layers that the connection still lacks; None without a connection.
    """

    def __init__(self) -> None:
        self.deadline = 0.0
        self.request_written: bool | None = None
        self.tls_missing: int | None = None

    @property
    def stage(self) -> Stage:
        """The current step of a call that has used a socket."""
        if self.tls_missing is None:
            return "connect"
        return "tls" if self.tls_missing > 0 else "request"

    def clamp_timeout(self, timeout: float | None, late: type[Exception]) -> float:
        """Return the timeout or the remaining time, whichever is shorter, in seconds."""
        if self.request_written is None:
            self.request_written = False
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise late(DEADLINE_PASSED)
        return remaining if timeout is None else min(timeout, remaining)

    def begin_write(self, timeout: float | None, tls_layers: int) -> float:
        """Record a write, and return the seconds that it may take.

        While TLS layers are missing, writes are CONNECT traffic, not the request.
        """
        allowed = self.clamp_timeout(timeout, httpcore.WriteTimeout)
        if tls_layers <= 0:
            self.request_written = True
        return allowed


def translate(
    error: OSError, until: float, late: type[Exception], broken: type[Exception]
) -> Exception:
    """Return httpcore's exception for a socket's error; a signal handler's exception unchanged.

    A TimeoutError after the socket's time has passed counts as the socket's.
    """
    timed_out = isinstance(error, TimeoutError)
    if from_signal_handler(error) and not (timed_out and time.monotonic() >= until):
        return error
    return (late if timed_out else broken)(str(error))


def is_readable(fileno: int) -> bool:
    """Whether the socket has data to read, or the peer has closed it."""
    if fileno < 0:
        return True
    if hasattr(select, "poll"):  # select() takes no descriptor above 1023
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([fileno], [], [], 0)[0])


class _BaseStream(httpcore.NetworkStream):
    """The common part of both sync streams.

    Args:
        state: The state of the current call.
        tls_layers: TLS layers that are missing above this stream.
    """

    def __init__(self, state: CallState, tls_layers: int) -> None:
        self._state = state
        self._tls_layers = tls_layers

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            stream = _TlsStream(
                self, Tls(ssl_context, server_hostname), self._state, self._tls_layers - 1
            )
            stream.handshake(timeout)
            self._state.tls_missing = self._tls_layers - 1
        except BaseException:
            # httpcore does not close a stream whose handshake fails.
            self.close()
            raise
        return stream


class Stream(_BaseStream):
    """A socket."""

    def __init__(self, connected: socket.socket, state: CallState, tls_layers: int) -> None:
        super().__init__(state, tls_layers)
        state.tls_missing = tls_layers
        # A call of a socket with a timeout is three system calls, also where data is ready, and
        # another thread may take its turn at each: it gets one only where a call would block.
        connected.setblocking(False)
        self._socket = connected

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        allowed = self._state.clamp_timeout(timeout, httpcore.ReadTimeout)
        until = time.monotonic() + allowed
        try:
            with suppress(BlockingIOError):
                return self._socket.recv(max_bytes)
            self._socket.settimeout(allowed)
            try:
                return self._socket.recv(max_bytes)
            finally:
                self._socket.setblocking(False)
        except OSError as error:
            raise translate(error, until, httpcore.ReadTimeout, httpcore.ReadError) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        while rest:
            allowed = self._state.begin_write(timeout, self._tls_layers)
            until = time.monotonic() + allowed
            try:
                with suppress(BlockingIOError):
                    rest = rest[self._socket.send(rest[:CHUNK_SIZE]) :]
                    continue
                self._socket.settimeout(allowed)
                try:
                    rest = rest[self._socket.send(rest[:CHUNK_SIZE]) :]
                finally:
                    self._socket.setblocking(False)
            except OSError as error:
                raise translate(error, until, httpcore.WriteTimeout, httpcore.WriteError) from None

    def close(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "is_readable":
                return is_readable(self._socket.fileno())
            case "socket":
                return self._socket
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
        return None


class _TlsStream(_BaseStream):
    """TLS over a stream."""

    def __init__(self, below: _BaseStream, tls: Tls, state: CallState, tls_layers: int) -> None:
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
                    received = self._below.read(CHUNK_SIZE * 4, timeout)
                to_write = steps.send(received)
        except StopIteration as end:
            result: T = end.value
            return result

    def handshake(self, timeout: float | None) -> None:
        """Do the TLS handshake.

        Raises:
            httpcore.ConnectTimeout: The handshake took too long.
            httpcore.ConnectError: The handshake failed.
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
        self._state.begin_write(timeout, self._tls_layers)
        try:
            self._drive(self._tls.run(lambda: self._tls.object.write(buffer)), timeout)
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from None

    def close(self) -> None:
        self._below.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._tls.object
        if info == "is_readable" and self._tls.has_unread_data():
            return True
        return self._below.get_extra_info(info)
