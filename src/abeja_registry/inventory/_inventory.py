"""An organization's registry as rows, read by threads, processes or a cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from uuid import uuid4

import abeja_registry

from .._api import process
from .._validation import check_type
from ..exceptions import Error
from ._base import (
    CONCURRENCY,
    NOT_ADDED_UP,
    BaseInventory,
    Finished,
    Rows,
    check_complete,
    checked_repositories,
    hint_at_resume,
    rows_of,
)
from ._columns import BatchBuffer, RecordBatch, arrow_module, arrow_stream
from ._csv import CSV
from ._diff import Diff
from ._fetching import Fetcher
from ._formats import FileFormat
from ._iteration import OnProgress
from ._jsonl import JSONL
from ._names import Patterns
from ._parquet import PARQUET
from ._reports import Source, diff_builder, summarize
from ._rows import FilePath, InventoryRow
from ._summary import STALE_AFTER_DAYS, Summary
from ._tasks import Batch, FetchResult, FetchTask
from ._workers import Threads, fetch_in_worker, pickle_client

# The most rows and pages of a task in another process: it must not occupy a worker for long.
# Every task has at least one page.
_ROWS_PER_TASK = 1_000
_PAGES_PER_TASK = 20


class Inventory(BaseInventory["abeja_registry.Client"], Iterable[InventoryRow]):
    """Every tag of an organization, as rows; see `Client.inventory`."""

    _each = "for each in inventory"

    def __init__(
        self,
        client: abeja_registry.Client,
        *,
        concurrency: int = CONCURRENCY,
        page_size: int | None = None,
        include: Patterns = "*",
        exclude: Patterns = (),
        on_progress: OnProgress | None = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__(
            client,
            concurrency=concurrency,
            page_size=page_size,
            include=include,
            exclude=exclude,
            on_progress=on_progress,
        )
        self._executor = executor
        if executor is not None:
            check_type("executor", executor, Executor, "a concurrent.futures.Executor")
            # The executor limits how many of them run.
            self._max_in_flight = self._concurrency
        # Threads share the client; any other executor receives a pickled client.
        shared = executor is None or isinstance(executor, ThreadPoolExecutor)
        pages = 1 if shared else min(_PAGES_PER_TASK, _ROWS_PER_TASK // self._page_size)
        self._pages = max(1, pages)
        self._pickled = None if shared else pickle_client(client)

    def __iter__(self) -> Iterator[InventoryRow]:
        with closing(self._batches()) as batches:
            for batch in batches:
                yield from batch.rows

    def record_batches(self) -> Iterator[RecordBatch]:
        """Iterate over all tags as Arrow record batches, without a model for each row.

        A record batch has the columns of `InventoryRow`: texts, `size` as a 64-bit integer, and
        times in UTC with microseconds. Its rows are tags; `repositories` names the repositories
        without tags afterwards. Batches are returned while the iteration goes on, and combine
        small pages. Failures and invalid rows are handled as in an iteration over rows.

        An `Inventory` also has `__arrow_c_stream__`, so that pyarrow, polars, pandas and DuckDB
        read it as a table; if an iteration fails, they raise their own exception with its message.

        Raises:
            ImportError: The extra `arrow` is not installed; no request was sent.

        Example:
            >>> sum(batch.num_rows for batch in client.inventory().record_batches())
            3
        """
        arrow_module()
        return self._record_batches()

    def _record_batches(self) -> Generator[RecordBatch, None, None]:
        buffer = BatchBuffer()
        with closing(self._batches(columns=True)) as batches:
            for batch in batches:
                yield from buffer.add(batch.columns)
        yield from buffer.rest()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return arrow_stream(self.record_batches(), requested_schema)

    def _batches(
        self, finished: Finished | None = None, *, columns: bool = False
    ) -> Generator[Batch, None, None]:
        if self._executor is not None:
            yield from self._batches_on(self._executor, finished, columns)
            return
        threads = Threads(self._concurrency, "abeja_registry.inventory")
        try:
            yield from self._batches_on(threads, finished, columns)
        finally:
            # Closing an iteration early does not wait for requests in flight.
            threads.shutdown(wait=False)

    def _batches_on(
        self, executor: Executor, finished: Finished | None, columns: bool
    ) -> Generator[Batch, None, None]:
        fetcher = Fetcher(self._client, columns=columns)
        iteration = self._begin(fetcher, finished, pages=self._pages)
        started_in = process.token
        in_flight: dict[Future[FetchResult], FetchTask] = {}
        done: SimpleQueue[Future[FetchResult]] = SimpleQueue()

        def submit_ready() -> float:
            """Submit all tasks that may be sent now; return the seconds for which none may be."""
            wait = iteration.wait()
            if wait:
                # Cancels tasks that still wait in the executor's queue.
                for future in in_flight:
                    future.cancel()
                return wait
            while (task := iteration.next_task(len(in_flight))) is not None:
                future = self._submit(executor, fetcher, task, columns)
                future.add_done_callback(done.put)
                in_flight[future] = task
            return 0.0

        def next_done(wait: float) -> Future[FetchResult] | None:
            """Return the next future that is done, or None when the wait is over."""
            if not in_flight:
                fetcher.sleep(wait)
                return None
            with suppress(Empty):
                return done.get(timeout=wait or None)
            return None

        try:
            while (wait := submit_ready()) or in_flight:
                future = next_done(wait)
                if future is None:
                    iteration.resume()
                    continue
                task = in_flight.pop(future)
                if future.cancelled():
                    iteration.send_again(task)
                    continue
                try:
                    result = future.result()
                except Error as error:
                    result = FetchResult([], error)
                batch = iteration.record(task, result)
                submit_ready()
                yield batch
                if process.token is not started_in:
                    # After fork() the child has none of the threads that it would wait for.
                    raise Error("an iteration of an inventory cannot go on in a forked process")
            iteration.check_ended()
        finally:
            for future in in_flight:
                future.cancel()
            fetcher.stop()

    def _submit(
        self, executor: Executor, fetcher: Fetcher, task: FetchTask, columns: bool
    ) -> Future[FetchResult]:
        if self._pickled is None:
            return executor.submit(fetcher.fetch, task)
        # The nonce makes each call unique: Dask caches results by a call's arguments.
        return executor.submit(fetch_in_worker, self._pickled, task, columns, uuid4().hex)

    def write_jsonl(self, path: FilePath, *, resume: bool = False, partial: bool = False) -> int:
        """Iterate over all rows and write a file with a JSON object on each line.

        The file is written atomically. Until then the rows so far are kept beside it, in
        `<path>.partial`.

        Args:
            path: The file; an existing one is replaced in the end.
            resume: Whether to continue an earlier inventory to this file, without requesting again
                the repositories that it has finished.
            partial: Whether to write the file without the repositories that failed and the skipped
                tags.

        Returns:
            The number of tags in the file. Each repository without tags also has a row, with `kind`
            `repository`, which is not counted.

        Raises:
            IncompleteInventory: Repositories failed; the file was not written.
            InvalidFile: The rows kept beside the file are from another organization or other
                patterns, of another format, or of an earlier version of this package.
            OSError: The file cannot be written, or another inventory is being written to it. Most
                steps that can fail are tried before the first request.

        Example:
            >>> client.inventory().write_jsonl(folder / "inventory.jsonl")
            3
        """
        return self._write(path, JSONL, resume, partial)

    def write_csv(self, path: FilePath, *, resume: bool = False, partial: bool = False) -> int:
        """Iterate over all rows and write comma-separated values, as `write_jsonl` does.

        The first line has the columns' names, those of `InventoryRow`.
        """
        return self._write(path, CSV, resume, partial)

    def write_parquet(self, path: FilePath, *, resume: bool = False, partial: bool = False) -> int:
        """Iterate over all rows and write a Parquet file, as `write_jsonl` does.

        Raises:
            ImportError: The extra `arrow` is not installed; no request was sent.
        """
        arrow_module()
        return self._write(path, PARQUET, resume, partial)

    def _write(self, path: FilePath, file_format: FileFormat, resume: bool, partial: bool) -> int:
        opened = self._open_journal(path, file_format, resume)
        with closing(opened) as journal, hint_at_resume(path):
            columns = file_format.columns
            with closing(self._batches(journal.finished, columns=columns)) as batches:
                for batch in batches:
                    journal.add(batch)
            self._finish(journal, partial)
            without_rows = journal.repositories_without_rows()
            count = file_format.write(Path(path), journal.parts(), without_rows)
            journal.remove()
        return count

    def summary(
        self,
        stale_after_days: int = STALE_AFTER_DAYS,
        now: datetime | None = None,
        *,
        partial: bool = False,
    ) -> Summary:
        """Iterate over all rows and add them up, by repository and by creator.

        Args:
            stale_after_days: Days without a push, >= 0, after which a tag is stale.
            now: The time from which the days are counted back. Defaults to the present.
            partial: Whether to add up the rows without the repositories that failed and the skipped
                tags.

        Raises:
            IncompleteInventory: Repositories failed, so the summary would lack them.
            InvalidArgument: An argument is out of its bounds.

        Example:
            >>> client.inventory().summary().total.tags
            3
        """
        summary = summarize(self, stale_after_days, now)
        if not partial:
            check_complete(self.failures, NOT_ADDED_UP)
        return summary

    @staticmethod
    def diff(old: FilePath | Rows, new: FilePath | Rows) -> Diff:
        """Return the differences between two inventories.

        Args:
            old: A file that an inventory was written to, or rows, such as an `Inventory`.
            new: The same.

        Returns:
            Repositories and tags that were added and removed, and tags that were moved.

        Raises:
            IncompleteInventory: Repositories failed, and would look removed or added.
            InvalidFile: A file is not an inventory.

        Example:
            >>> before = list(client.inventory())
            >>> pushed = sandbox.push(repository.id, "0.0.9")
            >>> [row.tag for row in Inventory.diff(before, client.inventory()).added]
            ['0.0.9']
        """
        old_rows, new_rows = rows_of(old), rows_of(new)
        old_source, new_source = Source(old_rows), Source(new_rows)
        builder, columns = diff_builder(old_source, new_source)
        with closing(builder):
            for each in old_source.items(columns):
                builder.add_old(each)
            builder.add_old_repositories(checked_repositories(old_rows))
            for each in new_source.items(columns):
                builder.add_new(each)
            builder.add_new_repositories(checked_repositories(new_rows))
            diff: Diff = builder.diff()
        return diff
