"""Parquet: a file of columns, written and read by pyarrow."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from .._validation import safe_repr
from ._file_errors import file_error
from ._files import atomic_write
from ._rows import (
    COLUMNS,
    FILE_COLUMNS,
    REPOSITORY,
    TAG,
    Entry,
    InventoryRepository,
    InventoryRow,
    cells,
)

# Rows that the writer and the reader hold at a time.
_ROW_GROUP = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_OFFSET = timedelta(hours=23, minutes=59)


def write_parquet(path: Path, entries: Iterable[Entry]) -> int:
    """Write a Parquet file, a row group at a time; return the number of tags."""
    arrow, parquet = arrow_modules()
    schema = _schema(arrow)
    count, remaining = 0, iter(entries)
    with atomic_write(path) as file, parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(remaining, _ROW_GROUP)):
            columns = [list(column) for column in zip(*map(cells, group), strict=True)]
            writer.write_table(arrow.table(columns, schema=schema))
            count += sum(isinstance(entry, InventoryRow) for entry in group)
    return count


def _schema(arrow: Any) -> Any:
    time = arrow.timestamp("us", tz="UTC")
    types = {"size": arrow.int64(), "created_at": time, "updated_at": time}
    return arrow.schema([(name, types.get(name, arrow.string())) for name in FILE_COLUMNS])


def arrow_modules() -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet.

    Raises:
        ImportError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            "Parquet files need the package pyarrow; install it with:"
            " pip install 'abeja-registry[arrow]'"
        ) from None
    return pyarrow, pyarrow.parquet


def read_parquet(path: Path) -> Generator[Entry, None, bool]:
    """Yield the rows; return whether the file names repositories without tags too."""
    arrow, parquet = arrow_modules()
    with path.open("rb") as opened:
        try:
            file = parquet.ParquetFile(opened)
            names = file.schema_arrow.names
            if missing := set(COLUMNS) - set(names):
                raise ValueError(f"it has no column {min(missing)!r}")
            read = [name for name in FILE_COLUMNS if name in names]
            fields = list(_schema(arrow))[: len(COLUMNS)]
            for group in file.iter_batches(columns=read, batch_size=_ROW_GROUP):
                tags, repositories = (
                    _split_by_kind(arrow, group) if "kind" in names else (group, None)
                )
                columns = [_column(arrow, tags, field) for field in fields]
                yield from map(InventoryRow._make, zip(*columns, strict=True))
                if repositories is not None:
                    for field in fields[2:]:
                        if repositories.column(field.name).null_count < repositories.num_rows:
                            raise ValueError(
                                f"{field.name} must be null where kind is 'repository'"
                            )
                    columns = [_column(arrow, repositories, field) for field in fields[:2]]
                    for id_, name in zip(*columns, strict=True):
                        yield InventoryRepository(id_, name, 0)
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
    kinds = group.column("kind").to_pylist()
    if unknown := set(kinds) - {TAG, REPOSITORY}:
        raise ValueError(f"kind must be {TAG!r} or {REPOSITORY!r}, not {safe_repr(unknown.pop())}")
    return tuple(
        group.filter(arrow.array([kind == each for kind in kinds], arrow.bool_()))
        for each in (TAG, REPOSITORY)
    )


def _column(arrow: Any, group: Any, field: Any) -> Iterable[Any]:
    column = group.column(field.name)
    if column.null_count:
        raise ValueError(f"{field.name} is missing in a row")
    try:
        column = column.cast(field.type)
    except arrow.ArrowException as error:
        raise ValueError(f"{field.name} is not {field.type}: {error}") from None
    if arrow.types.is_timestamp(field.type):
        return map(_since_epoch, column.cast(arrow.int64()).to_pylist())
    return column.to_pylist()  # type: ignore[no-any-return]


def _since_epoch(microseconds: int) -> datetime:
    since = timedelta(microseconds=microseconds)
    try:
        return _EPOCH + since
    except OverflowError:
        # Beyond the calendar in UTC, but not in a time zone ahead of or behind it.
        offset = -_MAX_OFFSET if microseconds > 0 else _MAX_OFFSET
        return _EPOCH.replace(tzinfo=timezone(offset)) + (since + offset)
