"""An organization's repositories, typed: the calls, and the methods of a repository."""

from __future__ import annotations

import copy
import json
import pickle
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.support.examples import BASE_URL, ORGANIZATION_ID, TAG
from tests.support.internals import replace_now
from tests.support.scripted import ScriptedApi
from tests.support.worlds import done, walked

from abeja_registry import (
    AsyncClient,
    AsyncPage,
    AsyncRepository,
    BadRequest,
    Client,
    Conflict,
    Error,
    Forbidden,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    Page,
    Repository,
    Tag,
    TooManyRequests,
)
from abeja_registry.sandbox import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_waiting")]

Examples = Callable[[str], dict[str, Any]]

URL = f"{BASE_URL}/organizations/{ORGANIZATION_ID}/registry/repositories"
ID = "1234567890123"


@pytest.fixture
async def repository(api: ScriptedApi, typed: Any, example: Examples) -> Any:
    """A repository that was got, in either world; the request for it is forgotten."""
    api.responds(example("get_repository"))
    repository = await done(typed.repositories.get(ID))
    api.requests.clear()
    return repository


def model(typed: Any) -> type[Any]:
    """Return the class of a client's repositories."""
    return Repository if isinstance(typed, Client) else AsyncRepository


def in_turn(api: ScriptedApi, *outcomes: Any) -> None:
    """Have the scripted API respond with one after the other, and with the last from then on.

    Each is the name of the HTTP library's exception, the arguments of a response, or a function
    that returns these.
    """
    coming = list(outcomes)

    def next_one(_: Any) -> None:
        outcome = coming.pop(0) if len(coming) > 1 else coming[0]
        if isinstance(outcome, str):
            api.fails(outcome)
        else:
            api.responds(**(outcome() if callable(outcome) else outcome))

    api.on_request = next_one


# -- the five calls -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "description", [None, "this is sample repository", ""], ids=["without", "with", "empty"]
)
async def test_create(
    api: ScriptedApi, typed: Any, example: Examples, description: str | None
) -> None:
    """It posts the name, and a given description, and returns the new repository."""
    api.responds(example("create_repository"))
    given = {} if description is None else {"description": description}
    repository = await done(typed.repositories.create("sample_repository", **given))
    [sent] = api.requests
    assert (sent.method, sent.url) == ("POST", URL)
    assert json.loads(sent.body) == {"name": "sample_repository", **given}
    assert type(repository) is model(typed)
    assert (repository.id, repository.name) == (ID, "sample_repository")


async def test_get(api: ScriptedApi, typed: Any, example: Examples) -> None:
    """It sends one request, with the id, and returns the response as a repository."""
    api.responds(example("get_repository"))
    repository = await done(typed.repositories.get(ID))
    assert [(sent.method, sent.url) for sent in api.requests] == [("GET", f"{URL}/{ID}")]
    assert type(repository) is model(typed)
    assert repository == model(typed).model_validate(example("get_repository"))


@pytest.mark.parametrize(
    ("arguments", "query"),
    [((), ""), ((5,), "?limit=5"), ((None, 20), "?offset=20"), ((5, 0), "?limit=5&offset=0")],
    ids=["nothing", "limit", "offset", "both"],
)
async def test_list(
    api: ScriptedApi, typed: Any, example: Examples, arguments: Any, query: str
) -> None:
    """It sends one request, with only the given parameters."""
    api.responds(example("get_repositories"))
    page = await done(typed.repositories.list(*arguments))
    assert [(sent.method, sent.url) for sent in api.requests] == [("GET", URL + query)]
    assert isinstance(page, Page if isinstance(typed, Client) else AsyncPage)
    [repository] = page
    assert type(repository) is model(typed)
    assert repository.tags is None
    assert (page.organization_id, page.organization_name) == (ORGANIZATION_ID, "test-org")


