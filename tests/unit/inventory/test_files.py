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
from tests.support.internals import Journal, forget_locked_files, inventory_files
from tests.support.worlds import done

from abeja_registry import AsyncClient, Client, RetryPolicy
from abeja_registry.inventory import InventoryRepository, read_rows
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

KINDS = ["jsonl", "csv", "parquet"]
WALKED = {"organization_id": "1", "include": "*"}


@pytest.fixture(params=["sync", "async"])
async def either(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Any]:
    """A client of the sandbox, of either world; two repositories with two tags each."""
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
    """A file with content, in a folder of its own."""
    folder = tmp_path / "folder"
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


def untouched(path: Path) -> bool:
    """Return whether a file is as it was, with no temporary file beside it."""
    return path.read_text() == "last week's" and not list(path.parent.glob("*.tmp*"))


def whole(path: Path) -> bool:
    """Return whether a file is the inventory, with nothing beside it."""
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
async def test_what_cannot_be_set_is_not_needed(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    """A file system without modes, syncing or removal takes the file all the same."""
    monkeypatch.setattr(os, name, refusing(name, code))
    assert await written(either, target) == 4
    assert len(list(read_rows(target))) == 4
    monkeypatch.undo()
    # Rows that could not be removed are not taken for those of another run.
    assert await written(either, target, resume=True) == 4


@pytest.mark.parametrize(
    "code", [errno.ENOTSUP, errno.ENOLCK, errno.EINVAL, errno.ENOSYS, errno.EPERM, None]
)
async def test_a_file_system_or_a_platform_without_locks(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    """The file is written, and another inventory to it in this process is refused."""
    fcntl = None
    if code is not None:
        fcntl = SimpleNamespace(LOCK_EX=2, LOCK_NB=4, LOCK_UN=8, flock=refusing("flock", code))
    monkeypatch.setattr(inventory_files, "fcntl", fcntl)
    journal = Journal(target, WALKED, resume=False)
    for resume in (True, False):
        with pytest.raises(
            BlockingIOError, match="another inventory is being written to this file"
        ) as caught:
            await written(either, target, resume=resume)
        assert caught.value.filename == str(target)
    journal.close()
    assert await written(either, target) == 4
    assert whole(target)


async def test_windows_has_locks_of_its_own(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte far beyond the end of what is kept is locked, by each inventory in any process."""
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
    journal = Journal(target, WALKED, resume=False)
    with pytest.raises(BlockingIOError, match="another inventory is being written to this file"):
        await written(either, target, resume=True)
    journal.close()
    assert not locked
    assert await written(either, target) == 4
    assert whole(target)
    assert not locked


@pytest.mark.parametrize("resume", [True, False])
def test_two_inventories_without_locks_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    """On two machines, say: the one that finds rows of another writes no file."""
    monkeypatch.setattr(inventory_files, "fcntl", None)
    first = Journal(tmp_path / "a.csv", WALKED, resume=False)
    first.add([], [InventoryRepository("1", "a", 0)])
    # Another process knows nothing of what this one holds.
    forget_locked_files(monkeypatch)
    second = Journal(tmp_path / "a.csv", WALKED, resume=resume)
    second.add([], [InventoryRepository("2", "b", 0)])
    with pytest.raises(OSError, match=r"another inventory has written to a\.csv\.partial\.jsonl"):
        list(first.entries())
    assert list(second.entries()) == list(second.finished.values())
    assert set(second.finished) == ({"1", "2"} if resume else {"2"})
    first.close()
    second.close()


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM])
async def test_a_file_that_cannot_be_replaced(
    either: Any, target: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """It is as it was; the error names it, and resuming needs no request."""
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
    assert untouched(target)
    assert len(list(target.parent.iterdir())) == 2
    monkeypatch.undo()
    before = [request for request in sandbox.requests if request.path.endswith("/tags")]
    assert await written(either, target, resume=True) == 4
    assert [each for each in sandbox.requests if each.path.endswith("/tags")] == before
    assert whole(target)


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond this size: as on a full disk."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 40, 700, 1_300])
async def test_a_disk_that_is_full(either: Any, target: Path, sandbox: Sandbox, size: int) -> None:
    """At the first byte, while rows are kept, or while the file is written: it is as it was."""
    with limited(size), pytest.raises(OSError, match="File too large") as caught:
        await written(either, target)
    assert caught.value.filename == str(target)
    assert ("resume=True" in str(caught.value)) is (len(sandbox.requests) > 0)
    assert (len(sandbox.requests) > 0) is (size > 40)
    assert untouched(target)
    assert await written(either, target, resume=True) == 4
    assert whole(target)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
async def test_a_disk_that_says_so_late(
    either: Any, target: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """When the whole is synced: the rows are kept."""
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
    assert untouched(target)
    monkeypatch.undo()
    assert await written(either, target, resume=True) == 4
    assert whole(target)


def a_folder(path: Path, _: pytest.MonkeyPatch) -> None:
    """Put a folder there."""
    path.unlink()
    path.mkdir()


def a_pipe(path: Path, _: pytest.MonkeyPatch) -> None:
    """Put a named pipe there."""
    path.unlink()
    os.mkfifo(path)


def a_device(path: Path, _: pytest.MonkeyPatch) -> None:
    """Put a link to a device there, as /dev/stdout is one."""
    path.unlink()
    # A terminal's: nothing replaces a file in its folder, whatever a test finds wrong.
    path.symlink_to(os.ttyname(os.openpty()[1]))


def a_loop(path: Path, _: pytest.MonkeyPatch) -> None:
    """Put a link there that leads to itself."""
    path.unlink()
    path.symlink_to(path)


def a_mount(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mount a file there."""
    mounts = path.parent.parent / "mountinfo"
    place = str(path).replace(" ", "\\040")
    mounts.write_text(
        f"22 1 254:0 / / rw - ext4 /dev/a rw\n36 22 254:0 /a {place} rw - ext4 a rw\n"
    )
    monkeypatch.setattr(inventory_files, "MOUNTS", mounts)


def another_mount(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mount a file there, where no list of mounts is to be read."""
    monkeypatch.setattr(inventory_files, "MOUNTS", path.parent / "none")
    monkeypatch.setattr(os.path, "ismount", lambda place: place == path)


def no_folder(path: Path, _: pytest.MonkeyPatch) -> None:
    """Remove the folder."""
    shutil.rmtree(path.parent)


def no_new_files(code: int) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """Return what lets the folder take no new file."""

    def prepare(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = os.open

        def refuse(place: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and Path(place).parent == path.parent:
                raise OSError(code, os.strerror(code), str(place))
            return opened(place, flags, *arguments, **options)

        monkeypatch.setattr(os, "open", refuse)

    return prepare


def no_renaming(code: int) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """Return what lets the file system rename nothing."""

    def prepare(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "replace", refusing("replace", code))

    return prepare


def open_on_windows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another program have it open for itself, on Windows."""
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
    "a mount": (a_mount, "it is mounted by itself"),
    "a mount elsewhere": (another_mount, "it is mounted by itself"),
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
async def test_what_can_be_refused_is_refused_before_the_first_request(
    either: Any,
    target: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    """The error says why, and names the file that was asked for, and nothing is left beside it."""
    prepare(target, monkeypatch)
    with pytest.raises(OSError, match=reason) as caught:
        await written(either, target)
    assert caught.value.filename == str(target)
    assert not sandbox.requests
    monkeypatch.undo()
    assert [path.name for path in target.parent.glob("*")] in ([target.name], [])


async def test_a_file_that_nobody_has_open_on_windows(
    either: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written there as elsewhere."""
    monkeypatch.setattr(inventory_files, "WINDOWS", True)
    assert await written(either, target) == 4
    assert whole(target)


@pytest.mark.parametrize("length", [200, 241, 242, 254, 255])
async def test_a_long_name_is_no_obstacle(
    either: Any, target: Path, sandbox: Sandbox, length: int
) -> None:
    """The names beside it are made shorter, and a run is resumed all the same."""
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
    assert whole(path)


async def test_a_name_that_is_too_long(either: Any, target: Path, sandbox: Sandbox) -> None:
    """It is refused before the first request."""
    path = target.with_name("n" * 256 + target.suffix)
    with pytest.raises(OSError, match="File name too long") as caught:
        await written(either, path)
    assert caught.value.filename == str(path)
    assert not sandbox.requests


async def test_a_folder_that_takes_no_names_with_a_dot(
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
    assert whole(target)


def test_a_mode_holds_where_modes_are_kept(sandbox: Sandbox, client: Client, target: Path) -> None:
    """Trying the folder changes nothing of what a file may be read by."""
    sandbox.seed(repositories=1, tags=1)
    target.chmod(0o640)
    client.inventory().write_csv(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


async def test_an_error_of_somebody_else_is_left_alone(either: Any, target: Path) -> None:
    """What a function of the caller's raises says nothing about the file."""

    def fail(_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    inventory = either.inventory(on_progress=fail)
    with pytest.raises(BrokenPipeError) as caught:
        await done(getattr(inventory, f"write_{target.suffix[1:]}")(target))
    assert str(caught.value) == "[Errno 32] Broken pipe"
