"""The journal of an inventory: its rows so far, and the repositories that it has finished."""

from __future__ import annotations

import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.support.internals import Journal, inventory_files
from tests.support.inventories import SOURCE, many

from abeja_registry import InvalidFile
from abeja_registry.inventory import InventoryRepository, InventoryRow

FINISHED = b'{"finished": "2", "name": "trainer", "tags": 1}\n'


def ended(*ids: str) -> list[InventoryRepository]:
    """Return repositories that are finished, by their ids."""
    return [InventoryRepository(id_, "trainer", 0 if id_ == "empty" else 1) for id_ in ids]


def rows_of(journal: Journal) -> list[InventoryRow]:
    """Return a journal's rows of tags."""
    return [each for each in journal.entries() if isinstance(each, InventoryRow)]


def test_a_journal_has_the_rows_of_finished_repositories(tmp_path: Path) -> None:
    """Rows of an unfinished repository do not count, in this run and in the next."""
    target = tmp_path / "inventory.csv"
    journal = Journal(target, SOURCE, resume=False)
    journal.add(many(5), ended("0"))
    journal.add([], ended("empty"))
    assert list(journal.entries()) == [many(5)[0], many(5)[3], *ended("empty")]
    journal.close()

    journal = Journal(target, SOURCE, resume=True)
    assert list(journal.finished.values()) == ended("0", "empty")
    journal.add(many(2)[1:], ended("1"))
    assert list(journal.entries()) == [*many(5)[:4:3], many(2)[1], *ended("empty")]
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
        # A line without a count is read as the first version wrote it, by its id alone.
        (lambda journal: journal + b'{"finished": "2", "name": "trainer"}\n', {"0", "1", "2"}),
        (lambda journal: journal + b'{"finished": "3", "name": "trainer"}\n', {"0", "1"}),
        # Lines of a kind that a later version may write.
        (lambda journal: journal + b"{}\n" + FINISHED, {"0", "1", "2"}),
        (
            lambda journal: journal + b'{"finished": 2}\n{"repository_id": 2}\n' + FINISHED,
            {"0", "1", "2"},
        ),
    ],
)
def test_a_journal_that_was_cut_or_damaged(
    tmp_path: Path, keep: Callable[[bytes], bytes], finished: set[str]
) -> None:
    """The lines before the damage count, and the repositories after it are read again."""
    target = tmp_path / "a"
    journal = Journal(target, SOURCE, resume=False)
    journal.add(many(3), ended("0", "1"))
    journal.close()
    path = tmp_path / "a.partial.jsonl"
    path.write_bytes(keep(path.read_bytes()))
    journal = Journal(target, SOURCE, resume=True)
    assert set(journal.finished) == finished
    journal.add(many(3)[2:], ended("2"))
    assert {row.repository_id for row in rows_of(journal)} == {*finished, "2"}
    journal.close()


@pytest.mark.parametrize("resume", [True, False])
def test_a_journal_that_another_inventory_has_locked(tmp_path: Path, resume: bool) -> None:
    """A second inventory to the same file is refused, and the first one is unaffected."""
    first = Journal(tmp_path / "a", SOURCE, resume=False)
    first.add(many(1), ended("0"))
    with pytest.raises(BlockingIOError, match="another inventory is being written to this file"):
        Journal(tmp_path / "a", SOURCE, resume=resume)
    assert list(first.entries()) == many(1)
    first.close()
    second = Journal(tmp_path / "a", SOURCE, resume=True)
    assert list(second.entries()) == many(1)
    second.close()


def test_rows_of_interrupted_runs_count_once(tmp_path: Path) -> None:
    """A repository that several runs have read counts with the rows of the run that finished it."""
    target = tmp_path / "a"
    rows = many(9)
    for finished in (["0"], ["1"], ["2"]):
        journal = Journal(target, SOURCE, resume=True)
        left = [row for row in rows if row.repository_id not in journal.finished]
        journal.add(left, ended(*finished))
        journal.close()
    journal = Journal(target, SOURCE, resume=True)
    assert sorted(rows_of(journal)) == sorted(rows)
    journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no process is forked there")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_journal_that_a_forked_process_has_open_too(tmp_path: Path) -> None:
    """Another inventory may resume it as soon as it is closed here."""
    journal = Journal(tmp_path / "a", SOURCE, resume=False)
    fork = get_context("fork")
    end = fork.Event()
    process = fork.Process(target=end.wait)
    process.start()
    try:
        journal.add(many(1), ended("0"))
        journal.close()
        journal = Journal(tmp_path / "a", SOURCE, resume=True)
        assert list(journal.entries()) == many(1)
        journal.close()
    finally:
        end.set()
        process.join()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_journal_that_is_removed_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    """An inventory that starts as another ends opens and locks the current file."""
    fcntl = pytest.importorskip("fcntl")
    first = Journal(tmp_path / "a", SOURCE, resume=False)

    def delayed_lock(file: object, how: int) -> None:
        monkeypatch.undo()
        first.remove()
        first.close()
        if replaced:
            other = Journal(tmp_path / "a", SOURCE, resume=False)
            other.add(many(1), ended("0"))
            other.close()
        fcntl.flock(file, how)

    monkeypatch.setattr(fcntl, "flock", delayed_lock)
    second = Journal(tmp_path / "a", SOURCE, resume=True)
    assert set(second.finished) == ({"0"} if replaced else set())
    with pytest.raises(BlockingIOError):
        Journal(tmp_path / "a", SOURCE, resume=True)
    second.add(many(2)[1:], ended("1"))
    assert list(second.entries()) == many(2)[0 if replaced else 1 :]
    second.close()


def test_a_journal_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept and removed there too."""
    monkeypatch.setattr(inventory_files, "fcntl", None)
    journal = Journal(tmp_path / "a", SOURCE, resume=False)
    journal.add(many(1), ended("0"))
    assert list(journal.entries()) == many(1)
    journal.close()
    journal = Journal(tmp_path / "a", SOURCE, resume=True)
    assert list(journal.entries()) == many(1)
    journal.remove()
    journal.close()
    assert not list(tmp_path.iterdir())


def test_a_journal_of_another_inventory(tmp_path: Path) -> None:
    """It cannot be resumed, but replaced."""
    Journal(tmp_path / "a", SOURCE, resume=False).close()
    other = {"organization_id": "2", "include": "*"}
    with pytest.raises(
        InvalidFile,
        match="another inventory: organization_id was '1', and is '2' now; pass resume=False",
    ):
        Journal(tmp_path / "a", other, resume=True)
    Journal(tmp_path / "a", SOURCE, resume=True).close()
    journal = Journal(tmp_path / "a", other, resume=False)
    assert not journal.finished
    journal.close()


def test_a_file_that_is_not_a_journal_is_not_resumed(tmp_path: Path) -> None:
    """A file without a first line that names its source is refused, and not changed."""
    path = tmp_path / "a.partial.jsonl"
    path.write_text('{"finished": "1"}\n')
    with pytest.raises(InvalidFile, match="has no inventory's rows; pass resume=False"):
        Journal(tmp_path / "a", SOURCE, resume=True)
    assert path.read_text() == '{"finished": "1"}\n'


def test_resuming_without_a_journal_starts_one(tmp_path: Path) -> None:
    """No repository is finished then."""
    journal = Journal(tmp_path / "a", SOURCE, resume=True)
    assert not journal.finished
    journal.close()
