"""Retries: the policy, the client's budget, and the attempts of one call.

Nothing here sends, sleeps or reads a clock. `Attempts` records the result of each attempt, and
returns the wait before the next one, or None.
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

# Statuses of temporary failures.
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
# Assumption: the API does not carry out a request that it refuses with 429.
_THROTTLED = 429
_UNAVAILABLE = 503

# Why a call stops although the policy allows a retry.
_RETRY_AFTER_TOO_LONG = "Retry-After asks for more than max_retry_after"
_DEADLINE_TOO_CLOSE = "the deadline ends before the wait does"
DEADLINE_ENDED = "the deadline ended before the retry was sent"
_BUDGET_SPENT = "the client's retry budget is spent"
_PACED = "the inventory sends the request again when the API allows it"
_THROTTLED_TOO_LONG = "the API has throttled the inventory for too long"
_CANCELLED = "the client was closed, or the call's inventory was stopped"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a call is retried, and how long to wait before.

    GET and DELETE are retried after a failed or lost connection, a timeout, a truncated body, and
    the statuses 408, 429, 500, 502, 503 and 504. A create is retried only if the API certainly did
    not process it: no byte of it was sent, or the status was 429.

    The wait before the n-th retry is random, between 0 and `base_delay` doubled n - 1 times.

    Args:
        max_retries: Maximum number of retries, >= 0.
        base_delay: Seconds, >= 0.
        throttled_base_delay: Seconds, >= 0; replaces `base_delay` after a 429.
        max_delay: Maximum of the random wait in seconds, >= 0.
        max_retry_after: Seconds, >= 0; a call fails at once if Retry-After asks for more.

    Raises:
        ConfigurationError: A value is invalid.

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
    """A retry that is about to happen; `on_retry` is called with it.

    Attributes:
        operation: The name of the raw client's method, such as `get_repository`.
        attempt: The number of the failed attempt, >= 1.
        cause: Why it failed.
        wait: Seconds until the next attempt.
    """

    operation: str
    attempt: int
    cause: str
    wait: float


class RetryBudget:
    """Tokens that a client spends on retries, shared by its threads and tasks.

    It keeps a fleet from multiplying its load during an outage: with an empty budget, a call fails
    without a retry. A retry that follows a Retry-After header is free, because the API spreads the
    load itself.

    Attributes:
        successes: Calls that succeeded without a retry since the latest `spend`; each earns a
            token. There is no lock: two threads that count at the same moment may lose one.
    """

    SIZE = 500
    COST = 14
    COST_THROTTLED = 5

    def __init__(self) -> None:
        self.successes = 0
        self._tokens = self.SIZE
        self._lock = threading.Lock()
        self._process = process.token

    def _current_lock(self) -> threading.Lock:
        # A lock that another thread holds at fork() stays locked in the child.
        if self._process is not process.token:
            self._lock = threading.Lock()
            self._process = process.token
        return self._lock

    def spend(self, cost: int) -> bool:
        """Spend the cost of a retry; return False if too few tokens are left."""
        with self._current_lock():
            self._tokens = min(self.SIZE, self._tokens + self.successes)
            self.successes = 0
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def give_back(self, cost: int) -> None:
        """Return the cost of a retry that was not sent."""
        with self._current_lock():
            self._tokens = min(self.SIZE, self._tokens + cost)


@dataclass(slots=True)
class Attempts:
    """The failed attempts of one call.

    Attributes:
        operation: The operation that is called.
        policy: When it is retried.
        budget: The client's retry budget.
        deadline: When the call must end, by the clock of `record`.
        random: Returns a number >= 0 and < 1.
        paced: Whether the caller itself slows down and sends again when the API throttles; the
            call then does not retry.
        history: The failed attempts, oldest first.
        outcome_unknown: Whether an attempt before the last may have been carried out.
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

    def give_up(self, reason: str = _CANCELLED) -> None:
        """Cancel the next attempt for a reason, and return its cost to the budget."""
        self.budget.give_back(self._spent)
        *before, last = self.history
        self.history = (*before, replace(last, wait=None, stop_reason=reason))

    def record(self, result: AttemptResult, now: float) -> Retry | None:
        """Record a failed attempt.

        Args:
            result: Its result.
            now: The time by the clock.

        Returns:
            The retry, with the seconds to wait before it; None if this attempt was the last.
        """
        self.outcome_unknown |= self._last_unknown
        self._last_unknown = outcome_unknown(self.operation, result)
        wait, stop_reason = self._next_wait(result, now)
        self.history += (attempt_of(result, wait, stop_reason),)
        if wait is None:
            return None
        return Retry(self.operation.name, len(self.history), str(result), wait)

    def _next_wait(self, result: AttemptResult, now: float) -> tuple[float | None, str | None]:
        """Return the wait before the next attempt, or None and the reason."""
        policy, retries = self.policy, len(self.history)
        retry_after = result.retry_after if isinstance(result, Response) else None
        if self.paced and isinstance(result, Response) and throttles(result.status, retry_after):
            too_long = (retry_after or 0) > policy.max_retry_after
            return None, _RETRY_AFTER_TOO_LONG if too_long else _PACED
        if retries >= policy.max_retries or not _is_retryable(self.operation, result):
            return None, None
        base = policy.throttled_base_delay if _is_throttled(result) else policy.base_delay
        # Bound the exponent: many retries would overflow.
        wait = self.random() * min(policy.max_delay, base * 2.0 ** min(retries, 64))
        if retry_after is not None:
            if retry_after > policy.max_retry_after:
                return None, _RETRY_AFTER_TOO_LONG
            wait = max(wait, retry_after)
        if now + wait >= self.deadline:
            return None, _DEADLINE_TOO_CLOSE
        cost = RetryBudget.COST_THROTTLED if _is_throttled(result) else RetryBudget.COST
        if retry_after:  # a wait of 0 seconds spreads no load
            cost = 0
        if not self.budget.spend(cost):
            return None, _BUDGET_SPENT
        self._spent = cost
        return wait, None


def stop_throttled(history: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Return the history of a throttled call that its inventory does not send again."""
    *before, last = history
    if last.stop_reason != _PACED:
        return history
    return (*before, replace(last, stop_reason=_THROTTLED_TOO_LONG))


def _is_retryable(operation: Operation, result: AttemptResult) -> bool:
    if isinstance(result, NoResponse):
        return result.transient and (operation.idempotent or not result.sent)
    return result.status in (TRANSIENT if operation.idempotent else (_THROTTLED,))


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
    """Whether the API asks the client for fewer requests."""
    return status == _THROTTLED or (status == _UNAVAILABLE and retry_after is not None)
