"""A response's JSON made into models: one, or the rows of a page, of which some may be skipped."""

from __future__ import annotations

import datetime as datetime_module
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from typing import Annotated, Any, Generic, NamedTuple, Self, TypeVar, cast

from ._api.responses import ApiResult
from ._validation import InvalidRows, safe_repr
from .exceptions import Error, InvalidResponse, PaginationError


@contextmanager
def real_datetime() -> Iterator[None]:
    """Import something with the real classes in the module datetime.

    pydantic keeps a table of types, made from the classes that it finds when it is imported. One
    that is imported while the clock is frozen refuses `datetime` in every model built later.
    """
    found = datetime_module.datetime, datetime_module.date
    datetime_module.datetime, datetime_module.date = map(_real, found)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        datetime_module.datetime, datetime_module.date = found  # type: ignore[misc]


def _real(found: type) -> type:
    """Return the standard library's class that a stand-in is made from, or what was found."""
    bases = getattr(found, "__mro__", ())
    return next((base for base in bases if base.__module__ == "datetime"), found)


with real_datetime():
    from pydantic import BaseModel, Field, ValidationError, ValidationInfo
    from pydantic_core import CoreSchema, core_schema

_logger = logging.getLogger("abeja_registry")

M = TypeVar("M", bound=BaseModel)
P = TypeVar("P", bound=BaseModel)
T = TypeVar("T")

# Assumption: a page's rows stand under one of these; the reference shows `registry_repositories`
# for repositories and `tags` for tags.
ROWS_KEYS = ("items", "registry_repositories", "tags", "entries")
# A row's name in, whether it is the row that a look-up wants.
Wanted = Callable[[str], bool]


# -- fields ---------------------------------------------------------------------------------------


def _assume_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class _TimeSchema:
    """Gives pydantic a time's schema, whatever class `datetime` is when a model is built.

    pydantic finds a schema by the class, and freezegun's class is none that it knows.
    """

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            _assume_utc, core_schema.datetime_schema()
        )


Id = Annotated[str, Field(coerce_numbers_to_str=True)]
Time = Annotated[datetime, _TimeSchema()]


@dataclass(frozen=True, slots=True)
class ParseContext:
    """What belongs to one response while models are made from it, as pydantic's context.

    Attributes:
        origin: What the models are bound to.
        creators: The creators so far, each with its row, by the id.
    """

    origin: object
    creators: dict[str, tuple[dict[str, Any], Any]] = field(default_factory=dict)


def dedupe_creator(row: Any, read: Callable[[Any], T], info: ValidationInfo) -> T:
    """Return the creator of a row: an earlier one of the same response, where the row is the same.

    Few people push most tags, and a creator costs half of what a tag does.
    """
    context = info.context
    if not (isinstance(context, ParseContext) and isinstance(row, dict)):
        return read(row)
    if not isinstance(key := row.get("id"), str):
        return read(row)
    earlier = context.creators.get(key)
    if earlier is not None and earlier[0] == row:
        creator: T = earlier[1]
        return creator
    creator = read(row)
    context.creators[key] = row, creator
    return creator


# -- models ---------------------------------------------------------------------------------------


class Model(BaseModel, frozen=True, extra="allow"):
    """A frozen value that keeps what it does not know."""


def bind(model: BaseModel, origin: object) -> None:
    """Have a model remember what it was read through."""
    object.__setattr__(model, "_origin", origin)


class Bound(Model, frozen=True):
    """A model that remembers what it was read through.

    The bond stands in a slot, and so outside equality, hash, repr, dumps and pickles.
    """

    __slots__ = ("_origin",)

    def model_post_init(self, context: object, /) -> None:
        """Take the bond from the validation context, where it is ours."""
        origin = context.origin if isinstance(context, ParseContext) else None
        object.__setattr__(self, "_origin", origin)

    def _source(self) -> Any:
        # Not getattr(): where the slot is empty, that finds an unknown field of the same name.
        try:
            return object.__getattribute__(self, "_origin")
        except AttributeError:
            return None

    def _bound(self, instead: str) -> Any:
        origin = self._source()
        if origin is None:
            raise Error(
                f"this {type(self).__name__} is not bound to a client,"
                f" as one that was unpickled or built by hand: {instead}"
            )
        return origin

    def __copy__(self) -> Self:
        copied = super().__copy__()
        bind(copied, self._source())
        return copied


