"""A walk through all lists of an organization side by side: what to ask next, and what came of it.

Nothing here sends. A `Walk` says which pages to fetch, is told what came, in whatever order, and
gives the rows. Each list has a cursor of its own, which judges a page by its overlap with the one
before: that holds whenever each of them was fetched, so pages may be fetched ahead. Where the list
has moved, what was fetched ahead does not begin where the cursor is; it is thrown away, and the
walk through this list goes on a page at a time until that is quiet again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import NamedTuple

from .._api.paging import Cursor
from ..exceptions import Error, NotFound, PaginationError
from ._rows import InventoryRepository, InventoryRow

# Tasks, one after the other, after which a list counts as long and is fetched ahead.
_FEW = 2


class Named(NamedTuple):
    """A repository that was found."""

    id: str
    name: str


class Unreadable(NamedTuple):
    """A repository that is listed, whose row no model can be made from."""

    id: str | None
    name: str | None
    place: int
    error: Error


Item = InventoryRow | Named | Unreadable | None


# Compared by identity: what is asked for anew is another task than the one that was given up.
@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Pages to fetch, one after the other.

    Attributes:
        repository: The repository whose tags these are; None for the list of repositories.
        limit: Items that each page asks for.
        offset: Where the first starts.
        pages: How many to fetch at the most.
    """

    repository: Named | None
    limit: int
    offset: int
    pages: int = 1


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page that was fetched.

    Attributes:
        offset: Where it starts.
        ids: The ids of its items; None for one without.
        has_next: Whether it says that more follow.
        rows: What each item says; None for a tag that was skipped.
    """

    offset: int
    ids: Sequence[str | None]
    has_next: bool
    rows: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Batch:
    """What an answer has added: rows, and the repositories of which these are the last."""

    rows: Sequence[InventoryRow]
    finished: Sequence[InventoryRepository]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a walk is.

    Attributes:
        repositories: Repositories that were found so far.
        finished: Of these, how many are walked through.
        failed: Of these, how many failed for good.
        rows: Rows so far.
        empty: Of the finished repositories, how many have no tags.
        throttled: Requests so far that the API refused as coming too fast; each is sent again.
        concurrency: Requests that may be in flight: fewer than asked for while the API throttles.
    """

    repositories: int = 0
    finished: int = 0
    failed: int = 0
    rows: int = 0
    empty: int = 0
    throttled: int = 0
    concurrency: int = 0


@dataclass(frozen=True, slots=True)
class InventoryFailure:
    """A repository that could not be walked through.

    Attributes:
        repository_id: Its id; empty where its row in the list has none that can be read.
        repository_name: Its name; its place in the list where its row has none that can be read.
        error: What went wrong, the second time; an `InvalidResponse` where its row in the list
            cannot be read.
    """

    repository_id: str
    repository_name: str
    error: Error

    @property
    def deleted(self) -> bool:
        """Whether it was deleted after it was listed: it was not found the second time."""
        return isinstance(self.error, NotFound)


