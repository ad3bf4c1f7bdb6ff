"""One repository, bound to the client that it came from."""

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
    """What a repository is bound to: the collections of its client."""

    repositories: R
    tags: T


class Repository(RepositoryFields, frozen=True):
    """A Docker repository, bound to the client that it came from.

    Attributes:
        id: The repository's id.
        organization_id: The id of the organization that it belongs to.
        name: The repository's name.
        description: What it is for, if it was said.
        tags: The tags that came along; None in a list, which leaves them out.
            `iter_tags()` has them all.
        creator: Who created it.
        created_at: When it was created.
        updated_at: When it was last changed.
    """

    def list_tags(self, limit: int | None = None, offset: int | None = None) -> Page[Tag]:
        """Fetch one page of this repository's tags: `client.tags.list(repository.id, …)`.

        Args:
            limit: Tags to return at the most, from 1; the API's own default if not given.
            offset: Tags to pass over, from 0.

        Returns:
            The page; `has_next` says whether more follow.

        Raises:
            NotFound: The repository is not there any more.
            InvalidArgument: An argument is out of its bounds; nothing was sent.
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
        """Return every tag, to walk through: `client.tags.iter(repository.id, …)`.

        Args:
            page_size: Tags that each request asks for, from 1; 100 if not given.
            offset: Tags to pass over, from 0: an error's `resume_offset`.
            pattern: A pattern that the tag's name fits, with `*`, `?` and `[…]`.
            since: When the tag was last pushed at the earliest; with a time zone.
            until: Before when the tag was last pushed; with a time zone.

        Returns:
            A `Listing`, to be walked through as often as wanted; it asks nothing until then.

        Raises:
            InvalidArgument: An argument is out of its bounds.

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

    def get_tag(self, name: str) -> Tag:
        """Return the tag of a name: `client.tags.get(repository.id, name)`.

        Args:
            name: The tag's name.

        Returns:
            The tag.

        Raises:
            NotFound: There is no such tag, or the repository is not there any more.

        Example:
            >>> repository.get_tag("0.0.2").digest.startswith("sha256:")
            True
        """
        return self._collections.tags.get(self.id, name)

    def latest_tag(
        self,
        *,
        by: TagOrder = "created",
        pattern: str | None = None,
        prereleases: bool = False,
    ) -> Tag:
        """Return the newest tag: `client.tags.latest(repository.id, …)`.

        Args:
            by: "created" for the tag whose first push is the most recent, "updated" for the one
                that was pushed last, "version" for the one whose name is the highest version,
                which needs the extra `versions`.
            pattern: A pattern that the tag's name fits, with `*`, `?` and `[…]`.
            prereleases: Whether versions such as `2.0.0rc1` count.

        Returns:
            The tag.

        Raises:
            NotFound: No tag fits, or the repository is not there any more.
            ImportError: The extra `versions` is not installed.

        Example:
            >>> repository.latest_tag(by="version", pattern="0.*").name
            '0.0.3'
        """
        return self._collections.tags.latest(
            self.id, by=by, pattern=pattern, prereleases=prereleases
        )

    def wait_for_tag(
        self,
        name: str,
        *,
        timeout: float,
        digest: str | None = None,
        changed_from: str | Tag | None = None,
    ) -> Tag:
        """Wait until a tag is there: `client.tags.wait_for(repository.id, name, …)`.

        Args:
            name: The tag's name.
            timeout: Seconds, above 0, after which the waiting ends.
            digest: The digest that the tag has to point to.
            changed_from: The digest, or the tag as it was, that it must not point to any more.

        Returns:
            The tag.

        Raises:
            WaitTimeout: The time is over; the message says what the last request found.
            NotFound: The repository is not there any more.

        Example:
            >>> repository.wait_for_tag("0.0.1", timeout=60).name
            '0.0.1'
        """
        return self._collections.tags.wait_for(
            self.id, name, timeout=timeout, digest=digest, changed_from=changed_from
        )

    def refresh(self) -> Repository:
        """Fetch this repository anew: `client.repositories.get(repository.id)`.

        Returns:
            What the API says now, as a new value; this one stays as it is.
        """
        return self._collections.repositories.get(self.id)

    def delete(self, *, missing_ok: bool = False) -> None:
        """Delete this repository and its tags: `client.repositories.delete(repository.id, …)`.

        Args:
            missing_ok: Whether a repository that is not there counts as deleted.

        Raises:
            NotFound: It is not there any more, and `missing_ok` is false.
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
        """As `Repository.iter_tags`, to walk through with `async for`."""
        return self._collections.tags.iter(
            self.id,
            page_size=page_size,
            offset=offset,
            pattern=pattern,
            since=since,
            until=until,
        )

    async def get_tag(self, name: str) -> Tag:
        """As `Repository.get_tag`, awaited."""
        return await self._collections.tags.get(self.id, name)

    async def latest_tag(
        self,
        *,
        by: TagOrder = "created",
        pattern: str | None = None,
        prereleases: bool = False,
    ) -> Tag:
        """As `Repository.latest_tag`, awaited."""
        return await self._collections.tags.latest(
            self.id, by=by, pattern=pattern, prereleases=prereleases
        )

    async def wait_for_tag(
        self,
        name: str,
        *,
        timeout: float,
        digest: str | None = None,
        changed_from: str | Tag | None = None,
    ) -> Tag:
        """As `Repository.wait_for_tag`, awaited."""
        return await self._collections.tags.wait_for(
            self.id, name, timeout=timeout, digest=digest, changed_from=changed_from
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
