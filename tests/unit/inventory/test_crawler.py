"""Walking through many lists side by side: what is asked next, and what comes of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.internals import Batch, Crawler, FetchedPage, FetchTask
from tests.support.lists import Lists

from abeja_registry import Error, PaginationError
from abeja_registry.inventory import InventoryRepository, InventoryRow


def walk_of(
    *,
    page_size: int = 10,
    concurrency: int = 4,
    pages: int = 1,
    breadth: int | None = None,
    without: str = "",
    finished: Mapping[str, InventoryRepository] | None = None,
) -> Crawler:
    """Make a walk through everything."""
    return Crawler(
        page_size=page_size,
        concurrency=concurrency,
        pages=pages,
        breadth=concurrency if breadth is None else breadth,
        included=lambda name: name != without,
        finished=finished,
    )


def walked(
    walk: Crawler, registry: Lists, concurrency: int = 4, chance: random.Random | None = None
) -> tuple[list[InventoryRow], list[str]]:
    """Crawler to the end, carrying tasks out and giving answers in a random order."""
    chance = chance or random.Random(0)
    rows: list[InventoryRow] = []
    finished: list[str] = []
    waiting: list[FetchTask] = []
    came: list[tuple[FetchTask, list[FetchedPage] | Error]] = []
    while True:
        while len(waiting) + len(came) < concurrency and (task := walk.next_task()) is not None:
            waiting.append(task)
        if not waiting and not came:
            return rows, finished
        if waiting and (not came or chance.random() < 0.5):
            task = waiting.pop(chance.randrange(len(waiting)))
            try:
                came.append((task, registry.fetch(task)))
            except Error as error:
                came.append((task, error))
        else:
            task, outcome = came.pop(chance.randrange(len(came)))
            batch = Batch([], [])
            if isinstance(outcome, Error):
                walk.fail(task, outcome)
            else:
                batch = walk.record(task, outcome)
            rows += batch.rows
            finished += (each.id for each in batch.finished)


def under_way(walk: Crawler, registry: Lists, number: int) -> list[FetchTask]:
    """Crawler, a task at a time, until so many can be given out at once; return these."""
    waiting: list[FetchTask] = []
    while True:
        while len(waiting) < number and (task := walk.next_task()) is not None:
            waiting.append(task)
        if len(waiting) == number:
            return waiting
        task = waiting.pop(0)
        walk.record(task, registry.fetch(task))


def names(rows: list[InventoryRow], key: str) -> list[str]:
    """Return the tags of a repository, in the order in which they came."""
    return [each.tag for each in rows if each.repository_id == key]


class Moving(Lists):
    """A registry whose lists others push to and delete from, before each answer."""

    def __init__(self, *counts: int, clamp: int, chance: random.Random, moves: float) -> None:
        super().__init__(*counts, clamp=clamp)
        self._chance = chance
        self._moves = moves
        self._new = 0
        self.always = {key: set(tags) for key, tags in self.tags.items()}

    def fetch(self, task: FetchTask) -> list[FetchedPage]:
        """Let something happen, and carry a task out."""
        while self._chance.random() < self._moves:
            key = self._chance.choice(list(self.tags))
            tags = self.tags[key]
            if tags and self._chance.random() < 0.6:
                self.always[key].discard(tags.pop(self._chance.randrange(len(tags))))
            else:
                self._new += 1
                tags.insert(self._chance.randint(0, len(tags)), f"new{self._new}")
        return super().fetch(task)


@settings(max_examples=300)
@given(
    counts=st.lists(st.integers(0, 120), min_size=1, max_size=6),
    page_size=st.integers(2, 20),
    clamp=st.integers(2, 20),
    concurrency=st.integers(1, 9),
    pages=st.integers(1, 4),
    moves=st.sampled_from([0.0, 0.2, 0.6]),
    seed=st.integers(0, 2**32),
)
def test_each_item_comes_exactly_once(
    counts: list[int],
    page_size: int,
    clamp: int,
    concurrency: int,
    pages: int,
    moves: float,
    seed: int,
) -> None:
    """What is there from first to last comes once, in order, and nothing twice, in any order."""
    chance = random.Random(seed)
    registry = Moving(*counts, clamp=clamp, chance=chance, moves=moves)
    breadth = concurrency * chance.choice([1, 4])
    walk = walk_of(page_size=page_size, concurrency=concurrency, pages=pages, breadth=breadth)
    rows, finished = walked(walk, registry, concurrency, chance)
    assert len(rows) == len(set(rows)) == walk.progress.rows
    assert sorted(finished) == sorted(registry.tags)
    for key in registry.tags:
        came = names(rows, key)
        assert registry.always[key] <= set(came)
        staying = [tag for tag in came if tag in registry.always[key]]
        assert staying == [tag for tag in registry.tags[key] if tag in registry.always[key]]
    assert not walk.failures


def test_what_failed_is_asked_for_again_in_the_end() -> None:
    """Not before all repositories are known, so that what is wrong has time to pass."""
    registry = Lists(*[1] * 15)
    registry.failing["r0"] = 1
    walk = walk_of(concurrency=2)
    held: list[FetchTask] = []
    while (task := walk.next_task()) is not None:
        if task.repository is None and task.offset:
            held.append(task)
            continue
        try:
            walk.record(task, registry.fetch(task))
        except Error as error:
            walk.fail(task, error)

    def asked() -> list[str | None]:
        return [task.repository and task.repository.id for task in registry.asked]

    assert asked().count("r0") == 1
    walk.record(held[0], registry.fetch(held[0]))
    walked(walk, registry)
    assert walk.progress.finished == 15
    assert asked()[-1] == "r0"


class Shaky(Moving):
    """A registry whose pages are now short, now long, now empty, or not there for a while."""

    def __init__(self, *counts: int, chance: random.Random, outages: float) -> None:
        super().__init__(*counts, clamp=20, chance=chance, moves=0.05)
        self._outages = outages
        self._down = 0

    def fetch(self, task: FetchTask) -> list[FetchedPage]:
        """Carry a task out, unless it is of tags and falls into an outage."""
        self.clamp = self._chance.choice([4, 4, 4, 4, 10, 20])
        if task.repository is not None:
            begins = self._chance.random() < self._outages
            self._down = 6 if begins else max(0, self._down - 1)
            if self._down == 6 and self._chance.random() < 0.5:
                return [FetchedPage(task.offset, [], True, [])]
            if self._down:
                raise Error("out of order")
        return super().fetch(task)


@settings(max_examples=400)
@given(
    counts=st.lists(st.integers(100, 400), min_size=1, max_size=3),
    concurrency=st.integers(4, 9),
    pages=st.integers(1, 4),
    outages=st.sampled_from([0.02, 0.06, 0.12]),
    seed=st.integers(0, 2**32),
)
def test_no_repository_is_lost_in_outages(
    counts: list[int], concurrency: int, pages: int, outages: float, seed: int
) -> None:
    """Each is walked through, every item once, or is reported; nothing ends as if it were whole."""
    chance = random.Random(seed)
    registry = Shaky(*counts, chance=chance, outages=outages)
    walk = walk_of(page_size=20, concurrency=concurrency, pages=pages)
    rows, finished = walked(walk, registry, concurrency, chance)
    walk.check_ended()
    failed = [failure.repository_id for failure in walk.failures]
    assert sorted(finished + failed) == sorted(registry.tags)
    assert len(rows) == len(set(rows))
    for key in finished:
        assert registry.always[key] <= set(names(rows, key))


def test_a_walk_that_stops_with_lists_left_says_so() -> None:
    """Nothing that is not there may look like the end: a file would be taken for whole."""
    with pytest.raises(Error, match="the inventory stopped with 1 lists left"):
        walk_of().check_ended()


def test_what_comes_late_of_a_task_that_was_given_up_counts_for_nothing() -> None:
    """The page that was asked for anew in its place decides."""
    registry = Lists(300)
    walk = walk_of(concurrency=4)
    first, *late = under_way(walk, registry, 4)
    walk.fail(first, Error("first"))
    again = walk.next_task()
    assert again is not None
    walk.record(again, registry.fetch(again))
    after = walk.next_task()
    assert after is not None
    assert [again.offset, after.offset] == [first.offset, late[0].offset]
    for task in late:
        walk.fail(task, Error("late"))
    walk.record(after, registry.fetch(after))
    walked(walk, registry)
    assert not walk.failures
    assert walk.progress.rows == 300


def test_a_list_that_was_given_up_waits_for_nothing_of_before() -> None:
    """What was under way for the place where it failed came while nobody listened."""
    registry = Lists(200, clamp=4)
    walk = walk_of(concurrency=2, pages=3)
    first, second = under_way(walk, registry, 2)
    assert second.offset == first.offset + 9
    # The second page is longer than those before, so that the third starts in the second task.
    short, *_ = registry.fetch(first)
    registry.clamp = 10
    long, *_ = registry.fetch(replace(first, offset=first.offset + 3))
    walk.record(first, [short, long, FetchedPage(first.offset + 12, [], True, [])])
    walk.record(second, registry.fetch(second))
    walked(walk, registry)
    walk.check_ended()
    assert walk.progress.rows == 200
    assert not walk.failures


def test_a_large_list_is_walked_through_in_several_places_at_once() -> None:
    """Once a list has shown how it pages, tasks for what follows are given out ahead."""
    registry = Lists(1000)
    walk = walk_of(concurrency=8)
    widest = 0
    waiting: list[FetchTask] = []
    while True:
        while len(waiting) < 8 and (task := walk.next_task()) is not None:
            waiting.append(task)
        if not waiting:
            break
        widest = max(widest, len(waiting))
        task = waiting.pop(0)
        walk.record(task, registry.fetch(task))
    assert widest == 8
    assert walk.progress.rows == 1000
    # 1 for the repository; 111 pages, each an item early; and less than a round too many.
    assert 112 <= len(registry.asked) < 112 + 8


def test_small_lists_cost_a_request_each() -> None:
    """Nothing is fetched ahead of a list that has ended with its first page."""
    registry = Lists(*[5] * 20)
    rows, finished = walked(walk_of(page_size=100), registry)
    assert (len(rows), len(finished), len(registry.asked)) == (100, 20, 21)


def asked(registry: Lists) -> list[str | None]:
    """Return whose pages were asked for, in order; None for the list of repositories."""
    return [task.repository and task.repository.id for task in registry.asked]


def test_of_short_lists_no_page_too_many_is_asked() -> None:
    """Lists of three pages are not fetched ahead, not even where tasks are left without work."""
    registry = Lists(*[25] * 20)
    walked(walk_of(concurrency=16), registry, concurrency=16)
    pages_of_the_list = 3
    assert len(registry.asked) == pages_of_the_list + 20 * 3


def test_many_short_lists_are_begun_before_one_is_walked_on() -> None:
    """So they end together: no task is left without work while another goes page by page."""
    registry = Lists(*[25] * 30)
    walk = walk_of(page_size=10, concurrency=4, breadth=13)
    while (task := walk.next_task()) is not None and len(registry.asked) < 25:
        walk.record(task, registry.fetch(task))
    tags = [key for key in asked(registry) if key is not None]
    assert tags[:13] == [f"r{at}" for at in range(13)]
    # From then on a list that has ended makes room for another; the others take turns.
    assert tags[13:16] == ["r0", "r1", "r2"]


def test_a_list_that_has_proved_long_is_walked_through_before_others() -> None:
    """Whoever is interrupted has whole repositories, and not a part of each."""
    registry = Lists(*[200] * 6)
    _, finished = walked(walk_of(concurrency=2, breadth=5), registry, concurrency=2)
    tags = [key for key in asked(registry) if key is not None]
    # Two at a time: when they have ended, the others have had their first pages alone.
    for ended in (2, 4):
        last = max(len(tags) - tags[::-1].index(key) for key in finished[:ended])
        assert all(tags[:last].count(key) <= 3 for key in finished[ended + 1 :])


def test_one_task_at_a_time_walks_from_repository_to_repository() -> None:
    """The next one is begun when the one before has ended."""
    registry = Lists(*[30] * 5)
    _, finished = walked(walk_of(concurrency=1), registry, concurrency=1)
    tags = [key for key in asked(registry) if key is not None]
    assert finished == list(registry.tags)
    assert tags == sorted(tags)


def test_repositories_are_looked_up_as_they_are_needed() -> None:
    """The list of repositories is not read on while enough of them wait."""
    registry = Lists(*[1] * 200)
    walk = walk_of(page_size=10, concurrency=2)
    task = walk.next_task()
    while task is not None and task.repository is None:
        walk.record(task, registry.fetch(task))
        task = walk.next_task()
    assert walk.progress.repositories == 10
    assert task is not None


def test_what_is_not_included_is_not_asked_for() -> None:
    """A repository whose name does not fit, or that is finished, costs nothing."""
    registry = Lists(*[3] * 12)
    walk = walk_of(page_size=100, without="R9", finished={"r1": InventoryRepository("r1", "R1", 3)})
    rows, finished = walked(walk, registry)
    assert {"r9", "r1"} == set(registry.tags) - set(finished)
    assert {each.repository_id for each in rows} == set(finished)
    assert walk.progress.repositories == walk.progress.finished == 11


@pytest.mark.parametrize("pages", [1, 3])
def test_a_repository_that_fails_once_is_walked_through_in_the_end(pages: int) -> None:
    """It is tried again after all others, from where it was."""
    registry = Lists(50, 50, 50)
    registry.failing = {"r1": 1}
    walk = walk_of(pages=pages)
    rows, finished = walked(walk, registry)
    assert names(rows, "r1") == registry.tags["r1"]
    assert finished[-1] == "r1"
    assert not walk.failures


def test_a_repository_that_fails_twice_is_reported() -> None:
    """The others are walked through; it stands among the failures, with its second error."""
    registry = Lists(5, 5, 5)
    registry.failing = {"r1": 2}
    walk = walk_of()
    rows, finished = walked(walk, registry)
    assert {each.repository_id for each in rows} == set(finished) == {"r0", "r2"}
    [failure] = walk.failures
    assert (failure.repository_id, failure.repository_name) == ("r1", "R1")
    assert str(failure.error) == "r1 failed"
    assert (walk.progress.finished, walk.progress.failed) == (2, 1)


def test_a_page_ahead_that_fails_does_not_count_against_its_list() -> None:
    """It is fetched again when it is needed: only then its failing matters."""
    registry = Lists(300)
    walk = walk_of(concurrency=4)
    waiting: list[FetchTask] = []
    rows: list[InventoryRow] = []
    failed = 0
    while True:
        while len(waiting) < 4 and (task := walk.next_task()) is not None:
            waiting.append(task)
        if not waiting:
            break
        # The furthest ahead comes first, and every one that is not alone fails.
        task = waiting.pop()
        if waiting and failed < 5:
            failed += 1
            walk.fail(task, Error("ahead"))
        else:
            rows += walk.record(task, registry.fetch(task)).rows
    assert failed == 5
    assert names(rows, "r0") == registry.tags["r0"]
    assert not walk.failures


def test_without_the_list_of_repositories_there_is_no_going_on() -> None:
    """Its error is raised."""
    registry = Lists(1)
    registry.failing = {None: 1}
    with pytest.raises(Error, match="None failed"):
        walked(walk_of(), registry)


def test_a_list_that_contradicts_itself_is_a_failure() -> None:
    """What came before is kept, and the others are walked through."""
    registry = Lists(5, 5)
    walk = walk_of()
    rows: list[InventoryRow] = []
    while (task := walk.next_task()) is not None:
        pages = registry.fetch(task)
        if task.repository is not None and task.repository.id == "r0":
            pages = [FetchedPage(task.offset, [], True, [])]
        rows += walk.record(task, pages).rows
    assert names(rows, "r1") == registry.tags["r1"]
    [failure] = walk.failures
    assert type(failure.error) is PaginationError


def test_what_nobody_waits_for_any_more_changes_nothing() -> None:
    """An answer, or an error, to a task of a list that was given up or has ended, is passed by."""
    registry = Lists(5)
    walk = walk_of()
    root = walk.next_task()
    assert root is not None
    walk.record(root, registry.fetch(root))
    task = walk.next_task()
    assert task is not None
    stranger = FetchTask(task.repository, task.limit, 77)
    assert walk.record(stranger, registry.fetch(task)) == Batch([], [])
    walk.fail(stranger, Error("stranger"))
    assert len(walk.record(task, registry.fetch(task)).rows) == 5
    assert walk.record(task, registry.fetch(task)) == Batch([], [])
    walk.fail(task, Error("late"))
    assert not walk.failures


def test_a_task_that_was_not_carried_out_is_given_out_again() -> None:
    """After others, and only while its list still needs it."""
    registry = Lists(300, 5)
    walk = walk_of(concurrency=4)
    first, *late = under_way(walk, registry, 4)
    # The list is fetched again from here on, so the tasks after it are not needed any more.
    walk.fail(first, Error("first"))
    for task in late:
        walk.send_again(task)
    tasks = []
    while (given := walk.next_task()) is not None:
        tasks.append(given)
    assert not set(tasks) & set(late)
    walk.send_again(tasks[0])
    assert walk.next_task() is tasks[0]
    for task in tasks:
        walk.record(task, registry.fetch(task))
    walked(walk, registry)
    walk.check_ended()
    assert not walk.failures
    assert walk.progress.rows == 305
