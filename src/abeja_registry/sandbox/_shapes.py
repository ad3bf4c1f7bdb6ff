"""The reference's shapes: rows of the store in, JSON objects out, keys in the reference's order."""

from collections.abc import Iterable
from sqlite3 import Row
from typing import Any

CREATOR = {
    "updated_at": "2018-01-04T03:02:12Z",
    "role": "admin",
    "is_registered": True,
    "id": "1122334455660",
    "email": "test@abeja.asia",
    "display_name": None,
    "created_at": "2017-05-26T01:38:46Z",
}
ORGANIZATION = {
    "organization_name": "test-org",
    "organization_id": "",  # holds the place: a number in one envelope, a string in the other
    "created_at": "2019-05-23T05:13:13Z",
    "updated_at": "2019-05-23T05:13:15Z",
}


def tag(row: Row) -> dict[str, Any]:
    """Shape one tag: its id is a number, its times are in whole seconds."""
    return {
        **{key: row[key] for key in ("size", "name", "media_type", "id", "digest")},
        "creator": CREATOR.copy(),
        "created_at": f"{row['created_at'][:19]}Z",
        "updated_at": f"{row['updated_at'][:19]}Z",
    }


def repository(row: Row, organization_id: str, tags: Iterable[Row] | None = None) -> dict[str, Any]:
    """Shape one repository: its id is a string, its times have microseconds."""
    return {
        "id": str(row["id"]),
        "organization_id": organization_id,
        "name": row["name"],
        "description": row["description"],
        **({} if tags is None else {"tags": [tag(each) for each in tags]}),
        "creator": CREATOR.copy(),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def repository_page(
    rows: Iterable[Row], organization_id: str, window: dict[str, Any]
) -> dict[str, Any]:
    """Shape a page of repositories, whose envelope has the organization's id as a number."""
    return {
        **window,
        **ORGANIZATION,
        "organization_id": int(organization_id),
        "registry_repositories": [repository(row, organization_id) for row in rows],
    }


def tag_page(
    rows: Iterable[Row], organization_id: str, repository_id: str, window: dict[str, Any]
) -> dict[str, Any]:
    """Shape a page of tags, whose envelope has the organization's id as a string."""
    return {
        **window,
        "registry_repository_id": repository_id,
        **ORGANIZATION,
        "organization_id": organization_id,
        "tags": [tag(row) for row in rows],
    }
