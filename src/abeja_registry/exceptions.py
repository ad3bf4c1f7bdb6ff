"""The exceptions of this package.

::

    abeja_registry.Error
     +-- ConfigurationError        a setting is missing or invalid
     +-- HttpError                 the response has an error status
     |    +-- BadRequest           400
     |    +-- Unauthorized         401
     |    +-- Forbidden            403
     |    +-- NotFound             404
     |    +-- MethodNotAllowed     405
     |    +-- Conflict             409
     |    +-- TooManyRequests      429
     |    +-- InternalServerError  500
     +-- TransportError            there is no usable response
     |    +-- Timeout              none within the timeout or the deadline
     |    +-- OutcomeUnknown       none to a create: the repository may exist
     +-- WaitTimeout               the awaited tag did not appear in time
     +-- InvalidResponse           a 2xx response that does not match the reference
     +-- PaginationError           a list's pages contradict each other
     +-- InvalidFile               a file that holds no inventory
    InvalidArgument                an argument has a wrong value or type
    InsecureTransportWarning       a credential over plain http

Any other error status raises `HttpError` itself. All of them pickle and copy. None holds a
credential, or an exception of the HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

# Characters of each field of a response in an error's text; the attributes have the whole fields.
_MAX_SHOWN = 1000


def _one_line(value: object) -> str:
    """Return a value's text on one line, without control characters."""
    return "".join(each if each.isprintable() else " " for each in str(value)[:_MAX_SHOWN])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a call; as a string, its result: `503`, or `ReadTimeout: timed out`.

    Attributes:
        status: The response's HTTP status; None if there was no usable response.
        error: Why there was none: the class of the HTTP library's exception, or a short phrase.
        message: The exception's text.
        stage: Where an attempt without a response failed: "connect", "tls" or "request"; None if
            only the HTTP library knows.
        wait: The wait before the next attempt, in seconds; None for the last attempt.
        stop_reason: Why the last attempt was not retried, if `max_retries` allowed another one.
    """

    status: int | None = None
    error: str | None = None
    message: str = ""
    stage: Literal["connect", "tls", "request"] | None = None
    wait: float | None = None
    stop_reason: str | None = None

    def __str__(self) -> str:
        if self.status is not None:
            return str(self.status)
        return ": ".join(filter(None, (self.error, self.message)))


class Error(Exception):
    """The base class of every error about the API, the network or the settings.

    Attributes:
        outcome_unknown: Whether a create or a delete may have been carried out.
        history: The attempts of the failed call, oldest first.
        resume_offset: The offset at which an iteration can continue, `iter(offset=…)`, also in
            another process. None for an error outside an iteration. If earlier items were deleted
            since, restart a little before it.
    """

    outcome_unknown: bool = False
    history: tuple[Attempt, ...] = ()
    resume_offset: int | None = None


class ConfigurationError(Error, ValueError):
    """A setting is missing or invalid; the message names its source."""


class HttpError(Error):
    """The response has an error status.

    Args:
        error: The API's short name of the error, or the status's reason phrase.
        error_description: The API's description of the error, or the start of the body's text.
        error_detail: Further details of the API, unchanged.
        status_code: The response's HTTP status. Defaults to the status of the class.
        url: The URL of the request, with its query.
        method: The HTTP method of the request.
        headers: The response's headers, with lower-case names.
        request_id: The API's id of the request, to quote to its support.
        retry_after: Seconds that the API asks to wait before the next request.
        outcome_unknown: Whether the request may have been carried out.
        after_unknown_outcome: Whether an earlier attempt of the same call may have been carried
            out. If so, that attempt of a delete explains its 404.
    """

    _STATUS: ClassVar[int | None] = None

    def __init__(
        self,
        error: str,
        error_description: str,
        error_detail: object = None,
        status_code: int | None = None,
        url: str | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        outcome_unknown: bool = False,
        after_unknown_outcome: bool = False,
    ) -> None:
        status_code = self._STATUS if status_code is None else status_code
        # BaseException.args is what unpickling and copying construct from.
        super().__init__(error, error_description, error_detail, status_code, url)
        self.error = error
        self.error_description = error_description
        self.error_detail = error_detail
        self.status_code = status_code
        self.url = url
        self.method = method
        self.headers: dict[str, str] = dict(headers or {})
        self.request_id = request_id
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown
        self.after_unknown_outcome = after_unknown_outcome

    def __str__(self) -> str:
        """Return one line, in the form of abeja-sdk's errors, which log searches rely on."""
        text = (
            f'<{type(self).__name__} "{_one_line(self.error)}": {_one_line(self.error_description)}'
        )
        if self.status_code and self.url:
            text += f" ({self.status_code} from {self.url})"
        if self.error_detail:
            text += f", {_one_line(self.error_detail)}"
        if self.retry_after is not None:
            text += f", retry after {self.retry_after:g} s"
        return text + ">"

    __repr__ = __str__

    def _asdict(self) -> dict[str, Any]:
        """Return `error` and `error_description`, and the detail, status and URL unless empty."""
        optional = {
            "error_detail": self.error_detail,
            "status_code": self.status_code,
            "url": self.url,
        }
        required = {"error": self.error, "error_description": self.error_description}
        return required | {name: value for name, value in optional.items() if value}


