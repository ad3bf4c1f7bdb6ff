"""An organization's repositories: dict in, model out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import NoReturn, TypeVar

from ._api import flows, operations
from ._api.flows import Flow
from ._api.operations import Operation
from ._api.responses import Answered
from ._http.session import AsyncTransport, Transport
from ._validation import InvalidRows, check_window
from .exceptions import NotFound
from .models import RepositoryFields, Tag, parse
from .pages import AsyncListing, AsyncPage, Listing, Page, Wanted, read_page
from .tags import AsyncTags, By, Tags, ids_alone

T = TypeVar("T")

_INSTEAD = "get it from client.repositories, or pass its id to client.repositories or client.tags"


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
        return self._repositories._tags.list(self.id, limit, offset)

    def iter_tags(
        self,
        *,
        page_size: int | None = None,
        start: int = 0,
        matching: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Listing[Tag]:
        """Return every tag, to walk through: `client.tags.iter(repository.id, …)`.

        Args:
            page_size: Tags that each request asks for, from 1; 100 if not given.
            start: Tags to pass over, from 0: an error's `resume_offset`.
            matching: A pattern that the tag's name fits, with `*`, `?` and `[…]`.
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
        return self._repositories._tags.iter(
            self.id,
            page_size=page_size,
            start=start,
            matching=matching,
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
        return self._repositories._tags.get(self.id, name)

    def latest_tag(
        self,
        *,
        by: By = "created",
        matching: str | None = None,
        prereleases: bool = False,
    ) -> Tag:
        """Return the newest tag: `client.tags.latest(repository.id, …)`.

        Args:
            by: "created" for the tag whose first push is the most recent, "updated" for the one
                that was pushed last, "version" for the one whose name is the highest version,
                which needs the extra `versions`.
            matching: A pattern that the tag's name fits, with `*`, `?` and `[…]`.
            prereleases: Whether versions such as `2.0.0rc1` count.

        Returns:
            The tag.

        Raises:
            NotFound: No tag fits, or the repository is not there any more.
            ImportError: The extra `versions` is not installed.

        Example:
            >>> repository.latest_tag(by="version", matching="0.*").name
            '0.0.3'
        """
        return self._repositories._tags.latest(
            self.id, by=by, matching=matching, prereleases=prereleases
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
            Timeout: It did not come about in time; the message tells what the last look saw.
            NotFound: The repository is not there any more.

        Example:
            >>> repository.wait_for_tag("0.0.1", timeout=60).name
            '0.0.1'
        """
        return self._repositories._tags.wait_for(
            self.id, name, timeout=timeout, digest=digest, changed_from=changed_from
        )

    def refresh(self) -> Repository:
        """Fetch this repository anew: `client.repositories.get(repository.id)`.

        Returns:
            What the API says now, as a new value; this one stays as it is.
        """
        return self._repositories.get(self.id)

    def delete(self, *, missing_ok: bool = False) -> None:
        """Delete this repository and its tags: `client.repositories.delete(repository.id, …)`.

        Args:
            missing_ok: Whether a repository that is not there counts as deleted.

        Raises:
            NotFound: It is not there any more, and `missing_ok` is false.
        """
        self._repositories.delete(self.id, missing_ok=missing_ok)

    @property
    def _repositories(self) -> Repositories:
        repositories: Repositories = self._bound(_INSTEAD)
        return repositories


class AsyncRepository(RepositoryFields, frozen=True):
    """A `Repository` bound to an `AsyncClient`, its calls awaited."""

    async def list_tags(
        self, limit: int | None = None, offset: int | None = None
    ) -> AsyncPage[Tag]:
        """As `Repository.list_tags`, awaited."""
        return await self._repositories._tags.list(self.id, limit, offset)

    def iter_tags(
        self,
        *,
        page_size: int | None = None,
        start: int = 0,
        matching: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncListing[Tag]:
        """As `Repository.iter_tags`, to walk through with `async for`."""
        return self._repositories._tags.iter(
            self.id,
            page_size=page_size,
            start=start,
            matching=matching,
            since=since,
            until=until,
        )

    async def get_tag(self, name: str) -> Tag:
        """As `Repository.get_tag`, awaited."""
        return await self._repositories._tags.get(self.id, name)

    async def latest_tag(
        self,
        *,
        by: By = "created",
        matching: str | None = None,
        prereleases: bool = False,
    ) -> Tag:
        """As `Repository.latest_tag`, awaited."""
        return await self._repositories._tags.latest(
            self.id, by=by, matching=matching, prereleases=prereleases
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
        return await self._repositories._tags.wait_for(
            self.id, name, timeout=timeout, digest=digest, changed_from=changed_from
        )

    async def refresh(self) -> AsyncRepository:
        """As `Repository.refresh`, awaited."""
        return await self._repositories.get(self.id)

    async def delete(self, *, missing_ok: bool = False) -> None:
        """As `Repository.delete`, awaited."""
        await self._repositories.delete(self.id, missing_ok=missing_ok)

    @property
    def _repositories(self) -> AsyncRepositories:
        repositories: AsyncRepositories = self._bound(_INSTEAD)
        return repositories


class Repositories:
    """`client.repositories`: the repositories of the client's organization.

    Iterating over it walks through all of them, as `iter()` does.
    """

    def __init__(self, transport: Transport, organization_id: str, tags: Tags) -> None:
        self._transport = transport
        self._organization_id = organization_id
        self._tags = tags

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._organization_id!r}>"

    def create(self, name: str, description: str | None = None) -> Repository:
        """Create a repository.

        Calls POST /organizations/{organization_id}/registry/repositories.

        Args:
            name: The repository's name, by Docker's rules for a path component.
            description: What it is for; left out of the request if not given.

        Returns:
            The new repository.

        Raises:
            BadRequest: The API refused the name or the description.
            Conflict: The name is taken.
            OutcomeUnknown: The request was sent and no answer came: the repository may exist.

        Example:
            >>> client.repositories.create("trainer", description="CI images").name
            'trainer'
        """
        operation = operations.create_repository(self._organization_id, name, description)
        return self._created(self._transport.fetch(operation))

    def _created(self, answered: Answered) -> Repository:
        return parse(Repository, answered, origin=self, created=True)

    def find(self, name: str) -> Repository | None:
        """Look for the repository of a name, in all of the organization's.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page.

        Args:
            name: The repository's name.

        Returns:
            The repository, or None if there is none of that name.

        Raises:
            InvalidResponse: A row of this name, or of none, cannot be read, also where an
                iteration would skip it: it may be the one that is looked for.

        Example:
            >>> client.repositories.find("nobody-made-this") is None
            True
        """
        return self._run(flows.find(name, self._ask, self._page))

    def get_by_name(self, name: str) -> Repository:
        """Look for the repository of a name, which has to be there: `find`, or `NotFound`.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page.

        Args:
            name: The repository's name.

        Returns:
            The repository.

        Raises:
            NotFound: There is none of that name.
            InvalidResponse: A row cannot be read, as for `find`.

        Example:
            >>> client.repositories.get_by_name("sample_repository").id == repository.id
            True
        """
        return self._run(flows.get_by_name(name, self._ask, self._page, "repository"))

    def get_or_create(self, name: str, description: str | None = None) -> Repository:
        """Return the repository of a name; create it if there is none.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page, and POST
        there where none of that name is found. Where it stays in doubt whether that has created
        one, it looks again before it raises: at most one comes of it. All of it has one deadline,
        and the create leaves a third of what remains of it for looking again.

        Args:
            name: The repository's name, by Docker's rules for a path component.
            description: What a new repository is for.

        Returns:
            The repository; one that was there keeps the description that it has.

        Raises:
            BadRequest: The API refused the name or the description.
            OutcomeUnknown: No answer came, and no repository of that name is there so far.

        Example:
            >>> client.repositories.get_or_create(repository.name) == repository
            False
            >>> client.repositories.get_or_create(repository.name).id == repository.id
            True
        """
        create = operations.create_repository(self._organization_id, name, description)
        return self._run(flows.get_or_create(create, name, self._ask, self._page, self._created))

    def _run(self, flow: Flow[T]) -> T:
        return flows.run(flow, self._transport)

    def _ask(self, limit: int | None, offset: int | None) -> Operation:
        return operations.get_repositories(self._organization_id, limit, offset)

    def get(self, repository_id: str) -> Repository:
        """Fetch one repository.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}.

        Args:
            repository_id: The repository's id (not its name).

        Returns:
            The repository.

        Raises:
            NotFound: There is no such repository.

        Example:
            >>> client.repositories.get(repository.id).creator.role
            'admin'
        """
        operation = operations.get_repository(self._organization_id, repository_id)
        with ids_alone(repository_id):
            answered = self._transport.fetch(operation)
        return parse(Repository, answered, origin=self)

    def list(self, limit: int | None = None, offset: int | None = None) -> Page[Repository]:
        """Fetch one page of the organization's repositories.

        Calls GET /organizations/{organization_id}/registry/repositories.

        Args:
            limit: Repositories to return at the most, from 1; the API's own default if not given.
            offset: Repositories to pass over, from 0.

        Returns:
            The page; `has_next` says whether more follow. Its repositories come without `tags`.

        Raises:
            InvalidArgument: An argument is out of its bounds; nothing was sent.

        Example:
            >>> page = client.repositories.list(limit=50)
            >>> page.offset, page.limit, page.has_next
            (0, 50, False)
        """
        page = self._fetch_page(limit, offset)
        page._log_skipped()
        return page

    def _fetch_page(self, limit: int | None, offset: int | None) -> Page[Repository]:
        check_window(limit, offset)
        return self._page(self._transport.fetch(self._ask(limit, offset)))

    def _page(
        self, answered: Answered, invalid_rows: InvalidRows | Wanted | None = None
    ) -> Page[Repository]:
        rows = invalid_rows or self._transport.settings.invalid_rows
        return read_page(RepositoryPage, answered, self.list, origin=self, invalid_rows=rows)

    def iter(self, *, page_size: int | None = None, start: int = 0) -> Listing[Repository]:
        """Return every repository, to walk through; asks nothing until then.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page.

        Args:
            page_size: Repositories that each request asks for, from 1; 100 if not given.
            start: Repositories to pass over, from 0: an error's `resume_offset`.

        Returns:
            A `Listing`, to be walked through as often as wanted.

        Raises:
            InvalidArgument: An argument is out of its bounds.

        Example:
            >>> repository.name in [each.name for each in client.repositories.iter()]
            True
        """
        return Listing(self._fetch_page, page_size, start)

    def __iter__(self) -> Iterator[Repository]:
        return iter(self.iter())

    # Without it a name would be looked for among the models, and never be found.
    def __contains__(self, item: object) -> NoReturn:
        raise TypeError("repositories have no `in`: find(name) is None where there is none")

    def delete(self, repository_id: str, *, missing_ok: bool = False) -> None:
        """Delete a repository and its tags.

        Calls DELETE /organizations/{organization_id}/registry/repositories/{repository_id}.

        Args:
            repository_id: The repository's id (not its name).
            missing_ok: Whether a repository that is not there counts as deleted.

        Raises:
            NotFound: There is no such repository, and `missing_ok` is false.

        Example:
            >>> client.repositories.delete(repository.id)
            >>> client.repositories.delete(repository.id, missing_ok=True)
        """
        operation = operations.delete_repository(self._organization_id, repository_id)
        try:
            with ids_alone(repository_id):
                self._transport.call(operation)
        except NotFound as error:
            # Gone after an attempt that got no answer: that attempt has done it.
            if not (missing_ok or error.after_unknown_outcome):
                raise


class AsyncRepositories:
    """`Repositories`, awaited; to walk through with `async for`."""

    def __init__(self, transport: AsyncTransport, organization_id: str, tags: AsyncTags) -> None:
        self._transport = transport
        self._organization_id = organization_id
        self._tags = tags

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._organization_id!r}>"

    async def create(self, name: str, description: str | None = None) -> AsyncRepository:
        """As `Repositories.create`, awaited."""
        operation = operations.create_repository(self._organization_id, name, description)
        return self._created(await self._transport.fetch(operation))

    def _created(self, answered: Answered) -> AsyncRepository:
        return parse(AsyncRepository, answered, origin=self, created=True)

    async def find(self, name: str) -> AsyncRepository | None:
        """As `Repositories.find`, awaited."""
        return await self._run(flows.find(name, self._ask, self._page))

    async def get_by_name(self, name: str) -> AsyncRepository:
        """As `Repositories.get_by_name`, awaited."""
        return await self._run(flows.get_by_name(name, self._ask, self._page, "repository"))

    async def get_or_create(self, name: str, description: str | None = None) -> AsyncRepository:
        """As `Repositories.get_or_create`, awaited."""
        create = operations.create_repository(self._organization_id, name, description)
        return await self._run(
            flows.get_or_create(create, name, self._ask, self._page, self._created)
        )

    async def _run(self, flow: Flow[T]) -> T:
        return await flows.arun(flow, self._transport)

    def _ask(self, limit: int | None, offset: int | None) -> Operation:
        return operations.get_repositories(self._organization_id, limit, offset)

    async def get(self, repository_id: str) -> AsyncRepository:
        """As `Repositories.get`, awaited."""
        operation = operations.get_repository(self._organization_id, repository_id)
        with ids_alone(repository_id):
            answered = await self._transport.fetch(operation)
        return parse(AsyncRepository, answered, origin=self)

    async def list(
        self, limit: int | None = None, offset: int | None = None
    ) -> AsyncPage[AsyncRepository]:
        """As `Repositories.list`, awaited."""
        page = await self._fetch_page(limit, offset)
        page._log_skipped()
        return page

    async def _fetch_page(
        self, limit: int | None, offset: int | None
    ) -> AsyncPage[AsyncRepository]:
        check_window(limit, offset)
        return self._page(await self._transport.fetch(self._ask(limit, offset)))

    def _page(
        self, answered: Answered, invalid_rows: InvalidRows | Wanted | None = None
    ) -> AsyncPage[AsyncRepository]:
        rows = invalid_rows or self._transport.settings.invalid_rows
        return read_page(AsyncRepositoryPage, answered, self.list, origin=self, invalid_rows=rows)

    def iter(
        self, *, page_size: int | None = None, start: int = 0
    ) -> AsyncListing[AsyncRepository]:
        """As `Repositories.iter`, to walk through with `async for`."""
        return AsyncListing(self._fetch_page, page_size, start)

    def __aiter__(self) -> AsyncIterator[AsyncRepository]:
        return aiter(self.iter())

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError("repositories have no `in`: await find(name) is None where there is none")

    async def delete(self, repository_id: str, *, missing_ok: bool = False) -> None:
        """As `Repositories.delete`, awaited."""
        operation = operations.delete_repository(self._organization_id, repository_id)
        try:
            with ids_alone(repository_id):
                await self._transport.call(operation)
        except NotFound as error:
            # Gone after an attempt that got no answer: that attempt has done it.
            if not (missing_ok or error.after_unknown_outcome):
                raise


# Named once, at module level: pydantic's parametrized classes pickle only so.
RepositoryPage = Page[Repository]
AsyncRepositoryPage = AsyncPage[AsyncRepository]
