"""The schema of a sandbox's SQLite file."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from ._clock import monotonic

# Marks a SQLite file as a sandbox's: "abrs".
APPLICATION_ID = 0x61627273
# Each change of a released schema gets a further version, and a step that migrates older files.
VERSION = 1
# Tags are counted in blocks of this many ids, so that a far page takes as long as the first.
BLOCK = 1000
# Ids have 13 digits, like the reference's; AUTOINCREMENT never reuses one.
FIRST_IDS = {"repositories": 1_500_000_000_000, "tags": 1_700_000_000_000}

SCHEMA = (
    # One row: the organization that owns the data.
    "CREATE TABLE organization (id TEXT NOT NULL)",
    # A creator is a person as JSON; NULL is the person of the reference's examples.
    """
    CREATE TABLE repositories (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT,
        creator TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE tags (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
        name TEXT NOT NULL, size INTEGER NOT NULL, digest TEXT NOT NULL,
        media_type TEXT NOT NULL, creator TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        UNIQUE (repository_id, name)
    )
    """,
    "CREATE INDEX tags_in_order ON tags (repository_id, id)",
    """
    CREATE TABLE tag_blocks (
        repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
        block INTEGER NOT NULL, tags INTEGER NOT NULL,
        PRIMARY KEY (repository_id, block)
    ) WITHOUT ROWID
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
    *(
        f"INSERT INTO sqlite_sequence VALUES ('{table}', {first})"
        for table, first in FIRST_IDS.items()
    ),
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


class UnusableData(ValueError):
    """A file that this sandbox cannot open."""


def connect(file: Path, busy_timeout: float) -> sqlite3.Connection:
    """Open a connection, which begins and ends transactions only by explicit statements.

    Args:
        file: The database's file.
        busy_timeout: How long to wait for another connection's write, in seconds.

    Returns:
        The connection; any thread may use it, one at a time.
    """
    connection = sqlite3.connect(
        file, timeout=busy_timeout, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # No fsync at a commit: committed data survives a crash of the process, not a power failure.
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(file: Path, organization_id: str, busy_timeout: float) -> None:
    """Create the schema in a new file, all or nothing, or check that of an existing one.

    Args:
        file: The database's file, which may not exist yet.
        organization_id: The organization that owns the data, in digits.
        busy_timeout: How long to wait for other processes that do the same, in seconds.

    Raises:
        UnusableData: The file has other contents, another organization's data or another schema.
    """
    with closing(connect(file, busy_timeout)) as connection:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            _create_or_check(connection, organization_id)
        # A change of the journal mode ignores the busy timeout.
        end = monotonic() + busy_timeout
        while _value(connection, "PRAGMA journal_mode") != "wal":
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if monotonic() > end:
                    raise
                time.sleep(0.01)


def _create_or_check(connection: sqlite3.Connection, organization_id: str) -> None:
    application = _value(connection, "PRAGMA application_id")
    if not application and not _value(connection, "SELECT count(*) FROM sqlite_schema"):
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO organization VALUES (?)", [organization_id])
        return
    if application != APPLICATION_ID:
        raise UnusableData("it is not a sandbox's database")
    version = _value(connection, "PRAGMA user_version")
    if version != VERSION:
        raise UnusableData(f"its schema is version {version}, this sandbox's is {VERSION}")
    owner = _value(connection, "SELECT id FROM organization")
    if owner != organization_id:
        raise UnusableData(f"it is of organization {owner}, not {organization_id}")


def _value(connection: sqlite3.Connection, query: str) -> int | str:
    value: int | str = connection.execute(query).fetchone()[0]
    return value
