"""The credential kept out of what this package says, though the other side may quote it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

INSTEAD = "[the credential]"
# Characters that a secret has at the least to be looked for by itself. A shorter one, which nobody
# gives out, stands in half of all words; the header that it goes out in is looked for all the same.
SHORTEST = 8

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")


class Redactor:
    """Takes a credential out of values.

    Args:
        header: The whole Authorization header, or None.
        secrets: What is secret in it, in each form that somebody may know it by.
    """

    def __init__(self, header: str | None = None, secrets: Iterable[str] = ()) -> None:
        forms = {secret for secret in secrets if len(secret) >= SHORTEST}
        if header:
            forms.add(header)
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, value: Any) -> Any:
        """Return a value as it is, but for the strings in it, at whatever depth."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self(each) for each in value]
        if isinstance(value, dict):
            return {self(key): self(each) for key, each in value.items()}
        return value

    def _text(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, INSTEAD)
        for decode in (_unescaped, unquote, html.unescape):
            decoded = decode(text)
            if decoded != text and any(form in decoded for form in self._forms):
                return self._text(decoded)
        return text


def _unescaped(text: str) -> str:
    """Return what a text in a JSON string, or in a repr, says."""
    return _ESCAPE.sub(lambda found: found[2] or chr(int(found[1], 16)), text)
