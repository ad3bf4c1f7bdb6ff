"""Redaction: removes the credential from everything that a server may have quoted."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

PLACEHOLDER = "[the credential]"
# Shorter secrets would match ordinary words, so only the whole header is redacted for them.
_MIN_SECRET = 8
# Replaces the placeholder if a secret is a part of it; this one is shorter than any secret.
_SHORT_PLACEHOLDER = "***"
# Field names of the API's reference and of HTTP. They stay as they are: code looks them up.
_KEYS = frozenset(
    """
    id organization_id organization_name registry_repository_id registry_repositories name
    description tags items entries creator created_at updated_at role is_registered email
    display_name offset limit has_next size media_type digest error error_description error_detail
    location date retry-after content-type content-length content-encoding x-request-id
    """.split()  # noqa: SIM905
)
# Levels of quoting that are decoded; JSON in a URL in HTML has three.
_MAX_QUOTE_DEPTH = 8

# Maximum length of one escaped character: `\\u0041`, `&#0065;`.
_MAX_ESCAPED = 8

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")


class Redactor:
    """Removes a credential from values.

    Args:
        header: The whole Authorization header, or None.
        secrets: The secrets in it, encoded and decoded.
    """

    def __init__(self, header: str | None = None, secrets: Iterable[str] = ()) -> None:
        forms = {secret for secret in secrets if len(secret) >= _MIN_SECRET}
        if header:
            forms.add(header)
        self._forms = sorted(forms, key=len, reverse=True)
        self._placeholder = PLACEHOLDER if self._is_clean(PLACEHOLDER) else _SHORT_PLACEHOLDER

    def __call__(self, value: Any) -> Any:
        """Return a value with its strings and numbers redacted, at any depth."""
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

    def quote(self, text: str, length: int, *, cut: bool) -> str:
        """Return the start of a text, redacted.

        Args:
            text: The text.
            length: Characters to return at most.
            cut: Whether more followed: then the text may end with a part of a secret.
        """
        # Redact before truncating: half a credential would not be recognized.
        redacted: str = self(text)
        if cut and self._forms:
            redacted = redacted[: max(0, len(redacted) - _MAX_ESCAPED * len(self._forms[0]))]
        return redacted[:length]

    def _is_clean(self, text: str) -> bool:
        return not any(form in text for form in self._forms)

    def _number(self, value: float) -> Any:
        try:
            text = repr(value)
        except ValueError:  # over 4,300 digits, more than a header holds
            return value
        return value if self._is_clean(text) else self._placeholder

    def _text(self, text: str) -> str:
        # A bounded loop: the server decides how deep it quotes.
        for _ in range(_MAX_QUOTE_DEPTH):
            for form in self._forms:
                text = text.replace(form, self._placeholder)
            decodings = (decode(text) for decode in (_unescaped, unquote, html.unescape))
            quoted = next((each for each in decodings if not self._is_clean(each)), None)
            if quoted is None:
                return text
            text = quoted
        return self._placeholder


def _unescaped(text: str) -> str:
    """Decode the escapes of a JSON string or of a repr."""
    return _ESCAPE.sub(lambda found: found[2] or chr(int(found[1], 16)), text)
