"""The guarantees under every fault: the table of docs/faults.md, cell by cell, and more."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from tests.support.certificates import NO_TLS
from tests.support.clock import jumping_clock
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
from .server import ALWAYS, JUMP, Armed, Fault, FaultServer
from .table import (
    ENTRIES,
    GONE_BEFORE,
    NOTHING,
    RESULT,
    RETRIES,
    USER_CLIENT,
    Cell,
    Row,
    WeakGuarantee,
    page,
)

# Some responses have a Retry-After of a second.
pytestmark = pytest.mark.usefixtures("no_waiting")

NAME = "trainer"
KINDS = ("sync", "async")
# A fault that ends a call by a timeout takes this long, and all steps of the call have as long.
TIMEOUT = 0.8
# Where another end is due, a call that waits for a timeout instead takes longer than SOON.
ENDLESS, SOON = 30.0, 20.0
# The clock's jump in a slow response passes the first deadline, and not the second: two thirds of
# it are the create's part of get_or_create, and the rest is for the look-up after it.
DEADLINE, DEADLINE_OF_FLOW = ENDLESS, 81.0
assert DEADLINE < JUMP
assert DEADLINE_OF_FLOW * 2 / 3 < JUMP < DEADLINE_OF_FLOW - SOON

OPERATIONS: dict[str, Callable[[Any, str], Any]] = {
    "create_repository": lambda raw, key: raw.create_repository(ORGANIZATION_ID, NAME),
    "delete_repository": lambda raw, key: raw.delete_repository(ORGANIZATION_ID, key),
    "get_repositories": lambda raw, key: raw.get_repositories(ORGANIZATION_ID),
    "get_repository": lambda raw, key: raw.get_repository(ORGANIZATION_ID, key),
    "get_repository_tags": lambda raw, key: raw.get_repository_tags(ORGANIZATION_ID, key),
}
# All GETs share one column and one code path; `make nightly` runs all three.
NIGHTLY = "NIGHTLY" in os.environ
TABLE = [
    name
    for name in OPERATIONS
    if NIGHTLY or name not in ("get_repositories", "get_repository_tags")
]


@pytest.fixture(scope="module")
def running() -> Iterator[FaultServer]:
    """One fault server for all tests of the module, whose slow responses make the clock jump."""
    with jumping_clock() as clock, FaultServer(clock.jump) as server:
        yield server


@pytest.fixture
def server(running: FaultServer) -> Iterator[FaultServer]:
    """A fault server after a reset."""
    running.renew()
    yield running
    running.renew()


class Caller:
    """A sync or async client, called from a sync test.

    Attributes:
        client: The client.
        hurried: The same client, with a short timeout if the fault makes it wait for that.
        retries: The retries so far.
        cause: Why the last attempt of the last failed call had no response.
    """

    def __init__(self, kind: str, server: FaultServer, waits: bool = False, **options: Any) -> None:
        self.retries: list[Retry] = []
        self.cause: str | None = None
        self._server = server
        self._http_client = options.get("http_client")
        self._runner = asyncio.Runner() if kind == "async" else None
        settings: dict[str, Any] = {
            "base_url": server.url,
            "retry": RetryPolicy(max_retries=RETRIES, base_delay=0, throttled_base_delay=0),
            "max_response_bytes": LIMIT,
            "on_retry": self._retried,
            "timeout": ENDLESS,
            "deadline": DEADLINE,
        }
        kind_of_client: Any = Client if self._runner is None else AsyncClient
        self.client: Any = kind_of_client(
            ORGANIZATION_ID, {"auth_token": "secret"}, **(settings | options)
        )
        self.hurried: Any = self.client.with_options(timeout=TIMEOUT if waits else ENDLESS)

    def _retried(self, retry: Retry) -> None:
        self.retries.append(retry)
        self._server.retried()

    def run(self, call: Callable[[], Any]) -> Any:
        """Make a call, and return its result."""
        return call() if self._runner is None else self._runner.run(_awaited(call))

    def close(self) -> None:
        """Close the client, and a user-supplied one."""
        closers = [self.client] if self._http_client is None else [self.client, self._http_client]
        for each in closers:
            self.run(each.close if self._runner is None else each.aclose)
        if self._runner is not None:
            self._runner.close()


async def _awaited(call: Callable[[], Any]) -> Any:
    return await call()


@contextmanager
def calling(
    kind: str, server: FaultServer, waits: bool = False, **options: Any
) -> Iterator[Caller]:
    """Yield a client, and close it afterwards."""
    caller = Caller(kind, server, waits, **options)
    try:
        yield caller
    finally:
        caller.close()


@contextmanager
def soon() -> Iterator[None]:
    """Nothing in the block waits for a long timeout, by a clock that does not jump."""
    began = time.perf_counter()
    try:
        yield
    finally:
        assert time.perf_counter() - began < SOON


def next_call(caller: Caller, server: FaultServer) -> tuple[bool, int]:
    """Make another call; return whether it gets its own response, and its number of attempts."""
    bystander = server.registry.add("bystander")
    server.disarm()
    caller.retries.clear()
    got = caller.run(lambda: caller.client.raw.get_repository(ORGANIZATION_ID, bystander))
    return got == server.registry.repositories[bystander], 1 + len(caller.retries)


def check_error(error: BaseException) -> Error:
    """The exception is an Error with its history, and no other exception is chained."""
    assert isinstance(error, Error), repr(error)
    assert (error.__cause__, error.__context__) == (None, None)
    *retried, last = error.history
    assert last.wait is None
    assert all(attempt.wait is not None for attempt in retried)
    return error


def is_result_of(operation: str, result: dict[str, Any], key: str) -> bool:
    """Whether a result belongs to the operation."""
    if operation == "get_repositories":
        return [row["id"] for row in result["registry_repositories"]] == [key]
    if operation == "get_repository_tags":
        return bool(result["registry_repository_id"] == key)
    return bool(result["name"] == (NAME if operation == "create_repository" else "target"))


def called(caller: Caller, server: FaultServer, operation: str, key: str) -> Cell:
    """Call an operation, and return its outcome."""
    outcome, unknown = RESULT, False
    try:
        with soon():
            result = caller.run(lambda: OPERATIONS[operation](caller.hurried.raw, key))
    except Exception as raised:
        error = check_error(raised)
        assert len(error.history) == 1 + len(caller.retries)
        caller.cause = error.history[-1].error
        outcome, unknown = type(error).__name__, error.outcome_unknown
        if isinstance(error, NotFound):
            assert error.after_unknown_outcome is bool(caller.retries)
    else:
        if result == {}:
            outcome = NOTHING
        else:
            assert is_result_of(operation, result, key)
    server.settle()
    done = {
        "create_repository": len(server.registry.named(NAME)) == 1,
        "delete_repository": key not in server.registry.repositories,
    }
    assert len(server.registry.named(NAME)) <= 1
    return Cell(outcome, 1 + len(caller.retries), unknown, done.get(operation, outcome == RESULT))


def cells() -> Iterator[Any]:
    """Yield every cell of the table, sync and async; outside `make nightly`, one of three GETs."""
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
def test_each_fault_has_the_outcome_in_the_table(
    fault: Fault, times: int, operation: str, kind: str, expected: Cell, server: FaultServer
) -> None:
    """Each fault has the outcome in the table, within the deadline, and the next call works."""
    key = server.registry.add("target")
    with calling(kind, server, fault.pace == "never") as caller:
        if fault.at in ("request", "idle"):
            # Most requests reuse an idle connection.
            caller.run(lambda: caller.client.raw.get_repository(ORGANIZATION_ID, key))
        server.arm(Armed(fault, times))
        outcome = called(caller, server, operation, key)
        assert outcome in expected.allowed
        unseen = min(times, outcome.attempts) if fault.at == "connect" else 0
        assert len(server.seen) == outcome.attempts - unseen
        assert next_call(caller, server) == (True, 1)


# The requests of get_or_create, in order; the last one follows a create of unknown outcome.
PLACES = ("find", "create", "find again")


def outcomes_of_get_or_create(
    fault: Fault, row: Row, times: int, place: str
) -> set[tuple[str, int]]:
    """Return the outcomes by the table, each with the number of repositories with the name."""
    gets = row.get.allowed
    if place == "find":
        return {(each.outcome, int(each.outcome == RESULT)) for each in gets}
    if place == "find again":
        return {(RESULT if each.outcome == RESULT else "OutcomeUnknown", 1) for each in gets}
    looks_again = times == 1 or row.get.outcome == RESULT
    return {
        (RESULT if each.done and looks_again else each.outcome, int(each.done))
        for each in row.create.allowed
    }


def places(fault: Fault) -> tuple[str, ...]:
    """Return the requests at which a fault has an outcome that does not depend on timing."""
    if fault.at == "idle":
        return PLACES[:1]
    # These act after a response, perhaps while the next request is in flight.
    after = fault.name in ("closed after the response", "second response later")
    return PLACES[1:] if after else PLACES


def flows() -> Iterator[Any]:
    """Yield every fault at every request of get_or_create, sync and async."""
    for name, entry in ENTRIES.items():
        fault = FAULTS[name]
        # An attempt that times out takes long: once is enough.
        always = entry.always if fault.pace == "prompt" else None
        for often, times, row in (("once", 1, entry.once), ("always", ALWAYS, always)):
            for place in places(fault) if row else ():
                for kind in KINDS:
                    yield pytest.param(
                        fault, row, times, place, kind, id=f"{name}-{often}-{place}-{kind}"
                    )


@pytest.mark.parametrize(("fault", "row", "times", "place", "kind"), list(flows()))
def test_get_or_create_creates_at_most_one_repository(
    fault: Fault, row: Row, times: int, place: str, kind: str, server: FaultServer
) -> None:
    """Under any fault at any of its requests, at most one repository has the name.

    get_or_create returns this repository unless the table has an error for its GET or create.
    """
    server.arm(Armed(fault, times, after=PLACES.index(place)))
    if place == "find again":
        lost = FAULTS["reset after the work"]
        server.arm(Armed(lost, after=1), Armed(fault, times, after=2))
    deadline = DEADLINE_OF_FLOW if place == "create" else DEADLINE
    with calling(kind, server, fault.pace == "never") as caller:
        outcome, ids = RESULT, server.registry.named(NAME)
        hurried = caller.hurried.with_options(deadline=deadline)
        try:
            with soon():
                repository = caller.run(lambda: hurried.repositories.get_or_create(NAME))
        except Exception as raised:
            outcome = type(check_error(raised)).__name__
        else:
            ids = [repository.id]
        server.settle()
        existing = server.registry.named(NAME)
        assert (outcome, len(existing)) in outcomes_of_get_or_create(fault, row, times, place)
        assert outcome != RESULT or existing == ids


GONE = [name for name, entry in ENTRIES.items() if entry.once.delete == GONE_BEFORE]


@pytest.mark.parametrize("name", GONE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_typed_delete_returns_if_its_retry_gets_404(
    name: str, kind: str, server: FaultServer
) -> None:
    """If the retry of a delete gets 404, the typed client returns: the repository is deleted."""
    fault = FAULTS[name]
    key = server.registry.add("target")
    server.arm(Armed(fault))
    with calling(kind, server, fault.pace == "never") as caller:
        assert caller.run(lambda: caller.hurried.repositories.delete(key)) is None
        server.settle()
        assert (key in server.registry.repositories, len(server.seen)) == (False, 2)


@pytest.mark.parametrize("name", ["status 429 with retry after", "status 503 with retry after"])
@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_is_the_minimum_wait(name: str, kind: str, server: FaultServer) -> None:
    """The wait before a retry is at least the response's Retry-After."""
    key = server.registry.add("target")
    server.arm(Armed(FAULTS[name], ALWAYS))
    with calling(kind, server) as caller:
        with pytest.raises(Error) as caught:
            caller.run(lambda: caller.client.raw.get_repository(ORGANIZATION_ID, key))
        assert [attempt.wait for attempt in caught.value.history] == [1.0, 1.0, None]


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_retry_after_ends_the_call(kind: str, server: FaultServer) -> None:
    """A Retry-After of an hour ends the call at once; the exception has its value."""
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
def test_a_redirect_is_not_followed(name: str, where: str, kind: str, server: FaultServer) -> None:
    """The error quotes the redirect's target, and no request was sent there."""
    server.arm(Armed(FAULTS[name], ALWAYS))
    with calling(kind, server) as caller:
        with pytest.raises(HttpError) as caught:
            caller.run(lambda: caller.client.raw.create_repository(ORGANIZATION_ID, NAME))
        assert repr(where) in caught.value.error_description
        assert len(server.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_retry_budget_bounds_the_load_of_an_outage(kind: str, server: FaultServer) -> None:
    """During an outage, 1,000 calls send 1,035 requests instead of 6,000."""
    server.arm(Armed(FAULTS["status 503"], ALWAYS))
    with calling(kind, server, retry=RetryPolicy(base_delay=0)) as caller:
        for _ in range(1000):
            with pytest.raises(HttpError):
                caller.run(lambda: caller.client.raw.get_repositories(ORGANIZATION_ID))
        server.settle()
        assert len(server.seen) == 1000 + len(caller.retries) == 1000 + 500 // 14


@pytest.mark.parametrize("name", ["gzip bomb", "large body"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_response_is_not_kept_in_memory(name: str, kind: str, server: FaultServer) -> None:
    """A response that is too large, compressed or not, takes a few times `max_response_bytes`."""
    server.arm(Armed(FAULTS[name], ALWAYS))
    with calling(kind, server) as caller:
        ask = partial(caller.client.raw.get_repositories, ORGANIZATION_ID)
        # Once before the measurement, so that the server has built the response.
        with pytest.raises(InvalidResponse, match="max_response_bytes"):
            caller.run(ask)
        tracemalloc.start()
        with pytest.raises(InvalidResponse, match="max_response_bytes"):
            caller.run(ask)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 10 * LIMIT


LIBRARIES = {"httpx": httpx, "httpx2": httpx2}


def user_client() -> Iterator[Any]:
    """Yield every fault at the first attempt, through a client of either library.

    Outside `make nightly` a GET and a create through httpx, and a create through httpx2: its
    classes are others, and nothing else is.
    """
    for name, entry in ENTRIES.items():
        weak = USER_CLIENT.get(name, WeakGuarantee())
        for library, operation, kind in itertools.product(LIBRARIES, TABLE, KINDS):
            row = (weak.row if library == "httpx" else None) or entry.once
            usual = ("create_repository", "get_repository")[: 2 if library == "httpx" else 1]
            if NIGHTLY or operation in usual:
                yield pytest.param(
                    FAULTS[name],
                    operation,
                    kind,
                    library,
                    getattr(row, operation.partition("_")[0]),
                    weak,
                    id=f"{name}-{operation}-{kind}-{library}",
                )


@pytest.mark.parametrize(
    ("fault", "operation", "kind", "library", "expected", "weak"), list(user_client())
)
def test_a_user_supplied_client_has_the_guarantees_on_the_page(
    fault: Fault,
    operation: str,
    kind: str,
    library: str,
    expected: Cell,
    weak: WeakGuarantee,
    server: FaultServer,
) -> None:
    """Through a user's client, a fault has the same outcome, except for the weaker guarantees."""
    key = server.registry.add("target")
    late = weak.late and kind == "sync"
    supplied: Any = LIBRARIES[library]
    http = (supplied.Client if kind == "sync" else supplied.AsyncClient)(verify=NO_TLS)
    with calling(kind, server, late or fault.pace == "never", http_client=http) as caller:
        if fault.at in ("request", "idle"):
            caller.run(lambda: caller.client.raw.get_repository(ORGANIZATION_ID, key))
        server.arm(Armed(fault))
        assert called(caller, server, operation, key) in expected.allowed
        if late:
            assert caller.cause == "ReadTimeout"
        assert next_call(caller, server) == weak.next_call


def test_the_page_matches_the_table() -> None:
    """`python -m tests.faults.table > docs/faults.md` writes the page from the table."""
    file = Path(__file__).parents[2] / "docs" / "faults.md"
    assert file.read_text(encoding="utf-8") == page()
