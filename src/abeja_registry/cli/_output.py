"""What a command writes: tables for people; JSON, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Cells = Mapping[str, Any]

# Wider than any row, so that nothing is cut where there is no terminal to fit.
_UNBOUNDED = 100_000


class Output(StrEnum):
    """The forms of output."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


@dataclass(frozen=True)
class Kind(Generic[T]):
    """How values of one kind are written.

    Attributes:
        to_json: The JSON object of a value.
        columns: What CSV has: keys of the JSON object, or of an object in it (`creator.email`,
            whose column is `creator_email`).
        table: Which of these a table shows; all if not given.
    """

    to_json: Callable[[T], dict[str, Any]]
    columns: tuple[str, ...]
    table: tuple[str, ...] = ()

    def cells(self, row: T) -> dict[str, Any]:
        """Return a value as CSV has it, by column."""
        values = self.to_json(row)
        return {column.replace(".", "_"): _at(values, column) for column in self.columns}

    @property
    def header(self) -> list[str]:
        """The names of the CSV columns."""
        return [column.replace(".", "_") for column in self.columns]


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = None if value is None else value.get(key)
    return value


def plain(text: object) -> str:
    """Return a text of the server's as a terminal may have it: without control characters."""
    return "".join(
        each if each.isprintable() else " " if each.isspace() else "\N{REPLACEMENT CHARACTER}"
        for each in str(text)
    )


# -- to stdout ------------------------------------------------------------------------------------


def write_rows(kind: Kind[T], rows: Iterable[T], output: Output) -> None:
    """Write many; all forms but the table write each as it comes."""
    if output is Output.table:
        _write_table(kind, rows)
        return
    _prepare_for_data()
    if output is Output.csv:
        writer = csv.writer(_LineFeeds())
        writer.writerow(kind.header)
        writer.writerows(kind.cells(row).values() for row in rows)
    elif output is Output.jsonl:
        for row in rows:
            sys.stdout.write(_json(kind.to_json(row)) + "\n")
    else:
        for piece in _json_array(kind.to_json(row) for row in rows):
            sys.stdout.write(piece)


class _LineFeeds:
    """Stdout for csv, which quotes a lone carriage return only where lines end with one."""

    def write(self, line: str) -> None:
        """Write a line, ended as everywhere else."""
        sys.stdout.write(line.removesuffix("\r\n") + "\n")


def write_one(kind: Kind[T], row: T, output: Output) -> None:
    """Write one: an object in JSON, and for people a line for each of its columns."""
    if output is Output.table:
        lines = [(name, _shown(name, value)) for name, value in kind.cells(row).items()]
        _print_table([], [(name, cell) for name, cell in lines if cell])
    elif output is Output.json:
        write_json(kind.to_json(row))
    else:
        write_rows(kind, [row], output)


def write_json(value: Any) -> None:
    """Write one JSON value, over several lines."""
    _prepare_for_data()
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_text(text: str) -> None:
    """Write lines for people, which may hold text of the server's."""
    _reconfigure(errors="replace")
    for line in text.splitlines():
        sys.stdout.write(plain(line) + "\n")


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_array(values: Iterable[Any]) -> Iterator[str]:
    before = "[\n"
    for value in values:
        yield before + _json(value)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _prepare_for_data() -> None:
    # The same bytes wherever the program runs, and each line at once.
    _reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True)


def _reconfigure(**options: Any) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**options)


# -- tables ---------------------------------------------------------------------------------------


def _write_table(kind: Kind[T], rows: Iterable[T]) -> None:
    columns = [column.replace(".", "_") for column in kind.table or kind.columns]
    cells = map(kind.cells, rows)
    _print_table(columns, [[_shown(name, row[name], True) for name in columns] for row in cells])


def _print_table(columns: list[str], rows: Iterable[Iterable[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    _reconfigure(errors="replace")
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_header=bool(columns),
        header_style="bold",
    )
    for name in columns:
        table.add_column(
            Text(_title(name), no_wrap=True, overflow="ellipsis"),
            no_wrap=name not in _CUT and name not in _FOLDED,
            min_width=_LEAST if name in _CUT else None,
            justify="right" if name in _NUMBERS else "left",
        )
    # A text's own no_wrap goes before its column's, which only says whether that may be narrower.
    cut = [name in _CUT for name in columns] or [False, False]
    for row in rows:
        # Text, so that no bracket in a name is taken for markup.
        table.add_row(
            *(
                Text(cell, no_wrap=short or None, overflow="ellipsis" if short else "fold")
                for cell, short in zip(row, cut, strict=True)
            )
        )
    fits = is_terminal() or "COLUMNS" in os.environ
    console = Console(width=None if fits else _UNBOUNDED)
    # Not printed at once: rich would end the process where the reader went away.
    with console.capture() as drawn:
        console.print(table)
    sys.stdout.write(drawn.get())


_NUMBERS = ("size", "bytes", "tags", "untouched")
# What gives way where a table is too wide, cut or over several lines.
_CUT = ("name", "repository_name", "creator_email", "description")
_FOLDED = ("value", "place")
_LEAST = 8


def _title(column: str) -> str:
    for suffix in ("_name", "_email", "_at"):
        column = column.removesuffix(suffix)
    return column.replace("_", " ").upper()


def _shown(column: str, value: Any, short: bool = False) -> str:
    """Return a cell as people read it; a digest in a table of many is cut as Docker does."""
    if value is None:
        return ""
    if column in ("size", "bytes"):
        return f"{value:,}"
    if column.endswith("_at") or column in ("oldest", "newest"):
        return plain(value).replace("T", " ")[: 16 if short else 19]
    if short and column.endswith("digest"):
        return plain(value).partition(":")[2][:12]
    return plain(value)


def close_stdout() -> None:
    """Let what is left to be written go nowhere: its reader went away."""
    # Python flushes stdout once more when it ends, and would tell of the closed pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
