"""What the API's reference says of its answers, and in what an answer differs from it.

A shape is a table of an object's fields: of each the JSON types that its value may have, or the
shape of the object that it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

Shape = Mapping[str, "tuple[str, ...] | Shape"]

# What a page holds where no limit was asked for.
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

# In whole seconds as well as with a fraction, always in UTC.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
# A server may call a field what it likes; what is no name of a field is not shown.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_NAMELESS = "(a name that is not shown)"
# Differences of one kind that are told; of more their number.
_TOLD = 10


def differences(
    shape: Shape, values: Iterable[object], seen: Set[str], secrets: Sequence[str]
) -> str:
    """Return in what values differ from their shape, in words; nothing where they do not.

    Args:
        shape: What they ought to be.
        values: What came.
        seen: Every string among the values that came: no field that is called so is told.
        secrets: No field in whose name one of these stands is told.
    """
    missing: dict[str, None] = {}
    unknown: dict[str, None] = {}
    another: dict[str, None] = {}

    def told(name: str) -> str:
        secret = name in seen or any(each in name for each in secrets)
        return name if _NAME.fullmatch(name) and not secret else _NAMELESS

    def compare(shape: Shape, value: object, path: str) -> None:
        if not isinstance(value, dict):
            another[f"{path.rstrip('.') or 'all of it'} ({_kind(value)}, not object)"] = None
            return
        for name, expected in shape.items():
            if name not in value:
                missing[path + name] = None
            elif isinstance(expected, Mapping):
                compare(expected, value[name], f"{path}{name}.")
            elif not _fits(value[name], expected):
                kinds = " or ".join(expected)
                another[f"{path}{name} ({_kind(value[name])}, not {kinds})"] = None
        unknown.update((path + told(name), None) for name in value if name not in shape)

    for value in values:
        compare(shape, value, "")
    kinds = {"missing": missing, "unknown": unknown, "of another type": another}
    return "; ".join(f"{kind}: {_listed(found)}" for kind, found in kinds.items() if found)


def rows(body: Mapping[str, Any], key: str) -> list[Any]:
    """Return the rows of a page; none where there is no list of them."""
    found = body.get(key)
    return found if isinstance(found, list) else []


def _listed(found: Mapping[str, None]) -> str:
    told = ", ".join(list(found)[:_TOLD])
    return told if len(found) <= _TOLD else f"{told} and {len(found) - _TOLD} more"


def _fits(value: object, kinds: tuple[str, ...]) -> bool:
    if "time" in kinds and isinstance(value, str):
        return _TIMESTAMP.fullmatch(value) is not None
    return _kind(value) in kinds


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def strings(value: object) -> Iterator[str]:
    """Walk through every string among the values within a value; no name of a field is one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)
