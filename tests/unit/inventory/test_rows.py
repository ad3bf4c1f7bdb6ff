"""An inventory's rows, and the files that hold them."""

from __future__ import annotations

import errno
import json
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.internals import (
    COLUMNS,
    FILE_COLUMNS,
    Entry,
    Journal,
    inventory_files,
    write_csv,
    write_jsonl,
    write_parquet,
)

from abeja_registry import InvalidArgument, InvalidFile
from abeja_registry.inventory import InventoryRepository, InventoryRow, read_rows

TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ROW = InventoryRow("1", "trainer", "1.0", "sha256:00", 5, "a/b", "a@example.com", TIME, TIME)
WRITERS: dict[str, Callable[[Path, Iterable[Entry]], int]] = {
    ".jsonl": write_jsonl,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
WALKED = {"organization_id": "1", "include": "*"}
HEADER = ",".join(COLUMNS) + "\n"
GOOD = "1,2,3,4,5,6,7,2026-01-02,2026-01-02\n"
each_kind = pytest.mark.parametrize("kind", WRITERS)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
times = st.datetimes(
    datetime(1900, 1, 2),
    datetime(2200, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))]),
)
rows = st.builds(InventoryRow, *[text] * 4, st.integers(0, 2**63 - 1), *[text] * 2, times, times)


def many(count: int) -> list[InventoryRow]:
    """Make rows that differ."""
    return [ROW._replace(repository_id=str(n % 3), tag=f"t{n}") for n in range(count)]


