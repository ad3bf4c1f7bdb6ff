"""Faults on demand, as a client meets them: over the socket and in process."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.internals import count_acquired, parse_fault
from tests.support.patience import PATIENCE, until

from abeja_registry import Client, HttpError, OutcomeUnknown, RetryPolicy, Timeout, TransportError
from abeja_registry.sandbox import Faults, Sandbox

ONCE = RetryPolicy(max_retries=0)


@pytest.fixture(params=["socket", "in process"])
def client(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Client]:
    """A client that tries once, on either way into the sandbox."""
    if request.param == "socket":
        with Client(**sandbox.connection, retry=ONCE) as client:
            yield client
    else:
        with httpx.Client(transport=sandbox.transport(), trust_env=False) as http:
            yield Client(**sandbox.connection, retry=ONCE, http_client=http)


def names(sandbox: Sandbox) -> list[str]:
    """The repositories that there are, asked of a sandbox without faults."""
    sandbox.faults.clear()
    with Client(**sandbox.connection) as client:
        return [repository.name for repository in client.repositories]


CHANGES: dict[str, Callable[[Faults, int], object]] = {
    "add": lambda faults, _: faults.add(status=500),
    "remove": lambda faults, number: faults.remove(number),
    "clear": lambda faults, _: faults.clear(),
    "list": lambda faults, _: faults.list(),
    "take": lambda faults, _: faults.take("get_repository"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_one_change_at_a_time(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, change: Callable[[Faults, int], object]
) -> None:
    """The test's thread and the server's take turns with the faults."""
    number = sandbox.faults.add(status=500)
    acquired = count_acquired(monkeypatch, sandbox.faults, "_lock")
    change(sandbox.faults, number)
    assert acquired() == 1


def test_an_error_strikes_as_often_as_it_was_told_to(sandbox: Sandbox, client: Client) -> None:
    """Two creates fail and do nothing, another operation does not, and the third create is done."""
    sandbox.faults.add(operation="create_repository", status=503, times=2)
    for _ in range(2):
        with pytest.raises(HttpError, match="a fault of the sandbox") as caught:
            client.repositories.create("trainer")
        assert (caught.value.status_code, caught.value.error) == (503, "service_unavailable")
        assert not client.repositories.list()
    assert client.repositories.create("trainer").name == "trainer"


@pytest.mark.usefixtures("no_waiting")
def test_the_sdk_rides_out_what_may_be_repeated(sandbox: Sandbox) -> None:
    """With its usual policy, a client that is throttled and then dropped gets its answer."""
    [repository_id] = sandbox.seed(repositories=1, tags=0)
    sandbox.faults.add(operation="get_repository", status=429, retry_after=1, times=1)
    sandbox.faults.add(operation="get_repository", drop="half", times=1)
    with Client(**sandbox.connection) as client:
        assert client.repositories.get(repository_id).id == repository_id
    assert len(sandbox.requests) == 3


def test_an_error_after_the_work(sandbox: Sandbox, client: Client) -> None:
    """With work_done, a repository was created although the response is an error."""
    sandbox.faults.add(status=504, work_done=True)
    with pytest.raises(HttpError) as caught:
        client.repositories.create("trainer")
    assert (caught.value.status_code, caught.value.outcome_unknown) == (504, True)
    assert names(sandbox) == ["trainer"]


@pytest.mark.parametrize(("drop", "done"), [("request", []), ("response", ["a"]), ("half", ["a"])])
def test_a_lost_connection(sandbox: Sandbox, client: Client, drop: Any, done: list[str]) -> None:
    """It is lost before the work, after it, or within the response; no error is sent."""
    sandbox.faults.add(drop=drop)
    with pytest.raises(OutcomeUnknown):
        client.repositories.create("a")
    with pytest.raises(TransportError):
        client.repositories.list()
    assert names(sandbox) == done


def test_an_error_that_is_lost(sandbox: Sandbox, client: Client) -> None:
    """Where the lost answer would have been an error, the connection is lost all the same."""
    client.repositories.create("a")
    for drop in ("response", "half"):
        sandbox.faults.add(operation="create_repository", drop=drop, times=1)
        with pytest.raises(OutcomeUnknown):
            client.repositories.create("a")


def test_retry_after(sandbox: Sandbox, client: Client) -> None:
    """A throttled call says how many seconds to wait."""
    sandbox.faults.add(status=429, retry_after=7)
    with pytest.raises(HttpError) as caught:
        client.repositories.list()
    assert caught.value.retry_after == 7


def test_latency(sandbox: Sandbox, client: Client) -> None:
    """A response that takes longer than the client's time-out is a Timeout."""
    sandbox.faults.add(operation="get_repository", latency=3600)
    hurried = client.with_options(timeout=0.2)
    with pytest.raises(Timeout):
        hurried.repositories.get("1")
    assert not client.repositories.list()


def test_latencies_add_up(sandbox: Sandbox, client: Client) -> None:
    """A short wait after a long one does not make it short."""
    sandbox.faults.add(operation="get_repository", latency=3600)
    sandbox.faults.add(operation="get_repository", latency=0.001)
    with pytest.raises(Timeout):
        client.with_options(timeout=0.2).repositories.get("1")


