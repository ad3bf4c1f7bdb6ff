"""Files that are written atomically, and files that one inventory locks.

A file system may refuse modes, locks, syncing, names that begin with a dot, or the replacement of
a file that is a mount point. An optional step that fails is skipped; each required step is
tried before the first request. Every error names the target, and never the temporary file beside
it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# fcntl is missing on Windows, msvcrt elsewhere.
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
msvcrt: Any = import_module("msvcrt") if find_spec("msvcrt") else None
WINDOWS = os.name == "nt"
# The mounts of this process, on Linux.
MOUNTS = Path("/proc/self/mountinfo")

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_LOCKED = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
# Windows locks this byte, beyond the end of any file: locked bytes cannot be read there.
_LOCKED_BYTE = 2**40
# Files that this process has open where the file system has no locks.
_locked_paths: set[str] = set()
_paths_lock = threading.Lock()


def with_path(error: OSError, target: Path, note: str = "") -> OSError:
    """Return the same error for another file, with a note after the reason."""
    reason = error.strerror or str(error)
    return OSError(error.errno or errno.EIO, f"{reason}{note}", str(target))


@contextmanager
def errors_name(target: Path, note: str = "") -> Iterator[None]:
    """Replace the file that each OSError in the block names."""
    try:
        yield
    except OSError as error:
        raise with_path(error, target, note) from None


class _File(io.FileIO):
    """A file whose errors name the target."""

    def __init__(self, path: Path, open_mode: str, mode: int | None, target: Path) -> None:
        self._target = target
        # A new file gets at most this mode, except that its owner can read and write it.
        bits = 0o666 if mode is None else mode | 0o600
        super().__init__(path, open_mode, opener=partial(os.open, mode=bits))

    def write(self, data: ReadableBuffer, /) -> int:
        with errors_name(self._target):
            # A full disk may accept a part of the data, and refuse the rest.
            return super().write(data)

    def truncate(self, size: int | None = None, /) -> int:
        with errors_name(self._target):
            return super().truncate(size)

    def close(self) -> None:
        # A quota, or a network file system, may report a failed write only here.
        with errors_name(self._target):
            super().close()


def _open(path: Path, open_mode: str, mode: int | None, target: Path) -> IO[bytes]:
    return io.BufferedWriter(_File(path, open_mode, mode, target))


def check_target(path: Path) -> int | None:
    """Return the mode of the file to replace, or None where no file exists.

    Raises:
        OSError: It is not a regular file, or it cannot be replaced.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        reason = "it is not a regular file, and only a regular file is written atomically"
        raise OSError(errno.EINVAL, reason, str(path))
    if _is_mounted(path.resolve()):
        reason = (
            "it is a mount point, so no other file can replace it:"
            " mount its directory, or write to another file"
        )
        raise OSError(errno.EBUSY, reason, str(path))
    if WINDOWS:
        # Windows replaces no file that is read-only, or that another program has open.
        with path.open("r+b"):
            pass
    return stat.S_IMODE(mode)


