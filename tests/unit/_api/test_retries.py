"""Retries: the policy, the budget, the attempts of one call, and the clients."""

from __future__ import annotations

import logging
import math
import os
import pickle
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.internals import (
    AttemptResult,
    Attempts,
    NoResponse,
    Operation,
    Response,
    RetryBudget,
    as_in_child,
    budget_of,
    create_repository,
    delete_repository,
    get_repositories,
    get_repository,
    get_repository_tags,
    lock_of,
    no_response,
    outcome_unknown,
    replace_random,
    replace_sleep,
    response,
)
from tests.support.patience import PATIENCE
from tests.support.worlds import done

from abeja_registry import (
    Attempt,
    ConfigurationError,
    Error,
    HttpError,
    InternalServerError,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    Retry,
    RetryPolicy,
    Timeout,
    TooManyRequests,
    TransportError,
)

if TYPE_CHECKING:
    from tests.support.scripted import ScriptedApi

CREATE = create_repository("1", "sample")
DELETE = delete_repository("1", "2")
GET = get_repository("1", "2")
IDEMPOTENT = (DELETE, GET, get_repositories("1"), get_repository_tags("1", "2"))
operations = pytest.mark.parametrize(
    "operation", [CREATE, *IDEMPOTENT], ids=lambda operation: operation.name
)

PASSING = {408, 429, 500, 502, 503, 504}
LOST = no_response("ReadError: reset", sent=True)
REFUSED = no_response("ConnectError: refused", sent=False)


def with_status(status: int, retry_after: object = None) -> Response:
    """Return a response with a status, and with a Retry-After if given."""
    return response(status, {} if retry_after is None else {"retry-after": str(retry_after)}, b"{}")


def attempts_of(
    operation: Operation = GET,
    policy: RetryPolicy | None = None,
    budget: RetryBudget | None = None,
    *,
    deadline: float = 1e9,
    random: Callable[[], float] = lambda: 1.0,
) -> Attempts:
    """Return a new call at time 0, with the highest random number."""
    return Attempts(
        operation,
        policy or RetryPolicy(),
        budget or RetryBudget(),
        deadline=deadline,
        random=random,
    )


def waits_of(attempts: Attempts, outcomes: Sequence[AttemptResult]) -> list[float | None]:
    """Return the waits after these results, all at time 0."""
    retries = [attempts.record(outcome, 0.0) for outcome in outcomes]
    return [None if retry is None else retry.wait for retry in retries]


def left_in(budget: RetryBudget) -> int:
    """Return the tokens of a budget, by spending them."""
    left = 0
    while budget.spend(1):
        left += 1
    return left


# -- the policy -----------------------------------------------------------------------------------


def test_the_default_policy() -> None:
    """Five retries, from 0.25 s or 1 s up to 20 s, or a minute of Retry-After."""
    assert RetryPolicy() == RetryPolicy(5, 0.25, 1.0, 20.0, 60.0)
    assert eval(repr(RetryPolicy(max_retries=2))) == RetryPolicy(max_retries=2)


def test_a_policy_is_a_frozen_value() -> None:
    """It compares by value, can be hashed and pickled, and does not change."""
    policy = RetryPolicy(max_retries=1, base_delay=2)
    assert policy == replace(RetryPolicy(), max_retries=1, base_delay=2) != RetryPolicy()
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert len({policy, replace(policy), RetryPolicy()}) == 2
    with pytest.raises(FrozenInstanceError):
        policy.max_retries = 9  # type: ignore[misc]


@pytest.mark.parametrize("value", [-1, 1.0, True, None, "3"], ids=repr)
def test_a_policy_s_count_must_be_an_integer(value: Any) -> None:
    """The error names the field."""
    bound = "at least 0" if value == -1 else "a whole number"
    with pytest.raises(ConfigurationError, match=f"^max_retries must be {bound}, not {value!r}$"):
        RetryPolicy(max_retries=value)


