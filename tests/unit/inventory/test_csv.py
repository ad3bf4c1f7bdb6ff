"""Reading CSV without the process-wide limit on a field's length."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.internals import FILE_COLUMNS, MAX_FIELD, csv_records, write_csv
from tests.support.inventories import ROW

from abeja_registry.inventory import read_rows

HEADER = (
    "repository_id,repository_name,tag,digest,size,media_type,creator_email,created_at,updated_at"
)


@pytest.fixture
def limit() -> Iterator[None]:
    """A test may set the limit; afterwards it is as before."""
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)


def a_file(folder: Path, *names: str) -> Path:
    """Write an inventory of repositories with these names."""
    path = folder / "inventory.csv"
    time = "2026-01-01T00:00:00Z"
    lines = [f'{at},"{name}",1.0,sha256:0,5,a/b,a@b,{time},{time}' for at, name in enumerate(names)]
    path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8", newline="")
    return path


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("before", [1, 100, 131_072, 50_000_000])
def test_reading_does_not_change_the_limit_of_the_process(tmp_path: Path, before: int) -> None:
    """It is the same before, during and after reading."""
    csv.field_size_limit(before)
    rows = read_rows(a_file(tmp_path, "a", "b" * 200_000, "c"))
    for name in ("a", "b" * 200_000, "c"):
        assert next(rows).repository_name == name
        assert csv.field_size_limit() == before
    assert next(rows, None) is None
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    "name",
    ["x" * 131_073, "x" * 9_999_999, 'quo""ted' * 20_000, "two\nlines" * 20_000, "a\r\n" * 50_000],
    ids=["over the limit", "nearly the longest", "quotes", "lines", "line ends of Windows"],
)
def test_long_fields_are_read(tmp_path: Path, name: str) -> None:
    """A field that `csv.reader` refuses, and the row after it, are read like any other."""
    rows = list(read_rows(a_file(tmp_path, name, "after")))
    assert [row.repository_name for row in rows] == [name.replace('""', '"'), "after"]


@pytest.mark.parametrize("quoted", [False, True])
def test_an_endless_field_is_refused(tmp_path: Path, quoted: bool) -> None:
    """Another kind of file is not read into memory as a whole."""
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\n" + '"' * quoted + "a" * (MAX_FIELD + 1))
    with pytest.raises(ValueError, match=r"line 2 of .*a\.csv is not a row .*: field larger than"):
        list(read_rows(path))


def test_the_error_after_a_long_field_has_the_right_line(tmp_path: Path) -> None:
    """The lines within a long field count."""
    path = a_file(tmp_path, "two\nlines" + "x" * 200_000)
    path.write_text(path.read_text() + "1,2,3\n")
    with pytest.raises(ValueError, match=r"line 4 of .* is not a row"):
        list(read_rows(path))


def test_threads_read_long_fields_while_another_changes_the_limit(tmp_path: Path) -> None:
    """The limit that another thread sets does not affect a row."""
    path = a_file(tmp_path, *["x" * 2_000] * 300)
    before = csv.field_size_limit()
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            csv.field_size_limit(10)
            csv.field_size_limit(before)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(3):
            assert {len(row.repository_name) for row in read_rows(path)} == {2_000}
    finally:
        done.set()
        changing.join()
        csv.field_size_limit(before)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text('ab,"\n\r ', max_size=40))
@example('a"b,c\n')
@example('"a"b"c,d\n')
@example('"a""b"')
@example('a,"b\n')
@example('"",""\r\n\r\n,')
@pytest.mark.usefixtures("limit")
def test_both_parsers_agree(text: str) -> None:
    """A record that `csv.reader` refuses is parsed as it would have parsed it.

    A last record that ends within quotes is refused by both.
    """

    def lines() -> io.StringIO:
        return io.StringIO(text, newline="")

    def read() -> Iterator[list[str] | None]:
        with suppress(csv.Error):
            for _, values in csv_records(lines()):
                yield values
            return
        yield None

    csv.field_size_limit(131_072)
    expected: list[list[str] | None] = list(csv.reader(lines()))
    if list(csv.reader([*lines(), "\n", "end\n"]))[-1] != ["end"]:
        expected[-1] = None
    assert list(read()) == expected
    csv.field_size_limit(0)
    assert list(read()) == expected


def test_the_lines_of_a_csv_file(tmp_path: Path) -> None:
    """The first line has the columns' names, and each row is a line."""
    write_csv(tmp_path / "a", [ROW])
    first, second = (tmp_path / "a").read_text().splitlines()
    assert first == ",".join(f'"{name}"' for name in FILE_COLUMNS)
    assert second.startswith('"1","trainer","1.0","sha256:00",5,"a/b","a@example.com","2026-01-02T')
