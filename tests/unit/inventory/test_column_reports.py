"""Diffs and summaries in columns: the same results as those of rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.internals import batch_of_rows, rows_in_memory
from tests.support.inventories import (
    NOW,
    SOME_NAMES,
    SOME_ROWS,
    WRITERS,
    KnownRows,
    each_kind,
    known,
    many,
    row,
)

from abeja_registry import InvalidFile
from abeja_registry.inventory import (
    Diff,
    FileRows,
    Inventory,
    InventoryRepository,
    InventoryRow,
    read_rows,
    summarize,
)


class ColumnRows(KnownRows):
    """Rows that are returned in record batches, and not one by one."""

    def __init__(self, rows: list[InventoryRow], names: list[str] | None, size: int) -> None:
        super().__init__(rows, names or [])
        if names is None:
            self.repositories = None  # type: ignore[assignment]
        self._size = size

    def __iter__(self) -> Iterator[InventoryRow]:
        raise AssertionError("the rows are read one by one")

    def record_batches(self) -> Iterator[Any]:
        """Yield the rows in record batches of some size."""
        rows = [self[at] for at in range(len(self))]
        for start in range(0, len(rows), self._size):
            yield batch_of_rows(rows[start : start + self._size])


_SIZES = st.integers(1, 13)
# Bytes of rows in memory: all rows, some or none.
_IN_MEMORY = st.sampled_from([2**30, 500, 0])


@given(SOME_ROWS, SOME_ROWS, SOME_NAMES, SOME_NAMES, _SIZES, _IN_MEMORY)
# Each pair of a tag and a digest is in both, and the tag has moved.
@example([row("a", "1", 1), row("a", "1")], [row("a", "1"), row("a", "1", 1)], None, None, 9, 0)
def test_any_diff_in_columns(
    old: list[InventoryRow],
    new: list[InventoryRow],
    old_names: list[str] | None,
    new_names: list[str] | None,
    size: int,
    in_memory: int,
) -> None:
    """It has the same differences in the same order, also with rows in a temporary file."""
    expected = Inventory.diff(known(old, old_names), known(new, new_names))
    with rows_in_memory(in_memory):
        diff = Inventory.diff(ColumnRows(old, old_names, size), ColumnRows(new, new_names, size))
    assert diff == expected
    assert diff.empty_compared == expected.empty_compared


@given(SOME_ROWS, SOME_NAMES, st.integers(0, 4), _SIZES, _IN_MEMORY)
@example([row("a", str(n), n, size=2**63 - 1) for n in range(4)], None, 0, 9, 0)
def test_any_summary_in_columns(
    rows: list[InventoryRow], names: list[str] | None, days: int, size: int, in_memory: int
) -> None:
    """It has the same counts and sizes, also beyond 64 bits."""
    expected = summarize(known(rows, names), days, NOW)
    with rows_in_memory(in_memory):
        summary = summarize(ColumnRows(rows, names, size), days, NOW)
    assert summary == expected
    assert summary.empty_repositories == expected.empty_repositories


def test_times_beyond_the_calendar_in_utc() -> None:
    """They are compared and returned as those of rows."""
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))
    last = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-9)))
    rows = [row("a", "1", updated_at=first), row("a", "2", updated_at=last)]
    assert summarize(ColumnRows(rows, None, 9), 0, NOW) == summarize(rows, 0, NOW)
    assert Inventory.diff(ColumnRows([], None, 9), ColumnRows(rows, None, 9)).added == tuple(rows)


@each_kind
@pytest.mark.parametrize("in_memory", [2**30, 0])
def test_reports_of_files(tmp_path: Path, kind: str, in_memory: int) -> None:
    """Files of each kind, with and without pyarrow, have the same diff and summary."""
    old, new = tmp_path / f"old{kind}", tmp_path / f"new{kind}"
    rows = sorted(many(12_000))
    changed = [each._replace(digest="sha256:01") for each in rows[5:8]]
    WRITERS[kind](old, [*rows, InventoryRepository("9", "empty", 0)])
    WRITERS[kind](new, [*rows[:5], *changed, *rows[9:], row("b", "1")])
    with rows_in_memory(in_memory):
        diff, summary = Inventory.diff(old, new), summarize(read_rows(new), now=NOW)
    expected = Diff(("b",), ("empty",), (row("b", "1"),), (rows[8],), diff.moved, diff.bytes_added)
    assert diff == expected
    assert tuple(each.new for each in diff.moved) == tuple(changed)
    assert summary == summarize(list(read_rows(new)), now=NOW)


@pytest.mark.parametrize("kind", [".csv", ".jsonl"])
def test_reports_without_pyarrow(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made from rows."""
    path = tmp_path / f"a{kind}"
    WRITERS[kind](path, many(3))
    with_pyarrow = summarize(read_rows(path), now=NOW)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert summarize(read_rows(path), now=NOW) == with_pyarrow
    assert not Inventory.diff(path, path)


@each_kind
def test_a_file_in_record_batches(tmp_path: Path, kind: str) -> None:
    """It has the rows and the repositories of an iteration, of all or of some repositories."""
    import pyarrow

    path = tmp_path / f"a{kind}"
    rows = [*sorted(many(11_000)), row("b", "1")]
    WRITERS[kind](path, [*rows, InventoryRepository("9", "empty", 0)])
    by_rows, by_batches = read_rows(path), read_rows(path)
    assert list(by_rows) == rows
    found = pyarrow.table(by_batches)
    assert [tuple(each.values()) for each in found.to_pylist()] == [tuple(each) for each in rows]
    assert by_batches.repositories == by_rows.repositories
    some = FileRows(path, lambda name: name in ("b", "empty"))
    assert pyarrow.table(some).num_rows == 1
    assert some.repositories == (by_rows.repositories or ())[-2:]


def test_rows_that_were_read_already_do_not_count(tmp_path: Path) -> None:
    """A summary of a file's remaining rows has only these."""
    path = tmp_path / "a.csv"
    WRITERS[".csv"](path, many(5))
    rows = read_rows(path)
    next(rows)
    assert summarize(rows).total.tags == 4


def test_a_parquet_file_whose_texts_are_not_utf8(tmp_path: Path) -> None:
    """It is refused in both forms."""
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    WRITERS[".parquet"](path, many(1))
    table = pyarrow.parquet.read_table(path)
    wrong = pyarrow.array([b"\xff"]).cast(pyarrow.string(), safe=False)
    table = table.set_column(
        2, "tag", pyarrow.Array.from_buffers(pyarrow.string(), 1, wrong.buffers())
    )
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(InvalidFile, match="is not an inventory"):
        list(read_rows(path))
    with pytest.raises(InvalidFile, match="is not an inventory"):
        summarize(read_rows(path))


def test_rows_of_many_repositories_in_any_order() -> None:
    """A batch in which each row is another repository's, and one without rows, count all rows."""
    rows = [row(f"r{n % 97}", str(n), n) for n in range(2_000)]
    expected = summarize(rows, 0, NOW)
    columns = ColumnRows(rows, None, 2_000)
    batches = [batch_of_rows([]), *columns.record_batches()]
    columns.record_batches = lambda: iter(batches)  # type: ignore[method-assign]
    assert summarize(columns, 0, NOW) == expected
