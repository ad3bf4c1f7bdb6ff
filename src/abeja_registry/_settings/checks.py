"""How the settings are checked: the name of a value's source and the value in, the value out.

What other arguments are checked for as well stands in `_validation`.
"""

from __future__ import annotations

import inspect
from typing import Any

import httpx

from .._validation import check_callable, quote_segment, safe_repr
from ..exceptions import InvalidArgument
from .network import is_host


def check_secret(source: str, value: Any) -> str:
    """Return a part of a credential that a header can hold; an error does not show it."""
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f"{source} must be a string that is not empty")
    # The HTTP library would show a value that it cannot send, secret and all.
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise InvalidArgument(
            f"{source} must be of printable ASCII characters, without a space at either end"
        )
    return value


def check_user(source: str, value: Any) -> str:
    """Return the id in a credential that is sent as user and secret, with a colon between them."""
    if ":" in check_secret(source, value):
        raise InvalidArgument(f"{source} must hold no colon: the secret begins after one")
    return str(value)


def check_organization(source: str, value: Any) -> str:
    """Return an organization's id as a string."""
    quote_segment(source, value)
    return str(value)


def check_base_url(source: str, value: Any) -> str:
    """Return a base URL without a slash at its end."""
    try:
        url = httpx.URL(value)
    except (TypeError, ValueError, httpx.InvalidURL):
        url = httpx.URL()
    text = str(value)
    if url.userinfo or "@" in text:  # not shown: it may be a password
        raise InvalidArgument(
            f"{source} must hold no user name or password: pass them as credential"
        )
    if "?" in text or "#" in text:
        raise InvalidArgument(f"{source} must hold no query and no fragment")
    usable = url.scheme in ("http", "https") and is_host(url.host) and (url.port or 0) <= 65535
    if not usable or any(character.isspace() for character in text):
        raise InvalidArgument(
            f"{source} must be an http or https URL with a host, not {safe_repr(value)}"
        )
    return str(url).rstrip("/")


def check_hook(source: str, value: Any) -> Any:
    """Return a plain function, or None."""
    if inspect.iscoroutinefunction(check_callable(source, value)):
        raise InvalidArgument(f"{source} must be a plain function: nobody would await it")
    return value
