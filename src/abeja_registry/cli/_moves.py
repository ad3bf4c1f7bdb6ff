"""Tags that point to another image than in an older inventory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ..inventory import InventoryRow


@dataclass(frozen=True, slots=True)
class MovedTag:
    """A tag that moved.

    Attributes:
        row: The tag as it is.
        old_digest: The digest that it had.
    """

    row: InventoryRow
    old_digest: str


@dataclass(frozen=True, slots=True)
class MovedTags:
    """The tags that moved.

    Attributes:
        since: What the older inventory is called.
        count: How many there are altogether.
        newest: Those that were pushed last, the last one first: as many as are kept.
    """

    since: str
    count: int
    newest: tuple[MovedTag, ...]


class Moves:
    """Moved tags in the making: told the rows of now, in whatever order, it finds them.

    Tags are told from others by their names, as `diff` does. Of the older inventory the names and
    digests are held in memory, and of what moved no more than is kept.

    Args:
        since: What the older inventory is called.
        old: Its rows.
        keep: How many to keep, at least 1.
    """

    def __init__(self, since: str, old: Iterable[InventoryRow], keep: int) -> None:
        self._since = since
        self._keep = keep
        self._digests: dict[str, dict[str, str]] = {}
        for row in old:
            self._digests.setdefault(row.repository_name, {})[row.tag] = row.digest
        self._count = 0
        # The number in between tells two of the same time apart, which cannot be compared.
        self._newest: list[tuple[datetime, int, MovedTag]] = []

    def add(self, row: InventoryRow) -> None:
        """Take note of a row."""
        # Without it from now on: a tag counts once.
        old = self._digests.get(row.repository_name, {}).pop(row.tag, row.digest)
        if old == row.digest:
            return
        self._count += 1
        entry = (row.updated_at, -self._count, MovedTag(row, old))
        if len(self._newest) < self._keep:
            heappush(self._newest, entry)
        else:
            heappushpop(self._newest, entry)

    def moved(self) -> MovedTags:
        """Return what moved so far."""
        newest = sorted(self._newest, key=lambda entry: entry[:2], reverse=True)
        return MovedTags(self._since, self._count, tuple(moved for _, _, moved in newest))
