"""Inventories as Arrow record batches, and engines that read them as tables."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.examples import ORGANIZATION_ID, TAG
from tests.support.internals import (
    ApiResult,
    RepositoryRef,
    TagColumns,
    read_columns,
    rows_per_batch,
)
from tests.support.inventories import expected, rows_in, tag_counts, walked_as
from tests.support.patience import PATIENCE
from tests.support.worlds import walked

from abeja_registry import Client, Error, Forbidden
from abeja_registry.inventory import AsyncInventory, Progress
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


def by_pyarrow(inventory: Any) -> list[dict[str, Any]]:
    """Return the rows of an inventory that pyarrow has read."""
    import pyarrow

    rows: list[dict[str, Any]] = pyarrow.table(inventory).to_pylist()
    return rows


def by_polars(inventory: Any) -> list[dict[str, Any]]:
    """Return the rows of an inventory that polars has read."""
    import polars

    return polars.DataFrame(inventory).to_dicts()


def by_pandas(inventory: Any) -> list[dict[str, Any]]:
    """Return the rows of an inventory that pandas has read."""
    import pandas

    rows: list[dict[str, Any]] = pandas.DataFrame.from_arrow(inventory).to_dict("records")
    return rows


def by_duckdb(inventory: Any) -> list[dict[str, Any]]:
    """Return the rows of an inventory that DuckDB has read."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        rows: list[dict[str, Any]] = connection.sql("from inventory").to_arrow_table().to_pylist()
    return rows


def test_a_page_as_the_api_sends_it_becomes_columns(example: Any) -> None:
    """Its values have the usual types, so that no model reads them first."""
    body = example("get_repository_tags")
    people = [{**TAG["creator"], "id": name, "email": f"{name}@abeja.asia"} for name in "aba"]
    body["tags"] = [{**TAG, "id": at, "creator": each} for at, each in enumerate(people)]
    page = read_columns(RepositoryRef("1", "trainer"), 0, ApiResult(body))
    assert page is not None
    [columns] = page.select([0, 1, 2])
    assert isinstance(columns, TagColumns)
    rows = columns.batch.to_pylist()
    assert [row["creator_email"] for row in rows] == [each["email"] for each in people]
    assert (rows[0]["repository_name"], rows[0]["tag"]) == ("trainer", TAG["name"])
    for name in ("created_at", "updated_at"):
        assert rows[0][name] == datetime.fromisoformat(TAG[name])


ENGINES = [by_pyarrow, by_polars, by_pandas, by_duckdb]
each_engine = pytest.mark.parametrize("read", ENGINES)


@each_engine
def test_an_engine_reads_an_inventory_as_a_table(
    sandbox: Sandbox, client: Client, read: Callable[[Any], list[dict[str, Any]]]
) -> None:
    """It has the rows of an iteration, whose times have their zone, after one iteration."""
    sandbox.seed(repositories=5, tags=7)
    rows = expected(sandbox, client)
    sandbox.clear_requests()
    found = read(client.inventory(page_size=3))
    requests = len(sandbox.requests)
    assert sorted(tuple(row.values()) for row in found) == sorted(map(tuple, rows))
    assert list(found[0]) == list(rows[0]._fields)
    assert all(row["created_at"].utcoffset() == timedelta(0) for row in found)
    sandbox.clear_requests()
    assert len(list(client.inventory(page_size=3))) == 35
    assert len(sandbox.requests) == requests


@each_engine
def test_an_engine_raises_the_error_of_an_inventory(
    sandbox: Sandbox, client: Client, read: Callable[[Any], list[dict[str, Any]]]
) -> None:
    """Its own exception has the message; an iteration over the batches raises the error itself."""
    sandbox.faults.add(status=403, times=1)
    with pytest.raises(Exception, match=r'Forbidden "forbidden"') as caught:
        read(client.inventory())
    assert str(sandbox.connection["credential"]) not in str(caught.value)
    sandbox.faults.add(status=403, times=1)
    with pytest.raises(Forbidden):
        list(client.inventory().record_batches())


@pytest.mark.parametrize(("concurrency", "page_size"), [(1, None), (16, None), (3, 2)])
async def test_record_batches_have_the_rows_of_an_iteration(
    sandbox: Sandbox,
    client: Client,
    either: Any,
    mixed: dict[str, int],
    concurrency: int,
    page_size: int | None,
) -> None:
    """Repositories without tags are no rows of them, and are known afterwards."""
    reports: list[Progress] = []
    inventory = either.inventory(
        concurrency=concurrency, page_size=page_size, on_progress=reports.append
    )
    found = await walked_as("columns", inventory)
    assert sorted(found) == sorted(expected(sandbox, client))
    assert tag_counts(inventory.repositories) == mixed
    assert (reports[-1].rows, reports[-1].empty) == (4, 3)


