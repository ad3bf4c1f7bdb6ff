"""An organization as rows, sync and async, by threads, processes and a cluster, and in files."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from distributed import LocalCluster
from tests.support.examples import ORGANIZATION_ID
from tests.support.internals import (
    AsyncSession,
    Operation,
    inventory_async,
    inventory_base,
    note_pages_of_tags,
    replace_now,
    replace_sleep,
    session_of,
    worker_clients,
)
from tests.support.patience import PATIENCE, until
from tests.support.worlds import done, walked

from abeja_registry import (
    AsyncClient,
    Client,
    Error,
    HttpError,
    InvalidResponse,
    NotFound,
    Retry,
    RetryPolicy,
    TooManyRequests,
)
from abeja_registry.inventory import (
    AsyncInventory,
    IncompleteInventory,
    Inventory,
    InventoryRepository,
    InventoryRow,
    Progress,
    read_rows,
    summarize,
)
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

KINDS = ["jsonl", "csv", "parquet"]


@pytest.fixture(params=["sync", "async"])
async def either(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Any]:
    """A client of the sandbox, sync or async, without retries."""
    options: dict[str, Any] = {**sandbox.connection, "retry": RetryPolicy(max_retries=0)}
    if request.param == "sync":
        with Client(**options) as client:
            yield client
        return
    async with AsyncClient(**options) as async_client:
        yield async_client


Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(params=["sync", "async"])
async def either_of(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Any]]:
    """Creates sync or async clients, whose requests a function handles."""
    options: dict[str, Any] = {"credential": {}, "base_url": "https://api.example.com"}
    opened: list[Any] = []

    def client(handler: Handler, **more: Any) -> Any:
        transport = httpx.MockTransport(handler)
        if request.param == "sync":
            opened.append(httpx.Client(transport=transport))
            return Client(ORGANIZATION_ID, **options, **more, http_client=opened[-1])
        opened.append(httpx.AsyncClient(transport=transport))
        return AsyncClient(ORGANIZATION_ID, **options, **more, http_client=opened[-1])

    yield client
    for http_client in opened:
        await done(http_client.close() if request.param == "sync" else http_client.aclose())


def expected(sandbox: Sandbox, client: Client) -> list[InventoryRow]:
    """Return the rows of a plain loop."""
    return [
        InventoryRow(
            repository.id,
            repository.name,
            tag.name,
            tag.digest,
            tag.size,
            tag.media_type,
            tag.creator.email,
            tag.created_at,
            tag.updated_at,
        )
        for repository in client.repositories
        for tag in repository.iter_tags()
    ]


def tag_requests(sandbox: Sandbox) -> list[str]:
    """Return the repository of each request for tags."""
    paths = [request.path.split("/") for request in sandbox.requests]
    return [parts[-2] for parts in paths if parts[-1] == "tags"]


@pytest.mark.parametrize("concurrency", [1, 3, 16])
@pytest.mark.parametrize("page_size", [None, 7])
async def test_every_tag_is_a_row(
    sandbox: Sandbox, client: Client, either: Any, concurrency: int, page_size: int | None
) -> None:
    """Each tag is returned once, with its repository, and those of a repository in order."""
    sandbox.seed(repositories=5, tags=3)
    [large] = sandbox.seed(repositories=1, tags=60)
    client.repositories.create("empty")
    plain = expected(sandbox, client)
    inventory = either.inventory(concurrency=concurrency, page_size=page_size)
    for _ in range(2):
        rows = await walked(inventory)
        assert sorted(rows) == sorted(plain)
        assert [row for row in rows if row.repository_id == large] == plain[-60:]
        assert inventory.failures == ()


async def test_no_request_is_sent_before_iteration(sandbox: Sandbox, either: Any) -> None:
    """Creating an inventory sends nothing."""
    either.inventory()
    assert not sandbox.requests


async def test_concurrency_bounds_the_requests_in_flight(
    sandbox: Sandbox, either: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inventory reaches `concurrency` requests in flight, and no more."""
    sandbox.seed(repositories=12, tags=1)
    in_flight, most = 0, 0
    lock = threading.Lock()
    transport = type(session_of(either))
    call = transport.request

    def count(change: int) -> None:
        nonlocal in_flight, most
        with lock:
            in_flight += change
            most = max(most, in_flight)

    def counted(*arguments: Any) -> Any:
        count(1)
        try:
            return call(*arguments)
        finally:
            count(-1)

    async def async_counted(*arguments: Any) -> Any:
        count(1)
        try:
            return await call(*arguments)
        finally:
            count(-1)

    sync = isinstance(either, Client)
    monkeypatch.setattr(transport, "request", counted if sync else async_counted)
    sandbox.faults.add(operation="get_repository_tags", latency=0.05)
    assert len(await walked(either.inventory(concurrency=4))) == 12
    assert most == 4


