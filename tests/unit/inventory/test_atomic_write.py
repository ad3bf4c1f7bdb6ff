"""Files that are written atomically."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.internals import FORMATS, Journal
from tests.support.inventories import ROW, SOURCE, WRITERS, each_kind, many

from abeja_registry.inventory import InventoryRow, read_rows


@each_kind
def test_a_file_is_written_atomically(kind: str, tmp_path: Path) -> None:
    """If the rows end with an error, the old file is unchanged, and no other file is left."""
    path = tmp_path / f"inventory{kind}"
    path.write_text("before")

    def failing() -> Iterator[InventoryRow]:
        yield from many(12_000)
        assert path.read_text() == "before"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        WRITERS[kind](path, failing())
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
@each_kind
def test_a_new_file_has_the_default_mode(kind: str, tmp_path: Path) -> None:
    """Its mode is that of any new file."""
    path, other = tmp_path / f"inventory{kind}", tmp_path / "other"
    other.touch()
    WRITERS[kind](path, [ROW])
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
@pytest.mark.parametrize("mode", [0o600, 0o666, 0o440])
@each_kind
def test_a_replaced_file_keeps_its_mode(kind: str, mode: int, tmp_path: Path) -> None:
    """Neither the new file nor a temporary file gives more users access."""
    path = tmp_path / f"inventory{kind}"
    path.touch()
    path.chmod(mode)
    others = mode & ~0o600
    journal = Journal(path, FORMATS[kind[1:]], SOURCE, resume=False)
    [beside] = set(tmp_path.iterdir()) - {path}
    assert not stat.S_IMODE(beside.stat().st_mode) & ~0o600 & ~others
    journal.close()
    journal = Journal(path, FORMATS[kind[1:]], SOURCE, resume=True)

    def watched() -> Iterator[InventoryRow]:
        for each in set(tmp_path.iterdir()) - {beside}:
            assert stat.S_IMODE(each.stat().st_mode) == mode
        yield ROW

    assert WRITERS[kind](path, watched()) == 1
    assert stat.S_IMODE(path.stat().st_mode) == mode
    journal.close()


@each_kind
def test_a_symbolic_link_is_followed(kind: str, tmp_path: Path) -> None:
    """The target of the link is written, and the link is kept."""
    (tmp_path / "elsewhere").mkdir()
    path, link = tmp_path / "elsewhere" / f"inventory{kind}", tmp_path / f"link{kind}"
    try:
        link.symlink_to(path)
    except OSError:  # Windows lets few users do so
        pytest.skip("no links can be made")
    for count in (1, 2):
        WRITERS[kind](link, many(count))
        assert link.is_symlink()
        assert list(read_rows(path)) == many(count)


@each_kind
def test_a_directory_is_not_replaced(kind: str, tmp_path: Path) -> None:
    """The error precedes any write, also beside the directory."""
    path = tmp_path / f"inventory{kind}"
    path.mkdir()
    rows = iter(many(1))
    with pytest.raises(IsADirectoryError, match=f"inventory{kind}"):
        WRITERS[kind](path, rows)
    assert list(rows) == many(1)
    with pytest.raises(IsADirectoryError, match=f"inventory{kind}"):
        Journal(path, FORMATS[kind[1:]], SOURCE, resume=False)
    assert list(tmp_path.iterdir()) == [path]
