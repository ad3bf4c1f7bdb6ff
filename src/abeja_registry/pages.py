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
    Mapping,
    Sequence,
)
from dataclasses import replace
from typing import Annotated, Any, Generic, NoReturn, Self, TypeVar, get_args, overload

from ._api.paging import PAGE_SIZE, Cursor
from ._api.responses import Answered
from ._validation import InvalidRows, check_count, safe_repr
from .exceptions import Error, InvalidResponse, PaginationError
from .models import PageFields, Tag, _Problem, _Reading, invalid, read, real_datetime

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

# Assumption: a page's rows stand under one of these; the reference shows `registry_repositories`
# for repositories and `tags` for tags.
_ROWS = ("items", "registry_repositories", "tags", "entries")

# A row's name in, whether it is the row that a look-up wants.
Wanted = Callable[[str], bool]


def _own_key(of: object) -> str:
    return "tags" if of is Tag else "registry_repositories"


def _rows_key(of: object, body: Mapping[Any, Any]) -> str | None:
    """Return the key of a page's rows: other fields may be called so, too."""
    keys = [key for key in (_own_key(of), *_ROWS) if key in body]
    lists = (key for key in keys if isinstance(body[key], list | tuple))
    nulls = (key for key in keys if body[key] is None)
    return next(lists, None) or next(nulls, None) or next(iter(keys), None)


def _null_is_empty(rows: Any) -> Any:
    # Go, for one, writes a list that was never filled as null.
    return () if rows is None else rows


