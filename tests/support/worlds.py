"""Helpers for tests that hold in both worlds, sync and async."""

from __future__ import annotations

import inspect
from typing import Any


async def done(value: Any) -> Any:
    """Return what a call of either world returns."""
    return await value if inspect.isawaitable(value) else value


async def walked(walk: Any) -> list[Any]:
    """Return all that a walk of either world comes by."""
    return [each async for each in walk] if hasattr(walk, "__aiter__") else list(walk)
