"""The formats of the files that an inventory is written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from ._rows import InventoryRepository, InventoryRow
from ._tasks import Batch


class Part(NamedTuple):
    """Some rows of one repository, as a file holds them.

    Attributes:
        repository_id: The repository's id.
        rows: The number of rows.
        data: The rows.
    """

    repository_id: str
    rows: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format.

    Attributes:
        name: Its name.
        encode: Returns the rows of a batch as the file holds them.
        write: Writes a file from its parts, and the repositories without rows; returns the number
            of tags.
        columns: Whether it is made from columns.
    """

    name: str
    encode: Callable[[Batch], Iterator[Part]]
    write: Callable[[Path, Iterable[Part], Iterable[InventoryRepository]], int]
    columns: bool = False


def encode_rows(batch: Batch, encode: Callable[[list[InventoryRow]], bytes]) -> Iterator[Part]:
    """Yield the rows of each repository."""
    for id_, group in groupby(batch.rows, attrgetter("repository_id")):
        rows = list(group)
        yield Part(id_, len(rows), encode(rows))