def test_one_repository_s_fault(sandbox: Sandbox, client: Client) -> None:
    """It strikes what is asked of this repository, and neither another's nor the list."""
    struck, other = sandbox.seed(repositories=2, tags=0)
    sandbox.faults.add(repository_id=struck, status=503)
    assert client.repositories.get(other).id == other
    assert len(client.repositories.list()) == 2
    for call in (client.repositories.get, client.tags.list):
        with pytest.raises(HttpError, match="a fault of the sandbox"):
            call(struck)


def test_a_reset_during_the_wait(sandbox: Sandbox, client: Client) -> None:
    """A request that is delayed during a reset is not done: it loses its connection."""
    sandbox.faults.add(operation="create_repository", latency=1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.repositories.create, "ghost")
        until(lambda: sandbox.requests)
        sandbox.reset()
        with pytest.raises(OutcomeUnknown):
            waiting.result(PATIENCE)
    assert sandbox.is_empty


def test_limits_are_clamped(sandbox: Sandbox, client: Client) -> None:
    """The smallest limit_max counts, and an iteration over small pages is complete."""
    sandbox.seed(repositories=7, tags=0)
    sandbox.faults.add(limit_max=3)
    sandbox.faults.add(limit_max=5)
    page = client.repositories.list(limit=100)
    assert (page.limit, len(page), page.has_next) == (3, 3, True)
    assert len(list(client.repositories)) == 7


def test_some_may_pass_first(sandbox: Sandbox, client: Client) -> None:
    """With skip, the first requests pass and the next is struck."""
    sandbox.faults.add(status=500, skip=2, times=1)
    for passes in (True, True, False, True):
        try:
            client.repositories.list()
        except HttpError:
            assert not passes
        else:
            assert passes


def test_faults_act_in_their_order(sandbox: Sandbox, client: Client) -> None:
    """A request meets them up to the first that ends it; the others wait for the next."""
    sandbox.faults.add(status=500, times=1)
    sandbox.faults.add(status=502, times=1)
    for status in (500, 502):
        with pytest.raises(HttpError) as caught:
            client.repositories.list()
        assert caught.value.status_code == status
    assert not client.repositories.list()


def test_faults_can_be_taken_away(sandbox: Sandbox, client: Client) -> None:
    """One by its number, or all; a number that nothing has is a LookupError."""
    first = sandbox.faults.add(status=500)
    second = sandbox.faults.add(status=502)
    sandbox.faults.remove(first)
    with pytest.raises(HttpError) as caught:
        client.repositories.list()
    assert caught.value.status_code == 502
    with pytest.raises(LookupError, match=f"no fault {first}"):
        sandbox.faults.remove(first)
    assert list(sandbox.faults.list())[-1] == second
    sandbox.faults.clear()
    assert not client.repositories.list()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs a status, a drop, a latency or a limit_max"),
        ({"status": 200}, "status: .*greater than or equal to 400, got 200"),
        ({"status": 499}, "one of HTTP's, got 499"),
        ({"status": "503"}, "status: .*integer, got '503'"),
        ({"status": 503, "drop": "half"}, "exclude each other"),
        ({"retry_after": 3}, "need a status"),
        ({"drop": "later"}, "drop: .*'request', 'response' or 'half', got 'later'"),
        ({"operation": "push", "status": 500}, "operation: .*got 'push'"),
        ({"latency": -1}, "latency: .*got -1"),
        ({"limit_max": 0}, "limit_max: .*got 0"),
        ({"status": 500, "times": 0}, "times: .*got 0"),
        ({"status": 500, "skip": -1}, "skip: .*got -1"),
        (
            {"operation": "get_repositories", "repository_id": "1", "status": 503},
            "repository_id has no effect: get_repositories has none in its path",
        ),
        (
            {"operation": "create_repository", "repository_id": "1", "status": 503},
            "repository_id has no effect: create_repository",
        ),
        (
            {"operation": "create_repository", "limit_max": 5},
            "limit_max has no effect: create_repository returns no list",
        ),
        (
            {"operation": "get_repository", "limit_max": 5, "status": 500},
            "limit_max has no effect: get_repository",
        ),
    ],
)
def test_a_bad_fault(sandbox: Sandbox, fields: dict[str, Any], message: str) -> None:
    """What can't be a fault is a ValueError that names the argument and the value."""
    with pytest.raises(ValueError, match=message):
        sandbox.faults.add(**fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "of the form|has the form"),
        ("status=503,oops", "has the form field=value"),
        ("colour=red", "unknown field colour; the fields are operation, "),
        ("status=x", "status: .*got 'x'"),
    ],
)
def test_a_bad_fault_on_the_command_line(text: str, message: str) -> None:
    """What the command line can't mean is a ValueError that says why."""
    with pytest.raises(ValueError, match=message):
        parse_fault(text)


def test_a_fault_on_the_command_line() -> None:
    """It has the fields of a fault, as words."""
    fault = parse_fault("operation=get_repository, status=503, work_done=true, times=2")
    assert (fault.operation, fault.status, fault.work_done, fault.times) == (
        "get_repository",
        503,
        True,
        2,
    )
