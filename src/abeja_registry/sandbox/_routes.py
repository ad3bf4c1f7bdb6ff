"""Routes of the API: the reference's five operations."""

import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.exceptions import HTTPException

from . import _serializers
from ._context import UsesRegistry, context_of
from ._errors import RegistryError
from ._responses import DroppedResponse, error_response, json_response
from ._secrets import is_one_of
from ._values import MAX_INT64

REPOSITORIES = "/organizations/{organization_id}/registry/repositories"
REPOSITORY = REPOSITORIES + "/{repository_id}"
TAGS = REPOSITORY + "/tags"

# Assumption: without a limit, a page has the number of rows in the reference's example.
DEFAULT_LIMIT = 10
# Assumption: a create responds with 200, as the other operations do.
CREATED = 200


def _check_digits(value: object) -> object:
    # pydantic alone also accepts "5.0", "+5" and "1_000".
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise ValueError("not an integer")
    return value


Limit = Annotated[int, Query(ge=1), BeforeValidator(_check_digits)]
Offset = Annotated[int, Query(ge=0, le=MAX_INT64), BeforeValidator(_check_digits)]


class NewRepository(BaseModel):
    """The body of a create; the store checks the rules of its values."""

    model_config = ConfigDict(strict=True)

    name: str
    description: str | None = None


def authenticate(request: Request) -> None:
    """Raise HTTPException unless a request has an accepted credential for the organization."""
    context = context_of(request)
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "basic") or not secret.strip():
        raise HTTPException(401, "a Bearer or Basic credential is needed")
    credential = f"{scheme.title()} {secret.strip()}"
    if context.credentials and not is_one_of(credential, context.credentials):
        raise HTTPException(401, "the sandbox does not accept this credential")
    if request.path_params["organization_id"] != context.registry.organization_id:
        raise HTTPException(403, "the credential is for another organization")


class FaultRoute(APIRoute):
    """A route that applies the active faults, and then checks the credential."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler; a dependency would run after FastAPI has parsed the body."""
        respond = super().get_route_handler()

        async def respond_with_faults(request: Request) -> Response:
            context, scope = context_of(request), request.scope
            plan = context.faults.take(self.name, request.path_params.get("repository_id"))
            if delay := context.latency + plan.latency:
                await context.generations.sleep(delay, scope)
            if context.generations.is_over(scope):
                # The test that sent it has ended, as a rule.
                return DroppedResponse()
            scope["limit_max"] = min(context.limit_max, plan.limit_max or context.limit_max)
            fault = plan.terminal
            if fault is None:
                authenticate(request)
                return await respond(request)
            response = None
            if fault.work_done or fault.drop in ("response", "half"):
                with suppress(RegistryError, HTTPException, RequestValidationError):
                    authenticate(request)
                    response = await respond(request)
            if fault.status is None:
                return DroppedResponse(response if fault.drop == "half" else None)
            wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return error_response(fault.status, "a fault of the sandbox", headers=wait)

        return respond_with_faults


api = APIRouter(route_class=FaultRoute)


# First, as it is the most frequent request, and routes match in order.
@api.get(TAGS)
async def get_repository_tags(
    request: Request,
    registry: UsesRegistry,
    repository_id: str,
    limit: Limit = DEFAULT_LIMIT,
    offset: Offset = 0,
) -> Response:
    """Read a page of a repository's tags, the oldest first."""
    limit = min(limit, request.scope["limit_max"])
    rows, has_next = registry.store.tags(repository_id, limit, offset)
    window = {"offset": offset, "limit": limit, "has_next": has_next}
    page = _serializers.tag_page(rows, registry.organization_id, repository_id, window)
    return json_response(page)


@api.get(REPOSITORIES)
async def get_repositories(
    request: Request, registry: UsesRegistry, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
) -> Response:
    """Read a page of repositories, the oldest first."""
    limit = min(limit, request.scope["limit_max"])
    rows, has_next = registry.store.repositories(limit, offset)
    window = {"offset": offset, "limit": limit, "has_next": has_next}
    return json_response(_serializers.repository_page(rows, registry.organization_id, window))


@api.get(REPOSITORY)
async def get_repository(registry: UsesRegistry, repository_id: str) -> Response:
    """Read a repository, with its first tags."""
    row, tags = registry.get(repository_id)
    return json_response(_serializers.repository(row, registry.organization_id, tags))


@api.post(REPOSITORIES, status_code=CREATED)
async def create_repository(registry: UsesRegistry, body: NewRepository) -> Response:
    """Create a repository."""
    row = await registry.create(body.name, body.description)
    return json_response(_serializers.repository(row, registry.organization_id, []), CREATED)


@api.delete(REPOSITORY)
async def delete_repository(registry: UsesRegistry, repository_id: str) -> Response:
    """Delete a repository and its tags."""
    row, tags = await registry.delete(repository_id)
    return json_response(_serializers.repository(row, registry.organization_id, tags))
