"""The application: all routes, and error responses in the API's form."""

from typing import Any, get_args, get_type_hints

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from abeja_registry import __version__

from .. import openapi
from ._context import Context, UsesContext
from ._control import control
from ._errors import RegistryError
from ._pages import pages
from ._responses import CONTROL, JSON_REQUIRED, error_response, json_response
from ._routes import api


@control.get("/openapi.json", include_in_schema=False)
async def get_document(context: UsesContext) -> Response:
    """Read the OpenAPI document of all calls."""
    return json_response(_document(context.registry.organization_id))


ROUTES = [route for router in (api, control, pages) for route in router.routes]


async def _registry_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryError)
    return error_response(error.status, str(error), error.detail)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    # The location of an error in the whole body is a position, or empty.
    field = next((part for part in first["loc"][1:] if isinstance(part, str)), "body")
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        what = f"this call has no such field; the fields are {', '.join(_fields(request))}"
    if field == "body" and "json" not in request.headers.get("Content-Type", ""):
        what = JSON_REQUIRED
    return error_response(400, f"{field}: {what}", {"field": field})


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code != 405:
        return error_response(error.status_code, error.detail)
    # The router knows only the first route with the path.
    methods = {
        method
        for route in ROUTES
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] != Match.NONE
        for method in route.methods or ()
    }
    allow = ", ".join(sorted(methods))
    return error_response(405, f"{request.method} is not among {allow}", headers={"Allow": allow})


async def _internal_error(_: Request, __: Exception) -> Response:
    # Starlette raises the exception again: uvicorn logs it and closes the connection.
    description = "the sandbox failed; its log has the traceback"
    return error_response(500, description, headers={"Connection": "close"})


def make_app(context: Context) -> FastAPI:
    """Make the application of a running sandbox; it needs no lifespan.

    Handlers are coroutines. A read uses the database directly, as a query takes less time than the
    way to a thread; a write may have to wait for another process, and runs in a thread.
    """
    # Included routers would match each request twice.
    app = FastAPI(
        routes=ROUTES,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={
            RegistryError: _registry_error,
            RequestValidationError: _validation_error,
            HTTPException: _http_error,
            Exception: _internal_error,
        },
    )
    app.state.context = context
    return app


def _fields(request: Request) -> list[str]:
    """Return the fields that a call's body may have."""
    body = get_type_hints(request.scope["route"].endpoint)["body"]
    models = [model for model in (body, *get_args(body)) if hasattr(model, "model_fields")]
    return sorted(name for model in models for name in model.model_fields)


def _document(organization_id: str) -> dict[str, Any]:
    """Return the API's document, to which FastAPI adds the sandbox's own calls."""
    own = get_openapi(
        title="A sandbox of the ABEJA Platform Registry API",
        version=__version__,
        description=f"Organization {organization_id}. Paths under `{CONTROL}` are its own.",
        routes=control.routes,
    )
    document = openapi.document()
    components = document["components"]
    known = components["parameters"]["OrganizationId"]
    known["schema"]["enum"], known["example"] = [organization_id], organization_id
    components["securitySchemes"]["control"] = {"type": "http", "scheme": "bearer"}
    components["schemas"] |= own["components"]["schemas"]
    # FastAPI describes its own response to bad input, which the sandbox does not send.
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for operations in own["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            # Only beyond loopback it needs the control token.
            operation["security"] = [{}, {"control": []}]
    document["paths"] |= own["paths"]
    return {**document, "info": own["info"], "servers": [{"url": "/"}]}
