"""The examples of the API's reference, and the organization and URL of tests."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from abeja_registry import openapi

Examples = Callable[[str], dict[str, Any]]

ORGANIZATION_ID = "1410000000000"
BASE_URL = "https://api.example.com"


# Parsed once: a registry is made for each test.
_document = functools.cache(openapi.document)


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the API's document, or the component that it refers to."""
    if "$ref" not in value:
        return value
    _, _, kind, name = value["$ref"].split("/")
    component: dict[str, Any] = _document()["components"][kind][name]
    return component


def operations() -> dict[str, dict[str, Any]]:
    """Return the operations of the API's document by their ids; do not change them.

    Each has its path and its method too, all its parameters and its responses.
    """
    return {
        operation["operationId"]: {
            **operation,
            "path": path,
            "method": method,
            "parameters": [
                resolved(each) for each in item["parameters"] + operation.get("parameters", [])
            ],
            "responses": {
                status: resolved(each) for status, each in operation["responses"].items()
            },
        }
        for path, item in _document()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


@functools.cache
def _example_text(operation: str) -> str:
    response = operations()[operation]["responses"]["200"]
    return json.dumps(response["content"]["application/json"]["example"])


def example(operation: str) -> dict[str, Any]:
    """Return the reference's example response of an operation, as a new value."""
    body: dict[str, Any] = json.loads(_example_text(operation))
    return body


REPOSITORY = example("get_repository")
TAG: dict[str, Any] = example("get_repository_tags")["tags"][0]
