"""A user-supplied client as a sender. Its pool, proxies, TLS and hooks are its owner's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from .._api.responses import AttemptResult, Response
from ..exceptions import ConfigurationError
from .decoding import aread_response, decode_headers, parse_json, read_response
from .errors import LATE, http_libraries, map_exception
from .sender import Request
from .signals import CORES, packages

# The owner's auth and redirects are meant for other calls.
_SEND: Mapping[str, Any] = {"stream": True, "auth": None, "follow_redirects": False}
# Packages whose frames are between us and httpcore, where the transport is the library's own.
_LIBRARY = frozenset({"abeja_registry", "contextlib", "httpx", "httpx2"})


def _from_core(error: BaseException) -> bool:
    """Whether httpcore raised it, and no transport but the HTTP library's own passed it on.

    Another transport may name a lost connection a failed one, or may have tried before.
    """
    core = type(error.__cause__).__module__.partition(".")[0]
    return core in CORES and _LIBRARY.issuperset(packages(error.__traceback__))


def _result_of(error: Any, built: object, request: Request) -> AttemptResult:
    """Return what a client's exception says; an exception of its owner's hook is raised again.

    A hook may call `raise_for_status()`: about the response to our request, that is its status.
    """
    for library in http_libraries():
        if isinstance(error, library.HTTPStatusError) and error.request is built:
            response = error.response
            try:
                content = response.content
            except library.StreamError:  # it was closed unread
                content = b""
            headers = decode_headers(response)
            return Response(response.status_code, headers, content, parse_json(content))
    result = map_exception(error, request.redact)
    if built is None:  # it could not even be built
        return result
    return result if _from_core(error) else replace(result, sent=True)


class HttpClient(Protocol):
    """What a client takes as `http_client`: an `httpx.Client` or an `httpx2.Client`."""

    @property
    def is_closed(self) -> bool: ...
    def build_request(self, method: str, url: str) -> object: ...
    def close(self) -> None: ...


class AsyncHttpClient(Protocol):
    """What an async client takes as `http_client`: an `AsyncClient` of httpx or httpx2."""

    @property
    def is_closed(self) -> bool: ...
    def build_request(self, method: str, url: str) -> object: ...
    async def aclose(self) -> None: ...


class _BaseAdapter:
    """Checks a user-supplied client, and builds its requests."""

    _class: str
    # The owner's proxy, if any, cannot be read.
    proxy: str | None = None

    def __init__(self, client: object) -> None:
        classes = tuple(getattr(library, self._class) for library in http_libraries())
        if not isinstance(client, classes):
            raise ConfigurationError(
                f"http_client must be an httpx.{self._class} or an httpx2.{self._class},"
                f" not a {type(client).__module__}.{type(client).__qualname__}"
            )
        # Any: httpx2 may not be installed, so no checker can know it.
        self._client: Any = client
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed or bool(self._client.is_closed)

    def _build_request(self, request: Request, remaining: float) -> Any:
        return self._client.build_request(
            request.method,
            request.base_url + request.target,
            headers=request.headers,
            content=request.body,
            timeout=min(request.timeout, max(0.0, remaining)),
        )


class HttpClientAdapter(_BaseAdapter):
    """A user-supplied client as a sender for threads."""

    _class = "Client"

    def send(self, request: Request, remaining: float) -> AttemptResult:
        deadline = time.monotonic() + remaining
        built = None
        try:
            built = self._build_request(request, remaining)
            return read_response(self._client.send(built, **_SEND), request, deadline)
        except Exception as error:
            return _result_of(error, built, request)

    def close(self) -> None:
        """Send nothing more; the client stays open for its owner."""
        self._closed = True


class AsyncHttpClientAdapter(_BaseAdapter):
    """A user-supplied client as a sender for tasks."""

    _class = "AsyncClient"

    async def send(self, request: Request, remaining: float) -> AttemptResult:
        deadline = time.monotonic() + remaining
        built = None
        limit = asyncio.timeout(remaining)
        try:
            built = self._build_request(request, remaining)
            async with limit:
                response = await self._client.send(built, **_SEND)
            return await aread_response(response, request, max(0.0, deadline - time.monotonic()))
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                return LATE
            return _result_of(error, built, request)

    async def aclose(self) -> None:
        """As `HttpClientAdapter.close`."""
        self._closed = True
