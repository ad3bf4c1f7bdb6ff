"""The differences between two inventories.

Repositories and tags are identified by their names, as image names are, and an image by its
repository and digest. Where a tag is listed twice, its last row counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from .._display import first_rows, html_table, number_text, one_line, short_digest
from ._rows import InventoryRepository, InventoryRow


@dataclass(frozen=True, slots=True)
class Moved:
    """A tag that points to a different image than before.

    Attributes:
        old: The tag as it was.
        new: The tag as it is.
    """

    old: InventoryRow
    new: InventoryRow

    def __repr__(self) -> str:
        return one_line(
            "Moved",
            self.new.repository_name,
            self.new.tag,
            old_digest=short_digest(self.old.digest),
            new_digest=short_digest(self.new.digest),
        )


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences between two inventories; true if there are any.

    Repositories and tags are identified by their names, as image names are: a repository that was
    deleted and created again is the same, and a renamed one is another. Where a tag is listed
    twice, as can happen to one that is pushed again during an inventory, its last row counts.

    Attributes:
        repositories_added: The names of repositories that only the new inventory has, in its order.
        repositories_removed: The names of repositories that only the old inventory has.
        added: Tags that only the new inventory has, those of added repositories included.
        removed: Tags that only the old inventory has.
        moved: Tags of both that point to a different image than before.
        bytes_added: The bytes of images that only the new inventory has, minus those of images that
            only the old one has; each image, a repository and a digest, counts once.
        empty_compared: Whether both inventories name their repositories without tags, as an
            `Inventory` and the files that it writes do. Where one does not, a repository without
            tags in the other is neither added nor removed, and one with tags only in the other
            counts as added or removed.
    """

    repositories_added: tuple[str, ...]
    repositories_removed: tuple[str, ...]
    added: tuple[InventoryRow, ...]
    removed: tuple[InventoryRow, ...]
    moved: tuple[Moved, ...]
    bytes_added: int = 0
    # Not compared: it says how complete the names are, and is not a difference.
    empty_compared: bool = field(default=False, compare=False)

    def __bool__(self) -> bool:
        return bool(
            self.repositories_added
            or self.repositories_removed
            or self.added
            or self.removed
            or self.moved
        )

    def _counts(self) -> dict[str, int]:
        return {
            "repositories_added": len(self.repositories_added),
            "repositories_removed": len(self.repositories_removed),
            "added": len(self.added),
            "removed": len(self.removed),
            "moved": len(self.moved),
        }

    def __repr__(self) -> str:
        return one_line("Diff", **self._counts(), bytes_added=self.bytes_added)

    def _repr_html_(self) -> str:
        """Return a table of the first differences, for notebooks."""
        counts = self._counts()
        caption = ", ".join(
            f"{name.replace('_', ' ')}: {count:,}" for name, count in counts.items()
        )
        return html_table(
            f"{caption}, bytes added: {number_text(self.bytes_added)}",
            ("change", "repository", "tag", "old digest", "new digest"),
            first_rows(self._changes(), sum(counts.values())),
        )

    def _changes(self) -> Iterator[tuple[object, ...]]:
        for name in self.repositories_added:
            yield "repository added", name, "", "", ""
        for name in self.repositories_removed:
            yield "repository removed", name, "", "", ""
        for row in self.added:
            yield "added", row.repository_name, row.tag, "", short_digest(row.digest)
        for row in self.removed:
            yield "removed", row.repository_name, row.tag, short_digest(row.digest), ""
        for moved in self.moved:
            digests = short_digest(moved.old.digest), short_digest(moved.new.digest)
            yield "moved", moved.new.repository_name, moved.new.tag, *digests


