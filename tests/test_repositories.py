"""An organization's repositories, typed: the five calls, the bound repository, its bond."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import BASE_URL, ORGANIZATION_ID, ScriptedApi

from abeja_registry import (
    AsyncClient,
    AsyncPage,
    AsyncRepository,
    Client,
    Error,
    Forbidden,
    InvalidResponse,
    NotFound,
    Page,
    Repository,
)
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

Answers = Callable[[str], dict[str, Any]]

URL = f"{BASE_URL}/organizations/{ORGANIZATION_ID}/registry/repositories"
ID = "1234567890123"


async def done(value: Any) -> Any:
    """Return what a call of either world returns."""
    return await value if inspect.isawaitable(value) else value


async def walked(walk: Any) -> list[Any]:
    """Return all that a walk of either world comes by."""
    return [each async for each in walk] if hasattr(walk, "__aiter__") else list(walk)


@pytest.fixture(params=["sync", "async"])
def typed(request: pytest.FixtureRequest, api: ScriptedApi) -> Any:
    """A typed client of the scripted API, in either world."""
    return api.client() if request.param == "sync" else api.async_client()


@pytest.fixture
async def repository(api: ScriptedApi, typed: Any, answer: Answers) -> Any:
    """A repository that was got, in either world; the request for it is forgotten."""
    api.answers(answer("get_repository"))
    repository = await done(typed.repositories.get(ID))
    api.requests.clear()
    return repository


def model(typed: Any) -> type[Any]:
    """Return the class of a client's repositories."""
    return Repository if isinstance(typed, Client) else AsyncRepository


# -- the five calls -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "description", [None, "this is sample repository", ""], ids=["without", "with", "empty"]
)
async def test_create(
    api: ScriptedApi, typed: Any, answer: Answers, description: str | None
) -> None:
    """Creating posts the name, and the description where one is given; the new one comes back."""
    api.answers(answer("create_repository"))
    given = {} if description is None else {"description": description}
    repository = await done(typed.repositories.create("sample_repository", **given))
    [sent] = api.requests
    assert (sent.method, sent.url) == ("POST", URL)
    assert json.loads(sent.body) == {"name": "sample_repository", **given}
    assert type(repository) is model(typed)
    assert (repository.id, repository.name) == (ID, "sample_repository")


async def test_get(api: ScriptedApi, typed: Any, answer: Answers) -> None:
    """Getting asks once, by id, and returns the answer as a repository."""
    api.answers(answer("get_repository"))
    repository = await done(typed.repositories.get(ID))
    assert [(sent.method, sent.url) for sent in api.requests] == [("GET", f"{URL}/{ID}")]
    assert type(repository) is model(typed)
    assert repository == model(typed).model_validate(answer("get_repository"))


@pytest.mark.parametrize(
    ("arguments", "query"),
    [((), ""), ((5,), "?limit=5"), ((None, 20), "?offset=20"), ((5, 0), "?limit=5&offset=0")],
    ids=["nothing", "limit", "offset", "both"],
)
async def test_list(
    api: ScriptedApi, typed: Any, answer: Answers, arguments: Any, query: str
) -> None:
    """Listing asks for one page, of what was given and no more."""
    api.answers(answer("get_repositories"))
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
    ],
    ids=["itself", "iter", "page size"],
)
async def test_iter(api: ScriptedApi, typed: Any, answer: Answers, walk: Any, query: str) -> None:
    """Walking, through `iter()` or the collection itself, asks for pages of 100 unless told."""
    api.answers(answer("get_repositories"))
    walk = walk(typed.repositories)
    assert not api.requests
    [repository] = await walked(walk)
    assert type(repository) is model(typed)
    assert [(sent.method, sent.url) for sent in api.requests] == [("GET", URL + query)]


async def test_delete(api: ScriptedApi, typed: Any, answer: Answers) -> None:
    """Deleting asks once, by id, and returns nothing, whatever the answer's body."""
    for body in (answer("delete_repository"), {}):
        api.answers(body)
        assert await done(typed.repositories.delete(ID)) is None
    assert [(sent.method, sent.url) for sent in api.requests] == [("DELETE", f"{URL}/{ID}")] * 2


