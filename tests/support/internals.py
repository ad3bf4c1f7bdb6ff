"""The package's private names that tests need; no other test module imports any.

A test that keeps to public names survives a change inside. What cannot be tested so is reached
through this module, which is then the one place that such a change touches.
"""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakSet

import pytest
from fastapi.routing import APIRoute

from abeja_registry import InventoryRow, Tag

# -- core -----------------------------------------------------------------------------------------
from abeja_registry._api import process
from abeja_registry._api.flows import Ahead, Wait, find, next_page
from abeja_registry._api.operations import (
    Operation,
    create_repository,
    delete_repository,
    get_repositories,
    get_repository,
    get_repository_tags,
)
from abeja_registry._api.paging import MAX_REMEMBERED, MAX_STALLED_PAGES, Cursor, ReadAhead
from abeja_registry._api.redaction import PLACEHOLDER, Redactor
from abeja_registry._api.responses import (
    QUOTED_CHARACTERS,
    ApiResult,
    AttemptResult,
    NoResponse,
    Response,
    outcome_unknown,
    parse_response,
)
from abeja_registry._api.retries import Attempts, RetryBudget
from abeja_registry._api.waiting import wait_for
from abeja_registry._http.backends import AsyncBackend, Backend
from abeja_registry._http.certificates import create_ssl_context
from abeja_registry._http.clock import Clock
from abeja_registry._http.decoding import decode_response, parse_json
from abeja_registry._http.pool import AsyncConnectionPool, ConnectionPool, _BasePool
from abeja_registry._http.sender import Request
from abeja_registry._http.session import AsyncSession, Session
from abeja_registry._http.streams import CallState
from abeja_registry._page_rows import PageRows, read_page
from abeja_registry._parsing import parse, real_datetime
from abeja_registry._settings.credentials import authorization
from abeja_registry._settings.network import proxy_for
from abeja_registry._settings.settings import Settings, raw_settings
from abeja_registry._validation import (
    MAX_TIMEOUT,
    as_configuration_error,
    check_callable,
    check_choice,
    check_count,
    check_delay,
    check_digest,
    check_str,
    check_time,
    check_timeout,
    check_type,
    check_window,
    quote_segment,
)

# -- command line ---------------------------------------------------------------------------------
from abeja_registry.cli import _completion as cli_completion
from abeja_registry.cli import _errors as cli_errors
from abeja_registry.cli import _output as cli_output
from abeja_registry.cli import _root as cli_root
from abeja_registry.cli import _tags as cli_tags
from abeja_registry.cli import _views as cli_views
from abeja_registry.cli._client import import_httpx
from abeja_registry.cli._sizes import percent, size
from abeja_registry.cli.report import _page as report_page
from abeja_registry.cli.report._timeline import Period, Periods, periods
from abeja_registry.inventory import InventoryRepository

# -- inventory ------------------------------------------------------------------------------------
from abeja_registry.inventory import _async_inventory as inventory_async
from abeja_registry.inventory import _base as inventory_base
from abeja_registry.inventory import _fetching as inventory_fetching
from abeja_registry.inventory import _files as inventory_files
from abeja_registry.inventory._column_diff import ColumnDiffBuilder
from abeja_registry.inventory._column_summary import ColumnSummaryBuilder
from abeja_registry.inventory._columns import BatchBuffer, batch_of_rows, read_columns
from abeja_registry.inventory._crawler import Crawler
from abeja_registry.inventory._csv import CSV, MAX_FIELD, csv_records
from abeja_registry.inventory._formats import FileFormat, Part
from abeja_registry.inventory._journal import Journal
from abeja_registry.inventory._jsonl import JSONL
from abeja_registry.inventory._parquet import PARQUET
from abeja_registry.inventory._parquet import _write as _write_parquet_file
from abeja_registry.inventory._rows import COLUMNS, FILE_COLUMNS, Entry
from abeja_registry.inventory._summary import StaleTag, SummaryBuilder
from abeja_registry.inventory._tasks import (
    Batch,
    FetchedPage,
    FetchTask,
    RepositoryRef,
    TagColumns,
)
from abeja_registry.inventory._throttle import PATIENCE as THROTTLE_PATIENCE
from abeja_registry.inventory._throttle import Throttle
from abeja_registry.inventory._workers import (
    MAX_CLIENTS,
    PickledClient,
    Threads,
    WorkerClients,
    worker_clients,
)
from abeja_registry.repositories._collection import RepositoryPage

