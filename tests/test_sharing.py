"""One client for many threads, tasks, processes and event loops; and unclosed clients."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import random
import signal
import threading
import types
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import httpx
import httpx2
import pytest
from tests.support.examples import REPOSITORY
from tests.support.internals import (
    ConnectionPool,
    RetryBudget,
    budget_of,
    left_in,
    limit_connections,
    lock_of,
    replace_random,
    settings_of,
)
from tests.support.server import Request, Server, any_repository, response

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    BearerToken,
    Client,
    RetryPolicy,
    TransportError,
)
from abeja_registry.sandbox import Sandbox

T = TypeVar("T")

AT_ONCE = RetryPolicy(base_delay=0, throttled_base_delay=0)
TOKEN = BearerToken("t")
# The limit of connections, for tests that use all of them.
PLACES = 5

# Python 3.12 and later warn about fork() in a process with several threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that responds with the requested repository."""
    with Server(any_repository) as server:
        yield server


@pytest.fixture
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit a client to five connections."""
    limit_connections(monkeypatch, PLACES)


def asks(client: Client, names: list[str]) -> bool:
    """Get repository after repository; return whether each response has the requested id."""
    return all(client.repositories.get(name).id == name for name in names)


async def asks_async(client: AsyncClient, names: list[str]) -> bool:
    """As `asks`, awaited."""
    return all([(await client.repositories.get(name)).id == name for name in names])


def names(prefix: str, count: int = 20) -> list[str]:
    """Return unique ids."""
    return [f"{prefix}-{number}" for number in range(count)]


# -- threads and tasks ----------------------------------------------------------------------------


def test_threads_share_a_client(sandbox: Sandbox) -> None:
    """Each of 32 threads creates, gets, lists and deletes, and gets its own responses."""
    begin = threading.Barrier(32)

    def work(client: Client, number: int) -> None:
        begin.wait()
        for turn in range(5):
            name = f"of-{number}-{turn}"
            made = client.repositories.create(name, description=name)
            assert (made.name, made.description) == (name, name)
            sandbox.push(made.id, name)
            assert client.repositories.get(made.id).name == name
            assert [tag.name for tag in made.list_tags()] == [name]
            raw = client.raw.get_repository_tags(client.organization_id, made.id)
            assert raw["registry_repository_id"] == made.id
            if turn % 2:
                made.delete()

    with Client(**sandbox.connection) as client, ThreadPoolExecutor(32) as pool:
        for done in [pool.submit(work, client, number) for number in range(32)]:
            done.result()
        left = {repository.name for repository in client.repositories}
    assert left == {f"of-{number}-{turn}" for number in range(32) for turn in (0, 2, 4)}


@pytest.mark.anyio
async def test_tasks_share_a_client(sandbox: Sandbox, async_client: AsyncClient) -> None:
    """Each of 200 tasks creates, gets, lists and deletes, and gets its own responses."""

    async def work(number: int) -> None:
        name = f"of-{number}"
        made = await async_client.repositories.create(name, description=name)
        assert (made.name, made.description) == (name, name)
        assert (await async_client.repositories.get(made.id)).name == name
        tags = await async_client.raw.get_repository_tags(sandbox.organization_id, made.id)
        assert tags["registry_repository_id"] == made.id
        if number % 2:
            await made.delete()

    await asyncio.gather(*map(work, range(200)))
    left = [repository.name async for repository in async_client.repositories]
    assert sorted(left) == sorted(f"of-{number}" for number in range(0, 200, 2))


@pytest.mark.usefixtures("few_places")
def test_threads_wait_for_a_free_connection(server: Server) -> None:
    """Any number of threads opens no more connections than the limit."""
    with Client("1", TOKEN, base_url=server.url) as client, ThreadPoolExecutor(32) as pool:
        assert all(pool.map(lambda number: asks(client, names(f"{number}", 10)), range(32)))
        assert len(server.connections) <= PLACES
        assert check_places(client, server)


@contextmanager
def all_at_once(server: Server) -> Iterator[None]:
    """Hold all responses until all connections are in use."""
    taken = threading.Barrier(PLACES, timeout=30)

    def respond(request: Request) -> bytes:
        taken.wait()
        return any_repository(request)

    server.respond = respond
    yield
    server.respond = any_repository


def check_places(client: Client, server: Server) -> bool:
    """Return whether as many threads as the limit can call in parallel."""
    with all_at_once(server), ThreadPoolExecutor(PLACES) as pool:
        return all(pool.map(partial(asks, client), [[f"place-{n}"] for n in range(PLACES)]))


async def check_async_places(client: AsyncClient, server: Server) -> bool:
    """Return whether as many tasks as the limit can call in parallel."""
    with all_at_once(server):
        return all(
            await asyncio.gather(*(asks_async(client, [f"place-{n}"]) for n in range(PLACES)))
        )


# -- cancellation ---------------------------------------------------------------------------------


@types.coroutine
def cancelled_at(work: Coroutine[Any, Any, T], *places: int) -> Generator[Any, Any, T]:
    """Await something, and cancel its task at these awaits, counted from 0."""
    task = asyncio.current_task()
    assert task is not None
    number = 0
    step: Callable[[], Any] = partial(work.send, None)
    while True:
        try:
            waited_for = step()
        except StopIteration as end:
            result: T = end.value
            return result
        if number in places:
            task.cancel()
        number += 1
        try:
            step = partial(work.send, (yield waited_for))
        except BaseException as error:
            step = partial(work.throw, error)


async def survives(work: Awaitable[object]) -> bool:
    """Return whether something completes in a separate task without being cancelled."""

    async def awaited() -> None:
        await work

    task = asyncio.create_task(awaited())
    await asyncio.wait([task])
    return not task.cancelled() and task.result() is None


CALLS: dict[str, Callable[[AsyncClient], Coroutine[Any, Any, Any]]] = {
    "get": lambda client: client.repositories.get("1"),
    "create": lambda client: client.repositories.create("1"),
    "get_or_create": lambda client: client.repositories.get_or_create("1"),
}


@pytest.mark.usefixtures("few_places")
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "closed"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.anyio
async def test_a_call_can_be_cancelled_at_every_await(
    server: Server, call: Callable[[AsyncClient], Coroutine[Any, Any, Any]], kept: bool
) -> None:
    """Also at every await of its clean-up: no slot and no budget is lost."""
    both = REPOSITORY | {"offset": 0, "limit": 10, "has_next": False, "registry_repositories": []}
    fields = [] if kept else ["Connection: close"]
    async with AsyncClient("1", TOKEN, base_url=server.url) as client:
        survivors = 0
        first = -1
        while survivors < 5:
            first += 1
            survivors = 0
            for second in range(first, first + 5):
                server.respond = lambda request: response(both, 200, *fields)
                if kept:
                    await client.repositories.list()
                survivors += await survives(cancelled_at(call(client), first, second))
        assert first > 1
        assert await check_async_places(client, server)
        assert left_in(budget_of(client)) == RetryBudget.SIZE
        server.settle(PLACES)


@pytest.mark.usefixtures("few_places")
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.anyio
async def test_a_client_works_after_a_storm_of_cancellations(server: Server, seed: int) -> None:
    """After many random cancellations, all slots are free and the budget is full."""
    chance = random.Random(seed)
    async with AsyncClient("1", TOKEN, base_url=server.url) as client:

        async def work(number: int) -> None:
            place = chance.choice((chance.randrange(4), chance.randrange(60), 10_000))
            await survives(
                cancelled_at(asks_async(client, names(f"{number}", 3)), place, place + number % 3)
            )

        for _ in range(3):
            await asyncio.gather(*map(work, range(100)))
        assert await asks_async(client, names("after"))
        assert await check_async_places(client, server)
        assert left_in(budget_of(client)) == RetryBudget.SIZE
        server.settle(PLACES)


@pytest.mark.anyio
async def test_a_cancelled_retry_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """A call that is cancelled before its retry returns the cost to the budget."""
    replace_random(monkeypatch, lambda: 1.0)
    server.respond = lambda request: response({}, 503)
    given: dict[str, Any] = {
        "retry": RetryPolicy(base_delay=9),
        "on_retry": lambda _: task.cancel(),
    }
    async with AsyncClient("1", TOKEN, base_url=server.url, **given) as client:
        task: asyncio.Task[Any] = asyncio.create_task(client.repositories.get("1"))
        await asyncio.wait([task])
        assert task.cancelled()
        assert len(server.requests) == 1
        assert left_in(budget_of(client)) == RetryBudget.SIZE


@pytest.mark.anyio
async def test_the_response_to_a_cancelled_call_is_dropped(server: Server) -> None:
    """It is never taken for the response to the next call."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def respond(request: Request) -> bytes:
        loop.call_soon_threadsafe(asked.set)
        return any_repository(request)

    server.respond = respond
    async with AsyncClient("1", TOKEN, base_url=server.url) as client:
        for number in range(50):
            asked.clear()
            task = asyncio.create_task(client.repositories.get(f"lost-{number}"))
            await asked.wait()
            task.cancel()
            assert await asks_async(client, [f"found-{number}"])


