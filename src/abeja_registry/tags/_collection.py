"""A repository's tags, by the repository's id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

import abeja_registry

from .._api import flows, operations
from .._api.flows import Flow
from .._api.operations import HasId, Operation, id_of
from .._api.paging import PageWalk
from .._api.responses import ApiResult
from .._api.waiting import wait_for
from .._display import short_repr
from .._http.session import AsyncSession, Session
from .._page_rows import PageKind, PageRows, Wanted, find_rows, read_page
from .._validation import check_window, quote_segment
from ..exceptions import NotFound
from ..models import Tag
from ..pages import AsyncListing, AsyncPage, AsyncTagPage, Listing, Page, TagPage
from ._selection import TagOrder, latest_flow, tag_filter, wait_condition

S = TypeVar("S", Session, AsyncSession)
P = TypeVar("P", Page[Tag], AsyncPage[Tag])
T = TypeVar("T")

TAG_PAGES = PageKind(TagPage, Tag)
ASYNC_TAG_PAGES = PageKind(AsyncTagPage, Tag)


class _BaseTags(ABC, Generic[S, P]):
    """The part that both kinds share: the flow of each method."""

    _kind: PageKind[P]

    def __init__(self, session: S) -> None:
        self._session: S = session
        self._organization_id = session.settings.organization_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {short_repr(self._organization_id)}>"

    @abstractmethod
    def list(self, repository: Any, limit: int | None = None, offset: int | None = None) -> object:
        """Fetch a page."""

    def _list_operation(
        self, repository_id: str, limit: int | None, offset: int | None
    ) -> Operation:
        return operations.get_repository_tags(self._organization_id, repository_id, limit, offset)

    def _read_page(self, repository_id: str, result: ApiResult) -> PageRows[P]:
        fetch = partial(self.list, repository_id)
        invalid_rows = self._session.settings.invalid_rows
        return read_page(self._kind, result, fetch, invalid_rows=invalid_rows)

    def _find_rows(self, result: ApiResult, wanted: Wanted) -> PageRows[P]:
        return find_rows(self._kind, result, wanted)

    def _list(self, repository: str | HasId, limit: int | None, offset: int | None) -> Flow[P]:
        check_window(limit, offset)
        repository_id = id_of(repository)
        try:
            result = yield self._list_operation(repository_id, limit, offset)
        except NotFound as error:
            hint_if_name_was_given(error, repository_id)
            raise
        rows = self._read_page(repository_id, result)
        rows.log_skipped()
        return rows.page

    def _fetch_next(self, repository_id: str, walk: PageWalk[Any]) -> Any:
        """Return the next page of an iteration, awaitable if the session is async."""
        list_page = partial(self._list_operation, repository_id)
        read = partial(self._read_page, repository_id)
        flow = _hinted(repository_id, flows.next_page(walk, list_page, read))
        return self._session.run(flow, flows.EACH_CALL)

    def _get(self, repository: str | HasId, name: str, page_size: int | None) -> Flow[Tag]:
        repository_id = id_of(repository)
        list_page = partial(self._list_operation, repository_id)
        flow: Flow[Tag] = flows.get_by_name(name, list_page, self._find_rows, page_size, "tag")
        return _hinted(repository_id, flow)

    def _latest(
        self,
        repository: str | HasId,
        by: TagOrder,
        pattern: str | None,
        prereleases: bool,
        page_size: int | None,
    ) -> Flow[Tag]:
        repository_id = id_of(repository)
        list_page = partial(self._list_operation, repository_id)
        find = self._find_rows
        flow = latest_flow(repository_id, by, pattern, prereleases, list_page, find, page_size)
        return _hinted(repository_id, flow)

    def _wait_for(
        self,
        repository: str | HasId,
        name: str,
        problem: Callable[[Tag], str | None],
        timeout: float,
        page_size: int | None,
    ) -> Flow[Tag]:
        repository_id = id_of(repository)
        list_page = partial(self._list_operation, repository_id)
        clock = self._session.clock
        flow: Flow[Tag] = wait_for(
            name,
            list_page,
            self._find_rows,
            page_size,
            problem,
            timeout=timeout,
            now=clock.now,
            random=clock.random,
        )
        return _hinted(repository_id, flow)


class Tags(_BaseTags[Session, Page[Tag]]):
    """`client.tags`: the tags of any repository of the client's organization."""

    _kind = TAG_PAGES

    def list(
        self,
        repository: str | abeja_registry.Repository,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Page[Tag]:
        """Fetch one page of a repository's tags.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags.

        Args:
            repository: The repository, or its id.
            limit: The maximum number of tags, >= 1. Defaults to the API's default.
            offset: The number of tags to skip, >= 0.

        Returns:
            The page; `has_next` tells whether more follow.

        Raises:
            NotFound: The repository does not exist.
            InvalidArgument: An argument is out of bounds; no request was sent.

        Example:
            >>> [tag.name for tag in client.tags.list(repository.id, limit=2)]
            ['0.0.1', '0.0.2']
        """
        return self._session.run(self._list(repository, limit, offset))

    def iter(
        self,
        repository: str | abeja_registry.Repository,
        *,
        page_size: int | None = None,
        offset: int = 0,
        pattern: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Listing[Tag]:
        """Return every tag of a repository that matches; no request is sent until iteration starts.

        The API has no filters, so that every page is fetched.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags,
        once a page.

        Args:
            repository: The repository, or its id.
            page_size: The number of tags per request, >= 1. Defaults to 100.
            offset: The number of tags to skip, >= 0, such as an error's `resume_offset`.
            pattern: A glob pattern that the tag's name matches, with `*`, `?` and `[…]`.
            since: The earliest time of the tag's last push, with a time zone.
            until: The time before which the tag was last pushed, with a time zone.

        Returns:
            A `Listing`, which can be iterated over more than once.

        Raises:
            InvalidArgument: An argument is out of bounds.

        Example:
            >>> sum(tag.size for tag in client.tags.iter(repository.id)) > 0
            True
            >>> [tag.name for tag in client.tags.iter(repository.id, pattern="*.[12]")]
            ['0.0.1', '0.0.2']
        """
        repository_id = id_of(repository)
        quote_segment("repository_id", repository_id)
        keep = tag_filter(pattern, since, until)
        return Listing(partial(self._fetch_next, repository_id), page_size, offset, keep)

    def get(
        self,
        repository: str | abeja_registry.Repository,
        name: str,
        *,
        page_size: int | None = None,
    ) -> Tag:
        """Return the tag with this name.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags,
        once a page, until the tag is found. Of a list of more than six pages, several are
        fetched at a time, at most 32. A look-up in such a list may take longer than the client's
        `deadline`, which then bounds each of these steps.

        Args:
            repository: The repository, or its id.
            name: The tag's name.
            page_size: The number of tags per request, >= 1. Defaults to 100.

        Returns:
            The tag.

        Raises:
            NotFound: The tag or the repository does not exist.
            InvalidResponse: A row fails validation, and it has this name or no valid name. It
                raises even if `invalid_rows` is "skip", because it might be the match.

        Example:
            >>> client.tags.get(repository.id, "0.0.2").name
            '0.0.2'
        """
        return self._session.run(self._get(repository, name, page_size))

    def latest(
        self,
        repository: str | abeja_registry.Repository,
        *,
        by: TagOrder = "created",
        pattern: str | None = None,
        prereleases: bool = False,
        page_size: int | None = None,
    ) -> Tag:
        """Return the newest tag of a repository, by its time or by its version.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags,
        once a page, up to 32 at a time as `get` does.

        Args:
            repository: The repository, or its id.
            by: "created" for the tag with the most recent first push; later pushes to a moving tag,
                such as `latest`, do not count. "updated" for the tag with the most recent push.
                "version" for the tag whose name is the highest version (`1.10.0` is higher than
                `1.9.0`; other names do not count), which needs the extra `versions`.
            pattern: A glob pattern that the tag's name matches, with `*`, `?` and `[…]`.
            prereleases: Whether versions such as `2.0.0rc1` count.
            page_size: The number of tags per request, >= 1. Defaults to 100.

        Returns:
            The tag.

        Raises:
            NotFound: No tag matches, or the repository does not exist.
            ImportError: The extra `versions` is not installed.
            InvalidResponse: A row fails validation, as for `get`.

        Example:
            >>> client.tags.latest(repository.id, by="version").name
            '0.0.3'
        """
        flow = self._latest(repository, by, pattern, prereleases, page_size)
        return self._session.run(flow)

    def wait_for(
        self,
        repository: str | abeja_registry.Repository,
        name: str,
        *,
        timeout: float,
        digest: str | None = None,
        changed_from: str | Tag | None = None,
        page_size: int | None = None,
    ) -> Tag:
        """Wait until a tag exists, or points to another image, as after a push.

        Polls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags: half
        a second after the first poll, later every 10 seconds, at random times, so that jobs that
        start together do not poll together. A poll of a long list reads the page where the tag was,
        or the first page and the end of the list; each sixth poll reads the whole list.

        Args:
            repository: The repository, or its id.
            name: The tag's name.
            timeout: The maximum time to wait, in seconds, > 0.
            digest: The digest that the tag must have.
            changed_from: The previous tag, or its digest, from which the tag must differ.
            page_size: The number of tags per request, >= 1. Defaults to 100.

        Returns:
            The tag.

        Raises:
            WaitTimeout: The time is over; the message has the tag's last known state.
            NotFound: The repository does not exist.
            InvalidResponse: A row fails validation, as for `get`.

        Example:
            >>> before = client.tags.get(repository.id, "0.0.1")
            >>> pushed = sandbox.push(repository.id, "0.0.1", digest="sha256:00")
            >>> after = client.tags.wait_for(
            ...     repository.id, "0.0.1", timeout=60, changed_from=before
            ... )
            >>> after.digest == before.digest
            False
        """
        problem = wait_condition(timeout, digest, changed_from)
        flow = self._wait_for(repository, name, problem, timeout, page_size)
        return self._session.run(flow, self._session.clock.now() + timeout)


class AsyncTags(_BaseTags[AsyncSession, AsyncPage[Tag]]):
    """`Tags`, awaited."""

    _kind = ASYNC_TAG_PAGES

    async def list(
        self,
        repository: str | abeja_registry.AsyncRepository,
        limit: int | None = None,
        offset: int | None = None,
    ) -> AsyncPage[Tag]:
        """As `Tags.list`, awaited."""
        return await self._session.run(self._list(repository, limit, offset))

    def iter(
        self,
        repository: str | abeja_registry.AsyncRepository,
        *,
        page_size: int | None = None,
        offset: int = 0,
        pattern: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncListing[Tag]:
        """As `Tags.iter`, to iterate over with `async for`."""
        repository_id = id_of(repository)
        quote_segment("repository_id", repository_id)
        keep = tag_filter(pattern, since, until)
        return AsyncListing(partial(self._fetch_next, repository_id), page_size, offset, keep)

    async def get(
        self,
        repository: str | abeja_registry.AsyncRepository,
        name: str,
        *,
        page_size: int | None = None,
    ) -> Tag:
        """As `Tags.get`, awaited."""
        return await self._session.run(self._get(repository, name, page_size))

    async def latest(
        self,
        repository: str | abeja_registry.AsyncRepository,
        *,
        by: TagOrder = "created",
        pattern: str | None = None,
        prereleases: bool = False,
        page_size: int | None = None,
    ) -> Tag:
        """As `Tags.latest`, awaited."""
        return await self._session.run(
            self._latest(repository, by, pattern, prereleases, page_size)
        )

    async def wait_for(
        self,
        repository: str | abeja_registry.AsyncRepository,
        name: str,
        *,
        timeout: float,
        digest: str | None = None,
        changed_from: str | Tag | None = None,
        page_size: int | None = None,
    ) -> Tag:
        """As `Tags.wait_for`, awaited."""
        problem = wait_condition(timeout, digest, changed_from)
        flow = self._wait_for(repository, name, problem, timeout, page_size)
        return await self._session.run(flow, self._session.clock.now() + timeout)


def _hinted(repository_id: str, flow: Flow[T]) -> Flow[T]:
    """Run a flow, with a hint on its NotFound where a name was given in place of an id."""
    try:
        return (yield from flow)
    except NotFound as error:
        hint_if_name_was_given(error, repository_id)
        raise


def hint_if_name_was_given(error: NotFound, repository_id: str) -> None:
    """Add a hint to the API's NotFound if a name was given in place of an id."""
    # Assumption: an id is all digits, as in the reference.
    # A look-up by name that found no tag has no URL: its repository exists.
    if error.url is not None and not str(repository_id).isdecimal():
        error.add_note("pass an id, not a name: client.repositories.get_by_name(name).id")
