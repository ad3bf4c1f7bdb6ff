"""A repository's tags, typed, by the repository's id."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import BASE_URL, ORGANIZATION_ID, ScriptedApi, done, walked

from abeja_registry import AsyncClient, AsyncPage, Client, InvalidResponse, NotFound, Page, Tag
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

Answers = Callable[[str], dict[str, Any]]

URL = f"{BASE_URL}/organizations/{ORGANIZATION_ID}/registry/repositories/1700000000000/tags"
ID = "1700000000000"


@pytest.mark.parametrize(
    ("arguments", "query"),
    [((), ""), ((5,), "?limit=5"), ((None, 20), "?offset=20"), ((5, 0), "?limit=5&offset=0")],
    ids=["nothing", "limit", "offset", "both"],
)
async def test_list(
    api: ScriptedApi, typed: Any, answer: Answers, arguments: Any, query: str
) -> None:
    """Listing asks for one page, of what was given and no more, and for no repository first."""
    api.answers(answer("get_repository_tags"))
    page = await done(typed.tags.list(ID, *arguments))
    assert [(sent.method, sent.url) for sent in api.requests] == [("GET", URL + query)]
    assert isinstance(page, Page if isinstance(typed, Client) else AsyncPage)
    assert (page.registry_repository_id, page.organization_id) == (ID, ORGANIZATION_ID)
    [tag] = page
    assert type(tag) is Tag
    assert (tag.id, tag.name, tag.size) == ("1771682238503", "0.0.4", 2757009)
    assert tag.created_at == datetime(2019, 5, 23, 5, 13, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, "limit=100&offset=0"),
        ({"page_size": None}, "limit=100&offset=0"),
        ({"page_size": 7}, "limit=7&offset=0"),
        ({"start": 30}, "limit=100&offset=30"),
        ({"page_size": 7, "start": 30}, "limit=7&offset=30"),
    ],
    ids=["usual", "None", "page size", "start", "both"],
)
async def test_iter(
    api: ScriptedApi, typed: Any, answer: Answers, options: dict[str, Any], query: str
) -> None:
    """Walking asks for pages of 100 from the start unless told, and for nothing before a step."""
    api.answers(answer("get_repository_tags"))
    walk = typed.tags.iter(ID, **options)
    assert not api.requests
    assert [type(tag) for tag in await walked(walk)] == [Tag]
    assert [sent.url for sent in api.requests] == [f"{URL}?{query}"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda tags: tags.list(""), ValueError, "repository_id must .* not ''"),
        (lambda tags: tags.list(None), TypeError, "repository_id must .* not None"),
        (lambda tags: tags.list(ID, 0), ValueError, "limit must .* 1, not 0"),
        (lambda tags: tags.list(ID, 1, -1), ValueError, "offset must .* 0, not -1"),
        (lambda tags: tags.iter("."), ValueError, r"repository_id must .* not '\.'"),
        (lambda tags: tags.iter(ID, page_size=-1), ValueError, "page_size must .* 1, not -1"),
        (lambda tags: tags.iter(ID, page_size=True), TypeError, "page_size must .* not True"),
        (lambda tags: tags.iter(ID, start=-1), ValueError, "start must .* 0, not -1"),
        (lambda tags: tags.iter(ID, start=None), TypeError, "start must .* not None"),
    ],
    ids=[
        "list ''",
        "list None",
        "limit 0",
        "offset -1",
        "iter .",
        "page size -1",
        "page size bool",
        "start -1",
        "start None",
    ],
)
async def test_a_bad_argument_is_refused_before_a_request(
    api: ScriptedApi, typed: Any, call: Any, error: type[Exception], message: str
) -> None:
    """What is out of its bounds is refused by name and value, by `iter` before it is walked."""
    with pytest.raises(error, match=message):
        await done(call(typed.tags))
    assert not api.requests


@pytest.mark.parametrize(
    "call", [lambda tags: tags.list(ID), lambda tags: walked(tags.iter(ID))], ids=["list", "iter"]
)
async def test_an_answer_that_no_tag_can_be_made_of(
    api: ScriptedApi, typed: Any, answer: Answers, call: Any
) -> None:
    """It is an InvalidResponse that names the field and has the body, and hangs on no other."""
    body = answer("get_repository_tags")
    del body["tags"][0]["creator"]["email"]
    api.answers(body)
    with pytest.raises(InvalidResponse, match=re.escape("'tags.0.creator.email'")) as caught:
        await done(call(typed.tags))
    assert caught.value.body == body
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_a_tag_that_cannot_be_made_may_be_skipped(api: ScriptedApi, answer: Answers) -> None:
    """`invalid_rows="skip"` leaves it out of the page and of the walk, and counts it."""
    body = answer("get_repository_tags")
    [tag] = body["tags"]
    api.answers(body | {"tags": [tag | {"id": "a"}, tag | {"size": "large"}, tag | {"id": "b"}]})
    for make in (api.client, api.async_client):
        client: Any = make(invalid_rows="skip")
        page = await done(client.tags.list(ID))
        assert ([tag.id for tag in page], page.skipped) == (["a", "b"], 1)
        assert [tag.id for tag in await walked(client.tags.iter(ID))] == ["a", "b"]


async def test_tags_of_no_repository(api: ScriptedApi, typed: Any) -> None:
    """A repository that is not there is NotFound: on listing, and on the first step of a walk."""
    api.answers({}, status=404)
    with pytest.raises(NotFound):
        await done(typed.tags.list(ID))
    with pytest.raises(NotFound):
        await walked(typed.tags.iter(ID))


# -- over a real socket: 250 tags in pages of 100 -------------------------------------------------


@pytest.fixture
def many(sandbox: Sandbox) -> str:
    """The id of a repository with 250 tags."""
    [repository_id] = sandbox.seed(repositories=1, tags=250)
    return repository_id


def check(sandbox: Sandbox, repository_id: str, names: list[str]) -> None:
    """See that 250 tags came in order, none twice, with 1 + 3 requests, each page an item early."""
    assert names == [f"0.0.{number}" for number in range(1, 251)]
    path = f"/organizations/{ORGANIZATION_ID}/registry/repositories/{repository_id}"
    assert [(request.path, request.query) for request in sandbox.requests] == [
        (path, ""),
        (f"{path}/tags", "limit=100&offset=0"),
        (f"{path}/tags", "limit=100&offset=99"),
        (f"{path}/tags", "limit=100&offset=198"),
    ]


def test_every_tag_of_a_repository(sandbox: Sandbox, client: Client, many: str) -> None:
    """The mission's own line walks through all, with the repository's request and a page's each."""
    names = [tag.name for tag in client.repositories.get(many).iter_tags()]
    check(sandbox, many, names)


async def test_every_tag_of_an_async_repository(
    sandbox: Sandbox, async_client: AsyncClient, many: str
) -> None:
    """The mission's own line walks through all, with the repository's request and a page's each."""
    repository = await async_client.repositories.get(many)
    names = [tag.name async for tag in repository.iter_tags()]
    check(sandbox, many, names)
