"""How many requests an inventory sends at a time, and when, while the API throttles.

A `Throttle` sends nothing, never sleeps and has no clock: it records responses, and gives the
width and the wait. The width follows TCP's rule, additive increase and multiplicative decrease: it
falls by a quarter when the API throttles, and rises by a fraction with each success. No request is
sent before the time in `Retry-After` is over. A throttled request is sent again, and uses neither
its call's retries nor the client's retry budget.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from .._api.retries import RetryPolicy

# Seconds of waiting without any success after which throttled requests fail.
PATIENCE = 300.0
# Attempts of one request after which it fails, if others succeed for as long.
MAX_TURNS = 30
# Found by simulation of an API that accepts 20 requests a second: a deeper fall or a faster rise
# wastes more time than it gains.
DECREASE = 0.75
INCREASE = 0.2


class Throttle:
    """The width of one inventory.

    Args:
        widest: The maximum number of requests in flight.
        policy: The wait where the response has no `Retry-After`, and the longest `Retry-After`.
        random: Returns a number between 0 and 1.

    Attributes:
        count: How many requests were throttled so far.
    """

    def __init__(self, widest: int, policy: RetryPolicy, random: Callable[[], float]) -> None:
        self.count = 0
        self._widest = widest
        self._policy = policy
        self._random = random
        self._width = float(widest)
        self._until: float | None = None
        # Pauses since the latest success.
        self._pauses = 0
        # Seconds of all pauses, now and at the latest success. Not clock time: a test's clock may
        # not move.
        self._paused = 0.0
        self._paused_at_success = 0.0
        # Of each throttled request: how often, and the seconds of pauses at the first time.
        self._turns: dict[Hashable, tuple[int, float]] = {}

    @property
    def width(self) -> int:
        """How many requests may be in flight."""
        return int(self._width)

    @property
    def narrowed(self) -> bool:
        """Whether that is less than without throttling."""
        return self._width < self._widest

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may be sent."""
        return 0.0 if self._until is None else max(0.0, self._until - now)

    def resume(self) -> None:
        """Record that the wait is over, even if the clock did not move."""
        self._until = None

    def succeeded(self, request: Hashable) -> None:
        """Record that a request succeeded."""
        self._width = min(self._widest, self._width + INCREASE / self._width)
        self._pauses = 0
        self._paused_at_success = self._paused
        self._turns.pop(request, None)

    def throttled(self, request: Hashable, retry_after: float | None, now: float) -> bool:
        """Record that a request was throttled; return whether to send it again.

        Args:
            request: Which one.
            retry_after: The seconds in the response's `Retry-After`; None without one.
            now: The time by the clock of `wait`.
        """
        self.count += 1
        requested = retry_after or 0.0
        if requested > self._policy.max_retry_after or self._hopeless(request):
            return False
        if self.wait(now):
            # Requests already in flight when the width fell do not make it fall again.
            self._until = max(now + requested, self._until or 0.0)
            return True
        self._width = max(1.0, self._width * DECREASE)
        base = self._policy.throttled_base_delay * 2.0 ** min(self._pauses, 64)
        pause = max(requested, self._random() * min(self._policy.max_delay, base))
        self._until = now + pause
        self._pauses += 1
        # At least a second, so that a policy without waits ends too.
        self._paused += max(pause, 1.0)
        return True

    def _hopeless(self, request: Hashable) -> bool:
        turns, since = self._turns.get(request, (0, self._paused))
        self._turns[request] = turns + 1, since
        # If only this request never succeeds, the cause is not the rate.
        hopeless = self._paused - self._paused_at_success >= PATIENCE or (
            turns >= MAX_TURNS and self._paused - since >= PATIENCE
        )
        if hopeless:
            del self._turns[request]
        return hopeless
