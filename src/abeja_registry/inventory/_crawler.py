"""Reads all lists of an organization in parallel: it chooses the next page and collects rows.

A `Crawler` sends nothing. It hands out tasks, records their results in any order, and returns rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf

from ..exceptions import Error
from ._failures import InventoryFailure
from ._list_state import ListState
from ._rows import InventoryRepository, InventoryRow
from ._tasks import (
    Batch,
    FetchedPage,
    FetchTask,
    InvalidRepository,
    Progress,
    RepositoryRef,
    TagColumns,
)


class Crawler:
    """One iteration over an organization's repositories and the tags of each.

    Args:
        page_size: Items that each request asks for.
        concurrency: Tasks that may be in flight.
        pages: Pages that a task may fetch.
        breadth: Repositories that are read at the same time.
        included: Whether to read the repository with this name.
        finished: Repositories that need not be read, by their ids.

    Attributes:
        failures: The repositories that failed, so far.
        repositories: The finished repositories.
        incomplete: The repositories that failed only because some of their tags were skipped.
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
        self.failures: list[InventoryFailure] = []
        self.repositories: list[InventoryRepository] = []
        self.incomplete: list[InventoryRepository] = []
        self._concurrency = concurrency
        self._breadth = breadth
        self._list = partial(ListState, limit=page_size, pages=pages, max_prefetch=concurrency)
        self._included = included
        self._finished = finished or {}
        self._found = self._rows = self._empty = 0
        self._numbers = count()
        self._root = self._list(None, next(self._numbers))
        self._active: dict[RepositoryRef | None, ListState] = {None: self._root}
        self._waiting: deque[RepositoryRef] = deque()
        self._retry_queue: deque[ListState] = deque()
        # Tasks that were handed out and not sent.
        self._unsent: deque[FetchTask] = deque()
        # A heap of lists that may need a page. Long lists are first, in the order of their start,
        # so that an interrupted inventory has finished some of them. The others take turns.
        self._ready: list[tuple[float, int, ListState]] = []
        # The active lists that may be fetched ahead.
        self._long: dict[RepositoryRef, ListState] = {}

    @property
    def progress(self) -> Progress:
        """The counts so far."""
        return Progress(
            repositories=self._found,
            finished=len(self.repositories),
            failed=len(self.failures),
            rows=self._rows,
            empty=self._empty,
        )

    def next_task(self) -> FetchTask | None:
        """Return the next task, or None while no task can be sent before a result is recorded."""
        # List repositories only as fast as they are read, to keep few of them in memory.
        if None in self._active and len(self._waiting) < self._concurrency:
            task = self._root.required_task()
            if task is not None:
                return task
        if len(self._active) - (None in self._active) < self._breadth:
            if self._waiting:
                return self._start(self._list(self._waiting.popleft(), next(self._numbers)))
            if self._retry_queue and None not in self._active:
                return self._start(self._retry_queue.popleft())
        while self._ready:
            *_, state = heappop(self._ready)
            if self._active.get(state.repository) is state:
                task = state.required_task()
                if task is not None:
                    return task
        # Last, so that a task that is throttled each time does not block the others.
        while self._unsent:
            task = self._unsent.popleft()
            active = self._active.get(task.repository)
            if active is not None and active.awaits(task):
                return task
        tasks = (state.prefetch_task() for state in self._long.values())
        return next((task for task in tasks if task is not None), None)

    def _start(self, state: ListState) -> FetchTask | None:
        self._active[state.repository] = state
        return state.required_task()

    def record(self, task: FetchTask, pages: Iterable[FetchedPage]) -> Batch:
        """Record the pages of a task, and return the rows that they add.

        Raises:
            PaginationError: The list of repositories contradicts itself.
        """
        state = self._active.get(task.repository)
        if state is None:
            return Batch([], [])
        items, error = state.record(task, pages)
        rows = [item for item in items if isinstance(item, InventoryRow)]
        columns = [item for item in items if isinstance(item, TagColumns)]
        if state is self._root:
            self._record_repositories(items)
        self._rows += len(rows) + sum(map(len, columns))
        if error is not None:
            self._give_up(state, error)
        finished = []
        if state.done:
            del self._active[task.repository]
            if task.repository is not None:
                repository = InventoryRepository(*task.repository, state.items)
                if state.skipped is None:
                    finished = [repository]
                    self._finish(repository)
                else:
                    self.incomplete.append(repository)
                    self.failures.append(InventoryFailure(*task.repository, state.skipped))
        self._enqueue(state)
        return Batch(rows, finished, columns)

    def _record_repositories(self, items: Iterable[object]) -> None:
        for item in items:
            if isinstance(item, InvalidRepository):
                self._record_invalid(item)
            elif isinstance(item, RepositoryRef) and self._included(item.name):
                self._found += 1
                if (finished := self._finished.get(item.id)) is None:
                    self._waiting.append(item)
                else:
                    self._finish(finished)

    def _record_invalid(self, row: InvalidRepository) -> None:
        """Record a repository as failed, unless its tags are finished already."""
        if (finished := self._finished.get(row.id)) is not None:
            self._found += 1
            self._finish(finished)
        elif row.name is None or self._included(row.name):
            name = f"(row {row.position} of the list)" if row.name is None else row.name
            self._found += 1
            self.failures.append(InventoryFailure(row.id, name, row.error))

    def fail(self, task: FetchTask, error: Error) -> None:
        """Record that a task failed.

        Raises:
            Error: The task was for the list of repositories, which everything else needs.
        """
        state = self._active.get(task.repository)
        if state is None:
            return
        if state.fail(task):
            self._give_up(state, error)
        self._enqueue(state)

    def send_again(self, task: FetchTask) -> None:
        """Record that a task was not sent, or was throttled; its repository has not failed."""
        self._unsent.append(task)

    def check_ended(self) -> None:
        """Check at the end that every list was read: an incomplete result must not look complete.

        Raises:
            Error: A list is left.
        """
        left = len(self._active) + len(self._waiting) + len(self._retry_queue)
        if left:
            raise Error(f"the inventory stopped with {left} lists left: please report this defect")

    def _enqueue(self, state: ListState) -> None:
        """Make `next_task` consider a list again."""
        repository = state.repository
        if repository is None:
            return
        active = self._active.get(repository) is state
        if active and state.long:
            self._long.setdefault(repository, state)
        else:
            self._long.pop(repository, None)
        if active:
            rank = state.number if state.long else inf
            heappush(self._ready, (rank, next(self._numbers), state))

    def _give_up(self, state: ListState, error: Error) -> None:
        """Read a repository again after all others, or record it as failed the second time."""
        if state.repository is None:
            raise error
        state.give_up()
        del self._active[state.repository]
        if not state.failed_before:
            state.failed_before = True
            self._retry_queue.append(state)
            return
        self.failures.append(InventoryFailure(*state.repository, error))

    def _finish(self, repository: InventoryRepository) -> None:
        self.repositories.append(repository)
        self._empty += not repository.tag_count
