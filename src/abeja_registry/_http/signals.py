"""Recognizes exceptions that a signal handler raised during a blocking call.

An HTTP library mistakes such an OSError, as of a job's time limit, for its socket's error.
"""

from __future__ import annotations

from traceback import walk_tb
from types import TracebackType

# The libraries below httpx and httpx2.
CORES = frozenset({"httpcore", "httpcore2"})
# Libraries whose frames raise socket errors.
_SOCKET_LIBRARIES = CORES | {
    *("abeja_registry", "anyio", "asyncio", "eventlet", "gevent"),
    *("selectors", "socket", "socks", "ssl"),
}


def packages(traceback: TracebackType | None) -> list[str]:
    """Return the packages of a traceback's frames, the innermost frame last."""
    frames = (frame for frame, _ in walk_tb(traceback))
    return [frame.f_globals.get("__name__", "").partition(".")[0] for frame in frames]


def from_signal_handler(error: BaseException | None) -> bool:
    """Whether a signal handler raised this OSError while a library waited for a socket.

    A socket's error has an errno, or the innermost frame belongs to a library. A handler's
    TimeoutError may have an errno, too.
    """
    if not isinstance(error, OSError) or error.__traceback__ is None:
        return False
    if error.errno is not None and not isinstance(error, TimeoutError):
        return False
    return packages(error.__traceback__)[-1] not in _SOCKET_LIBRARIES
