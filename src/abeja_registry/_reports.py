"""What rows of an inventory add up to, and in what two inventories differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ._paging import check_count
from ._rows import InventoryRow


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
    """In what two inventories differ; true where they do.

    Repositories and tags are told from others by their names, as the names of images are: a
    repository that was deleted and made again is the same. One without tags is in no inventory.
    Where a tag comes twice, as one does that is pushed again during a walk, its last row counts.

    Attributes:
        repositories_added: The names of repositories that the new one alone has, in its order.
        repositories_removed: The names of repositories that the old one alone has.
        added: Tags that the new one alone has, those of added repositories among them.
        removed: Tags that the old one alone has.
        moved: Tags of both that point to another image: what was run by such a name before is
            not what is run by it now.
    """

    repositories_added: tuple[str, ...]
    repositories_removed: tuple[str, ...]
    added: tuple[InventoryRow, ...]
    removed: tuple[InventoryRow, ...]
    moved: tuple[Moved, ...]

    @property
    def bytes_added(self) -> int:
        """How many bytes the images of the new one have more; below 0 where they have fewer."""
        return (
            sum(row.size for row in self.added)
            - sum(row.size for row in self.removed)
            + sum(moved.new.size - moved.old.size for moved in self.moved)
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved)


class Comparison:
    """A diff in the making: told the rows of the new inventory, it gives in what they differ.

    All of the old ones and what differs is held in memory.

    Args:
        old: The rows of the old one.
    """

    def __init__(self, old: Iterable[InventoryRow]) -> None:
        self._before = {(row.repository_name, row.tag): row for row in old}
        self._names_after: dict[str, None] = {}
        self._removed = self._before.copy()
        self._added: dict[tuple[str, str], InventoryRow] = {}
        self._moved: dict[tuple[str, str], Moved] = {}

    def add(self, row: InventoryRow) -> None:
        """Take note of a row of the new one."""
        key = row.repository_name, row.tag
        self._names_after[row.repository_name] = None
        self._removed.pop(key, None)
        # Where a row of it came before: the last one is nearer to how it is now.
        self._moved.pop(key, None)
        was = self._before.get(key)
        if was is None:
            self._added[key] = row
        elif was.digest != row.digest:
            self._moved[key] = Moved(was, row)

    def diff(self) -> Diff:
        """Return in what the rows so far differ from the old ones."""
        names_before = dict.fromkeys(name for name, _ in self._before)
        return Diff(
            repositories_added=tuple(
                name for name in self._names_after if name not in names_before
            ),
            repositories_removed=tuple(
                name for name in names_before if name not in self._names_after
            ),
            added=tuple(self._added.values()),
            removed=tuple(self._removed.values()),
            moved=tuple(self._moved.values()),
        )


def compare(old: Iterable[InventoryRow], new: Iterable[InventoryRow]) -> Diff:
    """Return in what rows differ."""
    comparison = Comparison(old)
    for row in new:
        comparison.add(row)
    return comparison.diff()


@dataclass(frozen=True, slots=True)
class Group:
    """What some rows add up to.

    Attributes:
        name: What they have in common: a repository's name, or a creator's e-mail address.
        tags: How many there are.
        bytes: The sum of their sizes. Layers that images share are counted with each.
        oldest: When the one that was pushed longest ago was last pushed; None without tags.
        newest: When the one that was pushed last was.
        untouched: How many were not pushed for so many days.
    """

    name: str
    tags: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    untouched: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What an inventory adds up to.

    Attributes:
        total: Everything.
        repositories: Each repository, the one with the most bytes first.
        creators: Each creator, the same way.
        untouched_days: The days after which a tag counts as untouched.
    """

    total: Group
    repositories: tuple[Group, ...]
    creators: tuple[Group, ...]
    untouched_days: int


class Sums:
    """A summary in the making: told rows, in whatever order, it gives what they add up to.

    Args:
        untouched_days: Days without a push, from 0, after which a tag counts as untouched.
        now: The time from which they are counted back; the present if not given.

    Raises:
        ValueError: The days are below 0 or beyond all dates, or `now` has no time zone.
    """

    def __init__(self, untouched_days: int, now: datetime | None) -> None:
        check_count("untouched_days", untouched_days, least=0)
        if now is not None and now.tzinfo is None:
            raise ValueError(f"now must have a time zone, unlike {now.isoformat()}")
        try:
            self._before = (now or datetime.now(UTC)) - timedelta(days=untouched_days)
        except OverflowError:
            raise ValueError(f"untouched_days is beyond all dates: {untouched_days}") from None
        self._days = untouched_days
        self._total = _Sum()
        self._repositories: dict[str, _Sum] = {}
        self._creators: dict[str, _Sum] = {}

    def add(self, row: InventoryRow) -> None:
        """Take note of a row."""
        untouched = row.updated_at < self._before
        for sum_ in (
            self._total,
            self._repositories.setdefault(row.repository_name, _Sum()),
            self._creators.setdefault(row.creator_email, _Sum()),
        ):
            sum_.add(row, untouched)

    def summary(self) -> Summary:
        """Return what the rows so far add up to."""
        return Summary(
            self._total.group("total"),
            _largest_first(self._repositories),
            _largest_first(self._creators),
            self._days,
        )


class _Sum:
    def __init__(self) -> None:
        self.tags = self.bytes = self.untouched = 0
        self.oldest: datetime | None = None
        self.newest: datetime | None = None

    def add(self, row: InventoryRow, untouched: bool) -> None:
        self.tags += 1
        self.bytes += row.size
        self.untouched += untouched
        if self.oldest is None or row.updated_at < self.oldest:
            self.oldest = row.updated_at
        if self.newest is None or row.updated_at > self.newest:
            self.newest = row.updated_at

    def group(self, name: str) -> Group:
        return Group(name, self.tags, self.bytes, self.oldest, self.newest, self.untouched)


def _largest_first(sums: dict[str, _Sum]) -> tuple[Group, ...]:
    groups = [sum_.group(name) for name, sum_ in sums.items()]
    return tuple(sorted(groups, key=lambda group: (-group.bytes, group.name)))
