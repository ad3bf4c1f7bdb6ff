"""The clients that a worker keeps: bounded, shared by its tasks, closed when they fall out."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from typing import Any

import pytest

from abeja_registry import Client, Error
from abeja_registry._workers import MAX_CLIENTS, PackedClient, WorkerClients, worker_clients
from abeja_registry.sandbox import Sandbox

BASE_URL = "https://api.example.com"


def packed(token: str) -> PackedClient:
    """Return a client with this token, pickled."""
    with Client("1", {"auth_token": token}, base_url=BASE_URL) as client:
        return PackedClient(pickle.dumps(client))


def closed(client: Client) -> bool:
    """Return whether a client is closed."""
    try:
        client.repositories.list()
    except Error as error:
        return "was closed" in str(error)
    raise AssertionError("the client sent a request")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent: an open client meets a closed port of this machine."""
    monkeypatch.setattr(f"{__name__}.BASE_URL", "http://127.0.0.1:9")


@pytest.fixture
def clients() -> Iterator[WorkerClients]:
    """Two clients are kept."""
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
        with clients.lease(packed(f"token-{at}")) as client:
            seen.append(client)
    assert len(clients) == 2
    assert [closed(client) for client in seen] == [*[True] * (rotations - 2), False, False]


def test_tasks_of_the_same_settings_share_a_client(clients: WorkerClients) -> None:
    """One that is used again stays; the one that was not used for longest falls out."""
    a, b, c = packed("a"), packed("b"), packed("c")
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


def test_a_client_that_falls_out_stays_open_while_tasks_use_it(clients: WorkerClients) -> None:
    """It is closed when the last of them ends."""
    with ExitStack() as leases:
        used = [leases.enter_context(clients.lease(packed(str(at)))) for at in range(5)]
        assert len(clients) == 5
        assert not any(map(closed, used))
    assert len(clients) == 2
    assert sum(map(closed, used)) == 3


def test_threads_use_clients_that_others_push_out() -> None:
    """No task ever meets a closed client, however many settings compete for one place."""
    clients = WorkerClients(1)
    ready = threading.Barrier(4)
    settings = [packed(str(at)) for at in range(4)]

    def use(at: int) -> list[bool]:
        ready.wait()
        found = []
        for turn in range(20):
            with clients.lease(settings[(at + turn) % 4]) as client:
                found.append(client._transport.door.closed)
        return found

    with ThreadPoolExecutor(4) as threads:
        assert not any(chain.from_iterable(threads.map(use, range(4))))
    assert len(clients) == 1
    clients.close()
    assert len(clients) == 0


def test_a_packed_client_shows_no_credential() -> None:
    """Dask logs the arguments of a task that fails."""
    assert "secret" not in repr(packed("secret-token"))


def test_a_child_process_waits_for_no_lock_of_its_parent(clients: WorkerClients) -> None:
    """After a fork, a lock that another thread held and tasks that run elsewhere count no more."""
    lease = clients.lease(packed("a"))
    lease.__enter__()
    clients._lock.acquire()
    clients.renew()
    for at in range(3):
        with clients.lease(packed(str(at))):
            pass
    assert len(clients) == 2


class Here(Executor):
    """An executor that runs each task at once, in this process, as a worker would."""

    def submit(self, task: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Run a task."""
        future: Future[Any] = Future()
        future.set_result(task(*arguments, **options))
        return future


def test_inventories_with_rotating_credentials(sandbox: Sandbox) -> None:
    """A long-lived worker ends with a bounded number of clients."""
    sandbox.seed(repositories=2, tags=1)
    for at in range(MAX_CLIENTS + 3):
        connection: dict[str, Any] = {**sandbox.connection, "timeout": 20 + at}
        with Client(**connection) as client:
            assert len(list(client.inventory(executor=Here()))) == 2
    assert len(worker_clients) == MAX_CLIENTS
    worker_clients.close()
    assert len(worker_clients) == 0
