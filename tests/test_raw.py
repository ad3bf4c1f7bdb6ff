"""Raw dicts: the five operations of abeja-sdk, with plain values."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest
import respx
from tests.support.examples import BASE_URL, ORGANIZATION_ID
from tests.support.scripted import ScriptedApi
from tests.support.worlds import done

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    ConfigurationError,
    CreatorDict,
    DeletedRepositoryDict,
    HttpError,
    InvalidArgument,
    InvalidResponse,
    ListedRepositoryDict,
    OutcomeUnknown,
    RepositoryDict,
    RepositoryPageDict,
    RetryPolicy,
    TagDict,
    TagPageDict,
    TransportError,
    openapi,
)
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

DELAYS = [each.name for each in fields(RetryPolicy) if each.name != "max_retries"]
REPOSITORIES = f"/organizations/{ORGANIZATION_ID}/registry/repositories"
REPOSITORY = f"{REPOSITORIES}/1234567890123"


@dataclass(frozen=True)
class Case:
    """A call, and the request that it is."""

    operation: str
    arguments: tuple[Any, ...]
    method: str
    target: str
    body: dict[str, Any] | None = None


CASES = {
    "create": Case(
        "create_repository",
        (ORGANIZATION_ID, "sample_repository"),
        "POST",
        REPOSITORIES,
        {"name": "sample_repository"},
    ),
    "create with a description": Case(
        "create_repository",
        (ORGANIZATION_ID, "sample_repository", "this is sample repository"),
        "POST",
        REPOSITORIES,
        {"name": "sample_repository", "description": "this is sample repository"},
    ),
    "create with an empty description": Case(
        "create_repository",
        (ORGANIZATION_ID, "sämple", ""),
        "POST",
        REPOSITORIES,
        {"name": "sämple", "description": ""},
    ),
    "delete": Case("delete_repository", (ORGANIZATION_ID, "1234567890123"), "DELETE", REPOSITORY),
    "list": Case("get_repositories", (ORGANIZATION_ID,), "GET", REPOSITORIES),
    "list with a limit": Case(
        "get_repositories", (ORGANIZATION_ID, 5), "GET", f"{REPOSITORIES}?limit=5"
    ),
    "list with an offset": Case(
        "get_repositories", (ORGANIZATION_ID, None, 0), "GET", f"{REPOSITORIES}?offset=0"
    ),
    "list with nonsense": Case(
        "get_repositories",
        (ORGANIZATION_ID, -1, "x&y"),
        "GET",
        f"{REPOSITORIES}?limit=-1&offset=x%26y",
    ),
    "get": Case("get_repository", (ORGANIZATION_ID, "1234567890123"), "GET", REPOSITORY),
    "get by numbers": Case(
        "get_repository", (int(ORGANIZATION_ID), 1234567890123), "GET", REPOSITORY
    ),
    "tags": Case(
        "get_repository_tags", (ORGANIZATION_ID, "1234567890123"), "GET", f"{REPOSITORY}/tags"
    ),
    "tags with limit and offset": Case(
        "get_repository_tags",
        (ORGANIZATION_ID, "1234567890123", 0, 10),
        "GET",
        f"{REPOSITORY}/tags?limit=0&offset=10",
    ),
}
# The arguments' names, which existing code uses too.
NAMES = {
    "create_repository": ("organization_id", "name", "description"),
    "delete_repository": ("organization_id", "repository_id"),
    "get_repositories": ("organization_id", "limit", "offset"),
    "get_repository": ("organization_id", "repository_id"),
    "get_repository_tags": ("organization_id", "repository_id", "limit", "offset"),
}


@pytest.fixture(params=["sync", "async"])
def raw(request: pytest.FixtureRequest, api: ScriptedApi) -> Any:
    """A raw client of the scripted API, in either world."""
    return api.raw() if request.param == "sync" else api.async_raw()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_a_call_sends_the_request_of_the_reference(
    api: ScriptedApi, raw: Any, example: Callable[[str], dict[str, Any]], case: Case
) -> None:
    """It has the reference's method, URL and body, and returns the response's JSON."""
    expected = example(case.operation)
    api.responds(expected)
    names = NAMES[case.operation]
    by_name = dict(zip(names, case.arguments, strict=False))
    for body in (
        await done(getattr(raw, case.operation)(*case.arguments)),
        await done(getattr(raw, case.operation)(**by_name)),
    ):
        assert type(body) is dict
        assert body == expected
        # The order of keys, at every depth, is the server's.
        assert json.dumps(body) == json.dumps(expected)
    for sent in api.requests:
        assert (sent.method, sent.url) == (case.method, BASE_URL + case.target)
        assert (json.loads(sent.body) if sent.body else None) == case.body


@pytest.mark.parametrize("operation", NAMES)
async def test_a_response_is_returned_unchanged(
    api: ScriptedApi, raw: Any, example: Callable[[str], dict[str, Any]], operation: str
) -> None:
    """Unknown fields, malformed times, wrong types and missing fields stay as they are."""
    odd = {
        "zz": {"nested": [1, 2.5, None]},
        **example(operation),
        "created_at": "yesterday",
        "id": 12345678901234567890,
        "name": None,
        "tags": "none",
    }
    del odd["updated_at"]
    api.responds(odd)
    arguments = [ORGANIZATION_ID, "1234567890123"][: 1 + (operation != "get_repositories")]
    body = await done(getattr(raw, operation)(*arguments))
    assert json.dumps(body) == json.dumps(odd)


async def test_a_delete_without_a_body_returns_an_empty_dict(api: ScriptedApi, raw: Any) -> None:
    """A success without a body is a success."""
    api.responds(status=204, content=b"")
    assert await done(raw.delete_repository(ORGANIZATION_ID, "1")) == {}


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient], ids=["sync", "async"])
async def test_the_first_three_arguments_are_positional(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`APIClient(None, 7, 3)` has the environment's credential, 7 seconds and 3 retries."""
    monkeypatch.setenv("PLATFORM_AUTH_TOKEN", "environment")
    monkeypatch.setenv("ABEJA_API_URL", "https://api.example.com/path/")
    with respx.mock() as router:
        route = router.get(f"https://api.example.com/path{REPOSITORY}").respond(json={})
        await done(kind(None, 7, 3).get_repository(ORGANIZATION_ID, "1234567890123"))
    request = route.calls.last.request
    assert request.headers["authorization"] == "Bearer environment"
    assert request.extensions["timeout"] == dict.fromkeys(("connect", "read", "write", "pool"), 7)
    with respx.mock() as router:
        route = router.route().respond(503, json={})
        with pytest.raises(HttpError):
            await done(kind(None, 7, 3).get_repository(ORGANIZATION_ID, "1234567890123"))
    assert route.call_count == 4
    with pytest.raises(ConfigurationError, match=r"max_retry_count .* not -3"):
        kind(None, 7, -3)
    with pytest.raises(ConfigurationError, match=r"timeout .* not 0"):
        kind(None, 0, 3)


