"""Repositories without tags: in iterations, files, summaries and diffs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.inventories import KINDS, failing, tag_counts, tag_requests
from tests.support.worlds import done, walked

from abeja_registry import Client
from abeja_registry.inventory import Progress, read_rows, summarize
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("concurrency", "page_size"), [(1, None), (16, None), (3, 2)])
async def test_repositories_with_and_without_tags(
    sandbox: Sandbox,
    either: Any,
    mixed: dict[str, int],
    concurrency: int,
    page_size: int | None,
) -> None:
    """After an iteration all are known, and counted in its progress; rows are only tags."""
    reports: list[Progress] = []
    inventory = either.inventory(
        concurrency=concurrency, page_size=page_size, on_progress=reports.append
    )
    assert inventory.repositories == ()
    await walked(inventory)
    rows = await walked(inventory)
    assert {row.repository_name for row in rows} == {"trainer", "predictor"}
    assert tag_counts(inventory.repositories) == mixed
    assert (reports[-1].repositories, reports[-1].finished) == (5, 5)
    assert (reports[-1].rows, reports[-1].empty) == (4, 3)
    [trainer] = {row.repository_id for row in rows if row.repository_name == "trainer"}
    assert (trainer, "trainer", 3) in inventory.repositories
    summary = await done(inventory.summary())
    assert {each.name: each.tags for each in summary.repositories} == mixed
    assert (summary.empty_repositories, summary.total.tags) == (3, 4)
    train = either.inventory(include="*-1")
    assert await walked(train) == []
    assert tag_counts(train.repositories) == {"empty-1": 0}


async def test_a_repository_that_failed_is_not_one_without_tags(
    sandbox: Sandbox, either: Any, mixed: dict[str, int]
) -> None:
    """Neither a failed nor a deleted repository is among the `repositories`."""
    reports: list[Progress] = []
    inventory = either.inventory(on_progress=reports.append)
    await walked(inventory)
    ids = {each.name: each.id for each in inventory.repositories}
    failing(sandbox, ids["empty-1"])
    sandbox.faults.add(repository_id=ids["empty-2"], status=404)
    await walked(inventory)
    assert tag_counts(inventory.repositories) == {"trainer": 3, "predictor": 1, "empty-3": 0}
    assert {each.repository_name for each in inventory.failures} == {"empty-1", "empty-2"}
    assert (reports[-1].empty, reports[-1].failed) == (1, 2)
    assert (await done(inventory.summary(partial=True))).empty_repositories == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repositories", [0, 1, 46])
async def test_files_name_repositories_without_tags(
    sandbox: Sandbox, client: Client, either: Any, tmp_path: Path, kind: str, repositories: int
) -> None:
    """A summary and a diff of the file count none, one or several pages of them."""
    sandbox.seed(repositories=repositories, tags=0)
    path = tmp_path / f"a.{kind}"
    inventory = either.inventory(page_size=20)
    assert await done(getattr(inventory, f"write_{kind}")(path)) == 0
    rows = read_rows(path)
    assert list(rows) == []
    assert sorted(rows.repositories or ()) == sorted(inventory.repositories)
    assert len(inventory.repositories) == repositories
    assert summarize(read_rows(path)).empty_repositories == repositories
    assert summarize(read_rows(path)) == await done(inventory.summary())
    # All names are known, so the next repository is new, though it has no tags.
    assert not await done(type(inventory).diff(path, inventory))
    client.repositories.create("new")
    diff = await done(type(inventory).diff(path, inventory))
    assert (diff.repositories_added, diff.empty_compared) == (("new",), True)
    assert diff
    assert (await done(type(inventory).diff(inventory, path))).repositories_removed == ("new",)


@pytest.mark.parametrize("old_kind", KINDS)
@pytest.mark.parametrize("new_kind", KINDS)
async def test_a_diff_of_repositories_without_tags(
    sandbox: Sandbox,
    client: Client,
    either: Any,
    mixed: dict[str, int],
    tmp_path: Path,
    old_kind: str,
    new_kind: str,
) -> None:
    """Added and removed ones are named; one with new tags, or created again, is the same."""
    old, new = tmp_path / f"old.{old_kind}", tmp_path / f"new.{new_kind}"
    inventory = either.inventory()
    diff: Any = type(inventory).diff
    await done(getattr(inventory, f"write_{old_kind}")(old))
    assert tag_counts(inventory.repositories) == mixed
    repositories = client.repositories
    repositories.get_by_name("empty-1").delete()
    repositories.get_by_name("empty-2").delete()
    repositories.create("empty-2")
    sandbox.push(repositories.get_by_name("empty-3"), "1.0")
    repositories.get_by_name("trainer").delete()
    repositories.create("trainer")
    repositories.create("empty-4")
    await done(getattr(inventory, f"write_{new_kind}")(new))
    for before, after in ((old, new), (old, inventory), (read_rows(old), read_rows(new))):
        found = await done(diff(before, after))
        assert found.repositories_added == ("empty-4",)
        assert found.repositories_removed == ("empty-1",)
        assert [(row.repository_name, row.tag) for row in found.added] == [("empty-3", "1.0")]
        assert {row.repository_name for row in found.removed} == {"trainer"}
        assert found.empty_compared
    found = await done(diff(new, old))
    assert (found.repositories_added, found.repositories_removed) == (("empty-1",), ("empty-4",))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("finished", [1, 2, 4])
async def test_a_resumed_file_names_repositories_without_tags(
    sandbox: Sandbox, either: Any, mixed: dict[str, int], tmp_path: Path, kind: str, finished: int
) -> None:
    """Those that an earlier run has finished are in the file, and are not requested again."""
    path = tmp_path / f"a.{kind}"

    def interrupted(progress: Progress) -> None:
        if progress.finished > finished:
            raise KeyboardInterrupt

    inventory = either.inventory(concurrency=1, on_progress=interrupted)
    with pytest.raises(KeyboardInterrupt):
        await done(getattr(inventory, f"write_{kind}")(path))
    sandbox.clear_requests()
    reports: list[Progress] = []
    inventory = either.inventory(on_progress=reports.append)
    assert await done(getattr(inventory, f"write_{kind}")(path, resume=True)) == 4
    assert len(tag_requests(sandbox)) == 5 - finished
    assert tag_counts(inventory.repositories) == mixed
    assert (reports[-1].finished, reports[-1].empty) == (5, 3)
    rows = read_rows(path)
    assert len(list(rows)) == 4
    assert tag_counts(rows.repositories) == mixed


async def test_a_partial_file_leaves_out_failed_repositories(
    sandbox: Sandbox, either: Any, mixed: dict[str, int], tmp_path: Path
) -> None:
    """A repository that failed is not in it as one without tags."""
    inventory = either.inventory()
    await walked(inventory)
    ids = {each.name: each.id for each in inventory.repositories}
    failing(sandbox, ids["trainer"])
    failing(sandbox, ids["empty-1"])
    assert await done(inventory.write_csv(tmp_path / "a.csv", partial=True)) == 1
    rows = read_rows(tmp_path / "a.csv")
    assert len(list(rows)) == 1
    expected = {"predictor": 1, "empty-2": 0, "empty-3": 0}
    assert tag_counts(rows.repositories) == tag_counts(inventory.repositories) == expected


async def test_a_repository_whose_tags_are_skipped_is_not_one_without_tags(
    either_of: Any, example: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """Its skipped tags count."""
    repositories, tags = example("get_repositories"), example("get_repository_tags")
    tags["tags"] = [tags["tags"][0] | {"size": "large"}]

    def respond(request: httpx.Request) -> httpx.Response:
        body = tags if request.url.path.endswith("/tags") else repositories
        return httpx.Response(200, json=body)

    inventory = either_of(respond, invalid_rows="skip").inventory()
    assert await walked(inventory) == []
    assert [each.repository_name for each in inventory.failures] == ["sample_repository"]
    summary = await done(inventory.summary(partial=True))
    assert (summary.empty_repositories, len(summary.repositories)) == (0, 0)
    assert await done(inventory.write_csv(tmp_path / "a.csv", partial=True)) == 0
    [repository] = inventory.repositories
    assert (repository.name, repository.tag_count) == ("sample_repository", 1)


def test_repositories_without_tags_by_processes(
    client: Client, mixed: dict[str, int], processes: Executor
) -> None:
    """The inventory knows them, though workers read their tags."""
    inventory = client.inventory(executor=processes)
    assert len(list(inventory)) == 4
    assert tag_counts(inventory.repositories) == mixed
