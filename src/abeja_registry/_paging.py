"""Where a walk is in a list: what came back in, the next window out."""

from __future__ import annotations

from .exceptions import PaginationError

# Items a page of a walk asks for: few requests, and answers of some 50 kB.
PAGE_SIZE = 100


class Cursor:
    """The place of one walk through one list.

    Attributes:
        offset: Where the next page starts.
        limit: How many items it asks for.
        done: Whether the list has ended.
    """

    def __init__(self, limit: int, offset: int = 0) -> None:
        self.limit = limit
        self.offset = offset
        self.done = False

    def record(self, count: int, has_next: bool) -> None:
        """Take note of a page that came.

        Moves by what came and not by what was asked for, since a server may clamp the limit.

        Raises:
            PaginationError: The page is empty and says that more follow.
        """
        if has_next and not count:
            raise PaginationError(
                f"the page at offset {self.offset} is empty and says that more follow"
            )
        self.offset += count
        self.done = not has_next


def check_window(limit: int | None, offset: int | None) -> None:
    """Refuse a limit below 1 and an offset below 0, before anything is sent."""
    if limit is not None:
        check_count("limit", limit, least=1)
    if offset is not None:
        check_count("offset", offset, least=0)


def check_count(name: str, value: object, *, least: int) -> int:
    """Return a whole number of at least so many, or refuse it by name."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return value
