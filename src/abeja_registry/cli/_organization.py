"""`abeja-registry inventory`, `diff` and `summary`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ._client import Access, import_httpx
from ._errors import FAILED, described, say
from ._output import Kind, Output, is_terminal, write_json, write_rows
from ._progress import walking

if TYPE_CHECKING:
    from ..inventory import Diff, Group, Inventory, InventoryRow, Summary


@dataclass(frozen=True)
class Asked:
    """What an inventory is to be made of."""

    include: str
    concurrency: int
    page_size: int | None = None
    partial: bool = False


ROW: Kind[InventoryRow] = Kind(
    lambda row: row.to_dict(),
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
    ),
    table=("repository_name", "tag", "digest", "size", "updated_at", "creator_email"),
    first_to_go=("creator_email", "updated_at", "size"),
)


@contextmanager
def _walk(access: Access, asked: Asked, quiet: bool = False) -> Iterator[Inventory]:
    with access.client() as client, walking(quiet) as show:
        yield client.inventory(
            include=asked.include,
            concurrency=asked.concurrency,
            page_size=asked.page_size,
            on_progress=show,
        )


def inventory(access: Access, asked: Asked, output: Output | None) -> None:
    """Write each row as it comes; fail at the end where repositories failed."""
    if output is None:
        output = Output.table if is_terminal() else Output.jsonl
    if output is Output.table:
        with _walk(access, asked) as found:
            rows = list(found)
        write_rows(ROW, rows, output)
    else:
        # At a terminal the rows themselves show how far it is.
        with _walk(access, asked, quiet=is_terminal()) as found:
            write_rows(ROW, found, output)
    _tell_failures(found, None if asked.partial else "their rows are missing - try again")


def write(access: Access, asked: Asked, path: Path, resume: bool) -> None:
    """Write all rows to a file; where repositories failed, only if that is asked for."""
    import_httpx()
    from ..inventory import IncompleteInventory

    with _walk(access, asked) as found:
        writers = {
            ".jsonl": found.write_jsonl,
            ".csv": found.write_csv,
            ".parquet": found.write_parquet,
        }
        if path.suffix not in writers:
            raise typer.BadParameter(f"--write takes a .jsonl, .csv or .parquet file, not {path}")
        try:
            rows = writers[path.suffix](path, resume=resume, partial=asked.partial)
        except IncompleteInventory:
            rows = None
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
    say(f"{rows:,} rows in {path}")


def _rows(access: Access, asked: Asked, path: Path | None) -> Iterable[InventoryRow]:
    """Return the rows of a file, or of now; the latter fail at their end if any are missing."""
    return _rows_of_now(access, asked) if path is None else _rows_of(path, asked)


def _rows_of(path: Path, asked: Asked) -> Iterator[InventoryRow]:
    from ..inventory import read_rows
    from ..tags import fits

    included = fits("include", asked.include)
    return (row for row in read_rows(path) if included(row.repository_name))


def _rows_of_now(access: Access, asked: Asked) -> Iterator[InventoryRow]:
    with _walk(access, asked) as found:
        yield from found
    _tell_failures(found, "without them there is nothing to tell - try again")


def _tell_failures(found: Inventory, problem: str | None) -> None:
    """Tell each repository that failed, and fail where that is a problem."""
    missing = 0
    for failure in found.failures:
        if failure.gone:
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

    found = Inventory.diff(_rows_of(old, asked), _rows(access, asked, new))
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

Counted = tuple[str, "Group"]


def _group_to_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "tags": group.tags,
        "bytes": group.bytes,
        "oldest": _time(group.oldest),
        "newest": _time(group.newest),
        "untouched": group.untouched,
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")


GROUP: Kind[Counted] = Kind(
    lambda counted: {"of": counted[0], **_group_to_json(counted[1])},
    columns=("of", "name", "tags", "bytes", "oldest", "newest", "untouched"),
    table=("of", "name", "tags", "bytes", "newest", "untouched"),
    first_to_go=("newest", "untouched", "tags"),
)


def summary(
    access: Access, asked: Asked, path: Path | None, untouched_days: int, output: Output
) -> None:
    """Write the counts of an inventory."""
    import_httpx()
    from ..inventory import summarize

    made = summarize(_rows(access, asked, path), untouched_days=untouched_days)
    if output is Output.json:
        write_json(
            {
                "untouched_days": made.untouched_days,
                "total": _group_to_json(made.total),
                "repositories": [_group_to_json(group) for group in made.repositories],
                "creators": [_group_to_json(group) for group in made.creators],
            }
        )
        return
    write_rows(GROUP, _counted(made), output)


def report(
    access: Access,
    asked: Asked,
    path: Path | None,
    untouched_days: int,
    page: Path,
    old: Path | None,
) -> None:
    """Write the counts of an inventory to a page of HTML."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"--html takes a .html file, not {page}")
    if not page.parent.is_dir():
        raise typer.BadParameter(f"--html is to be in a folder that is not there: {page}")
    import_httpx()
    from .._reports import Sums
    from .._rows import appearing
    from . import _html
    from ._moves import Moves
    from ._timeline import Timeline

    # Whatever can be refused is refused before the first row is asked for.
    now = datetime.now(UTC)
    sums, timeline = Sums(untouched_days, now), Timeline()
    organization = None if path else access.organization()
    rows = _rows(access, asked, path)
    with appearing(page) as file:
        moves = Moves(old.name, _rows_of(old, asked), _html.LISTED) if old else None
        for row in rows:
            sums.add(row)
            timeline.add(row)
            if moves is not None:
                moves.add(row)
        made = _html.Report(
            source=_place(path, asked),
            organization=organization,
            made_at=now,
            summary=sums.summary(),
            periods=timeline.periods(),
            moved=moves.moved() if moves else None,
        )
        file.write(_html.page(made).encode())
    say(f"{made.summary.total.tags:,} tags in {page}")


def _place(path: Path | None, asked: Asked) -> str:
    place = path.name if path else "the API"
    return place if asked.include == "*" else f"{place}, repositories like {asked.include}"


def _counted(made: Summary) -> Iterator[Counted]:
    yield "total", made.total
    for group in made.repositories:
        yield "repository", group
    for group in made.creators:
        yield "creator", group
