"""CSV: a file of comma-separated values, with fields of any reasonable length.

`csv.field_size_limit` belongs to the whole process: another library may need its value, or change
it at any time from any thread. This module never sets it. `csv.reader` parses each record, and a
Python parser with the same rules parses the records that `csv.reader` refuses. Both refuse a record
that the end of the file cuts off within quotes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from io import StringIO
from itertools import chain
from pathlib import Path

from .._validation import safe_repr
from ._file_errors import file_error, row_error
from ._files import atomic_write
from ._formats import FileFormat, Part, encode_rows
from ._rows import (
    COLUMNS,
    FILE_COLUMNS,
    TAG,
    Entry,
    InventoryRepository,
    InventoryRow,
    parse_entry,
    repository_cells,
    text_cells,
)

# Ten times the longest row that the API could return.
MAX_FIELD = 10_000_000


def _encode(rows: Iterable[InventoryRow]) -> bytes:
    text = StringIO()
    # Quote texts: a carriage return would end an unquoted record.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows(map(text_cells, rows))
    return text.getvalue().encode()


def _write(path: Path, parts: Iterable[Part], without_rows: Iterable[InventoryRepository]) -> int:
    count = 0
    with atomic_write(path) as file:
        file.write((",".join(map(_quoted, FILE_COLUMNS)) + "\n").encode())
        for part in parts:
            file.write(part.data)
            count += part.rows
        for repository in without_rows:
            # csv.writer quotes None, and some readers parse a quoted empty field as a text.
            file.write((",".join(map(_quoted, repository_cells(repository))) + "\n").encode())
    return count


CSV = FileFormat("csv", partial(encode_rows, encode=_encode), _write)


def _quoted(text: str | None) -> str:
    return "" if text is None else '"' + text.replace('"', '""') + '"'


def read_csv(path: Path) -> Generator[Entry, None, bool]:
    """Yield the rows; return whether the file names repositories without tags too."""
    # Spreadsheets put a byte order mark first.
    with path.open(encoding="utf-8-sig", newline="") as file:
        number = 0
        try:
            records = csv_records(file)
            number, names = next(records, (0, []))
            if missing := set(COLUMNS) - set(names):
                raise file_error(path, f"it has no column {min(missing)!r}")
            for number, values in records:
                if values:
                    try:
                        entry = _parse_values(names, values)
                    except ValueError as error:
                        raise row_error(path, number, error) from None
                    yield entry
            return "kind" in names
        except csv.Error as error:
            raise row_error(path, number + 1, error) from None
        except UnicodeDecodeError:
            raise row_error(path, _first_not_utf8(path), "it is not UTF-8") from None


def _parse_values(names: list[str], values: list[str]) -> Entry:
    if len(values) != len(names):
        more = "more" if len(values) > len(names) else "fewer"
        raise ValueError(f"it has {more} values than there are columns")
    record = dict(zip(names, values, strict=True))
    if record.get("kind", TAG) != TAG:
        return parse_entry(record)
    # int() also accepts blanks, underscores and the digits of any script.
    if not re.fullmatch(r"-?[0-9]{1,20}(\.0)?", record["size"]):
        raise ValueError(f"size must be an integer, not {safe_repr(record['size'])}")
    return parse_entry({**record, "size": int(record["size"].removesuffix(".0"))})


def _first_not_utf8(path: Path) -> int:
    """Return the number of a line, which the error lacks: Python decodes many lines at a time."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1  # pragma: no cover - the file has changed meanwhile


def csv_records(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each record of a CSV file, with the number of its last line.

    Args:
        lines: The file's lines with their ends, from a file opened with `newline=""`.

    Raises:
        csv.Error: A field is longer than `MAX_FIELD`, or the file ends within quotes.
    """
    number = 0
    # The lines of the current record: `csv.reader` reads no line ahead.
    record: list[str] = []

    def recorded() -> Iterator[str]:
        nonlocal number
        for line in lines:
            number += 1
            record.append(line)
            yield line

    source = recorded()
    # Strict mode refuses a value that the end of the file cuts off.
    reader = csv.reader(source, strict=True)
    while True:
        record.clear()
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            values = _parse_record(record[:], source)
        yield number, values


def _parse_record(lines: list[str], source: Iterator[str]) -> list[str]:
    """Parse one record as `csv.reader` does with its default dialect.

    Args:
        lines: The record's lines that are read already.
        source: The lines after them.
    """
    values: list[str] = []
    field: list[str] = []
    length, quoted, starts = 0, False, True
    for line in chain(lines, source):
        at, end = 0, len(line.rstrip("\r\n"))
        while True:
            if starts and line.startswith('"', at):
                quoted, starts, at = True, False, at + 1
            # Quotes count only at the start of a field; the rest after them is plain text.
            stop = line.find('"' if quoted else ",", at)
            part = line[at : len(line) if quoted else end] if stop < 0 else line[at:stop]
            length += len(part)
            if length > MAX_FIELD:
                raise csv.Error(f"field larger than {MAX_FIELD:,} characters")
            field.append(part)
            if stop < 0:
                break
            at = stop + 1
            if not quoted:
                values.append("".join(field))
                field, length, starts = [], 0, True
            elif line.startswith('"', at):
                field.append('"')
                at += 1
            else:
                quoted = False
        if not quoted:
            break
    else:
        raise csv.Error("the file ends within a quoted value")
    values.append("".join(field))
    return values