@each_kind
@settings(max_examples=30)
@given(written=st.lists(rows, max_size=3))
def test_what_is_written_is_read(
    kind: str, written: list[InventoryRow], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the rows hold, a file of each kind gives them back, in order."""
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
    """A file of each kind gives back the rows of tags, and names every repository."""
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
    """More of them than a row group, between rows of tags."""
    empty = [InventoryRepository(str(number), f"r{number}", 0) for number in range(3, 21_003)]
    path = tmp_path / f"inventory{kind}"
    assert WRITERS[kind](path, [*many(2), *empty, *many(4)[2:]]) == 4
    read = read_rows(path)
    assert sorted(read) == sorted(many(4))
    assert len(read.repositories or ()) == 21_003


@each_kind
def test_a_repository_without_tags_is_a_row_of_nulls(kind: str, tmp_path: Path) -> None:
    """Other programs see its id and name; size and times keep their types beside it."""
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
def test_a_row_that_is_marked_wrongly(
    kind: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """It is refused: no tag is lost, and no repository made up."""
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
def test_a_repository_is_named_by_strings(column: str, value: object, tmp_path: Path) -> None:
    """A row of a repository without an id or a name is refused, and its line is named."""
    path = tmp_path / "a.jsonl"
    values = {**InventoryRepository("2", "empty", 0).to_dict(), column: value}
    path.write_text(json.dumps(ROW.to_dict()) + "\n" + json.dumps(values))
    with pytest.raises(InvalidFile, match=f"line 2 .*{column} must be a string, not ") as caught:
        list(read_rows(path))
    assert caught.value.line == 2


@pytest.mark.parametrize("kind", [".jsonl", ".csv"])
@pytest.mark.parametrize("size", [0, 5, 10**10, -5])
def test_sizes_beside_nulls_that_became_floats(kind: str, size: int, tmp_path: Path) -> None:
    """A file that pandas has read and written again has `5.0` for 5: it is read all the same."""
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


def test_lines_of_both_versions(tmp_path: Path) -> None:
    """Of files put together, one that does not name all repositories makes all unknown."""
    line = {name: value for name, value in ROW.to_dict().items() if name != "kind"}
    write_jsonl(tmp_path / "a.jsonl", [InventoryRepository("2", "empty", 0)])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    read = read_rows(tmp_path / "a.jsonl")
    assert list(read) == [ROW]
    assert read.repositories is None


def test_more_rows_than_a_group(tmp_path: Path) -> None:
    """A Parquet file of several row groups has them all."""
    path = tmp_path / "inventory.parquet"
    assert write_parquet(path, iter(many(45_000))) == 45_000
    assert list(read_rows(path)) == many(45_000)


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    """A file that somebody else wrote may have such times: they are read as the API's are."""
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
def test_a_value_of_another_type(tmp_path: Path, column: str, value: object) -> None:
    """It is refused by its column, and the line is named."""
    lines = [json.dumps(each) for each in (ROW.to_dict(), ROW.to_dict() | {column: value})]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(InvalidFile, match=f"^line 2 of .* is not a row of .*: {column} must "):
        list(read_rows(tmp_path / "a.jsonl"))


@each_kind
@pytest.mark.parametrize("size", [-(2**63), 2**63 - 1])
def test_a_size_at_the_end_of_what_is_read(kind: str, tmp_path: Path, size: int) -> None:
    """Whatever size can be read can be written to a file of each kind."""
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
def test_what_other_programs_change(
    kind: str, edited: Callable[[str], str], tmp_path: Path
) -> None:
    """A byte order mark, blank lines and other ends of lines make no difference."""
    path = tmp_path / f"a{kind}"
    WRITERS[kind](path, many(2))
    path.write_bytes(edited(path.read_text()).encode())
    assert list(read_rows(path)) == many(2)


@each_kind
@pytest.mark.parametrize("hours", [-23, -9, 0, 9, 23])
def test_a_time_at_the_end_of_the_calendar(kind: str, hours: int, tmp_path: Path) -> None:
    """What cannot be told in UTC is told in another zone."""
    ends = [
        end.replace(tzinfo=timezone(timedelta(hours=hours))) for end in (datetime.min, datetime.max)
    ]
    row = ROW._replace(created_at=ends[0], updated_at=ends[1])
    WRITERS[kind](tmp_path / f"a{kind}", [row])
    [read] = read_rows(tmp_path / f"a{kind}")
    assert read == row
    WRITERS[kind](tmp_path / f"b{kind}", [read])
    assert list(read_rows(tmp_path / f"b{kind}")) == [row]


def test_a_line_of_json(tmp_path: Path) -> None:
    """A line has the columns by their names, and times in UTC that end in Z."""
    write_jsonl(tmp_path / "a", [ROW])
    assert json.loads((tmp_path / "a").read_text()) == {
        "repository_id": "1",
        "repository_name": "trainer",
        "tag": "1.0",
        "digest": "sha256:00",
        "size": 5,
        "media_type": "a/b",
        "creator_email": "a@example.com",
        "created_at": "2026-01-02T03:04:05.678901Z",
        "updated_at": "2026-01-02T03:04:05.678901Z",
        "kind": "tag",
    }


def test_the_lines_of_a_csv_file(tmp_path: Path) -> None:
    """The columns' names come first, and a row is a line."""
    write_csv(tmp_path / "a", [ROW])
    first, second = (tmp_path / "a").read_text().splitlines()
    assert first == ",".join(f'"{name}"' for name in FILE_COLUMNS)
    assert second.startswith('"1","trainer","1.0","sha256:00",5,"a/b","a@example.com","2026-01-02T')


@each_kind
def test_a_file_appears_whole_or_not_at_all(kind: str, tmp_path: Path) -> None:
    """Where the rows end with an error, the file that was there is as it was, and nothing else."""
    path = tmp_path / f"inventory{kind}"
    path.write_text("before")

    def failing() -> Iterator[InventoryRow]:
        yield from many(30_000)
        assert path.read_text() == "before"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        WRITERS[kind](path, failing())
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
@each_kind
def test_a_file_may_be_read_by_those_who_may_read_others(kind: str, tmp_path: Path) -> None:
    """It has the mode that any new file has."""
    path, other = tmp_path / f"inventory{kind}", tmp_path / "other"
    other.touch()
    WRITERS[kind](path, [ROW])
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
@pytest.mark.parametrize("mode", [0o600, 0o666, 0o440])
@each_kind
def test_a_file_that_is_replaced_keeps_its_mode(kind: str, mode: int, tmp_path: Path) -> None:
    """No others may read it than before, neither the new file nor what it is made of meanwhile."""
    path = tmp_path / f"inventory{kind}"
    path.touch()
    path.chmod(mode)
    others = mode & ~0o600
    journal = Journal(path, WALKED, resume=False)
    [beside] = set(tmp_path.iterdir()) - {path}
    assert not stat.S_IMODE(beside.stat().st_mode) & ~0o600 & ~others
    journal.close()
    journal = Journal(path, WALKED, resume=True)

    def watched() -> Iterator[InventoryRow]:
        for each in set(tmp_path.iterdir()) - {beside}:
            assert stat.S_IMODE(each.stat().st_mode) == mode
        yield ROW

    assert WRITERS[kind](path, watched()) == 1
    assert stat.S_IMODE(path.stat().st_mode) == mode
    journal.close()


@each_kind
def test_a_link_to_a_file(kind: str, tmp_path: Path) -> None:
    """The file that it leads to is written, in its folder, and the link stays."""
    (tmp_path / "elsewhere").mkdir()
    path, link = tmp_path / "elsewhere" / f"inventory{kind}", tmp_path / f"link{kind}"
    try:
        link.symlink_to(path)
    except OSError:  # Windows lets few users do so
        pytest.skip("no links can be made")
    for count in (1, 2):
        WRITERS[kind](link, many(count))
        assert link.is_symlink()
        assert list(read_rows(path)) == many(count)


@each_kind
def test_a_folder_cannot_be_a_file(kind: str, tmp_path: Path) -> None:
    """It is refused before anything is written, also beside it."""
    path = tmp_path / f"inventory{kind}"
    path.mkdir()
    rows = iter(many(1))
    with pytest.raises(IsADirectoryError, match=f"inventory{kind}"):
        WRITERS[kind](path, rows)
    assert list(rows) == many(1)
    with pytest.raises(IsADirectoryError, match=f"inventory{kind}"):
        Journal(path, WALKED, resume=False)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "nonsense\n", "line 1 of .*: it is not JSON: Expecting value at column 1"),
        ("a.jsonl", '{"tag": \n', "line 1 of .*: it is not JSON"),
        ("a.jsonl", "[]\n", "line 1 of .*: it must be a JSON object, not a value of type list"),
        ("a.jsonl", "\n\n5\n", "line 3 of .*: it must be a JSON object, not 5"),
        ("a.jsonl", '{"tag": "1"}\n', "line 1 of .*: it has no 'repository_id'"),
        ("a.jsonl", json.dumps(ROW.to_dict())[:-9], "line 1 of .*: it is not JSON"),
        ("a.jsonl", "[" * 200_000, "line 1 of .*: it cannot be read"),
        ("a.jsonl", "1" * 5_000, "line 1 of .*: it cannot be read"),
        ("a.jsonl", "\udcff\udc80\n", "line 1 of .*: it is not UTF-8"),
        ("a.jsonl", "\0" * 25_000_000, "line 1 of .*: it is not JSON|cannot be read|not UTF-8"),
        ("a.csv", "", "a.csv is not an inventory: it has no column 'created_at'"),
        ("a.csv", "a,b\n", "a.csv is not an inventory: it has no column 'created_at'"),
        ("a.csv", HEADER + "1,2\n", "line 2 of .*: it has fewer values than there are columns"),
        (
            "a.csv",
            HEADER + "1,2,3,4,1.9,5,6,7,8\n",
            "line 2 .*: size must be an integer, not '1.9'",
        ),
        ("a.csv", HEADER + "1,2,3,4,٣,5,6,7,8\n", "line 2 .*: size must be an integer"),
        ("a.csv", HEADER + "1,2,3,4,,5,6,7,8\n", "line 2 .*: size must be an integer, not ''"),
        ("a.csv", HEADER + "1,2,3,4,5,6,7,8,9\n", "line 2 .*: created_at must be a time"),
        ("a.csv", HEADER + "1,2,3,4,5,6,7,8,9,10\n", "line 2 .* has more values than"),
        (
            "a.csv",
            HEADER + '1,2,3,4,5,6,7,2026-01-01,"2026-0',
            "line 2 of .*: the file ends within a quoted",
        ),
        ("a.csv", "a" * 11_000_000, "line 1 of .*a.csv is not a row of an inventory: field larger"),
        ("a.csv", "a\n\udcff\n", "line 2 of .*a.csv is not a row of an inventory: it is not UTF-8"),
        ("a.csv", HEADER + GOOD * 999 + "\udcff\n", "line 1001 of .*: it is not UTF-8"),
        ("a.parquet", "", "a.parquet is not an inventory: "),
        ("a.parquet", "nonsense", "a.parquet is not an inventory: "),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_a_file_that_is_none_of_an_inventory(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    """It is refused by its name, with the line where there are lines, and no word of Python."""
    path = tmp_path / name
    path.write_text(content, errors="surrogateescape", encoding="utf-8")
    with pytest.raises(InvalidFile, match=message) as caught:
        list(read_rows(path))
    assert caught.value.path == str(path)
    line = re.match(r"line (\d+) of ", str(caught.value))
    assert caught.value.line == (int(line[1]) if line else None)
    assert str(path) in str(caught.value)
    assert not re.search(r"Error|int\(\)|codec|NoneType", str(caught.value))


@pytest.mark.parametrize("name", ["a.txt", "a", "a.csv.gz", "a.json", "a.jsonl.partial", ".csv"])
def test_a_path_that_names_no_kind(tmp_path: Path, name: str) -> None:
    """It is a wrong argument, before the file is looked at."""
    with pytest.raises(
        InvalidArgument, match=r"^path must end in \.jsonl, \.csv, \.parquet, unlike "
    ):
        read_rows(tmp_path / name)


@pytest.mark.parametrize("upper", [str.upper, str.title])
@each_kind
def test_a_kind_in_capitals(kind: str, upper: Callable[[str], str], tmp_path: Path) -> None:
    """A suffix says the same in capitals."""
    path = tmp_path / f"inventory{upper(kind)}"
    WRITERS[kind](path, many(2))
    assert list(read_rows(path)) == many(2)


@each_kind
def test_a_folder_is_the_systems_error(kind: str, tmp_path: Path) -> None:
    """What the system refuses is its own error, with the path."""
    path = tmp_path / f"inventory{kind}"
    path.mkdir()
    with pytest.raises(OSError, match=f"inventory{kind}"):
        list(read_rows(path))


def damaged(content: bytes, seed: int) -> bytes:
    """Return bytes that are cut, or of which some are others."""
    random = Random(seed)
    if seed % 3 == 0:
        return content[: random.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(random.choice([1, 5, 50])):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


@each_kind
def test_a_file_that_was_damaged(kind: str, tmp_path: Path) -> None:
    """Whatever became of its bytes, it is read or is an `InvalidFile`."""
    path = tmp_path / f"inventory{kind}"
    WRITERS[kind](path, many(50))
    content, refused = path.read_bytes(), list[str]()
    for seed in range(100):
        path.write_bytes(damaged(content, seed))
        try:
            assert all(type(row) is InventoryRow for row in read_rows(path))
        except InvalidFile as error:
            refused.append(str(error))
    assert len(refused) > 30
    assert all(str(path) in each and "\n" not in each for each in refused)


def test_an_error_of_the_system_within_a_parquet_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails is not taken for a damaged file."""
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    write_parquet(path, [ROW])

    def failing(*_: object) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", failing)
    with pytest.raises(OSError, match="Input/output error") as caught:
        list(read_rows(path))
    assert type(caught.value) is OSError


def test_a_parquet_file_of_something_else(tmp_path: Path) -> None:
    """A file that lacks the columns is refused."""
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
def test_a_parquet_file_of_other_values(
    tmp_path: Path, column: str, value: object, message: str
) -> None:
    """What cannot be a row's is refused."""
    import pyarrow
    import pyarrow.parquet

    columns = {name: [value] for name, value in (ROW._asdict() | {column: value}).items()}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InvalidFile, match=f"a.parquet is not an inventory: .*{message}"):
        list(read_rows(tmp_path / "a.parquet"))


def test_a_parquet_file_that_another_program_wrote(tmp_path: Path) -> None:
    """Other types that hold the same values make no difference, nor does the columns' order."""
    import pyarrow
    import pyarrow.parquet

    columns: dict[str, object] = {name: [value] for name, value in ROW._asdict().items()}
    columns |= {
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


def test_parquet_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow, writing and reading say what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'abeja-registry\[arrow\]'"):
        write_parquet(tmp_path / "a.parquet", [])
    with pytest.raises(ImportError, match=r"abeja-registry\[arrow\]"):
        list(read_rows(tmp_path / "a.parquet"))


# -- the journal ----------------------------------------------------------------------------------


WHOLE = b'{"finished": "2", "name": "trainer", "tags": 1}\n'


def ended(*ids: str) -> list[InventoryRepository]:
    """Return repositories that are finished, by their ids."""
    return [InventoryRepository(id_, "trainer", 0 if id_ == "empty" else 1) for id_ in ids]


def rows_of(journal: Journal) -> list[InventoryRow]:
    """Return the rows that a journal has."""
    return [each for each in journal.entries() if isinstance(each, InventoryRow)]


def test_a_journal_has_the_rows_of_what_is_finished(tmp_path: Path) -> None:
    """Rows of a repository of which not all are there don't count, in this walk and the next."""
    target = tmp_path / "inventory.csv"
    journal = Journal(target, WALKED, resume=False)
    journal.add(many(5), ended("0"))
    journal.add([], ended("empty"))
    assert list(journal.entries()) == [many(5)[0], many(5)[3], *ended("empty")]
    journal.close()

    journal = Journal(target, WALKED, resume=True)
    assert list(journal.finished.values()) == ended("0", "empty")
    journal.add(many(2)[1:], ended("1"))
    assert list(journal.entries()) == [*many(5)[:4:3], many(2)[1], *ended("empty")]
    journal.remove()
    journal.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("keep", "finished"),
    [
        (lambda whole: whole[:-1], {"0"}),
        (lambda whole: whole[:-60], set()),
        (lambda whole: whole[:10], set()),
        (lambda whole: b"", set()),
        (lambda whole: whole + b"\0" * 20 + b"\n" + WHOLE, {"0", "1"}),
        (lambda whole: whole + b"5\n" + WHOLE, {"0", "1"}),
        # A name or a count that is missing: as the first version wrote, but not whole.
        (lambda whole: whole + b'{"finished": "2", "name": "trainer"}\n', {"0", "1", "2"}),
        (lambda whole: whole + b'{"finished": "3", "name": "trainer"}\n', {"0", "1"}),
        # Of a kind that a later version may write.
        (lambda whole: whole + b"{}\n" + WHOLE, {"0", "1", "2"}),
        (lambda whole: whole + b'{"finished": 2}\n{"repository_id": 2}\n' + WHOLE, {"0", "1", "2"}),
    ],
)
def test_a_journal_that_was_cut_or_damaged(
    tmp_path: Path, keep: Callable[[bytes], bytes], finished: set[str]
) -> None:
    """What is whole before the damage counts, and what comes after it is asked for again."""
    target = tmp_path / "a"
    journal = Journal(target, WALKED, resume=False)
    journal.add(many(3), ended("0", "1"))
    journal.close()
    path = tmp_path / "a.partial.jsonl"
    path.write_bytes(keep(path.read_bytes()))
    journal = Journal(target, WALKED, resume=True)
    assert set(journal.finished) == finished
    journal.add(many(3)[2:], ended("2"))
    assert {row.repository_id for row in rows_of(journal)} == {*finished, "2"}
    journal.close()


@pytest.mark.parametrize("resume", [True, False])
def test_a_journal_that_another_walk_is_at(tmp_path: Path, resume: bool) -> None:
    """A second walk to the same file is refused, and the first one is as it was."""
    first = Journal(tmp_path / "a", WALKED, resume=False)
    first.add(many(1), ended("0"))
    with pytest.raises(BlockingIOError, match="another inventory is being written to this file"):
        Journal(tmp_path / "a", WALKED, resume=resume)
    assert list(first.entries()) == many(1)
    first.close()
    second = Journal(tmp_path / "a", WALKED, resume=True)
    assert list(second.entries()) == many(1)
    second.close()


def test_what_walks_that_were_not_through_had_found(tmp_path: Path) -> None:
    """Rows that are found again, because their repository was not finished, count once."""
    target = tmp_path / "a"
    found = many(9)
    for finished in (["0"], ["1"], ["2"]):
        journal = Journal(target, WALKED, resume=True)
        left = [row for row in found if row.repository_id not in journal.finished]
        journal.add(left, ended(*finished))
        journal.close()
    journal = Journal(target, WALKED, resume=True)
    assert sorted(rows_of(journal)) == sorted(found)
    journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no process is forked there")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_journal_that_a_forked_process_has_open_too(tmp_path: Path) -> None:
    """Another walk may go on with it as soon as it is closed here."""
    journal = Journal(tmp_path / "a", WALKED, resume=False)
    fork = get_context("fork")
    end = fork.Event()
    process = fork.Process(target=end.wait)
    process.start()
    try:
        journal.add(many(1), ended("0"))
        journal.close()
        journal = Journal(tmp_path / "a", WALKED, resume=True)
        assert list(journal.entries()) == many(1)
        journal.close()
    finally:
        end.set()
        process.join()


@pytest.mark.parametrize("anew", [False, True])
def test_a_journal_that_is_removed_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """A walk that begins as another ends goes on with what is there then, and holds that."""
    fcntl = pytest.importorskip("fcntl")
    first = Journal(tmp_path / "a", WALKED, resume=False)

    def late(file: object, how: int) -> None:
        monkeypatch.undo()
        first.remove()
        first.close()
        if anew:
            other = Journal(tmp_path / "a", WALKED, resume=False)
            other.add(many(1), ended("0"))
            other.close()
        fcntl.flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    second = Journal(tmp_path / "a", WALKED, resume=True)
    assert set(second.finished) == ({"0"} if anew else set())
    with pytest.raises(BlockingIOError):
        Journal(tmp_path / "a", WALKED, resume=True)
    second.add(many(2)[1:], ended("1"))
    assert list(second.entries()) == many(2)[0 if anew else 1 :]
    second.close()


def test_a_journal_where_files_have_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept and removed there too."""
    monkeypatch.setattr(inventory_files, "fcntl", None)
    journal = Journal(tmp_path / "a", WALKED, resume=False)
    journal.add(many(1), ended("0"))
    assert list(journal.entries()) == many(1)
    journal.close()
    journal = Journal(tmp_path / "a", WALKED, resume=True)
    assert list(journal.entries()) == many(1)
    journal.remove()
    journal.close()
    assert not list(tmp_path.iterdir())


def test_a_journal_of_another_walk(tmp_path: Path) -> None:
    """It is not gone on with, but by beginning anew it goes."""
    Journal(tmp_path / "a", WALKED, resume=False).close()
    other = {"organization_id": "2", "include": "*"}
    with pytest.raises(
        InvalidFile,
        match="another inventory: organization_id was '1', and is '2' now; pass resume=False",
    ):
        Journal(tmp_path / "a", other, resume=True)
    Journal(tmp_path / "a", WALKED, resume=True).close()
    journal = Journal(tmp_path / "a", other, resume=False)
    assert not journal.finished
    journal.close()


def test_a_journal_that_is_none(tmp_path: Path) -> None:
    """A file that does not say what is walked through is not gone on with."""
    path = tmp_path / "a.partial.jsonl"
    path.write_text('{"finished": "1"}\n')
    with pytest.raises(InvalidFile, match="has no inventory's rows; pass resume=False"):
        Journal(tmp_path / "a", WALKED, resume=True)
    assert path.read_text() == '{"finished": "1"}\n'


def test_a_journal_where_there_was_none(tmp_path: Path) -> None:
    """To resume where nothing is there is to begin."""
    journal = Journal(tmp_path / "a", WALKED, resume=True)
    assert not journal.finished
    journal.close()
