"""Clients, repositories and worker processes for the tests of inventories."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import httpx
import pytest
from tests.support.examples import ORGANIZATION_ID
from tests.support.internals import worker_clients
from tests.support.worlds import done

from abeja_registry import AsyncClient, Client, RetryPolicy
from abeja_registry.sandbox import Sandbox


@pytest.fixture(params=["sync", "async"])
async def either(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Any]:
    """A client of the sandbox, sync or async, without retries."""
    options: dict[str, Any] = {**sandbox.connection, "retry": RetryPolicy(max_retries=0)}
    if request.param == "sync":
        with Client(**options) as client:
            yield client
        return
    async with AsyncClient(**options) as async_client:
        yield async_client


Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(params=["sync", "async"])
async def either_of(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Any]]:
    """Creates sync or async clients, whose requests a function handles."""
    options: dict[str, Any] = {"credential": {}, "base_url": "https://api.example.com"}
    opened: list[Any] = []

    def client(handler: Handler, **more: Any) -> Any:
        transport = httpx.MockTransport(handler)
        if request.param == "sync":
            opened.append(httpx.Client(transport=transport))
            return Client(ORGANIZATION_ID, **options, **more, http_client=opened[-1])
        opened.append(httpx.AsyncClient(transport=transport))
        return AsyncClient(ORGANIZATION_ID, **options, **more, http_client=opened[-1])

    yield client
    for http_client in opened:
        await done(http_client.close() if request.param == "sync" else http_client.aclose())


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    """Two worker processes that were not forked."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(autouse=True)
def no_kept_client() -> Iterator[None]:
    """Close the clients that a test's tasks have left in this process."""
    yield
    worker_clients.close()


@pytest.fixture
def mixed(sandbox: Sandbox, client: Client) -> dict[str, int]:
    """The tag counts of five repositories in the sandbox, three of them without tags."""
    counts = {"trainer": 3, "empty-1": 0, "predictor": 1, "empty-2": 0, "empty-3": 0}
    for name, count in counts.items():
        repository = client.repositories.create(name)
        for number in range(count):
            sandbox.push(repository, f"1.{number}", size=1000)
    return counts
