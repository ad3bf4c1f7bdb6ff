"""The API's document: valid OpenAPI 3.1, and printed for clients in other languages."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ValidationError
from tests.support.examples import BASE_URL, example, operations, resolved

from abeja_registry import (
    APIClient,
    AsyncPage,
    AsyncRepository,
    Creator,
    Page,
    Repository,
    Tag,
    openapi,
)

DOCUMENT = openapi.document()
OPERATIONS = operations()
SCHEMAS = DOCUMENT["components"]["schemas"]


def schema(name: str) -> dict[str, Any]:
    """Return a schema of the document, with the schemas it refers to."""
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


# -- the document ---------------------------------------------------------------------------------


def test_the_document_is_valid() -> None:
    """It is OpenAPI 3.1, and its schemas are JSON Schema."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert not list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors())
    for each in SCHEMAS.values():
        Draft202012Validator.check_schema(each)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_example_has_its_schema(operation: str) -> None:
    """The reference's example of a response validates."""
    content = OPERATIONS[operation]["responses"]["200"]["content"]["application/json"]
    name = content["schema"]["$ref"].rpartition("/")[2]
    Draft202012Validator(schema(name)).validate(content["example"])


def test_every_component_is_used() -> None:
    """No schema, parameter, header or response is left over."""
    text = openapi.text()
    for kind in ("schemas", "parameters", "headers", "responses"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text


def test_a_document_is_a_new_value() -> None:
    """A caller may change the document without changing the next one."""
    openapi.document()["paths"].clear()
    assert openapi.document() == DOCUMENT


# -- assumptions ----------------------------------------------------------------------------------


def assumptions(value: Any) -> Iterator[str]:
    """Yield each `x-assumption` within a part of the document."""
    if isinstance(value, list):
        for each in value:
            yield from assumptions(each)
    elif isinstance(value, dict):
        found = value.get("x-assumption", [])
        yield from [found] if isinstance(found, str) else found
        yield from assumptions([*value.values()])


def test_each_assumption_is_documented_and_implemented() -> None:
    """The sentences after `Assumption:` in the code are those of the document's `x-assumption`."""
    implemented = set()
    for module in Path(openapi.__file__).parent.rglob("*.py"):
        # One line, without the marks of comments.
        text = re.sub(r"\s*\n\s*(# )?", " ", module.read_text(encoding="utf-8"))
        implemented.update(re.findall(r"Assumption: (.+?)\.(?= |$)", text))
    assert implemented == {*assumptions(DOCUMENT)}


# -- the code, compared with the document ---------------------------------------------------------


def sent_by(operation: str, arguments: dict[str, str]) -> httpx.Request:
    """Return the request that the raw client sends for an operation."""
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={})

    with httpx.Client(transport=httpx.MockTransport(respond)) as http_client:
        client = APIClient({}, base_url=BASE_URL, http_client=http_client)
        getattr(client, operation)(**arguments)
    [request] = requests
    return request


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_sent_as_documented(operation: str) -> None:
    """Arguments, method, path, query and body are the documented ones."""
    documented = OPERATIONS[operation]
    path, method = documented["path"], documented["method"]
    parameters = documented["parameters"]
    segments = [each["name"] for each in parameters if each["in"] == "path"]
    query = [each["name"] for each in parameters if each["in"] == "query"]
    body: dict[str, Any] = {"properties": {}, "required": []}
    if "requestBody" in documented:
        body = resolved(documented["requestBody"]["content"]["application/json"]["schema"])
    names = [*segments, *body["properties"], *query]
    required = {*segments, *body["required"]}

    _, *signature = inspect.signature(getattr(APIClient, operation)).parameters.values()
    assert [each.name for each in signature] == names
    assert {each.name for each in signature if each.default is each.empty} == required

    every = {name: str(number) for number, name in enumerate(names, start=1)}
    for given in (every, {name: every[name] for name in names if name in required}):
        request = sent_by(operation, given)
        assert (request.method, request.url.path) == (method.upper(), path.format(**every))
        assert dict(request.url.params) == {name: given[name] for name in query if name in given}
        sent = json.loads(request.content or b"{}")
        assert sent == {name: given[name] for name in body["properties"] if name in given}


