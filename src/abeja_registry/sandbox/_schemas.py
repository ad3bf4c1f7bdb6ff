"""Schemas of the responses, for the OpenAPI document."""

from typing import NotRequired

# pydantic reads the standard library's TypedDict only from Python 3.12 on.
from typing_extensions import TypedDict

from ._faults import Fault
from ._values import Creator


class Tag(TypedDict):
    """A tag; its id is a number."""

    size: int
    name: str
    media_type: str
    id: int
    digest: str
    creator: Creator
    created_at: str
    updated_at: str


class Repository(TypedDict):
    """A repository; its id is a string. Lists leave out its tags."""

    id: str
    organization_id: str
    name: str
    description: str | None
    tags: NotRequired[list[Tag]]
    creator: Creator
    created_at: str
    updated_at: str


class Window(TypedDict):
    """The position of a page, and whether there are more rows."""

    offset: int
    limit: int
    has_next: bool


class RepositoryPage(Window):
    """A page of repositories; the organization's id is a number."""

    organization_name: str
    organization_id: int
    created_at: str
    updated_at: str
    registry_repositories: list[Repository]


class TagPage(Window):
    """A page of tags; the organization's id is a string."""

    registry_repository_id: str
    organization_name: str
    organization_id: str
    created_at: str
    updated_at: str
    tags: list[Tag]


class Error(TypedDict):
    """An error; for bad input, `error_detail` names the field."""

    error: str
    error_description: str
    error_detail: dict[str, str] | None


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