@pytest.mark.parametrize(
    ("walk", "query"),
    [
        (lambda repositories: repositories, "?limit=100&offset=0"),
        (lambda repositories: repositories.iter(), "?limit=100&offset=0"),
        (lambda repositories: repositories.iter(page_size=7), "?limit=7&offset=0"),
        (lambda repositories: repositories.iter(offset=30), "?limit=100&offset=30"),
        (lambda repositories: repositories.iter(page_size=7, offset=30), "?limit=7&offset=30"),
    ],
    ids=["itself", "iter", "page size", "offset", "both"],
)
async def test_iter(api: ScriptedApi, typed: Any, example: Examples, walk: Any, query: str) -> None:
    """`iter()` and iterating over the collection request pages of 100 by default."""
    api.responds(example("get_repositories"))
    walk = walk(typed.repositories)
    assert not api.requests
    [repository] = await walked(walk)
    assert type(repository) is model(typed)
    assert [(sent.method, sent.url) for sent in api.requests] == [("GET", URL + query)]


async def test_delete(api: ScriptedApi, typed: Any, example: Examples) -> None:
    """It sends one request, with the id, and returns None, with any body of the response."""
    for body in (example("delete_repository"), {}):
        api.responds(body)
        assert await done(typed.repositories.delete(ID)) is None
    assert [(sent.method, sent.url) for sent in api.requests] == [("DELETE", f"{URL}/{ID}")] * 2


async def test_delete_of_a_missing_repository(api: ScriptedApi, typed: Any) -> None:
    """It raises NotFound, unless `missing_ok` is true; other errors are raised."""
    api.responds({}, status=404)
    with pytest.raises(NotFound):
        await done(typed.repositories.delete(ID))
    assert await done(typed.repositories.delete(ID, missing_ok=True)) is None
    api.responds({}, status=403)
    with pytest.raises(Forbidden):
        await done(typed.repositories.delete(ID, missing_ok=True))


@pytest.mark.parametrize("bound", [False, True], ids=["by id", "bound"])
async def test_a_404_after_a_delete_without_a_response(
    api: ScriptedApi,
    typed: Any,
    repository: Any,
    bound: bool,
) -> None:
    """A retry's 404 after an attempt without a response means success."""
    in_turn(api, "ReadError", {"status": 404}, "ReadError", {"status": 404})
    assert await done(repository.delete() if bound else typed.repositories.delete(ID)) is None
    assert [sent.method for sent in api.requests] == ["DELETE"] * 2
    with pytest.raises(NotFound) as caught:
        await done(typed.raw.delete_repository(ORGANIZATION_ID, ID))
    assert caught.value.after_unknown_outcome
    assert [str(attempt) for attempt in caught.value.history] == ["ReadError: scripted", "404"]


async def test_a_404_after_a_delete_that_was_not_carried_out(api: ScriptedApi, typed: Any) -> None:
    """If the previous attempt certainly failed, NotFound is raised."""
    in_turn(api, "ConnectError", {"status": 429}, {"status": 404})
    with pytest.raises(NotFound) as caught:
        await done(typed.repositories.delete(ID))
    assert not caught.value.after_unknown_outcome
    assert len(caught.value.history) == 3


@pytest.mark.parametrize("given", ["sample", "1a", ID, 5])
async def test_a_name_in_place_of_an_id(api: ScriptedApi, typed: Any, given: Any) -> None:
    """NotFound has a hint at `get_by_name` if a name was passed, and none if an id was."""
    api.responds({}, status=404)
    note = "pass an id, not a name: client.repositories.get_by_name(name).id"
    calls = (typed.repositories.get, typed.repositories.delete, typed.tags.list)
    for call in (*calls, partial(typed.tags.get, name="1.0")):
        with pytest.raises(NotFound) as caught:
            await done(call(given))
        assert getattr(caught.value, "__notes__", []) == [note] * (given in ("sample", "1a"))


