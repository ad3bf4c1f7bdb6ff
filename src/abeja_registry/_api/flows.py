"""Flows: work of one or more requests, written once as a generator of steps.

A flow yields an operation, and receives its result or its exception. The same code serves threads
and tasks; a session's `run` executes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from .._validation import check_str, safe_repr
from ..exceptions import (
    BadRequest,
    Conflict,
    Error,
    HttpError,
    NotFound,
    TransportError,
    WaitTimeout,
)
from .operations import Operation
from .paging import PAGE_SIZE, Cursor, PageWalk
from .responses import ApiResult

# The back-off between polls for a tag: seconds before the second poll, its growth, its maximum.
_FIRST_WAIT = 0.5
_WAIT_GROWTH = 1.5
_MAX_WAIT = 10.0
# A wait takes at most this share of the remaining time, so that one more poll sees a late push.
_MAX_WAIT_SHARE = 0.8
# Polling ends when fewer seconds remain.
_MIN_REMAINING = 0.05
# A create takes at most this share of the remaining time; its flow needs the rest to look up
# whether the create was carried out.
_CREATE_SHARE = 2 / 3


# The deadline of a flow that may take as long as it likes: each of its requests has a call's.
EACH_CALL = math.inf


@dataclass(frozen=True, slots=True)
class Wait:
    """A step: sleep."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Within:
    """A step: an operation that may take a share of the remaining time."""

    operation: Operation
    share: float


class Named(Protocol):
    """A row with an id and a name."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


T = TypeVar("T")
P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
N = TypeVar("N", bound=Named)


class RowsOf(Protocol[R_co]):
    """A page with each of its rows: None for one that was skipped."""

    @property
    def has_next(self) -> bool: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def rows(self) -> Sequence[R_co | None]: ...


class NewRowsOf(RowsOf[Any], Protocol[P_co]):
    """A page that can be reduced to its new rows."""

    def log_skipped(self, indexes: Sequence[int]) -> None: ...
    def subset(self, indexes: Sequence[int]) -> P_co: ...


Step = Operation | Within | Wait
Flow = Generator[Step, ApiResult, T]
# Takes a limit and an offset, returns the operation that fetches this page.
ListOperation = Callable[[int, int], Operation]
# Takes a result and a filter of names, returns the page. An invalid row is skipped if its name can
# be read and the filter rejects it; otherwise it raises.
ReadPage = Callable[[ApiResult, Callable[[str], bool]], RowsOf[R]]


def next_page(
    walk: PageWalk[Any], list_page: ListOperation, read_page: Callable[[ApiResult], NewRowsOf[P]]
) -> Flow[P | None]:
    """Fetch the next page that has new rows, and return only these; None at the end."""
    try:
        while (window := walk.window) is not None:
            page = read_page((yield list_page(*window)))
            new = walk.record(page.ids, page.has_next)
            # Only the new rows: pages overlap, and the next page repeats this page's last row.
            page.log_skipped(new)
            kept = walk.select(new, page.rows)
            if kept is not None:
                return page.subset(kept)
    except Error as error:
        error.resume_offset = walk.resume_offset
        raise
    return None


def find(name: str, list_page: ListOperation, read_page: ReadPage[N]) -> Flow[N | None]:
    """Return the row with this name, or None."""
    check_str("name", name)
    cursor = Cursor(PAGE_SIZE)
    while not cursor.done:
        page = read_page((yield list_page(cursor.limit, cursor.offset)), name.__eq__)
        cursor.record(page.ids, page.has_next)
        for row in page.rows:
            if row is not None and row.name == name:
                return row
    return None


def get_by_name(name: str, list_page: ListOperation, read_page: ReadPage[N], noun: str) -> Flow[N]:
    """Return the row with this name, or raise NotFound."""
    row = yield from find(name, list_page, read_page)
    if row is None:
        raise NotFound("not_found", f"no {noun} named {safe_repr(name)}")
    return row


def best(
    list_page: ListOperation,
    read_page: ReadPage[R],
    rank: Callable[[R], Any],
    wanted: Callable[[str], bool],
) -> Flow[R | None]:
    """Return the row with the highest rank, the last of several equal ones.

    Rows without a rank (None), and rows whose names are not wanted, do not count.
    """
    best_row: R | None = None
    highest = None
    cursor = Cursor(PAGE_SIZE)
    while not cursor.done:
        page = read_page((yield list_page(cursor.limit, cursor.offset)), wanted)
        cursor.record(page.ids, page.has_next)
        for row in page.rows:
            ranked = None if row is None else rank(row)
            if ranked is not None and (highest is None or ranked >= highest):
                best_row, highest = row, ranked
    return best_row


def wait_for(
    name: str,
    list_page: ListOperation,
    read_page: ReadPage[N],
    problem: Callable[[N], str | None],
    *,
    timeout: float,
    now: Callable[[], float],
) -> Flow[N]:
    """Poll until the named row exists and `problem(row)` is None.

    A failed poll raises if it is the first, so that bad settings show at once, or if its error is
    not transient.
    """
    deadline = now() + timeout
    # Count the slept seconds too: a test may have frozen the clock.
    slept = 0.0
    wait, state = _FIRST_WAIT, ""
    while True:
        try:
            row = yield from find(name, list_page, read_page)
        except Error as error:
            if not (state and _is_transient(error)):
                raise
            last_error = f"; the last request failed: {error}"
        else:
            unmet = "it does not exist" if row is None else problem(row)
            if row is not None and unmet is None:
                return row
            state, last_error = unmet or "", ""
        remaining = min(deadline - now(), timeout - slept)
        if remaining < _MIN_REMAINING:
            raise WaitTimeout(f"waited {timeout:g} s for {safe_repr(name)}: {state}{last_error}")
        pause = min(wait, remaining * _MAX_WAIT_SHARE)
        yield Wait(pause)
        slept += pause
        wait = min(wait * _WAIT_GROWTH, _MAX_WAIT)


def _is_transient(error: Error) -> bool:
    if isinstance(error, HttpError):
        return error.status_code in (408, 429) or (error.status_code or 0) >= 500
    return isinstance(error, TransportError)


def get_or_create(
    create: Operation,
    name: str,
    list_page: ListOperation,
    read_page: ReadPage[N],
    read_created: Callable[[ApiResult], N],
) -> Flow[N]:
    """Return the repository with this name, and create it if none exists."""
    repository = yield from find(name, list_page, read_page)
    if repository is not None:
        return repository
    try:
        return read_created((yield Within(create, _CREATE_SHARE)))
    except Error as error:
        # A 400 or 409 may mean that another client has just taken the name.
        if not (error.outcome_unknown or isinstance(error, BadRequest | Conflict)):
            raise
        create_error = error
    try:
        repository = yield from find(name, list_page, read_page)
    except Error:
        repository = None
    if repository is None:
        try:
            raise create_error
        finally:
            # With its traceback, the variable would be a reference cycle.
            del create_error
    return repository
