"""The requests of an async iteration: a few workers send them."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from .._api.responses import ApiResult
from ..exceptions import Error
from ._fetching import AsyncFetcher
from ._iteration import Iteration
from ._tasks import FetchTask


class AsyncRequests:
    """Workers that send one request after another, and a queue of their responses.

    A worker costs less than an asyncio task for each request, and needs no turn of the event loop
    between a response and its next request.

    Attributes:
        in_flight: Tasks that were handed out, and whose responses are not taken from the queue.
    """

    def __init__(self, iteration: Iteration, fetcher: AsyncFetcher, concurrency: int) -> None:
        self.in_flight = 0
        self._iteration = iteration
        self._fetcher = fetcher
        self._concurrency = concurrency
        self._workers: set[asyncio.Task[None]] = set()
        self._working = 0
        self._responses: deque[tuple[FetchTask, ApiResult | BaseException]] = deque()
        self._arrived = asyncio.Event()

    def start(self) -> float:
        """Start workers while tasks may be sent; return the seconds for which none may be."""
        while self._working < self._concurrency and (task := self._next_task()) is not None:
            self._working += 1
            worker = asyncio.create_task(self._work(task))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return self._iteration.wait()

    def _next_task(self) -> FetchTask | None:
        task = None if self._iteration.wait() else self._iteration.next_task(self.in_flight)
        self.in_flight += task is not None
        return task

    async def _work(self, task: FetchTask | None) -> None:
        try:
            while task is not None:
                try:
                    self._keep(task, await self._fetcher.send(task))
                except BaseException as error:
                    self._keep(task, error)
                    if not isinstance(error, Exception):
                        raise
                task = self._next_task()
        finally:
            self._working -= 1

    def _keep(self, task: FetchTask, response: ApiResult | BaseException) -> None:
        self._responses.append((task, response))
        self._arrived.set()

    async def take(self, wait: float) -> tuple[FetchTask, ApiResult | Error] | None:
        """Return the next response, or None when the wait is over."""
        if not self.in_flight:
            await self._fetcher.sleep(wait)
            return None
        if self._responses:
            # Let the workers send before the next response is parsed: parsing takes longer.
            await asyncio.sleep(0)
        else:
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait or None):
                    await self._arrived.wait()
            if not self._responses:
                return None
        task, response = self._responses.popleft()
        self.in_flight -= 1
        if isinstance(response, BaseException) and not isinstance(response, Error):
            raise response
        return task, response

    async def stop(self) -> None:
        """Cancel the requests in flight."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
