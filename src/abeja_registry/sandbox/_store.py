"""The store: repositories and tags as rows of a SQLite file that goes when the store closes."""

import hashlib
import re
import reprlib
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

# Docker's grammar of references, as patterns and in words.
NAME = r"(?!.{256})[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
NAME_RULE = "lower-case letters and digits, with '.', '_', '__' or dashes between, 255 at most"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
TAG_RULE = "1 to 128 letters, digits, '_', '.' or '-', the first neither '.' nor '-'"
DIGEST = r"[a-z0-9]+([+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"
TYPE = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*"
TEXT = r"[^\ud800-\udfff]*"

DEFAULT_MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
LARGEST_INTEGER = 2**63 - 1  # SQLite's

# The sequences make ids of 13 digits, as the reference has them, and none is ever given twice.
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA foreign_keys = ON;
CREATE TABLE repositories (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE tags (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    name TEXT NOT NULL, size INTEGER NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (repository_id, name)
);
CREATE INDEX tags_in_order ON tags (repository_id, id);
INSERT INTO sqlite_sequence VALUES ('repositories', 1500000000000), ('tags', 1700000000000);
"""
# An integer column also equals "01" and "1.0": an id is compared as it is written.
FIND_REPOSITORY = "SELECT * FROM repositories WHERE id = :id AND CAST(id AS TEXT) = :id"
ADD_REPOSITORY = """
INSERT INTO repositories (name, description, created_at, updated_at)
VALUES (:name, :description, :now, :now)
"""
FIND_TAG = "SELECT * FROM tags WHERE repository_id = :repository AND name = :name"
WRITE_TAG = """
INSERT INTO tags (repository_id, name, size, digest, media_type, created_at, updated_at)
VALUES (:repository, :name, :size, :digest, :media_type, :now, :now)
ON CONFLICT (repository_id, name) DO UPDATE
SET size = :size, digest = :digest, media_type = :media_type, updated_at = :now
"""


class Refused(Exception):
    """What the store does not do; `status` is the API's for it."""

    status: ClassVar[int]
    detail: dict[str, str] | None = None


class InvalidValue(Refused, ValueError):
    """A value breaks a rule of the registry; `detail` names its field."""

    status = 400

    def __init__(self, field: str, rule: str, value: object) -> None:
        super().__init__(f"{field} must be {rule}, got {reprlib.repr(value)}")
        self.detail = {"field": field}


class NameTaken(Refused, ValueError):
    """There is a repository of that name already."""

    status = 409


class RepositoryNotFound(Refused, LookupError):
    """There is no repository of that id."""

    status = 404


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """Repositories and tags; may be used from several threads.

    Args:
        now: the clock, handed in by tests; must give UTC.
    """

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._directory = tempfile.TemporaryDirectory(prefix="abeja-registry-sandbox-")
        file = Path(self._directory.name, "registry.db")
        self._connection = sqlite3.connect(file, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the database and remove its file."""
        with self._lock:
            self._connection.close()
        self._directory.cleanup()

    def create_repository(self, name: str, description: str | None) -> sqlite3.Row:
        """Add a repository.

        Args:
            name: a path component by Docker's rules, 1 to 255 characters.
            description: any text.

        Returns:
            Its row.

        Raises:
            InvalidValue: an argument breaks its rule.
            NameTaken: another repository has the name.
        """
        _check("name", name, NAME, NAME_RULE)
        _check("description", description or "", TEXT, "text without lone surrogates")
        with self._lock, self._connection:
            try:
                now = self._timestamp()
                self._rows(ADD_REPOSITORY, name=name, description=description, now=now)
            except sqlite3.IntegrityError:
                raise NameTaken(f"the name {name!r} is taken") from None
            return self._rows("SELECT * FROM repositories WHERE name = :name", name=name)[0]

    def repository(self, repository_id: str) -> sqlite3.Row:
        """Find a repository by its id; raises RepositoryNotFound."""
        with self._lock:
            return self._repository(repository_id)

    def repositories(self, limit: int, offset: int) -> tuple[list[sqlite3.Row], bool]:
        """Read a page of repositories, the oldest first, and whether there are more."""
        query = "SELECT * FROM repositories ORDER BY id LIMIT :limit OFFSET :offset"
        with self._lock:
            rows = self._rows(query, limit=limit + 1, offset=offset)
        return rows[:limit], len(rows) > limit

    def delete_repository(self, repository_id: str) -> None:
        """Remove a repository and its tags; raises RepositoryNotFound."""
        with self._lock, self._connection:
            row = self._repository(repository_id)
            self._rows("DELETE FROM repositories WHERE id = :id", id=row["id"])

    def tags(self, repository_id: str, limit: int, offset: int) -> tuple[list[sqlite3.Row], bool]:
        """Read a page of a repository's tags, the oldest first, and whether there are more.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        query = (
            "SELECT * FROM tags WHERE repository_id = :id ORDER BY id LIMIT :limit OFFSET :offset"
        )
        with self._lock:
            row = self._repository(repository_id)
            rows = self._rows(query, id=row["id"], limit=limit + 1, offset=offset)
        return rows[:limit], len(rows) > limit

    def write_tag(
        self,
        repository_id: str,
        name: str,
        size: int | None = None,
        digest: str | None = None,
        media_type: str | None = None,
    ) -> sqlite3.Row:
        """Write a tag; one that is there keeps its id and creation time, all else is written anew.

        Args:
            repository_id: the repository's id.
            name: a tag by Docker's rules, 1 to 128 characters.
            size: bytes, 0 or more; without it a number that follows from the digest.
            digest: algorithm:value; without it one that follows from repository and name.
            media_type: type/subtype; that of a Docker v2 manifest unless given.

        Returns:
            Its row.

        Raises:
            InvalidValue: an argument breaks its rule.
            RepositoryNotFound: there is no such repository.
        """
        _check("name", name, TAG, TAG_RULE)
        if digest is None:
            digest = f"sha256:{_hash(f'{repository_id}:{name}')}"
        if size is None:
            size = 1_000_000 + int(_hash(digest)[:6], 16)
        if media_type is None:
            media_type = DEFAULT_MEDIA_TYPE
        _check("digest", digest, DIGEST, "of the form algorithm:value")
        _check("media_type", media_type, TYPE, "of the form type/subtype")
        if not 0 <= size <= LARGEST_INTEGER:
            raise InvalidValue("size", f"0 to {LARGEST_INTEGER} bytes", size)
        with self._lock, self._connection:
            key = {"repository": self._repository(repository_id)["id"], "name": name}
            rest = {"size": size, "digest": digest, "media_type": media_type}
            self._rows(WRITE_TAG, **key, **rest, now=self._timestamp())
            return self._rows(FIND_TAG, **key)[0]

    def _repository(self, repository_id: str) -> sqlite3.Row:
        rows = self._rows(FIND_REPOSITORY, id=repository_id)
        if not rows:
            raise RepositoryNotFound(f"there is no repository {reprlib.repr(repository_id)}")
        return rows[0]

    def _rows(self, query: str, **values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()

    def _timestamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _check(field: str, value: str, pattern: str, rule: str) -> None:
    if not re.fullmatch(pattern, value):
        raise InvalidValue(field, rule, value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
