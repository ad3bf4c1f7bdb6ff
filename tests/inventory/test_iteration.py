"""Iterating over an inventory: its rows, failures and progress."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.examples import ORGANIZATION_ID
from tests.support.internals import AsyncSession, Operation, note_pages_of_tags, session_of
from tests.support.inventories import expected, failing, tag_requests
from tests.support.patience import PATIENCE, until
from tests.support.worlds import done, walked

from abeja_registry import AsyncClient, Client, Error, HttpError
from abeja_registry.inventory import AsyncInventory, Inventory, Progress
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("concurrency", [1, 3, 16])
@pytest.mark.parametrize("page_size", [None, 7])
async def test_every_tag_is_a_row(
    sandbox: Sandbox, client: Client, either: Any, concurrency: int, page_size: int | None
) -> None:
    """Each tag is returned once, with its repository, and those of a repository in order."""
    sandbox.seed(repositories=5, tags=3)
    [large] = sandbox.seed(repositories=1, tags=60)
    client.repositories.create("empty")
    plain = expected(sandbox, client)
    inventory = either.inventory(concurrency=concurrency, page_size=page_size)
    for _ in range(2):
        rows = await walked(inventory)
        assert sorted(rows) == sorted(plain)
        assert [row for row in rows if row.repository_id == large] == plain[-60:]
        assert inventory.failures == ()


async def test_no_request_is_sent_before_iteration(sandbox: Sandbox, either: Any) -> None:
    """Creating an inventory sends nothing."""
    either.inventory()
    assert not sandbox.requests


async def test_concurrency_bounds_the_requests_in_flight(
    sandbox: Sandbox, either: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inventory reaches `concurrency` requests in flight, and no more."""
    sandbox.seed(repositories=12, tags=1)
    in_flight, most = 0, 0
    lock = threading.Lock()
    transport = type(session_of(either))
    call = transport.request

    def count(change: int) -> None:
        nonlocal in_flight, most
        with lock:
            in_flight += change
            most = max(most, in_flight)

    def counted(*arguments: Any) -> Any:
        count(1)
        try:
            return call(*arguments)
        finally:
            count(-1)

    async def async_counted(*arguments: Any) -> Any:
        count(1)
        try:
            return await call(*arguments)
        finally:
            count(-1)

    sync = isinstance(either, Client)
    monkeypatch.setattr(transport, "request", counted if sync else async_counted)
    sandbox.faults.add(operation="get_repository_tags", latency=0.05)
    assert len(await walked(either.inventory(concurrency=4))) == 12
    assert most == 4


