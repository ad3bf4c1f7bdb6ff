"""Pages as sequences with a next page, and listings as iterables."""

from __future__ import annotations

import asyncio
import copy
import inspect
import math
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.examples import BASE_URL, ORGANIZATION_ID, example
from tests.support.internals import restarted
from tests.support.scripted import ScriptedApi
from tests.support.worlds import done, walked

from abeja_registry import (
    AsyncClient,
    AsyncListing,
    AsyncPage,
    AsyncRepository,
    Client,
    Error,
    InternalServerError,
    InvalidResponse,
    Listing,
    Page,
    PaginationError,
    Repository,
    RetryPolicy,
    Tag,
    Timeout,
)
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

Examples = Callable[[str], dict[str, Any]]
TagPages = Callable[..., dict[str, Any]]

ID = "1700000000000"


async def step(walk: Any) -> Any:
    """Return what an iterator of either world comes by next; None at its end."""
    return await anext(walk, None) if hasattr(walk, "__anext__") else next(walk, None)


def started(listing: Any) -> Any:
    """Return an iterator of either world."""
    return aiter(listing) if hasattr(listing, "__aiter__") else iter(listing)


def windows(api: ScriptedApi) -> list[str]:
    """Return the queries that the scripted API was asked."""
    return [sent.url.partition("?")[2] for sent in api.requests]


@pytest.fixture
def tag_page(example: Examples) -> TagPages:
    """Make a page of tags with these names."""

    def make(*names: str, **beside: Any) -> dict[str, Any]:
        body = example("get_repository_tags")
        [tag] = body["tags"]
        return body | {"tags": [tag | {"id": name, "name": name} for name in names]} | beside

    return make


@pytest.fixture
async def page(api: ScriptedApi, typed: Any, tag_page: TagPages) -> Any:
    """A page of the tags a to d, in either world, the fifth to eighth of more."""
    api.responds(tag_page(*"abcd", offset=4, limit=4, has_next=True))
    page = await done(typed.tags.list(ID, limit=50, offset=4))
    api.requests.clear()
    return page


# -- a page ---------------------------------------------------------------------------------------


async def test_a_page_is_a_sequence_of_its_items(page: Any) -> None:
    """It has a length, indices, slices, containment and order, as its tuple `items` has."""
    assert issubclass(type(page), Sequence)
    assert type(page.items) is tuple
    a, b, c, d = page.items
    assert [tag.name for tag in page] == ["a", "b", "c", "d"]
    assert len(page) == 4
    assert (page[0], page[-1], page[1:3], page[::-2]) == (a, d, (b, c), (d, b))
    assert list(reversed(page)) == [d, c, b, a]
    assert c in page
    assert c.model_copy(update={"name": "e"}) not in page
    assert (page.index(c), page.count(c)) == (2, 1)
    with pytest.raises(IndexError):
        page[4]


async def test_a_page_has_fields_besides_its_items(page: Any) -> None:
    """It has offset, limit, `has_next` and the organization's fields."""
    assert (page.offset, page.limit, page.has_next) == (4, 4, True)
    assert (page.organization_id, page.organization_name) == (ORGANIZATION_ID, "test-org")
    assert page.registry_repository_id == ID
    assert page.created_at < page.updated_at


async def test_an_empty_page_is_falsy(api: ScriptedApi, typed: Any, tag_page: TagPages) -> None:
    """A page without items is false, as an empty tuple, and is the last."""
    api.responds(tag_page())
    page = await done(typed.tags.list(ID))
    assert not page
    assert await done(page.next_page()) is None


@pytest.mark.parametrize("key", ["registry_repositories", "tags", "entries"])
async def test_the_items_may_have_any_of_the_apis_keys(
    api: ScriptedApi, typed: Any, tag_page: TagPages, key: str
) -> None:
    """Each of the API's keys for a list's rows is read as `items`."""
    body = tag_page("a")
    api.responds({key: body.pop("tags"), **body})
    assert [tag.name for tag in await done(typed.tags.list(ID))] == ["a"]


