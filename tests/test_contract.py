"""The API compared with its reference: each kind of difference is found, nobody identified."""

from __future__ import annotations

import json
import pickle
import socket
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.certificates import TLS, certified
from tests.support.server import Server, response
from tests.support.worlds import done

from abeja_registry import AsyncClient, Client, Error, RetryPolicy, Setting
from abeja_registry.contract import ContractReport, Finding
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

MARKER = "Marker-5ecret"
EMAIL = "somebody@marker.example"
AT_ONCE = RetryPolicy(max_retries=1, base_delay=0)
TABLE = """\
get_repositories, fields                  ok       as in the reference (3 checked)
get_repositories, fields of a repository  ok       as in the reference (3 checked)
get_repositories, default page size       ok       10
get_repositories, a limit of 10000        ok       clamped to 1000
get_repositories, order                   ok       the same in two reads
get_repository_tags, fields               ok       as in the reference (3 checked)
get_repository_tags, fields of a tag      ok       as in the reference (25 checked)
get_repository_tags, default page size    ok       10
get_repository_tags, a limit of 10000     ok       clamped to 1000
get_repository_tags, order                ok       the same in two reads
get_repository, fields                    ok       as in the reference (1 checked)
get_repository, fields of a tag           ok       as in the reference (10 checked)
a missing repository                      ok       NotFound (404), JSON, with a code in `error`,
                                                   without `error_detail`
"""

# A change of responses: the operation, the number of the response, its body.
Alter = Callable[[str, int, Any], Any]


