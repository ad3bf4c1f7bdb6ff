"""Reading many lists in parallel: which page is requested next, and which rows are returned."""

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


def crawler_of(
    *,
    page_size: int = 10,
    concurrency: int = 4,
    pages: int = 1,
    breadth: int | None = None,
    without: str = "",
    finished: Mapping[str, InventoryRepository] | None = None,
) -> Crawler:
    """Return a crawler of all repositories but one."""
    return Crawler(
        page_size=page_size,
        concurrency=concurrency,
        pages=pages,
        breadth=concurrency if breadth is None else breadth,
        included=lambda name: name != without,
        finished=finished,
    )


def run(
    crawler: Crawler, registry: Lists, concurrency: int = 4, chance: random.Random | None = None
) -> tuple[list[InventoryRow], list[str]]:
    """Run a crawler to its end, with tasks sent and results recorded in a random order."""
    chance = chance or random.Random(0)
    rows: list[InventoryRow] = []
    finished: list[str] = []
    waiting: list[FetchTask] = []
    returned: list[tuple[FetchTask, list[FetchedPage] | Error]] = []
    while True:
        while (
            len(waiting) + len(returned) < concurrency and (task := crawler.next_task()) is not None
        ):
            waiting.append(task)
        if not waiting and not returned:
            return rows, finished
        if waiting and (not returned or chance.random() < 0.5):
            task = waiting.pop(chance.randrange(len(waiting)))
            try:
                returned.append((task, registry.fetch(task)))
            except Error as error:
                returned.append((task, error))
        else:
            task, outcome = returned.pop(chance.randrange(len(returned)))
            batch = Batch([], [])
            if isinstance(outcome, Error):
                crawler.fail(task, outcome)
            else:
                batch = crawler.record(task, outcome)
            rows += batch.rows
            finished += (each.id for each in batch.finished)


def until_in_flight(crawler: Crawler, registry: Lists, number: int) -> list[FetchTask]:
    """Run a crawler, a task at a time, until it hands out so many at once; return these."""
    waiting: list[FetchTask] = []
    while True:
        while len(waiting) < number and (task := crawler.next_task()) is not None:
            waiting.append(task)
        if len(waiting) == number:
            return waiting
        task = waiting.pop(0)
        crawler.record(task, registry.fetch(task))


def names(rows: list[InventoryRow], key: str) -> list[str]:
    """Return the tags of a repository, in the order of their return."""
    return [each.tag for each in rows if each.repository_id == key]


class Moving(Lists):
    """A registry whose lists change before each response."""

    def __init__(self, *counts: int, clamp: int, chance: random.Random, moves: float) -> None:
        super().__init__(*counts, clamp=clamp)
        self._chance = chance
        self._moves = moves
        self._new = 0
        self.always = {key: set(tags) for key, tags in self.tags.items()}

    def fetch(self, task: FetchTask) -> list[FetchedPage]:
        """Change the lists, and run a task."""
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
def test_each_item_is_returned_exactly_once(
    counts: list[int],
    page_size: int,
    clamp: int,
    concurrency: int,
    pages: int,
    moves: float,
    seed: int,
) -> None:
    """Items that exist throughout are returned once, in order, also while lists change."""
    chance = random.Random(seed)
    registry = Moving(*counts, clamp=clamp, chance=chance, moves=moves)
    breadth = concurrency * chance.choice([1, 4])
    crawler = crawler_of(page_size=page_size, concurrency=concurrency, pages=pages, breadth=breadth)
    rows, finished = run(crawler, registry, concurrency, chance)
    assert len(rows) == len(set(rows)) == crawler.progress.rows
    assert sorted(finished) == sorted(registry.tags)
    for key in registry.tags:
        returned = names(rows, key)
        assert registry.always[key] <= set(returned)
        staying = [tag for tag in returned if tag in registry.always[key]]
        assert staying == [tag for tag in registry.tags[key] if tag in registry.always[key]]
    assert not crawler.failures


