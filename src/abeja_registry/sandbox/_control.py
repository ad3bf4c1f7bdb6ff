"""The sandbox's own calls, under `/_sandbox`: for tests in any language."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, Path
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypedDict

from .._validation import DIGEST
from ..images import TAG
from . import _shapes
from ._answers import CONTROL, Lost, answer, error_answer, told
from ._docker import Notification, explain
from ._faults import Fault
from ._recorder import RecordedRequest
from ._state import State
from ._store import LARGEST_INTEGER, TAG_RULE, TYPE
from ._values import PERSON_SCHEMA, TIME_SCHEMA, UnknownKey


def _whole(value: object) -> object:
    # JSON knows one kind of number: 30.0 is an integer too.
    return int(value) if isinstance(value, float) and value.is_integer() else value


Size = Annotated[int, Field(ge=0, le=LARGEST_INTEGER, description="bytes"), BeforeValidator(_whole)]


def _told_pattern(pattern: str) -> Any:
    # The store checks it, and says what is wrong in words.
    return Field(json_schema_extra={"pattern": f"^{pattern}$"})


# The store checks these too.
Time = Annotated[Any, WithJsonSchema(TIME_SCHEMA)]
Person = Annotated[Any, WithJsonSchema(PERSON_SCHEMA)]


class Made(BaseModel):
    """The times and the creator of something; what is left out is made up."""

    model_config = ConfigDict(strict=True, extra="forbid")

    created_at: Time | None = None
    updated_at: Time | None = None
    creator: Person | None = None


class NewTag(Made):
    """What a tag is to be; what is left out is made up."""

    size: Size | None = None
    digest: Annotated[str, _told_pattern(DIGEST)] | None = None
    media_type: Annotated[str, _told_pattern(TYPE)] | None = None


class Seed(Made):
    """How much to make up."""

    repositories: Annotated[int, Field(ge=0, le=100)] = 3
    tags: Annotated[int, Field(ge=0, le=10_000, description="in each repository")] = 25


TagName = Annotated[str, Path(description=TAG_RULE, json_schema_extra={"pattern": f"^{TAG}$"})]


class Seeded(TypedDict):
    """The repositories that were made up."""

    repository_ids: list[str]


class Request(TypedDict):
    """What the API was asked."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str


class Requests(TypedDict):
    """What the API was asked, in order."""

    requests: list[Request]


class Added(TypedDict):
    """The number of a new fault."""

    number: int


class ArmedFault(Fault):
    """A fault that waits for requests; it strikes `left` more of them, or all if null."""

    number: int
    left: int | None


class ArmedFaults(TypedDict):
    """The faults that wait, in their order."""

    faults: list[ArmedFault]


class Nothing(TypedDict):
    """There is nothing to tell."""


def _no_query(request: HttpRequest) -> None:
    for key in request.query_params:
        raise UnknownKey(key, "this call has no query parameters")


async def _no_body(request: HttpRequest) -> None:
    if (await request.body()).strip() not in (b"", b"{}", b"null"):
        raise UnknownKey("body", "this call has no fields")


SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})


def make_control(state: State) -> APIRouter:
    """Make the sandbox's own calls over a state; they need no credential."""

    class Current(APIRoute):
        """A route that does nothing for a request from before the last reset."""

        def get_route_handler(
            self,
        ) -> Callable[[HttpRequest], Coroutine[Any, Any, Response]]:
            served = super().get_route_handler()

            async def handle(request: HttpRequest) -> Response:
                return Lost(None) if state.is_over(request.scope) else await served(request)

            return handle

    control = APIRouter(
        prefix=CONTROL,
        tags=["sandbox"],
        route_class=Current,
        dependencies=[Depends(_no_query)],
    )
    no_body = [Depends(_no_body)]

    @control.put(
        "/repositories/{repository_id}/tags/{name}", responses=told(_shapes.Tag, 400, 404, 409, 503)
    )
    async def write_tag(
        repository_id: str, name: TagName, body: NewTag | None = None
    ) -> JSONResponse:
        """Write a tag, as a push would."""
        fields = {} if body is None else body.model_dump()
        row = await asyncio.to_thread(state.write_tag, repository_id, name, **fields)
        return answer(_shapes.tag(row))

    @control.post("/seed", responses=told(Seeded, 400, 409, 503))
    async def seed(body: Seed | None = None) -> JSONResponse:
        """Make up repositories with tags."""
        body = body or Seed()
        ids = await asyncio.to_thread(state.seed, **body.model_dump())
        return answer({"repository_ids": ids})

    @control.post("/reset", responses=told(Nothing, 400, 503), dependencies=no_body)
    async def reset() -> JSONResponse:
        """Remove all repositories, faults and recorded requests."""
        await state.reset()
        return answer({})

    @control.get("/requests", responses=told(Requests, 400))
    async def requests() -> JSONResponse:
        """Read what the API was asked, in order, the last 10,000 requests."""
        return answer({"requests": [_request(each) for each in state.recorder.requests]})

    @control.delete("/requests", responses=told(Nothing, 400), dependencies=no_body)
    async def forget_requests() -> JSONResponse:
        """Forget what the API was asked."""
        state.recorder.clear()
        return answer({})

    @control.post("/faults", responses=told(Added, 400))
    async def add_fault(body: Fault) -> JSONResponse:
        """Add a fault."""
        return answer({"number": state.faults.arm(body)})

    @control.get("/faults", responses=told(ArmedFaults, 400))
    async def faults() -> JSONResponse:
        """Read the faults, and how often each still strikes; null is for ever."""
        listed = state.faults.list().items()
        rows = [{"number": n, "left": left, **fault.model_dump()} for n, (fault, left) in listed]
        return answer({"faults": rows})

    @control.delete("/faults", responses=told(Nothing, 400), dependencies=no_body)
    async def clear_faults() -> JSONResponse:
        """Remove all faults."""
        state.faults.clear()
        return answer({})

    @control.delete("/faults/{number}", responses=told(Nothing, 400, 404), dependencies=no_body)
    async def remove_fault(number: int) -> JSONResponse:
        """Remove a fault."""
        try:
            state.faults.remove(number)
        except LookupError as error:
            return error_answer(404, str(error))
        return answer({})

    @control.post("/notifications", responses=told(Nothing, 400, 404, 503))
    async def notifications(body: Notification) -> JSONResponse:
        """Take a Docker registry's notification: look again at what it is about."""
        if state.mirror is None:
            return error_answer(404, "this sandbox was not started with a Docker registry")
        try:
            await state.mirror.notified(body)
        except httpx.HTTPError as error:
            # Told that we could not, the registry sends it again.
            return error_answer(503, f"the Docker registry did not answer: {explain(error)}")
        return answer({})

    return control


def _request(request: RecordedRequest) -> Request:
    headers = dict(request.headers)
    # These calls need no credential, so they show none.
    for name in SECRET & headers.keys():
        scheme, _, secret = headers[name].partition(" ")
        shown = secret and scheme.lower() in ("basic", "bearer")
        headers[name] = f"{scheme} ***" if shown else "***"
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": headers,
        "body": request.body.decode(errors="replace"),
    }
