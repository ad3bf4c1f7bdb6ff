"""What a command writes: tables for people; JSON, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from shutil import get_terminal_size
from typing import Any, Generic, TextIO, TypeVar

T = TypeVar("T")

# Counts, which stand right and have separators of thousands.
NUMBERS = ("size", "bytes", "tag_bytes", "stale_bytes", "tags", "images", "stale")


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
        first_to_go: Which of these a table leaves out where it is too wide, in this order.
    """

    to_json: Callable[[T], dict[str, Any]]
    columns: tuple[str, ...]
    table: tuple[str, ...] = ()
    first_to_go: tuple[str, ...] = ()

    def cells(self, row: T) -> dict[str, Any]:
        """Return a value as CSV has it, by column."""
        values = self.to_json(row)
        cells = (_at(values, column) for column in self.columns)
        return dict(zip(self.header, cells, strict=True))

    @property
    def header(self) -> list[str]:
        """The names of the CSV columns."""
        return _header(self.columns)


def _header(columns: Iterable[str]) -> list[str]:
    return [column.replace(".", "_") for column in columns]


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
            sys.stdout.write(_json_line(kind.to_json(row)) + "\n")
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
        _print_table(("setting", "value"), [(name, cell) for name, cell in lines if cell])
    elif output is Output.json:
        write_json(kind.to_json(row))
    else:
        write_rows(kind, [row], output)


def write_json(value: Any) -> None:
    """Write one JSON value, over several lines."""
    _prepare_for_data()
    sys.stdout.write(_json(value, indent=2) + "\n")


def write_text(text: str) -> None:
    """Write lines for people, which may hold text of the server's."""
    for line in text.splitlines():
        sys.stdout.write(plain(line) + "\n")


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def width() -> int | None:
    """Return how wide a table may be: as the terminal; without one there is no bound."""
    return get_terminal_size().columns if is_terminal() or "COLUMNS" in os.environ else None


def readable(text: str) -> str:
    """Return a text with escapes for the characters that stdout's encoding lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _json(value: Any, **form: Any) -> str:
    """Return a value as JSON that is readable, and in which nothing but its own breaks a line."""
    text = json.dumps(value, ensure_ascii=False, **form)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )


def _json_line(value: Any) -> str:
    return _json(value, separators=(",", ":"))


def _json_array(values: Iterable[Any]) -> Iterator[str]:
    before = "[\n"
    for value in values:
        yield before + _json_line(value)
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
    columns = _header(kind.table or kind.columns)
    cells = [[_shown(name, row[name], True) for name in columns] for row in map(kind.cells, rows)]
    _print_table(columns, cells, [_title(name) for name in columns], _header(kind.first_to_go))


def _print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    titles: Sequence[str] | None = None,
    first_to_go: Iterable[str] = (),
) -> None:
    from . import _tables

    lines = _tables.lines(columns, [titles, *rows] if titles else rows, width(), first_to_go)
    if titles:
        sys.stdout.write(_tables.bold(next(lines)) + "\n")
    for line in lines:
        sys.stdout.write(line + "\n")


def _title(column: str) -> str:
    for suffix in ("_name", "_email", "_at"):
        column = column.removesuffix(suffix)
    return column.replace("_", " ").upper()


def _shown(column: str, value: Any, short: bool = False) -> str:
    """Return a cell as people read it; a digest in a table of many is cut as Docker does."""
    if value is None:
        return ""
    if column in NUMBERS:
        return f"{value:,}"
    text = readable(plain(value))
    if column.endswith("_at") or column in ("oldest", "newest"):
        return text.replace("T", " ")[: 16 if short else 19]
    if short and column.endswith("digest"):
        return text.partition(":")[2][:12]
    return text


def discard(stream: TextIO) -> None:
    """Send what a stream still holds, and all that follows, nowhere: it cannot be written."""
    # Python flushes both streams when it ends, and an error then would change the exit code.
    with suppress(io.UnsupportedOperation):  # a stream that a program put there has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
