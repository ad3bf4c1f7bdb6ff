"""Rows in columns, split by repository into parts that are small enough to compare at once.

Diffs and summaries of many rows need bounded memory. The rows of a repository are in one part, so
that the parts can be worked on one after the other.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import IO, Any
from zlib import crc32

from ._columns import REPEATED, arrow_module, as_dictionary, memory_pool

# The number of each row, in the order in which the rows were added.
ROW = "row"
_PARTS = 64
# The least mean length of runs of rows of one part: a batch with shorter runs is sorted by part.
_MIN_RUN = 16


class Partitions:
    """Rows that are added in record batches, and returned as one table for each part.

    Args:
        columns: The names of the columns to keep, with `repository_name`.
        max_bytes: Bytes of rows in memory, at most; more are kept in a temporary file.

    Attributes:
        rows: How many rows were added.
    """

    def __init__(self, columns: Sequence[str], *, max_bytes: int) -> None:
        self.rows = 0
        self._columns = columns
        self._max_bytes = max_bytes
        self._bytes = 0
        self._batches: list[list[Any]] = [[] for _ in range(_PARTS)]
        self._part_of: dict[str, int] = {}
        self._file: IO[bytes] | None = None
        # Where the file has the rows of each part: offsets and lengths.
        self._blocks: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]

    def add(self, batch: Any) -> list[str]:
        """Record the rows of a batch; return its repositories' names, by their first rows."""
        arrow = arrow_module()
        arrays = [
            as_dictionary(batch.column(name)) if name in REPEATED else batch.column(name)
            for name in self._columns
        ]
        numbers = arrow.py_buffer(array("q", range(self.rows, self.rows + batch.num_rows)))
        arrays.append(arrow.Int64Array.from_buffers(arrow.int64(), batch.num_rows, [None, numbers]))
        self.rows += batch.num_rows
        kept = arrow.record_batch(arrays, names=[*self._columns, ROW])
        names = arrays[self._columns.index("repository_name")]
        parts = self._parts(arrow, names)
        bounds = _bounds(arrow, parts)
        # After sorting, up to _PARTS runs are left.
        if len(bounds) > _PARTS + len(parts) / _MIN_RUN:
            order = arrow.compute.sort_indices(parts)
            kept, parts = kept.take(order), parts.take(order)
            bounds = _bounds(arrow, parts)
        for start, end in pairwise([*bounds, len(parts)]):
            self._batches[parts[start].as_py()].append(kept.slice(start, end - start))
        self._bytes += kept.nbytes
        if self._bytes > self._max_bytes:
            self._spill()
        return [str(name) for name in names.unique().to_pylist()]

    def _parts(self, arrow: Any, names: Any) -> Any:
        """Return the part of each row."""
        parts = []
        for name in names.dictionary.to_pylist():
            part = self._part_of.get(name)
            if part is None:
                part = self._part_of[name] = crc32(name.encode()) % _PARTS
            parts.append(part)
        return arrow.array(parts, arrow.int8()).take(names.indices)

    def _spill(self) -> None:
        """Write the rows in memory to the file."""
        if self._file is None:
            # The file has no name, so a killed process leaves nothing behind.
            self._file = tempfile.TemporaryFile(prefix="abeja-registry-")  # noqa: SIM115
        arrow = arrow_module()
        options = arrow.ipc.IpcWriteOptions(compression="lz4")
        for part, batches in enumerate(self._batches):
            if batches:
                table = _combined(arrow.Table.from_batches(batches))
                batches.clear()
                sink = arrow.BufferOutputStream()
                with arrow.ipc.new_stream(sink, table.schema, options=options) as writer:
                    writer.write_table(table)
                block = sink.getvalue()
                self._blocks[part].append((self._file.tell(), block.size))
                self._file.write(block)
        self._bytes = 0

    def tables(self) -> Iterator[Any]:
        """Yield a table for each part that has rows; call it once."""
        arrow = arrow_module()
        for part, batches in enumerate(self._batches):
            tables = [arrow.ipc.open_stream(block).read_all() for block in self._read(part)]
            if batches:
                tables.append(arrow.Table.from_batches(batches))
                batches.clear()
            if tables:
                yield _combined(arrow.concat_tables(tables))

    def _read(self, part: int) -> Iterator[bytes]:
        for offset, length in self._blocks[part]:
            assert self._file is not None
            self._file.seek(offset)
            yield self._file.read(length)

    def close(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()


def _bounds(arrow: Any, parts: Any) -> list[int]:
    """Return where each run of rows of the same part starts."""
    compute = arrow.compute
    if not len(parts):
        return []
    changes = compute.not_equal(parts[1:], parts[:-1])
    return [0, *(at + 1 for at in compute.indices_nonzero(changes).to_pylist())]


def _combined(table: Any) -> Any:
    pool = memory_pool()
    return table.unify_dictionaries(pool).combine_chunks(pool)


class Codes:
    """Values of columns as integers that are equal where the values are.

    Args:
        table: A table of `Partitions`.
    """

    def __init__(self, table: Any) -> None:
        self._arrow = arrow_module()
        self._table = table

    def of(self, name: str) -> tuple[Any, int]:
        """Return the codes of a column, and a number above all of them."""
        arrow, encoded = self._arrow, as_dictionary(self._table.column(name))
        chunks = [chunk.indices.cast(arrow.int64()) for chunk in encoded.chunks]
        return arrow.chunked_array(chunks, arrow.int64()), len(encoded.chunk(0).dictionary)

    def of_pair(self, first: Any, second: tuple[Any, int]) -> Any:
        """Return codes of pairs of values."""
        compute = self._arrow.compute
        codes, count = second
        return compute.add(compute.multiply(first, count), codes)
