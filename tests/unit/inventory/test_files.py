"""Files on file systems that refuse something: tried before the first request, named in errors."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.internals import (
    CSV,
    FORMATS,
    Batch,
    Journal,
    forget_locked_files,
    inventory_files,
)
from tests.support.inventories import SOURCE, each_kind
from tests.support.worlds import done

from abeja_registry import AsyncClient, Client, RetryPolicy
from abeja_registry.inventory import InventoryRepository, read_rows
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

KINDS = ["jsonl", "csv", "parquet"]


@pytest.fixture(params=["sync", "async"])
async def either(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Any]:
    """A client, sync or async, of a sandbox of two repositories with two tags each."""
    sandbox.seed(repositories=2, tags=2)
    options: dict[str, Any] = {**sandbox.connection, "retry": RetryPolicy(max_retries=0)}
    if request.param == "sync":
        with Client(**options) as client:
            yield client
        return
    async with AsyncClient(**options) as async_client:
        yield async_client


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with content, in its own directory."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    path = folder / f"inventory.{request.param}"
    path.write_text("last week's")
    return path


async def written(client: Any, path: Path, **options: Any) -> int:
    """Write an inventory to a file."""
    write = getattr(client.inventory(), f"write_{path.suffix[1:]}")
    count: int = await done(write(path, **options))
    return count


def move(old: Path, new: Path) -> None:
    """Rename a file."""
    old.rename(new)


def unchanged(path: Path) -> bool:
    """Return whether a file has its old content, with no temporary file beside it."""
    return path.read_text() == "last week's" and not list(path.parent.glob("*.tmp*"))


def complete(path: Path) -> bool:
    """Return whether a file has all rows, with no other file beside it."""
    return len(list(read_rows(path))) == 4 and list(path.parent.iterdir()) == [path]


def refusing(name: str, code: int) -> Callable[..., Any]:
    """Return a function of `os` that refuses."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code), f"the arguments of {name}")

    return refuse


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("chmod", errno.EPERM),
        ("chmod", errno.ENOTSUP),
        ("chmod", errno.EROFS),
        ("fchmod", errno.EPERM),
        ("fsync", errno.EINVAL),
        ("fsync", errno.ENOTSUP),
        ("fsync", errno.ENOSYS),
        ("unlink", errno.EPERM),
    ],
)
async def test_optional_steps_may_fail(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    """A file system without modes, syncing or removal holds the file."""
    monkeypatch.setattr(os, name, refusing(name, code))
    assert await written(either, target) == 4
    assert len(list(read_rows(target))) == 4
    monkeypatch.undo()
    # A journal that could not be removed is not resumed as that of another run.
    assert await written(either, target, resume=True) == 4


@pytest.mark.parametrize(
    "code", [errno.ENOTSUP, errno.ENOLCK, errno.EINVAL, errno.ENOSYS, errno.EPERM, None]
)
async def test_a_file_system_or_a_platform_without_locks(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    """The file is written, and a second inventory to it in this process is refused."""
    fcntl = None
    if code is not None:
        fcntl = SimpleNamespace(LOCK_EX=2, LOCK_NB=4, LOCK_UN=8, flock=refusing("flock", code))
    monkeypatch.setattr(inventory_files, "fcntl", fcntl)
    journal = Journal(target, CSV, SOURCE, resume=False)
    for resume in (True, False):
        with pytest.raises(
            BlockingIOError, match="another inventory is being written to this file"
        ) as caught:
            await written(either, target, resume=resume)
        assert caught.value.filename == str(target)
    journal.close()
    assert await written(either, target) == 4
    assert complete(target)


async def test_windows_locks_a_byte(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The byte is far beyond the end of the file, and each inventory in any process locks it."""
    locked: dict[int, int] = {}

    def locking(file: int, how: int, count: int) -> None:
        inode = os.fstat(file).st_ino
        assert (os.lseek(file, 0, os.SEEK_CUR), count) == (2**40, 1)
        if how == 0:
            del locked[inode]
        elif inode in locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        else:
            locked[inode] = file

    monkeypatch.setattr(inventory_files, "fcntl", None)
    msvcrt = SimpleNamespace(LK_NBLCK=2, LK_UNLCK=0, locking=locking)
    monkeypatch.setattr(inventory_files, "msvcrt", msvcrt)
    journal = Journal(target, CSV, SOURCE, resume=False)
    with pytest.raises(BlockingIOError, match="another inventory is being written to this file"):
        await written(either, target, resume=True)
    journal.close()
    assert not locked
    assert await written(either, target) == 4
    assert complete(target)
    assert not locked


@pytest.mark.parametrize("resume", [True, False])
def test_two_inventories_without_locks_do_not_mix_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    """On two machines, the one that finds the other's rows in its journal writes no file."""
    monkeypatch.setattr(inventory_files, "fcntl", None)
    first = Journal(tmp_path / "a.csv", CSV, SOURCE, resume=False)
    first.add(Batch([], [InventoryRepository("1", "a", 0)]))
    # Another process does not know the locks of this one.
    forget_locked_files(monkeypatch)
    second = Journal(tmp_path / "a.csv", CSV, SOURCE, resume=resume)
    second.add(Batch([], [InventoryRepository("2", "b", 0)]))
    with pytest.raises(
        OSError, match=r"another inventory has written to a\.csv\.partial beside it"
    ):
        list(first.parts())
    assert list(second.parts()) == []
    assert second.repositories_without_rows() == list(second.finished.values())
    assert set(second.finished) == ({"1", "2"} if resume else {"2"})
    first.close()
    second.close()


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM])
async def test_a_file_that_cannot_be_replaced(
    either: Any, target: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """It is unchanged; the error names it, and resuming needs no request."""
    replace = os.replace

    def refuse(source: Any, place: Any, **options: Any) -> None:
        if Path(place).name == target.name:
            raise OSError(code, os.strerror(code), str(source), None, str(place))
        replace(source, place, **options)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"resume=True to continue with them") as caught:
        await written(either, target)
    assert (caught.value.errno, caught.value.filename) == (code, str(target))
    assert caught.value.filename2 is None
    assert ".tmp" not in str(caught.value)
    assert unchanged(target)
    assert len(list(target.parent.iterdir())) == 2
    monkeypatch.undo()
    before = [request for request in sandbox.requests if request.path.endswith("/tags")]
    assert await written(either, target, resume=True) == 4
    assert [each for each in sandbox.requests if each.path.endswith("/tags")] == before
    assert complete(target)


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Limit the size of files that this process writes, as a full disk does."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 40, 700, 1_300])
async def test_a_full_disk(either: Any, target: Path, sandbox: Sandbox, size: int) -> None:
    """The old file is unchanged, whether the first byte, the journal or the file does not fit."""
    with limited(size), pytest.raises(OSError, match="File too large") as caught:
        await written(either, target)
    assert caught.value.filename == str(target)
    assert ("resume=True" in str(caught.value)) is (len(sandbox.requests) > 0)
    assert (len(sandbox.requests) > 0) is (size > 40)
    assert unchanged(target)
    assert await written(either, target, resume=True) == 4
    assert complete(target)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
async def test_a_disk_that_reports_an_error_when_the_file_is_synced(
    either: Any, target: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The rows are kept in the journal."""
    sync, calls = os.fsync, []

    def refuse(file: int) -> None:
        calls.append(file)
        if len(calls) > 1:
            raise OSError(code, os.strerror(code))
        sync(file)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="resume=True") as caught:
        await written(either, target)
    assert (caught.value.errno, caught.value.filename) == (code, str(target))
    assert unchanged(target)
    monkeypatch.undo()
    assert await written(either, target, resume=True) == 4
    assert complete(target)


def a_folder(path: Path, _: pytest.MonkeyPatch) -> None:
    """Replace the file with a directory."""
    path.unlink()
    path.mkdir()


def a_pipe(path: Path, _: pytest.MonkeyPatch) -> None:
    """Replace the file with a named pipe."""
    path.unlink()
    os.mkfifo(path)


def a_device(path: Path, _: pytest.MonkeyPatch) -> None:
    """Replace the file with a link to a device, such as /dev/stdout."""
    path.unlink()
    # A terminal: even a failing test replaces no file in its directory.
    path.symlink_to(os.ttyname(os.openpty()[1]))


def a_loop(path: Path, _: pytest.MonkeyPatch) -> None:
    """Replace the file with a link to itself."""
    path.unlink()
    path.symlink_to(path)


def a_mount(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the file look mounted."""
    mounts = path.parent.parent / "mountinfo"
    place = str(path).replace(" ", "\\040")
    mounts.write_text(
        f"22 1 254:0 / / rw - ext4 /dev/a rw\n36 22 254:0 /a {place} rw - ext4 a rw\n"
    )
    monkeypatch.setattr(inventory_files, "MOUNTS", mounts)


def another_mount(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the file look mounted, on a system without a list of mounts."""
    monkeypatch.setattr(inventory_files, "MOUNTS", path.parent / "none")
    monkeypatch.setattr(os.path, "ismount", lambda place: place == path)


def no_folder(path: Path, _: pytest.MonkeyPatch) -> None:
    """Remove the directory."""
    shutil.rmtree(path.parent)


def no_new_files(code: int) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """Return a function that makes the directory refuse new files."""

    def prepare(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = os.open

        def refuse(place: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and Path(place).parent == path.parent:
                raise OSError(code, os.strerror(code), str(place))
            return opened(place, flags, *arguments, **options)

        monkeypatch.setattr(os, "open", refuse)

    return prepare


def no_renaming(code: int) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """Return a function that makes the file system refuse to rename."""

    def prepare(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "replace", refusing("replace", code))

    return prepare


def open_on_windows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make another program lock the file, on Windows."""
    opened = Path.open

    def refuse(place: Path, *arguments: Any, **options: Any) -> Any:
        if place == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return opened(place, *arguments, **options)

    monkeypatch.setattr(inventory_files, "WINDOWS", True)
    monkeypatch.setattr(Path, "open", refuse)


REFUSALS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], str]] = {
    "a folder": (a_folder, "Is a directory"),
    "a pipe": (a_pipe, "it is not a regular file"),
    "a device": (a_device, "it is not a regular file"),
    "a link to itself": (a_loop, "symbolic links"),
    "a mount": (a_mount, "it is a mount point"),
    "a mount elsewhere": (another_mount, "it is a mount point"),
    "no folder": (no_folder, "No such file"),
    "no permission": (no_new_files(errno.EACCES), "Permission denied"),
    "read-only": (no_new_files(errno.EROFS), "Read-only file system"),
    "full": (no_new_files(errno.ENOSPC), "No space left"),
    "quota": (no_new_files(errno.EDQUOT), "quota"),
    "no renaming": (no_renaming(errno.EPERM), "Operation not permitted"),
    "no renaming at all": (no_renaming(errno.ENOSYS), "not implemented"),
    "open on Windows": (open_on_windows, "Permission denied"),
}


