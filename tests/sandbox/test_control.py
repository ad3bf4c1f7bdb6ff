"""The sandbox's own calls over HTTP: what a test in any language needs."""

from typing import Any

import httpx
import pytest
from tests.support.internals import store_of

from abeja_registry.sandbox import Sandbox


@pytest.fixture
def control(sandbox: Sandbox) -> Any:
    """A client of the sandbox's own calls; it has no credential."""
    sandbox.faults.clear()
    with httpx.Client(base_url=f"{sandbox.url}/_sandbox", trust_env=False) as control:
        yield control


def test_faults(http: httpx.Client, control: httpx.Client) -> None:
    """They are added, listed with what is left of them, and removed."""
    fault = {"operation": "get_repositories", "status": 503, "times": 2}
    number = control.post("/faults", json=fault).json()["number"]
    assert http.get("/repositories").status_code == 503
    [listed] = control.get("/faults").json()["faults"]
    assert listed.items() >= {"number": number, "remaining": 1, **fault}.items()
    assert control.delete(f"/faults/{number}").status_code == 200
    assert control.delete(f"/faults/{number}").status_code == 404
    assert http.get("/repositories").status_code == 200
    control.post("/faults", json=fault)
    control.delete("/faults")
    assert control.get("/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    ("fault", "field"), [({"status": 200}, "status"), ({"x": 1}, "x"), ({}, "body")]
)
def test_a_bad_fault(control: httpx.Client, fault: dict[str, Any], field: str) -> None:
    """It is a 400 that names the field, and nothing is added."""
    answer = control.post("/faults", json=fault)
    assert (answer.status_code, answer.json()["error_detail"]) == (400, {"field": field})
    assert control.get("/faults").json() == {"faults": []}


def test_seed_and_reset(http: httpx.Client, control: httpx.Client) -> None:
    """A seed has the given numbers, a reset leaves nothing, and ids start again at the first."""
    first = control.post("/seed", json={"repositories": 1, "tags": 2}).json()["repository_ids"]
    assert len(http.get(f"/repositories/{first[0]}").json()["tags"]) == 2
    assert len(control.post("/seed").json()["repository_ids"]) == 3
    control.post("/faults", json={"status": 500})
    control.post("/reset")
    assert http.get("/repositories").json()["registry_repositories"] == []
    assert control.post("/seed", json={"repositories": 1}).json()["repository_ids"] == first


@pytest.mark.parametrize("body", [{"repositories": -1}, {"tags": "x"}])
def test_a_bad_seed(control: httpx.Client, body: dict[str, Any]) -> None:
    """It is a 400 that names the field."""
    answer = control.post("/seed", json=body)
    assert (answer.status_code, answer.json()["error_detail"]) == (400, {"field": next(iter(body))})


UNKNOWN: list[tuple[str, str, Any, str]] = [
    ("PUT", "/repositories/{id}/tags/1", {"sizes": 1}, "sizes"),
    ("PUT", "/repositories/{id}/tags/1", {"size": 1, "Digest": "sha256:a"}, "Digest"),
    ("PUT", "/repositories/{id}/tags/1", {"creator": {"name": "Ana"}}, "creator.name"),
    ("PUT", "/repositories/{id}/tags/1?size=1", {}, "size"),
    ("PUT", "/repositories/{id}/tags/1?size=1", None, "size"),
    ("POST", "/seed", {"repository": 1}, "repository"),
    ("POST", "/seed", {"repositories": 1, "": 1}, ""),
    ("POST", "/seed?tags=1", None, "tags"),
    ("POST", "/faults", {"status": 503, "time": 2}, "time"),
    ("POST", "/faults?times=2", {"status": 503}, "times"),
    ("POST", "/reset", {"repositories": False}, "body"),
    ("POST", "/reset", [], "body"),
    ("POST", "/reset?faults=false", None, "faults"),
    ("GET", "/requests?method=GET", None, "method"),
    ("GET", "/health?deep=1", None, "deep"),
    ("DELETE", "/requests?method=GET", None, "method"),
    ("DELETE", "/requests", {"method": "GET"}, "body"),
    ("DELETE", "/faults", {"number": 1}, "body"),
    ("DELETE", "/faults?number=1", None, "number"),
    ("DELETE", "/faults/{fault}", {"number": 1}, "body"),
    ("GET", "/faults?left=1", None, "left"),
]