async def test_the_next_request_is_sent_before_the_next_response_is_parsed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If several responses are ready, parsing one does not delay the next requests."""
    sandbox.seed(repositories=12, tags=1)
    events: list[str] = []
    at_once = asyncio.Barrier(4)
    async with AsyncClient(**sandbox.connection) as client:
        call = AsyncSession.request

        async def send(session: AsyncSession, operation: Operation, deadline: float) -> Any:
            if operation.name == "get_repositories":
                return await call(session, operation, deadline)
            events.append("sent")
            among_the_first = len(events) <= 4
            body = await call(session, operation, deadline)
            if among_the_first:
                await at_once.wait()
            return body

        monkeypatch.setattr(AsyncSession, "request", send)
        note_pages_of_tags(monkeypatch, client, lambda: events.append("parsed"))
        assert len(await walked(client.inventory(concurrency=4))) == 12
    for responses in range(1, 5):
        parsed = [at for at, event in enumerate(events) if event == "parsed"]
        until_parsed = events[: parsed[responses]]
        assert until_parsed.count("sent") >= 4 + responses


async def test_a_response_that_arrives_while_others_wait_is_followed_by_a_request(
    answer: Callable[[str], dict[str, Any]],
) -> None:
    """The request goes out before the next of the waiting responses is parsed."""
    listed, tags = answer("get_repositories"), answer("get_repository_tags")
    [row] = listed["registry_repositories"]
    listed["registry_repositories"] = [row | {"id": str(at), "name": f"r{at}"} for at in range(12)]
    four_at_once, one_is_parsed = asyncio.Barrier(4), asyncio.Event()
    sent = 0
    sent_when_parsed: list[int] = []

    async def respond(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        if not request.url.path.endswith("/tags"):
            return httpx.Response(200, json=listed)
        sent += 1
        if sent <= 4:
            await four_at_once.wait()
        elif sent == 5:
            await one_is_parsed.wait()
        return httpx.Response(200, json=tags)

    def parsed(_: Progress) -> None:
        sent_when_parsed.append(sent)
        if sent:
            one_is_parsed.set()

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http_client,
        AsyncClient(ORGANIZATION_ID, {}, http_client=http_client) as client,
    ):
        assert len(await walked(client.inventory(concurrency=4, on_progress=parsed))) == 12
    assert sent_when_parsed[:2] == [0, 8]
    assert sent_when_parsed[2] > 8


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["serve", "train-a", "train-b", "train-old"]),
        ({"include": "train-*"}, ["train-a", "train-b", "train-old"]),
        ({"include": ["train-?", "serve"]}, ["serve", "train-a", "train-b"]),
        ({"include": {"none": 1, "*-b": 2}.keys()}, ["train-b"]),
        ({"exclude": "train-*"}, ["serve"]),
        ({"exclude": {"*-old", "serve"}}, ["train-a", "train-b"]),
        ({"include": ("train-*",), "exclude": ["*-old", "*-b"]}, ["train-a"]),
        ({"include": "serve", "exclude": "serve"}, []),
    ],
)
async def test_include_and_exclude_choose_repositories_by_name(
    sandbox: Sandbox, either: Any, client: Client, options: dict[str, Any], names: list[str]
) -> None:
    """Only repositories that match a pattern to include, and none to exclude, are requested."""
    for name in ("train-a", "train-b", "train-old", "serve"):
        sandbox.push(client.repositories.create(name).id, "1")
    inventory = either.inventory(**options)
    for _ in range(2):
        sandbox.clear_requests()
        rows = await walked(inventory)
        assert sorted(row.repository_name for row in rows) == names
        assert len(tag_requests(sandbox)) == len(names)


async def test_progress(sandbox: Sandbox, either: Any) -> None:
    """The function is called with the counts after each response."""
    sandbox.seed(repositories=3, tags=2)
    reports: list[Progress] = []
    await walked(either.inventory(on_progress=reports.append))
    assert len(reports) == 4
    assert reports[0] == Progress(repositories=3, concurrency=16)
    assert reports[-1] == Progress(repositories=3, finished=3, rows=6, concurrency=16)


async def test_a_repository_that_fails_once(sandbox: Sandbox, either: Any) -> None:
    """It is requested again after the others, and no row is missing."""
    sandbox.seed(repositories=3, tags=2)
    sandbox.faults.add(operation="get_repository_tags", status=503, times=1)
    inventory = either.inventory(concurrency=1)
    assert len(set(await walked(inventory))) == 6
    asked = tag_requests(sandbox)
    assert asked == [asked[0], asked[1], asked[2], asked[0]]
    assert inventory.failures == ()


async def test_a_repository_that_fails_twice(sandbox: Sandbox, either: Any) -> None:
    """The rows of the others are returned; the failure has its id, its name and its error."""
    first, *_ = sandbox.seed(repositories=3, tags=2)
    failing(sandbox, first)
    reports: list[Progress] = []
    inventory = either.inventory(on_progress=reports.append)
    assert len(await walked(inventory)) == 4
    [failure] = inventory.failures
    assert (failure.repository_id, failure.repository_name) == (first, "sample-0001")
    assert isinstance(failure.error, HttpError)
    assert reports[-1] == Progress(repositories=3, finished=2, failed=1, rows=4, concurrency=16)
    sandbox.faults.clear()
    assert len(await walked(inventory)) == 6
    assert inventory.failures == ()


def failing(sandbox: Sandbox, repository_id: str) -> None:
    """Make every request for a repository's tags fail."""
    sandbox.faults.add(repository_id=repository_id, status=503)


async def test_a_repository_that_is_deleted_during_an_inventory(
    sandbox: Sandbox, either: Any, tmp_path: Path
) -> None:
    """It is a deleted failure; a file, a summary and a diff are made without it."""
    first, *_ = sandbox.seed(repositories=3, tags=2)
    sandbox.faults.add(repository_id=first, status=404)
    inventory = either.inventory()
    assert await done(inventory.write_csv(tmp_path / "a.csv")) == 4
    [failure] = inventory.failures
    assert (failure.repository_id, failure.deleted) == (first, True)
    assert (await done(inventory.summary())).total.tags == 4
    assert not await done(type(inventory).diff(tmp_path / "a.csv", inventory))


async def test_a_repository_with_an_invalid_id(
    either_of: Callable[[Handler], Any], answer: Callable[[str], dict[str, Any]]
) -> None:
    """If the API lists an invalid id, that repository fails, and the others are read."""
    repositories, tags = answer("get_repositories"), answer("get_repository_tags")
    [row] = repositories["registry_repositories"]
    repositories["registry_repositories"] = [row | {"id": each} for each in ("1", "..", "3")]

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, json=tags if request.url.path.endswith("/tags") else repositories
        )

    inventory = either_of(respond).inventory()
    assert sorted(row.repository_id for row in await walked(inventory)) == ["1", "3"]
    [failure] = inventory.failures
    assert failure.repository_id == ".."
    assert "repository_id must be an id" in str(failure.error)


async def test_a_client_that_is_closed_during_an_inventory(sandbox: Sandbox, either: Any) -> None:
    """The iteration ends with an error, and no repository counts as failed."""
    sandbox.seed(repositories=30, tags=1)
    inventory = either.inventory(concurrency=1)

    async def iterate_and_close() -> None:
        if isinstance(either, Client):
            for _ in inventory:
                either.close()
        else:
            async for _ in inventory:
                await either.aclose()

    with pytest.raises(Error, match="the client was closed"):
        await iterate_and_close()
    assert not inventory.failures


async def test_a_request_that_is_cancelled_below_the_client_ends_an_async_inventory() -> None:
    """Its CancelledError is raised, and nothing waits for a response."""

    async def cancelled(_: httpx.Request) -> httpx.Response:
        raise asyncio.CancelledError

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(cancelled)) as http_client,
        AsyncClient(ORGANIZATION_ID, {}, http_client=http_client) as client,
    ):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(walked(client.inventory()), PATIENCE)


async def test_the_list_of_repositories_is_required(sandbox: Sandbox, either: Any) -> None:
    """The error of the list is raised."""
    sandbox.faults.add(operation="get_repositories", status=403)
    with pytest.raises(HttpError):
        await walked(either.inventory())


async def test_an_iteration_that_is_closed_early(sandbox: Sandbox, either: Any) -> None:
    """It leaves no request in flight, and the client can be used again."""
    sandbox.seed(repositories=30, tags=3)
    rows = either.inventory(concurrency=2)
    if isinstance(either, Client):
        iteration: Any = iter(rows)
        next(iteration)
        iteration.close()
    else:
        async_iteration = aiter(rows)
        await anext(async_iteration)
        await async_iteration.aclose()
    assert len(tag_requests(sandbox)) < 10
    assert len(await walked(rows)) == 90


