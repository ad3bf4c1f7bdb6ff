"""The sandbox's own calls, under `/_sandbox`: for tests in any language."""

import asyncio
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from . import _shapes
from ._answers import answer, error_answer
from ._docker import Notification
from ._faults import Fault
from ._recorder import RecordedRequest
from ._state import State
from ._store import TAG_RULE


class NewTag(BaseModel):
    """What a tag is to be; what is left out is made up."""

    model_config = ConfigDict(strict=True)

    size: Annotated[int | None, Field(description="bytes")] = None
    digest: Annotated[str | None, Field(description="algorithm:value")] = None
    media_type: str | None = None


class Seed(BaseModel):
    """How much to make up."""

    model_config = ConfigDict(strict=True)

    repositories: Annotated[int, Field(ge=0, le=10_000)] = 3
    tags: Annotated[int, Field(ge=0, le=1_000_000, description="in each repository")] = 25


TagName = Annotated[str, Path(description=TAG_RULE)]


def make_control(state: State) -> APIRouter:
    """Make the sandbox's own calls over a state; they need no credential."""
    control = APIRouter(prefix="/_sandbox", tags=["sandbox"])

    @control.put("/repositories/{repository_id}/tags/{name}")
    async def write_tag(
        repository_id: str, name: TagName, body: NewTag | None = None
    ) -> JSONResponse:
        """Write a tag, as a push would."""
        fields = {} if body is None else body.model_dump()
        row = await asyncio.to_thread(state.write_tag, repository_id, name, **fields)
        return answer(_shapes.tag(row))

    @control.post("/seed")
    async def seed(body: Seed | None = None) -> JSONResponse:
        """Make up repositories with tags."""
        body = body or Seed()
        ids = await asyncio.to_thread(state.seed, body.repositories, body.tags)
        return answer({"repository_ids": ids})

    @control.post("/reset")
    async def reset() -> JSONResponse:
        """Remove all repositories, faults and recorded requests."""
        await asyncio.to_thread(state.reset)
        return answer({})

    @control.get("/requests")
    async def requests() -> JSONResponse:
        """Read what the API was asked, in order, the last 10,000 requests."""
        return answer({"requests": [_told(each) for each in state.recorder.requests]})

    @control.delete("/requests")
    async def forget_requests() -> JSONResponse:
        """Forget what the API was asked."""
        state.recorder.clear()
        return answer({})

    @control.post("/faults")
    async def add_fault(body: Fault) -> JSONResponse:
        """Add a fault."""
        return answer({"number": state.faults.arm(body)})

    @control.get("/faults")
    async def faults() -> JSONResponse:
        """Read the faults, and how often each still strikes; null is for ever."""
        listed = state.faults.list().items()
        rows = [{"number": n, "left": left, **fault.model_dump()} for n, (fault, left) in listed]
        return answer({"faults": rows})

    @control.delete("/faults")
    async def clear_faults() -> JSONResponse:
        """Remove all faults."""
        state.faults.clear()
        return answer({})

    @control.delete("/faults/{number}")
    async def remove_fault(number: int) -> JSONResponse:
        """Remove a fault."""
        try:
            state.faults.remove(number)
        except LookupError as error:
            return error_answer(404, str(error))
        return answer({})

    @control.post("/notifications")
    async def notifications(body: Notification) -> JSONResponse:
        """Take a Docker registry's notification: look again at what it is about."""
        if state.mirror is None:
            return error_answer(404, "this sandbox was not started with a Docker registry")
        try:
            await state.mirror.notified(body)
        except httpx.HTTPError as error:
            # Told that we could not, the registry sends it again.
            return error_answer(503, f"the Docker registry did not answer: {error}")
        return answer({})

    return control


def _told(request: RecordedRequest) -> dict[str, Any]:
    headers = dict(request.headers)
    if "authorization" in headers:
        headers["authorization"] = f"{headers['authorization'].partition(' ')[0]} ***"
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": headers,
        "body": request.body.decode(errors="replace"),
    }
