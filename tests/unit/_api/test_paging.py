"""Exactly-once iteration over a list that others change, and the checks of windows."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import examples
from tests.support.internals import (
    MAX_REMEMBERED,
    MAX_STALLED_PAGES,
    Cursor,
    PageRows,
    check_count,
    check_window,
    next_page,
)

from abeja_registry import (
    AsyncListing,
    AsyncPage,
    Client,
    Error,
    Listing,
    Page,
    PaginationError,
    Tag,
)
from abeja_registry.sandbox import Sandbox

TAG = Tag.model_validate(examples.TAG)


class Server:
    """A list that others change between requests, and its pages.

    Args:
        size: Items at the beginning: the numbers up to it.
        changes: What happens before the second request, before the third, and so on: a pair each,
            whether a new item is inserted or one removed, and where.
        clamps: The largest page, from request to request, over and over.
    """

    def __init__(
        self,
        size: int,
        changes: Sequence[Sequence[tuple[bool, int]]] = (),
        clamps: Sequence[int] = (10**9,),
    ) -> None:
        self.items = list(range(size))
        self.requests: list[tuple[int, int]] = []
        self.lasting = set(self.items)
        self._new = itertools.count(size)
        self._changes = iter(changes)
        self._clamps = itertools.cycle(clamps)

    def page(self, limit: int, offset: int) -> tuple[list[int], bool]:
        """Return the items of a page, and whether more follow."""
        if self.requests:
            for insert, where in next(self._changes, ()):
                at = where % (len(self.items) + 1)
                if insert:
                    self.items.insert(at, next(self._new))
                else:
                    del self.items[at : at + 1]
        self.lasting &= set(self.items)
        self.requests.append((limit, offset))
        assert len(self.requests) < 5000, "the walk does not end"
        end = offset + min(limit, next(self._clamps))
        return self.items[offset:end], end < len(self.items)

    def tags(self, limit: int, offset: int) -> Page[Tag]:
        """Return a page of tags."""
        page: Page[Tag] = self._page_of(Page[Tag], limit, offset)
        return page

    async def async_tags(self, limit: int, offset: int) -> AsyncPage[Tag]:
        """Return an async page of tags."""
        page: AsyncPage[Tag] = self._page_of(AsyncPage[Tag], limit, offset)
        return page

    def _page_of(self, kind: Any, limit: int, offset: int) -> Any:
        items, has_next = self.page(limit, offset)
        tags = tuple(TAG.model_copy(update={"id": str(item)}) for item in items)
        return kind.model_construct(items=tags, offset=offset, limit=limit, has_next=has_next)

    def check(self, yielded: Sequence[int]) -> None:
        """Check that surviving items were yielded once, in order, and none twice."""
        assert len(set(yielded)) == len(yielded)
        lasting = [item for item in self.items if item in self.lasting]
        assert [item for item in yielded if item in self.lasting] == lasting


def walk(cursor: Cursor, server: Server) -> list[int]:
    """Iterate over a server's list to its end; return the yielded items."""
    yielded = []
    while not cursor.done:
        items, has_next = server.page(cursor.limit, cursor.offset)
        fresh = cursor.record(list(map(str, items)), has_next)
        yielded += [items[at] for at in fresh]
    return yielded


def rows_of(page: Any) -> PageRows[Any]:
    """Return a page without skipped rows."""
    return PageRows(page, page.items, [item.id for item in page], {})


# A page's limit and offset in place of its operation.
NEXT_PAGE: Any = partial(next_page, list_page=lambda *window: cast(Any, window), read_page=rows_of)


def listing(
    fetch: Callable[[int, int], Page[Tag]], page_size: int | None = None, start: int = 0
) -> Listing[Tag]:
    """Return a list with pages from a function."""

    def fetch_next(walk: Any) -> Page[Tag] | None:
        flow = NEXT_PAGE(walk)
        try:
            window = next(flow)
            while True:
                try:
                    page = fetch(*window)
                except Error as error:
                    window = flow.throw(error)
                else:
                    window = flow.send(page)
        except StopIteration as end:
            found: Page[Tag] | None = end.value
            return found

    return Listing(fetch_next, page_size, start)


