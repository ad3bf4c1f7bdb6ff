"""The API: the reference's five operations as they look on the wire."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, get_args, get_type_hints

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from abeja_registry import __version__

from ..images import NAME
from . import _shapes
from ._answers import CREATED, Lost, answer, error_answer, told
from ._control import make_control
from ._secrets import is_one_of
from ._state import State
from ._store import LARGEST_INTEGER, NAME_RULE
from ._values import Refused

REPOSITORIES = "/organizations/{organization_id}/registry/repositories"
REPOSITORY = REPOSITORIES + "/{repository_id}"

# The reference shows this limit and gives no largest one.
DEFAULT_LIMIT = 10
# The reference only shows an empty list of tags inside a repository: we assume a first page.
EMBEDDED_TAGS = DEFAULT_LIMIT

# The credentials that the document tells of.
SCHEMES = {
    "HTTPBearer": {"type": "http", "scheme": "bearer"},
    "HTTPBasic": {"type": "http", "scheme": "basic"},
}


def _digits(value: object) -> object:
    # pydantic alone also takes "5.0", "+5" and "1_000".
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise ValueError("not an integer")
    return value


Limit = Annotated[int, Query(ge=1, description="rows in a page, at most"), BeforeValidator(_digits)]
Offset = Annotated[
    int,
    Query(ge=0, le=LARGEST_INTEGER, description="rows to pass over"),
    BeforeValidator(_digits),
]
RepositoryId = Annotated[str, Path(description="its id, in digits")]


class NewRepository(BaseModel):
    """The body of a create."""

    model_config = ConfigDict(strict=True)

    # The store checks the rules of names; here they are told.
    name: Annotated[
        str,
        Field(description=NAME_RULE, json_schema_extra={"pattern": f"^{NAME}$", "maxLength": 255}),
    ]
    description: str | None = None


def make_app(state: State) -> FastAPI:
    """Make the API over a state.

    Handlers are coroutines. They read from the store directly, since a query takes less than the
    way to a thread; a write may have to wait for another process's, and goes there.

    Args:
        state: what it answers from.

    Returns:
        The application; it needs no lifespan.
    """
    store, organization_id = state.store, state.organization_id

    def admit(request: Request) -> None:
        authorization = request.headers.get("Authorization", "")
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() not in ("bearer", "basic") or not credential.strip():
            raise HTTPException(401, "a Bearer or Basic credential is needed")
        sent = f"{scheme.title()} {credential.strip()}"
        if state.admitted and not is_one_of(sent, state.admitted):
            raise HTTPException(401, "the credential is not one of those that are let in")
        if request.path_params["organization_id"] != organization_id:
            raise HTTPException(403, "the credential is for another organization")

    class Troubled(APIRoute):
        """A route that meets the faults, and then looks at the credential before all else."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            served = super().get_route_handler()

            async def handle(request: Request) -> Response:
                # Here and not as a dependency: FastAPI reads a body before those.
                admit(request)
                return await served(request)

            async def handle_in_trouble(request: Request) -> Response:
                trouble = state.faults.meet(self.name, request.path_params.get("repository_id"))
                await state.wait(state.latency + trouble.latency, request.scope)
                if state.is_over(request.scope):
                    # Who sent it is gone, as a rule a test that is over.
                    return Lost(None)
                limit_max = min(state.limit_max, trouble.limit_max or state.limit_max)
                request.state.limit_max = limit_max
                fault = trouble.ending
                if fault is None:
                    return await handle(request)
                answered = None
                if fault.work_done or fault.drop in ("answer", "half"):
                    with suppress(Refused, HTTPException, RequestValidationError):
                        answered = await handle(request)
                if fault.status is None:
                    return Lost(answered if fault.drop == "half" else None)
                wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                return error_answer(fault.status, "a fault of the sandbox's", headers=wait)

            return handle_in_trouble

    def whole(repository_id: str) -> _shapes.Repository:
        tags, _ = store.tags(repository_id, EMBEDDED_TAGS, 0)
        return _shapes.repository(store.repository(repository_id), organization_id, tags)

    api = APIRouter(route_class=Troubled, tags=["registry"])

    @api.post(
        REPOSITORIES,
        status_code=CREATED,
        responses=told(_shapes.Repository, 400, 401, 403, 409, 503),
    )
    async def create_repository(body: NewRepository) -> JSONResponse:
        """Create a repository."""
        row = await asyncio.to_thread(store.create_repository, body.name, body.description)
        if state.mirror is not None:
            await state.mirror.created(body.name)
        return answer(_shapes.repository(row, organization_id, tags=[]), CREATED)

    @api.get(REPOSITORIES, responses=told(_shapes.RepositoryPage, 400, 401, 403))
    async def get_repositories(
        request: Request, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
    ) -> JSONResponse:
        """Read a page of repositories, the oldest first."""
        limit = min(limit, request.state.limit_max)
        rows, has_next = store.repositories(limit, offset)
        window: _shapes.Window = {"offset": offset, "limit": limit, "has_next": has_next}
        return answer(_shapes.repository_page(rows, organization_id, window))

    @api.get(REPOSITORY, responses=told(_shapes.Repository, 401, 403, 404))
    async def get_repository(repository_id: RepositoryId) -> JSONResponse:
        """Read a repository, with its first tags."""
        return answer(whole(repository_id))

    @api.delete(REPOSITORY, responses=told(_shapes.Repository, 401, 403, 404, 503))
    async def delete_repository(repository_id: RepositoryId) -> JSONResponse:
        """Delete a repository and its tags."""
        repository = whole(repository_id)
        digests = store.digests(repository_id) if state.mirror is not None else {}
        await asyncio.to_thread(store.delete_repository, repository_id)
        if state.mirror is not None:
            await state.mirror.deleted(repository["name"], set(digests.values()))
        return answer(repository)

    @api.get(REPOSITORY + "/tags", responses=told(_shapes.TagPage, 400, 401, 403, 404))
    async def get_repository_tags(
        request: Request,
        repository_id: RepositoryId,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> JSONResponse:
        """Read a page of a repository's tags, the oldest first."""
        limit = min(limit, request.state.limit_max)
        rows, has_next = store.tags(repository_id, limit, offset)
        window: _shapes.Window = {"offset": offset, "limit": limit, "has_next": has_next}
        return answer(_shapes.tag_page(rows, organization_id, repository_id, window))

    app = FastAPI(openapi_url=None, redirect_slashes=False)
    control = make_control(state)

    @control.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return answer(_document(app, organization_id))

    app.include_router(api)
    app.include_router(control)

    # An error's handler is a coroutine too, or it would be run in another thread.
    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return error_answer(error.status, str(error), error.detail)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        # What is said of the body as a whole names a position in it, or nothing.
        field = next((part for part in first["loc"][1:] if isinstance(part, str)), "body")
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = f"this call has no such field, but {', '.join(_fields(request))}"
        if field == "body" and "json" not in request.headers.get("Content-Type", ""):
            what = "JSON is needed, and the header Content-Type: application/json"
        return error_answer(400, f"{field}: {what}", {"field": field})

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code != 405:
            return error_answer(error.status_code, error.detail)
        # The router knows only the first route that has the path.
        routes = [*api.routes, *control.routes]
        matching = (r for r in routes if r.matches(request.scope)[0] != Match.NONE)
        methods = {m for r in matching if isinstance(r, APIRoute) for m in r.methods or ()}
        allow = ", ".join(sorted(methods))
        return error_answer(405, f"{request.method} is not among {allow}", headers={"Allow": allow})

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        # The error goes on to uvicorn, which logs it and closes the connection.
        description = "the sandbox failed; its log has the traceback"
        return error_answer(500, description, headers={"Connection": "close"})

    return app


def _fields(request: Request) -> list[str]:
    """Return the fields that the body of a call may have."""
    body = get_type_hints(request.scope["route"].endpoint)["body"]
    kinds = [kind for kind in (body, *get_args(body)) if hasattr(kind, "model_fields")]
    return sorted(name for kind in kinds for name in kind.model_fields)


def _document(app: FastAPI, organization_id: str) -> dict[str, Any]:
    document = get_openapi(
        title="A sandbox of the ABEJA Platform Registry API",
        version=__version__,
        description=f"Organization {organization_id}. Paths under `/_sandbox` are its own.",
        routes=app.routes,
    )
    # `admit` looks at the credential and the organization, not FastAPI: it would refuse some.
    known_id = {
        "name": "organization_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": [organization_id]},
    }
    # FastAPI tells of its own kind of answer to bad input, which we do not give.
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if not path.startswith("/_sandbox"):
                operation["security"] = [{name: []} for name in SCHEMES]
                operation["parameters"] = [known_id, *operation.get("parameters", [])]
    document["components"]["securitySchemes"] = SCHEMES
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document