class Altering(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The sandbox in process, its successes altered."""

    def __init__(self, sandbox: Sandbox, alter: Alter) -> None:
        self._inner = sandbox.transport()
        self._alter = alter
        self._count = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Respond to a sync client's request."""
        return self._altered(request, self._inner.handle_request(request))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond to an async client's request."""
        return self._altered(request, await self._inner.handle_async_request(request))

    def _altered(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        last = request.url.path.rpartition("/")[2]
        operation = {"repositories": "get_repositories", "tags": "get_repository_tags"}.get(last)
        self._count += 1
        if not response.is_success:
            return response
        body = self._alter(operation or "get_repository", self._count, response.json())
        return body if isinstance(body, httpx.Response) else httpx.Response(200, json=body)


class World:
    """Either world: makes its client, and has it compare."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.kind: Any = Client if name == "sync" else AsyncClient

    async def check(self, *arguments: Any, alter: Any = None, **options: Any) -> ContractReport:
        """Compare through connections of the client's own, or through altered responses."""
        if alter is None:
            return await self._closed(self.kind(*arguments, retry=AT_ONCE, **options))
        http: Any = httpx.Client if self._name == "sync" else httpx.AsyncClient
        http_client = http(transport=alter)
        try:
            options["http_client"] = http_client
            return await self._closed(self.kind(*arguments, retry=AT_ONCE, **options))
        finally:
            await done(http_client.close() if self._name == "sync" else http_client.aclose())

    async def _closed(self, client: Any) -> ContractReport:
        try:
            report: ContractReport = await done(client.check_contract())
            return report
        finally:
            await done(client.close() if self._name == "sync" else client.aclose())


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> World:
    """Either world."""
    return World(request.param)


@pytest.fixture
def full(sandbox: Sandbox) -> Sandbox:
    """A sandbox with more tags than a page has, and repositories to put in order."""
    sandbox.seed(repositories=3, tags=25)
    return sandbox


def found(report: ContractReport) -> dict[str, tuple[str, str]]:
    """Return statuses and details, by the subject."""
    return {finding.subject: (finding.status, finding.detail) for finding in report.findings}


def differing(report: ContractReport) -> dict[str, str]:
    """Return what differs, by the subject."""
    return {each.subject: each.detail for each in report.findings if each.status == "differs"}


# -- an API that keeps its reference --------------------------------------------------------------


async def test_nothing_differs_in_the_sandbox(world: World, full: Sandbox) -> None:
    """Every operation is as in the reference, and the report's table has every check."""
    report = await world.check(**full.connection)
    assert report.ok
    assert TABLE in str(report)
    assert str(report).endswith("\n22 ok, 0 differ, 1 unknown")
    assert found(report)["connection"] == ("ok", "connected")
    assert found(report)["TLS"] == ("unknown", "not used: the base URL is http")
    assert found(report)["authentication"] == ("ok", "the credential is accepted")


async def test_at_most_a_dozen_read_only_calls(world: World, full: Sandbox) -> None:
    """Only GETs are sent, and few of them."""
    await world.check(**full.connection)
    assert {request.method for request in full.requests} == {"GET"}
    assert len(full.requests) == 9


async def test_without_a_repository(world: World, sandbox: Sandbox) -> None:
    """Checks that need a repository are unknown, and not a difference."""
    report = await world.check(**sandbox.connection)
    assert report.ok
    unknown = {each.subject: each.detail for each in report.findings if each.status == "unknown"}
    assert unknown.pop("TLS")
    assert unknown.pop("get_repositories, order") == "fewer than two rows to compare"
    assert len(unknown) == 8
    assert {*unknown.values()} == {"no repository to check"}


async def test_without_a_tag(world: World, sandbox: Sandbox) -> None:
    """Three repositories are searched for one with tags; without one, tags are unknown."""
    sandbox.seed(repositories=4, tags=0)
    report = await world.check(**sandbox.connection)
    assert report.ok
    for operation in ("get_repository", "get_repository_tags"):
        assert found(report)[f"{operation}, fields"][0] == "ok"
        assert found(report)[f"{operation}, fields of a tag"] == ("unknown", "no tag to check")
    assert len({each.path for each in sandbox.requests if each.path.endswith("/tags")}) == 3


async def test_the_first_repository_with_tags_is_checked(world: World, sandbox: Sandbox) -> None:
    """One without tags is skipped."""
    _, second = sandbox.seed(repositories=2, tags=0)
    sandbox.push(second, "1.0.0")
    report = await world.check(**sandbox.connection)
    assert found(report)["get_repository, fields of a tag"][0] == "ok"
    assert found(report)["get_repository_tags, fields of a tag"][0] == "ok"


# -- responses that differ -----------------------------------------------------------------------


def without(name: str, at: str | None = None) -> Callable[[Any], Any]:
    """Leave a field out, of the body or of each row."""

    def change(body: Any) -> Any:
        for each in [body] if at is None else body[at]:
            del each[name]
        return body

    return change


def having(at: str | None = None, **fields: Any) -> Callable[[Any], Any]:
    """Set fields, of the body or of each row."""

    def change(body: Any) -> Any:
        for each in [body] if at is None else body[at]:
            each.update(fields)
        return body

    return change


def creators(**fields: Any) -> Callable[[Any], Any]:
    """Set fields of each tag's creator."""

    def change(body: Any) -> Any:
        for each in body["tags"]:
            each["creator"].update(fields)
        return body

    return change


LIST = "registry_repositories"
CHANGES: dict[str, tuple[str, Callable[[Any], Any], str, str]] = {
    "a field is missing": (
        "get_repositories",
        without("organization_name"),
        "fields",
        "missing: organization_name",
    ),
    "a field is unknown": ("get_repositories", having(total=3), "fields", "unknown: total"),
    "an id is a string": (
        "get_repositories",
        having(organization_id="1"),
        "fields",
        "of another type: organization_id (string, not integer)",
    ),
    "an id is a number": (
        "get_repository_tags",
        having(organization_id=1),
        "fields",
        "of another type: organization_id (integer, not string)",
    ),
    "a number is a boolean": (
        "get_repositories",
        having(offset=False),
        "fields",
        "of another type: offset (boolean, not integer)",
    ),
    "a number has a fraction": (
        "get_repository_tags",
        having("tags", size=0.5),
        "fields of a tag",
        "of another type: size (number, not integer)",
    ),
    "a field is null": (
        "get_repository",
        having(name=None),
        "fields",
        "of another type: name (null, not string)",
    ),
    "one that may be null is a number": (
        "get_repositories",
        having(LIST, description=5),
        "fields of a repository",
        "of another type: description (integer, not string or null)",
    ),
    "a time is no time": (
        "get_repository",
        having(created_at="yesterday"),
        "fields",
        "of another type: created_at (string, not time)",
    ),
    "a time ends in a newline": (
        "get_repository",
        having(created_at="2018-06-07T04:42:34Z\n"),
        "fields",
        "of another type: created_at (string, not time)",
    ),
    "a time is a number": (
        "get_repository",
        having(updated_at=1),
        "fields",
        "of another type: updated_at (integer, not time)",
    ),
    "tags are in the list": (
        "get_repositories",
        having(LIST, tags=[]),
        "fields of a repository",
        "unknown: tags",
    ),
    "tags are left out": ("get_repository", without("tags"), "fields", "missing: tags"),
    "tags are no list": (
        "get_repository",
        having(tags={"0.0.1": {}}),
        "fields",
        "of another type: tags (object, not array)",
    ),
    "an embedded tag has no digest": (
        "get_repository",
        without("digest", "tags"),
        "fields of a tag",
        "missing: digest",
    ),
    "a creator is an id": (
        "get_repository",
        having(creator="1"),
        "fields",
        "of another type: creator (string, not object)",
    ),
    "a creator's field": (
        "get_repository_tags",
        creators(avatar="x"),
        "fields of a tag",
        "unknown: creator.avatar",
    ),
    "a row is no object": (
        "get_repository_tags",
        having(tags=["0.0.1", "0.0.2"]),
        "fields of a tag",
        "of another type: all of it (string, not object)",
    ),
    "the list has another name": (
        "get_repository_tags",
        lambda body: {("entries" if name == "tags" else name): body[name] for name in body},
        "fields",
        "missing: tags; unknown: entries",
    ),
    "several": (
        "get_repository",
        lambda body: {**body, "name": 1, "id": 2, "size": 3, "private": True} | {"tags": None},
        "fields",
        "unknown: size, private; of another type: id (integer, not string),"
        " name (integer, not string), tags (null, not array)",
    ),
    "ten": (
        "get_repository",
        lambda body: body | {f"field_{n}": n for n in range(10)},
        "fields",
        "unknown: " + ", ".join(f"field_{n}" for n in range(10)),
    ),
    "many": (
        "get_repository",
        lambda body: body | {f"field_{n}": n for n in range(12)},
        "fields",
        "unknown: " + ", ".join(f"field_{n}" for n in range(10)) + " and 2 more",
    ),
    "another default": (
        "get_repositories",
        lambda body: body | {"limit": 20} if body["limit"] == 10 else body,
        "default page size",
        "20, but 10 in the reference",
    ),
    "a page beyond its limit": (
        "get_repository_tags",
        lambda body: body | {"tags": body["tags"] * 2} if body["limit"] == 10 else body,
        "default page size",
        "the page has 20 rows, and its limit is 10",
    ),
    "a huge limit": (
        "get_repository_tags",
        lambda body: body | {"limit": 10**30} if body["limit"] == 10 else body,
        "default page size",
        "a number that is too large, but 10 in the reference",
    ),
    "a limit that is not kept to": (
        "get_repository_tags",
        lambda body: body | {"limit": 7} if body["limit"] == 1000 else body,
        "a limit of 10000",
        "the page has 25 rows, and its limit is 7",
    ),
    "a limit that grows": (
        "get_repository_tags",
        lambda body: body | {"limit": 10_001} if body["limit"] == 1000 else body,
        "a limit of 10000",
        "returned as 10001",
    ),
}


@pytest.mark.parametrize(("operation", "change", "aspect", "what"), CHANGES.values(), ids=CHANGES)
async def test_a_difference_is_reported(
    world: World,
    full: Sandbox,
    operation: str,
    change: Callable[[Any], Any],
    aspect: str,
    what: str,
) -> None:
    """Only its operation differs, and the report is not ok."""

    def alter(name: str, _: int, body: Any) -> Any:
        return change(body) if name == operation else body

    report = await world.check(**full.connection, alter=Altering(full, alter))
    assert not report.ok
    assert differing(report) == {f"{operation}, {aspect}": what}


@pytest.mark.parametrize(("at", "compared"), [(99, True), (100, False)])
async def test_a_hundred_rows_of_a_page_are_compared(
    world: World, full: Sandbox, at: int, compared: bool
) -> None:
    """What differs in a later row is not reported: an API may return very many."""

    def alter(name: str, _: int, body: Any) -> Any:
        if name == "get_repository_tags" and body["limit"] == 1000:
            body["tags"] += [{**body["tags"][-1], "id": number} for number in range(76)]
            body["tags"][at]["size"] = "large"
        return body

    report = await world.check(**full.connection, alter=Altering(full, alter))
    assert report.ok is not compared


async def test_a_page_without_a_limit(world: World, full: Sandbox) -> None:
    """The default limit and the large one differ."""
    change = without("limit")
    report = await world.check(
        **full.connection,
        alter=Altering(full, lambda name, _, body: change(body) if "tags" in name else body),
    )
    assert differing(report) == {
        "get_repository_tags, fields": "missing: limit",
        "get_repository_tags, default page size": (
            "the page has 10 rows, and its limit is not a whole number"
        ),
        "get_repository_tags, a limit of 10000": (
            "the page has 25 rows, and its limit is not a whole number"
        ),
    }


def on_second(change: Callable[[list[Any]], list[Any]]) -> Alter:
    """Change the rows of the second page of tags, on which the order is looked at."""
    pages = 0

    def alter(name: str, _: int, body: Any) -> Any:
        nonlocal pages
        pages += name == "get_repository_tags"
        second = name == "get_repository_tags" and pages == 2
        return body | {"tags": change(body["tags"])} if second else body

    return alter


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda rows: rows[::-1], "the second read returned the same rows in another order"),
        (
            lambda rows: rows[:-1],
            "the second read returned other rows: the order is unstable, or the list changed",
        ),
        (
            lambda rows: [*rows[:-1], {**rows[-1], "id": 5}],
            "the second read returned other rows: the order is unstable, or the list changed",
        ),
    ],
    ids=["order", "fewer", "others"],
)
async def test_an_order_that_changes(world: World, full: Sandbox, change: Any, what: str) -> None:
    """Two reads of the same page are compared by the ids of their rows."""
    report = await world.check(**full.connection, alter=Altering(full, on_second(change)))
    assert differing(report) == {"get_repository_tags, order": what}


