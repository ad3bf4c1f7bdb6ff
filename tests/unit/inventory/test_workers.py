"""Where an inventory's tasks run, and the clients that a worker keeps between them."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from tests.support.internals import (
    MAX_CLIENTS,
    PickledClient,
    Threads,
    WorkerClients,
    lock_of,
    session_of,
    worker_clients,
)
from tests.support.patience import PATIENCE

from abeja_registry import AsyncClient, Client, Error, Forbidden
from abeja_registry.sandbox import Sandbox

BASE_URL = "https://api.example.com"


def pickled(token: str) -> PickledClient:
    """Return a client with this token, pickled."""
    with Client("1", {"auth_token": token}, base_url=BASE_URL, max_retry_count=0) as client:
        return PickledClient(pickle.dumps(client))


def closed(client: Client) -> bool:
    """Return whether a client is closed."""
    try:
        client.repositories.list()
    except Error as error:
        return "was closed" in str(error)
    raise AssertionError("the client sent a request")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request is sent: the base URL is a closed port of this machine."""
    monkeypatch.setattr(f"{__name__}.BASE_URL", "http://127.0.0.1:9")


@pytest.fixture
def clients() -> Iterator[WorkerClients]:
    """A cache of two clients."""
    kept = WorkerClients(2)
    yield kept
    kept.close()


@pytest.mark.parametrize("rotations", [3, 10, 50])
def test_rotating_credentials_keep_a_bounded_number_of_clients(
    clients: WorkerClients, rotations: int
) -> None:
    """Each new credential makes a client; the least recently used ones are closed."""
    seen = []
    for at in range(rotations):
        with clients.lease(pickled(f"token-{at}")) as client:
            seen.append(client)
    assert len(clients) == 2
    assert [closed(client) for client in seen] == [*[True] * (rotations - 2), False, False]


def test_a_process_keeps_eight_clients() -> None:
    """For a ninth, another one is dropped."""
    clients = WorkerClients()
    for at in range(9):
        with clients.lease(pickled(f"token-{at}")):
            pass
    assert len(clients) == 8
    clients.close()


def test_tasks_with_the_same_settings_share_a_client(clients: WorkerClients) -> None:
    """A client that is used again is kept; the least recently used one is dropped."""
    a, b, c = pickled("a"), pickled("b"), pickled("c")
    with clients.lease(a) as first, clients.lease(a) as same:
        assert first is same
    with clients.lease(b) as second:
        pass
    with clients.lease(a) as again:
        assert again is first
    with clients.lease(c):
        pass
    assert closed(second)
    assert not closed(first)


def test_a_dropped_client_stays_open_while_tasks_use_it(clients: WorkerClients) -> None:
    """It is closed when the last task ends."""
    with ExitStack() as leases:
        used = [leases.enter_context(clients.lease(pickled(str(at)))) for at in range(5)]
        assert len(clients) == 5
        assert not any(map(closed, used))
    assert len(clients) == 2
    assert sum(map(closed, used)) == 3


def test_a_client_is_not_closed_while_a_thread_uses_it() -> None:
    """No task has a closed client, even if many settings compete for one slot."""
    clients = WorkerClients(1)
    ready = threading.Barrier(4)
    settings = [pickled(str(at)) for at in range(4)]

    def use(at: int) -> list[bool]:
        ready.wait()
        states = []
        for turn in range(20):
            with clients.lease(settings[(at + turn) % 4]) as client:
                states.append(session_of(client).sender.closed)
        return states

    with ThreadPoolExecutor(4) as threads:
        assert not any(chain.from_iterable(threads.map(use, range(4))))
    assert len(clients) == 1
    clients.close()
    assert len(clients) == 0


def test_a_pickled_client_shows_no_credential() -> None:
    """Dask logs the arguments of a task that fails."""
    assert "secret" not in repr(pickled("secret-token"))


def test_two_threads_do_not_change_the_clients_at_once(clients: WorkerClients) -> None:
    """A task begins, and ends, when no other thread changes the clients."""
    lock, leased, go_on = lock_of(clients), threading.Event(), threading.Event()

    def work() -> None:
        with clients.lease(pickled("a")):
            leased.set()
            assert go_on.wait(PATIENCE)

    with ThreadPoolExecutor(2) as threads:
        with lock:
            working = threads.submit(work)
            assert not leased.wait(0.1)
        assert leased.wait(PATIENCE)
        with lock:
            go_on.set()
            assert not wait([working], timeout=0.1).done
        working.result(PATIENCE)
        with lock:
            closing = threads.submit(clients.close)
            assert not wait([closing], timeout=0.1).done
        closing.result(PATIENCE)
    assert len(clients) == 0