# -- processes ------------------------------------------------------------------------------------


def in_a_child(work: Callable[[], bool]) -> int:
    """Start a child process that does some work; return its pid."""
    child = os.fork()
    if child == 0:
        exit_code = 1
        try:
            signal.alarm(60)
            exit_code = not work()
        finally:
            os._exit(exit_code)
    return child


def went_well(child: int) -> bool:
    """Wait for a child process; return whether it succeeded."""
    return os.waitpid(child, 0)[1] == 0


def test_a_child_opens_its_own_connections(server: Server) -> None:
    """Parent and child call in parallel, each over its own connection."""
    with Client("1", TOKEN, base_url=server.url) as client:
        assert asks(client, names("before"))
        child = in_a_child(lambda: asks(client, names("child", 100)))
        assert asks(client, names("parent", 100))
        assert went_well(child)
        assert asks(client, names("after"))
        assert len(server.connections) == 2


def test_a_child_of_a_busy_parent(server: Server) -> None:
    """Other threads call during the forks: each gets its own responses."""
    stop = threading.Event()

    def keep_asking(client: Client, number: int) -> bool:
        return all(asks(client, [name]) for name in iter(partial(next_of, number), None))

    def next_of(number: int) -> str | None:
        return None if stop.is_set() else f"thread-{number}"

    with Client("1", TOKEN, base_url=server.url) as client, ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(keep_asking, client, number) for number in range(4)]
        try:
            children = [
                in_a_child(partial(asks, client, names(f"child-{number}"))) for number in range(10)
            ]
            assert [went_well(child) for child in children] == [True] * 10
        finally:
            stop.set()
        assert all(each.result() for each in busy)


