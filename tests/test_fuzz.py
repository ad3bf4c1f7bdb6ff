"""Whatever a server sends, what comes of it is a value or one of the package's exceptions."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
import logging
import math
import pickle
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.support import examples
from tests.support.internals import (
    ApiResult,
    Attempts,
    Cursor,
    NoResponse,
    Redactor,
    RepositoryPage,
    Request,
    Response,
    RetryBudget,
    create_repository,
    decode_response,
    delete_repository,
    get_repositories,
    get_repository,
    get_repository_tags,
    outcome_unknown,
    parse,
    parse_response,
)

from abeja_registry import (
    AsyncClient,
    Attempt,
    Client,
    Creator,
    Error,
    HttpError,
    InvalidResponse,
    NotFound,
    PaginationError,
    Repository,
    RetryPolicy,
    Tag,
    TransportError,
)
from abeja_registry.pages import TagPage

T = TypeVar("T")

REFERENCE: dict[str, dict[str, Any]] = {
    name: examples.example(name) for name in sorted(examples.operations())
}
# Requests that a walk may make of a server that plays with it.
MANY = 500


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of replays and rows are not worth keeping."""
    caplog.set_level(logging.CRITICAL, "abeja_registry")


# -- what a server may send -----------------------------------------------------------------------

numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -1, 2**63, 10**400, int("9" * 4300), math.inf, -math.inf, math.nan])
)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=10)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
# What stands in the way of a parser, as bytes.
odd_bodies = st.sampled_from(
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b'{"a": ' + b"9" * 5000 + b"}",
        rb'{"a": "\ud800"}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a": NaN, "a": 1e400}',
        b'{"error": "e", "error_description": "d", "error_detail": [1e999, {}]}',
        b"<html>",
    ]
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return every container within a JSON value, with every key of it."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@st.composite
def near(draw: st.DrawFn, *operations: str) -> dict[str, Any]:
    """A response of the reference, of which some fields are gone, of another type, or elsewhere."""
    names = operations or tuple(REFERENCE)
    response: dict[str, Any] = copy.deepcopy(REFERENCE[draw(st.sampled_from(names))])
    for _ in range(draw(st.integers(0, 4))):
        found = list(places(response))
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["drop", "retype", "nest", "swap", "rename", "repeat"])):
            case "drop":
                del container[key]
            case "retype":
                container[key] = draw(values)
            case "nest":
                container[key] = draw(st.sampled_from([[container[key]], {"id": container[key]}]))
            case "swap":
                container[key] = copy.deepcopy(draw(st.sampled_from(list(REFERENCE.values()))))
            case "rename" if isinstance(container, dict):
                new = st.sampled_from(["items", "tags", "entries", "registry_repositories", "id"])
                container[draw(new | st.text(max_size=5))] = container.pop(key)
            case _ if isinstance(container, list):
                container *= draw(st.integers(0, 3))
    return response