def _is_mounted(path: Path) -> bool:
    """Whether a file is a mount point, as a container's volume may be."""
    try:
        mounts = MOUNTS.read_bytes()
    except OSError:
        return os.path.ismount(path)
    places = (line.split(b" ")[4] for line in mounts.splitlines() if line.count(b" ") > 4)
    # Spaces and the like are escaped in octal.
    unescaped = (re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), at) for at in places)
    return os.fsencode(path) in unescaped


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block ends without an error.

    The mode of a replaced file stays, and a symbolic link keeps its target.
    """
    mode = check_target(path)
    with errors_name(path):
        resolved = path.resolve()
    file, temporary = _create_beside(resolved, mode, path)
    try:
        try:
            yield file
            file.flush()
            _sync(file, path)
        except BaseException:
            # On a full disk closing fails too: the first error is raised.
            with suppress(OSError):
                file.close()
            raise
        file.close()
        with errors_name(path):
            temporary.replace(resolved)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def try_target(path: Path) -> None:
    """Try each step of `atomic_write`, except for replacing the file.

    Raises:
        OSError: A step failed.
    """
    mode = check_target(path)
    with errors_name(path):
        resolved = path.resolve()
    file, temporary = _create_beside(resolved, mode, path)
    renamed = temporary.with_suffix(".new")
    try:
        with file:
            file.write(b"\n")
            file.flush()
            _sync(file, path)
        with errors_name(path, " (for a temporary file beside it, which is renamed in the end)"):
            temporary.replace(renamed)
    finally:
        for each in (temporary, renamed):
            with suppress(OSError):
                each.unlink(missing_ok=True)


def _create_beside(path: Path, mode: int | None, target: Path) -> tuple[IO[bytes], Path]:
    """Create a temporary file beside another; some file systems refuse dots or long names."""
    token = secrets.token_hex(4)
    names = (f".{path.name}.{token}.tmp", f".{token}.tmp", f"{token}.tmp")
    first: OSError | None = None
    for name in names:
        temporary = path.with_name(name)
        try:
            file = _open(temporary, "xb", mode, target)
        except OSError as error:
            first = first or error
            continue
        if mode is not None:
            # The umask may have reduced it; some file systems have no modes.
            with suppress(OSError):
                temporary.chmod(mode)
        return file, temporary
    assert first is not None
    raise with_path(
        first, target, " (for a temporary file beside it, which replaces it in the end)"
    )


def _sync(file: IO[bytes], target: Path) -> None:
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise with_path(error, target) from None


def paths_beside(target: Path, suffix: str) -> tuple[Path, Path]:
    """Return the path of a file beside another, and one for where its name would be too long."""
    short = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(target.name + suffix), target.with_name(short + suffix)


def open_locked(target: Path, suffix: str, mode: int | None) -> tuple[IO[bytes], Path]:
    """Open and lock a file beside another, to append to it; return it with its path.

    Raises:
        BlockingIOError: Another inventory has locked it.
        OSError: It cannot be opened.
    """
    path, short = paths_beside(target, suffix)
    while True:
        try:
            file = _open(path, "ab", mode, target)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG and path != short:
                path = short
                continue
            raise with_path(error, target, f" (for {path.name} beside it)") from None
        try:
            _lock(file, path)
        except OSError:
            file.close()
            raise BlockingIOError(
                errno.EAGAIN, "another inventory is being written to this file", str(target)
            ) from None
        # Open it again if an inventory that ended in between has removed it.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file, path
        release(file, path)


def _lock(file: IO[bytes], path: Path) -> None:
    """Lock a file; without locks of the system, only against other threads of this process."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if msvcrt is not None:
            _lock_byte(file, msvcrt.LK_NBLCK)
            return
    except OSError as error:
        if error.errno in _LOCKED:
            raise
    with _paths_lock:
        key = os.path.realpath(path)
        if key in _locked_paths:
            raise BlockingIOError
        _locked_paths.add(key)


def release(file: IO[bytes], path: Path) -> None:
    """Unlock a file and close it."""
    if file.closed:
        return
    with suppress(OSError):
        file.flush()
    # After fork() a child process has the file open too, and would keep the lock.
    with suppress(OSError):
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_UN)
        elif msvcrt is not None:
            _lock_byte(file, msvcrt.LK_UNLCK)
    with _paths_lock:
        _locked_paths.discard(os.path.realpath(path))
    with suppress(OSError):
        file.close()


def _lock_byte(file: IO[bytes], operation: int) -> None:
    # This moves the position, but appending always starts at the end of the file.
    os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
    msvcrt.locking(file.fileno(), operation, 1)


def remove(file: IO[bytes], path: Path) -> None:
    """Remove a locked file; if that fails, leave it empty."""
    with suppress(OSError):
        file.truncate(0)
    if fcntl is None:
        # Windows removes no file that is open.
        release(file, path)
    with suppress(OSError):
        path.unlink(missing_ok=True)
