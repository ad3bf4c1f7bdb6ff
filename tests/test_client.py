"""The typed clients, their options, copies and pickles."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import re
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import respx
from tests.support.examples import BASE_URL, ORGANIZATION_ID
from tests.support.internals import session_of
from tests.support.scripted import ScriptedApi
from tests.support.worlds import done

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    AsyncRepositories,
    AsyncTags,
    BearerToken,
    Client,
    ConfigurationError,
    Error,
    InternalServerError,
    Repositories,
    Retry,
    RetryPolicy,
    Tags,
    TooManyRequests,
)
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

WORLDS = pytest.mark.parametrize("kind", [Client, AsyncClient], ids=["sync", "async"])


def test_a_clients_collections_are_sync_or_async_as_the_client() -> None:
    """Sync clients have sync collections, async ones async, and each has a raw client."""
    client = Client("1", {}, base_url=BASE_URL)
    assert type(client.repositories) is Repositories
    assert type(client.tags) is Tags
    assert type(client.raw) is APIClient
    async_client = AsyncClient("1", {}, base_url=BASE_URL)
    assert type(async_client.repositories) is AsyncRepositories
    assert type(async_client.tags) is AsyncTags
    assert type(async_client.raw) is AsyncAPIClient


@WORLDS
def test_collections_can_be_completed(kind: Any) -> None:
    """A shell completes their names before first use, and suggests one for a misspelt name."""
    client = kind("1", {}, base_url=BASE_URL)
    assert {"raw", "repositories", "tags", "with_options"} <= set(dir(client))
    with pytest.raises(AttributeError, match="no attribute 'repositorys'") as caught:
        _ = client.repositorys
    # What the interpreter suggests a name from.
    assert (caught.value.name, caught.value.obj) == ("repositorys", client)


async def test_collections_use_the_clients_organization(
    api: ScriptedApi, typed: Any, example: Callable[[str], dict[str, Any]]
) -> None:
    """Requests for repositories and tags have the client's organization and credential."""
    assert typed.organization_id == ORGANIZATION_ID
    api.responds(example("get_repository"))
    await done(typed.repositories.get("5"))
    api.responds(example("get_repository_tags"))
    await done(typed.tags.list("5"))
    root = f"{BASE_URL}/organizations/{ORGANIZATION_ID}/registry/repositories/5"
    assert [sent.url for sent in api.requests] == [root, f"{root}/tags"]
    assert {sent.headers["authorization"] for sent in api.requests} == {"Bearer t"}


async def test_the_raw_client_returns_dicts(
    api: ScriptedApi, typed: Any, example: Callable[[str], dict[str, Any]]
) -> None:
    """`.raw` sends the same requests, for any organization, and returns responses unchanged."""
    api.responds(example("get_repository"))
    body = await done(typed.raw.get_repository(ORGANIZATION_ID, "5"))
    assert body == example("get_repository")
    await done(typed.repositories.get("5"))
    by_raw, by_typed = api.requests
    assert by_raw == by_typed


@WORLDS
async def test_settings_come_from_the_environment_and_the_clis_file(
    kind: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Missing arguments are looked up there; a named profile takes precedence."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ABEJA_ORGANIZATION_ID", "10")
    monkeypatch.setenv("ABEJA_API_URL", f"{BASE_URL}/path/")
    monkeypatch.setenv("PLATFORM_AUTH_TOKEN", "environment")
    profile = {
        "configuration-name": "other",
        "abeja-platform-user": "user-1",
        "personal-access-token": "p",
        "organization-name": "20",
    }
    (tmp_path / ".abeja").mkdir()
    file = tmp_path / ".abeja" / "config"
    file.touch(mode=0o600)
    file.write_text(json.dumps({"configurations": [profile]}))
    with respx.mock() as router:
        route = router.route().respond(404, json={})
        for options in ({}, {"profile": "other"}):
            await done(kind(**options).repositories.delete("5", missing_ok=True))
    urls, authorizations = zip(
        *((str(call.request.url), call.request.headers["authorization"]) for call in route.calls),
        strict=True,
    )
    assert urls == tuple(
        f"{BASE_URL}/path/organizations/{organization}/registry/repositories/5"
        for organization in ("10", "20")
    )
    assert authorizations == ("Bearer environment", "Basic dXNlci0xOnA=")


