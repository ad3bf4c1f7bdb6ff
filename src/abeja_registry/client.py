"""The typed clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar

# By its name, so that evaluated annotations find names of modules that are loaded on first use.
import abeja_registry

from ._api.retries import RetryPolicy
from ._display import short_repr, short_url
from ._http.adapter import AsyncHttpClient, HttpClient
from ._http.owner import SessionOwner, client_over
from ._http.session import AsyncSession, Session
from ._settings.credentials import Credential
from ._settings.settings import OnResponse, OnRetry, Setting, resolve
from ._validation import InvalidRows
from .raw import APIClient, AsyncAPIClient

if TYPE_CHECKING:
    import abeja_registry.contract
    import abeja_registry.inventory


S = TypeVar("S", Session, AsyncSession)


class _BaseClient(SessionOwner[S]):
    """The part that both typed clients share."""

    @property
    def organization_id(self) -> str:
        """The id of the client's organization."""
        return self._session.settings.organization_id

    def with_options(
        self,
        *,
        organization_id: str | None = None,
        timeout: float | None = None,
        max_retry_count: int | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        on_response: OnResponse | None = None,
    ) -> Self:
        """Return a client with other options, over the same connections.

        Args:
            organization_id: The id of another organization.
            timeout: Seconds for each connect, read and write, > 0.
            max_retry_count: The maximum number of retries of a call, >= 0.
            deadline: Seconds for each call with its waits and retries, > 0.
            retry: Whether and when a call is retried.
            on_retry: A function that is called with a `Retry` before each wait.
            on_response: A function that is called with a `ResponseInfo` for each response.

        Returns:
            A client that works until this one is closed; closing it does nothing. An instance of a
            subclass has the same attributes, not copies of them, and `__init__` is not called.

        Raises:
            ConfigurationError: A value is invalid.

        Example:
            >>> client.with_options(timeout=5).repositories.get(repository.id).id == repository.id
            True
        """
        settings = self._session.settings.with_changes(
            organization_id=organization_id,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            on_response=on_response,
        )
        return self._copy(self._session.with_settings(settings))

    def settings(self) -> tuple[Setting, ...]:
        """Return each setting of this client with its source; secrets are masked.

        Example:
            >>> for setting in client.settings()[:2]:
            ...     print(setting.name, "-", setting.value, "-", setting.source)
            organization_id - 1410000000000 - argument organization_id
            credential - Bearer *** - argument credential
        """
        return self._session.settings.resolution.shown

    def __repr__(self) -> str:
        address = short_url(self._session.settings.base_url)
        return f"<{type(self).__name__} of {short_repr(self.organization_id)} at {address}>"


