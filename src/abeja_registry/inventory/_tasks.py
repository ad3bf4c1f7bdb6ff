"""Tasks of a crawler, the pages fetched for them, and their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

from .._display import one_line
from ..exceptions import Error, InvalidResponse
from ._rows import InventoryRepository, InventoryRow

if TYPE_CHECKING:
    import pyarrow

    from ..models import Tag


class RepositoryRef(NamedTuple):
    """A repository of the list."""

    id: str
    name: str


class InvalidRepository(NamedTuple):
    """A repository of the list whose row is invalid."""

    id: str
    name: str | None
    position: int
    error: Error


@dataclass(frozen=True, slots=True)
class TagColumns:
    """Some tags of a repository, as a record batch.

    Attributes:
        batch: The record batch; a skipped row is null.
        skipped: The errors of the skipped rows by their indexes.
    """

    batch: pyarrow.RecordBatch
    skipped: Mapping[int, InvalidResponse] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    @property
    def repository_id(self) -> str:
        """The repository's id."""
        return str(self.batch.column(0)[0].as_py())

    def select(self, indexes: Sequence[int]) -> list[TagColumns | InvalidResponse]:
        """Return the rows with ascending indexes: columns, and the errors of skipped rows."""
        kept = [at for at in indexes if at not in self.skipped] if self.skipped else indexes
        errors = [self.skipped[at] for at in indexes if at in self.skipped]
        if not kept:
            return [*errors]
        if kept[-1] - kept[0] == len(kept) - 1:
            return [TagColumns(self.batch.slice(kept[0], len(kept))), *errors]
        return [TagColumns(self.batch.take(kept)), *errors]


def tag_row(repository: RepositoryRef, tag: Tag) -> InventoryRow:
    """Return the row of a tag."""
    return InventoryRow(
        repository.id,
        repository.name,
        tag.name,
        tag.digest,
        tag.size,
        tag.media_type,
        tag.creator.email,
        tag.created_at,
        tag.updated_at,
    )


# A tag whose row was skipped is its error.
Item = InventoryRow | RepositoryRef | InvalidRepository | InvalidResponse | TagColumns


# Compared by identity: a page that is requested again is a new task.
@dataclass(frozen=True, slots=True, eq=False)
class FetchTask:
    """Pages to fetch, one after the other.

    Attributes:
        repository: The repository of the tags; None for the list of repositories.
        limit: Items that each request asks for.
        offset: Where the first page starts.
        pages: How many pages to fetch at most.
    """

    repository: RepositoryRef | None
    limit: int
    offset: int
    pages: int


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page.

    Attributes:
        offset: Where it starts.
        ids: The ids of its items.
        has_next: Whether more pages follow.
        rows: The items; of a page of tags in columns, its columns.
    """

    offset: int
    ids: Sequence[str]
    has_next: bool
    rows: Sequence[Item] | TagColumns

    def select(self, indexes: Sequence[int]) -> Sequence[Item]:
        """Return the items with ascending indexes."""
        if isinstance(self.rows, TagColumns):
            return self.rows.select(indexes)
        return [self.rows[at] for at in indexes]


class FetchResult(NamedTuple):
    """The pages that were fetched for a task, and the error that ended it early."""

    pages: Sequence[FetchedPage]
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows that a result adds, or their columns, and the repositories that it finishes."""

    rows: Sequence[InventoryRow]
    finished: Sequence[InventoryRepository]
    columns: Sequence[TagColumns] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Progress:
    """The counts of an iteration so far.

    Attributes:
        repositories: Repositories found so far.
        finished: Of these, how many are finished.
        failed: Of these, how many failed twice or have skipped tags.
        rows: Rows so far.
        empty: Of the finished repositories, how many have no tags.
        throttled: Requests that the API throttled so far; each is sent again.
        concurrency: Requests that may be in flight; fewer while the API throttles.
    """

    repositories: int = 0
    finished: int = 0
    failed: int = 0
    rows: int = 0
    empty: int = 0
    throttled: int = 0
    concurrency: int = 0

    def __repr__(self) -> str:
        counts = {each.name: getattr(self, each.name) for each in fields(self)}
        return one_line("Progress", **{name: count for name, count in counts.items() if count})
