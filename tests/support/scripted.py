"""An API with scripted responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import httpcore
import httpcore2
import httpx
import httpx2

from abeja_registry import APIClient, AsyncAPIClient, AsyncClient, Client

from .certificates import NO_TLS
from .examples import BASE_URL, ORGANIZATION_ID

T = TypeVar("T")


@dataclass(frozen=True)
class Sent:
    """A request as the scripted API saw it; header names are in lower case."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedApi:
    """An API with scripted responses, used through one of the senders.

    Attributes:
        sender: "own" for own connections, or the library of the client: "httpx" or "httpx2".
        requests: What was sent, oldest first.
        on_request: Called with each request of the HTTP library before the response.
    """

    sender: str
    requests: list[Sent] = field(default_factory=list)
    on_request: Callable[[Any], object] = lambda _: None
    _status: int = 200
    _content: bytes = b"{}"
    _headers: dict[str, str] = field(default_factory=dict)
    _error: str | None = None
    _message: str = ""
    _open: list[Any] = field(default_factory=list)

    def responds(
        self,
        body: object = None,
        *,
        status: int = 200,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Respond to every request from now on with this JSON value, or with these bytes."""
        self._error = None
        self._status = status
        self._content = json.dumps(body).encode() if content is None else content
        self._headers = {"content-type": "application/json", **(headers or {})}

    def fails(self, error: str, message: str = "scripted") -> None:
        """Raise the HTTP library's exception with this name for every request from now on."""
        self._error, self._message = error, message

    def raw(self, **options: Any) -> APIClient:
        """Return a raw client that uses this sender."""
        return self._kept(APIClient({"auth_token": "t"}, **self._sync(), **options))

    def async_raw(self, **options: Any) -> AsyncAPIClient:
        """Return an async raw client that uses this sender."""
        return AsyncAPIClient({"auth_token": "t"}, **self._async(), **options)

    def client(self, **options: Any) -> Client:
        """Return a typed client that uses this sender."""
        return self._kept(Client(ORGANIZATION_ID, {"auth_token": "t"}, **self._sync(), **options))

    def async_client(self, **options: Any) -> AsyncClient:
        """Return an async typed client that uses this sender."""
        return AsyncClient(ORGANIZATION_ID, {"auth_token": "t"}, **self._async(), **options)

    def close(self) -> None:
        """Close the sync clients."""
        for client in self._open:
            client.close()

    def _kept(self, client: T) -> T:
        self._open.append(client)
        return client

    def _sync(self) -> dict[str, Any]:
        if self.sender == "own":
            return {"base_url": BASE_URL}
        library = httpx if self.sender == "httpx" else httpx2
        return {"base_url": BASE_URL, "http_client": self._kept(library.Client(verify=NO_TLS))}

    def _async(self) -> dict[str, Any]:
        if self.sender == "own":
            return {"base_url": BASE_URL}
        library = httpx if self.sender == "httpx" else httpx2
        return {"base_url": BASE_URL, "http_client": library.AsyncClient(verify=NO_TLS)}

    def _record(self, request: Any) -> None:
        self.requests.append(
            Sent(request.method, str(request.url), dict(request.headers), request.content)
        )
        self.on_request(request)

    def respond_httpx(self, request: httpx.Request) -> httpx.Response:
        """Respond instead of httpcore, as respx does."""
        self._record(request)
        if self._error:
            # httpcore has most of these classes, and httpx maps them to its own.
            raise getattr(httpcore, self._error, getattr(httpx, self._error))(self._message)
        return httpx.Response(self._status, content=self._content, headers=self._headers)

    def respond_httpcore2(self, request: httpcore2.Request) -> httpcore2.Response:
        """Respond instead of httpcore2, which respx does not support."""
        url = httpx2.URL(bytes(request.url).decode("ascii"))
        content = b"".join(cast(Iterable[bytes], request.stream))
        method = request.method.decode()
        self._record(httpx2.Request(method, url, headers=request.headers, content=content))
        if self._error:
            raise getattr(httpcore2, self._error, getattr(httpx2, self._error))(self._message)
        length = {"content-length": str(len(self._content))}
        headers = list({**length, **self._headers}.items())
        return httpcore2.Response(self._status, headers=headers, content=self._content)

    async def respond_httpcore2_async(self, request: httpcore2.Request) -> httpcore2.Response:
        """As `respond_httpcore2`."""
        return self.respond_httpcore2(request)