async def test_the_next_page_starts_where_this_one_ends(
    api: ScriptedApi, page: Any, tag_page: TagPages
) -> None:
    """It is requested by the number of rows and the applied limit; the last has no next one."""
    api.responds(tag_page("e", offset=8, limit=4))
    next_page = await done(page.next_page())
    assert type(next_page) is type(page)
    assert [tag.name for tag in next_page] == ["e"]
    assert await done(next_page.next_page()) is None
    assert windows(api) == ["limit=4&offset=8"]


async def test_the_next_page_of_repositories(
    api: ScriptedApi, typed: Any, example: Examples
) -> None:
    """A page of repositories has a next one, too, and its repositories have a client."""
    api.responds(example("get_repositories") | {"has_next": True})
    page = await done(typed.repositories.list())
    api.responds(example("get_repositories") | {"offset": 1})
    next_page = await done(page.next_page())
    assert windows(api) == ["", "limit=10&offset=1"]
    api.responds(example("get_repository"))
    assert (await done(next_page[0].refresh())).tags == ()


async def test_an_empty_page_with_has_next(
    api: ScriptedApi, typed: Any, tag_page: TagPages
) -> None:
    """Its next page would be the same: it raises a PaginationError with the offset."""
    api.responds(tag_page(offset=4, has_next=True))
    page = await done(typed.tags.list(ID))
    with pytest.raises(PaginationError, match="the page at offset 4 is empty"):
        await done(page.next_page())
    with pytest.raises(PaginationError, match="the page at offset 0 is empty"):
        await walked(typed.tags.iter(ID))
    assert len(api.requests) == 2


async def test_a_copied_page_is_the_same_and_knows_its_client(
    api: ScriptedApi, page: Any, tag_page: TagPages
) -> None:
    """A shallow copy is equal, hashes alike and fetches the next page."""
    copied = copy.copy(page)
    assert copied == page
    assert hash(copied) == hash(page)
    api.responds(tag_page("e", offset=8, limit=4))
    assert len(await done(copied.next_page())) == 1


@pytest.mark.parametrize(
    "unbind",
    [
        lambda page: pickle.loads(pickle.dumps(page)),
        copy.deepcopy,
        lambda page: type(page)(**vars(page)),
        lambda page: type(page).model_validate(page.model_dump(), context=object()),
    ],
    ids=["unpickled", "deep copy", "built by hand", "validated"],
)
async def test_a_page_without_a_client(page: Any, unbind: Any) -> None:
    """It is an equal value, and `next_page()` raises an Error."""
    unbound = unbind(page)
    assert unbound == page
    assert type(unbound) is type(page)
    with pytest.raises(Error, match=r"Page\[Tag\] is not bound .* fetch the page again"):
        await done(unbound.next_page())


def test_a_page_is_unpickled_in_a_new_process(example: Examples) -> None:
    """A pickle finds its class in a process that has not used it, as in a pool's worker."""
    page = Page[Tag].model_validate(example("get_repository_tags"))
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[0].name)"
    ran = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(page), capture_output=True, check=True
    )
    assert ran.stdout.decode().strip() == "0.0.4"


