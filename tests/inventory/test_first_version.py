"""Files and journals that the first version wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.inventories import KINDS
from tests.support.worlds import done

from abeja_registry import Client, InvalidFile
from abeja_registry.inventory import read_rows, summarize
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


FIRST_VERSION = Path(__file__).parent.parent / "first_version"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_of_the_first_version(
    sandbox: Sandbox, client: Client, either: Any, kind: str
) -> None:
    """It is read; whether other repositories existed without tags is unknown."""
    path = FIRST_VERSION / f"inventory.{kind}"
    rows = read_rows(path)
    assert [(row.repository_name, row.tag, row.size) for row in rows] == [
        ("trainer", "1.0.0", 10**10),
        ("trainer", "latest", 10**10),
        ("predictor", "1.0.0", 2757009),
    ]
    assert rows.repositories is None
    summary = summarize(read_rows(path))
    assert summary.empty_repositories is None
    assert [(each.name, each.bytes, each.tag_bytes) for each in summary.repositories] == [
        ("trainer", 10**10, 2 * 10**10),
        ("predictor", 2757009, 2757009),
    ]
    # When it was written, `empty` had no tags, `predictor` one and `trainer` two.
    client.repositories.create("empty")
    client.repositories.create("predictor")
    sandbox.push(client.repositories.create("trainer"), "2.0.0")
    inventory = either.inventory()
    diff = await done(type(inventory).diff(path, inventory))
    assert (diff.repositories_added, diff.repositories_removed) == ((), ())
    assert not diff.empty_compared
    assert [row.tag for row in diff.added] == ["2.0.0"]
    assert len(diff.removed) == 3
    back = await done(type(inventory).diff(inventory, path))
    assert (back.repositories_added, back.repositories_removed) == ((), ())


async def test_an_empty_file_of_the_first_version(
    sandbox: Sandbox, client: Client, either: Any
) -> None:
    """It leaves open whether repositories without tags existed."""
    client.repositories.create("empty")
    rows = read_rows(FIRST_VERSION / "none.jsonl")
    assert (list(rows), rows.repositories) == ([], None)
    inventory = either.inventory()
    assert not await done(type(inventory).diff(FIRST_VERSION / "none.jsonl", inventory))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_of_the_first_version(
    sandbox: Sandbox, client: Client, either: Any, tmp_path: Path, kind: str
) -> None:
    """It is refused by its name; an inventory that starts again removes it."""
    sandbox.push(client.repositories.create("trainer"), "1.0.0")
    journal = (FIRST_VERSION / "interrupted.partial.jsonl").read_text()
    path, earlier = tmp_path / f"a.{kind}", tmp_path / f"a.{kind}.partial.jsonl"
    earlier.write_text(journal.replace("{base_url}", sandbox.url))
    write = getattr(either.inventory(), f"write_{kind}")
    sandbox.clear_requests()
    with pytest.raises(InvalidFile, match="earlier version of this package; pass resume=False"):
        await done(write(path, resume=True))
    assert not sandbox.requests
    assert earlier.exists()
    assert await done(write(path)) == 1
    assert not earlier.exists()
