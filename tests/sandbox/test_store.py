"""The store's rows, by a clock of the test's own."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.internals import Store, count_acquired, reader_of, writer_of


@pytest.fixture
def store() -> Iterator[Store]:
    """A store whose clock goes on by a second each time it is read."""
    seconds = iter(range(1000))
    store = Store("7", now=lambda: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(0, next(seconds)))
    yield store
    store.close()


def test_writing_a_tag_again_moves_it(store: Store) -> None:
    """A tag written again has a new digest and time of update, and keeps id, creation and place."""
    repository_id = str(store.create_repository("sample", None).id)
    before = store.write_tag(repository_id, "latest", size=1, digest="sha256:a")
    store.write_tag(repository_id, "1.0.0")
    after = store.write_tag(repository_id, "latest", size=2, digest="sha256:b")
    assert (before.size, before.digest) == (1, "sha256:a")
    assert (after.size, after.digest) == (2, "sha256:b")
    assert (after.id, after.created_at) == (before.id, before.created_at)
    assert before.updated_at == before.created_at < after.updated_at
    rows, _ = store.tags(repository_id, 10, 0)
    assert [row.name for row in rows] == ["latest", "1.0.0"]


READS: dict[str, Callable[[Store], object]] = {
    "a repository": lambda store: store.repository("1500000000001"),
    "a repository by its name": lambda store: store.repository_by_name("sample"),
    "repositories": lambda store: store.repositories(1, 0),
    "tags": lambda store: store.tags("1500000000001", 1, 0),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_one_read_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, read: Callable[[Store], object]
) -> None:
    """Threads that share the connection take turns."""
    store.create_repository("sample", None)
    acquired = count_acquired(monkeypatch, store, "_reads")
    read(store)
    assert acquired() == 1


def test_the_same_tag_of_two_repositories(store: Store) -> None:
    """A tag belongs to its repository: another's of the same name is another tag."""
    ids = [str(store.create_repository(name, None).id) for name in ("one", "two")]
    first, second = (store.write_tag(repository_id, "latest") for repository_id in ids)
    assert first.id != second.id
    assert first.digest != second.digest


def test_times_have_microseconds_even_when_these_are_zero(store: Store) -> None:
    """A repository's times always have six digits after the point."""
    assert store.create_repository("sample", None).created_at == "2020-01-01T00:00:00.000000Z"


def test_pages_after_deletions(store: Store) -> None:
    """Whatever was deleted, a page has the rows of its window, and blocks that are empty go."""
    repository_id, other = store.seed(repositories=2, tags=2500)
    left = [f"0.0.{number}" for number in range(1, 2501)]
    for name in (*left[:1200], *left[2000:2100], left[-1]):
        store.delete_tag(repository_id, name)
        left.remove(name)
    store.write_tag(repository_id, left[7], size=1)
    for offset in range(0, len(left) + 1, 99):
        rows, has_next = store.tags(repository_id, 100, offset)
        assert [row.name for row in rows] == left[offset : offset + 100]
        assert has_next == (offset + 100 < len(left))
    assert len(store.tags(other, 5000, 0)[0]) == 2500
    for name in left:
        store.delete_tag(repository_id, name)
    store.delete_repository(other)
    assert store.tags(repository_id, 10, 0) == ([], False)
    assert reader_of(store).execute("SELECT count(*) FROM tag_blocks").fetchone()[0] == 0


def test_several_reads_see_one_state(tmp_path: Path) -> None:
    """What another process writes between the reads of a page is not half in it."""
    with (
        closing(Store("7", tmp_path / "a.db")) as store,
        closing(Store("7", tmp_path / "a.db")) as other,
    ):
        [repository_id] = store.seed(repositories=1, tags=1003)

        def meanwhile(statement: str) -> None:
            if "FROM tags " in statement:
                other.delete_tag(repository_id, "0.0.1002")

        reader_of(store).set_trace_callback(meanwhile)
        for names in (["0.0.1001", "0.0.1002", "0.0.1003"], ["0.0.1001", "0.0.1003"]):
            rows, has_next = store.tags(repository_id, 2, 1000)
            assert [row.name for row in rows] == names[:2]
            assert has_next == (len(names) > 2)


def test_closing_removes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store is a file while it is open, and nothing after."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = Store("7")
    assert list(tmp_path.glob("*/registry.db"))
    store.close()
    assert not list(tmp_path.iterdir())


def test_a_write_waits_for_one_of_another_process(tmp_path: Path) -> None:
    """It is tried again until the other has ended."""
    path = tmp_path / "a.db"
    with (
        closing(Store("7", path)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        tried: list[str] = []

        def note(statement: str) -> None:
            if tried and other.in_transaction:
                other.execute("COMMIT")
            tried.append(statement)

        writer_of(store).set_trace_callback(note)
        assert store.create_repository("sample", None).name == "sample"
        assert tried.count("BEGIN IMMEDIATE") == 2


def test_another_error_than_a_busy_database(store: Store) -> None:
    """It is raised at once, and no write waits for it."""
    writer_of(store).execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
        store.clear()
