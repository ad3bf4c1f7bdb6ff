"""`abeja-registry diff`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._client import ClientOptions, import_httpx
from ._errors import FAILED
from ._framework import Command, global_options
from ._inventory import READ_OPTIONS, InventoryOptions, LiveRows, file_argument, warn_without_empty
from ._options import Window
from ._output import Writer
from ._views import CHANGE, Change

if TYPE_CHECKING:
    from ..inventory import Diff


@click.command(
    "diff",
    cls=Command,
    examples=(
        "diff monday.parquet tuesday.parquet",
        "diff monday.jsonl --exit-code --output json",
    ),
)
@global_options
@file_argument("old", "OLD")
@file_argument("new", "[NEW]", required=False)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs.")
@READ_OPTIONS
@_options.window
@_options.stale
@_options.rows(CHANGE)
def diff(
    options: ClientOptions,
    write: Writer[Change],
    window: Window,
    old: Path,
    new: Path | None,
    exit_code: bool,
    **read: Any,
) -> None:
    """Show the differences between two inventories.

    Without NEW, between OLD and the API.
    """
    import_httpx()
    from ..inventory import Inventory

    asked = InventoryOptions(**read)
    before = asked.rows_of(old)
    if new is not None:
        after = asked.rows_of(new)
        found, failed = Inventory.diff(before, after), frozenset[str]()
    else:
        with options.client() as client:
            live = LiveRows(client, asked)
            found, after, failed = Inventory.diff(before, live), live, live.failed
    warn_without_empty(old, before)
    warn_without_empty(new, after)
    changes = [
        change
        for change in _changes(found)
        # A repository that failed is not removed, and neither are its tags.
        if change[1] not in failed and (not window or _pushed_in(change, window))
    ]
    write.write_all(changes)
    if exit_code and changes:
        raise click.exceptions.Exit(FAILED)


def _pushed_in(change: Change, window: Window) -> bool:
    row = change[3] or change[2]
    return row is not None and row.updated_at in window


def _changes(found: Diff) -> Iterator[Change]:
    for name in found.repositories_added:
        yield "repository_added", name, None, None
    for name in found.repositories_removed:
        yield "repository_removed", name, None, None
    for row in found.added:
        yield "added", row.repository_name, None, row
    for row in found.removed:
        yield "removed", row.repository_name, row, None
    for moved in found.moved:
        yield "moved", moved.new.repository_name, moved.old, moved.new
