"""The API's five endpoints, and a request to any other: checked arguments become an Operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from json import dumps
from typing import Protocol
from urllib.parse import urlencode

from .._validation import check_choice, check_str, quote_path, quote_segment, safe_repr
from ..exceptions import InvalidArgument

_REPOSITORIES = "/organizations/{}/registry/repositories"
# Of the HTTP methods, those that `request` sends.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


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
        any_json: Whether a success may be any JSON value, or empty; otherwise it is an object.
    """

    name: str
    method: str
    target: str
    subject: str
    body: bytes | None = None
    idempotent: bool = True
    any_json: bool = False

    @property
    def changes(self) -> bool:
        """Whether it changes the registry."""
        return self.method not in ("GET", "HEAD")


class HasId(Protocol):
    """A typed repository, which methods take in place of its id."""

    @property
    def id(self) -> str: ...
    @property
    def organization_id(self) -> str: ...


def id_of(repository: str | HasId) -> str:
    """Return the id of a repository; a value that is not a repository is checked as an id."""
    # A tag has an id too, but no organization's id.
    if not isinstance(repository, str) and hasattr(repository, "organization_id"):
        return getattr(repository, "id", "")
    return repository  # type: ignore[return-value]


def create_repository(
    organization_id: object, name: object, description: object = None
) -> Operation:
    """POST /organizations/{organization_id}/registry/repositories."""
    body = {"name": check_str("name", name)}
    # Assumption: a create may leave out the description.
    if description is not None:
        body["description"] = check_str("description", description)
    return Operation(
        "create_repository",
        "POST",
        _repositories(organization_id),
        subject=body["name"],
        body=dumps(body, separators=(",", ":")).encode(),
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


def request(method: object, path: object, params: object = None, json: object = None) -> Operation:
    """Any request, to an endpoint that this package does not know."""
    check_choice("method", method, METHODS)
    target = quote_path("path", path)
    if params is not None:
        target += _query(params)
    body = None
    if json is not None:
        try:
            body = dumps(json, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgument(f"json must be a JSON value: {error}") from None
    return Operation(
        "request",
        str(method),
        target,
        subject=str(path),
        body=body,
        idempotent=method in ("GET", "HEAD", "DELETE"),
        any_json=True,
    )


def _query(params: object) -> str:
    if not isinstance(params, Mapping):
        raise InvalidArgument(f"params must be a dict, not {safe_repr(params)}")
    try:
        given = {name: value for name, value in params.items() if value is not None}
        query = urlencode(given, doseq=True)
    except UnicodeEncodeError:
        raise InvalidArgument("params must be text that can be encoded as UTF-8") from None
    return f"?{query}" if query else ""


def _repositories(organization_id: object) -> str:
    return _REPOSITORIES.format(_segment("organization_id", organization_id))


def _repository(organization_id: object, repository_id: object) -> str:
    organization = _segment("organization_id", organization_id)
    return f"{_REPOSITORIES.format(organization)}/{_segment('repository_id', repository_id)}"


def _segment(name: str, value: object) -> str:
    # Fast path: most ids are letters and digits, and need no quoting.
    if type(value) is str and value.isascii() and value.isalnum():
        return value
    return quote_segment(name, value)


def _window(limit: object, offset: object) -> str:
    return _query({"limit": limit, "offset": offset})