def async_listing(
    fetch: Callable[[int, int], Awaitable[AsyncPage[Tag]]],
    page_size: int | None = None,
    start: int = 0,
) -> AsyncListing[Tag]:
    """Return an async list with pages from a function."""

    async def fetch_next(walk: Any) -> AsyncPage[Tag] | None:
        flow = NEXT_PAGE(walk)
        try:
            window = next(flow)
            while True:
                try:
                    page = await fetch(*window)
                except Error as error:
                    window = flow.throw(error)
                else:
                    window = flow.send(page)
        except StopIteration as end:
            found: AsyncPage[Tag] | None = end.value
            return found

    return AsyncListing(fetch_next, page_size, start)


def numbers(tags: Sequence[Tag]) -> list[int]:
    """Return the items of tags."""
    return [int(tag.id) for tag in tags]


async def gathered(listing: AsyncListing[Tag]) -> list[Tag]:
    """Iterate over an async list."""
    return [tag async for tag in listing]


async def gathered_by_page(listing: AsyncListing[Tag]) -> list[Tag]:
    """Iterate over an async list by its pages."""
    return [tag async for page in listing.pages() for tag in page]


CHANGES = st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=8), max_size=20)
DELETES = st.lists(
    st.lists(st.tuples(st.just(False), st.integers(0, 100)), max_size=30), max_size=20
)
CLAMPS = st.lists(st.integers(2, 12), min_size=1, max_size=5)
LIMITS = st.integers(2, 12)
SIZES = st.integers(0, 60)

# -- a list that others change --------------------------------------------------------------------


@settings(max_examples=400)
@given(SIZES, LIMITS, CLAMPS, CHANGES)
def test_exactly_once_under_any_changes(
    size: int, limit: int, clamps: list[int], changes: list[list[tuple[bool, int]]]
) -> None:
    """Items that exist throughout are yielded once, in order; none is yielded twice."""
    server = Server(size, changes, clamps)
    server.check(walk(Cursor(limit), server))


@given(SIZES, LIMITS, CLAMPS, CHANGES)
def test_listings_under_any_changes(
    size: int, limit: int, clamps: list[int], changes: list[list[tuple[bool, int]]]
) -> None:
    """The same for items and pages; sync and async request the same windows."""
    servers = [Server(size, changes, clamps) for _ in range(4)]
    one, two, three, four = servers
    walks = [
        list(listing(one.tags, limit)),
        [tag for page in listing(two.tags, limit).pages() for tag in page],
        asyncio.run(gathered(async_listing(three.async_tags, limit))),
        asyncio.run(gathered_by_page(async_listing(four.async_tags, limit))),
    ]
    for server, tags in zip(servers, walks, strict=True):
        server.check(numbers(tags))
        assert tags == walks[0]
        assert server.requests == one.requests


@given(SIZES, LIMITS, CLAMPS, DELETES, st.integers(12, 30))
def test_a_small_memory_under_any_changes(
    size: int,
    limit: int,
    clamps: list[int],
    deletes: list[list[tuple[bool, int]]],
    remembered: int,
) -> None:
    """No item is yielded twice; at worst a PaginationError gives the reason."""
    server = Server(size, deletes, clamps)
    cursor = Cursor(limit, max_remembered=remembered)
    yielded: list[int] = []
    try:
        while not cursor.done:
            items, has_next = server.page(cursor.limit, cursor.offset)
            yielded += [items[at] for at in cursor.record(list(map(str, items)), has_next)]
    except PaginationError as error:
        assert f"none of the last {remembered} items seen" in str(error)  # noqa: PT017 - at worst
        assert len(set(yielded)) == len(yielded)
    else:
        server.check(yielded)


# -- unchanged lists ------------------------------------------------------------------------------


@given(SIZES, LIMITS, CLAMPS, SIZES)
def test_an_unchanged_list(size: int, limit: int, clamps: list[int], start: int) -> None:
    """All items from the offset on are yielded once, in order."""
    server = Server(size, (), clamps)
    cursor = Cursor(limit, start)
    assert walk(cursor, server) == list(range(start, size))
    assert cursor.resume_offset == max(size, start)
    assert {limit for limit, _ in server.requests} == {limit}


