"""The examples of the API's reference, and the organization and URL of tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abeja_registry import openapi

Examples = Callable[[str], dict[str, Any]]

ORGANIZATION_ID = "1410000000000"
BASE_URL = "https://api.example.com"


def operations() -> dict[str, dict[str, Any]]:
    """Return the operations of the API's document by their ids, as a new value.

    Each has its path and its method too, and the parameters of the path.
    """
    return {
        operation["operationId"]: {
            **operation,
            "path": path,
            "method": method,
            "parameters": [*item["parameters"], *operation.get("parameters", [])],
        }
        for path, item in openapi.document()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def example(operation: str) -> dict[str, Any]:
    """Return the reference's example response of an operation, as a new value."""
    response = operations()[operation]["responses"]["200"]
    body: dict[str, Any] = response["content"]["application/json"]["example"]
    return body


REPOSITORY = example("get_repository")
TAG: dict[str, Any] = example("get_repository_tags")["tags"][0]
