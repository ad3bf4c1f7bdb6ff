"""The reference's shapes: rows of the store in, JSON objects out, keys in the reference's order."""

import json
from collections.abc import Iterable
from sqlite3 import Row
from typing import NotRequired

# pydantic reads the standard library's TypedDict only from Python 3.12 on.
from typing_extensions import TypedDict

from ._values import CREATOR, Creator


class Tag(TypedDict):
    """A tag: its id is a number.

    Assumption: its times have microseconds, as a repository's have, where the reference's example
    shows whole seconds: two pushes within a second are in an order.
    """

    size: int
    name: str
    media_type: str
    id: int
    digest: str
    creator: Creator
    created_at: str
    updated_at: str


class Repository(TypedDict):
    """A repository: its id is a string, its times have microseconds; a list leaves its tags out."""

    id: str
    organization_id: str
    name: str
    description: str | None
    tags: NotRequired[list[Tag]]
    creator: Creator
    created_at: str
    updated_at: str


class Window(TypedDict):
    """Which rows a page has, and whether there are more."""

    offset: int
    limit: int
    has_next: bool


class RepositoryPage(Window):
    """A page of repositories; the organization's id is a number here."""

    organization_name: str
    organization_id: int
    created_at: str
    updated_at: str
    registry_repositories: list[Repository]


class TagPage(Window):
    """A page of tags; the organization's id is a string here."""

    registry_repository_id: str
    organization_name: str
    organization_id: str
    created_at: str
    updated_at: str
    tags: list[Tag]


class Error(TypedDict):
    """What every error is answered with; of bad input, `error_detail` names the field."""

    error: str
    error_description: str
    error_detail: dict[str, str] | None


# The organization as an envelope shows it.
NAME = "test-org"
CREATED_AT = "2019-05-23T05:13:13Z"
UPDATED_AT = "2019-05-23T05:13:15Z"


def _creator(row: Row) -> Creator:
    creator: Creator = CREATOR.copy() if row["creator"] is None else json.loads(row["creator"])
    return creator


def tag(row: Row) -> Tag:
    """Shape one tag."""
    return {
        "size": row["size"],
        "name": row["name"],
        "media_type": row["media_type"],
        "id": row["id"],
        "digest": row["digest"],
        "creator": _creator(row),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def repository(row: Row, organization_id: str, tags: Iterable[Row] | None = None) -> Repository:
    """Shape one repository, with its tags or, as in a list, without."""
    embedded: dict[str, list[Tag]] = {} if tags is None else {"tags": [tag(each) for each in tags]}
    return {
        "id": str(row["id"]),
        "organization_id": organization_id,
        "name": row["name"],
        "description": row["description"],
        **embedded,  # type: ignore[typeddict-item]
        "creator": _creator(row),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def repository_page(rows: Iterable[Row], organization_id: str, window: Window) -> RepositoryPage:
    """Shape a page of repositories."""
    return {
        **window,
        "organization_name": NAME,
        "organization_id": int(organization_id),
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        "registry_repositories": [repository(row, organization_id) for row in rows],
    }


def tag_page(
    rows: Iterable[Row], organization_id: str, repository_id: str, window: Window
) -> TagPage:
    """Shape a page of tags."""
    return {
        **window,
        "registry_repository_id": repository_id,
        "organization_name": NAME,
        "organization_id": organization_id,
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        "tags": [tag(row) for row in rows],
    }