class _List:
    """One list, its cursor, and what is fetched ahead of that.

    Attributes:
        repository: The repository whose tags these are; None for the list of repositories.
        number: Greater than that of each list that was begun before.
        failed_before: Whether it has failed once.
        items: The number of its items so far, those that cannot be read included.
    """

    def __init__(
        self, repository: Named | None, number: int, limit: int, pages: int, widest: int
    ) -> None:
        self.repository = repository
        self.number = number
        self.failed_before = False
        self.items = 0
        self._cursor = Cursor(limit)
        self._pages = pages
        # How many tasks may be ahead of the cursor, at the most; and how many came since it moved.
        self._widest = widest
        self._quiet = 0
        # Pages that came before their turn, and tasks under way with the offsets that they are for.
        self._ahead: dict[int, Fetched] = {}
        self._asked: dict[Task, range] = {}
        # Where the next task starts, and how far one page's start is from the next one's, if known.
        self._front = 0
        self._stride = 0

    @property
    def done(self) -> bool:
        """Whether all of it was walked through."""
        return self._cursor.done

    @property
    def long(self) -> bool:
        """Whether it is so long that it is fetched ahead, as long as it is quiet."""
        return self._quiet > _FEW

    def needed(self) -> Task | None:
        """Return the task without which this list does not go on, unless it is under way."""
        return None if self._covered() else self._task()

    def speculative(self) -> Task | None:
        """Return a task for pages that are probably going to be needed."""
        if not self.long or not self._stride:
            return None
        # The longer it has been quiet, the further.
        width = min(self._widest, 1 << min(16, self._quiet - _FEW))
        waiting = len(self._asked) * self._pages + len(self._ahead)
        return self._task() if waiting < width * self._pages else None

    def awaits(self, task: Task) -> bool:
        """Return whether this list still needs the result of a task."""
        return task in self._asked

    def _task(self) -> Task:
        task = Task(self.repository, self._cursor.limit, self._front, self._pages)
        end = self._front + self._pages * self._stride
        self._asked[task] = range(self._front, max(end, self._front + 1), self._stride or 1)
        self._front = end
        return task

    def _covered(self) -> bool:
        return any(self._cursor.offset in offsets for offsets in self._asked.values())

    def record(self, task: Task, pages: Iterable[Fetched]) -> tuple[list[Item], Error | None]:
        """Take note of what a task brought; return what is new, and what is wrong with it."""
        fresh: list[Item] = []
        if self._asked.pop(task, None) is None:
            return fresh, None
        cursor = self._cursor
        self._ahead.update((page.offset, page) for page in pages)
        try:
            while not cursor.done and (page := self._ahead.pop(cursor.offset, None)) is not None:
                before = cursor.offset
                new = cursor.record(page.ids, page.has_next)
                fresh += (page.rows[at] for at in new)
                self.items += len(new)
                self._stride = max(0, cursor.offset - before)
        except PaginationError as error:
            return fresh, error
        self._quiet += 1
        if not self._covered():
            if self._ahead or self._asked:
                # The list has moved: none of this begins where the cursor is now.
                self._forget_from(0)
            self._front = cursor.offset
        return fresh, None

    def fail(self, task: Task) -> bool:
        """Take note that a task failed; return whether this list cannot go on without it."""
        offsets = self._asked.pop(task, None)
        if offsets is None:
            return False
        self._forget_from(task.offset)
        return self._cursor.offset in offsets

    def give_up(self) -> None:
        """Forget what was fetched ahead, and what is being: nobody waits for it any more."""
        self._forget_from(0)

    def _forget_from(self, offset: int) -> None:
        """Forget what was fetched ahead from an offset on, and what is being; narrow down."""
        self._ahead = {at: page for at, page in self._ahead.items() if at < offset}
        self._asked = {task: at for task, at in self._asked.items() if task.offset < offset}
        self._front = offset if self._asked else self._cursor.offset
        self._quiet = 0


