"""The thread: an event loop of the sandbox's own, which others hand work to."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from ._clock import monotonic

T = TypeVar("T")

# As it was before a test's guard against sockets (pytest-socket) replaced it.
_SOCKET = socket.socket


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose timers also fire while a test freezes the time."""

    def time(self) -> float:
        """Return the time by the real clock."""
        return monotonic()


def sockets_are_guarded() -> bool:
    """Whether a test's guard has replaced sockets."""
    return socket.socket is not _SOCKET


def _make_loop() -> _Loop:
    """Make an event loop, also where a guard forbids sockets: a loop wakes itself through a pair.

    The pair leads nowhere but from this thread to that of the loop.
    """
    found, socket.socket = socket.socket, _SOCKET  # type: ignore[misc]
    try:
        return _Loop()
    finally:
        socket.socket = found  # type: ignore[misc]


class LoopThread:
    """An event loop in a thread that does not keep the program from ending."""

    def __init__(self) -> None:
        self._loop = _make_loop()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the loop; may be called from any thread.

        Returns:
            What comes of it; it is cancelled if the loop ends first.

        Raises:
            RuntimeError: the loop has ended, or is about to.
        """
        with self._lock:
            if self._closed:
                coroutine.close()
                raise RuntimeError("the sandbox is not running")
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
        with self._lock:
            self._closed = True
        # All that was submitted before is a task by the time this runs.
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