async def test_the_next_request_is_sent_before_the_next_response_is_parsed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If several responses are ready, parsing one does not delay the next requests."""
    sandbox.seed(repositories=12, tags=1)
    events: list[str] = []
    at_once = asyncio.Barrier(4)
    async with AsyncClient(**sandbox.connection) as client:
        call = AsyncSession.request

        async def send(session: AsyncSession, operation: Operation, deadline: float) -> Any:
            if operation.name == "get_repositories":
                return await call(session, operation, deadline)
            events.append("sent")
            among_the_first = len(events) <= 4
            body = await call(session, operation, deadline)
            if among_the_first:
                await at_once.wait()
            return body

        monkeypatch.setattr(AsyncSession, "request", send)
        note_pages_of_tags(monkeypatch, client, lambda: events.append("parsed"))
        assert len(await walked(client.inventory(concurrency=4))) == 12
    for responses in range(1, 5):
        parsed = [at for at, event in enumerate(events) if event == "parsed"]
        until_parsed = events[: parsed[responses]]
        assert until_parsed.count("sent") >= 4 + responses


async def test_a_response_that_arrives_while_others_wait_is_followed_by_a_request(
    example: Callable[[str], dict[str, Any]],
) -> None:
    """The request goes out before the next of the waiting responses is parsed."""
    listed, tags = example("get_repositories"), example("get_repository_tags")
    [row] = listed["registry_repositories"]
    listed["registry_repositories"] = [row | {"id": str(at), "name": f"r{at}"} for at in range(12)]
    four_at_once, one_is_parsed = asyncio.Barrier(4), asyncio.Event()
    sent = 0
    sent_when_parsed: list[int] = []

    async def respond(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        if not request.url.path.endswith("/tags"):
            return httpx.Response(200, json=listed)
        sent += 1
        if sent <= 4:
            await four_at_once.wait()
        elif sent == 5:
            await one_is_parsed.wait()
        return httpx.Response(200, json=tags)

    def parsed(_: Progress) -> None:
        sent_when_parsed.append(sent)
        if sent:
            one_is_parsed.set()

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http_client,
        AsyncClient(ORGANIZATION_ID, {}, http_client=http_client) as client,
    ):
        assert len(await walked(client.inventory(concurrency=4, on_progress=parsed))) == 12
    assert sent_when_parsed[:2] == [0, 8]
    assert sent_when_parsed[2] > 8


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["serve", "train-a", "train-b", "train-old"]),
        ({"include": "train-*"}, ["train-a", "train-b", "train-old"]),
        ({"include": ["train-?", "serve"]}, ["serve", "train-a", "train-b"]),
        ({"include": {"none": 1, "*-b": 2}.keys()}, ["train-b"]),
        ({"exclude": "train-*"}, ["serve"]),
        ({"exclude": {"*-old", "serve"}}, ["train-a", "train-b"]),
        ({"include": ("train-*",), "exclude": ["*-old", "*-b"]}, ["train-a"]),
        ({"include": "serve", "exclude": "serve"}, []),
    ],
)
async def test_include_and_exclude_choose_repositories_by_name(
    sandbox: Sandbox, either: Any, client: Client, options: dict[str, Any], names: list[str]
) -> None:
    """Only repositories that match a pattern to include, and none to exclude, are requested."""
    for name in ("train-a", "train-b", "train-old", "serve"):
        sandbox.push(client.repositories.create(name).id, "1")
    inventory = either.inventory(**options)
    for _ in range(2):
        sandbox.clear_requests()
        rows = await walked(inventory)
        assert sorted(row.repository_name for row in rows) == names
        assert len(tag_requests(sandbox)) == len(names)


async def test_progress(sandbox: Sandbox, either: Any) -> None:
    """The function is called with the counts after each response."""
    sandbox.seed(repositories=3, tags=2)
    reports: list[Progress] = []
    await walked(either.inventory(on_progress=reports.append))
    assert len(reports) == 4
    assert reports[0] == Progress(repositories=3, concurrency=16)
    assert reports[-1] == Progress(repositories=3, finished=3, rows=6, concurrency=16)


async def test_a_repository_that_fails_once(sandbox: Sandbox, either: Any) -> None:
    """It is requested again after the others, and no row is missing."""
    sandbox.seed(repositories=3, tags=2)
    sandbox.faults.add(operation="get_repository_tags", status=503, times=1)
    inventory = either.inventory(concurrency=1)
    assert len(set(await walked(inventory))) == 6
    asked = tag_requests(sandbox)
    assert asked == [asked[0], asked[1], asked[2], asked[0]]
    assert inventory.failures == ()


async def test_a_repository_that_fails_twice(sandbox: Sandbox, either: Any) -> None:
    """The rows of the others are returned; the failure has its id, its name and its error."""
    first, *_ = sandbox.seed(repositories=3, tags=2)
    failing(sandbox, first)
    reports: list[Progress] = []
    inventory = either.inventory(on_progress=reports.append)
    assert len(await walked(inventory)) == 4
    [failure] = inventory.failures
    assert (failure.repository_id, failure.repository_name) == (first, "sample-0001")
    assert isinstance(failure.error, HttpError)
    assert reports[-1] == Progress(repositories=3, finished=2, failed=1, rows=4, concurrency=16)
    sandbox.faults.clear()
    assert len(await walked(inventory)) == 6
    assert inventory.failures == ()


async def test_a_repository_that_is_deleted_during_an_inventory(
    sandbox: Sandbox, either: Any, tmp_path: Path
) -> None:
    """It is a deleted failure; a file, a summary and a diff are made without it."""
    first, *_ = sandbox.seed(repositories=3, tags=2)
    sandbox.faults.add(repository_id=first, status=404)
    inventory = either.inventory()
    assert await done(inventory.write_csv(tmp_path / "a.csv")) == 4
    [failure] = inventory.failures
    assert (failure.repository_id, failure.deleted) == (first, True)
    assert (await done(inventory.summary())).total.tags == 4
    assert not await done(type(inventory).diff(tmp_path / "a.csv", inventory))


async def test_a_repository_with_an_invalid_id(
    either_of: Callable[..., Any], example: Callable[[str], dict[str, Any]]
) -> None:
    """If the API lists an invalid id, that repository fails, and the others are read."""
    repositories, tags = example("get_repositories"), example("get_repository_tags")
    [row] = repositories["registry_repositories"]
    repositories["registry_repositories"] = [row | {"id": each} for each in ("1", "..", "3")]

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, json=tags if request.url.path.endswith("/tags") else repositories
        )

    inventory = either_of(respond).inventory()
    assert sorted(row.repository_id for row in await walked(inventory)) == ["1", "3"]
    [failure] = inventory.failures
    assert failure.repository_id == ".."
    assert "repository_id must be an id" in str(failure.error)


async def test_a_client_that_is_closed_during_an_inventory(sandbox: Sandbox, either: Any) -> None:
    """The iteration ends with an error, and no repository counts as failed."""
    sandbox.seed(repositories=30, tags=1)
    inventory = either.inventory(concurrency=1)

    async def iterate_and_close() -> None:
        if isinstance(either, Client):
            for _ in inventory:
                either.close()
        else:
            async for _ in inventory:
                await either.aclose()

    with pytest.raises(Error, match="the client was closed"):
        await iterate_and_close()
    assert not inventory.failures


async def test_a_request_that_is_cancelled_below_the_client_ends_an_async_inventory() -> None:
    """Its CancelledError is raised, and nothing waits for a response."""

    async def cancelled(_: httpx.Request) -> httpx.Response:
        raise asyncio.CancelledError

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(cancelled)) as http_client,
        AsyncClient(ORGANIZATION_ID, {}, http_client=http_client) as client,
    ):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(walked(client.inventory()), PATIENCE)


async def test_the_list_of_repositories_is_required(sandbox: Sandbox, either: Any) -> None:
    """The error of the list is raised."""
    sandbox.faults.add(operation="get_repositories", status=403)
    with pytest.raises(HttpError):
        await walked(either.inventory())


async def test_an_iteration_that_is_closed_early(sandbox: Sandbox, either: Any) -> None:
    """It leaves no request in flight, and the client can be used again."""
    sandbox.seed(repositories=30, tags=3)
    rows = either.inventory(concurrency=2)
    if isinstance(either, Client):
        iteration: Any = iter(rows)
        next(iteration)
        iteration.close()
    else:
        async_iteration = aiter(rows)
        await anext(async_iteration)
        await async_iteration.aclose()
    assert len(tag_requests(sandbox)) < 10
    assert len(await walked(rows)) == 90


def running_threads() -> list[str]:
    """Return the names of the threads that inventories have started."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith("abeja_registry.inventory")]