# -- sandbox --------------------------------------------------------------------------------------
from abeja_registry.sandbox import Sandbox
from abeja_registry.sandbox import _guard as sandbox_guard
from abeja_registry.sandbox import _recorder as sandbox_recorder
from abeja_registry.sandbox import _routes as sandbox_routes
from abeja_registry.sandbox import _running as sandbox_running
from abeja_registry.sandbox import _schema as sandbox_schema
from abeja_registry.sandbox import _serializers as sandbox_serializers
from abeja_registry.sandbox._faults import parse_fault
from abeja_registry.sandbox._mirror import Mirror
from abeja_registry.sandbox._portal import Portal
from abeja_registry.sandbox._secrets import read_or_make_token
from abeja_registry.sandbox._store import Store

# -- the clock ------------------------------------------------------------------------------------


def replace_sleep(
    monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], Any] = lambda _: None
) -> None:
    """Replace sleeping in sync and async sessions; other tasks still run."""

    async def async_sleep(seconds: float) -> None:
        result = sleep(seconds)
        if inspect.isawaitable(result):
            await result
        await asyncio.sleep(0)

    monkeypatch.setattr(Session, "sleep", staticmethod(sleep))
    monkeypatch.setattr(AsyncSession, "sleep", staticmethod(async_sleep))


def replace_clock_sleep(monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], Any]) -> None:
    """Replace the sleep of the system's clock, which sessions call in short intervals."""

    async def async_sleep(_: Clock, seconds: float) -> None:
        sleep(seconds)

    monkeypatch.setattr(Clock, "sleep", lambda _, seconds: sleep(seconds))
    monkeypatch.setattr(Clock, "asleep", async_sleep)


def replace_now(monkeypatch: pytest.MonkeyPatch, now: Callable[[], float]) -> None:
    """Replace the clock of sessions."""
    monkeypatch.setattr(Clock, "now", staticmethod(now))


def replace_stream_clock(monkeypatch: pytest.MonkeyPatch, now: Callable[[], float]) -> None:
    """Replace the clock of streams."""
    clock = SimpleNamespace(monotonic=now)
    monkeypatch.setattr("abeja_registry._http.streams.time", clock)


def replace_random(monkeypatch: pytest.MonkeyPatch, random: Callable[[], float]) -> None:
    """Replace the random numbers of sessions."""
    monkeypatch.setattr(Clock, "random", staticmethod(random))


# -- sessions and connections ---------------------------------------------------------------------


def session_of(client: Any) -> Any:
    """Return the session of a raw or typed client."""
    return client._session


def settings_of(client: Any) -> Settings:
    """Return the settings of a client."""
    settings: Settings = client._session.settings
    return settings


def budget_of(client: Any) -> RetryBudget:
    """Return the retry budget of a client."""
    budget: RetryBudget = client._session._budget
    return budget


def left_in(budget: RetryBudget) -> int:
    """Return the tokens of a budget, by spending them."""
    left = 0
    while budget.spend(1):
        left += 1
    return left


def response(status: int, headers: Mapping[str, str], content: bytes) -> Response:
    """Return a response with a complete body."""
    return Response(status, headers, content, parse_json(content))


def no_response(
    cause: str, sent: bool, timeout: bool = False, transient: bool = True
) -> NoResponse:
    """Return a failed attempt with an exception's class and message."""
    error, _, message = cause.partition(": ")
    return NoResponse(error, message, sent, timeout, transient)


def without_budget(client: Any) -> None:
    """Give a client an endless retry budget."""
    budget = budget_of(client)
    budget._tokens = budget.SIZE = 10**9


def lock_of(shared: RetryBudget | WorkerClients) -> threading.Lock:
    """Return the lock of an object that threads share."""
    return shared._lock


