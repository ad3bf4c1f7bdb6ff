"""The context of a running sandbox, which its routes share."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ._faults import Faults
from ._recorder import Recorder
from ._registry import Registry


class Generations:
    """Counts resets, so that a request that began before one is dropped after it."""

    def __init__(self) -> None:
        self._current = 0
        self._ended = asyncio.Event()

    def advance(self) -> None:
        """Begin the next generation; delays of earlier requests end now."""
        self._current += 1
        self._ended.set()
        self._ended = asyncio.Event()

    def mark(self, scope: Scope) -> None:
        """Assign a request to the current generation."""
        scope["generation"] = self._current

    def is_over(self, scope: Scope) -> bool:
        """Whether a request is of an earlier generation."""
        return bool(self._current != scope["generation"])

    async def sleep(self, seconds: float, scope: Scope) -> None:
        """Sleep, at most until the request's generation ends."""
        if self.is_over(scope):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()


class GenerationMiddleware:
    """Assigns each request to the current generation, before a slow body or a delay."""

    def __init__(self, app: ASGIApp, generations: Generations) -> None:
        self._app = app
        self._generations = generations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._generations.mark(scope)
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Context:
    """The parts of a running sandbox.

    Attributes:
        registry: The repositories and tags.
        faults: The active faults.
        recorder: The API's requests.
        limit_max: The largest page, in rows.
        latency: The delay of each of the API's responses, in seconds.
        credentials: The accepted values of the header Authorization; empty accepts all.
        generations: Counts resets.
    """

    registry: Registry
    faults: Faults
    recorder: Recorder
    limit_max: int
    latency: float
    credentials: frozenset[str]
    generations: Generations = field(default_factory=Generations)

    async def reset(self) -> None:
        """Delete everything: repositories, tags, faults, recorded and waiting requests."""
        self.generations.advance()
        await self.registry.reset()
        self.faults.clear()
        self.recorder.clear()


def context_of(request: Request) -> Context:
    """Return the context of the sandbox that received a request."""
    context: Context = request.app.state.context
    return context


# FastAPI runs a dependency that is not a coroutine in a thread.
async def _context(request: Request) -> Context:
    return context_of(request)


async def _registry(request: Request) -> Registry:
    return context_of(request).registry


UsesContext = Annotated[Context, Depends(_context)]
UsesRegistry = Annotated[Registry, Depends(_registry)]
