"""Inventories of an API that throttles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.internals import replace_now, replace_sleep
from tests.support.inventories import Counting
from tests.support.worlds import done, walked

from abeja_registry import Client, Error, Retry, RetryPolicy, TooManyRequests
from abeja_registry.inventory import Progress
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


class Limited:
    """An API of many repositories that accepts some requests a second, by a clock of the test.

    Attributes:
        now: The time, in seconds.
        requests: How many requests were sent.
        throttled: How many of them were throttled.
        slept: The waits, oldest first.
    """

    def __init__(
        self, example: Callable[[str], dict[str, Any]], repositories: int, rate: float = 20
    ) -> None:
        self.now = 0.0
        self.requests = self.throttled = 0
        self.slept: list[float] = []
        self.status, self.headers = 429, {"retry-after": "1"}
        self._rate = rate
        self._lock = threading.Lock()
        self._window: list[float] = []
        listed, self._tags = example("get_repositories"), example("get_repository_tags")
        [row] = listed["registry_repositories"]
        self._listed = listed
        self._rows = [{**row, "id": str(at), "name": f"r{at}"} for at in range(repositories)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Return the response to a request."""
        with self._lock:
            self.requests += 1
            self._window = [then for then in self._window if then > self.now - 1]
            if len(self._window) >= self._rate:
                self.throttled += 1
                headers = {**self.headers, "date": format_datetime(self.date(), usegmt=True)}
                if headers.get("retry-after") == "date":
                    later = self.date() + timedelta(seconds=1)
                    headers["retry-after"] = format_datetime(later, usegmt=True)
                return httpx.Response(self.status, headers=headers, json={})
            self._window.append(self.now)
        if request.url.path.endswith("/tags"):
            return httpx.Response(200, json=self._tags)
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        end = offset + limit
        page = {"registry_repositories": self._rows[offset:end], "has_next": end < len(self._rows)}
        return httpx.Response(200, json={**self._listed, **page, "offset": offset})

    def date(self) -> datetime:
        """Return the time of the API."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def limited(
    example: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Limited]:
    """Creates an API that throttles, and whose clock the clients use."""

    def make(*arguments: Any) -> Limited:
        api = Limited(example, *arguments)
        replace_sleep(monkeypatch, api.sleep)
        replace_now(monkeypatch, lambda: api.now)
        return api

    return make


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "1"}, 1.5 * 20),
        (429, {"retry-after": "date"}, 1.5 * 20),
        (503, {"retry-after": "1"}, 1.5 * 20),
        (503, {"retry-after": "2"}, 3 * 20),
        (429, {}, 4 * 20),
        (429, {"retry-after": "0"}, 4 * 20),
    ],
)
@pytest.mark.parametrize(
    "options",
    [{}, {"retry": RetryPolicy(max_retries=0)}, {"deadline": 0.9}],
    ids=["", "no retries", "a short deadline"],
)
async def test_a_rate_limited_api_slows_an_inventory_down(
    either_of: Any,
    limited: Callable[..., Limited],
    status: int,
    headers: dict[str, str],
    seconds: float,
    options: dict[str, Any],
) -> None:
    """All rows of 400 repositories are returned, at 20 requests a second."""
    api = limited(400)
    api.status, api.headers = status, headers
    reports: list[Progress] = []
    inventory = either_of(api, **options).inventory(on_progress=reports.append)
    rows = await walked(inventory)
    assert (len(rows), inventory.failures) == (400, ())
    assert api.now <= seconds
    assert api.throttled <= 400
    last = reports[-1]
    assert (last.throttled, last.failed, last.finished) == (api.throttled, 0, 400)
    assert 1 <= min(each.concurrency for each in reports) < 16
    assert max(each.concurrency for each in reports) <= 16


@pytest.mark.parametrize("concurrency", [1, 2, 100])
async def test_a_rate_limited_api_at_any_concurrency(
    either_of: Any, limited: Callable[..., Limited], concurrency: int
) -> None:
    """No repository fails because many requests compete for the same seconds."""
    api = limited(200)
    inventory = either_of(api).inventory(concurrency=concurrency)
    assert len(await walked(inventory)) == 200
    assert not inventory.failures
    assert api.now <= 1.5 * 10


async def test_an_inventory_to_a_file_slows_down_too(
    either_of: Any, limited: Callable[..., Limited], tmp_path: Path
) -> None:
    """The file has all rows."""
    api = limited(100)
    inventory = either_of(api).inventory()
    assert await done(inventory.write_csv(tmp_path / "a.csv")) == 100
    assert api.now <= 1.5 * 5


async def test_throttled_requests_are_logged_and_reported(
    either_of: Any, limited: Callable[..., Limited], caplog: pytest.LogCaptureFixture
) -> None:
    """`on_retry` is called, and a line logged, for each request that is sent again."""
    api = limited(60)
    reports: list[Retry] = []
    with caplog.at_level("WARNING", "abeja_registry"):
        assert len(await walked(either_of(api, on_retry=reports.append).inventory())) == 60
    assert len(reports) == api.throttled == len(caplog.records)
    assert {(retry.attempt, retry.cause, retry.wait) for retry in reports} == {(1, "429", 1.0)}
    assert {retry.operation for retry in reports} >= {"get_repository_tags"}


async def test_a_retry_after_of_an_hour(either_of: Any, limited: Callable[..., Limited]) -> None:
    """The inventory does not wait: the throttled repositories fail, and their errors say why."""
    api = limited(50)
    api.headers = {"retry-after": "3600"}
    inventory = either_of(api).inventory()
    assert len(await walked(inventory)) == 19
    assert {getattr(each.error, "retry_after", None) for each in inventory.failures} == {3600}
    assert {each.error.history[-1].stop_reason for each in inventory.failures} == {
        "Retry-After asks for more than max_retry_after"
    }
    assert len(inventory.failures) == 31
    assert api.now == 0


async def test_an_api_that_throttles_all_requests_ends_an_inventory(
    either_of: Any, limited: Callable[..., Limited]
) -> None:
    """After some minutes the API's error is raised, and says so."""
    api = limited(50, 0)
    with pytest.raises(TooManyRequests) as caught:
        await walked(either_of(api).inventory())
    [attempt] = caught.value.history
    assert attempt.stop_reason == "the API has throttled the inventory for too long"
    assert 300 <= api.now < 600
    assert api.requests < 100


