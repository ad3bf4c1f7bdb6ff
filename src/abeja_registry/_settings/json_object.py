"""Parses a JSON file that people edit: with a BOM, and with errors that do not quote the file."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection
from typing import Any

# UTF-32 before UTF-16, whose BOM is the start of UTF-32's.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_TRAILING_COMMA = "a comma before a closing bracket"
# By the start of the parser's messages; their ends may quote the file.
_PROBLEMS = {
    "Illegal trailing comma": _TRAILING_COMMA,
    "Expecting ',' delimiter": "a comma is missing",
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting property name": "a key in double quotes is missing",
    "Expecting value": "a value is missing",
    "Extra data": "unexpected text after the object",
    "Unterminated string": "a string is not terminated",
    "Invalid control character": "a line break or another control character in a string",
    "Invalid": "an invalid escape sequence",
}
# Characters that JSON does not allow, and the hint for each.
_MISTAKES = {
    "'": "strings take double quotes",
    "/": "JSON has no comments",
    "#": "JSON has no comments",
}


def parse_object(content: bytes, keys: Collection[str]) -> tuple[dict[str, Any], str | None]:
    """Return a file's JSON object; or an empty dict and a description of the error.

    It does not raise: an exception would carry the file's text, which may contain a secret.

    Args:
        content: The file's bytes.
        keys: The keys that the caller reads; an error may show them.
    """
    text, problem = _decode(content)
    duplicates: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in keys and values.setdefault(key, value) != value:
                duplicates.append(key)
            values[key] = value
        return values

    value: Any = None
    if problem is None:
        try:
            value = json.loads(text, object_pairs_hook=unique)
        except json.JSONDecodeError as error:
            problem = _describe(text, error, keys)
        except RecursionError:
            problem = "it is nested too deeply"
        except ValueError:
            problem = "a number has too many digits"
    if problem is not None:
        return {}, f"is not a JSON object: {problem}"
    if not isinstance(value, dict):
        return {}, "is not a JSON object: it is another JSON value"
    if duplicates:
        return {}, f"has the key {duplicates[0]!r} twice, with different values"
    return value, None


def _decode(content: bytes) -> tuple[str, str | None]:
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    try:
        text = content.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="ignore").lstrip("\ufeff")
        return "", f"{_position(before)}: a byte that is not {encoding.upper()}"
    return text, None if text.strip() else "it is empty"


def _describe(text: str, error: json.JSONDecodeError, keys: Collection[str]) -> str:
    problem = next(
        (words for start, words in _PROBLEMS.items() if error.msg.startswith(start)), "it is broken"
    )
    at = error.pos
    before, here = text[:at].rstrip(), text[at : at + 1]
    if problem is _TRAILING_COMMA or (before.endswith(",") and here in ("}", "]")):
        # Python 3.13 and later point to the comma, others to the bracket behind it.
        problem, at = _TRAILING_COMMA, text.rindex(",", 0, at + 1)
    elif error.msg.startswith("Expecting"):
        problem = _MISTAKES.get(here, problem) if here else "it ends too early"
    known = "|".join(map(re.escape, keys))
    named = re.findall(rf'"({known})"\s*:', text[:at])
    return f"{_position(text[:at])}: {problem}" + (f", at the key {named[-1]!r}" if named else "")


def _position(before: str) -> str:
    """Return the line and the column after a text."""
    lines = before.split("\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"
