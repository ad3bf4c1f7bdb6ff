"""An organization's registry as rows, read by the tasks of an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
)
from contextlib import aclosing, closing, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar

import abeja_registry

from ..exceptions import Error
from ._async_requests import AsyncRequests
from ._base import (
    CONCURRENCY,
    NOT_ADDED_UP,
    AnyRows,
    BaseInventory,
    Finished,
    WriteFile,
    check_complete,
    checked_repositories,
    hint_at_resume,
    rows_of,
)
from ._csv import write_csv
from ._diff import Diff, DiffBuilder
from ._fetching import AsyncFetcher
from ._iteration import OnProgress
from ._journal import Journal
from ._jsonl import write_jsonl
from ._names import Patterns
from ._parquet import arrow_modules, write_parquet
from ._rows import Entry, FilePath, InventoryRow, known_repositories
from ._summary import STALE_AFTER_DAYS, Summary, SummaryBuilder
from ._tasks import Batch, FetchResult
from ._workers import Threads

# Rows read from a file between two turns of the event loop: a few milliseconds.
_ROWS_PER_TURN = 500

P = ParamSpec("P")
T = TypeVar("T")


class AsyncInventory(BaseInventory["abeja_registry.AsyncClient"], AsyncIterable[InventoryRow]):
    """An `Inventory` to iterate over with `async for`; it takes no executor."""

    _each = "for each in [each async for each in inventory]"

    def __init__(
        self,
        client: abeja_registry.AsyncClient,
        *,
        concurrency: int = CONCURRENCY,
        page_size: int | None = None,
        include: Patterns = "*",
        exclude: Patterns = (),
        on_progress: OnProgress | None = None,
    ) -> None:
        super().__init__(
            client,
            concurrency=concurrency,
            page_size=page_size,
            include=include,
            exclude=exclude,
            on_progress=on_progress,
        )

    async def __aiter__(self) -> AsyncIterator[InventoryRow]:
        async with aclosing(self._batches()) as batches:
            async for batch in batches:
                for row in batch.rows:
                    yield row

    async def _batches(self, finished: Finished | None = None) -> AsyncGenerator[Batch, None]:
        fetcher = AsyncFetcher(self._client)
        iteration = self._begin(fetcher, finished, pages=1)
        requests = AsyncRequests(iteration, fetcher, self._concurrency)
        try:
            while (wait := requests.start()) or requests.in_flight:
                if (taken := await requests.take(wait)) is None:
                    iteration.resume()
                    continue
                task, response_or_error = taken
                if isinstance(response_or_error, Error):
                    result = FetchResult([], response_or_error)
                else:
                    result = fetcher.parse(task, response_or_error)
                batch = iteration.record(task, result)
                requests.start()
                yield batch
            iteration.check_ended()
        finally:
            await requests.stop()

    async def write_jsonl(
        self, path: FilePath, *, resume: bool = False, partial: bool = False
    ) -> int:
        """As `Inventory.write_jsonl`, awaited."""
        return await self._write(path, write_jsonl, resume, partial)

    async def write_csv(
        self, path: FilePath, *, resume: bool = False, partial: bool = False
    ) -> int:
        """As `Inventory.write_csv`, awaited."""
        return await self._write(path, write_csv, resume, partial)

    async def write_parquet(
        self, path: FilePath, *, resume: bool = False, partial: bool = False
    ) -> int:
        """As `Inventory.write_parquet`, awaited."""
        arrow_modules()
        return await self._write(path, write_parquet, resume, partial)

    async def _write(self, path: FilePath, write: WriteFile, resume: bool, partial: bool) -> int:
        # A large file takes seconds to read and to write, so threads do both.
        opening = _open_in_thread(lambda: self._open_journal(path, resume))
        with closing(await opening) as journal, hint_at_resume(path):
            async with aclosing(self._batches(journal.finished)) as batches:
                async for batch in batches:
                    journal.add(batch.rows, batch.finished)
            self._finish(journal, partial)
            count = await _write_in_thread(write, Path(path), journal.entries())
            journal.remove()
        return count

    async def summary(
        self,
        stale_after_days: int = STALE_AFTER_DAYS,
        now: datetime | None = None,
        *,
        partial: bool = False,
    ) -> Summary:
        """As `Inventory.summary`, awaited."""
        builder = SummaryBuilder(stale_after_days, now)
        async for row in self:
            builder.add(row)
        if not partial:
            check_complete(self.failures, NOT_ADDED_UP)
        builder.add_repositories(known_repositories(self))
        return builder.summary()

    @staticmethod
    async def diff(old: FilePath | AnyRows, new: FilePath | AnyRows) -> Diff:
        """As `Inventory.diff`, awaited; it takes an `AsyncInventory` too."""
        old_rows, new_rows = _any_rows_of(old), _any_rows_of(new)
        builder = DiffBuilder()
        async for row in _yielding(old_rows):
            builder.add_old(row)
        builder.add_old_repositories(checked_repositories(old_rows))
        async for row in _yielding(new_rows):
            builder.add_new(row)
        builder.add_new_repositories(checked_repositories(new_rows))
        return builder.diff()


def _any_rows_of(rows: FilePath | AnyRows) -> AnyRows:
    return rows if isinstance(rows, AsyncIterable) else rows_of(rows)


async def _yielding(rows: AnyRows) -> AsyncIterator[InventoryRow]:
    """Iterate over rows, and let other tasks run between some of them."""
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
        return
    iterator = iter(rows)
    while some := list(islice(iterator, _ROWS_PER_TURN)):
        for row in some:
            yield row
        await asyncio.sleep(0)


# A thread cannot be cancelled: wait for it before propagating CancelledError.


def _start_thread(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    threads = Threads(1, "abeja_registry.inventory")
    try:
        return asyncio.wrap_future(threads.submit(call, *args, **kwargs))
    finally:
        threads.shutdown(wait=False)


async def _open_in_thread(open_journal: Callable[[], Journal]) -> Journal:
    """Open a journal; after a cancellation, close it."""
    opening = _start_thread(open_journal)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(Exception):
            (await opening).close()
        raise


async def _write_in_thread(write: WriteFile, path: Path, entries: Iterator[Entry]) -> int:
    """Write a file; a cancellation leaves the target unchanged."""
    cancelled = threading.Event()

    def until_cancelled() -> Iterator[Entry]:
        for entry in entries:
            if cancelled.is_set():
                raise Error("the file was not written: its task was cancelled")
            yield entry

    writing = _start_thread(write, path, until_cancelled())
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        cancelled.set()
        with suppress(Exception):
            await writing
        raise
