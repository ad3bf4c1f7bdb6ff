"""The sandbox's costs: its server's CPU, pages of a million tags, and a test's fixtures.

    make bench
    python benchmarks/sandbox.py load SOURCE ...

The second command measures the server of other source trees beside this one's, in turns.
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx

from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

TAGS = 1_000_000
PAGE = 1000  # rows, the sandbox's largest
CONNECTIONS = 16
ROUNDS = 6
# Requests of each connection in a round, by rows of a page.
REQUESTS = {10: 60, 100: 40, PAGE: 8}
MANY_CLIENTS = 200
SOURCE = str(Path(__file__).parent.parent / "src")


class Server(NamedTuple):
    """A sandbox in its own process."""

    source: str
    pid: int
    url: httpx.URL
    path: str

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of its process."""
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def megabytes(self) -> float:
        """The memory of its process."""
        match = re.search(r"VmRSS:\s+(\d+) kB", self._read("status"))
        assert match is not None
        return int(match[1]) / 1024

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()


@contextmanager
def server(source: str) -> Iterator[Server]:
    """Run the sandbox of a source tree, with a repository of 1,500 tags."""
    line = [sys.executable, "-m", "abeja_registry.sandbox", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": source}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = re.search(r"http://[^ ]+:\d+", process.stdout.readline())
        assert found is not None
        url = httpx.URL(found[0])
        seed = {"repositories": 1, "tags": 1500}
        seeded = httpx.post(url.join("/_sandbox/seed"), json=seed, trust_env=False, timeout=60)
        [repository_id] = seeded.json()["repository_ids"]
        root = "/organizations/1410000000000/registry/repositories"
        yield Server(source, process.pid, url, f"{root}/{repository_id}/tags")
        process.terminate()


async def send(target: Server, rows: int, requests: int, connections: int) -> None:
    """Send requests for a page over some connections, each request after the last response."""
    lines = [
        f"GET {target.path}?limit={rows} HTTP/1.1",
        f"Host: {target.url.netloc.decode()}",
        "Authorization: Bearer sandbox",
        "Accept: application/json",
        "User-Agent: benchmark",
    ]
    request = "\r\n".join([*lines, "", ""]).encode()

    async def send_all() -> None:
        reader, writer = await asyncio.open_connection(target.url.host, target.url.port)
        for _ in range(requests):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))
        writer.close()

    await asyncio.gather(*(send_all() for _ in range(connections)))


def load(sources: Sequence[str]) -> None:
    """CPU of the server's process at 16 connections, and its memory at 200."""
    with ExitStack() as stack:
        servers = [stack.enter_context(server(source)) for source in sources]
        print(f"ms of server CPU a request, {CONNECTIONS} connections: median, least of {ROUNDS}")
        for rows, requests in REQUESTS.items():
            costs: dict[str, list[float]] = {each.source: [] for each in servers}
            for _ in range(ROUNDS):
                for each in servers:
                    before = each.cpu_seconds
                    asyncio.run(send(each, rows, requests, CONNECTIONS))
                    used = each.cpu_seconds - before
                    costs[each.source].append(used * 1000 / requests / CONNECTIONS)
            for source, each_cost in costs.items():
                figures = f"{statistics.median(each_cost):6.2f} {min(each_cost):6.2f}"
                print(f"  {rows:5} rows {figures}  {source}")
        print(f"MB of the server's process, {MANY_CLIENTS} clients, after 2,000 requests each time")
        for each in servers:
            memory = []
            for _ in range(4):
                asyncio.run(send(each, 10, 10, MANY_CLIENTS))
                memory.append(f"{each.megabytes:6.1f}")
            print(f"  {' '.join(memory)}  {each.source}")


def milliseconds(work: Callable[[], object], turns: int) -> list[float]:
    """Time a function, call by call."""
    times = []
    for _ in range(turns):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return times


def pages() -> None:
    """Pages of a million tags over HTTP, against the first page of ten rows."""
    with Sandbox() as sandbox, httpx.Client(trust_env=False) as http:
        http.headers["Authorization"] = "Bearer sandbox"
        [repository_id] = sandbox.seed(repositories=1, tags=TAGS)
        path = (
            f"/organizations/{sandbox.organization_id}/registry/repositories/{repository_id}/tags"
        )

        def ask(offset: int, limit: int) -> None:
            window = {"offset": offset, "limit": limit}
            http.get(sandbox.url + path, params=window).raise_for_status()

        print(f"{TAGS:,} tags, ms a page over HTTP: median, slowest of 50")
        for limit in (10, 100, PAGE):
            for name, offset in (("first", 0), ("middle", TAGS // 2), ("last", TAGS - limit)):
                times = milliseconds(partial(ask, offset, limit), 50)
                print(
                    f"  {limit:5} rows, {name:6} {statistics.median(times):6.1f} {max(times):6.1f}"
                )


def fixtures() -> None:
    """The cost of a test's empty sandbox and client, beside that of a separate sandbox."""
    with Sandbox() as sandbox:

        def shared() -> None:
            sandbox.reset()
            with Client(**sandbox.connection) as client:
                client.repositories.list()

        def own() -> None:
            with Sandbox() as mine, Client(**mine.connection) as client:
                client.repositories.list()

        sandbox.seed()
        of_session = statistics.median(milliseconds(shared, 200))
        of_test = statistics.median(milliseconds(own, 10))
    print("ms for a test's sandbox, client and first call, median")
    print(f"  the session's sandbox, emptied {of_session:6.1f}")
    print(f"  a sandbox of the test's own    {of_test:6.1f}  ({of_test / of_session:.0f} times)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        load([*sys.argv[2:], SOURCE])
    else:
        load([SOURCE])
        fixtures()
        pages()