@pytest.mark.parametrize(("method", "path", "body", "field"), UNKNOWN)
def test_unknown_keys(
    sandbox: Sandbox, control: httpx.Client, method: str, path: str, body: Any, field: str
) -> None:
    """A key that a call does not know is a 400 that names it, and nothing is done."""
    [repository_id] = sandbox.seed(1, 0)
    fault = sandbox.faults.add(operation="get_repository", latency=0.001)
    path = path.format(id=repository_id, fault=fault)
    answer = control.request(method, path, **({} if body is None else {"json": body}))
    assert (answer.status_code, answer.json()["error_detail"]) == (400, {"field": field})
    assert answer.json()["error_description"].startswith(f"{field}: ")
    assert list(sandbox.faults.list()) == [fault]
    store = store_of(sandbox)
    assert [str(row.id) for row in store.repositories(9, 0)[0]] == [repository_id]
    assert not store.digests(repository_id)


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("PUT", "/repositories/1/tags/1", {"created_at", "creator", "digest", "size"}),
        ("POST", "/seed", {"created_at", "creator", "repositories", "tags"}),
        ("POST", "/faults", {"operation", "status", "times", "work_done"}),
    ],
)
def test_an_unknown_key_is_answered_with_the_known(
    control: httpx.Client, method: str, path: str, known: set[str]
) -> None:
    """The error lists the fields that the call has."""
    answer = control.request(method, path, json={"unknown": 1}).json()
    listed = answer["error_description"].partition("the fields are ")[2]
    assert known < {*listed.split(", ")}


@pytest.mark.parametrize("content", ["", "{}", "null", " {}"])
def test_no_fields_for_a_call_without_fields(
    http: httpx.Client, control: httpx.Client, content: str
) -> None:
    """An empty object is no unknown key: some HTTP clients send one with each POST."""
    headers = {"Content-Type": "application/json"}
    assert control.post("/reset", content=content, headers=headers).status_code == 200


def test_requests(http: httpx.Client, control: httpx.Client) -> None:
    """They are returned in order, without the secrets of their credentials, and can be cleared."""
    http.post("/repositories", json={"name": "a"}, headers={"Authorization": "Bearer secret"})
    http.get("/repositories?limit=1")
    answer = control.get("/requests")
    create, listing = answer.json()["requests"]
    assert (create["method"], create["body"]) == ("POST", '{"name":"a"}')
    assert create["headers"]["authorization"] == "Bearer ***"
    assert "secret" not in answer.text
    assert (listing["path"], listing["query"]) == (
        "/organizations/1410000000000/registry/repositories",
        "limit=1",
    )
    control.delete("/requests")
    for header in ("secret", "secret more", "Bearer"):
        http.get("/repositories", headers={"Authorization": header, "Cookie": "secret"})
    assert "secret" not in control.get("/requests").text
    control.delete("/requests")
    assert control.get("/requests").json() == {"requests": []}


def test_the_last_requests(http: httpx.Client, control: httpx.Client) -> None:
    """With a limit, only that many of the last requests are returned, in their order."""
    for offset in range(4):
        http.get("/repositories", params={"offset": offset})
    last = control.get("/requests", params={"limit": 2}).json()["requests"]
    assert [request["query"] for request in last] == ["offset=2", "offset=3"]
    assert control.get("/requests", params={"limit": 0}).status_code == 400


def test_health(sandbox: Sandbox, control: httpx.Client) -> None:
    """A running sandbox is healthy, whatever its faults, and does not record the request."""
    sandbox.faults.add(status=500)
    response = control.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert sandbox.requests == ()


def test_the_document_has_one_method(control: httpx.Client) -> None:
    """Another method than GET is a 405 that names GET."""
    answer = control.post("/openapi.json")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_notifications_without_a_docker_registry(control: httpx.Client) -> None:
    """A sandbox that shows no Docker registry's tags takes no notifications."""
    assert control.post("/notifications", json={"events": []}).status_code == 404
