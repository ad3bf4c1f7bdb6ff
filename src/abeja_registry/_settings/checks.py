"""The checks of settings: each takes the name of a value's source and the value, and returns it.

Checks that other arguments share are in `_validation`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import httpx

from .._validation import check_callable, quote_segment, safe_repr
from ..exceptions import InvalidArgument
from .network import is_host

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]{0,4000}[!-~])?")
_RESERVED_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "connection", "content-length"),
        *("content-type", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"),
        "user-agent",
    }
)


def check_secret(source: str, value: Any) -> str:
    """Return a part of a credential that fits into a header; the error does not show the value."""
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f"{source} must be a non-empty string")
    # The HTTP library's own error would show the secret.
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise InvalidArgument(
            f"{source} must consist of printable ASCII characters, without spaces at either end"
        )
    return value


def check_user(source: str, value: Any) -> str:
    """Return the id in a credential for Basic authentication."""
    if ":" in check_secret(source, value):
        raise InvalidArgument(f"{source} must not contain a colon, which precedes the secret")
    return str(value)


def check_organization(source: str, value: Any) -> str:
    """Return an organization's id as a string."""
    quote_segment(source, value)
    return str(value)


def check_base_url(source: str, value: Any) -> str:
    """Return a base URL without a trailing slash."""
    try:
        url = httpx.URL(value)
    except (TypeError, ValueError, httpx.InvalidURL):
        url = httpx.URL()
    text = str(value)
    if url.userinfo or "@" in text:  # not shown: it may contain a password
        raise InvalidArgument(
            f"{source} must not contain a user name or password; pass them as credential"
        )
    if "?" in text or "#" in text:
        raise InvalidArgument(f"{source} must not contain a query or a fragment")
    usable = url.scheme in ("http", "https") and is_host(url.host) and (url.port or 0) <= 65535
    if not usable or any(character.isspace() for character in text):
        raise InvalidArgument(
            f"{source} must be an http or https URL with a host, not {safe_repr(value)}"
        )
    return str(url).rstrip("/")


def check_user_agent(source: str, value: Any) -> str:
    """Return a suffix of the User-Agent header, such as `trainer/1.2`."""
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        raise InvalidArgument(
            f"{source} must be printable ASCII text such as 'trainer/1.2', not {safe_repr(value)}"
        )
    return value


def check_headers(source: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Return headers as pairs; an error names a header, and shows no value."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{source} must be a dict, not {safe_repr(value)}")
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidArgument(f"{source} must have header names as keys, not {safe_repr(name)}")
        if name.lower() in _RESERVED_HEADERS:
            raise InvalidArgument(f"{source} must not set {name}: this package sets it")
        if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
            raise InvalidArgument(f"{source} must have printable ASCII text as {name}")
    return tuple(value.items())


def check_hook(source: str, value: Any) -> Any:
    """Return a callable that is no coroutine function, or None."""
    if inspect.iscoroutinefunction(check_callable(source, value)):
        raise InvalidArgument(f"{source} must be a plain function, not a coroutine function")
    return value