@pytest.mark.parametrize(
    "name", ["base_delay", "throttled_base_delay", "max_delay", "max_retry_after"]
)
@pytest.mark.parametrize("value", [-1, -0.1, math.inf, math.nan, True, None, "1"], ids=repr)
def test_a_policy_s_seconds_must_be_numbers(name: str, value: Any) -> None:
    """Finite and >= 0, or the error names the field."""
    message = f"^{name} must be seconds, at least 0, not {value!r}$"
    with pytest.raises(ConfigurationError, match=message):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize(
    "name", ["max_retries", "base_delay", "throttled_base_delay", "max_delay", "max_retry_after"]
)
@pytest.mark.parametrize("value", [10**400, -(10**5000)], ids=["beyond floats", "5,001 digits"])
def test_a_policy_of_large_numbers_is_refused_or_works(name: str, value: int) -> None:
    """A number beyond floats fails in the constructor, with its name, or never."""
    try:
        policy = RetryPolicy(**{name: value})
    except ConfigurationError as error:
        assert str(error).startswith(f"{name} must be ")  # noqa: PT017 - either is right
    else:
        attempts = attempts_of(policy=policy)
        assert None not in waits_of(attempts, [with_status(429), with_status(503)])


# -- which calls are retried ----------------------------------------------------------------------


@operations
@pytest.mark.parametrize("headers", [{}, {"retry-after": "1"}], ids=["", "with Retry-After"])
def test_which_statuses_are_retried(operation: Operation, headers: dict[str, str]) -> None:
    """Six statuses for idempotent operations, and 429 only for a create."""
    retried = {
        status
        for status in range(100, 1000)
        if attempts_of(operation).record(response(status, headers, b""), 0.0) is not None
    }
    assert retried == ({429} if operation is CREATE else PASSING)


@operations
@pytest.mark.parametrize("timeout", [False, True], ids=["lost", "timeout"])
@pytest.mark.parametrize("passing", [False, True], ids=["for good", "passing"])
@pytest.mark.parametrize("sent", [False, True], ids=["not sent", "sent"])
def test_which_failures_are_retried(
    operation: Operation, sent: bool, passing: bool, timeout: bool
) -> None:
    """Transient ones, unless a byte of a create was sent."""
    retry = attempts_of(operation).record(no_response("cause", sent, timeout, passing), 0.0)
    assert (retry is not None) == (passing and not (sent and operation is CREATE))


@operations
@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_the_maximum_number_of_attempts(operation: Operation, count: int) -> None:
    """A call that always fails has max_retries + 1 attempts."""
    attempts = attempts_of(operation, RetryPolicy(max_retries=count))
    assert [wait is not None for wait in waits_of(attempts, [REFUSED] * (count + 1))] == [
        *[True] * count,
        False,
    ]
    assert len(attempts.history) == count + 1


def test_the_fields_of_a_retry() -> None:
    """The operation, the number of the failed attempt, its cause, and the wait."""
    attempts = attempts_of()
    assert attempts.record(with_status(503), 0.0) == Retry("get_repository", 1, "503", 0.25)
    assert attempts.record(LOST, 0.0) == Retry("get_repository", 2, "ReadError: reset", 0.5)
    assert attempts.record(with_status(200), 0.0) is None
    assert attempts.history == (
        Attempt(503, wait=0.25),
        Attempt(error="ReadError", message="reset", wait=0.5),
        Attempt(200),
    )


@pytest.mark.parametrize(
    ("operation", "outcomes", "doubtful"),
    [
        (DELETE, [LOST, with_status(404)], True),
        (DELETE, [with_status(503), with_status(404)], True),
        (DELETE, [LOST, REFUSED, with_status(429), with_status(404)], True),
        (DELETE, [REFUSED, with_status(404)], False),
        (DELETE, [with_status(429), with_status(404)], False),
        (DELETE, [LOST], False),
        (GET, [LOST, with_status(503), with_status(404)], False),
        (CREATE, [with_status(429), REFUSED, with_status(400)], False),
    ],
)
def test_an_unknown_outcome_of_an_earlier_attempt(
    operation: Operation, outcomes: list[AttemptResult], doubtful: bool
) -> None:
    """It is kept until the call ends."""
    attempts = attempts_of(operation)
    assert attempts.outcome_unknown is False
    waits_of(attempts, outcomes)
    assert attempts.outcome_unknown is doubtful


def test_the_outcome_of_the_last_attempt() -> None:
    """It is not that of an earlier attempt; the call's own error has it."""
    attempts = attempts_of(DELETE, RetryPolicy(max_retries=0))
    assert waits_of(attempts, [LOST]) == [None]
    assert attempts.outcome_unknown is False


