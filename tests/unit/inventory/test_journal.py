"""The journal of an inventory: its rows so far, and the repositories that it has finished."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.support.internals import FORMATS, Batch, Journal, inventory_files
from tests.support.inventories import SOURCE, many

from abeja_registry import InvalidFile
from abeja_registry.inventory import InventoryRepository, InventoryRow, read_rows

FINISHED = b'{"finished": "2", "name": "trainer", "tags": 1}\n'


def rows_line(length: object) -> bytes:
    """Return the line before rows of this length."""
    line = {"repository": "2", "rows": 1, "bytes": length, "checksum": zlib.crc32(b"ab")}
    return json.dumps(line).encode() + b"\n"


def ended(*ids: str) -> list[InventoryRepository]:
    """Return repositories that are finished, by their ids."""
    return [InventoryRepository(id_, "trainer", 0 if id_ == "empty" else 1) for id_ in ids]


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> str:
    """The format of the target."""
    name: str = request.param
    return name


def opened(
    target: Path, kind: str, source: Mapping[str, object] = SOURCE, *, resume: bool
) -> Journal:
    """Return a journal beside a file of this format."""
    return Journal(target, FORMATS[kind], source, resume=resume)


def rows_of(journal: Journal, kind: str, tmp_path: Path) -> list[InventoryRow]:
    """Return a journal's rows of tags, as a file has them."""
    path = tmp_path.parent / f"{tmp_path.name}.{kind}"
    count = FORMATS[kind].write(path, journal.parts(), [])
    rows = list(read_rows(path))
    path.unlink()
    assert len(rows) == count
    return rows


def test_a_journal_has_the_rows_of_finished_repositories(tmp_path: Path, kind: str) -> None:
    """Rows of an unfinished repository do not count, in this run and in the next."""
    target = tmp_path / "inventory.csv"
    journal = opened(target, kind, resume=False)
    journal.add(Batch(many(5), ended("0")))
    journal.add(Batch([], ended("empty")))
    assert rows_of(journal, kind, tmp_path) == [many(5)[0], many(5)[3]]
    assert journal.repositories_without_rows() == ended("empty")
    journal.close()

    journal = opened(target, kind, resume=True)
    assert list(journal.finished.values()) == ended("0", "empty")
    journal.add(Batch(many(2)[1:], ended("1")))
    assert rows_of(journal, kind, tmp_path) == [*many(5)[:4:3], many(2)[1]]
    assert journal.repositories_without_rows() == ended("empty")
    journal.remove()
    journal.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("keep", "finished"),
    [
        (lambda journal: journal[:-1], {"0"}),
        (lambda journal: journal[:-60], set()),
        (lambda journal: journal[:10], set()),
        (lambda journal: b"", set()),
        (lambda journal: journal + b"\0" * 20 + b"\n" + FINISHED, {"0", "1"}),
        (lambda journal: journal + b"5\n" + FINISHED, {"0", "1"}),
        # Lines of a kind that a later version may write.
        (lambda journal: journal + b"{}\n" + FINISHED, {"0", "1", "2"}),
        (
            lambda journal: journal + b'{"finished": 2}\n{"finished": "3"}\n' + FINISHED,
            {"0", "1", "2"},
        ),
        # Rows of another length than their line says.
        (lambda journal: journal + rows_line(-1) + FINISHED, {"0", "1"}),
        (lambda journal: journal + rows_line(2**62) + FINISHED, {"0", "1"}),
        (lambda journal: journal + rows_line(3) + b"ab", {"0", "1"}),
        (lambda journal: journal + rows_line(2.0) + b"ab" + FINISHED, {"0", "1"}),
        # A power failure leaves zeros in the rows of the first repository.
        (lambda journal: journal.replace(b"trainer", b"\0" * 7, 1), set()),
    ],
)
def test_a_journal_that_was_cut_or_damaged(
    tmp_path: Path, kind: str, keep: Callable[[bytes], bytes], finished: set[str]
) -> None:
    """The lines before the damage count, and the repositories after it are read again."""
    target = tmp_path / "a"
    journal = opened(target, kind, resume=False)
    journal.add(Batch(many(3), ended("0", "1")))
    journal.close()
    path = tmp_path / "a.partial"
    path.write_bytes(keep(path.read_bytes()))
    journal = opened(target, kind, resume=True)
    assert set(journal.finished) == finished
    journal.add(Batch(many(3)[2:], ended("2")))
    assert {row.repository_id for row in rows_of(journal, kind, tmp_path)} == {*finished, "2"}
    journal.close()


@pytest.mark.parametrize("resume", [True, False])
def test_a_journal_that_another_inventory_has_locked(
    tmp_path: Path, kind: str, resume: bool
) -> None:
    """A second inventory to the same file is refused, and the first one is unaffected."""
    first = opened(tmp_path / "a", kind, resume=False)
    first.add(Batch(many(1), ended("0")))
    with pytest.raises(BlockingIOError, match="another inventory is being written to this file"):
        opened(tmp_path / "a", kind, resume=resume)
    assert rows_of(first, kind, tmp_path) == many(1)
    first.close()
    second = opened(tmp_path / "a", kind, resume=True)
    assert rows_of(second, kind, tmp_path) == many(1)
    second.close()


