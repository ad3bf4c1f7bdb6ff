"""What goes on the wire, and what an HTTP library's responses and exceptions come to.

httpx and httpx2 are one interface and two families of classes; what is common to both doors to
the network stands here.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import nullcontext
from io import BytesIO
from typing import Any, cast

from .._api.responses import NOT_JSON, QUOTABLE, Answer, Failure, Outcome, parse_json
from .errors import LATE, map_exception
from .sender import Request

# Of gzip: zlib's name for it, bytes unpacked in one go, and members that a body may have.
_GZIP = zlib.MAX_WBITS | 16
_PIECE = 1024
_MEMBERS = 1000


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
        cut = map_exception(error)
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
    deadline = asyncio.timeout(request.left) if bounded else None
    try:
        if response.is_stream_consumed:
            return _read_before(response, request)
        async with deadline or nullcontext():
            async for chunk in cast(AsyncIterable[bytes], response.stream):
                body.write(chunk)
                if body.tell() > request.max_response_bytes:
                    break
    except Exception as error:
        late = isinstance(error, TimeoutError) and deadline is not None and deadline.expired()
        cut = LATE if late else map_exception(error)
    finally:
        await response.aclose()
    return _received(response, request, body.getvalue(), cut)


def _received(response: Any, request: Request, body: bytes, cut: Failure | None) -> Outcome:
    return decode_response(
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


def decode_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    limit: int,
    cut: Failure | None = None,
    may_be_empty: bool = False,
) -> Outcome:
    """Return what a status, its headers and the bytes of its body come to.

    Args:
        status: The HTTP status.
        headers: The headers, with lower-case names.
        body: What was read of the body, packed as the headers say.
        limit: Bytes that a body may have, packed and unpacked.
        cut: What ended the reading of the body, where it did not end by itself.
        may_be_empty: Whether no body at all is an answer, too.
    """
    packed = headers.get("content-encoding", "").lower() in ("gzip", "x-gzip")
    # Where the status says that there is no body, there is none to unpack.
    if packed and status != 204 and len(body) <= limit:
        body, whole = _gunzip(body, limit)
        if not whole and cut is None:
            cut = Failure("the gzip body is broken or was cut short", sent=True)
    if len(body) > limit:
        return Answer(status, headers, body[:QUOTABLE], too_large=True)
    answer = Answer(status, headers, body)
    unmeasured = not packed and not {"content-length", "transfer-encoding"} & headers.keys()
    # Where nothing says how long a body is, a connection that is lost looks like its end.
    absent = not body and (may_be_empty or status == 204)
    looks_cut = not absent and body.lstrip()[:1] in (b"", b"{")
    if cut is None and unmeasured and looks_cut and parse_json(body) is NOT_JSON:
        cut = Failure(
            "the body is no whole JSON object, and nothing said how long it is", sent=True
        )
    # A broken body must not hide an error's status; a success without its body is none.
    return cut if cut is not None and answer.success else answer


def _gunzip(packed: bytes, limit: int) -> tuple[bytes, bool]:
    """Return what a gzip body unpacks to, up to a byte over the limit, and whether it is whole."""
    unpacked = BytesIO()
    # A gzip body is one member, or several one after the other; of millions of empty ones, each
    # takes its time.
    member, members = zlib.decompressobj(_GZIP), 1
    at = 0
    while at < len(packed) and unpacked.tell() <= limit:
        if member.eof:
            if members == _MEMBERS:
                return unpacked.getvalue(), False
            member, members = zlib.decompressobj(_GZIP), members + 1
        # In small pieces: what is left of one at each member's end is copied.
        piece = packed[at : at + _PIECE]
        try:
            unpacked.write(member.decompress(piece, limit + 1 - unpacked.tell()))
        except zlib.error:
            return unpacked.getvalue(), False
        at += len(piece) - len(member.unused_data) - len(member.unconsumed_tail)
    return unpacked.getvalue(), member.eof or unpacked.tell() > limit
