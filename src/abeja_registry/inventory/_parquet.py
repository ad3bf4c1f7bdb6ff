"""Parquet: a file of columns, written and read by pyarrow."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from .._validation import safe_repr
from ._columns import REPEATED, BatchBuffer, arrow_module, columns_of_rows, rows_of_table, schema
from ._file_errors import file_error
from ._files import atomic_write
from ._formats import FileFormat, Part
from ._rows import (
    COLUMNS,
    FILE_COLUMNS,
    REPOSITORY,
    TAG,
    Entry,
    InventoryRepository,
    InventoryRow,
    repository_cells,
)
from ._tasks import Batch, TagColumns

# Rows of a row group, and rows that the reader holds at a time.
_ROW_GROUP = 100_000
_READ_ROWS = 50_000


def _encode(batch: Batch) -> Iterator[Part]:
    for columns in (*batch.columns, *map(columns_of_rows, _by_repository(batch.rows))):
        data = columns.batch.serialize()
        yield Part(columns.repository_id, len(columns), memoryview(data))


def _by_repository(rows: Iterable[InventoryRow]) -> Iterator[list[InventoryRow]]:
    for _, group in groupby(rows, attrgetter("repository_id")):
        yield list(group)


def _write(
    path: Path,
    parts: Iterable[Part],
    without_rows: Iterable[InventoryRepository],
    *,
    row_group: int = _ROW_GROUP,
) -> int:
    arrow, parquet = _arrow_modules()
    schema_of_file = _file_schema(arrow)
    count = 0
    # A dictionary of values that repeat; others would only fill it in vain.
    repeated = [*REPEATED, "kind"]
    with (
        atomic_write(path) as file,
        parquet.ParquetWriter(file, schema_of_file, use_dictionary=repeated) as writer,
    ):
        for batch in _row_groups(arrow, parts, row_group):
            count += batch.num_rows
            kinds = arrow.repeat(TAG, batch.num_rows)
            writer.write_batch(arrow.record_batch([*batch.columns, kinds], schema=schema_of_file))
        remaining = iter(without_rows)
        while group := list(islice(remaining, row_group)):
            columns = zip(*map(repository_cells, group), strict=True)
            writer.write_table(arrow.table([*map(list, columns)], schema=schema_of_file))
    return count


def _row_groups(arrow: Any, parts: Iterable[Part], rows: int) -> Iterator[Any]:
    """Yield record batches of a row group each."""
    buffer = BatchBuffer(rows)
    for part in parts:
        yield from buffer.add([TagColumns(arrow.ipc.read_record_batch(part.data, schema()))])
    yield from buffer.rest()


PARQUET = FileFormat("parquet", _encode, _write, columns=True)


def _file_schema(arrow: Any) -> Any:
    return schema().append(arrow.field("kind", arrow.string()))


def _arrow_modules() -> tuple[Any, Any]:
    arrow = arrow_module()
    import pyarrow.compute
    import pyarrow.parquet

    return arrow, pyarrow.parquet


def read_parquet(path: Path) -> Generator[Entry, None, bool]:
    """Yield the rows; return whether the file names repositories without tags too."""
    batches = read_batches(path)
    while True:
        try:
            tags, repositories = next(batches)
        except StopIteration as end:
            return bool(end.value)
        try:
            yield from rows_of_table(tags)
        except (ValueError, OverflowError) as error:
            raise file_error(path, error) from None
        yield from repositories


def read_batches(
    path: Path, dictionaries: Sequence[str] = ()
) -> Generator[tuple[Any, list[InventoryRepository]], None, bool]:
    """Yield record batches of tags, each with repositories without tags.

    Args:
        path: The file.
        dictionaries: The names of columns to read as dictionaries.

    Returns:
        Whether the file names repositories without tags too.
    """
    arrow, parquet = _arrow_modules()
    with path.open("rb") as opened:
        try:
            names = parquet.read_schema(opened).names
            if missing := set(COLUMNS) - set(names):
                raise ValueError(f"it has no column {min(missing)!r}")
            read = [name for name in FILE_COLUMNS if name in names]
            # Arrow raises a KeyError for the name of a column that the file lacks.
            as_dictionaries = [name for name in (*dictionaries, "kind") if name in names]
            file = parquet.ParquetFile(opened, read_dictionary=as_dictionaries)
            for group in file.iter_batches(columns=read, batch_size=_READ_ROWS):
                # Texts of damaged files may not be UTF-8.
                group.validate(full=True)
                tags, repositories = (
                    _split_by_kind(arrow, group) if "kind" in names else (group, None)
                )
                columns = [_column(arrow, tags, field, dictionaries) for field in schema()]
                batch = arrow.record_batch(columns, names=COLUMNS)
                yield batch, [] if repositories is None else _repositories(arrow, repositories)
            return "kind" in names
        except (arrow.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise file_error(path, error) from None
        except OSError as error:
            # Arrow raises an OSError without a number for damaged bytes.
            if error.errno is not None:
                raise
            raise file_error(path, error) from None


def _split_by_kind(arrow: Any, group: Any) -> tuple[Any, Any]:
    """Return the rows of tags, and those of repositories without tags."""
    kinds = group.column("kind")
    found = set(kinds.unique().to_pylist())
    if unknown := found - {TAG, REPOSITORY}:
        raise ValueError(f"kind must be {TAG!r} or {REPOSITORY!r}, not {safe_repr(unknown.pop())}")
    if found == {TAG}:
        return group, None
    is_tag = arrow.array([kind == TAG for kind in kinds.to_pylist()], arrow.bool_())
    return group.filter(is_tag), group.filter(arrow.compute.invert(is_tag))


def _repositories(arrow: Any, group: Any) -> list[InventoryRepository]:
    fields = list(schema())
    for field in fields[2:]:
        if group.column(field.name).null_count < group.num_rows:
            raise ValueError(f"{field.name} must be null where kind is 'repository'")
    columns = [_column(arrow, group, field).to_pylist() for field in fields[:2]]
    return [InventoryRepository(id_, name, 0) for id_, name in zip(*columns, strict=True)]


def _column(arrow: Any, group: Any, field: Any, dictionaries: Sequence[str] = ()) -> Any:
    column = group.column(field.name)
    if column.null_count:
        raise ValueError(f"{field.name} is missing in a row")
    if field.name in dictionaries:
        if column.type == arrow.dictionary(arrow.int32(), arrow.string()):
            return column
        return column.cast(arrow.string()).dictionary_encode()
    try:
        return column.cast(field.type)
    except arrow.ArrowException as error:
        raise ValueError(f"{field.name} is not {field.type}: {error}") from None
