"""A model of an organization's lists, for inventories that send nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from abeja_registry import Error
from abeja_registry.inventory import InventoryRow

from .internals import FetchedPage, FetchTask, RepositoryRef

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def row(repository: RepositoryRef, tag: str) -> InventoryRow:
    """Make a row."""
    return InventoryRow(*repository, tag, "sha256:00", 1, "a/b", "a@b", TIME, TIME)


class Lists:
    """An organization's lists in memory, as an inventory fetches them.

    Attributes:
        tags: The names of each repository's tags, in order, by the repository's id.
        clamp: Maximum number of items in a page.
        asked: The executed tasks, oldest first.
        failing: How many further tasks of a repository fail, by its id.
    """

    def __init__(self, *counts: int, clamp: int = 1000) -> None:
        self.tags = {f"r{at}": [f"t{n}" for n in range(count)] for at, count in enumerate(counts)}
        self.clamp = clamp
        self.asked: list[FetchTask] = []
        self.failing: dict[str | None, int] = {}

    def fetch(self, task: FetchTask) -> list[FetchedPage]:
        """Execute a task."""
        self.asked.append(task)
        key = None if task.repository is None else task.repository.id
        if self.failing.get(key, 0) > 0:
            self.failing[key] -= 1
            raise Error(f"{key} failed")
        items = list(self.tags) if key is None else self.tags[key]
        pages: list[FetchedPage] = []
        offset = task.offset
        while len(pages) < task.pages:
            found = items[offset : offset + min(task.limit, self.clamp)]
            has_next = offset + len(found) < len(items)
            rows = [
                RepositoryRef(each, each.upper())
                if task.repository is None
                else row(task.repository, each)
                for each in found
            ]
            pages.append(FetchedPage(offset, found, has_next, rows))
            if not has_next or len(found) < 2:
                break
            offset += len(found) - 1
        return pages
