"""What the sandbox costs: pages of a million tags, and a test's fixtures.

    make bench

Each figure stands beside a named peer, measured in the same run.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import httpx

from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

TAGS = 1_000_000
PAGE = 1000  # rows, the largest that the sandbox gives


def milliseconds(work: Callable[[], object], turns: int) -> list[float]:
    """Time some work, turn by turn."""
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
    """What a test pays for an empty sandbox and a client, against a sandbox of its own."""
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
    fixtures()
    pages()