def test_a_fork_while_a_lock_is_held(server: Server) -> None:
    """Another thread may hold any lock of the client at fork(), and the child still works."""
    with Client("1", TOKEN, base_url=server.url) as client:
        with lock_of(budget_of(client)):
            child = in_a_child(lambda: asks(client, names("child")))
        assert went_well(child)


def test_threads_of_a_child(server: Server) -> None:
    """At any interleaving of two first calls, neither uses the parent's connections."""

    def work() -> bool:
        results = []

        def interrupted(pool: object, name: str, value: Any) -> None:
            object.__setattr__(pool, name, value)
            if threading.current_thread() is threading.main_thread():
                second = threading.Thread(
                    target=lambda: results.append(asks(client, ["child-second"]))
                )
                second.start()
                second.join(1)

        ConnectionPool.__setattr__ = interrupted  # type: ignore[method-assign]
        return asks(client, ["child-first"]) and all(results)

    with Client("1", TOKEN, base_url=server.url) as client:
        assert asks(client, names("parent"))
        assert went_well(in_a_child(work))
        assert asks(client, names("parent"))
    ports = {"parent": set[int](), "child": set[int]()}
    for request in server.requests:
        ports[request.target.rpartition("/")[2].partition("-")[0]].add(request.port)
    assert len(ports["parent"]) == 1
    assert ports["child"]
    assert not ports["child"] & ports["parent"]


def test_a_child_of_an_async_parent(server: Server) -> None:
    """A child forked within an event loop runs its own loop; the parent's still works."""

    async def parent() -> bool:
        async with AsyncClient("1", TOKEN, base_url=server.url) as client:
            assert await asks_async(client, names("before"))
            child = in_a_child(lambda: asyncio.run(asks_async(client, names("child", 100))))
            assert await asks_async(client, names("parent", 100))
            assert await asyncio.to_thread(went_well, child)
            return await asks_async(client, names("after"))

    assert asyncio.run(parent())
    assert len(server.connections) == 2


