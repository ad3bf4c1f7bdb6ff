"""How an inventory's values look: one short line as text, a short table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from html import escape
from itertools import islice

from .._validation import safe_repr
from ._times import time_text

# Characters of a repr, and rows and characters of a table's cells, at most.
MAX_REPR = 120
MAX_ROWS = 12
_MAX_CELL = 60
_DIGITS_OF_A_DIGEST = 12


def short_repr(kind: str, *values: object, **named: object) -> str:
    """Return `kind(value, name=value)` on one line, with long texts cut so that it fits."""
    text = ""
    for width in range(MAX_REPR, 7, -1):
        shown = [_shown(value, width) for value in values]
        shown += [f"{name}={_shown(value, width)}" for name, value in named.items()]
        text = f"{kind}({', '.join(shown)})"
        if len(text) <= MAX_REPR:
            break
    return _cut(text, MAX_REPR)


def _shown(value: object, width: int) -> str:
    if isinstance(value, datetime):
        return repr(time_text(value, "seconds"))
    if isinstance(value, BaseException):
        kind, text = type(value).__name__, str(value)
        return repr(_cut(text if kind in text else f"{kind}: {text}", width))
    return repr(_cut(value, width)) if isinstance(value, str) else safe_repr(value)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def short_digest(digest: str) -> str:
    """Return the start of a digest, as Docker shows it."""
    algorithm, colon, digits = digest.partition(":")
    return algorithm + colon + digits[:_DIGITS_OF_A_DIGEST]


def without_email(name: str) -> str:
    """Return a name, unless it is an e-mail address: logs and notebooks are shared."""
    return "(e-mail address)" if "@" in name else name


def number_text(number: int) -> str:
    """Return a number with commas."""
    with suppress(ValueError):  # of more than 4,300 digits
        return f"{number:,}"
    return safe_repr(number)


def html_table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], count: int
) -> str:
    """Return an HTML table of the first rows, which says how many more there are.

    Args:
        caption: The line above the table.
        columns: The columns' names.
        rows: The cells of each row.
        count: The number of rows.
    """
    lines = [
        f"<table><caption>{escape(_printable(caption))}</caption>",
        f"<thead>{_html_row('th', columns)}</thead>",
        "<tbody>",
        *(_html_row("td", cells) for cells in islice(rows, MAX_ROWS)),
    ]
    if count > MAX_ROWS:
        lines.append(_html_row("td", [f"and {count - MAX_ROWS:,} more"]))
    return "\n".join([*lines, "</tbody></table>"])


def _html_row(tag: str, cells: Iterable[str]) -> str:
    shown = (f"<{tag}>{escape(_printable(_cut(cell, _MAX_CELL)))}</{tag}>" for cell in cells)
    return f"<tr>{''.join(shown)}</tr>"


def _printable(text: str) -> str:
    # A lone surrogate cannot be encoded, and control characters are invalid in HTML.
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
