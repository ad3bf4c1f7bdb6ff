"""Routes of the sandbox's own calls, under `/_sandbox`: for tests in any language."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from .._validation import DIGEST
from ..images import TAG
from . import _schemas, _serializers
from ._context import UsesContext, UsesRegistry, context_of
from ._docker import describe_error
from ._errors import UnknownKey
from ._faults import Fault
from ._mirror import Notification
from ._recorder import MAX_REQUESTS, RecordedRequest
from ._responses import (
    CONTROL,
    HEALTH,
    DroppedResponse,
    error_response,
    json_response,
    responses,
)
from ._values import MAX_INT64, MEDIA_TYPE, PERSON_SCHEMA, TAG_RULE, TIME_SCHEMA


def _as_integer(value: object) -> object:
    # JSON has one type of numbers: 30.0 is an integer too.
    return int(value) if isinstance(value, float) and value.is_integer() else value


Size = Annotated[int, Field(ge=0, le=MAX_INT64, description="bytes"), BeforeValidator(_as_integer)]


def _documented(pattern: str) -> Any:
    # The store checks it, and names the rule in words.
    return Field(json_schema_extra={"pattern": f"^{pattern}$"})


# The store checks these too.
Time = Annotated[Any, WithJsonSchema(TIME_SCHEMA)]
Person = Annotated[Any, WithJsonSchema(PERSON_SCHEMA)]


class Provenance(BaseModel):
    """Times and creator; the sandbox generates missing ones."""

    model_config = ConfigDict(strict=True, extra="forbid")

    created_at: Time | None = None
    updated_at: Time | None = None
    creator: Person | None = None


class NewTag(Provenance):
    """The fields of a tag; the sandbox generates missing ones."""

    size: Size | None = None
    digest: Annotated[str, _documented(DIGEST)] | None = None
    media_type: Annotated[str, _documented(MEDIA_TYPE)] | None = None


class Seed(Provenance):
    """The numbers of generated repositories and tags."""

    repositories: Annotated[int, Field(ge=0, le=100)] = 3
    tags: Annotated[int, Field(ge=0, le=10_000, description="in each repository")] = 25


TagName = Annotated[str, Path(description=TAG_RULE, json_schema_extra={"pattern": f"^{TAG}$"})]


async def _known_query(request: Request) -> None:
    known = [field.name for field in request.scope["route"].dependant.query_params]
    for key in request.query_params:
        if key not in known:
            what = f"no such query parameter, but {', '.join(known)}" if known else "no query"
            raise UnknownKey(key, f"this call has {what}")


async def _no_body(request: Request) -> None:
    if (await request.body()).strip() not in (b"", b"{}", b"null"):
        raise UnknownKey("body", "this call has no fields")


NO_BODY = [Depends(_no_body)]
Last = Annotated[int, Query(ge=1, le=MAX_REQUESTS, description="how many of the last requests")]


class ControlRoute(APIRoute):
    """A route that drops requests which began before the last reset."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        respond = super().get_route_handler()

        async def respond_or_drop(request: Request) -> Response:
            is_over = context_of(request).generations.is_over(request.scope)
            return DroppedResponse() if is_over else await respond(request)

        return respond_or_drop


control = APIRouter(
    prefix=CONTROL, tags=["sandbox"], route_class=ControlRoute, dependencies=[Depends(_known_query)]
)


@control.get(HEALTH.removeprefix(CONTROL), responses=responses(_schemas.Health, 400))
async def get_health(registry: UsesRegistry) -> Response:
    """Check that the sandbox responds and can read its database; needs no token."""
    registry.store.repositories(1, 0)
    return json_response({"status": "ok"})


@control.put(
    "/repositories/{repository_id}/tags/{name}",
    responses=responses("Tag", 400, 404, 409, 503),
)
async def write_tag(
    registry: UsesRegistry, repository_id: str, name: TagName, body: NewTag | None = None
) -> Response:
    """Write a tag, as a push would."""
    fields = {} if body is None else body.model_dump()
    row = await asyncio.to_thread(registry.write_tag, repository_id, name, **fields)
    return json_response(_serializers.tag(row))


@control.post("/seed", responses=responses(_schemas.Seeded, 400, 409, 503))
async def seed(registry: UsesRegistry, body: Seed | None = None) -> Response:
    """Generate repositories with tags."""
    fields = (body or Seed()).model_dump()
    ids = await asyncio.to_thread(registry.seed, **fields)
    return json_response({"repository_ids": ids})


@control.post("/reset", responses=responses(_schemas.Empty, 400, 503), dependencies=NO_BODY)
async def reset(context: UsesContext) -> Response:
    """Delete all repositories, faults and recorded requests."""
    await context.reset()
    return json_response({})


@control.get("/requests", responses=responses(_schemas.Requests, 400))
async def get_requests(context: UsesContext, limit: Last = MAX_REQUESTS) -> Response:
    """Read the last requests to the API, in the order of their arrival."""
    requests = context.recorder.requests[-limit:]
    return json_response({"requests": list(map(_without_secrets, requests))})


@control.delete("/requests", responses=responses(_schemas.Empty, 400), dependencies=NO_BODY)
async def clear_requests(context: UsesContext) -> Response:
    """Forget the recorded requests."""
    context.recorder.clear()
    return json_response({})


@control.post("/faults", responses=responses(_schemas.FaultCreated, 400))
async def add_fault(context: UsesContext, body: Fault) -> Response:
    """Add a fault."""
    return json_response({"number": context.faults.arm(body)})


@control.get("/faults", responses=responses(_schemas.ActiveFaults, 400))
async def get_faults(context: UsesContext) -> Response:
    """Read the active faults, and the number of requests that each still affects; null is all."""
    rows = [
        {"number": number, "remaining": remaining, **fault.model_dump()}
        for number, (fault, remaining) in context.faults.list().items()
    ]
    return json_response({"faults": rows})


@control.delete("/faults", responses=responses(_schemas.Empty, 400), dependencies=NO_BODY)
async def clear_faults(context: UsesContext) -> Response:
    """Remove all faults."""
    context.faults.clear()
    return json_response({})


@control.delete(
    "/faults/{number}", responses=responses(_schemas.Empty, 400, 404), dependencies=NO_BODY
)
async def remove_fault(context: UsesContext, number: int) -> Response:
    """Remove a fault."""
    try:
        context.faults.remove(number)
    except LookupError as error:
        return error_response(404, str(error))
    return json_response({})


@control.post("/notifications", responses=responses(_schemas.Empty, 400, 404, 503))
async def receive_notification(registry: UsesRegistry, body: Notification) -> Response:
    """Receive a Docker registry's notification, and read the tags that it names."""
    if registry.mirror is None:
        return error_response(404, "the sandbox was started without a Docker registry")
    try:
        await registry.mirror.handle_notification(body)
    except httpx.HTTPError as error:
        # After an error, the registry sends the notification again.
        return error_response(503, f"the Docker registry failed: {describe_error(error)}")
    return json_response({})


# The control API needs no credential, so it shows none.
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


def _without_secrets(request: RecordedRequest) -> _schemas.RecordedRequestOut:
    headers = dict(request.headers)
    for name in SECRET_HEADERS & headers.keys():
        scheme, _, secret = headers[name].partition(" ")
        has_scheme = secret and scheme.lower() in ("basic", "bearer")
        headers[name] = f"{scheme} ***" if has_scheme else "***"
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": headers,
        "body": request.body.decode(errors="replace"),
    }
