"""How long a look-up in a long list takes, and how many requests a fleet of waiting jobs sends.

    python -m benchmarks.look_ups [JOBS]

First a missing tag among 100,000 at a latency of 50 ms: seconds, seconds of CPU, requests. Then
jobs that start together and wait for a tag in a list of 2,100: requests of each second, on a
simulated clock, against responses without latency.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from heapq import heapify, heapreplace
from types import SimpleNamespace
from typing import Any

from abeja_registry import AsyncClient, Client, NotFound
from abeja_registry._api.flows import Ahead, Wait
from abeja_registry._api.waiting import wait_for

from .rounds import Server
from .server import FIRST_REPOSITORY

ORGANIZATION = "1-100000-50"
TAGS = 2_100
SECONDS = 120


def timed(server: Server, name: str, look_up: Callable[[], object]) -> None:
    """Print what a look-up takes."""
    requests = server.counts()["requests"]
    started, cpu = time.perf_counter(), time.process_time()
    with suppress(NotFound):
        look_up()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    requests = server.counts()["requests"] - requests
    print(f"{name:24} {seconds:6.2f} s, CPU {cpu:.2f} s, {requests} requests", flush=True)


def look_ups() -> None:
    """Look up a missing tag, in pages of 100 and of 1,000, sync and async."""
    repository = str(FIRST_REPOSITORY)
    with Server.running() as server:
        options: Any = {"credential": {}, "base_url": server.url}

        async def awaited(page_size: int) -> None:
            async with AsyncClient(ORGANIZATION, **options) as client:
                await client.tags.get(repository, "missing", page_size=page_size)

        for size in (100, 1000):
            with Client(ORGANIZATION, **options) as client:
                get = partial(client.tags.get, repository, "missing", page_size=size)
                timed(server, f"get_tag, pages of {size}", get)
            timed(server, f"async, pages of {size}", lambda size=size: asyncio.run(awaited(size)))  # type: ignore[misc]


class Job:
    """A job that waits for a tag that does not appear."""

    def __init__(self, number: int, pages: dict[int, Any]) -> None:
        self.now = 0.0
        self._pages = pages
        self._flow: Any = wait_for(
            "missing",
            lambda *window: window,  # type: ignore[arg-type]
            lambda page, _: page,  # type: ignore[arg-type, return-value]
            None,
            lambda _: None,
            timeout=10 * SECONDS,
            now=lambda: self.now,
            random=random.Random(number).random,
        )

    def _page(self, limit: int, offset: int) -> Any:
        if offset not in self._pages:
            ids = [str(number) for number in range(offset, min(TAGS, offset + limit))]
            page = SimpleNamespace(ids=ids, rows=[], has_next=offset + limit < TAGS)
            self._pages[offset] = page
        return self._pages[offset]

    def poll(self) -> int:
        """Poll once and wait; return how many requests it sent."""
        sent = 0
        step = next(self._flow)
        while not isinstance(step, Wait):
            ahead = isinstance(step, Ahead)
            pages = [self._page(*window) for window in (step.operations if ahead else [step])]
            sent += len(pages)
            step = self._flow.send(pages if ahead else pages[0])
        self.now += step.seconds
        return sent


def fleet(size: int) -> None:
    """Print the requests of a fleet: in the first second, and in each of the last sixty."""
    pages: dict[int, Any] = {}
    jobs = [Job(number, pages) for number in range(size)]
    turns = [(0.0, number) for number in range(size)]
    heapify(turns)
    seconds: Counter[int] = Counter()
    while turns[0][0] < SECONDS:
        now, number = turns[0]
        seconds[int(now)] += jobs[number].poll()
        heapreplace(turns, (jobs[number].now, number))
    later = [seconds[second] for second in range(SECONDS - 60, SECONDS)]
    print(f"{size} jobs, {TAGS} tags: {seconds[0]} requests in the first second; later")
    print(f"{sum(later) / len(later):.0f} a second, at least {min(later)}, at most {max(later)}")


if __name__ == "__main__":
    look_ups()
    fleet(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
