"""The thread: an event loop of the sandbox's own, which others hand work to."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread that does not keep the program from ending."""

    def __init__(self) -> None:
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the loop; may be called from any thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop.result())

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
        self._loop.result().call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        await self._end.wait()
