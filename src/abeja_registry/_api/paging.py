"""Exactly-once iteration over a list that others change meanwhile: ids in, the next window out.

An offset is a position, and positions shift: a deletion moves unseen items to offsets that the
iteration has passed. So each page overlaps the previous one by one item. If a page holds a seen
item, no item was skipped, and all items after the last seen one are new. If it holds none, items
were deleted: the cursor steps back until a page holds a seen item, or to the start of the list.

The guarantee, for a stable order and pages of at least two items: an item that exists from the
first request to the last is yielded exactly once, in order; no item is yielded twice. Memory is
bounded, which has one limit: an item that looked removed and still exists is yielded again if more
than MAX_REMEMBERED items looked removed after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from .._validation import check_count
from ..exceptions import PaginationError

R = TypeVar("R")

# Items per page: few requests, and responses of about 50 kB.
PAGE_SIZE = 100
# How many of the latest seen ids a cursor remembers.
MAX_REMEMBERED = 10_000
# After so many pages in a row without a new item, the list counts as broken. A list that grows
# before the cursor faster than the cursor advances looks the same.
MAX_STALLED_PAGES = 100
# A look-up fetches several pages at once: at most so many, and at most this share of those that it
# has read, so that few requests are beyond the end of a list.
MAX_AHEAD = 32
AHEAD_SHARE = 3
# A look-up in more rows than these fails: a broken server may invent rows without end.
MAX_LOOK_UP = 10_000_000


def check_page_size(page_size: int | None) -> int:
    """Return the number of items per page, by default PAGE_SIZE."""
    return PAGE_SIZE if page_size is None else check_count("page_size", page_size, least=1)


# Assumption: a list has the same order in each read.
class Cursor:
    """The position of one iteration in one list.

    Args:
        limit: Items per page.
        start: The offset to begin at.
        max_remembered: Maximum number of remembered ids.

    Attributes:
        limit: Items per page.
        offset: The offset of the next page.
        done: Whether the list has ended.
        resume_offset: The offset where another iteration can continue.
    """

    def __init__(self, limit: int, start: int = 0, *, max_remembered: int = MAX_REMEMBERED) -> None:
        self.limit = limit
        self.offset = start
        self.done = False
        self.resume_offset = start
        self._max_remembered = max_remembered
        # Ordered sets, in the list's order: the latest seen ids; and those of them that look
        # removed, remembered so that they are not yielded twice if they reappear.
        self._seen: dict[str, None] = {}
        self._removed: dict[str, None] = {}
        # How many ids precede the remembered ones: evicted, or before the start.
        self._evicted = start
        # Whether the next page should begin with the last item of the previous one.
        self._overlaps = False
        self._step = 1
        self._stalled_pages = 0

    def record(self, ids: Sequence[str], has_next: bool) -> list[int]:
        """Record the page at the current offset.

        Args:
            ids: The ids of its items.
            has_next: Whether it says that more follow.

        Returns:
            The indexes of its items to yield, in order.

        Raises:
            PaginationError: The list contradicts itself, or more items were removed than a cursor
                remembers. The cursor does not move.
        """
        if has_next and not ids:
            raise PaginationError(
                f"the page at offset {self.offset} is empty and says that more follow"
            )
        seen_at = [at for at, key in enumerate(ids) if key in self._seen or key in self._removed]
        if self._overlaps and not seen_at:
            if self.offset:
                self._step_back()
                return []
            if self._evicted and ids:
                raise PaginationError(
                    "too many items were removed from the list: none of the last"
                    f" {self._max_remembered} items seen is left, so older items look like new ones"
                )
        new = self._select_new(ids, seen_at)
        self._stalled_pages = 0 if new else self._stalled_pages + 1
        if has_next and self._stalled_pages > MAX_STALLED_PAGES:
            raise PaginationError(
                f"{self._stalled_pages} pages in a row, the last at offset {self.offset}, hold no"
                " new item and say that more follow"
            )
        self._advance(len(ids), has_next)
        return new

    def _select_new(self, ids: Sequence[str], seen_at: Sequence[int]) -> list[int]:
        """Return the indexes of the new items of a page, and remember their ids."""
        # An unseen item before a seen one was inserted meanwhile.
        start = seen_at[-1] + 1 if seen_at else 0
        new = dict.fromkeys(ids[start:])
        if new:
            present = [ids[at] for at in seen_at]
            self._mark_removed_after(present)
            for key in present:
                if key not in self._seen:
                    self._removed.pop(key, None)
                    self._seen[key] = None
            self._seen.update(new)
            self._evicted += _trim(self._seen, max(self._max_remembered, len(ids)))
        if seen_at:
            # Evicted ids precede all remembered ones.
            self._evicted = min(self._evicted, self.offset + seen_at[0])
        indexes = range(start, len(ids))
        if len(new) == len(indexes):
            return list(indexes)
        # Of equal ids the first one counts.
        first = dict(zip(reversed(ids[start:]), reversed(indexes), strict=True))
        return [first[key] for key in new]

    def _mark_removed_after(self, present: Sequence[str]) -> None:
        """Mark the seen ids after the present ones as removed: new items are in their place."""
        removed = []
        for key in reversed(self._seen):
            if key in present:
                break
            removed.append(key)
        else:
            # The present ids were marked as removed before, so they have no place in the order.
            removed = [] if present else removed
        # In the list's order, so that the oldest are evicted first.
        for key in reversed(removed):
            del self._seen[key]
            self._removed[key] = None
        _trim(self._removed, self._max_remembered)

    def _advance(self, count: int, has_next: bool) -> None:
        self.resume_offset = self.offset + count
        self.done = not has_next
        self._overlaps = count > 1
        # Overlap by the last item, but always advance.
        self.offset += max(1, count - 1)
        # Step back a quarter of a page first: after a whole page, against a client that always
        # deletes the last item listed, two requests would gain a single item.
        self._step = max(1, count // 4)

    def reopen(self) -> None:
        """Continue at the last item of a list that has ended."""
        self.done = False
        self.offset = max(0, self.resume_offset - 1)
        self._overlaps = self.resume_offset > 0
        self._stalled_pages = 0

    def _step_back(self) -> None:
        self.offset = max(0, self.offset - self._step)
        self.resume_offset = min(self.resume_offset, self.offset)
        self._step *= 4


class ReadAhead:
    """Which pages a look-up fetches: one at a time, and more at once the longer the list is.

    Pages ahead begin where the cursor will be if the list does not change meanwhile. If it has
    changed, or one of them failed, the rest is fetched again, one page at a time at first.

    Args:
        page_size: Items per page.
        start: The offset to begin at.
        likely_end: The offset of the last page, as far as is known: no page ahead begins after it.
        max_rows: Maximum offset of a page.

    Attributes:
        page_offset: The offset of the latest page.
        pages: The number of pages so far.
    """

    def __init__(
        self,
        page_size: int,
        start: int = 0,
        *,
        likely_end: float = math.inf,
        max_rows: int = MAX_LOOK_UP,
    ) -> None:
        self._cursor = Cursor(page_size, start)
        self._likely_end = likely_end
        self._max_rows = max_rows
        self.page_offset = start
        self.pages = 0
        # Pages since the list has changed or a page ahead has failed; the distance between two
        # pages; pages that were to be fetched and are not recorded.
        self._steady = 0
        self._stride = 0
        self._expected = 0

    def windows(self) -> list[tuple[int, int]]:
        """Return the limit and the offset of each page to fetch now; nothing at the end."""
        cursor = self._cursor
        if cursor.done:
            return []
        if self._expected or self._stride <= 0:
            self._steady = 0
        width = max(1, min(MAX_AHEAD, self._steady // AHEAD_SHARE))
        offsets = [cursor.offset + at * self._stride for at in range(width)]
        offsets[1:] = [offset for offset in offsets[1:] if offset <= self._likely_end]
        self._expected = len(offsets)
        return [(cursor.limit, offset) for offset in offsets]

    def awaits(self, offset: int) -> bool:
        """Whether the page at this offset is the next one."""
        return not self._cursor.done and offset == self._cursor.offset

    def record(self, ids: Sequence[str], has_next: bool) -> None:
        """Record the page at the cursor.

        Raises:
            PaginationError: The list contradicts itself, or has more rows than a look-up reads.
        """
        self.page_offset = self._cursor.offset
        if self.page_offset > self._max_rows:
            raise PaginationError(
                f"the look-up was given up after {self._max_rows:,} rows: iterate over the list"
            )
        self._cursor.record(ids, has_next)
        self._stride = self._cursor.offset - self.page_offset
        self._expected -= 1
        self._steady += 1
        self.pages += 1

    def reopen(self) -> None:
        """Continue at the last item, as the list may have grown since."""
        self._cursor.reopen()
        self._expected = self._steady = 0


class PageWalk(Generic[R]):
    """One iteration over the pages of a list: what to fetch next, and which rows to yield.

    Args:
        limit: Items per page.
        offset: The offset to begin at.
        keep: Which rows to yield; all if None.
    """

    def __init__(self, limit: int, offset: int, keep: Callable[[R], bool] | None = None) -> None:
        self._cursor = Cursor(limit, offset)
        self._keep = keep
        self._first = True

    @property
    def window(self) -> tuple[int, int] | None:
        """The limit and the offset of the page to fetch next; None at the end of the list."""
        return None if self._cursor.done else (self._cursor.limit, self._cursor.offset)

    @property
    def resume_offset(self) -> int:
        """Where another iteration can continue."""
        return self._cursor.resume_offset

    def record(self, ids: Sequence[str], has_next: bool) -> list[int]:
        """Record a fetched page, and return the indexes of its new rows."""
        return self._cursor.record(ids, has_next)

    def select(self, new: Sequence[int], rows: Sequence[R | None]) -> list[int] | None:
        """Return the indexes of the new rows to yield; None to skip the page.

        Args:
            new: The indexes of the new rows.
            rows: The page's rows; None for one that was skipped, to which no filter applies.
        """
        keep = self._keep
        kept = [at for at in new if keep is None or (row := rows[at]) is None or keep(row)]
        first, self._first = self._first, False
        return kept if kept or first else None


def _trim(ordered: dict[str, None], max_length: int) -> int:
    """Evict the first keys of an ordered set beyond its maximum length; return how many."""
    # List them first: each `next(iter(dict))` steps over all keys deleted from its front.
    evicted = list(islice(ordered, max(0, len(ordered) - max_length)))
    for key in evicted:
        del ordered[key]
    return len(evicted)
