"""The mirror: keeps the store's tags equal to those of a Docker registry.

A notification only says where to look. The mirror asks the registry for the tag's current digest,
so that notifications which arrive twice, late, out of order or never make no difference.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import httpx
from pydantic import BaseModel

from ._docker import LOG, MAX_CONCURRENCY, DockerRegistry, Image, describe_error, is_tag
from ._errors import InvalidValue, RegistryError, RepositoryNotFound
from ._store import Store

# Delays before each further sync of a tag without the digest of its notification, in seconds.
BACKOFF = (0.02, 0.08, 0.2, 0.5, 1, 3)
# How long a create waits for the tags that the registry has under its name, and a reset for the
# deletion of images, in seconds.
CREATE_TIMEOUT = 1.0
RESET_TIMEOUT = 2.0


class Target(BaseModel, frozen=True):
    """The subject of an event."""

    repository: str = ""
    tag: str | None = None
    digest: str | None = None


class Event(BaseModel):
    """A push, a pull or a deletion in the registry."""

    action: str
    target: Target = Target()


class Notification(BaseModel):
    """A Docker registry's notification; other fields are ignored."""

    events: list[Event] = []

    def targets(self) -> list[Target]:
        """Return the distinct targets of pushes of tags and of deletions."""
        # A registry also notifies of layers and pulls, and twice of one deletion.
        targets = []
        for event in self.events:
            is_deletion = event.action == "delete" and event.target.tag is None
            is_of_tag = event.action in ("push", "delete") and is_tag(event.target.tag or "")
            if is_deletion or is_of_tag:
                targets.append(event.target)
        return list(dict.fromkeys(targets))


