"""What came back from the wire, and the judge who makes a dict or an exception of it."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

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
# The redactor of who has no credential.
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


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status, its headers by lower-case name, its body unpacked.

    Attributes:
        status: The HTTP status.
        headers: The headers, with lower-case names.
        content: The body; of one that is too large, and of a broken one of an error, a part.
        too_large: Whether the body is larger than what the client takes.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    too_large: bool = False

    @property
    def success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str | None:
        return self.headers.get(REQUEST_ID_HEADER)

    @property
    def retry_after(self) -> float | None:
        """Seconds that the API asks to wait before the next request."""
        said = self.headers.get("retry-after", "").strip()
        if not said:  # as for nearly every response: no date to parse
            return None
        if said.isascii() and said.isdigit():
            return float(said)
        until = _time(said)
        if until is None:
            return None
        # By the API's own clock, where it tells the time: ours may be wrong.
        now = _time(self.headers.get("date", "")) or datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())

    def __str__(self) -> str:
        return str(self.status)


class Answered(NamedTuple):
    """The JSON object of a success, with what an error over it has to know of the call.

    Attributes:
        body: The object.
        history: The attempts of the call, oldest first.
        redact: Takes the credential out of a value.
    """

    body: dict[str, Any]
    history: tuple[Attempt, ...] = ()
    redact: Redactor = _NO_SECRETS


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer.

    Attributes:
        cause: Why, as a class and a text.
        sent: Whether the API may have seen any of the request.
        timeout: Whether time ran out.
        passing: Whether another attempt may fare better.
    """

    cause: str
    sent: bool
    timeout: bool = False
    passing: bool = True

    def __str__(self) -> str:
        return self.cause


Outcome = Answer | Failure


def judge(
    operation: Operation,
    url: str,
    outcome: Outcome,
    *,
    history: tuple[Attempt, ...] = (),
    after_unknown_outcome: bool = False,
    redact: Redactor = _NO_SECRETS,
) -> dict[str, Any]:
    """Return the JSON object that an operation brought, or raise what it came to instead.

    Args:
        operation: What was called.
        url: Where.
        outcome: What came of the last attempt.
        history: All attempts, oldest first.
        after_unknown_outcome: Whether an earlier attempt may have been carried out.
        redact: Takes the credential out of what is raised: a success is left as it came.

    Raises:
        HttpError: The status is not a success.
        InvalidResponse: The body of a success is no JSON object, or too large.
        TransportError: No answer came.
    """
    if isinstance(outcome, Answer) and outcome.success:
        # Assumption: a DELETE may be answered with nothing (204) by a server that keeps to the
        # field's habits, though the reference shows a body.
        if not outcome.content and operation.method == "DELETE":
            return {}
        body = None if outcome.too_large else parse_json(outcome.content)
        if isinstance(body, dict):
            return body
        body = redact(body)
        error: Error = _invalid(operation, url, outcome, body, redact)
    elif isinstance(outcome, Answer):
        error = _http_error(operation, url, outcome, after_unknown_outcome, redact)
    else:
        error = _no_answer(operation, url, outcome, after_unknown_outcome)
    error.history = history
    raise error


def outcome_unknown(operation: Operation, outcome: Outcome) -> bool:
    """Whether an attempt that ended so may have changed what the registry holds."""
    if not operation.changes:
        return False
    if isinstance(outcome, Failure):
        return outcome.sent
    # A proxy may make such an answer after the server behind it did the work.
    return outcome.status == 408 or outcome.status >= 500


def _time(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


NOT_JSON = object()


def parse_json(content: bytes) -> Any:
    # Not above: a client that is built and not used yet need not wait for pydantic.
    from pydantic_core import from_json

    try:
        # To look for values that come twice takes longer than to make them anew.
        return from_json(content, cache_strings="keys")
    except ValueError:
        return NOT_JSON


def _text(content: bytes, redact: Redactor) -> str:
    text: str = redact(content[:QUOTABLE].decode(errors="replace"))
    return text[:QUOTED_CHARACTERS]


def _invalid(
    operation: Operation, url: str, answer: Answer, body: Any, redact: Redactor
) -> InvalidResponse:
    if answer.too_large:
        what = "a body larger than max_response_bytes"
    elif body is NOT_JSON:
        what = f"a body of {len(answer.content)} bytes that is no JSON"
    else:
        what = f"a JSON body that is no object but a {type(body).__name__}"
    kind = safe_repr(redact(answer.headers.get("content-type")))
    return InvalidResponse(
        f"{operation.name} was answered with {answer.status} from {url}"
        f" and {what} (content type {kind})",
        body=_text(answer.content, redact) if answer.too_large or body is NOT_JSON else body,
        # A proxy's page can say 200 too.
        outcome_unknown=operation.changes,
    )


def _http_error(
    operation: Operation, url: str, answer: Answer, after_unknown_outcome: bool, redact: Redactor
) -> HttpError:
    # First of all: what is cut after that is cut through no credential.
    headers, said = redact(answer.headers), redact(parse_json(answer.content))
    said = said if isinstance(said, dict) else {}
    error, description = said.get("error"), said.get("error_description")
    if isinstance(description, str):
        description = description[:QUOTED_CHARACTERS]
    elif 300 <= answer.status < 400 and "location" in headers:
        target = headers["location"][:QUOTED_CHARACTERS]
        description = f"redirects are not followed; this one points to {target!r}"
    else:
        description = _text(answer.content, redact)
    if not isinstance(error, str):
        error = http.client.responses.get(answer.status, "unknown")
    return _BY_STATUS.get(answer.status, HttpError)(
        error[:QUOTED_CHARACTERS],
        description,
        said.get("error_detail"),
        answer.status,
        url,
        method=operation.method,
        headers=headers,
        request_id=headers.get(REQUEST_ID_HEADER),
        retry_after=answer.retry_after,
        # What is not found is known to be gone, whoever did it.
        outcome_unknown=outcome_unknown(operation, answer)
        or (after_unknown_outcome and answer.status != 404),
        after_unknown_outcome=after_unknown_outcome,
    )


def _no_answer(
    operation: Operation, url: str, failure: Failure, after_unknown_outcome: bool
) -> TransportError:
    unknown = after_unknown_outcome or outcome_unknown(operation, failure)
    if unknown and not operation.replayable:
        kind: type[TransportError] = OutcomeUnknown
        message = (
            f"{operation.name} of {operation.subject!r} was sent and no answer came"
            f" ({failure.cause}): it may or may not have happened."
            f" Look for {operation.subject!r} among the repositories before creating it again"
        )
    else:
        kind = Timeout if failure.timeout else TransportError
        message = f"{operation.name}: {failure.cause} ({operation.method} {url})"
    return kind(message, method=operation.method, url=url, outcome_unknown=unknown)