class DiffBuilder:
    """Compares two inventories; add the rows of the old one before those of the new one.

    It keeps all rows of the old inventory, and the differences, in memory.
    """

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], InventoryRow] = {}
        self._names_before = _Names()
        self._names_after = _Names()
        self._kept: set[tuple[str, str]] = set()
        self._added: dict[tuple[str, str], InventoryRow] = {}
        self._moved: dict[tuple[str, str], Moved] = {}

    def close(self) -> None:
        """Do nothing: it has no file, unlike a builder that compares record batches."""

    def add_old(self, row: InventoryRow) -> None:
        """Record a row of the old inventory."""
        self._before[row.repository_name, row.tag] = row
        self._names_before.with_tags[row.repository_name] = None

    def add_old_names(self, names: Iterable[str]) -> None:
        """Record the names of the old inventory's repositories with tags, in their order."""
        self._names_before.with_tags.update(dict.fromkeys(names))

    def add_new_names(self, names: Iterable[str]) -> None:
        """Record the names of the new inventory's repositories with tags, in their order."""
        self._names_after.with_tags.update(dict.fromkeys(names))

    def add_old_repositories(self, repositories: Iterable[InventoryRepository] | None) -> None:
        """Record all repositories of the old inventory, if they are known."""
        self._names_before.add(repositories)

    def add_new_repositories(self, repositories: Iterable[InventoryRepository] | None) -> None:
        """Record all repositories of the new inventory, if they are known."""
        self._names_after.add(repositories)

    def add_new(self, row: InventoryRow) -> None:
        """Record a row of the new inventory."""
        key = row.repository_name, row.tag
        self._names_after.with_tags[row.repository_name] = None
        # The last row of a tag counts.
        self._moved.pop(key, None)
        before = self._before.get(key)
        if before is None:
            self._added[key] = row
            return
        self._kept.add(key)
        if before.digest != row.digest:
            self._moved[key] = Moved(before, row)

    def diff(self) -> Diff:
        """Return the differences so far."""
        before, after = self._names_before, self._names_after
        return Diff(
            repositories_added=after.missing_in(before),
            repositories_removed=before.missing_in(after),
            added=tuple(self._added.values()),
            removed=tuple(row for key, row in self._before.items() if key not in self._kept),
            moved=tuple(self._moved.values()),
            bytes_added=self._bytes_added(),
            empty_compared=before.all_known and after.all_known,
        )

    def _bytes_added(self) -> int:
        added = _image_sizes([*self._added.values(), *(each.new for each in self._moved.values())])
        removed = _image_sizes(
            row for key, row in self._before.items() if key not in self._kept or key in self._moved
        )
        # An image that some tag points to both before and after is neither added nor removed.
        existed = {image for row in self._before.values() if (image := _image(row)) in added}
        if removed:
            unchanged = (self._before[key] for key in self._kept if key not in self._moved)
            kept = {image for row in unchanged if (image := _image(row)) in removed}
        else:
            kept = set()
        return sum(size for image, size in added.items() if image not in existed) - sum(
            size for image, size in removed.items() if image not in kept and image not in added
        )


class _Names:
    """The names of an inventory's repositories."""

    def __init__(self) -> None:
        self.with_tags: dict[str, None] = {}
        self.empty: dict[str, None] = {}
        self.all_known = False

    def add(self, repositories: Iterable[InventoryRepository] | None) -> None:
        self.all_known = repositories is not None
        names = (each.name for each in repositories or ())
        self.empty = dict.fromkeys(name for name in names if name not in self.with_tags)

    def missing_in(self, other: _Names) -> tuple[str, ...]:
        """Return the names that another inventory does not have."""
        # A file that does not name repositories without tags may still have them.
        names = {**self.with_tags, **(self.empty if other.all_known else {})}
        return tuple(
            name for name in names if name not in other.with_tags and name not in other.empty
        )


# The repository's name, and the digest.
_image = itemgetter(
    InventoryRow._fields.index("repository_name"), InventoryRow._fields.index("digest")
)


def _image_sizes(rows: Iterable[InventoryRow]) -> dict[tuple[str, str], int]:
    """Return the size of each image: the largest that its tags have."""
    sizes: dict[tuple[str, str], int] = {}
    for row in rows:
        image = _image(row)
        sizes[image] = max(row.size, sizes.get(image, row.size))
    return sizes
