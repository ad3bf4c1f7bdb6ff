"""A repository's tags, by the repository's id."""

from __future__ import annotations

from functools import partial

from . import _operations
from ._paging import check_window
from ._transport import AsyncTransport, Transport
from .models import Tag
from .pages import AsyncListing, AsyncPage, Listing, Page, read_page

# Named once, at module level: pydantic's parametrized classes pickle only so.
TagPage = Page[Tag]
AsyncTagPage = AsyncPage[Tag]


class Tags:
    """`client.tags`: the tags of any repository of the client's organization."""

    def __init__(self, transport: Transport, organization_id: str) -> None:
        self._transport = transport
        self._organization_id = organization_id

    def list(
        self, repository_id: str, limit: int | None = None, offset: int | None = None
    ) -> Page[Tag]:
        """Fetch one page of a repository's tags.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags.

        Args:
            repository_id: The repository's id.
            limit: Tags to return at the most, from 1; the API's own default if not given.
            offset: Tags to pass over, from 0.

        Returns:
            The page; `has_next` says whether more follow.

        Raises:
            NotFound: There is no such repository.
            ValueError: An argument is out of its bounds; nothing was sent.

        Example:
            >>> [tag.name for tag in client.tags.list(repository.id, limit=2)]
            ['0.0.1', '0.0.2']
        """
        check_window(limit, offset)
        body = self._transport.call(
            _operations.get_repository_tags(self._organization_id, repository_id, limit, offset)
        )
        return read_page(
            TagPage,
            body,
            partial(self.list, repository_id),
            invalid_rows=self._transport.settings.invalid_rows,
        )

    def iter(
        self, repository_id: str, *, page_size: int | None = None, start: int = 0
    ) -> Listing[Tag]:
        """Return every tag of a repository, to walk through; asks nothing until then.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags,
        once a page.

        Args:
            repository_id: The repository's id.
            page_size: Tags that each request asks for, from 1; 100 if not given.
            start: Tags to pass over, from 0: an error's `resume_offset`.

        Returns:
            A `Listing`, to be walked through as often as wanted.

        Raises:
            ValueError: An argument is out of its bounds.

        Example:
            >>> sum(tag.size for tag in client.tags.iter(repository.id)) > 0
            True
        """
        _operations.segment("repository_id", repository_id)
        return Listing(partial(self.list, repository_id), page_size, start)


class AsyncTags:
    """`Tags`, awaited."""

    def __init__(self, transport: AsyncTransport, organization_id: str) -> None:
        self._transport = transport
        self._organization_id = organization_id

    async def list(
        self, repository_id: str, limit: int | None = None, offset: int | None = None
    ) -> AsyncPage[Tag]:
        """As `Tags.list`, awaited."""
        check_window(limit, offset)
        body = await self._transport.call(
            _operations.get_repository_tags(self._organization_id, repository_id, limit, offset)
        )
        return read_page(
            AsyncTagPage,
            body,
            partial(self.list, repository_id),
            invalid_rows=self._transport.settings.invalid_rows,
        )

    def iter(
        self, repository_id: str, *, page_size: int | None = None, start: int = 0
    ) -> AsyncListing[Tag]:
        """As `Tags.iter`, to walk through with `async for`."""
        _operations.segment("repository_id", repository_id)
        return AsyncListing(partial(self.list, repository_id), page_size, start)
