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

from collections.abc import Sequence
from itertools import islice

from ..exceptions import PaginationError

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
        # Whether the next page is asked for an item early, and whether that one has an id.
        self._overlaps = False
        self._overlaps_by_id = True
        self._step = 1
        self._fruitless = 0

    def record(
        self, ids: Sequence[str | None], has_next: bool, said: int | None = None
    ) -> list[int]:
        """Take note of the page that came for the window last asked for.

        Args:
            ids: The ids of its items; None for one without, which counts by its position.
            has_next: Whether it says that more follow.
            said: The offset that it says it has.

        Returns:
            The indexes of its items to yield, in order.

        Raises:
            PaginationError: The list contradicts itself, or more was removed from it than the
                walk remembers. The walk stays where it was.
        """
        if has_next and not ids:
            raise PaginationError(
                f"the page at offset {self.offset} is empty and says that more follow"
            )
        keys = [key or f"\0{self.offset + at}" for at, key in enumerate(ids)]
        with_id = [at for at, key in enumerate(ids) if key]
        # A position shifts: it tells where the walk is only if the page before ended without ids.
        telling = with_id if self._overlaps_by_id else range(len(keys))
        known = [at for at in telling if keys[at] in self._seen or keys[at] in self._gone]
        if self._overlaps and not known:
            if self.offset:
                self._step_back()
                return []
            if self._forgotten and keys:
                raise PaginationError(
                    f"so much was removed from the list that none of the last {self._remembered}"
                    " items seen is there: older ones could not be told from new ones"
                )
        fresh = self._fresh(keys, known)
        # A row without an id is always new, however often a broken server repeats it: of a page of
        # such rows only its own word for its place tells that it is another.
        fruitful = fresh and (said == self.offset or any(ids[at] for at in fresh))
        self._fruitless = 0 if fruitful else self._fruitless + 1
        if has_next and self._fruitless > FRUITLESS_PAGES:
            raise PaginationError(
                f"{self._fruitless} pages in a row, the last at offset {self.offset}, hold nothing"
                " new with a usable id and say that more follow"
            )
        self._move_on(len(keys), with_id[-1] if with_id else 0, has_next)
        return fresh

    def _fresh(self, keys: Sequence[str], known: Sequence[int]) -> list[int]:
        """Return the indexes of the new items of a page, and remember them."""
        # What stands unknown before an item that was seen has been added meanwhile.
        new: dict[str, int] = {}
        for at in range(known[-1] + 1 if known else 0, len(keys)):
            # Of those with an id none was seen; one without may stand where it has stood before.
            if keys[at] not in self._seen:
                new.setdefault(keys[at], at)
        if new:
            self._set_aside_after([keys[at] for at in known])
            for key in (*(keys[at] for at in known), *new):
                if key not in self._seen:
                    self._gone.pop(key, None)
                    self._seen[key] = None
            self._forgotten += _shorten(self._seen, max(self._remembered, len(keys)))
        if known:
            # What is remembered no more stands before all that is.
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

    def _move_on(self, count: int, last_with_id: int, has_next: bool) -> None:
        self.resume_offset = self.offset + count
        self.done = not has_next
        self._overlaps = count > 1
        self._overlaps_by_id = last_with_id > 0
        # From the last item that will be known again; but on, whatever there is.
        self.offset += last_with_id or max(1, count - 1)
        # The first step back is a quarter of a page: one of a whole page would gain a single item
        # in two requests from somebody who always removes the last item shown.
        self._step = max(1, count // 4)

    def _step_back(self) -> None:
        self.offset = max(0, self.offset - self._step)
        self.resume_offset = min(self.resume_offset, self.offset)
        self._step *= 4


def _shorten(ordered: dict[str, None], length: int) -> int:
    """Remove the first of an ordered set until it is no longer than told; return how many."""
    # At a stroke: what was removed from a dict's front is passed over in each look for its first.
    removed = list(islice(ordered, max(0, len(ordered) - length)))
    for key in removed:
        del ordered[key]
    return len(removed)