def test_a_failed_repository_is_requested_again_after_all_others() -> None:
    """All repositories are known before, which gives a problem time to pass."""
    registry = Lists(*[1] * 15)
    registry.failing["r0"] = 1
    crawler = crawler_of(concurrency=2)
    held: list[FetchTask] = []
    while (task := crawler.next_task()) is not None:
        if task.repository is None and task.offset:
            held.append(task)
            continue
        try:
            crawler.record(task, registry.fetch(task))
        except Error as error:
            crawler.fail(task, error)

    def asked() -> list[str | None]:
        return [task.repository and task.repository.id for task in registry.asked]

    assert asked().count("r0") == 1
    crawler.record(held[0], registry.fetch(held[0]))
    run(crawler, registry)
    assert crawler.progress.finished == 15
    assert asked()[-1] == "r0"


class Shaky(Moving):
    """A registry whose pages vary in length, or fail or are empty for a while."""

    def __init__(self, *counts: int, chance: random.Random, outages: float) -> None:
        super().__init__(*counts, clamp=20, chance=chance, moves=0.05)
        self._outages = outages
        self._down = 0

    def fetch(self, task: FetchTask) -> list[FetchedPage]:
        """Run a task, unless it is for tags and falls into an outage."""
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
    """Each is read completely, every item once, or is reported as failed."""
    chance = random.Random(seed)
    registry = Shaky(*counts, chance=chance, outages=outages)
    crawler = crawler_of(page_size=20, concurrency=concurrency, pages=pages)
    rows, finished = run(crawler, registry, concurrency, chance)
    crawler.check_ended()
    failed = [failure.repository_id for failure in crawler.failures]
    assert sorted(finished + failed) == sorted(registry.tags)
    assert len(rows) == len(set(rows))
    for key in finished:
        assert registry.always[key] <= set(names(rows, key))


def test_stopping_with_lists_left_is_an_error() -> None:
    """An incomplete result must not look complete."""
    with pytest.raises(Error, match="the inventory stopped with 1 lists left"):
        crawler_of().check_ended()


def test_a_late_result_of_a_dropped_task_is_ignored() -> None:
    """The page that was requested again in its place counts."""
    registry = Lists(300)
    crawler = crawler_of(concurrency=4)
    first, *late = until_in_flight(crawler, registry, 4)
    crawler.fail(first, Error("first"))
    again = crawler.next_task()
    assert again is not None
    crawler.record(again, registry.fetch(again))
    after = crawler.next_task()
    assert after is not None
    assert [again.offset, after.offset] == [first.offset, late[0].offset]
    for task in late:
        crawler.fail(task, Error("late"))
    crawler.record(after, registry.fetch(after))
    run(crawler, registry)
    assert not crawler.failures
    assert crawler.progress.rows == 300


def test_a_list_that_was_given_up_drops_its_tasks_in_flight() -> None:
    """A result that arrives after the failure does not block the second attempt."""
    registry = Lists(200, clamp=4)
    crawler = crawler_of(concurrency=2, pages=3)
    first, second = until_in_flight(crawler, registry, 2)
    assert second.offset == first.offset + 9
    # The second page is longer than those before, so that the third starts in the second task.
    short, *_ = registry.fetch(first)
    registry.clamp = 10
    long, *_ = registry.fetch(replace(first, offset=first.offset + 3))
    crawler.record(first, [short, long, FetchedPage(first.offset + 12, [], True, [])])
    crawler.record(second, registry.fetch(second))
    run(crawler, registry)
    crawler.check_ended()
    assert crawler.progress.rows == 200
    assert not crawler.failures


def test_the_pages_of_a_large_list_are_fetched_in_parallel() -> None:
    """Once a list has shown its page size, tasks for later pages are handed out ahead."""
    registry = Lists(1000)
    crawler = crawler_of(concurrency=8)
    widest = 0
    waiting: list[FetchTask] = []
    while True:
        while len(waiting) < 8 and (task := crawler.next_task()) is not None:
            waiting.append(task)
        if not waiting:
            break
        widest = max(widest, len(waiting))
        task = waiting.pop(0)
        crawler.record(task, registry.fetch(task))
    assert widest == 8
    assert crawler.progress.rows == 1000
    # 1 for the repository; 111 pages, which overlap by an item; less than 8 too many.
    assert 112 <= len(registry.asked) < 112 + 8


