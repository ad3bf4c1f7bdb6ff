"""How an inventory slows down: the width, the waits, and inventories in simulated time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.internals import THROTTLE_PATIENCE, Crawler, FetchTask, Throttle
from tests.support.lists import Lists

from abeja_registry import RetryPolicy, TooManyRequests

NO_WAITS = RetryPolicy(base_delay=0, throttled_base_delay=0, max_delay=0)


def throttle_of(
    widest: int = 16, policy: RetryPolicy | None = None, fraction: float = 1.0
) -> Throttle:
    """Make a throttle whose random is this number."""
    return Throttle(widest, policy or RetryPolicy(), lambda: fraction)


def test_the_width_falls_at_once_and_rises_slowly() -> None:
    """Multiplicative decrease, once a pause; additive increase, a fraction for each success."""
    throttle = throttle_of(16, fraction=0.0)
    assert (throttle.width, throttle.narrowed) == (16, False)
    widths = []
    for second in range(8):
        assert throttle.throttled("a", 1, second * 10)
        # These were in flight already.
        assert throttle.throttled("b", 1, second * 10 + 0.5)
        widths.append(throttle.width)
    assert widths == [12, 9, 6, 5, 3, 2, 2, 1]
    successes = 0
    while throttle.narrowed:
        throttle.succeeded("a")
        successes += 1
        assert 1 <= throttle.width <= 16
    assert 500 < successes < 1500
    throttle.succeeded("a")
    assert throttle.width == 16


@pytest.mark.parametrize("asked", [1, 7, 60])
def test_nothing_is_sent_before_retry_after_is_over(asked: int) -> None:
    """`Retry-After` counts from the latest response that has it."""
    throttle = throttle_of(fraction=0.0)
    assert throttle.wait(100.0) == 0
    assert throttle.throttled("a", asked, 100.0)
    assert throttle.wait(100.0) == asked
    assert throttle.throttled("b", asked, 100.5)
    assert throttle.wait(100.5) == asked
    assert throttle.throttled("c", None, 100.6)
    assert throttle.wait(100.6) == pytest.approx(asked - 0.1)
    assert throttle.wait(100.5 + asked) == 0
    assert throttle.count == 3


def test_a_wait_ends_even_if_the_clock_does_not_move() -> None:
    """After a sleep the wait is over, though the clock is the same."""
    throttle = throttle_of()
    throttle.throttled("a", 1, 0.0)
    throttle.resume()
    assert throttle.wait(0.0) == 0


@pytest.mark.parametrize("retry_after", [None, 0.0])
def test_without_retry_after_the_wait_doubles(retry_after: float | None) -> None:
    """It starts at the policy's delay again after a success; `Retry-After: 0` counts as none."""
    throttle = throttle_of(policy=RetryPolicy(throttled_base_delay=2, max_delay=10))
    waits = []
    for _ in range(4):
        throttle.throttled("a", retry_after, 0.0)
        waits.append(throttle.wait(0.0))
        throttle.resume()
    throttle.succeeded("a")
    throttle.throttled("a", retry_after, 0.0)
    assert [*waits, throttle.wait(0.0)] == [2, 4, 8, 10, 2]


def test_a_longer_retry_after_than_the_policy_allows_fails() -> None:
    """The request fails at once, and others may be sent."""
    throttle = throttle_of(policy=RetryPolicy(max_retry_after=5))
    assert not throttle.throttled("a", 6, 0.0)
    assert throttle.wait(0.0) == 0
    assert throttle.throttled("a", 5, 0.0)


