"""What came back from the wire, and the judge who makes a dict or an exception of it."""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from ._operations import Operation
from .exceptions import (
    Attempt,
    BadRequest,
    Conflict,
    Error,
    Forbidden,
    HttpError,
    InternalServerError,
    InvalidResponse,
    MethodNotAllowed,
    NotFound,
    OutcomeUnknown,
    Timeout,
    TooManyRequests,
    TransportError,
    Unauthorized,
)

# Assumption: the reference names no header; this is the field's usual one.
REQUEST_ID_HEADER = "x-request-id"
# Characters of a body that an exception quotes.
QUOTED_CHARACTERS = 1000

_BY_STATUS: Mapping[int, type[HttpError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    429: TooManyRequests,
    500: InternalServerError,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: its status, its headers by lower-case name, its body unpacked."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def request_id(self) -> str | None:
        return self.headers.get(REQUEST_ID_HEADER)

    def __str__(self) -> str:
        return str(self.status)


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer: why, whether the API may have seen the request, whether time ran out."""

    cause: str
    sent: bool
    timeout: bool = False

    def __str__(self) -> str:
        return self.cause


Outcome = Answer | Failure


def receive(
    status: int, headers: Mapping[str, str], body: bytes, cut: Failure | None = None
) -> Outcome:
    """Return what a status, its headers and the bytes of its body come to.

    Args:
        status: The HTTP status.
        headers: The headers, with lower-case names.
        body: What was read of the body, packed as the headers say.
        cut: What ended the reading of the body, where it did not end by itself.
    """
    packed = headers.get("content-encoding", "").lower() in ("gzip", "x-gzip")
    # Where the status says that there is no body, there is none to unpack.
    if packed and status != 204:
        body, whole = _gunzip(body)
        if not whole and cut is None:
            cut = Failure("the gzip body is broken or was cut short", sent=True)
    # A broken body must not hide an error's status; a success without its body is none.
    if cut is not None and 200 <= status < 300:
        return cut
    return Answer(status, headers, body)


def judge(operation: Operation, url: str, outcome: Outcome) -> dict[str, Any]:
    """Return the JSON object that an operation brought, or raise what it came to instead.

    Raises:
        HttpError: The status is not a success.
        InvalidResponse: The body of a success is no JSON object.
        TransportError: No answer came.
    """
    if isinstance(outcome, Failure):
        raise _no_answer(operation, url, outcome)
    if not 200 <= outcome.status < 300:
        raise _http_error(operation, url, outcome)
    # Assumption: a DELETE may be answered with nothing (204) by a server that keeps to the
    # field's habits, though the reference shows a body.
    if not outcome.content and operation.method == "DELETE":
        return {}
    body = _json(outcome.content)
    if isinstance(body, dict):
        return body
    kind = "no JSON" if body is _NOT_JSON else f"JSON, but a {type(body).__name__}"
    raise InvalidResponse(
        f"{operation.name} was answered with {outcome.status} from {url}"
        f" and a body that is no JSON object ({kind},"
        f" {len(outcome.content)} bytes, content type {outcome.headers.get('content-type')!r})",
        body=_text(outcome.content) if body is _NOT_JSON else body,
        # A proxy's page can say 200 too.
        outcome_unknown=operation.changes,
    )


_NOT_JSON = object()


def _json(content: bytes) -> Any:
    try:
        return from_json(content)
    except ValueError:
        return _NOT_JSON


def _text(content: bytes) -> str:
    return content.decode(errors="replace")[:QUOTED_CHARACTERS]


def _http_error(operation: Operation, url: str, answer: Answer) -> HttpError:
    said = _json(answer.content)
    said = said if isinstance(said, dict) else {}
    error, description = said.get("error"), said.get("error_description")
    reason = http.client.responses.get(answer.status, "unknown")
    return _BY_STATUS.get(answer.status, HttpError)(
        error if isinstance(error, str) else reason,
        description if isinstance(description, str) else _text(answer.content),
        said.get("error_detail"),
        answer.status,
        url,
        method=operation.method,
        headers=answer.headers,
        request_id=answer.request_id,
        outcome_unknown=operation.changes and (answer.status == 408 or answer.status >= 500),
    )


def _no_answer(operation: Operation, url: str, failure: Failure) -> Error:
    unknown = failure.sent and operation.changes
    known: dict[str, Any] = {
        "method": operation.method,
        "url": url,
        "history": (Attempt(failure.cause),),
        "outcome_unknown": unknown,
    }
    if unknown and not operation.replayable:
        return OutcomeUnknown(
            f"{operation.name} of {operation.subject!r} was sent and no answer came"
            f" ({failure.cause}): it may or may not have happened."
            f" Look for {operation.subject!r} among the repositories before creating it again",
            **known,
        )
    kind = Timeout if failure.timeout else TransportError
    return kind(f"{operation.name}: {failure.cause} ({operation.method} {url})", **known)


def _gunzip(packed: bytes) -> tuple[bytes, bool]:
    """Return what a gzip body unpacks to, and whether it is all there."""
    unpacked = b""
    # A gzip body is one member, or several one after the other.
    while True:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            unpacked += member.decompress(packed)
        except zlib.error:
            return unpacked, False
        if not member.eof:
            return unpacked, False
        packed = member.unused_data
        if not packed:
            return unpacked, True