def test_small_lists_cost_a_request_each() -> None:
    """Nothing is fetched ahead of a list that ended with its first page."""
    registry = Lists(*[5] * 20)
    rows, finished = run(crawler_of(page_size=100), registry)
    assert (len(rows), len(finished), len(registry.asked)) == (100, 20, 21)


def asked(registry: Lists) -> list[str | None]:
    """Return the repository of each request, in order; None for the list of repositories."""
    return [task.repository and task.repository.id for task in registry.asked]


def test_no_page_is_fetched_ahead_of_a_short_list() -> None:
    """Lists of three pages are not fetched ahead, even if no other task is left."""
    registry = Lists(*[25] * 20)
    run(crawler_of(concurrency=16), registry, concurrency=16)
    pages_of_the_list = 3
    assert len(registry.asked) == pages_of_the_list + 20 * 3


def test_many_short_lists_are_started_before_one_continues() -> None:
    """They end together: no worker is idle while one list is read page by page."""
    registry = Lists(*[25] * 30)
    crawler = crawler_of(page_size=10, concurrency=4, breadth=13)
    while (task := crawler.next_task()) is not None and len(registry.asked) < 25:
        crawler.record(task, registry.fetch(task))
    tags = [key for key in asked(registry) if key is not None]
    assert tags[:13] == [f"r{at}" for at in range(13)]
    # From then on a list that has ended is replaced by another; the others take turns.
    assert tags[13:16] == ["r0", "r1", "r2"]


def test_a_long_list_is_read_before_others() -> None:
    """An interrupted inventory has some complete repositories instead of a part of each."""
    registry = Lists(*[200] * 6)
    _, finished = run(crawler_of(concurrency=2, breadth=5), registry, concurrency=2)
    tags = [key for key in asked(registry) if key is not None]
    # Two at a time: when they have ended, only the first pages of the others were read.
    for ended in (2, 4):
        last = max(len(tags) - tags[::-1].index(key) for key in finished[:ended])
        assert all(tags[:last].count(key) <= 3 for key in finished[ended + 1 :])


def test_a_concurrency_of_one_reads_one_repository_after_another() -> None:
    """The next one is started when the one before has ended."""
    registry = Lists(*[30] * 5)
    _, finished = run(crawler_of(concurrency=1), registry, concurrency=1)
    tags = [key for key in asked(registry) if key is not None]
    assert finished == list(registry.tags)
    assert tags == sorted(tags)


def test_repositories_are_listed_as_they_are_needed() -> None:
    """The list is not read further while enough repositories wait."""
    registry = Lists(*[1] * 200)
    crawler = crawler_of(page_size=10, concurrency=2)
    task = crawler.next_task()
    while task is not None and task.repository is None:
        crawler.record(task, registry.fetch(task))
        task = crawler.next_task()
    assert crawler.progress.repositories == 10
    assert task is not None


def test_repositories_that_are_not_included_are_not_requested() -> None:
    """A repository that does not match, or that is finished, costs no request."""
    registry = Lists(*[3] * 12)
    crawler = crawler_of(
        page_size=100, without="R9", finished={"r1": InventoryRepository("r1", "R1", 3)}
    )
    rows, finished = run(crawler, registry)
    assert {"r9", "r1"} == set(registry.tags) - set(finished)
    assert {each.repository_id for each in rows} == set(finished)
    assert crawler.progress.repositories == crawler.progress.finished == 11


@pytest.mark.parametrize("pages", [1, 3])
def test_a_repository_that_fails_once_continues_after_all_others(pages: int) -> None:
    """It is read again from where it failed."""
    registry = Lists(50, 50, 50)
    registry.failing = {"r1": 1}
    crawler = crawler_of(pages=pages)
    rows, finished = run(crawler, registry)
    assert names(rows, "r1") == registry.tags["r1"]
    assert finished[-1] == "r1"
    assert not crawler.failures


def test_a_repository_that_fails_twice_is_reported() -> None:
    """The others are read; the failure has the second error."""
    registry = Lists(5, 5, 5)
    registry.failing = {"r1": 2}
    crawler = crawler_of()
    rows, finished = run(crawler, registry)
    assert {each.repository_id for each in rows} == set(finished) == {"r0", "r2"}
    [failure] = crawler.failures
    assert (failure.repository_id, failure.repository_name) == ("r1", "R1")
    assert str(failure.error) == "r1 failed"
    assert (crawler.progress.finished, crawler.progress.failed) == (2, 1)


