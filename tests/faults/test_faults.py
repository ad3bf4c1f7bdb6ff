"""What a user can rely on, whatever happens on the wire: the table, cell by cell, and more."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.examples import ORGANIZATION_ID

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

from .faults import FAULTS, LIMIT
from .server import ALWAYS, DROP, DROPS, Armed, Fault, FaultServer
from .table import (
    ENTRIES,
    GONE_BEFORE,
    HANDED_IN,
    NOTHING,
    RESULT,
    RETRIES,
    Cell,
    InPart,
    Row,
    page,
)

# Some answers ask for a second before the next attempt.
pytestmark = pytest.mark.usefixtures("no_waiting")

NAME = "trainer"
KINDS = ("sync", "async")
# How long the client waits, for each read and altogether, by what it has to wait for.
PATIENCE = {
    "prompt": {"timeout": 2.0, "deadline": 4.0},
    "never": {"timeout": 0.8, "deadline": 4.0},
    "drips": {"timeout": 0.5, "deadline": 0.5},
}
# Seconds that may pass between a deadline and the moment when a busy machine notices.
GRACE = 8.0
# Loading certificates takes longer than a test, and nothing here speaks TLS.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

OPERATIONS: dict[str, Callable[[Any, str], Any]] = {
    "create_repository": lambda raw, key: raw.create_repository(ORGANIZATION_ID, NAME),
    "delete_repository": lambda raw, key: raw.delete_repository(ORGANIZATION_ID, key),
    "get_repositories": lambda raw, key: raw.get_repositories(ORGANIZATION_ID),
    "get_repository": lambda raw, key: raw.get_repository(ORGANIZATION_ID, key),
    "get_repository_tags": lambda raw, key: raw.get_repository_tags(ORGANIZATION_ID, key),
}
# The GETs share one column of the table and one way through the code: `make nightly` runs all.
NIGHTLY = "NIGHTLY" in os.environ
TABLE = [
    name
    for name in OPERATIONS
    if NIGHTLY or name not in ("get_repositories", "get_repository_tags")
]


@pytest.fixture(scope="module")
def running() -> Iterator[FaultServer]:
    """One fault server for all tests of the module."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def server(running: FaultServer) -> Iterator[FaultServer]:
    """A fault server that has forgotten everything."""
    running.renew()
    yield running
    running.renew()


class Caller:
    """A client, sync or async, and how to call it from a test that is neither.

    Attributes:
        client: The client.
        hurried: The same client, with no more patience than a fault needs.
        retries: The replays so far.
    """

    def __init__(
        self, kind: str, server: FaultServer, pace: str = "prompt", **options: Any
    ) -> None:
        self.retries: list[Retry] = []
        self._server = server
        self._handed_in = options.get("http_client")
        self._runner = asyncio.Runner() if kind == "async" else None
        settings: dict[str, Any] = {
            "base_url": server.url,
            "retry": RetryPolicy(max_retries=RETRIES, base_delay=0, throttled_base_delay=0),
            "max_response_bytes": LIMIT,
            "on_retry": self._retried,
            **PATIENCE["prompt"],
        }
        kind_of_client: Any = Client if self._runner is None else AsyncClient
        self.client: Any = kind_of_client(
            ORGANIZATION_ID, {"auth_token": "secret"}, **(settings | options)
        )
        self.hurried: Any = self.client.with_options(**PATIENCE[pace])

    def _retried(self, retry: Retry) -> None:
        self.retries.append(retry)
        self._server.retried()

    def run(self, call: Callable[[], Any]) -> Any:
        """Make a call, and return what comes of it."""
        return call() if self._runner is None else self._runner.run(_awaited(call))

    def close(self) -> None:
        """Close the client, and one that was handed in."""
        closers = [self.client] if self._handed_in is None else [self.client, self._handed_in]
        for each in closers:
            self.run(each.close if self._runner is None else each.aclose)
        if self._runner is not None:
            self._runner.close()


async def _awaited(call: Callable[[], Any]) -> Any:
    return await call()


@contextmanager
def calling(
    kind: str, server: FaultServer, pace: str = "prompt", **options: Any
) -> Iterator[Caller]:
    """A client that is closed in the end."""
    caller = Caller(kind, server, pace, **options)
    try:
        yield caller
    finally:
        caller.close()