@pytest.mark.parametrize("page", ["Page", "AsyncPage"])
@pytest.mark.parametrize("row", ["Tag", "Repository"])
def test_a_page_pickles_after_its_class_was_named_elsewhere(page: str, row: str) -> None:
    """An annotation may name the class before a client exists."""
    row = f"Async{row}" if (page, row) == ("AsyncPage", "Repository") else row
    program = f"""
import pickle
from abeja_registry import {page}, {row}

class Service:
    def pages(self) -> {page}[{row}]: ...

page = {page}[{row}](items=(), offset=0, limit=10, has_next=False)
assert pickle.loads(pickle.dumps(page)) == page
"""
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_a_page_counts_skipped_rows(api: ScriptedApi, page: Any, tag_page: TagPages) -> None:
    """They are not items, but the next page's offset counts them."""
    assert page.skipped == 0
    for make in (api.client, api.async_client):
        client: Any = make(invalid_rows="skip")
        api.responds(broken(tag_page(*"abcd", offset=4, limit=4, has_next=True), 1, 3))
        skipped = await done(client.tags.list(ID, limit=4, offset=4))
        assert [tag.name for tag in skipped] == ["a", "c"]
        assert (len(skipped), skipped.skipped) == (2, 2)
        assert repr(skipped).endswith(", 2 skipped)")
        assert copy.copy(skipped).skipped == 2
        api.requests.clear()
        api.responds(broken(tag_page("e", offset=8, limit=4), 0))
        following = await done(skipped.next_page())
        assert (following.items, following.skipped) == ((), 1)
        assert windows(api) == ["limit=4&offset=8"]
        api.responds(tag_page("a") | {"tags": 5})
        with pytest.raises(InvalidResponse) as caught:
            await done(client.tags.list(ID))
        assert (caught.value.field, caught.value.index) == ("tags", None)


def broken(body: dict[str, Any], *places: int) -> dict[str, Any]:
    """Return a page's response in which no tag can be made from the rows at these places."""
    rows = [row | {"size": "large"} if at in places else row for at, row in enumerate(body["tags"])]
    return body | {"tags": rows}


@pytest.mark.parametrize("invalid_rows", ["raise", "skip"])
@pytest.mark.parametrize("key", ["registry_repositories", "tags", "items", "entries"])
async def test_null_rows_are_an_empty_page(
    api: ScriptedApi, example: Callable[[str], dict[str, Any]], key: str, invalid_rows: Any
) -> None:
    """A list that a server encodes as null is empty."""
    for make in (api.client, api.async_client):
        client: Any = make(invalid_rows=invalid_rows)
        lists: dict[str, Callable[[], Any]] = {
            "get_repositories": client.repositories.list,
            "get_repository_tags": partial(client.tags.list, ID),
        }
        for operation, ask in lists.items():
            body = example(operation)
            body.pop("registry_repositories", None)
            body.pop("tags", None)
            api.responds(body | {key: None})
            page = await done(ask())
            assert (page.items, len(page), list(page), page.skipped) == ((), 0, [], 0)
            assert await done(page.next_page()) is None
        assert await done(client.repositories.find("x")) is None
        assert await walked(client.tags.iter(ID)) == await walked(client.inventory()) == []


@pytest.mark.parametrize("value", [None, 5, "x", [1]], ids=repr)
@pytest.mark.parametrize("kind", [Page[Tag], AsyncPage[AsyncRepository]], ids=repr)
def test_a_page_is_read_from_an_object(kind: Any, value: Any) -> None:
    """Any other JSON value is an error of validation."""
    with pytest.raises(ValidationError, match="valid dictionary"):
        kind.model_validate(value)


# Names of unknown fields: the keys of other lists' rows, a page's own attributes, and names that
# are invalid in Python.
FOREIGN = sorted(
    {"items", "registry_repositories", "tags", "entries", "self", "_client", "0", "a-b", "class"}
    | {"", "é", "model_config", "get", "__class__", *dir(Page[Tag]), *dir(AsyncPage[Tag])}
)


@pytest.mark.parametrize("operation", ["get_repositories", "get_repository_tags"])
@pytest.mark.parametrize("value", [None, 5, "x", {"a": 1}, [1]], ids=repr)
def test_a_field_of_a_page_may_have_any_name(
    example: Callable[[str], dict[str, Any]], operation: str, value: Any
) -> None:
    """It is kept in `model_extra`, and does not change rows, dumps, pickles and copies."""
    kinds: list[Any] = [Page[Tag], AsyncPage[Tag]]
    rows = "tags"
    if operation == "get_repositories":
        kinds, rows = [Page[Repository], AsyncPage[AsyncRepository]], "registry_repositories"
    body = example(operation)
    for kind in kinds:
        plain = kind.model_validate(body)
        for name in FOREIGN:
            if name in body or name == rows:
                continue
            page = kind.model_validate(body | {name: value})
            assert page.model_extra == {name: value}
            assert page.items == plain.items == page[:]
            assert {field: getattr(page, field) for field in kind.model_fields} == dict(
                zip(kind.model_fields, map(partial(getattr, plain), kind.model_fields), strict=True)
            )
            with pytest.raises(Error, match="not bound to a client"):
                done_now(page.next_page)
            dumped = page.model_dump()
            assert dumped[name] == value
            for copied in (
                kind.model_validate(dumped),
                kind.model_validate_json(page.model_dump_json()),
                pickle.loads(pickle.dumps(page)),
                copy.copy(page),
                copy.deepcopy(page),
                page.model_copy(),
            ):
                assert copied == page
                assert (copied.items, copied.model_extra) == (plain.items, {name: value})


