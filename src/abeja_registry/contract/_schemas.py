"""The schemas of the API's document, and how a response differs from its schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cache
from typing import Any

from ..openapi import document

# Of its keywords, these are read: type, format, pattern, required, properties and $ref.
Schema = Mapping[str, Any]

# A server chooses the names of unknown fields; only plain identifiers are shown.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_HIDDEN_NAME = "(a name that is not shown)"
# Differences of one kind that are listed; the others are counted.
_MAX_LISTED = 10


@cache
def _components() -> Mapping[str, Any]:
    components: Mapping[str, Any] = document()["components"]
    return components


def schema(name: str) -> Schema:
    """Return a schema of the document."""
    found: Schema = _components()["schemas"][name]
    return found


def default_limit() -> int:
    """Return the page size of a request without a limit."""
    limit: int = _components()["parameters"]["Limit"]["schema"]["default"]
    return limit


def differences(
    expected: Schema, values: Iterable[object], seen: Set[str], secrets: Sequence[str]
) -> str:
    """Describe how values differ from their schema; "" if they do not.

    The items of an array are not compared.

    Args:
        expected: The schema, of an object.
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

    def compare(expected: Schema, value: object, path: str) -> None:
        if not isinstance(value, dict):
            mistyped[f"{path.rstrip('.') or 'all of it'} ({_kind(value)}, not object)"] = None
            return
        fields = {name: _resolved(each) for name, each in expected["properties"].items()}
        missing.update((path + name, None) for name in expected["required"] if name not in value)
        for name, field in fields.items():
            if name not in value:
                continue
            if field["type"] == "object":
                compare(field, value[name], f"{path}{name}.")
            elif not _matches(value[name], field):
                kinds = " or ".join(_kinds(field))
                mistyped[f"{path}{name} ({_kind(value[name])}, not {kinds})"] = None
        unknown.update((path + shown(name), None) for name in value if name not in fields)

    for value in values:
        compare(expected, value, "")
    kinds = {"missing": missing, "unknown": unknown, "of another type": mistyped}
    return "; ".join(f"{kind}: {_listed(fields)}" for kind, fields in kinds.items() if fields)


def rows(body: Mapping[str, Any], key: str) -> list[Any]:
    """Return the rows of a page; an empty list if the key holds no list."""
    value = body.get(key)
    return value if isinstance(value, list) else []


def strings(value: object) -> Iterator[str]:
    """Yield every string within a value, without the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def _resolved(given: Schema) -> Schema:
    reference = given.get("$ref")
    return given if reference is None else schema(reference.rpartition("/")[2])


def _listed(fields: Mapping[str, None]) -> str:
    listed = ", ".join(list(fields)[:_MAX_LISTED])
    more = len(fields) - _MAX_LISTED
    return listed if more <= 0 else f"{listed} and {more} more"


def _kinds(expected: Schema) -> Sequence[str]:
    if expected.get("format") == "date-time":
        return ["time"]
    kinds: str | list[str] = expected["type"]
    return [kinds] if isinstance(kinds, str) else kinds


def _matches(value: object, expected: Schema) -> bool:
    pattern = expected.get("pattern")
    if pattern is not None:
        return isinstance(value, str) and re.fullmatch(pattern, value) is not None
    return _kind(value) in _kinds(expected)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "null")
