"""Waiting for a tag: polls with growing, random waits, each of as few requests as possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from .._validation import check_str, safe_repr
from ..exceptions import Error, HttpError, TransportError, WaitTimeout
from .flows import FindRows, Flow, ListOperation, Named, Wait, first_named, look_up
from .paging import ReadAhead, check_page_size
from .retries import TRANSIENT

# The back-off between polls: seconds before the second poll, its growth, its maximum.
_FIRST_WAIT = 0.5
_WAIT_GROWTH = 1.5
_MAX_WAIT = 10.0
# A wait takes at most this share of the remaining time, so that one more poll sees a late push.
_MAX_WAIT_SHARE = 0.8
# Polling ends when fewer seconds remain.
_MIN_REMAINING = 0.05
# In a list of more pages than these, a poll reads only the pages where a change is likely; each
# n-th poll reads the whole list.
_FEW_PAGES = 2
_FULL_POLL = 6

N = TypeVar("N", bound=Named)


class _Polls(Generic[N]):
    """Look-ups of one name, one after the other, in a list that may change meanwhile.

    Where the last one found the row, the next one reads that page. Where it found none, the next
    one reads the first page, and from the end of the last look-up on.
    """

    def __init__(
        self,
        name: str,
        list_page: ListOperation,
        find_rows: FindRows[N],
        page_size: int | None,
        random: Callable[[], float],
    ) -> None:
        self._name = name
        self._list_page = list_page
        self._find_rows = find_rows
        self._page_size = check_page_size(page_size)
        # Random, so that jobs that start together do not read the whole list together.
        self._next_full = int(_FULL_POLL * random())
        self._first = True
        # The last complete look-up that found nothing, and the page where the last one found it.
        self._ended: ReadAhead | None = None
        self._found_at: int | None = None
        self._last_page = math.inf

    def poll(self) -> Flow[N | None]:
        """Return the row, or None."""
        full = self._first or not self._next_full
        self._next_full = (self._next_full - 1) % _FULL_POLL
        self._first = False
        # Forgotten first: after an error, the next poll reads the whole list.
        ended, self._ended = self._ended, None
        found_at, self._found_at = self._found_at, None
        if found_at is not None and not full:
            row = yield from self._read_one(found_at)
            if row is not None:
                return row
        elif ended is not None and ended.pages > _FEW_PAGES and not full:
            # Assumption: a list has new tags at its end, or at its start.
            row = yield from self._read_one(0)
            if row is None:
                ended.reopen()
                row = yield from self._look_up(ended)
            return row
        walk = ReadAhead(self._page_size, likely_end=self._last_page)
        return (yield from self._look_up(walk))

    def _look_up(self, walk: ReadAhead) -> Flow[N | None]:
        row = yield from look_up(
            walk, self._list_page, self._find_rows, self._name.__eq__, first_named(self._name)
        )
        if row is None:
            self._ended, self._last_page = walk, walk.page_offset
        else:
            self._found_at = walk.page_offset
        return row

    def _read_one(self, offset: int) -> Flow[N | None]:
        """Read a single page."""
        result = yield self._list_page(self._page_size, offset)
        page = self._find_rows(result, self._name.__eq__)
        rows: Sequence[N] = [row for row in page.rows if row is not None]
        row = first_named(self._name)(rows)
        if row is not None:
            self._found_at = offset
        return row


def wait_for(
    name: str,
    list_page: ListOperation,
    find_rows: FindRows[N],
    page_size: int | None,
    problem: Callable[[N], str | None],
    *,
    timeout: float,
    now: Callable[[], float],
    random: Callable[[], float],
) -> Flow[N]:
    """Poll until the named row exists and `problem(row)` is None.

    A failed poll raises if it is the first, so that bad settings show at once, or if its error is
    not transient.
    """
    check_str("name", name)
    polls = _Polls(name, list_page, find_rows, page_size, random)
    deadline = now() + timeout
    # Count the slept seconds too: a test may have frozen the clock.
    slept = 0.0
    wait, state = _FIRST_WAIT, ""
    while True:
        try:
            row = yield from polls.poll()
        except Error as error:
            if not (state and _is_transient(error)):
                raise
            last_error = f"; the last request failed: {error}"
        else:
            unmet = "it does not exist" if row is None else problem(row)
            if row is not None and unmet is None:
                return row
            state, last_error = unmet or "", ""
        remaining = min(deadline - now(), timeout - slept)
        if remaining < _MIN_REMAINING:
            raise WaitTimeout(f"waited {timeout:g} s for {safe_repr(name)}: {state}{last_error}")
        # Random, so that jobs that start together do not poll together.
        pause = min(wait * (1 + random()) / 2, remaining * _MAX_WAIT_SHARE)
        yield Wait(pause)
        slept += pause
        wait = min(wait * _WAIT_GROWTH, _MAX_WAIT)


def _is_transient(error: Error) -> bool:
    if isinstance(error, HttpError):
        return error.status_code in TRANSIENT
    return isinstance(error, TransportError)
