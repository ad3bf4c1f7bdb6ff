"""What the API's rows say, as frozen values.

Every model keeps the fields that it does not know (`model_extra`), compares by value, and
takes ids as strings though the API sends some of them as numbers.
"""

from __future__ import annotations

import datetime as datetime_module
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from typing import Annotated, Any, Self, TypeVar, cast, overload

from ._api.responses import Answered
from ._validation import MAX_INT64, safe_repr
from .exceptions import Error, InvalidArgument, InvalidResponse
from .images import ImageName


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
    from pydantic import BaseModel, Field, ValidationError, ValidationInfo, WrapValidator
    from pydantic_core import CoreSchema, core_schema

M = TypeVar("M", bound=BaseModel)


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


class Model(BaseModel, frozen=True, extra="allow"):
    """A frozen value that keeps what it does not know."""


class Creator(Model, frozen=True):
    """The user who created a repository or a tag.

    Attributes:
        id: The user's id.
        email: The e-mail address.
        role: The role in the organization, such as `admin`.
        is_registered: Whether the user has finished registering.
        display_name: The name to show, if the user gave one.
        created_at: When the user was created.
        updated_at: When the user was last changed.
    """

    id: Id
    email: str
    role: str
    is_registered: bool
    display_name: str | None = None
    created_at: Time
    updated_at: Time


class _Reading:
    """What comes along while models are made from one answer, as pydantic's context.

    Args:
        origin: What the models are bound to.
    """

    def __init__(self, origin: object) -> None:
        self.origin = origin
        # By id: few people push most tags, and a creator costs half of what a tag does.
        self._creators: dict[object, tuple[dict[str, Any], Creator]] = {}

    def creator(self, row: Any, read: Callable[[Any], Creator]) -> Creator:
        """Return the creator that a row says: the one of before, where it says the same."""
        if not isinstance(row, dict) or not isinstance(key := row.get("id"), str):
            return read(row)
        before = self._creators.get(key)
        if before is not None and before[0] == row:
            return before[1]
        creator = read(row)
        self._creators[key] = row, creator
        return creator


def _shared(row: Any, read: Callable[[Any], Creator], info: ValidationInfo) -> Creator:
    context = info.context
    return context.creator(row, read) if isinstance(context, _Reading) else read(row)


_SharedCreator = Annotated[Creator, WrapValidator(_shared)]


class Tag(Model, frozen=True):
    """A name in a repository, and the image that it points to.

    Attributes:
        id: The tag's id.
        name: The tag's name, such as `1.0.0`.
        digest: The digest of the image's manifest, `sha256:…`.
        size: The image's size in bytes.
        media_type: The media type of the image's manifest.
        creator: Who pushed it.
        created_at: When the tag was first pushed.
        updated_at: When it was last pushed.
    """

    id: Id
    name: str
    digest: str
    size: Annotated[int, Field(ge=-MAX_INT64 - 1, le=MAX_INT64)]
    media_type: str
    creator: _SharedCreator
    created_at: Time
    updated_at: Time


class Bound(Model, frozen=True):
    """A model that remembers what it was read through.

    The bond stands in a slot, and so outside equality, hash, repr, dumps and pickles.
    """

    __slots__ = ("_origin",)

    def _bind(self, origin: object) -> None:
        object.__setattr__(self, "_origin", origin)

    def model_post_init(self, context: object, /) -> None:
        """Take the bond from the validation context, where it is ours."""
        self._bind(context.origin if isinstance(context, _Reading) else None)

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
        copied._bind(self._source())
        return copied


