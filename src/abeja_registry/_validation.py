"""Every check of an argument: it takes the argument's name and value, and raises InvalidArgument.

The settings use the same checks with the name of a variable or of a key in a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar
from urllib.parse import quote, unquote

from .exceptions import ConfigurationError, InvalidArgument

T = TypeVar("T")

# How an iteration handles a row that fails validation.
InvalidRows = Literal["raise", "skip"]
# Seconds, about 11 days: a socket's timeout must fit into 31 bits of milliseconds.
MAX_TIMEOUT = 1_000_000
# The largest integer in a Parquet file; no list is longer and no image is larger.
MAX_INT64 = 2**63 - 1
# Docker's rule for a digest.
DIGEST = r"[a-z0-9]+([+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"


def safe_repr(value: object) -> str:
    """Return a bounded repr for an error; only the type of a value that may contain a secret."""
    if value is None or isinstance(value, str | int | float):
        with suppress(ValueError):  # an integer of over 4,300 digits
            return repr(value)[:100]
    return f"a value of type {type(value).__name__}"


@contextmanager
def as_configuration_error() -> Iterator[None]:
    """Turn an InvalidArgument into a ConfigurationError with the same message."""
    try:
        yield
    except InvalidArgument as error:
        raise ConfigurationError(str(error)) from None


def check_type(name: str, value: object, kind: type[T], described: str) -> T:
    """Return a value of this type; `described` names the type in the error, like "a string"."""
    if not isinstance(value, kind):
        raise InvalidArgument(f"{name} must be {described}, not {safe_repr(value)}")
    return value


def check_str(name: str, value: object) -> str:
    """Return a string."""
    return check_type(name, value, str, "a string")


def check_choice(name: str, value: T, choices: Sequence[str]) -> T:
    """Return a value that is one of the choices."""
    if value not in choices:
        *first, last = map(repr, choices)
        described = f"{', '.join(first)} or {last}"
        raise InvalidArgument(f"{name} must be {described}, not {safe_repr(value)}")
    return value


def check_callable(name: str, value: T) -> T:
    """Return a callable or None."""
    if value is not None and not callable(value):
        raise InvalidArgument(f"{name} must be callable, not {safe_repr(value)}")
    return value


def check_time(name: str, value: object) -> None:
    """Accept None or a datetime with a time zone."""
    if value is None:
        return
    time = check_type(name, value, datetime, "a datetime")
    if time.tzinfo is None:
        raise InvalidArgument(f"{name} must have a time zone, not {time.isoformat()}")


def check_timeout(name: str, value: Any, *, convert: bool = False) -> float:
    """Return a socket's timeout in seconds, > 0.

    With `convert`, everything that float() accepts is valid, such as the text of a variable.
    """
    seconds = _seconds(value, convert=convert)
    if not 0 < seconds <= MAX_TIMEOUT:
        raise InvalidArgument(
            f"{name} must be seconds, above 0 and at most {MAX_TIMEOUT}, not {safe_repr(value)}"
        )
    return seconds


def check_delay(name: str, value: Any) -> float:
    """Return a delay in seconds, >= 0."""
    seconds = _seconds(value)
    if not 0 <= seconds < math.inf:
        raise InvalidArgument(f"{name} must be seconds, at least 0, not {safe_repr(value)}")
    return seconds


def _seconds(value: Any, *, convert: bool = False) -> float:
    """Return a number of seconds, or NaN for anything else."""
    if isinstance(value, bool) or not (convert or isinstance(value, int | float)):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def quote_segment(name: str, value: object) -> str:
    """Return an id as one percent-encoded path segment.

    Raises:
        InvalidArgument: It is neither a string nor an integer, or it is empty, a dot segment,
            or contains a character that is not printable.
    """
    if not isinstance(value, str | int) or isinstance(value, bool):
        hint = ": pass its id" if hasattr(value, "organization_id") else ""
        raise InvalidArgument(f"{name} must be a string, not {safe_repr(value)}{hint}")
    # Not str(value): for a member of a str Enum, that is "Class.NAME".
    text = ""
    with suppress(ValueError):  # an integer of over 4,300 digits
        text = str.__str__(value) if isinstance(value, str) else format(value, "d")
    # quote() keeps dots, and the HTTP library collapses a dot segment.
    if text in ("", ".", "..") or not text.isprintable():
        raise InvalidArgument(
            f"{name} must be an id of printable characters, not {safe_repr(value)}"
        )
    return quote(text, safe="")


def quote_path(name: str, value: object) -> str:
    """Return a path with invalid characters percent-encoded.

    Raises:
        InvalidArgument: It does not begin with one slash, has a query or a dot segment, or holds a
            character that does not print.
    """
    text = check_str(name, value)
    if not text.startswith("/") or text.startswith("//") or not text.isprintable():
        raise InvalidArgument(
            f"{name} must be a path such as '/organizations', not {safe_repr(value)}"
        )
    if "?" in text or "#" in text:
        raise InvalidArgument(f"{name} must have no query or fragment: pass params={{…}}")
    # The HTTP library would collapse them.
    if {".", ".."} & {unquote(segment) for segment in text.split("/")}:
        raise InvalidArgument(f"{name} must have no segment '.' or '..', unlike {safe_repr(value)}")
    return quote(text, safe="/%:@!$&'()*+,;=~")


def check_window(limit: int | None, offset: int | None) -> None:
    """Accept a limit >= 1 and an offset >= 0, or None."""
    if limit is not None:
        check_count("limit", limit, least=1)
    if offset is not None:
        check_count("offset", offset, least=0)


def check_count(name: str, value: Any, *, least: int, convert: bool = False) -> int:
    """Return an integer >= `least`.

    With `convert`, everything that int() accepts is valid, such as the text of a variable, except
    a float, which int() would truncate.
    """
    count = value
    if convert and not isinstance(value, bool | float):
        with suppress(TypeError, ValueError):
            count = int(value)
    if not isinstance(count, int) or isinstance(count, bool):
        raise InvalidArgument(f"{name} must be a whole number, not {safe_repr(value)}")
    if count < least:
        raise InvalidArgument(f"{name} must be at least {least}, not {safe_repr(value)}")
    return count


def check_image_part(name: str, value: object, pattern: str) -> None:
    """Accept a part of an image's name that matches Docker's pattern."""
    if not re.fullmatch(pattern, check_str(name, value)):
        raise InvalidArgument(
            f"{name} cannot be {safe_repr(value)}: see Docker's rules for image names"
        )


def check_digest(name: str, value: object) -> None:
    """Accept a digest."""
    check_image_part(name, value, DIGEST)


def compile_glob(argument: str, pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether a name matches a glob pattern."""
    if not check_str(argument, pattern):
        raise InvalidArgument(f"{argument} must be a non-empty pattern")
    return lambda name: fnmatchcase(name, pattern)
