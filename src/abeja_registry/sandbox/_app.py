"""The API: the reference's five operations, and a call of the sandbox's own that writes a tag."""

import re
from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.exceptions import HTTPException
from starlette.routing import Match

from . import _shapes
from ._store import LARGEST_INTEGER, Refused, Store

REPOSITORIES = "/organizations/{organization_id}/registry/repositories"
REPOSITORY = REPOSITORIES + "/{repository_id}"

# The reference shows this limit and gives no largest one.
DEFAULT_LIMIT = 10
LIMIT_MAX = 1000
# The reference does not say with what status a create is answered: we assume the others' one.
CREATED = 200
# The reference only shows an empty list of tags inside a repository: we assume a first page.
EMBEDDED_TAGS = DEFAULT_LIMIT


def _digits(value: object) -> object:
    # pydantic alone also takes "5.0", "+5" and "1_000".
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise ValueError("not an integer")
    return value


Limit = Annotated[int, Query(ge=1), BeforeValidator(_digits)]
Offset = Annotated[int, Query(ge=0, le=LARGEST_INTEGER), BeforeValidator(_digits)]


class NewRepository(BaseModel):
    """The body of a create."""

    model_config = ConfigDict(strict=True)

    name: str
    description: str | None = None


class NewTag(BaseModel):
    """The body of a tag written through `/_sandbox`."""

    model_config = ConfigDict(strict=True)

    size: int | None = None
    digest: str | None = None
    media_type: str | None = None


def make_app(store: Store, organization_id: str, limit_max: int = LIMIT_MAX) -> FastAPI:
    """Make the API over a store.

    Handlers are coroutines and ask the store directly: a query takes less than the way to a thread.

    Args:
        store: where repositories and tags are.
        organization_id: the one organization there is, in digits.
        limit_max: the largest page, in rows, 1 or more; a larger limit is clamped to it.

    Returns:
        The application; it needs no lifespan.
    """

    async def admit(request: Request) -> None:
        scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "basic") or not credential.strip():
            raise HTTPException(401, "a Bearer or Basic credential is needed")
        if request.path_params["organization_id"] != organization_id:
            raise HTTPException(403, "the credential is for another organization")

    def whole(repository_id: str) -> dict[str, Any]:
        tags, _ = store.tags(repository_id, EMBEDDED_TAGS, 0)
        return _shapes.repository(store.repository(repository_id), organization_id, tags)

    app = FastAPI(openapi_url=None, redirect_slashes=False)
    admitted = [Depends(admit)]

    @app.post(REPOSITORIES, dependencies=admitted)
    async def create_repository(body: NewRepository) -> JSONResponse:
        row = store.create_repository(body.name, body.description)
        return _answer(_shapes.repository(row, organization_id, tags=[]), CREATED)

    @app.get(REPOSITORIES, dependencies=admitted)
    async def get_repositories(limit: Limit = DEFAULT_LIMIT, offset: Offset = 0) -> JSONResponse:
        limit = min(limit, limit_max)
        rows, has_next = store.repositories(limit, offset)
        window = {"offset": offset, "limit": limit, "has_next": has_next}
        return _answer(_shapes.repository_page(rows, organization_id, window))

    @app.get(REPOSITORY, dependencies=admitted)
    async def get_repository(repository_id: str) -> JSONResponse:
        return _answer(whole(repository_id))

    @app.delete(REPOSITORY, dependencies=admitted)
    async def delete_repository(repository_id: str) -> JSONResponse:
        repository = whole(repository_id)
        store.delete_repository(repository_id)
        return _answer(repository)

    @app.get(REPOSITORY + "/tags", dependencies=admitted)
    async def get_repository_tags(
        repository_id: str, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
    ) -> JSONResponse:
        limit = min(limit, limit_max)
        rows, has_next = store.tags(repository_id, limit, offset)
        window = {"offset": offset, "limit": limit, "has_next": has_next}
        return _answer(_shapes.tag_page(rows, organization_id, repository_id, window))

    @app.put("/_sandbox/repositories/{repository_id}/tags/{name}")
    async def write_tag(repository_id: str, name: str, body: NewTag | None = None) -> JSONResponse:
        fields = {} if body is None else body.model_dump()
        return _answer(_shapes.tag(store.write_tag(repository_id, name, **fields)))

    # An error's handler is a coroutine too, or it would be run in another thread.
    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return _error(error.status, str(error), error.detail)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        # What is said of the body as a whole names a position in it, or nothing.
        field = next((part for part in first["loc"][1:] if isinstance(part, str)), "body")
        return _error(400, f"{field}: {first['msg']}", {"field": field})

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code != 405:
            return _error(error.status_code, error.detail)
        # The router knows only the first route that has the path.
        matching = (r for r in app.routes if r.matches(request.scope)[0] != Match.NONE)
        methods = {m for r in matching if isinstance(r, APIRoute) for m in r.methods or ()}
        allow = ", ".join(sorted(methods))
        return _error(405, f"{request.method} is not among {allow}", Allow=allow)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        # The error goes on to uvicorn, which logs it and closes the connection.
        return _error(500, "the sandbox failed; its log has the traceback", Connection="close")

    return app


def _answer(content: dict[str, Any], status: int = 200, **headers: str) -> JSONResponse:
    return JSONResponse(content, status, {"X-Request-Id": uuid4().hex, **headers})


def _error(
    status: int, description: str, detail: dict[str, str] | None = None, **headers: str
) -> JSONResponse:
    error = HTTPStatus(status).name.lower()
    content = {"error": error, "error_description": description, "error_detail": detail}
    return _answer(content, status, **headers)