def running_threads() -> list[str]:
    """Return the names of the threads that inventories have started."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith("abeja_registry.inventory")]


def test_closing_an_iteration_does_not_wait_for_requests(sandbox: Sandbox) -> None:
    """A request in flight ends by itself, and is not retried once the client is closed."""
    until(lambda: not running_threads())
    _, slow = sandbox.seed(repositories=2, tags=1)
    sandbox.faults.add(repository_id=slow, latency=3600)
    with Client(**sandbox.connection, timeout=2) as client:
        iteration = iter(client.inventory())
        next(iteration)
        until(lambda: slow in tag_requests(sandbox))
        assert isinstance(iteration, Generator)
        iteration.close()
        assert running_threads()
    until(lambda: not running_threads())
    assert tag_requests(sandbox).count(slow) == 1


def test_closing_an_iteration_stops_retries(sandbox: Sandbox) -> None:
    """A request in flight is not retried, though the client stays open."""
    until(lambda: not running_threads())
    _, slow = sandbox.seed(repositories=2, tags=1)
    sandbox.faults.add(repository_id=slow, latency=3600)
    with Client(**sandbox.connection, timeout=2) as client:
        for _ in client.inventory():
            until(lambda: slow in tag_requests(sandbox))
            break
        until(lambda: not running_threads())
        assert tag_requests(sandbox).count(slow) == 1
        sandbox.faults.clear()
        assert len(list(client.inventory())) == 2


async def test_cancelling_an_async_inventory(sandbox: Sandbox, async_client: AsyncClient) -> None:
    """Its requests are cancelled with it."""
    sandbox.seed(repositories=5, tags=1)
    sandbox.faults.add(operation="get_repository_tags", latency=3600)
    before = asyncio.all_tasks()
    reading = asyncio.ensure_future(walked(async_client.inventory()))
    await asyncio.to_thread(until, lambda: tag_requests(sandbox))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert asyncio.all_tasks() <= before


async def test_invalid_rows_may_be_skipped(
    sandbox: Sandbox, api: Any, answer: Callable[[str], dict[str, Any]]
) -> None:
    """A client with `invalid_rows="skip"` leaves them out of an inventory too."""
    repositories, tags = answer("get_repositories"), answer("get_repository_tags")
    [repository], [tag] = repositories["registry_repositories"], tags["tags"]
    repositories["registry_repositories"] = [repository, {"id": "2"}]
    tags["tags"] = [tag, tag | {"id": "a", "size": "large"}, tag | {"id": "b", "name": "b"}]

    def respond(request: httpx.Request) -> httpx.Response:
        body = tags if request.url.path.endswith("/tags") else repositories
        return httpx.Response(200, json=body)

    with httpx.Client(transport=httpx.MockTransport(respond)) as http_client:
        client = Client(
            ORGANIZATION_ID,
            {},
            base_url="https://api.example.com",
            http_client=http_client,
            invalid_rows="skip",
        )
        assert [row.tag for row in client.inventory()] == [tag["name"], "b"]


PERSON = {"creator": None}
NAMELESS = "(row 1 of the list)"
# The changes of a row in the list, and the id and the name of its failure.
BAD_ROWS: dict[str, tuple[Any, str, str]] = {
    "a null creator": (PERSON, "2", "second"),
    "no creation time": ({"created_at": "yesterday"}, "2", "second"),
    "no name": ({"name": None}, "2", NAMELESS),
    "a number for a name": ({"name": 7}, "2", NAMELESS),
}


@pytest.fixture(params=[None, "skip", "raise"])
def broken(
    request: pytest.FixtureRequest, either_of: Any, answer: Callable[[str], dict[str, Any]]
) -> Callable[[Any], Any]:
    """Creates a client of an API whose second repository has an invalid row.

    The client skips invalid rows, raises for them, or has the default.
    """

    def client(bad: Any) -> Any:
        listed, tags = answer("get_repositories"), answer("get_repository_tags")
        [first] = listed["registry_repositories"]
        second = {**first, "id": "2", "name": "second"}
        third = {**first, "id": "3", "name": "third"}
        bad_row = {**second, **bad} if isinstance(bad, dict) else bad
        listed["registry_repositories"] = [first, bad_row, third]

        def respond(sent: httpx.Request) -> httpx.Response:
            body = tags if sent.url.path.endswith("/tags") else listed
            return httpx.Response(200, json=body)

        return either_of(respond, invalid_rows=request.param)

    return client


@pytest.mark.parametrize(("bad", "key", "name"), BAD_ROWS.values(), ids=BAD_ROWS)
async def test_a_repository_with_an_invalid_row_is_a_failure(
    broken: Callable[[Any], Any], tmp_path: Path, bad: Any, key: str, name: str
) -> None:
    """Files, summaries and diffs are refused, and the rows of the others are returned."""
    reports: list[Progress] = []
    inventory = broken(bad).inventory(on_progress=reports.append)
    rows = await walked(inventory)
    assert sorted(row.repository_name for row in rows) == ["sample_repository", "third"]
    [failure] = inventory.failures
    assert (failure.repository_id, failure.repository_name, failure.deleted) == (key, name, False)
    assert isinstance(failure.error, InvalidResponse)
    assert (reports[-1].repositories, reports[-1].finished, reports[-1].failed) == (3, 2, 1)
    before = [*rows, rows[0]._replace(repository_id="2", repository_name="second")]
    with pytest.raises(IncompleteInventory):
        await done(type(inventory).diff(before, inventory))
    with pytest.raises(IncompleteInventory):
        await done(inventory.summary())
    with pytest.raises(IncompleteInventory):
        await done(inventory.write_csv(tmp_path / "a.csv"))
    assert await done(inventory.write_csv(tmp_path / "a.csv", resume=True, partial=True)) == 2


@pytest.mark.parametrize(
    "bad", [{"id": None}, "nonsense", None], ids=["no id", "no object", "null"]
)
async def test_a_row_of_the_list_without_an_id_ends_an_inventory(
    broken: Callable[[Any], Any], bad: Any
) -> None:
    """Without the id, later rows cannot be distinguished from earlier ones."""
    with pytest.raises(InvalidResponse) as caught:
        await walked(broken(bad).inventory())
    assert caught.value.index == 1


@pytest.mark.parametrize(
    ("bad", "failed"),
    [(PERSON, 0), ({"name": "train-2", "creator": None}, 1), ({"name": None}, 1)],
    ids=["another name", "a matching name", "no name"],
)
async def test_an_invalid_row_counts_if_its_repository_is_included(
    broken: Callable[[Any], Any], bad: Any, failed: int
) -> None:
    """A row whose name does not match is left out; a row without a name may match."""
    inventory = broken(bad).inventory(include="train-*")
    assert await walked(inventory) == []
    assert len(inventory.failures) == failed


async def test_an_invalid_row_of_a_repository_that_an_earlier_run_has_finished(
    sandbox: Sandbox, either: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed inventory does not need the row."""
    first, second = sandbox.seed(repositories=2, tags=1)
    sandbox.faults.add(repository_id=second, status=403, times=2)
    inventory = either.inventory()
    with pytest.raises(IncompleteInventory):
        await done(inventory.write_csv(tmp_path / "a.csv"))
    fetch = type(session_of(either)).request

    def without_creator(result: Any) -> Any:
        for row in result.body.get("registry_repositories", ()):
            if row["id"] == first:
                row["creator"] = None
        return result

    async def later(result: Any) -> Any:
        return without_creator(await result)

    def fetched(*arguments: Any) -> Any:
        result = fetch(*arguments)
        return later(result) if inspect.isawaitable(result) else without_creator(result)

    monkeypatch.setattr(type(session_of(either)), "request", fetched)
    assert await done(inventory.write_csv(tmp_path / "a.csv", resume=True)) == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"concurrency": 0}, ValueError, "concurrency must be at least 1, not 0"),
        ({"concurrency": 1.5}, TypeError, r"concurrency must be a whole number, not 1\.5"),
        ({"page_size": 0}, ValueError, "page_size must be at least 1, not 0"),
        ({"include": None}, TypeError, "include must be a string or several strings, not None"),
        ({"include": b"a"}, TypeError, "include must be a string or several strings, not a value"),
        ({"include": ["a", 5]}, TypeError, "include must be a string, not 5"),
        ({"include": ""}, ValueError, "include must be a non-empty pattern"),
        ({"include": ["a", ""]}, ValueError, "include must be a non-empty pattern"),
        ({"include": []}, ValueError, "include has no pattern, so no repository matches"),
        ({"exclude": 7}, TypeError, "exclude must be a string or several strings, not 7"),
        ({"exclude": ""}, ValueError, "exclude must be a non-empty pattern"),
        ({"on_progress": 5}, TypeError, "on_progress must be callable, not 5"),
    ],
)
async def test_invalid_arguments_are_refused(
    either: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The error has the argument's name and value, before iteration starts."""
    with pytest.raises(error, match=message):
        either.inventory(**options)


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_of_all_rows(sandbox: Sandbox, either: Any, tmp_path: Path, kind: str) -> None:
    """It has the rows of an iteration, and no other file is left beside it."""
    sandbox.seed(repositories=3, tags=4)
    path = tmp_path / f"inventory.{kind}"
    inventory = either.inventory()
    assert await done(getattr(inventory, f"write_{kind}")(path)) == 12
    assert sorted(read_rows(path)) == sorted(await walked(inventory))
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208


@pytest.mark.parametrize("kind", KINDS)
async def test_an_interrupted_file_is_resumed(
    sandbox: Sandbox, either: Any, tmp_path: Path, kind: str
) -> None:
    """With `resume`, no finished repository is requested again."""
    sandbox.seed(repositories=6, tags=4)
    path = tmp_path / f"inventory.{kind}"

    def interrupted(progress: Progress) -> None:
        if progress.finished == 3:
            raise KeyboardInterrupt

    inventory = either.inventory(concurrency=1, page_size=3, on_progress=interrupted)
    with pytest.raises(KeyboardInterrupt):
        await done(getattr(inventory, f"write_{kind}")(path))
    assert not path.exists()
    finished = set(tag_requests(sandbox)[:-2])
    sandbox.clear_requests()
    inventory = either.inventory()
    assert await done(getattr(inventory, f"write_{kind}")(path, resume=True)) == 24
    assert len(finished) == 2
    assert len(set(tag_requests(sandbox))) == 4
    assert not finished & set(tag_requests(sandbox))
    assert sorted(read_rows(path)) == sorted(await walked(inventory))
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208


async def test_an_interrupted_file_has_finished_repositories(
    sandbox: Sandbox, either: Any, tmp_path: Path
) -> None:
    """Only as many repositories are started as requests may be in flight, so few are unfinished."""
    # Three pages of tags each, and five pages of repositories.
    sandbox.seed(repositories=40, tags=28)
    responses = 0

    def interrupted(_: Progress) -> None:
        nonlocal responses
        responses += 1
        if responses == 45:
            raise KeyboardInterrupt

    path = tmp_path / "inventory.jsonl"
    inventory = either.inventory(concurrency=8, page_size=10, on_progress=interrupted)
    with pytest.raises(KeyboardInterrupt):
        await done(inventory.write_jsonl(path))
    sandbox.clear_requests()
    assert await done(either.inventory().write_jsonl(path, resume=True)) == 40 * 28
    # 40 responses had tags; at most two of each of eight unfinished repositories.
    assert len(set(tag_requests(sandbox))) <= 40 - (40 - 8 * 2) // 3


async def test_a_file_is_not_written_if_a_repository_failed(
    sandbox: Sandbox, either: Any, tmp_path: Path
) -> None:
    """The error names it; `resume` requests only what is missing, and `partial` leaves it out."""
    first, *_ = sandbox.seed(repositories=3, tags=2)
    path = tmp_path / "inventory.jsonl"
    failing(sandbox, first)
    inventory = either.inventory()
    with pytest.raises(
        IncompleteInventory,
        match=r"^repository 'sample-0001' failed with .* not written.* partial=True",
    ) as caught:
        await done(inventory.write_jsonl(path))
    assert caught.value.failures == inventory.failures
    assert not path.exists()
    sandbox.clear_requests()
    assert await done(inventory.write_jsonl(path, resume=True, partial=True)) == 4
    assert set(tag_requests(sandbox)) == {first}
    assert {row.repository_name for row in read_rows(path)} == {"sample-0002", "sample-0003"}
    sandbox.faults.clear()
    assert await done(inventory.write_jsonl(path)) == 6


async def test_a_file_that_cannot_be_written(sandbox: Sandbox, either: Any, tmp_path: Path) -> None:
    """The error is raised before the first request."""
    with pytest.raises(FileNotFoundError):
        await done(either.inventory().write_csv(tmp_path / "none" / "a.csv"))
    with pytest.raises(IsADirectoryError):
        await done(either.inventory().write_csv(tmp_path))
    assert not sandbox.requests


class Held:
    """A function that waits until a test lets it continue."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.started = threading.Event()
        self.resume = threading.Event()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Wait, and call the function."""
        self.started.set()
        assert self.resume.wait(PATIENCE)
        return self._function(*arguments, **options)


@pytest.mark.parametrize(
    ("module", "held_in"), [(inventory_base, "Journal"), (inventory_async, "write_csv")]
)
async def test_cancelling_an_async_inventory_to_a_file(
    sandbox: Sandbox,
    async_client: AsyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    held_in: str,
) -> None:
    """Its thread has ended when CancelledError is raised, and the old file is unchanged."""
    sandbox.seed(repositories=2, tags=2)
    path = tmp_path / "a.csv"
    path.write_text("last week's")
    held = Held(getattr(module, held_in))
    monkeypatch.setattr(module, held_in, held)
    writing = asyncio.ensure_future(async_client.inventory().write_csv(path))
    await asyncio.to_thread(until, held.started.is_set)
    writing.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not writing.done()
    held.resume.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert path.read_text() == "last week's"
    # The journal is not locked.
    assert await async_client.inventory().write_csv(path, resume=True) == 4


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ("base_url", "http://localhost"),
        ("organization_id", "5"),
        ("include", "sample*"),
        ("include", ["*", "sample*"]),
        ("exclude", "*2"),
        ("exclude", ["*2", "*3"]),
    ],
)
async def test_an_inventory_does_not_resume_another_inventory(
    sandbox: Sandbox, either: Any, tmp_path: Path, other: str, value: Any
) -> None:
    """The rows kept from another API, organization or patterns are refused."""
    first, *_ = sandbox.seed(repositories=2, tags=2)
    path = tmp_path / "a.csv"
    failing(sandbox, first)
    with pytest.raises(IncompleteInventory):
        await done(either.inventory().write_csv(path))
    sandbox.faults.clear()
    sandbox.clear_requests()
    options: dict[str, Any] = {**sandbox.connection, "include": "*", "exclude": (), other: value}
    patterns = {name: options.pop(name) for name in ("include", "exclude")}
    with (
        Client(**options) as client,
        pytest.raises(ValueError, match=f"another inventory: {other} was .*, and is .* now; pass"),
    ):
        client.inventory(**patterns).write_csv(path, resume=True)
    assert not sandbox.requests
    assert await done(either.inventory().write_csv(path, resume=True)) == 4
    assert set(tag_requests(sandbox)) == {first}


