"""Files that appear whole or not at all, and files that one inventory holds.

File systems refuse things: modes, locks, syncing, names that begin with a dot, the replacement of a
file that is mounted by itself. What only makes a file better is done without there; what a file
needs is tried before the first request. Every error names the file that the user asked for, and
never the temporary one beside it.
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

# Each on its own systems alone.
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
msvcrt: Any = import_module("msvcrt") if find_spec("msvcrt") else None
WINDOWS = os.name == "nt"
# The mounts of this process, on Linux.
MOUNTS = Path("/proc/self/mountinfo")

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_LOCKED = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
# Where Windows locks a byte of a file: beyond its end, since locked bytes cannot be read there.
_LOCKED_BYTE = 2**40
# Files that are held where the file system has no locks, so at least this process notices.
_held: set[str] = set()
_held_lock = threading.Lock()


def named(error: OSError, target: Path, note: str = "") -> OSError:
    """Return an error of the same kind that names a file, with a note after the reason."""
    reason = error.strerror or str(error)
    return OSError(error.errno or errno.EIO, f"{reason}{note}", str(target))


@contextmanager
def naming(target: Path, note: str = "") -> Iterator[None]:
    """Let each OSError from within name a file."""
    try:
        yield
    except OSError as error:
        raise named(error, target, note) from None


class _File(io.FileIO):
    """A file whose errors name another."""

    def __init__(self, path: Path, how: str, mode: int | None, target: Path) -> None:
        self._target = target
        # One that is made is of no more than this mode, but for its owner.
        bits = 0o666 if mode is None else mode | 0o600
        super().__init__(path, how, opener=partial(os.open, mode=bits))

    def write(self, data: ReadableBuffer, /) -> int:
        with naming(self._target):
            # A full disk may take a part, and refuse the rest.
            return super().write(data)

    def truncate(self, size: int | None = None, /) -> int:
        with naming(self._target):
            return super().truncate(size)

    def close(self) -> None:
        # A quota, or a disk at the other end of a network, may be noticed only here.
        with naming(self._target):
            super().close()


def _open(path: Path, how: str, mode: int | None, target: Path) -> IO[bytes]:
    return io.BufferedWriter(_File(path, how, mode, target))


def check_target(path: Path) -> int | None:
    """Return the mode of a file that is to be replaced, or None where there is none.

    Raises:
        OSError: It is a folder or no regular file, or another file cannot take its place.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        reason = "it is no regular file, which alone can appear whole"
        raise OSError(errno.EINVAL, reason, str(path))
    if _is_mounted(path.resolve()):
        reason = (
            "it is mounted by itself, so no complete file can replace it:"
            " mount its folder, or write to another file"
        )
        raise OSError(errno.EBUSY, reason, str(path))
    if WINDOWS:
        # No file there is replaced that another program has open for itself, or that is read-only.
        with path.open("r+b"):
            pass
    return stat.S_IMODE(mode)


def _is_mounted(path: Path) -> bool:
    """Return whether a file is mounted by itself, as a container's volume may be."""
    try:
        mounts = MOUNTS.read_bytes()
    except OSError:
        return os.path.ismount(path)
    places = (line.split(b" ")[4] for line in mounts.splitlines() if line.count(b" ") > 4)
    # Blanks and the like are in octal there.
    unescaped = (re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), at) for at in places)
    return os.fsencode(path) in unescaped


@contextmanager
def appearing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under its path when all of it is written, or not at all.

    One that it replaces has its mode after as before, and a link to one still leads there.
    """
    mode = check_target(path)
    with naming(path):
        place = path.resolve()
    file, hidden = _create_beside(place, mode, path)
    try:
        try:
            yield file
            file.flush()
            _sync(file, path)
        except BaseException:
            # The first error counts: on a full disk, closing fails as well.
            with suppress(OSError):
                file.close()
            raise
        file.close()
        with naming(path):
            hidden.replace(place)
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)


def try_target(path: Path) -> None:
    """Do all that `appearing` needs, but for replacing the file.

    Raises:
        OSError: Some of it cannot be done.
    """
    mode = check_target(path)
    with naming(path):
        place = path.resolve()
    file, hidden = _create_beside(place, mode, path)
    renamed = hidden.with_suffix(".new")
    try:
        with file:
            file.write(b"\n")
            file.flush()
            _sync(file, path)
        with naming(path, " (of a temporary file beside it, which is renamed in the end)"):
            hidden.replace(renamed)
    finally:
        for each in (hidden, renamed):
            with suppress(OSError):
                each.unlink(missing_ok=True)


def _create_beside(place: Path, mode: int | None, target: Path) -> tuple[IO[bytes], Path]:
    """Create a temporary file beside another; some file systems take neither dots nor length."""
    token = secrets.token_hex(4)
    names = (f".{place.name}.{token}.tmp", f".{token}.tmp", f"{token}.tmp")
    first: OSError | None = None
    for name in names:
        hidden = place.with_name(name)
        try:
            file = _open(hidden, "xb", mode, target)
        except OSError as error:
            first = first or error
            continue
        if mode is not None:
            # What the umask has taken of it; where modes cannot be set, there are none to keep.
            with suppress(OSError):
                hidden.chmod(mode)
        return file, hidden
    assert first is not None
    raise named(
        first, target, " (for a temporary file beside it, which takes its place in the end)"
    )


def _sync(file: IO[bytes], target: Path) -> None:
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise named(error, target) from None


def hold(target: Path, suffix: str, mode: int | None) -> tuple[IO[bytes], Path]:
    """Open a file beside another to append to, which nobody else holds open so; return its path.

    Raises:
        BlockingIOError: Somebody else does.
        OSError: It cannot be opened.
    """
    path = target.with_name(target.name + suffix)
    while True:
        try:
            file = _open(path, "ab", mode, target)
        except OSError as error:
            short = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16] + suffix
            if error.errno == errno.ENAMETOOLONG and path.name != short:
                path = target.with_name(short)
                continue
            raise named(error, target, f" (for {path.name} beside it)") from None
        try:
            _lock(file, path)
        except OSError:
            file.close()
            raise BlockingIOError(
                errno.EAGAIN, "another walk writes to this file", str(target)
            ) from None
        # Unless a walk that ended in between has removed it: another may be at that path by now.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file, path
        release(file, path)


def _lock(file: IO[bytes], path: Path) -> None:
    """Lock a file; where the file system or the platform has no locks, within this process."""
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
    with _held_lock:
        key = os.path.realpath(path)
        if key in _held:
            raise BlockingIOError
        _held.add(key)


def release(file: IO[bytes], path: Path) -> None:
    """Unlock a file and close it."""
    if file.closed:
        return
    with suppress(OSError):
        file.flush()
    # A process that was forked meanwhile has the file open too, and would keep the lock.
    with suppress(OSError):
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_UN)
        elif msvcrt is not None:
            _lock_byte(file, msvcrt.LK_UNLCK)
    with _held_lock:
        _held.discard(os.path.realpath(path))
    with suppress(OSError):
        file.close()


def _lock_byte(file: IO[bytes], how: int) -> None:
    # Appending begins at the file's end, wherever this leaves it.
    os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
    msvcrt.locking(file.fileno(), how, 1)


def remove(file: IO[bytes], path: Path) -> None:
    """Remove a file that is held; one that cannot be removed is left empty."""
    with suppress(OSError):
        file.truncate(0)
    if fcntl is None:
        # Windows does not remove a file that is open.
        release(file, path)
    with suppress(OSError):
        path.unlink(missing_ok=True)
