"""A clock that jumps: a call's time passes when a test says so, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .internals import replace_now


class JumpingClock:
    """The monotonic clock, which a test can put forward."""

    def __init__(self) -> None:
        self._monotonic = time.monotonic
        self._ahead = 0.0

    def now(self) -> float:
        """Return the seconds of the clock."""
        return self._monotonic() + self._ahead

    def jump(self, seconds: float) -> None:
        """Put the clock forward."""
        self._ahead += seconds


@contextmanager
def jumping_clock() -> Iterator[JumpingClock]:
    """Replace `time.monotonic` for the process: for clients, for streams and for event loops.

    At the end the clock goes back: event loops and clients must not outlive it.
    """
    clock = JumpingClock()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(time, "monotonic", clock.now)
        replace_now(monkeypatch, clock.now)
        yield clock