@pytest.mark.parametrize(
    ("limit_max", "what"), [(15, "clamped to 15"), (20_000, "not clamped")], ids=str
)
async def test_a_clamped_limit_is_not_a_difference(world: World, limit_max: int, what: str) -> None:
    """The reference does not define a large limit; the report has the result."""
    with Sandbox(limit_max=limit_max) as sandbox:
        sandbox.seed(repositories=1, tags=20)
        report = await world.check(**sandbox.connection)
    assert report.ok
    for operation in ("get_repositories", "get_repository_tags"):
        assert found(report)[f"{operation}, a limit of 10000"] == ("ok", what)


async def test_a_small_limit_clamps_the_default_too(world: World, full: Sandbox) -> None:
    """A default page size other than the reference's differs."""
    full.faults.add(operation="get_repository_tags", limit_max=5)
    report = await world.check(**full.connection)
    what = "5, but 10 in the reference"
    assert differing(report) == {"get_repository_tags, default page size": what}


INVALID_IDS = ["..", None, "", "1\n", True, 1.5, ["1"]]


@pytest.mark.parametrize("invalid", INVALID_IDS, ids=repr)
async def test_a_repository_with_an_invalid_id(world: World, full: Sandbox, invalid: Any) -> None:
    """No request is sent for it; the next repository is checked."""
    valid: list[str] = []

    def alter(name: str, _: int, body: Any) -> Any:
        if name == "get_repositories" and len(body[LIST]) > 1:
            body[LIST][0]["id"] = body[LIST][1]["id"] = invalid
            valid[:] = [body[LIST][2]["id"]]
        return body

    report = await world.check(**full.connection, alter=Altering(full, alter))
    assert found(report)["get_repository, fields"] == ("ok", "as in the reference (1 checked)")
    assert found(report)["get_repository_tags, fields"][0] == "ok"
    paths = {request.path.partition("/repositories/")[2] for request in full.requests}
    assert paths == {"", *valid, f"{valid[0]}/tags", "9999999999999"}


