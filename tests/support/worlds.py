"""Helpers for tests of both sync and async clients."""

from __future__ import annotations

import inspect
from typing import Any


async def done(value: Any) -> Any:
    """Return the result of a sync or async call."""
    return await value if inspect.isawaitable(value) else value


async def walked(walk: Any) -> list[Any]:
    """Return all items of a sync or async iteration."""
    return [each async for each in walk] if hasattr(walk, "__aiter__") else list(walk)