async def test_the_order_of_patterns_does_not_matter(
    sandbox: Sandbox, either: Any, tmp_path: Path
) -> None:
    """An inventory with the same patterns in another form resumes the rows that were kept."""
    first, *_ = sandbox.seed(repositories=2, tags=2)
    path = tmp_path / "a.csv"
    failing(sandbox, first)
    before = either.inventory(include=["*2", "*1", "*1"], exclude="no")
    with pytest.raises(IncompleteInventory):
        await done(before.write_csv(path))
    sandbox.faults.clear()
    sandbox.clear_requests()
    after = either.inventory(include={"*1", "*2"}, exclude=["no", "no"])
    assert await done(after.write_csv(path, resume=True)) == 4
    assert set(tag_requests(sandbox)) == {first}


# -- reports --------------------------------------------------------------------------------------


async def test_a_summary(sandbox: Sandbox, either: Any) -> None:
    """It adds up the rows of an iteration; `summarize` adds up other rows the same way."""
    sandbox.seed(repositories=2, tags=3)
    inventory = either.inventory()
    now = datetime(2100, 1, 1, tzinfo=UTC)
    summary = await done(inventory.summary(30, now))
    assert (summary.total.tags, summary.total.stale, len(summary.repositories)) == (6, 6, 2)
    assert summary == summarize(await walked(inventory), 30, now)


