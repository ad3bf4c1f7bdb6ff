"""`abeja-registry repositories …`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ..exceptions import NotFound
from . import _cleanup, _options
from ._client import ClientOptions, import_httpx
from ._completion import complete_repositories
from ._errors import FAILED
from ._framework import Group, global_options
from ._output import Writer, echo_err
from ._references import repository_of
from ._views import REPOSITORY, SIZED, Sized

if TYPE_CHECKING:
    from ..client import Client
    from ..repositories import Repository


@click.group(cls=Group)
@global_options
def repositories(_: ClientOptions) -> None:
    """List, create and delete repositories."""


@repositories.command(
    "list",
    examples=(
        "repositories list",
        "repositories list --sort size --limit 10",
        "repositories list --include 'tmp-*' --quiet",
        "repositories list --output jsonl | jq -r .name",
    ),
)
@global_options
@_options.include
@_options.rows(SIZED)
@_options.page_size
def list_(
    options: ClientOptions,
    write: Writer[Any],
    include: Sequence[str],
    exclude: Sequence[str],
    page_size: int | None,
) -> None:
    """List the organization's repositories.

    The order by size, and the columns tag_count and size, read the tags of all repositories.
    """
    import_httpx()
    from ..inventory._names import NameFilter

    matches = NameFilter(include or "*", exclude)
    with options.client() as client:
        listed = client.repositories.iter(page_size=page_size)
        found = (each for each in listed if matches(each.name))
        if write.sort == "size" or {"tag_count", "size"} & set(write.columns):
            write.write_all(_sized(client, found, include, exclude))
        else:
            sorts = {**REPOSITORY.sorts, "size": REPOSITORY.sorts["name"]}
            view = replace(REPOSITORY, sorts=sorts)
            replace(write, view=view).write_all(found)


def _sized(
    client: Client, found: Iterable[Repository], include: Sequence[str], exclude: Sequence[str]
) -> Iterator[Sized]:
    from ..inventory import summarize
    from ._inventory import InventoryOptions, LiveRows

    rows = LiveRows(client, InventoryOptions(include, exclude))
    totals = {each.name: each for each in summarize(rows).repositories}
    for repository in found:
        if total := totals.get(repository.name):
            yield Sized(repository, total.tags, total.bytes)


@repositories.command(
    "get",
    examples=("repositories get trainer", "repositories get trainer predictor --output json"),
)
@global_options
@click.argument(
    "names", metavar="REPOSITORY...", nargs=-1, required=True, shell_complete=complete_repositories
)
@_options.by
@_options.rows(REPOSITORY, one=True)
@_options.keep_going
def get(
    options: ClientOptions,
    write: Writer[Repository],
    names: Sequence[str],
    by: str | None,
    keep_going: bool,
) -> None:
    """Show repositories, by name or id.

    A name goes before an id. In JSON, one is an object, and several are an array.
    """
    attempts = _options.Attempts(keep_going)
    with options.client() as client:

        def found() -> Iterator[Repository]:
            for name in names:
                with attempts.one():
                    yield repository_of(client, name, by)

        write.write_several(found(), len(names))
    attempts.end()


@repositories.command(
    "create",
    examples=(
        'repositories create trainer --description "images of CI"',
        "repositories create trainer --exist-ok --output json",
    ),
)
@global_options
@click.argument("name", metavar="NAME")
@click.option("-d", "--description", metavar="TEXT", help="What it is for.")
@click.option("--exist-ok", is_flag=True, help="Show the existing one with this name, if any.")
@_options.rows(REPOSITORY, one=True)
def create(
    options: ClientOptions,
    write: Writer[Repository],
    name: str,
    description: str | None,
    exist_ok: bool,
) -> None:
    """Create a repository, and show it."""
    with options.client() as client:
        collection = client.repositories
        make = collection.get_or_create if exist_ok else collection.create
        write.write_one(make(name, description))


@repositories.command(
    "delete",
    examples=(
        "repositories delete trainer",
        "repositories delete trainer predictor --yes --missing-ok",
        "repositories delete --from stale.csv --dry-run",
    ),
)
@global_options
@click.argument("names", metavar="[REPOSITORY...]", nargs=-1, shell_complete=complete_repositories)
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Delete the repositories listed in a CSV or JSON file of `inventory` or"
    " `repositories list`; - is stdin.",
)
@_options.by
@click.option("-y", "--yes", is_flag=True, help="Do not ask (needed without a terminal).")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted.")
@click.option("--missing-ok", is_flag=True, help="Ignore repositories that do not exist.")
@_options.keep_going
def delete(
    options: ClientOptions,
    names: Sequence[str],
    file: str | None,
    by: str | None,
    yes: bool,
    dry_run: bool,
    missing_ok: bool,
    keep_going: bool,
) -> None:
    """Delete repositories with all their tags, after asking.

    With --from: if FILE lists tags, a repository is deleted only when FILE lists every one of its
    tags. So a file from `inventory --stale-days 365 --output csv` deletes only repositories that
    are stale throughout.
    """
    if bool(names) is (file is not None):
        raise click.UsageError("pass either names of repositories or --from FILE")
    if file == "-" and not (yes or dry_run):
        raise click.UsageError("--from - needs --yes or --dry-run: stdin is the file")
    if not (yes or dry_run or (sys.stdin.isatty() and sys.stderr.isatty())):
        raise click.UsageError("no terminal to ask at: nothing was deleted; --yes deletes")
    requested = names if file is None else _cleanup.read_file(file)
    attempts = _options.Attempts(keep_going)
    with options.client() as client:
        targets: dict[str, _cleanup.Target] = {}
        for each in requested:
            with attempts.one():
                try:
                    target = _cleanup.target_of(client, each, by, look_up=not yes or dry_run)
                    targets[target.id] = target
                except NotFound:
                    if not missing_ok:
                        raise
                    echo_err(f"no repository {each}")
        if targets and not (yes or dry_run) and not _cleanup.confirmed([*targets.values()]):
            echo_err("nothing was deleted")
            raise click.exceptions.Exit(FAILED)
        for target in targets.values():
            with attempts.one():
                if not dry_run:
                    client.repositories.delete(target.id, missing_ok=missing_ok)
                echo_err(f"{'would delete' if dry_run else 'deleted'} {target}")
    attempts.end()