def test_record_batches_by_processes(sandbox: Sandbox, client: Client, processes: Executor) -> None:
    """Worker processes return columns too."""
    sandbox.seed(repositories=4, tags=30)
    inventory = client.inventory(executor=processes, page_size=10)
    assert sorted(rows_in(inventory.record_batches())) == sorted(expected(sandbox, client))


def test_record_batches_are_returned_while_the_iteration_goes_on(
    sandbox: Sandbox, client: Client
) -> None:
    """Small pages are combined; an iteration that is closed early sends no more requests."""
    sandbox.seed(repositories=15, tags=1_000)
    inventory = client.inventory(concurrency=1, page_size=1_000)
    batches = inventory.record_batches()
    first = next(batches)
    assert 10_000 <= first.num_rows < 15_000
    requests = len(sandbox.requests)
    assert requests < 15
    del batches
    assert len(sandbox.requests) == requests


async def test_a_list_that_changes_while_its_columns_are_read(
    sandbox: Sandbox, either: Any
) -> None:
    """A tag that is pushed meanwhile, and moves the others, is no reason to return one twice."""
    [repository] = sandbox.seed(repositories=1, tags=40)
    requests = 0

    def pushed(_: Progress) -> None:
        nonlocal requests
        requests += 1
        if requests % 3 == 0:
            sandbox.push(repository, f"new-{requests}")

    inventory = either.inventory(concurrency=2, page_size=4, on_progress=pushed)
    rows = await walked_as("columns", inventory)
    tags = [row.tag for row in rows]
    assert len(set(tags)) == len(tags)
    assert set(tags) >= {f"0.0.{number}" for number in range(1, 41)}


