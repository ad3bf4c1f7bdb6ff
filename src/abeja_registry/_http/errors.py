"""Maps the exceptions of httpx and httpx2 to the result of an attempt.

Both libraries have the same interface, with separate classes.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any

from .._api.redaction import Redactor
from .._api.responses import DEADLINE_PASSED, QUOTABLE, QUOTED_CHARACTERS, NoResponse, Stage
from .signals import from_signal_handler

DEADLINE_EXCEEDED = NoResponse(DEADLINE_PASSED, "", sent=True, timeout=True)

# The most specific class first.
_EXCEPTIONS = (
    # class, sent, timeout, transient: see NoResponse
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
    """Return httpx and httpx2, as far as the program has imported them.

    A client or an exception can only come from an imported library.
    """
    return [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]


def map_exception(error: Exception, redact: Redactor) -> NoResponse:
    """Return the result for an exception of httpx or httpx2; re-raise any other exception."""
    root = error.__cause__ and error.__cause__.__context__
    if root is not None and from_signal_handler(root):
        raise root
    if isinstance(error, ssl.SSLError):  # the async streams do not convert it
        return NoResponse(type(error).__name__, _quote(error, redact), sent=True)
    for library in http_libraries():
        for name, sent, timeout, transient in _EXCEPTIONS:
            if isinstance(error, getattr(library, name)):
                # h11's message quotes the header that it rejects.
                message = "" if name == "LocalProtocolError" else _quote(error, redact)
                # A retry does not change an untrusted certificate or a proxy's 407.
                transient = transient and "CERTIFICATE_VERIFY_FAILED" not in message
                transient = transient and not (name == "ProxyError" and message.startswith("407"))
                # For a user-supplied client, only OpenSSL's message shows a failed handshake.
                stage: Stage | None = "tls" if message.startswith("[SSL") else None
                return NoResponse(type(error).__name__, message, sent, timeout, transient, stage)
    raise error


def _quote(error: Exception, redact: Redactor) -> str:
    """Return an exception's message, redacted: it may quote raw bytes from the server."""
    text = str(error)
    return redact.quote(text[:QUOTABLE], QUOTED_CHARACTERS, cut=len(text) > QUOTABLE)
