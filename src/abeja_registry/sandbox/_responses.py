"""JSON responses, each with a request id, and their description for the sandbox's document."""

from collections.abc import Mapping
from http import HTTPStatus
from random import Random
from typing import Any

from fastapi.responses import Response
from pydantic_core import to_json
from starlette.types import Message, Receive, Scope, Send

# A message to the server, in addition to ASGI's own: close the connection now.
DROP: Message = {"type": "sandbox.drop"}
# The prefix of the sandbox's own calls, and its pages.
CONTROL = "/_sandbox"
HEALTH = f"{CONTROL}/health"
LANDING, REFERENCE, OPENAPI = PAGES = ("/", "/reference", "/openapi.json")
JSON_REQUIRED = "send JSON with the header Content-Type: application/json"

# Its own generator, which no test seeds; one of uuid4 reads from the system each time.
_random = Random()
_NO_HEADERS: Mapping[str, str] = {}
_DESCRIPTIONS = {
    200: "Done",
    400: "Bad input; `error_detail` names the field",
    401: "The control token is missing or wrong",
    403: "The host is not allowed, another origin's page sent the request, or the organization is"
    " another one",
    404: "The path names nothing that exists",
    405: "The path does not have this method",
    409: "The name is taken, or the tags are those of a Docker registry",
    413: "The body is too long",
    503: "Another process does not end its write, or the Docker registry does not respond",
}


def _header(description: str, **fields: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, **fields}


_REQUEST_ID = {"X-Request-Id": _header("The id of this request", required=True)}
_HEADERS = {
    401: {"WWW-Authenticate": _header("Bearer, if the control token is missing")},
    405: {"Allow": _header("The path's methods", required=True)},
}


def is_control(scope: Scope) -> bool:
    """Whether a request is for one of the sandbox's own calls."""
    path: str = scope["path"]
    return path == CONTROL or path.startswith(f"{CONTROL}/")


def is_own(scope: Scope) -> bool:
    """Whether a request is for one of the sandbox's own calls or pages, and not for the API."""
    return is_control(scope) or scope["path"] in PAGES


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS
) -> Response:
    """Make a response of JSON, which pydantic serializes in one pass."""
    sent = {"X-Request-Id": f"{_random.getrandbits(128):032x}", **headers}
    return Response(to_json(content), status, sent, "application/json")


def error_response(
    status: int,
    description: str,
    detail: dict[str, str] | None = None,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Response:
    """Make an error response in the API's form; `detail` names the field of bad input."""
    content = {
        "error": HTTPStatus(status).name.lower(),
        "error_description": description,
        "error_detail": detail,
    }
    return json_response(content, status, headers)


def responses(model: Any, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the responses to one of the sandbox's own calls.

    Args:
        model: The schema of a success; the name of one that the API's document has.
        statuses: The statuses of its errors, beside those of each call.
    """
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({200, 401, 403, 405, 413, *statuses}):
        schema = model if status == 200 else "Error"
        described[status] = {
            "description": _DESCRIPTIONS[status],
            "headers": {**_REQUEST_ID, **_HEADERS.get(status, {})},
            **(_of_the_api(schema) if isinstance(schema, str) else {"model": schema}),
        }
    return described


def _of_the_api(schema: str) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"content": {"application/json": content}}


class DroppedResponse(Response):
    """Closes the connection before a response, or after half of it."""

    def __init__(self, half_of: Response | None = None) -> None:
        super().__init__()
        self._half_of = half_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half of the response, if there is one, and close the connection."""
        if self._half_of is not None:
            body = bytes(self._half_of.body)
            start = {"status": self._half_of.status_code, "headers": self._half_of.raw_headers}
            await send({"type": "http.response.start", **start})
            half = {"body": body[: len(body) // 2], "more_body": True}
            await send({"type": "http.response.body", **half})
        await send(DROP)