class RepositoryFields(Bound, frozen=True):
    """What the API says of a Docker repository: `Repository` documents the fields."""

    id: Id
    organization_id: Id
    name: str
    description: str | None = None
    tags: tuple[Tag, ...] | None = None
    creator: _SharedCreator
    created_at: Time
    updated_at: Time

    @overload
    def image(self, tag: Tag | str) -> ImageName: ...
    @overload
    def image(self, tag: Tag, *, pinned: bool) -> ImageName: ...
    def image(self, tag: Tag | str, *, pinned: bool = False) -> ImageName:
        """Return the name of a tag's image, as the platform's jobs take it; asks nothing.

        Args:
            tag: A tag, or its name.
            pinned: Whether to name the image that the tag points to now, by its digest, and
                not the tag, which can be moved. That needs a `Tag`.

        Raises:
            InvalidArgument: It is to be pinned, and the tag is a name, of which `get_tag(name)`
                has the digest; or the repository's or the tag's name cannot be an image's.

        Example:
            >>> tag = repository.get_tag("0.0.2")
            >>> print(repository.image(tag))
            custom/1410000000000/sample_repository:0.0.2
            >>> repository.image(tag, pinned=True).digest == tag.digest
            True
        """
        if not pinned:
            name = tag.name if isinstance(tag, Tag) else tag
            return ImageName(self.organization_id, self.name, tag=name)
        if not isinstance(tag, Tag):
            raise InvalidArgument(
                f"tag must be a Tag to be pinned, not {safe_repr(tag)}: get_tag has it"
            )
        return ImageName(self.organization_id, self.name, digest=tag.digest)


class PageFields(Bound, frozen=True):
    """What the API says of a page beside its items.

    Attributes:
        offset: How many items stand before the page.
        limit: How many items it may hold at the most: what the API applied, not what was asked.
        has_next: Whether more items follow.
        organization_id: The id of the organization.
        organization_name: The organization's name.
        registry_repository_id: The id of the repository whose tags these are; None for a
            page of repositories.
        created_at: When the organization was created.
        updated_at: When the organization was last changed.
    """

    offset: Annotated[int, Field(ge=0, le=MAX_INT64)]
    limit: Annotated[int, Field(ge=1, le=MAX_INT64)]
    has_next: bool
    organization_id: Id | None = None
    organization_name: str | None = None
    registry_repository_id: Id | None = None
    created_at: Time | None = None
    updated_at: Time | None = None


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why no model can be made from a value.

    Attributes:
        path: The path of the first field at fault.
        text: What is wrong with it.
    """

    path: tuple[int | str, ...]
    text: str


def read(model: type[M], body: object, reading: _Reading) -> M | _Problem:
    """Return a model made from a value of the API, or why it cannot be made."""
    try:
        return model.model_validate(body, context=reading)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return _Problem(first["loc"], f"{first['msg']} ({error.error_count()} in all)")
    except ValueError as error:  # pydantic lets a number of over 4,300 digits out as this
        return _Problem((), str(error))


def invalid(
    model: type[BaseModel], answered: Answered, problem: _Problem, *, created: bool = False
) -> InvalidResponse:
    """Return the error of an answer that no model can be made from; it carries the body."""
    body, path = answered.redact(answered.body), problem.path
    field = ".".join(map(str, path))
    # The first number in a path is a row's place.
    depth = next((depth for depth, part in enumerate(path) if isinstance(part, int)), None)
    error = InvalidResponse(
        f"no {model.__name__} can be made from the answer: field {field!r}: {problem.text}",
        body=body,
        field=field,
        place=None if depth is None else int(path[depth]),
        outcome_unknown=created,
        # Of the body as it came: redacting may change a key of the path.
        row=None if depth is None else _row_at(answered, path[: depth + 1]),
    )
    error.history = answered.history
    return error


def _row_at(answered: Answered, path: tuple[int | str, ...]) -> object:
    return answered.redact(reduce(getitem, path, cast(Any, answered.body)))


def parse(model: type[M], answered: Answered, origin: object = None, *, created: bool = False) -> M:
    """Return a model made from an answer's body.

    Args:
        model: The model's class.
        answered: What a call brought.
        origin: What the model is bound to.
        created: Whether the answer is a create's: what it is no proof of may have happened.

    Raises:
        InvalidResponse: It cannot be made; names the first field at fault, carries the body.
    """
    found = read(model, answered.body, _Reading(origin))
    if isinstance(found, _Problem):
        raise invalid(model, answered, found, created=created)
    return found
