"""Reports over an inventory's rows: its summary, and the differences of two inventories.

Repositories and tags are identified by their names, as the names of images are, and an image by its
repository and digest. Where a tag is listed twice, its last row counts, in all reports alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol, runtime_checkable

from ._operations import shown
from ._paging import check_count
from ._rows import InventoryRepository, InventoryRow
from .exceptions import InvalidArgument


@runtime_checkable
class _KnowsRepositories(Protocol):
    @property
    def repositories(self) -> tuple[InventoryRepository, ...] | None: ...


def repository_names(rows: object) -> list[str] | None:
    """Return the names of all repositories, with and without tags, of rows that were all read.

    None where they are not known, as of a list of rows, or of a file that names only repositories
    with tags.
    """
    repositories = rows.repositories if isinstance(rows, _KnowsRepositories) else None
    return None if repositories is None else [each.name for each in repositories]


@dataclass(frozen=True, slots=True)
class Moved:
    """A tag that points to another image than before.

    Attributes:
        old: The tag as it was.
        new: The tag as it is.
    """

    old: InventoryRow
    new: InventoryRow


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences of two inventories; true where there are any.

    Repositories and tags are identified by their names, as the names of images are: a repository
    that was deleted and created again is the same, and a renamed one is another. Where a tag is
    listed twice, as one that is pushed again during an inventory can be, its last row counts.

    Attributes:
        repositories_added: The names of repositories that only the new inventory has, in its order.
        repositories_removed: The names of repositories that only the old inventory has.
        added: Tags that only the new inventory has, those of added repositories included.
        removed: Tags that only the old inventory has.
        moved: Tags of both that point to another image: the same name now runs something else.
        bytes_added: The bytes of images that only the new inventory has, less those of images that
            only the old one has; each image, a repository and a digest, counts once.
        empty_compared: Whether both inventories name their repositories without tags, as an
            `Inventory` and the files that it writes do. Where one does not, a repository without
            tags in the other is neither added nor removed, and one that has tags in the other
            alone counts as added or removed.
    """

    repositories_added: tuple[str, ...]
    repositories_removed: tuple[str, ...]
    added: tuple[InventoryRow, ...]
    removed: tuple[InventoryRow, ...]
    moved: tuple[Moved, ...]
    bytes_added: int = 0
    # What is known is no difference.
    empty_compared: bool = field(default=False, compare=False)

    def __bool__(self) -> bool:
        return bool(
            self.repositories_added
            or self.repositories_removed
            or self.added
            or self.removed
            or self.moved
        )


class DiffBuilder:
    """Compares two inventories: first takes the rows of the old one, then those of the new one.

    All rows of the old inventory and the differences are held in memory.
    """

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], InventoryRow] = {}
        self._names_before = _Names()
        self._names_after = _Names()
        self._kept: set[tuple[str, str]] = set()
        self._added: dict[tuple[str, str], InventoryRow] = {}
        self._moved: dict[tuple[str, str], Moved] = {}

    def add_old(self, row: InventoryRow) -> None:
        """Record a row of the old inventory."""
        self._before[row.repository_name, row.tag] = row
        self._names_before.with_tags[row.repository_name] = None

    def add_old_repositories(self, names: Iterable[str] | None) -> None:
        """Record the names of all repositories of the old inventory, if they are known."""
        self._names_before.add(names)

    def add_new_repositories(self, names: Iterable[str] | None) -> None:
        """Record the names of all repositories of the new inventory, if they are known."""
        self._names_after.add(names)

    def add_new(self, row: InventoryRow) -> None:
        """Record a row of the new inventory."""
        key = row.repository_name, row.tag
        self._names_after.with_tags[row.repository_name] = None
        # An earlier row of the same tag: the last one counts.
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
            repositories_added=after.beyond(before),
            repositories_removed=before.beyond(after),
            added=tuple(self._added.values()),
            removed=tuple(row for key, row in self._before.items() if key not in self._kept),
            moved=tuple(self._moved.values()),
            bytes_added=self._bytes_added(),
            empty_compared=before.all_known and after.all_known,
        )

    def _bytes_added(self) -> int:
        unchanged = (self._before[key] for key in self._kept if key not in self._moved)
        moved = self._moved.values()
        # An image of an unchanged tag is in both inventories, however many other tags come and go.
        before = _image_sizes(self._before.values())
        after = _image_sizes([*self._added.values(), *(each.new for each in moved)])
        kept = after.keys() | _image_sizes(unchanged).keys()
        return sum(size for image, size in after.items() if image not in before) - sum(
            size for image, size in before.items() if image not in kept
        )


class _Names:
    """The names of an inventory's repositories."""

    def __init__(self) -> None:
        self.with_tags: dict[str, None] = {}
        self.empty: dict[str, None] = {}
        self.all_known = False

    def add(self, names: Iterable[str] | None) -> None:
        self.all_known = names is not None
        self.empty = dict.fromkeys(name for name in names or () if name not in self.with_tags)

    def beyond(self, other: _Names) -> tuple[str, ...]:
        """Return the names that the other inventory does not have."""
        # One without tags could be in the other, unnamed.
        names = {**self.with_tags, **(self.empty if other.all_known else {})}
        return tuple(
            name for name in names if name not in other.with_tags and name not in other.empty
        )


