"""Look-ups in long lists: pages are read ahead, and a wait polls few of them."""

from __future__ import annotations

import collections
import random
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.internals import Ahead, ReadAhead, Wait, find, wait_for

from abeja_registry import PaginationError, WaitTimeout

# A page's window stands for its operation, and the page for its result.
LIST_PAGE: Any = lambda *window: window  # noqa: E731
FIND_ROWS: Any = lambda page, _: page  # noqa: E731


@dataclass
class Tags:
    """A list of names, which may change before each request; ids are the names.

    Attributes:
        names: The names, in order.
        changes: What happens before each request after the first: whether a new name is inserted
            or one removed, and where.
        windows: The limit and the offset of each request.
        rounds: The number of requests in each step.
    """

    names: list[str]
    changes: list[list[tuple[bool, int]]] = field(default_factory=list)
    windows: list[tuple[int, int]] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def page(self, limit: int, offset: int) -> Any:
        """Return a page."""
        if self.windows and self.changes:
            for number, (insert, where) in enumerate(self.changes.pop(0)):
                at = where % (len(self.names) + 1)
                if insert:
                    self.names.insert(at, f"new {len(self.windows)} {number}")
                else:
                    del self.names[at : at + 1]
        self.windows.append((limit, offset))
        assert len(self.windows) < 5000, "the look-up does not end"
        rows = [SimpleNamespace(id=name, name=name) for name in self.names[offset : offset + limit]]
        has_next = offset + limit < len(self.names)
        return SimpleNamespace(ids=[row.id for row in rows], rows=rows, has_next=has_next)

    def run(self, flow: Generator[Any, Any, Any], failing: Callable[[int], bool] = bool) -> Any:
        """Run a flow; of the pages read ahead, those at some offsets fail.

        By default, each page ahead but the first of a step fails.
        """
        result: Any = None
        try:
            while True:
                step = flow.send(result)
                if not isinstance(step, Ahead):
                    self.rounds.append(1)
                    result = self.page(*step)
                    continue
                self.rounds.append(len(step.operations))
                windows: Sequence[Any] = step.operations
                result = [self.page(*windows[0])]
                for limit, offset in windows[1:]:
                    if failing(offset):
                        break
                    result.append(self.page(limit, offset))
        except StopIteration as end:
            return end.value


def find_in(tags: Tags, name: str, page_size: int | None = None, **options: Any) -> Any:
    """Return the name that a look-up finds, or None."""
    flow: Any = find(name, LIST_PAGE, FIND_ROWS, page_size)
    row = tags.run(flow, **options)
    return row and row.name


def none(_: int) -> bool:
    """No page fails."""
    return False


def test_the_pages_of_a_long_list() -> None:
    """One at a time for six pages, then a third of those that were read, up to thirty-two."""
    tags = Tags([str(number) for number in range(9_901)])
    assert find_in(tags, "none", failing=none) is None
    assert tags.rounds == [*[1] * 6, 2, 2, 3, 4, 5, 7, 9, 12, 16, 22, 29]
    assert {limit for limit, _ in tags.windows} == {100}
    assert [offset for _, offset in tags.windows] == [99 * number for number in range(117)]


@pytest.mark.parametrize("at", [0, 99, 100, 297, 298, 5000, 9_900])
def test_the_look_up_ends_at_the_page_with_the_name(at: int) -> None:
    """No step follows the one that has found the name."""
    tags = Tags([str(number) for number in range(9_901)])
    assert find_in(tags, str(at), failing=none) == str(at)
    assert tags.windows[-sum(tags.rounds[-1:])][1] <= at


def test_a_page_size() -> None:
    """It is the limit of each request."""
    tags = Tags([str(number) for number in range(9_901)])
    assert find_in(tags, "none", page_size=1000, failing=none) is None
    assert {limit for limit, _ in tags.windows} == {1000}


