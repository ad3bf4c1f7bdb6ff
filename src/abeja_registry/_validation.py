"""Checks of what a caller passes: each refuses a bad value, naming the argument and the value."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import quote

from .exceptions import InvalidArgument

# What an iteration does with a row that no model can be made from.
InvalidRows = Literal["raise", "skip"]
# Seconds, some 11 days: a socket's timeout has to fit into 31 bits of milliseconds.
MAX_TIMEOUT = 1_000_000
# No list is longer and no image larger; Parquet files hold no larger integers.
MAX_INT64 = 2**63 - 1


def safe_repr(value: object) -> str:
    """Return a value as an error shows it: bounded, and of what may hold a secret its type."""
    if value is None or isinstance(value, str | int | float):
        with suppress(ValueError):  # of a number of over 4,300 digits
            return repr(value)[:100]
    return f"a value of type {type(value).__name__}"


def check_str(name: str, value: object) -> str:
    """Return a value that is a string, or refuse it by name."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} must be a string, not {safe_repr(value)}")
    return value


def quote_segment(name: str, value: object) -> str:
    """Return an id as one percent-encoded path segment.

    Raises:
        InvalidArgument: It is neither a string nor an integer, or it is empty, a dot segment,
            or holds a character that does not print.
    """
    if not isinstance(value, str | int) or isinstance(value, bool):
        hint = ": pass its id" if hasattr(value, "id") else ""
        raise InvalidArgument(f"{name} must be a string, not {safe_repr(value)}{hint}")
    # Not str(value): of a string that is a member of an Enum that is more than its text.
    text = ""
    with suppress(ValueError):  # of a number of over 4,300 digits
        text = str.__str__(value) if isinstance(value, str) else format(value, "d")
    # quote() leaves dots alone, and the HTTP library collapses a segment of them.
    if text in ("", ".", "..") or not text.isprintable():
        raise InvalidArgument(
            f"{name} must be an id of printable characters, not {safe_repr(value)}"
        )
    return quote(text, safe="")


def check_window(limit: int | None, offset: int | None) -> None:
    """Refuse a limit below 1 and an offset below 0, before anything is sent."""
    if limit is not None:
        check_count("limit", limit, least=1)
    if offset is not None:
        check_count("offset", offset, least=0)


def check_count(name: str, value: object, *, least: int) -> int:
    """Return a whole number of at least so many, or refuse it by name."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgument(f"{name} must be a whole number, not {safe_repr(value)}")
    if value < least:
        raise InvalidArgument(f"{name} must be at least {least}, not {safe_repr(value)}")
    return value


def compile_glob(argument: str, pattern: str) -> Callable[[str], bool]:
    """Return whether a name fits a pattern, as a function of the name."""
    if not check_str(argument, pattern):
        raise InvalidArgument(f"{argument} must be a pattern, not an empty one, which no name fits")
    return lambda name: fnmatchcase(name, pattern)
