"""What the exceptions of an HTTP library say of a request.

httpx and httpx2 are one interface and two families of classes.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any

from .._api.responses import DEADLINE_PASSED, QUOTABLE, Failure
from .signals import from_signal_handler

LATE = Failure(DEADLINE_PASSED, sent=True, timeout=True)

# What each of the library's exceptions says of the request, the most specific first.
_EXCEPTIONS = (
    # class, may the API have seen the request, did time run out, may another attempt fare better
    ("ConnectTimeout", False, True, True),
    ("PoolTimeout", False, True, True),
    ("TimeoutException", True, True, True),
    ("ConnectError", False, False, True),
    ("ProxyError", False, False, True),
    ("UnsupportedProtocol", False, False, False),
    ("LocalProtocolError", True, False, False),
    ("HTTPError", True, False, True),
    ("StreamError", True, False, False),
    ("InvalidURL", False, False, False),
)


def http_libraries() -> list[Any]:
    """Return httpx and httpx2, of them those that are imported.

    Nothing is imported to find out: a client or an exception of a family can only come from
    where it was imported.
    """
    return [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]


def map_exception(error: Exception) -> Failure:
    """Return what an exception of httpx or httpx2 says; anybody else's is raised again."""
    root = error.__cause__ and error.__cause__.__context__
    if root is not None and from_signal_handler(root):
        raise root
    if isinstance(error, ssl.SSLError):  # the async streams let it out as it is
        return Failure(f"{type(error).__name__}: {error}", sent=True)
    for family in http_libraries():
        for name, sent, timeout, passing in _EXCEPTIONS:
            if isinstance(error, getattr(family, name)):
                # h11's text on a header that it refuses holds the header.
                text = "" if name == "LocalProtocolError" else f": {error}"[:QUOTABLE]
                # Of all that can be wrong with TLS, and with a proxy, these do not pass.
                passing = passing and "CERTIFICATE_VERIFY_FAILED" not in text
                passing = passing and not (name == "ProxyError" and text.startswith(": 407"))
                return Failure(f"{type(error).__name__}{text}", sent, timeout, passing)
    raise error
