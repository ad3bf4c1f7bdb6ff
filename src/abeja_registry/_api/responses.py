"""A response, or why there is none, and the dict or the exception that it means."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Literal, NamedTuple

from .._validation import safe_repr
from ..exceptions import (
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
from .operations import Operation
from .redaction import Redactor

# Assumption: the reference names no header; this is the field's usual one.
REQUEST_ID_HEADER = "x-request-id"
# Why there is no answer, where the call's time ran out.
DEADLINE_PASSED = "the call's deadline has passed"
# Characters of a body that an exception quotes.
QUOTED_CHARACTERS = 1000
# Characters, or bytes, of which these are taken: of a credential that is cut through, the rest
# would not be known for one.
QUOTABLE = 16 * 1024
# For a client without a credential.
_NO_SECRETS = Redactor()

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

# The body of a response that is no JSON.
NOT_JSON = object()


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the API, decoded.

    Attributes:
        status: The HTTP status.
        headers: The headers, with lower-case names.
        content: The body, decompressed; only its start where the whole is too large, or broken.
        body: The JSON value of the body; `NOT_JSON` where it is none.
        too_large: Whether the body is larger than the client accepts.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    body: Any = field(repr=False)
    too_large: bool = False

    @property
    def request_id(self) -> str | None:
        return self.headers.get(REQUEST_ID_HEADER)

    @property
    def retry_after(self) -> float | None:
        """Seconds that the API asks to wait before the next request."""
        value = self.headers.get("retry-after", "").strip()
        if not value:
            return None
        if value.isascii() and value.isdigit():
            return float(value)
        until = _parse_time(value)
        if until is None:
            return None
        # By the API's own clock, where it sends its time: ours may be wrong.
        now = _parse_time(self.headers.get("date", "")) or datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())

    def __str__(self) -> str:
        return str(self.status)


Stage = Literal["connect", "tls", "request"]


@dataclass(frozen=True, slots=True)
class NoResponse:
    """An attempt without a usable response.

    Attributes:
        error: The class of the HTTP library's exception, or another short name of the cause.
        message: The exception's text.
        sent: Whether the API may have received any of the request.
        timeout: Whether time ran out.
        transient: Whether another attempt may succeed.
        stage: How far the attempt came; None where only the HTTP library knows.
    """

    error: str
    message: str
    sent: bool
    timeout: bool = False
    transient: bool = True
    stage: Stage | None = None
    # Below every status of HTTP.
    status: ClassVar[int] = 0

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.error, self.message)))


AttemptResult = Response | NoResponse


class ApiResult(NamedTuple):
    """The JSON object of a success, with what an error about it needs to know of the call.

    Attributes:
        body: The object.
        history: The attempts of the call, oldest first.
        redact: Takes the credential out of a value.
    """

    body: dict[str, Any]
    history: tuple[Attempt, ...] = ()
    redact: Redactor = _NO_SECRETS


def parse_response(
    operation: Operation,
    base_url: str,
    result: AttemptResult,
    *,
    history: tuple[Attempt, ...] = (),
    after_unknown_outcome: bool = False,
    redact: Redactor = _NO_SECRETS,
) -> dict[str, Any]:
    """Return the response's JSON object, or raise the matching exception.

    Args:
        operation: The operation that was called.
        base_url: Where the API is.
        result: The last attempt's result.
        history: All attempts, oldest first.
        after_unknown_outcome: Whether an earlier attempt may have been carried out.
        redact: Takes the credential out of what is raised; a success is returned unchanged.

    Raises:
        HttpError: The status is not a success.
        InvalidResponse: The body of a success is not a JSON object, or too large.
        TransportError: There was no response.
    """
    success = 200 <= result.status < 300
    if isinstance(result, Response) and success:
        if type(result.body) is dict:
            return result.body
        # Assumption: a DELETE may be answered with nothing (204) by a server that follows the
        # field's habits, though the reference shows a body.
        if not result.content and not result.too_large and operation.method == "DELETE":
            return {}
    url = base_url + operation.target
    if isinstance(result, NoResponse):
        error: Error = _transport_error(operation, url, result, after_unknown_outcome)
    elif success:
        error = _invalid_response(operation, url, result, redact)
    else:
        error = _http_error(operation, url, result, after_unknown_outcome, redact)
    error.history = history
    raise error


def outcome_unknown(operation: Operation, result: AttemptResult) -> bool:
    """Whether an attempt with this result may have changed what the registry holds."""
    if not operation.changes:
        return False
    if isinstance(result, NoResponse):
        return result.sent
    # A proxy may send such a response after the server behind it did the work.
    return result.status == 408 or result.status >= 500


def _parse_time(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _text(content: bytes, redact: Redactor) -> str:
    text: str = redact(content[:QUOTABLE].decode(errors="replace"))
    return text[:QUOTED_CHARACTERS]


def _invalid_response(
    operation: Operation, url: str, response: Response, redact: Redactor
) -> InvalidResponse:
    body = redact(response.body)
    if response.too_large:
        what = "a body larger than max_response_bytes"
    elif body is NOT_JSON:
        what = f"a body of {len(response.content)} bytes that is no JSON"
    else:
        what = f"a JSON body that is no object but a {type(body).__name__}"
    kind = safe_repr(redact(response.headers.get("content-type")))
    return InvalidResponse(
        f"{operation.name} was answered with {response.status} from {url}"
        f" and {what} (content type {kind})",
        body=_text(response.content, redact) if response.too_large or body is NOT_JSON else body,
        # A proxy's page can say 200 too.
        outcome_unknown=operation.changes,
    )


def _http_error(
    operation: Operation,
    url: str,
    response: Response,
    after_unknown_outcome: bool,
    redact: Redactor,
) -> HttpError:
    # Redact before truncating: half a credential would not be recognized.
    headers, body = redact(response.headers), redact(response.body)
    fields = body if isinstance(body, dict) else {}
    error, description = fields.get("error"), fields.get("error_description")
    if isinstance(description, str):
        description = description[:QUOTED_CHARACTERS]
    elif 300 <= response.status < 400 and "location" in headers:
        target = headers["location"][:QUOTED_CHARACTERS]
        description = f"redirects are not followed; this one points to {target!r}"
    else:
        description = _text(response.content, redact)
    if not isinstance(error, str):
        error = http.client.responses.get(response.status, "unknown")
    return _BY_STATUS.get(response.status, HttpError)(
        error[:QUOTED_CHARACTERS],
        description,
        fields.get("error_detail"),
        response.status,
        url,
        method=operation.method,
        headers=headers,
        request_id=headers.get(REQUEST_ID_HEADER),
        retry_after=response.retry_after,
        # A 404 settles it: the repository no longer exists.
        outcome_unknown=outcome_unknown(operation, response)
        or (after_unknown_outcome and response.status != 404),
        after_unknown_outcome=after_unknown_outcome,
    )


def _transport_error(
    operation: Operation, url: str, failure: NoResponse, after_unknown_outcome: bool
) -> TransportError:
    unknown = after_unknown_outcome or outcome_unknown(operation, failure)
    if unknown and not operation.idempotent:
        kind: type[TransportError] = OutcomeUnknown
        message = (
            f"{operation.name} of {operation.subject!r} was sent and no answer came"
            f" ({failure}): it may or may not have happened."
            f" Look for {operation.subject!r} among the repositories before creating it again"
        )
    else:
        kind = Timeout if failure.timeout else TransportError
        message = f"{operation.name}: {failure} ({operation.method} {url})"
    return kind(message, method=operation.method, url=url, outcome_unknown=unknown)
