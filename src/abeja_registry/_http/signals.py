"""Which exceptions a signal handler raised: a job's own limit, in the middle of a blocking call.

An HTTP library takes such an OSError for its socket's.
"""

from __future__ import annotations

from traceback import walk_tb
from types import TracebackType

# What httpx and httpx2 send through.
CORES = frozenset({"httpcore", "httpcore2"})
# Libraries whose own frames raise the errors of sockets.
_SOCKETS = CORES | {
    *("abeja_registry", "anyio", "asyncio", "eventlet", "gevent"),
    *("selectors", "socket", "socks", "ssl"),
}


def packages(traceback: TracebackType | None) -> list[str]:
    """Return the packages of a traceback's frames, the innermost last."""
    frames = (frame for frame, _ in walk_tb(traceback))
    return [frame.f_globals.get("__name__", "").partition(".")[0] for frame in frames]


def from_signal_handler(error: BaseException | None) -> bool:
    """Whether a signal handler raised an OSError while a library waited for a socket.

    A socket's error has an errno, or comes from the library's own frames. A handler may give its
    TimeoutError an errno, too.
    """
    if not isinstance(error, OSError) or error.__traceback__ is None:
        return False
    if error.errno is not None and not isinstance(error, TimeoutError):
        return False
    return packages(error.__traceback__)[-1] not in _SOCKETS