async def test_columns_need_their_extra(
    sandbox: Sandbox, either: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow, an error before the first request says what to install; rows need none."""
    sandbox.seed(repositories=1, tags=2)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    inventory = either.inventory()
    with pytest.raises(ImportError, match=r"pip install 'abeja-registry\[arrow\]'"):
        inventory.record_batches()
    if hasattr(inventory, "__arrow_c_stream__"):
        with pytest.raises(ImportError, match=r"abeja-registry\[arrow\]"):
            inventory.__arrow_c_stream__()
    assert not sandbox.requests
    assert len(await walked(inventory)) == 2


# -- any page -------------------------------------------------------------------------------------

CREATOR = TAG["creator"]
_JSON: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, "", "5", 5, 5.0, 5.5, -1, 2**63, 2**63 - 1, [], ["a"], {}]
)
_TIME_TEXTS: st.SearchStrategy[Any] = st.sampled_from(
    [
        "2019-05-23T05:13:15.5Z",
        "2019-05-23T05:13:15.123456Z",
        "2019-05-23T05:13:15.1234567Z",
        "2019-05-23 05:13:15Z",
        "2019-05-23t05:13:15z",
        "2019-05-23T05:13:15.Z",
        "2019-05-23T05:13:15",
        "2019-05-23T05:13Z",
        "2019-05-23",
        "2019-05-23T05:13:15+09:00",
        "2019-05-23T05:13:15-23:59",
        "2019-05-23T05:13:15+24:00",
        "2019-05-23T05:13:15.1234+09",
        "2019-05-23T05:13:60Z",
        "2019-05-23T24:00:00Z",
        "2019-02-29T05:13:15Z",
        "0000-05-23T05:13:15Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+09:00",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-09:00",
        "1000-01-01T00:00:00Z",
        "+019-05-23T05:13:15Z",
        "\uff12019-05-23T05:13:15Z",
        1558588395,
        1558588395.5,
    ]
) | st.text(alphabet="0123456789-:.TZ+", min_size=19, max_size=28)
_CREATORS = st.sampled_from(
    [
        None,
        {},
        CREATOR,
        {**CREATOR, "email": "other@abeja.asia"},
        {**CREATOR, "id": "2", "email": "third@abeja.asia"},
        {**CREATOR, "id": 2},
        {**CREATOR, "id": None},
        {**CREATOR, "is_registered": "yes"},
        {**CREATOR, "role": None},
        {**CREATOR, "unknown": [1]},
    ]
)
_CHANGES = st.dictionaries(
    st.sampled_from(list(TAG)), _JSON | _TIME_TEXTS | _CREATORS, max_size=2
) | st.fixed_dictionaries({"created_at": _TIME_TEXTS})
_ROWS = st.lists(
    _CHANGES
    | st.sampled_from([{"name": ""}, {"name": "ﬁ\0"}, {"extra": 5}])
    | st.sampled_from([None, "text", ["name"], {}]).map(lambda row: {"": row}),
    max_size=4,
)


def page_of(changes: list[dict[str, Any]]) -> list[Any]:
    """Return the rows of a page: a tag with each of the changes, or another value."""
    return [
        each.get("", {**TAG, "id": f"tag {at}", "name": f"{at}", **each})
        for at, each in enumerate(changes)
    ]


def by_rows(inventory: Any) -> list[Any]:
    """Return the rows of an inventory, with times as microseconds since 1970."""
    epoch, unit = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
    return [(*row[:-2], *((time - epoch) // unit for time in row[-2:])) for row in inventory]


def by_columns(inventory: Any) -> list[Any]:
    """Return the rows of an inventory's batches; a time may be beyond the calendar in UTC."""
    import pyarrow

    rows: list[Any] = []
    for batch in inventory.record_batches():
        times = [column.cast(pyarrow.int64()) for column in batch.columns[-2:]]
        columns = [column.to_pylist() for column in (*batch.columns[:-2], *times)]
        rows += zip(*columns, strict=True)
    return rows


def outcome(inventory: Any, read: Callable[[Any], list[Any]]) -> Any:
    """Return the rows, the failures and the repositories of an inventory, or its error."""
    try:
        rows = read(inventory)
    except Error as error:
        return type(error), str(error)
    failures = [(type(each.error), str(each.error)) for each in inventory.failures]
    return rows, failures, inventory.repositories


@given(_ROWS, st.sampled_from(["raise", "skip"]), st.sampled_from([{}, {"limit": "many"}]))
@example([{"size": 5.5}], "raise", {})
@example([{"creator": {"id": "1"}}], "raise", {})
@example([{}], "raise", {"limit": "many"})
def test_columns_are_equal_to_rows(
    changes: list[dict[str, Any]], invalid_rows: Any, wrong: dict[str, Any]
) -> None:
    """Whatever a page holds: the same rows, failures and errors in both forms."""
    page = page_of(changes)
    envelope = {"offset": 0, "limit": 100, "has_next": False}
    repository = {**TAG, "id": "1", "name": "a", "organization_id": "1"}
    bodies = {
        True: json.dumps({**envelope, **wrong, "tags": page}),
        False: json.dumps({**envelope, "registry_repositories": [repository]}),
    }

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=bodies[request.url.path.endswith("/tags")])

    with httpx.Client(transport=httpx.MockTransport(respond)) as http_client:
        client = Client(
            ORGANIZATION_ID,
            {},
            base_url="https://api.example.com",
            http_client=http_client,
            invalid_rows=invalid_rows,
        )
        inventory = client.inventory()
        assert outcome(inventory, by_columns) == outcome(inventory, by_rows)


async def test_small_pages_are_combined(sandbox: Sandbox, either: Any) -> None:
    """A record batch has some pages' rows, and the last one the rest."""
    sandbox.seed(repositories=3, tags=20)
    with rows_per_batch(10):
        sizes = [
            batch.num_rows for batch in await walked(either.inventory(page_size=4).record_batches())
        ]
    assert sum(sizes) == 60
    assert len(sizes) > 3
    assert all(size >= 10 for size in sizes[:-1])


class Slow(list[Any]):
    """Rows in columns that wait until they are released."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.released = threading.Event(), threading.Event()

    def record_batches(self) -> Iterator[Any]:
        """Wait, and yield no rows."""
        self.asked.set()
        assert self.released.wait(PATIENCE)
        yield from ()


async def test_a_cancelled_diff_waits_for_the_thread_that_reads() -> None:
    """A thread that still reads cannot be stopped: the cancellation ends after it."""
    rows = Slow()
    diff = asyncio.create_task(AsyncInventory.diff(rows, rows))
    await asyncio.to_thread(rows.asked.wait, PATIENCE)
    diff.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not diff.done()
    rows.released.set()
    with pytest.raises(asyncio.CancelledError):
        await diff
