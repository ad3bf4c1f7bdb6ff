"""Look-ups in a long list, through clients: several requests at once, and what bounds them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import httpx
import pytest
from tests.support.examples import BASE_URL, ORGANIZATION_ID, REPOSITORY, TAG
from tests.support.internals import replace_now, replace_sleep
from tests.support.registry import page_fields
from tests.support.worlds import done

from abeja_registry import (
    AsyncClient,
    BadRequest,
    Client,
    HttpError,
    NotFound,
    Retry,
    Timeout,
)

pytestmark = pytest.mark.anyio

ID = "1700000000000"
# Pages of two rows, each overlapping the one before: so many pages.
PAGES = 40
NAMES = [str(number) for number in range(PAGES + 1)]


class Lists:
    """A repository's tags and an organization's repositories, with the same names.

    Attributes:
        offsets: The offset of each request.
        on_request: Called with each offset before the response; a status that it returns is sent.
        most: The most requests that were in flight at once.
    """

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.limits: set[int] = set()
        self.on_request: Callable[[int], int | None] = lambda _: None
        self.most = 0
        self._in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Respond to a request."""
        with self._lock:
            self._in_flight += 1
            self.most = max(self.most, self._in_flight)
        try:
            return self._respond(request)
        finally:
            with self._lock:
                self._in_flight -= 1

    async def awaited(self, request: httpx.Request) -> httpx.Response:
        """As a call, after a turn of the event loop."""
        self._in_flight += 1
        self.most = max(self.most, self._in_flight)
        await asyncio.sleep(0)
        self._in_flight -= 1
        return self._respond(request)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        self.offsets.append(offset)
        self.limits.add(limit)
        if status := self.on_request(offset):
            return httpx.Response(status, json={})
        tags = request.url.path.endswith("/tags")
        row, key = (TAG, "tags") if tags else (REPOSITORY, "registry_repositories")
        rows = [{**row, "id": name, "name": name} for name in NAMES[offset:]]
        return httpx.Response(200, json=page_fields(key, rows, offset, limit))


ClientOf = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def client_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ClientOf:
    """Build a client of lists, sync or async, that does not wait."""
    replace_sleep(monkeypatch)

    def build(lists: Lists, **options: Any) -> Any:
        options["base_url"] = BASE_URL
        if request.param == "sync":
            client = httpx.Client(transport=httpx.MockTransport(lists))
            return Client(ORGANIZATION_ID, {}, http_client=client, **options)
        async_client = httpx.AsyncClient(transport=httpx.MockTransport(lists.awaited))
        return AsyncClient(ORGANIZATION_ID, {}, http_client=async_client, **options)

    return build


@pytest.mark.parametrize("name", ["0", "20", "40", "none"])
async def test_a_name_in_a_long_list(client_of: ClientOf, name: str) -> None:
    """Each look-up finds it, or says that it does not exist, with few requests beyond the end."""
    lists = Lists()
    client = client_of(lists)
    found = await done(client.repositories.find(name, page_size=2))
    assert (found and found.name) == (None if name == "none" else name)
    assert len(lists.offsets) <= PAGES * 4 / 3
    assert lists.limits == {2}
    for get in (
        client.repositories.get_by_name,
        lambda *args, **o: client.tags.get(ID, *args, **o),
    ):
        if name == "none":
            with pytest.raises(NotFound, match=f"named '{name}'"):
                await done(get(name, page_size=2))
        else:
            assert (await done(get(name, page_size=2))).name == name


async def test_several_requests_at_once(client_of: ClientOf) -> None:
    """The pages that are read ahead are in flight together, and never more than thirty-two."""
    lists = Lists()
    # Sync: the first steps of several requests have two of them, which wait for each other.
    together = threading.Barrier(2, timeout=60)
    client = client_of(lists)
    if isinstance(client, Client):
        lists.on_request = lambda offset: together.wait() and None if offset in (6, 7) else None
    await done(client.repositories.find("none", page_size=2))
    assert 2 <= lists.most <= 32


@pytest.mark.parametrize(
    "call",
    [
        lambda client, **size: client.repositories.find("none", **size),
        lambda client, **size: client.repositories.get_or_create("0", **size),
        lambda client, **size: client.tags.get(ID, "0", **size),
        lambda client, **size: client.tags.latest(ID, **size),
        lambda client, **size: client.tags.wait_for(ID, "0", timeout=1, **size),
    ],
    ids=["find", "get_or_create", "get", "latest", "wait_for"],
)
async def test_each_look_up_takes_a_page_size(client_of: ClientOf, call: Any) -> None:
    """It is the limit of its requests, 100 by default, and at least 1."""
    lists = Lists()
    client = client_of(lists)
    await done(call(client, page_size=7))
    assert lists.limits == {7}
    lists.limits.clear()
    await done(call(client))
    assert lists.limits == {100}
    sent = len(lists.offsets)
    for wrong in (0, "7"):
        with pytest.raises(ValueError, match="page_size must be"):
            await done(call(client, page_size=wrong))
    assert len(lists.offsets) == sent