@given(st.integers(0, 20))
def test_pages_of_one(size: int) -> None:
    """If the server returns single items, each costs one request in an unchanged list."""
    server = Server(size, (), [1])
    assert walk(Cursor(10), server) == list(range(size))
    assert server.requests == [(10, offset) for offset in range(max(1, size))]


def test_a_new_cursor_starts_at_its_offset() -> None:
    """It is not done, and requests the first page."""
    first, later = Cursor(10), Cursor(10, 30)
    assert (first.limit, first.offset, first.done, first.resume_offset) == (10, 0, False, 0)
    assert (later.limit, later.offset, later.done, later.resume_offset) == (10, 30, False, 30)


@given(st.lists(st.integers(2, 50)), st.integers(1, 50), st.integers(0, 1000), st.integers(2, 100))
def test_the_next_page_starts_at_the_last_item(
    full: list[int], last: int, start: int, limit: int
) -> None:
    """Also if the server clamps the limit."""
    cursor = Cursor(limit, start)
    here = start
    for count in full:
        ids = [str(at) for at in range(cursor.offset, cursor.offset + count)]
        fresh = cursor.record(ids, has_next=True)
        assert [cursor.resume_offset - count + at for at in fresh] == list(
            range(here, cursor.resume_offset)
        )
        here = cursor.resume_offset
        assert (cursor.limit, cursor.offset, cursor.done) == (limit, here - 1, False)
    ids = [str(at) for at in range(cursor.offset, cursor.offset + last)]
    cursor.record(ids, has_next=False)
    assert (cursor.done, cursor.resume_offset) == (True, here + last - bool(full))


@pytest.mark.parametrize(("size", "requests"), [(0, 1), (100, 1), (199, 2), (1000, 11)])
def test_the_requests_for_an_unchanged_list(size: int, requests: int) -> None:
    """A thousand items in pages of a hundred cost eleven requests."""
    server = Server(size)
    assert numbers(list(listing(server.tags))) == list(range(size))
    assert len(server.requests) == requests


# -- loops that delete the yielded items ----------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100, 1000, 12_000])
def test_deleting_every_yielded_item(size: int) -> None:
    """Of 12,000 items none is left, and each is yielded once."""
    server = Server(size)
    shown = []
    for tag in listing(server.tags):
        shown.append(int(tag.id))
        server.items.remove(int(tag.id))
    assert shown == list(range(size))
    assert server.items == []


def test_deleting_the_last_item_of_each_page() -> None:
    """No item is missed, with at most twice the requests."""
    server = Server(1000)
    shown = []
    for page in listing(server.tags).pages():
        shown += numbers(page)
        server.items.remove(shown[-1])
    assert shown == list(range(1000))
    assert len(server.requests) <= 2 * 14


@pytest.mark.parametrize("kept", [2, 3, 7])
def test_deleting_most_of_the_yielded_items(kept: int) -> None:
    """Exactly the items that a filter keeps are left."""
    server = Server(1000)
    for tag in listing(server.tags):
        if int(tag.id) % kept:
            server.items.remove(int(tag.id))
    assert server.items == list(range(0, 1000, kept))


def test_an_organization_is_emptied(sandbox: Sandbox) -> None:
    """`for repository in client.repositories: repository.delete()` leaves none."""
    with Client(**sandbox.connection) as client:
        for number in range(250):
            client.repositories.create(f"repository-{number}")
        for repository in client.repositories:
            repository.delete()
        assert list(client.repositories) == []


def test_more_deletions_than_a_cursor_remembers() -> None:
    """PaginationError: older items could be yielded twice."""
    server = Server(400)
    cursor = Cursor(10, max_remembered=50)
    seen = []
    for _ in range(20):
        items, has_next = server.page(10, cursor.offset)
        seen += [items[at] for at in cursor.record(list(map(str, items)), has_next)]
    assert seen == list(range(181))
    # Delete all remembered items, but no older ones.
    del server.items[100:181]
    with pytest.raises(PaginationError, match="none of the last 50 items seen is left"):
        walk(cursor, server)
    assert cursor.offset == 0
    assert server.requests[-1] == (10, 0)


