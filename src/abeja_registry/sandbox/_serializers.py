"""Serializers: rows of the database to the API's JSON, with keys in the reference's order."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from .._api.dicts import TagDict
from ._rows import RepositoryRow, TagRow
from ._values import CREATOR

# Each organization has the name and the times of the reference's example.
ORGANIZATION_NAME = "test-org"
ORGANIZATION_TIMES = {"created_at": "2019-05-23T05:13:13Z", "updated_at": "2019-05-23T05:13:15Z"}


def tag(row: TagRow) -> TagDict:
    """Return the JSON of a tag; its id is a number.

    Assumption: its times have microseconds, although the reference's example shows whole seconds:
    two pushes within a second are in order.
    """
    # One assignment in place of eight look-ups: a page has up to 1,000 rows.
    id_, name, size, digest, media_type, creator, created_at, updated_at = row
    return {
        "size": size,
        "name": name,
        "media_type": media_type,
        "id": id_,
        "digest": digest,
        "creator": CREATOR if creator is None else json.loads(creator),
        "created_at": created_at,
        "updated_at": updated_at,
    }


def repository(
    row: RepositoryRow, organization_id: str, tags: Iterable[TagRow] | None = None
) -> dict[str, Any]:
    """Return the JSON of a repository, with its first tags or, as in a list, without."""
    return {
        "id": str(row.id),
        "organization_id": organization_id,
        "name": row.name,
        "description": row.description,
        **({} if tags is None else {"tags": list(map(tag, tags))}),
        "creator": CREATOR if row.creator is None else json.loads(row.creator),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def repository_page(
    rows: Iterable[RepositoryRow], organization_id: str, window: Mapping[str, int | bool]
) -> dict[str, Any]:
    """Return the JSON of a page of repositories; the organization's id is a number."""
    return {
        **window,
        "organization_name": ORGANIZATION_NAME,
        "organization_id": int(organization_id),
        **ORGANIZATION_TIMES,
        "registry_repositories": [repository(row, organization_id) for row in rows],
    }


def tag_page(
    rows: Iterable[TagRow],
    organization_id: str,
    repository_id: str,
    window: Mapping[str, int | bool],
) -> dict[str, Any]:
    """Return the JSON of a page of tags; the organization's id is a string."""
    return {
        **window,
        "registry_repository_id": repository_id,
        "organization_name": ORGANIZATION_NAME,
        "organization_id": organization_id,
        **ORGANIZATION_TIMES,
        "tags": list(map(tag, rows)),
    }
