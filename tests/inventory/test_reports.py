"""Summaries and diffs of inventories."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.inventories import failing
from tests.support.worlds import done, walked

from abeja_registry import Client
from abeja_registry.inventory import AsyncInventory, IncompleteInventory, summarize
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


async def test_a_summary(sandbox: Sandbox, either: Any) -> None:
    """It adds up the rows of an iteration; `summarize` adds up other rows the same way."""
    sandbox.seed(repositories=2, tags=3)
    inventory = either.inventory()
    now = datetime(2100, 1, 1, tzinfo=UTC)
    summary = await done(inventory.summary(30, now))
    assert (summary.total.tags, summary.total.stale, len(summary.repositories)) == (6, 6, 2)
    assert summary == summarize(await walked(inventory), 30, now)


async def test_a_summary_is_refused_if_a_repository_failed(sandbox: Sandbox, either: Any) -> None:
    """With `partial`, the summary leaves it out."""
    first, *_ = sandbox.seed(repositories=2, tags=3)
    failing(sandbox, first)
    with pytest.raises(IncompleteInventory, match="nothing was added up; pass partial=True"):
        await done(either.inventory().summary())
    assert (await done(either.inventory().summary(partial=True))).total.tags == 3


async def test_a_diff(sandbox: Sandbox, client: Client, either: Any, tmp_path: Path) -> None:
    """It compares files, rows and inventories, each with each."""
    sandbox.seed(repositories=2, tags=2)
    inventory = either.inventory()
    diff: Any = type(inventory).diff
    await done(inventory.write_csv(tmp_path / "old.csv"))
    old = await walked(inventory)
    assert not await done(diff(tmp_path / "old.csv", inventory))
    sandbox.push(old[0].repository_id, old[0].tag, digest="sha256:77")
    sandbox.push(client.repositories.create("new").id, "1")
    await done(inventory.write_jsonl(str(tmp_path / "new.jsonl")))
    for before in (old, tmp_path / "old.csv"):
        for after in (inventory, str(tmp_path / "new.jsonl"), iter(await walked(inventory))):
            found = await done(diff(before, after))
            assert [moved.new.digest for moved in found.moved] == ["sha256:77"]
            assert found.repositories_added == ("new",)
            assert [row.tag for row in found.added] == ["1"]
            assert found.removed == ()
    if isinstance(inventory, AsyncInventory):
        assert await AsyncInventory.diff(old, (row async for row in inventory))


@pytest.mark.parametrize(
    ("name", "error"), [("none.csv", FileNotFoundError), ("none.txt", ValueError)]
)
async def test_a_diff_with_a_file_that_cannot_be_read(
    sandbox: Sandbox, either: Any, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    """The error is raised before the first request, on either side."""
    inventory = either.inventory()
    for sides in ((inventory, tmp_path / name), (tmp_path / name, inventory)):
        with pytest.raises(error):
            await done(type(inventory).diff(*sides))
    assert not sandbox.requests


async def test_a_diff_is_refused_if_a_repository_failed(sandbox: Sandbox, either: Any) -> None:
    """A repository that failed would look removed."""
    first, *_ = sandbox.seed(repositories=2, tags=1)
    failing(sandbox, first)
    inventory = either.inventory()
    with pytest.raises(IncompleteInventory, match="nothing was compared"):
        await done(type(inventory).diff([], inventory))
