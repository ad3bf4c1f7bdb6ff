"""Schemas of the responses to the sandbox's own calls, for its OpenAPI document."""

# pydantic reads the standard library's TypedDict only from Python 3.12 on.
from typing_extensions import TypedDict

from ._faults import Fault


class Seeded(TypedDict):
    """The new repositories."""

    repository_ids: list[str]


class RecordedRequestOut(TypedDict):
    """A request to the API, without secrets."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str


class Requests(TypedDict):
    """The requests to the API, in the order of their arrival."""

    requests: list[RecordedRequestOut]


class FaultCreated(TypedDict):
    """The number of a new fault."""

    number: int


class ActiveFault(Fault):
    """An active fault; it affects `remaining` more requests, or all if null."""

    number: int
    remaining: int | None


class ActiveFaults(TypedDict):
    """The active faults, in their order."""

    faults: list[ActiveFault]


class Health(TypedDict):
    """The sandbox's health: `ok`."""

    status: str


class Empty(TypedDict):
    """No fields."""
