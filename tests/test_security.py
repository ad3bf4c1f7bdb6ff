"""No secret is shown, and no request goes to an unintended place."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import logging
import os
import pickle
import pprint
import socket
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from tests.support.examples import REPOSITORY
from tests.support.internals import authorization
from tests.support.server import Request, Server, any_repository, raw_response, response

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    BearerToken,
    Client,
    ConfigurationError,
    DatasourceCredential,
    Error,
    HttpError,
    InsecureTransportWarning,
    RetryPolicy,
    TransportError,
    UserCredential,
)

from .faults.faults import FAULTS
from .faults.server import ALWAYS, Armed, Fault, FaultServer

ORGANIZATION_ID = "1410000000000"
MARKER = "Marker-5ecret/that+never=shows"
PAIRS = [f"{user}:{MARKER}".encode() for user in ("user-4", "datasource-4", "proxy-4")]
# The marker itself, in a Basic header, and in a proxy's URL.
FORMS = (MARKER, quote(MARKER, safe=""), *(base64.b64encode(pair).decode() for pair in PAIRS))
PROXY = f"http://proxy-4:{quote(MARKER, safe='')}@"

CREDENTIALS: dict[str, Any] = {
    "token": BearerToken(MARKER),
    "personal access token": UserCredential("4", MARKER),
    "datasource secret": DatasourceCredential("4", MARKER),
}
# The client's timeouts, by the pace of a fault.
DEADLINES = {"prompt": 0.9, "never": 0.1, "drips": 0.1}
OPTIONS: dict[str, Any] = {
    "timeout": 0.1,
    "deadline": 2.0,
    "retry": RetryPolicy(max_retries=1, base_delay=0, throttled_base_delay=0),
    "max_response_bytes": 2 << 20,
}

credentials = pytest.mark.parametrize("credential", CREDENTIALS.values(), ids=CREDENTIALS)
all_four = pytest.mark.parametrize("kind", [Client, AsyncClient, APIClient, AsyncAPIClient])


# -- recording all texts --------------------------------------------------------------------------


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Return an exception and all that are chained to it."""
    while error is not None:
        yield error
        yield from chain(error.__context__)
        error = error.__cause__


def texts_of(error: BaseException) -> Iterator[str]:
    """Return all texts of an exception: str, repr, pickle, attributes."""
    yield "".join(traceback.format_exception(error))
    for each in chain(error):
        yield from (repr(each), str(each), repr(each.args), repr(getattr(each, "__notes__", ())))
        yield pprint.pformat(vars(each))
    yield pickle.dumps(error).decode("latin-1")


def texts_of_value(value: object) -> Iterator[str]:
    """Return all texts of a value."""
    yield from (repr(value), str(value), f"{value}", pprint.pformat(value))
    if hasattr(value, "__dict__"):
        yield pprint.pformat(vars(value))


