"""Raw dicts: the interface of `abeja.registry.APIClient`, over connections that are kept.

Changing one import line moves code written for abeja-sdk over. What a method returns is the
answer's JSON object as it came: nothing renamed, converted or dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from ._api import operations
from ._api.retries import RetryPolicy
from ._display import short_url
from ._http.adapter import AsyncHttpClient, HttpClient
from ._http.owner import SessionOwner
from ._http.session import AsyncSession, Session
from ._settings.credentials import Credential
from ._settings.settings import OnRetry, raw_settings


class APIClient(SessionOwner[Session]):
    """The five operations of the Registry API, in and out of plain values.

    Args:
        credential: One of the credential kinds, or a dict of theirs; the environment's if not
            given. An empty or incomplete one sends none, the latter with a warning.
        timeout: Seconds for each connect, read and write, above 0; 30 if not given.
        max_retry_count: Replays of a call at the most, from 0; the count of `retry` if not given.
        base_url: Where the API is; `ABEJA_API_URL` or https://api.abeja.io if not given.
        http_client: An `httpx.Client` or `httpx2.Client` to send through, which stays open.
        deadline: Seconds for each call, its waits and replays included, above 0; 120 if not given.
        retry: Whether and when a call is made again.
        on_retry: A function that is told of each replay, before its wait.
        max_response_bytes: Bytes that an answer's body may have; 64 MiB if not given.

    Raises:
        ConfigurationError: An argument or a variable of the environment has a bad value.

    Example:
        >>> with APIClient({"auth_token": "sandbox"}, base_url=sandbox.url) as api_client:
        ...     api_client.get_repository(organization_id, repository.id)["creator"]["role"]
        'admin'
    """

    _session_class = Session

    def __init__(
        self,
        credential: Credential | None = None,
        timeout: float | None = None,
        max_retry_count: int | None = None,
        *,
        base_url: str | None = None,
        http_client: HttpClient | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        max_response_bytes: int | None = None,
    ) -> None:
        settings = raw_settings(
            credential=credential,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            max_response_bytes=max_response_bytes,
            base_url=base_url,
        )
        self._session = Session.open(settings, http_client)

    def create_repository(
        self, organization_id: str | int, name: str, description: str | None = None
    ) -> dict[str, Any]:
        """Create a repository.

        Calls POST /organizations/{organization_id}/registry/repositories.

        Args:
            organization_id: The organization's id.
            name: The repository's name.
            description: What it is for; left out of the request if not given.

        Returns:
            The new repository.

        Raises:
            BadRequest: The API refused the name or the description.
            OutcomeUnknown: The request was sent and no answer came: the repository may exist.
        """
        return self._session.request_json(
            operations.create_repository(organization_id, name, description)
        )

    def delete_repository(
        self, organization_id: str | int, repository_id: str | int
    ) -> dict[str, Any]:
        """Delete a repository and its tags.

        Calls DELETE /organizations/{organization_id}/registry/repositories/{repository_id}.

        Args:
            organization_id: The organization's id.
            repository_id: The repository's id.

        Returns:
            The repository as it was; an empty dict where the API answers with nothing.

        Raises:
            NotFound: There is no such repository.
        """
        return self._session.request_json(
            operations.delete_repository(organization_id, repository_id)
        )

    def get_repositories(
        self, organization_id: str | int, limit: int | None = None, offset: int | None = None
    ) -> dict[str, Any]:
        """Fetch one page of an organization's repositories.

        Calls GET /organizations/{organization_id}/registry/repositories.

        Args:
            organization_id: The organization's id.
            limit: Repositories to return at the most; sent as it is given.
            offset: Repositories to pass over; sent as it is given.

        Returns:
            The page, its items under `registry_repositories`.
        """
        return self._session.request_json(
            operations.get_repositories(organization_id, limit, offset)
        )

    def get_repository(
        self, organization_id: str | int, repository_id: str | int
    ) -> dict[str, Any]:
        """Fetch one repository.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}.

        Args:
            organization_id: The organization's id.
            repository_id: The repository's id.

        Returns:
            The repository.

        Raises:
            NotFound: There is no such repository.
        """
        return self._session.request_json(operations.get_repository(organization_id, repository_id))

    def get_repository_tags(
        self,
        organization_id: str | int,
        repository_id: str | int,
        limit: int | None = None,
        offset: int | None = None,
    ) -> dict[str, Any]:
        """Fetch one page of a repository's tags.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags.

        Args:
            organization_id: The organization's id.
            repository_id: The repository's id.
            limit: Tags to return at the most; sent as it is given.
            offset: Tags to pass over; sent as it is given.

        Returns:
            The page, its items under `tags`.

        Raises:
            NotFound: There is no such repository.
        """
        return self._session.request_json(
            operations.get_repository_tags(organization_id, repository_id, limit, offset)
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
    ) -> Any:
        """Send a request to an endpoint that this package does not know.

        It has the same credential, connections, deadline and errors as the other methods. A GET, a
        HEAD and a DELETE are retried as the policy says; any other method only where the request
        was certainly not processed.

        Args:
            method: "GET", "HEAD", "POST", "PUT", "PATCH" or "DELETE".
            path: The path below the base URL, such as `/organizations/1410000000000/registry`.
                Percent-encode what is special in a segment.
            params: The query, by name; a list is sent as one parameter for each item.
            json: The JSON value to send as the body.

        Returns:
            The JSON value of the response; None where its body is empty.

        Raises:
            InvalidArgument: An argument is invalid; nothing was sent.
            HttpError: The API answered with another status than a success.
            InvalidResponse: The body is not JSON.

        Example:
            >>> path = f"/organizations/{organization_id}/registry/repositories"
            >>> client.raw.request("GET", path, params={"limit": 1})["limit"]
            1
        """
        return self._session.request_json(operations.request(method, path, params, json))

    def close(self) -> None:
        """Close the connections; a client handed in, or shared with another, stays open."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {short_url(self._session.settings.base_url)}>"