def done_now(call: Callable[[], Any]) -> Any:
    """Return what a call of either world returns, where it waits for nothing."""
    result = call()
    return asyncio.run(result) if inspect.iscoroutine(result) else result


# -- iterations -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clamping() -> Iterator[Sandbox]:
    """A sandbox with a repository of 20 tags, whose pages have at most 7 rows."""
    with Sandbox(limit_max=7) as sandbox:
        sandbox.seed(repositories=1, tags=20)
        yield sandbox


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
async def listing(request: pytest.FixtureRequest, clamping: Sandbox) -> AsyncIterator[Any]:
    """The tags of the clamping sandbox's repository."""
    client = request.param(**clamping.connection)
    [repository] = await walked(client.repositories)
    clamping.clear_requests()
    yield repository.iter_tags()
    await done(client.aclose() if hasattr(client, "aclose") else client.close())


NAMES = [f"0.0.{number}" for number in range(1, 21)]
# Each page is asked for one item early.
CLAMPED = [f"limit=100&offset={offset}" for offset in (0, 6, 12, 18)]


async def test_an_iteration_continues_after_the_returned_rows(
    clamping: Sandbox, listing: Any
) -> None:
    """A server that returns fewer rows than requested causes no loss and no repetition."""
    assert [tag.name for tag in await walked(listing)] == NAMES
    assert [request.query for request in clamping.requests] == CLAMPED


async def test_a_listing_can_be_iterated_over_again(clamping: Sandbox, listing: Any) -> None:
    """Each iteration sends new requests, and concurrent ones are independent."""
    assert isinstance(listing, Listing | AsyncListing)
    assert not clamping.requests
    first, second = started(listing), started(listing)
    steps = [(await step(first)).name, (await step(second)).name, (await step(first)).name]
    assert steps == ["0.0.1", "0.0.1", "0.0.2"]
    assert [tag.name for tag in await walked(listing)] == NAMES
    assert [tag.name for tag in await walked(first)] == NAMES[2:]
    assert [tag.name for tag in await walked(second)] == NAMES[1:]
    assert sorted(request.query for request in clamping.requests) == sorted(CLAMPED * 3)


async def test_a_listing_can_be_iterated_over_by_pages(clamping: Sandbox, listing: Any) -> None:
    """`pages()` returns each page's new items, with the same requests."""
    pages = await walked(listing.pages())
    assert {type(page) for page in pages} <= {Page[Tag], AsyncPage[Tag]}
    assert [len(page) for page in pages] == [7, 6, 6, 1]
    assert [page.offset for page in pages] == [0, 7, 13, 19]
    assert [page.has_next for page in pages] == [True, True, True, False]
    assert [request.query for request in clamping.requests] == CLAMPED
    assert (await done(pages[0].next_page()))[:6] == pages[1].items
    assert [tag.name for page in pages for tag in page] == NAMES


async def test_an_iteration_fetches_no_page_early(clamping: Sandbox, listing: Any) -> None:
    """The next page is requested when its first item is needed."""
    walk = started(listing)
    for _ in range(7):
        await step(walk)
    assert len(clamping.requests) == 1
    assert (await step(walk)).name == "0.0.8"
    assert len(clamping.requests) == 2
    for _ in range(5):
        await step(walk)
    assert len(clamping.requests) == 2
    assert (await step(walk)).name == "0.0.14"
    assert len(clamping.requests) == 3