async def test_no_repository_with_a_valid_id(world: World, full: Sandbox) -> None:
    """Checks that need a repository are unknown."""

    def alter(name: str, _: int, body: Any) -> Any:
        if name == "get_repositories":
            for row, repository_id in zip(body[LIST], INVALID_IDS, strict=False):
                row["id"] = repository_id
        return body

    report = await world.check(**full.connection, alter=Altering(full, alter))
    for subject in ("get_repository_tags, fields", "get_repository, fields"):
        assert found(report)[subject] == ("unknown", "no repository to check")


# -- errors ---------------------------------------------------------------------------------------


async def test_an_operation_that_fails(world: World, full: Sandbox) -> None:
    """The report has its class and status, and the other operations are checked."""
    full.faults.add(operation="get_repository_tags", status=503)
    full.faults.add(operation="get_repository", status=400, times=1)
    report = await world.check(**full.connection)
    assert differing(report) == {
        "get_repository_tags, fields": "HttpError (503), after 2 attempts",
        "get_repository, fields": "BadRequest (400)",
    }
    assert found(report)["get_repository_tags, order"] == ("unknown", "not reached")
    assert found(report)["a missing repository"][0] == "ok"


@pytest.mark.parametrize(
    ("skip", "subject"), [(2, "order"), (3, "a limit of 10000")], ids=["order", "limit"]
)
async def test_a_second_call_that_fails(
    world: World, full: Sandbox, skip: int, subject: str
) -> None:
    """Its subject differs, and the rest of the list is checked."""
    full.faults.add(operation="get_repositories", status=400, skip=skip, times=1)
    report = await world.check(**full.connection)
    assert differing(report) == {f"get_repositories, {subject}": "BadRequest (400)"}


