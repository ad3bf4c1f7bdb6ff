"""Reports over an inventory's rows: its summary, and the differences of two inventories.

Repositories and tags are identified by their names, as the names of images are, and an image by its
repository and digest. Where a tag is listed twice, its last row counts, in all reports alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Protocol, runtime_checkable

from .._validation import check_count, check_time, safe_repr
from ..exceptions import InvalidArgument
from ._rows import InventoryRepository, InventoryRow


@runtime_checkable
class _KnowsRepositories(Protocol):
    @property
    def repositories(self) -> tuple[InventoryRepository, ...] | None: ...


def known_repositories(rows: object) -> tuple[InventoryRepository, ...] | None:
    """Return all repositories, with and without tags, of rows that were all read.

    None where they are not known, as of a list of rows, or of a file that names only repositories
    with tags.
    """
    return rows.repositories if isinstance(rows, _KnowsRepositories) else None


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
        added = _image_sizes([*self._added.values(), *(each.new for each in self._moved.values())])
        removed = _image_sizes(
            row for key, row in self._before.items() if key not in self._kept or key in self._moved
        )
        # An image that another tag points to, before or after, neither comes nor goes.
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

    def beyond(self, other: _Names) -> tuple[str, ...]:
        """Return the names that the other inventory does not have."""
        # One without tags could be in the other, unnamed.
        names = {**self.with_tags, **(self.empty if other.all_known else {})}
        return tuple(
            name for name in names if name not in other.with_tags and name not in other.empty
        )


# The repository's name, and the digest.
_image = itemgetter(
    InventoryRow._fields.index("repository_name"), InventoryRow._fields.index("digest")
)


def _image_sizes(rows: Iterable[InventoryRow]) -> dict[tuple[str, str], int]:
    """Return the size of each image, the largest where its tags say several."""
    sizes: dict[tuple[str, str], int] = {}
    for row in rows:
        image = _image(row)
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


# What a summary keeps of a tag. Plain tuples of plain values cost the garbage collector nothing.
_COLUMNS = ("digest", "size", "creator_email", "updated_at")
_Tag = tuple[str, int, str, datetime]
_tag = itemgetter(*map(InventoryRow._fields.index, _COLUMNS))


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
        check_time("now", now)
        try:
            self._stale_before = (now or datetime.now(UTC)) - timedelta(days=stale_after_days)
        except OverflowError:
            raise InvalidArgument(
                f"stale_after_days is beyond all dates: {safe_repr(stale_after_days)}"
            ) from None
        self._days = stale_after_days
        self._repositories: dict[str, dict[str, _Tag]] = {}
        # The names of those without tags, if all are known.
        self._empty: set[str] | None = None

    def add(self, row: InventoryRow) -> None:
        """Record a row."""
        tags = self._repositories.get(row.repository_name)
        if tags is None:
            tags = self._repositories[row.repository_name] = {}
        tags[row.tag] = _tag(row)

    def add_repositories(self, repositories: Iterable[InventoryRepository] | None) -> None:
        """Record all repositories, after the last row, if they are known."""
        if repositories is None:
            return
        named: dict[str, int] = {}
        for each in repositories:
            named[each.name] = named.get(each.name, 0) + each.tag_count
            self._repositories.setdefault(each.name, {})
        # One whose tags were all skipped (`invalid_rows`) has no rows, but is not without tags.
        self._empty = {
            name for name, count in named.items() if not count and not self._repositories[name]
        }

    def images(self) -> Iterator[tuple[int, list[datetime]]]:
        """Return the size of each image, and when each of its tags was last pushed."""
        for tags in self._repositories.values():
            for image in _images(tags):
                yield max(size for _, size, _, _ in image), [pushed for *_, pushed in image]

    def summary(self) -> Summary:
        """Return the summary of the rows so far."""
        total = _Totals()
        repositories = {name: _Totals() for name in self._repositories}
        creators: defaultdict[str, _Totals] = defaultdict(_Totals)
        for name, tags in self._repositories.items():
            for image in _images(tags):
                whole = _Part(image, self._stale_before)
                size = max(whole.sizes)
                freed = size if whole.stale == len(image) else 0
                total.add(whole, size, freed)
                repositories[name].add(whole, size, freed)
                emails = {email for _, _, email, _ in image}
                if len(emails) == 1:
                    creators[emails.pop()].add(whole, size, freed)
                    continue
                # It is freed by the stale tags of no single creator.
                for email in emails:
                    own = [tag for tag in image if tag[2] == email]
                    creators[email].add(_Part(own, self._stale_before), size, 0)
        return Summary(
            total=total.totals("total"),
            repositories=_largest_first(repositories),
            creators=_largest_first(creators),
            stale_after_days=self._days,
            empty_repositories=None if self._empty is None else len(self._empty),
        )


def _images(tags: dict[str, _Tag]) -> Iterable[list[_Tag]]:
    """Return the tags of each image of a repository."""
    images: defaultdict[str, list[_Tag]] = defaultdict(list)
    for tag in tags.values():
        images[tag[0]].append(tag)
    return images.values()


class _Part:
    """Tags of one image."""

    def __init__(self, tags: list[_Tag], stale_before: datetime) -> None:
        self.sizes = [size for _, size, _, _ in tags]
        times = [pushed for *_, pushed in tags]
        self.oldest, self.newest = min(times), max(times)
        self.stale = sum(pushed < stale_before for pushed in times)


class _Totals:
    def __init__(self) -> None:
        self.tags = self.bytes = self.stale = self.images = self.tag_bytes = self.stale_bytes = 0
        self.oldest: datetime | None = None
        self.newest: datetime | None = None

    def add(self, part: _Part, size: int, freed: int) -> None:
        """Add an image, by the group's tags of it."""
        self.tags += len(part.sizes)
        self.images += 1
        self.bytes += size
        self.tag_bytes += sum(part.sizes)
        self.stale += part.stale
        self.stale_bytes += freed
        if self.oldest is None or part.oldest < self.oldest:
            self.oldest = part.oldest
        if self.newest is None or part.newest > self.newest:
            self.newest = part.newest

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


def _largest_first(groups: dict[str, _Totals]) -> tuple[Totals, ...]:
    totals = [group.totals(name) for name, group in groups.items()]
    # Sizes below 0 can be read, so that 0 alone does not put those without tags last.
    return tuple(sorted(totals, key=lambda each: (not each.tags, -each.bytes, each.name)))
