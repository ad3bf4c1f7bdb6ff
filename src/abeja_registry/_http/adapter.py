"""A client handed in: the other door to the network. Its pool, proxies, TLS are its owner's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from .._api.responses import Answer, Outcome
from ..exceptions import ConfigurationError
from .decoding import aread, headers, read
from .errors import LATE, http_libraries, map_exception
from .sender import Request
from .signals import CORES, packages

# What its owner set up for other calls (auth, following redirects) is not for ours.
_SEND: Mapping[str, Any] = {"stream": True, "auth": None, "follow_redirects": False}
# Whose frames are between us and httpcore, where no transport but the library's own is.
_LIBRARY = frozenset({"abeja_registry", "contextlib", "httpx", "httpx2"})


def _from_core(error: BaseException) -> bool:
    """Whether httpcore raised it, and no transport but the HTTP library's own passed it on.

    Another transport may name a lost connection a failed one, or may have tried before.
    """
    core = type(error.__cause__).__module__.partition(".")[0]
    return core in CORES and _LIBRARY.issuperset(packages(error.__traceback__))


def _raised(error: Any, request: object) -> Outcome:
    """Return what a client's exception says; what a hook of its owner's raised is raised again.

    A hook may well call `raise_for_status()`: of the answer to our request that is its status.
    """
    for family in http_libraries():
        if isinstance(error, family.HTTPStatusError) and error.request is request:
            response = error.response
            try:
                body = response.content
            except family.StreamError:  # it was closed unread
                body = b""
            return Answer(response.status_code, headers(response), body)
    outcome = map_exception(error)
    if request is None:  # it could not even be built
        return outcome
    return outcome if _from_core(error) else replace(outcome, sent=True)


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


class _HandedIn:
    """What both kinds share: whose client it is, and whether it can still be used."""

    _kind: str
    # Its owner's: what it is set to, nobody can read.
    proxy = None

    def __init__(self, client: object) -> None:
        if not isinstance(
            client, tuple(getattr(family, self._kind) for family in http_libraries())
        ):
            raise ConfigurationError(
                f"http_client must be an httpx.{self._kind} or an httpx2.{self._kind},"
                f" not a {type(client).__module__}.{type(client).__qualname__}"
            )
        # Any: httpx2 may not be installed, so no checker can be told of it.
        self._client: Any = client
        self._given_up = False

    @property
    def closed(self) -> bool:
        return self._given_up or bool(self._client.is_closed)

    def _built(self, request: Request) -> Any:
        return self._client.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.body,
            timeout=min(request.timeout, request.left),
        )


class HandedInClient(_HandedIn):
    """A client handed in, for threads."""

    _kind = "Client"

    def send(self, request: Request) -> Outcome:
        """Send a request through the client, and return what came."""
        built = None
        try:
            built = self._built(request)
            return read(self._client.send(built, **_SEND), request)
        except Exception as error:
            return _raised(error, built)

    def close(self) -> None:
        """Use the client no more; closing it is its owner's."""
        self._given_up = True


class HandedInAsyncClient(_HandedIn):
    """A client handed in, for the tasks of an event loop."""

    _kind = "AsyncClient"

    async def send(self, request: Request) -> Outcome:
        """As `HandedInClient.send`, awaited."""
        built = None
        deadline = asyncio.timeout(request.left)
        try:
            built = self._built(request)
            async with deadline:
                response = await self._client.send(built, **_SEND)
            return await aread(response, request, bounded=True)
        except Exception as error:
            if isinstance(error, TimeoutError) and deadline.expired():
                return LATE
            return _raised(error, built)

    async def aclose(self) -> None:
        """As `HandedInClient.close`."""
        self._given_up = True