def test_a_failed_page_ahead_does_not_fail_its_list() -> None:
    """It is fetched again when it is needed; only then a failure counts."""
    registry = Lists(300)
    crawler = crawler_of(concurrency=4)
    waiting: list[FetchTask] = []
    rows: list[InventoryRow] = []
    failed = 0
    while True:
        while len(waiting) < 4 and (task := crawler.next_task()) is not None:
            waiting.append(task)
        if not waiting:
            break
        # The page furthest ahead is first, and each that is not the only one fails.
        task = waiting.pop()
        if waiting and failed < 5:
            failed += 1
            crawler.fail(task, Error("ahead"))
        else:
            rows += crawler.record(task, registry.fetch(task)).rows
    assert failed == 5
    assert names(rows, "r0") == registry.tags["r0"]
    assert not crawler.failures


def test_the_list_of_repositories_is_required() -> None:
    """Its error is raised."""
    registry = Lists(1)
    registry.failing = {None: 1}
    with pytest.raises(Error, match="None failed"):
        run(crawler_of(), registry)


def test_a_list_that_contradicts_itself_is_a_failure() -> None:
    """The earlier rows are kept, and the other lists are read."""
    registry = Lists(5, 5)
    crawler = crawler_of()
    rows: list[InventoryRow] = []
    while (task := crawler.next_task()) is not None:
        pages = registry.fetch(task)
        if task.repository is not None and task.repository.id == "r0":
            pages = [FetchedPage(task.offset, [], True, [])]
        rows += crawler.record(task, pages).rows
    assert names(rows, "r1") == registry.tags["r1"]
    [failure] = crawler.failures
    assert type(failure.error) is PaginationError


def test_results_of_unknown_tasks_are_ignored() -> None:
    """So are results for a list that was given up or has ended."""
    registry = Lists(5)
    crawler = crawler_of()
    root = crawler.next_task()
    assert root is not None
    crawler.record(root, registry.fetch(root))
    task = crawler.next_task()
    assert task is not None
    stranger = FetchTask(task.repository, task.limit, 77, 1)
    assert crawler.record(stranger, registry.fetch(task)) == Batch([], [])
    crawler.fail(stranger, Error("stranger"))
    assert len(crawler.record(task, registry.fetch(task)).rows) == 5
    assert crawler.record(task, registry.fetch(task)) == Batch([], [])
    crawler.fail(task, Error("late"))
    assert not crawler.failures


def test_a_task_that_was_not_sent_is_handed_out_again() -> None:
    """After others, and only while its list still needs it."""
    registry = Lists(300, 5)
    crawler = crawler_of(concurrency=4)
    first, *late = until_in_flight(crawler, registry, 4)
    # The list is fetched again from here on, so the tasks after it are not needed any more.
    crawler.fail(first, Error("first"))
    for task in late:
        crawler.send_again(task)
    tasks = []
    while (given := crawler.next_task()) is not None:
        tasks.append(given)
    assert not set(tasks) & set(late)
    crawler.send_again(tasks[0])
    assert crawler.next_task() is tasks[0]
    for task in tasks:
        crawler.record(task, registry.fetch(task))
    run(crawler, registry)
    crawler.check_ended()
    assert not crawler.failures
    assert crawler.progress.rows == 305


def test_results_of_one_list_that_are_recorded_together() -> None:
    """No page is requested twice where several results come before the next request."""
    registry = Lists(200)
    crawler = crawler_of(page_size=5)
    rows: list[InventoryRow] = []
    for task in until_in_flight(crawler, registry, 4):
        rows += crawler.record(task, registry.fetch(task)).rows
    asked = len(registry.asked)
    rest, finished = run(crawler, registry)
    tags = names([*rows, *rest], "r0")
    assert finished == ["r0"]
    assert tags[-1] == "t199"
    assert len(set(tags)) == len(tags)
    later = registry.asked[asked:]
    assert len(set(later)) == len(later)
