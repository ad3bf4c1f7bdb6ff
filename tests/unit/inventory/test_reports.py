"""Reports over rows: summaries, and the differences of two inventories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from itertools import starmap
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from abeja_registry.inventory import (
    Diff,
    Inventory,
    InventoryRepository,
    InventoryRow,
    Moved,
    Summary,
    Totals,
    summarize,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def row(repository: str, tag: str, image: int = 0, *, size: int = 1, **other: Any) -> InventoryRow:
    """Make a row."""
    made = InventoryRow(
        f"id of {repository}", repository, tag, f"sha256:{image}", size, "a/b", "a@b", NOW, NOW
    )
    return made._replace(**other)


compare = Inventory.diff

# -- diff -----------------------------------------------------------------------------------------


def test_equal_inventories() -> None:
    """They have no differences, whatever their order."""
    rows = [row("a", "1"), row("b", "1"), row("a", "2")]
    diff = compare(rows, reversed(rows))
    assert not diff
    assert diff == Diff((), (), (), (), ())
    assert diff.bytes_added == 0


def test_added_removed_and_moved_tags() -> None:
    """Repositories and tags are identified by their names, and a tag's image by its digest."""
    old = [row("a", "1"), row("a", "2", size=5), row("gone", "1", size=10)]
    new = [row("a", "1", 7, size=3), row("a", "3", size=100), row("new", "1", size=1000)]
    diff = compare(old, new)
    assert diff
    assert (diff.repositories_added, diff.repositories_removed) == (("new",), ("gone",))
    assert diff.added == (new[1], new[2])
    assert diff.removed == (old[1], old[2])
    assert diff.moved == (Moved(old[0], new[0]),)
    # Image 0 of a is in both; image 7 of it and that of new come, that of gone goes.
    assert diff.bytes_added == 3 + 1000 - 10


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
    """A tag that points to the same image did not move, whatever its size is said to be."""
    diff = compare([row("a", "1", size=1)], [row("a", "1", size=2)])
    assert not diff
    assert diff.bytes_added == 0


@pytest.mark.parametrize(
    ("old", "new", "bytes_added"),
    [
        # Another tag of an image that exists costs nothing, in either direction.
        ([row("a", "1", size=10)], [row("a", "1", size=10), row("a", "latest", size=10)], 0),
        ([row("a", "1", size=10), row("a", "latest", size=10)], [row("a", "1", size=10)], 0),
        # latest moves from one image, which another tag keeps, to the next.
        (
            [row("a", "1", 1, size=10), row("a", "latest", 1, size=10)],
            [row("a", "1", 1, size=10), row("a", "2", 2, size=7), row("a", "latest", 2, size=7)],
            7,
        ),
        # A renamed tag, and two tags that swap their images.
        ([row("a", "1", 1, size=10)], [row("a", "2", 1, size=10)], 0),
        (
            [row("a", "x", 1, size=10), row("a", "y", 2, size=7)],
            [row("a", "x", 2, size=7), row("a", "y", 1, size=10)],
            0,
        ),
        # The same digest in another repository is another image.
        ([row("a", "1", size=10)], [row("a", "1", size=10), row("b", "1", size=10)], 10),
        ([row("a", "1", size=10)], [row("b", "1", size=10)], 0),
        # An image of two sizes has the larger one.
        ([], [row("a", "1", size=10), row("a", "2", size=12)], 12),
        ([row("a", "1", size=2**63 - 1), row("a", "2", 2, size=2**63 - 1)], [], 2 - 2**64),
    ],
)
def test_bytes_added_counts_images(
    old: list[InventoryRow], new: list[InventoryRow], bytes_added: int
) -> None:
    """Each image that comes or goes counts once, however many tags point to it."""
    assert compare(old, new).bytes_added == bytes_added
    assert compare(new, old).bytes_added == -bytes_added


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


class Rows(list[InventoryRow]):
    """Rows that know all repositories, as an `Inventory` and `read_rows` do."""

    def __init__(self, rows: list[InventoryRow], names: Iterable[str]) -> None:
        super().__init__(rows)
        counts = Counter(each.repository_name for each in rows)
        self.repositories = tuple(
            InventoryRepository(f"id of {name}", name, counts[name])
            for name in dict.fromkeys([*counts, *names])
        )


