"""Tables for people: no wider than the terminal, and each cut is marked."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from ._output import readable, strip_control, width
from ._sizes import size

_GAP = "  "
_SIZES = ("size", "old_size", "new_size", "bytes", "tag_bytes", "stale_bytes")
_COUNTS = ("tags", "tag_count", "images", "stale")
# Right-aligned.
_NUMBERS = (*_SIZES, *_COUNTS)
_TIMES = ("created_at", "updated_at", "oldest", "newest")
_NAMES = ("name", "repository_name", "tag")
# Wrapped over several lines.
_WRAPPED = ("value", "source", "detail")
# The columns that give way where a table is too wide, in this order, and how far. Columns are left
# out before a name has less than 32 characters, such as most of a commit's hash.
_MIN_WIDTH = 8
_STAGES = (
    (("description",), _MIN_WIDTH),
    (("creator_email",), _MIN_WIDTH),
    (_WRAPPED, _MIN_WIDTH),
    (_NAMES, 32),
)
_LAST_STAGE = (_NAMES, _MIN_WIDTH)


def write_table(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], drop_first: Iterable[str]
) -> None:
    """Write a table of many rows; nothing if there are none.

    Args:
        columns: The names of its columns.
        rows: The cells of each row.
        drop_first: The columns to leave out where truncating is not enough, in this order.
    """
    cells = [[_cell(name, row[name]) for name in columns] for row in rows]
    if not cells:
        return
    header, *lines = _lines(columns, [[*map(_title, columns)], *cells], drop_first)
    sys.stdout.write(_bold(header) + "\n")
    sys.stdout.writelines(line + "\n" for line in lines)


def write_cells(cells: Mapping[str, Any]) -> None:
    """Write one row as a table of its columns, with each value whole."""
    rows = [(name, text) for name, value in cells.items() if (text := _whole_cell(name, value))]
    if rows:
        sys.stdout.writelines(line + "\n" for line in _lines(("column", "value"), rows, ()))


# -- cells ----------------------------------------------------------------------------------------


def _title(column: str) -> str:
    if column == "of":
        return "GROUP"
    utc = " (UTC)" if column in _TIMES else ""
    for suffix in ("_name", "_email", "_at"):
        column = column.removesuffix(suffix)
    return column.replace("_", " ").upper() + utc


def _cell(column: str, value: Any) -> str:
    """Return a cell of a table; a digest is cut as Docker does."""
    if value is None:
        return ""
    if column in _SIZES:
        return size(value)
    if column in _COUNTS:
        return f"{value:,}"
    text = readable(strip_control(value))
    if column in _TIMES:
        return _time(text)[:16]
    if column.endswith("digest"):
        return text.partition(":")[2][:12]
    return text


def _whole_cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column in _SIZES:
        return f"{size(value)} ({value:,} bytes)"
    text = readable(strip_control(value))
    return f"{_time(text)} UTC" if column in _TIMES else text


def _time(text: str) -> str:
    """Return a time in UTC; the text itself if it is none."""
    try:
        time = datetime.fromisoformat(text)
        time = time.astimezone(UTC) if time.tzinfo else time
    except (ValueError, OverflowError):
        return text
    return f"{time:%Y-%m-%d %H:%M:%S}" if time.year > 999 else text


# -- lines ----------------------------------------------------------------------------------------


def _bold(line: str) -> str:
    """Return a line in bold, where stdout is a terminal with styles."""
    console = Console()
    # Not printed by rich, which would end the process where the pipe is closed.
    with console.capture() as drawn:
        console.print(Text(line, "bold"), soft_wrap=True)
    return drawn.get().removesuffix("\n")


def _lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], drop_first: Iterable[str]
) -> Iterator[str]:
    sizes = _column_sizes(columns, rows, drop_first)
    for row in rows:
        cells = zip(columns, row, strict=True)
        parts = [_parts(name, text, sizes[name]) for name, text in cells if name in sizes]
        for line in zip_longest(*parts, fillvalue=""):
            yield _GAP.join(map(_padded, sizes, line, sizes.values())).rstrip()


def _column_sizes(
    columns: Sequence[str], rows: Sequence[Sequence[str]], drop_first: Iterable[str]
) -> dict[str, int]:
    """Return the width of each column that is shown."""
    available = width()
    wanted = {name: max(map(cell_len, cells)) for name, *cells in zip(columns, *rows, strict=True)}

    def fits(sizes: Mapping[str, int]) -> bool:
        return available is None or sum(sizes.values()) + len(_GAP) * (len(sizes) - 1) <= available

    def shrunk(sizes: Mapping[str, int], names: Collection[str], least: int) -> dict[str, int]:
        longest = max((size for name, size in sizes.items() if name in names), default=0)
        new = dict(sizes)
        while longest > least and not fits(new):
            longest -= 1
            new = {k: min(v, longest) if k in names else v for k, v in sizes.items()}
        return new

    def shrunk_in_stages() -> dict[str, int]:
        sizes = wanted
        for names, least in _STAGES:
            sizes = shrunk(sizes, names, least)
        return sizes

    sizes = shrunk_in_stages()
    for name in drop_first:
        if fits(sizes):
            break
        del wanted[name]
        sizes = shrunk_in_stages()
    return shrunk(sizes, *_LAST_STAGE)


def _parts(name: str, text: str, size: int) -> list[str]:
    """Return a cell's lines."""
    if cell_len(text) <= size:
        return [text]
    if name in _WRAPPED:
        return [each.plain for each in Text(text).wrap(Console(), size, overflow="fold")]
    mark = "…" if readable("…") == "…" else "..."
    return [set_cell_size(text, size - len(mark)) + mark]


def _padded(name: str, text: str, size: int) -> str:
    return text.rjust(size) if name in _NUMBERS else set_cell_size(text, size)