class Recording:
    """Everything that was logged, warned and raised, to be searched for the marker."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self._warned: list[warnings.WarningMessage] = []
        self.texts: list[str] = []
        self.brought: list[str] = []
        self.errors: list[Exception] = []

    @contextmanager
    def on(self) -> Iterator[None]:
        """Record everything within the block."""
        with warnings.catch_warnings(record=True) as self._warned:
            warnings.simplefilter("always")
            yield

    def call(self, call: Callable[[], object]) -> None:
        """Make a call, and record its result."""
        try:
            value = call()
        except Exception as error:
            self.errors.append(error)
            self.texts += texts_of(error)
        else:
            self.brought += texts_of_value(value)

    @property
    def loggers(self) -> set[str]:
        """Return the top-level names of the recorded loggers."""
        return {record.name.partition(".")[0] for record in self._caplog.records}

    def check(self, *, but_what_calls_brought: bool = False) -> None:
        """Check that the marker appears in none of its forms."""
        said = [*self.texts, self._caplog.text]
        said += [] if but_what_calls_brought else self.brought
        for record in self._caplog.records:
            said += [record.getMessage(), repr(record.args), record.exc_text or ""]
        said += [f"{each.message!r} {each.message} {each.source!r}" for each in self._warned]
        for text in said:
            for form in FORMS:
                assert form not in text


@pytest.fixture
def recording(caplog: pytest.LogCaptureFixture) -> Recording:
    """A recording of all logs at DEBUG; a test adds other texts."""
    caplog.set_level(logging.DEBUG)
    for name in ("abeja_registry", "httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    return Recording(caplog)


def calls(client: Any) -> list[Callable[[], Any]]:
    """Each kind of call: retried, not retried, and of several requests."""
    return [
        lambda: client.repositories.get("1"),
        lambda: client.repositories.create("trainer"),
        lambda: client.repositories.delete("1"),
        lambda: client.raw.get_repositories(ORGANIZATION_ID),
        lambda: client.repositories.get_or_create("trainer"),
    ]


def call_each(recording: Recording, credential: Any, base_url: str, **options: Any) -> None:
    """Make each call, sync and async."""
    settings: dict[str, Any] = {
        "base_url": base_url,
        **OPTIONS,
        "on_retry": recording_hook(recording),
    }
    with Client(ORGANIZATION_ID, credential, **(settings | options)) as client:
        for call in calls(client):
            recording.call(call)
    with asyncio.Runner() as runner:
        async_client = AsyncClient(ORGANIZATION_ID, credential, **(settings | options))
        for call in calls(async_client):
            recording.call(partial(run, runner, call))
        runner.run(async_client.aclose())


def recording_hook(recording: Recording) -> Callable[[object], None]:
    """Return a hook that records retries."""
    return lambda retry: recording.texts.extend(texts_of_value(retry))


def run(runner: asyncio.Runner, call: Callable[[], Any]) -> Any:
    """Run a call in an event loop."""

    async def awaited() -> Any:
        return await call()

    return runner.run(awaited())


# -- secrets are not shown ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running() -> Iterator[FaultServer]:
    """One fault server for all tests of the module."""
    with FaultServer() as server:
        yield server


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_fault_shows_the_token(running: FaultServer, recording: Recording, fault: Fault) -> None:
    """Under any fault, no log, message or pickle contains the token."""
    running.renew()
    running.arm(Armed(fault, ALWAYS))
    with recording.on():
        deadline = DEADLINES[fault.pace]
        call_each(recording, CREDENTIALS["personal access token"], running.url, deadline=deadline)
    running.disarm()
    recording.check()
    assert {"abeja_registry", "httpcore"} <= recording.loggers
    assert all(isinstance(error, Error) for error in recording.errors)


@credentials
def test_the_sent_header_is_not_shown(recording: Recording, credential: Any) -> None:
    """The Authorization header is sent, and no successful or failed call shows it."""
    for status in (200, 302, 401, 403, 500, 999):
        with Server(partial(whatever, status)) as server, recording.on():
            call_each(recording, credential, server.url)
            for owned in ({}, {"auth": ("other", "other"), "follow_redirects": True}):
                with httpx.Client(**owned) as library:  # type: ignore[arg-type]
                    given: dict[str, Any] = {"base_url": server.url, "http_client": library}
                    client = Client("1", credential, **given, **OPTIONS)
                    recording.call(partial(client.repositories.get, "1"))
        sent = {each.headers["authorization"] for each in server.requests}
        assert sent == {authorization(credential)}
        assert any(form in authorization(credential) for form in FORMS)
    recording.check()
    assert {"abeja_registry", "httpcore", "httpx"} <= recording.loggers


def whatever(status: int, request: Request) -> bytes:
    """Respond with a repository and this status."""
    return response(REPOSITORY, status)


@credentials
def test_no_object_shows_a_secret(recording: Recording, credential: Any) -> None:
    """No repr, str, format or vars of a public object, and no model's dump, shows it."""
    with Server(any_repository) as server, recording.on():
        options: dict[str, Any] = {"base_url": server.url, **OPTIONS}
        with Client("1", credential, **options) as client, APIClient(credential, **options) as raw:
            repository = client.repositories.get("1")
            walk = client.repositories.iter()
            server.respond = lambda request: response(page_of(repository.id))
            page = client.repositories.list()
            for value in (
                *(client, raw, client.raw, client.repositories, client.tags),
                *(client.with_options(timeout=1), credential, OPTIONS["retry"]),
                AsyncClient("1", credential, **options),
                AsyncAPIClient(credential, **options),
                *(walk, iter(walk), walk.pages(), client.tags.iter("1")),
                *(repository, repository.creator, repository.model_dump()),
                *(page, page.next_page, page.model_dump_json()),
            ):
                recording.texts += texts_of_value(value)
            # A repository and a page can be pickled; they contain no client.
            for carried in (repository, page, OPTIONS["retry"]):
                recording.texts.append(pickle.dumps(carried).decode("latin-1"))
    recording.check()


