"""Where a walk is in a list that others change meanwhile: ids in, the next window out.

Offsets are positions, and positions shift: whatever is removed before the next page moves items
that were not seen yet to where the walk has been. So each page is asked for one item early. If it
holds an item that was seen, nothing between was passed over, and what comes after the last such
item is new. If it holds none, items were removed: the walk steps back until a page holds one, or
to the start of the list.

What this promises, for a list whose order is stable and pages of at least two items: an item that
is there from the first request to the last is yielded exactly once, in order, and none is yielded
twice. To a bounded memory there is one limit: an item that was seen, looked removed and is still
there comes again if more items than are remembered looked removed after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from ..exceptions import PaginationError

R = TypeVar("R")

# Items a page of a walk asks for: few requests, and answers of some 50 kB.
PAGE_SIZE = 100
# Ids of items seen that a walk remembers, the latest.
REMEMBERED = 10_000
# Pages in a row without a new item, after which a list counts as broken. One to which items are
# added before the walk's place, faster than the walk moves, looks the same.
FRUITLESS_PAGES = 100


class Cursor:
    """The place of one walk through one list.

    Args:
        limit: Items that each page asks for.
        start: The offset to begin at.
        remembered: Ids to remember at the most.

    Attributes:
        limit: Items that the next page asks for.
        offset: Where the next page starts.
        done: Whether the list has ended.
        resume_offset: Where another walk can go on, as far as nothing moves.
    """

    def __init__(self, limit: int, start: int = 0, *, remembered: int = REMEMBERED) -> None:
        self.limit = limit
        self.offset = start
        self.done = False
        self.resume_offset = start
        self._remembered = remembered
        # Ordered sets: the latest seen, in the list's order; and of these what seems to be removed,
        # which is only kept lest it turn up again.
        self._seen: dict[str, None] = {}
        self._gone: dict[str, None] = {}
        # How many items that were seen, or stand before the start, are not remembered.
        self._forgotten = start
        # Whether the next page begins with the last item of the page before.
        self._overlaps = False
        self._step = 1
        self._fruitless = 0

    def record(self, ids: Sequence[str], has_next: bool) -> list[int]:
        """Record the page at the current offset.

        Args:
            ids: The ids of its items.
            has_next: Whether it says that more follow.

        Returns:
            The indexes of its items to yield, in order.

        Raises:
            PaginationError: The list contradicts itself, or more was removed from it than is
                remembered. The cursor stays where it was.
        """
        if has_next and not ids:
            raise PaginationError(
                f"the page at offset {self.offset} is empty and says that more follow"
            )
        known = [at for at, key in enumerate(ids) if key in self._seen or key in self._gone]
        if self._overlaps and not known:
            if self.offset:
                self._step_back()
                return []
            if self._forgotten and ids:
                raise PaginationError(
                    f"so much was removed from the list that none of the last {self._remembered}"
                    " items seen is there: older ones could not be told from new ones"
                )
        fresh = self._fresh(ids, known)
        self._fruitless = 0 if fresh else self._fruitless + 1
        if has_next and self._fruitless > FRUITLESS_PAGES:
            raise PaginationError(
                f"{self._fruitless} pages in a row, the last at offset {self.offset}, hold nothing"
                " new and say that more follow"
            )
        self._move_on(len(ids), has_next)
        return fresh

    def _fresh(self, keys: Sequence[str], known: Sequence[int]) -> list[int]:
        """Return the indexes of the new items of a page, and remember them."""
        # An unknown item before one that was seen has been added meanwhile.
        new: dict[str, int] = {}
        for at in range(known[-1] + 1 if known else 0, len(keys)):
            new.setdefault(keys[at], at)
        if new:
            self._set_aside_after([keys[at] for at in known])
            for key in (*(keys[at] for at in known), *new):
                if key not in self._seen:
                    self._gone.pop(key, None)
                    self._seen[key] = None
            self._forgotten += _shorten(self._seen, max(self._remembered, len(keys)))
        if known:
            # Evicted ids precede all remembered ones.
            self._forgotten = min(self._forgotten, self.offset + known[0])
        return list(new.values())

    def _set_aside_after(self, here: Sequence[str]) -> None:
        """Set aside what was seen after all that is here, now that new items stand there."""
        gone = []
        for key in reversed(self._seen):
            if key in here:
                break
            gone.append(key)
        else:
            # Where an item that was set aside turned up again, nothing is known of what is after.
            gone = [] if here else gone
        # In the list's order, so that the oldest are forgotten first.
        for key in reversed(gone):
            del self._seen[key]
            self._gone[key] = None
        _shorten(self._gone, self._remembered)

    def _move_on(self, count: int, has_next: bool) -> None:
        self.resume_offset = self.offset + count
        self.done = not has_next
        self._overlaps = count > 1
        # Restart at the last item, but always advance.
        self.offset += max(1, count - 1)
        # The first step back is a quarter of a page: one of a whole page would gain a single item
        # in two requests from somebody who always removes the last item shown.
        self._step = max(1, count // 4)

    def _step_back(self) -> None:
        self.offset = max(0, self.offset - self._step)
        self.resume_offset = min(self.resume_offset, self.offset)
        self._step *= 4


class PageWalk(Generic[R]):
    """One iteration over the pages of a list: what to fetch next, and which rows to yield.

    Args:
        limit: Items that each page asks for.
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
        """Return which of a page's new rows to yield; None where the page is passed over.

        Args:
            new: The indexes of the new rows.
            rows: The page's rows; None for one that was skipped, which no filter can judge.
        """
        keep = self._keep
        kept = [at for at in new if keep is None or (row := rows[at]) is None or keep(row)]
        first, self._first = self._first, False
        return kept if kept or first else None


def _shorten(ordered: dict[str, None], length: int) -> int:
    """Remove the first of an ordered set until it is no longer than told; return how many."""
    # At a stroke: what was removed from a dict's front is passed over in each look for its first.
    removed = list(islice(ordered, max(0, len(ordered) - length)))
    for key in removed:
        del ordered[key]
    return len(removed)
