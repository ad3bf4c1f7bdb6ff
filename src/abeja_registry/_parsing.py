"""Parses a response's JSON into a model; `_page_rows` does so for pages."""

from __future__ import annotations

import datetime as datetime_module
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from typing import Annotated, Any, Self, TypeVar, cast

from ._api.responses import ApiResult
from .exceptions import Error, InvalidResponse


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

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


# -- fields ---------------------------------------------------------------------------------------


def _assume_utc(time: datetime) -> datetime:
    # Assumption: a time is in UTC.
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