class BadRequest(HttpError):
    """400: the API rejected the request."""

    _STATUS = 400


class Unauthorized(HttpError):
    """401: the request had no credential, or an invalid one."""

    _STATUS = 401


class Forbidden(HttpError):
    """403: the credential has no permission for this operation or this organization."""

    _STATUS = 403


class NotFound(HttpError):
    """404: the repository does not exist.

    Also raised by look-ups by name that find no repository or no tag. Their requests succeeded; the
    error has the same status, and no URL.
    """

    _STATUS = 404


class MethodNotAllowed(HttpError):
    """405: the path does not support this method; usually the base URL is wrong."""

    _STATUS = 405


class Conflict(HttpError):
    """409: the request conflicts with the current state, such as a name that is taken."""

    _STATUS = 409


class TooManyRequests(HttpError):
    """429: the API asks for fewer requests."""

    _STATUS = 429


class InternalServerError(HttpError):
    """500: the API failed."""

    _STATUS = 500


class TransportError(Error):
    """There is no usable response: no connection, a lost connection, or a truncated body.

    Args:
        message: The operation and what went wrong.
        method: The HTTP method of the request.
        url: The URL of the request, with its query.
        outcome_unknown: Whether the request may have been carried out.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        url: str | None = None,
        outcome_unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.url = url
        self.outcome_unknown = outcome_unknown


class Timeout(TransportError, TimeoutError):
    """No usable response came within `timeout` or the deadline."""


class OutcomeUnknown(TransportError):
    """A create was sent and got no usable response: the repository may exist."""


class WaitTimeout(Error, TimeoutError):
    """The tag did not exist, or did not change, within the time to wait for it.

    Every request succeeded, or failed with an error that may pass.
    """


class InvalidResponse(Error):
    """A 2xx response does not match the API's reference.

    Args:
        message: The mismatch, with the field if it is in one.
        body: The response's JSON value, or the start of its text if it is no JSON.
        field: The path of the first invalid field.
        index: The index of the invalid row in its page.
        row: The invalid row, unchanged.
        outcome_unknown: Whether the request may have been carried out.
    """

    def __init__(
        self,
        message: str,
        *,
        body: object = None,
        field: str | None = None,
        index: int | None = None,
        row: object = None,
        outcome_unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.body = body
        self.field = field
        self.index = index
        self.row = row
        self.outcome_unknown = outcome_unknown


class PaginationError(Error):
    """A list's pages contradict each other; continuing could skip or repeat items."""


class InvalidFile(Error, ValueError):
    """A file holds no inventory.

    Args:
        message: What is wrong, with the file and the line.
        path: The file.
        line: The number of the invalid line, >= 1. None if the file has no lines, or if no single
            line is invalid.
    """

    def __init__(self, message: str, path: str | None = None, line: int | None = None) -> None:
        super().__init__(message, path, line)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidArgument(ValueError, TypeError):
    """An argument has a wrong value or type; the message names it.

    No request was sent. It is not an `Error`, as the calling code is at fault. It is both a
    `ValueError` and a `TypeError`, so that code can catch it as either.
    """


class InsecureTransportWarning(UserWarning):
    """A credential is about to be sent unencrypted to another machine."""
