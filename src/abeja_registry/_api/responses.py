"""The result of an attempt, and the dict or the exception that a call makes of it."""

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

# Assumption: a response has the id of its request in this header; the reference names no header.
REQUEST_ID_HEADER = "x-request-id"
# The error of an attempt that the call's deadline ended.
DEADLINE_PASSED = "the call's deadline has passed"
# Characters of a body that an exception quotes.
QUOTED_CHARACTERS = 1000
# Redact before truncating: half a credential would not be recognized. Scan at most so much.
QUOTABLE = 16 * 1024
# For a client without a credential.
_NO_SECRETS = Redactor()

# Assumption: errors have the statuses that HTTP defines; the reference names BadRequest,
# Unauthorized and InternalServerError alone.
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

# The parsed body of a response whose body is not JSON.
NOT_JSON = object()


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the API, decoded.

    Attributes:
        status: The HTTP status.
        headers: The headers, with lower-case names.
        content: The body, decompressed; only its start if it is too large or broken.
        body: The JSON value of the body; `NOT_JSON` if it is not JSON.
        too_large: Whether the body is larger than the client accepts.
        is_success: Whether the status is 2xx.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    body: Any = field(repr=False)
    too_large: bool = False
    is_success: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_success", 200 <= self.status < 300)

    @property
    def request_id(self) -> str | None:
        return self.headers.get(REQUEST_ID_HEADER)

    @property
    def retry_after(self) -> float | None:
        """The seconds in the Retry-After header, or None."""
        value = self.headers.get("retry-after", "").strip()
        if not value:
            return None
        if value.isascii() and value.isdigit():
            return float(value)
        until = _parse_time(value)
        if until is None:
            return None
        # Use the API's clock if it sends a Date header: ours may be wrong.
        now = _parse_time(self.headers.get("date", "")) or datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())

    def __str__(self) -> str:
        return str(self.status)


Stage = Literal["connect", "tls", "request"]


@dataclass(frozen=True, slots=True)
class NoResponse:
    """An attempt without a usable response.

    Attributes:
        error: The class name of the HTTP library's exception, or a short description.
        message: The exception's message.
        sent: Whether the API may have received a part of the request.
        timeout: Whether a timeout or the deadline ended it.
        transient: Whether another attempt may succeed.
        stage: The step that failed; None if only the HTTP library knows.
    """

    error: str
    message: str
    sent: bool
    timeout: bool = False
    transient: bool = True
    stage: Stage | None = None
    # Less than every HTTP status.
    status: ClassVar[int] = 0
    is_success: ClassVar[bool] = False

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.error, self.message)))


AttemptResult = Response | NoResponse


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """A response that has arrived; `on_response` is called with it.

    Attributes:
        operation: The name of the raw client's method, such as `get_repository`.
        attempt: The number of the attempt, starting at 1.
        status: The HTTP status.
        seconds: How long the attempt took.
        request_id: The API's id of the request, if the response has one.
        headers: The response's headers, with lower-case names; the credential is redacted.
    """

    operation: str
    attempt: int
    status: int
    seconds: float
    request_id: str | None
    headers: Mapping[str, str] = field(repr=False)


class ApiResult(NamedTuple):
    """The JSON object of a successful call, with the call's history for later errors.

    Attributes:
        body: The object.
        history: The attempts of the call, oldest first.
        redact: Removes the credential from a value.
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

    Where the operation takes any JSON, the value may be another one, or None for an empty body.

    Args:
        operation: The operation that was called.
        base_url: Where the API is.
        result: The last attempt's result.
        history: All attempts, oldest first.
        after_unknown_outcome: Whether an earlier attempt may have been carried out.
        redact: Removes the credential from exceptions; a success is returned unchanged.

    Raises:
        HttpError: The status is not 2xx.
        InvalidResponse: The body of a 2xx response is not a JSON object, or too large.
        TransportError: There was no response.
    """
    if isinstance(result, Response) and result.is_success:
        if type(result.body) is dict:
            return result.body
        # Assumption: a DELETE may return an empty body (204), though the reference shows one.
        if not result.content and operation.name == "delete_repository":
            return {}
        if operation.any_json and not result.too_large:
            if not result.content:
                return None  # type: ignore[return-value]
            if result.body is not NOT_JSON:
                return result.body  # type: ignore[no-any-return]
    # No local variable refers to it: with its traceback that would be a reference cycle.
    raise _error(operation, base_url, result, history, after_unknown_outcome, redact)


def _error(
    operation: Operation,
    base_url: str,
    result: AttemptResult,
    history: tuple[Attempt, ...],
    after_unknown_outcome: bool,
    redact: Redactor,
) -> Error:
    url = base_url + operation.target
    error: Error
    if isinstance(result, NoResponse):
        error = _transport_error(operation, url, result, after_unknown_outcome)
    elif result.is_success:
        error = _invalid_response(operation, url, result, redact)
    else:
        error = _http_error(operation, url, result, after_unknown_outcome, redact)
    error.history = history
    return error


def outcome_unknown(operation: Operation, result: AttemptResult) -> bool:
    """Whether an attempt with this result may have changed the registry."""
    if not operation.changes:
        return False
    if isinstance(result, NoResponse):
        return result.sent
    # A proxy may send such a status after the API has carried out the request.
    return result.status == 408 or result.status >= 500


def _parse_time(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _text(content: bytes, redact: Redactor) -> str:
    cut = len(content) >= QUOTABLE
    text = content[:QUOTABLE].decode(errors="replace")
    return redact.quote(text, QUOTED_CHARACTERS, cut=cut)


def _invalid_response(
    operation: Operation, url: str, response: Response, redact: Redactor
) -> InvalidResponse:
    body = redact(response.body)
    if response.too_large:
        what = "a body larger than max_response_bytes"
    elif body is NOT_JSON:
        what = f"a body of {len(response.content)} bytes that is not JSON"
    else:
        what = f"a JSON body that is a {type(body).__name__}, not an object"
    kind = safe_repr(redact(response.headers.get("content-type")))
    return InvalidResponse(
        f"{operation.name}: {url} returned {response.status} with {what} (content type {kind})",
        body=_text(response.content, redact) if response.too_large or body is NOT_JSON else body,
        # A proxy's own page can have status 200.
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
    # Assumption: an error is a JSON object with `error`, `error_description` and `error_detail`.
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
            f"{operation.name} of {operation.subject!r} was sent, but no response arrived"
            f" ({failure}): "
        )
        message += (
            "it may or may not have been carried out"
            if operation.any_json
            else "the repository may or may not exist."
            f" Look for {operation.subject!r} before you create it again"
        )
    else:
        kind = Timeout if failure.timeout else TransportError
        message = f"{operation.name}: {failure} ({operation.method} {url})"
    return kind(message, method=operation.method, url=url, outcome_unknown=unknown)
