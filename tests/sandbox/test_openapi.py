"""The sandbox's responses, compared with the API's document and with the sandbox's own."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.support.examples import operations
from tests.support.internals import routes_of_the_api

from abeja_registry import Client, openapi
from abeja_registry.sandbox import Sandbox

OPERATIONS = operations()
API = {(operation["method"], operation["path"]): name for name, operation in OPERATIONS.items()}
CONTROL = [
    ("put", "/_sandbox/repositories/{repository_id}/tags/{name}"),
    ("post", "/_sandbox/reset"),
    ("get", "/_sandbox/health"),
    ("get", "/_sandbox/requests"),
    ("delete", "/_sandbox/requests"),
    ("get", "/_sandbox/faults"),
    ("delete", "/_sandbox/faults"),
    ("delete", "/_sandbox/faults/{number}"),
    ("post", "/_sandbox/notifications"),
]
# The bodies of these have rules that no schema has; other tests send them.
NOT_GENERATED = [("post", "/_sandbox/faults"), ("post", "/_sandbox/seed")]
# A write waits for other processes that share the file; these do not write.
WITHOUT_WRITES = ["/_sandbox/requests", "/_sandbox/faults", "/_sandbox/faults/{number}"]
# Every request to these is valid.
WITHOUT_INPUT = [*CONTROL[1:3], *CONTROL[4:7]]
CALLS = [
    pytest.param(method, path, mode, id=f"{method} {path} {mode}")
    for method, path in [*API, *CONTROL]
    for mode in ("positive", "negative")
    if mode == "positive" or (method, path) not in WITHOUT_INPUT
]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Sandbox]:
    """A sandbox that accepts one credential."""
    with Sandbox(credentials=[{"auth_token": "x"}]) as sandbox:
        yield sandbox


# -- the API's document ---------------------------------------------------------------------------


def validate(operation: str, response: httpx.Response) -> None:
    """Compare a response with its operation's in the document; other fields are an error."""
    components = openapi.document()["components"]
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    responses = OPERATIONS[operation]["responses"]
    documented = responses.get(str(response.status_code), responses["default"])
    assert response.headers["Content-Type"] == "application/json"
    assert "X-Request-Id" in response.headers
    [content] = documented["content"].values()
    schema = {**content["schema"], "components": components}
    Draft202012Validator(schema).validate(response.json())


class Caller:
    """Sends an operation's request, with a repository and a valid credential by default."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        sandbox.reset()
        self.repository_id = sandbox.seed(repositories=2, tags=12)[0]

    def __call__(self, operation: str, method: str = "", **change: Any) -> httpx.Response:
        """Send a request, changed as a test wants it."""
        ids = {each["name"]: each.get("example") for each in OPERATIONS[operation]["parameters"]}
        ids["organization_id"] = self.sandbox.organization_id
        ids["repository_id"] = self.repository_id
        ids |= {name: change.pop(name) for name in [*change] if name in ids}
        if operation == "create_repository":
            change.setdefault("json", {"name": "sample", "description": "a sample"})
        change.setdefault("headers", {"Authorization": "Bearer x"})
        path = OPERATIONS[operation]["path"].format(**ids)
        method = method or OPERATIONS[operation]["method"]
        return httpx.request(method, self.sandbox.url + path, trust_env=False, **change)


@pytest.fixture
def call(guarded: Sandbox) -> Caller:
    """Send requests to a sandbox with repositories and tags."""
    return Caller(guarded)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_success_is_as_documented(call: Caller, operation: str) -> None:
    """Its status, headers and body are the documented ones."""
    response = call(operation)
    assert response.status_code == 200
    validate(operation, response)


def test_people_are_the_example_s(call: Caller) -> None:
    """Whoever creates and pushes without a name is the person of the reference's examples."""
    repository = call("get_repository").json()
    content = OPERATIONS["get_repository"]["responses"]["200"]["content"]["application/json"]
    assert repository["creator"] == content["example"]["creator"]
    assert repository["tags"][0]["creator"] == content["example"]["creator"]


ERRORS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "invalid name": (400, "create_repository", {"json": {"name": "A"}}),
    "no JSON": (400, "create_repository", {"json": None, "content": b"name=a"}),
    "limit of repositories": (400, "get_repositories", {"params": {"limit": 0}}),
    "offset of tags": (400, "get_repository_tags", {"params": {"offset": -1}}),
    "no credential": (401, "get_repository", {"headers": {}}),
    "another credential": (401, "create_repository", {"headers": {"Authorization": "Bearer y"}}),
    "another organization": (403, "delete_repository", {"organization_id": "15"}),
    "no such repository": (404, "get_repository", {"repository_id": "9"}),
    "no repository to delete": (404, "delete_repository", {"repository_id": "9"}),
    "no repository with tags": (404, "get_repository_tags", {"repository_id": "9"}),
    "another method": (405, "get_repository_tags", {"method": "PUT"}),
    "a taken name": (409, "create_repository", {"json": {"name": "sample-0001"}}),
    "a long body": (413, "create_repository", {"json": {"name": "n" * 2**21}}),
}