async def test_no_response_to_an_operation(world: World, full: Sandbox) -> None:
    """A lost connection is reported by the HTTP library's exception class."""
    full.faults.add(operation="get_repository", drop="request")
    report = await world.check(**full.connection)
    what = "TransportError (RemoteProtocolError), after 2 attempts"
    assert differing(report) == {
        "get_repository, fields": what,
        "a missing repository": f"{what}, not NotFound (404)",
    }


async def test_a_success_that_is_not_json(world: World, full: Sandbox) -> None:
    """A page of HTML is reported as not a JSON object."""

    def alter(name: str, _: int, body: Any) -> Any:
        return httpx.Response(200, html="<p>hello") if name == "get_repository" else body

    report = await world.check(**full.connection, alter=Altering(full, alter))
    what = "InvalidResponse: the body is not a JSON object, or too large"
    assert differing(report) == {"get_repository, fields": what}


async def test_a_missing_repository_that_is_returned(world: World) -> None:
    """A repository for any id is a difference."""
    with Server(lambda _: response({})) as server:
        report = await world.check("1", {}, base_url=server.url)
    assert differing(report)["a missing repository"] == "a success, not NotFound (404)"
    authentication = found(report)["authentication"]
    assert authentication == ("ok", "no credential was sent, and none is required")


@pytest.mark.parametrize(
    ("response", "what"),
    [
        (
            response(
                {"error": "e", "error_detail": {"a": 1}}, 404, "Content-Type: application/json"
            ),
            "JSON, with a code in `error`, with `error_detail`",
        ),
        (response("gone", 404), "no JSON, without a code in `error`, without `error_detail`"),
    ],
    ids=["the API's", "a proxy's"],
)
async def test_the_error_for_a_missing_repository(world: World, response: bytes, what: str) -> None:
    """The report has the form of the body; a 404 tells nothing about the credential."""
    with Server(lambda _: response) as server:
        report = await world.check("1", {}, base_url=server.url)
    assert found(report)["a missing repository"] == ("ok", f"NotFound (404), {what}")
    authentication = found(report)["authentication"]
    assert authentication == ("unknown", "the response does not tell: NotFound (404)")
    assert differing(report) == {"get_repositories, fields": "NotFound (404)"}


async def test_a_closed_client_raises(world: World, sandbox: Sandbox) -> None:
    """It is the same error as for every call of a closed client."""
    client: Any = world.kind(**sandbox.connection)
    await done(client.close() if world.kind is Client else client.aclose())
    with pytest.raises(Error, match="the client was closed"):
        await done(client.check_contract())