# -- when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "highest"),
    [
        (with_status(503), [0.25, 0.5, 1, 2, 4, 8, 16, 20, 20]),
        (LOST, [0.25, 0.5, 1, 2, 4, 8, 16, 20, 20]),
        (with_status(429), [1, 2, 4, 8, 16, 20, 20, 20, 20]),
    ],
    ids=["503", "lost", "429"],
)
@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_a_wait_is_random_with_exponential_back_off(
    outcome: AttemptResult, highest: list[float], fraction: float
) -> None:
    """Between 0 and a base that doubles with each retry, up to 20 seconds."""
    attempts = attempts_of(policy=RetryPolicy(max_retries=9), random=lambda: fraction)
    assert waits_of(attempts, [outcome] * 10) == [*(fraction * high for high in highest), None]


def test_the_base_of_a_wait_follows_the_last_result() -> None:
    """A 429 has its own base, doubled by the number of all retries."""
    assert waits_of(
        attempts_of(), [LOST, with_status(429), with_status(500), with_status(429)]
    ) == [
        0.25,
        2,
        1,
        8,
    ]


def test_a_custom_policy() -> None:
    """Its delays are used, and any number of retries works."""
    policy = RetryPolicy(max_retries=3000, base_delay=1, throttled_base_delay=3, max_delay=5)
    attempts = attempts_of(policy=policy)
    assert waits_of(attempts, [LOST, with_status(429), LOST, LOST]) == [1, 5, 4, 5]
    attempts = attempts_of(
        policy=replace(policy, base_delay=1e-30, max_delay=1e300), budget=Endless()
    )
    waits = waits_of(attempts, [LOST] * 3000)
    assert None not in waits
    assert waits[100:] == [1e-30 * 2.0**64] * 2900


class Endless(RetryBudget):
    """A budget with endless tokens."""

    def spend(self, cost: int) -> bool:
        """Spend nothing."""
        return True


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "wait"),
    [(0, None), ("soon", None), (3, 3), (19.5, None), (60, 60), (61, "none"), ("9" * 400, "none")],
)
def test_retry_after_is_the_minimum_wait(status: int, asked: object, wait: object) -> None:
    """A value of over a minute ends the call."""
    drawn = 1.0 if status == 429 else 0.25
    expected = {None: drawn, "none": None}.get(wait, wait)  # type: ignore[call-overload]
    assert waits_of(attempts_of(), [with_status(status, asked)]) == [expected]


def test_max_retry_after() -> None:
    """Retry-After may exceed max_delay, up to its own maximum."""
    attempts = attempts_of(policy=RetryPolicy(max_delay=1, max_retry_after=5))
    assert waits_of(attempts, [with_status(503, 5), with_status(503, 6)]) == [5, None]


@pytest.mark.parametrize(
    ("outcome", "now", "wait"),
    [
        (LOST, 9.7, 0.25),
        (LOST, 9.75, None),
        (LOST, 10.0, None),
        (LOST, 11.0, None),
        (with_status(429), 8.9, 1),
        (with_status(429), 9.0, None),
        (with_status(503, 9), 0.9, 9),
        (with_status(503, 9), 1.0, None),
    ],
)
def test_a_wait_ends_before_the_deadline(
    outcome: AttemptResult, now: float, wait: float | None
) -> None:
    """A retry at or after the deadline is not sent, and costs nothing."""
    budget = RetryBudget()
    retry = attempts_of(budget=budget, deadline=10.0).record(outcome, now)
    assert (retry and retry.wait) == wait
    free = wait is None or wait == 9
    assert (left_in(budget) == RetryBudget.SIZE) == free


@pytest.mark.parametrize(
    ("outcome", "policy", "deadline", "tokens", "why"),
    [
        (with_status(503, 61), RetryPolicy(), 1e9, 500, "Retry-After asks for more than max_re"),
        (with_status(503, 9), RetryPolicy(), 9.0, 500, "the deadline ends before the wait does"),
        (LOST, RetryPolicy(), 1e9, 13, "the client's retry budget is spent"),
        (LOST, RetryPolicy(max_retries=0), 1e9, 500, None),
        (with_status(404), RetryPolicy(), 1e9, 500, None),
        (with_status(200), RetryPolicy(), 1e9, 500, None),
    ],
    ids=["Retry-After", "deadline", "budget", "max_retries", "no passing error", "success"],
)
def test_the_stop_reason(
    outcome: AttemptResult, policy: RetryPolicy, deadline: float, tokens: int, why: str | None
) -> None:
    """It is the deadline, the budget or Retry-After, if one of these prevented a retry."""
    budget = RetryBudget()
    assert budget.spend(RetryBudget.SIZE - tokens)
    attempts = attempts_of(GET, policy, budget, deadline=deadline)
    assert attempts.record(outcome, 0.0) is None
    [attempt] = attempts.history
    assert (attempt.stop_reason or "").startswith(why or "")
    assert (attempt.stop_reason is None) is (why is None)