@pytest.mark.parametrize("start", [0, 5, 6, 19, 20, 50])
async def test_an_iteration_may_start_at_any_offset(
    clamping: Sandbox, listing: Any, start: int
) -> None:
    """`offset=` skips so many items, by item and by page; beyond the end there are no items."""
    later = restarted(listing, start)
    assert [tag.name for tag in await walked(later)] == NAMES[start:]
    assert clamping.requests[0].query == f"limit=100&offset={start}"
    pages = await walked(later.pages())
    assert pages[0].offset == start
    assert [tag.name for page in pages for tag in page] == NAMES[start:]


async def test_an_iteration_that_ended_stays_ended(clamping: Sandbox, listing: Any) -> None:
    """After the last item, `next()` ends again, and sends no request."""
    walk = started(listing)
    await walked(walk)
    assert [await step(walk), await step(walk)] == [None, None]
    assert len(clamping.requests) == 4


async def test_an_empty_list(api: ScriptedApi, typed: Any, tag_page: TagPages) -> None:
    """A list without items is one empty page, and one request."""
    api.responds(tag_page())
    assert await walked(typed.tags.iter(ID)) == []
    assert [len(page) for page in await walked(typed.tags.iter(ID).pages())] == [0]
    assert len(api.requests) == 2


@pytest.mark.parametrize("pages", [False, True], ids=["items", "pages"])
async def test_an_iteration_continues_after_an_error(
    api: ScriptedApi, typed: Any, tag_page: TagPages, pages: bool
) -> None:
    """The same iterator fetches the same page again, as often as needed, and loses no item."""
    listing = typed.with_options(retry=RetryPolicy(max_retries=0)).tags.iter(ID, page_size=2)
    walk = started(listing.pages() if pages else listing)
    names: list[str] = []

    async def take() -> None:
        item = await step(walk)
        names.extend(tag.name for tag in (item if pages else [item]))

    async def fail(error: type[Error], resume_offset: int) -> None:
        with pytest.raises(error) as caught:
            await take()
        assert caught.value.resume_offset == resume_offset

    api.fails("ReadTimeout")
    await fail(Timeout, 0)
    api.responds(tag_page("a", "b", has_next=True))
    for _ in range(1 if pages else 2):
        await take()
    api.responds({}, status=500)
    await fail(InternalServerError, 2)
    api.responds(tag_page(offset=1, has_next=True))
    await fail(PaginationError, 2)
    api.responds(tag_page("b", "c", offset=1))
    await take()
    assert names == ["a", "b", "c"]
    assert await step(walk) is None
    assert windows(api) == [*["limit=2&offset=0"] * 2, *["limit=2&offset=1"] * 3]


async def test_an_error_outside_an_iteration_has_no_resume_offset(
    api: ScriptedApi, typed: Any
) -> None:
    """The error of a single page has none."""
    api.responds({}, status=404)
    with pytest.raises(Error) as caught:
        await done(typed.tags.list(ID, offset=5))
    assert caught.value.resume_offset is None


@pytest.mark.parametrize("world", [Client, AsyncClient], ids=["sync", "async"])
async def test_an_iteration_continues_in_another_client(sandbox: Sandbox, world: Any) -> None:
    """`offset=error.resume_offset` starts where the failed iteration stopped."""
    [repository_id] = sandbox.seed(repositories=1, tags=20)
    client = world(**sandbox.connection, max_retry_count=0)
    walk = started(client.tags.iter(repository_id, page_size=8))
    names = [(await step(walk)).name for _ in range(8)]
    sandbox.faults.add(operation="get_repository_tags", drop="response", times=1)
    with pytest.raises(Error) as caught:
        await step(walk)
    at = pickle.loads(pickle.dumps(caught.value)).resume_offset
    assert at == 8
    other = world(**sandbox.connection)
    names += [tag.name for tag in await walked(other.tags.iter(repository_id, offset=at))]
    assert names == NAMES
    for each in (client, other):
        await done(each.aclose() if world is AsyncClient else each.close())