class AsyncAPIClient(SessionOwner[AsyncSession]):
    """`APIClient`, awaited; it takes an `AsyncClient` as `http_client` and closes with `aclose`."""

    _session_class = AsyncSession

    def __init__(
        self,
        credential: Credential | None = None,
        timeout: float | None = None,
        max_retry_count: int | None = None,
        *,
        base_url: str | None = None,
        http_client: AsyncHttpClient | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        max_response_bytes: int | None = None,
    ) -> None:
        settings = raw_settings(
            credential=credential,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            max_response_bytes=max_response_bytes,
            base_url=base_url,
        )
        self._session = AsyncSession.open(settings, http_client)

    async def create_repository(
        self, organization_id: str | int, name: str, description: str | None = None
    ) -> dict[str, Any]:
        """As `APIClient.create_repository`, awaited."""
        return await self._session.request_json(
            operations.create_repository(organization_id, name, description)
        )

    async def delete_repository(
        self, organization_id: str | int, repository_id: str | int
    ) -> dict[str, Any]:
        """As `APIClient.delete_repository`, awaited."""
        return await self._session.request_json(
            operations.delete_repository(organization_id, repository_id)
        )

    async def get_repositories(
        self, organization_id: str | int, limit: int | None = None, offset: int | None = None
    ) -> dict[str, Any]:
        """As `APIClient.get_repositories`, awaited."""
        return await self._session.request_json(
            operations.get_repositories(organization_id, limit, offset)
        )

    async def get_repository(
        self, organization_id: str | int, repository_id: str | int
    ) -> dict[str, Any]:
        """As `APIClient.get_repository`, awaited."""
        return await self._session.request_json(
            operations.get_repository(organization_id, repository_id)
        )

    async def get_repository_tags(
        self,
        organization_id: str | int,
        repository_id: str | int,
        limit: int | None = None,
        offset: int | None = None,
    ) -> dict[str, Any]:
        """As `APIClient.get_repository_tags`, awaited."""
        return await self._session.request_json(
            operations.get_repository_tags(organization_id, repository_id, limit, offset)
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
    ) -> Any:
        """As `APIClient.request`, awaited."""
        operation = operations.request(method, path, params, json)
        return await self._session.request_json(operation)

    async def aclose(self) -> None:
        """As `APIClient.close`, awaited."""
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {short_url(self._session.settings.base_url)}>"
