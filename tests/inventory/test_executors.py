"""Inventories by processes, threads and a cluster."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.inventories import Counting, expected, kept_clients

from abeja_registry import Client, Error, NotFound
from abeja_registry.inventory import IncompleteInventory
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


def test_by_processes(sandbox: Sandbox, client: Client, processes: Executor) -> None:
    """Workers share the repositories, a large one in parts, and each keeps one client."""
    sandbox.seed(repositories=3, tags=5)
    sandbox.seed(repositories=1, tags=2500)
    plain = expected(sandbox, client)
    counting = Counting(processes)
    for _ in range(2):
        assert sorted(client.inventory(executor=counting)) == sorted(plain)
    assert 500 < max(counting.returned) <= 1000
    # Dask logs the arguments of what fails.
    assert "Bearer" not in counting.shown
    assert processes.submit(kept_clients).result() == 1


def test_a_task_with_small_pages_is_short(
    sandbox: Sandbox, client: Client, processes: Executor
) -> None:
    """A task ends after a number of requests, even if they return few rows."""
    sandbox.seed(repositories=1, tags=60)
    counting = Counting(processes)
    assert len(list(client.inventory(executor=counting, page_size=2))) == 60
    assert max(counting.returned) == 20 * 2


def test_tasks_request_few_pages_twice(sandbox: Sandbox, client: Client) -> None:
    """Most pages of a large repository are requested once, also by tasks of several pages."""
    sandbox.seed(repositories=1, tags=500)
    with ThreadPoolExecutor(1) as threads:
        assert len(list(client.inventory(executor=threads, page_size=50))) == 500
    pages = [request for request in sandbox.requests if request.path.endswith("/tags")]
    assert 11 <= len(pages) <= 3 * 11


class Remembering(Executor):
    """An executor that caches results by the calls' arguments, as Dask does."""

    def __init__(self) -> None:
        self._results: dict[bytes, Future[Any]] = {}

    def submit(self, task: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Run a task, or return its cached result."""
        key = pickle.dumps((task, arguments, options))
        if key not in self._results:
            future = self._results[key] = Future()
            try:
                future.set_result(task(*arguments, **options))
            except Error as error:
                future.set_exception(error)
        return self._results[key]


def test_a_failed_task_is_sent_again_to_an_executor_with_a_cache(
    sandbox: Sandbox, client: Client
) -> None:
    """An executor that caches results by arguments is given another task."""
    sandbox.seed(repositories=1, tags=3)
    sandbox.faults.add(operation="get_repository_tags", status=403, times=1)
    inventory = client.inventory(executor=Remembering())
    assert len(list(inventory)) == 3
    assert not inventory.failures


class Idle(Executor):
    """An executor that runs two tasks, and queues the others."""

    def __init__(self) -> None:
        self.queued: list[Future[Any]] = []
        self._ran = 0

    def submit(self, task: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Run a task, or queue it."""
        future: Future[Any] = Future()
        if self._ran < 2:
            self._ran += 1
            future.set_result(task(*arguments, **options))
        else:
            self.queued.append(future)
        return future


def test_closing_an_iteration_cancels_queued_tasks(sandbox: Sandbox, client: Client) -> None:
    """An executor does not run the tasks that it has not started."""
    sandbox.seed(repositories=3, tags=1)
    idle = Idle()
    for _ in client.inventory(executor=idle):
        break
    assert [future.cancelled() for future in idle.queued] == [True, True]


def test_a_failure_in_a_process_is_returned(
    sandbox: Sandbox, client: Client, processes: Executor
) -> None:
    """The failure has the original error, and the pages before it are kept."""
    [gone, *_] = sandbox.seed(repositories=3, tags=5)
    sandbox.faults.add(repository_id=gone, status=404, skip=1)
    inventory = client.inventory(executor=processes, page_size=3)
    assert len(list(inventory)) == 5 + 5 + 3
    [failure] = inventory.failures
    assert type(failure.error) is NotFound
    assert failure.error.status_code == 404


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_file_is_resumed_while_forked_workers_run(
    sandbox: Sandbox, client: Client, tmp_path: Path
) -> None:
    """Workers that were forked while the journal was open do not lock it."""
    first, *_ = sandbox.seed(repositories=3, tags=5)
    sandbox.faults.add(repository_id=first, status=403)
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        inventory = client.inventory(executor=pool)
        with pytest.raises(IncompleteInventory):
            inventory.write_csv(tmp_path / "a.csv")
        sandbox.faults.clear()
        assert inventory.write_csv(tmp_path / "a.csv", resume=True) == 15


def test_by_a_user_supplied_pool_of_threads(sandbox: Sandbox) -> None:
    """Threads use the same client, also one that cannot be pickled."""
    sandbox.seed(repositories=3, tags=5)
    with (
        httpx.Client(transport=sandbox.transport()) as http_client,
        Client(**sandbox.connection, http_client=http_client) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        assert len(list(client.inventory(executor=threads))) == 15
        assert threads.submit(os.getpid).result() == os.getpid()


def test_a_worker_keeps_its_client(sandbox: Sandbox, client: Client) -> None:
    """Tasks with the same settings share one client."""
    first, *_ = sandbox.seed(repositories=3, tags=5)
    with ThreadPoolExecutor(2) as threads:
        elsewhere = Counting(threads)
        for _ in range(2):
            assert len(list(client.inventory(executor=elsewhere, page_size=2))) == 15
        # Within a task: its earlier pages are kept.
        sandbox.faults.add(repository_id=first, status=404, skip=1, times=1)
        assert len(list(client.inventory(executor=elsewhere, page_size=2))) == 15
    assert kept_clients() == 1


@pytest.mark.filterwarnings("default")
def test_by_a_dask_cluster(sandbox: Sandbox, client: Client) -> None:
    """Two worker processes of a cluster share the repositories, without an adapter."""
    # Loaded here, as it takes as long as many tests.
    from distributed import LocalCluster

    sandbox.seed(repositories=4, tags=5)
    sandbox.seed(repositories=1, tags=1500)
    plain = expected(sandbox, client)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address=":0"
        ) as cluster,
        cluster.get_client() as dask,
    ):
        assert len(set(dask.run(os.getpid).values()) - {os.getpid()}) == 2
        for _ in range(2):
            counting = Counting(dask.get_executor())
            assert sorted(client.inventory(executor=counting)) == sorted(plain)
            assert 500 < max(counting.returned) <= 1000
        assert sum(dask.run(kept_clients).values()) in (1, 2)


