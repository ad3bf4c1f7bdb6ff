"""The real clock, also while a test freezes the time: timers run by it."""

import time
from collections.abc import Callable
from functools import partial

# freezegun replaces time.monotonic, and each module's attribute that is it; this is neither.
monotonic: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime")
    else partial(time.monotonic)
)