@WORLDS
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no organization"),
        ({"organization_id": ".."}, "organization_id"),
        ({"organization_id": "1", "credential": None}, "no credential"),
        ({"organization_id": "1", "credential": {"user_id": "u"}}, "incomplete"),
        ({"organization_id": "1", "base_url": "ftp://a"}, "base_url"),
        ({"organization_id": "1", "timeout": 0}, "timeout"),
        ({"organization_id": "1", "max_retry_count": -1}, "max_retry_count"),
        ({"organization_id": "1", "deadline": 0}, "deadline"),
        ({"organization_id": "1", "retry": 5}, "retry must be a RetryPolicy, not 5"),
        ({"organization_id": "1", "on_retry": "log"}, "on_retry must be callable, not 'log'"),
        ({"organization_id": "1", "max_response_bytes": -1}, "max_response_bytes"),
        ({"organization_id": "1", "invalid_rows": "drop"}, "invalid_rows .* not 'drop'"),
        ({"organization_id": "1", "profile": "p"}, "profile 'p'"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_an_invalid_setting_raises_at_once(kind: Any, options: Any, message: str) -> None:
    """It is a ConfigurationError of the constructor that names the setting."""
    with pytest.raises(ConfigurationError, match=message):
        kind(**{"credential": {}, **options})


async def test_with_options_changes_the_organization(
    api: ScriptedApi, typed: Any, example: Callable[[str], dict[str, Any]]
) -> None:
    """The derived client uses another organization; the original client keeps its own."""
    derived = typed.with_options(organization_id="2")
    assert (derived.organization_id, typed.organization_id) == ("2", ORGANIZATION_ID)
    api.responds(example("get_repository"))
    repository = await done(derived.repositories.get("5"))
    api.responds(example("get_repository_tags"))
    await done(derived.tags.list("5"))
    await done(repository.list_tags())
    await done(typed.tags.list("5"))
    organizations = [re.findall(r"organizations/(\d+)/", sent.url)[0] for sent in api.requests]
    assert organizations == ["2", "2", "2", ORGANIZATION_ID]


@WORLDS
async def test_with_options_changes_the_timeout(kind: Any) -> None:
    """Each client's calls have its own timeout; other options are unchanged."""
    client = kind("1", {}, base_url=BASE_URL, timeout=7)
    derived = client.with_options(timeout=0.5)
    clients = [
        client,
        derived,
        derived.with_options(organization_id="2"),
        client.with_options(),
    ]
    with respx.mock() as router:
        route = router.route().respond(404, json={})
        for each in clients:
            await done(each.repositories.delete("5", missing_ok=True))
    timeouts = [call.request.extensions["timeout"] for call in route.calls]
    assert timeouts == [
        dict.fromkeys(("connect", "read", "write", "pool"), seconds) for seconds in (7, 0.5, 0.5, 7)
    ]


@pytest.mark.usefixtures("no_waiting")
async def test_with_options_changes_the_policy_and_the_deadline(
    api: ScriptedApi, typed: Any
) -> None:
    """Each client's calls have its own policy and deadline; other options are unchanged."""
    api.responds({}, status=429, headers={"retry-after": "50"})
    patient = typed.with_options(retry=RetryPolicy(max_retries=2))
    hasty = patient.with_options(deadline=50)
    attempts = []
    for client in (typed, patient, hasty, hasty.with_options(deadline=51), patient.with_options()):
        api.requests.clear()
        with pytest.raises(TooManyRequests) as caught:
            await done(client.repositories.create("sample"))
        assert len(caught.value.history) == len(api.requests)
        attempts.append(len(api.requests))
    # No time passes: a wait of 50 seconds fits into 120 and into 51, however often, not into 50.
    assert attempts == [6, 3, 1, 3, 3]


@pytest.mark.usefixtures("no_waiting")
async def test_with_options_changes_the_retries(api: ScriptedApi, typed: Any) -> None:
    """A count overrides the policy's, whose delays remain, and the new function is called."""
    api.responds({}, status=500)
    told: list[Retry] = []
    hasty = RetryPolicy(max_retries=4, base_delay=0)
    derived = typed.with_options(max_retry_count=2, retry=hasty, on_retry=told.append)
    for client, attempts in (
        (derived, 3),
        (derived.with_options(max_retry_count=1), 2),
        (derived.with_options(retry=hasty), 5),
        (derived.with_options(max_retry_count=0), 1),
    ):
        told.clear()
        with pytest.raises(InternalServerError):
            await done(client.repositories.get("5"))
        assert told == [Retry("get_repository", each, "500", 0) for each in range(1, attempts)]
    with pytest.raises(InternalServerError) as caught:
        await done(typed.repositories.get("5"))
    assert (len(caught.value.history), told) == (6, [])


@WORLDS
@pytest.mark.parametrize(
    "options",
    [
        {"organization_id": ""},
        {"organization_id": "."},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": "soon"},
        {"deadline": 0},
        {"deadline": "soon"},
        {"retry": 3},
        {"max_retry_count": -1},
        {"on_retry": "log"},
    ],
    ids=str,
)
def test_with_options_rejects_an_invalid_value(kind: Any, options: dict[str, Any]) -> None:
    """It is a ConfigurationError that names the argument."""
    client = kind("1", {}, base_url=BASE_URL)
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        client.with_options(**options)


@WORLDS
def test_with_options_keeps_the_class(kind: Any) -> None:
    """A client derived from a subclass has the subclass's methods."""
    ours: Any = type("Ours", (kind,), {"greeting": lambda self: f"hello {self.organization_id}"})
    derived = ours("1", {}, base_url=BASE_URL).with_options(organization_id="2")
    assert type(derived) is ours
    assert derived.greeting() == "hello 2"


@WORLDS
def test_a_repr_shows_organization_and_url(kind: Any) -> None:
    """It has the organization and the base URL, and nothing of the credential."""
    client = kind("1", BearerToken("secret"), base_url=BASE_URL)
    assert repr(client) == f"<{kind.__name__} of '1' at {BASE_URL}>"
    assert "secret" not in repr(client.raw)
    for collection in (client.repositories, client.tags):
        assert repr(collection) == f"<{type(collection).__name__} of '1'>"


async def test_on_retry_is_called_before_each_wait(api: ScriptedApi) -> None:
    """`on_retry` is called for each retry, and `max_retry_count` overrides the policy's count."""
    api.responds({}, status=500)
    policy = RetryPolicy(max_retries=5, base_delay=0)
    for make in (api.client, api.async_client):
        told: list[Retry] = []
        client: Any = make(retry=policy, max_retry_count=2, on_retry=told.append)
        with pytest.raises(InternalServerError):
            await done(client.repositories.get("5"))
        assert told == [Retry("get_repository", attempt, "500", 0) for attempt in (1, 2)]


def test_without_logging_nothing_is_written() -> None:
    """A retry is a warning of the package's logger, and not a line on the program's stderr."""
    script = """
from abeja_registry import Client, RetryPolicy, TransportError
retry = RetryPolicy(max_retries=1, base_delay=0)
with Client("1", {}, base_url="http://127.0.0.1:1", retry=retry) as client:
    try:
        client.repositories.get("5")
    except TransportError as error:
        print(len(error.history))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert (ran.stdout.split(), ran.stderr) == ([b"2"], b"")


@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_pickled_client_has_its_settings(api: ScriptedApi, typed: Any) -> None:
    """An unpickled client sends the same requests, with the same organization and options."""
    api.responds({}, status=500)
    derived = typed.with_options(
        organization_id="2", retry=RetryPolicy(max_retries=1, base_delay=0)
    )
    for client in (derived, pickle.loads(pickle.dumps(derived))):
        assert type(client) is type(typed)
        assert client.organization_id == "2"
        with pytest.raises(InternalServerError):
            await done(client.repositories.get("5"))
    first, second, *others = api.requests
    assert others == [first, second]
    assert first == second


@pytest.mark.parametrize("api", ["httpx", "httpx2"], indirect=True)
def test_a_client_with_an_http_client_is_not_pickled(typed: Any) -> None:
    """A user-supplied client cannot be pickled: a TypeError says so, without its contents."""
    for client in (typed, typed.with_options(timeout=5), typed.raw):
        with pytest.raises(TypeError, match="a client with an http_client cannot be pickled"):
            pickle.dumps(client)


# -- subclasses -----------------------------------------------------------------------------------


class Team(Client):
    """A client with attributes of its own, in its dict."""

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.team = name
        self.calls: list[str] = []


class AsyncTeam(AsyncClient):
    """The same for async."""

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        self.team = name
        self.calls: list[str] = []
        super().__init__(*arguments, **options)


class Slotted(Client):
    """A client with attributes of its own in slots, one of them private, one never set."""

    __slots__ = ("__hidden", "calls", "team", "unset")

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        self.team = name
        self.calls: list[str] = []
        self.__hidden = f"hidden {name}"
        super().__init__(*arguments, **options)

    def hidden(self) -> str:
        """Return the private one."""
        return self.__hidden


class AsyncStrict(AsyncTeam):
    """A client that nothing can be set on once it is built."""

    def __setattr__(self, name: str, value: object) -> None:
        assert "frozen" not in vars(self)
        super().__setattr__(name, value)


@pytest.mark.parametrize("kind", [Team, AsyncTeam, Slotted, AsyncStrict])
def test_with_options_keeps_the_attributes_of_a_subclass(kind: Any) -> None:
    """The derived client has the same attribute values, and its own collections."""
    client = kind("red", "1", {}, base_url=BASE_URL)
    client.repositories  # noqa: B018
    derived = client.with_options(organization_id="2", timeout=3)
    assert type(derived) is kind
    assert (derived.team, derived.calls is client.calls) == ("red", True)
    assert (client.organization_id, derived.organization_id) == ("1", "2")
    assert repr(derived.repositories).endswith("of '2'>")
    assert derived.raw is not client.raw
    if kind is Slotted:
        assert derived.hidden() == "hidden red"
        assert not hasattr(derived, "unset")
    twice = derived.with_options(timeout=4)
    twice.team = "blue"
    assert (client.team, derived.team) == ("red", "red")


@pytest.mark.parametrize("kind", [Team, AsyncTeam, Slotted, AsyncStrict])
@pytest.mark.parametrize(
    "copied", [lambda client: pickle.loads(pickle.dumps(client)), copy.copy, copy.deepcopy]
)
def test_a_pickle_keeps_the_attributes_of_a_subclass(
    kind: Any, copied: Callable[[Any], Any]
) -> None:
    """So do copies, which open their own connections."""
    client = copied(kind("red", "1", {}, base_url=BASE_URL))
    assert (type(client), client.team, client.calls) == (kind, "red", [])
    assert (client.organization_id, repr(client.tags)[-8:]) == ("1", " of '1'>")
    assert type(client.raw) in (APIClient, AsyncAPIClient)


@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient])
def test_a_pickle_of_a_raw_client_keeps_the_attributes_of_a_subclass(kind: Any) -> None:
    """The same holds for a subclass of a raw client."""
    subclass = {APIClient: RawTeam, AsyncAPIClient: AsyncRawTeam}[kind]
    client = pickle.loads(pickle.dumps(subclass({}, base_url=BASE_URL)))
    assert (type(client), client.team) == (subclass, "red")
    assert repr(client).endswith(f"of {BASE_URL}>")


class RawTeam(APIClient):
    """A raw client with an attribute of its own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.team = "red"


class AsyncRawTeam(AsyncAPIClient):
    """The same for async."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.team = "red"


@pytest.mark.parametrize("status", [200, 404, 503], ids=str)
@pytest.mark.parametrize("call", ["get", "find", "get_or_create"])
def test_a_client_is_freed_with_its_last_use(
    api: ScriptedApi, example: Callable[[str], dict[str, Any]], status: int, call: str
) -> None:
    """No error keeps it in a cycle: its connections close without the garbage collector."""
    listed = example("get_repositories")
    api.responds(example("get_repository") | listed, status=status)
    client = Client("1", {}, base_url=BASE_URL, max_retry_count=0)
    freed = weakref.ref(client)
    gc.collect()
    gc.disable()
    try:
        with suppress(Error):
            getattr(client.repositories, call)("5")
        del client
        assert freed() is None
    finally:
        gc.enable()


def test_a_session_is_freed_after_a_create_of_unknown_outcome() -> None:
    """The error of the create is freed too if the repository is found afterwards."""
    with Sandbox() as sandbox:
        sandbox.faults.add(operation="create_repository", status=504, work_done=True)
        client = Client(**sandbox.connection, max_retry_count=0)
        freed = weakref.ref(session_of(client))
        gc.collect()
        gc.disable()
        try:
            assert client.repositories.get_or_create("trainer").name == "trainer"
            client.close()
            del client
            assert freed() is None
        finally:
            gc.enable()
