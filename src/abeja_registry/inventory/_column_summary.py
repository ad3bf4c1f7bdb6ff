"""Counts and sizes of an inventory in columns, which pyarrow adds up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .._validation import MAX_INT64
from ._columns import arrow_module, since_epoch, to_microseconds
from ._partitions import ROW, Codes, Partitions
from ._rows import InventoryRepository
from ._summary import STALE_AFTER_DAYS, Amounts, GroupTotals, Summary, SummaryOptions

_COLUMNS = ("repository_name", "tag", "digest", "size", "creator_email", "updated_at")
# What is known of the tags of an image.
_AMOUNTS = [
    ("size", "max"),
    ("size", "sum"),
    ("stale", "sum"),
    ("stale", "count"),
    ("time", "min"),
    ("time", "max"),
]


class ColumnSummaryBuilder:
    """Builds a summary as `SummaryBuilder` does, from record batches.

    Memory is bounded; more rows are kept in a temporary file, which `close` removes.
    """

    def __init__(
        self,
        stale_after_days: int = STALE_AFTER_DAYS,
        now: datetime | None = None,
        *,
        # A million rows fit.
        max_bytes: int = 150 * 2**20,
    ) -> None:
        self._options = SummaryOptions(stale_after_days, now)
        self._rows = Partitions(_COLUMNS, max_bytes=max_bytes)
        self._known: list[InventoryRepository] | None = None

    def add(self, batch: Any) -> None:
        """Record rows."""
        self._rows.add(batch)

    def add_repositories(self, repositories: Iterable[InventoryRepository] | None) -> None:
        """Record all repositories, after the last row, if they are known."""
        self._known = None if repositories is None else list(repositories)

    def summary(self) -> Summary:
        """Return the summary; call it once."""
        total = GroupTotals()
        repositories: dict[str, GroupTotals] = {}
        creators: defaultdict[str, GroupTotals] = defaultdict(GroupTotals)
        stale_before = to_microseconds(self._options.stale_before)
        for table in self._rows.tables():
            by_repository, by_creator = _totals(table, stale_before)
            for name, amounts in by_repository:
                repositories.setdefault(name, GroupTotals()).add(amounts)
                total.add(amounts)
            for email, amounts in by_creator:
                creators[email].add(amounts)
        return self._options.summary(total, repositories, creators, self._known)

    def close(self) -> None:
        """Remove the temporary file."""
        self._rows.close()


_Groups = list[tuple[str, Amounts]]


def _totals(table: Any, stale_before: int) -> tuple[_Groups, _Groups]:
    """Return the amounts of each repository, and of each creator."""
    arrow = arrow_module()
    compute = arrow.compute
    tags = _tag_columns(arrow, table, stale_before)
    images = tags.group_by("image", use_threads=False).aggregate(
        [*_AMOUNTS, ("repository", "min"), ("creator", "min"), ("creator", "max")]
    )
    is_stale = compute.equal(images["stale_sum"], images["stale_count"])
    freed = compute.if_else(is_stale, images["size_max"], _zero(arrow, images["size_max"]))
    by_repository = _add_up(arrow, images["repository_min"], images, images["size_max"], freed)

    is_shared = compute.not_equal(images["creator_min"], images["creator_max"])
    own, shared = compute.invert(is_shared), images.filter(is_shared)
    alone = images.filter(own)
    parts = [(alone["creator_min"], alone, alone["size_max"], freed.filter(own))]
    if shared.num_rows:
        # An image of several creators counts for each; their stale tags alone do not free it.
        rows = tags.filter(compute.is_in(tags["image"], value_set=shared["image"]))
        found = rows.group_by(["image", "creator"], use_threads=False).aggregate(_AMOUNTS)
        at = compute.index_in(found["image"], value_set=shared["image"])
        size = shared["size_max"].take(at)
        parts.append((found["creator"], found, size, arrow.repeat(_zero(arrow, size), len(size))))
    by_creator = [each for part in parts for each in _add_up(arrow, *part)]
    return (
        _named(table.column("repository_name"), by_repository),
        _named(table.column("creator_email"), by_creator),
    )


def _tag_columns(arrow: Any, table: Any, stale_before: int) -> Any:
    """Return the columns to add up, of the last row of each tag."""
    compute = arrow.compute
    codes = Codes(table)
    repository, _ = codes.of("repository_name")
    tag = codes.of_pair(repository, codes.of("tag"))
    size, time = table.column("size"), table.column("updated_at").cast(arrow.int64())
    bounds = compute.min_max(size).as_py()
    if max(abs(bounds["min"]), abs(bounds["max"])) * table.num_rows > MAX_INT64:
        # Sums of 64-bit integers would overflow without an error.
        size = size.cast(arrow.decimal128(38, 0))
    tags = arrow.table(
        {
            "image": codes.of_pair(repository, codes.of("digest")),
            "repository": repository,
            "creator": codes.of("creator_email")[0],
            "size": size,
            "time": time,
            "stale": compute.less(time, stale_before).cast(arrow.int64()),
        }
    )
    if compute.count_distinct(tag).as_py() == table.num_rows:
        return tags
    rows = arrow.table({"tag": tag, "row": table.column(ROW)})
    last = rows.group_by("tag", use_threads=False).aggregate([("row", "max")])["row_max"]
    return tags.filter(compute.is_in(table.column(ROW), value_set=last))


def _add_up(
    arrow: Any, group: Any, images: Any, size: Any, freed: Any
) -> list[tuple[int, Amounts]]:
    """Return the amounts of each group of images."""
    values = arrow.table(
        {
            "group": group,
            "tags": images["stale_count"],
            "bytes": size,
            "tag_bytes": images["size_sum"],
            "stale": images["stale_sum"],
            "stale_bytes": freed,
            "oldest": images["time_min"],
            "newest": images["time_max"],
        }
    )
    sums = [(name, "sum") for name in ("tags", "bytes", "tag_bytes", "stale", "stale_bytes")]
    aggregates = [*sums, ("tags", "count"), ("oldest", "min"), ("newest", "max")]
    return [
        (
            each["group"],
            Amounts(
                tags=each["tags_sum"],
                images=each["tags_count"],
                bytes=int(each["bytes_sum"]),
                tag_bytes=int(each["tag_bytes_sum"]),
                stale=each["stale_sum"],
                stale_bytes=int(each["stale_bytes_sum"]),
                oldest=since_epoch(each["oldest_min"]),
                newest=since_epoch(each["newest_max"]),
            ),
        )
        for each in values.group_by("group", use_threads=False).aggregate(aggregates).to_pylist()
    ]


def _zero(arrow: Any, sizes: Any) -> Any:
    return arrow.scalar(0, arrow.int64()).cast(sizes.type)


def _named(column: Any, groups: list[tuple[int, Amounts]]) -> _Groups:
    """Return groups by the names that their codes stand for."""
    names = column.chunk(0).dictionary.to_pylist()
    return [(names[code], amounts) for code, amounts in groups]
