"""What rows add up to, and in what two inventories differ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from abeja_registry._reports import Diff, Group, Moved, Sums, compare
from abeja_registry._rows import InventoryRow

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def row(repository: str, tag: str, image: int = 0, *, size: int = 1, **other: Any) -> InventoryRow:
    """Make a row; its repository's id differs each time."""
    made = InventoryRow(
        str(id(object())), repository, tag, f"sha256:{image}", size, "a/b", "a@b", NOW, NOW
    )
    return made._replace(**other)


def test_inventories_that_are_the_same() -> None:
    """They differ in nothing, whatever their order."""
    rows = [row("a", "1"), row("b", "1"), row("a", "2")]
    diff = compare(rows, reversed(rows))
    assert not diff
    assert diff == Diff((), (), (), (), ())
    assert diff.bytes_added == 0


def test_what_was_added_removed_and_moved() -> None:
    """Repositories and tags are told by their names, and a tag's image by its digest."""
    old = [row("a", "1"), row("a", "2", size=5), row("gone", "1", size=10)]
    new = [row("a", "1", 7, size=3), row("a", "3", size=100), row("new", "1", size=1000)]
    diff = compare(old, new)
    assert diff
    assert (diff.repositories_added, diff.repositories_removed) == (("new",), ("gone",))
    assert diff.added == (new[1], new[2])
    assert diff.removed == (old[1], old[2])
    assert diff.moved == (Moved(old[0], new[0]),)
    assert diff.bytes_added == 2 + 100 + 1000 - 5 - 10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([], [row("a", "1")]),
        ([row("a", "1")], []),
        ([row("a", "1")], [row("a", "1", 1)]),
    ],
)
def test_any_difference_is_one(old: list[InventoryRow], new: list[InventoryRow]) -> None:
    """A diff is true where anything differs."""
    assert compare(old, new)


def test_a_size_alone_is_no_difference() -> None:
    """A tag that points to the same image did not move, whatever size it is said to have."""
    assert not compare([row("a", "1", size=1)], [row("a", "1", size=2)])


def test_a_tag_that_comes_twice() -> None:
    """Its last row counts, on both sides: it is neither added nor moved by the one before."""
    a, again = row("a", "1"), row("a", "1", 7)
    assert not compare([a, again], [a, again])
    assert not compare([a], [again, a])
    assert compare([a], [a, again]).moved == (Moved(a, again),)
    assert compare([a], [again, again]).moved == (Moved(a, again),)
    assert compare([], [a, again]).added == (again,)
    assert compare([a, again], []).removed == (again,)
    assert compare([], [a, again]).bytes_added == 1


def test_sums() -> None:
    """Tags and bytes, oldest and newest and what is untouched, by repository and by creator."""
    days = [NOW - timedelta(days=n) for n in range(200)]
    sums = Sums(90, NOW)
    for each in (
        row("small", "1", size=1, updated_at=days[5]),
        row("large", "1", size=50, updated_at=days[91], creator_email="c@d"),
        row("large", "2", size=7, updated_at=days[90]),
        row("large", "3", size=3, updated_at=days[150]),
    ):
        sums.add(each)
    summary = sums.summary()
    assert summary.untouched_days == 90
    assert summary.total == Group("total", 4, 61, days[150], days[5], 2)
    assert summary.repositories == (
        Group("large", 3, 60, days[150], days[90], 2),
        Group("small", 1, 1, days[5], days[5], 0),
    )
    assert summary.creators == (
        Group("c@d", 1, 50, days[91], days[91], 1),
        Group("a@b", 3, 11, days[150], days[5], 1),
    )


def test_sums_of_nothing() -> None:
    """Nothing adds up to nothing."""
    summary = Sums(0, None).summary()
    assert summary.total == Group("total", 0, 0, None, None, 0)
    assert summary.repositories == summary.creators == ()


@pytest.mark.parametrize(
    ("days", "now", "message"),
    [
        (-1, None, "untouched_days must be at least 0, not -1"),
        (10**9, None, "untouched_days is beyond all dates: 1000000000"),
        (10**6, NOW, "untouched_days is beyond all dates: 1000000"),
        (1, datetime(2026, 1, 1), "now must have a time zone"),
    ],
)
def test_days_that_cannot_be_meant(days: int, now: datetime | None, message: str) -> None:
    """They are refused by name and value."""
    with pytest.raises(ValueError, match=message):
        Sums(days, now)