async def test_a_summary_is_refused_if_a_repository_failed(sandbox: Sandbox, either: Any) -> None:
    """With `partial`, the summary leaves it out."""
    first, *_ = sandbox.seed(repositories=2, tags=3)
    failing(sandbox, first)
    with pytest.raises(IncompleteInventory, match="nothing was added up; pass partial=True"):
        await done(either.inventory().summary())
    assert (await done(either.inventory().summary(partial=True))).total.tags == 3


async def test_a_diff(sandbox: Sandbox, client: Client, either: Any, tmp_path: Path) -> None:
    """It compares files, rows and inventories, each with each."""
    sandbox.seed(repositories=2, tags=2)
    inventory = either.inventory()
    diff: Any = type(inventory).diff
    await done(inventory.write_csv(tmp_path / "old.csv"))
    old = await walked(inventory)
    assert not await done(diff(tmp_path / "old.csv", inventory))
    sandbox.push(old[0].repository_id, old[0].tag, digest="sha256:77")
    sandbox.push(client.repositories.create("new").id, "1")
    await done(inventory.write_jsonl(str(tmp_path / "new.jsonl")))
    for before in (old, tmp_path / "old.csv"):
        for after in (inventory, str(tmp_path / "new.jsonl"), iter(await walked(inventory))):
            found = await done(diff(before, after))
            assert [moved.new.digest for moved in found.moved] == ["sha256:77"]
            assert found.repositories_added == ("new",)
            assert [row.tag for row in found.added] == ["1"]
            assert found.removed == ()
    if isinstance(inventory, AsyncInventory):
        assert await AsyncInventory.diff(old, (row async for row in inventory))