def test_a_child_of_a_child(server: Server) -> None:
    """A grandchild opens its own connections, too."""
    with Client("1", TOKEN, base_url=server.url) as client:
        assert asks(client, names("before"))

        def work() -> bool:
            first = asks(client, names("child"))
            grandchild = in_a_child(lambda: asks(client, names("grandchild")))
            return first and asks(client, names("meanwhile")) and went_well(grandchild)

        assert went_well(in_a_child(work))
        assert asks(client, names("after"))
        assert len(server.connections) == 3


def test_a_child_may_close_its_parent_s_client(server: Server) -> None:
    """The parent's connection stays open."""
    with Client("1", TOKEN, base_url=server.url) as client:

        def work() -> bool:
            client.close()
            return True

        assert asks(client, names("before"))
        assert went_well(in_a_child(work))
        assert asks(client, names("after"))
        assert len(server.connections) == 1


# -- event loops ----------------------------------------------------------------------------------


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """Collect garbage after tests of several event loops."""
    yield
    gc.collect()


# asyncio warns about the sockets of a closed event loop.
quiet = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@quiet
@pytest.mark.usefixtures("no_garbage")
def test_sequential_event_loops(server: Server) -> None:
    """A client works in a second event loop over a new connection, and closes there."""
    client = AsyncClient("1", TOKEN, base_url=server.url)
    for number in range(3):
        assert asyncio.run(asks_async(client, names(f"loop-{number}")))
    asyncio.run(client.aclose())
    assert len(server.connections) == 3


@quiet
@pytest.mark.usefixtures("no_garbage")
def test_connections_of_closed_event_loops_are_closed(server: Server) -> None:
    """The next use of the client closes them."""
    client = AsyncClient("1", TOKEN, base_url=server.url)
    for number in range(20):
        assert asyncio.run(asks_async(client, names(f"loop-{number}", 1)))
        gc.collect()
        server.settle(1)
    asyncio.run(client.aclose())
    gc.collect()
    server.settle(0)


@quiet
@pytest.mark.usefixtures("no_garbage")
def test_parallel_event_loops(server: Server) -> None:
    """Two threads that each run an event loop share a client."""
    client = AsyncClient("1", TOKEN, base_url=server.url)
    begin = threading.Barrier(2)

    async def work(number: int) -> bool:
        begin.wait()
        tasks = [asks_async(client, names(f"{number}-{task}")) for task in range(10)]
        return all(await asyncio.gather(*tasks))

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(lambda number: asyncio.run(work(number)), range(2)))
    asyncio.run(client.aclose())


# -- pickles --------------------------------------------------------------------------------------


def hook(retry: object) -> None:
    """A hook that can be pickled."""


