"""Whatever the documentation shows runs, against the sandbox, as it stands."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import logging
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import abeja_registry
from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "abeja_registry"
PAGES = {"README.md": 13, "docs/sandbox.md": 6, "docs/performance.md": 3}
SNIPPETS = {
    page: re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    for page in PAGES
}
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(abeja_registry.__path__, "abeja_registry.")
)


@pytest.fixture
def exported(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What `python -m abeja_registry.sandbox --seed` says to paste, in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    sandbox.seed(repositories=1, tags=20)
    monkeypatch.setenv("ABEJA_API_URL", sandbox.url)
    monkeypatch.setenv("ABEJA_ORGANIZATION_ID", sandbox.organization_id)
    monkeypatch.setenv("PLATFORM_AUTH_TOKEN", "sandbox")
    yield
    logging.getLogger("abeja_registry").setLevel(logging.NOTSET)


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize(
    ("page", "number"), [(page, n) for page, all_ in SNIPPETS.items() for n in range(len(all_))]
)
def test_each_snippet_of_a_page_runs(
    page: str, number: int, request: pytest.FixtureRequest
) -> None:
    """A snippet runs as it stands, by itself; one that is a test, with the fixtures it names."""
    names: dict[str, Any] = {}
    exec(compile(SNIPPETS[page][number], f"{page}, snippet {number}", "exec"), names)
    for name, test in list(names.items()):
        if name.startswith("test_"):
            test(*map(request.getfixturevalue, inspect.signature(test).parameters))


@pytest.mark.usefixtures("exported")
def test_the_first_snippet_shows_what_is_there(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who tries it on the sandbox sees what a registry holds, and has changed nothing."""
    exec(SNIPPETS["README.md"][0], {})
    first, *tags = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert (first, tags) == ("sample-0001", [f"0.0.{number}" for number in range(1, 21)])
    assert {request.method for request in sandbox.requests} == {"GET"}


@pytest.mark.usefixtures("exported")
def test_the_readme_can_be_tried_from_top_to_bottom_and_again(client: Client) -> None:
    """Its snippets leave nothing behind, and nothing of others is changed."""
    client.repositories.create("of-somebody-else")
    before = list(client.repositories)
    for _ in range(2):
        for snippet in SNIPPETS["README.md"]:
            exec(snippet, {})
    assert list(client.repositories) == before


def test_the_pages_have_their_snippets() -> None:
    """None was lost to a typing error in what surrounds it."""
    assert {page: len(snippets) for page, snippets in SNIPPETS.items()} == PAGES


EXAMPLES = {
    "quickstart": [
        "… up to 0.0.250: 250 tags, 250 of them different",
        "read with 1 + 3 requests",
        "all: sample_repository, sample-0001, sample-0002, sample-0003",
        "deleted: 404",
    ],
    "async_quickstart": ["trainer: 2,000,000 bytes", "deleted notebook"],
    "raw_dicts": ["sample_repository: ['0.0.4']", "keys: id, organization_id, name"],
    "inventory_on_dask": [
        "3,780 tags, 3,780 of them different",
        "failures: 0",
        "the largest: sample-0040, 3,000 tags",
    ],
    "migrate": ["120 tags with the old code, 120 typed, equal: True"],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_runs(name: str) -> None:
    """An example runs as a script, without a warning, and shows what it is there to show."""
    script = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")]
    # Dask logs a worker's heartbeat that meets the end of its cluster, as an error of its own.
    quiet = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "critical"}
    ran = subprocess.run(
        script, capture_output=True, text=True, encoding="utf-8", check=False, env=quiet
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    for line in EXAMPLES[name]:
        assert line in ran.stdout


def test_no_example_is_left_out() -> None:
    """Each file among the examples is run, here or where the system's tools are."""
    there = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert there == {*EXAMPLES, "push_and_pin"}


DOCTESTS = [
    each
    for name in MODULES
    for each in doctest.DocTestFinder().find(importlib.import_module(name), name)
    if each.examples
]


@pytest.mark.parametrize("example", DOCTESTS, ids=lambda each: each.name)
def test_each_docstring_example_runs(
    example: doctest.DocTest, sandbox: Sandbox, client: Client, tmp_path: Path
) -> None:
    """A docstring's example shows what it says, with a repository of three tags there."""
    repository = client.repositories.create("sample_repository")
    for number in (1, 2, 3):
        sandbox.push(repository.id, f"0.0.{number}")
    example.globs.update(
        sandbox=sandbox,
        client=client,
        repository=repository,
        folder=tmp_path,
        organization_id=sandbox.organization_id,
    )
    assert doctest.DocTestRunner().run(example).failed == 0


def test_every_docstring_example_is_among_those_that_run() -> None:
    """As many prompts are run as stand in the docstrings of the source."""
    prompts = 0
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                prompts += len(re.findall(r"^\s*>>> ", ast.get_docstring(node) or "", re.M))
    assert prompts == sum(len(each.examples) for each in DOCTESTS) > 0
