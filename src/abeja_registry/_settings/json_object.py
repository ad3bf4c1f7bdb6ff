"""A JSON file that people edit: read with a BOM, and told where it is broken, without its text."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection
from typing import Any

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_TRAILING_COMMA = "a comma before a closing bracket"
# How the parser's messages begin; their ends may quote the text.
_PROBLEMS = {
    "Illegal trailing comma": _TRAILING_COMMA,
    "Expecting ',' delimiter": "a comma is missing",
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting property name": "a key in double quotes is missing",
    "Expecting value": "a value is missing",
    "Extra data": "the object has ended, and more follows",
    "Unterminated string": "a string has no end",
    "Invalid control character": "a line break or another control character in a string",
    "Invalid": "a backslash that begins no escape",
}
# The characters that editors of JSON put where JSON has none.
_MISTAKES = {
    "'": "strings take double quotes",
    "/": "JSON has no comments",
    "#": "JSON has no comments",
}


def parse_object(content: bytes, keys: Collection[str]) -> tuple[dict[str, Any], str | None]:
    """Return the JSON object of a file, or an empty one and what is wrong with it.

    Nothing is raised: an exception would carry the text, and a secret in it.

    Args:
        content: The file's bytes.
        keys: The keys that are read of it, and may be shown.
    """
    text, problem = _decoded(content)
    twice: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in keys and values.setdefault(key, value) != value:
                twice.append(key)
            values[key] = value
        return values

    value: Any = None
    if problem is None:
        try:
            value = json.loads(text, object_pairs_hook=unique)
        except json.JSONDecodeError as error:
            problem = _located(text, error, keys)
        except RecursionError:
            problem = "it is nested too deeply"
        except ValueError:
            problem = "a number has too many digits"
    if problem is not None:
        return {}, f"is no JSON object: {problem}"
    if not isinstance(value, dict):
        return {}, "is no JSON object: another value is in its place"
    if twice:
        return {}, f"has the key {twice[0]!r} twice, with different values"
    return value, None


def _decoded(content: bytes) -> tuple[str, str | None]:
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="ignore").lstrip("\ufeff")
        return "", f"{_place(before)}: a byte that is no {encoding.upper()}"
    return text, None if text.strip() else "it is empty"


def _located(text: str, error: json.JSONDecodeError, keys: Collection[str]) -> str:
    problem = next(
        (words for start, words in _PROBLEMS.items() if error.msg.startswith(start)), "it is broken"
    )
    at = error.pos
    before, here = text[:at].rstrip(), text[at : at + 1]
    if error.msg.startswith("Expecting"):
        if before.endswith(",") and here in ("}", "]"):
            # Python 3.13 and later point to the comma.
            problem, at = _TRAILING_COMMA, len(before) - 1
        elif not here:
            problem = "it ends too early"
        else:
            problem = _MISTAKES.get(here, problem)
    known = "|".join(map(re.escape, keys))
    named = re.findall(rf'"({known})"\s*:', text[:at])
    return f"{_place(text[:at])}: {problem}" + (f", at the key {named[-1]!r}" if named else "")


def _place(before: str) -> str:
    """Return the line and the column after a text."""
    lines = before.split("\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"