@dataclass(frozen=True, slots=True)
class Problem:
    """Why no model can be made from a value.

    Attributes:
        path: The path of the first field at fault.
        text: What is wrong with it.
    """

    path: tuple[int | str, ...]
    text: str


def read(model: type[M], body: object, reading: ParseContext) -> M | Problem:
    """Return a model made from a value of the API, or why it cannot be made."""
    try:
        return model.model_validate(body, context=reading)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return Problem(first["loc"], f"{first['msg']} ({error.error_count()} in all)")
    except ValueError as error:  # pydantic lets a number of over 4,300 digits out as this
        return Problem((), str(error))


def invalid(
    model: type[BaseModel], result: ApiResult, problem: Problem, *, created: bool = False
) -> InvalidResponse:
    """Return the error of an answer that no model can be made from; it carries the body."""
    body, path = result.redact(result.body), problem.path
    field = ".".join(map(str, path))
    # The first number in a path is a row's place.
    depth = next((depth for depth, part in enumerate(path) if isinstance(part, int)), None)
    error = InvalidResponse(
        f"no {model.__name__} can be made from the answer: field {field!r}: {problem.text}",
        body=body,
        field=field,
        index=None if depth is None else int(path[depth]),
        outcome_unknown=created,
        # Of the body as it came: redacting may change a key of the path.
        row=None if depth is None else _row_at(result, path[: depth + 1]),
    )
    error.history = result.history
    return error


def _row_at(result: ApiResult, path: tuple[int | str, ...]) -> object:
    return result.redact(reduce(getitem, path, cast(Any, result.body)))


def parse(model: type[M], result: ApiResult, origin: object = None, *, created: bool = False) -> M:
    """Return a model made from an answer's body.

    Args:
        model: The model's class.
        result: What a call brought.
        origin: What the model is bound to.
        created: Whether the answer is a create's: what it is no proof of may have happened.

    Raises:
        InvalidResponse: It cannot be made; names the first field at fault, carries the body.
    """
    found = read(model, result.body, ParseContext(origin))
    if isinstance(found, Problem):
        raise invalid(model, result, found, created=created)
    return found


# -- pages ----------------------------------------------------------------------------------------


def rows_key(own: str, body: Mapping[Any, Any]) -> str | None:
    """Return the key of a page's rows: other fields may be called so, too.

    Args:
        own: The key in the reference.
        body: The page.
    """
    keys = [key for key in (own, *ROWS_KEYS) if key in body]
    lists = (key for key in keys if isinstance(body[key], list | tuple))
    nulls = (key for key in keys if body[key] is None)
    return next(lists, None) or next(nulls, None) or next(iter(keys), None)


@dataclass(frozen=True, slots=True)
class PageKind(Generic[P]):
    """One of the API's lists.

    Attributes:
        page: The class of its pages.
        row: The class of its rows.
        key: The key of the rows in the reference.
    """

    page: type[P]
    row: type[BaseModel]
    key: str


class PageSource(NamedTuple):
    """Where a page came from.

    Attributes:
        fetch: Fetches a page of the same list, by its limit and its offset.
        end: The offset after the fetched page's last row; None if it has no rows.
    """

    fetch: Callable[[int, int], Any]
    end: int | None

    def next_window(self, page: Any) -> tuple[int, int] | None:
        """Return the limit and the offset of the page after a page; None after the last."""
        if not page.has_next:
            return None
        if self.end is None:
            raise PaginationError(
                f"the page at offset {page.offset} is empty and says that more follow"
            )
        return page.limit, self.end