# The models of each schema.
MODELS: dict[str, tuple[type[BaseModel], ...]] = {
    "Creator": (Creator,),
    "Tag": (Tag,),
    "Repository": (Repository, AsyncRepository),
    "ListedRepository": (Repository, AsyncRepository),
    "RepositoryPage": (Page[Repository], AsyncPage[AsyncRepository]),
    "TagPage": (Page[Tag], AsyncPage[Tag]),
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "Creator": example("get_repository")["creator"],
    "Tag": example("get_repository_tags")["tags"][0],
    "Repository": example("get_repository"),
    "ListedRepository": example("get_repositories")["registry_repositories"][0],
    "RepositoryPage": example("get_repositories"),
    "TagPage": example("get_repository_tags"),
}
# In these fields the models also take null, or no value at all.
ORGANIZATION = {"organization_id", "organization_name", "created_at", "updated_at"}
LENIENT = {
    "Repository": {"tags"},
    "RepositoryPage": ORGANIZATION,
    "TagPage": {*ORGANIZATION, "registry_repository_id"},
}
# The rows of a page, which its model has as `items`; null is an empty list.
ROWS = {"RepositoryPage": "registry_repositories", "TagPage": "tags"}
PAIRS = [(name, model) for name, models in MODELS.items() for model in models]


def test_a_model_has_the_documented_fields() -> None:
    """It has each field of its schemas, and no other."""
    fields: dict[str, set[str]] = {}
    for name, model in PAIRS:
        documented = {*SCHEMAS[name]["properties"]}
        if name in ROWS:
            documented = documented - {ROWS[name]} | {"items"}
        # A page's fields are those of both lists.
        fields.setdefault(model.__name__.partition("[")[0], set()).update(documented)
    for _, model in PAIRS:
        assert {*model.model_fields} == fields[model.__name__.partition("[")[0]]


@pytest.mark.parametrize(("name", "model"), PAIRS, ids=lambda each: getattr(each, "__name__", each))
def test_a_model_requires_the_documented_fields(name: str, model: type[BaseModel]) -> None:
    """A field may be null or missing where the document says null, and in few others."""
    row, properties = EXAMPLES[name], SCHEMAS[name]["properties"]
    assert {*SCHEMAS[name]["required"]} == {*properties} == {*row}

    def accepted(change: Callable[[str], dict[str, Any]]) -> set[str]:
        fields = set()
        for field in row:
            with suppress(ValidationError):
                model.model_validate(change(field))
                fields.add(field)
        return fields

    optional = {each for each in properties if "null" in resolved(properties[each])["type"]}
    optional |= LENIENT.get(name, set())
    missing = accepted(lambda field: {each: row[each] for each in row if each != field})
    null = accepted(lambda field: {**row, field: None})
    assert missing == optional
    assert null - {ROWS.get(name)} == optional


def test_the_page_has_every_operation() -> None:
    """docs/http-api.md has each method, path and name."""
    page = (Path(__file__).parent.parent / "docs" / "http-api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+) (\S+)` \| `(\w+)` \|$", page, re.MULTILINE)
    assert sorted(rows) == sorted(
        (each["method"].upper(), each["path"], name) for name, each in OPERATIONS.items()
    )


# -- the command ----------------------------------------------------------------------------------


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m abeja_registry.openapi`."""
    command = [sys.executable, "-m", "abeja_registry.openapi", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **options)


def test_the_command_prints_the_document() -> None:
    """The output is the document, in every encoding of the terminal."""
    ran = run(stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == DOCUMENT


@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["document", "help"])
def test_a_closed_pipe_ends_the_command(arguments: tuple[str, ...]) -> None:
    """No traceback is printed, and the exit code is that of SIGPIPE."""
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = run(*arguments, stdout=writer, env=environment)
    finally:
        os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_an_error() -> None:
    """The error is one line on stderr."""
    with Path("/dev/full").open("w") as full:
        ran = run(stdout=full)
    assert ran.returncode == 1
    assert ran.stderr.startswith("cannot write the document: ")
    assert len(ran.stderr.splitlines()) == 1


def test_help_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what it prints; another argument is wrong usage."""
    with pytest.raises(SystemExit) as ended:
        openapi.main(["--help"])
    assert ended.value.code == 0
    assert "OpenAPI 3.1 document as JSON" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        openapi.main(["--format=yaml"])
    assert ended.value.code == 2


def test_the_import_reads_no_document() -> None:
    """`import abeja_registry` and an unused client do not load the module."""
    program = (
        "import sys, abeja_registry; abeja_registry.Client('1', {});"
        "assert 'abeja_registry.openapi' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
