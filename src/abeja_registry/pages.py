"""Pages of a list, and the list itself as something to walk through."""

from __future__ import annotations

import logging
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from functools import partial
from typing import Annotated, Any, Generic, NoReturn, Self, TypeVar, get_args, overload

from ._api.flows import EACH_CALL, Flow
from ._api.paging import PAGE_SIZE, PageWalk
from ._parsing import ROWS_KEYS, PageSource, real_datetime, rows_key
from ._validation import check_count
from .models import PageFields, Tag

with real_datetime():
    from pydantic import (
        AliasChoices,
        BeforeValidator,
        Field,
        PrivateAttr,
        SerializerFunctionWrapHandler,
        model_serializer,
        model_validator,
    )

    # pydantic itself exports it only in later releases than the lowest allowed.
    from pydantic.functional_validators import ModelWrapValidatorHandler

T_co = TypeVar("T_co", covariant=True)
P = TypeVar("P", bound="PageOf[Any]")

_logger = logging.getLogger("abeja_registry")


def _own_key(of: object) -> str:
    return "tags" if of is Tag else "registry_repositories"


def _null_is_empty(rows: Any) -> Any:
    # Go, for one, writes a list that was never filled as null.
    return () if rows is None else rows


class PageOf(PageFields, Sequence[T_co], Generic[T_co], frozen=True):
    """The items of one page, as a sequence."""

    items: Annotated[tuple[T_co, ...], BeforeValidator(_null_is_empty)] = Field(
        validation_alias=AliasChoices(*ROWS_KEYS)
    )
    # How many rows were left out, as no model can be made from them.
    _skipped: int = PrivateAttr(default=0)

    @model_validator(mode="wrap")
    @classmethod
    def _with_its_rows(cls, body: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Keep fields that are called as the rows of another list are, as unknown ones."""
        if not isinstance(body, dict):
            return read(body)
        rows = rows_key(_own_key(cls._row_model()), body)
        others = {key: body[key] for key in ROWS_KEYS if key in body and key != rows}
        if not others:
            return read(body)
        page = read({key: value for key, value in body.items() if key not in others})
        assert page.model_extra is not None  # extra="allow"
        page.model_extra.update(others)
        page.model_fields_set.update(others)
        return page

    @model_serializer(mode="wrap")
    def _with_its_items(self, dump: SerializerFunctionWrapHandler) -> Any:
        """Return the rows under the API's key where an unknown field is called `items`."""
        if "items" not in (self.model_extra or {}):
            return dump(self)
        page = self.model_copy()
        assert page.model_extra is not None
        beside = page.model_extra.pop("items")
        dumped = dump(page)
        if "items" in dumped:
            dumped[_own_key(self._row_model())] = dumped.pop("items")
        return {**dumped, "items": beside}

    @classmethod
    def _row_model(cls) -> Any:
        return get_args(cls.model_fields["items"].annotation)[0]

    @property
    def skipped(self) -> int:
        """How many rows of the page were left out, as no model can be made from them."""
        return self._skipped

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, item: object) -> bool:
        # No item equals a name or an id, so False would be wrong without a word.
        if isinstance(item, str):
            raise TypeError(
                f"{type(self).__name__} holds models, and no strings: compare an attribute, as in"
                " any(each.name == name for each in page)"
            )
        return item in self.items

    # pydantic's models iterate over their fields; a page iterates over its items.
    def __iter__(self) -> Iterator[T_co]:  # type: ignore[override]
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        return self.items[index]


_UNBOUND_HINT = "ask for the page again"


class Page(PageOf[T_co], Generic[T_co], frozen=True):
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
        source: PageSource = self._bound(_UNBOUND_HINT)
        window = source.next_window(self)
        if window is None:
            return None
        page: Page[T_co] = source.fetch(*window)
        return page


class AsyncPage(PageOf[T_co], Generic[T_co], frozen=True):
    """A `Page` whose `next_page()` is awaited."""

    async def next_page(self) -> AsyncPage[T_co] | None:
        """As `Page.next_page`, awaited."""
        source: PageSource = self._bound(_UNBOUND_HINT)
        window = source.next_window(self)
        if window is None:
            return None
        page: AsyncPage[T_co] = await source.fetch(*window)
        return page


# Here, before anybody else can name them: pydantic's parametrized classes pickle only if the first
# to name them is a module.
TagPage = Page[Tag]
AsyncTagPage = AsyncPage[Tag]


