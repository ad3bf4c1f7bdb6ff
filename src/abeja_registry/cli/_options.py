"""Options and arguments that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import click

from ..exceptions import Error
from ._client import client_options
from ._completion import complete_repositories
from ._errors import report
from ._framework import chain
from ._output import OUTPUTS, View, Writer


def whole(least: int) -> Callable[[str | int], int]:
    """Return the type of an option that is a whole number."""

    def convert(text: str | int) -> int:
        with suppress(ValueError):
            if (number := int(text)) >= least:
                return number
        raise click.BadParameter(f"it must be a whole number, at least {least}, not {text!r}")

    return convert


def days(text: str | int) -> int:
    """Return a number of days, as the type of an option: `90`, or `90d` as in other ages."""
    return whole(0)(str(text).removesuffix("d"))


def output_form(text: str) -> str:
    """Return the name of an output, as the type of an option."""
    if text in OUTPUTS:
        return text
    hint = ""
    if re.search(r"[./]", text):
        write = text.endswith((".jsonl", ".csv", ".parquet"))
        write &= click.get_current_context().command.name == "inventory"
        hint = f"; `{'--write' if write else '>'} {text}` writes a file"
    raise click.BadParameter(f"{text!r} is not {_alternatives(OUTPUTS)}{hint}")


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

repository = click.argument(
    "repository", metavar="REPOSITORY", shell_complete=complete_repositories
)
by = chain(
    click.option(
        "--id",
        "by",
        flag_value="id",
        help="REPOSITORY is an id.  [default: a name or an id, a name first]",
    ),
    click.option(
        "--name", "by", flag_value="name", help="REPOSITORY is a name, even if it looks like an id."
    ),
)
page_size = click.option("--page-size", type=whole(1), metavar="ROWS", help="Rows per request.")
keep_going = click.option(
    "--keep-going", is_flag=True, help="Go on with the others after an error."
)
pattern = click.option(
    "--pattern", metavar="GLOB", help="Only tags whose name matches, with *, ? and […]."
)
include = chain(
    click.option(
        "--include",
        metavar="GLOB",
        multiple=True,
        help="Only repositories whose name matches; may be repeated.",
    ),
    click.option(
        "--exclude",
        metavar="GLOB",
        multiple=True,
        help="No repositories whose name matches; may be repeated.",
    ),
)


# -- times ----------------------------------------------------------------------------------------


def time(text: str) -> datetime:
    """Return a time, as the type of an option: an age such as `30d`, or ISO 8601."""
    try:
        if age := re.fullmatch(r"([0-9]{1,6})([mhdw])", text):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        parsed = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time such as 30d, 12h, 2024-01-31 or 2024-01-31T12:00:00Z"
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """The time of a tag's last push.

    Attributes:
        since: The earliest time.
        until: The time before which it was pushed.
    """

    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None

    def __contains__(self, time: datetime) -> bool:
        return (self.since is None or time >= self.since) and (
            self.until is None or time < self.until
        )


_SINCE_UNTIL = chain(
    click.option(
        "--since",
        type=time,
        metavar="TIME",
        help="Only tags pushed at this time or later: 30d ago, or ISO 8601 in UTC.",
    ),
    click.option(
        "--until", type=time, metavar="TIME", help="Only tags last pushed before this time."
    ),
)


def window(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select tags by their last push; pass a `Window`."""

    @wraps(function)
    def with_window(
        *args: Any,
        since: datetime | None,
        until: datetime | None,
        stale_days: int | None = None,
        **params: Any,
    ) -> Any:
        if stale_days is not None:
            try:
                stale_before = datetime.now(UTC) - timedelta(days=stale_days)
            except OverflowError:
                raise click.UsageError("--stale-days reaches back before the year 1") from None
            until = min(until or stale_before, stale_before)
        return function(*args, window=Window(since, until), **params)

    return _SINCE_UNTIL(with_window)  # type: ignore[no-any-return]


stale = click.option(
    "--stale-days", type=days, metavar="DAYS", help="Only tags not pushed in the last DAYS days."
)


# -- output ---------------------------------------------------------------------------------------


def rows(
    view: View[Any], *, one: bool = False, default: str | None = "table"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options of output, and passes a `Writer`.

    Args:
        view: The kind of values.
        one: Whether the command writes the values that it was asked for, in their order.
        default: The output without `--output`.
    """

    def columns(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, ...]:
        names = tuple(filter(None, (text or "").replace(" ", "").split(",")))
        unknown = [name for name in names if name not in view.header]
        if unknown or (text is not None and not names):
            problem = f"no column {unknown[0]!r}" if unknown else "no columns"
            raise click.BadParameter(f"{problem}; there are {','.join(view.header)}", ctx, param)
        return tuple(dict.fromkeys(names))

    options = [
        click.option(
            "-o",
            "--output",
            type=output_form,
            metavar="FORM",
            help=f"{_alternatives(OUTPUTS)}." + (f"  [default: {default}]" if default else ""),
        ),
        click.option(
            "--columns",
            metavar="A,B",
            callback=columns,
            help=f"Only these columns, of {', '.join(view.header)}.",
        ),
    ]
    if view.quiet:
        what = "names" if view.quiet == ("name",) else " and ".join(view.quiet)
        options.append(
            click.option(
                "-q",
                "--quiet",
                is_flag=True,
                help=f"Print only {what} (or --columns), without a header.",
            )
        )
    if not one:
        options.append(
            click.option(
                "--limit", type=whole(1), metavar="ROWS", help="Show at most this many rows."
            )
        )
    if not one and view.sorts:
        options += [
            click.option(
                "--sort",
                type=click.Choice(list(view.sorts)),
                metavar="ORDER",
                help=f"By {_alternatives(view.sorts)}; the newest and the largest first.",
            ),
            click.option("--reverse", is_flag=True, help="Reverse the order."),
        ]
    options += [
        click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark, for Excel."),
        click.option(
            "--escape-formulas",
            is_flag=True,
            help="In CSV, put ' before cells that a spreadsheet would run.",
        ),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def with_writer(*args: Any, **params: Any) -> Any:
            chosen = {
                name: params.pop(name)
                for name in (
                    "output",
                    "columns",
                    "quiet",
                    "limit",
                    "sort",
                    "reverse",
                    "bom",
                    "escape_formulas",
                )
                if name in params
            }
            output = chosen["output"]
            if chosen.get("quiet") and output is not None:
                raise click.UsageError("--quiet and --output exclude each other")
            for name in ("bom", "escape_formulas"):
                if chosen[name] and output != "csv":
                    raise click.UsageError(f"--{name.replace('_', '-')} needs --output csv")
            chosen["output"] = output or default
            return function(*args, write=Writer(view, **chosen), **params)

        decorated: Callable[..., Any] = chain(*options)(with_writer)
        return decorated

    return decorate


def _alternatives(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"


# -- several names --------------------------------------------------------------------------------


class Attempts:
    """Work on several names: it ends at the first error, or goes on and fails at the end."""

    def __init__(self, keep_going: bool) -> None:
        self._keep_going = keep_going
        self._code = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Work on one name."""
        try:
            yield
        except (Error, OSError) as error:
            if not self._keep_going:
                raise
            ctx = click.get_current_context()
            self._code = self._code or report(error, client_options(ctx).verbose)

    def end(self) -> None:
        """End the command with the exit code of the first error."""
        if self._code:
            raise click.exceptions.Exit(self._code)
