"""Sessions: the headers of each request, logging, and closing."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.internals import (
    QUOTED_CHARACTERS,
    RetryBudget,
    budget_of,
    get_repository,
    left_in,
    replace_now,
    session_of,
)
from tests.support.patience import PATIENCE
from tests.support.scripted import ScriptedApi
from tests.support.worlds import done

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    Attempt,
    Client,
    Error,
    HttpError,
    InvalidResponse,
    NotFound,
    Retry,
    RetryPolicy,
    Timeout,
    TransportError,
    __version__,
)
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

CANCELLED = "the client was closed, or the call's inventory was stopped"


async def close(client: Any) -> None:
    """Close a sync or async client."""
    await done(client.aclose() if hasattr(client, "aclose") else client.close())


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> str:
    """Whether a test's clients are sync or async."""
    world: str = request.param
    return world


@pytest.fixture
def raw(api: ScriptedApi, world: str) -> Any:
    """A raw client of the scripted API, sync or async, without retries."""
    return (api.raw if world == "sync" else api.async_raw)(max_retry_count=0)


@pytest.fixture
def typed(api: ScriptedApi, world: str) -> Any:
    """A typed client of the scripted API, sync or async."""
    return api.client() if world == "sync" else api.async_client()


async def test_the_headers_of_a_request(api: ScriptedApi, raw: Any) -> None:
    """A request has the credential, our name and version, and the formats we accept."""
    await done(raw.get_repository("1", "2"))
    [sent] = api.requests
    headers = ("authorization", "user-agent", "accept", "accept-encoding")
    assert [sent.headers[name] for name in headers] == [
        "Bearer t",
        f"abeja-registry/{__version__}",
        "application/json",
        "gzip",
    ]
    assert not {"cookie", "content-type", "content-length"} & set(sent.headers)


async def test_a_body_has_a_content_type(api: ScriptedApi, raw: Any) -> None:
    """Content-Type and Content-Length are sent with a body only."""
    await done(raw.create_repository("1", "sample"))
    [sent] = api.requests
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["content-length"] == str(len(sent.body))


@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient], ids=["sync", "async"])
async def test_an_anonymous_request_has_no_authorization(sandbox: Sandbox, kind: Any) -> None:
    """The header is absent, not empty."""
    client: Any = kind({}, base_url=sandbox.url)
    with pytest.raises(HttpError):
        await done(client.get_repositories(sandbox.organization_id))
    assert "authorization" not in sandbox.requests[0].headers
    await close(client)


# -- the log --------------------------------------------------------------------------------------

LINE = r"get_repository of '2': {}, attempts {}, \d+\.\d ms, request id {}"


@pytest.mark.parametrize(
    ("reply", "error", "outcome", "request_id"),
    [
        ({"body": {}, "headers": {"X-Request-Id": "r-1"}}, None, "200", "r-1"),
        ({"body": {}}, None, "200", "None"),
        ({"status": 404, "headers": {"x-request-id": "r-2"}}, NotFound, "404", "r-2"),
        ({"content": b"<html>"}, InvalidResponse, "200", "None"),
        ("ReadTimeout", Timeout, "ReadTimeout: scripted", "None"),
    ],
    ids=["success", "no request id", "status", "no JSON", "no response"],
)
async def test_a_call_logs_one_line(
    api: ScriptedApi,
    raw: Any,
    caplog: pytest.LogCaptureFixture,
    reply: dict[str, Any] | str,
    error: type[Error] | None,
    outcome: str,
    request_id: str,
) -> None:
    """One DEBUG line has operation, subject, status, attempts, time and request id."""
    if isinstance(reply, str):
        api.fails(reply)
    else:
        api.responds(**reply)
    caplog.set_level(logging.DEBUG, "abeja_registry")
    if error is None:
        await done(raw.get_repository("1", "2"))
    else:
        with pytest.raises(error):
            await done(raw.get_repository("1", "2"))
    [line] = [record for record in caplog.records if record.name == "abeja_registry"]
    assert line.levelno == logging.DEBUG
    assert re.fullmatch(LINE.format(outcome, 1, request_id), line.getMessage())


