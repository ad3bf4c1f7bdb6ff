"""The tables of the report: their columns, and their rows as HTML and JSON have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Literal

from ...inventory._times import in_utc
from .._output import strip_control
from .._sizes import size

if TYPE_CHECKING:
    from ...inventory import Moved, Totals
    from ...inventory._summary import StaleTag

# The rows of each table that the page has as HTML; its script adds the others from JSON.
FIRST_ROWS = 100
# The most stale tags, and moved tags, that are listed.
MAX_LISTED = 10_000
# Up to here every integer is exact in JavaScript.
_MAX_SAFE_INTEGER = 2**53 - 1

# A name, a digest, a time in ISO 8601 or a count; of a tag its repository's name and its own; of a
# size its bytes and its text.
Cell = str | int | tuple[int | str, str]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its title.
        kind: What its cells are.
        first: The direction that the first click on its title sorts by.
        is_sorted: Whether the table is sorted by it at first.
    """

    title: str
    kind: Literal["name", "tag", "count", "size", "day", "time", "digest"]
    first: Literal["ascending", "descending"] = "descending"
    is_sorted: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be sorted and filtered.

    Attributes:
        name: The id of its section.
        columns: Its columns; the first names the row.
        rows: The cells of each row, as HTML and JSON have them.
        command: The command that lists all rows.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    command: str

    @property
    def first_rows(self) -> Sequence[Sequence[Cell]]:
        """The rows that the page has as HTML."""
        return self.rows[:FIRST_ROWS]


def totals_table(name: str, of: str, groups: Iterable[Totals]) -> Table:
    """Return the table of repositories or creators, in their order: the largest first."""
    columns = (
        Column(of, "name", "ascending"),
        Column("Tags", "count"),
        Column("Size", "size", is_sorted=True),
        Column("Size by tag", "size"),
        Column("Stale", "count"),
        Column("Freed", "size"),
        Column("Oldest push", "day", "ascending"),
        Column("Newest push", "day"),
    )
    rows = [
        (
            strip_control(each.name),
            each.tags,
            _size(each.bytes),
            _size(each.tag_bytes),
            each.stale,
            _size(each.stale_bytes),
            _time(each.oldest),
            _time(each.newest),
        )
        for each in groups
    ]
    return Table(name, columns, rows, "summary --output csv")


def stale_table(tags: Iterable[StaleTag], stale_after_days: int) -> Table:
    """Return the table of stale tags, those that free the most first."""
    columns = (
        Column("Repository and tag", "tag", "ascending"),
        Column("Freed", "size", is_sorted=True),
        Column("Size", "size"),
        Column("Tags of the image", "count"),
        Column("Last push", "day", "ascending"),
        Column("Creator", "name", "ascending"),
    )
    largest = nsmallest(
        MAX_LISTED,
        tags,
        key=lambda tag: (-tag.freed, -tag.size, tag.updated_at, tag.repository_name, tag.name),
    )
    rows = [
        (
            (strip_control(each.repository_name), strip_control(each.name)),
            _size(each.freed),
            _size(each.size),
            each.image_tags,
            _time(each.updated_at),
            strip_control(each.creator_email),
        )
        for each in largest
    ]
    return Table("stale", columns, rows, f"inventory --stale-days {stale_after_days} --output csv")


def empty_table(names: Iterable[str]) -> Table:
    """Return the table of repositories without tags."""
    column = Column("Repository", "name", "ascending", is_sorted=True)
    return Table(
        "empty", (column,), [(strip_control(name),) for name in names], "inventory --output csv"
    )


def moved_table(moved: Iterable[Moved]) -> Table:
    """Return the table of moved tags, those that were pushed last first."""
    columns = (
        Column("Repository and tag", "tag", "ascending"),
        Column("Was", "digest", "ascending"),
        Column("Is", "digest", "ascending"),
        Column("Pushed", "time", is_sorted=True),
        Column("Creator", "name", "ascending"),
    )
    rows = [
        (
            (strip_control(each.new.repository_name), strip_control(each.new.tag)),
            strip_control(each.old.digest),
            strip_control(each.new.digest),
            _time(each.new.updated_at),
            strip_control(each.new.creator_email),
        )
        for each in nlargest(MAX_LISTED, moved, key=lambda each: each.new.updated_at)
    ]
    return Table("moved", columns, rows, "diff --output csv")


def _size(count: int) -> tuple[int | str, str]:
    return count if abs(count) <= _MAX_SAFE_INTEGER else str(count), size(count)


def _time(time: datetime | None) -> str:
    return utc_text(time) if time else ""


def utc_text(time: datetime) -> str:
    """Return a time in UTC as ISO 8601, in whole seconds."""
    return in_utc(time).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