@pytest.mark.parametrize(("status", "operation", "change"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_as_documented(
    call: Caller, status: int, operation: str, change: dict[str, Any]
) -> None:
    """Its body is the documented error."""
    response = call(operation, **change)
    assert response.status_code == status
    validate(operation, response)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_is_as_documented(call: Caller, operation: str) -> None:
    """A fault can have each documented status, and another one."""
    statuses = {int(each) for each in OPERATIONS[operation]["responses"] if each != "default"}
    for status in sorted(each for each in {*statuses, 418} if each >= 400):
        call.sandbox.faults.add(operation=operation, status=status, retry_after=1, times=1)  # type: ignore[arg-type]
        response = call(operation)
        assert response.status_code == status
        validate(operation, response)


def test_a_fault_can_be_of_each_operation(call: Caller) -> None:
    """A fault takes the documented operations, and no other."""
    with pytest.raises(ValueError, match="operation: Input should be ") as raised:
        call.sandbox.faults.add(operation="get_tags", status=503)  # type: ignore[arg-type]
    allowed = re.findall("'([a-z_]+)'", str(raised.value).partition(", got ")[0])
    assert sorted(allowed) == sorted(OPERATIONS)


# -- requests of schemathesis ---------------------------------------------------------------------


@pytest.fixture
def document(call: Caller) -> dict[str, Any]:
    """The sandbox's own document."""
    response = httpx.get(f"{call.sandbox.url}/_sandbox/openapi.json", trust_env=False)
    document: dict[str, Any] = response.json()
    return document


def with_known(document: dict[str, Any], known: dict[str, list[Any]]) -> dict[str, Any]:
    """Return a document whose parameters have known values, so that some requests succeed."""
    for name, values in known.items():
        for parameter in parameters(document):
            if parameter.get("name") == name:
                parameter["schema"]["enum"] = values
    return document


def parameters(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each parameter of a document."""
    yield from document["components"].get("parameters", {}).values()
    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                yield from operation.get("parameters", [])


@pytest.fixture
def filled(call: Caller, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The API's document and the sandbox's own, each with ids that exist."""
    with Client(**call.sandbox.connection) as client:
        ids = [repository.id for repository in client.repositories]
    number = call.sandbox.faults.add(operation="get_repository", latency=0.001)
    # No schema says that one time is before another; other tests check them.
    for field in ("created_at", "updated_at", "creator"):
        del document["components"]["schemas"]["NewTag"]["properties"][field]
    known: dict[str, list[Any]] = {
        "organization_id": [call.sandbox.organization_id],
        "repository_id": ids,
        "number": [number],
    }
    return {"API": with_known(openapi.document(), known), "own": with_known(document, known)}


def test_its_own_document_is_the_api_s_with_its_own_calls(document: dict[str, Any]) -> None:
    """It has each call of the API as documented, and its own, with the statuses of their errors."""
    paths = document["paths"]
    described = {(method, path) for path in paths for method in paths[path]}
    assert {each for each in described if each[0] != "parameters"} == {
        *API,
        *CONTROL,
        *NOT_GENERATED,
    }
    assert set(routes_of_the_api()) == API.keys()
    documented = openapi.document()
    assert {path: paths[path] for path in documented["paths"]} == documented["paths"]
    assert document["components"]["schemas"].items() >= documented["components"]["schemas"].items()
    assert document["security"] == documented["security"]
    for method, path in [*CONTROL, *NOT_GENERATED]:
        call = paths[path][method]
        assert call["security"] == [{}, {"control": []}]
        responses = call["responses"]
        assert "422" not in responses
        assert all("X-Request-Id" in each["headers"] for each in responses.values())
        assert "Allow" in responses["405"]["headers"]
        # A read does not wait for another process.
        assert method == "get" or path in WITHOUT_WRITES or "503" in responses


def test_its_own_document_knows_its_organization(
    guarded: Sandbox, document: dict[str, Any]
) -> None:
    """The id of another organization is not valid."""
    organization = document["components"]["parameters"]["OrganizationId"]
    assert organization["schema"]["enum"] == [guarded.organization_id]
    assert organization["example"] == guarded.organization_id


def test_its_own_document_is_valid(document: dict[str, Any]) -> None:
    """It is OpenAPI, and some call refers to each schema."""
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text


def test_the_shortest_person(call: Caller, document: dict[str, Any]) -> None:
    """Its fields of one character are valid in the document, and the sandbox takes them."""
    person = {"email": "a@b", "role": "r", "display_name": "", "id": "1"}
    components = document["components"]
    schema = {"$ref": "#/components/schemas/NewTag", "components": components}
    Draft202012Validator(schema).validate({"creator": person})
    path = f"/_sandbox/repositories/{call.repository_id}/tags/1.0.0"
    answer = httpx.put(call.sandbox.url + path, json={"creator": person}, trust_env=False)
    assert answer.json()["creator"].items() >= person.items()


@pytest.mark.parametrize("email", ["a@b", "c@d", "ana@abeja.asia"])
def test_a_generated_person(call: Caller, email: str) -> None:
    """Its id has 13 digits, as the reference's, and is the same whenever it is generated."""
    ids = set()
    for name in ("1", "2"):
        path = f"/_sandbox/repositories/{call.repository_id}/tags/{name}"
        answer = httpx.put(call.sandbox.url + path, json={"creator": email}, trust_env=False)
        ids.add(answer.json()["creator"]["id"])
    assert [len(each) for each in ids] == [13]


@pytest.mark.hypothesis
@pytest.mark.parametrize(("method", "path", "mode"), CALLS)
def test_it_keeps_to_its_document(
    guarded: Sandbox,
    filled: dict[str, dict[str, Any]],
    method: str,
    path: str,
    mode: str,
) -> None:
    """The response to any request, valid or not, is as documented; some valid ones succeed."""
    # Loaded here, as it takes as long as many tests.
    import schemathesis

    document = filled["API" if (method, path) in API else "own"]
    cases = schemathesis.openapi.from_dict(document)[path][method]
    statuses = set()

    @given(case=cases.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    def send(case: Any) -> None:
        headers = {"Authorization": "Bearer x"}
        response = case.call_and_validate(base_url=guarded.url, headers=headers)
        statuses.add(response.status_code)

    send()
    # Without a Docker registry there are no notifications.
    if mode == "positive" and not path.endswith("/notifications"):
        assert 200 in statuses