def next_call(caller: Caller, server: FaultServer) -> tuple[bool, int]:
    """Make one more call; return whether it gets its own answer, and the attempts it takes."""
    bystander = server.registry.add("bystander")
    server.disarm()
    caller.retries.clear()
    got = caller.run(lambda: caller.client.raw.get_repository(ORGANIZATION_ID, bystander))
    return got == server.registry.repositories[bystander], 1 + len(caller.retries)


def check_error(error: BaseException) -> Error:
    """An exception is one of ours, knows its attempts, and has nobody else's behind it."""
    assert isinstance(error, Error), repr(error)
    assert (error.__cause__, error.__context__) == (None, None)
    *replayed, last = error.history
    assert last.wait is None
    assert all(attempt.wait is not None for attempt in replayed)
    return error


def in_its_own_words(operation: str, result: dict[str, Any], key: str) -> bool:
    """Whether a result is the answer to what was asked."""
    if operation == "get_repositories":
        return [row["id"] for row in result["registry_repositories"]] == [key]
    if operation == "get_repository_tags":
        return bool(result["registry_repository_id"] == key)
    return bool(result["name"] == (NAME if operation == "create_repository" else "target"))


def called(caller: Caller, server: FaultServer, operation: str, key: str) -> Cell:
    """Call an operation, and return what came of it."""
    outcome, unknown = RESULT, False
    try:
        result = caller.run(lambda: OPERATIONS[operation](caller.hurried.raw, key))
    except Exception as raised:
        error = check_error(raised)
        assert len(error.history) == 1 + len(caller.retries)
        outcome, unknown = type(error).__name__, error.outcome_unknown
        if isinstance(error, NotFound):
            assert error.after_unknown_outcome is bool(caller.retries)
    else:
        if result == {}:
            outcome = NOTHING
        else:
            assert in_its_own_words(operation, result, key)
    server.settle()
    done = {
        "create_repository": len(server.registry.named(NAME)) == 1,
        "delete_repository": key not in server.registry.repositories,
    }
    assert len(server.registry.named(NAME)) <= 1
    return Cell(outcome, 1 + len(caller.retries), unknown, done.get(operation, outcome == RESULT))


def cells() -> Iterator[Any]:
    """Every cell of the table, sync and async; of the three GETs one, but for the nightly run."""
    for name, entry in ENTRIES.items():
        for times, row in ((1, entry.once), (ALWAYS, entry.always)):
            for operation in TABLE if row else ():
                column = operation.partition("_")[0]
                for kind in KINDS:
                    often = "once" if times == 1 else "always"
                    yield pytest.param(
                        FAULTS[name],
                        times,
                        operation,
                        kind,
                        getattr(row, column),
                        id=f"{name}-{often}-{operation}-{kind}",
                    )


@pytest.mark.parametrize(("fault", "times", "operation", "kind", "expected"), list(cells()))
def test_each_cell_of_the_table(
    fault: Fault, times: int, operation: str, kind: str, expected: Cell, server: FaultServer
) -> None:
    """What comes of a fault is what the table says, in time, and the next call works."""
    key = server.registry.add("target")
    with calling(kind, server, fault.pace) as caller:
        if fault.at in ("request", "idle"):
            # Most requests go out on a connection that is kept.
            caller.run(lambda: caller.client.raw.get_repository(ORGANIZATION_ID, key))
        server.arm(Armed(fault, times))
        began = time.monotonic()
        met = called(caller, server, operation, key)
        assert time.monotonic() - began < PATIENCE[fault.pace]["deadline"] + GRACE
        assert met in expected.allowed
        unseen = min(times, met.attempts) if fault.at == "connect" else 0
        assert len(server.seen) == met.attempts - unseen
        assert next_call(caller, server) == (True, 1)


# The requests of get_or_create, in turn; the last is made where the second is in doubt.
PLACES = ("find", "create", "find again")


def outcomes_of_get_or_create(
    fault: Fault, row: Row, times: int, place: str
) -> set[tuple[str, int]]:
    """Return, by the table, what may come of it, and how many repositories of the name."""
    met = row.get.allowed
    if place == "find":
        return {(each.outcome, int(each.outcome == RESULT)) for each in met}
    if place == "find again":
        return {(RESULT if each.outcome == RESULT else "OutcomeUnknown", 1) for each in met}
    looks_again = times == 1 or row.get.outcome == RESULT
    return {
        (RESULT if each.done and looks_again else each.outcome, int(each.done))
        for each in row.create.allowed
    }