@pytest.mark.parametrize(
    ("name", "error"), [("none.csv", FileNotFoundError), ("none.txt", ValueError)]
)
async def test_a_diff_with_a_file_that_cannot_be_read(
    sandbox: Sandbox, either: Any, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    """The error is raised before the first request, on either side."""
    inventory = either.inventory()
    for sides in ((inventory, tmp_path / name), (tmp_path / name, inventory)):
        with pytest.raises(error):
            await done(type(inventory).diff(*sides))
    assert not sandbox.requests


async def test_a_diff_is_refused_if_a_repository_failed(sandbox: Sandbox, either: Any) -> None:
    """A repository that failed would look removed."""
    first, *_ = sandbox.seed(repositories=2, tags=1)
    failing(sandbox, first)
    inventory = either.inventory()
    with pytest.raises(IncompleteInventory, match="nothing was compared"):
        await done(type(inventory).diff([], inventory))


# -- repositories without tags --------------------------------------------------------------------

FIRST_VERSION = Path(__file__).parent / "first_version"


@pytest.fixture
def mixed(sandbox: Sandbox, client: Client) -> dict[str, int]:
    """The tag counts of five repositories in the sandbox, three of them without tags."""
    counts = {"trainer": 3, "empty-1": 0, "predictor": 1, "empty-2": 0, "empty-3": 0}
    for name, count in counts.items():
        repository = client.repositories.create(name)
        for number in range(count):
            sandbox.push(repository, f"1.{number}", size=1000)
    return counts


def tag_counts(repositories: Iterable[InventoryRepository] | None) -> dict[str, int]:
    """Return the tag counts of repositories, by their names."""
    assert repositories is not None
    return {each.name: each.tag_count for each in repositories}


@pytest.mark.parametrize(("concurrency", "page_size"), [(1, None), (16, None), (3, 2)])
async def test_repositories_with_and_without_tags(
    sandbox: Sandbox,
    either: Any,
    mixed: dict[str, int],
    concurrency: int,
    page_size: int | None,
) -> None:
    """After an iteration all are known, and counted in its progress; rows are only tags."""
    reports: list[Progress] = []
    inventory = either.inventory(
        concurrency=concurrency, page_size=page_size, on_progress=reports.append
    )
    assert inventory.repositories == ()
    await walked(inventory)
    rows = await walked(inventory)
    assert {row.repository_name for row in rows} == {"trainer", "predictor"}
    assert tag_counts(inventory.repositories) == mixed
    assert (reports[-1].repositories, reports[-1].finished) == (5, 5)
    assert (reports[-1].rows, reports[-1].empty) == (4, 3)
    [trainer] = {row.repository_id for row in rows if row.repository_name == "trainer"}
    assert (trainer, "trainer", 3) in inventory.repositories
    summary = await done(inventory.summary())
    assert {each.name: each.tags for each in summary.repositories} == mixed
    assert (summary.empty_repositories, summary.total.tags) == (3, 4)
    train = either.inventory(include="*-1")
    assert await walked(train) == []
    assert tag_counts(train.repositories) == {"empty-1": 0}


async def test_a_repository_that_failed_is_not_one_without_tags(
    sandbox: Sandbox, either: Any, mixed: dict[str, int]
) -> None:
    """Neither a failed nor a deleted repository is among the `repositories`."""
    reports: list[Progress] = []
    inventory = either.inventory(on_progress=reports.append)
    await walked(inventory)
    ids = {each.name: each.id for each in inventory.repositories}
    failing(sandbox, ids["empty-1"])
    sandbox.faults.add(repository_id=ids["empty-2"], status=404)
    await walked(inventory)
    assert tag_counts(inventory.repositories) == {"trainer": 3, "predictor": 1, "empty-3": 0}
    assert {each.repository_name for each in inventory.failures} == {"empty-1", "empty-2"}
    assert (reports[-1].empty, reports[-1].failed) == (1, 2)
    assert (await done(inventory.summary(partial=True))).empty_repositories == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repositories", [0, 1, 230])
async def test_files_name_repositories_without_tags(
    sandbox: Sandbox, client: Client, either: Any, tmp_path: Path, kind: str, repositories: int
) -> None:
    """A summary and a diff of the file count none, one or many of them."""
    sandbox.seed(repositories=repositories, tags=0)
    path = tmp_path / f"a.{kind}"
    inventory = either.inventory()
    assert await done(getattr(inventory, f"write_{kind}")(path)) == 0
    rows = read_rows(path)
    assert list(rows) == []
    assert sorted(rows.repositories or ()) == sorted(inventory.repositories)
    assert len(inventory.repositories) == repositories
    assert summarize(read_rows(path)).empty_repositories == repositories
    assert summarize(read_rows(path)) == await done(inventory.summary())
    # All names are known, so the next repository is new, though it has no tags.
    assert not await done(type(inventory).diff(path, inventory))
    client.repositories.create("new")
    diff = await done(type(inventory).diff(path, inventory))
    assert (diff.repositories_added, diff.empty_compared) == (("new",), True)
    assert diff
    assert (await done(type(inventory).diff(inventory, path))).repositories_removed == ("new",)


@pytest.mark.parametrize("old_kind", KINDS)
@pytest.mark.parametrize("new_kind", KINDS)
async def test_a_diff_of_repositories_without_tags(
    sandbox: Sandbox,
    client: Client,
    either: Any,
    mixed: dict[str, int],
    tmp_path: Path,
    old_kind: str,
    new_kind: str,
) -> None:
    """Added and removed ones are named; one with new tags, or created again, is the same."""
    old, new = tmp_path / f"old.{old_kind}", tmp_path / f"new.{new_kind}"
    inventory = either.inventory()
    diff: Any = type(inventory).diff
    await done(getattr(inventory, f"write_{old_kind}")(old))
    assert tag_counts(inventory.repositories) == mixed
    repositories = client.repositories
    repositories.get_by_name("empty-1").delete()
    repositories.get_by_name("empty-2").delete()
    repositories.create("empty-2")
    sandbox.push(repositories.get_by_name("empty-3"), "1.0")
    repositories.get_by_name("trainer").delete()
    repositories.create("trainer")
    repositories.create("empty-4")
    await done(getattr(inventory, f"write_{new_kind}")(new))
    for before, after in ((old, new), (old, inventory), (read_rows(old), read_rows(new))):
        found = await done(diff(before, after))
        assert found.repositories_added == ("empty-4",)
        assert found.repositories_removed == ("empty-1",)
        assert [(row.repository_name, row.tag) for row in found.added] == [("empty-3", "1.0")]
        assert {row.repository_name for row in found.removed} == {"trainer"}
        assert found.empty_compared
    found = await done(diff(new, old))
    assert (found.repositories_added, found.repositories_removed) == (("empty-1",), ("empty-4",))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("finished", [1, 2, 4])
async def test_a_resumed_file_names_repositories_without_tags(
    sandbox: Sandbox, either: Any, mixed: dict[str, int], tmp_path: Path, kind: str, finished: int
) -> None:
    """Those that an earlier run has finished are in the file, and are not requested again."""
    path = tmp_path / f"a.{kind}"

    def interrupted(progress: Progress) -> None:
        if progress.finished > finished:
            raise KeyboardInterrupt

    inventory = either.inventory(concurrency=1, on_progress=interrupted)
    with pytest.raises(KeyboardInterrupt):
        await done(getattr(inventory, f"write_{kind}")(path))
    sandbox.clear_requests()
    reports: list[Progress] = []
    inventory = either.inventory(on_progress=reports.append)
    assert await done(getattr(inventory, f"write_{kind}")(path, resume=True)) == 4
    assert len(tag_requests(sandbox)) == 5 - finished
    assert tag_counts(inventory.repositories) == mixed
    assert (reports[-1].finished, reports[-1].empty) == (5, 3)
    rows = read_rows(path)
    assert len(list(rows)) == 4
    assert tag_counts(rows.repositories) == mixed


async def test_a_partial_file_leaves_out_failed_repositories(
    sandbox: Sandbox, either: Any, mixed: dict[str, int], tmp_path: Path
) -> None:
    """A repository that failed is not in it as one without tags."""
    inventory = either.inventory()
    await walked(inventory)
    ids = {each.name: each.id for each in inventory.repositories}
    failing(sandbox, ids["trainer"])
    failing(sandbox, ids["empty-1"])
    assert await done(inventory.write_csv(tmp_path / "a.csv", partial=True)) == 1
    rows = read_rows(tmp_path / "a.csv")
    assert len(list(rows)) == 1
    expected = {"predictor": 1, "empty-2": 0, "empty-3": 0}
    assert tag_counts(rows.repositories) == tag_counts(inventory.repositories) == expected


async def test_a_repository_whose_tags_are_skipped_is_not_one_without_tags(
    either_of: Any, answer: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """Its skipped tags count, and a diff does not report it as removed."""
    repositories, tags = answer("get_repositories"), answer("get_repository_tags")
    tags["tags"] = [tags["tags"][0] | {"size": "large"}]

    def respond(request: httpx.Request) -> httpx.Response:
        body = tags if request.url.path.endswith("/tags") else repositories
        return httpx.Response(200, json=body)

    inventory = either_of(respond, invalid_rows="skip").inventory()
    assert await walked(inventory) == []
    [repository] = inventory.repositories
    assert (repository.name, repository.tag_count) == ("sample_repository", 1)
    summary = await done(inventory.summary())
    assert (summary.empty_repositories, len(summary.repositories)) == (0, 1)
    assert await done(inventory.write_csv(tmp_path / "a.csv")) == 0
    assert not await done(type(inventory).diff(tmp_path / "a.csv", inventory))


def test_repositories_without_tags_by_processes(
    client: Client, mixed: dict[str, int], processes: Executor
) -> None:
    """The inventory knows them, though workers read their tags."""
    inventory = client.inventory(executor=processes)
    assert len(list(inventory)) == 4
    assert tag_counts(inventory.repositories) == mixed


# -- files and journals of the first version ------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_of_the_first_version(
    sandbox: Sandbox, client: Client, either: Any, kind: str
) -> None:
    """It is read; whether other repositories existed without tags is unknown."""
    path = FIRST_VERSION / f"inventory.{kind}"
    rows = read_rows(path)
    assert [(row.repository_name, row.tag, row.size) for row in rows] == [
        ("trainer", "1.0.0", 10**10),
        ("trainer", "latest", 10**10),
        ("predictor", "1.0.0", 2757009),
    ]
    assert rows.repositories is None
    summary = summarize(read_rows(path))
    assert summary.empty_repositories is None
    assert [(each.name, each.bytes, each.tag_bytes) for each in summary.repositories] == [
        ("trainer", 10**10, 2 * 10**10),
        ("predictor", 2757009, 2757009),
    ]
    # When it was written, `empty` had no tags, `predictor` one and `trainer` two.
    client.repositories.create("empty")
    client.repositories.create("predictor")
    sandbox.push(client.repositories.create("trainer"), "2.0.0")
    inventory = either.inventory()
    diff = await done(type(inventory).diff(path, inventory))
    assert (diff.repositories_added, diff.repositories_removed) == ((), ())
    assert not diff.empty_compared
    assert [row.tag for row in diff.added] == ["2.0.0"]
    assert len(diff.removed) == 3
    back = await done(type(inventory).diff(inventory, path))
    assert (back.repositories_added, back.repositories_removed) == ((), ())


async def test_an_empty_file_of_the_first_version(
    sandbox: Sandbox, client: Client, either: Any
) -> None:
    """It leaves open whether repositories without tags existed."""
    client.repositories.create("empty")
    rows = read_rows(FIRST_VERSION / "none.jsonl")
    assert (list(rows), rows.repositories) == ([], None)
    inventory = either.inventory()
    assert not await done(type(inventory).diff(FIRST_VERSION / "none.jsonl", inventory))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_of_the_first_version(
    sandbox: Sandbox, client: Client, either: Any, tmp_path: Path, kind: str
) -> None:
    """It is resumed; a finished repository without rows, whose name is missing, is read again."""
    names = ("trainer", "empty", "predictor")
    ids = [client.repositories.create(name).id for name in names]
    sandbox.push(ids[2], "1.0.0")
    journal = (FIRST_VERSION / "interrupted.partial.jsonl").read_text()
    path = tmp_path / f"a.{kind}"
    (tmp_path / f"a.{kind}.partial.jsonl").write_text(journal.replace("{base_url}", sandbox.url))
    inventory = either.inventory()
    assert await done(getattr(inventory, f"write_{kind}")(path, resume=True)) == 3
    assert sorted(tag_requests(sandbox)) == ids[1:]
    rows = read_rows(path)
    assert sorted((row.repository_name, row.tag) for row in rows) == [
        ("predictor", "1.0.0"),
        ("trainer", "1.0.0"),
        ("trainer", "latest"),
    ]
    expected = {"trainer": 2, "empty": 0, "predictor": 1}
    assert tag_counts(rows.repositories) == tag_counts(inventory.repositories) == expected


# -- beyond this thread ---------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_kept_client() -> Iterator[None]:
    """Close the clients that a test's tasks have left in this process."""
    yield
    worker_clients.close()


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    """Two worker processes that were not forked."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


class Counting(Executor):
    """An executor that counts the rows that each task returns."""

    def __init__(self, other: Executor) -> None:
        self._other = other
        self.returned: list[int] = []
        self.shown = ""

    def submit(self, task: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Submit a task."""
        self.shown += repr((arguments, options))
        future = self._other.submit(task, *arguments, **options)
        future.add_done_callback(
            lambda done: self.returned.append(sum(len(page.rows) for page in done.result().pages))
        )
        return future


def test_by_processes(sandbox: Sandbox, client: Client, processes: Executor) -> None:
    """Workers share the repositories, a large one in parts, and each keeps one client."""
    sandbox.seed(repositories=3, tags=5)
    sandbox.seed(repositories=1, tags=2500)
    plain = expected(sandbox, client)
    counting = Counting(processes)
    for _ in range(2):
        assert sorted(client.inventory(executor=counting)) == sorted(plain)
    assert 500 < max(counting.returned) <= 1000
    # Dask logs the arguments of what fails.
    assert "Bearer" not in counting.shown
    assert processes.submit(kept_clients).result() == 1


def kept_clients() -> int:
    """Return how many clients this worker keeps."""
    return len(worker_clients)


def test_a_task_with_small_pages_is_short(
    sandbox: Sandbox, client: Client, processes: Executor
) -> None:
    """A task ends after a number of requests, even if they return few rows."""
    sandbox.seed(repositories=1, tags=60)
    counting = Counting(processes)
    assert len(list(client.inventory(executor=counting, page_size=2))) == 60
    assert max(counting.returned) == 20 * 2


class Remembering(Executor):
    """An executor that caches results by the calls' arguments, as Dask does."""

    def __init__(self) -> None:
        self._results: dict[bytes, Future[Any]] = {}

    def submit(self, task: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Run a task, or return its cached result."""
        key = pickle.dumps((task, arguments, options))
        if key not in self._results:
            future = self._results[key] = Future()
            try:
                future.set_result(task(*arguments, **options))
            except Error as error:
                future.set_exception(error)
        return self._results[key]


def test_a_failed_task_is_sent_again_to_an_executor_with_a_cache(
    sandbox: Sandbox, client: Client
) -> None:
    """An executor that caches results by arguments is given another task."""
    sandbox.seed(repositories=1, tags=3)
    sandbox.faults.add(operation="get_repository_tags", status=403, times=1)
    inventory = client.inventory(executor=Remembering())
    assert len(list(inventory)) == 3
    assert not inventory.failures


class Idle(Executor):
    """An executor that runs two tasks, and queues the others."""

    def __init__(self) -> None:
        self.queued: list[Future[Any]] = []
        self._ran = 0

    def submit(self, task: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Run a task, or queue it."""
        future: Future[Any] = Future()
        if self._ran < 2:
            self._ran += 1
            future.set_result(task(*arguments, **options))
        else:
            self.queued.append(future)
        return future


def test_closing_an_iteration_cancels_queued_tasks(sandbox: Sandbox, client: Client) -> None:
    """An executor does not run the tasks that it has not started."""
    sandbox.seed(repositories=3, tags=1)
    idle = Idle()
    for _ in client.inventory(executor=idle):
        break
    assert [future.cancelled() for future in idle.queued] == [True, True]


def test_a_failure_in_a_process_is_returned(
    sandbox: Sandbox, client: Client, processes: Executor
) -> None:
    """The failure has the original error, and the pages before it are kept."""
    [gone, *_] = sandbox.seed(repositories=3, tags=5)
    sandbox.faults.add(repository_id=gone, status=404, skip=1)
    inventory = client.inventory(executor=processes, page_size=3)
    assert len(list(inventory)) == 5 + 5 + 3
    [failure] = inventory.failures
    assert type(failure.error) is NotFound
    assert failure.error.status_code == 404


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_file_is_resumed_while_forked_workers_run(
    sandbox: Sandbox, client: Client, tmp_path: Path
) -> None:
    """Workers that were forked while the journal was open do not lock it."""
    first, *_ = sandbox.seed(repositories=3, tags=5)
    sandbox.faults.add(repository_id=first, status=403)
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        inventory = client.inventory(executor=pool)
        with pytest.raises(IncompleteInventory):
            inventory.write_csv(tmp_path / "a.csv")
        sandbox.faults.clear()
        assert inventory.write_csv(tmp_path / "a.csv", resume=True) == 15


def test_by_a_user_supplied_pool_of_threads(sandbox: Sandbox) -> None:
    """Threads use the same client, also one that cannot be pickled."""
    sandbox.seed(repositories=3, tags=5)
    with (
        httpx.Client(transport=sandbox.transport()) as http_client,
        Client(**sandbox.connection, http_client=http_client) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        assert len(list(client.inventory(executor=threads))) == 15
        assert threads.submit(os.getpid).result() == os.getpid()


def test_a_worker_keeps_its_client(sandbox: Sandbox, client: Client) -> None:
    """Tasks with the same settings share one client."""
    first, *_ = sandbox.seed(repositories=3, tags=5)
    with ThreadPoolExecutor(2) as threads:
        elsewhere = Counting(threads)
        for _ in range(2):
            assert len(list(client.inventory(executor=elsewhere, page_size=2))) == 15
        # Within a task: its earlier pages are kept.
        sandbox.faults.add(repository_id=first, status=404, skip=1, times=1)
        assert len(list(client.inventory(executor=elsewhere, page_size=2))) == 15
    assert kept_clients() == 1


@pytest.mark.filterwarnings("default")
def test_by_a_dask_cluster(sandbox: Sandbox, client: Client) -> None:
    """Two worker processes of a cluster share the repositories, without an adapter."""
    sandbox.seed(repositories=4, tags=5)
    sandbox.seed(repositories=1, tags=1500)
    plain = expected(sandbox, client)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address=":0"
        ) as cluster,
        cluster.get_client() as dask,
    ):
        assert len(set(dask.run(os.getpid).values()) - {os.getpid()}) == 2
        for _ in range(2):
            counting = Counting(dask.get_executor())
            assert sorted(client.inventory(executor=counting)) == sorted(plain)
            assert 500 < max(counting.returned) <= 1000
        assert sum(dask.run(kept_clients).values()) in (1, 2)


def test_a_client_that_cannot_be_pickled_is_refused(sandbox: Sandbox, processes: Executor) -> None:
    """The error names the user-supplied client, the hook or the class."""
    with (
        httpx.Client(transport=sandbox.transport()) as http_client,
        Client(**sandbox.connection, http_client=http_client) as client,
        pytest.raises(ValueError, match="executor cannot be used with a user-supplied http_client"),
    ):
        client.inventory(executor=processes)
    with (
        Client(**sandbox.connection, on_retry=lambda _: None) as client,
        pytest.raises(ValueError, match=r"on_retry, .*, cannot be pickled"),
    ):
        client.inventory(executor=processes)

    class Mine(Client):
        pass

    with (
        Mine(**sandbox.connection) as client,
        pytest.raises(ValueError, match="a Mine cannot be pickled"),
    ):
        client.inventory(executor=processes)


# -- an API that throttles ------------------------------------------------------------------------


class Limited:
    """An API of many repositories that accepts some requests a second, by a clock of the test.

    Attributes:
        now: The time, in seconds.
        requests: How many requests were sent.
        throttled: How many of them were throttled.
        slept: The waits, oldest first.
    """

    def __init__(
        self, answer: Callable[[str], dict[str, Any]], repositories: int, rate: float = 20
    ) -> None:
        self.now = 0.0
        self.requests = self.throttled = 0
        self.slept: list[float] = []
        self.status, self.headers = 429, {"retry-after": "1"}
        self._rate = rate
        self._lock = threading.Lock()
        self._window: list[float] = []
        listed, self._tags = answer("get_repositories"), answer("get_repository_tags")
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
    answer: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Limited]:
    """Creates an API that throttles, and whose clock the clients use."""

    def make(*arguments: Any) -> Limited:
        api = Limited(answer, *arguments)
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
    """The inventory does not wait: the throttled repositories fail with that `retry_after`."""
    api = limited(50)
    api.headers = {"retry-after": "3600"}
    inventory = either_of(api).inventory()
    assert len(await walked(inventory)) == 19
    assert {getattr(each.error, "retry_after", None) for each in inventory.failures} == {3600}
    assert len(inventory.failures) == 31
    assert api.now == 0


