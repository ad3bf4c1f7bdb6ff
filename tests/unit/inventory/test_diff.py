"""The differences between two inventories."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.support.inventories import (
    SOME_NAMES,
    SOME_ROWS,
    KnownRows,
    image,
    known,
    last_rows,
    row,
)

from abeja_registry.inventory import (
    Diff,
    Inventory,
    InventoryRepository,
    InventoryRow,
    Moved,
    summarize,
)

compare = Inventory.diff


def test_equal_inventories_have_no_differences() -> None:
    """The order of the rows does not matter."""
    rows = [row("a", "1"), row("b", "1"), row("a", "2")]
    diff = compare(rows, reversed(rows))
    assert not diff
    assert diff == Diff((), (), (), (), ())
    assert diff.bytes_added == 0


def test_added_removed_and_moved_tags() -> None:
    """Repositories and tags are identified by their names, and a tag's image by its digest."""
    old = [row("a", "1"), row("a", "2", size=5), row("old", "1", size=10)]
    new = [row("a", "1", 7, size=3), row("a", "3", size=100), row("new", "1", size=1000)]
    diff = compare(old, new)
    assert diff
    assert (diff.repositories_added, diff.repositories_removed) == (("new",), ("old",))
    assert diff.added == (new[1], new[2])
    assert diff.removed == (old[1], old[2])
    assert diff.moved == (Moved(old[0], new[0]),)
    # Image 0 of a is in both; image 7 of a and that of new are added, that of old is removed.
    assert diff.bytes_added == 3 + 1000 - 10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([], [row("a", "1")]),
        ([row("a", "1")], []),
        ([row("a", "1")], [row("a", "1", 1)]),
    ],
)
def test_a_diff_with_a_difference_is_true(old: list[InventoryRow], new: list[InventoryRow]) -> None:
    """Any single difference counts."""
    assert compare(old, new)


def test_another_size_is_not_a_difference() -> None:
    """A tag that points to the same image did not move."""
    diff = compare([row("a", "1", size=1)], [row("a", "1", size=2)])
    assert not diff
    assert diff.bytes_added == 0


@pytest.mark.parametrize(
    ("old", "new", "bytes_added"),
    [
        # Another tag of an image that exists costs nothing, in either direction.
        ([row("a", "1", size=10)], [row("a", "1", size=10), row("a", "latest", size=10)], 0),
        ([row("a", "1", size=10), row("a", "latest", size=10)], [row("a", "1", size=10)], 0),
        # latest moves from an image that another tag still points to.
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
    """Each added or removed image counts once, however many tags point to it."""
    assert compare(old, new).bytes_added == bytes_added
    assert compare(new, old).bytes_added == -bytes_added


def test_the_last_row_of_a_tag_counts() -> None:
    """On both sides: an earlier row makes the tag neither added nor moved."""
    a, again = row("a", "1"), row("a", "1", 7)
    assert not compare([a, again], [a, again])
    assert not compare([a], [again, a])
    assert compare([a], [a, again]).moved == (Moved(a, again),)
    assert compare([a], [again, again]).moved == (Moved(a, again),)
    assert compare([], [a, again]).added == (again,)
    assert compare([a, again], []).removed == (again,)
    assert compare([], [a, again]).bytes_added == 1


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
        # A name that one side may lack is not a difference.
        (([], None), ([], ["a"]), (), ()),
        (([], ["a"]), ([], None), (), ()),
        (([], None), ([], None), (), ()),
        # A repository with tags on one side is one; the other side decides whether it had it.
        (([], None), ([row("a", "1")], ["a"]), ("a",), ()),
        (([row("a", "1")], ["a"]), ([], None), (), ("a",)),
        (([row("a", "1")], None), ([], []), (), ("a",)),
    ],
)
def test_a_diff_of_repositories_without_tags(
    old: tuple[list[InventoryRow], list[str] | None],
    new: tuple[list[InventoryRow], list[str] | None],
    added: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    """They are added and removed by name if both inventories name theirs."""
    before, after = (
        rows if names is None else KnownRows(rows, names) for rows, names in (old, new)
    )
    diff = compare(before, after)
    assert (diff.repositories_added, diff.repositories_removed) == (added, removed)
    assert diff.empty_compared == (None not in (old[1], new[1]))
    assert bool(diff) == bool(added or removed or diff.added or diff.removed)


def test_repositories_are_identified_by_name() -> None:
    """One that was created again is the same; a renamed one is different; a name counts once."""
    old = KnownRows([], ["a", "b"])
    again = KnownRows([], ["a"])
    again.repositories = (InventoryRepository("9", "a", 0), InventoryRepository("8", "b", 0))
    assert not compare(old, again)
    renamed = KnownRows([], ["a"])
    renamed.repositories = (old.repositories[0], old.repositories[1]._replace(name="c"))
    diff = compare(old, renamed)
    assert (diff.repositories_added, diff.repositories_removed) == (("c",), ("b",))
    twice = KnownRows([row("a", "1")], [])
    twice.repositories = (*twice.repositories, InventoryRepository("9", "a", 0))
    assert not compare(KnownRows([row("a", "1")], []), twice)
    assert summarize(twice).empty_repositories == 0


@given(SOME_ROWS, SOME_ROWS, SOME_NAMES, SOME_NAMES)
def test_any_diff(
    old: list[InventoryRow],
    new: list[InventoryRow],
    old_names: list[str] | None,
    new_names: list[str] | None,
) -> None:
    """A diff has the same differences as comparing by hand."""
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
    # Repositories without tags count if the other inventory names all of its own.
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
