"""What goes on the wire, and what an HTTP library's responses and exceptions come to.

httpx and httpx2 are one interface and two families of classes; what is common to both doors to
the network stands here.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import AsyncIterable, Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, cast

from ._answers import DEADLINE_PASSED, QUOTABLE, Answer, Failure, Outcome, receive
from ._signals import from_signal_handler

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


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a door sends it.

    Attributes:
        method: The HTTP method.
        base_url: Where the API is.
        target: The path below it, with the query where there is one.
        headers: The headers, Authorization among them.
        body: The body, or None.
        replayable: Whether sending it twice does no more than sending it once.
        timeout: Seconds for each connect, read and write.
        deadline: When it has to be over, by the monotonic clock.
        max_response_bytes: Bytes that the answer's body may have, packed and unpacked.
    """

    method: str
    base_url: str
    target: str
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes | None
    replayable: bool
    timeout: float
    deadline: float
    max_response_bytes: int

    @property
    def url(self) -> str:
        """The whole URL."""
        return self.base_url + self.target

    @property
    def left(self) -> float:
        """Seconds until the deadline, from 0."""
        return max(0.0, self.deadline - time.monotonic())


def families() -> list[Any]:
    """Return httpx and httpx2, of them those that are imported.

    Nothing is imported to find out: a client or an exception of a family can only come from
    where it was imported.
    """
    return [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]


def failure(error: Exception) -> Failure:
    """Return what an exception of httpx or httpx2 says; anybody else's is raised again."""
    root = error.__cause__ and error.__cause__.__context__
    if root is not None and from_signal_handler(root):
        raise root
    if isinstance(error, ssl.SSLError):  # the async streams let it out as it is
        return Failure(f"{type(error).__name__}: {error}", sent=True)
    for family in families():
        for name, sent, timeout, passing in _EXCEPTIONS:
            if isinstance(error, getattr(family, name)):
                # h11's text on a header that it refuses holds the header.
                text = "" if name == "LocalProtocolError" else f": {error}"[:QUOTABLE]
                # Of all that can be wrong with TLS, and with a proxy, these do not pass.
                passing = passing and "CERTIFICATE_VERIFY_FAILED" not in text
                passing = passing and not (name == "ProxyError" and text.startswith(": 407"))
                return Failure(f"{type(error).__name__}{text}", sent, timeout, passing)
    raise error


def read(response: Any, request: Request) -> Outcome:
    """Return the whole of a streamed response, and close it."""
    body = BytesIO()
    cut = None
    try:
        if response.is_stream_consumed:
            return _read_before(response, request)
        # Not iter_raw(): a mock's response refuses that.
        for chunk in cast(Iterable[bytes], response.stream):
            body.write(chunk)
            if body.tell() > request.max_response_bytes:
                break
            if not request.left:
                cut = LATE
                break
    except Exception as error:
        cut = failure(error)
    finally:
        response.close()
    return _received(response, request, body.getvalue(), cut)


async def aread(response: Any, request: Request, *, bounded: bool) -> Outcome:
    """As `read`, of an async response.

    Args:
        response: The response.
        request: What was sent.
        bounded: Whether the deadline has to be watched here; our own streams do so themselves.
    """
    body = BytesIO()
    cut = None
    deadline = asyncio.timeout(request.left if bounded else None)
    try:
        if response.is_stream_consumed:
            return _read_before(response, request)
        async with deadline:
            async for chunk in cast(AsyncIterable[bytes], response.stream):
                body.write(chunk)
                if body.tell() > request.max_response_bytes:
                    break
    except Exception as error:
        cut = LATE if isinstance(error, TimeoutError) and deadline.expired() else failure(error)
    finally:
        await response.aclose()
    return _received(response, request, body.getvalue(), cut)


def _received(response: Any, request: Request, body: bytes, cut: Failure | None) -> Outcome:
    return receive(
        response.status_code,
        headers(response),
        body,
        limit=request.max_response_bytes,
        cut=cut,
        may_be_empty=request.method == "DELETE",
    )


def _read_before(response: Any, request: Request) -> Answer:
    """Return a response that its owner's hook has read, or that a mock has made: unpacked."""
    body = response.content
    too_large = len(body) > request.max_response_bytes
    return Answer(response.status_code, headers(response), body, too_large)


def headers(response: Any) -> dict[str, str]:
    """Return a response's headers by their lower-case names; those of one name are joined."""
    found: dict[str, str] = {}
    for name, value in response.headers.raw:
        key, text = _text(name).lower(), _text(value)
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _text(header: bytes) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")
