"""What goes on the wire, and what an HTTP library's responses and exceptions come to.

httpx and httpx2 are one interface and two families of classes; what is common to both doors to
the network stands here.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ._answers import Answer, Failure, Outcome, receive

# What each of the library's exceptions says of the request, the most specific first.
_EXCEPTIONS = (
    # class, may the API have seen the request, did time run out
    ("ConnectTimeout", False, True),
    ("PoolTimeout", False, True),
    ("TimeoutException", True, True),
    ("ConnectError", False, False),
    ("ProxyError", False, False),
    ("UnsupportedProtocol", False, False),
    ("InvalidURL", False, False),
    ("HTTPError", True, False),
    ("StreamError", True, False),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a door sends it; the timeout is seconds for each connect, read and write."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout: float


def families() -> list[Any]:
    """Return httpx and httpx2, of them those that are imported.

    Nothing is imported to find out: a client or an exception of a family can only come from
    where it was imported.
    """
    return [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]


def failure(error: Exception) -> Failure:
    """Return what an exception of httpx or httpx2 says; anybody else's is raised again."""
    for family in families():
        for name, sent, timeout in _EXCEPTIONS:
            if isinstance(error, getattr(family, name)):
                return Failure(f"{type(error).__name__}: {error}", sent, timeout)
    raise error


def read(response: Any) -> Outcome:
    """Return the whole of a streamed response, and close it."""
    body = bytearray()
    cut = None
    try:
        if response.is_stream_consumed:
            return _read_before(response)
        # Not iter_raw(): a mock's response refuses that.
        for chunk in cast(Iterable[bytes], response.stream):
            body += chunk
    except Exception as error:
        cut = failure(error)
    finally:
        response.close()
    return receive(response.status_code, dict(response.headers), bytes(body), cut)


async def aread(response: Any) -> Outcome:
    """As `read`, of an async response."""
    body = bytearray()
    cut = None
    try:
        if response.is_stream_consumed:
            return _read_before(response)
        async for chunk in cast(AsyncIterable[bytes], response.stream):
            body += chunk
    except Exception as error:
        cut = failure(error)
    finally:
        await response.aclose()
    return receive(response.status_code, dict(response.headers), bytes(body), cut)


def _read_before(response: Any) -> Answer:
    """Return a response that its owner's hook has read, or that a mock has made: unpacked."""
    return Answer(response.status_code, dict(response.headers), response.content)
