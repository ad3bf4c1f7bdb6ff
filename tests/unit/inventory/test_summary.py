"""Counts and sizes of an inventory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from itertools import starmap

import pytest
from hypothesis import example, given
from tests.support.inventories import (
    NOW,
    SOME_NAMES,
    SOME_ROWS,
    KnownRows,
    image,
    known,
    last_rows,
    row,
)

from abeja_registry.inventory import (
    InventoryRepository,
    InventoryRow,
    Summary,
    Totals,
    summarize,
)


def test_a_summary() -> None:
    """It has tags, images and bytes, oldest, newest and stale, by repository and by creator."""
    days = [NOW - timedelta(days=n) for n in range(200)]
    rows = (
        row("small", "1", size=1, updated_at=days[5]),
        row("large", "1", 1, size=50, updated_at=days[91], creator_email="c@d"),
        row("large", "2", 2, size=7, updated_at=days[90]),
        row("large", "3", 3, size=3, updated_at=days[150]),
        row("large", "4", 3, size=3, updated_at=days[120]),
    )
    summary = summarize(iter(rows), 90, NOW)
    assert summary.stale_after_days == 90
    assert summary.total == Totals("total", 5, 61, days[150], days[5], 3, 4, 64, 53)
    assert summary.repositories == (
        Totals("large", 4, 60, days[150], days[90], 3, 3, 63, 53),
        Totals("small", 1, 1, days[5], days[5], 0, 1, 1, 0),
    )
    assert summary.creators == (
        Totals("c@d", 1, 50, days[91], days[91], 1, 1, 50, 50),
        Totals("a@b", 4, 11, days[150], days[5], 2, 3, 14, 3),
    )


def test_a_summary_without_rows() -> None:
    """All counts are 0, and no time is known."""
    summary = summarize([], 0)
    assert summary.total == Totals("total", 0, 0, None, None, 0, 0, 0, 0)
    assert summary.repositories == summary.creators == ()


OLD = NOW - timedelta(days=91)


@pytest.mark.parametrize(
    ("rows", "images", "bytes_", "tag_bytes", "stale_bytes"),
    [
        # 1.0.0 and latest of one image, one of 10 GB.
        (
            [row("a", "1.0.0", size=10**10), row("a", "latest", size=10**10)],
            1,
            10**10,
            2 * 10**10,
            0,
        ),
        # The same digest in two repositories is two images.
        ([row("a", "1", size=7), row("b", "1", size=7)], 2, 14, 14, 0),
        # A fresh tag keeps the image of a stale tag.
        ([row("a", "1", size=7, updated_at=OLD), row("a", "2", size=7)], 1, 7, 14, 0),
        ([row("a", n, size=7, updated_at=OLD) for n in "123"], 1, 7, 21, 7),
        # A fresh tag in another repository does not keep it.
        ([row("a", "1", size=7, updated_at=OLD), row("b", "1", size=7)], 2, 14, 14, 7),
        # Tags of one image with different sizes: the largest counts, in any order.
        ([row("a", "1", size=7), row("a", "2", size=9)], 1, 9, 16, 0),
        ([row("a", "1", size=9), row("a", "2", size=7)], 1, 9, 16, 0),
        ([row("a", "1", size=-5), row("a", "2", size=-7)], 1, -5, -12, 0),
        # More than 64 bits.
        ([row("a", str(n), n, size=2**63 - 1) for n in range(4)], 4, 2**65 - 4, 2**65 - 4, 0),
        # A tag that is listed twice: its last row counts.
        ([row("a", "1", 1, size=7), row("a", "1", 2, size=9)], 1, 9, 9, 0),
        ([row("a", "1", 1, size=7), row("a", "1", 1, size=7, updated_at=OLD)], 1, 7, 7, 7),
    ],
)
def test_sizes_count_images(
    rows: list[InventoryRow], images: int, bytes_: int, tag_bytes: int, stale_bytes: int
) -> None:
    """Each image counts once, and its bytes are freed once all its tags are stale."""
    total = summarize(rows, 90, NOW).total
    assert (total.images, total.bytes, total.tag_bytes) == (images, bytes_, tag_bytes)
    assert total.stale_bytes == stale_bytes


def test_an_image_of_two_creators() -> None:
    """It counts for each; the stale tags of one of them alone do not free it."""
    rows = [
        row("a", "1", size=7, updated_at=OLD),
        row("a", "2", size=7, updated_at=OLD, creator_email="c@d"),
        row("a", "3", 3, size=5, updated_at=OLD),
    ]
    summary = summarize(rows, 90, NOW)
    assert (summary.total.bytes, summary.total.stale_bytes) == (12, 12)
    assert [(each.name, each.bytes, each.stale_bytes) for each in summary.creators] == [
        ("a@b", 12, 5),
        ("c@d", 7, 0),
    ]


def test_a_summary_names_repositories_without_tags() -> None:
    """They are counted, and are the last repositories; without their names their number is None."""
    rows = [row("b", "1"), row("c", "1", size=-5), row("d", "1", size=0)]
    summary = summarize(KnownRows(rows, ["z", "a"]), 90, NOW)
    assert summary.empty_repositories == 2
    assert [(each.name, each.tags) for each in summary.repositories] == [
        ("b", 1), ("d", 1), ("c", 1), ("a", 0), ("z", 0),
    ]  # fmt: skip
    assert summary.repositories[-1] == Totals("z")
    assert summary.total == summarize(rows, 90, NOW).total
    assert summarize(rows).empty_repositories is None
    assert summarize(KnownRows(rows, [])) == summarize(rows)


@pytest.mark.parametrize(
    ("repositories", "empty"),
    [
        ([("1", "skipped", 3)], 0),
        ([("1", "skipped", 3), ("2", "z", 0)], 1),
        ([("1", "b", 2), ("2", "z", 0), ("3", "y", 0)], 2),
        # Created again under its name during the inventory.
        ([("1", "skipped", 0), ("2", "skipped", 1)], 0),
        ([("1", "b", 0), ("2", "b", 1)], 0),
        ([("1", "z", 0), ("2", "z", 0)], 1),
    ],
)
def test_a_repository_without_rows_may_have_tags(
    repositories: list[tuple[str, str, int]], empty: int
) -> None:
    """One whose tags were all skipped does not count as one without tags."""
    rows = KnownRows([row("b", "1")], [])
    rows.repositories = tuple(starmap(InventoryRepository, repositories))
    summary = summarize(rows, 90, NOW)
    assert summary.empty_repositories == empty
    names = {"b", *(name for _, name, _ in repositories)}
    assert {each.name for each in summary.repositories} == names


@pytest.mark.parametrize(
    ("age", "stale"),
    [
        (timedelta(days=90), 0),
        (timedelta(days=90, microseconds=1), 1),
        (timedelta(days=90, microseconds=-1), 0),
        (timedelta(days=-1), 0),
    ],
)
@pytest.mark.parametrize("hours", [-12, 0, 9])
def test_a_tag_is_stale_after_more_than_the_days(age: timedelta, stale: int, hours: int) -> None:
    """A tag that was pushed exactly so many days ago is not stale, in any time zone."""
    pushed = (NOW - age).astimezone(timezone(timedelta(hours=hours)))
    total = summarize([row("a", "1", size=7, updated_at=pushed)], 90, NOW).total
    assert (total.stale, total.stale_bytes) == (stale, 7 * stale)


@pytest.mark.parametrize(
    ("days", "now", "message"),
    [
        (-1, None, "stale_after_days must be at least 0, not -1"),
        (10**9, None, "stale_after_days must not reach back before the year 1, unlike 1000000000"),
        (10**6, NOW, "stale_after_days must not reach back before the year 1, unlike 1000000"),
        (1, datetime(2026, 1, 1), "now must have a time zone"),
    ],
)
def test_invalid_days_are_refused(days: int, now: datetime | None, message: str) -> None:
    """The error names the argument and its value."""
    with pytest.raises(ValueError, match=message):
        summarize([], days, now)


def totals(name: str, own: list[InventoryRow], rows: list[InventoryRow]) -> Totals:
    """Return the totals of some rows."""
    stale_before = NOW - timedelta(days=1)
    images = {image(each) for each in own}
    sizes = {at: max(each.size for each in rows if image(each) == at) for at in images}
    freed = [
        at
        for at in images
        if all(each.updated_at < stale_before and each in own for each in rows if image(each) == at)
    ]
    times = [each.updated_at for each in own]
    return Totals(
        name,
        tags=len(own),
        bytes=sum(sizes.values()),
        oldest=min(times, default=None),
        newest=max(times, default=None),
        stale=sum(time < stale_before for time in times),
        images=len(images),
        tag_bytes=sum(each.size for each in own),
        stale_bytes=sum(sizes[at] for at in freed),
    )


@given(SOME_ROWS, SOME_NAMES)
@example([row("a", "a", 0), row("a", "b", 0), row("a", "a", 1)], None)
def test_any_summary(rows: list[InventoryRow], names: list[str] | None) -> None:
    """A summary has the same figures as counting by hand."""
    last = last_rows(rows)

    def by(column: str, more: Iterable[str] = ()) -> tuple[Totals, ...]:
        groups = {
            name: [each for each in last if getattr(each, column) == name]
            for name in {*more, *(getattr(each, column) for each in last)}
        }
        found = [totals(name, own, last) for name, own in groups.items()]
        return tuple(sorted(found, key=lambda each: (not each.tags, -each.bytes, each.name)))

    expected = Summary(
        totals("total", last, last), by("repository_name", names or ()), by("creator_email"), 1
    )
    summary = summarize(known(rows, names), 1, NOW)
    assert summary == expected
    empty = len({*(names or ())} - {each.repository_name for each in rows})
    assert summary.empty_repositories == (None if names is None else empty)