def places(fault: Fault) -> tuple[str, ...]:
    """Return the requests that a fault can strike in a way that timing does not decide."""
    if fault.at == "idle":
        return PLACES[:1]
    # What these do behind an answer may come while the next request is under way.
    after = fault.name in ("closed behind the answer", "second answer a moment later")
    return PLACES[1:] if after else PLACES


def flows() -> Iterator[Any]:
    """Every fault at every request of get_or_create, sync and async."""
    for name, entry in ENTRIES.items():
        fault = FAULTS[name]
        # Each attempt that waits for nothing takes its time: once is enough.
        lasting = entry.always if fault.pace == "prompt" else None
        for often, times, row in (("once", 1, entry.once), ("always", ALWAYS, lasting)):
            for place in places(fault) if row else ():
                for kind in KINDS:
                    yield pytest.param(
                        fault, row, times, place, kind, id=f"{name}-{often}-{place}-{kind}"
                    )


@pytest.mark.parametrize(("fault", "row", "times", "place", "kind"), list(flows()))
def test_get_or_create_makes_one_at_the_most(
    fault: Fault, row: Row, times: int, place: str, kind: str, server: FaultServer
) -> None:
    """Whatever strikes whichever request of it, there is one repository of the name, or none.

    It returns that repository wherever the table's GET and create let it.
    """
    server.arm(Armed(fault, times, after=PLACES.index(place)))
    if place == "find again":
        lost = FAULTS["reset after the work"]
        server.arm(Armed(lost, after=1), Armed(fault, times, after=2))
    deadline = PATIENCE[fault.pace]["deadline"]
    if place == "create":
        # A drip lasts a second and a half, and the rest is for a busy machine to look again in.
        deadline = max(deadline, 4.0)
    with calling(kind, server, fault.pace) as caller:
        began = time.monotonic()
        outcome, ids = RESULT, server.registry.named(NAME)
        hurried = caller.hurried.with_options(deadline=deadline)
        try:
            repository = caller.run(lambda: hurried.repositories.get_or_create(NAME))
        except Exception as raised:
            outcome = type(check_error(raised)).__name__
        else:
            ids = [repository.id]
        assert time.monotonic() - began < deadline + GRACE
        server.settle()
        there = server.registry.named(NAME)
        assert (outcome, len(there)) in outcomes_of_get_or_create(fault, row, times, place)
        assert outcome != RESULT or there == ids


GONE = [name for name, entry in ENTRIES.items() if entry.once.delete == GONE_BEFORE]