def test_rows_of_interrupted_runs_count_once(tmp_path: Path, kind: str) -> None:
    """A repository that several runs have read counts with the rows of the run that finished it."""
    target = tmp_path / "a"
    rows = many(9)
    for finished in (["0"], ["1"], ["2"]):
        journal = opened(target, kind, resume=True)
        left = [row for row in rows if row.repository_id not in journal.finished]
        journal.add(Batch(left, ended(*finished)))
        journal.close()
    journal = opened(target, kind, resume=True)
    assert sorted(rows_of(journal, kind, tmp_path)) == sorted(rows)
    journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no process is forked there")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_journal_that_a_forked_process_has_open_too(tmp_path: Path, kind: str) -> None:
    """Another inventory may resume it as soon as it is closed here."""
    journal = opened(tmp_path / "a", kind, resume=False)
    fork = get_context("fork")
    end = fork.Event()
    process = fork.Process(target=end.wait)
    process.start()
    try:
        journal.add(Batch(many(1), ended("0")))
        journal.close()
        journal = opened(tmp_path / "a", kind, resume=True)
        assert rows_of(journal, kind, tmp_path) == many(1)
        journal.close()
    finally:
        end.set()
        process.join()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_journal_that_is_removed_while_it_is_opened(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    """An inventory that starts as another ends opens and locks the current file."""
    fcntl = pytest.importorskip("fcntl")
    first = opened(tmp_path / "a", kind, resume=False)

    def delayed_lock(file: object, how: int) -> None:
        monkeypatch.undo()
        first.remove()
        first.close()
        if replaced:
            other = opened(tmp_path / "a", kind, resume=False)
            other.add(Batch(many(1), ended("0")))
            other.close()
        fcntl.flock(file, how)

    monkeypatch.setattr(fcntl, "flock", delayed_lock)
    second = opened(tmp_path / "a", kind, resume=True)
    assert set(second.finished) == ({"0"} if replaced else set())
    with pytest.raises(BlockingIOError):
        opened(tmp_path / "a", kind, resume=True)
    second.add(Batch(many(2)[1:], ended("1")))
    assert rows_of(second, kind, tmp_path) == many(2)[0 if replaced else 1 :]
    second.close()


def test_a_journal_on_a_file_system_without_locks(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept and removed there too."""
    monkeypatch.setattr(inventory_files, "fcntl", None)
    journal = opened(tmp_path / "a", kind, resume=False)
    journal.add(Batch(many(1), ended("0")))
    assert rows_of(journal, kind, tmp_path) == many(1)
    journal.close()
    journal = opened(tmp_path / "a", kind, resume=True)
    assert rows_of(journal, kind, tmp_path) == many(1)
    journal.remove()
    journal.close()
    assert not list(tmp_path.iterdir())


def test_a_journal_of_another_inventory(tmp_path: Path, kind: str) -> None:
    """It cannot be resumed, but replaced."""
    opened(tmp_path / "a", kind, resume=False).close()
    other = {"organization_id": "2", "include": "*"}
    with pytest.raises(
        InvalidFile,
        match="another inventory: organization_id was '1', and is '2' now; pass resume=False",
    ):
        opened(tmp_path / "a", kind, other, resume=True)
    opened(tmp_path / "a", kind, resume=True).close()
    journal = opened(tmp_path / "a", kind, other, resume=False)
    assert not journal.finished
    journal.close()


def test_a_file_that_is_not_a_journal_is_not_resumed(tmp_path: Path, kind: str) -> None:
    """A file without a first line that names its source is refused, and not changed."""
    path = tmp_path / "a.partial"
    path.write_text('{"finished": "1"}\n')
    with pytest.raises(InvalidFile, match="has no inventory's rows; pass resume=False"):
        opened(tmp_path / "a", kind, resume=True)
    assert path.read_text() == '{"finished": "1"}\n'


def test_resuming_without_a_journal_starts_one(tmp_path: Path, kind: str) -> None:
    """No repository is finished then."""
    journal = opened(tmp_path / "a", kind, resume=True)
    assert not journal.finished
    journal.close()


def test_a_journal_of_another_format_is_not_resumed(tmp_path: Path) -> None:
    """Its rows are not those of the target."""
    opened(tmp_path / "a", "csv", resume=False).close()
    with pytest.raises(InvalidFile, match="another inventory: format was 'csv', and is 'jsonl'"):
        opened(tmp_path / "a", "jsonl", resume=True)


def test_a_journal_of_an_earlier_version_is_not_resumed(tmp_path: Path, kind: str) -> None:
    """It is refused by its name, and removed by an inventory that starts again."""
    path = tmp_path / "a.partial.jsonl"
    path.write_text('{"walked": {}, "run": "0"}\n')
    with pytest.raises(
        InvalidFile, match=r"a\.partial\.jsonl has the rows of an earlier version.*resume=False"
    ) as caught:
        opened(tmp_path / "a", kind, resume=True)
    assert caught.value.path == str(path)
    assert path.exists()
    opened(tmp_path / "a", kind, resume=False).close()
    assert not path.exists()
