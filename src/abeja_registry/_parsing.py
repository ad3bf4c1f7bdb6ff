"""Parses a response's JSON into models: one model, or the rows of a page."""

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
    """Restore the real classes of the module datetime while something is imported.

    At import, pydantic builds a table of types from the classes in datetime. If freezegun has
    replaced them by then, pydantic rejects `datetime` in every model built later.
    """
    current = datetime_module.datetime, datetime_module.date
    datetime_module.datetime, datetime_module.date = map(_real, current)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        datetime_module.datetime, datetime_module.date = current  # type: ignore[misc]


def _real(current: type) -> type:
    """Return the standard library's class that a replacement derives from, or the class itself."""
    bases = getattr(current, "__mro__", ())
    return next((base for base in bases if base.__module__ == "datetime"), current)


with real_datetime():
    from pydantic import BaseModel, Field, ValidationError, ValidationInfo
    from pydantic_core import CoreSchema, core_schema

_logger = logging.getLogger("abeja_registry")

M = TypeVar("M", bound=BaseModel)
P = TypeVar("P", bound=BaseModel)
T = TypeVar("T")

# Assumption: one of these keys has a page's rows; the reference shows `registry_repositories` for
# repositories and `tags` for tags.
ROWS_KEYS = ("items", "registry_repositories", "tags", "entries")
# Takes a row's name, and returns whether a look-up wants that row.
Wanted = Callable[[str], bool]


# -- fields ---------------------------------------------------------------------------------------


def _assume_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class _TimeSchema:
    """Gives pydantic the schema of a time when a model is built.

    pydantic chooses a schema by the class, and it does not know freezegun's class.
    """

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            _assume_utc, core_schema.datetime_schema()
        )


Id = Annotated[str, Field(coerce_numbers_to_str=True)]
Time = Annotated[datetime, _TimeSchema()]


@dataclass(frozen=True, slots=True)
class ParseContext:
    """The state of parsing one response; pydantic's validation context.

    Attributes:
        origin: The client reference of the models.
        creators: The creators parsed so far by their ids, each with its row.
    """

    origin: object
    creators: dict[str, tuple[dict[str, Any], Any]] = field(default_factory=dict)