jsons = st.builds(lambda value: json.dumps(value).encode(), near() | values)
plain_bodies = jsons | odd_bodies | st.binary(max_size=200)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body: JSON or not, packed or not, whole or cut."""
    body = draw(plain_bodies)
    match draw(st.integers(0, 5)):
        case 0:
            body = gzip.compress(body)
        case 1:
            body = gzip.compress(body) + gzip.compress(draw(plain_bodies))
        case 2:
            body = gzip.compress(body) + draw(st.binary(max_size=10))
        case 3:
            body = gzip.compress(gzip.compress(body))
    if draw(st.booleans()):
        body = body[: draw(st.integers(0, len(body)))]
    return body


dates = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Sun", "", "Xyz"]),
    st.integers(0, 99),
    st.sampled_from(["Jan", "Dec", "Feb", "12", ""]),
    st.integers(0, 99999),
    *[st.integers(0, 99)] * 3,
    st.sampled_from(["GMT", "+0900", "-9999", "+99999999", "", "Z", "-0000"]),
)
digits = st.from_regex(r"\A[-+ ]?[0-9]{1,400}(\.[0-9]+)?(e[0-9]+)?\Z")
texts = st.text(max_size=20)
headers = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": dates
        | digits
        | texts
        | st.sampled_from(["²", "\N{FULLWIDTH DIGIT ONE}", "1_0", " 3 ", "9" * 5000]),
        "date": dates | texts,
        "content-encoding": st.sampled_from(["gzip", "x-gzip", "GZip", "gzip, gzip", "br"]) | texts,
        "location": texts,
        "content-type": texts,
        "x-request-id": texts,
        "content-length": texts,
    },
)
statuses = st.sampled_from([200, 201, 204, 304, 302, 400, 404, 408, 409, 429, 500, 503, 999])
failures = st.builds(NoResponse, texts, texts, st.booleans(), st.booleans(), st.booleans())
operations = st.sampled_from(
    [
        create_repository("1", "n"),
        delete_repository("1", "2"),
        get_repository("1", "2"),
        get_repositories("1", 10, 0),
        get_repository_tags("1", "2"),
    ]
)


# -- responses ------------------------------------------------------------------------------------


@given(
    operation=operations,
    status=statuses | st.integers(100, 999),
    headers=headers,
    body=bodies(),
    limit=st.integers(0, 300) | st.just(2**20),
    cut=st.none() | failures,
    doubt=st.booleans(),
)
def test_any_response_is_an_object_or_an_error(
    operation: Any,
    status: int,
    headers: dict[str, str],
    body: bytes,
    limit: int,
    cut: NoResponse | None,
    doubt: bool,
) -> None:
    """Any status, headers and body: a dict, or one exception of ours that says and pickles all."""
    request = Request(operation.method, "", "", [], None, True, 1, limit, Redactor())
    outcome = decode_response(status, headers, body, request, cut)
    history = (Attempt(200),)
    attempts = Attempts(operation, RetryPolicy(), RetryBudget(), deadline=9e9, random=lambda: 1.0)
    retry = attempts.record(outcome, 0.0)
    assert retry is None or 0 <= retry.wait <= 60
    result = outcome_of(
        lambda: parse_response(
            operation, "url", outcome, history=history, after_unknown_outcome=doubt
        )
    )
    if isinstance(result, Error):
        assert isinstance(result, HttpError | InvalidResponse | TransportError)
        refused = isinstance(outcome, Response) and not 200 <= status < 300
        assert isinstance(result, HttpError) == refused
        assert isinstance(result, NotFound) == (refused and status == 404)
        assert result.history == history
        assert operation.changes or doubt or not result.outcome_unknown
        assert not outcome_unknown(operation, outcome) or result.outcome_unknown
    else:
        assert type(result) is dict
        assert isinstance(outcome, Response)
        assert 200 <= status < 300
        assert len(outcome.content) <= limit
    if isinstance(result, HttpError):
        assert result.status_code == status
        assert isinstance(result.error, str)
        assert isinstance(result.error_description, str)
        assert result.retry_after is None or result.retry_after >= 0


def outcome_of(call: Callable[[], T]) -> T | Error:
    """Return what comes of a call: a value, or one of our exceptions that nobody else's is behind.

    It can be shown, and comes back from a pickle as it was.
    """
    try:
        return call()
    except Error as raised:
        error = raised
    assert error.__suppress_context__ or (error.__cause__, error.__context__) == (None, None)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (str(back), repr(back)) == (str(error), repr(error))
    # Not the values: a NaN does not equal itself.
    assert vars(back).keys() == vars(error).keys()
    return error


# -- the models -----------------------------------------------------------------------------------

MODELS: dict[str, type[BaseModel]] = {
    "repository": Repository,
    "repositories": RepositoryPage,
    "tag": Tag,
    "tags": TagPage,
    "creator": Creator,
}


def parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a response, and every object within."""
    found = [container[key] for container, key in places(body)]
    return [body, *(each for each in found if isinstance(each, dict))]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@given(body=near(), data=st.data())
def test_any_object_is_a_model_or_an_error(
    model: type[BaseModel], body: dict[str, Any], data: st.DataObject
) -> None:
    """Fields that are gone, or are something else: a model, or an error that names one of them."""
    body = data.draw(st.sampled_from(parts(body)))
    before = pickle.dumps(body)
    value = outcome_of(lambda: parse(model, ApiResult(body)))
    if isinstance(value, Error):
        assert isinstance(value, InvalidResponse)
        assert value.body is body
        assert isinstance(value.field, str)
        assert repr(value.field) in str(value)
        assert value.index is not None or value.row is None
    else:
        assert isinstance(value, model)
        assert repr(pickle.loads(pickle.dumps(value))) == repr(value)
        value.model_dump()
    assert pickle.dumps(body) == before