async def test_the_latest_of_a_long_list(client_of: ClientOf) -> None:
    """All rows count, in the order of the list: the last of equal ones is the latest."""
    tag = await done(client_of(Lists()).tags.latest(ID, page_size=2))
    assert tag.name == NAMES[-1]


async def test_an_offset_that_the_api_refuses(client_of: ClientOf) -> None:
    """A look-up does not fail because a page ahead is beyond the end of the list."""
    lists = Lists()
    lists.on_request = lambda offset: 400 if offset >= PAGES else None
    assert await done(client_of(lists).repositories.find("none", page_size=2)) is None
    lists.on_request = lambda offset: 400 if offset >= 10 else None
    with pytest.raises(BadRequest):
        await done(client_of(lists).repositories.find("none", page_size=2))


async def test_a_long_list_may_take_longer_than_the_deadline(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline begins again with each step, and ends a look-up that makes no progress."""
    now = [0.0]
    replace_now(monkeypatch, lambda: now[0])
    lists = Lists()

    def second(_: int) -> None:
        now[0] += 1

    lists.on_request = second
    client = client_of(lists, deadline=20)
    assert await done(client.repositories.find("none", page_size=2)) is None
    assert now[0] >= PAGES

    def stuck(offset: int) -> int | None:
        now[0] += 1 if offset < 20 else 8
        return None if offset < 20 else 503

    lists.on_request = stuck
    started = now[0]
    with pytest.raises((HttpError, Timeout)):
        await done(client.repositories.find("none", page_size=2))
    assert now[0] - started < 20 + 5 * 20


async def test_an_exception_of_a_hook_ends_the_look_up(client_of: ClientOf) -> None:
    """It is raised as it is, also where the hook was called for a page ahead."""

    def stop(_: Retry) -> None:
        raise ZeroDivisionError

    lists = Lists()
    lists.on_request = lambda offset: 503 if offset == 7 else None
    with pytest.raises(ZeroDivisionError):
        await done(client_of(lists, on_retry=stop).repositories.find("none", page_size=2))


JOB = ContextVar("job", default="none")


async def test_pages_ahead_have_the_context_of_the_call(client_of: ClientOf) -> None:
    """A tool's context variables, such as the current trace, are those of the caller."""
    seen: list[str] = []
    client = client_of(Lists(), on_response=lambda _: seen.append(JOB.get()))
    token = JOB.set("trainer")
    await done(client.repositories.find("none", page_size=2))
    JOB.reset(token)
    assert (set(seen), len(seen) >= PAGES) == ({"trainer"}, True)


def test_without_new_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the process's limit of threads, a look-up sends its requests one after the other."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lists = Lists()
    http_client = httpx.Client(transport=httpx.MockTransport(lists))
    client = Client(ORGANIZATION_ID, {}, base_url=BASE_URL, http_client=http_client)
    monkeypatch.setattr(threading.Thread, "start", start)
    assert client.repositories.find("none", page_size=2) is None
    assert (lists.most, len(lists.offsets) >= PAGES) == (1, True)


def test_ctrl_c_does_not_wait_for_pages_ahead() -> None:
    """An exception in the calling thread is raised at once."""
    lists = Lists()
    blocked = threading.Event()

    def interrupt(offset: int) -> None:
        if offset == 6:
            raise KeyboardInterrupt
        if offset == 7:
            blocked.wait(60)

    lists.on_request = interrupt
    http_client = httpx.Client(transport=httpx.MockTransport(lists))
    client = Client(ORGANIZATION_ID, {}, base_url=BASE_URL, http_client=http_client)
    with pytest.raises(KeyboardInterrupt):
        client.repositories.find("none", page_size=2)
    assert not blocked.is_set()
    blocked.set()


async def test_a_cancelled_look_up_sends_nothing_more(anyio_backend: Any) -> None:
    """The requests of all pages ahead are cancelled with it."""
    lists = Lists()
    waiting = asyncio.Event()
    cancelled: list[int] = []

    async def respond(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        if offset in (6, 7):
            try:
                waiting.set()
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(offset)
                raise
        return await lists.awaited(request)

    http_client = httpx.AsyncClient(transport=httpx.MockTransport(respond))
    client = AsyncClient(ORGANIZATION_ID, {}, base_url=BASE_URL, http_client=http_client)
    task = asyncio.ensure_future(client.repositories.find("none", page_size=2))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(cancelled) == [6, 7]