@pytest.mark.parametrize("policy", [RetryPolicy(), NO_WAITS], ids=["waits", "no waits"])
@pytest.mark.parametrize("retry_after", [None, 0.0, 1.0, 30.0])
def test_an_api_that_throttles_everything_ends_an_inventory(
    policy: RetryPolicy, retry_after: float | None
) -> None:
    """After some minutes of waits without a success, each throttled request fails."""
    throttle = throttle_of(policy=policy)
    waited = now = 0.0
    sent = 0
    while throttle.throttled(f"request {sent % 3}", retry_after, now):
        sent += 1
        waited += throttle.wait(now)
        now += throttle.wait(now)
        assert sent <= THROTTLE_PATIENCE
    assert sent >= THROTTLE_PATIENCE / 30
    assert waited >= THROTTLE_PATIENCE or policy is NO_WAITS
    assert not throttle.throttled("another", retry_after, now)
    throttle.succeeded("another")
    assert throttle.throttled("another", retry_after, now)


def test_a_request_that_is_always_throttled_fails_alone() -> None:
    """Others succeed meanwhile, for minutes: the rate is not its cause."""
    throttle = throttle_of()
    now, turns = 0.0, 0
    while throttle.throttled("bad", 20, now):
        turns += 1
        now += throttle.wait(now)
        throttle.succeeded("good")
    assert 10 < turns < 100


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.sampled_from([None, 0.0, 0.5, 1.0, 60.0]), st.integers(0, 30))),
)
def test_the_width_stays_within_its_bounds(
    widest: int, events: list[tuple[float | None, int]]
) -> None:
    """It is at least one request, and at most the concurrency."""
    throttle = throttle_of(widest)
    now = 0.0
    for retry_after, successes in events:
        throttle.throttled("a", retry_after, now)
        now += throttle.wait(now)
        for _ in range(successes):
            assert 1 <= throttle.width <= widest
            throttle.succeeded("b")
        assert 1 <= throttle.width <= widest


# -- inventories in simulated time ----------------------------------------------------------------

Limiter = Callable[[float], bool]


def fixed_window(rate: int) -> Limiter:
    """Allow so many requests in each second."""
    counts: dict[int, int] = {}

    def allow(now: float) -> bool:
        counts[int(now)] = counts.get(int(now), 0) + 1
        return counts[int(now)] <= rate

    return allow


def sliding_window(rate: int) -> Limiter:
    """Allow so many requests within any second; a refused one does not count."""
    allowed: list[float] = []

    def allow(now: float) -> bool:
        allowed[:] = [then for then in allowed if then > now - 1]
        if len(allowed) < rate:
            allowed.append(now)
            return True
        return False

    return allow


def token_bucket(rate: int) -> Limiter:
    """Allow so many requests a second, and as many at once after a pause."""
    tokens, then = float(rate), 0.0

    def allow(now: float) -> bool:
        nonlocal tokens, then
        tokens, then = min(rate, tokens + (now - then) * rate), now
        if tokens < 1:
            return False
        tokens -= 1
        return True

    return allow


LIMITERS = [fixed_window, sliding_window, token_bucket]


