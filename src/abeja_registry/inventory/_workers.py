"""Where an inventory's tasks run: its own threads, or the worker processes of an executor.

A worker process keeps clients between tasks. Tasks of the same settings share one client and its
connections. Credentials rotate, and each new one makes another client, so the number is bounded:
the least recently used falls out, and is closed once no task uses it.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Enough for a cluster that serves several organizations at once.
MAX_CLIENTS = 8


class Threads(ThreadPoolExecutor):
    """Threads, and the calling thread where none starts: at a process's limit, or at its end."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin a call."""
        future: Future[T] = Future()
        # The base class queues a call before it starts a thread, so a thread that runs already
        # may carry out the call whose submit() failed.
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
class PackedClient:
    """A pickled client for another process: it holds the credential, so it is never shown."""

    data: bytes = field(repr=False)


@dataclass(slots=True)
class _Entry:
    client: Any
    users: int = 0


class WorkerClients:
    """Clients by what they were unpickled from, the least recently used first.

    Args:
        size: How many are kept at most; those in use may be more.
    """

    def __init__(self, size: int = MAX_CLIENTS) -> None:
        self._size = size
        self._entries: dict[PackedClient, _Entry] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @contextmanager
    def lease(self, packed: PackedClient) -> Iterator[Any]:
        """Give the client for a task; it stays open until the task ends."""
        with self._lock:
            entry = self._entries.pop(packed, None) or _Entry(pickle.loads(packed.data))
            self._entries[packed] = entry
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

    def _shrink(self, size: int) -> list[Any]:
        """Remove clients that no task uses, the least recently used first; return them."""
        idle = [packed for packed, entry in self._entries.items() if not entry.users]
        excess = max(0, len(self._entries) - size)
        return [self._entries.pop(packed).client for packed in idle[:excess]]

    def renew(self) -> None:
        """Forget the tasks of the parent process, after a fork."""
        # Another thread of the parent may have held the lock; its tasks do not run here.
        self._lock = threading.Lock()
        for entry in self._entries.values():
            entry.users = 0


def _close(clients: list[Any]) -> None:
    # Outside the lock: closing connections may take a while, and other tasks need none of it.
    for client in clients:
        client.close()


worker_clients = WorkerClients()
# Absent on Windows, where no process forks.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=worker_clients.renew)