class Mirror:
    """Keeps the tags of the store's repositories equal to those of a Docker registry.

    Args:
        store: The repositories and tags.
        registry: Has each repository under `<organization_id>/<name>`.
        organization_id: The organization, in digits.
    """

    def __init__(self, store: Store, registry: DockerRegistry, organization_id: str) -> None:
        self.registry = registry
        self.backoff: Sequence[float] = BACKOFF
        self.create_timeout = CREATE_TIMEOUT
        self.reset_timeout = RESET_TIMEOUT
        # Look-ups that continue after their request was responded to.
        self.pending: set[asyncio.Task[None]] = set()
        self._store = store
        self._organization_id = organization_id
        # By repository; the dictionary drops a lock that no task holds or waits for.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # The number of resets: ids repeat after one, and do not identify a repository.
        self._resets = 0
        self._writing = threading.Lock()
        self._deletions: set[asyncio.Task[None]] = set()
        self._deletion_slots = asyncio.Semaphore(MAX_CONCURRENCY)

    async def close(self) -> None:
        """Cancel all syncs and deletions, and close the registry's connections."""
        await _cancel({*self.pending, *self._deletions})
        await self.registry.close()

    async def discard_pending(self) -> None:
        """Cancel all syncs; none of them writes to the store after this."""
        await asyncio.to_thread(self._count_reset)
        await _cancel(self.pending)

    def _count_reset(self) -> None:
        with self._writing:
            self._resets += 1

    async def delete_all_images(self, images: Mapping[str, Iterable[str]]) -> None:
        """Delete the images of all former repositories, by name, from the registry.

        Deletions that take longer than `reset_timeout` continue after this returns.
        """
        # Each queues for its repository's lock now, ahead of a new repository with that name.
        deletions = [
            self._spawn(self.delete_images(name, images[name]), self._deletions) for name in images
        ]
        if deletions:
            await asyncio.wait(deletions, timeout=self.reset_timeout)

    async def sync_all(self) -> None:
        """Read the tags of every repository from the registry; raises httpx.HTTPError."""
        await self.registry.check()
        offset, has_next = 0, True
        while has_next:
            rows, has_next = self._store.repositories(100, offset)
            offset += len(rows)
            for row in rows:
                await self._sync_tags(row.name)

    async def handle_notification(self, notification: Notification) -> None:
        """Read the tags that a notification names from the registry; raises httpx.HTTPError."""
        for target in notification.targets():
            organization_id, _, name = target.repository.partition("/")
            is_ours = organization_id == self._organization_id
            if not is_ours or self._store.repository_by_name(name) is None:
                if target.tag is not None:
                    path = f"{target.repository}:{target.tag}"
                    LOG.warning("%s is not shown: the repository does not exist", path)
            else:
                digest = await self._sync_tags(name, target)
                if target.tag is not None and digest != target.digest:
                    self._spawn(self._sync_until(name, target), self.pending)

    @staticmethod
    def _spawn(
        coroutine: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _sync_until(self, name: str, target: Target) -> None:
        """Read a tag until it has the digest of its notification, for some seconds.

        A registry notifies of a push before it moves the tag. A late notification may name a
        digest that the tag no longer has.
        """
        problem: Exception | None = None
        for delay in self.backoff:
            await asyncio.sleep(delay)
            try:
                if await self._sync_tags(name, target) == target.digest:
                    return
                problem = None
            except (httpx.HTTPError, RegistryError) as error:
                # A registry may fail for a moment while it moves a tag.
                problem = error
        if problem is not None:
            self._warn(name, problem)

    async def sync_created(self, name: str) -> None:
        """Read the tags of a new repository, as the registry may have images under its name.

        A sync that takes longer than `create_timeout` continues after this returns.
        """
        task = self._spawn(self._try_sync(name), self.pending)
        await asyncio.wait([task], timeout=self.create_timeout)

    async def _try_sync(self, name: str) -> None:
        try:
            await self._sync_tags(name)
        except (httpx.HTTPError, RegistryError) as error:
            self._warn(name, error)

    @staticmethod
    def _warn(name: str, error: Exception) -> None:
        LOG.warning("the Docker registry failed for %s: %s", name, describe_error(error))

    async def delete_images(self, name: str, digests: Iterable[str]) -> None:
        """Delete a former repository's images from the registry, if it allows that."""
        path = self._path(name)
        try:
            # The lock keeps a new repository with this name from reading them before that.
            async with self._lock(name), self._deletion_slots:
                # The registry may not have notified of some yet.
                tags = await self.registry.tags(path)
                current = await self.registry.digests(path, tags)
                for digest in {*digests, *filter(None, current.values())}:
                    await self.registry.delete(path, digest)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            LOG.warning(
                "images of %s stay in the Docker registry: %s; a new repository with this name"
                " will show them",
                name,
                describe_error(error),
            )
        # A repository created meanwhile may have read them before their deletion.
        if self._store.repository_by_name(name) is not None:
            await self._try_sync(name)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _path(self, name: str) -> str:
        return f"{self._organization_id}/{name}"

    async def _sync_tags(self, name: str, target: Target | None = None) -> str | None:
        """Write the current state of the target's tags, or of all tags, to the store.

        Returns:
            The current digest of the target's tag; None if it does not exist. Without a tag it
            means nothing.
        """
        path = self._path(name)
        # Without the lock, the older of two syncs of a tag could write last.
        async with self._lock(name):
            try:
                resets, repository_id = self._resets, self._id(name)
                known = self._store.digests(repository_id)
                if target is None:
                    tags = {*await self.registry.tags(path), *known}
                elif target.tag is not None:
                    tags = {target.tag}
                else:
                    # A deletion names a digest, and no tag.
                    tags = {tag for tag, digest in known.items() if digest == target.digest}
                digests = await self.registry.digests(path, tags)
                moved = {
                    tag: digest
                    for tag, digest in digests.items()
                    if digest is not None and digest != known.get(tag)
                }
                images = await self.registry.images(path, moved.values())
                new = {tag: images[digest] for tag, digest in moved.items()}
                gone = [tag for tag in known if tag in tags and digests[tag] is None]
                await asyncio.to_thread(self._write, name, new, gone, resets, repository_id)
            except RepositoryNotFound:
                # It was deleted meanwhile, with its tags.
                return None
        return next(iter(digests.values()), None)

    def _id(self, name: str) -> str:
        row = self._store.repository_by_name(name)
        if row is None:
            raise RepositoryNotFound(name)
        return str(row.id)

    def _write(
        self,
        name: str,
        images: dict[str, Image | None],
        gone: list[str],
        resets: int,
        repository_id: str,
    ) -> None:
        with self._writing:
            # The name may belong to a new repository by now, after a reset with the same id.
            if resets != self._resets or self._id(name) != repository_id:
                raise RepositoryNotFound(name)
            for tag, image in images.items():
                if image is not None:
                    row = (tag, image.size, image.digest, image.media_type)
                    try:
                        self._store.write_tag(repository_id, *row)
                        continue
                    except InvalidValue as error:
                        # Other tags are still shown.
                        LOG.warning("%s:%s is not shown: %s", self._path(name), tag, error)
                gone = [*gone, tag]
            for tag in gone:
                self._store.delete_tag(repository_id, tag)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