def test_evicted_items_were_deleted_too() -> None:
    """If the list starts with a remembered item, no evicted item is left."""
    server = Server(20)
    cursor = Cursor(4, max_remembered=4)
    seen: list[int] = []

    def walk_to(offset: int) -> None:
        while cursor.offset != offset:
            items, has_next = server.page(4, cursor.offset)
            seen.extend(items[at] for at in cursor.record(list(map(str, items)), has_next))

    walk_to(9)
    del server.items[:9]
    walk_to(3)
    del server.items[:4]
    seen += walk(cursor, server)
    assert seen == list(range(20))


def test_items_that_reappear() -> None:
    """The latest of those that looked removed are remembered; older ones are yielded again."""
    cursor = Cursor(4, max_remembered=3)
    assert cursor.record(["a", "b"], has_next=True) == [0, 1]
    for after in ("c", "d", "e", "f"):
        assert cursor.record(["a", after], has_next=True) == [1]
    for known in ("c", "d", "e"):
        assert cursor.record(["a", known], has_next=True) == []
    assert cursor.record(["a", "b"], has_next=True) == [1]


def test_as_many_deletions_as_a_cursor_remembers() -> None:
    """Ten thousand may be deleted between two requests if one seen item is left."""
    server = Server(MAX_REMEMBERED + 500)
    tags = iter(listing(server.tags, 1000))
    seen = numbers([next(tags) for _ in range(MAX_REMEMBERED - 9)])
    del server.items[1 : MAX_REMEMBERED - 9]
    seen += numbers(list(tags))
    assert seen == list(range(MAX_REMEMBERED + 500))


def test_deletions_before_the_first_offset() -> None:
    """Items before the offset were not seen, and look like new ones."""
    server = Server(100)
    tags = iter(listing(server.tags, 10, 50))
    assert numbers([next(tags) for _ in range(10)]) == list(range(50, 60))
    del server.items[50:60]
    with pytest.raises(PaginationError, match="too many items were removed"):
        next(tags)


def test_memory_is_bounded() -> None:
    """A cursor keeps a limited number of ids, for any list and any deletions."""
    server = Server(2000)
    cursor = Cursor(20, max_remembered=40)
    while not cursor.done:
        items, has_next = server.page(20, cursor.offset)
        cursor.record(list(map(str, items)), has_next)
        del server.items[cursor.offset - 10 : cursor.offset - 5]
        assert len(pickle.dumps(cursor)) < 3000


# -- servers that are broken ----------------------------------------------------------------------


def page_of(ids: Sequence[int], has_next: bool = True) -> Page[Tag]:
    """Return a page as a broken server may send it."""
    items = tuple(TAG.model_copy(update={"id": str(number)}) for number in ids)
    return Page[Tag].model_construct(items=items, offset=0, limit=10, has_next=has_next)


def cycling() -> Callable[[int, int], Page[Tag]]:
    """Return a server with three pages that repeat forever."""
    pages = itertools.cycle([page_of(range(10)), page_of(range(9, 19)), page_of(range(18, 28))])
    return lambda limit, offset: next(pages)


def swapping() -> Callable[[int, int], Page[Tag]]:
    """Return a server with two disjoint pages that alternate forever."""
    pages = itertools.cycle([page_of(range(10)), page_of(range(10, 20))])
    return lambda limit, offset: next(pages)


def ever_more(limit: int, offset: int) -> Page[Tag]:
    """Return a page of a list of 50 that always says that more follow."""
    end = min(50, offset + limit)
    return page_of(range(min(offset, 49), end))


NOTHING_NEW = (
    f"{MAX_STALLED_PAGES + 1} pages in a row, .* hold no new item and say that more follow"
)
BROKEN: dict[str, tuple[Callable[[int, int], Page[Tag]], int, str]] = {
    "the same page for ever": (lambda limit, offset: page_of(range(limit)), 10, NOTHING_NEW),
    "the same item for ever": (lambda limit, offset: page_of([0]), 1, NOTHING_NEW),
    "the last page for ever": (ever_more, 50, NOTHING_NEW),
    "pages that cycle": (cycling(), 28, NOTHING_NEW),
    "pages that swap": (swapping(), 10, NOTHING_NEW),
    "an empty page": (
        lambda limit, offset: page_of(()),
        0,
        "the page at offset 0 is empty and says that more follow",
    ),
    "an empty page at the end": (
        lambda limit, offset: page_of(range(offset, offset + limit) if offset < 9 else ()),
        10,
        "the page at offset 9 is empty and says that more follow",
    ),
}