def test_closing_an_iteration_does_not_wait_for_requests(sandbox: Sandbox) -> None:
    """A request in flight continues, and is not retried once the client is closed."""
    until(lambda: not running_threads())
    _, slow = sandbox.seed(repositories=2, tags=1)
    sandbox.faults.add(repository_id=slow, latency=3600)
    with Client(**sandbox.connection, timeout=2) as client:
        iteration = iter(client.inventory())
        next(iteration)
        until(lambda: slow in tag_requests(sandbox))
        assert isinstance(iteration, Generator)
        iteration.close()
        assert running_threads()
    until(lambda: not running_threads())
    assert tag_requests(sandbox).count(slow) == 1


def test_closing_an_iteration_stops_retries(sandbox: Sandbox) -> None:
    """A request in flight is not retried, though the client stays open."""
    until(lambda: not running_threads())
    _, slow = sandbox.seed(repositories=2, tags=1)
    sandbox.faults.add(repository_id=slow, latency=3600)
    with Client(**sandbox.connection, timeout=2) as client:
        for _ in client.inventory():
            until(lambda: slow in tag_requests(sandbox))
            break
        until(lambda: not running_threads())
        assert tag_requests(sandbox).count(slow) == 1
        sandbox.faults.clear()
        assert len(list(client.inventory())) == 2


