"""The API's five endpoints: each function checks its arguments and returns an Operation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlencode

from .._validation import check_str, quote_segment


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API, ready to send.

    Attributes:
        name: The name of the raw client's method, used in logs and messages.
        method: The HTTP method.
        target: The path below the base URL, with the query if any.
        subject: The name or the id in the request, used in logs and messages.
        body: The JSON body, or None.
        idempotent: Whether sending it twice has the effect of sending it once.
    """

    name: str
    method: str
    target: str
    subject: str
    body: bytes | None = None
    idempotent: bool = True

    @property
    def changes(self) -> bool:
        """Whether it changes the registry."""
        return self.method != "GET"


def create_repository(
    organization_id: object, name: object, description: object = None
) -> Operation:
    """POST /organizations/{organization_id}/registry/repositories."""
    body = {"name": check_str("name", name)}
    if description is not None:
        body["description"] = check_str("description", description)
    return Operation(
        "create_repository",
        "POST",
        _repositories(organization_id),
        subject=body["name"],
        body=json.dumps(body, separators=(",", ":")).encode(),
        idempotent=False,
    )


def delete_repository(organization_id: object, repository_id: object) -> Operation:
    """DELETE /organizations/{organization_id}/registry/repositories/{repository_id}."""
    target = _repository(organization_id, repository_id)
    return Operation("delete_repository", "DELETE", target, subject=str(repository_id))


def get_repositories(
    organization_id: object, limit: object = None, offset: object = None
) -> Operation:
    """GET /organizations/{organization_id}/registry/repositories."""
    target = _repositories(organization_id) + _window(limit, offset)
    return Operation("get_repositories", "GET", target, subject=str(organization_id))


def get_repository(organization_id: object, repository_id: object) -> Operation:
    """GET /organizations/{organization_id}/registry/repositories/{repository_id}."""
    target = _repository(organization_id, repository_id)
    return Operation("get_repository", "GET", target, subject=str(repository_id))


def get_repository_tags(
    organization_id: object, repository_id: object, limit: object = None, offset: object = None
) -> Operation:
    """GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags."""
    target = _repository(organization_id, repository_id) + "/tags" + _window(limit, offset)
    return Operation("get_repository_tags", "GET", target, subject=str(repository_id))


def _repositories(organization_id: object) -> str:
    return f"/organizations/{_segment('organization_id', organization_id)}/registry/repositories"


def _repository(organization_id: object, repository_id: object) -> str:
    return f"{_repositories(organization_id)}/{_segment('repository_id', repository_id)}"


def _segment(name: str, value: object) -> str:
    # Fast path: most ids are letters and digits, and need no quoting.
    if type(value) is str and value.isascii() and value.isalnum():
        return value
    return quote_segment(name, value)


def _window(limit: object, offset: object) -> str:
    given = {"limit": limit, "offset": offset}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    return f"?{query}" if query else ""