async def test_an_api_that_throttles_all_requests_ends_an_inventory(
    either_of: Any, limited: Callable[..., Limited]
) -> None:
    """After some minutes the API's error is raised."""
    api = limited(50, 0)
    with pytest.raises(TooManyRequests):
        await walked(either_of(api).inventory())
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


def test_another_object_is_not_an_executor(client: Client) -> None:
    """It is refused when the inventory is created."""
    with pytest.raises(TypeError, match=r"executor must be a concurrent\.futures\.Executor, not 4"):
        client.inventory(executor=4)  # type: ignore[arg-type]


async def test_each_client_creates_its_kind_of_inventory(
    client: Client, async_client: AsyncClient
) -> None:
    """`Client` creates an `Inventory`, and `AsyncClient` an `AsyncInventory`."""
    assert type(client.inventory()) is Inventory
    assert type(async_client.inventory()) is AsyncInventory


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process forks there")
def test_an_iteration_does_not_go_on_in_a_forked_process(sandbox: Sandbox, client: Client) -> None:
    """The child has none of the threads: it gets an error, and the parent goes on."""
    sandbox.seed(repositories=30, tags=1)
    rows = iter(client.inventory(concurrency=2))
    next(rows)
    with warnings.catch_warnings():
        # Python warns of threads beside a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            list(rows)
        except Error as error:
            os._exit(0 if "forked process" in str(error) else 2)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(rows)) == 29
