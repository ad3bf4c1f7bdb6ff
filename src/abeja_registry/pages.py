"""Pages of a list, and listings: lists that are fetched page by page."""

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

from ._api.paging import PageWalk, check_page_size
from ._display import Plain, html_table, short_repr
from ._page_rows import ROWS_KEYS, PageSource, own_key, rows_key
from ._parsing import real_datetime
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


def _null_is_empty(rows: Any) -> Any:
    # Some servers, such as those in Go, encode an empty list as null.
    return () if rows is None else rows


class PageOf(PageFields, Sequence[T_co], Generic[T_co], frozen=True):
    """The items of one page, as a sequence."""

    items: Annotated[tuple[T_co, ...], BeforeValidator(_null_is_empty)] = Field(
        validation_alias=AliasChoices(*ROWS_KEYS)
    )
    # The number of rows that failed validation and are not among the items.
    _skipped: int = PrivateAttr(default=0)

    @model_validator(mode="wrap")
    @classmethod
    def _with_its_rows(cls, body: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Keep a field with the key of another list's rows as an unknown field."""
        if not isinstance(body, dict):
            return read(body)
        rows = rows_key(cls._row_model(), body)
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
        """Dump the rows under the API's key if an unknown field is called `items`."""
        if "items" not in (self.model_extra or {}):
            return dump(self)
        page = self.model_copy()
        assert page.model_extra is not None
        beside = page.model_extra.pop("items")
        dumped = dump(page)
        if "items" in dumped:  # a caller can exclude both by this name
            dumped[own_key(self._row_model())] = dumped.pop("items")
            dumped["items"] = beside
        return dumped

    @classmethod
    def _row_model(cls) -> Any:
        return get_args(cls.model_fields["items"].annotation)[0]

    @property
    def skipped(self) -> int:
        """The number of rows that failed validation and are not among the items."""
        return self._skipped

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        yield None, Plain(f"{len(self.items)} items")
        for name in ("offset", "limit", "has_next"):
            yield name, short_repr(getattr(self, name, None), 19)
        if self._skipped:
            yield None, Plain(f"{self._skipped} skipped")

    def _repr_html_(self) -> str:
        """Return the items as a table, for notebooks."""
        columns = self._row_model()._shown_columns  # noqa: SLF001
        rows = ([getattr(item, name, None) for name in columns] for item in self.items)
        return html_table(repr(self), columns, rows)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, item: object) -> bool:
        # A model never equals a name or an id, so False would hide the mistake.
        if isinstance(item, str):
            raise TypeError(
                f"{type(self).__name__} holds models, not strings: compare an attribute, as in"
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


_UNBOUND_HINT = "fetch the page again"


class Page(PageOf[T_co], Generic[T_co], frozen=True):
    """One page of a list: a sequence of its items, with `offset`, `limit` and `has_next`."""

    def next_page(self) -> Page[T_co] | None:
        """Fetch the page after this one.

        Returns:
            The next page, with the limit that the API applied to this one. None if this is the
            last page.

        Raises:
            Error: This page was unpickled or built by hand, so it has no client.
            PaginationError: This page is empty, and its `has_next` is true.
        """
        source: PageSource = self._require_bound(_UNBOUND_HINT)
        window = source.next_window(self)
        if window is None:
            return None
        page: Page[T_co] = source.fetch(*window)
        return page


class AsyncPage(PageOf[T_co], Generic[T_co], frozen=True):
    """A `Page` whose `next_page()` is awaited."""

    async def next_page(self) -> AsyncPage[T_co] | None:
        """As `Page.next_page`, awaited."""
        source: PageSource = self._require_bound(_UNBOUND_HINT)
        window = source.next_window(self)
        if window is None:
            return None
        page: AsyncPage[T_co] = await source.fetch(*window)
        return page


# Named here first: pydantic's parametrized classes can be pickled only if a module names them
# before any other code does.
TagPage = Page[Tag]
AsyncTagPage = AsyncPage[Tag]


class Unread:
    """A list that has not been fetched: it has no `in` and no truth value.

    `len`, `reversed` and indexes are not defined, so that Python and type checkers reject them.
    """

    _each: str
    _attribute = "name"

    # Without this, `in` would fetch and compare all items, and a name equals none of them.
    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} has no `in`: compare in a loop, as in"
            f" any(each.{self._attribute} == value {self._each})"
        )

    # Without this, an empty list would be true.
    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} has no truth value before it is fetched:"
            f" use any(True {self._each}), or `is None`"
        )


class _BaseListing(Unread):
    """The part that both kinds share: which pages to fetch.

    Args:
        fetch: Fetches the next page of an iteration; None at the end.
        page_size: Items per request.
        offset: Items to skip.
        keep: Which items to return; all if None.
    """

    def __init__(
        self,
        fetch: Callable[[PageWalk[Any]], Any],
        page_size: int | None = None,
        offset: int = 0,
        keep: Callable[[Any], bool] | None = None,
    ) -> None:
        self._fetch = fetch
        self._keep = keep
        self._page_size = check_page_size(page_size)
        self._offset = check_count("offset", offset, least=0)

    def _walk(self) -> PageWalk[Any]:
        return PageWalk(self._page_size, self._offset, self._keep)

    def __repr__(self) -> str:
        window = f"page_size={short_repr(self._page_size)}, offset={short_repr(self._offset)}"
        return f"{type(self).__name__}({window}{'' if self._keep is None else ', filtered'})"


class Listing(_BaseListing, Iterable[T_co], Generic[T_co]):
    """Every item of a list, fetched page by page during an iteration.

    It can be iterated over more than once; each iteration sends new requests.

    An iteration stays correct under concurrent changes: an item that exists during the whole
    iteration is returned exactly once, in order, and no item is returned twice. This needs a stable
    order and a page size of at least 2: each page overlaps the previous one by one item to detect
    shifts.

    After an error, `next()` on the same iterator fetches the same page again, and
    `iter(offset=error.resume_offset)` continues in another process. If earlier items were deleted
    since, restart a little before that offset.

    It has no length, no indexes, no `in` and no truth value: use `list(listing)` for these.
    """

    _each = "for each in listing"

    def __iter__(self) -> Iterator[T_co]:
        return _Items(self.pages())

    def pages(self) -> Iterator[Page[T_co]]:
        """Iterate over the same list page by page; each page holds only new items."""
        return iter(partial(self._fetch, self._walk()), None)


class AsyncListing(_BaseListing, AsyncIterable[T_co], Generic[T_co]):
    """A `Listing` to iterate over with `async for`."""

    _each = "for each in [each async for each in listing]"

    def __aiter__(self) -> AsyncIterator[T_co]:
        return _AsyncItems(self.pages())

    def pages(self) -> AsyncIterator[AsyncPage[T_co]]:
        """As `Listing.pages`, for `async for`."""
        return _AsyncPages(self._fetch, self._walk())


# Objects, as iter(function, None) is one too. After an exception, a generator is finished, so that
# a failed iteration would look complete.


class _AsyncPages(AsyncIterator[AsyncPage[T_co]]):
    def __init__(
        self,
        fetch: Callable[[PageWalk[Any]], Awaitable[AsyncPage[T_co] | None]],
        walk: PageWalk[Any],
    ) -> None:
        self._fetch = fetch
        self._walk = walk

    async def __anext__(self) -> AsyncPage[T_co]:
        page = await self._fetch(self._walk)
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
