"""Tags and images by their last push, in periods that suit the span."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime

from ...inventory._times import in_utc

# The most columns that a chart has space for.
MAX_PERIODS = 60


@dataclass(frozen=True, slots=True)
class Period:
    """A period of time.

    Attributes:
        name: Its first day, or the month, quarter, year or decade: `2025-03-31`, `2025-03`,
            `2025-Q1`, `2025`, `2020s`.
        tags: The number of tags that were last pushed in it.
        bytes: The bytes of the images that were last pushed in it, by the newest of their tags.
    """

    name: str
    tags: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Periods:
    """Consecutive periods, including empty ones.

    Attributes:
        unit: The length of each: a day, two days, a week, a month, a quarter, a year, a decade
            or a century.
        items: The periods, the oldest first; none without tags.
    """

    unit: str
    items: tuple[Period, ...]


@dataclass(frozen=True)
class _Unit:
    name: str
    number: Callable[[date], int]
    label: Callable[[int], str]


# Numbers instead of dates: a period may begin before the year 1. The first day of it is a Monday.
_UNITS = (
    _Unit("day", date.toordinal, lambda n: str(date.fromordinal(n))),
    # Between days and weeks, so that no span has only a few periods.
    _Unit(
        "two days",
        lambda day: (day.toordinal() - 1) // 2,
        lambda n: str(date.fromordinal(n * 2 + 1)),
    ),
    _Unit(
        "week",
        lambda day: (day.toordinal() - 1) // 7,
        lambda n: str(date.fromordinal(n * 7 + 1)),
    ),
    _Unit(
        "month",
        lambda day: day.year * 12 + day.month - 1,
        lambda n: f"{n // 12:04}-{n % 12 + 1:02}",
    ),
    _Unit(
        "quarter",
        lambda day: day.year * 4 + (day.month - 1) // 3,
        lambda n: f"{n // 4:04}-Q{n % 4 + 1}",
    ),
    _Unit("year", lambda day: day.year, lambda n: f"{n:04}"),
    _Unit("decade", lambda day: day.year // 10, lambda n: f"{n * 10:04}s"),
    _Unit("century", lambda day: day.year // 100, lambda n: f"{n * 100:04}s"),
)


def periods(images: Iterable[tuple[int, list[datetime]]]) -> Periods:
    """Return the shortest periods of which at most 60 cover all pushes.

    Args:
        images: The size of each image, and the times of the last push of its tags.
    """
    days: dict[date, tuple[int, int]] = {}
    for size, pushes in images:
        for pushed in pushes:
            _count(days, pushed, 1, 0)
        _count(days, max(pushes), 0, size)
    if not days:
        return Periods(_UNITS[0].name, ())
    first, last = min(days), max(days)
    unit = next(
        (each for each in _UNITS if each.number(last) - each.number(first) < MAX_PERIODS),
        _UNITS[-1],
    )
    counts = {number: [0, 0] for number in range(unit.number(first), unit.number(last) + 1)}
    for day, (tags, bytes_) in days.items():
        count = counts[unit.number(day)]
        count[0] += tags
        count[1] += bytes_
    return Periods(
        unit.name,
        tuple(Period(unit.label(number), *count) for number, count in counts.items()),
    )


def _count(days: dict[date, tuple[int, int]], time: datetime, tags: int, bytes_: int) -> None:
    day = in_utc(time).date()
    tags_before, bytes_before = days.get(day, (0, 0))
    days[day] = tags_before + tags, bytes_before + bytes_