def dedupe_creator(row: Any, read: Callable[[Any], T], info: ValidationInfo) -> T:
    """Return the creator of a row, or an equal one that was parsed from the same response.

    A few people push most tags, and parsing a creator takes half as long as parsing a tag.
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
    """A frozen value that keeps unknown fields, with a short repr."""

    def __str__(self) -> str:
        return repr(self)

    def __dir__(self) -> Iterator[str]:
        """Leave out the names that pydantic has deprecated, for completion."""
        return (name for name in super().__dir__() if not _is_deprecated(name))


def _is_deprecated(name: str) -> bool:
    # Not of a private name: `__fields__` warns when it is read.
    public = not name.startswith("_") and name in vars(BaseModel)
    return public and hasattr(getattr(BaseModel, name), "__deprecated__")


def bind(model: BaseModel, origin: object) -> None:
    """Set the client reference of a model."""
    object.__setattr__(model, "_origin", origin)


class Bound(Model, frozen=True):
    """A model with a client reference.

    The reference is kept in `__slots__`, outside equality, hash, repr, dumps and pickles.
    """

    __slots__ = ("_origin",)

    def model_post_init(self, context: object, /) -> None:
        """Set the client reference from the validation context."""
        origin = context.origin if isinstance(context, ParseContext) else None
        object.__setattr__(self, "_origin", origin)

    def _source(self) -> Any:
        # Not getattr(): if the slot is empty, it returns an unknown field with the same name.
        try:
            return object.__getattribute__(self, "_origin")
        except AttributeError:
            return None

    def _require_bound(self, hint: str) -> Any:
        origin = self._source()
        if origin is None:
            raise Error(
                f"this {type(self).__name__} is not bound to a client, as it was unpickled or"
                f" built by hand: {hint}"
            )
        return origin

    def __copy__(self) -> Self:
        copied = super().__copy__()
        bind(copied, self._source())
        return copied


@dataclass(frozen=True, slots=True)
class Problem:
    """The first validation error of a value.

    Attributes:
        path: The path of the invalid field.
        text: What is wrong with it.
    """

    path: tuple[int | str, ...]
    text: str


def read(model: type[M], body: object, context: ParseContext) -> M | Problem:
    """Return the model of a value from the API, or its first validation error."""
    try:
        return model.model_validate(body, context=context)
    except ValueError as error:
        return _problem(error)


def _problem(error: ValueError) -> Problem:
    if not isinstance(error, ValidationError):  # a number of over 4,300 digits
        return Problem((), str(error))
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return Problem(first["loc"], f"{first['msg']} ({error.error_count()} in all)")


def invalid(
    model: type[BaseModel], result: ApiResult, problem: Problem, *, created: bool = False
) -> InvalidResponse:
    """Return the error of a response that fails validation."""
    body, path = result.redact(result.body), problem.path
    field = ".".join(map(str, path))
    # The first number in a path is the index of a row.
    depth = next((depth for depth, part in enumerate(path) if isinstance(part, int)), None)
    error = InvalidResponse(
        f"the response is not a valid {model.__name__}: field {field!r}: {problem.text}",
        body=body,
        field=field,
        index=None if depth is None else int(path[depth]),
        outcome_unknown=created,
        # From the body before redaction, which may change a key of the path.
        row=None if depth is None else _row_at(result, path[: depth + 1]),
    )
    error.history = result.history
    return error


def _row_at(result: ApiResult, path: tuple[int | str, ...]) -> object:
    return result.redact(reduce(getitem, path, cast(Any, result.body)))


def parse(model: type[M], result: ApiResult, origin: object = None, *, created: bool = False) -> M:
    """Return the model of a response's body.

    Args:
        model: The model's class.
        result: The result of a call.
        origin: The client reference of the model.
        created: Whether the call was a create, whose outcome an invalid response leaves unknown.

    Raises:
        InvalidResponse: The body fails validation.
    """
    try:
        return model.model_validate(result.body, context=ParseContext(origin))
    except ValueError as error:
        problem = _problem(error)
    # Outside of the handler: no exception of pydantic is chained.
    raise invalid(model, result, problem, created=created)


# -- pages ----------------------------------------------------------------------------------------


def rows_key(own: str, body: Mapping[Any, Any]) -> str | None:
    """Return the key of a page's rows; unknown fields may have the other keys.

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
    invalid_rows: InvalidRows | Wanted,
) -> PageRows[P]:
    """Return the page of a result.

    Args:
        kind: The list.
        result: The result of the call.
        fetch: Fetches another page of the same list; None for a page that no caller gets.
        origin: The client reference of the page's items.
        invalid_rows: Whether rows that fail validation raise or are skipped. A look-up by name
            skips them, except those that may be the wanted row. A row without a valid id always
            raises, because an iteration identifies rows by their ids.

    Raises:
        InvalidResponse: The page is invalid, or one of its rows is and is not skipped.
    """
    context = ParseContext(origin)
    page = read(kind.page, result.body, context)
    if not isinstance(page, Problem):
        items = _items(page)
        parsed = PageRows(page, items, [row.id for row in items], {})
    elif invalid_rows == "raise":
        raise invalid(kind.page, result, page)
    else:
        parsed = _read_rows(kind, result, page, context, invalid_rows)
    if fetch is not None:
        end = parsed.offset + len(parsed.rows) if parsed.rows else None
        bind(parsed.page, PageSource(fetch, end))
    return parsed


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
    """Return a page whose rows are parsed one by one, without those that fail validation."""
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
    """Return a page with these rows, where None is a skipped row."""
    items = tuple(row for row in rows if row is not None)
    changed: Any = page.model_copy(update={"items": items, **changes})
    changed._skipped = len(rows) - len(items)  # noqa: SLF001
    result: P = changed
    return result
