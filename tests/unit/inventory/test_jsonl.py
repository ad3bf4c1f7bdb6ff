"""Files of JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.internals import write_jsonl
from tests.support.inventories import ROW

from abeja_registry.inventory import InventoryRepository, read_rows


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


def test_a_file_with_lines_of_both_versions_does_not_name_all_repositories(tmp_path: Path) -> None:
    """One line without `kind` leaves open whether other repositories exist."""
    line = {name: value for name, value in ROW.to_dict().items() if name != "kind"}
    write_jsonl(tmp_path / "a.jsonl", [InventoryRepository("2", "empty", 0)])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    read = read_rows(tmp_path / "a.jsonl")
    assert list(read) == [ROW]
    assert read.repositories is None
