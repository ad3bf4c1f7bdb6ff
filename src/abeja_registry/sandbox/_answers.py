"""Answers as JSON, each with a request id of its own."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi.responses import JSONResponse

from ._shapes import Error

_NO_HEADERS: Mapping[str, str] = {}


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
