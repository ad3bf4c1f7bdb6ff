"""A model of a Registry: an organization's repositories, and their changes by requests."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .examples import ORGANIZATION_ID, REPOSITORY, example

_ROUTE = re.compile(
    rf"/organizations/{ORGANIZATION_ID}/registry/repositories(?:/(\w+)(/tags)?)?(?:\?(.*))?"
)


@dataclass(frozen=True)
class Reply:
    """The response to a request."""

    status: int
    body: bytes


class Registry:
    """The repositories of one organization.

    Args:
        names: The first repositories.
        unique: Whether it refuses a duplicate name.
        first_id: The id of the first repository.

    Attributes:
        repositories: By their ids, oldest first.
        created: The id and the name of each repository that a request has created.
        deleted: The id of each repository that a request has deleted.
    """

    def __init__(
        self, *names: str, unique: bool = False, first_id: int = 1_500_000_000_000
    ) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.created: list[tuple[str, str]] = []
        self.deleted: list[str] = []
        self._unique = unique
        self._ids = itertools.count(first_id)
        self._page = example("get_repositories")
        self._tags = example("get_repository_tags")
        for name in names:
            self.add(name)

    @property
    def names(self) -> list[str]:
        """The names of its repositories, oldest first."""
        return [row["name"] for row in self.repositories.values()]

    def add(self, name: str, description: str | None = None) -> str:
        """Add a repository and return its id."""
        key = str(next(self._ids))
        self.repositories[key] = REPOSITORY | {"id": key, "name": name, "description": description}
        return key

    def named(self, name: str) -> list[str]:
        """Return the ids of all repositories with this name."""
        return [key for key, row in self.repositories.items() if row["name"] == name]

    def handle(self, method: str, target: str, body: bytes = b"") -> Reply:
        """Handle a request."""
        route = _ROUTE.fullmatch(target)
        if route is None:
            return _refusal(404, "no such path")
        key, tags, query = route.groups()
        if key is None:
            return self._create(body) if method == "POST" else _reply(self._list(query or ""))
        if key not in self.repositories:
            return _refusal(404, f"no repository {key}")
        if method == "DELETE":
            self.deleted.append(key)
            return _reply(self.repositories.pop(key))
        if tags:
            return _reply(self._tags | {"registry_repository_id": key})
        return _reply(self.repositories[key])

    def _create(self, body: bytes) -> Reply:
        asked = json.loads(body)
        if self._unique and self.named(asked["name"]):
            return _refusal(409, f"the name {asked['name']} is taken")
        key = self.add(asked["name"], asked.get("description"))
        self.created.append((key, asked["name"]))
        return _reply(self.repositories[key])

    def _list(self, query: str) -> dict[str, Any]:
        asked = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", query)}
        offset, limit = asked.get("offset", 0), asked.get("limit", 10)
        # Only the rows of the page: there may be many.
        rows = list(itertools.islice(self.repositories.values(), offset, offset + limit + 1))
        return self._page | page_fields("registry_repositories", rows, offset, limit)


def page_fields(name: str, rows: Sequence[Any], offset: int, limit: int) -> dict[str, Any]:
    """Return the fields of a page, of the rows from its offset on."""
    window = {"offset": offset, "limit": limit, "has_next": len(rows) > limit}
    return window | {name: rows[:limit]}


def _reply(body: dict[str, Any]) -> Reply:
    return Reply(200, json.dumps(body).encode())


def _refusal(status: int, description: str) -> Reply:
    error = {"error": "refused", "error_description": description, "error_detail": None}
    return Reply(status, json.dumps(error).encode())
