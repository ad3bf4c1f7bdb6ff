"""Fixtures for the tests of whoever uses this package; pytest gets them where it is told to.

    # conftest.py
    pytest_plugins = ["abeja_registry.testing"]

    # test_mine.py
    def test_it_is_pushed(registry_sandbox, registry_client):
        repository = registry_client.repositories.create("trainer")
        registry_sandbox.push(repository, "1.0.0")
        assert [tag.name for tag in repository.iter_tags()] == ["1.0.0"]

One server runs for the whole session; each test finds it empty: no repositories, no faults, no
recorded requests, and ids that begin anew.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from .client import AsyncClient, Client
from .sandbox import Sandbox

__all__ = ["async_registry_client", "registry_client", "registry_sandbox"]


@pytest.fixture(scope="session")
def _registry_sandbox_of_session() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def registry_sandbox(_registry_sandbox_of_session: Sandbox) -> Sandbox:
    """A Registry server on loopback that holds nothing yet."""
    sandbox = _registry_sandbox_of_session
    # A test may have closed it, to see what happens.
    if not sandbox.is_running:
        sandbox.start()
    sandbox.reset()
    return sandbox


@pytest.fixture
def registry_client(registry_sandbox: Sandbox) -> Iterator[Client]:
    """A client of the test's sandbox alone, over a socket; it is closed after the test."""
    with _no_settings():
        client = Client(**registry_sandbox.connection)
    with client:
        yield client


@pytest.fixture
def async_registry_client(registry_sandbox: Sandbox) -> AsyncClient:
    """An async client of the test's sandbox, in process; there is nothing to close.

    It needs no plugin for async tests, and works with each of them: it belongs to no event loop.
    """
    http = httpx.AsyncClient(transport=registry_sandbox.transport(), trust_env=False)
    with _no_settings():
        return AsyncClient(**registry_sandbox.connection, http_client=http)


@contextmanager
def _no_settings() -> Iterator[None]:
    """A client that is made here has none of the environment's settings, and no proxy."""
    # Not the fixture: a test may undo what it did with that.
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("ABEJA_")]:
            environment.delenv(name)
        # With this one, the system's own settings are not asked for either.
        for name in ("NO_PROXY", "no_proxy"):
            environment.setenv(name, "*")
        yield
