"""The examples of the API's reference, and the organization and URL of tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Examples = Callable[[str], dict[str, Any]]

EXAMPLES = Path(__file__).parent.parent / "answers"
ORGANIZATION_ID = "1410000000000"
BASE_URL = "https://api.example.com"


def example(operation: str) -> dict[str, Any]:
    """Return the reference's example response of an operation."""
    body: dict[str, Any] = json.loads((EXAMPLES / f"{operation}.json").read_bytes())
    return body


REPOSITORY = example("get_repository")
TAG: dict[str, Any] = example("get_repository_tags")["tags"][0]
