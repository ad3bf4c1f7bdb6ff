"""Work of several requests, each written once: a generator that yields operations and waits.

A flow is sent the answer of each operation that it yields, and has its error thrown in. It reads
top to bottom and is the same code for threads and for tasks; `run` and `arun` drive it over a
transport.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from .._validation import check_str, safe_repr
from ..exceptions import BadRequest, Conflict, Error, HttpError, NotFound, Timeout, TransportError
from .operations import Operation
from .paging import PAGE_SIZE, Cursor
from .responses import Answered

# Seconds between the first looks for a tag, how much longer each next wait is, and the longest.
FIRST_WAIT = 0.5
WAIT_GROWTH = 1.5
LONGEST_WAIT = 10.0
# Of the time that is left no wait takes more, so that what comes late is still seen; when less
# than so many seconds are left, nobody looks again.
SHARE_OF_THE_REST = 0.8
NO_TIME_LEFT = 0.05


@dataclass(frozen=True, slots=True)
class Wait:
    """What a flow yields to be resumed later, in so many seconds."""

    seconds: float


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Transport(Protocol):
    def now(self) -> float: ...
    def deadline(self) -> float: ...
    def share(self, operation: Operation, deadline: float) -> float: ...


class _SyncTransport(_Transport, Protocol):
    def fetch(self, operation: Operation, deadline: float | None = None) -> Answered: ...
    def sleep(self, seconds: float, /) -> object: ...


class _AsyncTransport(_Transport, Protocol):
    def fetch(self, operation: Operation, deadline: float | None = None) -> Awaitable[Answered]: ...
    def sleep(self, seconds: float, /) -> Awaitable[object]: ...


T = TypeVar("T")
Asked = TypeVar("Asked")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
N = TypeVar("N", bound=_Named)


class _PageOf(Protocol[R_co]):
    @property
    def has_next(self) -> bool: ...
    def _ids(self) -> Sequence[str | None]: ...
    def _all_rows(self) -> Sequence[R_co | None]: ...


# A limit and an offset in, what asks for that page out; and an answer in, the page out, with None
# for an unreadable row: one whose name is readable, and wanted by no look-up.
Ask = Callable[[int, int], Operation]
Read = Callable[[Answered, Callable[[str], bool]], _PageOf[R]]

Flow = Generator[Operation | Wait, Answered, T]


def find(name: str, ask: Ask, read_page: Read[N]) -> Flow[N | None]:
    """Look for the row of a name, page by page."""
    check_str("name", name)
    cursor = Cursor(PAGE_SIZE)
    while not cursor.done:
        page = read_page((yield ask(cursor.limit, cursor.offset)), name.__eq__)
        cursor.record(page._ids(), page.has_next)
        for row in page._all_rows():
            if row is not None and row.name == name:
                return row
    return None


def get_by_name(name: str, ask: Ask, read_page: Read[N], where: str) -> Flow[N]:
    """Look for the row of a name, which has to be there."""
    row = yield from find(name, ask, read_page)
    if row is None:
        raise NotFound("not_found", f"no {where} named {safe_repr(name)}")
    return row


def best(
    ask: Ask, read_page: Read[R], rank: Callable[[R], Any], wanted: Callable[[str], bool]
) -> Flow[R | None]:
    """Look for the row of the highest rank, the last of equals; None is no rank.

    A row whose name is not wanted has none.
    """
    found: R | None = None
    highest = None
    cursor = Cursor(PAGE_SIZE)
    while not cursor.done:
        page = read_page((yield ask(cursor.limit, cursor.offset)), wanted)
        cursor.record(page._ids(), page.has_next)
        for row in page._all_rows():
            ranked = None if row is None else rank(row)
            if ranked is not None and (highest is None or ranked >= highest):
                found, highest = row, ranked
    return found


def wait_for(
    name: str,
    ask: Ask,
    read_page: Read[N],
    problem: Callable[[N], str | None],
    *,
    timeout: float,
    now: Callable[[], float],
) -> Flow[N]:
    """Look for the row of a name until there is one that nothing is the problem with.

    A look that fails ends the waiting if it is the first, which tells bad settings from bad luck,
    or if it would fail again.
    """
    ends = now() + timeout
    # What was slept counts as well: a test may have frozen the clock.
    slept = 0.0
    wait, seen = FIRST_WAIT, ""
    while True:
        try:
            row = yield from find(name, ask, read_page)
        except Error as error:
            if not (seen and _may_pass(error)):
                raise
            failed = f"; the last look ended with {error}"
        else:
            wrong = "it is not there" if row is None else problem(row)
            if row is not None and wrong is None:
                return row
            seen, failed = wrong or "", ""
        left = min(ends - now(), timeout - slept)
        if left < NO_TIME_LEFT:
            raise Timeout(f"waited {timeout:g} s for {safe_repr(name)}: {seen}{failed}")
        pause = min(wait, left * SHARE_OF_THE_REST)
        yield Wait(pause)
        slept += pause
        wait = min(wait * WAIT_GROWTH, LONGEST_WAIT)


def _may_pass(error: Error) -> bool:
    if isinstance(error, HttpError):
        return error.status_code in (408, 429) or (error.status_code or 0) >= 500
    return isinstance(error, TransportError)


def get_or_create(
    create: Operation,
    name: str,
    ask: Ask,
    read_page: Read[N],
    read: Callable[[Answered], N],
) -> Flow[N]:
    """Look for the repository of a name, and create it where there is none."""
    repository = yield from find(name, ask, read_page)
    if repository is not None:
        return repository
    try:
        return read((yield create))
    except Error as error:
        # A 400 may be the API's word for a name that is taken, by somebody who was faster.
        if not (error.outcome_unknown or isinstance(error, BadRequest | Conflict)):
            raise
        doubt = error
    try:
        repository = yield from find(name, ask, read_page)
    except Error:
        repository = None
    if repository is None:
        raise doubt
    return repository


def drive(flow: Generator[Asked, Any, T], carry_out: Callable[[Asked], object]) -> T:
    """Drive a generator to its end, and return what it returns.

    Args:
        flow: It is sent what each step that it yields has brought, and has its error thrown in.
        carry_out: Carries out a step.
    """
    step: Callable[[], Asked] = partial(next, flow)
    while True:
        try:
            asked = step()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            step = partial(flow.send, carry_out(asked))
        except Error as error:
            step = partial(flow.throw, error)


async def adrive(
    flow: Generator[Asked, Any, T], carry_out: Callable[[Asked], Awaitable[object]]
) -> T:
    """As `drive`, awaiting each step."""
    step: Callable[[], Asked] = partial(next, flow)
    while True:
        try:
            asked = step()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            step = partial(flow.send, await carry_out(asked))
        except Error as error:
            step = partial(flow.throw, error)


def run(flow: Flow[T], transport: _SyncTransport, ends: float | None = None) -> T:
    """Drive a flow over a transport to its end, and return what it returns.

    Args:
        flow: The work.
        transport: What carries out its operations, and waits.
        ends: When all of it has to be over, by the transport's clock; a call's deadline from now
            if not given. No single operation has more than a call's.
    """
    until = transport.deadline() if ends is None else ends

    def carry_out(asked: Operation | Wait) -> object:
        if isinstance(asked, Wait):
            return transport.sleep(asked.seconds)
        return transport.fetch(asked, _share(transport, asked, until))

    return drive(flow, carry_out)


async def arun(flow: Flow[T], transport: _AsyncTransport, ends: float | None = None) -> T:
    """As `run`, awaiting each operation and each wait."""
    until = transport.deadline() if ends is None else ends

    def carry_out(asked: Operation | Wait) -> Awaitable[object]:
        if isinstance(asked, Wait):
            return transport.sleep(asked.seconds)
        return transport.fetch(asked, _share(transport, asked, until))

    return await adrive(flow, carry_out)


def _share(transport: _Transport, operation: Operation, until: float) -> float:
    return transport.share(operation, min(until, transport.deadline()))