SETTINGS: dict[str, Any] = {
    "credential": TOKEN,
    "timeout": 3,
    "deadline": 4,
    "retry": replace(AT_ONCE, max_retries=2),
    "on_retry": hook,
    "max_response_bytes": 1000,
}
KINDS: dict[str, Callable[..., Any]] = {
    "Client": partial(Client, "1", invalid_rows="skip", **SETTINGS),
    "AsyncClient": partial(AsyncClient, "1", invalid_rows="skip", **SETTINGS),
    "APIClient": partial(APIClient, **SETTINGS),
    "AsyncAPIClient": partial(AsyncAPIClient, **SETTINGS),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


async def asks_any(client: Any, name: str) -> bool:
    """Get repositories with a client of any kind."""
    raw = getattr(client, "raw", client)
    made = raw.get_repository("1", name)
    body = await made if isinstance(made, Awaitable) else made
    return bool(body["id"] == name)


async def close(client: Any) -> None:
    """Close a client of any kind."""
    if hasattr(client, "aclose"):
        await client.aclose()
    else:
        client.close()


@kinds
@pytest.mark.anyio
async def test_a_pickled_client_is_a_new_client(server: Server, kind: Callable[..., Any]) -> None:
    """It has the same settings, with its own connections and budget."""
    client = kind(base_url=server.url)
    assert await asks_any(client, "here")
    other = pickle.loads(pickle.dumps(client))
    assert type(other) is type(client)
    assert settings_of(other) == settings_of(client)
    assert budget_of(other) is not budget_of(client)
    assert repr(other) == repr(client)
    await close(client)
    assert await asks_any(other, "there")
    await close(other)
    assert len(server.connections) == 2
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer t"}
    server.settle(0)


@pytest.mark.parametrize("kind", [KINDS["Client"], KINDS["AsyncClient"]])
@pytest.mark.anyio
async def test_a_derived_client_pickles(server: Server, kind: Callable[..., Any]) -> None:
    """An unpickled derived or raw client has its settings, and closes its own connections."""
    client = kind(base_url=server.url)
    derived = client.with_options(organization_id="2", timeout=7, deadline=8, retry=AT_ONCE)
    for each in (derived, client.raw, derived.raw):
        other = pickle.loads(pickle.dumps(each))
        assert settings_of(other) == settings_of(each)
        assert await asks_any(other, "there")
        server.settle(1)
        await close(other)
        server.settle(0)
    await close(client)


@pytest.mark.parametrize("library", [httpx, httpx2])
@kinds
@pytest.mark.anyio
async def test_a_client_with_http_client_cannot_be_pickled(
    kind: Callable[..., Any], library: Any
) -> None:
    """The error names the argument, and the client still works."""
    is_async = "Async" in kind.func.__name__  # type: ignore[attr-defined]
    handed_in = (library.AsyncClient if is_async else library.Client)(
        transport=library.MockTransport(lambda request: library.Response(200, json={"id": "1"}))
    )
    client = kind(base_url="https://registry.invalid", http_client=handed_in)
    for each in (client, getattr(client, "raw", client)):
        with pytest.raises(TypeError, match="http_client"):
            pickle.dumps(each)
    assert await asks_any(client, "1")
    await close(handed_in)


# -- unclosed clients -----------------------------------------------------------------------------


@contextmanager
def warned() -> Iterator[list[str]]:
    """Collect the warnings about unclosed clients."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
        gc.collect()
        said = [str(each.message) for each in caught if each.category is ResourceWarning]
        # asyncio warns about the sockets of an async client.
        messages += [text for text in said if not text.startswith("unclosed ")]
        # A warning keeps its source alive.
        caught.clear()
        gc.collect()


@kinds
def test_an_unclosed_client_warns(server: Server, kind: Callable[..., Any]) -> None:
    """A used client that is collected warns once, and its connection closes."""

    async def use() -> None:
        assert await asks_any(kind(base_url=server.url), "1")

    with warned() as messages:
        asyncio.run(use())
    assert messages == [
        "a client was not closed: use it in a `with` block, or call its close() or aclose()"
    ]
    server.settle(0)


@kinds
def test_a_client_without_open_connections_does_not_warn(
    server: Server, kind: Callable[..., Any]
) -> None:
    """One that was unused, closed, or whose calls failed."""

    async def use() -> None:
        kind(base_url=server.url)
        client = kind(base_url=server.url)
        assert await asks_any(client, "1")
        await close(client)
        server.respond = lambda request: None
        with pytest.raises(TransportError):
            await asks_any(kind(base_url=server.url), "1")

    with warned() as messages:
        asyncio.run(use())
    assert messages == []
    server.settle(0)


# -- the connection of a create -------------------------------------------------------------------


@kinds
@pytest.mark.anyio
async def test_a_create_uses_a_separate_connection(
    server: Server, kind: Callable[..., Any]
) -> None:
    """However new the idle connection is; no other call reuses the create's."""
    client = kind(base_url=server.url)
    raw = getattr(client, "raw", client)
    assert await asks_any(client, "1")
    for number in range(2, 5):
        made = raw.create_repository("1", "trainer")
        assert (await made if isinstance(made, Awaitable) else made)["name"] == "trainer"
        assert len(server.connections) == number
        # An idempotent operation reuses the idle connection.
        assert await asks_any(client, "1")
        assert len(server.connections) == number
        server.settle(1)
    await close(client)


@kinds
@pytest.mark.anyio
async def test_a_closed_idle_connection_is_not_reused(
    server: Server, kind: Callable[..., Any]
) -> None:
    """The call opens a new connection, at its first attempt."""
    client = kind(base_url=server.url, max_retry_count=0)
    raw = getattr(client, "raw", client)
    assert await asks_any(client, "1")
    for number in range(2, 5):
        server.drop()
        made = raw.create_repository("1", "trainer")
        assert (await made if isinstance(made, Awaitable) else made)["name"] == "trainer"
        assert len(server.connections) == number
    await close(client)
