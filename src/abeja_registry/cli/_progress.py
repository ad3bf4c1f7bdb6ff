"""Progress on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

# Beside the number of repositories; short, so that it fits 80 columns.
TALLY = (
    "{task.fields[rows]:,} tags, {task.fields[empty]:,} empty,"
    " {task.fields[failed]:,} failed{task.fields[throttled]}"
)


class Progress(Protocol):
    """The progress of an inventory."""

    @property
    def repositories(self) -> int: ...
    @property
    def finished(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def empty(self) -> int: ...
    @property
    def throttled(self) -> int: ...
    @property
    def concurrency(self) -> int: ...


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Show what the command waits for, and how long it has waited."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        bar.add_task(text)
        yield


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Show how many of the repositories are read; yield the function to call with the progress."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("repositories"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(TALLY),
        TimeElapsedColumn(),
    )
    # rich would send the data that is written to stdout meanwhile to stderr.
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None, rows=0, empty=0, failed=0, throttled="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.repositories,
                completed=progress.finished + progress.failed,
                rows=progress.rows,
                empty=progress.empty,
                failed=progress.failed,
                throttled=_throttled(progress),
            )

        yield show


def _throttled(progress: Progress) -> str:
    if not progress.throttled:
        return ""
    return f", API throttles: {progress.concurrency} at a time"