def test_a_subclass_can_pass_keyword_arguments() -> None:
    """Existing code that calls `super().__init__(**kwargs)` works."""

    class Ours(APIClient):
        def __init__(self, team: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.team = team

        def names(self) -> list[str]:
            page = self.get_repositories(ORGANIZATION_ID)
            return [row["name"] for row in page["registry_repositories"]]

    with Sandbox() as sandbox:
        sandbox.seed(repositories=2, tags=0)
        with Ours("a", credential={"auth_token": "t"}, timeout=30, base_url=sandbox.url) as client:
            assert client.names() == ["sample-0001", "sample-0002"]
            assert client.team == "a"
            assert repr(client) == f"<Ours of {sandbox.url}>"


@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient], ids=["sync", "async"])
def test_a_repr_shows_the_url(kind: Any) -> None:
    """It has the base URL, and nothing of the credential."""
    client = kind({"auth_token": "secret"}, base_url=BASE_URL)
    assert re.fullmatch(rf"<(Async)?APIClient of {re.escape(BASE_URL)}>", repr(client))


@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_pickled_client_has_its_settings(api: ScriptedApi, raw: Any) -> None:
    """An unpickled client has the credential, the base URL and the class."""
    unpickled = pickle.loads(pickle.dumps(raw))
    assert type(unpickled) is type(raw)
    for client in (raw, unpickled):
        await done(client.get_repository(ORGANIZATION_ID, "1"))
    first, second = api.requests
    assert first == second
    assert first.headers["authorization"] == "Bearer t"


def test_threads_can_share_a_client(sandbox: Sandbox) -> None:
    """Each of 32 threads gets the responses to its own requests."""
    ids = sandbox.seed(repositories=32, tags=0)
    with (
        APIClient({"auth_token": "t"}, base_url=sandbox.url) as client,
        ThreadPoolExecutor(max_workers=len(ids)) as threads,
    ):

        def ask(repository_id: str) -> list[str]:
            bodies = [client.get_repository(ORGANIZATION_ID, repository_id) for _ in range(5)]
            return [body["id"] for body in bodies]

        assert list(threads.map(ask, ids)) == [[each] * 5 for each in ids]


