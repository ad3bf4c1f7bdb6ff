"""Rows of an inventory for tests, and the kinds of files that hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from tests.support.internals import Entry, worker_clients, write_csv, write_jsonl, write_parquet
from tests.support.worlds import walked

from abeja_registry import Client
from abeja_registry.inventory import InventoryRepository, InventoryRow
from abeja_registry.sandbox import Sandbox

TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ROW = InventoryRow("1", "trainer", "1.0", "sha256:00", 5, "a/b", "a@example.com", TIME, TIME)
# The source of an inventory, as its journal has it.
SOURCE = {"organization_id": "1", "include": "*"}
WRITERS: dict[str, Callable[[Path, Iterable[Entry]], int]] = {
    ".jsonl": write_jsonl,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
each_kind = pytest.mark.parametrize("kind", WRITERS)


def many(count: int) -> list[InventoryRow]:
    """Return rows with different tags, of three repositories."""
    return [ROW._replace(repository_id=str(n % 3), tag=f"t{n}") for n in range(count)]


# -- rows to summarize and to compare -------------------------------------------------------------

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def row(repository: str, tag: str, image: int = 0, *, size: int = 1, **other: Any) -> InventoryRow:
    """Return a row."""
    return InventoryRow(
        f"id of {repository}", repository, tag, f"sha256:{image}", size, "a/b", "a@b", NOW, NOW
    )._replace(**other)


class KnownRows(list[InventoryRow]):
    """Rows that know all repositories, as an `Inventory` and `read_rows` do."""

    def __init__(self, rows: list[InventoryRow], names: Iterable[str]) -> None:
        super().__init__(rows)
        counts = Counter(each.repository_name for each in rows)
        self.repositories = tuple(
            InventoryRepository(f"id of {name}", name, counts[name])
            for name in dict.fromkeys([*counts, *names])
        )


def known(rows: list[InventoryRow], names: list[str] | None) -> list[InventoryRow]:
    """Return rows that know repositories with these names too, or know none."""
    return rows if names is None else KnownRows(rows, names)


def last_rows(rows: list[InventoryRow]) -> list[InventoryRow]:
    """Return the last row of each tag."""
    return list({(each.repository_name, each.tag): each for each in rows}.values())


def image(row: InventoryRow) -> tuple[str, str]:
    """Return the identity of a row's image."""
    return row.repository_name, row.digest


_NAMES = st.sampled_from(["a", "b", "c"])
# A few rows, of which some are of the same tag or the same image.
SOME_ROWS = st.lists(
    st.builds(
        lambda repository, tag, image, size, email, days: row(
            repository,
            tag,
            image,
            size=size,
            creator_email=email,
            updated_at=NOW - timedelta(days=days),
        ),
        _NAMES,
        _NAMES,
        st.integers(0, 2),
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from(["a@b", "c@d"]),
        st.integers(0, 3),
    ),
    max_size=12,
)
SOME_NAMES = st.none() | st.lists(st.sampled_from(["a", "b", "c", "d", "e"]))


# -- rows and columns ------------------------------------------------------------------------------

# The two forms of an inventory.
FORMS = ["rows", "columns"]
each_form = pytest.mark.parametrize("form", FORMS)


def rows_in(batches: Iterable[Any]) -> list[InventoryRow]:
    """Return the rows of record batches."""
    return [InventoryRow(**values) for batch in batches for values in batch.to_pylist()]


async def walked_as(form: str, inventory: Any) -> list[InventoryRow]:
    """Return the rows of a sync or async inventory, which it returns in one of its forms."""
    if form == "rows":
        return await walked(inventory)
    return rows_in(await walked(inventory.record_batches()))


# -- inventories of a sandbox ----------------------------------------------------------------------

KINDS = ["jsonl", "csv", "parquet"]


def expected(sandbox: Sandbox, client: Client) -> list[InventoryRow]:
    """Return the rows of a plain loop."""
    return [
        InventoryRow(
            repository.id,
            repository.name,
            tag.name,
            tag.digest,
            tag.size,
            tag.media_type,
            tag.creator.email,
            tag.created_at,
            tag.updated_at,
        )
        for repository in client.repositories
        for tag in repository.iter_tags()
    ]


def tag_requests(sandbox: Sandbox) -> list[str]:
    """Return the repository of each request for tags."""
    paths = [request.path.split("/") for request in sandbox.requests]
    return [parts[-2] for parts in paths if parts[-1] == "tags"]


def failing(sandbox: Sandbox, repository_id: str) -> None:
    """Make every request for a repository's tags fail."""
    sandbox.faults.add(repository_id=repository_id, status=503)


def tag_counts(repositories: Iterable[InventoryRepository] | None) -> dict[str, int]:
    """Return the tag counts of repositories, by their names."""
    assert repositories is not None
    return {each.name: each.tag_count for each in repositories}


class Counting(Executor):
    """An executor that counts the rows that each task returns."""

    def __init__(self, other: Executor) -> None:
        self._other = other
        self.returned: list[int] = []
        self.shown = ""

    def submit(self, task: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        """Submit a task."""
        self.shown += repr((arguments, options))
        future = self._other.submit(task, *arguments, **options)
        future.add_done_callback(
            lambda done: self.returned.append(sum(len(page.rows) for page in done.result().pages))
        )
        return future


def kept_clients() -> int:
    """Return how many clients this worker keeps."""
    return len(worker_clients)