@pytest.mark.parametrize("name", GONE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_typed_delete_counts_its_own_doing_as_done(
    name: str, kind: str, server: FaultServer
) -> None:
    """Where the raw delete's replay is told 404, the typed one returns: the repository is gone."""
    fault = FAULTS[name]
    key = server.registry.add("target")
    server.arm(Armed(fault))
    with calling(kind, server, fault.pace) as caller:
        assert caller.run(lambda: caller.hurried.repositories.delete(key)) is None
        server.settle()
        assert (key in server.registry.repositories, len(server.seen)) == (False, 2)


@pytest.mark.parametrize("name", ["status 429 with retry after", "status 503 with retry after"])
@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_is_a_floor(name: str, kind: str, server: FaultServer) -> None:
    """What an answer asks to wait is waited for at the least."""
    key = server.registry.add("target")
    server.arm(Armed(FAULTS[name], ALWAYS))
    with calling(kind, server) as caller:
        with pytest.raises(Error) as caught:
            caller.run(lambda: caller.client.raw.get_repository(ORGANIZATION_ID, key))
        assert [attempt.wait for attempt in caught.value.history] == [1.0, 1.0, None]


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_retry_after_is_told_and_not_waited_for(kind: str, server: FaultServer) -> None:
    """An answer that asks for an hour ends the call, and the exception says so."""
    server.arm(Armed(FAULTS["status 429 with a long retry after"], ALWAYS))
    with calling(kind, server) as caller:
        with pytest.raises(TooManyRequests) as caught:
            caller.run(lambda: caller.client.raw.create_repository(ORGANIZATION_ID, NAME))
        assert (caught.value.retry_after, len(caught.value.history)) == (3600.0, 1)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("redirect to the same origin", "/elsewhere"),
        ("redirect to another origin", "http://localhost.invalid/elsewhere"),
        ("redirect to nowhere", "http://[::1"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_redirect_is_named_and_not_followed(
    name: str, where: str, kind: str, server: FaultServer
) -> None:
    """The error of a redirect says where it pointed, and nothing was sent there."""
    server.arm(Armed(FAULTS[name], ALWAYS))
    with calling(kind, server) as caller:
        with pytest.raises(HttpError) as caught:
            caller.run(lambda: caller.client.raw.create_repository(ORGANIZATION_ID, NAME))
        assert repr(where) in caught.value.error_description
        assert len(server.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_calls_to_a_server_that_is_down(kind: str, server: FaultServer) -> None:
    """The budget bounds what an outage costs: 1,000 calls send 1,035 requests, and not 6,000."""
    server.arm(Armed(FAULTS["status 503"], ALWAYS))
    with calling(kind, server, retry=RetryPolicy(base_delay=0)) as caller:
        for _ in range(1000):
            with pytest.raises(HttpError):
                caller.run(lambda: caller.client.raw.get_repositories(ORGANIZATION_ID))
        server.settle()
        assert len(server.seen) == 1000 + len(caller.retries) == 1000 + 500 // 14


@pytest.mark.parametrize("name", ["gzip bomb", "large body"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_answer_is_not_held(name: str, kind: str, server: FaultServer) -> None:
    """An answer that is too large, packed or not, costs a few times `max_response_bytes`."""
    server.arm(Armed(FAULTS[name], ALWAYS))
    with calling(kind, server) as caller:
        ask = partial(caller.client.raw.get_repositories, ORGANIZATION_ID)
        # Once outside the measurement: the server has made the answer then.
        with pytest.raises(InvalidResponse, match="max_response_bytes"):
            caller.run(ask)
        tracemalloc.start()
        with pytest.raises(InvalidResponse, match="max_response_bytes"):
            caller.run(ask)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 10 * LIMIT


def handed_in() -> Iterator[Any]:
    """Every fault, struck once, to a create and a GET through a handed-in client."""
    for name, entry in ENTRIES.items():
        for operation in ("create_repository", "get_repository"):
            for kind in KINDS:
                limits = HANDED_IN.get(name, InPart())
                row = limits.row or entry.once
                yield pytest.param(
                    FAULTS[name],
                    operation,
                    kind,
                    getattr(row, operation.partition("_")[0]),
                    limits,
                    id=f"{name}-{operation}-{kind}",
                )


@pytest.mark.parametrize(("fault", "operation", "kind", "expected", "limits"), list(handed_in()))
def test_a_handed_in_client_keeps_what_the_page_says(
    fault: Fault, operation: str, kind: str, expected: Cell, limits: InPart, server: FaultServer
) -> None:
    """Through an httpx client, the same comes of a fault, but for what the page says of it."""
    key = server.registry.add("target")
    http: Any = (httpx.Client if kind == "sync" else httpx.AsyncClient)(verify=NO_TLS)
    with calling(kind, server, fault.pace, http_client=http) as caller:
        if fault.at in ("request", "idle"):
            caller.run(lambda: caller.client.raw.get_repository(ORGANIZATION_ID, key))
        server.arm(Armed(fault))
        began = time.monotonic()
        met = called(caller, server, operation, key)
        took = time.monotonic() - began
        assert met in expected.allowed
        if limits.late and kind == "sync":
            assert took > DROP * DROPS > PATIENCE["drips"]["deadline"]
        else:
            assert took < PATIENCE[fault.pace]["deadline"] + GRACE
        assert next_call(caller, server) == limits.next_call


def test_the_page_is_what_the_table_says() -> None:
    """`docs/faults.md` is made from the table: `python -m tests.faults.table > docs/faults.md`."""
    there = Path(__file__).parents[2] / "docs" / "faults.md"
    assert there.read_text(encoding="utf-8") == page()