# -- the budget -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "left"),
    [
        ([LOST], 486),
        ([with_status(503), LOST, REFUSED], 500 - 3 * 14),
        ([with_status(429)], 495),
        ([with_status(429), LOST, with_status(429)], 500 - 2 * 5 - 14),
        ([with_status(404)], 500),
        ([with_status(503, 61)], 500),
        ([LOST] * 6, 500 - 5 * 14),
        ([with_status(429, 1)] * 6, 500),
        ([with_status(503, 7), with_status(429, 60), with_status(500, 2)], 500),
        ([with_status(408, 1), LOST, with_status(429, 3)], 500 - 14),
        ([with_status(429, 0), with_status(503, 0)], 500 - 5 - 14),
        ([with_status(429, "Wed, 21 Oct 2015 07:28:00 GMT")], 500 - 5),
        ([with_status(429, "soon"), with_status(503, -1)], 500 - 5 - 14),
    ],
)
def test_the_cost_of_a_retry(outcomes: list[AttemptResult], left: int) -> None:
    """14 tokens, 5 after a 429, and none if it follows Retry-After."""
    budget = RetryBudget()
    waits_of(attempts_of(budget=budget), outcomes)
    assert left_in(budget) == left


@pytest.mark.parametrize("status", [429, 503])
def test_an_empty_budget_allows_retry_after(status: int) -> None:
    """A retry that follows Retry-After is free; a create is not retried after a 503."""
    budget = RetryBudget()
    assert budget.spend(RetryBudget.SIZE)
    assert waits_of(attempts_of(budget=budget), [with_status(status, 3)] * 6) == [3] * 2 + [
        *([4, 8, 16] if status == 429 else [3, 3, 4][:3]),
        None,
    ]
    attempts = attempts_of(CREATE, budget=budget)
    assert waits_of(attempts, [with_status(status, 3)]) == [3 if status == 429 else None]


def test_a_cancelled_retry_returns_its_cost() -> None:
    """A free one returns nothing."""
    for outcome in (with_status(429, 1), with_status(429), LOST):
        budget = RetryBudget()
        assert budget.spend(100)
        attempts = attempts_of(budget=budget)
        assert attempts.record(outcome, 0.0)
        attempts.give_up()
        assert left_in(budget) == 400


@operations
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", [None, 0, 1, 3600])
def test_a_paced_call_leaves_throttling_to_its_caller(
    operation: Operation, status: int, retry_after: int | None
) -> None:
    """It ends at once, at no cost; a 503 without Retry-After is retried as usual."""
    budget = RetryBudget()
    paced, plain = (
        Attempts(operation, RetryPolicy(), budget, deadline=1e9, random=lambda: 1.0, paced=is_paced)
        for is_paced in (True, False)
    )
    outcome = with_status(status, retry_after)
    if status == 503 and retry_after is None:
        assert paced.record(outcome, 0.0) == plain.record(outcome, 0.0)
        return
    assert paced.record(outcome, 0.0) is None
    why = "Retry-After asks for more" if retry_after == 3600 else "the inventory sends the request"
    assert (paced.history[0].stop_reason or "").startswith(why)
    assert left_in(budget) == RetryBudget.SIZE


def test_a_success_earns_a_token() -> None:
    """Each success at the first attempt earns one token once."""
    budget = RetryBudget()
    assert budget.spend(100)
    budget.successes += 3
    assert budget.spend(0)
    assert budget.successes == 0
    assert left_in(budget) == 400 + 3


def test_a_budget_has_a_maximum() -> None:
    """Successes do not exceed it."""
    budget = RetryBudget()
    budget.successes = 1000
    assert left_in(budget) == 500


def test_an_empty_budget_allows_no_retry() -> None:
    """The call ends, and the remaining tokens stay for a cheaper retry."""
    budget = RetryBudget()
    assert budget.spend(500 - 13)
    assert waits_of(attempts_of(budget=budget), [LOST]) == [None]
    assert waits_of(attempts_of(budget=budget), [with_status(429)] * 3) == [1, 2, None]


