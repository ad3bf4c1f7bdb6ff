"""The store: repositories and tags as rows of a SQLite file, which several processes may share."""

import hashlib
import re
import reprlib
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from .._validation import DIGEST
from ..images import NAME, TAG
from ._clock import monotonic
from ._schema import BLOCK, FIRST_IDS, UnusableData, connect, prepare
from ._values import (
    TEXT,
    InvalidValue,
    Refused,
    check_creator,
    check_order,
    check_time,
    time_text,
    times,
)

# Docker's rules for names, in words, and for media types.
NAME_RULE = "lower-case letters and digits, with '.', '_', '__' or dashes between, 255 at most"
TAG_RULE = "1 to 128 letters, digits, '_', '.' or '-', the first neither '.' nor '-'"
TYPE = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*"

DEFAULT_MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
LARGEST_INTEGER = 2**63 - 1  # SQLite's
# Seconds that a write waits for another process's, and how long until it looks up from that.
PATIENCE = 60
TURN = 0.1

# An integer column also equals "01" and "1.0": an id is compared as it is written.
FIND_REPOSITORY = "SELECT * FROM repositories WHERE id = :id AND CAST(id AS TEXT) = :id"
ADD_REPOSITORY = """
INSERT INTO repositories (name, description, creator, created_at, updated_at)
VALUES (:name, :description, :creator, :created_at, :updated_at)
"""
FIND_TAG = "SELECT * FROM tags WHERE repository_id = :repository AND name = :name"
WRITE_TAG = """
INSERT INTO tags (
    repository_id, name, size, digest, media_type, creator, created_at, updated_at
)
VALUES (:repository, :name, :size, :digest, :media_type, :creator, :created_at, :updated_at)
ON CONFLICT (repository_id, name) DO UPDATE
SET size = :size, digest = :digest, media_type = :media_type, creator = :creator,
    created_at = :created_at, updated_at = :updated_at
"""


class NameTaken(Refused, ValueError):
    """There is a repository of that name already."""

    status = 409


class Busy(Refused, RuntimeError):
    """Another process writes, and does not end."""

    status = 503


