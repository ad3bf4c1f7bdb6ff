"""Reads and decodes a response: headers, and a body of limited size, decompressed, as JSON."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from io import BytesIO
from typing import Any, cast

from .._api.responses import NOT_JSON, QUOTABLE, AttemptResult, NoResponse, Response
from .errors import DEADLINE_EXCEEDED, map_exception
from .sender import Request

# For zlib: a gzip header and trailer.
_GZIP_WBITS = zlib.MAX_WBITS | 16
# Bytes that are decompressed at once.
_GZIP_CHUNK = 1024
_MAX_GZIP_MEMBERS = 1000


def read_response(response: Any, request: Request, deadline: float) -> AttemptResult:
    """Read a streamed response of httpx or httpx2 to its end, close it and decode it.

    Args:
        response: The response.
        request: Its request.
        deadline: When reading must end, by the monotonic clock.
    """
    body = BytesIO()
    read_error = None
    try:
        if response.is_stream_consumed:
            return _decode_read(response, request)
        # Not iter_raw(): it fails on the response of a mock.
        for chunk in cast(Iterable[bytes], response.stream):
            body.write(chunk)
            if body.tell() > request.max_response_bytes:
                break
            if time.monotonic() >= deadline:
                read_error = DEADLINE_EXCEEDED
                break
    except Exception as error:
        # The head has arrived, so the request was sent, whatever the exception's class says.
        read_error = replace(map_exception(error, request.redact), sent=True)
    finally:
        response.close()
    return decode_response(
        response.status_code, decode_headers(response), body.getvalue(), request, read_error
    )


async def aread_response(
    response: Any, request: Request, deadline: float | None = None
) -> AttemptResult:
    """As `read_response`, for an async response; without a deadline if its streams have one."""
    body = BytesIO()
    read_error = None
    limit = None if deadline is None else asyncio.timeout(max(0.0, deadline - time.monotonic()))
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
        read_error = (
            DEADLINE_EXCEEDED if late else replace(map_exception(error, request.redact), sent=True)
        )
    finally:
        await response.aclose()
    return decode_response(
        response.status_code, decode_headers(response), body.getvalue(), request, read_error
    )


def _decode_read(response: Any, request: Request) -> Response:
    """Decode a response that a hook has read or a mock has made; httpx has decompressed it."""
    content = response.content
    too_large = len(content) > request.max_response_bytes
    body = NOT_JSON if too_large else parse_json(content)
    return Response(response.status_code, decode_headers(response), content, body, too_large)


def decode_headers(response: Any) -> dict[str, str]:
    """Return the headers with lower-case names; repeated headers are joined by a comma."""
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
        body: The bytes of the body that were read, still compressed.
        request: The request.
        read_error: The failure that ended the reading early.
    """
    limit = request.max_response_bytes
    body_optional = not body and (request.method in ("DELETE", "HEAD") or status == 204)
    compressed = headers.get("content-encoding", "").lower() in ("gzip", "x-gzip")
    if compressed and not body_optional and len(body) <= limit:
        body, complete = _gunzip(body, limit)
        if not complete and read_error is None:
            read_error = NoResponse("the gzip body is corrupt or incomplete", "", sent=True)
    if len(body) > limit:
        return Response(status, headers, body[:QUOTABLE], NOT_JSON, too_large=True)
    parsed = parse_json(body)
    if read_error is None and parsed is NOT_JSON and not compressed and not body_optional:
        no_framing = not {"content-length", "transfer-encoding"} & headers.keys()
        # Without framing, a lost connection looks like the body's end.
        if no_framing and body.lstrip()[:1] in (b"", b"{"):
            read_error = NoResponse(
                "the body is no complete JSON object, and has no Content-Length", "", sent=True
            )
    response = Response(status, headers, body, parsed)
    # A corrupt body must not hide the status of an error.
    return read_error if read_error is not None and response.is_success else response


def parse_json(content: bytes) -> Any:
    """Return the JSON value of a body, or `NOT_JSON`."""
    # Lazy import: a client starts faster without pydantic.
    from pydantic_core import from_json

    try:
        # Cache keys only; caching string values costs more than it saves.
        return from_json(content, cache_strings="keys")
    except ValueError:
        return NOT_JSON


def _gunzip(compressed: bytes, limit: int) -> tuple[bytes, bool]:
    """Return the decompressed body, at most a byte over the limit, and whether it is complete."""
    body = BytesIO()
    # A gzip body may have several members; millions of empty ones would take seconds.
    member, members = zlib.decompressobj(_GZIP_WBITS), 1
    at = 0
    while at < len(compressed) and body.tell() <= limit:
        if member.eof:
            if members == _MAX_GZIP_MEMBERS:
                return body.getvalue(), False
            member, members = zlib.decompressobj(_GZIP_WBITS), members + 1
        # Small chunks: zlib copies the rest of a chunk at the end of each member.
        chunk = compressed[at : at + _GZIP_CHUNK]
        try:
            body.write(member.decompress(chunk, limit + 1 - body.tell()))
        except zlib.error:
            return body.getvalue(), False
        at += len(chunk) - len(member.unused_data) - len(member.unconsumed_tail)
    return body.getvalue(), member.eof or body.tell() > limit