def test_a_child_process_does_not_wait_for_its_parent_s_lock(clients: WorkerClients) -> None:
    """After fork(), a lock that another thread held, and the parent's tasks, do not count."""
    lease = clients.lease(pickled("a"))
    lease.__enter__()
    lock_of(clients).acquire()
    clients.renew()
    for at in range(3):
        with clients.lease(pickled(str(at))):
            pass
    assert len(clients) == 2


class Here(Executor):
    """An executor that runs each task immediately, in this process, as a worker would."""

    def submit(self, task: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Run a task."""
        future: Future[Any] = Future()
        future.set_result(task(*arguments, **options))
        return future


def test_inventories_with_rotating_credentials(sandbox: Sandbox) -> None:
    """A long-lived worker keeps a bounded number of clients."""
    sandbox.seed(repositories=2, tags=1)
    for at in range(MAX_CLIENTS + 3):
        connection: dict[str, Any] = {**sandbox.connection, "timeout": 20 + at}
        with Client(**connection) as client:
            assert len(list(client.inventory(executor=Here()))) == 2
    assert len(worker_clients) == MAX_CLIENTS
    worker_clients.close()
    assert len(worker_clients) == 0


# -- where no thread starts -----------------------------------------------------------------------


@pytest.fixture(params=[RuntimeError("can't start new thread"), MemoryError()])
def no_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of an inventory's threads, none of which can start, as at a process's limit."""
    refused: list[str] = []
    start = threading.Thread.start

    def start_none(thread: threading.Thread) -> None:
        if thread.name.startswith("abeja_registry.inventory"):  # others are the sandbox's
            refused.append(thread.name)
            raise request.param
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_none)
    return refused


def stocked(sandbox: Sandbox) -> Client:
    """Return a client of three repositories, each with one tag."""
    client = Client(**sandbox.connection)
    for name in "abc":
        sandbox.push(client.repositories.create(name).id, "1.0")
    return client


@pytest.mark.parametrize("concurrency", [1, 4, 16])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
def test_an_inventory_where_no_thread_starts(
    sandbox: Sandbox, no_threads: list[str], tmp_path: Path, concurrency: int, name: str
) -> None:
    """The calling thread sends its requests."""
    with stocked(sandbox) as client:
        inventory = client.inventory(concurrency=concurrency)
        write = getattr(inventory, f"write_{name.partition('.')[2]}")
        assert len(list(inventory)) == write(tmp_path / name) == 3
    assert no_threads


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
async def test_an_async_inventory_where_no_thread_starts(
    sandbox: Sandbox, no_threads: list[str], tmp_path: Path, name: str
) -> None:
    """The event loop's thread writes its file."""
    stocked(sandbox).close()
    async with AsyncClient(**sandbox.connection) as client:
        write = getattr(client.inventory(), f"write_{name.partition('.')[2]}")
        assert await write(tmp_path / name) == 3
    assert no_threads


def test_a_failing_api_where_no_thread_starts(sandbox: Sandbox, no_threads: list[str]) -> None:
    """Its errors are the same."""
    with stocked(sandbox) as client:
        sandbox.faults.add(status=403)
        with pytest.raises(Forbidden):
            list(client.inventory())
    assert no_threads


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_inventory_at_the_end_of_the_process(sandbox: Sandbox, is_async: bool) -> None:
    """Executors accept no call then, in any version of Python."""
    stocked(sandbox).close()
    call = "asyncio.run(main())" if is_async else 'print(inventory.write_csv("rows.csv"))'
    script = f"""
import asyncio, atexit, os, tempfile
from abeja_registry import AsyncClient, Client

os.chdir(tempfile.mkdtemp())
inventory = Client(**{sandbox.connection!r}).inventory()

async def main():
    async with AsyncClient(**{sandbox.connection!r}) as client:
        print(await client.inventory().write_csv("rows.csv"))

atexit.register(lambda: {call})
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "3\n"


def test_a_call_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a further thread does not start, a running one may take the call meanwhile."""
    go_on = threading.Event()
    start = threading.Thread.start
    calls: list[int] = []

    def call(number: int) -> int:
        calls.append(number)
        return number

    def start_one(thread: threading.Thread) -> None:
        if thread.name.endswith("_0"):
            start(thread)
            return
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with Threads(4, "test") as threads:
        waiting = threads.submit(go_on.wait, 60)
        futures = [threads.submit(call, number) for number in range(5)]
        assert all(future.done() for future in futures)
        go_on.set()
        assert waiting.result(60)
    assert [future.result() for future in futures] == calls == list(range(5))


def test_a_call_that_was_cancelled_does_not_run() -> None:
    """It was cancelled while it waited for a thread."""
    go_on = threading.Event()
    calls: list[int] = []
    with Threads(1) as threads:
        threads.submit(go_on.wait, 60)
        assert threads.submit(calls.append, 1).cancel()
        kept = threads.submit(calls.append, 2)
        go_on.set()
        kept.result(60)
    assert calls == [2]