async def test_delete_of_what_is_not_there(api: ScriptedApi, typed: Any) -> None:
    """Deleting what is not there is NotFound, unless that is fine; no other error is."""
    api.answers({}, status=404)
    with pytest.raises(NotFound):
        await done(typed.repositories.delete(ID))
    assert await done(typed.repositories.delete(ID, missing_ok=True)) is None
    api.answers({}, status=403)
    with pytest.raises(Forbidden):
        await done(typed.repositories.delete(ID, missing_ok=True))


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
    ],
)
async def test_a_bad_argument_is_refused_before_a_request(
    api: ScriptedApi, typed: Any, call: Any, error: type[Exception], message: str
) -> None:
    """What is out of its bounds is refused by name and value, and nothing is sent."""
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
async def test_an_answer_that_no_model_can_be_made_of(
    api: ScriptedApi,
    typed: Any,
    answer: Answers,
    operation: str,
    call: Any,
    spoil: Any,
    field: str,
) -> None:
    """It is an InvalidResponse that names the field and has the body, and hangs on no other."""
    body = answer(operation)
    spoil(body)
    api.answers(body)
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
        (lambda r: r.refresh(), lambda c: c.repositories.get(ID), "get_repository"),
        (lambda r: r.delete(), lambda c: c.repositories.delete(ID), "delete_repository"),
    ],
    ids=["list_tags", "iter_tags", "iter_tags by 7", "refresh", "delete"],
)
async def test_a_repositorys_methods_are_its_clients(
    api: ScriptedApi,
    typed: Any,
    answer: Answers,
    repository: Any,
    of_repository: Any,
    of_client: Any,
    operation: str,
) -> None:
    """What a repository does, its client does by the id: the same request, the same result."""
    api.answers(answer(operation))
    assert await done(of_repository(repository)) == await done(of_client(typed))
    first, second = api.requests
    assert first == second


async def test_a_repository_deletes_itself_though_it_is_gone(
    api: ScriptedApi, repository: Any
) -> None:
    """`missing_ok` means what it does in `client.repositories.delete`."""
    api.answers({}, status=404)
    assert await done(repository.delete(missing_ok=True)) is None
    with pytest.raises(NotFound):
        await done(repository.delete())


async def test_every_repository_that_comes_is_bound(
    api: ScriptedApi, typed: Any, answer: Answers, repository: Any
) -> None:
    """Created, got, refreshed, listed or walked to: each can ask for its tags."""
    api.answers(answer("get_repository"))
    got = [await done(repository.refresh()), await done(typed.repositories.create("a"))]
    api.answers(answer("get_repositories"))
    page = await done(typed.repositories.list())
    got += [*page, *await walked(typed.repositories)]
    api.answers(answer("get_repository_tags"))
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
async def test_one_without_a_client_says_what_to_do_instead(repository: Any, unbind: Any) -> None:
    """It is the same value, and its methods are an Error that names the way by id."""
    unbound = unbind(repository)
    assert unbound == repository
    for call in (unbound.list_tags, unbound.iter_tags, unbound.refresh, unbound.delete):
        with pytest.raises(Error, match=r"not bound .* client\.repositories or client\.tags"):
            await done(call())


@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_the_bond_is_no_part_of_the_value(repository: Any) -> None:
    """Equality, hash, repr, dumps and pickles do not see it; no client goes along in a pickle."""
    unbound = copy.deepcopy(repository)
    assert repository == unbound
    assert hash(repository) == hash(unbound)
    assert repr(repository) == repr(unbound)
    assert repository.model_dump() == unbound.model_dump()
    assert repository.model_dump_json() == unbound.model_dump_json()
    assert not any(word in pickle.dumps(repository) for word in (b"Repositories", b"Transport"))


# -- over a real socket ---------------------------------------------------------------------------


def test_the_life_of_a_repository(sandbox: Sandbox, client: Client) -> None:
    """What is created can be read, found among all, refreshed and deleted."""
    created = client.repositories.create("sample", description="one")
    assert client.repositories.get(created.id) == created
    others = sandbox.seed(repositories=3, tags=2)
    assert [each.id for each in client.repositories] == [created.id, *others]
    sandbox.push(created.id, "0.0.1", size=5)
    assert created.tags == ()
    assert [(tag.name, tag.size) for tag in created.refresh().tags or ()] == [("0.0.1", 5)]
    created.delete()
    with pytest.raises(NotFound):
        created.refresh()
    created.delete(missing_ok=True)


async def test_the_life_of_an_async_repository(sandbox: Sandbox, async_client: AsyncClient) -> None:
    """What is created can be read, found among all, refreshed and deleted."""
    created = await async_client.repositories.create("sample", description="one")
    assert await async_client.repositories.get(created.id) == created
    others = sandbox.seed(repositories=3, tags=2)
    assert [each.id async for each in async_client.repositories] == [created.id, *others]
    sandbox.push(created.id, "0.0.1", size=5)
    refreshed = await created.refresh()
    assert [(tag.name, tag.size) for tag in refreshed.tags or ()] == [("0.0.1", 5)]
    await created.delete()
    with pytest.raises(NotFound):
        await created.refresh()
    await created.delete(missing_ok=True)