@pytest.mark.parametrize("world", [Client, AsyncClient], ids=["sync", "async"])
@pytest.mark.parametrize("limit_max", [2, 7, 100])
async def test_a_loop_that_deletes_each_item_empties_the_list(world: Any, limit_max: int) -> None:
    """Every offset shifts, yet each repository is returned once, and none is left."""
    with Sandbox(limit_max=limit_max) as sandbox:
        ids = sandbox.seed(repositories=30, tags=0)
        client = world(**sandbox.connection)
        shown = []
        walk = started(client.repositories)
        while (repository := await step(walk)) is not None:
            shown.append(repository.id)
            await done(repository.delete())
        assert shown == ids
        assert not await done(client.repositories.list())
        await done(client.aclose() if world is AsyncClient else client.close())


async def test_items_shifted_by_additions_are_not_repeated(
    api: ScriptedApi, typed: Any, tag_page: TagPages
) -> None:
    """An item that shifts into a later page is known; a page without new items is skipped."""
    for by_page in (False, True):
        api.requests.clear()
        listing = typed.tags.iter(ID, page_size=3)
        walk = started(listing.pages() if by_page else listing)
        names: list[str] = []
        api.responds(tag_page("a", "b", "c", has_next=True))
        while len(names) < 3:
            item = await step(walk)
            names += [tag.name for tag in (item if by_page else [item])]
        shifting = [
            tag_page("a", "b", "c", offset=2, has_next=True),
            tag_page("b", "c", "d", offset=4),
        ]
        api.responds(shifting[0])
        responses = iter(shifting[1:])

        def next_one(_: Any, responses: Any = responses) -> None:
            if len(api.requests) == 3:
                api.responds(next(responses))

        api.on_request = next_one
        item = await step(walk)
        names += [tag.name for tag in (item if by_page else [item])]
        assert names == ["a", "b", "c", "d"]
        assert await step(walk) is None
        assert windows(api) == [f"limit=3&offset={offset}" for offset in (0, 2, 4)]
        if by_page:
            assert (item.offset, len(item)) == (6, 1)


async def test_an_iteration_skips_invalid_rows(api: ScriptedApi, tag_page: TagPages) -> None:
    """A page whose rows are all skipped does not end the list."""
    for make in (api.client, api.async_client):
        client: Any = make(invalid_rows="skip")
        api.responds(broken(tag_page("a", "b", "c"), 1))
        [page] = await walked(client.tags.iter(ID).pages())
        assert ([tag.name for tag in page], page.skipped) == (["a", "c"], 1)
        api.responds(broken(tag_page("a", "b", "c"), 0, 1, 2))
        [page] = await walked(client.tags.iter(ID).pages())
        assert (page.items, page.skipped) == ((), 3)
        assert await walked(client.tags.iter(ID)) == []


def server_of(tags: int, limit_max: int, template: dict[str, Any]) -> httpx.MockTransport:
    """Return an API whose one list has so many tags, and that clamps at a limit."""
    [tag] = template["tags"]

    def serve(request: httpx.Request) -> httpx.Response:
        limit = min(int(request.url.params["limit"]), limit_max)
        offset = int(request.url.params["offset"])
        ids = range(tags)[offset : offset + limit]
        page = {
            "offset": offset,
            "limit": limit,
            "has_next": offset + limit < tags,
            "tags": [tag | {"id": each} for each in ids],
        }
        return httpx.Response(200, json=template | page)

    return httpx.MockTransport(serve)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """The reference's page of tags, read once for all examples."""
    return example("get_repository_tags")


