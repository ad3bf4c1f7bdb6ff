"""`abeja-registry summary`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._client import ClientOptions, import_httpx
from ._framework import Command, global_options
from ._inventory import READ_OPTIONS, InventoryOptions, LiveRows, file_argument, warn_without_empty
from ._options import Window
from ._output import Writer, echo_err, write_json
from ._views import TOTALS, GroupTotals, totals_to_json

if TYPE_CHECKING:
    from ..inventory import InventoryRow


@click.command(
    "summary",
    cls=Command,
    examples=(
        "summary",
        "summary --limit 10",
        "summary inventory.parquet --stale-days 365 --output csv",
        "summary --html report.html --compare monday.jsonl",
    ),
)
@global_options
@file_argument("path", "[FILE]", required=False)
@click.option(
    "--stale-days",
    "stale_after_days",
    type=_options.days,
    default=90,
    metavar="DAYS",
    help="A tag is stale after so many days without a push.  [default: 90]",
)
@READ_OPTIONS
@_options.window
@click.option(
    "--html",
    metavar="PAGE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an HTML page instead.",
)
@click.option(
    "--compare",
    metavar="OLD",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Show on the page which tags moved since this older inventory.",
)
@_options.rows(TOTALS, default=None)
def summary(
    options: ClientOptions,
    write: Writer[GroupTotals],
    window: Window,
    path: Path | None,
    stale_after_days: int,
    html: Path | None,
    compare: Path | None,
    **read: Any,
) -> None:
    """Add up tags and bytes, by repository and by creator.

    Of the inventory in FILE, or of the API; the largest come first. --limit is for the
    repositories, and for the creators.
    """
    import_httpx()
    from ..inventory import summarize

    asked = InventoryOptions(**read)
    if html is not None:
        if write != Writer(TOTALS, output=None) or window:
            raise click.UsageError("--html writes a page of all tags: it takes no other output")
        _write_page(options, asked, path, stale_after_days, html, compare)
        return
    if compare is not None:
        raise click.UsageError("--compare needs --html")
    with _rows(options, asked, path) as rows:
        totals = summarize(_Within(rows, window) if window else rows, stale_after_days)
    warn_without_empty(path, rows)
    repositories, creators = (
        [total for _, total in write.chosen((kind, each) for each in group)]
        for kind, group in (("repository", totals.repositories), ("creator", totals.creators))
    )
    if write.output == "json" and not write.columns:
        write_json(
            {
                "stale_after_days": totals.stale_after_days,
                "empty_repositories": totals.empty_repositories,
                "total": totals_to_json(totals.total),
                "repositories": [*map(totals_to_json, repositories)],
                "creators": [*map(totals_to_json, creators)],
            }
        )
        return
    output = write.output or "table"
    total = replace(totals.total, name="(all)") if output == "table" else totals.total
    groups = [("total", total)]
    groups += [("repository", each) for each in repositories]
    groups += [("creator", each) for each in creators]
    everything = replace(write, output=output, limit=None, sort=None, reverse=False)
    everything.write_all(groups)


class _Within:
    """Rows within a window; without a window all of their repositories are known."""

    def __init__(self, rows: Iterable[InventoryRow], window: Window) -> None:
        self._rows = rows
        self._window = window

    def __iter__(self) -> Iterator[InventoryRow]:
        return (row for row in self._rows if row.updated_at in self._window)


@contextmanager
def _rows(
    options: ClientOptions, asked: InventoryOptions, path: Path | None
) -> Iterator[Iterable[InventoryRow]]:
    """Yield the rows of a file, or of the API."""
    if path is not None:
        yield asked.rows_of(path)
    else:
        with options.client() as client:
            yield LiveRows(client, asked)


def _write_page(
    options: ClientOptions,
    asked: InventoryOptions,
    path: Path | None,
    stale_after_days: int,
    page: Path,
    old: Path | None,
) -> None:
    if page.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"--html takes a .html file, not {page}")
    if not page.parent.is_dir():
        raise click.UsageError(f"--html needs an existing folder, unlike {page.parent}")
    from .report import write_report

    with _rows(options, asked, path) as rows:
        title = (lambda: path.name) if path else options.organization_name
        summary = write_report(
            page,
            rows,
            title=title,
            source=asked.source(path),
            stale_after_days=stale_after_days,
            old=asked.rows_of(old) if old else None,
            old_name=old.name if old else None,
        )
    warn_without_empty(path, rows)
    echo_err(f"{summary.total.tags:,} tags in {page}")