@pytest.mark.parametrize(("fetch", "items", "message"), BROKEN.values(), ids=BROKEN)
def test_iteration_over_a_broken_list_ends(
    fetch: Callable[[int, int], Page[Tag]], items: int, message: str
) -> None:
    """Each item is yielded once; then the error has the reason and an offset."""
    requests = 0

    def counted(limit: int, offset: int) -> Page[Tag]:
        nonlocal requests
        requests += 1
        assert requests < 1000, "the walk does not end"
        return fetch(limit, offset)

    shown: list[int] = []
    with pytest.raises(PaginationError, match=message) as caught:
        shown.extend(int(tag.id) for tag in listing(counted, 10))
    assert shown == list(range(items))
    assert caught.value.resume_offset is not None


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_iteration_over_random_pages_ends(seed: int, size: int) -> None:
    """No item is yielded twice."""
    draw = random.Random(seed)
    cursor = Cursor(10)
    seen: list[str] = []
    for _ in range(100 * MAX_STALLED_PAGES):
        ids = [str(number) for number in draw.sample(range(30), size)]
        try:
            seen += [ids[at] for at in cursor.record(ids, has_next=True)]
        except PaginationError:
            break
    else:
        pytest.fail("the walk does not end")
    assert len(set(seen)) == len(seen)


def test_a_duplicate_row_in_a_page() -> None:
    """It is yielded once."""
    assert Cursor(10).record(["a", "b", "a"], has_next=False) in ([0, 1], [1, 2])


def test_a_duplicate_id_around_a_seen_one() -> None:
    """Of equal new ids after the last seen one the first is yielded, wherever the id was before."""
    cursor = Cursor(limit=10)
    assert cursor.record(["a", "b"], True) == [0, 1]
    assert cursor.record(["x", "b", "x", "y", "y"], False) == [2, 3]


def test_an_empty_page_with_has_next_is_an_error() -> None:
    """The error has the offset, and the cursor does not move."""
    cursor = Cursor(10, 20)
    with pytest.raises(PaginationError, match="offset 20 is empty"):
        cursor.record([], has_next=True)
    assert (cursor.offset, cursor.done) == (20, False)


def test_all_items_are_deleted_during_an_iteration() -> None:
    """It goes back to the start, and ends."""
    server = Server(100)
    tags = iter(listing(server.tags, 10))
    assert numbers([next(tags) for _ in range(10)]) == list(range(10))
    server.items.clear()
    assert list(tags) == []
    assert server.requests[-1] == (10, 0)


# -- going on -------------------------------------------------------------------------------------


class Failing(Server):
    """A server that fails one request."""

    fails = -1

    def page(self, limit: int, offset: int) -> tuple[list[int], bool]:
        """Fail, or return a page."""
        page = super().page(limit, offset)
        if len(self.requests) == self.fails:
            raise Error("the network is gone")
        return page


def until_it_fails(walk: Iterator[Tag]) -> tuple[list[Tag], Error]:
    """Return the items yielded before the failure, and the error."""
    tags: list[Tag] = []
    with pytest.raises(Error) as caught:
        tags.extend(walk)
    return tags, caught.value


@given(st.integers(1, 60), LIMITS, CLAMPS, st.integers(1, 10), st.integers(0, 30))
def test_a_failed_iteration_can_be_resumed(
    size: int, limit: int, clamps: list[int], fails: int, start: int
) -> None:
    """The same iterator, or a new one from resume_offset, yields exactly the rest."""
    server = Failing(size, (), clamps)
    whole = list(range(start, size))
    requests = len(asked) if (asked := _windows(size, limit, clamps, start)) else 0
    server.fails = 1 + fails % requests
    walk = iter(listing(server.tags, limit, start))
    first, error = until_it_fails(walk)
    assert error.resume_offset is not None
    assert numbers(first) + numbers(list(walk)) == whole
    offset: int = pickle.loads(pickle.dumps(error)).resume_offset
    rest = listing(Server(size, (), clamps).tags, limit, offset)
    assert numbers(first) + numbers(list(rest)) == whole


