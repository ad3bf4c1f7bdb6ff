"""What every test may use: a clean environment, the API's examples, a sandbox, a scripted API."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import certifi
import httpcore2
import pytest
import respx
from hypothesis import HealthCheck, settings
from tests.support import examples
from tests.support.internals import is_left_open, opened_pools, replace_sleep
from tests.support.scripted import ScriptedApi

from abeja_registry import AsyncClient, Client
from abeja_registry.sandbox import Sandbox

pytest_plugins = ["abeja_registry.testing", "pytester"]

# How long an example takes depends on what else the machine does.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run; `make fuzz` draws others, and more.
settings.register_profile("fixed", _UNTIMED, derandomize=True, database=None, max_examples=60)
settings.register_profile("fuzz", _UNTIMED, derandomize=False, print_blob=True, max_examples=400)
settings.load_profile("fixed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the property tests first, in each worker.

    Hypothesis takes constants of the modules that are loaded into its examples: after another test
    has loaded some more, it draws other examples.
    """
    items.sort(key=lambda item: item.get_closest_marker("hypothesis") is None)


def pytest_collection() -> None:
    """Disable the garbage collector during collection: test items never become garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Never look for garbage among the tests again."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, which is what the package promises."""
    return "asyncio"


@pytest.fixture(scope="session")
def home_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the user's folder, which does not exist."""
    return tmp_path_factory.mktemp("homes") / "home"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, home_folder: Path) -> Iterator[None]:
    """No test sees the settings, the proxies or the CLI's file of who runs it."""
    for name in ("SSLKEYLOGFILE", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    for name in list(os.environ):
        ours = name.startswith("ABEJA_") or name == "PLATFORM_AUTH_TOKEN"
        if ours or name.lower().endswith(("_proxy", "_ca_bundle")) or name.startswith("SSL_CERT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home_folder))
    monkeypatch.setenv("USERPROFILE", str(home_folder))
    yield
    if home_folder.exists():
        shutil.rmtree(home_folder)


@pytest.fixture(autouse=True, scope="session")
def short_bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clients load the first CA certificate: all of them take longer than most tests."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    bundle = tmp_path_factory.mktemp("bundle") / "one.pem"
    bundle.write_text(first + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certifi, "where", lambda: str(bundle))
        yield


@pytest.fixture(autouse=True)
def every_client_is_closed() -> Iterator[None]:
    """A client left open fails its own test; the warning of its end may come during a later one."""
    with opened_pools() as pools:
        yield
    assert not [pool for pool in pools if is_left_open(pool)], "the test left a client open"


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between two attempts of a call."""
    replace_sleep(monkeypatch)


@pytest.fixture
def example() -> examples.Examples:
    """Return the reference's example response of an operation, by the operation's name."""
    return examples.example


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


@pytest.fixture(params=["own", "httpx", "httpx2"])
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    """A scripted API through each sender; respx mocks httpcore, and patches replace httpcore2."""
    scripted = ScriptedApi(request.param)
    with respx.mock(assert_all_called=False) as router:
        router.route().mock(side_effect=scripted.respond_httpx)
        monkeypatch.setattr(httpcore2.ConnectionPool, "handle_request", scripted.respond_httpcore2)
        monkeypatch.setattr(
            httpcore2.AsyncConnectionPool, "handle_async_request", scripted.respond_httpcore2_async
        )
        yield scripted
    scripted.close()


@pytest.fixture(params=["sync", "async"])
def typed(request: pytest.FixtureRequest, api: ScriptedApi) -> Any:
    """A typed client of the scripted API, in either world."""
    return api.client() if request.param == "sync" else api.async_client()
