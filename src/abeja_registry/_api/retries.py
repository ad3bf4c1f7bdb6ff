"""Whether a call is made again, and when: a policy, a budget, one call's attempts.

Nothing here sends, sleeps or asks for the time. `Attempts` is told what became of an attempt, and
says how long to wait before the next, or that there is none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from .._validation import as_configuration_error, check_count, check_delay
from ..exceptions import Attempt
from .operations import Operation
from .process import process_token
from .responses import Answer, Failure, Outcome, outcome_unknown

# Statuses that another attempt may not get.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
# Assumption: what the API refuses with this, it has not carried out.
_THROTTLED = 429
_UNAVAILABLE = 503

# Why another attempt is not made that the policy allows.
_ASKED_FOR_LONG = "Retry-After asks for more than longest_retry_after"
_NO_TIME = "the deadline comes before the wait is over"
_BUDGET_SPENT = "the client's retry budget is spent"
_PACED = "the inventory sends the request again, when the API allows it"
_CALLED_OFF = "the client was closed, or what the call was made for has ended"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Whether a call is made again, and how long to wait before.

    A GET and a DELETE are made again after no connection, a lost one, a time-out, a body cut
    short, and the statuses 408, 429, 500, 502, 503 and 504. A create is made again only where it
    certainly was not processed: not a byte of it was sent, or it was answered with 429.

    The wait before the n-th replay is drawn between 0 and `base` doubled n - 1 times.

    Args:
        max_retries: Replays of a call at the most, from 0.
        base: Seconds, from 0.
        throttled_base: Seconds, from 0, in place of `base` after a 429.
        longest_wait: Seconds, from 0, that no drawn wait goes beyond.
        longest_retry_after: Seconds, from 0; an answer that asks for more is not waited for.

    Raises:
        ConfigurationError: A value is out of its bounds.

    Example:
        >>> RetryPolicy(max_retries=2)
        RetryPolicy(max_retries=2, base=0.25, throttled_base=1.0, longest_wait=20.0, \
longest_retry_after=60.0)
    """

    max_retries: int = 5
    base: float = 0.25
    throttled_base: float = 1.0
    longest_wait: float = 20.0
    longest_retry_after: float = 60.0

    def __post_init__(self) -> None:
        with as_configuration_error():
            check_count("max_retries", self.max_retries, least=0)
            for name in ("base", "throttled_base", "longest_wait", "longest_retry_after"):
                check_delay(name, getattr(self, name))

    def _allows(self, operation: Operation, outcome: Outcome, replays: int) -> bool:
        if replays >= self.max_retries:
            return False
        if isinstance(outcome, Failure):
            return outcome.passing and (operation.replayable or not outcome.sent)
        return outcome.status in (_PASSING if operation.replayable else (_THROTTLED,))

    def _wait(self, outcome: Outcome, replays: int, random: Callable[[], float]) -> float:
        base = self.throttled_base if _throttled(outcome) else self.base
        # The exponent is bounded, so that no number of replays overflows.
        return random() * min(self.longest_wait, base * 2.0 ** min(replays, 64))


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
    """What a client may spend on replays, shared by its threads and tasks.

    So that an outage does not make a fleet send several times its load: when the budget is empty,
    calls end with what they met. A retry that waits as long as the API asks is free: the API
    itself spreads the load then.
    """

    SIZE = 500
    COST = 14
    COST_THROTTLED = 5

    def __init__(self) -> None:
        self._tokens = self.SIZE
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._process = process_token()

    def _held(self) -> threading.Lock:
        # In a child process nobody lets go of what another thread of the parent's held.
        if self._process is not process_token():
            self._renew()
        return self._lock

    def spend(self, cost: int) -> bool:
        """Take what a replay costs, if it is there."""
        with self._held():
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def earn(self, tokens: int = 1) -> None:
        """Give back what a success at the first attempt is worth, or a replay that was not sent."""
        with self._held():
            self._tokens = min(self.SIZE, self._tokens + tokens)


class Attempts:
    """The attempts of one call.

    Args:
        operation: What is called.
        policy: Whether it is called again, and when.
        budget: What its client may spend on that.
        deadline: When it has to be over, by the clock of `record`.
        random: Gives a number from 0 to 1.
        paced: Whether its caller slows down and sends it again where the API throttles, so that
            the call itself does not.

    Attributes:
        deadline: When the call has to be over.
        history: What became of its attempts, oldest first.
        outcome_unknown: Whether one before the last may have been carried out.
    """

    def __init__(
        self,
        operation: Operation,
        policy: RetryPolicy,
        budget: RetryBudget,
        *,
        deadline: float,
        random: Callable[[], float],
        paced: bool = False,
    ) -> None:
        self.deadline = deadline
        self.history: tuple[Attempt, ...] = ()
        self.outcome_unknown = False
        self._operation = operation
        self._policy = policy
        self._budget = budget
        self._random = random
        self._paced = paced
        self._spent = 0
        self._last_unknown = False

    def give_up(self) -> None:
        """Take note that the next attempt is not made, and give back what it costs."""
        self._budget.earn(self._spent)
        *before, last = self.history
        self.history = (*before, Attempt(last.cause, no_replay=_CALLED_OFF))

    def record(self, outcome: Outcome, now: float) -> Retry | None:
        """Take note of what became of an attempt.

        Args:
            outcome: What it brought.
            now: The time by the clock.

        Returns:
            The next attempt, with the seconds to wait before it; None where this was the last.
        """
        if isinstance(outcome, Answer) and outcome.success and not self.history:
            self._budget.earn()
        self.outcome_unknown |= self._last_unknown
        self._last_unknown = outcome_unknown(self._operation, outcome)
        wait, no_replay = self._next_wait(outcome, now)
        self.history += (Attempt(str(outcome), wait, no_replay),)
        if wait is None:
            return None
        return Retry(self._operation.name, len(self.history), str(outcome), wait)

    def _next_wait(self, outcome: Outcome, now: float) -> tuple[float | None, str | None]:
        """Return the wait before the next attempt, or None and why there is none."""
        replays = len(self.history)
        asked = outcome.retry_after if isinstance(outcome, Answer) else None
        if self._paced and isinstance(outcome, Answer) and throttles(outcome.status, asked):
            return None, _PACED
        if not self._policy._allows(self._operation, outcome, replays):
            return None, None
        wait = self._policy._wait(outcome, replays, self._random)
        if asked is not None:
            if asked > self._policy.longest_retry_after:
                return None, _ASKED_FOR_LONG
            wait = max(wait, asked)
        if now + wait >= self.deadline:
            return None, _NO_TIME
        cost = RetryBudget.COST_THROTTLED if _throttled(outcome) else RetryBudget.COST
        if asked:
            # Not at 0 seconds: that asks for nothing.
            cost = 0
        if not self._budget.spend(cost):
            return None, _BUDGET_SPENT
        self._spent = cost
        return wait, None


def _throttled(outcome: Outcome) -> bool:
    return isinstance(outcome, Answer) and outcome.status == _THROTTLED


def throttles(status: int | None, retry_after: float | None) -> bool:
    """Return whether a response says that requests come too fast, and nothing about this one."""
    return status == _THROTTLED or (status == _UNAVAILABLE and retry_after is not None)