@settings(deadline=None)
@given(
    tags=st.integers(0, 60),
    limit_max=st.integers(1, 70),
    page_size=st.one_of(st.none(), st.integers(1, 70)),
)
def test_an_iteration_returns_each_item_once_in_order(
    template: dict[str, Any], tags: int, limit_max: int, page_size: int | None
) -> None:
    """So it is for any list length, page size and server limit, sync and async."""
    transport = server_of(tags, limit_max, template)
    expected = [str(number) for number in range(tags)]
    largest = min(limit_max, page_size or 100)
    # Pages of more than one item overlap the previous one by one item.
    requests = 1 + math.ceil(max(0, tags - largest) / max(1, largest - 1))
    options: dict[str, Any] = {"organization_id": "1", "credential": {}, "base_url": BASE_URL}

    with httpx.Client(transport=transport) as http_client:
        listing = Client(**options, http_client=http_client).tags.iter(ID, page_size=page_size)
        assert [tag.id for tag in listing] == expected
        pages = list(listing.pages())
        assert [tag.id for page in pages for tag in page] == expected
        assert len(pages) == requests
        page: Page[Tag] | None = pages[0]
        chain = []
        while page is not None:
            chain += [tag.id for tag in page]
            page = page.next_page()
        assert chain == expected

    async def walk() -> list[str]:
        async with httpx.AsyncClient(transport=transport) as http_client:
            client = AsyncClient(**options, http_client=http_client)
            return [tag.id async for tag in client.tags.iter(ID, page_size=page_size)]

    assert asyncio.run(walk()) == expected


# -- a list that was not read yet -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_listing_is_not_a_sequence(kind: Any) -> None:
    """Operations that would fetch all of it raise an error that says what to do."""
    client = kind("1", {}, base_url=BASE_URL)
    for listing in (client.repositories.iter(), client.tags.iter("1"), client.tags.iter("1")):
        name = type(listing).__name__
        with pytest.raises(TypeError, match=f"{name} has no `in`: compare in a loop"):
            _ = "x" in listing
        with pytest.raises(TypeError, match=f"{name} has no truth value"):
            bool(listing)
        for refused in (len, reversed, lambda listing: listing[0], lambda listing: listing[:1]):
            with pytest.raises(TypeError, match=name):
                refused(listing)
    with pytest.raises(TypeError, match="repositories have no `in`"):
        _ = "x" in client.repositories


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_inventory_is_not_a_sequence(kind: Any) -> None:
    """The same holds for an inventory, whose `in` would fetch every tag."""
    inventory = kind("1", {}, base_url=BASE_URL).inventory()
    name = type(inventory).__name__
    for item in ("0.0.1", None, 1, object()):
        with pytest.raises(TypeError, match=f"{name} has no `in`: .* any\\(each.tag == value for "):
            _ = item in inventory
    with pytest.raises(TypeError, match=f"{name} has no truth value"):
        bool(inventory)
    for refused in (len, reversed, lambda inventory: inventory[0]):
        with pytest.raises(TypeError, match=name):
            refused(inventory)


async def test_a_page_contains_models(page: Any) -> None:
    """`in` compares models, and rejects a name or an id."""
    assert all(item in page for item in page)
    assert page[0].model_copy() in page
    for other in (None, 1, page[0].model_copy(update={"name": "another"}), page[0].creator):
        assert other not in page
    for text in (page[0].name, page[0].id, "", "another"):
        with pytest.raises(TypeError, match=r"holds models, not strings: .*each\.name == name"):
            _ = text in page


def test_a_listing_becomes_a_list(
    api: ScriptedApi, example: Callable[[str], dict[str, Any]]
) -> None:
    """`list`, `sorted`, star arguments and loops work."""
    api.responds(example("get_repository_tags"))
    listing = api.client().tags.iter(ID)
    everything = list(listing)
    assert everything
    assert [*listing] == sorted(listing, key=lambda tag: tag.name) == everything
    assert any(tag.name == everything[0].name for tag in listing)


def test_a_page_whose_rows_are_excluded(example: Callable[[str], dict[str, Any]]) -> None:
    """An unknown field that is called like the rows is excluded with them."""
    page = Page[Repository].model_validate(example("get_repositories") | {"items": 5})
    dumped = page.model_dump(exclude={"items"})
    whole = page.model_dump()
    assert whole["items"] == 5
    assert dumped.keys() == whole.keys() - {"items", "registry_repositories"}