async def test_tasks_can_share_a_client(sandbox: Sandbox) -> None:
    """Each of 32 tasks gets the responses to its own requests."""
    ids = sandbox.seed(repositories=32, tags=0)
    async with AsyncAPIClient({"auth_token": "t"}, base_url=sandbox.url) as client:

        async def ask(repository_id: str) -> list[str]:
            return [
                (await client.get_repository(ORGANIZATION_ID, repository_id))["id"]
                for _ in range(5)
            ]

        assert await asyncio.gather(*map(ask, ids)) == [[each] * 5 for each in ids]


@pytest.fixture(params=[APIClient, AsyncAPIClient], ids=["sync", "async"])
async def of_sandbox(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Any]:
    """A raw client of the sandbox, in either world."""
    client = request.param({"auth_token": "t"}, base_url=sandbox.url)
    yield client
    await done(client.aclose() if hasattr(client, "aclose") else client.close())


async def test_the_life_of_a_repository(sandbox: Sandbox, of_sandbox: Any) -> None:
    """A repository created over a real socket can be read, listed and deleted."""
    created = await done(of_sandbox.create_repository(ORGANIZATION_ID, "sample", "söme ☃"))
    tag = sandbox.push(created["id"], "0.0.1")
    got = await done(of_sandbox.get_repository(ORGANIZATION_ID, created["id"]))
    assert got == created | {"tags": [tag]}
    assert (got["name"], got["description"]) == ("sample", "söme ☃")
    page = await done(of_sandbox.get_repositories(ORGANIZATION_ID, limit=1))
    assert [row["id"] for row in page["registry_repositories"]] == [created["id"]]
    tags = await done(of_sandbox.get_repository_tags(ORGANIZATION_ID, created["id"]))
    assert tags["tags"] == [tag]
    assert await done(of_sandbox.delete_repository(ORGANIZATION_ID, created["id"])) == got
    page = await done(of_sandbox.get_repositories(ORGANIZATION_ID))
    assert page["registry_repositories"] == []


# -- any other endpoint ---------------------------------------------------------------------------


@pytest.fixture(params=["sync", "async"])
def build(request: pytest.FixtureRequest, api: ScriptedApi) -> Callable[..., Any]:
    """Build a raw client of either world."""
    return api.raw if request.param == "sync" else api.async_raw


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_request_to_any_endpoint(
    api: ScriptedApi, build: Callable[..., Any], method: str
) -> None:
    """It is sent as given, with the credential, and returns the JSON of the response."""
    api.responds({"quota": 3})
    params = {"limit": 5, "label": ["a b", "c"], "left out": None}
    found = await done(build().request(method, "/organizations/1/größe", params=params, json=[1]))
    assert found == {"quota": 3}
    [sent] = api.requests
    assert (sent.method, sent.body) == (method, b"[1]")
    assert sent.url == f"{BASE_URL}/organizations/1/gr%C3%B6%C3%9Fe?limit=5&label=a+b&label=c"
    assert sent.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("content", "value"), [(b"[1, 2]", [1, 2]), (b"null", None), (b'"x"', "x"), (b"", None)]
)
async def test_any_json_is_a_value(
    api: ScriptedApi, build: Callable[..., Any], content: bytes, value: object
) -> None:
    """A list, a string and null are returned as they are, and an empty body is None."""
    api.responds(content=content, headers={"content-length": str(len(content))})
    assert await done(build().request("POST", "/new")) == value


async def test_a_request_raises_as_any_method(api: ScriptedApi, build: Callable[..., Any]) -> None:
    """A status that is no success, and a body that is no JSON, are the same exceptions."""
    api.responds({"error": "teapot", "error_description": "short"}, status=418)
    with pytest.raises(HttpError) as caught:
        await done(build().request("GET", "/tea", params={"cups": 2}))
    assert (caught.value.error, caught.value.url) == ("teapot", f"{BASE_URL}/tea?cups=2")
    api.responds(content=b"<html>", headers={"content-length": "6"})
    with pytest.raises(InvalidResponse, match="JSON"):
        await done(build().request("GET", "/tea"))


