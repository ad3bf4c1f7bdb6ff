"""The reprs and tables of an inventory's values: short, and without e-mail addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice

from .._display import short_repr
from .._validation import safe_repr
from ._times import time_text

# Characters of a repr, and rows of a table, at most.
MAX_REPR = 120
MAX_ROWS = 12


def one_line(kind: str, *values: object, **named: object) -> str:
    """Return `kind(value, name=value)` on one line, with long texts cut so that it fits."""
    text = ""
    for width in range(MAX_REPR, 7, -1):
        shown = [_shown(value, width) for value in values]
        shown += [f"{name}={_shown(value, width)}" for name, value in named.items()]
        text = f"{kind}({', '.join(shown)})"
        if len(text) <= MAX_REPR:
            return text
    return f"{text[: MAX_REPR - 1]}…"


def _shown(value: object, width: int) -> str:
    if isinstance(value, datetime):
        return repr(time_text(value, "seconds"))
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
    yield from islice(rows, MAX_ROWS)
    if count > MAX_ROWS:
        yield [f"and {count - MAX_ROWS:,} more"]
