"""Pytest fixtures for the tests of code that uses this package (extra `testing`).

    # conftest.py
    pytest_plugins = ["abeja_registry.testing"]

    # test_mine.py
    def test_it_is_pushed(registry_sandbox, registry_client):
        repository = registry_client.repositories.create("trainer")
        registry_sandbox.push(repository, "1.0.0")
        assert [tag.name for tag in repository.iter_tags()] == ["1.0.0"]

One sandbox runs for the whole session. It is reset before each test: no repositories, no faults,
no recorded requests, and ids from the beginning. It opens a socket when a test first needs its
address.
"""

import os
import site
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx

from ._http.clock import Clock
from .client import AsyncClient, Client

try:
    import pytest

    from .sandbox import Sandbox
    from .sandbox._portal import sockets_are_guarded
    from .sandbox._sandbox import IN_PROCESS, Connection
except ImportError as _missing:
    raise ImportError(
        'the fixtures need an extra: pip install "abeja-registry[testing]"'
        f" ({_missing.__context__ or _missing})",
        name=_missing.name,
    ) from None

__all__ = [
    "async_registry_client",
    "registry_client",
    "registry_environment",
    "registry_sandbox",
]


# The seconds that the calls of this thread or task have skipped.
_skipped = ContextVar("skipped", default=0.0)


class _NoWaiting(Clock):
    """A clock that skips sleeps, and advances by their seconds."""

    sleeps = False

    @staticmethod
    def now() -> float:
        """As `Clock.now`, plus the skipped seconds."""
        return Clock.now() + _skipped.get()

    def sleep(self, seconds: float) -> None:
        """Return at once."""
        _skipped.set(_skipped.get() + seconds)

    async def asleep(self, seconds: float) -> None:
        """Let other tasks run, then return."""
        _skipped.set(_skipped.get() + seconds)
        await super().asleep(0)


class _Sandbox(Sandbox):
    """An in-process sandbox that starts to listen when its address is needed."""

    def __init__(self) -> None:
        super().__init__(port=None)
        self._listening = threading.Lock()

    @property
    def url(self) -> str:
        """As `Sandbox.url`; if a plugin blocks sockets, nothing listens at the address."""
        if self.is_running and not sockets_are_guarded():
            self.serve()
        return super().url

    def serve(self) -> None:
        """Start to listen, unless it does."""
        with self._listening:
            if self._options.port is None:
                self._listen()

    def in_process(self) -> Connection:
        """Return the connection of a client that needs no address."""
        return self._connection(IN_PROCESS)

    def begin(self) -> None:
        """Start if necessary, and reset."""
        # A test may have closed it, to provoke errors.
        if not self.is_running:
            self._options = self._options.with_port(None)
            self.start()
        self.reset()


@pytest.fixture(scope="session")
def _registry_sandbox_of_session() -> Iterator[_Sandbox]:
    with _Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def _registry_server(registry_sandbox: Sandbox, _registry_sandbox_of_session: _Sandbox) -> Sandbox:
    # If a plugin blocks sockets, its error is clearer than a failed connection.
    _registry_sandbox_of_session.serve()
    return registry_sandbox


@pytest.fixture
def registry_sandbox(_registry_sandbox_of_session: _Sandbox) -> Sandbox:
    """An empty Registry API; it listens on loopback after its `url` was read."""
    _registry_sandbox_of_session.begin()
    return _registry_sandbox_of_session


@pytest.fixture
def registry_client(_registry_server: Sandbox) -> Iterator[Client]:
    """A client of the test's sandbox, over a socket; the fixture closes it after the test.

    It retries as any client, but without waits.
    """
    with _no_settings():
        client = Client(**_registry_server.connection)
    client._session = client._session.with_clock(_NoWaiting())
    with client:
        yield client


@pytest.fixture
def async_registry_client(
    registry_sandbox: Sandbox, _registry_sandbox_of_session: _Sandbox
) -> AsyncClient:
    """An async, in-process client of the test's sandbox; it needs no closing.

    It belongs to no event loop, so that it works with every plugin for async tests, and without
    one. It retries as any client, but without waits.
    """
    http = httpx.AsyncClient(transport=registry_sandbox.transport(), trust_env=False)
    with _no_settings():
        client = AsyncClient(**_registry_sandbox_of_session.in_process(), http_client=http)
    client._session = client._session.with_clock(_NoWaiting())
    return client


@pytest.fixture
def registry_environment(
    _registry_server: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Environment variables that connect every client with the test's sandbox, during the test.

    For code that builds its own `Client()` or `APIClient()`, in this process or in a child process.
    That code sees no other settings: the platform's variables are unset, no proxy is used for the
    sandbox, and the home directory is empty, so that the ABEJA CLI's file is missing.
    """
    for name in [name for name in os.environ if _is_setting(name)]:
        monkeypatch.delenv(name)
    variables = _registry_server.environment
    # By default, Python searches the home directory for a user's packages.
    variables |= {"PYTHONUSERBASE": site.getuserbase()}
    home = str(tmp_path_factory.mktemp("registry-home"))
    variables |= {"HOME": home, "USERPROFILE": home}
    # urllib reads the first one that is set, and some programs read only the other.
    excluded = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    hosts = ",".join(filter(None, [excluded, httpx.URL(_registry_server.url).host]))
    variables |= {"NO_PROXY": hosts, "no_proxy": hosts}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def _is_setting(name: str) -> bool:
    return name.upper().startswith(("ABEJA_", "PLATFORM_"))


@contextmanager
def _no_settings() -> Iterator[None]:
    """Hide the environment's settings and proxies from a client built in the block."""
    # Not the fixture `monkeypatch`, which a test may undo.
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if _is_setting(name)]:
            environment.delenv(name)
        # This also ignores the system's proxy settings.
        for name in ("NO_PROXY", "no_proxy"):
            environment.setenv(name, "*")
        yield
