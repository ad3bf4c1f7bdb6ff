"""The rows of a file that an inventory was written to."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from .._display import one_line
from .._validation import safe_repr
from ..exceptions import InvalidArgument
from ._columns import (
    REPEATED,
    RecordBatch,
    arrow_module,
    arrow_stream,
    as_dictionary,
    batch_of_rows,
    schema,
)
from ._csv import read_csv
from ._jsonl import read_jsonl
from ._parquet import read_batches, read_parquet
from ._rows import COLUMNS, Entry, FilePath, InventoryRepository, InventoryRow

_ROWS_PER_BATCH = 10_000
# Each returns, after the last row, whether the file names repositories without tags too.
_READERS: Mapping[str, Callable[[Path], Generator[Entry, None, bool]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}


class FileRows(Iterator[InventoryRow]):
    """The rows of a file, one at a time; see `read_rows`.

    Args:
        path: The file.
        included: Whether to return the rows of the repository with this name. Defaults to all.
    """

    def __init__(self, path: FilePath, included: Callable[[str], bool] | None = None) -> None:
        path = Path(path)
        read = _READERS.get(path.suffix.lower())
        if read is None:
            raise InvalidArgument(
                f"path must end in {', '.join(_READERS)}, unlike {safe_repr(str(path))}"
            )
        self._path = path
        self._included = included
        self._read = read
        self._repositories: tuple[InventoryRepository, ...] | None = None
        self._rows: Iterator[InventoryRow] | None = None

    @property
    def repositories(self) -> tuple[InventoryRepository, ...] | None:
        """The repositories, once the last row was read; those without tags are among them.

        None before, and where the file has no column `kind`: it does not name all of them.
        """
        return self._repositories

    def record_batches(self) -> Iterator[RecordBatch]:
        """Read the file from its start as record batches; see `Inventory.record_batches`.

        As an `Inventory`, the rows of a file also have `__arrow_c_stream__`.

        Raises:
            ImportError: The extra `arrow` is not installed.
        """
        arrow = arrow_module()
        return (
            batch
            for compact in self._compact_batches()
            for batch in arrow.Table.from_batches([compact]).cast(schema()).to_batches()
        )

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return arrow_stream(self.record_batches(), requested_schema)

    def compact_batches(self) -> Iterator[Any] | None:
        """As `record_batches`, but repeated values may be dictionaries.

        None where a row was read already: then only the other rows count.
        """
        return self._compact_batches() if self._rows is None else None

    def _compact_batches(self) -> Iterator[Any]:
        arrow = arrow_module()
        counts: dict[tuple[str, str], int] = {}
        if self._read is read_parquet:
            batches = read_batches(self._path, REPEATED)
        else:
            batches = _batches_of(self._read(self._path))
        while True:
            try:
                batch, repositories = next(batches)
            except StopIteration as end:
                self._finish(counts, end.value)
                return
            if self._included is not None:
                names = as_dictionary(batch.column("repository_name"))
                kept = [self._included(name) for name in names.dictionary.to_pylist()]
                batch = batch.filter(arrow.array(kept, arrow.bool_()).take(names.indices))
            for key, count in _tag_counts(arrow, batch):
                counts[key] = counts.get(key, 0) + count
            for repository in repositories:
                if self._included is None or self._included(repository.name):
                    counts.setdefault(repository[:2], 0)
            if batch.num_rows:
                yield batch

    def __repr__(self) -> str:
        return one_line("FileRows", str(self._path))

    def __next__(self) -> InventoryRow:
        if self._rows is None:
            self._rows = self._iterate()
        return next(self._rows)

    def _iterate(self) -> Iterator[InventoryRow]:
        counts: dict[tuple[str, str], int] = {}
        entries = self._read(self._path)
        while True:
            try:
                entry = next(entries)
            except StopIteration as end:
                self._finish(counts, end.value)
                return
            key = entry[:2]
            if self._included is not None and not self._included(key[1]):
                continue
            if isinstance(entry, InventoryRow):
                counts[key] = counts.get(key, 0) + 1
                yield entry
            else:
                counts.setdefault(key, 0)

    def _finish(self, counts: Mapping[tuple[str, str], int], names_all: bool) -> None:
        if names_all:
            self._repositories = tuple(
                InventoryRepository(*key, count) for key, count in counts.items()
            )


def _tag_counts(arrow: Any, batch: Any) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the number of tags of each repository, by its id and its name."""
    ids, names = (as_dictionary(batch.column(name)) for name in COLUMNS[:2])
    width = len(names.dictionary)
    pairs = arrow.compute.add(
        arrow.compute.multiply(ids.indices.cast(arrow.int64()), width), names.indices
    )
    for each in pairs.value_counts().to_pylist():
        at, name = divmod(each["values"], width)
        yield (ids.dictionary[at].as_py(), names.dictionary[name].as_py()), each["counts"]


def _batches_of(
    entries: Generator[Entry, None, bool],
) -> Generator[tuple[Any, list[InventoryRepository]], None, bool]:
    """Yield the rows of a text file in record batches, as `read_batches` does."""
    names_all = False

    def remaining() -> Iterator[Entry]:
        nonlocal names_all
        names_all = yield from entries

    some = remaining()
    while group := list(islice(some, _ROWS_PER_BATCH)):
        rows = [each for each in group if isinstance(each, InventoryRow)]
        yield batch_of_rows(rows), [each for each in group if isinstance(each, InventoryRepository)]
    return names_all


def read_rows(path: FilePath) -> FileRows:
    """Return the rows of a file that an inventory was written to, one at a time.

    Args:
        path: The file; its suffix is the format: `.jsonl`, `.csv` or `.parquet`.

    Returns:
        An iterator over the rows of tags. After the last row its `repositories` are the file's;
        they are None where the file has no column `kind` and so names only repositories with tags.

    Raises:
        InvalidArgument: The suffix is none of these; upper and lower case are the same.
        InvalidFile: The file is not an inventory; for a text file the error has the line.
        ImportError: It is a Parquet file, and the extra `arrow` is not installed.
        OSError: The file cannot be read.
    """
    return FileRows(path)
