"""The event loop's thread: coroutines of other threads, and its end."""

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest
from tests.support.internals import Portal
from tests.support.patience import PATIENCE


def test_closing_cancels_coroutines() -> None:
    """A coroutine that never ends is cancelled, its thread ends, and no other is accepted."""
    threads = threading.active_count()
    portal = Portal()
    waiting = portal.submit(asyncio.sleep, 3600)
    portal.close()
    with pytest.raises(CancelledError):
        waiting.result(PATIENCE)
    assert threading.active_count() == threads
    with pytest.raises(RuntimeError, match="not running"):
        portal.submit(asyncio.sleep, 0)
