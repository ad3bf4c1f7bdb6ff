"""Parses a page's JSON: its rows, those that are skipped, and those that a look-up wants."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

from ._api.responses import ApiResult
from ._parsing import ParseContext, Problem, bind, invalid, read, real_datetime
from ._validation import InvalidRows, safe_repr
from .exceptions import InvalidResponse, PaginationError

with real_datetime():
    from pydantic import BaseModel

_logger = logging.getLogger("abeja_registry")

P = TypeVar("P", bound=BaseModel)

# Assumption: a page's rows may have another of these keys: items, registry_repositories, tags,
# entries.
ROWS_KEYS = ("items", "registry_repositories", "tags", "entries")
# Takes a row's name, and returns whether a look-up wants that row.
Wanted = Callable[[str], bool]


def rows_key(row: Any, body: Mapping[Any, Any]) -> str:
    """Return the key of a page's rows, empty if it has none; unknown fields may have other keys.

    Args:
        row: The class of the rows.
        body: The page.
    """
    keys = [key for key in (own_key(row), *ROWS_KEYS) if key in body]
    lists = (key for key in keys if isinstance(body[key], list | tuple))
    nulls = (key for key in keys if body[key] is None)
    return next(lists, None) or next(nulls, None) or next(iter(keys), "")


def own_key(row: Any) -> str:
    """Return the key of the rows in the reference."""
    key: str = getattr(row, "_rows_key", ROWS_KEYS[0])
    return key


@dataclass(frozen=True, slots=True)
class PageKind(Generic[P]):
    """One of the API's lists.

    Attributes:
        page: The class of its pages.
        row: The class of its rows, with the key of the rows in the reference as `_rows_key`.
    """

    page: type[P]
    row: Any


class PageSource(NamedTuple):
    """The list that a page belongs to.

    Attributes:
        fetch: Fetches a page of the same list, by its limit and its offset.
        end: The offset after the page's last row; None if it has no rows.
    """

    fetch: Callable[[int, int], Any]
    end: int | None

    def next_window(self, page: Any) -> tuple[int, int] | None:
        """Return the limit and the offset of the next page; None after the last."""
        if not page.has_next:
            return None
        if self.end is None:
            raise PaginationError(
                f"the page at offset {page.offset} is empty and says that more follow"
            )
        return page.limit, self.end


@dataclass(frozen=True, slots=True)
class PageRows(Generic[P]):
    """A parsed page, with the index of each skipped row.

    Attributes:
        page: The page, without the skipped rows.
        rows: The page's rows; None for a skipped row.
        ids: The ids of all rows.
        errors: The errors of the skipped rows by their indexes; the `body` of each is the row.
    """

    page: P
    rows: Sequence[Any]
    ids: Sequence[str]
    errors: Mapping[int, InvalidResponse]

    @property
    def has_next(self) -> bool:
        """Whether more rows follow."""
        page: Any = self.page
        return bool(page.has_next)

    @property
    def offset(self) -> int:
        """The number of rows before the page."""
        page: Any = self.page
        return int(page.offset)

    def log_skipped(self, indexes: Iterable[int] | None = None) -> None:
        """Log the skipped rows: all, or those with some indexes."""
        if not self.errors:
            return
        for index in self.errors if indexes is None else indexes:
            if (error := self.errors.get(index)) is not None:
                # The error's body is redacted, the row's own id is not.
                row_id = safe_repr(_get(error.body, "id"))
                _logger.warning("row %d of a page, id %s, was skipped: %s", index, row_id, error)

    def subset(self, indexes: Sequence[int]) -> P:
        """Return the page with only some of its rows, in order."""
        if len(indexes) == len(self.rows):
            return self.page
        before = indexes[0] if indexes else len(self.rows)
        kept = [self.rows[index] for index in indexes]
        return _with_items(self.page, kept, offset=self.offset + before)


def read_page(
    kind: PageKind[P],
    result: ApiResult,
    fetch: Callable[[int, int], object] | None = None,
    *,
    origin: object = None,
    invalid_rows: InvalidRows,
) -> PageRows[P]:
    """Return the page of a result.

    Args:
        kind: The list.
        result: The result of the call.
        fetch: Fetches another page of the same list; None for a page that no caller gets.
        origin: The client reference of the page's items.
        invalid_rows: Whether rows that fail validation raise or are skipped. A row without a valid
            id always raises, because an iteration identifies rows by their ids.

    Raises:
        InvalidResponse: The page is invalid, or one of its rows is and is not skipped.
    """
    context = ParseContext(origin)
    page: Any = read(kind.page, result.body, context)
    if not isinstance(page, Problem):
        parsed = PageRows(page, page.items, [row.id for row in page.items], {})
    elif invalid_rows == "raise" or not _has_rows(kind, result):
        raise invalid(kind.page, result, page)
    else:
        parsed = _read_rows(kind, result, context)
    if fetch is not None:
        end = parsed.offset + len(parsed.rows) if parsed.rows else None
        bind(parsed.page, PageSource(fetch, end))
    return parsed


def find_rows(
    kind: PageKind[P], result: ApiResult, wanted: Wanted, *, origin: object = None
) -> PageRows[P]:
    """Return the rows of a page that a look-up wants; the others are None, and are not parsed.

    Raises:
        InvalidResponse: The page is invalid, or a row that may be a wanted one, or a row's id.
    """
    if _has_rows(kind, result):
        return _read_rows(kind, result, ParseContext(origin), wanted)
    return read_page(kind, result, origin=origin, invalid_rows="raise")


def _has_rows(kind: PageKind[Any], result: ApiResult) -> bool:
    return isinstance(result.body.get(rows_key(kind.row, result.body)), list)


def _read_rows(
    kind: PageKind[P], result: ApiResult, context: ParseContext, wanted: Wanted | None = None
) -> PageRows[P]:
    """Return a page whose rows are parsed one by one, without those that are skipped."""
    key = rows_key(kind.row, result.body)
    page = read(kind.page, {**result.body, key: []}, context)
    if isinstance(page, Problem):
        raise invalid(kind.page, result, page)
    rows: list[Any] = []
    ids: list[str] = []
    errors: dict[int, InvalidResponse] = {}
    for index, value in enumerate(result.body[key]):
        row_id, name = _get(value, "id"), _get(value, "name")
        readable = type(row_id) in (int, str)
        row: Any = None
        if not (wanted and readable and type(name) is str and not wanted(name)):
            row = read(kind.row, value, context)
        if isinstance(row, Problem):
            if wanted or not readable:
                raise invalid(kind.page, result, replace(row, path=(key, index, *row.path)))
            errors[index] = invalid(kind.row, result._replace(body=value), row)
            row = None
        ids.append(str(row_id) if row is None else row.id)
        rows.append(row)
    return PageRows(_with_items(page, rows) if wanted is None else page, rows, ids, errors)


def _get(row: object, key: str) -> object:
    return row.get(key) if isinstance(row, dict) else None


def _with_items(page: P, rows: Sequence[Any], **changes: object) -> P:
    """Return a page with these rows, where None is a skipped row."""
    items = tuple(row for row in rows if row is not None)
    changed: Any = page.model_copy(update={"items": items, **changes})
    changed._skipped = len(rows) - len(items)  # noqa: SLF001
    result: P = changed
    return result