@pytest.mark.parametrize(("outcome", "retries"), [(with_status(503), 35), (with_status(429), 100)])
def test_an_outage_does_not_multiply_the_load(outcome: AttemptResult, retries: int) -> None:
    """A thousand calls to a failing server send at most a tenth more requests."""
    budget = RetryBudget()
    sent = 0
    for _ in range(1000):
        attempts = attempts_of(budget=budget)
        while attempts.record(outcome, 0.0):
            pass
        sent += len(attempts.history)
    assert sent == 1000 + retries


def test_threads_share_a_budget() -> None:
    """Parallel threads spend no token twice, and lose none."""
    budget = RetryBudget()
    with ThreadPoolExecutor(16) as pool:
        spent = sum(pool.map(budget.spend, [1] * 2000))
        assert spent == 500
        list(pool.map(lambda _: budget.give_back(1), range(300)))
    assert left_in(budget) == 300


@pytest.mark.parametrize("same_pid", [False, True], ids=["its own pid", "its parent's pid"])
def test_a_child_process_does_not_wait_for_its_parent_s_lock(
    monkeypatch: pytest.MonkeyPatch, same_pid: bool
) -> None:
    """Another thread may hold the budget's lock at fork(), also if the pids are equal."""
    if same_pid:
        monkeypatch.setattr(os, "getpid", lambda: 1)
    budget = RetryBudget()

    def spend() -> bool:
        # In a thread: a lock that is never released would hold up the test.
        spending = threading.Thread(target=budget.spend, args=(100,), daemon=True)
        spending.start()
        spending.join(10)
        return left_in(budget) == RetryBudget.SIZE - 100 if not spending.is_alive() else False

    with lock_of(budget):
        child = fork_quietly()
        if not child:
            os._exit(0 if spend() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert left_in(budget) == RetryBudget.SIZE


def test_two_threads_do_not_spend_at_once() -> None:
    """While one thread spends, another one waits."""
    budget = RetryBudget()
    with ThreadPoolExecutor(1) as threads:
        with lock_of(budget):
            spending = threads.submit(budget.spend, 100)
            assert not wait([spending], timeout=0.1).done
        assert spending.result(PATIENCE)
    assert left_in(budget) == RetryBudget.SIZE - 100


def test_a_copy_in_a_child_process_has_a_lock_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is held at fork() is never released in the child."""
    budget = RetryBudget()
    with lock_of(budget):
        as_in_child(monkeypatch)
        assert budget.spend(100)
    assert left_in(budget) == RetryBudget.SIZE - 100


def fork_quietly() -> int:
    """Fork without Python's warning about threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


# -- everything at once ---------------------------------------------------------------------------

OUTCOMES = st.builds(
    with_status,
    st.sampled_from([200, 201, 302, 400, 404, 409, 599]) | st.sampled_from(sorted(PASSING)),
    st.none() | st.integers(0, 70),
) | st.builds(
    NoResponse, st.just("cause"), st.just(""), st.booleans(), st.booleans(), st.booleans()
)


@given(
    st.sampled_from([CREATE, DELETE, GET]),
    st.builds(
        RetryPolicy,
        max_retries=st.integers(0, 8),
        base_delay=st.floats(0, 10),
        throttled_base_delay=st.floats(0, 10),
        max_delay=st.floats(0, 100),
        max_retry_after=st.floats(0, 100),
    ),
    st.integers(0, 500),
    st.floats(0.1, 200),
    st.data(),
)
def test_any_sequence_of_results(
    operation: Operation, policy: RetryPolicy, spent: int, deadline: float, data: st.DataObject
) -> None:
    """The count, the deadline, the budget and the safety of a create always hold."""
    budget = RetryBudget()
    assert budget.spend(spent)
    fraction = st.floats(0, 1, exclude_max=True)
    attempts = attempts_of(
        operation, policy, budget, deadline=deadline, random=lambda: data.draw(fraction)
    )
    now = waited = 0.0
    cost = 0
    in_doubt = False
    while True:
        outcome = data.draw(OUTCOMES)
        now += data.draw(st.floats(0, deadline / 3))
        retry = attempts.record(outcome, now)
        if retry is None:
            break
        throttled = isinstance(outcome, Response) and outcome.status == 429
        asked = outcome.retry_after if isinstance(outcome, Response) else None
        if not asked:
            cost += 5 if throttled else 14
        waited += retry.wait
        now += retry.wait
        in_doubt = in_doubt or outcome_unknown(operation, outcome)
        assert retry.attempt == len(attempts.history)
        assert retry.wait >= (asked or 0)
        assert retry.wait <= max(policy.max_delay, asked or 0)
        assert (asked or 0) <= policy.max_retry_after
        assert now < deadline
        if operation is CREATE:
            assert throttled if isinstance(outcome, Response) else not outcome.sent
            assert not in_doubt
    assert len(attempts.history) <= policy.max_retries + 1
    assert sum(each.wait or 0 for each in attempts.history) == pytest.approx(waited)
    assert [each.wait is None for each in attempts.history] == [
        *[False] * (len(attempts.history) - 1),
        True,
    ]
    assert attempts.outcome_unknown is in_doubt
    assert cost <= 500 - spent
    assert left_in(budget) == 500 - spent - cost


# -- through the clients --------------------------------------------------------------------------

pytestmark = pytest.mark.anyio

Script = Callable[..., None]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record waits instead of sleeping, with the highest random number."""
    waited: list[float] = []
    replace_sleep(monkeypatch, waited.append)
    replace_random(monkeypatch, lambda: 1.0)
    return waited


@pytest.fixture
def script(api: ScriptedApi) -> Script:
    """Make the scripted API return these results in order, the last one forever.

    Each is a status, or the name of the HTTP library's exception; options are those of responses.
    """

    def play(*outcomes: int | str, **options: Any) -> None:
        coming = list(outcomes)

        def next_one(_: Any) -> None:
            outcome = coming.pop(0) if len(coming) > 1 else coming[0]
            if isinstance(outcome, str):
                api.fails(outcome)
            else:
                api.responds({"id": "2"}, **{"status": outcome, **options})

        api.on_request = next_one

    return play


@pytest.fixture(params=["sync", "async"])
def raw(request: pytest.FixtureRequest, api: ScriptedApi) -> Callable[..., Any]:
    """Return a sync or async raw client."""
    return api.raw if request.param == "sync" else api.async_raw


@pytest.fixture(params=["sync", "async"])
def typed(request: pytest.FixtureRequest, api: ScriptedApi) -> Callable[..., Any]:
    """Return a sync or async typed client."""
    return api.client if request.param == "sync" else api.async_client


async def test_a_call_is_retried_and_reported(
    api: ScriptedApi,
    raw: Callable[..., Any],
    script: Script,
    waits: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each transient failure has a wait; the hook and the log get all details."""
    script(503, "ReadError", 429, "ConnectTimeout", 200)
    reported: list[Retry] = []
    with caplog.at_level(logging.WARNING, "abeja_registry"):
        assert await done(raw(on_retry=reported.append).get_repository("1", "2")) == {"id": "2"}
    assert reported == [
        Retry("get_repository", 1, "503", 0.25),
        Retry("get_repository", 2, "ReadError: scripted", 0.5),
        Retry("get_repository", 3, "429", 4.0),
        Retry("get_repository", 4, "ConnectTimeout: scripted", 2.0),
    ]
    assert waits == [retry.wait for retry in reported]
    assert len({(sent.method, sent.url, sent.body) for sent in api.requests}) == 1
    assert len(api.requests) == 5
    assert [(each.name, each.levelname) for each in caplog.records] == [
        ("abeja_registry", "WARNING")
    ] * 4
    for record, retry in zip(caplog.records, reported, strict=True):
        line = record.getMessage()
        for said in (
            "get_repository",
            f"attempt {retry.attempt}",
            retry.cause,
            f"{retry.wait:.2f}",
        ):
            assert said in line


async def test_the_hook_is_called_before_the_wait(
    raw: Callable[..., Any], script: Script, waits: list[float]
) -> None:
    """A retry that is cancelled during its wait was counted."""
    script(503, 200)
    before: list[int] = []
    await done(raw(on_retry=lambda _: before.append(len(waits))).get_repository("1", "2"))
    assert (before, len(waits)) == ([0], 1)


CALLS: dict[str, tuple[str, ...]] = {
    "create_repository": ("1", "sample"),
    "delete_repository": ("1", "2"),
    "get_repositories": ("1",),
    "get_repository": ("1", "2"),
    "get_repository_tags": ("1", "2"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("outcome", "safe"),
    [(503, False), (408, False), ("ReadError", False), (429, True), ("ConnectError", True)],
)
async def test_the_number_of_requests_under_a_fault(
    api: ScriptedApi,
    raw: Callable[..., Any],
    script: Script,
    waits: list[float],
    name: str,
    outcome: int | str,
    safe: bool,
) -> None:
    """Six for idempotent operations; one for a create, unless it was not processed."""
    script(outcome)
    with pytest.raises(Error) as caught:
        await done(getattr(raw(), name)(*CALLS[name]))
    expected = 6 if safe or name != "create_repository" else 1
    assert (len(api.requests), len(waits)) == (expected, expected - 1)
    assert [each.wait for each in caught.value.history] == [*waits, None]
    changes = name.startswith(("create", "delete"))
    assert caught.value.outcome_unknown is (changes and not safe)


@pytest.mark.parametrize("outcome", [503, 429, "ReadError", "ConnectError"])
@pytest.mark.parametrize(
    "options", [{"max_retry_count": 0}, {"retry": RetryPolicy(max_retries=0)}], ids=list
)
async def test_retries_can_be_turned_off(
    api: ScriptedApi,
    raw: Callable[..., Any],
    script: Script,
    waits: list[float],
    outcome: int | str,
    options: dict[str, Any],
) -> None:
    """With max_retries=0, a call has one attempt."""
    script(outcome)
    with pytest.raises(Error):
        await done(raw(**options).get_repository("1", "2"))
    assert (len(api.requests), waits) == (1, [])


HISTORIES: dict[str, tuple[str, tuple[int | str, ...], type[Error], list[str]]] = {
    "a status": ("get_repository", (503, 404), NotFound, ["503", "404"]),
    "the last": ("get_repository", (500,), InternalServerError, ["500"] * 6),
    "lost": ("get_repository", ("ReadError",), TransportError, ["ReadError: scripted"] * 6),
    "time": (
        "get_repository",
        (502, "ReadTimeout"),
        Timeout,
        ["502"] + ["ReadTimeout: scripted"] * 5,
    ),
    "a create": (
        "create_repository",
        (429, "ConnectError", "ReadError"),
        OutcomeUnknown,
        ["429", "ConnectError: scripted", "ReadError: scripted"],
    ),
    "at once": ("create_repository", (503,), HttpError, ["503"]),
    "a delete": ("delete_repository", ("ReadError", 404), NotFound, ["ReadError: scripted", "404"]),
}


@pytest.mark.parametrize(("name", "outcomes", "kind", "causes"), HISTORIES.values(), ids=HISTORIES)
@pytest.mark.usefixtures("waits")
async def test_an_error_has_its_history(
    raw: Callable[..., Any],
    script: Script,
    name: str,
    outcomes: tuple[int | str, ...],
    kind: type[Error],
    causes: list[str],
) -> None:
    """Each attempt with its cause and wait, also after pickling."""
    script(*outcomes)
    with pytest.raises(kind) as caught:
        await done(getattr(raw(), name)(*CALLS[name]))
    error = caught.value
    assert [str(each) for each in error.history] == causes
    assert [each.wait is None for each in error.history] == [*[False] * (len(causes) - 1), True]
    assert pickle.loads(pickle.dumps(error)).history == error.history
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.usefixtures("waits")
async def test_an_invalid_response_has_its_history(raw: Callable[..., Any], script: Script) -> None:
    """Also if the body is not JSON."""
    script(503, 200, content=b"<html>")
    with pytest.raises(InvalidResponse) as caught:
        await done(raw().get_repository("1", "2"))
    assert caught.value.history == (Attempt(503, wait=0.25), Attempt(200))


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("rows", ["raise", "skip"])
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.repositories.get("2"),
        lambda client: client.repositories.create("sample"),
        lambda client: client.repositories.list(),
        lambda client: client.repositories.find("sample"),
        lambda client: client.tags.list("2"),
    ],
    ids=["get", "create", "list", "find", "tags"],
)
async def test_an_invalid_model_has_its_history(
    typed: Callable[..., Any], script: Script, call: Callable[[Any], Any], rows: str
) -> None:
    """A typed client's InvalidResponse has it, as a raw client's does."""
    script(429, 200, content=b'{"registry_repositories": [], "tags": []}')
    with pytest.raises(InvalidResponse, match="not a valid") as caught:
        await done(call(typed(invalid_rows=rows)))
    assert caught.value.history == (Attempt(429, wait=1.0), Attempt(200))