def _image_sizes(rows: Iterable[InventoryRow]) -> dict[tuple[str, str], int]:
    """Return the size of each image, the largest where its tags say several."""
    sizes: dict[tuple[str, str], int] = {}
    for row in rows:
        image = row.repository_name, row.digest
        sizes[image] = max(row.size, sizes.get(image, row.size))
    return sizes


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts and sizes of a group of tags.

    An image is a repository and a digest, however many tags point to it. Where these say different
    sizes, the largest counts.

    Attributes:
        name: What the tags have in common: a repository's name, or a creator's e-mail address.
        tags: The number of tags.
        bytes: The bytes of the distinct images that the tags point to. Layers that images share are
            counted with each image.
        oldest: The earliest of the tags' last pushes; None without tags.
        newest: The latest of the tags' last pushes.
        stale: The number of stale tags: those not pushed for `stale_after_days`.
        images: The number of distinct images.
        tag_bytes: The sum of the sizes over all tags: an image counts once for each of its tags.
        stale_bytes: The bytes that are freed when the group's stale tags are deleted: those of
            images that no other tags point to.
    """

    name: str
    tags: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    stale: int = 0
    images: int = 0
    tag_bytes: int = 0
    stale_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts and sizes of an inventory.

    Attributes:
        total: Everything.
        repositories: Each repository, the one with the most bytes first.
        creators: Each creator, in the same order. An image whose tags have several creators
            counts for each of them.
        stale_after_days: The days without a push after which a tag is stale.
        empty_repositories: How many of the repositories have no tags; None where the rows do not
            tell, and such repositories are missing.
    """

    total: Totals
    repositories: tuple[Totals, ...]
    creators: tuple[Totals, ...]
    stale_after_days: int
    # Whether it is known does not change a figure.
    empty_repositories: int | None = field(default=None, compare=False)


class ImageTag(NamedTuple):
    """What a summary keeps of a tag."""

    digest: str
    size: int
    creator_email: str
    updated_at: datetime


class SummaryBuilder:
    """Builds a summary from rows in any order.

    What it keeps of each tag is held in memory: only all tags of an image say whether it is stale.

    Args:
        stale_after_days: Days without a push, >= 0, after which a tag is stale.
        now: The time from which they are counted back. Defaults to the present.

    Raises:
        InvalidArgument: The days are below 0 or beyond all dates, or `now` has no time zone.
    """

    def __init__(self, stale_after_days: int, now: datetime | None) -> None:
        check_count("stale_after_days", stale_after_days, least=0)
        if now is not None and now.tzinfo is None:
            raise InvalidArgument(f"now must have a time zone, unlike {now.isoformat()}")
        try:
            self._stale_before = (now or datetime.now(UTC)) - timedelta(days=stale_after_days)
        except OverflowError:
            raise InvalidArgument(
                f"stale_after_days is beyond all dates: {shown(stale_after_days)}"
            ) from None
        self._days = stale_after_days
        self._repositories: dict[str, dict[str, ImageTag]] = {}
        self._all_known = False

    def add(self, row: InventoryRow) -> None:
        """Record a row."""
        tags = self._repositories.setdefault(row.repository_name, {})
        tags[row.tag] = ImageTag(row.digest, row.size, row.creator_email, row.updated_at)

    def add_repositories(self, names: Iterable[str] | None) -> None:
        """Record the names of all repositories, if they are known."""
        self._all_known = names is not None
        for name in names or ():
            self._repositories.setdefault(name, {})

    def images(self) -> Iterator[tuple[str, list[ImageTag]]]:
        """Return each image's repository, and its tags."""
        for name, tags in self._repositories.items():
            images: dict[str, list[ImageTag]] = {}
            for tag in tags.values():
                images.setdefault(tag.digest, []).append(tag)
            for image in images.values():
                yield name, image

    def summary(self) -> Summary:
        """Return the summary of the rows so far."""
        total = _Totals()
        repositories = {name: _Totals() for name in self._repositories}
        creators: defaultdict[str, _Totals] = defaultdict(_Totals)
        for name, tags in self.images():
            for group in (total, repositories[name]):
                group.add(tags, tags, self._stale_before)
            by_creator: dict[str, list[ImageTag]] = {}
            for tag in tags:
                by_creator.setdefault(tag.creator_email, []).append(tag)
            for email, own in by_creator.items():
                creators[email].add(own, tags, self._stale_before)
        return Summary(
            total=total.totals("total"),
            repositories=_largest_first(repositories),
            creators=_largest_first(creators),
            stale_after_days=self._days,
            empty_repositories=(
                sum(not tags for tags in self._repositories.values()) if self._all_known else None
            ),
        )


class _Totals:
    def __init__(self) -> None:
        self.tags = self.bytes = self.stale = self.images = self.tag_bytes = self.stale_bytes = 0
        self.oldest: datetime | None = None
        self.newest: datetime | None = None

    def add(self, own: list[ImageTag], all_: list[ImageTag], stale_before: datetime) -> None:
        """Add an image, by the group's own tags of it and by all of them."""
        stale = sum(tag.updated_at < stale_before for tag in own)
        size = image_size(all_)
        self.tags += len(own)
        self.images += 1
        self.bytes += size
        self.tag_bytes += sum(tag.size for tag in own)
        self.stale += stale
        if stale == len(all_):
            self.stale_bytes += size
        times = [tag.updated_at for tag in own]
        self.oldest = min(times) if self.oldest is None else min(self.oldest, *times)
        self.newest = max(times) if self.newest is None else max(self.newest, *times)

    def totals(self, name: str) -> Totals:
        return Totals(
            name,
            self.tags,
            self.bytes,
            self.oldest,
            self.newest,
            self.stale,
            self.images,
            self.tag_bytes,
            self.stale_bytes,
        )


def image_size(tags: Iterable[ImageTag]) -> int:
    """Return an image's size, the largest that its tags say."""
    return max(tag.size for tag in tags)


def _largest_first(groups: dict[str, _Totals]) -> tuple[Totals, ...]:
    totals = [group.totals(name) for name, group in groups.items()]
    # Sizes below 0 can be read, so that 0 alone does not put those without tags last.
    return tuple(sorted(totals, key=lambda each: (not each.tags, -each.bytes, each.name)))
