"""Where a walk is in a list that others change, and the numbers that are refused."""

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
    """A list that others change between requests, and how it is paged through.

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
        """Return a page as a typed client does."""
        page: Page[Tag] = self._page_of(Page[Tag], limit, offset)
        return page

    async def async_tags(self, limit: int, offset: int) -> AsyncPage[Tag]:
        """Return a page as an async typed client does."""
        page: AsyncPage[Tag] = self._page_of(AsyncPage[Tag], limit, offset)
        return page

    def _page_of(self, kind: Any, limit: int, offset: int) -> Any:
        items, has_next = self.page(limit, offset)
        tags = tuple(TAG.model_copy(update={"id": str(item)}) for item in items)
        return kind.model_construct(items=tags, offset=offset, limit=limit, has_next=has_next)

    def check(self, yielded: Sequence[int]) -> None:
        """See that what lasted was yielded once and in order, and that nothing was twice."""
        assert len(set(yielded)) == len(yielded)
        lasting = [item for item in self.items if item in self.lasting]
        assert [item for item in yielded if item in self.lasting] == lasting


def walk(cursor: Cursor, server: Server) -> list[int]:
    """Walk through a server's list to its end, and return what a walk yields."""
    yielded = []
    while not cursor.done:
        items, has_next = server.page(cursor.limit, cursor.offset)
        fresh = cursor.record(list(map(str, items)), has_next)
        yielded += [items[at] for at in fresh]
    return yielded


def rows_of(page: Any) -> PageRows[Any]:
    """Return a page as it was read, nothing of it skipped."""
    return PageRows(page, page.items, [item.id for item in page], {})


# A page's limit and offset in place of its operation.
NEXT_PAGE: Any = partial(next_page, list_page=lambda *window: cast(Any, window), read_page=rows_of)


def listing(
    fetch: Callable[[int, int], Page[Tag]], page_size: int | None = None, start: int = 0
) -> Listing[Tag]:
    """Return a list whose pages a function fetches."""

    def run(flow: Any, _: float) -> Page[Tag] | None:
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

    return Listing(run, NEXT_PAGE, page_size, start)


def async_listing(
    fetch: Callable[[int, int], Awaitable[AsyncPage[Tag]]],
    page_size: int | None = None,
    start: int = 0,
) -> AsyncListing[Tag]:
    """Return an async list whose pages a function fetches."""

    async def run(flow: Any, _: float) -> AsyncPage[Tag] | None:
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

    return AsyncListing(run, NEXT_PAGE, page_size, start)


def numbers(tags: Sequence[Tag]) -> list[int]:
    """Return the items that tags stand for."""
    return [int(tag.id) for tag in tags]


async def gathered(listing: AsyncListing[Tag]) -> list[Tag]:
    """Walk through an async list."""
    return [tag async for tag in listing]


async def gathered_by_page(listing: AsyncListing[Tag]) -> list[Tag]:
    """Walk through an async list by its pages."""
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
def test_whatever_others_do(
    size: int, limit: int, clamps: list[int], changes: list[list[tuple[bool, int]]]
) -> None:
    """What is there from the first request to the last is yielded once, in order; nothing twice."""
    server = Server(size, changes, clamps)
    server.check(walk(Cursor(limit), server))


@given(SIZES, LIMITS, CLAMPS, CHANGES)
def test_whatever_others_do_to_a_listing(
    size: int, limit: int, clamps: list[int], changes: list[list[tuple[bool, int]]]
) -> None:
    """The same holds for items and pages, in both worlds, which ask for the same windows."""
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
def test_a_walk_that_remembers_little(
    size: int,
    limit: int,
    clamps: list[int],
    deletes: list[list[tuple[bool, int]]],
    remembered: int,
) -> None:
    """However much is removed, nothing is yielded twice; at worst the walk says why it ends."""
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


# -- a list that nobody changes -------------------------------------------------------------------


@given(SIZES, LIMITS, CLAMPS, SIZES)
def test_a_list_that_stays_as_it_is(size: int, limit: int, clamps: list[int], start: int) -> None:
    """Everything from the start on is yielded once and in order."""
    server = Server(size, (), clamps)
    cursor = Cursor(limit, start)
    assert walk(cursor, server) == list(range(start, size))
    assert cursor.resume_offset == max(size, start)
    assert {limit for limit, _ in server.requests} == {limit}


@given(st.integers(0, 20))
def test_pages_of_one(size: int) -> None:
    """Where a server gives single items, each costs one request, as long as nothing moves."""
    server = Server(size, (), [1])
    assert walk(Cursor(10), server) == list(range(size))
    assert server.requests == [(10, offset) for offset in range(max(1, size))]


