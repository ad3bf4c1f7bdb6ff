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
from typing import Any, ParamSpec, TypeVar

import abeja_registry

from ..exceptions import Error
from ._async_requests import AsyncRequests
from ._base import (
    CONCURRENCY,
    NOT_ADDED_UP,
    AnyRows,
    BaseInventory,
    Finished,
    check_complete,
    checked_repositories,
    hint_at_resume,
    rows_of,
)
from ._columns import BatchBuffer, RecordBatch, arrow_module
from ._csv import CSV
from ._diff import Diff
from ._fetching import AsyncFetcher
from ._formats import FileFormat, Part
from ._iteration import OnProgress
from ._journal import Journal
from ._jsonl import JSONL
from ._names import Patterns
from ._parquet import PARQUET
from ._reports import Source, diff_builder, summary_builder
from ._rows import FilePath, InventoryRow, known_repositories
from ._summary import STALE_AFTER_DAYS, Summary
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

    def record_batches(self) -> AsyncIterator[RecordBatch]:
        """As `Inventory.record_batches`, with `async for`."""
        arrow_module()
        return self._record_batches()

    async def _record_batches(self) -> AsyncGenerator[RecordBatch, None]:
        buffer = BatchBuffer()
        async with aclosing(self._batches(columns=True)) as batches:
            async for batch in batches:
                for each in buffer.add(batch.columns):
                    yield each
        for each in buffer.rest():
            yield each

    async def _batches(
        self, finished: Finished | None = None, *, columns: bool = False
    ) -> AsyncGenerator[Batch, None]:
        fetcher = AsyncFetcher(self._client, columns=columns)
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
        return await self._write(path, JSONL, resume, partial)

    async def write_csv(
        self, path: FilePath, *, resume: bool = False, partial: bool = False
    ) -> int:
        """As `Inventory.write_csv`, awaited."""
        return await self._write(path, CSV, resume, partial)

    async def write_parquet(
        self, path: FilePath, *, resume: bool = False, partial: bool = False
    ) -> int:
        """As `Inventory.write_parquet`, awaited."""
        arrow_module()
        return await self._write(path, PARQUET, resume, partial)

    async def _write(
        self, path: FilePath, file_format: FileFormat, resume: bool, partial: bool
    ) -> int:
        # A large file takes seconds to read and to write, so threads do both.
        opening = _open_in_thread(lambda: self._open_journal(path, file_format, resume))
        with closing(await opening) as journal, hint_at_resume(path):
            columns = file_format.columns
            async with aclosing(self._batches(journal.finished, columns=columns)) as batches:
                async for batch in batches:
                    journal.add(batch)
            self._finish(journal, partial)
            count = await _write_in_thread(file_format, Path(path), journal)
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
        source = Source(self)
        builder, columns = summary_builder(source, stale_after_days, now)
        with closing(builder):
            async for each in source.items(columns):
                builder.add(each)
            if not partial:
                check_complete(self.failures, NOT_ADDED_UP)
            builder.add_repositories(known_repositories(self))
            summary: Summary = await _in_thread(builder.summary)
        return summary

    @staticmethod
    async def diff(old: FilePath | AnyRows, new: FilePath | AnyRows) -> Diff:
        """As `Inventory.diff`, awaited; it takes an `AsyncInventory` too."""
        old_rows, new_rows = _any_rows_of(old), _any_rows_of(new)
        old_source, new_source = Source(old_rows), Source(new_rows)
        builder, columns = diff_builder(old_source, new_source)
        with closing(builder):
            async for each in _yielding(old_source.items(columns), columns):
                builder.add_old(each)
            builder.add_old_repositories(checked_repositories(old_rows))
            async for each in _yielding(new_source.items(columns), columns):
                builder.add_new(each)
            builder.add_new_repositories(checked_repositories(new_rows))
            diff: Diff = await _in_thread(builder.diff)
        return diff


def _any_rows_of(rows: FilePath | AnyRows) -> AnyRows:
    return rows if isinstance(rows, AsyncIterable) else rows_of(rows)


async def _yielding(items: Any, columns: bool) -> AsyncIterator[Any]:
    """Iterate over rows or record batches, and let other tasks run between some of them."""
    if isinstance(items, AsyncIterable):
        async for each in items:
            yield each
        return
    iterator = iter(items)
    while columns and (batch := await _in_thread(next, iterator, None)) is not None:
        yield batch
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


async def _in_thread(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function; after a cancellation, wait for its end."""
    calling = _start_thread(call, *args, **kwargs)
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        with suppress(Exception):
            await calling
        raise


async def _open_in_thread(open_journal: Callable[[], Journal]) -> Journal:
    """Open a journal; after a cancellation, close it."""
    opening = _start_thread(open_journal)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(Exception):
            (await opening).close()
        raise


async def _write_in_thread(file_format: FileFormat, path: Path, journal: Journal) -> int:
    """Write a file; a cancellation leaves the target unchanged."""
    cancelled = threading.Event()

    def until_cancelled() -> Iterator[Part]:
        for part in journal.parts():
            if cancelled.is_set():
                raise Error("the file was not written: its task was cancelled")
            yield part

    without_rows = journal.repositories_without_rows()
    writing = _start_thread(file_format.write, path, until_cancelled(), without_rows)
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        cancelled.set()
        with suppress(Exception):
            await writing
        raise
