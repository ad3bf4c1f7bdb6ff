"""Where a walk is in a list, and the numbers that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abeja_registry import PaginationError
from abeja_registry._paging import Cursor, check_count, check_window


def test_a_walk_starts_at_its_offset_and_is_not_done() -> None:
    """A new cursor asks for the first page, from the offset that it was given."""
    first, later = Cursor(10), Cursor(10, 30)
    assert (first.limit, first.offset, first.done) == (10, 0, False)
    assert (later.limit, later.offset, later.done) == (10, 30, False)


@given(st.lists(st.integers(1, 1000)), st.integers(0, 1000), st.integers(1, 100))
def test_a_walk_moves_by_what_came(full: list[int], last: int, limit: int) -> None:
    """However the server clamps the limit, the offset is the number of items that came."""
    cursor = Cursor(limit)
    for number, count in enumerate(full, start=1):
        cursor.record(count, has_next=True)
        assert (cursor.offset, cursor.done) == (sum(full[:number]), False)
    cursor.record(last, has_next=False)
    assert (cursor.limit, cursor.offset, cursor.done) == (limit, sum(full) + last, True)


def test_an_empty_page_with_more_to_come_is_an_error() -> None:
    """A page that would keep the walk where it is, for ever, names its place and moves nothing."""
    cursor = Cursor(10, 20)
    with pytest.raises(PaginationError, match="offset 20 is empty"):
        cursor.record(0, has_next=True)
    assert (cursor.offset, cursor.done) == (20, False)


@pytest.mark.parametrize("limit", [None, 1, 10**6])
@pytest.mark.parametrize("offset", [None, 0, 10**6])
def test_a_window_within_bounds_passes(limit: int | None, offset: int | None) -> None:
    """A limit from 1, an offset from 0 and either left out are taken."""
    check_window(limit, offset)


@pytest.mark.parametrize(
    ("limit", "offset", "error", "message"),
    [
        (0, None, ValueError, "limit must be at least 1, not 0"),
        (-1, 0, ValueError, "limit must be at least 1, not -1"),
        (1, -1, ValueError, "offset must be at least 0, not -1"),
        ("1", None, TypeError, "limit must be a whole number, not '1'"),
        (1.0, None, TypeError, r"limit must be a whole number, not 1\.0"),
        (True, None, TypeError, "limit must be a whole number, not True"),
        (None, False, TypeError, "offset must be a whole number, not False"),
    ],
)
def test_a_window_out_of_bounds_is_refused(
    limit: int, offset: int, error: type[Exception], message: str
) -> None:
    """The error names the argument, its bound and the value."""
    with pytest.raises(error, match=f"^{message}$"):
        check_window(limit, offset)


@given(st.integers(), st.integers())
def test_a_count_is_given_back_or_refused(value: int, least: int) -> None:
    """A whole number comes back as it is where it is large enough, and only there."""
    if value >= least:
        assert check_count("page_size", value, least=least) == value
    else:
        with pytest.raises(ValueError, match=f"^page_size must be at least {least}, not {value}$"):
            check_count("page_size", value, least=least)
