"""The way into the sandbox that needs no socket."""

import asyncio
import logging
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.internals import sandbox_serializers
from tests.support.patience import PATIENCE, until

from abeja_registry import AsyncClient, Client, Conflict, OutcomeUnknown, RetryPolicy, Timeout
from abeja_registry.sandbox import Sandbox

REPOSITORIES = "/organizations/1410000000000/registry/repositories"


def test_it_needs_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a port nothing listens, and clients of both worlds see one state."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "create_server", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with Sandbox(port=None) as sandbox:
        http = httpx.Client(transport=sandbox.transport())
        with http, Client(**sandbox.connection, http_client=http) as client:
            repository = client.repositories.create("trainer")
            sandbox.push(repository, "1.0.0")

        async def names() -> list[str]:
            async with httpx.AsyncClient(transport=sandbox.transport()) as ours:
                theirs = AsyncClient(**sandbox.connection, http_client=ours)
                return [tag.name async for tag in theirs.tags.iter(repository.id)]

        assert asyncio.run(names()) == ["1.0.0"]
        assert [request.method for request in sandbox.requests] == ["POST", "GET"]


def test_it_sees_what_the_socket_sees(sandbox: Sandbox) -> None:
    """A repository created by one way exists by the other, and responses are equal."""
    with (
        Client(**sandbox.connection) as outside,
        httpx.Client(transport=sandbox.transport()) as http,
        Client(**sandbox.connection, http_client=http) as inside,
    ):
        repository = outside.repositories.create("trainer")
        assert inside.repositories.get(repository.id) == repository
        for client in (inside, outside):
            with pytest.raises(Conflict, match="the name 'trainer' is taken"):
                client.repositories.create("trainer")


def test_many_threads_and_loops_at_once(sandbox: Sandbox) -> None:
    """Whoever asks, from whatever thread or event loop, is answered."""

    async def create(name: str) -> None:
        async with httpx.AsyncClient(transport=sandbox.transport()) as http:
            client = AsyncClient(**sandbox.connection, http_client=http)
            await asyncio.gather(*(client.repositories.create(f"{name}-{n}") for n in range(5)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: asyncio.run(create(f"r{n}")), range(8)))
    with Client(**sandbox.connection) as client:
        assert len({repository.name for repository in client.repositories}) == 40


@pytest.mark.anyio
async def test_a_time_out_counts(sandbox: Sandbox) -> None:
    """A read time-out ends the wait for the response, as over a socket."""
    sandbox.faults.add(latency=3600)
    async with httpx.AsyncClient(transport=sandbox.transport(), timeout=0.1) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(f"{sandbox.url}/organizations/1/registry/repositories")
        client = AsyncClient(**sandbox.connection, http_client=http, timeout=0.1, max_retry_count=0)
        with pytest.raises(Timeout):
            await client.repositories.list()


def test_work_goes_on_after_a_time_out(sandbox: Sandbox) -> None:
    """As over a socket, what nobody waits for any more is done all the same."""
    sandbox.faults.add(operation="create_repository", latency=0.3, times=2)
    with httpx.Client(transport=sandbox.transport(), timeout=0.1) as http:
        inside = Client(
            **sandbox.connection, http_client=http, timeout=0.1, retry=RetryPolicy(max_retries=0)
        )
        with pytest.raises(OutcomeUnknown):
            inside.repositories.create("inside")
    until(lambda: not sandbox.is_empty)


@pytest.mark.anyio
async def test_a_task_that_is_cancelled(sandbox: Sandbox) -> None:
    """Its request is done all the same, and nothing is heard of it later."""
    sandbox.faults.add(operation="create_repository", latency=0.1)
    async with httpx.AsyncClient(transport=sandbox.transport()) as http:
        client = AsyncClient(**sandbox.connection, http_client=http)
        task = asyncio.create_task(client.repositories.create("trainer"))
        await asyncio.to_thread(until, lambda: sandbox.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    until(lambda: not sandbox.is_empty)


def test_closing_while_requests_are_under_way() -> None:
    """Sync and async clients lose their connections, and later requests cannot connect."""
    sandbox = Sandbox(port=None, latency=3600)
    sandbox.start()
    transport = sandbox.transport()
    with httpx.Client(transport=transport, timeout=None) as http, ThreadPoolExecutor(2) as threads:

        async def ask() -> None:
            async with httpx.AsyncClient(transport=transport, timeout=None) as inside:
                await inside.get(f"{sandbox.url}{REPOSITORIES}")

        asking: list[Future[Any]] = [
            threads.submit(http.get, f"{sandbox.url}{REPOSITORIES}"),
            threads.submit(asyncio.run, ask()),
        ]
        until(lambda: len(sandbox.requests) == 2)
        sandbox.close()
        for each in asking:
            with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
                each.result(PATIENCE)
        with pytest.raises(httpx.ConnectError, match="not running"):
            http.get(sandbox.url)


def test_starting_again() -> None:
    """A way in leads to what runs now, also when the sandbox was closed meanwhile."""
    sandbox = Sandbox(port=None)
    sandbox.start()
    with httpx.Client(transport=sandbox.transport()) as http:
        client = Client(**sandbox.connection, http_client=http)
        client.repositories.create("before")
        sandbox.close()
        with sandbox:
            assert not client.repositories.list()
    with pytest.raises(RuntimeError, match="not running"):
        sandbox.transport()


@pytest.mark.parametrize("turn", range(5))
def test_closing_under_load(turn: int) -> None:
    """Each request during a close ends with a response or an error."""
    sandbox = Sandbox(port=None)
    sandbox.start()
    transport = sandbox.transport()

    def ask() -> None:
        with httpx.Client(transport=transport, timeout=None) as http:
            while True:
                try:
                    http.post(
                        f"{sandbox.url}{REPOSITORIES}",
                        json={"name": "a"},
                        headers={"Authorization": "Bearer x"},
                    )
                except httpx.TransportError:
                    return

    with ThreadPoolExecutor(8) as threads:
        asking = [threads.submit(ask) for _ in range(8)]
        until(lambda: len(sandbox.requests) >= 8)
        sandbox.close()
        for each in asking:
            each.result(PATIENCE)


def test_a_failure_of_the_sandbox(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes wrong inside is a 500 as over a socket, and its traceback is in the log."""
    monkeypatch.setattr(sandbox_serializers, "repository_page", None)
    url = f"/organizations/{sandbox.organization_id}/registry/repositories"
    headers = {"Authorization": "Bearer x"}
    with (
        caplog.at_level(logging.ERROR, "abeja_registry.sandbox"),
        httpx.Client(transport=sandbox.transport(), base_url=sandbox.url) as http,
    ):
        assert http.get(url, headers=headers).status_code == 500
    assert "the sandbox failed" in caplog.text
