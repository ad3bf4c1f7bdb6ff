"""Diffs and summaries: in columns where pyarrow is installed and the rows come in columns."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from typing import Any

from ._column_diff import ColumnDiffBuilder
from ._column_summary import ColumnSummaryBuilder
from ._columns import arrow_module
from ._diff import DiffBuilder
from ._file_rows import FileRows
from ._rows import InventoryRow, known_repositories
from ._summary import STALE_AFTER_DAYS, Summary, SummaryBuilder


class Source:
    """Rows of a report.

    Args:
        rows: An inventory, the rows of a file, or other rows.

    Attributes:
        batches: The rows in record batches; None for rows that do not come in columns.
    """

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.batches: Any = None
        if not _has_arrow():
            return
        if isinstance(rows, FileRows):
            self.batches = rows.compact_batches()
        elif hasattr(rows, "record_batches"):
            self.batches = rows.record_batches()

    def items(self, columns: bool) -> Any:
        """Return the rows, or their record batches."""
        return self.batches if columns else self.rows


def _has_arrow() -> bool:
    try:
        arrow_module()
    except ImportError:
        return False
    return True


def diff_builder(old: Source, new: Source) -> tuple[Any, bool]:
    """Return a builder of diffs, and whether to add record batches to it."""
    if old.batches is None or new.batches is None:
        return DiffBuilder(), False
    return ColumnDiffBuilder(), True


def summary_builder(
    source: Source, stale_after_days: int, now: datetime | None
) -> tuple[Any, bool]:
    """Return a builder of summaries, and whether to add record batches to it."""
    if source.batches is None:
        return SummaryBuilder(stale_after_days, now), False
    return ColumnSummaryBuilder(stale_after_days, now), True


def summarize(
    rows: Iterable[InventoryRow],
    stale_after_days: int = STALE_AFTER_DAYS,
    now: datetime | None = None,
) -> Summary:
    """Add up rows by repository and by creator, as `Inventory.summary` does.

    Repositories without tags are known for an `Inventory` and for `read_rows`, not for other rows.

    Example:
        >>> summarize(client.inventory()).repositories[0].name
        'sample_repository'
    """
    source = Source(rows)
    builder, columns = summary_builder(source, stale_after_days, now)
    with closing(builder):
        for each in source.items(columns):
            builder.add(each)
        builder.add_repositories(known_repositories(rows))
        summary: Summary = builder.summary()
    return summary
