"""The repositories of an organization."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, NoReturn, TypeVar

from .._api import flows, operations
from .._api.flows import Flow
from .._api.operations import HasId, Operation, id_of
from .._api.paging import PageWalk
from .._api.responses import ApiResult
from .._display import short_repr
from .._http.session import AsyncSession, Session
from .._page_rows import PageKind, PageRows, Wanted, find_rows, read_page
from .._parsing import parse
from .._validation import check_window
from ..exceptions import NotFound
from ..pages import AsyncListing, AsyncPage, Listing, Page
from ..tags._collection import hint_if_name_was_given
from ._repository import AsyncRepository, Origin, Repository

# Named at module level: pydantic's parametrized classes can be pickled only then.
RepositoryPage = Page[Repository]
AsyncRepositoryPage = AsyncPage[AsyncRepository]

REPOSITORY_PAGES = PageKind(RepositoryPage, Repository)
ASYNC_REPOSITORY_PAGES = PageKind(AsyncRepositoryPage, AsyncRepository)

S = TypeVar("S", Session, AsyncSession)
R = TypeVar("R", Repository, AsyncRepository)
P = TypeVar("P", Page[Repository], AsyncPage[AsyncRepository])


class _BaseRepositories(ABC, Generic[S, R, P]):
    """The part that both kinds share: the flow of each method."""

    _repository: type[R]
    _kind: PageKind[P]

    def __init__(self, session: S, tags: object) -> None:
        self._session: S = session
        self._organization_id = session.settings.organization_id
        self._tags = tags

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {short_repr(self._organization_id)}>"

    def _origin(self) -> Origin[Any, Any]:
        # Not stored: a reference cycle would keep the client alive after its last use.
        return Origin(self, self._tags)

    @abstractmethod
    def list(self, limit: int | None = None, offset: int | None = None) -> object:
        """Fetch a page."""

    def _list_operation(self, limit: int | None, offset: int | None) -> Operation:
        return operations.get_repositories(self._organization_id, limit, offset)

    def _read_page(self, result: ApiResult) -> PageRows[P]:
        invalid_rows = self._session.settings.invalid_rows
        return read_page(
            self._kind, result, self.list, origin=self._origin(), invalid_rows=invalid_rows
        )

    def _find_rows(self, result: ApiResult, wanted: Wanted) -> PageRows[P]:
        return find_rows(self._kind, result, wanted, origin=self._origin())

    def _read_created(self, result: ApiResult) -> R:
        return parse(self._repository, result, origin=self._origin(), created=True)

    def _create(self, name: str, description: str | None) -> Flow[R]:
        operation = operations.create_repository(self._organization_id, name, description)
        return self._read_created((yield operation))

    def _get(self, repository: str | HasId) -> Flow[R]:
        repository_id = id_of(repository)
        operation = operations.get_repository(self._organization_id, repository_id)
        try:
            return parse(self._repository, (yield operation), origin=self._origin())
        except NotFound as error:
            hint_if_name_was_given(error, repository_id)
            raise

    def _find(self, name: str, page_size: int | None) -> Flow[R | None]:
        return flows.find(name, self._list_operation, self._find_rows, page_size)

    def _get_by_name(self, name: str, page_size: int | None) -> Flow[R]:
        return flows.get_by_name(
            name, self._list_operation, self._find_rows, page_size, "repository"
        )

    def _get_or_create(self, name: str, description: str | None, page_size: int | None) -> Flow[R]:
        create = operations.create_repository(self._organization_id, name, description)
        return flows.get_or_create(
            create, name, self._list_operation, self._find_rows, self._read_created, page_size
        )

    def _list(self, limit: int | None, offset: int | None) -> Flow[P]:
        check_window(limit, offset)
        rows = self._read_page((yield self._list_operation(limit, offset)))
        rows.log_skipped()
        return rows.page

    def _fetch_next(self, walk: PageWalk[Any]) -> Any:
        """Return the next page of an iteration, awaitable if the session is async."""
        flow = flows.next_page(walk, self._list_operation, self._read_page)
        return self._session.run(flow, flows.EACH_CALL)

    def _delete(self, repository: str | HasId, missing_ok: bool) -> Flow[None]:
        repository_id = id_of(repository)
        try:
            yield operations.delete_repository(self._organization_id, repository_id)
        except NotFound as error:
            # An earlier attempt of this call, with no response, a 408 or a 5xx, counts as the one
            # that deleted it. Another client may have done so, or it never existed.
            if not (missing_ok or error.after_unknown_outcome):
                hint_if_name_was_given(error, repository_id)
                raise


class Repositories(_BaseRepositories[Session, Repository, Page[Repository]]):
    """`client.repositories`: the repositories of the client's organization.

    Iterating over it returns all of them, as `iter()` does.
    """

    _repository = Repository
    _kind = REPOSITORY_PAGES

    def create(self, name: str, description: str | None = None) -> Repository:
        """Create a repository.

        Calls POST /organizations/{organization_id}/registry/repositories.

        Args:
            name: The repository's name, by Docker's rules for a path component.
            description: The repository's description. Defaults to none.

        Returns:
            The new repository.

        Raises:
            BadRequest: The API rejected the name or the description.
            Conflict: The name is taken.
            OutcomeUnknown: The request got no response: the repository may exist.

        Example:
            >>> client.repositories.create("trainer", description="CI images").name
            'trainer'
        """
        return self._session.run(self._create(name, description))

    def find(self, name: str, *, page_size: int | None = None) -> Repository | None:
        """Look up a repository by its name, in the whole list.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page. Of a list
        of more than six pages, several are fetched at a time, at most 32. A look-up in such a list
        may take longer than the client's `deadline`, which then bounds each of these steps.

        Args:
            name: The repository's name.
            page_size: The number of repositories per request, >= 1. Defaults to 100.

        Returns:
            The repository, or None if no repository has this name.

        Raises:
            InvalidResponse: A row fails validation, and it has this name or no valid name. It
                raises even if `invalid_rows` is "skip", because it might be the match.

        Example:
            >>> client.repositories.find("nobody-made-this") is None
            True
        """
        return self._session.run(self._find(name, page_size))

    def get_by_name(self, name: str, *, page_size: int | None = None) -> Repository:
        """Look up a repository by its name, as `find`; raise `NotFound` if it does not exist.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page.

        Args:
            name: The repository's name.
            page_size: The number of repositories per request, >= 1. Defaults to 100.

        Returns:
            The repository.

        Raises:
            NotFound: No repository has this name.
            InvalidResponse: A row fails validation, as for `find`.

        Example:
            >>> client.repositories.get_by_name("sample_repository").id == repository.id
            True
        """
        return self._session.run(self._get_by_name(name, page_size))

    def get_or_create(
        self, name: str, description: str | None = None, *, page_size: int | None = None
    ) -> Repository:
        """Return the repository with this name, and create it if none exists.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page, and POST if
        no repository has this name. If the outcome of the create is unknown, it looks up the name
        again before it raises, and never creates two. One deadline limits the whole call, unless
        the list is long, as for `find`; the create leaves a third of the remaining time for the
        second look-up.

        Args:
            name: The repository's name, by Docker's rules for a path component.
            description: The description of a new repository.
            page_size: The number of repositories per request, >= 1. Defaults to 100.

        Returns:
            The repository; an existing one keeps its description.

        Raises:
            BadRequest: The API rejected the name or the description.
            OutcomeUnknown: The create got no response, and no repository has this name so far.

        Example:
            >>> client.repositories.get_or_create(repository.name).id == repository.id
            True
        """
        return self._session.run(self._get_or_create(name, description, page_size))

    def get(self, repository: str | Repository) -> Repository:
        """Fetch one repository.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}.

        Args:
            repository: The repository, or its id (not its name).

        Returns:
            The repository.

        Raises:
            NotFound: The repository does not exist.

        Example:
            >>> client.repositories.get(repository.id).creator.role
            'admin'
        """
        return self._session.run(self._get(repository))

    def list(self, limit: int | None = None, offset: int | None = None) -> Page[Repository]:
        """Fetch one page of the organization's repositories.

        Calls GET /organizations/{organization_id}/registry/repositories.

        Args:
            limit: The maximum number of repositories, >= 1. Defaults to the API's default.
            offset: The number of repositories to skip, >= 0.

        Returns:
            The page; `has_next` tells whether more follow. Its repositories have no `tags`.

        Raises:
            InvalidArgument: An argument is out of bounds; no request was sent.

        Example:
            >>> page = client.repositories.list(limit=50)
            >>> page.offset, page.limit, page.has_next
            (0, 50, False)
        """
        return self._session.run(self._list(limit, offset))

    def iter(self, *, page_size: int | None = None, offset: int = 0) -> Listing[Repository]:
        """Return every repository; no request is sent until iteration starts.

        Calls GET /organizations/{organization_id}/registry/repositories, once a page.

        Args:
            page_size: The number of repositories per request, >= 1. Defaults to 100.
            offset: The number of repositories to skip, >= 0, such as an error's `resume_offset`.

        Returns:
            A `Listing`, which can be iterated over more than once.

        Raises:
            InvalidArgument: An argument is out of bounds.

        Example:
            >>> repository.name in [each.name for each in client.repositories.iter()]
            True
        """
        return Listing(self._fetch_next, page_size, offset)

    def __iter__(self) -> Iterator[Repository]:
        return iter(self.iter())

    # Without this, `in` would compare a name with models, and never find it.
    def __contains__(self, item: object) -> NoReturn:
        raise TypeError("repositories have no `in`: use find(name), which may return None")

    def delete(self, repository: str | Repository, *, missing_ok: bool = False) -> None:
        """Delete a repository and its tags.

        Calls DELETE /organizations/{organization_id}/registry/repositories/{repository_id}.

        Args:
            repository: The repository, or its id (not its name).
            missing_ok: Whether to ignore that the repository does not exist.

        Raises:
            NotFound: The repository does not exist, and `missing_ok` is false.

        Example:
            >>> client.repositories.delete(repository.id)
            >>> client.repositories.delete(repository.id, missing_ok=True)
        """
        self._session.run(self._delete(repository, missing_ok))


class AsyncRepositories(
    _BaseRepositories[AsyncSession, AsyncRepository, AsyncPage[AsyncRepository]]
):
    """`Repositories`, awaited; iterate over it with `async for`."""

    _repository = AsyncRepository
    _kind = ASYNC_REPOSITORY_PAGES

    async def create(self, name: str, description: str | None = None) -> AsyncRepository:
        """As `Repositories.create`, awaited."""
        return await self._session.run(self._create(name, description))

    async def find(self, name: str, *, page_size: int | None = None) -> AsyncRepository | None:
        """As `Repositories.find`, awaited."""
        return await self._session.run(self._find(name, page_size))

    async def get_by_name(self, name: str, *, page_size: int | None = None) -> AsyncRepository:
        """As `Repositories.get_by_name`, awaited."""
        return await self._session.run(self._get_by_name(name, page_size))

    async def get_or_create(
        self, name: str, description: str | None = None, *, page_size: int | None = None
    ) -> AsyncRepository:
        """As `Repositories.get_or_create`, awaited."""
        return await self._session.run(self._get_or_create(name, description, page_size))

    async def get(self, repository: str | AsyncRepository) -> AsyncRepository:
        """As `Repositories.get`, awaited."""
        return await self._session.run(self._get(repository))

    async def list(
        self, limit: int | None = None, offset: int | None = None
    ) -> AsyncPage[AsyncRepository]:
        """As `Repositories.list`, awaited."""
        return await self._session.run(self._list(limit, offset))

    def iter(
        self, *, page_size: int | None = None, offset: int = 0
    ) -> AsyncListing[AsyncRepository]:
        """As `Repositories.iter`, to iterate over with `async for`."""
        return AsyncListing(self._fetch_next, page_size, offset)

    def __aiter__(self) -> AsyncIterator[AsyncRepository]:
        return aiter(self.iter())

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError("repositories have no `in`: use await find(name), which may return None")

    async def delete(self, repository: str | AsyncRepository, *, missing_ok: bool = False) -> None:
        """As `Repositories.delete`, awaited."""
        await self._session.run(self._delete(repository, missing_ok))