def test_a_walk_starts_at_its_offset_and_is_not_done() -> None:
    """A new cursor asks for the first page, from the offset that it was given."""
    first, later = Cursor(10), Cursor(10, 30)
    assert (first.limit, first.offset, first.done, first.resume_offset) == (10, 0, False, 0)
    assert (later.limit, later.offset, later.done, later.resume_offset) == (10, 30, False, 30)


@given(st.lists(st.integers(2, 50)), st.integers(1, 50), st.integers(0, 1000), st.integers(2, 100))
def test_a_walk_moves_by_what_came(full: list[int], last: int, start: int, limit: int) -> None:
    """However the server clamps the limit, the next page begins with the last item that came."""
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
def test_what_an_undisturbed_walk_costs(size: int, requests: int) -> None:
    """A thousand items in pages of a hundred cost eleven requests."""
    server = Server(size)
    assert numbers(list(listing(server.tags))) == list(range(size))
    assert len(server.requests) == requests


# -- a loop that removes what it is shown ---------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100, 1000, 12_000])
def test_removing_all_that_is_shown_empties_the_list(size: int) -> None:
    """Of 12,000 items not one is left, and each is shown once."""
    server = Server(size)
    shown = []
    for tag in listing(server.tags):
        shown.append(int(tag.id))
        server.items.remove(int(tag.id))
    assert shown == list(range(size))
    assert server.items == []


def test_removing_only_the_last_item_shown() -> None:
    """The overlap is removed each time: nothing is lost, for twice the requests at the most."""
    server = Server(1000)
    shown = []
    for page in listing(server.tags).pages():
        shown += numbers(page)
        server.items.remove(shown[-1])
    assert shown == list(range(1000))
    assert len(server.requests) <= 2 * 14


@pytest.mark.parametrize("kept", [2, 3, 7])
def test_removing_most_of_what_is_shown(kept: int) -> None:
    """What a filter keeps is there at the end, and nothing else."""
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


def test_more_is_removed_than_a_walk_remembers() -> None:
    """It ends where a repeat could follow, says why, and does not go on by itself."""
    server = Server(400)
    cursor = Cursor(10, max_remembered=50)
    seen = []
    for _ in range(20):
        items, has_next = server.page(10, cursor.offset)
        seen += [items[at] for at in cursor.record(list(map(str, items)), has_next)]
    assert seen == list(range(181))
    # All that it remembers, and not what it has seen before that.
    del server.items[100:181]
    with pytest.raises(PaginationError, match="none of the last 50 items seen is left"):
        walk(cursor, server)
    assert cursor.offset == 0
    assert server.requests[-1] == (10, 0)


def test_what_is_remembered_no_more_was_removed_too() -> None:
    """Where the first of the list is known, nothing older is there that could come again."""
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


def test_what_looked_removed_is_remembered_as_long_as_what_was_seen() -> None:
    """The latest that turn up again are known; one before those comes again."""
    cursor = Cursor(4, max_remembered=3)
    assert cursor.record(["a", "b"], has_next=True) == [0, 1]
    for after in ("c", "d", "e", "f"):
        assert cursor.record(["a", after], has_next=True) == [1]
    for known in ("c", "d", "e"):
        assert cursor.record(["a", known], has_next=True) == []
    assert cursor.record(["a", "b"], has_next=True) == [1]


def test_as_much_is_removed_as_a_walk_remembers() -> None:
    """Ten thousand may go between two requests, as long as one that was seen is left."""
    server = Server(MAX_REMEMBERED + 500)
    tags = iter(listing(server.tags, 1000))
    seen = numbers([next(tags) for _ in range(MAX_REMEMBERED - 9)])
    del server.items[1 : MAX_REMEMBERED - 9]
    seen += numbers(list(tags))
    assert seen == list(range(MAX_REMEMBERED + 500))


def test_a_start_in_the_middle_that_is_removed() -> None:
    """What stands before the start was not seen, and cannot be told from what is new."""
    server = Server(100)
    tags = iter(listing(server.tags, 10, 50))
    assert numbers([next(tags) for _ in range(10)]) == list(range(50, 60))
    del server.items[50:60]
    with pytest.raises(PaginationError, match="too many items were removed"):
        next(tags)


def test_memory_stays_flat() -> None:
    """However long the list, and however much of it goes, a walk holds so many ids and no more."""
    server = Server(2000)
    cursor = Cursor(20, max_remembered=40)
    while not cursor.done:
        items, has_next = server.page(20, cursor.offset)
        cursor.record(list(map(str, items)), has_next)
        del server.items[cursor.offset - 10 : cursor.offset - 5]
        assert len(pickle.dumps(cursor)) < 3000


# -- servers that are broken ----------------------------------------------------------------------


def page_of(ids: Sequence[int], has_next: bool = True) -> Page[Tag]:
    """Return a page that says of itself what a broken server may say."""
    items = tuple(TAG.model_copy(update={"id": str(number)}) for number in ids)
    return Page[Tag].model_construct(items=items, offset=0, limit=10, has_next=has_next)