async def test_a_repository_in_place_of_its_id(
    api: ScriptedApi, typed: Any, repository: Any, example: Examples
) -> None:
    """Methods of typed clients take a repository of either kind of client for its id."""
    with_id: list[str] = []
    for given in (repository, repository.id):
        del api.requests[:]
        api.responds(example("get_repository"))
        await done(typed.repositories.get(given))
        await done(typed.repositories.delete(given))
        api.responds(example("get_repository_tags"))
        await done(typed.tags.list(given))
        await walked(typed.tags.iter(given))
        await done(typed.tags.get(given, "0.0.4"))
        await done(typed.tags.latest(given))
        await done(typed.tags.wait_for(given, "0.0.4", timeout=1))
        with_id.append(str([(sent.method, sent.url) for sent in api.requests]))
    assert with_id[0] == with_id[1]
    assert with_id[0].count(f"/{repository.id}") == 7


async def test_another_object_in_place_of_an_id(
    api: ScriptedApi, typed: Any, repository: Any
) -> None:
    """A tag, which has an id of its own, is rejected; the raw client takes ids only."""
    tag = Tag.model_validate(TAG)
    for call in (typed.repositories.get, typed.repositories.delete, typed.tags.list):
        with pytest.raises(TypeError, match=r"repository_id must be a string, not .* type Tag$"):
            await done(call(tag))
    with pytest.raises(TypeError, match=r"repository_id must .*Repository: pass its id"):
        await done(typed.raw.get_repository(ORGANIZATION_ID, repository))
    assert not api.requests


# -- by name --------------------------------------------------------------------------------------


async def test_find(api: ScriptedApi, typed: Any, example: Examples) -> None:
    """It requests pages up to the one with the name, and returns None after the last."""
    api.responds(example("get_repositories"))
    [row] = example("get_repositories")["registry_repositories"]
    found = await done(typed.repositories.find(row["name"]))
    assert type(found) is model(typed)
    assert found.id == str(row["id"])
    assert await done(typed.repositories.find(row["name"].upper())) is None
    assert [(sent.method, sent.url) for sent in api.requests] == [
        ("GET", f"{URL}?limit=100&offset=0")
    ] * 2
    api.responds(example("get_repository_tags"))
    assert len(await done(found.list_tags())) == 1


async def test_the_same_repository_by_name_and_by_id(client: Client, sandbox: Sandbox) -> None:
    """Rows of a list have no tags, so the two differ in `tags` alone; their ids are equal."""
    created = client.repositories.create("sample")
    sandbox.push(created, "1.0")
    found, got = client.repositories.find("sample"), client.repositories.get(created)
    assert found is not None
    assert (found == got, found.id == got.id) == (False, True)
    assert (found.tags, [tag.name for tag in got.tags or ()]) == (None, ["1.0"])
    assert found.model_copy(update={"tags": got.tags}) == got == found.refresh()


def test_in_is_rejected(api: ScriptedApi) -> None:
    """`in` raises an error that names `find`; no request is sent."""
    with pytest.raises(TypeError, match=re.escape("find(name)")):
        _ = "sample" in api.client().repositories
    assert not api.requests


async def test_find_with_an_invalid_row(api: ScriptedApi, example: Examples) -> None:
    """A row that might be the match is an InvalidResponse, even if invalid rows are skipped."""
    body = example("get_repositories")
    body["registry_repositories"].insert(0, {"id": "7", "name": "unreadable"})
    api.responds(body)
    for make in (api.client, api.async_client):
        client: Any = make(invalid_rows="skip")
        assert (await done(client.repositories.list())).skipped == 1
        for call in (client.repositories.find, client.repositories.get_or_create):
            with pytest.raises(InvalidResponse, match=r"registry_repositories\.0"):
                await done(call("unreadable"))
    assert {sent.method for sent in api.requests} == {"GET"}


async def test_get_or_create_of_an_existing_repository(
    api: ScriptedApi, typed: Any, example: Examples
) -> None:
    """It is returned unchanged, and nothing is created."""
    api.responds(example("get_repositories"))
    [row] = example("get_repositories")["registry_repositories"]
    found = await done(typed.repositories.get_or_create(row["name"], "another description"))
    assert type(found) is model(typed)
    assert (found.id, found.description) == (str(row["id"]), row["description"])
    assert [sent.method for sent in api.requests] == ["GET"]


