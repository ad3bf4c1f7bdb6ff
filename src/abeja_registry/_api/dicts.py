"""The types of the raw clients' plain dicts, as in the API's reference.

A response is returned unchanged, so it may have more keys than these.
"""

from __future__ import annotations

from typing import TypedDict


class CreatorDict(TypedDict):
    """A user who created a repository or a tag."""

    id: str
    email: str
    role: str
    is_registered: bool
    display_name: str | None
    created_at: str
    updated_at: str


class TagDict(TypedDict):
    """A tag; its id is a number."""

    id: int
    name: str
    digest: str
    size: int
    media_type: str
    creator: CreatorDict
    created_at: str
    updated_at: str


class ListedRepositoryDict(TypedDict):
    """A repository in a page, without tags."""

    id: str
    organization_id: str
    name: str
    description: str | None
    creator: CreatorDict
    created_at: str
    updated_at: str


class RepositoryDict(ListedRepositoryDict):
    """A repository with its first tags."""

    tags: list[TagDict]


class DeletedRepositoryDict(TypedDict, total=False):
    """A deleted repository; no key is certain, as the response may have no body."""

    id: str
    organization_id: str
    name: str
    description: str | None
    tags: list[TagDict]
    creator: CreatorDict
    created_at: str
    updated_at: str


class RepositoryPageDict(TypedDict):
    """A page of repositories; the organization's id is a number."""

    offset: int
    limit: int
    has_next: bool
    organization_id: int
    organization_name: str
    created_at: str
    updated_at: str
    registry_repositories: list[ListedRepositoryDict]


class TagPageDict(TypedDict):
    """A page of a repository's tags."""

    offset: int
    limit: int
    has_next: bool
    registry_repository_id: str
    organization_id: str
    organization_name: str
    created_at: str
    updated_at: str
    tags: list[TagDict]
