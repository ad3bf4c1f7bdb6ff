"""Decoding a response: its headers, and its body within bounds, decompressed, as JSON."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import nullcontext
from io import BytesIO
from typing import Any, cast

from .._api.responses import NOT_JSON, QUOTABLE, AttemptResult, NoResponse, Response
from .errors import LATE, map_exception
from .sender import Request

# Of gzip: zlib's name for it, bytes decompressed in one go, and members that a body may have.
_GZIP = zlib.MAX_WBITS | 16
_PIECE = 1024
_MEMBERS = 1000


def read_response(response: Any, request: Request, deadline: float) -> AttemptResult:
    """Read a streamed response of httpx or httpx2 to its end, close it and decode it.

    Args:
        response: The response.
        request: The request that it answers.
        deadline: When reading has to be over, by the monotonic clock.
    """
    body = BytesIO()
    read_error = None
    try:
        if response.is_stream_consumed:
            return _decode_read(response, request)
        # Not iter_raw(): a mock's response refuses that.
        for chunk in cast(Iterable[bytes], response.stream):
            body.write(chunk)
            if body.tell() > request.max_response_bytes:
                break
            if time.monotonic() >= deadline:
                read_error = LATE
                break
    except Exception as error:
        read_error = map_exception(error, request.redact)
    finally:
        response.close()
    return decode_response(
        response.status_code, decode_headers(response), body.getvalue(), request, read_error
    )


async def aread_response(response: Any, request: Request, remaining: float | None) -> AttemptResult:
    """As `read_response`, of an async response.

    Args:
        response: The response.
        request: The request that it answers.
        remaining: Seconds that reading may take; None where the streams see to that.
    """
    body = BytesIO()
    read_error = None
    limit = None if remaining is None else asyncio.timeout(remaining)
    try:
        if response.is_stream_consumed:
            return _decode_read(response, request)
        async with limit or nullcontext():
            async for chunk in cast(AsyncIterable[bytes], response.stream):
                body.write(chunk)
                if body.tell() > request.max_response_bytes:
                    break
    except Exception as error:
        late = isinstance(error, TimeoutError) and limit is not None and limit.expired()
        read_error = LATE if late else map_exception(error, request.redact)
    finally:
        await response.aclose()
    return decode_response(
        response.status_code, decode_headers(response), body.getvalue(), request, read_error
    )


def _decode_read(response: Any, request: Request) -> Response:
    """Decode a response that a hook has read, or that a mock has made: it is decompressed."""
    content = response.content
    too_large = len(content) > request.max_response_bytes
    body = NOT_JSON if too_large else parse_json(content)
    return Response(response.status_code, decode_headers(response), content, body, too_large)


def decode_headers(response: Any) -> dict[str, str]:
    """Return a response's headers by their lower-case names; those with one name are joined."""
    headers: dict[str, str] = {}
    for name, value in response.headers.raw:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        key = name.decode("latin-1").lower()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def decode_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    request: Request,
    read_error: NoResponse | None = None,
) -> AttemptResult:
    """Decode a raw HTTP response.

    Args:
        status: The HTTP status.
        headers: The headers, with lower-case names.
        body: The bytes that were read of the body, compressed as the headers say.
        request: The request: the bounds of the body, and whether it may be empty.
        read_error: What ended the reading of the body early.
    """
    limit = request.max_response_bytes
    compressed = headers.get("content-encoding", "").lower() in ("gzip", "x-gzip")
    # Where the status says that there is no body, there is none to decompress.
    if compressed and status != 204 and len(body) <= limit:
        body, whole = _gunzip(body, limit)
        if not whole and read_error is None:
            read_error = NoResponse("the gzip body is broken or was cut short", "", sent=True)
    if len(body) > limit:
        return Response(status, headers, body[:QUOTABLE], NOT_JSON, too_large=True)
    parsed = parse_json(body)
    if read_error is None and parsed is NOT_JSON and not compressed:
        no_framing = not {"content-length", "transfer-encoding"} & headers.keys()
        body_optional = not body and (request.method == "DELETE" or status == 204)
        # Without framing, a lost connection looks like the body's end.
        if no_framing and not body_optional and body.lstrip()[:1] in (b"", b"{"):
            read_error = NoResponse(
                "the body is no whole JSON object, and nothing said how long it is", "", sent=True
            )
    if read_error is not None and 200 <= status < 300:
        return read_error
    # A broken body must not hide an error's status.
    return Response(status, headers, body, parsed)


def parse_json(content: bytes) -> Any:
    """Return the JSON value of a body, or `NOT_JSON`."""
    # Imported here, so that a client which sends nothing yet does not wait for pydantic.
    from pydantic_core import from_json

    try:
        # Cache keys only; caching string values costs more than it saves.
        return from_json(content, cache_strings="keys")
    except ValueError:
        return NOT_JSON


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