class PageOf(PageFields, Sequence[T_co], Generic[T_co], frozen=True):
    """The items of one page, as a sequence."""

    items: Annotated[tuple[T_co, ...], BeforeValidator(_null_is_empty)] = Field(
        validation_alias=AliasChoices(*_ROWS)
    )
    # The items with None for each row that was left out, where there may be any.
    _rows: tuple[T_co | None, ...] | None = PrivateAttr(default=None)
    _row_ids: tuple[str | None, ...] | None = PrivateAttr(default=None)
    # Why a row was left out, by its index, with the row itself as `body`.
    _row_errors: Mapping[int, InvalidResponse] = PrivateAttr(default_factory=dict)
    # Where the page that was fetched ended, if this is what a walk has left of it.
    _end: int | None = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _with_its_rows(cls, body: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Keep fields that are called as the rows of another list are, as unknown ones."""
        if not isinstance(body, dict):
            return read(body)
        rows = _rows_key(cls._row_model(), body)
        others = {key: body[key] for key in _ROWS if key in body and key != rows}
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
        return self._all_rows().count(None)

    def _log_skipped(self, indexes: Iterable[int] | None = None) -> None:
        """Log the rows that were left out: all of the page's, or those of some indexes."""
        for index in self._row_errors if indexes is None else indexes:
            if (error := self._row_errors.get(index)) is not None:
                named = safe_repr(_id_of(error.body))
                _logger.warning("row %d of a page, id %s, is skipped: %s", index, named, error)

    def _note(self, **private: object) -> None:
        # Not assigned: checkers take private attributes for fields, and those are frozen.
        for name, value in private.items():
            setattr(self, name, value)

    def _all_rows(self) -> tuple[T_co | None, ...]:
        return self.items if self._rows is None else self._rows

    def _ids(self) -> Sequence[str | None]:
        return self._row_ids or [getattr(item, "id", None) for item in self.items]

    def _only(self, indexes: Sequence[int]) -> Self:
        """Return this page with some of its rows alone, in order."""
        rows = self._all_rows()
        if len(indexes) == len(rows):
            return self
        kept = tuple(rows[index] for index in indexes)
        items = tuple(row for row in kept if row is not None)
        passed = indexes[0] if indexes else len(rows)
        page = self.model_copy(update={"items": items, "offset": self.offset + passed})
        page._note(_rows=kept, _end=self.offset + len(rows))
        return page

    def _kept(self, indexes: list[int], keep: Callable[[Any], bool] | None) -> list[int]:
        """Return of some rows those to keep; one that was left out is not to be judged."""
        if keep is None:
            return indexes
        rows = self._all_rows()
        return [index for index in indexes if rows[index] is None or keep(rows[index])]

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

    def _next_window(self) -> tuple[int, int] | None:
        """Return the limit and the offset of the page after this one, or None after the last."""
        if not self.has_next:
            return None
        rows = self._all_rows()
        if self._end is not None:
            return self.limit, self._end
        if not rows:
            raise PaginationError(
                f"the page at offset {self.offset} is empty and says that more follow"
            )
        return self.limit, self.offset + len(rows)


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
        fetch: Callable[[int, int], Page[T_co]] = self._bound("ask for the page again")
        window = self._next_window()
        return None if window is None else fetch(*window)


class AsyncPage(PageOf[T_co], Generic[T_co], frozen=True):
    """A `Page` whose `next_page()` is awaited."""

    async def next_page(self) -> AsyncPage[T_co] | None:
        """As `Page.next_page`, awaited."""
        fetch: Callable[[int, int], Awaitable[AsyncPage[T_co]]] = self._bound(
            "ask for the page again"
        )
        window = self._next_window()
        return None if window is None else await fetch(*window)


# Here, before anybody else can name them: pydantic's parametrized classes pickle only if the first
# to name them is a module.
TagPage = Page[Tag]
AsyncTagPage = AsyncPage[Tag]


def read_page(
    model: type[P],
    answered: Answered,
    fetch: object,
    *,
    origin: object = None,
    invalid_rows: InvalidRows | Wanted,
) -> P:
    """Return a page made from an answer's body, bound to what fetches its neighbours.

    Args:
        model: The page's class.
        answered: What a call brought.
        fetch: What fetches another page of the same list.
        origin: What the page's items are bound to.
        invalid_rows: What becomes of rows that no model can be made from. In a look-up by name
            they are skipped, but for those that may be the row that it wants.

    Raises:
        InvalidResponse: The page cannot be made, or one of its rows where that raises.
    """
    reading = _Reading(origin)
    page = read(model, answered.body, reading)
    if isinstance(page, _Problem) and invalid_rows != "raise":
        key = _rows_key(model._row_model(), answered.body) or ""
        if isinstance(sent := answered.body.get(key), list):
            rows, errors = _valid_rows(model, answered, key, reading, invalid_rows)
            body = dict(answered.body)
            body[key] = [row for row in rows if row is not None]
            page = read(model, body, reading)
            if not isinstance(page, _Problem):
                # What was left out keeps its place: it is a part of the list.
                items = iter(page.items)
                all_rows = tuple(None if row is None else next(items) for row in rows)
                page._note(_rows=all_rows, _row_ids=tuple(map(_id_of, sent)), _row_errors=errors)
    if isinstance(page, _Problem):
        raise invalid(model, answered, page)
    page._bind(fetch)
    return page


def _id_of(row: Any) -> str | None:
    found = row.get("id") if isinstance(row, dict) else None
    return str(found) if type(found) in (int, str) else None


def _valid_rows(
    model: type[PageOf[Any]],
    answered: Answered,
    key: str,
    reading: _Reading,
    invalid_rows: InvalidRows | Wanted,
) -> tuple[list[Any], dict[int, InvalidResponse]]:
    """Return the rows of a page, with None for each that is left out, and why, by its index."""
    row_model = model._row_model()
    rows: list[Any] = []
    errors: dict[int, InvalidResponse] = {}
    for index, row in enumerate(answered.body[key]):
        found = read(row_model, row, reading)
        if isinstance(found, _Problem):
            if callable(invalid_rows):
                name = row.get("name") if isinstance(row, dict) else None
                if not isinstance(name, str) or invalid_rows(name):
                    found = replace(found, path=(key, index, *found.path))
                    raise invalid(model, answered, found)
            errors[index] = invalid(row_model, answered._replace(body=row), found)
            row = None
        rows.append(row)
    return rows, errors


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
    iterator asks for the same page again, and `iter(start=…)` begins there, in any process. It is
    a position: go back as far as items before it may have been removed since.

    It has no length and no indexes, and neither `in` nor a truth value: a `list()` of it has all.
    """

    _each = "for each in listing"

    def __init__(
        self,
        fetch: Callable[[int, int], Page[T_co]],
        page_size: int | None = None,
        start: int = 0,
        keep: Callable[[Any], bool] | None = None,
    ) -> None:
        self._fetch = fetch
        self._keep = keep
        self._page_size = _page_size(page_size)
        self._start = check_count("start", start, least=0)

    def __iter__(self) -> Iterator[T_co]:
        return _Items(self.pages())

    def pages(self) -> Iterator[Page[T_co]]:
        """Return a walk through the same list, a page at a time; each holds new items alone."""
        return _Pages(self._fetch, Cursor(self._page_size, self._start), self._keep)


class AsyncListing(Unread, AsyncIterable[T_co], Generic[T_co]):
    """A `Listing` to walk through with `async for`."""

    _each = "for each in [each async for each in listing]"

    def __init__(
        self,
        fetch: Callable[[int, int], Awaitable[AsyncPage[T_co]]],
        page_size: int | None = None,
        start: int = 0,
        keep: Callable[[Any], bool] | None = None,
    ) -> None:
        self._fetch = fetch
        self._keep = keep
        self._page_size = _page_size(page_size)
        self._start = check_count("start", start, least=0)

    def __aiter__(self) -> AsyncIterator[T_co]:
        return _AsyncItems(self.pages())

    def pages(self) -> AsyncIterator[AsyncPage[T_co]]:
        """As `Listing.pages`, for `async for`."""
        return _AsyncPages(self._fetch, Cursor(self._page_size, self._start), self._keep)


def _page_size(given: int | None) -> int:
    return PAGE_SIZE if given is None else check_count("page_size", given, least=1)


# Objects and not generators: a generator that raised is finished, and a walk that met an error
# would look like one that came to the end.


class _Pages(Iterator[Page[T_co]]):
    def __init__(
        self,
        fetch: Callable[[int, int], Page[T_co]],
        cursor: Cursor,
        keep: Callable[[Any], bool] | None,
    ) -> None:
        self._fetch = fetch
        self._keep = keep
        self._cursor = cursor
        self._begun = False

    def __next__(self) -> Page[T_co]:
        cursor = self._cursor
        try:
            while not cursor.done:
                page = self._fetch(cursor.limit, cursor.offset)
                new = cursor.record(page._ids(), page.has_next, page.offset)
                # Not by the request: a row at a page's end comes again with the next page.
                page._log_skipped(new)
                fresh = page._kept(new, self._keep)
                first, self._begun = not self._begun, True
                if fresh or first:
                    return page._only(fresh)
        except Error as error:
            error.resume_offset = cursor.resume_offset
            raise
        raise StopIteration


class _AsyncPages(AsyncIterator[AsyncPage[T_co]]):
    def __init__(
        self,
        fetch: Callable[[int, int], Awaitable[AsyncPage[T_co]]],
        cursor: Cursor,
        keep: Callable[[Any], bool] | None,
    ) -> None:
        self._fetch = fetch
        self._keep = keep
        self._cursor = cursor
        self._begun = False

    async def __anext__(self) -> AsyncPage[T_co]:
        cursor = self._cursor
        try:
            while not cursor.done:
                page = await self._fetch(cursor.limit, cursor.offset)
                new = cursor.record(page._ids(), page.has_next, page.offset)
                # Not by the request: a row at a page's end comes again with the next page.
                page._log_skipped(new)
                fresh = page._kept(new, self._keep)
                first, self._begun = not self._begun, True
                if fresh or first:
                    return page._only(fresh)
        except Error as error:
            error.resume_offset = cursor.resume_offset
            raise
        raise StopAsyncIteration


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