class Walk:
    """A walk through an organization's repositories, and the tags of each.

    Args:
        page_size: Items that each page asks for.
        concurrency: Tasks that may be under way at a time.
        pages: Pages that a task may fetch.
        breadth: Repositories that are walked through at a time.
        included: Whether to walk through the repository of a name.
        finished: Repositories that need not be walked through, by their ids.

    Attributes:
        progress: How far it is.
        failures: The repositories that could not be walked through, so far.
        repositories: The finished repositories.
    """

    def __init__(
        self,
        *,
        page_size: int,
        concurrency: int,
        pages: int,
        breadth: int,
        included: Callable[[str], bool],
        finished: Mapping[str, InventoryRepository] | None = None,
    ) -> None:
        self.progress = Progress()
        self.failures: list[InventoryFailure] = []
        self.repositories: list[InventoryRepository] = []
        self._concurrency = concurrency
        self._breadth = breadth
        self._list = partial(_List, limit=page_size, pages=pages, widest=concurrency)
        self._included = included
        self._finished = finished or {}
        self._count_up = count()
        self._repositories = self._list(None, next(self._count_up))
        self._active: dict[Named | None, _List] = {None: self._repositories}
        self._waiting: deque[Named] = deque()
        self._again: deque[_List] = deque()
        # Tasks that the API did not carry out, and that are to be sent again.
        self._unsent: deque[Task] = deque()
        # A heap of lists that may need a page. Long ones stand first, in the order in which they
        # were begun: an interrupted walk has ended what it could. The others take turns.
        self._ready: list[tuple[float, int, _List]] = []

    def next_task(self) -> Task | None:
        """Return what to fetch next; None where nothing is, until more has come."""
        # Repositories are looked up as they are needed, lest they pile up.
        if None in self._active and len(self._waiting) < self._concurrency:
            task = self._repositories.needed()
            if task is not None:
                return task
        if len(self._active) - (None in self._active) < self._breadth:
            if self._waiting:
                return self._begun(self._list(self._waiting.popleft(), next(self._count_up)))
            if self._again and None not in self._active:
                return self._begun(self._again.popleft())
        while self._ready:
            *_, walked = heappop(self._ready)
            if self._active.get(walked.repository) is walked:
                task = walked.needed()
                if task is not None:
                    return task
        # After others: a task that is throttled for good must not hold up the rest.
        while self._unsent:
            task = self._unsent.popleft()
            listed = self._active.get(task.repository)
            if listed is not None and listed.awaits(task):
                return task
        tasks = (each.speculative() for each in self._active.values() if each.repository)
        return next((task for task in tasks if task is not None), None)

    def _begun(self, begun: _List) -> Task | None:
        self._active[begun.repository] = begun
        return begun.needed()

    def record(self, task: Task, pages: Iterable[Fetched]) -> Batch:
        """Take note of what a task brought, and return what that adds.

        Raises:
            PaginationError: The list of repositories contradicts itself.
        """
        walked = self._active.get(task.repository)
        if walked is None:
            return Batch([], [])
        fresh, error = walked.record(task, pages)
        rows = [row for row in fresh if isinstance(row, InventoryRow)]
        found = [row for row in fresh if isinstance(row, Named) and self._included(row.name)]
        self._waiting += (row for row in found if row.id not in self._finished)
        self._count(repositories=len(found), rows=len(rows))
        self._finish(self._finished[row.id] for row in found if row.id in self._finished)
        for row in fresh:
            if isinstance(row, Unreadable):
                self._record_unreadable(row)
        if error is not None:
            self._give_up(walked, error)
        finished = []
        if walked.done:
            del self._active[task.repository]
            if task.repository is not None:
                finished = [InventoryRepository(*task.repository, walked.items)]
                self._finish(finished)
        self._may_need(walked)
        return Batch(rows, finished)

    def _record_unreadable(self, row: Unreadable) -> None:
        """Record a repository as failed, unless its rows are there already."""
        if (finished := self._finished.get(row.id or "")) is not None:
            self._count(repositories=1)
            self._finish([finished])
        elif row.name is None or self._included(row.name):
            name = f"(row {row.place} of the list)" if row.name is None else row.name
            self.failures.append(InventoryFailure(row.id or "", name, row.error))
            self._count(repositories=1, failed=1)

    def fail(self, task: Task, error: Error) -> None:
        """Take note that a task failed.

        Raises:
            Error: It was for the list of repositories, without which there is no going on.
        """
        walked = self._active.get(task.repository)
        if walked is None:
            return
        if walked.fail(task):
            self._give_up(walked, error)
        self._may_need(walked)

    def send_again(self, task: Task) -> None:
        """Record that a task was not carried out, and says nothing about its repository."""
        self._unsent.append(task)

    def check_ended(self) -> None:
        """Raise where lists are left though nothing is under way: that must not look like the end.

        Raises:
            Error: There are some.
        """
        left = len(self._active) + len(self._waiting) + len(self._again)
        if left:
            raise Error(f"a defect of this package: the walk stopped with {left} lists left")

    def _may_need(self, walked: _List) -> None:
        """Take note that a list, which has had an answer, may need a page."""
        if walked.repository is not None:
            rank = walked.number if walked.long else inf
            heappush(self._ready, (rank, next(self._count_up), walked))

    def _give_up(self, walked: _List, error: Error) -> None:
        if walked.repository is None:
            raise error
        walked.give_up()
        del self._active[walked.repository]
        if not walked.failed_before:
            walked.failed_before = True
            self._again.append(walked)
            return
        self.failures.append(InventoryFailure(*walked.repository, error))
        self._count(failed=1)

    def _finish(self, repositories: Iterable[InventoryRepository]) -> None:
        for each in repositories:
            self.repositories.append(each)
            self._count(finished=1, empty=not each.tag_count)

    def _count(self, **more: int) -> None:
        counts = {name: getattr(self.progress, name) + number for name, number in more.items()}
        self.progress = replace(self.progress, **counts)
