"""Work of one or more requests, each written once: a generator that yields its steps.

A flow is sent the result of each operation that it yields, and has its error thrown in. It reads
top to bottom and is the same code for threads and for tasks; a session's `run` carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from .._validation import check_str, safe_repr
from ..exceptions import BadRequest, Conflict, Error, HttpError, NotFound, Timeout, TransportError
from .operations import Operation
from .paging import PAGE_SIZE, Cursor, PageWalk
from .responses import ApiResult

# Seconds between the first looks for a tag, how much longer each next wait is, and the longest.
FIRST_WAIT = 0.5
WAIT_GROWTH = 1.5
LONGEST_WAIT = 10.0
# No wait takes more of the time that remains, so that a late push is still seen; when less than so
# many seconds remain, nobody looks again.
SHARE_OF_THE_REST = 0.8
NO_TIME_LEFT = 0.05
# Of the time that remains, a create within a flow may take this part: the rest is for looking
# whether it has created something.
CREATE_SHARE = 2 / 3


@dataclass(frozen=True, slots=True)
class Wait:
    """A step: sleep so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Within:
    """A step: an operation that may take a part of the time that remains."""

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


class PageRows(Protocol[R_co]):
    """A page with each of its rows: None for one that was skipped."""

    @property
    def has_next(self) -> bool: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def rows(self) -> Sequence[R_co | None]: ...


class FetchedPage(PageRows[Any], Protocol[P_co]):
    """A page that can be cut down to its new rows."""

    def log_skipped(self, indexes: Sequence[int]) -> None: ...
    def subset(self, indexes: Sequence[int]) -> P_co: ...


Step = Operation | Within | Wait
Flow = Generator[Step, ApiResult, T]
# A limit and an offset in, the operation of that page out.
ListOperation = Callable[[int, int], Operation]
# A result and whether a look-up wants the row of a name in, the page out. A row that cannot be read
# is skipped only where its name can be, and is not wanted.
ReadPage = Callable[[ApiResult, Callable[[str], bool]], PageRows[R]]


def next_page(
    walk: PageWalk[Any], list_page: ListOperation, read_page: Callable[[ApiResult], FetchedPage[P]]
) -> Flow[P | None]:
    """Fetch the next page that has new rows, and return it with these alone; None at the end."""
    try:
        while (window := walk.window) is not None:
            page = read_page((yield list_page(*window)))
            new = walk.record(page.ids, page.has_next)
            # Of the new rows alone: a row at a page's end comes again with the next page.
            page.log_skipped(new)
            kept = walk.select(new, page.rows)
            if kept is not None:
                return page.subset(kept)
    except Error as error:
        error.resume_offset = walk.resume_offset
        raise
    return None


def find(name: str, list_page: ListOperation, read_page: ReadPage[N]) -> Flow[N | None]:
    """Look for the row with this name, page by page."""
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
    """Look for the row with this name, which has to exist."""
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
    """Look for the row with the highest rank, the last of equals; None is no rank.

    A row whose name is not wanted has none.
    """
    found: R | None = None
    highest = None
    cursor = Cursor(PAGE_SIZE)
    while not cursor.done:
        page = read_page((yield list_page(cursor.limit, cursor.offset)), wanted)
        cursor.record(page.ids, page.has_next)
        for row in page.rows:
            ranked = None if row is None else rank(row)
            if ranked is not None and (highest is None or ranked >= highest):
                found, highest = row, ranked
    return found


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

    A look that fails ends the waiting if it is the first, which tells bad settings from bad luck,
    or if it would fail again.
    """
    ends = now() + timeout
    # The slept seconds count as well: a test may have frozen the clock.
    slept = 0.0
    wait, seen = FIRST_WAIT, ""
    while True:
        try:
            row = yield from find(name, list_page, read_page)
        except Error as error:
            if not (seen and _is_transient(error)):
                raise
            failed = f"; the last look ended with {error}"
        else:
            wrong = "it is not there" if row is None else problem(row)
            if row is not None and wrong is None:
                return row
            seen, failed = wrong or "", ""
        remaining = min(ends - now(), timeout - slept)
        if remaining < NO_TIME_LEFT:
            raise Timeout(f"waited {timeout:g} s for {safe_repr(name)}: {seen}{failed}")
        pause = min(wait, remaining * SHARE_OF_THE_REST)
        yield Wait(pause)
        slept += pause
        wait = min(wait * WAIT_GROWTH, LONGEST_WAIT)


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
    """Look for the repository with this name, and create it where there is none."""
    repository = yield from find(name, list_page, read_page)
    if repository is not None:
        return repository
    try:
        return read_created((yield Within(create, CREATE_SHARE)))
    except Error as error:
        # A 400 may mean that the name is taken, by somebody who was faster.
        if not (error.outcome_unknown or isinstance(error, BadRequest | Conflict)):
            raise
        doubt = error
    try:
        repository = yield from find(name, list_page, read_page)
    except Error:
        repository = None
    if repository is None:
        raise doubt
    return repository
