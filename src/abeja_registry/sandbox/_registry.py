"""The registry: operations on repositories and tags, for all interfaces of a sandbox."""

import asyncio
from typing import Any

from ._errors import ReadOnlyTags
from ._mirror import Mirror
from ._rows import RepositoryRow, TagRow
from ._store import Store

# Assumption: one repository embeds its first page of tags; the reference shows an empty list.
EMBEDDED_TAGS = 10


class Registry:
    """The repositories and tags of one organization, in a store that may mirror a Docker registry.

    A write may wait for another process's write. The async methods wait in a thread; `write_tag`
    and `seed` block the calling thread.

    Args:
        organization_id: The organization, in digits.
        store: The repositories and tags.
        mirror: Keeps the tags equal to a Docker registry's, which no other call then writes.
    """

    def __init__(self, organization_id: str, store: Store, mirror: Mirror | None = None) -> None:
        self.organization_id = organization_id
        self.store = store
        self.mirror = mirror

    async def create(self, name: str, description: str | None) -> RepositoryRow:
        """Create a repository, as `Store.create_repository` does."""
        row = await asyncio.to_thread(self.store.create_repository, name, description)
        if self.mirror is not None:
            await self.mirror.sync_created(name)
        return row

    def get(self, repository_id: str) -> tuple[RepositoryRow, list[TagRow]]:
        """Read a repository and its first tags; raises RepositoryNotFound."""
        tags, _ = self.store.tags(repository_id, EMBEDDED_TAGS, 0)
        return self.store.repository(repository_id), tags

    async def delete(self, repository_id: str) -> tuple[RepositoryRow, list[TagRow]]:
        """Delete a repository, its tags and their images; returns what `get` did before."""
        row, tags = self.get(repository_id)
        digests = self.store.digests(repository_id) if self.mirror is not None else {}
        await asyncio.to_thread(self.store.delete_repository, repository_id)
        if self.mirror is not None:
            await self.mirror.delete_images(row.name, set(digests.values()))
        return row, tags

    def write_tag(self, repository_id: str, name: str, **fields: Any) -> TagRow:
        """Write a tag, as `Store.write_tag` does; raises ReadOnlyTags too."""
        self._check_own_tags()
        return self.store.write_tag(repository_id, name, **fields)

    def seed(self, repositories: int, tags: int, **fields: Any) -> list[str]:
        """Add repositories with tags, as `Store.seed` does; raises ReadOnlyTags too."""
        if tags:
            self._check_own_tags()
        return self.store.seed(repositories, tags, **fields)

    async def reset(self) -> None:
        """Delete everything, images in a mirrored Docker registry too."""
        images = {}
        if self.mirror is not None:
            await self.mirror.discard_pending()
            images = self.store.images()
        await asyncio.to_thread(self.store.clear)
        if self.mirror is not None:
            await self.mirror.delete_all_images(images)

    def _check_own_tags(self) -> None:
        if self.mirror is not None:
            raise ReadOnlyTags("the tags are those of the Docker registry: push them there")
