"""Work of several requests, each written once: a generator that yields operations.

A flow is sent the answer of each operation that it yields, and has its error thrown in. It reads
top to bottom and is the same code for threads and for tasks; `run` and `arun` drive it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from . import _operations
from ._operations import Operation
from ._paging import PAGE_SIZE, Cursor
from .exceptions import BadRequest, Conflict, Error


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T")
R = TypeVar("R", bound=_Named)
R_co = TypeVar("R_co", bound=_Named, covariant=True)


class _PageOf(Protocol[R_co]):
    @property
    def has_next(self) -> bool: ...
    def _ids(self) -> Sequence[str | None]: ...
    def _all_rows(self) -> Sequence[R_co | None]: ...


Flow = Generator[Operation, dict[str, Any], T]


def find(
    organization_id: str, name: str, read_page: Callable[[dict[str, Any]], _PageOf[R]]
) -> Flow[R | None]:
    """Look for the repository of a name, page by page."""
    cursor = Cursor(PAGE_SIZE)
    while not cursor.done:
        page = read_page(
            (yield _operations.get_repositories(organization_id, cursor.limit, cursor.offset))
        )
        cursor.record(page._ids(), page.has_next)
        for repository in page._all_rows():
            if repository is not None and repository.name == name:
                return repository
    return None


def get_or_create(
    organization_id: str,
    name: str,
    description: str | None,
    read_page: Callable[[dict[str, Any]], _PageOf[R]],
    read: Callable[[dict[str, Any]], R],
) -> Flow[R]:
    """Look for the repository of a name, and create it where there is none."""
    create = _operations.create_repository(organization_id, name, description)
    repository = yield from find(organization_id, name, read_page)
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
        repository = yield from find(organization_id, name, read_page)
    except Error:
        repository = None
    if repository is None:
        raise doubt
    return repository


def run(flow: Flow[T], call: Callable[[Operation], dict[str, Any]]) -> T:
    """Drive a flow to its end with what carries out an operation, and return what it returns."""
    step: Callable[[], Operation] = partial(next, flow)
    while True:
        try:
            operation = step()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            step = partial(flow.send, call(operation))
        except Error as error:
            step = partial(flow.throw, error)


async def arun(flow: Flow[T], call: Callable[[Operation], Awaitable[dict[str, Any]]]) -> T:
    """As `run`, awaiting each operation."""
    step: Callable[[], Operation] = partial(next, flow)
    while True:
        try:
            operation = step()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            step = partial(flow.send, await call(operation))
        except Error as error:
            step = partial(flow.throw, error)
