"""A session's time, sleep and random numbers, in one value that a test can replace."""

from __future__ import annotations

import asyncio
import random
import time


class Clock:
    """The system's clock.

    `now` returns the seconds of a monotonic clock, and `random` a number >= 0 and < 1.
    """

    # Whether sleeping takes time.
    sleeps = True

    now = staticmethod(time.monotonic)
    random = staticmethod(random.random)

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Sleep, while other tasks run."""
        await asyncio.sleep(seconds)
