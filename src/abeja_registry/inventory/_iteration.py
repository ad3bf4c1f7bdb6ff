"""One iteration over an inventory: which task to send now, and the rows of each result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .._api.retries import stop_throttled, throttles
from ..exceptions import Error, HttpError
from ._crawler import Crawler
from ._fetching import AsyncFetcher, Fetcher
from ._tasks import Batch, FetchResult, FetchTask, Progress
from ._throttle import Throttle

OnProgress = Callable[[Progress], object]


class Iteration:
    """The decisions of one iteration; the sync and the async loop send, wait and sleep.

    Args:
        crawler: Hands out the tasks.
        fetcher: Sends them.
        concurrency: The maximum number of requests in flight.
        max_in_flight: The maximum number of tasks that are handed out and not yet recorded.
        on_progress: Called after each result.
    """

    def __init__(
        self,
        crawler: Crawler,
        fetcher: Fetcher | AsyncFetcher,
        *,
        concurrency: int,
        max_in_flight: int,
        on_progress: OnProgress | None,
    ) -> None:
        self._crawler = crawler
        self._fetcher = fetcher
        self._throttle = Throttle(concurrency, fetcher.retry_policy, fetcher.random)
        self._max_in_flight = max_in_flight
        self._on_progress = on_progress

    def wait(self) -> float:
        """Return the seconds until the next request may be sent."""
        return self._throttle.wait(self._fetcher.now())

    def resume(self) -> None:
        """Record that the wait is over, even if the clock did not move."""
        self._throttle.resume()

    def next_task(self, in_flight: int) -> FetchTask | None:
        """Return a task to send, or None while enough are in flight or none is left.

        Args:
            in_flight: Tasks that were handed out and not recorded.
        """
        width = self._max_in_flight
        if self._throttle.narrowed:
            width = min(width, self._throttle.width)
        return self._crawler.next_task() if in_flight < width else None

    def send_again(self, task: FetchTask) -> None:
        """Queue a task again that was not sent."""
        self._crawler.send_again(task)

    def record(self, task: FetchTask, result: FetchResult) -> Batch:
        """Record a task's result, and return the rows that it adds.

        Raises:
            Error: The list of repositories failed, or the client was closed.
        """
        pages, error = result
        batch = Batch([], [])
        if error is not None and not pages and self._fetcher.closed:
            # Otherwise each remaining repository would fail, one after the other.
            raise error
        throttled = error is not None and self._record_throttled(task, error)
        if pages:
            self._throttle.succeeded(task)
            batch = self._crawler.record(task, pages)
        elif throttled:
            self._crawler.send_again(task)
        else:
            assert error is not None, "a result has pages or an error"
            self._crawler.fail(task, error)
        if self._on_progress is not None:
            throttle = self._throttle
            self._on_progress(
                replace(
                    self._crawler.progress, throttled=throttle.count, concurrency=throttle.width
                )
            )
        return batch

    def _record_throttled(self, task: FetchTask, error: Error) -> bool:
        """Record that the API throttled a task; return whether to send it again."""
        if not (isinstance(error, HttpError) and throttles(error.status_code, error.retry_after)):
            return False
        if not self._throttle.throttled(task, error.retry_after, self._fetcher.now()):
            error.history = stop_throttled(error.history)
            return False
        self._fetcher.notify(task, error, self.wait())
        if not self._fetcher.sleeps:
            self.resume()
        return True

    def check_ended(self) -> None:
        """Check at the end that every list was read.

        Raises:
            Error: A list is left.
        """
        self._crawler.check_ended()
