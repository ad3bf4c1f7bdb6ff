"""One contender in a process of its own, told by lines of JSON what to do.

    python -m benchmarks.worker calls abeja_registry

A contender, of one of the modules in `contenders`, is a context manager: it is given the server's
URL, an organization's id and options, and gives a function to time, which returns how many items
of work were done. Whatever belongs to a client's life but not to the work stays outside.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from importlib import import_module
from typing import Any

Work = Callable[[], int]
AsyncWork = Callable[[], Awaitable[int]]
Contender = Callable[..., AbstractContextManager[Work] | AbstractAsyncContextManager[AsyncWork]]


class Stopwatch:
    """Measures from its making on, after a collection of garbage."""

    def __init__(self) -> None:
        gc.collect()
        self._cpu = time.process_time()
        self._began = time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return the seconds so far, by the clock and of CPU time."""
        return {
            "seconds": time.perf_counter() - self._began,
            "cpu": time.process_time() - self._cpu,
        }


def turn(contender: Contender, job: dict[str, Any]) -> dict[str, float]:
    """Return the seconds that one turn took, by the clock and of CPU time, and its items."""
    made = contender(job["url"], job["organization"], **job["options"])
    if isinstance(made, AbstractAsyncContextManager):
        return asyncio.run(_async_turn(made, job["warm_up"], job["times"]))
    with made as work:
        for _ in range(job["warm_up"]):
            work()
        stopwatch = Stopwatch()
        items = sum(work() for _ in range(job["times"]))
        return {**stopwatch.read(), "items": items}


async def _async_turn(
    made: AbstractAsyncContextManager[AsyncWork], warm_up: int, times: int
) -> dict[str, float]:
    async with made as work:
        for _ in range(warm_up):
            await work()
        items = 0
        stopwatch = Stopwatch()
        for _ in range(times):
            items += await work()
        return {**stopwatch.read(), "items": items}


def main(module: str, name: str) -> None:
    """Answer each line of standard input by one of standard output."""
    contender = getattr(import_module(f".contenders.{module}", __package__), name)
    for line in sys.stdin:
        measured = turn(contender, json.loads(line))
        # Linux says it in KiB.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({**measured, "peak": peak}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
