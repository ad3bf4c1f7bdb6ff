"""The state: what a sandbox's API, its own calls and the object in a test share."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
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
        over: set when the era ends, and replaced for the next.
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
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def write_tag(self, repository_id: str, name: str, **fields: Any) -> Row:
        """Write a tag as `Store.write_tag` does; raises Mirrored too."""
        self._check_own_tags()
        return self.store.write_tag(repository_id, name, **fields)

    def seed(self, repositories: int, tags: int, **fields: Any) -> list[str]:
        """Make up repositories and tags as `Store.seed` does; raises Mirrored too."""
        if tags:
            self._check_own_tags()
        return self.store.seed(repositories, tags, **fields)

    async def reset(self) -> None:
        """Forget everything: repositories, tags, faults, requests, and what still waits.

        Over a Docker registry the images go too, as those of a deleted repository do.
        """
        await self.end_era()
        images = {}
        if self.mirror is not None:
            await self.mirror.forget()
            images = self.store.images()
        await asyncio.to_thread(self.store.clear)
        self.faults.clear()
        self.recorder.clear()
        if self.mirror is not None:
            await self.mirror.reset(images)

    async def end_era(self) -> None:
        """Have done with the requests that wait: they lose their connections."""
        self.era += 1
        self.over.set()
        self.over = asyncio.Event()

    def is_over(self, scope: Scope) -> bool:
        """Whether a request is from before the last reset."""
        return bool(self.era != scope["era"])

    async def wait(self, seconds: float, scope: Scope) -> None:
        """Wait for so many seconds, or until the request is of an era that is over."""
        if seconds and not self.is_over(scope):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.over.wait()

    def around(self, app: ASGIApp) -> ASGIApp:
        """Make an application that notes in which era a request came, and passes it on to `app`."""

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            scope["era"] = self.era
            await app(scope, receive, send)

        return noting

    def _check_own_tags(self) -> None:
        if self.mirror is not None:
            raise Mirrored("tags are those of the Docker registry: push them there")
