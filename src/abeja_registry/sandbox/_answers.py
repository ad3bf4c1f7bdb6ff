"""Answers as JSON, each with a request id of its own."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from ._shapes import Error

# The reference does not say with what status a create is answered: we assume the others' one.
CREATED = 200

# A message to whatever carries the answer, beside ASGI's own: lose the connection, now.
DROP: Message = {"type": "sandbox.drop"}

# Where the sandbox's own calls are.
CONTROL = "/_sandbox"

_NO_HEADERS: Mapping[str, str] = {}
_ERRORS = {
    400: "Bad input; `error_detail` names the field",
    401: "No credential, or a wrong one",
    403: "The host is not allowed, a web page elsewhere asks, or it is another organization's",
    404: "What the path names is not there",
    409: "The name is taken, or the tags are a Docker registry's",
    405: "The path has no such method",
    413: "The body is too long",
    503: "Another process writes and does not end, or the Docker registry does not answer",
}


def _header(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, **more}


_REQUEST_ID = {"X-Request-Id": _header("An id of this answer's own", required=True)}
_HEADERS = {
    401: {"WWW-Authenticate": _header("Bearer, where the control token is missing")},
    405: {"Allow": _header("The path's methods", required=True)},
    503: {"Retry-After": _header("Seconds, where a fault says so")},
}


def is_control(scope: Scope) -> bool:
    """Whether a request is for one of the sandbox's own calls."""
    path: str = scope["path"]
    return path == CONTROL or path.startswith(f"{CONTROL}/")


def answer(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] = _NO_HEADERS
) -> JSONResponse:
    """Answer a JSON object."""
    return JSONResponse(content, status, {"X-Request-Id": uuid4().hex, **headers})


def error_answer(
    status: int,
    description: str,
    detail: dict[str, str] | None = None,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> JSONResponse:
    """Answer an error in the API's form; `detail` names the field of bad input."""
    content: Error = {
        "error": HTTPStatus(status).name.lower(),
        "error_description": description,
        "error_detail": detail,
    }
    return answer(content, status, headers)


def told(shape: Any, *errors: int) -> dict[int | str, dict[str, Any]]:
    """Tell the OpenAPI document what a call answers: its shape, and errors by their status."""
    answers: dict[int | str, dict[str, Any]] = {
        200: {"model": shape, "description": "Done", "headers": _REQUEST_ID}
    }
    for status in sorted({*errors, 401, 403, 405, 413}):
        headers = {**_REQUEST_ID, **_HEADERS.get(status, {})}
        answers[status] = {"model": Error, "description": _ERRORS[status], "headers": headers}
    return answers


class Lost(Response):
    """No answer, or half of one, and then the connection is lost."""

    def __init__(self, answer: Response | None) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is of the answer, and lose the connection."""
        if self._answer is not None:
            body = bytes(self._answer.body)
            start = {"status": self._answer.status_code, "headers": self._answer.raw_headers}
            await send({"type": "http.response.start", **start})
            half = {"body": body[: len(body) // 2], "more_body": True}
            await send({"type": "http.response.body", **half})
        await send(DROP)
