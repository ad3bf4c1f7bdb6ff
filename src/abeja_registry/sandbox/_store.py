"""The store: repositories and tags in a SQLite file, which several processes may share."""

import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from ._clock import monotonic
from ._errors import DatabaseBusy, NameConflict, RepositoryNotFound
from ._rows import RepositoryRow, TagRow
from ._schema import BLOCK, FIRST_IDS, UnusableData, connect, prepare
from ._values import (
    check_creator,
    check_image,
    check_order,
    check_repository,
    check_time,
    time_text,
    times,
)

# How long a write waits for another process's write, in seconds, and how often the waiting write
# checks whether to stop.
BUSY_TIMEOUT = 60
BUSY_POLL = 0.1

# In C, unlike NamedTuple's own _make: a page has up to 1,000 rows.
_repository_row = partial(tuple.__new__, RepositoryRow)
_tag_row = partial(tuple.__new__, TagRow)

SELECT_REPOSITORIES = f"SELECT {', '.join(RepositoryRow._fields)} FROM repositories"
SELECT_TAGS = f"SELECT {', '.join(TagRow._fields)} FROM tags"
# An integer column also equals "01" and "1.0"; the text of the id does not.
WITH_ID = "WHERE id = :id AND CAST(id AS TEXT) = :id"
FIND_REPOSITORY = f"{SELECT_REPOSITORIES} {WITH_ID}"
FIND_REPOSITORY_BY_NAME = f"{SELECT_REPOSITORIES} WHERE name = :name"
ADD_REPOSITORY = """
INSERT INTO repositories (name, description, creator, created_at, updated_at)
VALUES (:name, :description, :creator, :created_at, :updated_at)
"""
FIND_TAG = f"{SELECT_TAGS} WHERE repository_id = :repository AND name = :name"
PAGE_OF_TAGS = f"""
{SELECT_TAGS} WHERE repository_id = (SELECT id FROM repositories {WITH_ID}) AND id >= :first
ORDER BY id LIMIT :limit OFFSET :offset
"""
WRITE_TAG = """
INSERT INTO tags (
    repository_id, name, size, digest, media_type, creator, created_at, updated_at
)
VALUES (:repository, :name, :size, :digest, :media_type, :creator, :created_at, :updated_at)
ON CONFLICT (repository_id, name) DO UPDATE
SET size = :size, digest = :digest, media_type = :media_type, creator = :creator,
    created_at = :created_at, updated_at = :updated_at
"""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """Repositories and tags; several threads and several processes may use them.

    Reads and writes have a connection each, so that no read waits for a write.

    Args:
        organization_id: The organization that owns them, in digits.
        file: The SQLite file. Defaults to a temporary one, deleted when the store closes.
        now: The clock; must return UTC.

    Raises:
        UnusableData: The file cannot be opened, has other contents, or another organization's.
    """

    def __init__(
        self,
        organization_id: str,
        file: Path | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.busy_timeout: float = BUSY_TIMEOUT
        self._now = now
        self._reads, self._writes = threading.Lock(), threading.Lock()
        self._stopping = threading.Event()
        with ExitStack() as resources:
            if file is None:
                directory = tempfile.TemporaryDirectory(prefix="abeja-registry-sandbox-")
                file = Path(resources.enter_context(directory), "registry.db")
            try:
                prepare(file, organization_id, self.busy_timeout)
                self._writer = resources.enter_context(closing(connect(file, BUSY_POLL)))
                self._reader = resources.enter_context(closing(connect(file, self.busy_timeout)))
            except (sqlite3.DatabaseError, UnusableData) as error:
                raise UnusableData(f"data: {str(file)!r}: {error}") from None
            self._resources = resources.pop_all()

    def stop_waiting(self) -> None:
        """Raise DatabaseBusy in each write that waits for another process, now and later."""
        self._stopping.set()

    def close(self) -> None:
        """Close the database, and delete a temporary file."""
        with self._reads, self._writes:
            self._resources.close()

    def clear(self) -> None:
        """Delete everything; ids start again at the first."""
        with self._writing():
            self._writer.execute("DELETE FROM repositories")
            for table, first in FIRST_IDS.items():
                self._writer.execute(
                    "UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (first, table)
                )

    def create_repository(self, name: str, description: str | None) -> RepositoryRow:
        """Add a repository.

        Args:
            name: A path component by Docker's rules, 1 to 255 characters.
            description: Any text.

        Returns:
            Its row.

        Raises:
            InvalidValue: An argument breaks its rule.
            NameConflict: Another repository has the name.
        """
        check_repository(name, description)
        with self._writing():
            provenance = {"creator": None, **times(None, None, self._timestamp())}
            return self._add_repository(name, description, provenance)

    def repository(self, repository_id: str) -> RepositoryRow:
        """Find a repository by its id; raises RepositoryNotFound."""
        with self._reads:
            return _repository(self._reader, repository_id)

    def repository_by_name(self, name: str) -> RepositoryRow | None:
        """Find a repository by its name."""
        with self._reads:
            row = self._reader.execute(FIND_REPOSITORY_BY_NAME, {"name": name}).fetchone()
            return None if row is None else RepositoryRow._make(row)

    def repositories(self, limit: int, offset: int) -> tuple[list[RepositoryRow], bool]:
        """Read a page of repositories, the oldest first, and whether there are more."""
        # Assumption: a list has its oldest rows first.
        query = f"{SELECT_REPOSITORIES} ORDER BY id LIMIT ? OFFSET ?"
        with self._reads:
            rows = self._reader.execute(query, (limit + 1, offset)).fetchall()
        return list(map(_repository_row, rows[:limit])), len(rows) > limit

    def delete_repository(self, repository_id: str) -> None:
        """Delete a repository and its tags; raises RepositoryNotFound."""
        with self._writing():
            row = _repository(self._writer, repository_id)
            self._writer.execute("DELETE FROM repositories WHERE id = ?", [row.id])

    def tags(self, repository_id: str, limit: int, offset: int) -> tuple[list[TagRow], bool]:
        """Read a page of a repository's tags, the oldest first, and whether there are more.

        Raises:
            RepositoryNotFound: No repository has this id.
        """
        if offset >= BLOCK:
            return self._far_tags(repository_id, limit, offset)
        with self._reads:
            window = {"id": repository_id, "first": 0, "limit": limit + 1, "offset": offset}
            rows = self._reader.execute(PAGE_OF_TAGS, window).fetchall()
            if not rows:
                _repository(self._reader, repository_id)
        return list(map(_tag_row, rows[:limit])), len(rows) > limit

    def _far_tags(self, repository_id: str, limit: int, offset: int) -> tuple[list[TagRow], bool]:
        """Read a page, with the counts of whole blocks in place of a scan of their tags."""
        blocks = "SELECT block, tags FROM tag_blocks WHERE repository_id = ? ORDER BY block"
        with self._reading():
            row = _repository(self._reader, repository_id)
            for block, tags in self._reader.execute(blocks, [row.id]):
                if offset < tags:
                    window = {"id": repository_id, "first": block * BLOCK, "limit": limit + 1}
                    window["offset"] = offset
                    rows = self._reader.execute(PAGE_OF_TAGS, window).fetchall()
                    return list(map(_tag_row, rows[:limit])), len(rows) > limit
                offset -= tags
        return [], False

    def digests(self, repository_id: str) -> dict[str, str]:
        """Read the digest of each tag of a repository, by name; raises RepositoryNotFound."""
        with self._reading():
            row = _repository(self._reader, repository_id)
            query = "SELECT name, digest FROM tags WHERE repository_id = ?"
            return dict(self._reader.execute(query, [row.id]).fetchall())

    def images(self) -> dict[str, set[str]]:
        """Read the digests of the tags of each repository, by its name."""
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
    ) -> TagRow:
        """Write a tag; an existing one keeps its id and creation time.

        Args:
            repository_id: The repository's id.
            name: A tag by Docker's rules, 1 to 128 characters.
            size: Bytes, 0 or more. Defaults to a number derived from the digest.
            digest: algorithm:value. Defaults to one derived from repository and name.
            media_type: type/subtype. Defaults to that of a Docker v2 manifest.
            created_at: The time of the first push. Defaults to now for a new tag.
            updated_at: The time of this push. Defaults to now.
            creator: The person who pushes, see `check_creator`.

        Returns:
            Its row.

        Raises:
            InvalidValue: An argument breaks its rule.
            UnknownKey: `creator` has a key that a person does not have.
            RepositoryNotFound: No repository has this id.
        """
        tag = check_image(repository_id, name, size, digest, media_type)
        provenance = _Provenance(created_at, updated_at, creator)
        with self._writing():
            tag["repository"] = _repository(self._writer, repository_id).id
            before = self._writer.execute(FIND_TAG, tag).fetchone()
            first = None if before is None else TagRow._make(before).created_at
            tag |= provenance.at(self._timestamp(), first)
            self._writer.execute(WRITE_TAG, tag)
            return TagRow._make(self._writer.execute(FIND_TAG, tag).fetchone())

    def delete_tag(self, repository_id: str, name: str) -> None:
        """Delete a tag, if it exists."""
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
            repositories: How many, 0 or more.
            tags: How many in each, 0 or more.
            created_at: The time of their creation. Defaults to now.
            updated_at: The time of their update. Defaults to that of their creation.
            creator: The person who created them, see `check_creator`.

        Returns:
            The ids of the new repositories.

        Raises:
            InvalidValue: An argument breaks its rule.
            UnknownKey: `creator` has a key that a person does not have.
        """
        provenance = _Provenance(created_at, updated_at, creator)
        with self._writing():
            query = "SELECT count(*) FROM repositories WHERE name GLOB 'sample-*'"
            numbers = count(self._writer.execute(query).fetchone()[0] + 1)
            ids: list[str] = []
            while len(ids) < repositories:
                # Another repository may have the name.
                with suppress(NameConflict):
                    name = f"sample-{next(numbers):04}"
                    fields = provenance.at(self._timestamp())
                    row = self._add_repository(name, "made by the sandbox", fields)
                    ids.append(str(row.id))
            fields = provenance.at(self._timestamp())
            for repository_id in ids:
                names = (f"0.0.{number}" for number in range(1, tags + 1))
                fields["repository"] = repository_id
                rows = (check_image(repository_id, name) | fields for name in names)
                self._writer.executemany(WRITE_TAG, rows)
        return ids

    def _add_repository(
        self, name: str, description: str | None, provenance: dict[str, Any]
    ) -> RepositoryRow:
        values = {"name": name, "description": description, **provenance}
        try:
            self._writer.execute(ADD_REPOSITORY, values)
        except sqlite3.IntegrityError:
            raise NameConflict(f"the name {name!r} is taken") from None
        return RepositoryRow._make(self._writer.execute(FIND_REPOSITORY_BY_NAME, values).fetchone())

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Let several reads see one snapshot."""
        with self._reads, self._reader:
            self._reader.execute("BEGIN")
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Run a transaction, which waits for other processes' writes when it begins."""
        with self._writes, self._writer:
            self._begin()
            yield

    def _begin(self) -> None:
        end = monotonic() + self.busy_timeout
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                if self._stopping.is_set() or monotonic() > end:
                    raise DatabaseBusy("another process writes to the same data") from None
            else:
                return

    def _timestamp(self) -> str:
        return time_text(self._now())


class _Provenance:
    """The checked times and creator of a push or a seed."""

    def __init__(self, created_at: object, updated_at: object, creator: object) -> None:
        self._creator = check_creator(creator)
        self._created_at = check_time("created_at", created_at)
        self._updated_at = check_time("updated_at", updated_at)
        check_order(self._created_at, self._updated_at)

    def at(self, now: str, first: str | None = None) -> dict[str, Any]:
        """Return the columns at a time, of a new row or of one first created earlier."""
        columns = times(self._created_at, self._updated_at, now, first)
        return {"creator": self._creator, **columns}


def _repository(connection: sqlite3.Connection, repository_id: str) -> RepositoryRow:
    row = connection.execute(FIND_REPOSITORY, {"id": repository_id}).fetchone()
    if row is None:
        raise RepositoryNotFound(repository_id)
    return RepositoryRow._make(row)