async def test_the_logged_subject_is_redacted(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that was passed as an id is not in the log."""
    caplog.set_level(logging.DEBUG, "abeja_registry")
    credential = {"auth_token": "secret-token"}
    with APIClient(credential, base_url=sandbox.url) as client, pytest.raises(HttpError):
        client.get_repository(sandbox.organization_id, "secret-token")
    [line] = [record for record in caplog.records if record.name == "abeja_registry"]
    assert "get_repository of '[the credential]': 404," in line.getMessage()


async def test_a_call_logs_nothing_above_debug(raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, the package's logger stays silent."""
    caplog.set_level(logging.INFO, "abeja_registry")
    await done(raw.get_repository("1", "2"))
    assert "abeja_registry" not in {record.name for record in caplog.records}


async def test_a_retry_logs_a_warning_and_calls_the_hook(
    api: ScriptedApi, world: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The WARNING comes before the wait; the call's DEBUG line comes last."""
    calls: list[tuple[Retry, int]] = []

    def hook(retry: Retry) -> None:
        calls.append((retry, len(caplog.records)))
        if retry.attempt == 2:
            api.responds({})

    api.fails("ReadTimeout")
    make: Any = api.raw if world == "sync" else api.async_raw
    client = make(retry=RetryPolicy(base_delay=0), on_retry=hook)
    caplog.set_level(logging.DEBUG, "abeja_registry")
    assert await done(client.get_repository("1", "2")) == {}
    cause = "ReadTimeout: scripted"
    assert calls == [(Retry("get_repository", n, cause, 0.0), n) for n in (1, 2)]
    lines = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert lines[:2] == [
        ("WARNING", f"get_repository: attempt {n} failed: {cause}; retrying in 0.00 s")
        for n in (1, 2)
    ]
    [(level, line)] = lines[2:]
    assert level == "DEBUG"
    assert re.fullmatch(LINE.format("200", 3, "None"), line)


# -- closing --------------------------------------------------------------------------------------


async def test_a_call_of_a_closed_client_is_an_error(api: ScriptedApi, raw: Any) -> None:
    """The error names the operation; closing twice does no harm."""
    await close(raw)
    await close(raw)
    with pytest.raises(Error, match="get_repository was not sent: the client was closed"):
        await done(raw.get_repository("1", "2"))
    assert not api.requests


async def test_closing_a_client_cancels_its_retries(api: ScriptedApi, world: str) -> None:
    """A call sleeping before a retry raises its last error."""
    closing: list[Any] = []

    def close_it(_: Retry) -> None:
        if world == "sync":
            caller.close()
        else:
            closing.append(asyncio.ensure_future(caller.aclose()))

    options: dict[str, Any] = {"on_retry": close_it, "retry": RetryPolicy(base_delay=0.01)}
    caller: Any = api.raw(**options) if world == "sync" else api.async_raw(**options)
    api.responds(status=503)
    with pytest.raises(HttpError) as caught:
        await done(caller.delete_repository("1", "2"))
    await asyncio.gather(*closing)
    assert len(api.requests) == 1
    assert (caught.value.status_code, caught.value.outcome_unknown) == (503, True)
    assert not caught.value.after_unknown_outcome
    assert caught.value.history == (Attempt(503, stop_reason=CANCELLED),)


async def test_a_retry_after_the_deadline_is_not_sent(
    api: ScriptedApi, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the wait ended late, the call raises its last error, and the retry costs nothing."""
    now = 0.0

    def take_long(_: Retry) -> None:
        nonlocal now
        now = 2.0

    replace_now(monkeypatch, lambda: now)
    options: dict[str, Any] = {"deadline": 1, "on_retry": take_long}
    options["retry"] = RetryPolicy(base_delay=0.01)
    caller: Any = api.raw(**options) if world == "sync" else api.async_raw(**options)
    api.responds(status=503)
    with pytest.raises(HttpError) as caught:
        await done(caller.get_repository("1", "2"))
    assert len(api.requests) == 1
    assert caught.value.status_code == 503
    late = "the deadline ended before the retry was sent"
    assert caught.value.history == (Attempt(503, stop_reason=late),)
    assert left_in(budget_of(caller)) == RetryBudget.SIZE
    await close(caller)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads to make calls in."""
    with ThreadPoolExecutor() as threads:
        yield threads


async def test_a_retry_is_sent_after_its_wait(api: ScriptedApi, world: str) -> None:
    """A sleeping call sends its retry when the wait is over."""

    def mend(_: Retry) -> None:
        api.responds({})

    options: dict[str, Any] = {"on_retry": mend, "retry": RetryPolicy(base_delay=0.01)}
    caller: Any = api.raw(**options) if world == "sync" else api.async_raw(**options)
    api.responds(status=503)
    assert await done(caller.get_repository("1", "2")) == {}
    await close(caller)


@pytest.mark.parametrize("derived", [False, True], ids=["owner", "derived"])
def test_closing_wakes_sleeping_threads(
    api: ScriptedApi, threads: ThreadPoolExecutor, derived: bool
) -> None:
    """A Retry-After of a minute ends at once, also in a derived client."""
    waits = threading.Event()
    client = api.client(on_retry=lambda _: waits.set())
    caller = client.with_options(timeout=5) if derived else client
    api.responds(status=503, headers={"Retry-After": "50"})
    call = threads.submit(caller.repositories.get, "2")
    assert waits.wait(PATIENCE)
    client.close()
    error = call.exception(PATIENCE)
    assert isinstance(error, HttpError)
    assert error.history == (Attempt(503, stop_reason=CANCELLED),)


@pytest.mark.parametrize("derived", [False, True], ids=["owner", "derived"])
async def test_closing_wakes_sleeping_tasks(api: ScriptedApi, derived: bool) -> None:
    """As with threads."""
    waits = asyncio.Event()
    client = api.async_client(on_retry=lambda _: waits.set())
    caller = client.with_options(timeout=5) if derived else client
    api.responds(status=503, headers={"Retry-After": "50"})
    call = asyncio.create_task(caller.repositories.get("2"))
    await waits.wait()
    await client.aclose()
    with pytest.raises(HttpError) as caught:
        await asyncio.wait_for(call, PATIENCE)
    assert caught.value.history == (Attempt(503, stop_reason=CANCELLED),)


def test_a_cancelled_session_leaves_its_sender_to_others(
    api: ScriptedApi, threads: ThreadPoolExecutor
) -> None:
    """Its call raises the last error; calls of other sessions continue."""
    both_wait = threading.Barrier(3)
    client = api.client(on_retry=lambda _: both_wait.wait(PATIENCE))
    stopped = session_of(client).with_settings(session_of(client).settings)
    api.responds(status=503, headers={"Retry-After": "50"})
    ended, other = (
        threads.submit(session.request_json, get_repository("1", "2"))
        for session in (stopped, session_of(client))
    )
    both_wait.wait(PATIENCE)
    stopped.cancel()
    error = ended.exception(PATIENCE)
    assert isinstance(error, HttpError)
    assert error.history == (Attempt(503, stop_reason=CANCELLED),)
    with pytest.raises(Error, match="get_repository was not sent: its inventory was stopped"):
        stopped.request_json(get_repository("1", "2"))
    client.close()
    assert isinstance(other.exception(PATIENCE), HttpError)
    assert len(api.requests) == 2


async def test_the_message_of_an_attempt_is_truncated(api: ScriptedApi, raw: Any) -> None:
    """The HTTP library's exception may quote an invalid status line of any length."""
    api.fails("RemoteProtocolError", "j" * 60_000)
    with pytest.raises(TransportError) as caught:
        await done(raw.get_repository("1", "2"))
    assert len(caught.value.history[0].message) == QUOTED_CHARACTERS


async def test_closing_a_derived_client_closes_no_connections(api: ScriptedApi, typed: Any) -> None:
    """Closing `.raw` or a derived client ends no calls."""
    shared = [typed.raw, typed.with_options(timeout=5), typed.with_options(timeout=5).raw]
    for each in shared:
        await close(each)
    api.responds(status=204, content=b"")
    for raw in [typed.raw, *(getattr(each, "raw", each) for each in shared)]:
        assert await done(raw.delete_repository("1", "2")) == {}
    assert len(api.requests) == 4


async def test_a_derived_client_fails_after_its_owner_was_closed(
    api: ScriptedApi, typed: Any
) -> None:
    """The error says that the owner of the connections was closed."""
    derived = typed.with_options(timeout=5).with_options(organization_id="2")
    await close(typed)
    for call in (typed.raw.get_repositories, derived.raw.get_repositories):
        with pytest.raises(Error, match="closed, or the client whose connections it shares"):
            await done(call("1"))
    with pytest.raises(Error, match="was closed"):
        await done(derived.repositories.get("1"))
    assert not api.requests


@pytest.mark.parametrize("name", ["raw", "client"])
def test_a_client_closes_as_a_context_manager(api: ScriptedApi, name: str) -> None:
    """`with` returns the client, and closes it."""
    client: Any = getattr(api, name)()
    with client as entered:
        assert entered is client
    with pytest.raises(Error, match="closed"):
        getattr(client, "raw", client).get_repositories("1")


@pytest.mark.parametrize("name", ["async_raw", "async_client"])
async def test_an_async_client_closes_as_a_context_manager(api: ScriptedApi, name: str) -> None:
    """`async with` returns the client, and closes it."""
    client: Any = getattr(api, name)()
    async with client as entered:
        assert entered is client
    with pytest.raises(Error, match="closed"):
        await getattr(client, "raw", client).get_repositories("1")


async def test_an_invalid_model_has_the_history_of_its_call(world: str) -> None:
    """An InvalidResponse after a retry lists all attempts."""
    responses = iter([httpx.Response(503), httpx.Response(200, json={"id": "2"})])
    transport = httpx.MockTransport(lambda _: next(responses))
    http_client: Any = (httpx.Client if world == "sync" else httpx.AsyncClient)(transport=transport)
    client: Any = (Client if world == "sync" else AsyncClient)(
        "1", {}, base_url="https://api.example.com", http_client=http_client
    )
    with pytest.raises(InvalidResponse) as caught:
        await done(client.repositories.get("2"))
    assert [attempt.status for attempt in caught.value.history] == [503, 200]
    await close(http_client)
