"""Errors: one line on stderr that says what to do next, and an exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable

from abeja_registry import __version__

from .. import exceptions
from ._output import echo_err

FAILED = 1
USAGE = 2
NOT_FOUND = 3
TIMED_OUT = 4
DEFECT = 70
INTERRUPTED = 130
PIPE_CLOSED = 141

# Windows reports a write to a closed pipe as EINVAL.
_CLOSED_PIPE = {errno.EPIPE, errno.EINVAL} if os.name == "nt" else {errno.EPIPE}

# Removes the credential from a text; each new client replaces it.
redact: Callable[[str], str] = str

# Errors whose message is for the reader.
_READABLE = (exceptions.Error, exceptions.InvalidArgument, Warning)

CONFIG = "see what was found where: abeja-registry config"

# What to do next, for the most specific class first.
_HINTS: tuple[tuple[type[BaseException], str], ...] = (
    (exceptions.ConfigurationError, CONFIG),
    (exceptions.Unauthorized, "check the credential: abeja-registry config"),
    (exceptions.Forbidden, "check the credential and the organization: abeja-registry config"),
    (exceptions.NotFound, "list the repositories: abeja-registry repositories list"),
    (exceptions.MethodNotAllowed, "check the API's URL: abeja-registry config"),
    (exceptions.Conflict, "list the repositories: abeja-registry repositories list"),
    (exceptions.TooManyRequests, "wait, and try again"),
    (exceptions.BadRequest, "see --help for valid values"),
    (exceptions.HttpError, "try again later, or report the request id to the API's support"),
    (exceptions.OutcomeUnknown, "check whether it exists: abeja-registry repositories list"),
    (exceptions.Timeout, "try again, or allow more time: --request-timeout, --deadline"),
    (exceptions.WaitTimeout, "try again, or wait longer"),
    (exceptions.TransportError, "check the network and the API's URL: abeja-registry config"),
    (exceptions.InvalidResponse, "see how the API differs: abeja-registry doctor"),
    (exceptions.PaginationError, "try again"),
    (exceptions.InvalidFile, "pass a file that `abeja-registry inventory --write` made"),
)


class _Hint(str):
    """A note of the command line on an exception; notes of the library speak of its methods."""


def add_hint(error: BaseException, hint: str) -> None:
    """Say what to do next about an error, in place of the hint for its class."""
    error.add_note(_Hint(hint))


def hint_of(error: BaseException) -> str | None:
    """Return what to do next about an error, if that is known."""
    notes = (note for note in getattr(error, "__notes__", ()) if isinstance(note, _Hint))
    by_class = (hint for kind, hint in _HINTS if isinstance(error, kind))
    return next(notes, None) or next(by_class, None)


# The library's messages name arguments; a command line has options.
_ARGUMENTS = (
    (re.compile(r"\b(resume|partial|prereleases)=True\b"), r"--\1"),
    (re.compile(r"\bby='(version)'"), r"--by \1"),
)


def in_options(text: str, options: dict[str, str]) -> str:
    """Return a message of the library that names options in place of arguments.

    Args:
        text: The message; it begins with the name of an argument, if it is about one.
        options: The option of each argument.
    """
    for pattern, option in _ARGUMENTS:
        text = pattern.sub(option, text)
    name, space, rest = text.partition(" ")
    return f"{options.get(name, name)}{space}{rest}"


def exit_code(error: Exception) -> int:
    """Return the exit code of an error."""
    if isinstance(error, exceptions.NotFound):
        return NOT_FOUND
    if isinstance(error, exceptions.Timeout | exceptions.WaitTimeout):
        return TIMED_OUT
    if isinstance(error, exceptions.InvalidArgument | exceptions.ConfigurationError):
        return USAGE
    if isinstance(error, exceptions.Error | OSError | Warning) or _names_an_extra(error):
        return FAILED
    return DEFECT


def is_closed_pipe(error: OSError) -> bool:
    """Whether an error says that the reader of a pipe has closed it."""
    # The error of a file names it; an open stream has no name.
    return error.errno in _CLOSED_PIPE and error.filename is None


def _names_an_extra(error: Exception) -> bool:
    # The import system raises ModuleNotFoundError for a module; this package for an extra.
    return isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError)


def report(error: Exception, verbose: int = 0) -> int:
    """Write an error as one line, and return its exit code."""
    code = exit_code(error)
    text = format_error(error)
    echo_err(f"error: {f'{text} - {_keep_traceback(error, verbose)}' if code == DEFECT else text}")
    return code


def _keep_traceback(error: Exception, verbose: int) -> str:
    """Write the traceback of a defect to a file, or show it; return what to do with it."""
    import platform
    import tempfile
    import traceback

    text = redact("".join(traceback.format_exception(error)))
    if verbose:
        for line in text.splitlines():
            echo_err(line)
        return "please report it with the traceback above"
    system = f"abeja-registry {__version__}, Python {platform.python_version()}, {sys.platform}\n"
    try:
        # Only its owner can read it.
        number, path = tempfile.mkstemp(prefix="abeja-registry-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(system + text)
    except OSError:
        return "-v shows the traceback"
    return f"please report it with the traceback in {path}"


def format_error(error: Exception) -> str:
    """Return an error as one line, with what to do next."""
    if isinstance(error, exceptions.HttpError):
        text = error.error_description or error.error
        # A look-up that finds nothing has a status, but no response.
        if error.status_code and error.url:
            request = f", request {error.request_id}" if error.request_id else ""
            text += f" ({error.status_code} from {error.url}{request})"
    elif isinstance(error, _READABLE) or _names_an_extra(error):
        text = str(error)
    elif isinstance(error, OSError):
        text = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror)))
        text = text or str(error)
    else:
        return redact(f"this should not happen: {type(error).__name__}: {error}")
    text = in_options(text, {})
    hint = hint_of(error)
    return f"{text} - {hint}" if hint else text