async def test_get_or_create_of_a_missing_repository(
    api: ScriptedApi, typed: Any, example: Examples
) -> None:
    """It is created, with the description."""
    none = example("get_repositories") | {"registry_repositories": []}
    in_turn(api, {"body": none}, {"body": example("create_repository")})
    created = await done(typed.repositories.get_or_create("sample", "a sample"))
    assert (type(created), created.id) == (model(typed), ID)
    assert [sent.method for sent in api.requests] == ["GET", "POST"]
    assert json.loads(api.requests[1].body) == {"name": "sample", "description": "a sample"}


DOUBTS: dict[str, tuple[Any, type[Error]]] = {
    "lost": ("ReadError", OutcomeUnknown),
    "400": ({"status": 400}, BadRequest),
    "409": ({"status": 409}, Conflict),
    "no JSON": ({"content": b"<html>"}, InvalidResponse),
}


@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
@pytest.mark.parametrize(("doubt", "kind"), DOUBTS.values(), ids=DOUBTS)
async def test_get_or_create_with_an_unknown_outcome(
    api: ScriptedApi,
    typed: Any,
    example: Examples,
    doubt: Any,
    kind: type[Error],
    there: bool,
) -> None:
    """It looks up the name again, returns the match or raises the error, and creates once."""
    page = example("get_repositories")
    [row] = page["registry_repositories"]
    none = {"body": page | {"registry_repositories": []}}
    in_turn(api, none, doubt, {"body": page} if there else none)
    if there:
        found = await done(typed.repositories.get_or_create(row["name"]))
        assert found.id == str(row["id"])
    else:
        with pytest.raises(kind) as caught:
            await done(typed.repositories.get_or_create(row["name"]))
        assert type(caught.value) is kind
        assert [attempt.wait for attempt in caught.value.history] == [None]
    assert [sent.method for sent in api.requests] == ["GET", "POST", "GET"]


@pytest.mark.parametrize(("seconds", "creates"), [(0, 6), (9, 6), (16, 1)])
async def test_get_or_create_has_one_deadline(
    api: ScriptedApi,
    example: Examples,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    creates: int,
) -> None:
    """The look-up's time counts: a create of 30 seconds fits into two thirds of the rest."""
    passed = [0.0]
    replace_now(monkeypatch, lambda: time.monotonic() + passed[0])

    def none_after_a_while() -> dict[str, Any]:
        passed[0] += seconds
        return {"body": example("get_repositories") | {"registry_repositories": []}}

    for make in (api.client, api.async_client):
        api.requests.clear()
        client: Any = make(deadline=60)
        throttled = {"status": 429, "headers": {"retry-after": "30"}}
        in_turn(api, none_after_a_while, throttled)
        with pytest.raises(TooManyRequests) as caught:
            await done(client.repositories.get_or_create("sample"))
        assert len(caught.value.history) == creates
        assert [sent.method for sent in api.requests] == ["GET", *["POST"] * creates]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: r.get(""), ValueError, "repository_id must .* not ''"),
        (lambda r: r.get(".."), ValueError, r"repository_id must .* not '\.\.'"),
        (lambda r: r.get(None), TypeError, "repository_id must .* not None"),
        (lambda r: r.delete("a\nb"), ValueError, r"repository_id must .* not 'a\\nb'"),
        (lambda r: r.create(None), TypeError, "name must .* not None"),
        (lambda r: r.create("a", 1), TypeError, "description must .* not 1"),
        (lambda r: r.list(limit=0), ValueError, "limit must .* 1, not 0"),
        (lambda r: r.list(limit="5"), TypeError, "limit must .* not '5'"),
        (lambda r: r.list(offset=-1), ValueError, "offset must .* 0, not -1"),
        (lambda r: r.list(offset=True), TypeError, "offset must .* not True"),
        (lambda r: r.iter(page_size=0), ValueError, "page_size must .* 1, not 0"),
        (lambda r: r.iter(page_size=2.0), TypeError, r"page_size must .* not 2\.0"),
        (lambda r: r.iter(offset=-1), ValueError, "offset must .* 0, not -1"),
        (lambda r: r.iter(offset="5"), TypeError, "offset must .* not '5'"),
        (lambda r: r.get_or_create(None), TypeError, "name must .* not None"),
        (lambda r: r.get_or_create("a", 1), TypeError, "description must .* not 1"),
    ],
    ids=[
        "get nothing",
        "get dots",
        "get None",
        "delete a newline",
        "create None",
        "describe by a number",
        "limit 0",
        "limit a string",
        "offset -1",
        "offset a bool",
        "page size 0",
        "page size a float",
        "start -1",
        "start a string",
        "get or create None",
        "get or create by a number",
    ],
)
async def test_an_invalid_argument_sends_no_request(
    api: ScriptedApi, typed: Any, call: Any, error: type[Exception], message: str
) -> None:
    """The error names the argument and its value."""
    with pytest.raises(error, match=message):
        await done(call(typed.repositories))
    assert not api.requests