@pytest.mark.parametrize("name", CALLS)
async def test_a_retry_after_that_is_too_long_raises_at_once(
    api: ScriptedApi, raw: Callable[..., Any], script: Script, waits: list[float], name: str
) -> None:
    """Over a minute or past the deadline; the error has the value."""
    script(429, headers={"Retry-After": "61"})
    with pytest.raises(TooManyRequests) as caught:
        await done(getattr(raw(), name)(*CALLS[name]))
    assert caught.value.retry_after == 61
    script(429, headers={"Retry-After": "30"})
    with pytest.raises(TooManyRequests) as caught:
        await done(getattr(raw(deadline=29), name)(*CALLS[name]))
    assert caught.value.retry_after == 30
    assert (len(api.requests), waits) == (2, [])


async def test_a_call_waits_as_retry_after_asks(
    raw: Callable[..., Any], script: Script, waits: list[float]
) -> None:
    """For seconds, and for a date by the API's clock."""
    script(503, 503, 200, headers={"Retry-After": "7"})
    await done(raw().get_repository("1", "2"))
    dates = {
        "Retry-After": "Wed, 21 Oct 2015 07:28:09 GMT",
        "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
    }
    script(503, 200, headers=dates)
    await done(raw().get_repository("1", "2"))
    assert waits == [7, 7, 9]