@pytest.mark.parametrize("size", [350, 400, 1500, 5000])
def test_a_page_ahead_that_fails_is_requested_again(size: int) -> None:
    """An error of a page ahead is not the look-up's: the page may be beyond the end."""
    tags = Tags([str(number) for number in range(size)])
    assert find_in(tags, "none") is None
    tags = Tags([str(number) for number in range(size)])
    assert find_in(tags, "none", failing=lambda offset: offset > size) is None
    assert find_in(tags, str(size - 1), failing=lambda offset: offset > size) == str(size - 1)


def test_one_page_at_a_time_after_a_failure() -> None:
    """A page ahead that failed is requested alone, and so are the next ones."""
    tags = Tags([str(number) for number in range(2_000)])
    failures = iter([True])
    failing = lambda offset: offset > 1_000 and next(failures, False)  # noqa: E731
    assert find_in(tags, "none", failing=failing) is None
    assert tags.rounds == [*[1] * 6, 2, 2, 3, *[1] * 6, 2, 2]


CHANGES = st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=3), max_size=40)


@given(
    size=st.integers(0, 120),
    page_size=st.integers(2, 9),
    changes=CHANGES,
    unlucky=st.sets(st.integers(0, 150)),
    at=st.integers(0, 119),
)
def test_a_name_that_exists_throughout_is_found(
    size: int, page_size: int, changes: Any, unlucky: set[int], at: int
) -> None:
    """Whatever is inserted and removed around it, and whichever pages ahead fail."""
    names = [str(number) for number in range(size)]
    tags = Tags(list(names), changes)
    found = find_in(tags, str(at), page_size, failing=unlucky.__contains__)
    if str(at) in tags.names:
        assert found == str(at)
    if at >= size:
        assert found is None


def test_a_list_without_an_end_ends_the_look_up() -> None:
    """A server that invents rows for ever is a PaginationError."""
    walk = ReadAhead(2, max_rows=100)
    for number in range(101):
        walk.record([str(number), str(number + 1)], has_next=True)
    with pytest.raises(PaginationError, match="given up after 100 rows: iterate over the list"):
        walk.record(["101", "102"], has_next=True)


# -- waiting --------------------------------------------------------------------------------------


class Waiting:
    """One `wait_for`, step by step, on a clock of its own."""

    def __init__(
        self,
        tags: Tags,
        name: str,
        *,
        timeout: float = 600,
        seed: int | None = None,
        wanted: bool = True,
        page_size: int | None = None,
    ) -> None:
        self.tags = tags
        self.now = 0.0
        self.done: Any = None
        problem = "it is another image"
        self._flow: Any = wait_for(
            name,
            LIST_PAGE,
            FIND_ROWS,
            page_size,
            lambda row: None if wanted else problem,
            timeout=timeout,
            now=lambda: self.now,
            random=float if seed is None else random.Random(seed).random,
        )

    def poll(self) -> list[int]:
        """Poll once, and wait; return the offsets of the poll's requests."""
        first = len(self.tags.windows)
        step: Any = next(self._flow)
        try:
            while not isinstance(step, Wait):
                ahead = isinstance(step, Ahead)
                windows: Any = getattr(step, "operations", [step])
                pages = [self.tags.page(*window) for window in windows]
                step = self._flow.send(pages if ahead else pages[0])
        except StopIteration as end:
            self.done = end.value
            self.now = float("inf")
        else:
            self.now += step.seconds
        return [offset for _, offset in self.tags.windows[first:]]


WHOLE = [0, 99, 198, 297, 396]
NAMES = [str(number) for number in range(450)]


@pytest.fixture
def tags() -> Tags:
    """A list of five pages."""
    return Tags(list(NAMES))


def test_the_polls_for_a_missing_tag(tags: Tags) -> None:
    """Most read the first page and the end of the list; each sixth one reads all of it."""
    waiting = Waiting(tags, "new")
    polls = [waiting.poll() for _ in range(12)]
    assert polls == [WHOLE, *[[0, 449]] * 5] * 2


def test_the_polls_for_a_moving_tag(tags: Tags) -> None:
    """They read the page where the tag was; each sixth one looks for it from the start."""
    waiting = Waiting(tags, "250", wanted=False)
    assert [waiting.poll() for _ in range(7)] == [WHOLE[:3], *[[198]] * 5, WHOLE[:3]]


