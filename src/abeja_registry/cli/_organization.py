"""`abeja-registry inventory`, `diff` and `summary`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..exceptions import InvalidFile
from ._client import Access, import_httpx
from ._errors import FAILED, described, say
from ._output import Kind, Output, is_terminal, write_json, write_rows
from ._progress import walking

if TYPE_CHECKING:
    from ..inventory import Diff, Inventory, InventoryRepository, InventoryRow, Summary, Totals
    from ..inventory._rows import Entry


@dataclass(frozen=True)
class Asked:
    """What an inventory is to be made of."""

    include: Sequence[str]
    exclude: Sequence[str]
    concurrency: int
    page_size: int | None = None
    partial: bool = False


ROW: Kind[Entry] = Kind(
    lambda entry: entry.to_dict(),
    columns=(
        "repository_id",
        "repository_name",
        "tag",
        "digest",
        "size",
        "media_type",
        "creator_email",
        "created_at",
        "updated_at",
        "kind",
    ),
    table=("repository_name", "tag", "digest", "size", "updated_at", "creator_email"),
    first_to_go=("creator_email", "updated_at", "size"),
)


@contextmanager
def _walk(access: Access, asked: Asked, quiet: bool = False) -> Iterator[Inventory]:
    with access.client() as client, walking(quiet) as show:
        yield client.inventory(
            include=asked.include,
            exclude=asked.exclude,
            concurrency=asked.concurrency,
            page_size=asked.page_size,
            on_progress=show,
        )


def inventory(access: Access, asked: Asked, output: Output | None) -> None:
    """Write each row as it comes; fail at the end where repositories failed."""
    import_httpx()
    from ..inventory._rows import with_empty

    if output is None:
        output = Output.table if is_terminal() else Output.jsonl
    if output is Output.table:
        with _walk(access, asked) as found:
            entries = list(with_empty(found, lambda: found.repositories))
        write_rows(ROW, entries, output)
    else:
        # At a terminal the rows themselves show how far it is.
        with _walk(access, asked, quiet=is_terminal()) as found:
            write_rows(ROW, with_empty(found, lambda: found.repositories), output)
    _tell_failures(found, None if asked.partial else "their rows are missing - try again")


def write(access: Access, asked: Asked, path: Path, resume: bool) -> None:
    """Write all rows to a file; where repositories failed, only if that is asked for."""
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".csv", ".parquet"):
        raise typer.BadParameter(f"--write takes a .jsonl, .csv or .parquet file, not {path}")
    import_httpx()
    from ..inventory import IncompleteInventory
    from ..inventory._base import KEPT
    from ..inventory._journal import START_AGAIN

    with _walk(access, asked) as found:
        writers = {
            ".jsonl": found.write_jsonl,
            ".csv": found.write_csv,
            ".parquet": found.write_parquet,
        }
        try:
            rows = writers[suffix](path, resume=resume, partial=asked.partial)
        except InvalidFile as error:
            error.args = (str(error).removesuffix(START_AGAIN), *error.args[1:])
            error.add_note("leave out --resume to start again")
            raise
        except IncompleteInventory:
            rows = None
        except OSError as error:
            if error.strerror and error.strerror.endswith(KEPT):
                error.strerror = error.strerror.removesuffix(KEPT)
                error.add_note("--resume goes on with the rows that are kept")
            raise
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(
                f"{path} was not written - what there is so far is kept, --resume goes on with it"
            )
            raise
    _tell_failures(
        found,
        None
        if rows is not None
        else f"{path} was not written - --resume asks for the rest, --partial does without them",
    )
    empty = sum(not each.tag_count for each in found.repositories)
    also = f", and {empty:,} {'repository' if empty == 1 else 'repositories'} without tags"
    say(f"{rows:,} rows{also if empty else ''} in {path}")


def _rows(access: Access, asked: Asked, path: Path | None) -> Iterable[InventoryRow]:
    """Return the rows of a file, or of now; the latter fail at their end if any are missing."""
    return _RowsOfNow(access, asked) if path is None else _rows_of(path, asked)


def _rows_of(path: Path, asked: Asked) -> Iterable[InventoryRow]:
    from ..inventory import FileRows
    from ..inventory._names import NameFilter

    return FileRows(path, NameFilter(asked.include, asked.exclude))


class _RowsOfNow:
    """The rows that the API returns; their `repositories` are known after the last one."""

    def __init__(self, access: Access, asked: Asked) -> None:
        self._access = access
        self._asked = asked
        self.repositories: tuple[InventoryRepository, ...] | None = None

    def __iter__(self) -> Iterator[InventoryRow]:
        with _walk(self._access, self._asked) as found:
            yield from found
        _tell_failures(found, "without them there is nothing to tell - try again")
        self.repositories = found.repositories


def _warn_of_old_file(path: Path) -> None:
    """Say that a file does not name all repositories."""
    say(f"warning: {path} names only repositories with tags: it has no column 'kind'")


def _tell_failures(found: Inventory, problem: str | None) -> None:
    """Tell each repository that failed, and fail where that is a problem."""
    missing = 0
    for failure in found.failures:
        if failure.deleted:
            say(f"warning: {failure.repository_name}: it was deleted meanwhile")
            continue
        missing += 1
        say(f"warning: {failure.repository_name}: {described(failure.error)}")
    if missing and problem:
        say(f"error: {missing} of the repositories failed: {problem}")
        raise typer.Exit(FAILED)


# -- diff -----------------------------------------------------------------------------------------

# What differs, the repository's name, the row as it was and as it is.
Change = tuple[str, str, "InventoryRow | None", "InventoryRow | None"]


def _change_to_json(change: Change) -> dict[str, Any]:
    kind, repository, old, new = change
    row = new or old
    return {
        "change": kind,
        "repository_name": repository,
        "tag": row.tag if row else None,
        "old": old.to_dict() if old else None,
        "new": new.to_dict() if new else None,
    }


CHANGE: Kind[Change] = Kind(
    _change_to_json,
    columns=(
        "change",
        "repository_name",
        "tag",
        "old.digest",
        "new.digest",
        "old.size",
        "new.size",
        "old.updated_at",
        "new.updated_at",
    ),
    table=("change", "repository_name", "tag", "old.digest", "new.digest"),
    first_to_go=("old.digest", "new.digest"),
)


def diff(access: Access, asked: Asked, old: Path, new: Path | None, output: Output) -> bool:
    """Write what differs, and return whether anything does."""
    import_httpx()
    from ..inventory import Inventory
    from ..inventory._rows import known_repositories

    sides = _rows_of(old, asked), _rows(access, asked, new)
    found = Inventory.diff(*sides)
    for path, rows in zip((old, new), sides, strict=True):
        if path is not None and known_repositories(rows) is None:
            _warn_of_old_file(path)
    write_rows(CHANGE, _changes(found), output)
    return bool(found)


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


# -- summary --------------------------------------------------------------------------------------

# What a group of tags has in common, and its totals.
Counted = tuple[str, "Totals"]


def _totals_to_json(totals: Totals) -> dict[str, Any]:
    return {
        "name": totals.name,
        "tags": totals.tags,
        "images": totals.images,
        "bytes": totals.bytes,
        "tag_bytes": totals.tag_bytes,
        "oldest": _time(totals.oldest),
        "newest": _time(totals.newest),
        "stale": totals.stale,
        "stale_bytes": totals.stale_bytes,
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")


TOTALS: Kind[Counted] = Kind(
    lambda counted: {"of": counted[0], **_totals_to_json(counted[1])},
    columns=(
        "of",
        "name",
        "tags",
        "images",
        "bytes",
        "tag_bytes",
        "oldest",
        "newest",
        "stale",
        "stale_bytes",
    ),
    table=("of", "name", "tags", "bytes", "tag_bytes", "newest", "stale", "stale_bytes"),
    first_to_go=("newest", "tag_bytes", "stale", "stale_bytes", "tags"),
)


def summary(
    access: Access, asked: Asked, path: Path | None, stale_after_days: int, output: Output
) -> None:
    """Write the counts and sizes of an inventory."""
    import_httpx()
    from ..inventory import summarize

    summary = summarize(_rows(access, asked, path), stale_after_days)
    if path is not None and summary.empty_repositories is None:
        _warn_of_old_file(path)
    if output is Output.json:
        write_json(
            {
                "stale_after_days": summary.stale_after_days,
                "empty_repositories": summary.empty_repositories,
                "total": _totals_to_json(summary.total),
                "repositories": [_totals_to_json(each) for each in summary.repositories],
                "creators": [_totals_to_json(each) for each in summary.creators],
            }
        )
        return
    write_rows(TOTALS, _counted(summary), output)


def report(
    access: Access,
    asked: Asked,
    path: Path | None,
    stale_after_days: int,
    page: Path,
    old: Path | None,
) -> None:
    """Write the counts and sizes of an inventory to a page of HTML."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"--html takes a .html file, not {page}")
    if not page.parent.is_dir():
        raise typer.BadParameter(f"--html needs an existing folder, unlike {page.parent}")
    import_httpx()
    from .report import write_report

    rows = _rows(access, asked, path)
    summary = write_report(
        page,
        rows,
        title=(lambda: path.name) if path else access.organization_name,
        source=_place(path, asked),
        stale_after_days=stale_after_days,
        old=_rows_of(old, asked) if old else None,
        old_name=old.name if old else None,
    )
    if path is not None and summary.empty_repositories is None:
        _warn_of_old_file(path)
    say(f"{summary.total.tags:,} tags in {page}")


def _place(path: Path | None, asked: Asked) -> str:
    place = path.name if path else "the API"
    if "*" not in asked.include:
        place += f", repositories like {', '.join(asked.include)}"
    if asked.exclude:
        place += f", without repositories like {', '.join(asked.exclude)}"
    return place


def _counted(summary: Summary) -> Iterator[Counted]:
    yield "total", summary.total
    for totals in summary.repositories:
        yield "repository", totals
    for totals in summary.creators:
        yield "creator", totals
