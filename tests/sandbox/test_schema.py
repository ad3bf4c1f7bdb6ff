"""The SQLite file: created, opened again, rejected."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.support.internals import sandbox_schema, store_of

from abeja_registry.sandbox import Sandbox


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a sandbox is to keep its data."""
    return tmp_path / "registry.db"


def shown(file: Path) -> list[tuple[str, list[str]]]:
    """Repositories and their tags, read from a file by a sandbox."""
    with Sandbox(port=None, data=file) as sandbox:
        store = store_of(sandbox)
        rows, _ = store.repositories(1000, 0)
        return [
            (row.name, [tag.name for tag in store.tags(str(row.id), 1000, 0)[0]]) for row in rows
        ]


def test_the_schema_is_created_all_or_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a statement fails, the file stays empty, and another sandbox can use it."""
    failing = (*sandbox_schema.SCHEMA, "not a statement")
    with monkeypatch.context() as patch:
        patch.setattr(sandbox_schema, "SCHEMA", failing)
        with pytest.raises(ValueError, match="syntax error"):
            Sandbox(port=None, data=file).start()
    with closing(sqlite3.connect(file)) as empty:
        assert empty.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    assert shown(file) == []


def test_a_file_keeps_its_schema(file: Path) -> None:
    """Opened again, a file has the schema's version and all rows, and is intact."""
    with Sandbox(port=None, data=file) as sandbox:
        sandbox.seed(repositories=2, tags=3)
    tags = ["0.0.1", "0.0.2", "0.0.3"]
    assert shown(file) == [("sample-0001", tags), ("sample-0002", tags)]
    with closing(sqlite3.connect(file)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (sandbox_schema.VERSION,)
        assert now.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_of_a_later_schema(file: Path) -> None:
    """It is rejected, since its tables are unknown."""
    with Sandbox(port=None, data=file):
        pass
    with closing(sqlite3.connect(file)) as later:
        later.execute("PRAGMA user_version = 99")
    problem = f"its schema is version 99, this sandbox's is {sandbox_schema.VERSION}"
    with pytest.raises(ValueError, match=problem):
        Sandbox(port=None, data=file).start()


def test_a_database_of_another_program(file: Path) -> None:
    """It is refused and stays as it is."""
    with closing(sqlite3.connect(file)) as theirs, theirs:
        theirs.execute("CREATE TABLE theirs (id INTEGER)")
    before = file.read_bytes()
    with pytest.raises(ValueError, match="it is not a sandbox's database"):
        Sandbox(port=None, data=file).start()
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is a ValueError that names the file."""
    with pytest.raises(ValueError, match=r"data: .*nowhere.*unable to open"):
        Sandbox(port=None, data=tmp_path / "nowhere" / "registry.db").start()


def test_another_organization_s_file(file: Path) -> None:
    """It is refused, and says whose it is."""
    with Sandbox(port=None, data=file):
        pass
    with pytest.raises(ValueError, match="of organization 1410000000000, not 7"):
        Sandbox(port=None, data=file, organization_id="7").start()


class Reader:
    """A program that begins to read a sandbox's file when the sandbox first asks for the time."""

    def __init__(self, file: Path, step: float) -> None:
        self.connection = sqlite3.connect(file, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = DELETE")
        self._now, self._step = 0.0, step

    def monotonic(self) -> float:
        """Begin to read, and return a time that goes on by a step."""
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN")
            self.connection.execute("SELECT * FROM sqlite_schema").fetchone()
        self._now += self._step
        return self._now

    def sleep(self, _: float) -> None:
        """Stop reading."""
        self.connection.execute("COMMIT")


@pytest.fixture
def reads(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Let a program read the file when a sandbox opens it, with time that goes on by steps."""
    connect = sandbox_schema.connect
    with ExitStack() as resources:

        def reads(step: float) -> None:
            shown(file)
            reader = Reader(file, step)
            resources.enter_context(closing(reader.connection))
            monkeypatch.setattr(sandbox_schema, "monotonic", reader.monotonic)
            monkeypatch.setattr(sandbox_schema, "time", reader)
            monkeypatch.setattr(sandbox_schema, "connect", lambda path, _: connect(path, 0))

        yield reads


def test_a_file_that_is_read_for_a_moment(file: Path, reads: Callable[[float], None]) -> None:
    """A sandbox waits until it can change the file's journal."""
    reads(0)
    assert shown(file) == []


def test_a_file_that_is_read_for_too_long(file: Path, reads: Callable[[float], None]) -> None:
    """A sandbox does not wait forever, and says that the file is locked."""
    reads(100)
    with pytest.raises(ValueError, match="database is locked"):
        shown(file)
