"""Whether a call is made again, and when: a policy, a budget, one call's attempts.

Nothing here sends, sleeps or reads a clock. `Attempts` records each attempt's result, and returns
how long to wait before the next, or that there is none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from .._validation import as_configuration_error, check_count, check_delay
from ..exceptions import Attempt
from . import process
from .operations import Operation
from .responses import AttemptResult, NoResponse, Response, outcome_unknown

# Statuses that another attempt may not get.
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
# Assumption: what the API refuses with this, it has not carried out.
_THROTTLED = 429
_UNAVAILABLE = 503

# Why another attempt is not made that the policy allows.
_ASKED_FOR_LONG = "Retry-After asks for more than max_retry_after"
_NO_TIME = "the deadline comes before the wait is over"
_BUDGET_SPENT = "the client's retry budget is spent"
_PACED = "the inventory sends the request again, when the API allows it"
_CANCELLED = "the client was closed, or what the call was made for has ended"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Whether a call is made again, and how long to wait before.

    A GET and a DELETE are made again after no connection, a lost one, a time-out, a body cut
    short, and the statuses 408, 429, 500, 502, 503 and 504. A create is made again only where it
    certainly was not processed: not a byte of it was sent, or it was answered with 429.

    The wait before the n-th replay is drawn between 0 and `base_delay` doubled n - 1 times.

    Args:
        max_retries: Replays of a call at the most, from 0.
        base_delay: Seconds, from 0.
        throttled_base_delay: Seconds, from 0, in place of `base_delay` after a 429.
        max_delay: Seconds, from 0, that no drawn wait goes beyond.
        max_retry_after: Seconds, from 0; an answer that asks for more is not waited for.

    Raises:
        ConfigurationError: A value is out of its bounds.

    Example:
        >>> RetryPolicy(max_retries=2)
        RetryPolicy(max_retries=2, base_delay=0.25, throttled_base_delay=1.0, max_delay=20.0, \
max_retry_after=60.0)
    """

    max_retries: int = 5
    base_delay: float = 0.25
    throttled_base_delay: float = 1.0
    max_delay: float = 20.0
    max_retry_after: float = 60.0

    def __post_init__(self) -> None:
        with as_configuration_error():
            check_count("max_retries", self.max_retries, least=0)
            for name in ("base_delay", "throttled_base_delay", "max_delay", "max_retry_after"):
                check_delay(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class Retry:
    """A call that is about to be made again, as `on_retry` is told of it.

    Attributes:
        operation: The raw client's name of it, such as `get_repository`.
        attempt: Which attempt has failed, from 1.
        cause: What became of it.
        wait: Seconds until the next attempt.
    """

    operation: str
    attempt: int
    cause: str
    wait: float


class RetryBudget:
    """What a client may spend on retries, shared by its threads and tasks.

    So that an outage does not make a fleet send several times its load: when the budget is empty,
    calls fail with what they met. A retry that waits as long as the API asks is free: the API
    itself spreads the load then.

    Attributes:
        successes: Calls since the latest retry that succeeded at once; each is worth a token.
            Counted without a lock: threads that count at the same moment may lose one.
    """

    SIZE = 500
    COST = 14
    COST_THROTTLED = 5

    def __init__(self) -> None:
        self.successes = 0
        self._tokens = self.SIZE
        self._lock = threading.Lock()
        self._process = process.token

    def _locked(self) -> threading.Lock:
        # After fork() a lock that another thread of the parent held stays locked in the child.
        if self._process is not process.token:
            self._lock = threading.Lock()
            self._process = process.token
        return self._lock

    def spend(self, cost: int) -> bool:
        """Take the cost of a retry; False if the budget does not have it."""
        with self._locked():
            self._tokens = min(self.SIZE, self._tokens + self.successes)
            self.successes = 0
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def give_back(self, cost: int) -> None:
        """Return the cost of a retry that was not sent."""
        with self._locked():
            self._tokens = min(self.SIZE, self._tokens + cost)


@dataclass(slots=True)
class Attempts:
    """The failed attempts of one call.

    Attributes:
        operation: The operation that is called.
        policy: Whether it is retried, and when.
        budget: What its client may spend on that.
        deadline: When it has to be over, by the clock of `record`.
        random: Returns a number from 0 to 1.
        paced: Whether the caller slows down and sends the request again where the API throttles,
            so that the call itself does not.
        history: The attempts, oldest first.
        outcome_unknown: Whether one before the last may have been carried out.
    """

    operation: Operation
    policy: RetryPolicy
    budget: RetryBudget
    deadline: float
    random: Callable[[], float]
    paced: bool = False
    history: tuple[Attempt, ...] = ()
    outcome_unknown: bool = False
    _spent: int = 0
    _last_unknown: bool = False

    def give_up(self) -> None:
        """Record that the next attempt is not made, and return its cost."""
        self.budget.give_back(self._spent)
        *before, last = self.history
        self.history = (*before, replace(last, wait=None, stop_reason=_CANCELLED))

    def record(self, result: AttemptResult, now: float) -> Retry | None:
        """Record a failed attempt.

        Args:
            result: Its result.
            now: The time by the clock.

        Returns:
            The next attempt, with the seconds to wait before it; None where this was the last.
        """
        self.outcome_unknown |= self._last_unknown
        self._last_unknown = outcome_unknown(self.operation, result)
        wait, stop_reason = self._next_wait(result, now)
        self.history += (attempt_of(result, wait, stop_reason),)
        if wait is None:
            return None
        return Retry(self.operation.name, len(self.history), str(result), wait)

    def _next_wait(self, result: AttemptResult, now: float) -> tuple[float | None, str | None]:
        """Return the wait before the next attempt, or None and why there is none."""
        retries = len(self.history)
        asked = result.retry_after if isinstance(result, Response) else None
        if self.paced and isinstance(result, Response) and throttles(result.status, asked):
            return None, _PACED
        policy = self.policy
        if retries >= policy.max_retries or not _is_retryable(self.operation, result):
            return None, None
        base = policy.throttled_base_delay if _is_throttled(result) else policy.base_delay
        # The exponent is bounded, so that no number of retries overflows.
        wait = self.random() * min(policy.max_delay, base * 2.0 ** min(retries, 64))
        if asked is not None:
            if asked > policy.max_retry_after:
                return None, _ASKED_FOR_LONG
            wait = max(wait, asked)
        if now + wait >= self.deadline:
            return None, _NO_TIME
        cost = RetryBudget.COST_THROTTLED if _is_throttled(result) else RetryBudget.COST
        if asked:
            # Not at 0 seconds: that asks for nothing.
            cost = 0
        if not self.budget.spend(cost):
            return None, _BUDGET_SPENT
        self._spent = cost
        return wait, None


def _is_retryable(operation: Operation, result: AttemptResult) -> bool:
    if isinstance(result, NoResponse):
        return result.transient and (operation.idempotent or not result.sent)
    return result.status in (_TRANSIENT if operation.idempotent else (_THROTTLED,))


def attempt_of(
    result: AttemptResult, wait: float | None = None, stop_reason: str | None = None
) -> Attempt:
    """Return the record of an attempt with this result."""
    if isinstance(result, Response):
        return Attempt(status=result.status, wait=wait, stop_reason=stop_reason)
    return Attempt(
        error=result.error,
        message=result.message,
        stage=result.stage,
        wait=wait,
        stop_reason=stop_reason,
    )


def _is_throttled(result: AttemptResult) -> bool:
    return isinstance(result, Response) and result.status == _THROTTLED


def throttles(status: int | None, retry_after: float | None) -> bool:
    """Return whether a response says that requests come too fast, and nothing about this one."""
    return status == _THROTTLED or (status == _UNAVAILABLE and retry_after is not None)
