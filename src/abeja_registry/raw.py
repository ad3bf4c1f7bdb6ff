"""Raw dicts: the interface of `abeja.registry.APIClient`, with keep-alive connections.

Changing one import line moves code from abeja-sdk. A method returns the response's JSON object
unchanged: nothing is renamed, converted or dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from ._api import operations
from ._api.dicts import (
    DeletedRepositoryDict,
    RepositoryDict,
    RepositoryPageDict,
    TagPageDict,
)
from ._api.retries import RetryPolicy
from ._display import short_url
from ._http.adapter import AsyncHttpClient, HttpClient
from ._http.owner import SessionOwner
from ._http.session import AsyncSession, Session
from ._settings.credentials import Credential
from ._settings.settings import OnResponse, OnRetry, raw_settings


class APIClient(SessionOwner[Session]):
    """The five operations of the Registry API, with plain values and dicts.

    Args:
        credential: One of the credential classes, or a dict with its fields. Defaults to the
            environment's. An empty or incomplete one sends no credential; an incomplete one warns.
        timeout: Seconds for each connect, read and write, > 0. Defaults to 30.
        max_retry_count: The maximum number of retries of a call, >= 0. Defaults to the number of
            `retry`.
        base_url: The API's URL. Defaults to `ABEJA_API_URL`, or https://api.abeja.io.
        http_client: An `httpx.Client` or `httpx2.Client` that sends the requests; closing it
            remains the caller's task.
        deadline: Seconds for each call with its waits and retries, > 0. Defaults to 120.
        retry: Whether and when a call is retried.
        on_retry: A function that is called with a `Retry` before each wait.
        on_response: A function that is called with a `ResponseInfo` for each response.
        user_agent: A suffix of the User-Agent header, such as `trainer/1.2`.
        default_headers: Further headers of each request, by name.
        max_response_bytes: The maximum size of a response's body. Defaults to 64 MiB.

    Raises:
        ConfigurationError: An argument or an environment variable is invalid.

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
        on_response: OnResponse | None = None,
        user_agent: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        max_response_bytes: int | None = None,
    ) -> None:
        settings = raw_settings(
            credential=credential,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            on_response=on_response,
            user_agent=user_agent,
            default_headers=default_headers,
            max_response_bytes=max_response_bytes,
            base_url=base_url,
        )
        self._session = Session.open(settings, http_client)

    def create_repository(
        self, organization_id: str | int, name: str, description: str | None = None
    ) -> RepositoryDict:
        """Create a repository.

        Calls POST /organizations/{organization_id}/registry/repositories.

        Args:
            organization_id: The organization's id.
            name: The repository's name.
            description: The repository's description. Defaults to none.

        Returns:
            The new repository.

        Raises:
            BadRequest: The API rejected the name or the description.
            OutcomeUnknown: The request got no response: the repository may exist.
        """
        response: RepositoryDict = self._session.request_json(
            operations.create_repository(organization_id, name, description)
        )
        return response

    def delete_repository(
        self, organization_id: str | int, repository_id: str | int
    ) -> DeletedRepositoryDict:
        """Delete a repository and its tags.

        Calls DELETE /organizations/{organization_id}/registry/repositories/{repository_id}.

        Args:
            organization_id: The organization's id.
            repository_id: The repository's id.

        Returns:
            The deleted repository; an empty dict if the response has no body.

        Raises:
            NotFound: The repository does not exist.
        """
        response: DeletedRepositoryDict = self._session.request_json(
            operations.delete_repository(organization_id, repository_id)
        )
        return response

    def get_repositories(
        self, organization_id: str | int, limit: int | None = None, offset: int | None = None
    ) -> RepositoryPageDict:
        """Fetch one page of an organization's repositories.

        Calls GET /organizations/{organization_id}/registry/repositories.

        Args:
            organization_id: The organization's id.
            limit: The maximum number of repositories; sent unchanged.
            offset: The number of repositories to skip; sent unchanged.

        Returns:
            The page, with its items under `registry_repositories`.
        """
        response: RepositoryPageDict = self._session.request_json(
            operations.get_repositories(organization_id, limit, offset)
        )
        return response

    def get_repository(
        self, organization_id: str | int, repository_id: str | int
    ) -> RepositoryDict:
        """Fetch one repository.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}.

        Args:
            organization_id: The organization's id.
            repository_id: The repository's id.

        Returns:
            The repository.

        Raises:
            NotFound: The repository does not exist.
        """
        response: RepositoryDict = self._session.request_json(
            operations.get_repository(organization_id, repository_id)
        )
        return response

    def get_repository_tags(
        self,
        organization_id: str | int,
        repository_id: str | int,
        limit: int | None = None,
        offset: int | None = None,
    ) -> TagPageDict:
        """Fetch one page of a repository's tags.

        Calls GET /organizations/{organization_id}/registry/repositories/{repository_id}/tags.

        Args:
            organization_id: The organization's id.
            repository_id: The repository's id.
            limit: The maximum number of tags; sent unchanged.
            offset: The number of tags to skip; sent unchanged.

        Returns:
            The page, with its items under `tags`.

        Raises:
            NotFound: The repository does not exist.
        """
        response: TagPageDict = self._session.request_json(
            operations.get_repository_tags(organization_id, repository_id, limit, offset)
        )
        return response

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
                Special characters in a segment must be percent-encoded.
            params: The query's parameters by their names; a list is sent as one parameter per item.
            json: The JSON value to send as the body.

        Returns:
            The JSON value of the response; None if its body is empty.

        Raises:
            InvalidArgument: An argument is invalid; no request was sent.
            HttpError: The response has an error status.
            InvalidResponse: The body is not JSON.

        Example:
            >>> path = f"/organizations/{organization_id}/registry/repositories"
            >>> client.raw.request("GET", path, params={"limit": 1})["limit"]
            1
        """
        return self._session.request_json(operations.request(method, path, params, json))

    def close(self) -> None:
        """Close the connections; a user-supplied `http_client` stays open."""
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
        on_response: OnResponse | None = None,
        user_agent: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        max_response_bytes: int | None = None,
    ) -> None:
        settings = raw_settings(
            credential=credential,
            timeout=timeout,
            max_retry_count=max_retry_count,
            deadline=deadline,
            retry=retry,
            on_retry=on_retry,
            on_response=on_response,
            user_agent=user_agent,
            default_headers=default_headers,
            max_response_bytes=max_response_bytes,
            base_url=base_url,
        )
        self._session = AsyncSession.open(settings, http_client)

    async def create_repository(
        self, organization_id: str | int, name: str, description: str | None = None
    ) -> RepositoryDict:
        """As `APIClient.create_repository`, awaited."""
        response: RepositoryDict = await self._session.request_json(
            operations.create_repository(organization_id, name, description)
        )
        return response

    async def delete_repository(
        self, organization_id: str | int, repository_id: str | int
    ) -> DeletedRepositoryDict:
        """As `APIClient.delete_repository`, awaited."""
        response: DeletedRepositoryDict = await self._session.request_json(
            operations.delete_repository(organization_id, repository_id)
        )
        return response

    async def get_repositories(
        self, organization_id: str | int, limit: int | None = None, offset: int | None = None
    ) -> RepositoryPageDict:
        """As `APIClient.get_repositories`, awaited."""
        response: RepositoryPageDict = await self._session.request_json(
            operations.get_repositories(organization_id, limit, offset)
        )
        return response

    async def get_repository(
        self, organization_id: str | int, repository_id: str | int
    ) -> RepositoryDict:
        """As `APIClient.get_repository`, awaited."""
        response: RepositoryDict = await self._session.request_json(
            operations.get_repository(organization_id, repository_id)
        )
        return response

    async def get_repository_tags(
        self,
        organization_id: str | int,
        repository_id: str | int,
        limit: int | None = None,
        offset: int | None = None,
    ) -> TagPageDict:
        """As `APIClient.get_repository_tags`, awaited."""
        response: TagPageDict = await self._session.request_json(
            operations.get_repository_tags(organization_id, repository_id, limit, offset)
        )
        return response

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
