"""The file: what is taken, brought up to date, refused."""

import sqlite3
from contextlib import closing
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
            (row["name"], [tag["name"] for tag in store.tags(str(row["id"]), 1000, 0)[0]])
            for row in rows
        ]


def test_a_file_of_the_first_schema(file: Path) -> None:
    """It is brought to today's with all that it holds, and works on."""
    with closing(sqlite3.connect(file)) as old, old:
        for statement in sandbox_schema.MIGRATIONS[0]:
            old.execute(statement)
        old.execute(f"PRAGMA application_id = {sandbox_schema.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
        for name in ("one", "two"):
            values = (name, "2020-01-01T00:00:00.000000Z", "2020-01-01T00:00:00.000000Z")
            query = "INSERT INTO repositories (name, created_at, updated_at) VALUES (?, ?, ?)"
            added = old.execute(query, values).lastrowid
            for number in range(3):
                query = "INSERT INTO tags VALUES (NULL, ?, ?, 1, 'sha256:a', 'a/b', 'x', 'x')"
                old.execute(query, (added, f"0.0.{number}"))
    tags = ["0.0.0", "0.0.1", "0.0.2"]
    assert shown(file) == [("one", tags), ("two", tags)]
    with closing(sqlite3.connect(file)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (len(sandbox_schema.MIGRATIONS),)
        assert now.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert shown(file) == [("one", tags), ("two", tags)]


def test_a_migration_is_all_or_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails leaves the file as it was, and its version too."""
    with Sandbox(port=None, data=file) as sandbox:
        sandbox.seed(repositories=1, tags=1)
    failing = (*sandbox_schema.MIGRATIONS, ("CREATE TABLE more (id INTEGER)", "not a statement"))
    with monkeypatch.context() as patch:
        patch.setattr(sandbox_schema, "MIGRATIONS", failing)
        with pytest.raises(ValueError, match="syntax error"):
            Sandbox(port=None, data=file).start()
    assert shown(file) == [("sample-0001", ["0.0.1"])]
    with closing(sqlite3.connect(file)) as now:
        assert now.execute("SELECT name FROM sqlite_schema WHERE name = 'more'").fetchone() is None


def test_a_file_of_a_later_schema(file: Path) -> None:
    """It is refused, since what it holds is not known."""
    with Sandbox(port=None, data=file):
        pass
    with closing(sqlite3.connect(file)) as later:
        later.execute("PRAGMA user_version = 99")
    newest = len(sandbox_schema.MIGRATIONS)
    with pytest.raises(ValueError, match=rf"its schema is 99, this sandbox's is {newest}"):
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