@dataclass(frozen=True, slots=True)
class PageRows(Generic[P]):
    """A page as it was read, with the place of each row that was skipped.

    Attributes:
        page: The page, without the skipped rows.
        rows: The page's rows; None for one that was skipped.
        ids: The ids of all rows.
        errors: Why a row was skipped, by its index, with the row itself as `body`.
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
        """How many rows are before the page."""
        page: Any = self.page
        return int(page.offset)

    def log_skipped(self, indexes: Iterable[int] | None = None) -> None:
        """Log the rows that were skipped: all of the page's, or those with some indexes."""
        if not self.errors:
            return
        for index in self.errors if indexes is None else indexes:
            if (error := self.errors.get(index)) is not None:
                # The error's body is redacted, the row's own id is not.
                row_id = safe_repr(_get(error.body, "id"))
                _logger.warning("row %d of a page, id %s, is skipped: %s", index, row_id, error)

    def subset(self, indexes: Sequence[int]) -> P:
        """Return the page with some of its rows alone, in order."""
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
    invalid_rows: InvalidRows | Wanted,
) -> PageRows[P]:
    """Return the page of a result.

    Args:
        kind: The list.
        result: The result of the call.
        fetch: Fetches another page of the same list; None for a page that nobody sees.
        origin: What the page's items are bound to.
        invalid_rows: What happens to rows that no model can be made from. In a look-up by name
            they are skipped, except those that may be the wanted row. A row whose id cannot be
            read always raises: without an id, its place in the list cannot be found again.

    Raises:
        InvalidResponse: The page cannot be made, or one of its rows where that raises.
    """
    context = ParseContext(origin)
    page = read(kind.page, result.body, context)
    if not isinstance(page, Problem):
        items = _items(page)
        found = PageRows(page, items, [row.id for row in items], {})
    elif invalid_rows == "raise":
        raise invalid(kind.page, result, page)
    else:
        found = _read_rows(kind, result, page, context, invalid_rows)
    if fetch is not None:
        end = found.offset + len(found.rows) if found.rows else None
        bind(found.page, PageSource(fetch, end))
    return found


def _items(page: Any) -> tuple[Any, ...]:
    items: tuple[Any, ...] = page.items
    return items


def _read_rows(
    kind: PageKind[P],
    result: ApiResult,
    problem: Problem,
    context: ParseContext,
    invalid_rows: InvalidRows | Wanted,
) -> PageRows[P]:
    """Return a page whose rows are read one by one, and skipped where no model can be made."""
    key = rows_key(kind.key, result.body) or ""
    if not isinstance(values := result.body.get(key), list):
        raise invalid(kind.page, result, problem)
    page = read(kind.page, {**result.body, key: []}, context)
    if isinstance(page, Problem):
        raise invalid(kind.page, result, page)
    rows: list[Any] = []
    ids: list[str] = []
    errors: dict[int, InvalidResponse] = {}
    for index, value in enumerate(values):
        row: Any = read(kind.row, value, context)
        if isinstance(row, Problem):
            row_id, name = _get(value, "id"), _get(value, "name")
            wanted = callable(invalid_rows) and (type(name) is not str or invalid_rows(name))
            if type(row_id) not in (int, str) or wanted:
                raise invalid(kind.page, result, replace(row, path=(key, index, *row.path)))
            errors[index] = invalid(kind.row, result._replace(body=value), row)
            ids.append(str(row_id))
            rows.append(None)
        else:
            ids.append(row.id)
            rows.append(row)
    return PageRows(_with_items(page, rows), rows, ids, errors)


def _get(row: object, key: str) -> object:
    return row.get(key) if isinstance(row, dict) else None


def _with_items(page: P, rows: Sequence[Any], **changes: object) -> P:
    """Return a page with these rows, of which None stands for one that was skipped."""
    items = tuple(row for row in rows if row is not None)
    changed: Any = page.model_copy(update={"items": items, **changes})
    changed._skipped = len(rows) - len(items)  # noqa: SLF001
    made: P = changed
    return made
