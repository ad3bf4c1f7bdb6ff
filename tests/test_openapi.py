"""The API's document: valid OpenAPI 3.1, and printed for clients in other languages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.support.examples import operations

from abeja_registry import openapi

DOCUMENT = openapi.document()
OPERATIONS = operations()


def schema(name: str) -> dict[str, Any]:
    """Return a schema of the document, with the schemas it refers to."""
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


# -- the document ---------------------------------------------------------------------------------


def test_the_document_is_valid() -> None:
    """It is OpenAPI 3.1, and its schemas are JSON Schema."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert not list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors())
    for each in DOCUMENT["components"]["schemas"].values():
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
