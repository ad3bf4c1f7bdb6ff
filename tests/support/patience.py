"""Waiting for other threads and processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Maximum number of seconds to wait.
PATIENCE = 30


def until(get: Callable[[], T]) -> T:
    """Poll until there is a value, and fail if it takes too long."""
    end = time.monotonic() + PATIENCE
    while not (value := get()):
        assert time.monotonic() < end, f"it did not happen within {PATIENCE} s"
        time.sleep(0.01)
    return value