def page_of(*ids: str) -> dict[str, Any]:
    """Return a page of repositories."""
    rows = [REPOSITORY | {"id": each} for each in ids]
    window = {"offset": 0, "limit": 10, "has_next": False}
    return window | {"registry_repositories": rows}


def cli_file(content: object, mode: int = 0o600) -> None:
    """Write the file of the platform's command line."""
    path = Path(os.environ["HOME"]) / ".abeja" / "config"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)


FILE = {
    "abeja-platform-user": "4",
    "personal-access-token": MARKER,
    "organization-name": ORGANIZATION_ID,
}
FILES: dict[str, object] = {
    "not JSON": json.dumps(FILE)[:-1],
    "a list": [FILE],
    "a token with a line feed": FILE | {"personal-access-token": MARKER + "\n"},
    "a token that is a list": FILE | {"personal-access-token": [MARKER]},
    "a token without a user": {"personal-access-token": MARKER},
    "a user that is a dict": FILE | {"abeja-platform-user": {"token": MARKER}},
    "an organization that is a dict": FILE | {"organization-name": FILE},
    "a bad organization": FILE | {"organization-name": ".."},
    "a bad URL": FILE | {"abeja-api-url": "ftp://host"},
    "a URL that is a dict": FILE | {"abeja-api-url": FILE},
    "a URL with userinfo": FILE | {"abeja-api-url": f"https://user-4:{MARKER}@host"},
    "an unknown configuration": FILE | {"active-configuration-name": "gone"},
    "configurations of another": {"active-configuration-name": "gone", "configurations": [FILE]},
    "configurations that are a dict": {"active-configuration-name": "x", "configurations": FILE},
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_an_error_of_the_cli_file_shows_no_token(recording: Recording, content: object) -> None:
    """However the file is broken, the error does not quote its token."""
    cli_file(content)
    with recording.on():
        recording.call(lambda: Client())
        recording.call(lambda: AsyncClient(profile="other"))
    recording.check()
    assert [type(error) for error in recording.errors] == [ConfigurationError] * 2


def test_a_token_of_the_cli_file_is_not_shown(recording: Recording) -> None:
    """A token from the file is used, and shown nowhere."""
    with Server(lambda request: None) as server, recording.on():
        cli_file(FILE | {"abeja-api-url": server.url}, 0o644)
        with Client(**OPTIONS) as client:
            recording.texts += texts_of_value(client)
            recording.call(lambda: client.repositories.get("1"))
    assert server.requests[0].headers["authorization"].removeprefix("Basic ") in FORMS
    recording.check()
    assert isinstance(recording.errors[0], TransportError)


BAD = (f"{MARKER}\n", f" {MARKER}", f"{MARKER}é", f"\0{MARKER}", [MARKER], {"token": MARKER})
MISTAKES: dict[str, Callable[[], object]] = {
    "a string": lambda: Client("1", MARKER),  # type: ignore[arg-type]
    "a list": lambda: APIClient([MARKER]),  # type: ignore[arg-type]
    "another key": lambda: Client("1", {"authtoken": MARKER}),
    "half of a user": lambda: Client("1", {"personal_access_token": MARKER}),
    "half of a datasource": lambda: APIClient({"datasource_secret": MARKER}),
    "a colon in the user": lambda: UserCredential(f"4:{MARKER}", "t"),
    "as the organization": lambda: Client({"auth_token": MARKER}),  # type: ignore[arg-type]
    "as the async organization": lambda: AsyncClient({"auth_token": MARKER}),  # type: ignore[arg-type]
    "in the base URL": lambda: Client("1", {}, base_url=f"https://user-4:{MARKER}@host"),
    "in the query": lambda: APIClient({}, base_url=f"https://host?token={MARKER}"),
    "in an httpx.URL": lambda: Client("1", {}, base_url=httpx.URL(f"http://u:{MARKER}@h")),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_misplaced_secret_is_not_shown(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, mistake: Callable[[], object]
) -> None:
    """An error does not quote a secret passed as another argument, or half a credential."""
    monkeypatch.setenv("PLATFORM_AUTH_TOKEN", "of the environment")
    with recording.on():
        recording.call(mistake)
    recording.check()


@pytest.mark.parametrize("value", BAD, ids=ascii)
def test_an_invalid_secret_is_not_shown(recording: Recording, value: Any) -> None:
    """The constructor's error does not quote it."""
    for build in (
        lambda: BearerToken(value),
        lambda: UserCredential("4", value),
        lambda: DatasourceCredential("4", value),
        lambda: Client("1", {"auth_token": value}),
        lambda: AsyncAPIClient({"user_id": "4", "personal_access_token": value}),
        lambda: APIClient({"datasource_id": value, "datasource_secret": MARKER}),
    ):
        recording.call(build)
    recording.check()
    assert [type(error) for error in recording.errors] == [ConfigurationError] * 6


# Responses of a proxy; the last four break the connection or the protocol.
PROXY_REPLIES = {
    "407": response({}, 407, 'Proxy-Authenticate: Basic realm="p"'),
    "502": response({}, 502),
    "302": response({}, 302, "Location: http://elsewhere.invalid"),
    "closed": b"",
    "no HTTP": b"\0\r\n\r\n",
    "established": b"HTTP/1.1 200 Established\r\n\r\n",
}


@pytest.mark.parametrize("reply", PROXY_REPLIES.values(), ids=PROXY_REPLIES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_s_password_is_not_shown(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, scheme: str, reply: bytes
) -> None:
    """The proxy gets its password, and it is shown nowhere."""
    with Server(lambda request: reply) as server, recording.on():
        monkeypatch.setenv(f"{scheme}_proxy", f"{PROXY}127.0.0.1:{server.port}")
        call_each(recording, BearerToken(MARKER), f"{scheme}://registry.invalid")
    used = {each.headers["proxy-authorization"] for each in server.requests}
    assert used == {"Basic " + base64.b64encode(PAIRS[2]).decode()}
    # A proxy that tunnels TLS does not see the request to the API.
    assert scheme == "http" or not any("authorization" in each.headers for each in server.requests)
    recording.check()
    assert recording.errors


def test_an_unreachable_proxy_s_password_is_not_shown(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a refused connection does not contain it."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("all_proxy", f"{PROXY}127.0.0.1:{port}")
    with recording.on():
        call_each(recording, {}, "https://registry.invalid")
    recording.check()
    assert all(isinstance(error, TransportError) for error in recording.errors)
    assert len(recording.errors) == 2 * len(calls(None))


@all_four
def test_a_pickled_client_contains_its_credential(kind: Callable[..., Any]) -> None:
    """As documented: the pickle has the token, and the client's repr does not show it."""
    pickled = pickle.dumps(kind(**arguments(kind, "https://registry.invalid")))
    assert MARKER.encode() in pickled
    assert MARKER not in "".join(texts_of_value(pickle.loads(pickled)))


def arguments(kind: Callable[..., Any], base_url: str, **more: Any) -> dict[str, Any]:
    """Return the arguments of a client of any kind."""
    of_typed = {"organization_id": "1"} if kind in (Client, AsyncClient) else {}
    return of_typed | {"credential": {"auth_token": MARKER}, "base_url": base_url} | more


# -- redirects, .netrc, cookies -------------------------------------------------------------------


def senders(server: Server) -> dict[str, Callable[[], Any]]:
    """Yield two calls through each sender; the user-supplied clients would follow redirects."""
    owned: dict[str, Any] = {"follow_redirects": True, "auth": ("other", "other")}
    settings: dict[str, Any] = {"credential": {"auth_token": MARKER}, "base_url": server.url}

    def sync(**more: Any) -> None:
        with Client("1", **settings, **more) as client:
            client.repositories.get("1")
            client.repositories.get("2")

    async def awaited(**more: Any) -> None:
        async with AsyncClient("1", **settings, **more) as client:
            await client.repositories.get("1")
            await client.repositories.get("2")

    def user_supplied() -> None:
        with httpx.Client(**owned) as library:
            sync(http_client=library)

    async def async_user_supplied() -> None:
        async with httpx.AsyncClient(**owned) as library:
            await awaited(http_client=library)

    return {
        "own": sync,
        "async own": lambda: asyncio.run(awaited()),
        "user-supplied": user_supplied,
        "async user-supplied": lambda: asyncio.run(async_user_supplied()),
    }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("form", ["http://127.0.0.1:{port}/x", "//127.0.0.1:{port}", "/same?a=b"])
def test_no_redirect_is_followed(status: int, form: str) -> None:
    """The error quotes the target, and no further request is sent."""
    with Server(any_repository) as elsewhere, Server(any_repository) as server:
        target = form.format(port=elsewhere.port)
        server.respond = lambda request: response({}, status, f"Location: {target}")
        for number, call in enumerate(senders(server).values(), start=1):
            with pytest.raises(HttpError, match="redirects are not followed") as caught:
                call()
            assert repr(target) in str(caught.value)
            assert caught.value.status_code == status
            assert len(server.requests) == number
        assert not elsewhere.connections


@pytest.mark.parametrize("user_supplied", [False, True], ids=["own", "user-supplied"])
def test_a_create_is_not_redirected(user_supplied: bool) -> None:
    """Also not with 307 and 308, which would repeat its body."""
    with (
        Server(any_repository) as elsewhere,
        Server(any_repository) as server,
        httpx.Client(follow_redirects=True) as library,
    ):
        server.respond = lambda request: response({}, 307, f"Location: {elsewhere.url}/x")
        given: dict[str, Any] = {"http_client": library} if user_supplied else {}
        with (
            APIClient({"auth_token": MARKER}, base_url=server.url, **given) as client,
            pytest.raises(HttpError, match="redirects are not followed") as caught,
        ):
            client.create_repository("1", "trainer")
        assert not caught.value.outcome_unknown
        assert (len(server.requests), len(elsewhere.connections)) == (1, 0)


@pytest.mark.parametrize("variable", ["HOME", "NETRC"])
def test_a_netrc_never_replaces_the_credential(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """Through each sender, requests have the client's credential, or none."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\ndefault login o password o\n")
    netrc.chmod(0o600)
    monkeypatch.setenv(variable, str(tmp_path if variable == "HOME" else netrc))
    with Server(any_repository) as server:
        for call in senders(server).values():
            call()
        assert {each.headers["authorization"] for each in server.requests} == {f"Bearer {MARKER}"}
        server.requests.clear()
        with httpx.Client() as library:
            for given in ({}, {"http_client": library}):
                with APIClient({}, base_url=server.url, **given) as client:  # type: ignore[arg-type]
                    client.get_repository("1", "2")
        assert [each.headers.get("authorization") for each in server.requests] == [None, None]


def test_no_cookie_is_sent_back() -> None:
    """Our connections keep no cookies; those of a user-supplied client are its owner's."""
    with Server(lambda request: response(REPOSITORY, 200, "Set-Cookie: a=b; Path=/")) as server:
        senders(server)["own"]()
        senders(server)["async own"]()
        assert len(server.requests) == 4
        assert not any("cookie" in each.headers for each in server.requests)


# -- ids in paths ---------------------------------------------------------------------------------

ODD = (
    "a/b",
    "/",
    "//127.0.0.1/x",
    "../1",
    "..%2f",
    "%2e%2e",
    "%2F",
    "a?b=c",
    "a#b",
    "a;b",
    "a\\b",
    "a b",
    "...",
    "~",
    "@host",
    "http://host",
    "é",
    "店",
)
REFUSED = ("", ".", "..", "a\nb", "\r", "\0", "a\tb", "\x7f", "a\u2028b", "\ud800", "\u200b")


def calls_with(client: Any, raw: Any, each: str) -> Iterator[Callable[[], Any]]:
    """Return every call with an id, of an organization or a repository, raw and typed."""
    yield lambda: raw.get_repository(each, "2")
    yield lambda: raw.get_repository("1", each)
    yield lambda: raw.delete_repository("1", each)
    yield lambda: raw.get_repository_tags("1", each)
    yield lambda: raw.create_repository(each, "trainer")
    yield lambda: raw.get_repositories(each)
    yield lambda: client.repositories.get(each)
    yield lambda: client.repositories.delete(each)
    yield lambda: client.tags.list(each)


def paths_with(each: str) -> list[str]:
    """Return the path of each of these calls."""
    start = "/organizations/{}/registry/repositories"
    mine = start.format("1")
    return [
        f"{start.format(each)}/2",
        *(f"{mine}/{each}{end}" for end in ("", "", "/tags")),
        *[start.format(each)] * 2,
        *(f"{mine}/{each}{end}" for end in ("", "", "/tags")),
    ]


@pytest.mark.parametrize("each", ODD, ids=ascii)
def test_an_id_cannot_change_the_path(each: str) -> None:
    """Each id is one percent-encoded segment of its path."""
    with Server(lambda request: response(REPOSITORY | page_of())) as server:
        given: dict[str, Any] = {"credential": {}, "base_url": server.url}
        with Client("1", **given) as client, APIClient(**given) as raw:
            for call in calls_with(client, raw, each):
                call()
            sub = client.with_options(organization_id=each)
            sub.repositories.create(each)
            with Client(each, **given) as other:
                other.repositories.get(each)
    encoded = quote(each, safe="")
    start = f"/organizations/{encoded}/registry/repositories"
    assert [each.target for each in server.requests] == [
        *paths_with(encoded),
        start,
        f"{start}/{encoded}",
    ]


@pytest.mark.parametrize("each", ODD, ids=ascii)
def test_an_id_cannot_change_an_async_path(each: str) -> None:
    """As with sync clients."""

    async def call_all(base_url: str) -> None:
        given: dict[str, Any] = {"credential": {}, "base_url": base_url}
        async with AsyncClient("1", **given) as client, AsyncAPIClient(**given) as raw:
            for call in calls_with(client, raw, each):
                await call()

    with Server(lambda request: response(REPOSITORY | page_of())) as server:
        asyncio.run(call_all(server.url))
    assert [each.target for each in server.requests] == paths_with(quote(each, safe=""))


@pytest.mark.parametrize("each", REFUSED, ids=ascii)
def test_an_id_that_would_change_the_path_is_refused(each: str) -> None:
    """Empty, a dot segment, a control character: no request, and the error has its name."""

    async def call_all(base_url: str) -> list[str]:
        given: dict[str, Any] = {"credential": {}, "base_url": base_url}
        async with AsyncClient("1", **given) as client, AsyncAPIClient(**given) as raw:
            return [await refusal(call) for call in calls_with(client, raw, each)]

    async def refusal(call: Callable[[], Any]) -> str:
        with pytest.raises(ValueError, match="must be an id of printable characters") as caught:
            await call()
        return str(caught.value).partition(" ")[0]

    named = [
        "repository_id" if path.startswith("/organizations/1/") else "organization_id"
        for path in paths_with("?")
    ]
    with Server(any_repository) as server:
        given: dict[str, Any] = {"credential": {}, "base_url": server.url}
        with Client("1", **given) as client, APIClient(**given) as raw:
            sync = [asyncio.run(refusal(call)) for call in calls_with(client, raw, each)]
            with pytest.raises(ConfigurationError, match=r"^organization_id must be "):
                client.with_options(organization_id=each)
            with pytest.raises(ValueError, match=r"^repository_id must be "):
                client.tags.iter(each)
        assert sync == asyncio.run(call_all(server.url)) == named
        assert not server.connections
    with pytest.raises(ConfigurationError, match=r"^organization_id must be "):
        Client(each, {})


def test_a_name_is_not_part_of_the_path() -> None:
    """A create sends it in the body, and a look-up by name does not send it."""
    names = ("../../2", "a?b", "\r\nX: y", "", "店")

    def respond(request: Request) -> bytes:
        return response(REPOSITORY if request.method == "POST" else page_of())

    with Server(respond) as server, Client("1", {}, base_url=server.url) as client:
        for name in names:
            client.repositories.create(name)
            assert client.repositories.find(name) is None
            client.repositories.get_or_create(name)
    paths = {each.target.partition("?")[0] for each in server.requests}
    assert paths == {"/organizations/1/registry/repositories"}
    sent = [json.loads(each.body)["name"] for each in server.requests if each.method == "POST"]
    assert sent == [name for name in names for _ in range(2)]


# -- warnings -------------------------------------------------------------------------------------


@all_four
def test_a_credential_over_plain_http_warns(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[..., Any]
) -> None:
    """The constructor warns before any look-up or request, without the credential."""

    def touched(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", touched)
    monkeypatch.setattr(socket.socket, "connect", touched)
    for host in ("registry.example.com", "10.0.0.1:8080", "[2001:db8::1]"):
        with pytest.warns(InsecureTransportWarning, match="unencrypted") as caught:
            kind(**arguments(kind, f"http://{host}"))
        assert len(caught) == 1
        assert f"http://{host}" in str(caught[0].message)
        assert MARKER not in str(caught[0].message)
    for host in ("127.0.0.1", "localhost:80", "[::1]"):
        kind(**arguments(kind, f"http://{host}"))
    kind(**arguments(kind, "https://registry.example.com"))
    kind(**arguments(kind, "http://registry.example.com", credential={}))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_cli_file_that_others_can_read_warns(mode: int) -> None:
    """The warning names the file and its mode, without its content."""
    cli_file(FILE, mode)
    with pytest.warns(UserWarning, match=rf"\(mode {mode:o}\)") as caught:
        Client()
    assert "~/.abeja/config" in str(caught[0].message)
    assert not any(form in str(caught[0].message) for form in FORMS)
    cli_file(FILE, 0o600)
    Client()


def whatever_was_sent(request: Request) -> bytes:
    """Respond with a proxy's error page that quotes the request with its headers."""
    return response({"error_description": f"you sent {request.headers}"}, 502)


def cut_through(header: str) -> bytes:
    """Return a page whose quoted excerpt ends within the header."""
    return b"<p>" + b"x" * (995 - len("Bearer ")) + header.encode() + b"</p>"


# How a server quotes the header of the request.
ECHOES: dict[str, Callable[[str], bytes]] = {
    "in a sentence": lambda _: response({"error_description": f"token {MARKER} is not valid"}, 401),
    "in a detail": lambda header: response({"error_detail": [{header: {"sent": header}}]}, 400),
    "in the error's name": lambda header: response({"error": header}, 403),
    "escaped": lambda header: raw_response(
        b'{"error_description": "%s"}' % "".join(f"\\u{ord(each):04x}" for each in header).encode(),
        401,
    ),
    "escaped in a page": lambda header: raw_response(html.escape(header).encode(), 400),
    "quoted in a page": lambda header: raw_response(quote(header, safe="").encode(), 400),
    "cut through by what is quoted": lambda header: raw_response(cut_through(header), 400),
    "in a page that is a success": lambda header: raw_response(f"<p>{header}</p>".encode(), 200),
    "in a list": lambda header: response([header], 200),
    "in what is no repository": lambda header: response({"you": [header]}, 200),
    "as what is no time": lambda header: response(REPOSITORY | {"created_at": header}, 200),
    "in a header": lambda header: response({}, 400, f"X-Echo: {header}"),
    "in a redirect": lambda header: response({}, 302, f"Location: /?{quote(MARKER, safe='')}"),
    "as the request's id": lambda header: response(REPOSITORY, 200, f"X-Request-Id: {header}"),
    "as what is no header": lambda header: f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode(),
    "as what is no status": lambda header: f"{header}\r\n\r\n".encode(),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@credentials
def test_a_quoted_secret_is_redacted(
    recording: Recording,
    caplog: pytest.LogCaptureFixture,
    credential: Any,
    echo: Callable[[str], bytes],
) -> None:
    """However a server quotes the request, no error or log contains the credential."""
    # httpcore's DEBUG log has the raw response.
    caplog.set_level(logging.WARNING, "httpcore")
    with Server(lambda request: echo(request.headers["authorization"])) as server, recording.on():
        call_each(recording, credential, server.url)
        call_each(recording, credential, server.url, invalid_rows="skip")
    # A raw client returns a success unchanged.
    recording.check(but_what_calls_brought=True)
    assert recording.errors or echo is ECHOES["as the request's id"]


@pytest.mark.parametrize("credential", CREDENTIALS.values(), ids=CREDENTIALS)
def test_no_frame_variable_of_an_error_shows_a_secret(credential: Any) -> None:
    """Tools that print the variables of our frames do not show it."""
    with (
        Server(whatever_was_sent) as server,
        Client(ORGANIZATION_ID, credential, base_url=server.url, max_retry_count=0) as client,
    ):
        with pytest.raises(HttpError, match="the credential") as caught:
            client.repositories.get("1")
        tell = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [frame for frame in tell.stack if "abeja_registry" in frame.filename]
        assert any("request" in (frame.locals or {}) for frame in ours)
        text = "".join(str(frame.locals) for frame in ours) + str(caught.value)
        assert not [form for form in FORMS if form in text]
