"""The OpenAPI document, and whether the sandbox keeps to it: schemathesis tries."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

PREFIX = "/organizations/{organization_id}/registry/repositories"
API = {
    ("post", PREFIX): "create_repository",
    ("get", PREFIX): "get_repositories",
    ("get", f"{PREFIX}/{{repository_id}}"): "get_repository",
    ("delete", f"{PREFIX}/{{repository_id}}"): "delete_repository",
    ("get", f"{PREFIX}/{{repository_id}}/tags"): "get_repository_tags",
}
CONTROL = [
    ("put", "/_sandbox/repositories/{repository_id}/tags/{name}"),
    ("post", "/_sandbox/reset"),
    ("get", "/_sandbox/requests"),
    ("delete", "/_sandbox/requests"),
    ("get", "/_sandbox/faults"),
    ("delete", "/_sandbox/faults"),
    ("delete", "/_sandbox/faults/{number}"),
    ("post", "/_sandbox/notifications"),
]
# What these may be told is more than a schema can say; they have tests of their own.
APART = [("post", "/_sandbox/faults"), ("post", "/_sandbox/seed")]


WAITING_FOR_NOBODY = ["/_sandbox/requests", "/_sandbox/faults", "/_sandbox/faults/{number}"]
# What nothing can be wrong with, since it is told nothing.
TOLD_NOTHING = [CONTROL[1], *CONTROL[2:6]]
CALLS = [
    pytest.param(method, path, mode, id=f"{method} {path} {mode.value}")
    for method, path in [*API, *CONTROL]
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or (method, path) not in TOLD_NOTHING
]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Sandbox]:
    """A sandbox that lets in one credential."""
    with Sandbox(credentials=[{"auth_token": "x"}]) as sandbox:
        yield sandbox


@pytest.fixture
def document(guarded: Sandbox) -> dict[str, Any]:
    """The document of a sandbox that holds a little."""
    sandbox = guarded
    sandbox.reset()
    sandbox.seed(repositories=2, tags=3)
    answer = httpx.get(f"{sandbox.url}/_sandbox/openapi.json", trust_env=False)
    document: dict[str, Any] = answer.json()
    return document


@pytest.fixture
def filled(guarded: Sandbox, document: dict[str, Any]) -> dict[str, Any]:
    """The document that names what there is, so that it is not only asked for what is not."""
    with Client(**guarded.connection) as client:
        ids = [repository.id for repository in client.repositories]
    number = guarded.faults.add(operation="get_repository", latency=0.001)
    known = {"repository_id": ids, "number": [number]}
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] in known:
                    parameter["schema"]["enum"] = known[parameter["name"]]
    # No schema says which time is before another; they have tests of their own.
    for field in ("created_at", "updated_at", "creator"):
        del document["components"]["schemas"]["NewTag"]["properties"][field]
    return document


def test_it_describes_every_call(document: dict[str, Any]) -> None:
    """Each of the API's and the sandbox's calls stands in it, with the statuses of its errors."""
    described = {
        (method, path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == {*API, *CONTROL, *APART}
    for method, path in API:
        call = document["paths"][path][method]
        assert {"200", "401", "403"} <= set(call["responses"])
        assert call["security"] == [{"HTTPBearer": []}, {"HTTPBasic": []}]
    for method, path in described:
        answers = document["paths"][path][method]["responses"]
        assert "422" not in answers
        assert all("X-Request-Id" in answer["headers"] for answer in answers.values())
        assert "Allow" in answers["405"]["headers"]
        # Reading waits for no other process.
        assert method == "get" or path in WAITING_FOR_NOBODY or "503" in answers


@pytest.mark.hypothesis
@pytest.mark.parametrize(("method", "path", "mode"), CALLS)
def test_it_keeps_to_its_document(
    guarded: Sandbox, filled: dict[str, Any], method: str, path: str, mode: GenerationMode
) -> None:
    """Whatever is sent, good or bad, with a credential or without, is answered as it says.

    Of what is good, some is done.
    """
    cases = schemathesis.openapi.from_dict(filled)[path][method]
    statuses = set()

    @given(case=cases.as_strategy(generation_mode=mode))
    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    def send(case: Any) -> None:
        headers = {"Authorization": "Bearer x"}
        answer = case.call_and_validate(base_url=guarded.url, headers=headers)
        statuses.add(answer.status_code)

    send()
    # Without a Docker registry there are no notifications.
    if mode is GenerationMode.POSITIVE and not path.endswith("/notifications"):
        assert 200 in statuses
