"""Output: tables for people; JSON, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from shutil import get_terminal_size
from typing import Any, Generic, TextIO, TypeVar

T = TypeVar("T")

OUTPUTS = ("table", "json", "jsonl", "csv")
# Sorted with the largest or the newest first.
_DESCENDING = ("created", "updated", "size")
# A spreadsheet runs a cell that begins with one of these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class View(Generic[T]):
    """How values of one kind are written.

    Attributes:
        to_json: Returns the JSON object of a value.
        columns: The columns of CSV: keys of the JSON object, or of an object in it, such as
            `creator.email`, whose column is `creator_email`.
        noun: The plural, for a message that there are none.
        quiet: The columns that `--quiet` writes.
        sorts: The key of each order that `--sort` takes.
        table: The columns of a table. Defaults to all.
        drop_first: The columns that a table leaves out where it is too wide, in this order.
    """

    to_json: Callable[[T], dict[str, Any]]
    columns: tuple[str, ...]
    noun: str
    quiet: tuple[str, ...] = ()
    sorts: Mapping[str, Callable[[T], Any]] = field(default_factory=dict)
    table: tuple[str, ...] = ()
    drop_first: tuple[str, ...] = ()

    def cells(self, row: T) -> dict[str, Any]:
        """Return the cells of a value, by the names of its columns."""
        values = self.to_json(row)
        return {
            name: _at(values, column)
            for name, column in zip(self.header, self.columns, strict=True)
        }

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return _names(self.columns)


def _names(columns: Iterable[str]) -> list[str]:
    return [column.replace(".", "_") for column in columns]


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = None if value is None else value.get(key)
    return value


@dataclass(frozen=True)
class Writer(Generic[T]):
    """Writes values of one kind, as the options of a command say.

    Attributes:
        view: The kind.
        output: One of `OUTPUTS`; None if the command decides.
        columns: The names of the chosen columns; empty for all.
        quiet: Whether to write the names alone, or the values of the chosen columns.
        limit: The maximum number of values.
        sort: The order: one of the view's.
        reverse: Whether to reverse the order.
        bom: Whether CSV begins with a byte order mark.
        escape_formulas: Whether CSV has a quote before each cell that a spreadsheet would run.
    """

    view: View[T]
    output: str | None = "table"
    columns: tuple[str, ...] = ()
    quiet: bool = False
    limit: int | None = None
    sort: str | None = None
    reverse: bool = False
    bom: bool = False
    escape_formulas: bool = False

    def write_all(self, rows: Iterable[T]) -> None:
        """Write many values; all forms but the table write each at once, unless they are sorted."""
        count = 0

        def counted() -> Iterator[T]:
            nonlocal count
            for row in self.chosen(rows):
                count += 1
                yield row

        self._write(counted())
        if not count and not self.quiet:
            echo_err(f"no {self.view.noun}")

    def write_one(self, row: T) -> None:
        """Write one value: an object in JSON, and a line for each of its columns in a table."""
        if self.quiet or self.output in ("jsonl", "csv"):
            self._write([row])
        elif self.output == "json":
            write_json(self._value(row))
        else:
            from . import _tables

            cells = self.view.cells(row)
            _tables.write_cells({name: cells[name] for name in self.columns or cells})

    def write_several(self, rows: Iterable[T], count: int) -> None:
        """Write the values that the command line names: a single one as `write_one` does."""
        if count == 1:
            for row in rows:
                self.write_one(row)
        else:
            self._write(rows)

    def chosen(self, rows: Iterable[T]) -> Iterable[T]:
        """Return the values within the limit, sorted."""
        if self.sort is not None:
            rows = sorted(rows, key=self.view.sorts[self.sort])
        # Of equal times the last counts as the newest, as for `tags latest`.
        if self.reverse != (self.sort in _DESCENDING):
            rows = reversed(list(rows))
        return islice(rows, self.limit)

    def _write(self, rows: Iterable[T]) -> None:
        if self.quiet:
            prepare_for_data()
            for row in rows:
                cells = self.view.cells(row)
                texts = (cells[name] for name in self.columns or _names(self.view.quiet))
                line = "\t".join(strip_control("" if text is None else text) for text in texts)
                sys.stdout.write(line + "\n")
        elif self.output == "table":
            from . import _tables

            view = self.view
            names = self.columns or _names(view.table or view.columns)
            drop_first = () if self.columns else _names(view.drop_first)
            _tables.write_table(names, map(view.cells, rows), drop_first)
        elif self.output == "csv":
            self._write_csv(rows)
        elif self.output == "jsonl":
            prepare_for_data()
            for row in rows:
                sys.stdout.write(_json_line(self._value(row)) + "\n")
        else:
            prepare_for_data()
            for piece in _json_array(map(self._value, rows)):
                sys.stdout.write(piece)

    def _write_csv(self, rows: Iterable[T]) -> None:
        prepare_for_data()
        if self.bom:
            sys.stdout.write("\ufeff")
        names = self.columns or self.view.header
        writer = csv.writer(_LineFeeds())
        writer.writerow(names)
        for row in rows:
            cells = self.view.cells(row)
            values = [cells[name] for name in names]
            writer.writerow(map(_escape_formula, values) if self.escape_formulas else values)

    def _value(self, row: T) -> dict[str, Any]:
        if not self.columns:
            return self.view.to_json(row)
        cells = self.view.cells(row)
        return {name: cells[name] for name in self.columns}


def _escape_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


class _LineFeeds:
    """Stdout for csv, which quotes a lone carriage return only where lines end with one."""

    def write(self, line: str) -> None:
        """Write a line that ends in a line feed."""
        sys.stdout.write(line.removesuffix("\r\n") + "\n")


# -- text -----------------------------------------------------------------------------------------


def strip_control(text: object) -> str:
    """Return a text without control characters, so that a terminal can show it."""
    return "".join(
        each if each.isprintable() else " " if each.isspace() else "\N{REPLACEMENT CHARACTER}"
        for each in str(text)
    )


def echo_err(text: str) -> None:
    """Write one line to stderr."""
    try:
        # backslashreplace escapes the characters that stderr's encoding lacks.
        print(strip_control(text), file=sys.stderr, flush=True)
    except OSError:  # a closed pipe, or a full disk: the command continues
        discard(sys.stderr)


def write_text(text: str) -> None:
    """Write lines for people."""
    for line in text.splitlines():
        sys.stdout.write(strip_control(line) + "\n")


def write_json(value: Any) -> None:
    """Write one JSON value on several lines."""
    prepare_for_data()
    sys.stdout.write(_json(value, indent=2) + "\n")


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def width() -> int | None:
    """Return the width of the terminal; None without one."""
    return get_terminal_size().columns if is_terminal() else None


def readable(text: str) -> str:
    """Return a text with escapes for the characters that stdout's encoding lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _json(value: Any, **form: Any) -> str:
    """Return a value as JSON with escapes for all that is not printable."""
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


def prepare_for_data() -> None:
    """Make stdout write the same bytes on each system, and each line at once."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True
        )


def discard(stream: TextIO) -> None:
    """Send the rest of a stream that cannot be written, also its buffer, to the null device."""
    # Python flushes both streams when it ends, and an error then would change the exit code.
    with suppress(io.UnsupportedOperation):  # a stream without a file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