async def test_options_change_policy_and_deadline(
    api: ScriptedApi, typed: Callable[..., Any], script: Script, waits: list[float]
) -> None:
    """They hold for the derived client and its raw client, not for the first."""
    script(503)
    client = typed()
    once = client.with_options(retry=RetryPolicy(max_retries=1, base_delay=3, max_delay=3))
    patient = RetryPolicy(base_delay=5)
    for call in (once.repositories.get, lambda key: once.raw.get_repository("1", key)):
        with pytest.raises(HttpError):
            await done(call("2"))
    assert (len(api.requests), waits) == (4, [3, 3])
    with pytest.raises(HttpError):
        await done(client.with_options(deadline=4, retry=patient).repositories.get("2"))
    assert (len(api.requests), waits) == (5, [3, 3])
    with pytest.raises(HttpError):
        await done(client.repositories.get("2"))
    assert (len(api.requests), waits) == (11, [3, 3, 0.25, 0.5, 1, 2, 4])


@pytest.mark.parametrize("api", ["httpx2"], indirect=True)
@pytest.mark.usefixtures("waits")
async def test_clients_that_share_connections_share_a_budget(
    api: ScriptedApi, typed: Callable[..., Any], script: Script
) -> None:
    """A thousand calls to a failing server send 1,035 requests."""
    script(503)
    client = typed()
    others = [client.repositories.get, client.with_options(timeout=1).tags.list]
    raws = [client.raw, client.with_options(organization_id="9").raw]
    for turn in range(250):
        for call in others:
            with pytest.raises(HttpError):
                await done(call(str(turn)))
        for each in raws:
            with pytest.raises(HttpError):
                await done(each.delete_repository("1", turn))
    assert len(api.requests) == 1000 + 35


