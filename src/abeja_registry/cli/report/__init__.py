"""The report: an inventory as one page of HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...inventory._diff import DiffBuilder
from ...inventory._files import atomic_write
from ...inventory._rows import known_repositories
from ...inventory._summary import SummaryBuilder
from ._page import Report, page
from ._timeline import periods

if TYPE_CHECKING:
    from ...inventory import InventoryRow, Summary


def write_report(
    path: Path,
    rows: Iterable[InventoryRow],
    *,
    title: Callable[[], str],
    source: str,
    stale_after_days: int,
    old: Iterable[InventoryRow] | None = None,
    old_name: str | None = None,
) -> Summary:
    """Write the report on an inventory atomically, and return what the rows add up to.

    Invalid days, a file that cannot be written and an older inventory that cannot be read raise
    before the first request.

    Args:
        path: The page's file.
        rows: The inventory.
        title: Called after the last row: returns the page's title, the organization's name.
        source: Where the rows are from, in words.
        stale_after_days: Days without a push after which a tag is stale.
        old: An older inventory, to show which tags moved since.
        old_name: The older inventory's name.
    """
    now = datetime.now(UTC)
    summary = SummaryBuilder(stale_after_days, now)
    with atomic_write(path) as file:
        diff = DiffBuilder()
        for row in old or ():
            diff.add_old(row)
        for row in rows:
            summary.add(row)
            if old is not None:
                diff.add_new(row)
        summary.add_repositories(known_repositories(rows))
        report = Report(
            title=title(),
            source=source,
            made_at=now,
            summary=summary.summary(),
            periods=periods(summary.images()),
            stale_tags=tuple(summary.stale_tags()),
            empty_repositories=summary.empty_repositories(),
            compared_with=old_name,
            moved=diff.diff().moved,
        )
        file.write(page(report).encode())
    return report.summary
