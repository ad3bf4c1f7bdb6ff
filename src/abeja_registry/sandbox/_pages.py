"""Pages for a browser: the landing page, and the API's reference."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from .. import openapi
from ._context import Context, UsesContext
from ._options import ANY_CREDENTIAL, VARIABLES
from ._reference import Reference
from ._responses import LANDING, OPENAPI, REFERENCE, json_response
from ._shells import SHELLS, export_lines

pages = APIRouter(include_in_schema=False)


@pages.get(LANDING)
async def get_landing_page(request: Request, context: UsesContext) -> Response:
    """Read the landing page."""
    variables = _variables(request, context)
    values = {
        "organization_id": escape(context.registry.organization_id),
        "credentials": escape(_credentials(context)),
        "shells": "\n".join(_shell(shell, variables) for shell in SHELLS),
        "script": _asset("landing.js"),
    }
    return _html("landing.html", values)


@pages.get(REFERENCE)
async def get_reference() -> Response:
    """Read the API's reference."""
    return _html("reference.html", _reference())


@pages.get(OPENAPI)
async def get_openapi(request: Request) -> Response:
    """Read the API's OpenAPI document, with this sandbox as its server."""
    servers = [{"url": _base_url(request)}]
    return json_response({**openapi.document(), "servers": servers})


def _base_url(request: Request) -> str:
    # The guard has checked the host, by which this client reaches the sandbox.
    return str(request.base_url).rstrip("/")


def _variables(request: Request, context: Context) -> dict[str, str]:
    variables = {
        "ABEJA_API_URL": _base_url(request),
        "ABEJA_ORGANIZATION_ID": context.registry.organization_id,
    }
    if not context.credentials:
        variables |= {VARIABLES[part]: value for part, value in ANY_CREDENTIAL.items()}
    return variables


def _credentials(context: Context) -> str:
    if context.credentials:
        return "It accepts the credentials that it was started with; set one of them too."
    return "It accepts any credential."


def _shell(shell: str, variables: dict[str, str]) -> str:
    lines = escape(export_lines(shell, variables))
    return f'<div><h3>{shell}</h3><pre tabindex="0">{lines}</pre></div>'


@cache
def _reference() -> dict[str, str]:
    document = openapi.document()
    reference = Reference(document)
    return {
        "title": escape(document["info"]["title"]),
        "description": escape(document["info"]["description"]),
        "operations": reference.operations(),
        "schemas": reference.schemas(),
    }


@cache
def _asset(name: str) -> str:
    return files("abeja_registry.sandbox").joinpath(name).read_text(encoding="utf-8")


@cache
def _headers(script: str) -> dict[str, str]:
    """Return headers that keep a page from running or loading anything else."""
    policy = {
        "default-src": "'none'",
        "style-src": _source(_asset("page.css")),
        "script-src": _source(script) if script else "'none'",
        "connect-src": "'self'" if script else "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _html(template: str, values: Mapping[str, str]) -> Response:
    page = Template(_asset(template)).substitute(values, css=_asset("page.css"))
    return HTMLResponse(page, headers=_headers(values.get("script", "")))