@pytest.mark.parametrize(
    ("operation", "call", "spoil", "field"),
    [
        ("get_repository", lambda r: r.get(ID), lambda b: b.pop("name"), "name"),
        (
            "create_repository",
            lambda r: r.create("a"),
            lambda b: b["creator"].update(created_at="yesterday"),
            "creator.created_at",
        ),
        (
            "get_repositories",
            lambda r: r.list(),
            lambda b: b["registry_repositories"][0].pop("name"),
            "registry_repositories.0.name",
        ),
        (
            "get_repositories",
            lambda r: walked(r),
            lambda b: b.pop("registry_repositories"),
            "items",
        ),
    ],
    ids=["get", "create", "list", "iter"],
)
async def test_an_invalid_response(
    api: ScriptedApi,
    typed: Any,
    example: Examples,
    operation: str,
    call: Any,
    spoil: Any,
    field: str,
) -> None:
    """It is an InvalidResponse with the field and the body, and no chained exception."""
    body = example(operation)
    spoil(body)
    api.responds(body)
    with pytest.raises(InvalidResponse, match=re.escape(f"'{field}'")) as caught:
        await done(call(typed.repositories))
    assert caught.value.body == body
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


# -- the bound repository -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_repository", "of_client", "operation"),
    [
        (
            lambda r: r.list_tags(5, 6),
            lambda c: c.tags.list(ID, 5, 6),
            "get_repository_tags",
        ),
        (
            lambda r: walked(r.iter_tags()),
            lambda c: walked(c.tags.iter(ID)),
            "get_repository_tags",
        ),
        (
            lambda r: walked(r.iter_tags(page_size=7)),
            lambda c: walked(c.tags.iter(ID, page_size=7)),
            "get_repository_tags",
        ),
        (
            lambda r: walked(r.iter_tags(offset=30)),
            lambda c: walked(c.tags.iter(ID, offset=30)),
            "get_repository_tags",
        ),
        (lambda r: r.refresh(), lambda c: c.repositories.get(ID), "get_repository"),
        (lambda r: r.delete(), lambda c: c.repositories.delete(ID), "delete_repository"),
    ],
    ids=["list_tags", "iter_tags", "iter_tags by 7", "iter_tags from 30", "refresh", "delete"],
)
async def test_a_repositorys_methods_are_those_of_the_client(
    api: ScriptedApi,
    typed: Any,
    example: Examples,
    repository: Any,
    of_repository: Any,
    of_client: Any,
    operation: str,
) -> None:
    """Each sends the same request as the client's method with the id."""
    api.responds(example(operation))
    assert await done(of_repository(repository)) == await done(of_client(typed))
    first, second = api.requests
    assert first == second


async def test_a_repository_can_be_deleted_twice(api: ScriptedApi, repository: Any) -> None:
    """`missing_ok` is the same as in `client.repositories.delete`."""
    api.responds({}, status=404)
    assert await done(repository.delete(missing_ok=True)) is None
    with pytest.raises(NotFound):
        await done(repository.delete())