@pytest.mark.parametrize("api", ["httpx2"], indirect=True)
async def test_successes_refill_the_budget(
    api: ScriptedApi, raw: Callable[..., Any], script: Script, waits: list[float]
) -> None:
    """After an outage, 14 successes allow one retry."""
    client = raw()
    script(503)
    for _ in range(20):
        with pytest.raises(HttpError):
            await done(client.get_repository("1", "2"))
    del waits[:]
    script(200)
    for _ in range(14):
        await done(client.get_repository("1", "2"))
    script(503)
    for _ in range(3):
        with pytest.raises(HttpError):
            await done(client.get_repository("1", "2"))
    # 500 is 35 times 14, and 10; 14 were added.
    assert waits == [0.25]


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize(
    ("outcomes", "tokens"),
    [((200,), 500 - 14 + 1), ((503, 200), 500 - 14 - 14), ((404,), 500 - 14)],
    ids=["a success", "a success after a retry", "an error"],
)
async def test_which_successes_earn_a_token(
    script: Script, raw: Callable[..., Any], outcomes: tuple[int, ...], tokens: int
) -> None:
    """Those at the first attempt only."""
    client = raw()
    script(503, 200)
    await done(client.get_repository("1", "2"))
    script(*outcomes)
    with suppress(NotFound):
        await done(client.get_repository("1", "2"))
    assert left_in(budget_of(client)) == tokens


async def test_an_exception_of_the_hook_cancels_the_retry(
    script: Script, raw: Callable[..., Any]
) -> None:
    """The call raises it, and the budget is full."""

    def stop(_: Retry) -> None:
        raise LookupError("no more of this")

    script(503)
    client = raw(on_retry=stop)
    for _ in range(RetryBudget.SIZE):
        with pytest.raises(LookupError):
            await done(client.get_repository("1", "2"))
    assert budget_of(client).spend(RetryBudget.SIZE)
