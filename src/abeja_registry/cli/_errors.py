"""Errors as one line on stderr that says what to do next, and as exit codes."""

from __future__ import annotations

import sys

from .. import exceptions
from ._output import plain

FAILED = 1
USAGE = 2
NOT_FOUND = 3
TIMED_OUT = 4
INTERRUPTED = 130
READER_GONE = 141

_WHOAMI = "see what was found where: abeja-registry whoami"

# The most specific first.
_NEXT: tuple[tuple[type[BaseException], str], ...] = (
    (exceptions.ConfigurationError, _WHOAMI),
    (exceptions.Unauthorized, "check the credential: abeja-registry whoami"),
    (exceptions.Forbidden, "check the credential and the organization: abeja-registry whoami"),
    (exceptions.NotFound, "see what there is: abeja-registry repositories list"),
    (exceptions.MethodNotAllowed, "check the address of the API: abeja-registry whoami"),
    (exceptions.Conflict, "see what is there: abeja-registry repositories list"),
    (exceptions.TooManyRequests, "wait, and try again"),
    (exceptions.BadRequest, "see --help for what is taken"),
    (exceptions.HttpError, "try again later, or tell the API's support the request's id"),
    (exceptions.OutcomeUnknown, "look whether it is there: abeja-registry repositories list"),
    (exceptions.Timeout, "try again, or allow more time: --timeout, --deadline"),
    (exceptions.TransportError, "check the network and the address: abeja-registry whoami"),
    (exceptions.InvalidResponse, "see how the API differs: abeja-registry doctor"),
    (exceptions.PaginationError, "try again"),
)


def say(text: str) -> None:
    """Write one line on stderr, whatever the text holds."""
    # backslashreplace is stderr's own way with what its encoding lacks.
    print(plain(text), file=sys.stderr)


def exit_code(error: Exception) -> int:
    """Return the exit code of an error."""
    if isinstance(error, exceptions.NotFound):
        return NOT_FOUND
    if isinstance(error, exceptions.Timeout):
        return TIMED_OUT
    # Of what was given: the API's refusal is a FAILED, as it is an answer.
    if isinstance(error, ValueError | TypeError):
        return USAGE
    return FAILED


def described(error: Exception) -> str:
    """Return an error as one line, with what to do next."""
    if isinstance(error, exceptions.HttpError):
        text = error.error_description or error.error
        text += f" ({error.status_code} from {error.url}" if error.status_code else ""
        text += f", request {error.request_id}" if error.request_id and error.status_code else ""
        text += ")" if error.status_code else ""
    elif isinstance(error, exceptions.Error | ValueError | TypeError | ImportError):
        text = str(error)
    elif isinstance(error, OSError):
        text = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror)))
        text = text or str(error)
    else:
        text = f"this should not happen: {type(error).__name__}: {error}"
    follow = next(iter(_hints(error)), None)
    return f"{text} - {follow}" if follow else text


def point(error: Exception, hint: str) -> None:
    """Note what to do next, where nobody who knows better has said so."""
    if not _hints(error):
        error.add_note(hint)


def _hints(error: Exception) -> list[str]:
    """Return what to do next: what was noted on the way, then what is right for its kind."""
    known = [hint for kind, hint in _NEXT if isinstance(error, kind)]
    return [*getattr(error, "__notes__", ()), *known]