async def test_a_client_that_is_closed_while_its_inventory_waits(
    either_of: Any, limited: Callable[..., Limited], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait and the inventory end."""
    api = limited(50, 0)
    client = either_of(api)
    close = client.close if isinstance(client, Client) else client.aclose
    replace_sleep(monkeypatch, lambda _: close())
    with pytest.raises(Error, match="the client was closed"):
        await walked(client.inventory())


@pytest.mark.usefixtures("no_waiting")
def test_processes_slow_down_together(
    sandbox: Sandbox, client: Client, processes: Executor
) -> None:
    """Worker processes leave throttling to the inventory, which gives them fewer tasks."""
    sandbox.seed(repositories=30, tags=1)
    sandbox.faults.add(operation="get_repository_tags", status=429, retry_after=0, times=20)
    reports: list[Progress] = []
    inventory = client.inventory(executor=processes, on_progress=reports.append)
    assert len(list(inventory)) == 30
    assert (reports[-1].throttled, inventory.failures) == (20, ())
    assert min(each.concurrency for each in reports) < 16


@pytest.mark.usefixtures("no_waiting")
def test_a_task_that_is_throttled_keeps_its_earlier_pages(sandbox: Sandbox, client: Client) -> None:
    """The pages before the throttled one count, and the inventory slows down."""
    sandbox.seed(repositories=1, tags=60)
    sandbox.faults.add(operation="get_repository_tags", status=429, skip=3, times=1)
    reports: list[Progress] = []
    with ThreadPoolExecutor(1) as threads:
        inventory = client.inventory(
            executor=Counting(threads), page_size=2, on_progress=reports.append
        )
        assert len(list(inventory)) == 60
    assert (reports[-1].throttled, inventory.failures) == (1, ())


async def test_a_pause_ends_while_a_response_is_awaited(sandbox: Sandbox, either: Any) -> None:
    """A request that is throttled while another one takes long is sent again."""
    first, second = sandbox.seed(repositories=2, tags=1)
    sandbox.faults.add(operation="get_repository_tags", repository_id=first, status=429, times=1)
    sandbox.faults.add(operation="get_repository_tags", repository_id=second, latency=0.5)
    policy = RetryPolicy(max_retries=0, throttled_base_delay=0.05)
    rows = await walked(either.with_options(retry=policy).inventory(concurrency=4))
    assert [row.repository_id for row in rows] == [first, second]
