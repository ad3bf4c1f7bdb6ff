"""Times in UTC."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

_NO_OFFSET = timedelta()


def in_utc(time: datetime) -> datetime:
    """Return the same time in UTC; as it is where that is beyond the calendar."""
    with suppress(OverflowError):
        return time.astimezone(UTC)
    return time


def time_text(time: datetime, precision: str = "auto") -> str:
    """Return a time in UTC as text that ends in Z."""
    if time.utcoffset() != _NO_OFFSET:
        time = in_utc(time)
    return time.isoformat(timespec=precision).replace("+00:00", "Z")