@pytest.mark.parametrize(("where", "polls"), [(0, 1), (450, 1), (225, 5)])
def test_a_new_tag_is_found(tags: Tags, where: int, polls: int) -> None:
    """At once at the start and at the end of the list, and at last anywhere."""
    waiting = Waiting(tags, "new")
    waiting.poll()
    tags.names.insert(where, "new")
    while not waiting.done:
        waiting.poll()
        polls -= 1
    assert (waiting.done.name, polls) == ("new", -1 if where == 225 else 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 500)), max_size=30), st.integers(0, 500))
def test_a_new_tag_is_found_among_changes(changes: list[tuple[bool, int]], where: int) -> None:
    """Whatever else is pushed and removed, it is found within six polls."""
    tags = Tags(list(NAMES), [[change] for change in changes])
    waiting = Waiting(tags, "new")
    waiting.poll()
    tags.changes.clear()
    tags.names.insert(where % (len(tags.names) + 1), "new")
    polls = 0
    while not waiting.done:
        waiting.poll()
        polls += 1
    assert (waiting.done.name, polls <= 6) == ("new", True)


def test_the_end_of_a_list_that_was_read_ahead() -> None:
    """Pages that were requested beyond the end do not move it."""
    waiting = Waiting(Tags([str(number) for number in range(1_000)]), "new")
    assert waiting.poll()[-1] > 1_000
    assert waiting.poll() == [0, 999]


@pytest.mark.parametrize("page_size", [None, 1])
def test_a_new_tag_at_the_end_of_a_shorter_list(tags: Tags, page_size: int | None) -> None:
    """If tags were removed meanwhile, a poll steps back until it meets a tag that it has seen."""
    waiting = Waiting(tags, "new", page_size=page_size)
    waiting.poll()
    del tags.names[150:210]
    tags.names.append("new")
    waiting.poll()
    assert waiting.done.name == "new"


def test_a_tag_that_moves_in_the_list(tags: Tags) -> None:
    """If it is no longer where it was, the same poll reads the whole list."""
    waiting = Waiting(tags, "250", wanted=False)
    waiting.poll()
    tags.names.remove("250")
    tags.names.append("250")
    assert waiting.poll() == [198, *WHOLE]
    assert waiting.poll() == [396]


@pytest.mark.parametrize("size", [0, 1, 100, 199])
def test_a_short_list_is_read_whole(size: int) -> None:
    """One or two pages, in each poll."""
    tags = Tags([str(number) for number in range(size)])
    waiting = Waiting(tags, "new")
    assert len({tuple(waiting.poll()) for _ in range(9)}) == 1
    tags.names.append("new")
    waiting.poll()
    assert waiting.done.name == "new"


def test_a_fleet_of_jobs_does_not_stay_in_step() -> None:
    """Jobs that start together: no second has many more requests than the others."""
    jobs = 300
    tags = Tags([str(number) for number in range(600)])
    fleet = [Waiting(tags, "new", seed=seed) for seed in range(jobs)]
    turns = [(0.0, number) for number in range(jobs)]
    seconds: Counter[int] = Counter()
    while turns[0][0] < 150:
        now, number = heappop(turns)
        tags.windows.clear()
        seconds[int(now)] += len(fleet[number].poll())
        heappush(turns, (fleet[number].now, number))
    later = [seconds[second] for second in range(60, 150)]
    mean = sum(later) / len(later)
    # A poll each 7.5 seconds: two requests, and each sixth time the 7 pages of the whole list.
    assert mean == pytest.approx(jobs / 7.5 * (5 * 2 + 7) / 6, rel=0.1)
    assert max(later) < 2 * mean


def test_waiting_ends_in_time(tags: Tags) -> None:
    """A last poll is shortly before the end."""
    waiting = Waiting(tags, "new", timeout=60)
    while waiting.now < 59.9:
        waiting.poll()
    with pytest.raises(WaitTimeout, match="waited 60 s for 'new': it does not exist"):
        collections.deque(iter(waiting.poll, None), maxlen=0)
    assert 59 < waiting.now <= 60
