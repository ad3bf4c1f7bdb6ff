"""Waiting for what others do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds that what others do may take, at the very most.
PATIENCE = 30


def until(ask: Callable[[], T]) -> T:
    """Ask until there is something, and fail when it takes too long."""
    end = time.monotonic() + PATIENCE
    while not (answer := ask()):
        assert time.monotonic() < end, f"it did not happen within {PATIENCE} s"
        time.sleep(0.01)
    return answer
