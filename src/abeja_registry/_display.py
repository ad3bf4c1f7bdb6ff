"""How values look in a terminal and in a notebook: short, on one line, without control characters.

Models show neither e-mail addresses nor nested values; `model_dump()` has every field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from html import escape
from itertools import islice

from ._validation import MAX_INT64, safe_repr

# Characters that are shown of a digest's hash, a URL, and a cell of a table.
_DIGEST_DIGITS = 12
_MAX_URL = 50
_MAX_CELL = 200
# Characters of a repr, and rows of a table, at most.
_MAX_REPR = 120
_MAX_ROWS = 12


class Plain(str):
    """A text whose repr is the text itself, as a part of another repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def short_repr(value: object, width: int = 40) -> Plain:
    """Return a value's repr, cut to a width."""
    if not isinstance(value, str):
        return Plain(safe_repr(value)[:width])
    text = repr(value[:width])
    if len(value) > width or len(text) > width:
        text = f"{text[: width - 2]}…{text[0]}"
    return Plain(text)


def short_digest(digest: object) -> object:
    """Return a digest with only the first digits of its hash."""
    if not isinstance(digest, str):
        return digest
    algorithm, colon, digits = digest.partition(":")
    cut = "…" if len(digits) > _DIGEST_DIGITS else ""
    return f"{algorithm}{colon}{digits[:_DIGEST_DIGITS]}{cut}"


def short_url(url: str) -> str:
    """Return a URL, cut to a width."""
    return url if len(url) <= _MAX_URL else f"{url[:_MAX_URL]}…"


def grouped(number: object) -> Plain:
    """Return an integer as Python code with its digits in groups."""
    if type(number) is int and abs(number) <= MAX_INT64:
        return Plain(f"{number:_}")
    return short_repr(number, 26)


def one_line(kind: str, *values: object, **named: object) -> str:
    """Return `kind(value, name=value)` on one line, with long texts cut so that it fits."""
    text = ""
    for width in range(_MAX_REPR, 7, -1):
        shown = [_shown(value, width) for value in values]
        shown += [f"{name}={_shown(value, width)}" for name, value in named.items()]
        text = f"{kind}({', '.join(shown)})"
        if len(text) <= _MAX_REPR:
            return text
    return f"{text[: _MAX_REPR - 1]}…"


def _shown(value: object, width: int) -> str:
    if isinstance(value, datetime):
        return repr(value.isoformat(timespec="seconds").replace("+00:00", "Z"))
    if isinstance(value, BaseException):
        kind, text = type(value).__name__, str(value)
        value = text if kind in text else f"{kind}: {text}"
    return short_repr(value, width) if isinstance(value, str) else safe_repr(value)


def without_email(name: str) -> str:
    """Return a name, unless it is an e-mail address: logs and notebooks are shared."""
    return "(e-mail address)" if "@" in name else name


def number_text(number: int) -> str:
    """Return a number with commas."""
    with suppress(ValueError):  # of more than 4,300 digits
        return f"{number:,}"
    return safe_repr(number)


def first_rows(rows: Iterable[Sequence[object]], count: int) -> Iterator[Sequence[object]]:
    """Yield the first of so many rows, and then a row with the number of the others."""
    yield from islice(rows, _MAX_ROWS)
    if count > _MAX_ROWS:
        yield [f"and {count - _MAX_ROWS:,} more"]


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in HTML, with every text escaped."""
    lines = ["<table>", f"<caption>{_cell(caption)}</caption>"]
    lines.append(f"<tr>{''.join(f'<th>{_cell(each)}</th>' for each in head)}</tr>")
    lines += [f"<tr>{''.join(f'<td>{_cell(each)}</td>' for each in row)}</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value.isoformat(" ", "seconds") if isinstance(value, datetime) else str(value)
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return escape(shown if len(shown) <= _MAX_CELL else f"{shown[:_MAX_CELL]}…")