class Unread:
    """A list that no request was sent for yet: what asks it for all of its items is refused.

    `len`, `reversed` and indexes are not defined, so that Python and checkers refuse them.
    """

    _each: str
    _attribute = "name"

    # Without it all items would be compared, and a name is equal to none of them.
    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} has no `in`: compare in a loop, as in"
            f" any(each.{self._attribute} == value {self._each})"
        )

    # Without it a list of nothing would be true.
    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} is neither true nor false before it is read:"
            f" use any(True {self._each}), or `is None`"
        )


class Listing(Unread, Iterable[T_co], Generic[T_co]):
    """Every item of a list, fetched page by page while it is walked through.

    A value that can be walked again and again; each walk asks the API anew.

    Others may push and delete meanwhile, and so may the loop itself: where the list's order is
    stable and its pages hold two items or more, an item that is there from the first request to
    the last comes exactly once, in order, and none comes twice. To notice that, each page is asked
    for one item early.

    An error that a walk raises says where it can go on (`resume_offset`): `next()` on the same
    iterator asks for the same page again, and `iter(offset=…)` begins there, in any process. It is
    a position: go back as far as items before it may have been removed since.

    It has no length and no indexes, and neither `in` nor a truth value: a `list()` of it has all.
    """

    _each = "for each in listing"

    def __init__(
        self,
        run: Callable[[Flow[Page[T_co] | None], float], Page[T_co] | None],
        next_page: Callable[[PageWalk[Any]], Flow[Page[T_co] | None]],
        page_size: int | None = None,
        offset: int = 0,
        keep: Callable[[Any], bool] | None = None,
    ) -> None:
        self._run = run
        self._next_page = next_page
        self._keep = keep
        self._page_size = _page_size(page_size)
        self._offset = check_count("offset", offset, least=0)

    def __iter__(self) -> Iterator[T_co]:
        return _Items(self.pages())

    def pages(self) -> Iterator[Page[T_co]]:
        """Return a walk through the same list, a page at a time; each holds new items alone."""
        walk: PageWalk[Any] = PageWalk(self._page_size, self._offset, self._keep)
        return _Pages(self._run, partial(self._next_page, walk))


class AsyncListing(Unread, AsyncIterable[T_co], Generic[T_co]):
    """A `Listing` to walk through with `async for`."""

    _each = "for each in [each async for each in listing]"

    def __init__(
        self,
        run: Callable[[Flow[AsyncPage[T_co] | None], float], Awaitable[AsyncPage[T_co] | None]],
        next_page: Callable[[PageWalk[Any]], Flow[AsyncPage[T_co] | None]],
        page_size: int | None = None,
        offset: int = 0,
        keep: Callable[[Any], bool] | None = None,
    ) -> None:
        self._run = run
        self._next_page = next_page
        self._keep = keep
        self._page_size = _page_size(page_size)
        self._offset = check_count("offset", offset, least=0)

    def __aiter__(self) -> AsyncIterator[T_co]:
        return _AsyncItems(self.pages())

    def pages(self) -> AsyncIterator[AsyncPage[T_co]]:
        """As `Listing.pages`, for `async for`."""
        walk: PageWalk[Any] = PageWalk(self._page_size, self._offset, self._keep)
        return _AsyncPages(self._run, partial(self._next_page, walk))


def _page_size(given: int | None) -> int:
    return PAGE_SIZE if given is None else check_count("page_size", given, least=1)


# Objects and not generators: a generator that raised is finished, and an iteration that met an
# error would look like one that came to the end.


class _Pages(Iterator[Page[T_co]]):
    def __init__(
        self,
        run: Callable[[Flow[Page[T_co] | None], float], Page[T_co] | None],
        next_page: Callable[[], Flow[Page[T_co] | None]],
    ) -> None:
        self._run = run
        self._next_page = next_page

    def __next__(self) -> Page[T_co]:
        page = self._run(self._next_page(), EACH_CALL)
        if page is None:
            raise StopIteration
        return page


class _AsyncPages(AsyncIterator[AsyncPage[T_co]]):
    def __init__(
        self,
        run: Callable[[Flow[AsyncPage[T_co] | None], float], Awaitable[AsyncPage[T_co] | None]],
        next_page: Callable[[], Flow[AsyncPage[T_co] | None]],
    ) -> None:
        self._run = run
        self._next_page = next_page

    async def __anext__(self) -> AsyncPage[T_co]:
        page = await self._run(self._next_page(), EACH_CALL)
        if page is None:
            raise StopAsyncIteration
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
