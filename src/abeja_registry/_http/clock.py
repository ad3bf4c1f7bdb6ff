"""What a session takes from the machine: the time, sleeping and chance."""

from __future__ import annotations

import asyncio
import random
import time


class Clock:
    """The system's own; a test replaces it.

    `now` returns the seconds of a monotonic clock, and `random` a number from 0 to 1.
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
