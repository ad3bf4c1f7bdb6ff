"""Fetches pages through a client; the other modules of this folder do not send or parse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import abeja_registry

from .._api.operations import Operation, get_repositories, get_repository_tags
from .._api.responses import ApiResult
from .._api.retries import Retry, RetryPolicy
from .._page_rows import PageRows, read_page
from .._settings.settings import Settings
from ..exceptions import Error, InvalidResponse
from ..repositories._collection import REPOSITORY_PAGES
from ..tags._collection import TAG_PAGES
from ._columns import columns_of_rows, read_columns
from ._tasks import (
    FetchedPage,
    FetchResult,
    FetchTask,
    InvalidRepository,
    RepositoryRef,
    tag_row,
)

if TYPE_CHECKING:
    from .._http.session import AsyncSession, Session

S = TypeVar("S", "Session", "AsyncSession")


def source(client: abeja_registry.Client | abeja_registry.AsyncClient) -> dict[str, str]:
    """Return the API and the organization that a client reads."""
    return {
        "base_url": client._session.settings.base_url,
        "organization_id": client.organization_id,
    }


def picklable_settings(client: abeja_registry.Client) -> Settings:
    """Return the settings with which another process can open the same client.

    Raises:
        TypeError: The client sends through a user-supplied client, which cannot be pickled.
    """
    return client._session.picklable_settings()


class _BaseFetcher(Generic[S]):
    """The base class of both fetchers.

    Their session leaves throttling to the inventory, and can be stopped without closing the client.
    With `columns`, they return tags in columns.
    """

    def __init__(self, organization_id: str, session: S, columns: bool) -> None:
        self._organization_id = organization_id
        self._session: S = session
        self._columns = columns

    @property
    def retry_policy(self) -> RetryPolicy:
        """The client's."""
        return self._session.settings.retry

    @property
    def random(self) -> Callable[[], float]:
        """The source of random numbers for waits."""
        return self._session.clock.random

    @property
    def sleeps(self) -> bool:
        """Whether waits take time; in a test they may not."""
        return self._session.clock.sleeps

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._session.sender.closed

    def now(self) -> float:
        """Return the time by the monotonic clock."""
        return self._session.clock.now()

    def _deadline(self) -> float:
        return self._session.clock.now() + self._session.settings.deadline

    def notify(self, task: FetchTask, error: Error, wait: float) -> None:
        """Log that a throttled request is sent again, and call the client's hook."""
        operation = "get_repositories" if task.repository is None else "get_repository_tags"
        cause = str(getattr(error, "status_code", None))
        self._session.notify(Retry(operation, len(error.history), cause, wait))

    def _operation(self, task: FetchTask, offset: int) -> Operation:
        if task.repository is None:
            return get_repositories(self._organization_id, task.limit, offset)
        try:
            return get_repository_tags(
                self._organization_id, task.repository.id, task.limit, offset
            )
        except ValueError as error:
            # The id is from the API's own list: only its repository fails.
            raise InvalidResponse(
                f"the list has a repository with an invalid id: {error}"
            ) from None

    def _parse(self, task: FetchTask, offset: int, result: ApiResult) -> FetchedPage:
        if task.repository is not None:
            return self._parse_tags(task.repository, task, offset, result)
        # An invalid row fails one repository, not the list.
        page = read_page(REPOSITORY_PAGES, result, invalid_rows="skip")
        rows = [
            _invalid_repository(page, offset, index)
            if each is None
            else RepositoryRef(each.id, each.name)
            for index, each in enumerate(page.rows)
        ]
        _log_skipped(task, offset, page)
        return FetchedPage(offset, page.ids, page.has_next, rows)

    def _parse_tags(
        self, repository: RepositoryRef, task: FetchTask, offset: int, result: ApiResult
    ) -> FetchedPage:
        if self._columns and (usual := read_columns(repository, offset, result)) is not None:
            return usual
        page = read_page(TAG_PAGES, result, invalid_rows=self._session.settings.invalid_rows)
        rows = [
            page.errors[index] if tag is None else tag_row(repository, tag)
            for index, tag in enumerate(page.rows)
        ]
        _log_skipped(task, offset, page)
        items = columns_of_rows(rows) if self._columns else rows
        return FetchedPage(offset, page.ids, page.has_next, items)


def _log_skipped(task: FetchTask, offset: int, page: PageRows[Any]) -> None:
    # Pages overlap by one row, unless they hold only one.
    page.log_skipped(range(1 if offset and task.limit > 1 else 0, len(page.rows)))


def _invalid_repository(page: PageRows[Any], offset: int, index: int) -> InvalidRepository:
    error = page.errors[index]
    name = error.body.get("name") if isinstance(error.body, dict) else None
    return InvalidRepository(
        page.ids[index], name if isinstance(name, str) else None, offset + index, error
    )


class Fetcher(_BaseFetcher["Session"]):
    """Fetches pages for one iteration; threads may share it."""

    def __init__(self, client: abeja_registry.Client, *, columns: bool = False) -> None:
        super().__init__(client.organization_id, client._session.paced(), columns)

    def fetch(self, task: FetchTask) -> FetchResult:
        """Fetch a task's pages until one fails; the pages before it are kept."""
        pages: list[FetchedPage] = []
        offset: int | None = task.offset
        while offset is not None:
            try:
                result = self._session.request(self._operation(task, offset), self._deadline())
                pages.append(self._parse(task, offset, result))
            except Error as error:
                return FetchResult(pages, error)
            offset = _next_offset(task, pages)
        return FetchResult(pages)

    def sleep(self, seconds: float) -> None:
        """Sleep, unless the client is closed meanwhile."""
        self._session.sleep(seconds)

    def stop(self) -> None:
        """Send nothing more; calls in flight are not retried."""
        self._session.cancel()


def _next_offset(task: FetchTask, pages: Sequence[FetchedPage]) -> int | None:
    """Return where a task's next page starts, one item early, or None after its last page."""
    last = pages[-1]
    if len(pages) == task.pages or not last.has_next or len(last.ids) < 2:
        return None
    return last.offset + len(last.ids) - 1


class AsyncFetcher(_BaseFetcher["AsyncSession"]):
    """Fetches pages for one iteration; sending and parsing are two steps, so that they overlap."""

    def __init__(self, client: abeja_registry.AsyncClient, *, columns: bool = False) -> None:
        super().__init__(client.organization_id, client._session.paced(), columns)

    async def send(self, task: FetchTask) -> ApiResult:
        """Send the request for a task's one page.

        Raises:
            Error: It failed.
        """
        return await self._session.request(self._operation(task, task.offset), self._deadline())

    def parse(self, task: FetchTask, result: ApiResult) -> FetchResult:
        """Return the page of a response."""
        try:
            return FetchResult([self._parse(task, task.offset, result)])
        except Error as error:
            return FetchResult([], error)

    async def sleep(self, seconds: float) -> None:
        """As `Fetcher.sleep`, awaited."""
        await self._session.sleep(seconds)