# -- the way in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credential", "what"),
    [
        ({"auth_token": MARKER}, "Unauthorized (401): the credential is invalid"),
        ({}, "Unauthorized (401): no credential was sent"),
    ],
    ids=["another", "none"],
)
async def test_an_invalid_credential(world: World, credential: Any, what: str) -> None:
    """Authentication differs, and the operations are not reached."""
    with Sandbox(credentials=[{"auth_token": "right"}]) as sandbox:
        report = await world.check(**{**sandbox.connection, "credential": credential})
        assert len(sandbox.requests) == 1
    assert differing(report) == {"authentication": what}
    assert found(report)["connection"][0] == "ok"
    assert found(report)["get_repositories, fields"] == ("unknown", "not reached")


async def test_another_organization(world: World, full: Sandbox) -> None:
    """A valid credential for another organization is distinguished."""
    report = await world.check(**{**full.connection, "organization_id": "15"})
    assert differing(report) == {
        "authentication": (
            "Forbidden (403): the credential has no permission to read this organization's registry"
        )
    }


async def test_no_response_at_all(world: World, full: Sandbox) -> None:
    """A connection without a response tells nothing about the credential."""
    full.faults.add(drop="request")
    report = await world.check(**full.connection)
    what = "no response: TransportError (RemoteProtocolError), after 2 attempts"
    assert differing(report) == {"authentication": what}
    assert found(report)["connection"][0] == "ok"


async def test_no_connection(world: World) -> None:
    """If nothing listens, the connection differs and no other check is made."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    report = await world.check("1", {}, base_url=f"http://127.0.0.1:{port}")
    assert differing(report).keys() == {"connection"}
    assert differing(report)["connection"].startswith("ConnectError")
    assert found(report)["TLS"] == ("unknown", "not reached")
    assert found(report)["authentication"] == ("unknown", "not reached")


@pytest.fixture
def tls_server() -> Iterator[Server]:
    """A server over TLS, with a certificate by a CA that nobody knows."""
    with Server(tls=certified()) as server:
        yield server


async def test_an_untrusted_certificate(world: World, tls_server: Server) -> None:
    """TLS differs, with OpenSSL's reason, but without the host."""
    report = await world.check("1", {"auth_token": MARKER}, base_url=tls_server.url)
    assert differing(report).keys() == {"TLS"}
    assert "certificate verify failed" in differing(report)["TLS"]
    assert found(report)["connection"] == ("ok", "connected")
    assert found(report)["authentication"] == ("unknown", "not reached")
    assert "127.0.0.1" not in str(report)