@pytest.mark.parametrize(
    ("method", "requests"),
    [("GET", 3), ("HEAD", 3), ("DELETE", 3), ("POST", 1), ("PUT", 1), ("PATCH", 1)],
)
async def test_which_requests_are_retried_after_they_were_sent(
    api: ScriptedApi, build: Callable[..., Any], method: str, requests: int
) -> None:
    """Only those that can be sent twice; of the others the outcome is unknown."""
    api.fails("ReadError")
    policy = RetryPolicy(max_retries=2, **dict.fromkeys(DELAYS, 0))
    with pytest.raises(TransportError) as caught:
        await done(build(retry=policy).request(method, "/new"))
    assert len(api.requests) == requests
    assert isinstance(caught.value, OutcomeUnknown) is (requests == 1)
    assert caught.value.outcome_unknown is (method not in ("GET", "HEAD"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("TRACE", "/a"), "method must be 'GET', "),
        (("get", "/a"), "method must be 'GET', "),
        (("GET", "a"), "path must be a path such as '/organizations', not 'a'"),
        (("GET", "//evil.example/a"), "path must be a path such as"),
        (("GET", "https://evil.example/a"), "path must be a path such as"),
        (("GET", "/a\r\nHost: x"), "path must be a path such as"),
        (("GET", 7), "path must be a string, not 7"),
        (("GET", "/a?b=1"), "path must have no query or fragment"),
        (("GET", "/a#b"), "path must have no query or fragment"),
        (("GET", "/a/../b"), "path must have no segment"),
        (("GET", "/a/%2e%2E/b"), "path must have no segment"),
        (("GET", "/\ud800"), "path must be"),
    ],
    ids=repr,
)
async def test_a_request_that_cannot_be_sent(
    api: ScriptedApi, build: Callable[..., Any], arguments: tuple[Any, ...], message: str
) -> None:
    """A bad method and a bad path are refused by name, and nothing is sent."""
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}"):
        await done(build().request(*arguments))
    assert not api.requests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"params": [("a", 1)]}, "params must be a dict"),
        ({"params": {"a": "\ud800"}}, "params must be text"),
        ({"json": {1, 2}}, "json must be a JSON value"),
        ({"json": float("nan")}, "json must be a JSON value"),
    ],
    ids=["list", "surrogate", "set", "nan"],
)
async def test_parameters_and_bodies_that_cannot_be_sent(
    api: ScriptedApi, build: Callable[..., Any], options: dict[str, Any], message: str
) -> None:
    """The error names the argument, and nothing is sent."""
    with pytest.raises(InvalidArgument, match=message):
        await done(build().request("POST", "/a", **options))
    assert not api.requests


# -- the types of the dicts -----------------------------------------------------------------------

DICTS: dict[str, Any] = {
    "Creator": CreatorDict,
    "ListedRepository": ListedRepositoryDict,
    "Repository": RepositoryDict,
    "RepositoryPage": RepositoryPageDict,
    "Tag": TagDict,
    "TagPage": TagPageDict,
}
JSON_TYPES = {str: "string", int: "integer", bool: "boolean", type(None): "null"}


def schema_of(kind: Any) -> Any:
    """Return the type of a JSON schema for a type of Python."""
    if is_typeddict(kind):
        return next(name for name, each in DICTS.items() if each is kind)
    if get_origin(kind) is list:
        return [schema_of(get_args(kind)[0])]
    if isinstance(kind, UnionType):
        return {JSON_TYPES[each] for each in get_args(kind)}
    return JSON_TYPES[kind]


def type_in(schema: dict[str, Any]) -> Any:
    """Return the type of a schema in the same form; a time is a string."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return "string" if name == "Time" else name
    if schema["type"] == "array":
        return [type_in(schema["items"])]
    kind = schema["type"]
    return set(kind) if isinstance(kind, list) else kind


@pytest.mark.parametrize("name", DICTS)
def test_a_typed_dict_has_the_keys_of_the_reference(name: str) -> None:
    """Its keys, their types and which of them are certain are those of the API's document."""
    schema = openapi.document()["components"]["schemas"][name]
    kind = DICTS[name]
    expected = {key: type_in(each) for key, each in schema["properties"].items()}
    assert {key: schema_of(each) for key, each in get_type_hints(kind).items()} == expected
    assert kind.__required_keys__ == set(schema["required"])


def test_the_dict_of_a_deleted_repository() -> None:
    """It has the keys of a repository, none of them certain."""
    assert get_type_hints(DeletedRepositoryDict) == get_type_hints(RepositoryDict)
    assert not DeletedRepositoryDict.__required_keys__