def limit_connections(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Limit the open connections of each new client."""
    defaults = (ConnectionPool.__init__.__kwdefaults__ or {}) | {"max_connections": count}
    monkeypatch.setattr(ConnectionPool.__init__, "__kwdefaults__", defaults)


@contextmanager
def opened_pools() -> Iterator[WeakSet[Any]]:
    """Yield the connection pools that open a connection in the block."""
    pools: WeakSet[Any] = WeakSet()
    open_connection = _BasePool._open

    def noted(pool: Any) -> Any:
        pools.add(pool)
        return open_connection(pool)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(_BasePool, "_open", noted)
        yield pools


def is_left_open(pool: Any) -> bool:
    """Whether a connection pool keeps idle connections, as nobody has closed its client."""
    return not pool.closed and any(state.idle for state in pool._states.values())


def keep_alive_for(client: Any, seconds: float) -> None:
    """Set how long a client keeps idle connections."""
    session_of(client).sender._keepalive_expiry = seconds


def as_in_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make connection pools detect a fork."""
    monkeypatch.setattr(process, "token", object())


@contextmanager
def ancestors_dropped_twice(client: Any) -> Iterator[None]:
    """Make another thread drop the parent's connections just before each thread does."""

    class Raced(dict[Any, Any]):
        def pop(self, key: object, *default: Any) -> Any:
            super().pop(key)
            return super().pop(key, *default)

    pool = cast(ConnectionPool, client._session.sender)
    states = pool._states
    pool._states = Raced(states)
    yield
    pool._states = states


def keep_process_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the process token at the end."""
    monkeypatch.setattr(process, "token", process.token)


# -- pages ----------------------------------------------------------------------------------------


def restarted(listing: Any, start: int) -> Any:
    """Return a listing of the same rows from an offset on."""
    return type(listing)(listing._fetch, None, start)


# -- the inventory and the command line -----------------------------------------------------------


def note_pages_of_tags(
    monkeypatch: pytest.MonkeyPatch, client: Any, note: Callable[[], object]
) -> None:
    """Call this before a client parses a page of tags."""
    make = read_page

    def noted(kind: Any, *arguments: Any, **options: Any) -> Any:
        if kind.row is Tag:
            note()
        return make(kind, *arguments, **options)

    monkeypatch.setattr(inventory_fetching, "read_page", noted)


def write_file(file_format: FileFormat, path: Path, entries: Iterable[Entry]) -> int:
    """Write rows and repositories without tags to a file, as an inventory does."""
    empty: list[InventoryRepository] = []

    def parts() -> Iterator[Part]:
        remaining = iter(entries)
        while some := list(islice(remaining, 10_000)):
            rows = [each for each in some if isinstance(each, InventoryRow)]
            empty.extend(each for each in some if isinstance(each, InventoryRepository))
            yield from file_format.encode(Batch(rows, []))

    return file_format.write(path, parts(), empty)


write_csv = partial(write_file, CSV)
write_jsonl = partial(write_file, JSONL)
write_parquet = partial(write_file, PARQUET)
FORMATS = {each.name: each for each in (JSONL, CSV, PARQUET)}


def write_row_groups(path: Path, entries: Iterable[Entry], rows: int) -> int:
    """Write a Parquet file with row groups of so many rows."""
    return write_file(
        replace(PARQUET, write=partial(_write_parquet_file, row_group=rows)), path, entries
    )


@contextmanager
def rows_per_batch(rows: int) -> Iterator[None]:
    """Combine record batches of pages into those of so many rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchBuffer.__init__, "__defaults__", (rows,))
        yield


@contextmanager
def rows_in_memory(max_bytes: int) -> Iterator[None]:
    """Limit the rows in columns that a diff and a summary keep in memory."""
    with pytest.MonkeyPatch.context() as patch:
        for builder in (ColumnDiffBuilder, ColumnSummaryBuilder):
            patch.setattr(builder.__init__, "__kwdefaults__", {"max_bytes": max_bytes})
        yield


def html_of(value: Any) -> str:
    """Return the HTML of a value in a notebook."""
    return str(value._repr_html_())


def forget_locked_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the files that this process has locked, like another process."""
    monkeypatch.setattr(inventory_files, "_locked_paths", set())


def take_for_closed_pipe(monkeypatch: pytest.MonkeyPatch, codes: set[int]) -> None:
    """Treat these errors of a write as a closed pipe, as on Windows."""
    monkeypatch.setattr(cli_errors, "_CLOSED_PIPE", codes)


# -- the sandbox ----------------------------------------------------------------------------------


def store_of(sandbox: Sandbox) -> Store:
    """Return the store of a running sandbox."""
    return sandbox._registry.store


def mirror_of(sandbox: Sandbox) -> Mirror:
    """Return the mirror of a running sandbox's Docker registry."""
    mirror = sandbox._registry.mirror
    assert mirror is not None
    return mirror


def recorder_of(sandbox: Sandbox) -> sandbox_recorder.Recorder:
    """Return the recorder of a sandbox's requests."""
    return sandbox._recorder


def routes_of_the_api() -> Iterator[tuple[str, str]]:
    """Yield the method and the path of each of the sandbox's routes of the API."""
    for route in sandbox_routes.api.routes:
        assert isinstance(route, APIRoute)
        yield from ((method.lower(), route.path) for method in route.methods or ())


def count_acquired(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> Callable[[], int]:
    """Return a function that says how often the lock in this attribute was acquired."""
    lock, acquired = getattr(owner, name), 0

    class Counted:
        def __enter__(self) -> None:
            nonlocal acquired
            acquired += 1
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    monkeypatch.setattr(owner, name, Counted())
    return lambda: acquired


def reader_of(store: Store) -> sqlite3.Connection:
    """Return the connection that a store reads from."""
    return store._reader


def writer_of(store: Store) -> sqlite3.Connection:
    """Return the connection that a store writes with."""
    return store._writer


def bind_beyond_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a sandbox treat the address of its socket as public, whatever its host's name."""
    monkeypatch.setattr(sandbox_running, "is_loopback", lambda _: False)


def take_nothing_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the sandbox treat each address as public."""
    monkeypatch.setattr(sandbox_guard, "is_loopback", lambda _: False)
