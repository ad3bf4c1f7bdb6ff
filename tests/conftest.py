"""What every test may use: a clean environment, the API's answers, a sandbox, a scripted API."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import respx
from hypothesis import HealthCheck, settings

from abeja_registry import APIClient, AsyncAPIClient, AsyncClient, Client
from abeja_registry._http.session import AsyncTransport, Transport
from abeja_registry.sandbox import Sandbox

pytest_plugins = ["abeja_registry.testing", "pytester"]

# How long an example takes depends on what else the machine does.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run; `make fuzz` draws others.
settings.register_profile("fixed", _UNTIMED, derandomize=True, database=None)
settings.register_profile("fuzz", _UNTIMED, derandomize=False, print_blob=True)
settings.load_profile("fixed")

T = TypeVar("T")
Answers = Callable[[str], dict[str, Any]]

ANSWERS = Path(__file__).parent / "answers"
ORGANIZATION_ID = "1410000000000"
# Seconds that what others do may take, at the very most.
PATIENCE = 30
# The wait for a replay, as it is where no test has replaced it.
SLEEP, ASYNC_SLEEP = Transport._sleep, AsyncTransport._sleep
BASE_URL = "https://api.example.com"


async def done(value: Any) -> Any:
    """Return what a call of either world returns."""
    return await value if inspect.isawaitable(value) else value


async def walked(walk: Any) -> list[Any]:
    """Return all that a walk of either world comes by."""
    return [each async for each in walk] if hasattr(walk, "__aiter__") else list(walk)


def until(ask: Callable[[], T]) -> T:
    """Ask until there is something, and fail when it takes too long."""
    end = time.monotonic() + PATIENCE
    while not (answer := ask()):
        assert time.monotonic() < end, f"it did not happen within {PATIENCE} s"
        time.sleep(0.01)
    return answer


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the property tests first, in each worker.

    Hypothesis takes constants of the modules that are loaded into its examples: after another test
    has loaded some more, it draws other examples.
    """
    items.sort(key=lambda item: item.get_closest_marker("hypothesis") is None)


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, which is what the package promises."""
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the settings, the proxies or the CLI's file of who runs it."""
    for name in ("SSLKEYLOGFILE", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    for name in list(os.environ):
        ours = name.startswith("ABEJA_") or name == "PLATFORM_AUTH_TOKEN"
        if ours or name.lower().endswith(("_proxy", "_ca_bundle")) or name.startswith("SSL_CERT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits between two attempts of a call."""

    async def no_time(_: float) -> None:
        """Let no time pass, and other tasks have their turn, as any wait does."""
        await asyncio.sleep(0)

    monkeypatch.setattr(Transport, "_sleep", staticmethod(lambda _: None))
    monkeypatch.setattr(AsyncTransport, "_sleep", staticmethod(no_time))


@pytest.fixture
def answer() -> Callable[[str], dict[str, Any]]:
    """Return the reference's example answer of an operation, by the operation's name."""

    def load(operation: str) -> dict[str, Any]:
        body: dict[str, Any] = json.loads((ANSWERS / f"{operation}.json").read_bytes())
        return body

    return load


@pytest.fixture
def sandbox(registry_sandbox: Sandbox) -> Sandbox:
    """A Registry server, over a real socket, that holds nothing yet."""
    return registry_sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    """A typed client of the sandbox."""
    with Client(**sandbox.connection) as client:
        yield client


@pytest.fixture
async def async_client(sandbox: Sandbox) -> AsyncIterator[AsyncClient]:
    """An async typed client of the sandbox, for tests marked anyio."""
    async with AsyncClient(**sandbox.connection) as client:
        yield client


@dataclass(frozen=True)
class Sent:
    """A request as the scripted API saw it; header names are in lower case."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedApi:
    """An API that answers as told, seen through one of the doors to the network.

    Attributes:
        door: "own", "httpx" or "httpx2".
        requests: What was sent, oldest first.
    """

    door: str
    requests: list[Sent] = field(default_factory=list)
    _status: int = 200
    _content: bytes = b"{}"
    _headers: dict[str, str] = field(default_factory=dict)
    _error: str | None = None
    _said: str = ""
    _open: list[Any] = field(default_factory=list)

    def answers(
        self,
        body: object = None,
        *,
        status: int = 200,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer every request from now on with this JSON value, or with these bytes."""
        self._error = None
        self._status = status
        self._content = json.dumps(body).encode() if content is None else content
        self._headers = {"content-type": "application/json", **(headers or {})}

    def fails(self, error: str, said: str = "scripted") -> None:
        """Raise the HTTP library's exception of this name for every request from now on."""
        self._error, self._said = error, said

    def raw(self, **options: Any) -> APIClient:
        """Return a raw client that goes through this door."""
        return self._kept(APIClient({"auth_token": "t"}, **self._sync(), **options))

    def async_raw(self, **options: Any) -> AsyncAPIClient:
        """Return an async raw client that goes through this door."""
        return AsyncAPIClient({"auth_token": "t"}, **self._async(), **options)

    def client(self, **options: Any) -> Client:
        """Return a typed client that goes through this door."""
        return self._kept(Client(ORGANIZATION_ID, {"auth_token": "t"}, **self._sync(), **options))

    def async_client(self, **options: Any) -> AsyncClient:
        """Return an async typed client that goes through this door."""
        return AsyncClient(ORGANIZATION_ID, {"auth_token": "t"}, **self._async(), **options)

    def close(self) -> None:
        """Close the sync clients that were given out."""
        for client in self._open:
            client.close()

    def _kept(self, client: T) -> T:
        self._open.append(client)
        return client

    def _sync(self) -> dict[str, Any]:
        if self.door == "own":
            return {"base_url": BASE_URL}
        library = httpx if self.door == "httpx" else httpx2
        return {"base_url": BASE_URL, "http_client": self._kept(library.Client())}

    def _async(self) -> dict[str, Any]:
        if self.door == "own":
            return {"base_url": BASE_URL}
        library = httpx if self.door == "httpx" else httpx2
        return {"base_url": BASE_URL, "http_client": library.AsyncClient()}

    def _record(self, request: Any) -> None:
        self.requests.append(
            Sent(request.method, str(request.url), dict(request.headers), request.content)
        )

    def answer_httpx(self, request: httpx.Request) -> httpx.Response:
        """Answer in the place of httpcore, as respx has it."""
        self._record(request)
        if self._error:
            # Of most, httpcore has its own, which httpx then translates.
            raise getattr(httpcore, self._error, getattr(httpx, self._error))(self._said)
        return httpx.Response(self._status, content=self._content, headers=self._headers)

    def answer_httpcore2(self, request: httpcore2.Request) -> httpcore2.Response:
        """Answer in the place of httpcore2, which respx does not know."""
        url = httpx2.URL(bytes(request.url).decode("ascii"))
        content = b"".join(cast(Iterable[bytes], request.stream))
        method = request.method.decode()
        self._record(httpx2.Request(method, url, headers=request.headers, content=content))
        if self._error:
            raise getattr(httpcore2, self._error, getattr(httpx2, self._error))(self._said)
        length = {"content-length": str(len(self._content))}
        headers = list({**length, **self._headers}.items())
        return httpcore2.Response(self._status, headers=headers, content=self._content)

    async def answer_httpcore2_async(self, request: httpcore2.Request) -> httpcore2.Response:
        """As `answer_httpcore2`."""
        return self.answer_httpcore2(request)


@pytest.fixture(params=["own", "httpx", "httpx2"])
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    """A scripted API behind each door in turn; respx plays it where respx can see the door."""
    # One certificate is loaded for each client, and not the whole bundle.
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__).parent / "tls" / "ca.pem"))
    scripted = ScriptedApi(request.param)
    with respx.mock(assert_all_called=False) as router:
        router.route().mock(side_effect=scripted.answer_httpx)
        monkeypatch.setattr(httpcore2.ConnectionPool, "handle_request", scripted.answer_httpcore2)
        monkeypatch.setattr(
            httpcore2.AsyncConnectionPool, "handle_async_request", scripted.answer_httpcore2_async
        )
        yield scripted
    scripted.close()


@pytest.fixture(params=["sync", "async"])
def typed(request: pytest.FixtureRequest, api: ScriptedApi) -> Any:
    """A typed client of the scripted API, in either world."""
    return api.client() if request.param == "sync" else api.async_client()