async def test_every_repository_has_its_client(
    api: ScriptedApi, typed: Any, example: Examples, repository: Any
) -> None:
    """A created, fetched, refreshed, listed or iterated repository can list its tags."""
    api.responds(example("get_repository"))
    got = [await done(repository.refresh()), await done(typed.repositories.create("a"))]
    api.responds(example("get_repositories"))
    page = await done(typed.repositories.list())
    got += [*page, *await walked(typed.repositories)]
    api.responds(example("get_repository_tags"))
    for each in [*got, copy.copy(repository), repository.model_copy()]:
        assert [tag.name for tag in await done(each.list_tags())] == ["0.0.4"]


UNBOUND: dict[str, Callable[[Any], Any]] = {
    "unpickled": lambda repository: pickle.loads(pickle.dumps(repository)),
    "deep copy": copy.deepcopy,
    "built by hand": lambda repository: type(repository)(**dict(repository)),
    "validated": lambda repository: type(repository).model_validate(repository.model_dump()),
    "validated in a context of somebody else's": lambda repository: type(repository).model_validate(
        repository.model_dump(), context={"theirs": 1}
    ),
    "without validation": lambda repository: type(repository).model_construct(**dict(repository)),
}


@pytest.mark.parametrize("unbind", UNBOUND.values(), ids=UNBOUND.keys())
async def test_a_repository_without_a_client(repository: Any, unbind: Any) -> None:
    """It is an equal value, and its methods raise an Error that names the call by id."""
    unbound = unbind(repository)
    assert unbound == repository
    for call in (unbound.list_tags, unbound.iter_tags, unbound.refresh, unbound.delete):
        with pytest.raises(Error, match=r"not bound .* client\.repositories or client\.tags"):
            await done(call())


@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_the_client_is_not_part_of_the_value(repository: Any) -> None:
    """Equality, hash, repr, dumps and pickles ignore it."""
    unbound = copy.deepcopy(repository)
    assert repository == unbound
    assert hash(repository) == hash(unbound)
    assert repr(repository) == repr(unbound)
    assert repository.model_dump() == unbound.model_dump()
    assert repository.model_dump_json() == unbound.model_dump_json()
    assert not any(word in pickle.dumps(repository) for word in (b"Repositories", b"Session"))


# -- over a real socket ---------------------------------------------------------------------------


def test_the_life_of_a_repository(sandbox: Sandbox, client: Client) -> None:
    """What is created can be read, found among all, refreshed and deleted."""
    created = client.repositories.create("sample", description="one")
    assert client.repositories.get(created.id) == created
    others = sandbox.seed(repositories=3, tags=2)
    assert [each.id for each in client.repositories] == [created.id, *others]
    sandbox.push(created.id, "0.0.1", size=5)
    # A list omits this field.
    assert client.repositories.find("sample") == created.model_copy(update={"tags": None})
    assert client.repositories.get_or_create("sample").id == created.id
    assert client.repositories.find("other") is None
    assert client.repositories.get_or_create("other").name == "other"
    assert created.tags == ()
    assert [(tag.name, tag.size) for tag in created.refresh().tags or ()] == [("0.0.1", 5)]
    created.delete()
    with pytest.raises(NotFound):
        created.refresh()
    created.delete(missing_ok=True)


async def test_the_life_of_an_async_repository(sandbox: Sandbox, async_client: AsyncClient) -> None:
    """A created repository can be read, found, refreshed and deleted."""
    created = await async_client.repositories.create("sample", description="one")
    assert await async_client.repositories.get(created.id) == created
    others = sandbox.seed(repositories=3, tags=2)
    assert [each.id async for each in async_client.repositories] == [created.id, *others]
    sandbox.push(created.id, "0.0.1", size=5)
    found = await async_client.repositories.find("sample")
    assert found == created.model_copy(update={"tags": None})
    assert (await async_client.repositories.get_or_create("sample")).id == created.id
    assert await async_client.repositories.find("other") is None
    assert (await async_client.repositories.get_or_create("other")).name == "other"
    refreshed = await created.refresh()
    assert [(tag.name, tag.size) for tag in refreshed.tags or ()] == [("0.0.1", 5)]
    await created.delete()
    with pytest.raises(NotFound):
        await created.refresh()
    await created.delete(missing_ok=True)
