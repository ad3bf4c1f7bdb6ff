"""Every tag of an organization as record batches or rows, by threads, processes and clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from .calls import TOKEN

if TYPE_CHECKING:
    from ..worker import Work

WORKERS = 2


@contextmanager
def _inventory(
    url: str, organization: str, page_size: int, columns: bool, executor: Executor | None = None
) -> Iterator[Work]:
    from abeja_registry import Client

    with Client(organization, {"auth_token": TOKEN}, base_url=url) as client:

        def work() -> int:
            inventory = client.inventory(page_size=page_size, executor=executor)
            if columns:
                return sum(batch.num_rows for batch in inventory.record_batches())
            return sum(1 for _ in inventory)

        yield work


@contextmanager
def threads(url: str, organization: str, **options: Any) -> Iterator[Work]:
    """The inventory's own threads."""
    with _inventory(url, organization, **options) as work:
        yield work


@contextmanager
def processes(url: str, organization: str, **options: Any) -> Iterator[Work]:
    """A process pool of the standard library."""
    with (
        ProcessPoolExecutor(WORKERS) as executor,
        _inventory(url, organization, executor=executor, **options) as work,
    ):
        yield work


@contextmanager
def dask(url: str, organization: str, **options: Any) -> Iterator[Work]:
    """A Dask cluster on this machine, whose scheduler is a process of its own, too."""
    from distributed import Client as DaskClient
    from distributed import SubprocessCluster

    with (
        SubprocessCluster(n_workers=WORKERS, worker_kwargs={"nthreads": 1}) as cluster,
        DaskClient(cluster) as dask_client,
        _inventory(url, organization, executor=dask_client.get_executor(), **options) as work,
    ):
        yield work


# docs/integrations/dask.md shows this class.
class RayExecutor(Executor):
    """Runs calls as tasks of the Ray cluster that `ray.init` has connected to."""

    def __init__(self) -> None:
        import ray

        self._remote = cache(ray.remote)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a call."""
        future: Future[Any] = self._remote(fn).remote(*args, **kwargs).future()
        return future


@contextmanager
def ray(url: str, organization: str, **options: Any) -> Iterator[Work]:
    """A Ray cluster on this machine."""
    import ray

    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    try:
        with _inventory(url, organization, executor=RayExecutor(), **options) as work:
            yield work
    finally:
        ray.shutdown()
