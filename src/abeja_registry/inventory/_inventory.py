"""An organization's whole registry as rows: walked through side by side, written, compared.

`client.inventory()` makes one. Nothing is asked until it is walked through, and each walk asks
anew.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, Protocol, TypeVar
from uuid import uuid4

from .._api.operations import Operation
from .._api.paging import PAGE_SIZE
from .._api.responses import Answered
from .._api.retries import Retry, throttles
from .._validation import check_callable, check_count, check_type, compile_glob, safe_repr
from ..exceptions import Error, HttpError, InvalidArgument, InvalidResponse
from ..models import Tag
from ..pages import PageOf, Unread
from ._crawler import (
    Batch,
    Fetched,
    InventoryFailure,
    Item,
    Named,
    Progress,
    Task,
    Unreadable,
    Walk,
)
from ._files import named, try_target
from ._reports import Diff, DiffBuilder, Summary, SummaryBuilder, known_repositories
from ._rows import (
    Entry,
    FilePath,
    InventoryRepository,
    InventoryRow,
    Journal,
    arrow_modules,
    read_rows,
    write_csv,
    write_jsonl,
    write_parquet,
)
from ._throttle import Throttle
from ._workers import PackedClient, Threads, worker_clients

if TYPE_CHECKING:
    from .._http.session import AsyncTransport, Transport
    from ..repositories import AsyncRepositories, Repositories
    from ..tags import AsyncTags, Tags

CONCURRENCY = 16
STALE_AFTER_DAYS = 90
# Repositories that are walked through at a time, for each request but one that may be under way:
# where they are short, they end together, and leave none of these without work.
BREADTH = 4
# Rows that a task of another process gives back at the most, but for a page that has more; and
# pages, lest it hold a worker for long.
ROWS_PER_TASK = 1_000
PAGES_PER_TASK = 20
# Of a file, which takes some milliseconds.
_ROWS_A_TURN = 500


class _Client(Protocol):
    _transport: Transport
    repositories: Repositories
    tags: Tags

    @property
    def organization_id(self) -> str: ...


class _AsyncClient(Protocol):
    _transport: AsyncTransport
    repositories: AsyncRepositories
    tags: AsyncTags

    @property
    def organization_id(self) -> str: ...


class _Result(NamedTuple):
    """The pages that a task fetched, and the error that ended it early."""

    pages: list[Fetched]
    error: Error | None = None


C = TypeVar("C", _Client, _AsyncClient)
P = ParamSpec("P")
T = TypeVar("T")
Rows = Iterable[InventoryRow]
AnyRows = Rows | AsyncIterable[InventoryRow]
OnProgress = Callable[[Progress], object]
Finished = Mapping[str, InventoryRepository]
_Write = Callable[[Path, Iterable[Entry]], int]
_NOT_WRITTEN = (
    "the file was not written; resume=True asks for them again, partial=True does without them"
)
# Appended to why a file cannot be written.
KEPT = "; the rows so far are kept beside it, and resume=True goes on with them"
_NOT_COMPARED = "nothing was compared, as they would look as if removed or added"
_NOT_ADDED_UP = "nothing was added up; partial=True does without them"


class IncompleteInventory(Error):
    """What takes all repositories was not made, as some could not be walked through.

    Args:
        failures: Which ones, with what went wrong.
        consequence: What was not made, and what helps.
    """

    def __init__(self, failures: tuple[InventoryFailure, ...], consequence: str) -> None:
        super().__init__(failures, consequence)
        self.failures = failures
        self._consequence = consequence

    def __str__(self) -> str:
        first = self.failures[0]
        return (
            f"{len(self.failures)} repositories failed, the first of them"
            f" {safe_repr(first.repository_name)} with {first.error}: {self._consequence}"
        )


class _Inventory(Unread, Generic[C]):
    """What both kinds know before and after they ask."""

    _attribute = "tag"

    def __init__(
        self,
        client: C,
        *,
        concurrency: int,
        page_size: int | None,
        include: str,
        on_progress: OnProgress | None,
    ) -> None:
        self._client: C = client
        self._concurrency = check_count("concurrency", concurrency, least=1)
        # Tasks given out, those under way among them: a request need not wait until the answer to
        # the one before has been read.
        self._given_out = 2 * self._concurrency
        self._page_size = check_count(
            "page_size", PAGE_SIZE if page_size is None else page_size, least=1
        )
        self._include = include
        self._included = compile_glob("include", include)
        check_callable("on_progress", on_progress)
        self._on_progress = on_progress
        self._failures: list[InventoryFailure] = []
        self._repositories: list[InventoryRepository] = []

    @property
    def repositories(self) -> tuple[InventoryRepository, ...]:
        """The repositories that the latest iteration has finished, with and without tags.

        Those that failed or were deleted are among the `failures` instead. After a file was
        written, they are the file's repositories.
        """
        return tuple(self._repositories)

    @property
    def failures(self) -> tuple[InventoryFailure, ...]:
        """The repositories that the latest walk could not walk through, so far.

        One that was deleted in the meantime is among them, and says so (`deleted`).
        """
        return tuple(self._failures)

    def _begin(self, finished: Finished | None, *, pages: int) -> Walk:
        # To a file the width is less: of an interrupted walk the repositories that ended are kept.
        per_request = BREADTH if finished is None else 1
        walk = Walk(
            page_size=self._page_size,
            concurrency=self._concurrency,
            pages=pages,
            breadth=1 + (self._concurrency - 1) * per_request,
            included=self._included,
            finished=finished,
        )
        self._failures, self._repositories = walk.failures, walk.repositories
        return walk

    def _throttle(self) -> Throttle:
        transport = self._client._transport
        return Throttle(self._concurrency, transport.settings.retry, transport._random)

    def _max_running(self, throttle: Throttle) -> int:
        return min(self._given_out, throttle.width) if throttle.narrowed else self._given_out

    def _recorded(self, walk: Walk, throttle: Throttle, task: Task, result: _Result) -> Batch:
        pages, error = result
        batch = Batch([], [])
        if error is not None and not pages and self._client._transport.door.closed:
            # Not the repositories' failure: it would be that of all that are left.
            raise error
        again = error is not None and self._throttled(throttle, task, error)
        if pages:
            throttle.succeeded(task)
            batch = walk.record(task, pages)
        elif again:
            walk.send_again(task)
        elif error is not None:
            walk.fail(task, error)
        walk.progress = replace(walk.progress, throttled=throttle.count, concurrency=throttle.width)
        if self._on_progress is not None:
            self._on_progress(walk.progress)
        return batch

    def _throttled(self, throttle: Throttle, task: Task, error: Error) -> bool:
        """Return whether to send a task again, as the API throttles."""
        if not (isinstance(error, HttpError) and throttles(error.status_code, error.retry_after)):
            return False
        now = self._client._transport.now()
        if not throttle.throttled(task, error.retry_after, now):
            return False
        operation = "get_repositories" if task.repository is None else "get_repository_tags"
        self._client._transport.tell(
            Retry(operation, len(error.history), str(error.status_code), throttle.wait(now))
        )
        if not self._client._transport.settings.sleeps:
            throttle.resume()
        return True

    def _journal(self, path: FilePath, resume: bool) -> Journal:
        walked = {
            "base_url": self._client._transport.settings.base_url,
            "organization_id": self._client.organization_id,
            "include": self._include,
        }
        # Whatever a file needs is tried before the first request.
        try_target(Path(path))
        return Journal(Path(path), walked, resume=resume)

    def _check_whole(self, consequence: str) -> None:
        # A deleted repository is not missing.
        missing = tuple(failure for failure in self._failures if not failure.deleted)
        if missing:
            raise IncompleteInventory(missing, consequence)


class Inventory(_Inventory[_Client], Iterable[InventoryRow]):
    """Every tag of an organization, as rows; see `Client.inventory`."""

    _each = "for each in inventory"

    def __init__(
        self,
        client: _Client,
        *,
        concurrency: int = CONCURRENCY,
        page_size: int | None = None,
        include: str = "*",
        on_progress: OnProgress | None = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__(
            client,
            concurrency=concurrency,
            page_size=page_size,
            include=include,
            on_progress=on_progress,
        )
        self._executor = executor
        if executor is not None:
            check_type("executor", executor, Executor, "a concurrent.futures.Executor")
            # It decides by itself how many of them are under way.
            self._given_out = self._concurrency
        # Threads share the client; whatever else an executor is, it is sent the client's settings.
        shares = executor is None or isinstance(executor, ThreadPoolExecutor)
        pages = 1 if shares else min(PAGES_PER_TASK, ROWS_PER_TASK // self._page_size)
        self._pages = max(1, pages)
        self._packed = None if shares else _pack(client)

    def __iter__(self) -> Iterator[InventoryRow]:
        with closing(self._batches()) as batches:
            for batch in batches:
                yield from batch.rows

    def _batches(self, finished: Finished | None = None) -> Generator[Batch, None, None]:
        if self._executor is not None:
            yield from self._batches_by(self._executor, finished)
            return
        threads = Threads(self._concurrency, "abeja_registry.inventory")
        try:
            yield from self._batches_by(threads, finished)
        finally:
            # Who stops early does not wait for what is under way.
            threads.shutdown(wait=False)

    def _batches_by(
        self, executor: Executor, finished: Finished | None
    ) -> Generator[Batch, None, None]:
        walk, throttle = self._begin(finished, pages=self._pages), self._throttle()
        # Its own, to be stopped with the walk.
        transport = self._client._transport.paced()
        running: dict[Future[_Result], Task] = {}
        answered: SimpleQueue[Future[_Result]] = SimpleQueue()

        def ask() -> float:
            """Submit what may be sent now; return the seconds for which nothing may be."""
            wait = throttle.wait(transport.now())
            if wait:
                # Those that wait for a thread, or in an executor's queue.
                for future in running:
                    future.cancel()
            while (
                not wait
                and len(running) < self._max_running(throttle)
                and (task := walk.next_task()) is not None
            ):
                future = self._submitted(executor, transport, task)
                future.add_done_callback(answered.put)
                running[future] = task
            return wait

        def take(wait: float) -> Future[_Result] | None:
            """Return the next that is done, or None once the wait is over."""
            if not running:
                transport.sleep(wait)
                return None
            with suppress(Empty):
                return answered.get(timeout=wait or None)
            return None

        try:
            while (wait := ask()) or running:
                future = take(wait)
                if future is None:
                    throttle.resume()
                    continue
                task = running.pop(future)
                if future.cancelled():
                    walk.send_again(task)
                    continue
                try:
                    result = future.result()
                except Error as error:
                    result = _Result([], error)
                batch = self._recorded(walk, throttle, task, result)
                ask()
                yield batch
            walk.check_ended()
        finally:
            for future in running:
                future.cancel()
            transport.stop()

    def _submitted(self, executor: Executor, transport: Transport, task: Task) -> Future[_Result]:
        if self._packed is None:
            return executor.submit(_fetch, self._client, transport, task)
        # Dask gives a call of the same arguments the result of the one before.
        return executor.submit(_fetch_there, self._packed, task, uuid4().hex)

    def write_jsonl(self, path: FilePath, *, resume: bool = False, partial: bool = False) -> int:
        """Walk through all and write a file of a JSON object a line.

        The file appears whole or not at all. Until then what was found is kept beside it, in
        `<path>.partial.jsonl`.

        Args:
            path: The file; one that is there is replaced in the end.
            resume: Whether to go on where an earlier walk to this file ended, without asking
                again for the repositories that it was through with.
            partial: Whether to write the file also where repositories failed, without these.

        Returns:
            How many tags the file has. Each repository without tags has a row of its own in it,
            with `kind` `repository`, which is not counted.

        Raises:
            IncompleteInventory: Repositories failed; the file was not written.
            InvalidFile: What is kept beside the file is of another organization or pattern.
            OSError: The file cannot be written, or another walk to it is under way. Most of what
                a file system may refuse is tried before the first request.

        Example:
            >>> client.inventory().write_jsonl(folder / "inventory.jsonl")
            3
        """
        return self._write(path, write_jsonl, resume, partial)

    def write_csv(self, path: FilePath, *, resume: bool = False, partial: bool = False) -> int:
        """Walk through all and write a file of comma-separated values, as `write_jsonl`.

        Its first line has the columns' names, those of `InventoryRow`.
        """
        return self._write(path, write_csv, resume, partial)

    def write_parquet(self, path: FilePath, *, resume: bool = False, partial: bool = False) -> int:
        """Walk through all and write a Parquet file, as `write_jsonl`; needs the extra `arrow`.

        Raises:
            ImportError: The extra is not installed; nothing was asked.
        """
        arrow_modules()
        return self._write(path, write_parquet, resume, partial)

    def _write(self, path: FilePath, write: _Write, resume: bool, partial: bool) -> int:
        with closing(self._journal(path, resume)) as journal, _kept(path):
            with closing(self._batches(journal.finished)) as batches:
                for batch in batches:
                    journal.add(batch.rows, batch.finished)
            if not partial:
                self._check_whole(_NOT_WRITTEN)
            self._repositories = list(journal.finished.values())
            count = write(Path(path), journal.entries())
            journal.remove()
        return count

    def summary(
        self,
        stale_after_days: int = STALE_AFTER_DAYS,
        now: datetime | None = None,
        *,
        partial: bool = False,
    ) -> Summary:
        """Walk through all and add up, by repository and by creator.

        Args:
            stale_after_days: Days without a push, >= 0, after which a tag is stale.
            now: The time from which they are counted back. Defaults to the present.
            partial: Whether to add up also where repositories failed, without these.

        Raises:
            IncompleteInventory: Repositories failed: they would be missing in it.
            InvalidArgument: An argument is out of its bounds.

        Example:
            >>> client.inventory().summary().total.tags
            3
        """
        summary = summarize(self, stale_after_days, now)
        if not partial:
            self._check_whole(_NOT_ADDED_UP)
        return summary

    @staticmethod
    def diff(old: FilePath | Rows, new: FilePath | Rows) -> Diff:
        """Return in what two inventories differ.

        Args:
            old: A file that one was written to, or rows: an `Inventory` walks through all.
            new: The same.

        Returns:
            Repositories and tags that were added and removed, and tags that were moved.

        Raises:
            IncompleteInventory: Repositories failed: they would look as if removed.
            InvalidFile: A file is none of an inventory.

        Example:
            >>> before = list(client.inventory())
            >>> pushed = sandbox.push(repository.id, "0.0.9")
            >>> [row.tag for row in Inventory.diff(before, client.inventory()).added]
            ['0.0.9']
        """
        before, after = _rows_of(old), _rows_of(new)
        builder = DiffBuilder()
        for row in before:
            builder.add_old(row)
        builder.add_old_repositories(_checked_repositories(before))
        for row in after:
            builder.add_new(row)
        builder.add_new_repositories(_checked_repositories(after))
        return builder.diff()


@contextmanager
def _kept(path: FilePath) -> Iterator[None]:
    """Say how to go on, where a file cannot be written that an inventory has rows for."""
    try:
        yield
    except OSError as error:
        # Others are of the network, or of the caller's own functions.
        if error.filename != str(Path(path)):
            raise
        raise named(error, Path(path), KEPT) from None


def _rows_of(rows: FilePath | Rows) -> Rows:
    """Return rows to compare; a file that cannot be read fails before any request."""
    if isinstance(rows, Iterable) and not isinstance(rows, str):
        return rows
    found = read_rows(rows)
    Path(rows).stat()
    return found


def _checked_repositories(rows: AnyRows) -> Iterable[InventoryRepository] | None:
    """Return all repositories, if known, of rows that were all read."""
    if isinstance(rows, _Inventory):
        rows._check_whole(_NOT_COMPARED)
    return known_repositories(rows)


def summarize(
    rows: Rows, stale_after_days: int = STALE_AFTER_DAYS, now: datetime | None = None
) -> Summary:
    """Add rows up, by repository and by creator, as `Inventory.summary` does.

    Repositories without tags are known of an `Inventory` and of `read_rows`, not of other rows.

    Example:
        >>> summarize(client.inventory()).repositories[0].name
        'sample_repository'
    """
    builder = SummaryBuilder(stale_after_days, now)
    for row in rows:
        builder.add(row)
    builder.add_repositories(known_repositories(rows))
    return builder.summary()


class AsyncInventory(_Inventory[_AsyncClient], AsyncIterable[InventoryRow]):
    """An `Inventory` to walk through with `async for`; it takes no executor."""

    _each = "for each in [each async for each in inventory]"

    def __init__(
        self,
        client: _AsyncClient,
        *,
        concurrency: int = CONCURRENCY,
        page_size: int | None = None,
        include: str = "*",
        on_progress: OnProgress | None = None,
    ) -> None:
        super().__init__(
            client,
            concurrency=concurrency,
            page_size=page_size,
            include=include,
            on_progress=on_progress,
        )

    async def __aiter__(self) -> AsyncIterator[InventoryRow]:
        async with aclosing(self._batches()) as batches:
            async for batch in batches:
                for row in batch.rows:
                    yield row

    async def _batches(self, finished: Finished | None = None) -> AsyncGenerator[Batch, None]:
        walk, throttle = self._begin(finished, pages=1), self._throttle()
        transport = self._client._transport.paced()
        running: dict[asyncio.Future[Answered | None], Task] = {}
        answered: asyncio.Queue[asyncio.Future[Answered | None]] = asyncio.Queue()
        free = asyncio.Semaphore(self._concurrency)

        async def send(task: Task) -> Answered | None:
            """Send a task's request when its turn comes, unless the API throttles by then."""
            operation = _operation(self._client, task, task.offset)
            async with free:
                if throttle.wait(transport.now()):
                    return None
                return await transport.fetch(operation)

        def ask() -> float:
            """Begin what may be sent now; return the seconds for which nothing may be."""
            wait = throttle.wait(transport.now())
            while (
                not wait
                and len(running) < self._max_running(throttle)
                and (task := walk.next_task()) is not None
            ):
                future = asyncio.ensure_future(send(task))
                future.add_done_callback(answered.put_nowait)
                running[future] = task
            return wait

        async def take(wait: float) -> asyncio.Future[Answered | None] | None:
            """Return the next that is done, or None once the wait is over."""
            if not running:
                await transport.sleep(wait)
                return None
            with suppress(TimeoutError):
                async with asyncio.timeout(wait or None):
                    return await answered.get()
            return None

        try:
            while (wait := ask()) or running:
                future = await take(wait)
                if future is None:
                    throttle.resume()
                    continue
                task = running.pop(future)
                try:
                    answer = future.result()
                    if answer is None:
                        walk.send_again(task)
                        continue
                    result = _Result([_read(self._client, task, task.offset, answer)])
                except Error as error:
                    result = _Result([], error)
                batch = self._recorded(walk, throttle, task, result)
                ask()
                yield batch
                # What waits to be sent goes out before the next answer is read, which takes longer.
                await asyncio.sleep(0)
            walk.check_ended()
        finally:
            for future in running:
                future.cancel()
            await asyncio.gather(*running, return_exceptions=True)

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

    async def _write(self, path: FilePath, write: _Write, resume: bool, partial: bool) -> int:
        # A large file takes seconds to read and to write, in which other tasks go on.
        with closing(await _opened(lambda: self._journal(path, resume))) as journal, _kept(path):
            async with aclosing(self._batches(journal.finished)) as batches:
                async for batch in batches:
                    journal.add(batch.rows, batch.finished)
            if not partial:
                self._check_whole(_NOT_WRITTEN)
            self._repositories = list(journal.finished.values())
            count = await _written(write, Path(path), journal.entries())
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
            self._check_whole(_NOT_ADDED_UP)
        builder.add_repositories(known_repositories(self))
        return builder.summary()

    @staticmethod
    async def diff(old: FilePath | AnyRows, new: FilePath | AnyRows) -> Diff:
        """As `Inventory.diff`, awaited; it takes an `AsyncInventory` too."""
        before, after = _arows_of(old), _arows_of(new)
        builder = DiffBuilder()
        async for row in _in_turns(before):
            builder.add_old(row)
        builder.add_old_repositories(_checked_repositories(before))
        async for row in _in_turns(after):
            builder.add_new(row)
        builder.add_new_repositories(_checked_repositories(after))
        return builder.diff()