def cycling() -> Callable[[int, int], Page[Tag]]:
    """Return a server of three pages that follow each other for ever."""
    pages = itertools.cycle([page_of(range(10)), page_of(range(9, 19)), page_of(range(18, 28))])
    return lambda limit, offset: next(pages)


def swapping() -> Callable[[int, int], Page[Tag]]:
    """Return a server of two pages that have nothing in common and follow each other for ever."""
    pages = itertools.cycle([page_of(range(10)), page_of(range(10, 20))])
    return lambda limit, offset: next(pages)


def ever_more(limit: int, offset: int) -> Page[Tag]:
    """Return a page of a list of 50 that says at its end that more follow."""
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
def test_a_broken_server_ends(
    fetch: Callable[[int, int], Page[Tag]], items: int, message: str
) -> None:
    """Each item comes once, and then an error that says what was seen, and where to go on."""
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
def test_a_server_that_answers_anything_ends(seed: int, size: int) -> None:
    """Of a server that gives rows at random nothing comes twice, and the walk ends."""
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


def test_a_row_twice_in_a_page() -> None:
    """A page that repeats itself yields an item once."""
    assert Cursor(10).record(["a", "b", "a"], has_next=False) in ([0, 1], [1, 2])


def test_an_empty_page_with_more_to_come_is_an_error() -> None:
    """A page that would keep the walk where it is, for ever, names its place and moves nothing."""
    cursor = Cursor(10, 20)
    with pytest.raises(PaginationError, match="offset 20 is empty"):
        cursor.record([], has_next=True)
    assert (cursor.offset, cursor.done) == (20, False)


def test_an_empty_list_after_a_walk_has_begun() -> None:
    """Where all was removed meanwhile, the walk goes back to the start and ends."""
    server = Server(100)
    tags = iter(listing(server.tags, 10))
    assert numbers([next(tags) for _ in range(10)]) == list(range(10))
    server.items.clear()
    assert list(tags) == []
    assert server.requests[-1] == (10, 0)


# -- going on -------------------------------------------------------------------------------------


class Failing(Server):
    """A server that fails a request."""

    fails = -1

    def page(self, limit: int, offset: int) -> tuple[list[int], bool]:
        """Fail, or return a page."""
        page = super().page(limit, offset)
        if len(self.requests) == self.fails:
            raise Error("the network is gone")
        return page


def until_it_fails(walk: Iterator[Tag]) -> tuple[list[Tag], Error]:
    """Return what a walk yields before it fails, and how."""
    tags: list[Tag] = []
    with pytest.raises(Error) as caught:
        tags.extend(walk)
    return tags, caught.value


@given(st.integers(1, 60), LIMITS, CLAMPS, st.integers(1, 10), st.integers(0, 30))
def test_a_walk_that_failed_goes_on(
    size: int, limit: int, clamps: list[int], fails: int, start: int
) -> None:
    """By itself, and in another process from the offset on the exception: with exactly the rest."""
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


def test_an_async_walk_that_failed_goes_on() -> None:
    """The same, awaited, and by the page."""

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


def test_an_error_outside_a_walk_has_no_offset() -> None:
    """A page that is asked for alone is asked for again as it was."""
    server = Failing(10)
    server.fails = 1
    with pytest.raises(Error) as caught:
        server.tags(10, 0)
    assert caught.value.resume_offset is None


def test_a_walk_goes_on_where_it_stepped_back() -> None:
    """A failure on the way back loses nothing and repeats nothing."""
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
    """It is refused by name before anything is sent."""
    with pytest.raises((TypeError, ValueError), match=r"^offset must be "):
        kind(print, NEXT_PAGE, 10, offset)


# -- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 1, 10**6])
@pytest.mark.parametrize("offset", [None, 0, 10**6])
def test_a_window_within_bounds_passes(limit: int | None, offset: int | None) -> None:
    """A limit from 1, an offset from 0 and either left out are taken."""
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
    """The error names the argument, its bound and the value."""
    with pytest.raises(error, match=f"^{message}$"):
        check_window(limit, offset)


@given(st.integers(), st.integers())
def test_a_count_is_given_back_or_refused(value: int, least: int) -> None:
    """A whole number comes back as it is where it is large enough, and only there."""
    if value >= least:
        assert check_count("page_size", value, least=least) == value
    else:
        with pytest.raises(ValueError, match=f"^page_size must be at least {least}, not {value}$"):
            check_count("page_size", value, least=least)


def test_a_walk_that_steps_back_resumes_from_there() -> None:
    """What was removed has moved what was not seen yet to before the place where the walk was."""
    cursor = Cursor(4)
    cursor.record(["a", "b", "c", "d"], True)
    assert (cursor.offset, cursor.resume_offset) == (3, 4)
    cursor.record(["h", "i"], True)
    assert cursor.resume_offset == cursor.offset < 3
