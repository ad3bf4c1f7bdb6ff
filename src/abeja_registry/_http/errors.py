"""What the exceptions of an HTTP library say of a request.

httpx and httpx2 are one interface and two families of classes.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any

from .._api.redaction import Redactor
from .._api.responses import DEADLINE_PASSED, QUOTABLE, QUOTED_CHARACTERS, NoResponse, Stage
from .signals import from_signal_handler

LATE = NoResponse(DEADLINE_PASSED, "", sent=True, timeout=True)

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
    """Return those of httpx and httpx2 that are imported.

    Nothing is imported to find out: a client or an exception of a library can only come from an
    imported one.
    """
    return [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]


def map_exception(error: Exception, redact: Redactor) -> NoResponse:
    """Return what an exception of httpx or httpx2 says; any other exception is raised again."""
    root = error.__cause__ and error.__cause__.__context__
    if root is not None and from_signal_handler(root):
        raise root
    if isinstance(error, ssl.SSLError):  # the async streams let it out as it is
        return NoResponse(type(error).__name__, _quote(error, redact), sent=True)
    for library in http_libraries():
        for name, sent, timeout, transient in _EXCEPTIONS:
            if isinstance(error, getattr(library, name)):
                # h11's text on a header that it refuses holds the header.
                message = "" if name == "LocalProtocolError" else _quote(error, redact)
                # An untrusted certificate stays so, and so does what a proxy does not let in.
                transient = transient and "CERTIFICATE_VERIFY_FAILED" not in message
                transient = transient and not (name == "ProxyError" and message.startswith("407"))
                # A user-supplied client's handshake fails with OpenSSL's words.
                stage: Stage | None = "tls" if message.startswith("[SSL") else None
                return NoResponse(type(error).__name__, message, sent, timeout, transient, stage)
    raise error


def _quote(error: Exception, redact: Redactor) -> str:
    """Return an exception's text without the credential: it may quote raw bytes of the server."""
    # Redact before truncating: half a credential would not be recognized.
    text: str = redact(str(error)[:QUOTABLE])
    return text[:QUOTED_CHARACTERS]
