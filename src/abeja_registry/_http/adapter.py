"""A user-supplied client as a sender. Its pool, proxies, TLS and hooks belong to its owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from .._api.responses import AttemptResult, Response
from ..exceptions import ConfigurationError
from .decoding import aread_response, decode_headers, parse_json, read_response
from .errors import DEADLINE_EXCEEDED, http_libraries, map_exception
from .sender import Request
from .signals import CORES, packages

# The owner's auth and redirects must not apply to this package's requests.
_SEND: Mapping[str, Any] = {"stream": True, "auth": None, "follow_redirects": False}
# The packages between this module and httpcore if the transport is the HTTP library's own.
_KNOWN_PACKAGES = frozenset({"abeja_registry", "contextlib", "httpx", "httpx2"})


def _from_core(error: BaseException) -> bool:
    """Whether httpcore raised it, and only the HTTP library's own transport passed it on.

    A custom transport may report a lost connection as a failed one, or may have retried.
    """
    core = type(error.__cause__).__module__.partition(".")[0]
    return core in CORES and _KNOWN_PACKAGES.issuperset(packages(error.__traceback__))


def _result_of(error: Any, built: object, request: Request) -> AttemptResult:
    """Return an attempt's result for a client's exception; re-raise an exception of a user's hook.

    If a hook calls `raise_for_status()` on this request's response, the result is that response.
    """
    for library in http_libraries():
        if isinstance(error, library.HTTPStatusError) and error.request is built:
            response = error.response
            try:
                content = response.content
            except library.StreamError:  # the response was closed unread
                content = b""
            headers = decode_headers(response)
            return Response(response.status_code, headers, content, parse_json(content))
    result = map_exception(error, request.redact)
    if built is None:  # build_request() failed
        return result
    return result if _from_core(error) else replace(result, sent=True)


class HttpClient(Protocol):
    """The type of `http_client`: an `httpx.Client` or an `httpx2.Client`."""

    @property
    def is_closed(self) -> bool: ...
    def build_request(self, method: str, url: str) -> object: ...
    def close(self) -> None: ...


class AsyncHttpClient(Protocol):
    """The type of an async client's `http_client`: an `AsyncClient` of httpx or httpx2."""

    @property
    def is_closed(self) -> bool: ...
    def build_request(self, method: str, url: str) -> object: ...
    async def aclose(self) -> None: ...


class _BaseAdapter:
    """Checks a user-supplied client, and builds its requests."""

    _class: str
    # httpx does not expose a client's proxy.
    proxy: str | None = None

    def __init__(self, client: object) -> None:
        classes = tuple(getattr(library, self._class) for library in http_libraries())
        if not isinstance(client, classes):
            raise ConfigurationError(
                f"http_client must be an httpx.{self._class} or an httpx2.{self._class},"
                f" not a {type(client).__module__}.{type(client).__qualname__}"
            )
        # Any: httpx2 may not be installed, so type checkers may not know it.
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
        """Send no more requests; the client stays open for its owner."""
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
            return await aread_response(response, request, deadline)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                return DEADLINE_EXCEEDED
            return _result_of(error, built, request)

    async def aclose(self) -> None:
        """As `HttpClientAdapter.close`."""
        self._closed = True
