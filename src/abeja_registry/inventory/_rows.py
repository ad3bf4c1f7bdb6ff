"""The rows of an inventory: one for each tag, and one for each repository.

A file has a row for each tag and, like a left join, one for each repository without tags, whose
other columns are null. The column `kind` distinguishes them. A file without this column, as the
first version of this package wrote, names only repositories with tags.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .._display import one_line, short_digest
from .._validation import MAX_INT64, safe_repr
from ._times import in_utc, time_text

FilePath = str | os.PathLike[str]


class InventoryRow(NamedTuple):
    """One tag of an organization, with its repository.

    Attributes:
        repository_id: The repository's id.
        repository_name: The repository's name.
        tag: The tag's name.
        digest: The digest of the image's manifest.
        size: The image's size in bytes.
        media_type: The media type of the image's manifest.
        creator_email: The e-mail address of the user who pushed it.
        created_at: When the tag was first pushed.
        updated_at: When it was last pushed.
    """

    repository_id: str
    repository_name: str
    tag: str
    digest: str
    size: int
    media_type: str
    creator_email: str
    created_at: datetime
    updated_at: datetime

    def to_dict(self) -> dict[str, str | int]:
        """Return the row for JSON: by the columns' names, times in UTC that end in Z.

        Another key, `kind`, is `tag`.
        """
        return dict(zip(FILE_COLUMNS, text_cells(self), strict=True))

    def __repr__(self) -> str:
        return one_line(
            "InventoryRow",
            self.repository_name,
            self.tag,
            digest=short_digest(self.digest),
            size=self.size,
            updated_at=in_utc(self.updated_at),
        )


COLUMNS = InventoryRow._fields
# The values of a file's column `kind`.
TAG, REPOSITORY = "tag", "repository"
FILE_COLUMNS = (*COLUMNS, "kind")


class InventoryRepository(NamedTuple):
    """A repository of an organization, with or without tags.

    Attributes:
        id: The repository's id.
        name: The repository's name.
        tag_count: The number of its tags.
    """

    id: str
    name: str
    tag_count: int

    def to_dict(self) -> dict[str, str | None]:
        """Return the row of a repository without tags.

        It has the columns of `InventoryRow.to_dict`; those of the tag are None, and `kind` is
        `repository`.
        """
        return dict(zip(FILE_COLUMNS, repository_cells(self), strict=True))

    def __repr__(self) -> str:
        return one_line("InventoryRepository", self.name, id=self.id, tag_count=self.tag_count)


Entry = InventoryRow | InventoryRepository


def text_cells(row: InventoryRow) -> tuple[str | int, ...]:
    """Return the values of a text file's row, in the order of its columns."""
    created, updated = row[-2:]
    return (*row[:-2], time_text(created), time_text(updated), TAG)


def repository_cells(repository: InventoryRepository) -> tuple[Any, ...]:
    """Return the values of the row of a repository without tags, in the order of its columns."""
    return (repository.id, repository.name, *[None] * (len(COLUMNS) - 2), REPOSITORY)


def with_empty(
    rows: Iterable[InventoryRow], repositories: Callable[[], Iterable[InventoryRepository]]
) -> Iterator[Entry]:
    """Yield rows, and then the repositories that have none.

    Args:
        rows: The rows.
        repositories: Called after the last row: all repositories.
    """
    with_rows: set[str] = set()
    for row in rows:
        with_rows.add(row.repository_id)
        yield row
    yield from (each for each in repositories() if each.id not in with_rows)


@runtime_checkable
class _KnowsRepositories(Protocol):
    @property
    def repositories(self) -> tuple[InventoryRepository, ...] | None: ...


def known_repositories(rows: object) -> tuple[InventoryRepository, ...] | None:
    """Return all repositories, with and without tags, of rows that were all read.

    None where they are not known, as for a list of rows, or for a file that names only repositories
    with tags.
    """
    return rows.repositories if isinstance(rows, _KnowsRepositories) else None


# -- parsing --------------------------------------------------------------------------------------

# The types of the columns in JSON.
_TYPES = [int if name == "size" else str for name in COLUMNS]
_SIZE = COLUMNS.index("size")
_pick_columns = itemgetter(*COLUMNS)


def parse_entry(value: object) -> Entry:
    """Return the row of a JSON value.

    Raises:
        ValueError: The value is not a row; the message says why.
    """
    kind = value.get("kind", TAG) if isinstance(value, dict) else TAG
    if kind == TAG:
        return parse_row(value)
    if isinstance(value, dict) and kind == REPOSITORY:
        return _parse_repository(value)
    raise ValueError(f"kind must be {TAG!r} or {REPOSITORY!r}, not {safe_repr(kind)}")


def parse_row(value: object) -> InventoryRow:
    """Return the row of a tag from a JSON value.

    Raises:
        ValueError: The value is not a row; the message says why.
    """
    if not isinstance(value, dict):
        raise ValueError(f"it must be a JSON object, not {safe_repr(value)}")
    try:
        columns: list[Any] = list(_pick_columns(value))
    except KeyError as missing:
        raise ValueError(f"it has no {missing.args[0]!r}") from None
    if isinstance(size := columns[_SIZE], float) and size.is_integer():
        # pandas turns integers beside nulls into floats.
        columns[_SIZE] = int(size)
    types = list(map(type, columns))
    if types != _TYPES:
        at = next(at for at, each in enumerate(types) if each is not _TYPES[at])
        kind = "an integer" if at == _SIZE else "a string"
        raise ValueError(f"{COLUMNS[at]} must be {kind}, not {safe_repr(columns[at])}")
    size = columns[_SIZE]
    if not -MAX_INT64 - 1 <= size <= MAX_INT64:
        raise ValueError(f"size must be a 64-bit integer, not {safe_repr(size)}")
    columns[-2:] = map(_parse_time, COLUMNS[-2:], columns[-2:])
    return InventoryRow(*columns)


def _parse_repository(value: Mapping[str, Any]) -> InventoryRepository:
    for column in COLUMNS[:2]:
        if not isinstance(value.get(column), str):
            raise ValueError(f"{column} must be a string, not {safe_repr(value.get(column))}")
    # A value here means the row of a tag with a wrong `kind`, which must not be lost.
    for column in COLUMNS[2:]:
        if value.get(column) not in (None, ""):
            raise ValueError(f"{column} must be null where kind is {REPOSITORY!r}")
    return InventoryRepository(value["repository_id"], value["repository_name"], 0)


def _parse_time(name: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{name} must be a time such as 2024-01-31T12:00:00Z, not {safe_repr(text)}"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
