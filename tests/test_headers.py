"""What a caller adds to each request, and learns of each response."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from tests.support.examples import BASE_URL
from tests.support.internals import replace_now
from tests.support.scripted import ScriptedApi
from tests.support.worlds import done

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    Client,
    ConfigurationError,
    HttpError,
    ResponseInfo,
    RetryPolicy,
    TransportError,
    __version__,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_waiting")]

CLIENTS = pytest.mark.parametrize("world", ["sync", "async"])


def raw(api: ScriptedApi, world: str, **options: Any) -> Any:
    """Return a raw client of either world."""
    return api.raw(**options) if world == "sync" else api.async_raw(**options)


# -- headers --------------------------------------------------------------------------------------


@CLIENTS
async def test_headers_are_sent_with_each_request(api: ScriptedApi, world: str) -> None:
    """The suffix is added to our own User-Agent, and the other headers are sent as they are."""
    client = raw(
        api, world, user_agent="trainer/1.2 (ci)", default_headers={"X-Team": "ml", "x-empty-": "-"}
    )
    api.responds({})
    await done(client.get_repository("1", "2"))
    await done(client.create_repository("1", "sample"))
    for sent in api.requests:
        assert sent.headers["user-agent"] == f"abeja-registry/{__version__} trainer/1.2 (ci)"
        assert (sent.headers["x-team"], sent.headers["x-empty-"]) == ("ml", "-")
        assert sent.headers["accept"] == "application/json"


@CLIENTS
async def test_without_them_the_headers_are_ours(api: ScriptedApi, world: str) -> None:
    """The User-Agent names this package alone."""
    api.responds({})
    await done(raw(api, world).get_repository("1", "2"))
    assert api.requests[0].headers["user-agent"] == f"abeja-registry/{__version__}"


@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient, Client, AsyncClient])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"user_agent": ""}, "user_agent must be printable ASCII text such as"),
        ({"user_agent": "a\r\nX: y"}, "user_agent must be printable ASCII text such as"),
        ({"user_agent": "größe"}, "user_agent must be printable ASCII text such as"),
        ({"user_agent": 7}, "user_agent must be printable ASCII text such as 'trainer/1.2', not 7"),
        ({"default_headers": "x"}, "default_headers must be a dict, not 'x'"),
        ({"default_headers": {"a b": "x"}}, "default_headers must have header names as keys"),
        ({"default_headers": {"": "x"}}, "default_headers must have header names as keys"),
        ({"default_headers": {"X": 1}}, "default_headers must have printable ASCII text as X"),
        ({"default_headers": {"X": "a\nb"}}, "default_headers must have printable ASCII text as X"),
        ({"default_headers": {"X": " a"}}, "default_headers must have printable ASCII text as X"),
        (
            {"default_headers": {"AUTHORIZATION": "x"}},
            "default_headers must not set AUTHORIZATION",
        ),
        ({"default_headers": {"Host": "x"}}, "default_headers must not set Host"),
        ({"on_response": 5}, "on_response must be callable, not 5"),
    ],
    ids=repr,
)
def test_what_no_header_can_be(kind: Any, options: dict[str, Any], message: str) -> None:
    """The error names the argument, and shows no header's value."""
    first: tuple[Any, ...] = ({},) if "API" in kind.__name__ else ("1", {})
    with pytest.raises(ConfigurationError) as caught:
        kind(*first, base_url=BASE_URL, **options)
    assert message in str(caught.value)


@CLIENTS
async def test_a_secret_header_is_redacted(api: ScriptedApi, world: str) -> None:
    """What a server echoes of a header that names a secret is in no error; settings show names."""
    secret = "s3cret-of-the-gateway"
    client = raw(api, world, default_headers={"X-Api-Key": secret}, max_retry_count=0)
    api.responds({"error": "e", "error_description": f"you sent {secret}"}, status=502)
    with pytest.raises(HttpError) as caught:
        await done(client.get_repository("1", "2"))
    assert secret not in str(caught.value)
    typed = Client("1", {}, base_url=BASE_URL, default_headers={"X-Api-Key": secret, "X-Team": "a"})
    shown = {each.name: each.value for each in typed.settings()}
    assert shown["default_headers"] == "X-Api-Key, X-Team"
    assert secret not in repr(typed)


# -- responses ------------------------------------------------------------------------------------


@CLIENTS
async def test_each_response_is_reported(
    api: ScriptedApi, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook gets the operation, attempt, status, time, request id and headers."""
    now = [0.0]
    replace_now(monkeypatch, lambda: now[0])
    reports: list[ResponseInfo] = []

    def report(info: ResponseInfo) -> None:
        reports.append(info)
        api.responds({}, headers={"X-Request-Id": "r-2"})

    def pass_time(_: object) -> None:
        now[0] += 2

    api.on_request = pass_time
    client = raw(api, world, on_response=report, retry=RetryPolicy(base_delay=0))
    api.responds(status=503, headers={"X-Request-Id": "r-1"})
    await done(client.get_repository("1", "2"))
    assert [(each.operation, each.attempt, each.status) for each in reports] == [
        ("get_repository", 1, 503),
        ("get_repository", 2, 200),
    ]
    assert [(each.seconds, each.request_id) for each in reports] == [(2.0, "r-1"), (2.0, "r-2")]
    assert reports[0].headers["x-request-id"] == "r-1"
    assert pickle.loads(pickle.dumps(reports)) == reports


@CLIENTS
async def test_no_response_is_no_report(api: ScriptedApi, world: str) -> None:
    """A lost connection calls `on_retry` alone."""
    reports: list[ResponseInfo] = []
    api.fails("ReadError")
    with pytest.raises(TransportError):
        await done(raw(api, world, on_response=reports.append).get_repository("1", "2"))
    assert reports == []


async def test_a_derived_client_has_the_hook_that_it_is_given(api: ScriptedApi) -> None:
    """`with_options(on_response=…)` replaces it, over the same connections."""
    first: list[ResponseInfo] = []
    second: list[ResponseInfo] = []
    client = api.client(on_response=first.append)
    api.responds(status=404)
    for each in (client, client.with_options(on_response=second.append)):
        with pytest.raises(HttpError):
            each.repositories.get("1")
    assert (len(first), len(second)) == (1, 1)


@pytest.mark.parametrize("api", ["own"], indirect=True)
def test_an_echoed_credential_is_redacted_in_headers(api: ScriptedApi) -> None:
    """The hook may log what it gets."""
    reports: list[ResponseInfo] = []
    token = {"auth_token": "s3cret-token"}
    api.responds({}, headers={"X-Echo": "Bearer s3cret-token"})
    with APIClient(token, base_url=BASE_URL, on_response=reports.append) as client:
        client.get_repository("1", "2")
    assert "s3cret-token" not in str(reports[0].headers)
