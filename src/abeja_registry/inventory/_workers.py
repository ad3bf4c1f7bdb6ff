"""Where an inventory's tasks run: its own threads, or the worker processes of an executor.

A worker process keeps clients between tasks. Tasks with the same settings share one client and its
connections. Credentials rotate and each new one needs another client, so the number of clients is
bounded: the least recently used one is dropped, and closed once no task uses it.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import abeja_registry

from .._validation import safe_repr
from ..exceptions import InvalidArgument
from ._fetching import Fetcher, picklable_settings
from ._tasks import FetchResult, FetchTask

P = ParamSpec("P")
T = TypeVar("T")

# Enough for a cluster that serves several organizations at once.
MAX_CLIENTS = 8


class Threads(ThreadPoolExecutor):
    """Threads; if none can start, at the process's limit or at its end, the calling thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a call."""
        future: Future[T] = Future()
        # The base class queues a call before it starts a thread, so a running thread may pick up
        # the call whose submit() failed.
        first = threading.Lock()

        def run() -> None:
            if not first.acquire(blocking=False) or not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        try:
            super().submit(run)
        except (RuntimeError, MemoryError):
            run()
        return future


@dataclass(frozen=True, slots=True)
class PickledClient:
    """A pickled client for another process; its repr does not show the credential."""

    data: bytes = field(repr=False)


@dataclass(slots=True)
class _Entry:
    client: abeja_registry.Client
    users: int = 0


class WorkerClients:
    """Clients by their pickles, the least recently used first.

    Args:
        size: How many are kept at most; clients in use may be more.
    """

    def __init__(self, size: int = MAX_CLIENTS) -> None:
        self._size = size
        self._entries: dict[PickledClient, _Entry] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @contextmanager
    def lease(self, pickled: PickledClient) -> Iterator[abeja_registry.Client]:
        """Yield the client for a task; it stays open until the task ends."""
        with self._lock:
            entry = self._entries.pop(pickled, None) or _Entry(pickle.loads(pickled.data))
            self._entries[pickled] = entry
            entry.users += 1
            dropped = self._shrink(self._size)
        _close(dropped)
        try:
            yield entry.client
        finally:
            with self._lock:
                entry.users -= 1
                dropped = self._shrink(self._size)
            _close(dropped)

    def close(self) -> None:
        """Close the clients that no task uses."""
        with self._lock:
            dropped = self._shrink(0)
        _close(dropped)

    def _shrink(self, size: int) -> list[abeja_registry.Client]:
        """Remove clients that no task uses, the least recently used first; return them."""
        idle = [pickled for pickled, entry in self._entries.items() if not entry.users]
        excess = max(0, len(self._entries) - size)
        return [self._entries.pop(pickled).client for pickled in idle[:excess]]

    def renew(self) -> None:
        """Forget the tasks of the parent process, after fork()."""
        # A lock that was held at fork() stays locked; the parent's tasks do not run here.
        self._lock = threading.Lock()
        for entry in self._entries.values():
            entry.users = 0


def _close(clients: list[abeja_registry.Client]) -> None:
    # Called outside the lock, since closing connections may take a while.
    for client in clients:
        client.close()


worker_clients = WorkerClients()
# Windows has no fork().
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=worker_clients.renew)


def pickle_client(client: abeja_registry.Client) -> PickledClient:
    """Return a pickled client for another process.

    Raises:
        InvalidArgument: It cannot be pickled.
    """
    try:
        settings = picklable_settings(client)
    except TypeError:
        raise InvalidArgument(
            "executor cannot be used with a user-supplied http_client, which cannot be pickled for"
            " another process; leave out one of them"
        ) from None
    try:
        return PickledClient(pickle.dumps(client))
    except Exception as error:
        hooks = {"on_retry": settings.on_retry, "on_response": settings.on_response}
        names = [f"{name}, {safe_repr(hook)}," for name, hook in hooks.items() if hook is not None]
        name = " and ".join(names) or f"a {type(client).__name__}"
        raise InvalidArgument(
            f"executor cannot be used: {name} cannot be pickled for another process"
            f" ({type(error).__name__})"
        ) from None


def fetch_in_worker(
    pickled: PickledClient, task: FetchTask, columns: bool, _nonce: str
) -> FetchResult:
    """Fetch a task's pages in a worker process, through the client that it keeps."""
    with worker_clients.lease(pickled) as client:
        return Fetcher(client, columns=columns).fetch(task)