# What a thread does for a task is over before the task is cancelled: it would go on by itself.


def _begin_in_thread(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    threads = Threads(1, "abeja_registry.inventory")
    try:
        return asyncio.wrap_future(threads.submit(call, *args, **kwargs))
    finally:
        threads.shutdown(wait=False)


async def _opened(open_: Callable[[], Journal]) -> Journal:
    """Open a journal in a thread."""
    opening = _begin_in_thread(open_)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(Exception):
            (await opening).close()
        raise


async def _written(write: _Write, path: Path, entries: Iterator[Entry]) -> int:
    """Write a file in a thread; one that nobody waits for any more does not appear."""
    cancelled = threading.Event()

    def until_cancelled() -> Iterator[Entry]:
        for entry in entries:
            if cancelled.is_set():
                raise Error("the writing was cancelled")
            yield entry

    writing = _begin_in_thread(write, path, until_cancelled())
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        cancelled.set()
        with suppress(Exception):
            await writing
        raise


def _arows_of(rows: FilePath | AnyRows) -> AnyRows:
    """As `_rows_of`, of rows of either kind."""
    return rows if isinstance(rows, AsyncIterable) else _rows_of(rows)


async def _in_turns(rows: AnyRows) -> AsyncIterator[InventoryRow]:
    """Return rows; plain ones some at a time, between which other tasks have their turn."""
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
        return
    iterator = iter(rows)
    while some := list(islice(iterator, _ROWS_A_TURN)):
        for row in some:
            yield row
        await asyncio.sleep(0)


# -- tasks: here, in a thread, or in another process ----------------------------------------------


def _fetch(client: _Client, transport: Transport, task: Task) -> _Result:
    """Fetch a task's pages, until one fails; those before it are not lost."""
    pages: list[Fetched] = []
    offset: int | None = task.offset
    while offset is not None:
        try:
            answered = transport.fetch(_operation(client, task, offset))
            pages.append(_read(client, task, offset, answered))
        except Error as error:
            return _Result(pages, error)
        offset = _next_offset(task, pages)
    return _Result(pages)


def _operation(client: _Client | _AsyncClient, task: Task, offset: int) -> Operation:
    if task.repository is None:
        return client.repositories._ask(task.limit, offset)
    try:
        return client.tags._ask(task.repository.id, task.limit, offset)
    except ValueError as error:
        # It is the API's own, and no reason to end the walk through the others.
        raise InvalidResponse(f"a repository of the list cannot be asked for: {error}") from None


def _read(client: _Client | _AsyncClient, task: Task, offset: int, answered: Answered) -> Fetched:
    """Return what an answer says."""
    page: PageOf[Any]
    if task.repository is None:
        # One row that cannot be read is the failure of one repository, not of all.
        page = client.repositories._page(answered, "skip")
    else:
        page = client.tags._page(task.repository.id, answered)
    # The first row of a page is the last of the one before it, unless a page holds one alone.
    first = 1 if offset and task.limit > 1 else 0
    page._log_skipped(range(first, len(page._all_rows())))
    return _fetched(task, offset, page)


def _fetched(task: Task, offset: int, page: PageOf[Any]) -> Fetched:
    rows: list[Item]
    if task.repository is not None:
        row = partial(_row, task.repository)
        rows = [None if tag is None else row(tag) for tag in page._all_rows()]
    else:
        rows = [
            _unreadable(page, offset, index) if repository is None else _named(repository)
            for index, repository in enumerate(page._all_rows())
        ]
    return Fetched(offset, page._ids(), page.has_next, rows)


def _unreadable(page: PageOf[Any], offset: int, index: int) -> Unreadable:
    error = page._row_errors[index]
    name = error.body.get("name") if isinstance(error.body, dict) else None
    return Unreadable(
        page._ids()[index], name if isinstance(name, str) else None, offset + index, error
    )


def _next_offset(task: Task, pages: list[Fetched]) -> int | None:
    """Return where a task's next page starts, an item early, or None after its last."""
    last = pages[-1]
    if len(pages) == task.pages or not last.has_next or len(last.ids) < 2:
        return None
    return last.offset + len(last.ids) - 1


def _named(repository: Any) -> Named:
    return Named(repository.id, repository.name)


def _row(repository: Named, tag: Tag) -> InventoryRow:
    return InventoryRow(
        repository.id,
        repository.name,
        tag.name,
        tag.digest,
        tag.size,
        tag.media_type,
        tag.creator.email,
        tag.created_at,
        tag.updated_at,
    )


def _pack(client: _Client) -> PackedClient:
    """Return a client as it can go to another process, or refuse one that cannot."""
    transport = client._transport
    try:
        settings = transport.own_settings()
    except TypeError:
        raise InvalidArgument(
            "executor cannot be used by a client with an http_client of its own, which cannot go"
            " to another process"
        ) from None
    try:
        return PackedClient(pickle.dumps(client))
    except Exception as error:
        hook = settings.on_retry
        what = f"a {type(client).__name__}" if hook is None else f"on_retry, {safe_repr(hook)},"
        raise InvalidArgument(
            f"executor cannot be used: {what} cannot be pickled to go to another process"
            f" ({type(error).__name__})"
        ) from None


def _fetch_there(packed: PackedClient, task: Task, _unlike_any_other: str) -> _Result:
    """Fetch a task's pages in a worker, through the client that it keeps for these settings."""
    with worker_clients.lease(packed) as client:
        return _fetch(client, client._transport.paced(), task)
