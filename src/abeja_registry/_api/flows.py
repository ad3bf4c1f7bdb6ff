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
from ..exceptions import BadRequest, Conflict, Error, NotFound
from .operations import Operation
from .paging import PageWalk, ReadAhead, check_page_size
from .responses import ApiResult

# A create takes at most this share of the remaining time; its flow needs the rest to look up
# whether the create was carried out.
_CREATE_SHARE = 2 / 3


# No deadline for the whole flow: each of its requests has the deadline of a call.
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


@dataclass(frozen=True, slots=True)
class Ahead:
    """A step: pages of one long list, fetched at once.

    Its result is a list: the results of all operations before the first that failed. If the first
    one fails, its error is raised.

    A long list may take longer than a call's deadline, so that deadline begins again with each such
    step, unless the whole flow has one.
    """

    operations: Sequence[Operation]


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


Step = Operation | Within | Wait | Ahead
# An Ahead receives a list of results, which the type cannot say.
Flow = Generator[Step, ApiResult, T]
# Takes a limit and an offset, returns the operation that fetches this page.
ListOperation = Callable[[int, int], Operation]
# Takes a result and a filter of names, returns the page's rows: None for each whose name can be
# read and is rejected by the filter. Any other row that is invalid raises.
FindRows = Callable[[ApiResult, Callable[[str], bool]], RowsOf[R]]


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


def look_up(
    walk: ReadAhead,
    list_page: ListOperation,
    find_rows: FindRows[R],
    wanted: Callable[[str], bool],
    pick: Callable[[Sequence[R]], T | None],
) -> Flow[T | None]:
    """Read a list until `pick` returns something of a page's wanted rows; None at the end."""
    while windows := walk.windows():
        operations = [list_page(*window) for window in windows]
        results: Any
        if len(operations) > 1:
            results = yield Ahead(operations)
        else:
            results = [(yield operations[0])]
        for (_, offset), result in zip(windows, results, strict=False):
            if not walk.awaits(offset):
                break
            page = find_rows(result, wanted)
            walk.record(page.ids, page.has_next)
            picked = pick([row for row in page.rows if row is not None])
            if picked is not None:
                return picked
    return None


def first_named(name: str) -> Callable[[Sequence[N]], N | None]:
    """Return a function that picks the first row with a name."""
    return lambda rows: next((row for row in rows if row.name == name), None)


def find(
    name: str, list_page: ListOperation, find_rows: FindRows[N], page_size: int | None
) -> Flow[N | None]:
    """Return the row with this name, or None."""
    check_str("name", name)
    walk = ReadAhead(check_page_size(page_size))
    return (yield from look_up(walk, list_page, find_rows, name.__eq__, first_named(name)))


def get_by_name(
    name: str, list_page: ListOperation, find_rows: FindRows[N], page_size: int | None, noun: str
) -> Flow[N]:
    """Return the row with this name, or raise NotFound."""
    row = yield from find(name, list_page, find_rows, page_size)
    if row is None:
        raise NotFound("not_found", f"no {noun} named {safe_repr(name)}")
    return row


def best(
    list_page: ListOperation,
    find_rows: FindRows[R],
    page_size: int | None,
    rank: Callable[[R], Any],
    wanted: Callable[[str], bool],
) -> Flow[R | None]:
    """Return the row with the highest rank, the last of several equal ones.

    Rows whose names are not wanted do not count.
    """
    walk = ReadAhead(check_page_size(page_size))
    best_row: R | None = None
    highest = None

    def compare(rows: Sequence[R]) -> None:
        nonlocal best_row, highest
        for row in rows:
            ranked = rank(row)
            if highest is None or ranked >= highest:
                best_row, highest = row, ranked

    yield from look_up(walk, list_page, find_rows, wanted, compare)
    return best_row


def get_or_create(
    create: Operation,
    name: str,
    list_page: ListOperation,
    find_rows: FindRows[N],
    read_created: Callable[[ApiResult], N],
    page_size: int | None,
) -> Flow[N]:
    """Return the repository with this name, and create it if none exists."""
    repository = yield from find(name, list_page, find_rows, page_size)
    if repository is not None:
        return repository
    try:
        return read_created((yield Within(create, _CREATE_SHARE)))
    except Error as error:
        # Another client may have just taken the name.
        # Assumption: names are unique, and a create with a taken name fails with 409 or 400.
        if not (error.outcome_unknown or isinstance(error, BadRequest | Conflict)):
            raise
        create_error = error
    try:
        try:
            repository = yield from find(name, list_page, find_rows, page_size)
        except Error:
            repository = None
        if repository is None:
            raise create_error
        return repository
    finally:
        # With its traceback, the variable would be a reference cycle.
        del create_error
