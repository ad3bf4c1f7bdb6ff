"""Rows of the database."""

from typing import NamedTuple


class RepositoryRow(NamedTuple):
    """A repository.

    Attributes:
        creator: A person as JSON; None for the person of the reference's examples.
    """

    id: int
    name: str
    description: str | None
    creator: str | None
    created_at: str
    updated_at: str


class TagRow(NamedTuple):
    """A tag.

    Attributes:
        creator: A person as JSON; None for the person of the reference's examples.
    """

    id: int
    name: str
    size: int
    digest: str
    media_type: str
    creator: str | None
    created_at: str
    updated_at: str
