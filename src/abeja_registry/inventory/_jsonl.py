"""JSON lines: a file with a JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ._file_errors import row_error
from ._files import atomic_write
from ._formats import FileFormat, Part, encode_rows
from ._rows import Entry, InventoryRepository, InventoryRow, parse_entry

# Ten times the longest row that the API could return.
_MAX_LINE = 20_000_000


def _encode(rows: Iterable[InventoryRow]) -> bytes:
    return b"".join(json_line(row.to_dict()) for row in rows)


def _write(path: Path, parts: Iterable[Part], without_rows: Iterable[InventoryRepository]) -> int:
    count = 0
    with atomic_write(path) as file:
        for part in parts:
            file.write(part.data)
            count += part.rows
        for repository in without_rows:
            file.write(json_line(repository.to_dict()))
        if not file.tell():
            # A blank line means: no repositories. The first version wrote an empty file for
            # repositories without tags.
            file.write(b"\n")
    return count


def json_line(value: Mapping[str, Any]) -> bytes:
    """Return a line of JSON."""
    return json.dumps(value).encode() + b"\n"


JSONL = FileFormat("jsonl", partial(encode_rows, encode=_encode), _write)


def read_jsonl(path: Path) -> Generator[Entry, None, bool]:
    """Yield the rows; return whether the file names repositories without tags too."""
    lines = kinds = number = 0
    with path.open("rb") as file:
        # Bounded, so that a file without line feeds is not read into memory at once.
        for number, line in enumerate(iter(partial(file.readline, _MAX_LINE), b""), 1):
            if line.isspace():
                continue
            try:
                has_kind, entry = _parse_line(line)
            except ValueError as error:
                raise row_error(path, number, error) from None
            lines += 1
            kinds += has_kind
            yield entry
    return number > 0 and lines == kinds


def _parse_line(line: bytes) -> tuple[bool, Entry]:
    """Return whether a line has a column `kind`, and its row."""
    try:
        value = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        # A number of over 4,300 digits, or too deeply nested lists.
        raise ValueError(f"it cannot be read: {error}") from None
    return isinstance(value, dict) and "kind" in value, parse_entry(value)