def _windows(size: int, limit: int, clamps: list[int], start: int) -> list[tuple[int, int]]:
    server = Server(size, (), clamps)
    walk(Cursor(limit, start), server)
    return server.requests


def test_a_failed_async_iteration_can_be_resumed() -> None:
    """As with sync clients, and by pages."""

    async def attempt() -> None:
        server = Failing(100)
        server.fails = 3
        pages = async_listing(server.async_tags, 10).pages()
        first = [await anext(pages), await anext(pages)]
        with pytest.raises(Error) as caught:
            await anext(pages)
        assert caught.value.resume_offset == 19
        shown = numbers([tag for page in first for tag in page])
        rest = async_listing(Server(100).async_tags, 10, caught.value.resume_offset)
        assert shown + numbers(await gathered(rest)) == list(range(100))
        assert shown + numbers([tag async for page in pages for tag in page]) == list(range(100))

    asyncio.run(attempt())


def test_an_error_of_a_single_page_has_no_resume_offset() -> None:
    """The caller knows the page."""
    server = Failing(10)
    server.fails = 1
    with pytest.raises(Error) as caught:
        server.tags(10, 0)
    assert caught.value.resume_offset is None


def test_a_failure_while_stepping_back() -> None:
    """No item is missed or yielded twice."""
    for fails in range(2, 6):
        server = Failing(100)
        server.fails = fails
        tags = iter(listing(server.tags, 20))
        seen = numbers([next(tags) for _ in range(20)])
        del server.items[1:20]
        more, _ = until_it_fails(tags)
        assert seen + numbers(more) + numbers(list(tags)) == list(range(100))


@pytest.mark.parametrize("offset", [-1, True, 1.0, None, "0"], ids=repr)
@pytest.mark.parametrize("kind", [Listing, AsyncListing])
def test_a_bad_offset_is_refused(kind: Callable[..., object], offset: Any) -> None:
    """The error has the argument's name, and no request is sent."""
    with pytest.raises((TypeError, ValueError), match=r"^offset must be "):
        kind(print, 10, offset)


# -- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 1, 10**6])
@pytest.mark.parametrize("offset", [None, 0, 10**6])
def test_a_window_within_bounds_passes(limit: int | None, offset: int | None) -> None:
    """A limit >= 1, an offset >= 0, or None for either."""
    check_window(limit, offset)


@pytest.mark.parametrize(
    ("limit", "offset", "error", "message"),
    [
        (0, None, ValueError, "limit must be at least 1, not 0"),
        (-1, 0, ValueError, "limit must be at least 1, not -1"),
        (1, -1, ValueError, "offset must be at least 0, not -1"),
        ("1", None, TypeError, "limit must be a whole number, not '1'"),
        (1.0, None, TypeError, r"limit must be a whole number, not 1\.0"),
        (True, None, TypeError, "limit must be a whole number, not True"),
        (None, False, TypeError, "offset must be a whole number, not False"),
    ],
)
def test_a_window_out_of_bounds_is_refused(
    limit: int, offset: int, error: type[Exception], message: str
) -> None:
    """The error has the argument, its bound and the value."""
    with pytest.raises(error, match=f"^{message}$"):
        check_window(limit, offset)


@given(st.integers(), st.integers())
def test_a_count_is_returned_or_refused(value: int, least: int) -> None:
    """An integer is returned if it is large enough; all other values are refused."""
    if value >= least:
        assert check_count("page_size", value, least=least) == value
    else:
        with pytest.raises(ValueError, match=f"^page_size must be at least {least}, not {value}$"):
            check_count("page_size", value, least=least)


def test_the_resume_offset_after_stepping_back() -> None:
    """Deletions have moved unseen items before the previous offset."""
    cursor = Cursor(4)
    cursor.record(["a", "b", "c", "d"], True)
    assert (cursor.offset, cursor.resume_offset) == (3, 4)
    cursor.record(["h", "i"], True)
    assert cursor.resume_offset == cursor.offset < 3