def test_a_client_that_cannot_be_pickled_is_refused(sandbox: Sandbox, processes: Executor) -> None:
    """The error names the user-supplied client, the hook or the class."""
    with (
        httpx.Client(transport=sandbox.transport()) as http_client,
        Client(**sandbox.connection, http_client=http_client) as client,
        pytest.raises(ValueError, match="executor cannot be used with a user-supplied http_client"),
    ):
        client.inventory(executor=processes)
    with (
        Client(**sandbox.connection, on_retry=lambda _: None) as client,
        pytest.raises(ValueError, match=r"on_retry, .*, cannot be pickled"),
    ):
        client.inventory(executor=processes)

    class Mine(Client):
        pass

    with (
        Mine(**sandbox.connection) as client,
        pytest.raises(ValueError, match="a Mine cannot be pickled"),
    ):
        client.inventory(executor=processes)


class Refusing(Executor):
    """An executor that ends the first call of each task without making it."""

    def __init__(self, other: Executor, end: Callable[[Future[Any]], object]) -> None:
        self._other = other
        self._end = end
        self._refused: set[Any] = set()

    def submit(self, call: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Submit a call, or end it."""
        task = arguments[1]
        if task in self._refused:
            return self._other.submit(call, *arguments, **options)
        self._refused.add(task)
        future: Future[Any] = Future()
        self._end(future)
        return future


def test_a_cancelled_task_is_sent_again(sandbox: Sandbox, client: Client) -> None:
    """An executor that cancels a task costs no rows."""
    sandbox.seed(repositories=3, tags=5)
    with ThreadPoolExecutor(2) as threads:
        refusing = Refusing(threads, Future.cancel)
        assert len(list(client.inventory(executor=refusing))) == 15


def test_an_error_of_an_executor(sandbox: Sandbox, client: Client) -> None:
    """An Error that the task of the list of repositories raises ends the iteration."""
    sandbox.seed(repositories=3, tags=5)
    lost = Error("the worker is lost")

    def fail(future: Future[Any]) -> None:
        future.set_exception(lost)

    with ThreadPoolExecutor(2) as threads, pytest.raises(Error, match="the worker is lost"):
        list(client.inventory(executor=Refusing(threads, fail)))
