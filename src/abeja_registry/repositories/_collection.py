"""An organization's repositories: dict in, model out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, NoReturn, TypeVar

from .._api import flows, operations
from .._api.flows import Flow
from .._api.operations import Operation
from .._api.paging import PageWalk
from .._api.responses import ApiResult
from .._display import short_repr
from .._http.session import AsyncSession, Session
from .._parsing import PageKind, PageRows, Wanted, parse, read_page
from .._validation import InvalidRows, check_window
from ..exceptions import NotFound
from ..pages import AsyncListing, AsyncPage, Listing, Page
from ..tags import hint_if_name_was_given
from ._repository import AsyncRepository, Origin, Repository

# Named once, at module level: pydantic's parametrized classes pickle only so.
RepositoryPage = Page[Repository]
AsyncRepositoryPage = AsyncPage[AsyncRepository]

REPOSITORY_PAGES = PageKind(RepositoryPage, Repository, "registry_repositories")
ASYNC_REPOSITORY_PAGES = PageKind(AsyncRepositoryPage, AsyncRepository, "registry_repositories")

S = TypeVar("S", Session, AsyncSession)
R = TypeVar("R", Repository, AsyncRepository)
P = TypeVar("P", Page[Repository], AsyncPage[AsyncRepository])


class _BaseRepositories(ABC, Generic[S, R, P]):
    """What both kinds share: the flow of each method."""

    _repository: type[R]
    _kind: PageKind[P]

    def __init__(self, session: S, tags: object) -> None:
        self._session: S = session
        self._tags = tags

    @property
    def _organization_id(self) -> str:
        return self._session.settings.organization_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {short_repr(self._organization_id)}>"

    def _origin(self) -> Origin[Any, Any]:
        # Made for each call: kept, it would be a cycle, and the client would outlive its last use.
        return Origin(self, self._tags)

    @abstractmethod
    def list(self, limit: int | None = None, offset: int | None = None) -> object:
        """Fetch a page."""

    def _list_operation(self, limit: int | None, offset: int | None) -> Operation:
        return operations.get_repositories(self._organization_id, limit, offset)

    def _read_page(
        self, result: ApiResult, invalid_rows: InvalidRows | Wanted | None = None
    ) -> PageRows[P]:
        """Return the page of a result; a look-up says which names it wants."""
        invalid_rows = invalid_rows or self._session.settings.invalid_rows
        return read_page(
            self._kind, result, self.list, origin=self._origin(), invalid_rows=invalid_rows
        )

    def _read_created(self, result: ApiResult) -> R:
        return parse(self._repository, result, origin=self._origin(), created=True)

    def _create(self, name: str, description: str | None) -> Flow[R]:
        operation = operations.create_repository(self._organization_id, name, description)
        return self._read_created((yield operation))

    def _get(self, repository_id: str) -> Flow[R]:
        operation = operations.get_repository(self._organization_id, repository_id)
        try:
            return parse(self._repository, (yield operation), origin=self._origin())
        except NotFound as error:
            hint_if_name_was_given(error, repository_id)
            raise

    def _find(self, name: str) -> Flow[R | None]:
        return flows.find(name, self._list_operation, self._read_page)

    def _get_by_name(self, name: str) -> Flow[R]:
        return flows.get_by_name(name, self._list_operation, self._read_page, "repository")

    def _get_or_create(self, name: str, description: str | None) -> Flow[R]:
        create = operations.create_repository(self._organization_id, name, description)
        return flows.get_or_create(
            create, name, self._list_operation, self._read_page, self._read_created
        )

    def _list(self, limit: int | None, offset: int | None) -> Flow[P]:
        check_window(limit, offset)
        page = self._read_page((yield self._list_operation(limit, offset)))
        page.log_skipped()
        return page.page

    def _next_page(self, walk: PageWalk[Any]) -> Flow[P | None]:
        return flows.next_page(walk, self._list_operation, self._read_page)

    def _delete(self, repository_id: str, missing_ok: bool) -> Flow[None]:
        try:
            yield operations.delete_repository(self._organization_id, repository_id)
        except NotFound as error:
            # Gone after an attempt without a response: that attempt has deleted it.
            if not (missing_ok or error.after_unknown_outcome):
                hint_if_name_was_given(error, repository_id)
                raise


class Repositories(_BaseRepositories[Session, Repository, Page[Repository]]):
    """`client.repositories`: the repositories of the client's organization.

    Iterating over it walks through all of them, as `iter()` does.
    """

    _repository = Repository
    _kind = REPOSITORY_PAGES

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
        return self._session.run(self._create(name, description))

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
        return self._session.run(self._find(name))

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
        return self._session.run(self._get_by_name(name))

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
        return self._session.run(self._get_or_create(name, description))

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
        return self._session.run(self._get(repository_id))

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
        return self._session.run(self._list(limit, offset))

    def iter(self, *, page_size: int | None = None, offset: int = 0) -> Listing[Repository]:
        """Return every repository, to walk through; asks nothing until then.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page.

        Args:
            page_size: Repositories that each request asks for, from 1; 100 if not given.
            offset: Repositories to pass over, from 0: an error's `resume_offset`.

        Returns:
            A `Listing`, to be walked through as often as wanted.

        Raises:
            InvalidArgument: An argument is out of its bounds.

        Example:
            >>> repository.name in [each.name for each in client.repositories.iter()]
            True
        """
        return Listing(self._session.run, self._next_page, page_size, offset)

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
        self._session.run(self._delete(repository_id, missing_ok))


class AsyncRepositories(
    _BaseRepositories[AsyncSession, AsyncRepository, AsyncPage[AsyncRepository]]
):
    """`Repositories`, awaited; to walk through with `async for`."""

    _repository = AsyncRepository
    _kind = ASYNC_REPOSITORY_PAGES

    async def create(self, name: str, description: str | None = None) -> AsyncRepository:
        """As `Repositories.create`, awaited."""
        return await self._session.run(self._create(name, description))

    async def find(self, name: str) -> AsyncRepository | None:
        """As `Repositories.find`, awaited."""
        return await self._session.run(self._find(name))

    async def get_by_name(self, name: str) -> AsyncRepository:
        """As `Repositories.get_by_name`, awaited."""
        return await self._session.run(self._get_by_name(name))

    async def get_or_create(self, name: str, description: str | None = None) -> AsyncRepository:
        """As `Repositories.get_or_create`, awaited."""
        return await self._session.run(self._get_or_create(name, description))

    async def get(self, repository_id: str) -> AsyncRepository:
        """As `Repositories.get`, awaited."""
        return await self._session.run(self._get(repository_id))

    async def list(
        self, limit: int | None = None, offset: int | None = None
    ) -> AsyncPage[AsyncRepository]:
        """As `Repositories.list`, awaited."""
        return await self._session.run(self._list(limit, offset))

    def iter(
        self, *, page_size: int | None = None, offset: int = 0
    ) -> AsyncListing[AsyncRepository]:
        """As `Repositories.iter`, to walk through with `async for`."""
        return AsyncListing(self._session.run, self._next_page, page_size, offset)

    def __aiter__(self) -> AsyncIterator[AsyncRepository]:
        return aiter(self.iter())

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError("repositories have no `in`: await find(name) is None where there is none")

    async def delete(self, repository_id: str, *, missing_ok: bool = False) -> None:
        """As `Repositories.delete`, awaited."""
        await self._session.run(self._delete(repository_id, missing_ok))
