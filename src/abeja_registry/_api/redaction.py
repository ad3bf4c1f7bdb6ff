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
# What replaces a secret that is itself a part of the words above: shorter than any secret.
_SHORT_INSTEAD = "***"
# The names that the API's reference and HTTP give to fields. A key that is one of them quotes
# nobody's secret, and code looks it up by its name.
_KEYS = frozenset(
    """
    id organization_id organization_name registry_repository_id registry_repositories name
    description tags items entries creator created_at updated_at role is_registered email
    display_name offset limit has_next size media_type digest error error_description error_detail
    location date retry-after content-type content-length content-encoding x-request-id
    """.split()  # noqa: SIM905
)
# How often a text may be quoted within itself: JSON in a URL in HTML is three times.
_DEEPEST_QUOTE = 8

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
        self._instead = INSTEAD if self._clean(INSTEAD) else _SHORT_INSTEAD

    def __call__(self, value: Any) -> Any:
        """Return a value as it is, but for the strings and numbers in it, at whatever depth."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self(each) for each in value]
        if isinstance(value, dict):
            return {key if key in _KEYS else self(key): self(each) for key, each in value.items()}
        if type(value) in (int, float):
            return self._number(value)
        return value

    def _clean(self, text: str) -> bool:
        return not any(form in text for form in self._forms)

    def _number(self, value: float) -> Any:
        try:
            text = repr(value)
        except ValueError:  # of thousands of digits, more than a header holds
            return value
        return value if self._clean(text) else self._instead

    def _text(self, text: str) -> str:
        # A loop: a recursion would let whoever quotes the secret decide how deep it goes.
        for _ in range(_DEEPEST_QUOTE):
            for form in self._forms:
                text = text.replace(form, self._instead)
            decodings = (decode(text) for decode in (_unescaped, unquote, html.unescape))
            quoted = next((each for each in decodings if not self._clean(each)), None)
            if quoted is None:
                return text
            text = quoted
        return self._instead


def _unescaped(text: str) -> str:
    """Return what a text in a JSON string, or in a repr, says."""
    return _ESCAPE.sub(lambda found: found[2] or chr(int(found[1], 16)), text)
