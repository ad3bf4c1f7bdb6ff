"""The commands and their options; what a command does is imported when it is run."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from abeja_registry import __version__

from ..exceptions import InvalidArgument
from . import _errors
from ._client import Access
from ._output import Output, discard

# Any error that click tells, of whichever click typer comes with.
_ClickError: Any = typer.BadParameter.__mro__[2]


class By(StrEnum):
    """What the newest tag is the newest by."""

    created = "created"
    updated = "updated"
    version = "version"


class _Group(TyperGroup):
    """Some commands, their endings kept from click, which has its own."""

    # A help and a version are written here already.
    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _endings():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _endings():
            try:
                return super().invoke(ctx)
            except InvalidArgument as error:
                # Only here is it known which command refused what.
                _errors.point(error, f"see {ctx.command_path} {ctx.invoked_subcommand} --help")
                raise


@contextmanager
def _endings() -> Iterator[None]:
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if not _errors.reader_is_gone(error):
            raise
        discard(sys.stdout)
        raise typer.Exit(_errors.READER_GONE) from None
    except KeyboardInterrupt as interrupt:
        _errors.say("")
        for note in getattr(interrupt, "__notes__", ()):
            _errors.say(note)
        raise typer.Exit(_errors.INTERRUPTED) from None


def _typer(**options: Any) -> typer.Typer:
    # No rich in the help: it takes longer to import than all the rest of it.
    return typer.Typer(
        cls=_Group,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


app = _typer()
repositories = _typer(help="The organization's repositories.")
tags = _typer(help="The tags of a repository.")
app.add_typer(repositories, name="repositories")
app.add_typer(tags, name="tags")


def run(arguments: Sequence[str]) -> int:
    """Run one command, and return its exit code."""
    command = typer.main.get_command(app)
    handler = _LogLines(logging.WARNING)
    logger = logging.getLogger("abeja_registry")
    logger.addHandler(handler)
    with _usable_variables(), warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return (
                command.main(list(arguments), prog_name="abeja-registry", standalone_mode=False)
                or 0
            )
        except SystemExit as ended:  # a completion
            return ended.code if isinstance(ended.code, int) else _errors.FAILED
        except _ClickError as error:
            return _refused(error)
        except Exception as error:
            # With `python -X dev` a developer sees where it came from.
            if sys.flags.dev_mode:
                raise
            return _errors.tell(error)
        finally:
            logger.removeHandler(handler)


# What a shell sets when it asks what a command line may go on with.
_COMPLETE = "_ABEJA_REGISTRY_COMPLETE"
_USABLE = {
    "COLUMNS": re.compile(r"0*[1-9][0-9]{0,5}"),
    "LINES": re.compile(r"0*[1-9][0-9]{0,5}"),
    _COMPLETE: re.compile(r"(source|complete)_(bash|zsh|fish|powershell|pwsh)"),
}


@contextmanager
def _usable_variables() -> Iterator[None]:
    """Hide variables from the libraries that fail, or write nothing, by their values."""
    hidden = {
        name: os.environ.pop(name)
        for name, usable in _USABLE.items()
        if name in os.environ and not usable.fullmatch(os.environ[name])
    }
    if os.environ.get(_COMPLETE) == "complete_bash" and not (
        "COMP_WORDS" in os.environ and re.fullmatch(r"\d{1,6}", os.environ.get("COMP_CWORD", ""))
    ):
        hidden[_COMPLETE] = os.environ.pop(_COMPLETE)
    try:
        yield
    finally:
        os.environ.update(hidden)


def _refused(error: Any) -> int:
    text = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "abeja-registry"
    _errors.say(f"error: {text.rstrip('.')} - see {path} --help")
    return _errors.USAGE


class _LogLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _errors.say(f"warning: {record.getMessage()}")


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _errors.say(f"warning: {message}")


# -- options --------------------------------------------------------------------------------------

_Context = typer.Context
_Output = Annotated[
    Output, typer.Option("--output", "-o", help="A table for people, or one for programs.")
]
_Repository = Annotated[
    str, typer.Argument(metavar="REPOSITORY", help="Its name, or with --id its id.")
]
_ById = Annotated[bool, typer.Option("--id", help="REPOSITORY is an id, not a name.")]
_PageSize = Annotated[
    int | None, typer.Option(metavar="ROWS", help="Rows that each request asks for.")
]
_Matching = Annotated[
    str | None,
    typer.Option(metavar="PATTERN", help="Only tags whose name fits, with *, ? and […]."),
]
_Concurrency = Annotated[int, typer.Option(metavar="COUNT", help="Requests at the same time.")]
_Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Only repositories matching this glob pattern; may be repeated.",
        show_default=False,
    ),
]
_Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="No repositories matching this glob pattern; may be repeated.",
        show_default=False,
    ),
]
_Partial = Annotated[
    bool, typer.Option("--partial", help="Take what there is where repositories failed.")
]


def _rows_file(metavar: str) -> Any:
    return typer.Argument(metavar=metavar, exists=True, dir_okay=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0, 1 an error of the API or no connection, 2 wrong usage, 3 not found, "
    "4 timed out. Credentials come from the environment and from ~/.abeja/config alone; "
    "`abeja-registry whoami` says which."
)
def _options(
    ctx: _Context,
    organization: Annotated[
        str | None, typer.Option(metavar="ID", help="The organization's id.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="A configuration of ~/.abeja/config.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Where the API is.")] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="For each connect, read and write; 30 if not given."),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="For each call with all its attempts; 120 if not given."
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """The ABEJA Platform's Registry: Docker repositories and their tags.

    \b
    Examples:
      abeja-registry repositories list
      abeja-registry --organization 1410000000000 tags list trainer --output csv
      abeja-registry inventory --write inventory.parquet
    """  # noqa: D301 - click's mark for lines that are not to be joined
    ctx.obj = Access(organization, profile, base_url, timeout, deadline)


# -- repositories ---------------------------------------------------------------------------------


@repositories.command("list")
def _repositories_list(
    ctx: _Context, page_size: _PageSize = None, output: _Output = Output.table
) -> None:
    """List all repositories.

    \b
    Examples:
      abeja-registry repositories list
      abeja-registry repositories list --output jsonl | jq -r .name
    """  # noqa: D301
    from . import _repositories

    _repositories.list_(ctx.obj, page_size, output)


@repositories.command("get")
def _repositories_get(
    ctx: _Context,
    repository: _Repository,
    by_id: _ById = False,
    output: _Output = Output.table,
) -> None:
    """Show one repository.

    \b
    Examples:
      abeja-registry repositories get trainer
      abeja-registry repositories get --id 1430000000000 --output json
    """  # noqa: D301
    from . import _repositories

    _repositories.get(ctx.obj, repository, by_id, output)


@repositories.command("create")
def _repositories_create(
    ctx: _Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, by Docker's rules.")],
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")] = None,
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="Show the one of that name if it is there.")
    ] = False,
    output: _Output = Output.table,
) -> None:
    """Create a repository, and show it.

    \b
    Examples:
      abeja-registry repositories create trainer --description "images of CI"
      abeja-registry repositories create trainer --exist-ok --output json
    """  # noqa: D301
    from . import _repositories

    _repositories.create(ctx.obj, name, description, exist_ok, output)


@repositories.command("delete")
def _repositories_delete(
    ctx: _Context,
    repository: _Repository,
    by_id: _ById = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    missing_ok: Annotated[
        bool, typer.Option("--missing-ok", help="One that is not there counts as deleted.")
    ] = False,
) -> None:
    """Delete a repository and all its tags, after asking.

    \b
    Examples:
      abeja-registry repositories delete trainer
      abeja-registry repositories delete --id 1430000000000 --yes --missing-ok
    """  # noqa: D301
    from . import _repositories

    _repositories.delete(ctx.obj, repository, by_id, yes, missing_ok)


# -- tags -----------------------------------------------------------------------------------------


@tags.command("list")
def _tags_list(
    ctx: _Context,
    repository: _Repository,
    by_id: _ById = False,
    matching: _Matching = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only tags pushed then or later, ISO 8601.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only tags pushed before, ISO 8601.")
    ] = None,
    page_size: _PageSize = None,
    output: _Output = Output.table,
) -> None:
    """List the tags of a repository; times without a zone are UTC.

    \b
    Examples:
      abeja-registry tags list trainer --matching '1.*'
      abeja-registry tags list trainer --since 2024-01-31 --output csv
    """  # noqa: D301
    from . import _tags

    _tags.list_(ctx.obj, repository, by_id, matching, since, until, page_size, output)


@tags.command("latest")
def _tags_latest(
    ctx: _Context,
    repository: _Repository,
    by_id: _ById = False,
    by: Annotated[By, typer.Option(help="By first push, last push or version.")] = By.created,
    matching: _Matching = None,
    prereleases: Annotated[
        bool, typer.Option("--prereleases", help="Versions such as 2.0.0rc1 count.")
    ] = False,
    output: _Output = Output.table,
) -> None:
    """Show the newest tag of a repository.

    \b
    Examples:
      abeja-registry tags latest trainer
      abeja-registry tags latest trainer --by version --output json | jq -r .name
    """  # noqa: D301
    from . import _tags

    _tags.latest(ctx.obj, repository, by_id, by.value, matching, prereleases, output)


@tags.command("wait")
def _tags_wait(
    ctx: _Context,
    repository: _Repository,
    tag: Annotated[str, typer.Argument(metavar="TAG", help="Its name.")],
    by_id: _ById = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait at the most.")
    ] = 300,
    digest: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="What the tag has to point to.")
    ] = None,
    changed_from: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="What it must not point to any more.")
    ] = None,
    output: _Output = Output.table,
) -> None:
    """Wait for a tag, and show it.

    Until it is there, or points to another image than before.

    \b
    Examples:
      abeja-registry tags wait trainer 1.0.0 --timeout 600
      abeja-registry tags wait trainer latest --changed-from "$DIGEST" --output json
    """  # noqa: D301
    from . import _tags

    _tags.wait(ctx.obj, repository, tag, by_id, timeout, digest, changed_from, output)


@app.command("image")
def _image(
    ctx: _Context,
    repository: _Repository,
    tag: Annotated[str, typer.Argument(metavar="TAG", help="Its name.")],
    by_id: _ById = False,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="By its digest, which always is the same image.")
    ] = False,
) -> None:
    """Print the image's name of a tag, for jobs.

    The tag is looked up, so that the name is one that there is.

    \b
    Examples:
      abeja-registry image trainer 1.0.0
      abeja-registry image trainer latest --pinned
    """  # noqa: D301
    from . import _tags

    _tags.image(ctx.obj, repository, tag, by_id, pinned)


# -- the organization -----------------------------------------------------------------------------


@app.command("inventory")
def _inventory(
    ctx: _Context,
    include: _Include = None,
    exclude: _Exclude = None,
    concurrency: _Concurrency = 16,
    page_size: _PageSize = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="FILE", dir_okay=False, help="Make this .jsonl, .csv or .parquet."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Ask for what an earlier --write did not get.")
    ] = False,
    partial: _Partial = False,
    output: Annotated[
        Output | None,
        typer.Option("--output", "-o", help="As elsewhere; jsonl if there is no terminal."),
    ] = None,
) -> None:
    """List every tag of every repository.

    Or write them to a file.

    \b
    Examples:
      abeja-registry inventory --output jsonl | jq -r .digest
      abeja-registry inventory --write inventory.parquet
      abeja-registry inventory --write inventory.csv --resume
    """  # noqa: D301
    from . import _organization

    asked = _organization.Asked(include or ("*",), exclude or (), concurrency, page_size, partial)
    if write is not None:
        if output is not None:
            raise typer.BadParameter("--write and --output exclude each other")
        _organization.write(ctx.obj, asked, write, resume)
    elif resume:
        raise typer.BadParameter("--resume needs --write")
    else:
        _organization.inventory(ctx.obj, asked, output)


@app.command("diff")
def _diff(
    ctx: _Context,
    old: Annotated[Path, _rows_file("OLD")],
    new: Annotated[Path | None, _rows_file("NEW")] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 if anything differs.")
    ] = False,
    include: _Include = None,
    exclude: _Exclude = None,
    concurrency: _Concurrency = 16,
    output: _Output = Output.table,
) -> None:
    """Show what differs between two inventories.

    Without NEW, between OLD and now.

    \b
    Examples:
      abeja-registry diff monday.parquet tuesday.parquet
      abeja-registry diff monday.jsonl --exit-code --output json
    """  # noqa: D301
    from . import _organization

    asked = _organization.Asked(include or ("*",), exclude or (), concurrency)
    if _organization.diff(ctx.obj, asked, old, new, output) and exit_code:
        raise typer.Exit(1)


@app.command("summary")
def _summary(
    ctx: _Context,
    file: Annotated[Path | None, _rows_file("FILE")] = None,
    stale_after_days: Annotated[
        int, typer.Option(metavar="DAYS", help="Days without a push after which a tag is stale.")
    ] = 90,
    include: _Include = None,
    exclude: _Exclude = None,
    concurrency: _Concurrency = 16,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="PAGE", dir_okay=False, help="Make this page to look at."),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="OLD",
            exists=True,
            dir_okay=False,
            help="Show on the page which tags moved since this inventory.",
        ),
    ] = None,
    output: Annotated[
        Output | None,
        typer.Option("--output", "-o", help="As elsewhere; a table if not given."),
    ] = None,
) -> None:
    """Count tags and bytes by repository and by creator.

    Of an inventory that was written to FILE, or of now; or make a page of it.

    \b
    Examples:
      abeja-registry summary
      abeja-registry summary inventory.parquet --stale-after-days 365 --output csv
      abeja-registry summary --html report.html --compare monday.jsonl
    """  # noqa: D301
    from . import _organization

    asked = _organization.Asked(include or ("*",), exclude or (), concurrency)
    if html is not None:
        if output is not None:
            raise typer.BadParameter("--html and --output exclude each other")
        _organization.report(ctx.obj, asked, file, stale_after_days, html, compare)
    elif compare is not None:
        raise typer.BadParameter("--compare needs --html")
    else:
        _organization.summary(ctx.obj, asked, file, stale_after_days, output or Output.table)


# -- settings and the sandbox ---------------------------------------------------------------------


@app.command("whoami")
def _whoami(ctx: _Context, output: _Output = Output.table) -> None:
    """Show which settings were found where.

    Secrets are masked. Nothing is asked of the API.

    \b
    Examples:
      abeja-registry whoami
      abeja-registry --profile staging whoami --output json
    """  # noqa: D301
    from . import _settings

    _settings.whoami(ctx.obj, output)


@app.command("doctor")
def _doctor(ctx: _Context) -> None:
    """Compare the API with its reference.

    Ends with 1 where they differ.

    \b
    Example:
      abeja-registry doctor
    """  # noqa: D301
    from . import _settings

    if not _settings.doctor(ctx.obj):
        raise typer.Exit(1)


@app.command(
    "sandbox",
    add_help_option=False,
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
)
def _sandbox(ctx: _Context) -> None:
    """Serve a Registry API on this machine."""
    from ..sandbox.__main__ import main

    raise typer.Exit(main(ctx.args, "abeja-registry sandbox"))
