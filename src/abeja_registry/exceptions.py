"""What can go wrong, as classes to catch.

::

    abeja_registry.Error
     +-- ConfigurationError        a setting is missing or cannot be meant
     +-- HttpError                 the API answered, and the answer is not a success
     |    +-- BadRequest           400
     |    +-- Unauthorized         401
     |    +-- Forbidden            403
     |    +-- NotFound             404
     |    +-- MethodNotAllowed     405
     |    +-- Conflict             409
     |    +-- TooManyRequests      429
     |    +-- InternalServerError  500
     +-- TransportError            no usable answer came
     |    +-- Timeout              ... in the time allowed
     |    +-- OutcomeUnknown       ... to a create that was sent: it may have happened
     +-- InvalidResponse           a success that is not what the API promises
     +-- PaginationError           a list's pages contradict each other
     +-- InvalidFile               a file that holds no inventory
    InvalidArgument                an argument has a wrong value or type
    InsecureTransportWarning       a credential over plain http

An answer with a status not listed is an `HttpError` itself. All of them pickle and copy; none
holds a credential, nor an exception of the HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

# Characters of each thing the API says that an error's text shows; its attributes have all of it.
_SHOWN = 1000


def _line(said: object) -> str:
    """Return what the API says as a part of one line, with nothing that a terminal would obey."""
    return "".join(each if each.isprintable() else " " for each in str(said)[:_SHOWN])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a call; as a string, its result: `503`, or `ReadTimeout: timed out`.

    Attributes:
        status: The response's HTTP status; None where there was no usable response.
        error: Why there was none: the class of the HTTP library's exception, or a short phrase.
        message: The exception's text.
        stage: How far an attempt without a response came: "connect", "tls" or "request"; None
            where only the HTTP library knows.
        wait: Seconds waited before the next attempt; None for the last.
        stop_reason: Why the last attempt was not retried, where the policy's `max_retries` allowed
            another one.
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
    """Everything that this package raises about the API, the network or its settings.

    Attributes:
        outcome_unknown: True where a create or a delete may or may not have been carried out.
        history: The attempts of the call that failed, oldest first.
        resume_offset: Where a walk through a list can go on, `iter(offset=…)`, also in another
            process; None for an error outside a walk. A position: what was removed before it
            since then moved the rest.
    """

    outcome_unknown: bool = False
    history: tuple[Attempt, ...] = ()
    resume_offset: int | None = None


class ConfigurationError(Error, ValueError):
    """A setting is missing or cannot be meant; the message names where it came from."""


class HttpError(Error):
    """The API answered with a status that is not a success.

    Args:
        error: The API's short name of the error, or the status's reason phrase.
        error_description: The API's sentence about it, or the beginning of the body's text.
        error_detail: Whatever more the API said, as it said it.
        status_code: The answer's HTTP status; the one that a class stands for if not given.
        url: The whole URL that was asked, with its query.
        method: The HTTP method of the request.
        headers: The answer's headers, with lower-case names.
        request_id: The API's id of the request, to quote to its support.
        retry_after: Seconds that the API asks to wait before the next request.
        outcome_unknown: Whether the request may have been carried out all the same.
        after_unknown_outcome: Whether an earlier attempt of the same call may have been carried
            out: a delete's 404 is its own doing then.
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
        """Return the form that code and log searches written for abeja-sdk know, on one line."""
        text = f'<{type(self).__name__} "{_line(self.error)}": {_line(self.error_description)}'
        if self.status_code and self.url:
            text += f" ({self.status_code} from {self.url})"
        if self.error_detail:
            text += f", {_line(self.error_detail)}"
        if self.retry_after is not None:
            text += f", retry after {self.retry_after:g} s"
        return text + ">"

    __repr__ = __str__

    def _asdict(self) -> dict[str, Any]:
        """Return error and error_description, and of detail, status and URL what is there."""
        optional = {
            "error_detail": self.error_detail,
            "status_code": self.status_code,
            "url": self.url,
        }
        said = {"error": self.error, "error_description": self.error_description}
        return said | {name: value for name, value in optional.items() if value}


class BadRequest(HttpError):
    """400: the API refused what was sent."""

    _STATUS = 400


class Unauthorized(HttpError):
    """401: no credential was sent, or one that the API does not take."""

    _STATUS = 401


class Forbidden(HttpError):
    """403: the credential may not do this, or not in this organization."""

    _STATUS = 403


class NotFound(HttpError):
    """404: there is no such repository.

    Also where one was looked for by its name, or a tag was, and there is none: every request
    succeeded then, and the error has the same status, and no URL.
    """

    _STATUS = 404


class MethodNotAllowed(HttpError):
    """405: the path does not take this method; usually a wrong base URL."""

    _STATUS = 405


class Conflict(HttpError):
    """409: the request contradicts what is there, such as a name that is taken."""

    _STATUS = 409


class TooManyRequests(HttpError):
    """429: the API asks for fewer requests."""

    _STATUS = 429


class InternalServerError(HttpError):
    """500: the API failed."""

    _STATUS = 500


class TransportError(Error):
    """No usable answer came: no connection, a connection lost, a body cut short.

    Args:
        message: What was asked and what went wrong.
        method: The HTTP method of the request.
        url: The whole URL that was asked, with its query.
        outcome_unknown: Whether the request may have been carried out all the same.
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


class Timeout(TransportError):
    """No usable answer came in the time allowed, or what was waited for did not come about."""


class OutcomeUnknown(TransportError):
    """A create was sent and no answer came: the repository may or may not exist now."""


class InvalidResponse(Error):
    """The API answered with a success that is not what its reference promises.

    Args:
        message: What was promised and what came, naming the field where there is one.
        body: The answer: its JSON value, or the beginning of its text where it is no JSON.
        field: The path of the field at fault, where a model cannot be made.
        index: The index of the row at fault in its page.
        row: That row, as it came.
        outcome_unknown: Whether the request may have been carried out all the same.
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
    """A list's pages contradict each other, so that walking on could skip or repeat."""


class InvalidFile(Error, ValueError):
    """A file is no inventory's.

    Args:
        message: What is wrong, naming the file and, where there are lines, the line.
        path: The file.
        line: The line at fault, counted from 1; None where the file has no lines, or none of
            them is at fault.
    """

    def __init__(self, message: str, path: str | None = None, line: int | None = None) -> None:
        super().__init__(message, path, line)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidArgument(ValueError, TypeError):
    """An argument has a wrong value, or a value of a wrong type; the message names it.

    No request was sent. It is no `Error`: the calling code is at fault. It is a `ValueError` and
    a `TypeError`, so that code catches it as either.
    """


class InsecureTransportWarning(UserWarning):
    """A credential is going to be sent unencrypted to a host that is not this machine."""