class Client(_BaseClient[Session]):
    """A client of one organization's registry that returns typed values.

    Threads can share a client. Other settings come from the environment and from the ABEJA CLI's
    file. A pickle holds the settings with the credential; an unpickled client opens its own
    connections. The logger `abeja_registry` gets a warning for each retry and each skipped row.

    Args:
        organization_id: The organization's id. Defaults to `ABEJA_ORGANIZATION_ID`.
        credential: One of the credential classes, or a dict with its fields; an empty dict sends
            no credential.
        base_url: The API's URL. Defaults to `ABEJA_API_URL`, or https://api.abeja.io.
        timeout: Seconds for each connect, read and write, > 0. Defaults to 30.
        max_retry_count: The maximum number of retries of a call, >= 0. Defaults to the number of
            `retry`.
        http_client: An `httpx.Client` or `httpx2.Client` that sends the requests; closing it
            remains the caller's task.
        deadline: Seconds for each call with its waits and retries, > 0. Defaults to 120.
        retry: Whether and when a call is retried.
        on_retry: A function that is called with a `Retry` before each wait.
        on_response: A function that is called with a `ResponseInfo` for each response.
        user_agent: A suffix of the User-Agent header, such as `trainer/1.2`.
        default_headers: Further headers of each request, by name.
        max_response_bytes: The maximum size of a response's body. Defaults to 64 MiB.
        invalid_rows: What to do with a row that fails validation: "raise" an `InvalidResponse`,
            or "skip" the row and log it. Defaults to "raise".
        profile: The name of a configuration in the ABEJA CLI's file; it takes precedence over the
            environment.

    Raises:
        ConfigurationError: The organization or the credential is missing, or a value is invalid.

    Example:
        >>> with Client(organization_id, {"auth_token": "sandbox"}, base_url=sandbox.url) as client:
        ...     client.repositories.get(repository.id).name == repository.name
        True
    """

    def __init__(
        self,
        organization_id: str | None = None,
        credential: Credential | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retry_count: int | None = None,
        http_client: HttpClient | None = None,
        profile: str | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        on_response: OnResponse | None = None,
        user_agent: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        max_response_bytes: int | None = None,
        invalid_rows: InvalidRows | None = None,
    ) -> None:
        settings = resolve(
            organization_id=organization_id,
            credential=credential,
            base_url=base_url,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            on_response=on_response,
            user_agent=user_agent,
            default_headers=default_headers,
            max_response_bytes=max_response_bytes,
            invalid_rows=invalid_rows,
            profile=profile,
        ).settings()
        self._session = Session.open(settings, http_client)

    _session_class = Session

    # Imported on first use, because importing pydantic's models dominates start-up.

    @cached_property
    def tags(self) -> abeja_registry.Tags:
        """The tags of any repository, by the repository's id."""
        from .tags import Tags

        return Tags(self._session)

    @cached_property
    def repositories(self) -> abeja_registry.Repositories:
        """The organization's repositories."""
        from .repositories import Repositories

        return Repositories(self._session, self.tags)

    @cached_property
    def raw(self) -> APIClient:
        """A client of the same API that returns plain dicts, over the same connections."""
        return client_over(APIClient, self._session.with_settings(self._session.settings))

    def inventory(
        self,
        *,
        concurrency: int = 16,
        page_size: int | None = None,
        include: str | Iterable[str] = "*",
        exclude: str | Iterable[str] = (),
        on_progress: abeja_registry.inventory.OnProgress | None = None,
        executor: Executor | None = None,
    ) -> abeja_registry.inventory.Inventory:
        """Return every tag of the organization as rows; no request is sent until iteration starts.

        Calls GET /organizations/{organization_id}/registry/repositories and, for each of these,
        GET …/{repository_id}/tags, once a page. Repositories are read in parallel, and so are the
        pages of a large one, with the guarantees of `iter_tags` under concurrent changes. A
        repository that fails is read again after all others; if it fails again, it is among the
        inventory's `failures`. While the API throttles, the inventory sends fewer requests at a
        time, and sends throttled requests again. Rows are returned as they are fetched, those of
        one repository in order. Memory stays flat: about twice `concurrency` pages are buffered
        while the consumer pauses between two rows.

        Args:
            concurrency: Requests in flight at a time, >= 1; fewer while the API throttles.
            page_size: Items that each request asks for, >= 1. Defaults to 100.
            include: One glob pattern or several, with `*`, `?` and `[…]`: repositories whose name
                matches none of them are left out.
            exclude: One glob pattern or several: repositories whose name matches any of them are
                left out.
            on_progress: A function that is called with the `Progress` after each response.
            executor: Where requests are sent. Defaults to the inventory's own threads. A process
                pool or a cluster (`distributed.Client.get_executor()`) receives the client's
                settings with the credential, and returns about 1,000 rows at a time. The client
                must be picklable: without a user-supplied `http_client`, its hooks too.

        Returns:
            An `Inventory`: its rows by iteration, `write_jsonl` and the like, `summary`, `diff`,
            and after an iteration `repositories`, with and without tags.

        Raises:
            InvalidArgument: An argument is out of its bounds, or the client cannot be pickled.

        Example:
            >>> for row in client.inventory(include="sample_*"):
            ...     print(row.repository_name, row.tag, row.size > 0)
            sample_repository 0.0.1 True
            sample_repository 0.0.2 True
            sample_repository 0.0.3 True
        """
        from .inventory import Inventory

        return Inventory(
            self,
            concurrency=concurrency,
            page_size=page_size,
            include=include,
            exclude=exclude,
            on_progress=on_progress,
            executor=executor,
        )

    def check_contract(self) -> abeja_registry.contract.ContractReport:
        """Compare the API with the reference that this package is written from.

        About ten read-only calls with this client's settings check the connection, TLS and the
        credential; the fields of each operation and their types; the default page size, a large
        limit and the order of the lists; and the error for a missing repository. A failed check is
        a finding, and the other checks go on. With a user-supplied `http_client` or a proxy, the
        first call shows whether the connection works.

        Returns:
            A `ContractReport`. Its `ok` is false if something differs. Its text is a table for bug
            reports, without secrets, e-mail addresses, ids and names.

        Raises:
            Error: The client was closed.

        Example:
            >>> report = client.check_contract()
            >>> report.ok
            True
            >>> for finding in report.findings[-3:]:
            ...     print(finding.subject, "-", finding.status, "-", finding.detail)
            get_repository, fields - ok - as in the reference (1 checked)
            get_repository, fields of a tag - ok - as in the reference (3 checked)
            a missing repository - ok - NotFound (404), JSON, with a code in `error`, without \
`error_detail`
        """
        from .contract._check import check

        return check(self._session)

    def close(self) -> None:
        """Close the connections; a user-supplied `http_client` stays open.

        A call that sleeps before a retry stops and raises its last error. Closing a client made by
        `with_options` does nothing.
        """
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_BaseClient[AsyncSession]):
    """`Client`, awaited; it takes an `AsyncClient` as `http_client` and closes with `aclose`."""

    def __init__(
        self,
        organization_id: str | None = None,
        credential: Credential | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retry_count: int | None = None,
        http_client: AsyncHttpClient | None = None,
        profile: str | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        on_response: OnResponse | None = None,
        user_agent: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        max_response_bytes: int | None = None,
        invalid_rows: InvalidRows | None = None,
    ) -> None:
        settings = resolve(
            organization_id=organization_id,
            credential=credential,
            base_url=base_url,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            on_response=on_response,
            user_agent=user_agent,
            default_headers=default_headers,
            max_response_bytes=max_response_bytes,
            invalid_rows=invalid_rows,
            profile=profile,
        ).settings()
        self._session = AsyncSession.open(settings, http_client)

    _session_class = AsyncSession

    # Imported on first use, because importing pydantic's models dominates start-up.

    @cached_property
    def tags(self) -> abeja_registry.AsyncTags:
        """The tags of any repository, by the repository's id."""
        from .tags import AsyncTags

        return AsyncTags(self._session)

    @cached_property
    def repositories(self) -> abeja_registry.AsyncRepositories:
        """The organization's repositories."""
        from .repositories import AsyncRepositories

        return AsyncRepositories(self._session, self.tags)

    @cached_property
    def raw(self) -> AsyncAPIClient:
        """A client of the same API that returns plain dicts, over the same connections."""
        return client_over(AsyncAPIClient, self._session.with_settings(self._session.settings))

    def inventory(
        self,
        *,
        concurrency: int = 16,
        page_size: int | None = None,
        include: str | Iterable[str] = "*",
        exclude: str | Iterable[str] = (),
        on_progress: abeja_registry.inventory.OnProgress | None = None,
    ) -> abeja_registry.inventory.AsyncInventory:
        """As `Client.inventory`, to iterate over with `async for`; it takes no executor."""
        from .inventory import AsyncInventory

        return AsyncInventory(
            self,
            concurrency=concurrency,
            page_size=page_size,
            include=include,
            exclude=exclude,
            on_progress=on_progress,
        )

    async def check_contract(self) -> abeja_registry.contract.ContractReport:
        """As `Client.check_contract`, awaited."""
        from .contract._check import acheck

        return await acheck(self._session)

    async def aclose(self) -> None:
        """As `Client.close`, awaited."""
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
