"""Errors as one line on stderr that says what to do next, and as exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from abeja_registry import __version__

from .. import exceptions
from ._output import discard, plain

FAILED = 1
USAGE = 2
NOT_FOUND = 3
TIMED_OUT = 4
DEFECT = 70
INTERRUPTED = 130
READER_GONE = 141

# Windows reports a write to a closed pipe as EINVAL.
_CLOSED_PIPE = {errno.EPIPE, errno.EINVAL} if os.name == "nt" else {errno.EPIPE}

# Removes the credential from a text; the client that a command makes brings it.
redact: Callable[[str], str] = str

# Errors whose text is written for who reads it.
_SPEAKING = (exceptions.Error, exceptions.InvalidArgument, Warning)

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
    (exceptions.WaitTimeout, "try again, or allow more time: --timeout"),
    (exceptions.TransportError, "check the network and the address: abeja-registry whoami"),
    (exceptions.InvalidResponse, "see how the API differs: abeja-registry doctor"),
    (exceptions.PaginationError, "try again"),
    (exceptions.InvalidFile, "pass a file that `abeja-registry inventory --write` made"),
)


def say(text: str) -> None:
    """Write one line on stderr, whatever the text holds."""
    try:
        # backslashreplace is stderr's own way with what its encoding lacks.
        print(plain(text), file=sys.stderr, flush=True)
    except OSError:  # nobody reads it, and the command goes on
        discard(sys.stderr)


def exit_code(error: Exception) -> int:
    """Return the exit code of an error."""
    if isinstance(error, exceptions.NotFound):
        return NOT_FOUND
    if isinstance(error, exceptions.Timeout | exceptions.WaitTimeout):
        return TIMED_OUT
    # Of what was given: the API's refusal is a FAILED, as it is an answer.
    if isinstance(error, exceptions.InvalidArgument | exceptions.ConfigurationError):
        return USAGE
    if isinstance(error, exceptions.Error | OSError | Warning) or _names_an_extra(error):
        return FAILED
    return DEFECT


def reader_is_gone(error: OSError) -> bool:
    """Whether an error says that nobody reads from a pipe any more."""
    # An error about a file names it; a stream that is open has no name to show.
    return error.errno in _CLOSED_PIPE and error.filename is None


def _names_an_extra(error: Exception) -> bool:
    # The import system sets the name of what it did not find; a message of ours has none.
    return isinstance(error, ImportError) and error.name is None


def tell(error: Exception) -> int:
    """Write an error as one line, and return its exit code."""
    code = exit_code(error)
    text = described(error)
    say(f"error: {f'{text} - {_keep_traceback(error)}' if code == DEFECT else text}")
    return code


def _keep_traceback(error: Exception) -> str:
    """Write the traceback of a defect to a file, and say where it is."""
    import platform
    import tempfile
    import traceback

    text = "".join(
        [
            f"abeja-registry {__version__}, Python {platform.python_version()}, {sys.platform}\n",
            *traceback.format_exception(error),
        ]
    )
    try:
        # Only its owner may read it.
        number, path = tempfile.mkstemp(prefix="abeja-registry-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(redact(text))
    except OSError:
        return "python -X dev -m abeja_registry shows the traceback"
    return f"please report it with the traceback in {path}"


def described(error: Exception) -> str:
    """Return an error as one line, with what to do next."""
    if isinstance(error, exceptions.HttpError):
        text = error.error_description or error.error
        # A look-up that finds nothing has a status, and no response of its own.
        if error.status_code and error.url:
            request = f", request {error.request_id}" if error.request_id else ""
            text += f" ({error.status_code} from {error.url}{request})"
    elif isinstance(error, _SPEAKING) or _names_an_extra(error):
        text = str(error)
    elif isinstance(error, OSError):
        text = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror)))
        text = text or str(error)
    else:
        text = redact(f"this should not happen: {type(error).__name__}: {error}")
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
