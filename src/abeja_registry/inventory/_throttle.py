"""How many requests an inventory sends at a time, and when, while the API throttles.

A `Throttle` sends nothing, never sleeps and has no clock: it records responses, and gives the
width and the wait. The width follows TCP's rule, additive increase and multiplicative decrease: it
falls by a quarter when the API throttles, and rises by a part of one with each success. Until the
time is over that `Retry-After` asks for, no request is sent at all. A throttled request is sent
again, and costs neither one of its call's retries nor any of the client's retry budget.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from .._api.retries import RetryPolicy

# Seconds without any success, while waiting as asked, after which throttled requests fail.
PATIENCE = 300.0
# How often one request is throttled, while others succeed for as long, before it fails.
MAX_TURNS = 30
# Both found by simulation, for a rate that the width alone cannot keep to: of an API that takes 20
# requests a second, a deeper fall or a faster rise wastes more of the seconds than it gains.
DECREASE = 0.75
INCREASE = 0.2


class Throttle:
    """The width of one inventory.

    Args:
        widest: Requests in flight at most.
        policy: How long to wait where the API does not say; and the longest that it may ask for.
        random: Gives a number from 0 to 1.

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
        # Seconds of all pauses, and how many there were at the latest success. Not clock time: a
        # test's clock may stand still.
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
        """Record that the wait is over, whatever the clock says."""
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
            retry_after: Seconds that the response asks to wait; None where it asks for none.
            now: The time by the clock of `wait`.
        """
        self.count += 1
        asked = retry_after or 0.0
        if asked > self._policy.max_retry_after or self._hopeless(request):
            return False
        if self.wait(now):
            # The requests in flight at the first one tell nothing about the width since then.
            self._until = max(now + asked, self._until or 0.0)
            return True
        self._width = max(1.0, self._width * DECREASE)
        base = self._policy.throttled_base_delay * 2.0 ** min(self._pauses, 64)
        pause = max(asked, self._random() * min(self._policy.max_delay, base))
        self._until = now + pause
        self._pauses += 1
        # A policy without waits still has an end.
        self._paused += max(pause, 1.0)
        return True

    def _hopeless(self, request: Hashable) -> bool:
        turns, since = self._turns.get(request, (0, self._paused))
        self._turns[request] = turns + 1, since
        # Where others succeed and this one never does, its cause is not the rate.
        hopeless = self._paused - self._paused_at_success >= PATIENCE or (
            turns >= MAX_TURNS and self._paused - since >= PATIENCE
        )
        if hopeless:
            del self._turns[request]
        return hopeless
