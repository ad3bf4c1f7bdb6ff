"""One repository, with methods that use the client it was fetched with."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ..models import RepositoryFields, Tag
from ..pages import AsyncListing, AsyncPage, Listing, Page
from ..tags import AsyncTags, TagOrder, Tags

if TYPE_CHECKING:
    from ._collection import AsyncRepositories, Repositories

R = TypeVar("R")
T = TypeVar("T")

_UNBOUND_HINT = (
    "get it from client.repositories, or pass its id to client.repositories or client.tags"
)


class Origin(NamedTuple, Generic[R, T]):
    """The client reference of a repository: the collections of its client."""

    repositories: R
    tags: T


class Repository(RepositoryFields, frozen=True):
    """A Docker repository; its methods use the client that it was fetched with.

    Attributes:
        id: The repository's id.
        organization_id: The id of the organization that it belongs to.
        name: The repository's name.
        description: The repository's description, or None.
        tags: The tags embedded in the response: None in lists, the first few in `get`.
            `iter_tags()` returns all of them.
        creator: The user who created it.
        created_at: The time at which it was created.
        updated_at: The time of its last change.
    """

    def list_tags(self, limit: int | None = None, offset: int | None = None) -> Page[Tag]:
        """Fetch one page of this repository's tags: `client.tags.list(repository.id, …)`.

        Args:
            limit: The maximum number of tags, >= 1. Defaults to the API's default.
            offset: The number of tags to skip, >= 0.

        Returns:
            The page; `has_next` tells whether more follow.

        Raises:
            NotFound: The repository no longer exists.
            InvalidArgument: An argument is out of bounds; no request was sent.
        """
        return self._collections.tags.list(self.id, limit, offset)

    def iter_tags(
        self,
        *,
        page_size: int | None = None,
        offset: int = 0,
        pattern: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Listing[Tag]:
        """Return every tag: `client.tags.iter(repository.id, …)`.

        Args:
            page_size: The number of tags per request, >= 1. Defaults to 100.
            offset: The number of tags to skip, >= 0, such as an error's `resume_offset`.
            pattern: A glob pattern that the tag's name matches, with `*`, `?` and `[…]`.
            since: The earliest time of the tag's last push, with a time zone.
            until: The time before which the tag was last pushed, with a time zone.

        Returns:
            A `Listing`, which can be iterated over more than once. No request is sent until
            iteration starts.

        Raises:
            InvalidArgument: An argument is out of bounds.

        Example:
            >>> for tag in client.repositories.get(repository.id).iter_tags():
            ...     print(tag.name)
            0.0.1
            0.0.2
            0.0.3
        """
        return self._collections.tags.iter(
            self.id,
            page_size=page_size,
            offset=offset,
            pattern=pattern,
            since=since,
            until=until,
        )

    def get_tag(self, name: str, *, page_size: int | None = None) -> Tag:
        """Return the tag with this name: `client.tags.get(repository.id, name)`.

        Args:
            name: The tag's name.
            page_size: The number of tags per request, >= 1. Defaults to 100.

        Returns:
            The tag.

        Raises:
            NotFound: The tag does not exist, or the repository no longer exists.

        Example:
            >>> repository.get_tag("0.0.2").digest.startswith("sha256:")
            True
        """
        return self._collections.tags.get(self.id, name, page_size=page_size)

    def latest_tag(
        self,
        *,
        by: TagOrder = "created",
        pattern: str | None = None,
        prereleases: bool = False,
        page_size: int | None = None,
    ) -> Tag:
        """Return the newest tag: `client.tags.latest(repository.id, …)`.

        Args:
            by: "created" for the tag with the most recent first push, "updated" for the tag with
                the most recent push, "version" for the tag whose name is the highest version,
                which needs the extra `versions`.
            pattern: A glob pattern that the tag's name matches, with `*`, `?` and `[…]`.
            prereleases: Whether versions such as `2.0.0rc1` count.
            page_size: The number of tags per request, >= 1. Defaults to 100.

        Returns:
            The tag.

        Raises:
            NotFound: No tag matches, or the repository no longer exists.
            ImportError: The extra `versions` is not installed.

        Example:
            >>> repository.latest_tag(by="version", pattern="0.*").name
            '0.0.3'
        """
        return self._collections.tags.latest(
            self.id, by=by, pattern=pattern, prereleases=prereleases, page_size=page_size
        )

    def wait_for_tag(
        self,
        name: str,
        *,
        timeout: float,
        digest: str | None = None,
        changed_from: str | Tag | None = None,
        page_size: int | None = None,
    ) -> Tag:
        """Wait until a tag exists: `client.tags.wait_for(repository.id, name, …)`.

        Args:
            name: The tag's name.
            timeout: The maximum time to wait, in seconds, > 0.
            digest: The digest that the tag must have.
            changed_from: The previous tag, or its digest, from which the tag must differ.
            page_size: The number of tags per request, >= 1. Defaults to 100.

        Returns:
            The tag.

        Raises:
            WaitTimeout: The time is over; the message has the tag's last known state.
            NotFound: The repository no longer exists.

        Example:
            >>> repository.wait_for_tag("0.0.1", timeout=60).name
            '0.0.1'
        """
        return self._collections.tags.wait_for(
            self.id,
            name,
            timeout=timeout,
            digest=digest,
            changed_from=changed_from,
            page_size=page_size,
        )

    def refresh(self) -> Repository:
        """Fetch this repository again: `client.repositories.get(repository.id)`.

        Returns:
            The repository's current state, as a new value; this value does not change.
        """
        return self._collections.repositories.get(self.id)

    def delete(self, *, missing_ok: bool = False) -> None:
        """Delete this repository and its tags: `client.repositories.delete(repository.id, …)`.

        Args:
            missing_ok: Whether to ignore that the repository does not exist.

        Raises:
            NotFound: It no longer exists, and `missing_ok` is false.
        """
        self._collections.repositories.delete(self.id, missing_ok=missing_ok)

    @property
    def _collections(self) -> Origin[Repositories, Tags]:
        origin: Origin[Repositories, Tags] = self._require_bound(_UNBOUND_HINT)
        return origin


class AsyncRepository(RepositoryFields, frozen=True):
    """A `Repository` bound to an `AsyncClient`, its calls awaited."""

    async def list_tags(
        self, limit: int | None = None, offset: int | None = None
    ) -> AsyncPage[Tag]:
        """As `Repository.list_tags`, awaited."""
        return await self._collections.tags.list(self.id, limit, offset)

    def iter_tags(
        self,
        *,
        page_size: int | None = None,
        offset: int = 0,
        pattern: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncListing[Tag]:
        """As `Repository.iter_tags`, to iterate over with `async for`."""
        return self._collections.tags.iter(
            self.id,
            page_size=page_size,
            offset=offset,
            pattern=pattern,
            since=since,
            until=until,
        )

    async def get_tag(self, name: str, *, page_size: int | None = None) -> Tag:
        """As `Repository.get_tag`, awaited."""
        return await self._collections.tags.get(self.id, name, page_size=page_size)

    async def latest_tag(
        self,
        *,
        by: TagOrder = "created",
        pattern: str | None = None,
        prereleases: bool = False,
        page_size: int | None = None,
    ) -> Tag:
        """As `Repository.latest_tag`, awaited."""
        return await self._collections.tags.latest(
            self.id, by=by, pattern=pattern, prereleases=prereleases, page_size=page_size
        )

    async def wait_for_tag(
        self,
        name: str,
        *,
        timeout: float,
        digest: str | None = None,
        changed_from: str | Tag | None = None,
        page_size: int | None = None,
    ) -> Tag:
        """As `Repository.wait_for_tag`, awaited."""
        return await self._collections.tags.wait_for(
            self.id,
            name,
            timeout=timeout,
            digest=digest,
            changed_from=changed_from,
            page_size=page_size,
        )

    async def refresh(self) -> AsyncRepository:
        """As `Repository.refresh`, awaited."""
        return await self._collections.repositories.get(self.id)

    async def delete(self, *, missing_ok: bool = False) -> None:
        """As `Repository.delete`, awaited."""
        await self._collections.repositories.delete(self.id, missing_ok=missing_ok)

    @property
    def _collections(self) -> Origin[AsyncRepositories, AsyncTags]:
        origin: Origin[AsyncRepositories, AsyncTags] = self._require_bound(_UNBOUND_HINT)
        return origin