class RepositoryNotFound(Refused, LookupError):
    """There is no repository of that id."""

    status = 404


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """Repositories and tags; may be used from several threads, and by several processes.

    Reads and writes have a connection each, so that no read waits for a write.

    Args:
        organization_id: whose they are, in digits.
        file: where they are kept; without it a temporary file, which goes when the store closes.
        now: the clock, handed in by tests; must give UTC.

    Raises:
        UnusableData: the file can't be opened, holds something else, or is another organization's.
    """

    def __init__(
        self,
        organization_id: str,
        file: Path | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.patience: float = PATIENCE
        self._now = now
        self._reads, self._writes = threading.Lock(), threading.Lock()
        self._hurry = threading.Event()
        with ExitStack() as resources:
            if file is None:
                directory = tempfile.TemporaryDirectory(prefix="abeja-registry-sandbox-")
                file = Path(resources.enter_context(directory), "registry.db")
            try:
                prepare(file, organization_id, self.patience)
                self._writer = resources.enter_context(closing(connect(file, TURN)))
                self._reader = resources.enter_context(closing(connect(file, self.patience)))
            except (sqlite3.DatabaseError, UnusableData) as error:
                raise UnusableData(f"data: {str(file)!r}: {error}") from None
            self._resources = resources.pop_all()

    def hurry(self) -> None:
        """Wait no longer for another process's writes: from now on they are a reason to refuse."""
        self._hurry.set()

    def close(self) -> None:
        """Close the database; a temporary file goes."""
        with self._reads, self._writes:
            self._resources.close()

    def clear(self) -> None:
        """Remove everything; ids begin anew."""
        with self._writing():
            self._writer.execute("DELETE FROM repositories")
            for table, first in FIRST_IDS.items():
                self._writer.execute(
                    "UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (first, table)
                )

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
        _check(
            "description",
            "" if description is None else description,
            TEXT,
            "text without lone surrogates",
        )
        with self._writing():
            made = {"creator": None, **times(None, None, self._timestamp())}
            return self._add_repository(name, description, made)

    def repository(self, repository_id: str) -> sqlite3.Row:
        """Find a repository by its id; raises RepositoryNotFound."""
        with self._reads:
            return _repository(self._reader, repository_id)

    def named(self, name: str) -> sqlite3.Row | None:
        """Find a repository by its name."""
        with self._reads:
            found = self._reader.execute("SELECT * FROM repositories WHERE name = ?", [name])
            row: sqlite3.Row | None = found.fetchone()
            return row

    def repositories(self, limit: int, offset: int) -> tuple[list[sqlite3.Row], bool]:
        """Read a page of repositories, the oldest first, and whether there are more."""
        query = "SELECT * FROM repositories ORDER BY id LIMIT ? OFFSET ?"
        with self._reads:
            rows = self._reader.execute(query, (limit + 1, offset)).fetchall()
        return rows[:limit], len(rows) > limit

    def delete_repository(self, repository_id: str) -> None:
        """Remove a repository and its tags; raises RepositoryNotFound."""
        with self._writing():
            row = _repository(self._writer, repository_id)
            self._writer.execute("DELETE FROM repositories WHERE id = ?", [row["id"]])

    def tags(self, repository_id: str, limit: int, offset: int) -> tuple[list[sqlite3.Row], bool]:
        """Read a page of a repository's tags, the oldest first, and whether there are more.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        blocks = "SELECT block, tags FROM tag_blocks WHERE repository_id = ? ORDER BY block"
        query = """
        SELECT * FROM tags WHERE repository_id = ? AND id >= ? ORDER BY id LIMIT ? OFFSET ?
        """
        with self._reading():
            row = _repository(self._reader, repository_id)
            # Whole blocks of tags are passed over by their counts.
            for block, tags in self._reader.execute(blocks, [row["id"]]):
                if offset < tags:
                    window = (row["id"], block * BLOCK, limit + 1, offset)
                    rows = self._reader.execute(query, window).fetchall()
                    return rows[:limit], len(rows) > limit
                offset -= tags
        return [], False

    def digests(self, repository_id: str) -> dict[str, str]:
        """Read the digest of every tag of a repository, by name; raises RepositoryNotFound."""
        with self._reading():
            row = _repository(self._reader, repository_id)
            query = "SELECT name, digest FROM tags WHERE repository_id = ?"
            return dict(map(tuple, self._reader.execute(query, [row["id"]])))

    def images(self) -> dict[str, set[str]]:
        """Read the digests of every repository's tags, by its name."""
        query = """
        SELECT repositories.name, tags.digest
        FROM repositories LEFT JOIN tags ON tags.repository_id = repositories.id
        """
        images: dict[str, set[str]] = {}
        with self._reads:
            for name, digest in self._reader.execute(query):
                images.setdefault(name, set()).update([digest] if digest else ())
        return images

    def write_tag(
        self,
        repository_id: str,
        name: str,
        size: int | None = None,
        digest: str | None = None,
        media_type: str | None = None,
        created_at: object = None,
        updated_at: object = None,
        creator: object = None,
    ) -> sqlite3.Row:
        """Write a tag; one that exists keeps its id and creation time, all else is overwritten.

        Args:
            repository_id: the repository's id.
            name: a tag by Docker's rules, 1 to 128 characters.
            size: bytes, 0 or more; without it a number that follows from the digest.
            digest: algorithm:value; without it one that follows from repository and name.
            media_type: type/subtype; that of a Docker v2 manifest unless given.
            created_at: the time of the first push; now, for a tag that does not exist.
            updated_at: the time of this push; now unless given.
            creator: the person who pushes, see `check_creator`.

        Returns:
            Its row.

        Raises:
            InvalidValue: an argument breaks its rule.
            UnknownKey: `creator` has a key that is no field of a person's.
            RepositoryNotFound: there is no such repository.
        """
        tag = _tag(repository_id, name, size, digest, media_type)
        tag["creator"] = check_creator(creator)
        created = check_time("created_at", created_at)
        updated = check_time("updated_at", updated_at)
        check_order(created, updated)
        with self._writing():
            tag["repository"] = _repository(self._writer, repository_id)["id"]
            before: sqlite3.Row | None = self._writer.execute(FIND_TAG, tag).fetchone()
            first = None if before is None else before["created_at"]
            tag |= times(created, updated, self._timestamp(), first)
            self._writer.execute(WRITE_TAG, tag)
            row: sqlite3.Row = self._writer.execute(FIND_TAG, tag).fetchone()
            return row

    def delete_tag(self, repository_id: str, name: str) -> None:
        """Remove a tag; where it, or its repository, is not there, nothing happens."""
        query = "DELETE FROM tags WHERE repository_id = CAST(? AS INTEGER) AND name = ?"
        with self._writing():
            self._writer.execute(query, (repository_id, name))

    def seed(
        self,
        repositories: int,
        tags: int,
        created_at: object = None,
        updated_at: object = None,
        creator: object = None,
    ) -> list[str]:
        """Add repositories, sample-0001 and on, each with tags 0.0.1 and on, all or nothing.

        Args:
            repositories: how many, 0 or more.
            tags: how many in each, 0 or more.
            created_at: the time when all of these were created; now unless given.
            updated_at: the time when they were updated; the same unless given.
            creator: the person who made them, see `check_creator`.

        Returns:
            The ids of the new repositories.

        Raises:
            InvalidValue: an argument breaks its rule.
            UnknownKey: `creator` has a key that is no field of a person's.
        """
        made: dict[str, Any] = {"creator": check_creator(creator)}
        created = check_time("created_at", created_at)
        updated = check_time("updated_at", updated_at)
        check_order(created, updated)
        with self._writing():
            query = "SELECT count(*) FROM repositories WHERE name GLOB 'sample-*'"
            numbers = count(self._writer.execute(query).fetchone()[0] + 1)
            ids: list[str] = []
            while len(ids) < repositories:
                # A name that is taken already is passed over.
                with suppress(NameTaken):
                    made |= times(created, updated, self._timestamp())
                    name = f"sample-{next(numbers):04}"
                    row = self._add_repository(name, "made by the sandbox", made)
                    ids.append(str(row["id"]))
            made |= times(created, updated, self._timestamp())
            for repository_id in ids:
                names = (f"0.0.{number}" for number in range(1, tags + 1))
                rows = (_tag(repository_id, name) | made for name in names)
                self._writer.executemany(WRITE_TAG, rows)
        return ids

    def _add_repository(
        self, name: str, description: str | None, made: dict[str, Any]
    ) -> sqlite3.Row:
        values = {"name": name, "description": description, **made}
        try:
            self._writer.execute(ADD_REPOSITORY, values)
        except sqlite3.IntegrityError:
            raise NameTaken(f"the name {name!r} is taken") from None
        query = "SELECT * FROM repositories WHERE name = :name"
        row: sqlite3.Row = self._writer.execute(query, values).fetchone()
        return row

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Several reads see one state."""
        with self._reads, self._reader:
            self._reader.execute("BEGIN")
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All or nothing; another process's writes are waited for at the beginning."""
        with self._writes, self._writer:
            self._begin()
            yield

    def _begin(self) -> None:
        end = monotonic() + self.patience
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                if self._hurry.is_set() or monotonic() > end:
                    raise Busy("another process writes to the same data") from None
            else:
                return

    def _timestamp(self) -> str:
        return time_text(self._now())


def _repository(connection: sqlite3.Connection, repository_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(FIND_REPOSITORY, {"id": repository_id}).fetchone()
    if row is None:
        raise RepositoryNotFound(f"there is no repository {reprlib.repr(repository_id)}")
    return row


def _tag(
    repository_id: str,
    name: str,
    size: int | None = None,
    digest: str | None = None,
    media_type: str | None = None,
) -> dict[str, Any]:
    """Return a tag's values, those that were not given made up, all of them checked."""
    _check("name", name, TAG, TAG_RULE)
    if digest is None:
        digest = f"sha256:{_hash(f'{repository_id}:{name}')}"
    if size is None:
        size = 1_000_000 + int(_hash(digest)[:6], 16)
    if media_type is None:
        media_type = DEFAULT_MEDIA_TYPE
    _check("digest", digest, DIGEST, "of the form algorithm:value")
    _check("media_type", media_type, TYPE, "of the form type/subtype")
    if not is_integer(size) or not 0 <= size <= LARGEST_INTEGER:
        raise InvalidValue("size", f"0 to {LARGEST_INTEGER} bytes", size)
    return {
        "repository": repository_id,
        "name": name,
        "size": size,
        "digest": digest,
        "media_type": media_type,
    }


def is_integer(value: object) -> bool:
    """Whether it is an integer, which for Python True is too."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check(field: str, value: object, pattern: str, rule: str) -> None:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InvalidValue(field, rule, value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
