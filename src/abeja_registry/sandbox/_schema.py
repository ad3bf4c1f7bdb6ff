"""The schema: what a sandbox's file holds, and how an older file becomes today's."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from ._clock import monotonic

# What marks a SQLite file as a sandbox's: "abrs".
APPLICATION_ID = 0x61627273
# Tags are counted in blocks of so many ids, which makes a far page as quick as the first.
BLOCK = 1000
# Ids have 13 digits, as the reference's have; none is given twice.
FIRST_IDS = {"repositories": 1_500_000_000_000, "tags": 1_700_000_000_000}

# Each step makes the next version of the schema. A step that was released is never changed: a file
# that has it will not run it again.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE repositories (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT,
            created_at TEXT NOT NULL, updated_at TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE tags (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
            name TEXT NOT NULL, size INTEGER NOT NULL, digest TEXT NOT NULL,
            media_type TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
            UNIQUE (repository_id, name)
        )
        """,
        "CREATE INDEX tags_in_order ON tags (repository_id, id)",
        *(
            f"INSERT INTO sqlite_sequence VALUES ('{table}', {first})"
            for table, first in FIRST_IDS.items()
        ),
    ),
    (
        """
        CREATE TABLE tag_blocks (
            repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
            block INTEGER NOT NULL, tags INTEGER NOT NULL,
            PRIMARY KEY (repository_id, block)
        ) WITHOUT ROWID
        """,
        f"""
        INSERT INTO tag_blocks
        SELECT repository_id, id / {BLOCK}, count(*) FROM tags GROUP BY repository_id, id / {BLOCK}
        """,
        f"""
        CREATE TRIGGER tag_added AFTER INSERT ON tags BEGIN
            INSERT INTO tag_blocks VALUES (new.repository_id, new.id / {BLOCK}, 1)
            ON CONFLICT (repository_id, block) DO UPDATE SET tags = tags + 1;
        END
        """,
        f"""
        CREATE TRIGGER tag_removed AFTER DELETE ON tags BEGIN
            UPDATE tag_blocks SET tags = tags - 1
            WHERE repository_id = old.repository_id AND block = old.id / {BLOCK};
            DELETE FROM tag_blocks
            WHERE repository_id = old.repository_id AND block = old.id / {BLOCK} AND tags = 0;
        END
        """,
        # One row: whose data it is.
        "CREATE TABLE organization (id TEXT NOT NULL)",
    ),
    (
        # A person as JSON; null is the one of the reference's examples.
        "ALTER TABLE repositories ADD COLUMN creator TEXT",
        "ALTER TABLE tags ADD COLUMN creator TEXT",
    ),
)


class UnusableData(ValueError):
    """A file that this sandbox can't work on."""


def connect(file: Path, patience: float) -> sqlite3.Connection:
    """Open a connection, which begins and ends its transactions only where it is told to.

    Args:
        file: the database's file.
        patience: seconds to wait for another's write.

    Returns:
        The connection; it may be used from any thread, by one at a time.
    """
    connection = sqlite3.connect(
        file, timeout=patience, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    # What was committed is the system's to write: it outlives the process, not a power failure.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def prepare(file: Path, organization_id: str, patience: float) -> None:
    """Make an empty file a sandbox's, or bring a sandbox's to today's schema, all or nothing.

    Args:
        file: the database's file, made if it is not there.
        organization_id: whose data it is, in digits.
        patience: seconds to wait for others that do the same.

    Raises:
        UnusableData: the file holds something else, another organization's data or a later schema.
    """
    with closing(connect(file, patience)) as connection:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            _migrate(connection, organization_id)
        # SQLite itself does not wait here for others that have the file open.
        end = monotonic() + patience
        while _value(connection, "PRAGMA journal_mode") != "wal":
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if monotonic() > end:
                    raise
                time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, organization_id: str) -> None:
    application = _value(connection, "PRAGMA application_id")
    tables = _value(connection, "SELECT count(*) FROM sqlite_schema")
    if application != APPLICATION_ID and (application or tables):
        raise UnusableData("it is not a sandbox's database")
    version = int(_value(connection, "PRAGMA user_version"))
    if version > len(MIGRATIONS):
        raise UnusableData(f"its schema is {version}, this sandbox's is {len(MIGRATIONS)}")
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    owner = connection.execute("SELECT id FROM organization").fetchone()
    if owner is None:
        connection.execute("INSERT INTO organization VALUES (?)", [organization_id])
    elif owner["id"] != organization_id:
        raise UnusableData(f"it is of organization {owner['id']}, not {organization_id}")


def _value(connection: sqlite3.Connection, query: str) -> int | str:
    value: int | str = connection.execute(query).fetchone()[0]
    return value