# -- pages, through a client ----------------------------------------------------------------------


class Script:
    """A server that responds as a script says, with the last part for ever."""

    def __init__(self, script: Sequence[tuple[int, dict[str, str], object]]) -> None:
        self._script = script
        self._asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Respond to a request."""
        status, headers, body = self._script[min(self._asked, len(self._script) - 1)]
        self._asked += 1
        assert self._asked < MANY, "this does not end"
        return httpx.Response(status, headers=headers, content=json.dumps(body).encode())

    async def later(self, request: httpx.Request) -> httpx.Response:
        """Respond to a request, awaited."""
        return self(request)


page_bodies = near("get_repositories", "get_repository_tags")
scripts = st.lists(
    st.tuples(
        st.just(200) | statuses.filter(lambda status: status != 204),
        st.fixed_dictionaries({}, optional={"retry-after": digits.map(str.strip)}),
        page_bodies | page_bodies | values,
    ),
    min_size=1,
    max_size=4,
)
OPTIONS: dict[str, Any] = {
    "base_url": "https://registry.invalid",
    "credential": {},
    "retry": RetryPolicy(max_retries=1, base_delay=0, throttled_base_delay=0, max_retry_after=0),
}


def turn_pages(client: Client) -> None:
    """Go from page to page, as the server says."""
    page = client.repositories.list()
    for _ in range(5):
        assert page.skipped >= 0
        following = page.next_page()
        if following is None:
            break
        page = following


async def turn_async_pages(client: AsyncClient) -> None:
    """As `turn_pages`, awaited."""
    page = await client.repositories.list()
    for _ in range(5):
        following = await page.next_page()
        if following is None:
            break
        page = following


async def up_to_100(items: AsyncIterator[object]) -> None:
    """Read the beginning of a list."""
    for _ in range(100):
        if await anext(items, None) is None:
            break


WAYS: dict[str, Callable[[Client], object]] = {
    "repositories": lambda client: list(islice(client.repositories, 100)),
    "pages": lambda client: list(
        islice(client.repositories.iter(page_size=2, offset=3).pages(), 100)
    ),
    "tags": lambda client: list(islice(client.tags.iter("1"), 100)),
    "find": lambda client: client.repositories.find("another"),
    "get_or_create": lambda client: client.repositories.get_or_create("another"),
    "next_page": turn_pages,
}
ASYNC_WAYS: dict[str, Callable[[AsyncClient], Coroutine[Any, Any, object]]] = {
    "async repositories": lambda client: up_to_100(aiter(client.repositories)),
    "async tags": lambda client: up_to_100(aiter(client.tags.iter("1"))),
    "async find": lambda client: client.repositories.find("another"),
    "async get_or_create": lambda client: client.repositories.get_or_create("another"),
    "async next_page": turn_async_pages,
}
PAGE = REFERENCE["get_repositories"] | {"has_next": True}
# What a page may hold that is easily forgotten, each for ever.
PAGES: dict[str, dict[str, Any]] = {
    "the same": PAGE,
    "no rows": PAGE | {"registry_repositories": []},
    "no rows under another name": PAGE | {"items": []},
    "rows under two names": PAGE | {"tags": [{}, {}]},
    "rows that are none": PAGE | {"registry_repositories": [None, 1, []]},
    "rows without an id": PAGE | {"registry_repositories": [{}] * 3},
    "an offset of 4,300 digits": PAGE | {"offset": int("9" * 4300)},
    "a limit of 4,300 digits": PAGE | {"limit": int("9" * 4300)},
    "an id of 4,300 digits": PAGE | {"registry_repositories": [{"id": int("9" * 4300)}]},
}
rows = pytest.mark.parametrize("invalid_rows", ["raise", "skip"])


def read_with(way: str, invalid_rows: Any, script: Any) -> None:
    """Read a list in some way: nothing comes of it but a value, or one of our exceptions."""
    server = Script(script)
    settings: dict[str, Any] = {"invalid_rows": invalid_rows, **OPTIONS}

    def read() -> object:
        with httpx.Client(transport=httpx.MockTransport(server)) as library:
            return WAYS[way](Client("1", http_client=library, **settings))

    async def read_async() -> object:
        async with httpx.AsyncClient(transport=httpx.MockTransport(server.later)) as library:
            return await ASYNC_WAYS[way](AsyncClient("1", http_client=library, **settings))

    outcome_of(read if way in WAYS else lambda: asyncio.run(read_async()))


@rows
@pytest.mark.parametrize("way", [*WAYS, *ASYNC_WAYS])
@given(script=scripts)
def test_any_pages_end(way: str, invalid_rows: str, script: Any) -> None:
    """Whatever the pages of a list say, reading it ends, with items or one of our exceptions."""
    read_with(way, invalid_rows, script)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@rows
@pytest.mark.parametrize("way", [*WAYS, *ASYNC_WAYS])
def test_such_a_page_for_ever_ends(way: str, invalid_rows: str, page: dict[str, Any]) -> None:
    """The same is true of a page that comes again and again, and says that more follow."""
    read_with(way, invalid_rows, [(200, {}, page)])


# -- the cursor -----------------------------------------------------------------------------------

ids = st.sampled_from(["", "\0", "\x000", "\x001"]) | st.integers(0, 30).map(str)
windows = st.lists(st.tuples(st.lists(ids, max_size=8), st.booleans()), max_size=60)


def walk_of(
    remembered: int, pages: Sequence[Sequence[str | None]], start: int = 0
) -> dict[str, Any]:
    """Return an input of the test below: these pages, all but the last with more to follow."""
    seen = [(list(page), at < len(pages) - 1) for at, page in enumerate(pages)]
    return {"limit": 1, "start": start, "remembered": remembered, "seen": seen}


# Rows without an id take a place in the memory too.
@example(**walk_of(2, [["\0", None], [None, None], [None, "\0"]]))
@example(**walk_of(3, [["23", None, "23", "14", "23", "14"], [None, "14", None], ["14", "23"]]))
@example(**walk_of(4, [["1", "1", None, "12", "10"], ["10", None], ["12", "1"]], start=17))
# An item that looked removed and turned up again takes one, and is not yielded.
@example(
    **walk_of(
        7,
        [
            ["7", "10", "9", "9", "12", "7"],
            ["30", None, "7", "7", "\x000", "14"],
            ["12", None, "30"],
            ["9", "30", "10", "14", None],
            ["9", "10", "\x000"],
        ],
    )
)
# Of more items than fit, all of which look removed at once, the latest are remembered.
@example(**walk_of(5, [["26", "0", "", None, "22", "3", "5", "3"], ["5"], ["11"], ["3"]], start=3))
@given(
    limit=st.integers(1, 10), start=st.integers(0, 20), remembered=st.integers(1, 40), seen=windows
)
def test_any_rows_keep_a_walk_in_order(
    limit: int, start: int, remembered: int, seen: list[tuple[list[str], bool]]
) -> None:
    """Whatever ids come: rows of the page in order, or an end that says why.

    No item is yielded again before as many other rows as the walk remembers.
    """
    cursor = Cursor(limit, start, max_remembered=remembered)
    rows = 0
    yielded_at: dict[str, int] = {}
    for page, has_next in seen:
        where = (cursor.offset, cursor.resume_offset)
        fresh = outcome_of(partial(cursor.record, page, has_next))
        if isinstance(fresh, Error):
            assert isinstance(fresh, PaginationError)
            assert (cursor.offset, cursor.resume_offset) == where
            break
        assert fresh == sorted(set(fresh))
        assert all(0 <= at < len(page) for at in fresh)
        assert cursor.offset >= 0
        assert cursor.resume_offset >= 0
        assert cursor.limit == limit
        for at in fresh:
            assert rows + at - yielded_at.get(page[at], -math.inf) > remembered
            yielded_at[page[at]] = rows + at
        rows += len(page)
        if cursor.done:
            assert not has_next
            break


@given(page=st.lists(ids, min_size=1, max_size=8), limit=st.integers(1, 10))
def test_the_same_rows_for_ever_end(page: list[str], limit: int) -> None:
    """A page that comes again and again is noticed."""
    cursor = Cursor(limit)
    with pytest.raises(PaginationError, match="more follow"):
        deque((cursor.record(page, has_next=True) for _ in range(MANY)), maxlen=0)
