"""The rows of a file that an inventory was written to."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

from .._display import one_line
from .._validation import safe_repr
from ..exceptions import InvalidArgument
from ._csv import read_csv
from ._jsonl import read_jsonl
from ._parquet import read_parquet
from ._rows import Entry, FilePath, InventoryRepository, InventoryRow

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
        self._repositories: tuple[InventoryRepository, ...] | None = None
        self._rows = self._read(read(path))

    @property
    def repositories(self) -> tuple[InventoryRepository, ...] | None:
        """The repositories, once the last row was read; those without tags are among them.

        None before, and where the file has no column `kind`: it does not name all of them.
        """
        return self._repositories

    def __repr__(self) -> str:
        return one_line("FileRows", str(self._path))

    def __next__(self) -> InventoryRow:
        return next(self._rows)

    def _read(self, entries: Generator[Entry, None, bool]) -> Iterator[InventoryRow]:
        counts: dict[tuple[str, str], int] = {}
        while True:
            try:
                entry = next(entries)
            except StopIteration as end:
                if end.value:
                    self._repositories = tuple(
                        InventoryRepository(*key, count) for key, count in counts.items()
                    )
                return
            key = entry[:2]
            if self._included is not None and not self._included(key[1]):
                continue
            if isinstance(entry, InventoryRow):
                counts[key] = counts.get(key, 0) + 1
                yield entry
            else:
                counts.setdefault(key, 0)


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