async def test_a_trusted_certificate(
    world: World, tls_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's CA is trusted, as in the client's other calls."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    report = await world.check("1", {"auth_token": MARKER}, base_url=tls_server.url)
    assert found(report)["TLS"] == ("ok", "connected, with a trusted certificate")
    assert found(report)["authentication"] == ("ok", "the credential is accepted")


async def test_a_certificate_of_another_host(
    world: World, tls_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL's message names the host, and the report does not."""
    known = socket.getaddrinfo

    def local(_: object, *arguments: Any, **options: Any) -> Any:
        return known("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    url = tls_server.url.replace("127.0.0.1", "marker.example")
    report = await world.check("1", {"auth_token": MARKER}, base_url=url)
    assert "certificate is not valid for '[the host]'" in differing(report)["TLS"]
    assert "marker.example" not in str(report)


@pytest.mark.parametrize(
    ("option", "cause"), [("timeout", "ConnectTimeout"), ("deadline", "deadline has passed")]
)
async def test_a_server_without_tls(
    world: World, option: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's timeout and deadline end the wait."""
    # To load the whole bundle of CAs takes a part of the deadline.
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        report = await world.check("1", {}, base_url=url, **{option: 1})
    assert differing(report).keys() == {"TLS"}
    assert cause in differing(report)["TLS"]


def raising(error: Exception) -> httpx.MockTransport:
    """Raise for every request."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(fail)


VERIFY = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed for marker.example"


async def test_a_user_supplied_client_is_checked_by_a_call(world: World) -> None:
    """Its connections are hidden: the report has the result of a call through it."""
    how = " (through a user-supplied client)"
    cases: list[tuple[httpx.MockTransport, dict[str, tuple[str, str]]]] = [
        (
            httpx.MockTransport(lambda _: httpx.Response(200, json={})),
            {"connection": ("ok", f"connected{how}"), "TLS": ("ok", f"connected{how}")},
        ),
        (
            raising(httpx.ConnectError("refused by marker.example")),
            {
                "connection": (
                    "differs",
                    f"TransportError (ConnectError), after 2 attempts{how}",
                ),
                "TLS": ("unknown", "not reached"),
            },
        ),
        (
            raising(httpx.ConnectError(VERIFY)),
            {
                "connection": ("ok", f"connected{how}"),
                "TLS": (
                    "differs",
                    f"TransportError (ConnectError): CERTIFICATE_VERIFY_FAILED{how}",
                ),
            },
        ),
    ]
    for transport, expected in cases:
        report = await world.check("1", {}, base_url="https://marker.example", alter=transport)
        assert {each: found(report)[each] for each in expected} == expected
        assert "marker.example" not in str(report)


async def test_a_proxy_is_checked_by_a_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy has no check of its own: the report has the result of a call."""
    with Server(lambda _: response({})) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:{MARKER}@127.0.0.1:{server.port}")
        report = await world.check("1", {}, base_url="http://marker.example")
    how = "(through the environment's proxy)"
    assert found(report)["connection"] == ("ok", f"connected {how}")
    assert MARKER not in str(report)


# -- settings -------------------------------------------------------------------------------------


def settings_told(report: ContractReport) -> dict[str, str]:
    """Return what was said of the settings, by their names."""
    return {
        each.subject.removeprefix("setting "): each.detail
        for each in report.findings
        if each.subject.startswith("setting")
    }


async def test_settings_of_the_environment(
    world: World, full: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting is reported with its variable, or as an argument."""
    monkeypatch.setenv("ABEJA_PLATFORM_USER_ID", "5")
    monkeypatch.setenv("ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN", MARKER)
    monkeypatch.setenv("ABEJA_ORGANIZATION_ID", full.organization_id)
    monkeypatch.setenv("ABEJA_SDK_MAX_RETRY_COUNT", "3")
    report = await world.check(base_url=full.url, timeout=7)
    told = settings_told(report)
    assert told.pop("retry").startswith("RetryPolicy(max_retries=1, ")
    assert told == {
        "organization_id": "from ABEJA_ORGANIZATION_ID",
        "credential": (
            "Basic from ABEJA_PLATFORM_USER_ID and ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN"
        ),
        "base_url": ("an http URL other than https://api.abeja.io, from argument base_url"),
        "max_retry_count": "1 from argument retry",
        "timeout": "7.0 from argument timeout",
        "settings by default": (
            "deadline, on_retry, on_response, user_agent, default_headers, max_response_bytes,"
            " invalid_rows"
        ),
    }


async def test_settings_of_a_profile(
    world: World, full: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ABEJA CLI's file is reported, but neither the profile's name nor any user."""
    profile = {
        "configuration-name": EMAIL,
        "abeja-platform-user": "user-1",
        "personal-access-token": MARKER,
        "organization-name": "acme",
        "abeja-api-url": full.url,
    }
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".abeja").mkdir()
    file = tmp_path / ".abeja" / "config"
    file.touch(mode=0o600)
    file.write_text(json.dumps({"configurations": [profile]}))
    report = await world.check(profile=EMAIL)
    told = settings_told(report)
    assert told["organization_id"] == "from ~/.abeja/config"
    assert told["credential"] == "Basic from ~/.abeja/config"
    assert told["base_url"].endswith("from ~/.abeja/config")
    for secret in (EMAIL, MARKER, "acme", "user-1"):
        assert secret not in f"{report} {report!r}"


async def test_the_default_address_is_shown(world: World) -> None:
    """It identifies nobody, with any source."""
    report = await world.check(
        "1",
        {},
        base_url="https://api.abeja.io",
        alter=raising(httpx.ConnectError("no network here")),
    )
    told = settings_told(report)
    assert told["base_url"] == "https://api.abeja.io from argument base_url"
    assert told["credential"] == "none from argument credential"


def test_a_client_has_its_settings_with_their_sources(full: Sandbox) -> None:
    """So have derived and unpickled clients; no secret is shown."""
    credential = {"datasource_id": "5", "datasource_secret": MARKER}
    with Client(full.organization_id, credential, base_url=full.url, on_retry=print) as client:
        derived = client.with_options(organization_id="2", retry=AT_ONCE)
        with pickle.loads(pickle.dumps(derived)) as other:
            assert other.settings() == derived.settings()
        assert AsyncClient("2", {}).settings()[0] == Setting(
            "organization_id", "2", "argument organization_id"
        )
        shown = {each.name: (each.value, each.source) for each in derived.settings()}
        assert {each.name: each.source for each in client.settings()}["retry"] == "default"
    assert MARKER not in str(shown)
    assert shown.pop("retry")[1] == "with_options"
    assert shown == {
        "organization_id": ("2", "with_options"),
        "credential": ("Basic datasource-5:***", "argument credential"),
        "base_url": (full.url, "argument base_url"),
        "timeout": (30.0, "default"),
        "max_retry_count": (1, "with_options"),
        "deadline": (120.0, "default"),
        "on_retry": ("a function", "argument on_retry"),
        "on_response": ("none", "default"),
        "user_agent": ("none", "default"),
        "default_headers": ("none", "default"),
        "max_response_bytes": (67108864, "default"),
        "invalid_rows": ("raise", "default"),
    }


# -- what is never told ---------------------------------------------------------------------------


async def test_a_report_identifies_nobody(world: World) -> None:
    """It has no secret, e-mail address, id or name, with any response of the API."""
    names = {"organization_name": "acme_corp", "name": "acme_trainer", "email": EMAIL}
    hostile = {
        "acme_trainer": 1,
        "acme_corp": 1,
        MARKER.replace("-", "_"): 1,
        f"before_{MARKER.replace('-', '_')}_after": 1,
        EMAIL: 1,
        "\x1b[31mred": 1,
        "x" * 41: 1,
        "": 1,
        "extra_field": MARKER,
    }

    def altered(value: Any) -> Any:
        if isinstance(value, list):
            return [altered(each) for each in value]
        if not isinstance(value, dict):
            return value
        fields = {name: altered(each) for name, each in value.items()}
        return fields | {each: names[each] for each in names if each in fields} | hostile

    secret = MARKER.replace("-", "_")
    with Sandbox(credentials=[{"user_id": "77", "personal_access_token": secret}]) as sandbox:
        ids = sandbox.seed(repositories=2, tags=2)
        report = await world.check(
            **sandbox.connection, alter=Altering(sandbox, lambda _, __, body: altered(body))
        )
    for text in (str(report), repr(report)):
        for hidden in (*names.values(), MARKER, secret, "\x1b", "x" * 41, "77", *ids, "1410000"):
            assert hidden not in text
    told = differing(report)
    assert "extra_field" in told["get_repositories, fields"]
    assert "(a name that is not shown)" in told["get_repositories, fields"]
    assert len(told) == 6


# -- the report -----------------------------------------------------------------------------------


def test_a_report_is_a_value() -> None:
    """It compares, hashes, pickles, cannot be changed, and is ok if nothing differs."""
    report = ContractReport((Finding("a", "ok", "b"), Finding("c", "unknown", "d")))
    assert report == pickle.loads(pickle.dumps(report)) == replace(report)
    assert hash(report) == hash(replace(report))
    assert report.ok
    worse = ContractReport((*report.findings, Finding("e", "differs", "f")))
    assert not worse.ok
    assert worse != report
    with pytest.raises(FrozenInstanceError):
        report.findings = ()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        report.findings[0].status = "differs"  # type: ignore[misc]


def test_a_report_is_a_table_of_a_hundred_columns() -> None:
    """Long cells and words are wrapped within their own column."""
    report = ContractReport((Finding("subject", "differs", "word " * 30 + "x" * 100),))
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("subject  differs  word word")
    assert lines[1].startswith(" " * 18 + "word")
    assert lines[-1] == "0 ok, 1 differs, 0 unknown"
    assert str(ContractReport((Finding("a", "ok", ""),))) == "a  ok\n1 ok, 0 differ, 0 unknown"
    assert str(ContractReport(())) == "0 ok, 0 differ, 0 unknown"