@dataclass
class Simulation:
    """An inventory of an API that throttles, in simulated time.

    Attributes:
        registry: The lists of the API.
        allow: Whether the API accepts a request at a time.
        concurrency: Requests in flight at most.
        latency: Seconds that each request takes.
        retry_after: The seconds in a throttled response.
        refused: Ids of repositories whose requests are always throttled.
        now: The time.
        sent: Requests that were sent.
    """

    registry: Lists
    allow: Limiter
    concurrency: int = 16
    latency: float = 0.002
    retry_after: float | None = 1.0
    refused: frozenset[str] = frozenset()
    seed: int = 0
    now: float = 0.0
    sent: int = 0
    rows: list[Any] = field(default_factory=list)

    def run(self) -> Crawler:
        """Run a crawler to its end, as an inventory does."""
        chance = random.Random(self.seed)
        throttle = Throttle(self.concurrency, RetryPolicy(), chance.random)
        crawler = Crawler(
            page_size=100,
            concurrency=self.concurrency,
            pages=1,
            breadth=1 + (self.concurrency - 1) * 4,
            included=lambda _: True,
        )
        numbers = count()
        # The time of each response, and whether its request was accepted.
        responses: list[tuple[float, int, FetchTask, bool]] = []
        while True:
            wait = throttle.wait(self.now)
            room = throttle.width
            while not wait and len(responses) < room and (task := crawler.next_task()) is not None:
                self.sent += 1
                arrives = self.now + self.latency * chance.uniform(0.4, 0.6)
                key = task.repository and task.repository.id
                allowed = self.allow(arrives) and key not in self.refused
                heappush(responses, (arrives + self.latency / 2, next(numbers), task, allowed))
            if not responses and not wait:
                crawler.check_ended()
                return crawler
            if wait and (not responses or responses[0][0] > self.now + wait):
                self.now += wait
                throttle.resume()
                continue
            self.now, _, task, allowed = heappop(responses)
            if allowed:
                throttle.succeeded(task)
                self.rows += crawler.record(task, self.registry.fetch(task)).rows
            elif throttle.throttled(task, self.retry_after, self.now):
                crawler.send_again(task)
            else:
                crawler.fail(task, TooManyRequests("too_many_requests", "", status_code=429))


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("concurrency", [1, 4, 16, 100])
@pytest.mark.parametrize(
    ("rate", "repositories", "latency"),
    [(5, 60, 0.001), (5, 60, 0.02), (20, 400, 0.001), (20, 400, 0.02), (100, 900, 0.001)],
)
def test_a_rate_limited_api_slows_an_inventory_down_and_does_not_end_it(
    limiter: Callable[[int], Limiter],
    concurrency: int,
    rate: int,
    repositories: int,
    latency: float,
) -> None:
    """All rows are returned in 1.5 times the time that the rate allows, with few retries."""
    simulation = Simulation(
        Lists(*[1] * repositories), limiter(rate), concurrency=concurrency, latency=latency
    )
    crawler = simulation.run()
    assert not crawler.failures
    assert len(simulation.rows) == repositories
    assert simulation.now <= 1.5 * repositories / rate
    assert simulation.sent <= repositories * 1.6 + 5 * concurrency


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("seed", range(5))
def test_an_api_without_retry_after(limiter: Callable[[int], Limiter], seed: int) -> None:
    """All rows are returned, with random waits."""
    simulation = Simulation(Lists(*[1] * 400), limiter(20), retry_after=None, seed=seed)
    assert not simulation.run().failures
    assert len(simulation.rows) == 400
    assert simulation.now <= 3 * 19


@pytest.mark.parametrize("limiter", LIMITERS)
def test_a_large_repository_of_a_rate_limited_api(limiter: Callable[[int], Limiter]) -> None:
    """Pages that are fetched ahead slow down too, and the rows keep their order."""
    simulation = Simulation(Lists(20_000, 1, 1), limiter(20))
    assert not simulation.run().failures
    assert [row.tag for row in simulation.rows if row.repository_id == "r0"] == [
        f"t{at}" for at in range(20_000)
    ]
    assert simulation.now <= 1.5 * 200 / 20


@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_a_repository_that_is_always_throttled_fails_alone(concurrency: int) -> None:
    """The others are unaffected, and the inventory ends."""
    simulation = Simulation(
        Lists(*[1] * 100), lambda _: True, concurrency=concurrency, refused=frozenset({"r7"})
    )
    crawler = simulation.run()
    assert [failure.repository_id for failure in crawler.failures] == ["r7"]
    assert isinstance(crawler.failures[0].error, TooManyRequests)
    assert len(simulation.rows) == 99


def test_an_api_that_throttles_every_request_after_some_time() -> None:
    """The first rows are returned; the list of repositories cannot be read to its end."""
    simulation = Simulation(Lists(*[1] * 4000), lambda now: now < 0.05)
    with pytest.raises(TooManyRequests):
        simulation.run()
    assert 0 < len(simulation.rows) < 1000
    assert simulation.sent < 1000