@pytest.mark.parametrize(
    ("old", "new", "added", "removed"),
    [
        # (rows, names of all repositories or None where they are unknown)
        (([], ["a"]), ([], ["a"]), (), ()),
        (([], []), ([], ["a"]), ("a",), ()),
        (([], ["a"]), ([], []), (), ("a",)),
        (([], ["a", "b"]), ([], ["b", "c"]), ("c",), ("a",)),
        # A repository that gets its first tag, or loses its last one, is the same.
        (([], ["a"]), ([row("a", "1")], ["a"]), (), ()),
        (([row("a", "1")], ["a"]), ([], ["a"]), (), ()),
        (([row("a", "1")], None), ([], ["a"]), (), ()),
        (([], ["a"]), ([row("a", "1")], None), (), ()),
        # What one side does not know is no difference.
        (([], None), ([], ["a"]), (), ()),
        (([], ["a"]), ([], None), (), ()),
        (([], None), ([], None), (), ()),
        # With tags it is one, as it always was; and what the other side knows decides.
        (([], None), ([row("a", "1")], ["a"]), ("a",), ()),
        (([row("a", "1")], ["a"]), ([], None), (), ("a",)),
        (([row("a", "1")], None), ([], []), (), ("a",)),
    ],
)
def test_repositories_without_tags(
    old: tuple[list[InventoryRow], list[str] | None],
    new: tuple[list[InventoryRow], list[str] | None],
    added: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    """They are added and removed by name where both inventories know theirs."""
    before, after = (rows if names is None else Rows(rows, names) for rows, names in (old, new))
    diff = compare(before, after)
    assert (diff.repositories_added, diff.repositories_removed) == (added, removed)
    assert diff.empty_compared == (None not in (old[1], new[1]))
    assert bool(diff) == bool(added or removed or diff.added or diff.removed)


def test_repositories_are_identified_by_name() -> None:
    """One that was created again is the same; a renamed one is another; a name counts once."""
    old = Rows([], ["a", "b"])
    again = Rows([], ["a"])
    again.repositories = (InventoryRepository("9", "a", 0), InventoryRepository("8", "b", 0))
    assert not compare(old, again)
    renamed = Rows([], ["a"])
    renamed.repositories = (old.repositories[0], old.repositories[1]._replace(name="c"))
    diff = compare(old, renamed)
    assert (diff.repositories_added, diff.repositories_removed) == (("c",), ("b",))
    twice = Rows([row("a", "1")], [])
    twice.repositories = (*twice.repositories, InventoryRepository("9", "a", 0))
    assert not compare(Rows([row("a", "1")], []), twice)
    assert summarize(twice).empty_repositories == 0


# -- summary --------------------------------------------------------------------------------------


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


def test_a_summary_of_nothing() -> None:
    """Without rows all is 0, at no time."""
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
        # A fresh tag keeps an image that a stale one points to too.
        ([row("a", "1", size=7, updated_at=OLD), row("a", "2", size=7)], 1, 7, 14, 0),
        ([row("a", n, size=7, updated_at=OLD) for n in "123"], 1, 7, 21, 7),
        # One fresh tag in another repository keeps nothing here.
        ([row("a", "1", size=7, updated_at=OLD), row("b", "1", size=7)], 2, 14, 14, 7),
        # Tags that say different sizes of one image: the larger one counts, in any order.
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
    """An image, a repository and a digest, counts once; what stale tags alone point to is freed."""
    total = summarize(rows, 90, NOW).total
    assert (total.images, total.bytes, total.tag_bytes) == (images, bytes_, tag_bytes)
    assert total.stale_bytes == stale_bytes


def test_an_image_of_two_creators() -> None:
    """It counts for each; it is freed by the stale tags of neither alone."""
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
    """They are counted, last among the repositories; where they are unknown it says so."""
    rows = [row("b", "1"), row("c", "1", size=-5), row("d", "1", size=0)]
    summary = summarize(Rows(rows, ["z", "a"]), 90, NOW)
    assert summary.empty_repositories == 2
    assert [(each.name, each.tags) for each in summary.repositories] == [
        ("b", 1), ("d", 1), ("c", 1), ("a", 0), ("z", 0),
    ]  # fmt: skip
    assert summary.repositories[-1] == Totals("z")
    assert summary.total == summarize(rows, 90, NOW).total
    assert summarize(rows).empty_repositories is None
    assert summarize(Rows(rows, [])) == summarize(rows)


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
    """One whose tags could not be read, and were skipped, does not count as one without tags."""
    rows = Rows([row("b", "1")], [])
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
def test_the_edge_of_stale(age: timedelta, stale: int, hours: int) -> None:
    """A tag that was pushed exactly so many days ago is not stale, in whatever zone its time is."""
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
def test_invalid_days(days: int, now: datetime | None, message: str) -> None:
    """They are refused by name and value."""
    with pytest.raises(ValueError, match=message):
        summarize([], days, now)


# -- against the plainest code that there is ------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c"])
ROWS = st.lists(
    st.builds(
        lambda repository, tag, image, size, email, days: row(
            repository,
            tag,
            image,
            size=size,
            creator_email=email,
            updated_at=NOW - timedelta(days=days),
        ),
        NAMES,
        NAMES,
        st.integers(0, 2),
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from(["a@b", "c@d"]),
        st.integers(0, 3),
    ),
    max_size=12,
)


def last_rows(rows: list[InventoryRow]) -> list[InventoryRow]:
    """Return the last row of each tag."""
    last = {(each.repository_name, each.tag): each for each in rows}
    return list(last.values())


def image(row: InventoryRow) -> tuple[str, str]:
    """Return what identifies a row's image."""
    return row.repository_name, row.digest


def totals(name: str, own: list[InventoryRow], rows: list[InventoryRow]) -> Totals:
    """Return the totals of some of all rows."""
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


REPOSITORIES = st.none() | st.lists(st.sampled_from(["a", "b", "c", "d", "e"]))


def known(rows: list[InventoryRow], names: list[str] | None) -> list[InventoryRow]:
    """Return rows that know all repositories, these among them, or none."""
    return rows if names is None else Rows(rows, names)


@given(ROWS, REPOSITORIES)
@example([row("a", "a", 0), row("a", "b", 0), row("a", "a", 1)], None)
def test_any_summary(rows: list[InventoryRow], names: list[str] | None) -> None:
    """Whatever the rows, a summary has the figures that counting by hand gives."""
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


@given(ROWS, ROWS, REPOSITORIES, REPOSITORIES)
def test_any_diff(
    old: list[InventoryRow],
    new: list[InventoryRow],
    old_names: list[str] | None,
    new_names: list[str] | None,
) -> None:
    """Whatever the rows, a diff has what comparing by hand finds."""
    diff = compare(known(old, old_names), known(new, new_names))
    before = {(each.repository_name, each.tag): each for each in last_rows(old)}
    after = {(each.repository_name, each.tag): each for each in last_rows(new)}
    assert set(diff.added) == {each for key, each in after.items() if key not in before}
    assert set(diff.removed) == {each for key, each in before.items() if key not in after}
    assert {(each.old, each.new) for each in diff.moved} == {
        (before[key], after[key])
        for key in before.keys() & after.keys()
        if before[key].digest != after[key].digest
    }
    names = [{name for name, _ in side} for side in (before, after)]
    all_names = [names[0] | {*(old_names or ())}, names[1] | {*(new_names or ())}]
    # Of what is in one inventory alone, its own empty ones count where the other names all.
    added = (names[1] if old_names is None else all_names[1]) - all_names[0]
    removed = (names[0] if new_names is None else all_names[0]) - all_names[1]
    assert set(diff.repositories_added) == added
    assert set(diff.repositories_removed) == removed
    sizes = [
        {
            at: max(each.size for each in side.values() if image(each) == at)
            for at in map(image, side.values())
        }
        for side in (before, after)
    ]
    assert diff.bytes_added == sum(
        size for at, size in sizes[1].items() if at not in sizes[0]
    ) - sum(size for at, size in sizes[0].items() if at not in sizes[1])
    assert bool(diff) == bool(added or removed or set(before) != set(after) or diff.moved)
