"""The state: what a sandbox's API, its own calls and the object in a test share."""

from dataclasses import dataclass
from sqlite3 import Row
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from ._docker import Mirror
from ._faults import Faults
from ._recorder import Recorder
from ._store import Store
from ._values import Refused


class Mirrored(Refused, RuntimeError):
    """Tags are the Docker registry's, and are not written otherwise."""

    status = 409


@dataclass
class State:
    """A sandbox that runs.

    Attributes:
        organization_id: the one organization there is, in digits.
        store: its repositories and tags.
        limit_max: the largest page, in rows.
        latency: seconds that every answer of the API waits.
        admitted: the values of the header Authorization that are let in; all if empty.
        mirror: what keeps the tags as a Docker registry has them, if one does.
        faults: what is to go wrong.
        recorder: what was asked.
        era: how often it was reset.
    """

    organization_id: str
    store: Store
    limit_max: int
    latency: float
    admitted: frozenset[str]
    mirror: Mirror | None
    faults: Faults
    recorder: Recorder
    era: int = 0

    def write_tag(self, repository_id: str, name: str, **fields: Any) -> Row:
        """Write a tag as `Store.write_tag` does; raises Mirrored too."""
        self._check_own_tags()
        return self.store.write_tag(repository_id, name, **fields)

    def seed(self, repositories: int, tags: int, **fields: Any) -> list[str]:
        """Make up repositories and tags as `Store.seed` does; raises Mirrored too."""
        if tags:
            self._check_own_tags()
        return self.store.seed(repositories, tags, **fields)

    def reset(self) -> None:
        """Forget everything: repositories, tags, faults, requests, and what still waits."""
        self.era += 1
        self.store.clear()
        self.faults.clear()
        self.recorder.clear()

    def around(self, app: ASGIApp) -> ASGIApp:
        """Make an application that notes in which era a request came, and passes it on to `app`."""

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            scope["era"] = self.era
            await app(scope, receive, send)

        return noting

    def _check_own_tags(self) -> None:
        if self.mirror is not None:
            raise Mirrored("tags are those of the Docker registry: push them there")
