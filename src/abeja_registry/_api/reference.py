"""The responses in the API's reference, and how a response differs from it.

A shape maps each field of an object to the JSON types of its value, or to the shape of a nested
object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

Shape = Mapping[str, "tuple[str, ...] | Shape"]

# The page size of a request without a limit.
DEFAULT_LIMIT = 10

_STRING = ("string",)
_INTEGER = ("integer",)
_BOOLEAN = ("boolean",)
_ARRAY = ("array",)
_TIME = ("time",)
_TEXT_OR_NULL = ("string", "null")

_CREATOR: Shape = {
    "updated_at": _TIME,
    "role": _STRING,
    "is_registered": _BOOLEAN,
    "id": _STRING,
    "email": _STRING,
    # Assumption: the reference shows null alone.
    "display_name": _TEXT_OR_NULL,
    "created_at": _TIME,
}
TAG: Shape = {
    "size": _INTEGER,
    "name": _STRING,
    "media_type": _STRING,
    "id": _INTEGER,
    "digest": _STRING,
    "creator": _CREATOR,
    "created_at": _TIME,
    "updated_at": _TIME,
}
LISTED_REPOSITORY: Shape = {
    "id": _STRING,
    "organization_id": _STRING,
    "name": _STRING,
    "description": _TEXT_OR_NULL,
    "creator": _CREATOR,
    "created_at": _TIME,
    "updated_at": _TIME,
}
REPOSITORY: Shape = {**LISTED_REPOSITORY, "tags": _ARRAY}
_WINDOW: Shape = {
    "offset": _INTEGER,
    "limit": _INTEGER,
    "has_next": _BOOLEAN,
    "organization_name": _STRING,
    "created_at": _TIME,
    "updated_at": _TIME,
}
REPOSITORY_PAGE: Shape = {
    **_WINDOW,
    "organization_id": _INTEGER,
    "registry_repositories": _ARRAY,
}
TAG_PAGE: Shape = {
    **_WINDOW,
    "organization_id": _STRING,
    "registry_repository_id": _STRING,
    "tags": _ARRAY,
}

# Whole seconds or a fraction, always UTC.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
# A server chooses the names of unknown fields; only plain identifiers are shown.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_HIDDEN_NAME = "(a name that is not shown)"
# Differences of one kind that are listed; the others are counted.
_MAX_LISTED = 10


def differences(
    shape: Shape, values: Iterable[object], seen: Set[str], secrets: Sequence[str]
) -> str:
    """Describe how values differ from their shape; "" if they do not.

    Args:
        shape: The shape in the reference.
        values: The values of the responses.
        seen: All strings in the responses; a field whose name is one of them is not shown.
        secrets: A field whose name contains one of them is not shown.
    """
    missing: dict[str, None] = {}
    unknown: dict[str, None] = {}
    mistyped: dict[str, None] = {}

    def shown(name: str) -> str:
        secret = name in seen or any(each in name for each in secrets)
        return name if _NAME.fullmatch(name) and not secret else _HIDDEN_NAME

    def compare(shape: Shape, value: object, path: str) -> None:
        if not isinstance(value, dict):
            mistyped[f"{path.rstrip('.') or 'all of it'} ({_kind(value)}, not object)"] = None
            return
        for name, expected in shape.items():
            if name not in value:
                missing[path + name] = None
            elif isinstance(expected, Mapping):
                compare(expected, value[name], f"{path}{name}.")
            elif not _has_type(value[name], expected):
                kinds = " or ".join(expected)
                mistyped[f"{path}{name} ({_kind(value[name])}, not {kinds})"] = None
        unknown.update((path + shown(name), None) for name in value if name not in shape)

    for value in values:
        compare(shape, value, "")
    kinds = {"missing": missing, "unknown": unknown, "of another type": mistyped}
    return "; ".join(f"{kind}: {_listed(fields)}" for kind, fields in kinds.items() if fields)


def rows(body: Mapping[str, Any], key: str) -> list[Any]:
    """Return the rows of a page; an empty list if the key holds no list."""
    value = body.get(key)
    return value if isinstance(value, list) else []


def _listed(fields: Mapping[str, None]) -> str:
    listed = ", ".join(list(fields)[:_MAX_LISTED])
    more = len(fields) - _MAX_LISTED
    return listed if more <= 0 else f"{listed} and {more} more"


def _has_type(value: object, kinds: tuple[str, ...]) -> bool:
    if "time" in kinds and isinstance(value, str):
        return _TIMESTAMP.fullmatch(value) is not None
    return _kind(value) in kinds


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def strings(value: object) -> Iterator[str]:
    """Yield every string within a value, without the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)
