"""`abeja-registry inventory`, `diff` and `summary`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exceptions import InvalidFile
from . import _options
from ._client import ClientOptions, import_httpx
from ._errors import FAILED, add_hint, format_error
from ._framework import Command, chain, global_options
from ._options import Window
from ._output import Writer, echo_err, is_terminal
from ._progress import progress_bar
from ._views import ROW

if TYPE_CHECKING:
    from ..client import Client
    from ..inventory import Inventory, InventoryRepository, InventoryRow
    from ..inventory._rows import Entry

SUFFIXES = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class InventoryOptions:
    """What an inventory reads, and how."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    concurrency: int = 16
    page_size: int | None = None
    partial: bool = False

    @contextmanager
    def open(self, client: Client, quiet: bool = False) -> Iterator[Inventory]:
        """Yield an inventory that shows its progress."""
        with progress_bar(quiet) as show:
            yield client.inventory(
                include=self.include or "*",
                exclude=self.exclude,
                concurrency=self.concurrency,
                page_size=self.page_size,
                on_progress=show,
            )

    def rows_of(self, path: Path) -> Iterable[InventoryRow]:
        """Return the rows of a file."""
        from ..inventory import FileRows
        from ..inventory._names import NameFilter

        return FileRows(path, NameFilter(self.include or "*", self.exclude))

    def source(self, path: Path | None) -> str:
        """Describe the rows for people."""
        source = path.name if path else "the API"
        if self.include:
            source += f", repositories like {', '.join(self.include)}"
        if self.exclude:
            source += f", without repositories like {', '.join(self.exclude)}"
        return source


READ_OPTIONS = chain(
    _options.include,
    click.option(
        "--concurrency",
        type=_options.whole(1),
        default=16,
        metavar="COUNT",
        help="Requests at the same time.  [default: 16]",
    ),
    click.option("--partial", is_flag=True, help="Skip repositories that fail."),
)


def file_argument(
    name: str, metavar: str, **attributes: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.argument(name, metavar=metavar, type=kind, **attributes)


class LiveRows:
    """The rows of the API; its `repositories` are known after the last row.

    Iteration ends with an error if repositories failed, unless the options accept that.
    """

    def __init__(self, client: Client, options: InventoryOptions) -> None:
        self._client = client
        self._options = options
        self.failed: frozenset[str] = frozenset()
        self.repositories: tuple[InventoryRepository, ...] | None = None

    def __iter__(self) -> Iterator[InventoryRow]:
        with self._options.open(self._client) as inventory:
            yield from inventory
        problem = "nothing was compared or added up; --partial leaves them out"
        self.failed = _report_failures(inventory, None if self._options.partial else problem)
        self.repositories = inventory.repositories


def _report_failures(inventory: Inventory, problem: str | None) -> frozenset[str]:
    """Report each repository that failed, and fail if that is a problem."""
    failed = []
    for failure in inventory.failures:
        if failure.deleted:
            echo_err(f"warning: {failure.repository_name}: it was deleted during the inventory")
            continue
        failed.append(failure.repository_name)
        echo_err(f"warning: {failure.repository_name}: {format_error(failure.error)}")
    if failed and problem:
        echo_err(f"error: {len(failed):,} of the repositories failed: {problem}")
        raise click.exceptions.Exit(FAILED)
    return frozenset(failed)


def warn_without_empty(path: Path | None, rows: object) -> None:
    """Warn that a file does not name all repositories."""
    from ..inventory._rows import known_repositories

    if path is not None and known_repositories(rows) is None:
        echo_err(f"warning: {path} names only repositories with tags: it has no column 'kind'")


# -- inventory ------------------------------------------------------------------------------------


@click.command(
    "inventory",
    cls=Command,
    examples=(
        "inventory --output jsonl | jq -r .digest",
        "inventory --stale-days 365 --output csv > stale.csv",
        "inventory --sort size --limit 10",
        "inventory --write inventory.parquet",
    ),
)
@global_options
@READ_OPTIONS
@_options.page_size
@_options.window
@_options.stale
@click.option("--empty", is_flag=True, help="Only repositories without tags.")
@click.option(
    "--write",
    "path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all rows to this .jsonl, .csv or .parquet file.",
)
@click.option(
    "--resume", is_flag=True, help="Read only what an earlier run with --write did not finish."
)
@_options.rows(ROW, default=None)
def inventory(
    options: ClientOptions,
    write: Writer[Entry],
    window: Window,
    empty: bool,
    path: Path | None,
    resume: bool,
    **read: Any,
) -> None:
    """List every tag of every repository.

    The repositories without tags are listed last. When piped, the default output is jsonl.
    """
    import_httpx()
    asked = InventoryOptions(**read)
    if path is not None:
        if window or empty or write != Writer(ROW, output=write.output) or write.output:
            raise click.UsageError("--write writes all rows and columns: it takes no other output")
        _write_file(options, asked, path, resume)
        return
    if resume:
        raise click.UsageError("--resume needs --write")
    if window and empty:
        raise click.UsageError("repositories without tags have no time of a push")
    terminal = is_terminal()
    if write.output is None:
        write = replace(write, output="table" if terminal else "jsonl")
    if empty:
        write = replace(write, view=replace(ROW, noun="repositories without tags"))
    from ..inventory._rows import with_empty

    # The rows at a terminal show the progress themselves.
    rows_show = terminal and write.output != "table" and write.sort is None
    with options.client() as client:
        with asked.open(client, quiet=rows_show) as found:
            entries: Iterable[Entry] = with_empty(found, lambda: found.repositories)
            entries = (each for each in entries if _selected(each, window, empty))
            if write.output == "table":
                entries = list(write.chosen(entries))
                write = replace(write, limit=None, sort=None, reverse=False)
            else:
                write.write_all(entries)
        if write.output == "table":
            write.write_all(entries)
    _report_failures(found, None if asked.partial else "their rows are missing - try again")


def _selected(entry: Entry, window: Window, empty: bool) -> bool:
    from ..inventory import InventoryRow

    if isinstance(entry, InventoryRow):
        return not empty and entry.updated_at in window
    return not window


def _write_file(options: ClientOptions, asked: InventoryOptions, path: Path, resume: bool) -> None:
    """Write all rows to a file; where repositories failed, only with --partial."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise click.UsageError(f"--write takes a .jsonl, .csv or .parquet file, not {path}")
    from ..inventory import IncompleteInventory
    from ..inventory._journal import START_AGAIN

    rows = None
    with options.client() as client, asked.open(client) as found:
        writers = found.write_jsonl, found.write_csv, found.write_parquet
        write = dict(zip(SUFFIXES, writers, strict=True))[suffix]
        try:
            rows = write(path, resume=resume, partial=asked.partial)
        except InvalidFile as error:
            error.args = (str(error).removesuffix(START_AGAIN), *error.args[1:])
            add_hint(error, "leave out --resume to start again")
            raise
        except IncompleteInventory:
            pass
        except KeyboardInterrupt as interrupt:
            add_hint(interrupt, f"{path} was not written; --resume continues with the rows so far")
            raise
    problem = f"{path} was not written - --resume reads the rest, --partial leaves it out"
    _report_failures(found, None if rows is not None else problem)
    empty = sum(not each.tag_count for each in found.repositories)
    also = f", and {empty:,} {'repository' if empty == 1 else 'repositories'} without tags"
    echo_err(f"{rows:,} rows{also if empty else ''} in {path}")
