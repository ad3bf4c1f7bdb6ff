"""The real datetime classes, while freezegun has replaced them."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def real_datetime() -> Iterator[None]:
    """Import something with the real classes in the module datetime.

    pydantic keeps a table of types, made from the classes that it finds when it is imported. One
    that is imported while the clock is frozen refuses `datetime` in every model built later.
    """
    found = datetime.datetime, datetime.date
    datetime.datetime, datetime.date = map(_real, found)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        datetime.datetime, datetime.date = found  # type: ignore[misc]


def _real(found: type) -> type:
    """Return the standard library's class that a stand-in is made from, or what was found."""
    bases = getattr(found, "__mro__", ())
    return next((base for base in bases if base.__module__ == "datetime"), found)
