"""The base class of `Inventory` and `AsyncInventory`, and their helpers."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import abeja_registry

from .._api.paging import PAGE_SIZE
from .._display import one_line
from .._validation import check_callable, check_count
from ..pages import Unread
from ._crawler import Crawler
from ._failures import IncompleteInventory, InventoryFailure
from ._fetching import AsyncFetcher, Fetcher, source
from ._file_rows import read_rows
from ._files import try_target, with_path
from ._formats import FileFormat
from ._iteration import Iteration, OnProgress
from ._journal import Journal
from ._names import NameFilter, Patterns
from ._rows import FilePath, InventoryRepository, InventoryRow, known_repositories
from ._tasks import Batch

CONCURRENCY = 16
# Repositories read at a time, for each request in flight but one. Small repositories then end
# together, and no request waits for a next one.
_BREADTH = 4

C = TypeVar("C", "abeja_registry.Client", "abeja_registry.AsyncClient")
Rows = Iterable[InventoryRow]
AnyRows = Rows | AsyncIterable[InventoryRow]
Finished = Mapping[str, InventoryRepository]

NOT_WRITTEN = (
    "the file was not written; pass resume=True to request what is missing, or partial=True to"
    " leave it out"
)
NOT_COMPARED = "nothing was compared, since a missing repository would look removed; try again"
NOT_ADDED_UP = "nothing was added up; pass partial=True to leave out what is missing"
# Appended to the reason why a file cannot be written.
KEPT = "; the rows so far are kept beside it: pass resume=True to continue with them"


class BaseInventory(Unread, Generic[C]):
    """The options of an inventory, and the results of its latest iteration."""

    _attribute = "tag"

    def __init__(
        self,
        client: C,
        *,
        concurrency: int,
        page_size: int | None,
        include: Patterns,
        exclude: Patterns,
        on_progress: OnProgress | None,
    ) -> None:
        self._client: C = client
        self._concurrency = check_count("concurrency", concurrency, least=1)
        # The next request is sent before the response to an earlier one is parsed.
        self._max_in_flight = 2 * self._concurrency
        self._page_size = check_count(
            "page_size", PAGE_SIZE if page_size is None else page_size, least=1
        )
        self._names = NameFilter(include, exclude)
        check_callable("on_progress", on_progress)
        self._on_progress = on_progress
        self._failures: list[InventoryFailure] = []
        self._repositories: list[InventoryRepository] = []
        self._incomplete: list[InventoryRepository] = []

    def __repr__(self) -> str:
        patterns = {"include": self._names.include, "exclude": self._names.exclude}
        return one_line(
            type(self).__name__,
            organization_id=self._client.organization_id,
            **{name: ", ".join(several) for name, several in patterns.items() if several},
            concurrency=self._concurrency,
        )

    @property
    def repositories(self) -> tuple[InventoryRepository, ...]:
        """The repositories that the latest iteration has finished, with and without tags.

        Those that failed or were deleted are among the `failures` instead. After a file was
        written, they are the file's repositories.
        """
        return tuple(self._repositories)

    @property
    def failures(self) -> tuple[InventoryFailure, ...]:
        """The repositories that the latest iteration could not read, so far.

        A repository that was deleted during the iteration is among them, with `deleted` set.
        """
        return tuple(self._failures)

    def _begin(
        self, fetcher: Fetcher | AsyncFetcher, finished: Finished | None, *, pages: int
    ) -> Iteration:
        # For a file it is 1, so that an interrupted inventory has finished repositories.
        breadth = _BREADTH if finished is None else 1
        crawler = Crawler(
            page_size=self._page_size,
            concurrency=self._concurrency,
            pages=pages,
            breadth=1 + (self._concurrency - 1) * breadth,
            included=self._names,
            finished=finished,
        )
        self._failures, self._repositories = crawler.failures, crawler.repositories
        self._incomplete = crawler.incomplete
        return Iteration(
            crawler,
            fetcher,
            concurrency=self._concurrency,
            max_in_flight=self._max_in_flight,
            on_progress=self._on_progress,
        )

    def _finish(self, journal: Journal, partial: bool) -> None:
        """Check before a file is written that no repository is missing, unless some may be.

        Raises:
            IncompleteInventory: Some repositories failed.
        """
        if not partial:
            check_complete(self.failures, NOT_WRITTEN)
        journal.add(Batch((), self._incomplete))
        self._repositories = list(journal.finished.values())

    def _open_journal(self, path: FilePath, file_format: FileFormat, resume: bool) -> Journal:
        # Before the first request, try each step that writing the file needs.
        try_target(Path(path))
        contents = {**source(self._client), **self._names.to_json()}
        return Journal(Path(path), file_format, contents, resume=resume)


def check_complete(failures: Iterable[InventoryFailure], hint: str) -> None:
    """Check that no repository is missing; a deleted one is not missing.

    Raises:
        IncompleteInventory: Some repositories failed.
    """
    missing = tuple(failure for failure in failures if not failure.deleted)
    if missing:
        raise IncompleteInventory(missing, hint)


@contextmanager
def hint_at_resume(path: FilePath) -> Iterator[None]:
    """Add a hint at `resume` to the error of a file that cannot be written."""
    try:
        yield
    except OSError as error:
        # Another file's error, or the network's: the caller's functions may raise both.
        if error.filename != str(Path(path)):
            raise
        raise with_path(error, Path(path), KEPT) from None


def rows_of(rows: FilePath | Rows) -> Rows:
    """Return rows to compare; a file that cannot be read fails before the first request."""
    if isinstance(rows, Iterable) and not isinstance(rows, str):
        return rows
    file_rows = read_rows(rows)
    Path(rows).stat()
    return file_rows


def checked_repositories(rows: AnyRows) -> Iterable[InventoryRepository] | None:
    """Return all repositories, if they are known, of rows that were all read.

    Raises:
        IncompleteInventory: The rows are an inventory's, and some of its repositories failed.
    """
    if isinstance(rows, BaseInventory):
        check_complete(rows.failures, NOT_COMPARED)
    return known_repositories(rows)
