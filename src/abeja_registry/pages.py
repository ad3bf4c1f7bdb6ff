"""Pages of a list, and the list itself as something to walk through."""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Generic, TypeVar, overload

from pydantic import AliasChoices, Field

from ._paging import PAGE_SIZE, Cursor, check_count
from .models import PageFields, parse

T_co = TypeVar("T_co", covariant=True)
P = TypeVar("P", bound="PageOf[Any]")


class PageOf(PageFields, Sequence[T_co], Generic[T_co]):
    """The items of one page, as a sequence."""

    items: tuple[T_co, ...] = Field(
        validation_alias=AliasChoices("items", "registry_repositories", "tags", "entries")
    )

    def __len__(self) -> int:
        return len(self.items)

    # pydantic's models iterate over their fields; a page iterates over its items.
    def __iter__(self) -> Iterator[T_co]:  # type: ignore[override]
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        return self.items[index]

    def _next_window(self) -> tuple[int, int] | None:
        """Return the limit and the offset of the page after this one, or None after the last."""
        cursor = Cursor(self.limit, self.offset)
        cursor.record(len(self), self.has_next)
        return None if cursor.done else (cursor.limit, cursor.offset)


class Page(PageOf[T_co], Generic[T_co]):
    """One page of a list: a sequence of its items, with what the API says beside them."""

    def next_page(self) -> Page[T_co] | None:
        """Fetch the page after this one.

        Returns:
            The next page, asked for with the limit that the API applied to this one; None
            where this is the last.

        Raises:
            Error: This page was unpickled or built by hand, and knows no client.
            PaginationError: This page is empty and says that more follow.
        """
        fetch: Callable[[int, int], Page[T_co]] = self._bound("ask for the page again")
        window = self._next_window()
        return None if window is None else fetch(*window)


class AsyncPage(PageOf[T_co], Generic[T_co]):
    """A `Page` whose `next_page()` is awaited."""

    async def next_page(self) -> AsyncPage[T_co] | None:
        """As `Page.next_page`, awaited."""
        fetch: Callable[[int, int], Awaitable[AsyncPage[T_co]]] = self._bound(
            "ask for the page again"
        )
        window = self._next_window()
        return None if window is None else await fetch(*window)


def read_page(model: type[P], body: dict[str, Any], fetch: object, context: object = None) -> P:
    """Return a page made from an answer's body, bound to what fetches its neighbours."""
    page = parse(model, body, context)
    page._bind(fetch)
    return page


class Listing(Iterable[T_co], Generic[T_co]):
    """Every item of a list, fetched page by page while it is walked through.

    A value that can be walked again and again; each walk asks the API anew. A walk that raised
    can go on: `next()` on the same iterator asks for the same page again.
    """

    def __init__(
        self, fetch: Callable[[int, int], Page[T_co]], page_size: int | None = None
    ) -> None:
        self._fetch = fetch
        self._page_size = _page_size(page_size)

    def __iter__(self) -> Iterator[T_co]:
        return _Items(self.pages())

    def pages(self) -> Iterator[Page[T_co]]:
        """Return a walk through the same list, a page at a time."""
        return _Pages(self._fetch, Cursor(self._page_size))


class AsyncListing(AsyncIterable[T_co], Generic[T_co]):
    """A `Listing` to walk through with `async for`."""

    def __init__(
        self, fetch: Callable[[int, int], Awaitable[AsyncPage[T_co]]], page_size: int | None = None
    ) -> None:
        self._fetch = fetch
        self._page_size = _page_size(page_size)

    def __aiter__(self) -> AsyncIterator[T_co]:
        return _AsyncItems(self.pages())

    def pages(self) -> AsyncIterator[AsyncPage[T_co]]:
        """As `Listing.pages`, for `async for`."""
        return _AsyncPages(self._fetch, Cursor(self._page_size))


def _page_size(given: int | None) -> int:
    return PAGE_SIZE if given is None else check_count("page_size", given, least=1)


# Objects and not generators: a generator that raised is finished, and a walk that met an error
# would look like one that came to the end.


class _Pages(Iterator[Page[T_co]]):
    def __init__(self, fetch: Callable[[int, int], Page[T_co]], cursor: Cursor) -> None:
        self._fetch = fetch
        self._cursor = cursor

    def __next__(self) -> Page[T_co]:
        if self._cursor.done:
            raise StopIteration
        page = self._fetch(self._cursor.limit, self._cursor.offset)
        self._cursor.record(len(page), page.has_next)
        return page


class _AsyncPages(AsyncIterator[AsyncPage[T_co]]):
    def __init__(
        self, fetch: Callable[[int, int], Awaitable[AsyncPage[T_co]]], cursor: Cursor
    ) -> None:
        self._fetch = fetch
        self._cursor = cursor

    async def __anext__(self) -> AsyncPage[T_co]:
        if self._cursor.done:
            raise StopAsyncIteration
        page = await self._fetch(self._cursor.limit, self._cursor.offset)
        self._cursor.record(len(page), page.has_next)
        return page


class _Items(Iterator[T_co]):
    def __init__(self, pages: Iterator[Page[T_co]]) -> None:
        self._pages = pages
        self._page: Iterator[T_co] = iter(())

    def __next__(self) -> T_co:
        while True:
            for item in self._page:
                return item
            self._page = iter(next(self._pages))


class _AsyncItems(AsyncIterator[T_co]):
    def __init__(self, pages: AsyncIterator[AsyncPage[T_co]]) -> None:
        self._pages = pages
        self._page: Iterator[T_co] = iter(())

    async def __anext__(self) -> T_co:
        while True:
            for item in self._page:
                return item
            self._page = iter(await anext(self._pages))
