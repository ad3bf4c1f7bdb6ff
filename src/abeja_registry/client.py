"""The typed clients: settings in, collections out."""

from __future__ import annotations

from typing import Self

from ._config import Credential, InvalidRows, OnRetry, Settings, typed_settings
from ._handed_in import AsyncHttpClient, HttpClient
from ._retries import RetryPolicy
from ._transport import AsyncTransport, Transport
from .raw import APIClient, AsyncAPIClient
from .repositories import AsyncRepositories, Repositories
from .tags import AsyncTags, Tags


class Client:
    """The registry of one organization, as typed values.

    Threads may share one. Settings that are not given are looked for in the environment and in
    the file of the platform's command line. Pickled, it carries its settings, the credential among
    them, and opens connections of its own where it is unpickled.

    Args:
        organization_id: The organization's id; `ABEJA_ORGANIZATION_ID` if not given.
        credential: One of the credential kinds, or a dict of theirs; an empty dict sends none.
        base_url: Where the API is; `ABEJA_API_URL` or https://api.abeja.io if not given.
        timeout: Seconds for each connect, read and write, above 0; 30 if not given.
        max_retry_count: Replays of a call at the most, from 0; the count of `retry` if not given.
        http_client: An `httpx.Client` or `httpx2.Client` to send through, which stays open.
        deadline: Seconds for each call, its waits and replays included, above 0; 120 if not given.
        retry: Whether and when a call is made again.
        on_retry: A function that is told of each replay, before its wait.
        max_response_bytes: Bytes that an answer's body may have; 64 MiB if not given.
        invalid_rows: What becomes of a row that no model can be made from: "raise" ends the page
            with an `InvalidResponse`, "skip" leaves it out, with a line in the log.
        profile: The name of a configuration in the file of the platform's command line; it goes
            before the environment.

    Attributes:
        repositories: The organization's repositories.
        tags: The tags of any of them, by the repository's id.
        raw: The same API in plain dicts, over the same connections.

    Raises:
        ConfigurationError: There is no organization or no credential, or a bad value.

    Example:
        >>> with Client(organization_id, {"auth_token": "sandbox"}, base_url=sandbox.url) as client:
        ...     client.repositories.get(repository.id).name == repository.name
        True
    """

    repositories: Repositories
    tags: Tags
    raw: APIClient

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
        max_response_bytes: int | None = None,
        invalid_rows: InvalidRows | None = None,
    ) -> None:
        settings = typed_settings(
            organization_id=organization_id,
            credential=credential,
            base_url=base_url,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            max_response_bytes=max_response_bytes,
            invalid_rows=invalid_rows,
            profile=profile,
        )
        self._set_up(Transport.open(settings, http_client))

    def __getstate__(self) -> Settings:
        return self._transport.own_settings()

    def __setstate__(self, settings: Settings) -> None:
        self._set_up(Transport.open(settings, None))

    def _set_up(self, transport: Transport) -> None:
        self._transport = transport
        self.tags = Tags(transport, self.organization_id)
        self.repositories = Repositories(transport, self.organization_id, self.tags)
        self.raw = APIClient._over(transport.sharing(transport.settings))

    @property
    def organization_id(self) -> str:
        """The id of the organization whose registry this is."""
        return self._transport.settings.organization_id

    def with_options(
        self,
        *,
        organization_id: str | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> Self:
        """Return a client that differs in what is given, over the same connections.

        Args:
            organization_id: Another organization's id.
            timeout: Seconds for each connect, read and write, above 0.
            deadline: Seconds for each call, its waits and replays included, above 0.
            retry: Whether and when a call is made again.

        Returns:
            A client that can be used until this one is closed, and whose own closing does
            nothing.

        Raises:
            ConfigurationError: A value is bad.

        Example:
            >>> client.with_options(timeout=5).repositories.get(repository.id).id == repository.id
            True
        """
        settings = self._transport.settings.but(
            organization_id=organization_id, timeout=timeout, deadline=deadline, retry=retry
        )
        client = type(self).__new__(type(self))
        client._set_up(self._transport.sharing(settings))
        return client

    def close(self) -> None:
        """Close the connections; a client handed in, or shared with another, stays open."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        settings = self._transport.settings
        return f"<{type(self).__name__} of {settings.organization_id!r} at {settings.base_url}>"


class AsyncClient:
    """`Client`, awaited; it takes an `AsyncClient` as `http_client` and closes with `aclose`."""

    repositories: AsyncRepositories
    tags: AsyncTags
    raw: AsyncAPIClient

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
        max_response_bytes: int | None = None,
        invalid_rows: InvalidRows | None = None,
    ) -> None:
        settings = typed_settings(
            organization_id=organization_id,
            credential=credential,
            base_url=base_url,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            max_response_bytes=max_response_bytes,
            invalid_rows=invalid_rows,
            profile=profile,
        )
        self._set_up(AsyncTransport.open(settings, http_client))

    def __getstate__(self) -> Settings:
        return self._transport.own_settings()

    def __setstate__(self, settings: Settings) -> None:
        self._set_up(AsyncTransport.open(settings, None))

    def _set_up(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self.tags = AsyncTags(transport, self.organization_id)
        self.repositories = AsyncRepositories(transport, self.organization_id, self.tags)
        self.raw = AsyncAPIClient._over(transport.sharing(transport.settings))

    @property
    def organization_id(self) -> str:
        """As `Client.organization_id`."""
        return self._transport.settings.organization_id

    def with_options(
        self,
        *,
        organization_id: str | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> Self:
        """As `Client.with_options`."""
        settings = self._transport.settings.but(
            organization_id=organization_id, timeout=timeout, deadline=deadline, retry=retry
        )
        client = type(self).__new__(type(self))
        client._set_up(self._transport.sharing(settings))
        return client

    async def aclose(self) -> None:
        """As `Client.close`, awaited."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        settings = self._transport.settings
        return f"<{type(self).__name__} of {settings.organization_id!r} at {settings.base_url}>"
