"""The state of one list while its pages are fetched, some of them ahead."""

from __future__ import annotations

from collections.abc import Iterable

from .._api.paging import Cursor
from ..exceptions import Error, InvalidResponse, PaginationError
from ._tasks import FetchedPage, FetchTask, Item, RepositoryRef

# Results in a row, without a change of the list, after which its pages are fetched ahead.
PREFETCH_AFTER = 2


class ListState:
    """One list: its cursor, and the pages fetched ahead of it.

    The cursor compares each page with the one before: both overlap by an item, no matter when they
    were fetched. If the list has changed, the pages ahead do not start at the cursor. They are
    dropped, and one page at a time is fetched until the list is stable again.

    Attributes:
        repository: The repository of the tags; None for the list of repositories.
        number: Counts the lists in the order in which they were started.
        failed_before: Whether it has failed once.
        items: Its items so far, skipped ones included.
        skipped: The error of the first item that was skipped.
    """

    def __init__(
        self,
        repository: RepositoryRef | None,
        number: int,
        *,
        limit: int,
        pages: int,
        max_prefetch: int,
    ) -> None:
        self.repository = repository
        self.number = number
        self.failed_before = False
        self.items = 0
        self.skipped: InvalidResponse | None = None
        self._cursor = Cursor(limit)
        self._pages = pages
        self._max_prefetch = max_prefetch
        # Results in a row without a change of the list.
        self._stable_rounds = 0
        # Pages ahead of the cursor by their offsets, and tasks in flight with the offsets that they
        # cover.
        self._buffered: dict[int, FetchedPage] = {}
        self._in_flight: dict[FetchTask, range] = {}
        # Where the next task starts, and the distance between two pages; 0 while unknown.
        self._next_offset = 0
        self._stride = 0

    @property
    def done(self) -> bool:
        """Whether the last page was recorded."""
        return self._cursor.done

    @property
    def long(self) -> bool:
        """Whether pages are fetched ahead, as long as the list is stable."""
        return self._stable_rounds > PREFETCH_AFTER

    def required_task(self) -> FetchTask | None:
        """Return the task for the cursor's page, or None if it is in flight."""
        return None if self._cursor_covered() else self._new_task()

    def prefetch_task(self) -> FetchTask | None:
        """Return a task for pages ahead of the cursor."""
        if not self.long or not self._stride:
            return None
        # The longer the list is stable, the further ahead.
        width = min(self._max_prefetch, 1 << min(16, self._stable_rounds - PREFETCH_AFTER))
        ahead = len(self._in_flight) * self._pages + len(self._buffered)
        return self._new_task() if ahead < width * self._pages else None

    def awaits(self, task: FetchTask) -> bool:
        """Whether the result of a task is still needed."""
        return task in self._in_flight

    def _new_task(self) -> FetchTask:
        start = self._next_offset
        task = FetchTask(self.repository, self._cursor.limit, start, self._pages)
        end = start + self._pages * self._stride
        self._in_flight[task] = range(start, max(end, start + 1), self._stride or 1)
        self._next_offset = end
        return task

    def _cursor_covered(self) -> bool:
        return any(self._cursor.offset in offsets for offsets in self._in_flight.values())

    def record(
        self, task: FetchTask, pages: Iterable[FetchedPage]
    ) -> tuple[list[Item], Error | None]:
        """Record the pages of a task; return the new items, and the list's error."""
        items: list[Item] = []
        if self._in_flight.pop(task, None) is None:
            return items, None
        cursor = self._cursor
        self._buffered.update((page.offset, page) for page in pages)
        try:
            while not cursor.done and (page := self._buffered.pop(cursor.offset, None)) is not None:
                before = cursor.offset
                new = cursor.record(page.ids, page.has_next)
                selected = page.select(new)
                items += selected
                self.items += len(new)
                if self.skipped is None:
                    errors = (item for item in selected if isinstance(item, InvalidResponse))
                    self.skipped = next(errors, None)
                self._stride = max(0, cursor.offset - before)
        except PaginationError as error:
            return items, error
        self._stable_rounds += 1
        if not self._cursor_covered():
            if self._buffered or self._in_flight:
                # The list has changed: none of these pages starts at the cursor.
                self._drop_from(0)
            self._next_offset = cursor.offset
        return items, None

    def fail(self, task: FetchTask) -> bool:
        """Record that a task failed; return whether the cursor's page was part of it."""
        offsets = self._in_flight.pop(task, None)
        if offsets is None:
            return False
        self._drop_from(task.offset)
        return self._cursor.offset in offsets

    def give_up(self) -> None:
        """Drop all pages ahead, and the results of all tasks in flight."""
        self._drop_from(0)

    def _drop_from(self, offset: int) -> None:
        """Drop pages and tasks from an offset on, and stop fetching ahead for a while."""
        self._buffered = {at: page for at, page in self._buffered.items() if at < offset}
        self._in_flight = {
            task: offsets for task, offsets in self._in_flight.items() if task.offset < offset
        }
        self._next_offset = offset if self._in_flight else self._cursor.offset
        self._stable_rounds = 0
