"""An inventory's rows, in files of each kind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.internals import COLUMNS, FILE_COLUMNS, Entry, write_jsonl, write_parquet
from tests.support.inventories import ROW, WRITERS, each_kind, many

from abeja_registry import InvalidFile
from abeja_registry.inventory import InventoryRepository, InventoryRow, read_rows

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


times = st.datetimes(
    datetime(1900, 1, 2),
    datetime(2200, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))]),
)


rows = st.builds(InventoryRow, *[text] * 4, st.integers(0, 2**63 - 1), *[text] * 2, times, times)


@each_kind
@settings(max_examples=30)
@given(written=st.lists(rows, max_size=3))
def test_written_rows_are_read_back(
    kind: str, written: list[InventoryRow], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file of each kind returns the same rows in the same order."""
    path = tmp_path_factory.mktemp("files") / f"inventory{kind}"
    assert WRITERS[kind](path, iter(written)) == len(written)
    assert list(read_rows(path)) == written


repositories = st.builds(InventoryRepository, text, text, st.just(0))


@each_kind
@settings(max_examples=30)
@given(written=st.lists(rows | repositories, max_size=4))
@example(written=[])
@example(written=[InventoryRepository("1", '"\r\n,', 0)])
@example(written=[InventoryRepository("", "", 0)])
@example(written=[ROW, InventoryRepository(ROW.repository_id, ROW.repository_name, 0)])
def test_repositories_are_read_with_their_tag_counts(
    kind: str, written: list[Entry], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file of each kind returns the rows of tags, and names every repository."""
    path = tmp_path_factory.mktemp("files") / f"inventory{kind}"
    tags = [each for each in written if isinstance(each, InventoryRow)]
    assert WRITERS[kind](path, iter(written)) == len(tags)
    assert read_rows(path).repositories is None
    read = read_rows(path)
    assert list(read) == tags
    counts = Counter((each.repository_id, each.repository_name) for each in tags)
    counts.update({(each[0], each[1]): 0 for each in written})
    assert sorted(read.repositories or ()) == sorted(
        InventoryRepository(*key, count) for key, count in counts.items()
    )


@each_kind
def test_many_repositories_without_tags(kind: str, tmp_path: Path) -> None:
    """Many of them, between rows of tags, are read back."""
    empty = [InventoryRepository(str(number), f"r{number}", 0) for number in range(3, 1_003)]
    path = tmp_path / f"inventory{kind}"
    assert WRITERS[kind](path, [*many(2), *empty, *many(4)[2:]]) == 4
    read = read_rows(path)
    assert sorted(read) == sorted(many(4))
    assert len(read.repositories or ()) == 1_003


@each_kind
def test_a_repository_without_tags_is_a_row_of_nulls(kind: str, tmp_path: Path) -> None:
    """Other programs read its id and name; the columns of a tag are null and keep their types."""
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    path = tmp_path / f"inventory{kind}"
    WRITERS[kind](path, [ROW, InventoryRepository("2", "empty", 0)])
    readers = {
        ".jsonl": pyarrow.json.read_json,
        ".csv": pyarrow.csv.read_csv,
        ".parquet": pyarrow.parquet.read_table,
    }
    table = readers[kind](path)
    assert table.column_names == list(FILE_COLUMNS)
    tag, repository = table.to_pylist()
    assert (str(tag["repository_id"]), tag["size"], tag["kind"]) == ("1", 5, "tag")
    assert str(repository["repository_id"]) == "2"
    assert (repository["repository_name"], repository["kind"]) == ("empty", "repository")
    # pyarrow's CSV reader leaves texts empty, quoted or not.
    assert {repository[name] for name in COLUMNS[2:]} <= {None, ""}
    assert repository["size"] is repository["created_at"] is None


@each_kind
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "image"}, "kind must be 'tag' or 'repository', not 'image'"),
        ({"kind": None}, "kind must be"),
        ({"tag": "1.0"}, "tag must be null where kind is 'repository'"),
        ({"size": 5}, "size must be null where kind is 'repository'"),
        ({"kind": "tag"}, "tag|int"),
    ],
)
def test_a_row_of_a_wrong_kind_is_refused(
    kind: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """The reader loses no tag, and makes up no repository."""
    import pyarrow
    import pyarrow.parquet

    values = {**InventoryRepository("2", "empty", 0).to_dict(), **change}
    path = tmp_path / f"a{kind}"
    if kind == ".jsonl":
        path.write_text(json.dumps(values))
    elif kind == ".csv":
        cells = ["" if value is None else str(value) for value in values.values()]
        path.write_text(f"{','.join(FILE_COLUMNS)}\n{','.join(cells)}\n")
    else:
        write_parquet(path, [])
        schema = pyarrow.parquet.read_schema(path)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([values], schema), path)
    with pytest.raises(ValueError, match=message):
        list(read_rows(path))


@pytest.mark.parametrize("column", COLUMNS[:2])
@pytest.mark.parametrize("value", [None, 2, 2.5, True, ["2"], {"id": "2"}])
def test_a_repository_s_id_and_name_are_strings(column: str, value: object, tmp_path: Path) -> None:
    """A row without an id or a name is refused, and the error has its line."""
    path = tmp_path / "a.jsonl"
    values = {**InventoryRepository("2", "empty", 0).to_dict(), column: value}
    path.write_text(json.dumps(ROW.to_dict()) + "\n" + json.dumps(values))
    with pytest.raises(InvalidFile, match=f"line 2 .*{column} must be a string, not ") as caught:
        list(read_rows(path))
    assert caught.value.line == 2


@pytest.mark.parametrize("kind", [".jsonl", ".csv"])
@pytest.mark.parametrize("size", [0, 5, 10**10, -5])
def test_whole_sizes_that_pandas_wrote_as_floats_are_read(
    kind: str, size: int, tmp_path: Path
) -> None:
    """In a column with nulls, pandas writes `5.0` for 5."""
    path = tmp_path / f"a{kind}"
    WRITERS[kind](path, [ROW._replace(size=size), InventoryRepository("2", "empty", 0)])
    before, after = {
        ".jsonl": (f'"size": {size},', f'"size": {size}.0,'),
        ".csv": (f",{size},", f",{size}.0,"),
    }[kind]
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    [read] = read_rows(path)
    assert read == ROW._replace(size=size)
    assert type(read.size) is int


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    """Another program's file may have such times; they are read as those of the API are."""
    line = ROW.to_dict() | {"created_at": "2026-01-02T03:04:05.678901"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n")
    assert list(read_rows(tmp_path / "a.jsonl")) == [ROW]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("tag", None),
        ("tag", 5),
        ("digest", None),
        ("repository_id", 5),
        ("creator_email", ["a"]),
        ("created_at", 5),
        ("size", None),
        ("size", "5"),
        ("size", 1.9),
        ("size", True),
        ("size", 2**63),
        ("size", -(2**63) - 1),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(tmp_path: Path, column: str, value: object) -> None:
    """The error names the column and the line."""
    lines = [json.dumps(each) for each in (ROW.to_dict(), ROW.to_dict() | {column: value})]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(InvalidFile, match=f"^line 2 of .* is not a row of .*: {column} must "):
        list(read_rows(tmp_path / "a.jsonl"))


@each_kind
@pytest.mark.parametrize("size", [-(2**63), 2**63 - 1])
def test_a_size_of_64_bits_is_written_and_read(kind: str, tmp_path: Path, size: int) -> None:
    """The largest and smallest size that a file can hold is the same for each kind."""
    row = ROW._replace(size=size)
    write_jsonl(tmp_path / "a.jsonl", [row])
    WRITERS[kind](tmp_path / f"b{kind}", read_rows(tmp_path / "a.jsonl"))
    assert list(read_rows(tmp_path / f"b{kind}")) == [row]


@pytest.mark.parametrize("kind", [".jsonl", ".csv"])
@pytest.mark.parametrize(
    "edited",
    [
        lambda text: "\ufeff" + text,
        lambda text: text + "\n",
        lambda text: text.replace("\n", "\r\n\r\n"),
        lambda text: text.removesuffix("\n"),
    ],
)
def test_changes_that_other_programs_make_to_a_file(
    kind: str, edited: Callable[[str], str], tmp_path: Path
) -> None:
    """A byte order mark, blank lines and other line ends change nothing."""
    path = tmp_path / f"a{kind}"
    WRITERS[kind](path, many(2))
    path.write_bytes(edited(path.read_text()).encode())
    assert list(read_rows(path)) == many(2)


@each_kind
@pytest.mark.parametrize("hours", [-23, -9, 0, 9, 23])
def test_a_time_at_the_end_of_the_calendar(kind: str, hours: int, tmp_path: Path) -> None:
    """A time that UTC cannot represent is written and read in another time zone."""
    ends = [
        end.replace(tzinfo=timezone(timedelta(hours=hours))) for end in (datetime.min, datetime.max)
    ]
    row = ROW._replace(created_at=ends[0], updated_at=ends[1])
    WRITERS[kind](tmp_path / f"a{kind}", [row])
    [read] = read_rows(tmp_path / f"a{kind}")
    assert read == row
    WRITERS[kind](tmp_path / f"b{kind}", [read])
    assert list(read_rows(tmp_path / f"b{kind}")) == [row]
