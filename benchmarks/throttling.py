"""How long an inventory of a rate-limited API takes, beside the time that the rate allows.

    python -m benchmarks.throttling [RATE [REPOSITORIES]]

Each line: the server's limiter, what throttled responses say, who asks, seconds, and their ratio to
the shortest time in which the rate lets that many requests through. Takes some minutes, since the
waits are real.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from email.utils import formatdate
from functools import cache
from multiprocessing import get_context
from queue import Queue

from abeja_registry import AsyncClient, Client
from abeja_registry.inventory import Progress

from .server import answer

# Whether a request that comes at a time is allowed.
Limiter = Callable[[float], bool]


def fixed_window(rate: int) -> Limiter:
    """Allow so many requests within each second of the clock."""
    window, count = 0, 0

    def allow(now: float) -> bool:
        nonlocal window, count
        if int(now) != window:
            window, count = int(now), 0
        count += 1
        return count <= rate

    return allow


def sliding_window(rate: int) -> Limiter:
    """Allow so many requests within any second."""
    allowed: deque[float] = deque()

    def allow(now: float) -> bool:
        while allowed and allowed[0] <= now - 1:
            allowed.popleft()
        if len(allowed) < rate:
            allowed.append(now)
            return True
        return False

    return allow


def token_bucket(rate: int) -> Limiter:
    """Allow so many requests a second, and as many at once after a pause."""
    tokens, then = float(rate), time.monotonic()

    def allow(now: float) -> bool:
        nonlocal tokens, then
        tokens, then = min(rate, tokens + (now - then) * rate), now
        if tokens < 1:
            return False
        tokens -= 1
        return True

    return allow


def throttled(status: int, retry_after: str | None) -> bytes:
    """Return the response to a request that comes too fast."""
    head = f"HTTP/1.1 {status} \r\nContent-Length: 2\r\nContent-Type: application/json\r\n"
    if retry_after == "date":
        head += f"Retry-After: {formatdate(time.time() + 1, usegmt=True)}\r\n"
        head += f"Date: {formatdate(usegmt=True)}\r\n"
    elif retry_after is not None:
        head += f"Retry-After: {retry_after}\r\n"
    return head.encode() + b"\r\n{}"


async def serve(
    limiter: Limiter, response: tuple[int, str | None], port: Queue[int], ended: threading.Event
) -> None:
    """Serve the benchmark's organizations under a limit, until that ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                seconds, body = answer(head.split(b" ", 2)[1].decode())
                allowed = limiter(time.monotonic())
                await asyncio.sleep(seconds)
                writer.write(body if allowed else throttled(*response))
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        port.put(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(ended.wait)


@contextmanager
def serving(limiter: Limiter, response: tuple[int, str | None]) -> Iterator[str]:
    """Run the server in a thread; give its address."""
    port: Queue[int] = Queue()
    ended = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(serve(limiter, response, port, ended)), daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{port.get()}"
    finally:
        ended.set()
        thread.join()


Walk = Callable[[str, str, Callable[[Progress], object]], tuple[int, int]]


def by_threads(url: str, organization: str, show: Callable[[Progress], object]) -> tuple[int, int]:
    """Return the rows and the failures of a sync inventory."""
    with Client(organization, {}, base_url=url) as client:
        inventory = client.inventory(on_progress=show)
        return sum(1 for _ in inventory), len(inventory.failures)


def wide(url: str, organization: str, show: Callable[[Progress], object]) -> tuple[int, int]:
    """Return the same of one with 100 requests at a time."""
    with Client(organization, {}, base_url=url) as client:
        inventory = client.inventory(on_progress=show, concurrency=100)
        return sum(1 for _ in inventory), len(inventory.failures)


def by_tasks(url: str, organization: str, show: Callable[[Progress], object]) -> tuple[int, int]:
    """Return the same of an async inventory."""

    async def run() -> tuple[int, int]:
        async with AsyncClient(organization, {}, base_url=url) as client:
            inventory = client.inventory(on_progress=show)
            return len([row async for row in inventory]), len(inventory.failures)

    return asyncio.run(run())


def by_processes(
    url: str, organization: str, show: Callable[[Progress], object]
) -> tuple[int, int]:
    """Return the same of one whose requests two worker processes send."""
    with Client(organization, {}, base_url=url) as client:
        inventory = client.inventory(on_progress=show, executor=processes())
        return sum(1 for _ in inventory), len(inventory.failures)


@cache
def processes() -> ProcessPoolExecutor:
    """Return two worker processes that have started."""
    pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    wait([pool.submit(time.sleep, 2) for _ in range(2)])
    return pool


def measure(
    name: str,
    limiter: Limiter,
    response: tuple[int, str | None],
    walk: Walk,
    shape: tuple[int, int, int],
) -> None:
    """Print one line."""
    rate, repositories, milliseconds = shape
    latest = Progress()

    def show(progress: Progress) -> None:
        nonlocal latest
        latest = progress

    if walk is by_processes:
        processes()
    with serving(limiter, response) as url:
        began = time.monotonic()
        rows, failures = walk(url, f"{repositories}-1-{milliseconds}", show)
        seconds = time.monotonic() - began
    # A burst goes through at once: then the rate decides. A page has 100 repositories.
    requests = repositories + -(-repositories // 99)
    ratio = seconds / ((requests - rate) / rate)
    print(
        f"{name:15} {response!s:15} {walk.__name__:13} {milliseconds:4} ms {seconds:6.1f} s"
        f" {ratio:5.2f}  rows {rows}, failures {failures}, throttled {latest.throttled}",
        flush=True,
    )


def main() -> None:
    """Measure all."""
    given = [int(number) for number in sys.argv[1:]]
    rate, repositories = (given + [20, 400][len(given) :])[:2]
    runs: list[tuple[tuple[int, str | None], Walk, int]] = [
        ((429, "1"), by_threads, 0),
        ((429, "1"), by_tasks, 0),
        ((429, "1"), wide, 0),
        ((429, "1"), by_processes, 0),
        ((429, "1"), by_threads, 50),
        ((429, "1"), by_threads, 200),
        ((429, "date"), by_threads, 0),
        ((503, "1"), by_threads, 0),
        ((429, None), by_threads, 0),
    ]
    for response, walk, milliseconds in runs:
        for limiter in (fixed_window, sliding_window, token_bucket):
            shape = rate, repositories, milliseconds
            measure(limiter.__name__, limiter(rate), response, walk, shape)


if __name__ == "__main__":
    main()
