"""Tables for people: no wider than the terminal, and no value cropped without a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from ._output import NUMBERS, readable

_GAP = "  "
# What gives way where a table is too wide, cut or over several lines, and how far.
_CUT = ("name", "repository_name", "tag", "creator_email", "description")
_FOLDED = ("value", "source")
_LEAST = 8


def bold(line: str) -> str:
    """Return a line that stands out, where stdout is a terminal that can show it."""
    console = Console()
    # Not printed at once: rich would end the process where the reader went away.
    with console.capture() as drawn:
        console.print(Text(line, "bold"), soft_wrap=True)
    return drawn.get().removesuffix("\n")


def lines(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    first_to_go: Iterable[str] = (),
) -> Iterator[str]:
    """Return the lines of a table, the titles among its rows.

    Args:
        columns: The names of its columns, which say what may be cut.
        rows: The cells of each row.
        width: How wide it may be; as wide as it is if not given.
        first_to_go: The columns that are left out where cutting is not enough, in their order.
    """
    wanted = {name: max(map(cell_len, cells)) for name, *cells in zip(columns, *rows, strict=True)}

    def widths(longest: int) -> dict[str, int]:
        return {
            name: min(size, longest) if name in _CUT or name in _FOLDED else size
            for name, size in wanted.items()
        }

    def fits(longest: int) -> bool:
        total = sum(widths(longest).values()) + len(_GAP) * (len(wanted) - 1)
        return width is None or total <= width

    for name in first_to_go:
        if fits(_LEAST):
            break
        del wanted[name]
    longest = max(wanted.values())
    while longest > _LEAST and not fits(longest):
        longest -= 1
    sizes = widths(longest)
    for row in rows:
        cells = zip(columns, row, strict=True)
        parts = [_parts(name, text, sizes[name]) for name, text in cells if name in sizes]
        for line in zip_longest(*parts, fillvalue=""):
            padded = map(_padded, sizes, line, sizes.values())
            yield _GAP.join(padded).rstrip()


def _parts(name: str, text: str, size: int) -> list[str]:
    """Return a cell's lines."""
    if cell_len(text) <= size:
        return [text]
    if name in _FOLDED:
        return [each.plain for each in Text(text).wrap(Console(), size, overflow="fold")]
    mark = "…" if readable("…") == "…" else "..."
    return [set_cell_size(text, size - len(mark)) + mark]


def _padded(name: str, text: str, size: int) -> str:
    return text.rjust(size) if name in NUMBERS else set_cell_size(text, size)
