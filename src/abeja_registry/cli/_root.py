"""The program: its commands, and how a run ends."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from click.shell_completion import get_completion_class, shell_complete

from abeja_registry import __version__

from . import _errors
from ._client import ClientOptions, client_options
from ._diff import diff
from ._framework import Command, Group, LazyCommand, global_options
from ._inventory import inventory
from ._output import discard, echo_err
from ._repositories import repositories
from ._settings import config, doctor, whoami
from ._summary import summary
from ._tags import image, tags

PROGRAM = "abeja-registry"


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(__version__)
        ctx.exit()


@click.group(
    cls=Group,
    examples=(
        "repositories list",
        "tags latest trainer",
        "image trainer:1.2.3 --pinned --wait 300",
        "inventory --write inventory.parquet",
    ),
    epilog="Credentials come from the environment (PLATFORM_AUTH_TOKEN; or ABEJA_PLATFORM_USER_ID"
    " and ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN; or ABEJA_PLATFORM_DATASOURCE_ID and"
    " ABEJA_PLATFORM_DATASOURCE_SECRET) and from ~/.abeja/config; `abeja-registry config` shows"
    " which one is used. Exit codes: 0, 1 an error of the API or no connection, 2 wrong usage,"
    " 3 not found, 4 timed out.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@global_options
def app(_: ClientOptions) -> None:
    """The ABEJA Platform's Registry: Docker repositories and their tags."""


@click.command(
    "completion",
    cls=Command,
    examples=(
        "completion bash > ~/.local/share/bash-completion/completions/abeja-registry",
        'completion zsh > "${fpath[1]}/_abeja-registry"',
        "completion fish > ~/.config/fish/completions/abeja-registry.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@global_options
def completion(_: ClientOptions, shell: str) -> None:
    """Print the script that completes words in a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(app, {}, PROGRAM, _COMPLETE).source())


for _command in (
    repositories,
    tags,
    image,
    inventory,
    diff,
    summary,
    config,
    whoami,
    doctor,
    LazyCommand("sandbox", "..sandbox.__main__", "Serve a Registry API on this machine."),
    completion,
):
    app.add_command(_command)


# -- a run ----------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> int:
    """Run one command, and return its exit code."""
    handler = _LogLines(logging.WARNING)
    logger = logging.getLogger("abeja_registry")
    logger.addHandler(handler)
    verbose = 0
    with _usable_variables() as completes, warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            try:
                if completes:
                    return shell_complete(app, {}, PROGRAM, _COMPLETE, completes)
                with app.make_context(PROGRAM, list(arguments)) as ctx:
                    try:
                        # The sandbox returns an exit code.
                        return app.invoke(ctx) or 0
                    finally:
                        verbose = client_options(ctx).verbose
            finally:
                sys.stdout.flush()
        except click.exceptions.Exit as end:
            return end.exit_code
        except click.ClickException as error:
            return _report_usage(error)
        except KeyboardInterrupt as interrupt:
            echo_err("")
            if hint := _errors.hint_of(interrupt):
                echo_err(hint)
            return _errors.INTERRUPTED
        except Exception as error:
            if isinstance(error, OSError) and _errors.is_closed_pipe(error):
                discard(sys.stdout)
                return _errors.PIPE_CLOSED
            return _errors.report(error, verbose)
        finally:
            logger.removeHandler(handler)


# What a shell sets for a completion.
_COMPLETE = "_ABEJA_REGISTRY_COMPLETE"
_USABLE = {
    "COLUMNS": re.compile(r"0*[1-9][0-9]{0,5}"),
    "LINES": re.compile(r"0*[1-9][0-9]{0,5}"),
}
_INSTRUCTION = re.compile("(bash|zsh|fish)_(source|complete)")


@contextmanager
def _usable_variables() -> Iterator[str | None]:
    """Hide variables whose values libraries fail on; yield the instruction of a completion."""
    hidden = {
        name: os.environ.pop(name)
        for name, usable in _USABLE.items()
        if name in os.environ and not usable.fullmatch(os.environ[name])
    }
    instruction = os.environ.get(_COMPLETE, "")
    # The index of a word; fish sets the word itself.
    word = os.environ.get("COMP_CWORD", "x")
    known = instruction.startswith("fish") or re.fullmatch(r"[0-9]{1,6}", word)
    words = {"COMP_WORDS", "COMP_CWORD"} <= os.environ.keys() and known
    usable = _INSTRUCTION.fullmatch(instruction) and (instruction.endswith("source") or words)
    try:
        yield instruction if usable else None
    finally:
        os.environ.update(hidden)


def _report_usage(error: click.ClickException) -> int:
    text = " ".join(error.format_message().split()).rstrip(".")
    ctx = getattr(error, "ctx", None)
    echo_err(f"error: {text} - see {ctx.command_path if ctx else PROGRAM} --help")
    return _errors.USAGE


class _LogLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        echo_err(f"warning: {record.getMessage()}")


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    echo_err(f"warning: {message}")
