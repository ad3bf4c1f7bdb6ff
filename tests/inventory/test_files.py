"""An inventory that is written to a file, and resumed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.internals import CSV, Journal, inventory_async, inventory_base
from tests.support.inventories import KINDS, failing, tag_requests
from tests.support.patience import PATIENCE, until
from tests.support.worlds import done, walked

from abeja_registry import AsyncClient, Client
from abeja_registry.inventory import IncompleteInventory, Progress, read_rows
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_of_all_rows(sandbox: Sandbox, either: Any, tmp_path: Path, kind: str) -> None:
    """It has the rows of an iteration, and no other file is left beside it."""
    sandbox.seed(repositories=3, tags=4)
    path = tmp_path / f"inventory.{kind}"
    inventory = either.inventory()
    assert await done(getattr(inventory, f"write_{kind}")(path)) == 12
    assert sorted(read_rows(path)) == sorted(await walked(inventory))
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208


@pytest.mark.parametrize("kind", KINDS)
async def test_an_interrupted_file_is_resumed(
    sandbox: Sandbox, either: Any, tmp_path: Path, kind: str
) -> None:
    """With `resume`, no finished repository is requested again."""
    sandbox.seed(repositories=6, tags=4)
    path = tmp_path / f"inventory.{kind}"

    def interrupted(progress: Progress) -> None:
        if progress.finished == 3:
            raise KeyboardInterrupt

    inventory = either.inventory(concurrency=1, page_size=3, on_progress=interrupted)
    with pytest.raises(KeyboardInterrupt):
        await done(getattr(inventory, f"write_{kind}")(path))
    assert not path.exists()
    finished = set(tag_requests(sandbox)[:-2])
    sandbox.clear_requests()
    inventory = either.inventory()
    assert await done(getattr(inventory, f"write_{kind}")(path, resume=True)) == 24
    assert len(finished) == 2
    assert len(set(tag_requests(sandbox))) == 4
    assert not finished & set(tag_requests(sandbox))
    assert sorted(read_rows(path)) == sorted(await walked(inventory))
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208


async def test_an_interrupted_file_has_finished_repositories(
    sandbox: Sandbox, either: Any, tmp_path: Path
) -> None:
    """Only as many repositories are started as requests may be in flight, so few are unfinished."""
    # Three pages of tags each, and five pages of repositories.
    sandbox.seed(repositories=40, tags=28)
    responses = 0

    def interrupted(_: Progress) -> None:
        nonlocal responses
        responses += 1
        if responses == 45:
            raise KeyboardInterrupt

    path = tmp_path / "inventory.jsonl"
    inventory = either.inventory(concurrency=8, page_size=10, on_progress=interrupted)
    with pytest.raises(KeyboardInterrupt):
        await done(inventory.write_jsonl(path))
    sandbox.clear_requests()
    assert await done(either.inventory().write_jsonl(path, resume=True)) == 40 * 28
    # 40 responses had tags; at most two of each of eight unfinished repositories.
    assert len(set(tag_requests(sandbox))) <= 40 - (40 - 8 * 2) // 3


async def test_a_file_is_not_written_if_a_repository_failed(
    sandbox: Sandbox, either: Any, tmp_path: Path
) -> None:
    """The error names it; `resume` requests only what is missing, and `partial` leaves it out."""
    first, *_ = sandbox.seed(repositories=3, tags=2)
    path = tmp_path / "inventory.jsonl"
    failing(sandbox, first)
    inventory = either.inventory()
    with pytest.raises(
        IncompleteInventory,
        match=r"^repository 'sample-0001' failed with .* not written.* partial=True",
    ) as caught:
        await done(inventory.write_jsonl(path))
    assert caught.value.failures == inventory.failures
    assert not path.exists()
    sandbox.clear_requests()
    assert await done(inventory.write_jsonl(path, resume=True, partial=True)) == 4
    assert set(tag_requests(sandbox)) == {first}
    assert {row.repository_name for row in read_rows(path)} == {"sample-0002", "sample-0003"}
    sandbox.faults.clear()
    assert await done(inventory.write_jsonl(path)) == 6


async def test_a_file_that_cannot_be_written(sandbox: Sandbox, either: Any, tmp_path: Path) -> None:
    """The error is raised before the first request."""
    with pytest.raises(FileNotFoundError):
        await done(either.inventory().write_csv(tmp_path / "none" / "a.csv"))
    with pytest.raises(IsADirectoryError):
        await done(either.inventory().write_csv(tmp_path))
    assert not sandbox.requests


class Held:
    """A function that waits until a test lets it continue."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.started = threading.Event()
        self.resume = threading.Event()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Wait, and call the function."""
        self.started.set()
        assert self.resume.wait(PATIENCE)
        return self._function(*arguments, **options)


@pytest.mark.parametrize("writing_file", [False, True])
async def test_cancelling_an_async_inventory_to_a_file(
    sandbox: Sandbox,
    async_client: AsyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    writing_file: bool,
) -> None:
    """Its thread has ended when CancelledError is raised, and the old file is unchanged."""
    sandbox.seed(repositories=2, tags=2)
    path = tmp_path / "a.csv"
    path.write_text("last week's")
    held = Held(CSV.write if writing_file else Journal)
    if writing_file:
        monkeypatch.setattr(inventory_async, "CSV", replace(CSV, write=held))
    else:
        monkeypatch.setattr(inventory_base, "Journal", held)
    writing = asyncio.ensure_future(async_client.inventory().write_csv(path))
    await asyncio.to_thread(until, held.started.is_set)
    writing.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not writing.done()
    held.resume.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert path.read_text() == "last week's"
    # The journal is not locked.
    assert await async_client.inventory().write_csv(path, resume=True) == 4


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ("base_url", "http://localhost"),
        ("organization_id", "5"),
        ("include", "sample*"),
        ("include", ["*", "sample*"]),
        ("exclude", "*2"),
        ("exclude", ["*2", "*3"]),
    ],
)
async def test_an_inventory_does_not_resume_another_inventory(
    sandbox: Sandbox, either: Any, tmp_path: Path, other: str, value: Any
) -> None:
    """The rows kept from another API, organization or patterns are refused."""
    first, *_ = sandbox.seed(repositories=2, tags=2)
    path = tmp_path / "a.csv"
    failing(sandbox, first)
    with pytest.raises(IncompleteInventory):
        await done(either.inventory().write_csv(path))
    sandbox.faults.clear()
    sandbox.clear_requests()
    options: dict[str, Any] = {**sandbox.connection, "include": "*", "exclude": (), other: value}
    patterns = {name: options.pop(name) for name in ("include", "exclude")}
    with (
        Client(**options) as client,
        pytest.raises(ValueError, match=f"another inventory: {other} was .*, and is .* now; pass"),
    ):
        client.inventory(**patterns).write_csv(path, resume=True)
    assert not sandbox.requests
    assert await done(either.inventory().write_csv(path, resume=True)) == 4
    assert set(tag_requests(sandbox)) == {first}


async def test_each_pattern_matters(sandbox: Sandbox, either: Any, tmp_path: Path) -> None:
    """The rows kept with several patterns are refused if one of them is another one now."""
    first, *_ = sandbox.seed(repositories=2, tags=2)
    failing(sandbox, first)
    path = tmp_path / "a.csv"
    with pytest.raises(IncompleteInventory):
        await done(either.inventory(include=["*1", "*2"]).write_csv(path))
    with pytest.raises(ValueError, match=r"another inventory: include was .*\*2.*\*3"):
        await done(either.inventory(include=["*1", "*3"]).write_csv(path, resume=True))


async def test_the_order_of_patterns_does_not_matter(
    sandbox: Sandbox, either: Any, tmp_path: Path
) -> None:
    """An inventory with the same patterns in another form resumes the rows that were kept."""
    first, *_ = sandbox.seed(repositories=2, tags=2)
    path = tmp_path / "a.csv"
    failing(sandbox, first)
    before = either.inventory(include=["*2", "*1", "*1"], exclude="no")
    with pytest.raises(IncompleteInventory):
        await done(before.write_csv(path))
    sandbox.faults.clear()
    sandbox.clear_requests()
    after = either.inventory(include={"*1", "*2"}, exclude=["no", "no"])
    assert await done(after.write_csv(path, resume=True)) == 4
    assert set(tag_requests(sandbox)) == {first}
