"""Calls of many threads through one client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import calls

if TYPE_CHECKING:
    from ..worker import Work

THREADS = 32
CALLS = 1_000


def _by_threads(call: Work) -> Callable[[], int]:
    def work() -> int:
        with ThreadPoolExecutor(THREADS) as threads:
            return sum(threads.map(lambda _: call(), range(CALLS)))

    return work


@contextmanager
def abeja_registry(url: str, organization: str) -> Iterator[Work]:
    """This package over its own connections."""
    with calls.abeja_registry(url, organization) as call:
        yield _by_threads(call)


@contextmanager
def httpx_client(url: str, organization: str) -> Iterator[Work]:
    """Bare httpx with its default limits."""
    with calls.httpx_client(url, organization) as call:
        yield _by_threads(call)
