"""The differences between two inventories in columns.

pyarrow finds the few rows that matter, and `DiffBuilder` compares these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._columns import arrow_module, rows_of_table
from ._diff import Diff, DiffBuilder
from ._partitions import ROW, Codes, Partitions
from ._rows import COLUMNS, InventoryRepository


class ColumnDiffBuilder:
    """Compares two inventories as `DiffBuilder` does, in record batches.

    Add the batches of the old inventory before those of the new one. Memory is bounded, except for
    the differences; more rows are kept in a temporary file, which `close` removes.
    """

    def __init__(self, *, max_bytes: int = 112 * 2**20) -> None:
        self._rows = Partitions(COLUMNS, max_bytes=max_bytes)
        self._diff = DiffBuilder()
        self._first_new = 0

    def add_old(self, batch: Any) -> None:
        """Record rows of the old inventory."""
        self._diff.add_old_names(self._rows.add(batch))

    def add_old_repositories(self, repositories: Iterable[InventoryRepository] | None) -> None:
        """Record all repositories of the old inventory, after its rows, if they are known."""
        self._diff.add_old_repositories(repositories)
        self._first_new = self._rows.rows

    def add_new(self, batch: Any) -> None:
        """Record rows of the new inventory."""
        self._diff.add_new_names(self._rows.add(batch))

    def add_new_repositories(self, repositories: Iterable[InventoryRepository] | None) -> None:
        """Record all repositories of the new inventory, after its rows, if they are known."""
        self._diff.add_new_repositories(repositories)

    def diff(self) -> Diff:
        """Return the differences."""
        arrow = arrow_module()
        relevant = [_relevant(arrow, table, self._first_new) for table in self._rows.tables()]
        tables = [table for table in relevant if table.num_rows]
        if tables:
            table = arrow.concat_tables(tables).sort_by(ROW)
            numbers = table.column(ROW).to_pylist()
            for number, row in zip(numbers, rows_of_table(table.select(COLUMNS)), strict=True):
                if number < self._first_new:
                    self._diff.add_old(row)
                else:
                    self._diff.add_new(row)
        return self._diff.diff()

    def close(self) -> None:
        """Remove the temporary file."""
        self._rows.close()


def _relevant(arrow: Any, table: Any, first_new: int) -> Any:
    """Return the rows of changed tags, and those of tags that share an image with these.

    The other rows change nothing: the same tag with the same digest, once in each inventory.
    """
    compute = arrow.compute
    codes = Codes(table)
    repository, _ = codes.of("repository_name")
    digest = codes.of("digest")
    tag, image = codes.of_pair(repository, codes.of("tag")), codes.of_pair(repository, digest)
    is_new = compute.greater_equal(table.column(ROW), first_new).cast(arrow.int64())
    found = (
        arrow.table({"tag": tag, "digest": digest[0], "new": is_new})
        .group_by("tag", use_threads=False)
        .aggregate([("digest", "min"), ("digest", "max"), ("new", "sum"), ("new", "count")])
    )
    unchanged = compute.and_(
        compute.equal(found["digest_min"], found["digest_max"]),
        compute.and_(compute.equal(found["new_sum"], 1), compute.equal(found["new_count"], 2)),
    )
    changed = compute.is_in(tag, value_set=found.filter(compute.invert(unchanged))["tag"])
    shared = compute.is_in(image, value_set=image.filter(changed).unique())
    return table.filter(compute.or_(changed, shared))