async def test_cancelling_an_async_inventory(sandbox: Sandbox, async_client: AsyncClient) -> None:
    """Its requests are cancelled with it."""
    sandbox.seed(repositories=5, tags=1)
    sandbox.faults.add(operation="get_repository_tags", latency=3600)
    before = asyncio.all_tasks()
    reading = asyncio.ensure_future(walked(async_client.inventory()))
    await asyncio.to_thread(until, lambda: tag_requests(sandbox))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert asyncio.all_tasks() <= before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"concurrency": 0}, ValueError, "concurrency must be at least 1, not 0"),
        ({"concurrency": 1.5}, TypeError, r"concurrency must be a whole number, not 1\.5"),
        ({"page_size": 0}, ValueError, "page_size must be at least 1, not 0"),
        ({"include": None}, TypeError, "include must be a string or several strings, not None"),
        ({"include": b"a"}, TypeError, "include must be a string or several strings, not a value"),
        ({"include": ["a", 5]}, TypeError, "include must be a string, not 5"),
        ({"include": ""}, ValueError, "include must be a non-empty pattern"),
        ({"include": ["a", ""]}, ValueError, "include must be a non-empty pattern"),
        ({"include": []}, ValueError, "include has no pattern, so no repository matches"),
        ({"exclude": 7}, TypeError, "exclude must be a string or several strings, not 7"),
        ({"exclude": ""}, ValueError, "exclude must be a non-empty pattern"),
        ({"on_progress": 5}, TypeError, "on_progress must be callable, not 5"),
    ],
)
async def test_invalid_arguments_are_refused(
    either: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The error has the argument's name and value, before iteration starts."""
    with pytest.raises(error, match=message):
        either.inventory(**options)


def test_another_object_is_not_an_executor(client: Client) -> None:
    """It is refused when the inventory is created."""
    with pytest.raises(TypeError, match=r"executor must be a concurrent\.futures\.Executor, not 4"):
        client.inventory(executor=4)  # type: ignore[arg-type]


async def test_each_client_creates_its_kind_of_inventory(
    client: Client, async_client: AsyncClient
) -> None:
    """`Client` creates an `Inventory`, and `AsyncClient` an `AsyncInventory`."""
    assert type(client.inventory()) is Inventory
    assert type(async_client.inventory()) is AsyncInventory


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process forks there")
def test_an_iteration_does_not_go_on_in_a_forked_process(sandbox: Sandbox, client: Client) -> None:
    """The child has none of the threads: it gets an error, and the parent goes on."""
    sandbox.seed(repositories=30, tags=1)
    rows = iter(client.inventory(concurrency=2))
    next(rows)
    with warnings.catch_warnings():
        # Python warns of threads beside a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            list(rows)
        except Error as error:
            os._exit(0 if "forked process" in str(error) else 2)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(rows)) == 29
