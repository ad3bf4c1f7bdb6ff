"""The portal: an event loop in its own thread, which runs coroutines for other threads."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

from ._clock import monotonic

T = TypeVar("T")

# The class before a test's guard against sockets (pytest-socket) replaced it.
_SOCKET = socket.socket


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose timers also fire while a test freezes the time."""

    # The context manager of the portal, see `Portal`.
    portal: ExitStack

    def time(self) -> float:
        """Return the time of the real clock."""
        return monotonic()


def sockets_are_guarded() -> bool:
    """Whether a test's guard has replaced sockets."""
    return socket.socket is not _SOCKET


def _make_loop() -> _Loop:
    """Make an event loop, also if a guard forbids sockets: a loop wakes itself through a pair.

    The pair connects the loop's thread with this process only.
    """
    current, socket.socket = socket.socket, _SOCKET  # type: ignore[misc]
    try:
        return _Loop()
    finally:
        socket.socket = current  # type: ignore[misc]


class Portal:
    """A blocking portal that cancels its remaining coroutines when it closes.

    Its thread is a daemon: it does not keep the interpreter from exiting.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_closed = False
        self._resources = ExitStack()
        options = {"loop_factory": _make_loop}
        self._portal = self._resources.enter_context(start_blocking_portal("asyncio", options))
        self.submit(self._keep_alive).result()

    async def _keep_alive(self) -> None:
        # As garbage, the context manager would wait for its thread, which no longer runs while the
        # interpreter exits. The running loop refers to it.
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _Loop)
        loop.portal = self._resources

    def submit(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> Future[T]:
        """Run a coroutine function in the event loop; any other thread may call this.

        Returns:
            Its result; it is cancelled if the portal closes first.

        Raises:
            RuntimeError: The portal is closed.
        """
        # Without the lock, a coroutine could arrive after the loop's last turn, and never end.
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the sandbox is not running")
            return self._portal.start_task_soon(function, *arguments)

    def close(self) -> None:
        """Cancel the remaining coroutines, and end the thread."""
        with self._lock:
            self._is_closed = True
        self._portal.call(self._portal.stop, True)
        self._resources.close()
