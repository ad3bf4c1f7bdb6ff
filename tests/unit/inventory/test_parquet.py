"""Parquet files, which pyarrow writes and reads."""

from __future__ import annotations

import errno
import sys
from datetime import UTC
from pathlib import Path
from typing import NoReturn

import pytest
from tests.support.internals import write_parquet, write_row_groups
from tests.support.inventories import ROW, TIME, many

from abeja_registry import InvalidFile
from abeja_registry.inventory import InventoryRepository, read_rows, summarize


def test_a_file_of_several_row_groups(tmp_path: Path) -> None:
    """A Parquet file returns the rows of all its groups, and its repositories without tags."""
    import pyarrow.parquet

    path = tmp_path / "inventory.parquet"
    empty = [InventoryRepository(str(n), f"empty-{n}", 0) for n in range(120)]
    assert write_row_groups(path, [*many(450), *empty], 100) == 450
    assert pyarrow.parquet.ParquetFile(path).num_row_groups == 5 + 2
    rows = read_rows(path)
    assert list(rows) == many(450)
    assert (rows.repositories or ())[-120:] == tuple(empty)


def test_a_parquet_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    """The error names a missing column."""
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(InvalidFile, match=r"a\.parquet is not an inventory: it has no column"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("tag", None, "tag is missing in a row"),
        ("size", 1.9, "size is not int64: .*truncated"),
        ("size", "large", "size is not int64: .*'large'"),
        ("created_at", "yesterday", "created_at is not timestamp.*'yesterday'"),
        ("created_at", 2**62, "out of range"),
    ],
)
def test_a_parquet_file_with_wrong_values_is_refused(
    tmp_path: Path, column: str, value: object, message: str
) -> None:
    """The error names the column."""
    import pyarrow
    import pyarrow.parquet

    columns = {name: [value] for name, value in (ROW._asdict() | {column: value}).items()}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InvalidFile, match=f"a.parquet is not an inventory: .*{message}"):
        list(read_rows(tmp_path / "a.parquet"))


def test_a_parquet_file_that_another_program_wrote(tmp_path: Path) -> None:
    """Other types for the same values, and another order of the columns, change nothing."""
    import pyarrow
    import pyarrow.parquet

    columns: dict[str, object] = {name: [value] for name, value in ROW._asdict().items()}
    columns |= {
        "repository_id": pyarrow.array([int(ROW.repository_id)]),
        "repository_name": pyarrow.array([ROW.repository_name], pyarrow.large_string()),
        "tag": pyarrow.array(["1.0"], pyarrow.large_string()),
        "size": pyarrow.array([5], pyarrow.uint8()),
        "created_at": pyarrow.array([TIME.replace(tzinfo=None)]),
        "updated_at": pyarrow.array([TIME], pyarrow.timestamp("ns", "Asia/Tokyo")),
    }
    table = pyarrow.table(dict(reversed(columns.items())))
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    [row] = read_rows(tmp_path / "a.parquet")
    assert row == ROW
    assert row.created_at.tzinfo is row.updated_at.tzinfo is UTC
    assert summarize(read_rows(tmp_path / "a.parquet")) == summarize([ROW])


def test_a_failing_disk_is_not_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's error during reading is raised unchanged."""
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    write_parquet(path, [ROW])

    def failing(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", failing)
    with pytest.raises(OSError, match="Input/output error") as caught:
        list(read_rows(path))
    assert type(caught.value) is OSError


def test_parquet_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow, writing and reading say what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'abeja-registry\[arrow\]'"):
        write_parquet(tmp_path / "a.parquet", [])
    with pytest.raises(ImportError, match=r"abeja-registry\[arrow\]"):
        list(read_rows(tmp_path / "a.parquet"))
