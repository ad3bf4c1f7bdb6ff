"""Pytest fixtures for the tests of code that uses this package (extra `testing`).

    # conftest.py
    pytest_plugins = ["abeja_registry.testing"]

    # test_mine.py
    def test_it_is_pushed(registry_sandbox, registry_client):
        repository = registry_client.repositories.create("trainer")
        registry_sandbox.push(repository, "1.0.0")
        assert [tag.name for tag in repository.iter_tags()] == ["1.0.0"]

One sandbox runs for the whole session; each test finds it empty: no repositories, no faults, no
recorded requests, and the first ids again. It opens a socket when the first test needs its address.
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
    from .sandbox._sandbox import IN_PROCESS, Connection
    from .sandbox._thread import sockets_are_guarded
except ImportError as _missing:
    raise ImportError(
        'the fixtures need their extra: pip install "abeja-registry[testing]"'
        f" ({_missing.__context__ or _missing})",
        name=_missing.name,
    ) from None

__all__ = [
    "async_registry_client",
    "registry_client",
    "registry_environment",
    "registry_sandbox",
]


# Seconds that the calls of this thread, or of this task, would have slept.
_skipped = ContextVar("skipped", default=0.0)


class _NoWaiting(Clock):
    """A clock on which sleeping takes no time, and counts as if it had."""

    sleeps = False

    @staticmethod
    def now() -> float:
        """As `Clock.now`, later by what was slept."""
        return Clock.now() + _skipped.get()

    def sleep(self, seconds: float) -> None:
        """Return at once."""
        _skipped.set(_skipped.get() + seconds)

    async def asleep(self, seconds: float) -> None:
        """Let other tasks run, and return."""
        _skipped.set(_skipped.get() + seconds)
        await super().asleep(0)


class _Sandbox(Sandbox):
    """A sandbox in process that listens as well once its address is needed."""

    def __init__(self) -> None:
        super().__init__(port=None)
        self._listening = threading.Lock()

    @property
    def url(self) -> str:
        """As `Sandbox.url`; where a guard forbids sockets, the address leads nowhere."""
        if self.is_running and not sockets_are_guarded():
            self.serve()
        return super().url

    def serve(self) -> None:
        """Listen, unless it does already."""
        with self._listening:
            if self._port is None:
                self._listen()

    def in_process(self) -> Connection:
        """Return what points a client at it that needs no address."""
        return self._connection(IN_PROCESS)

    def begin(self) -> None:
        """Run, and hold nothing."""
        # A test may have closed it, to see how its code fails.
        if not self.is_running:
            self._port = None
            self.start()
        self.reset()


@pytest.fixture(scope="session")
def _registry_sandbox_of_session() -> Iterator[_Sandbox]:
    with _Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def _registry_server(registry_sandbox: Sandbox, _registry_sandbox_of_session: _Sandbox) -> Sandbox:
    # Where a guard forbids sockets, its error is clearer than a client's that cannot connect.
    _registry_sandbox_of_session.serve()
    return registry_sandbox


@pytest.fixture
def registry_sandbox(_registry_sandbox_of_session: _Sandbox) -> Sandbox:
    """A Registry API that holds nothing yet; it listens on loopback once its `url` is read."""
    _registry_sandbox_of_session.begin()
    return _registry_sandbox_of_session


@pytest.fixture
def registry_client(_registry_server: Sandbox) -> Iterator[Client]:
    """A client of the test's sandbox, over a socket; the fixture closes it after the test.

    It retries as any client does, without the waits.
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
    """An async client of the test's sandbox, in process; there is nothing to close.

    It needs no plugin for async tests, and works with each of them: it belongs to no event loop.
    It retries as any client does, without the waits.
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
    """The variables that point every client at the test's sandbox, set during the test.

    For code that builds its own `Client()` or `APIClient()`, in this process or in one that it
    starts. No other setting reaches that code: no variable of the platform, no proxy on the way to
    the sandbox, no file of the platform's command line, as the home directory is an empty one.
    """
    for name in [name for name in os.environ if _is_setting(name)]:
        monkeypatch.delenv(name)
    variables = _registry_server.environment
    # Python looks for a user's packages below the home directory.
    variables |= {"PYTHONUSERBASE": site.getuserbase()}
    home = str(tmp_path_factory.mktemp("registry-home"))
    variables |= {"HOME": home, "USERPROFILE": home}
    # urllib takes the first that is set, and some programs only know the other.
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
    """A client that is made here has none of the environment's settings, and no proxy."""
    # Not the fixture: a test may undo what it did with that.
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if _is_setting(name)]:
            environment.delenv(name)
        # With this one, the system's own settings are not asked for either.
        for name in ("NO_PROXY", "no_proxy"):
            environment.setenv(name, "*")
        yield
