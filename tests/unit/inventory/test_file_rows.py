"""Reading files: which paths are read, and files that are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from tests.support.internals import COLUMNS
from tests.support.inventories import ROW, WRITERS, each_kind, many

from abeja_registry import InvalidArgument, InvalidFile
from abeja_registry.inventory import InventoryRow, read_rows

HEADER = ",".join(COLUMNS) + "\n"


GOOD = "1,2,3,4,5,6,7,2026-01-02,2026-01-02\n"


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
def test_a_file_that_is_not_an_inventory_is_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    """The error has the path, and the line of a text file, and quotes no error of Python."""
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
def test_a_path_with_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    """It is a wrong argument, and the file is not opened."""
    with pytest.raises(
        InvalidArgument, match=r"^path must end in \.jsonl, \.csv, \.parquet, unlike "
    ):
        read_rows(tmp_path / name)


@pytest.mark.parametrize("upper", [str.upper, str.title])
@each_kind
def test_a_suffix_may_be_in_capitals(
    kind: str, upper: Callable[[str], str], tmp_path: Path
) -> None:
    """Upper and lower case mean the same kind."""
    path = tmp_path / f"inventory{upper(kind)}"
    WRITERS[kind](path, many(2))
    assert list(read_rows(path)) == many(2)


@each_kind
def test_a_directory_cannot_be_read(kind: str, tmp_path: Path) -> None:
    """The system's own error has the path."""
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
def test_a_damaged_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    """Reading returns rows or raises `InvalidFile`, and nothing else."""
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