@pytest.mark.parametrize(("prepare", "reason"), REFUSALS.values(), ids=REFUSALS)
async def test_refusals_precede_the_first_request(
    either: Any,
    target: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    """The error has the reason and the target's path, and no other file is left."""
    prepare(target, monkeypatch)
    with pytest.raises(OSError, match=reason) as caught:
        await written(either, target)
    assert caught.value.filename == str(target)
    assert not sandbox.requests
    monkeypatch.undo()
    assert [path.name for path in target.parent.glob("*")] in ([target.name], [])


async def test_a_file_that_no_program_has_open_on_windows(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written as on other systems."""
    monkeypatch.setattr(inventory_files, "WINDOWS", True)
    assert await written(either, target) == 4
    assert complete(target)


@pytest.mark.parametrize("length", [200, 241, 242, 254, 255])
async def test_a_long_name(either: Any, target: Path, sandbox: Sandbox, length: int) -> None:
    """The names of the files beside it are shorter, and a run is resumed."""
    path = target.with_name("n" * (length - len(target.suffix)) + target.suffix)
    move(target, path)
    listed = await done(either.raw.get_repositories(either.organization_id))
    first = listed["registry_repositories"][0]["id"]
    sandbox.faults.add(repository_id=first, status=403)
    with pytest.raises(Exception, match="resume=True"):
        await written(either, path)
    sandbox.faults.clear()
    before = len(sandbox.requests)
    assert await written(either, path, resume=True) == 4
    assert len(sandbox.requests) == before + 2
    assert complete(path)


async def test_a_name_that_is_too_long(either: Any, target: Path, sandbox: Sandbox) -> None:
    """It is refused before the first request."""
    path = target.with_name("n" * 256 + target.suffix)
    with pytest.raises(OSError, match="File name too long") as caught:
        await written(either, path)
    assert caught.value.filename == str(path)
    assert not sandbox.requests


async def test_a_directory_that_refuses_names_with_a_dot(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary file has another name there."""
    opened = os.open

    def refuse(place: Any, *arguments: Any, **options: Any) -> int:
        if Path(place).name.startswith("."):
            raise OSError(errno.EINVAL, "Invalid argument", str(place))
        return opened(place, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert await written(either, target) == 4
    assert complete(target)


def test_a_replaced_file_keeps_its_mode(sandbox: Sandbox, client: Client, target: Path) -> None:
    """Trying the directory first does not change it."""
    sandbox.seed(repositories=1, tags=1)
    target.chmod(0o640)
    client.inventory().write_csv(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


async def test_an_error_of_the_caller_s_function_is_unchanged(either: Any, target: Path) -> None:
    """It says nothing about the file, so no hint at `resume` is added."""

    def fail(_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    inventory = either.inventory(on_progress=fail)
    with pytest.raises(BrokenPipeError) as caught:
        await done(getattr(inventory, f"write_{target.suffix[1:]}")(target))
    assert str(caught.value) == "[Errno 32] Broken pipe"


@each_kind
def test_a_folder_in_place_of_the_journal(kind: str, tmp_path: Path) -> None:
    """The system's error names the target and the file beside it."""
    path = tmp_path / f"inventory{kind}"
    (tmp_path / f"inventory{kind}.partial").mkdir()
    with pytest.raises(OSError, match=r"\.partial beside it") as caught:
        Journal(path, FORMATS[kind[1:]], SOURCE, resume=False)
    assert caught.value.errno in (errno.EISDIR, errno.EACCES)
