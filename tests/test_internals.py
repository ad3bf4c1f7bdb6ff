"""Tests keep to public names: private ones are reached through tests/support/internals.py alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
INTERNALS = TESTS / "support" / "internals.py"
MODULES = sorted(TESTS.rglob("*.py"))

PRIVATE = r"_(?!_)\w*"
# A path of ours with a private part, as an import, a patch or a program has it.
PRIVATE_PATH = re.compile(
    rf"\babeja_registry(?:\.\w+)*\.{PRIVATE}"
    rf"|\bfrom abeja_registry[.\w]* import [^\n;]*\b{PRIVATE}"
)
# Public names of a named tuple.
# What notebooks call, and what a named tuple has.
NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace", "_repr_html_"}
# Functions and methods that take an attribute by its name.
BY_NAME = {"attrgetter", "delattr", "getattr", "hasattr", "object", "setattr"}


def is_private(name: str) -> bool:
    """Whether a name begins with one underscore."""
    return re.fullmatch(PRIVATE, name) is not None


def private_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the private names that a test module takes, each with its line."""
    nodes = list(ast.walk(tree))
    foreign = {
        (alias.asname or alias.name).partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    own = set(own_names(nodes))
    for node in nodes:
        match node:
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] == "abeja_registry":
                for alias in node.names:
                    if any(map(is_private, f"{module}.{alias.name}".split("."))):
                        yield node.lineno, f"{module}.{alias.name}"
            case ast.Import():
                for alias in node.names:
                    if PRIVATE_PATH.search(alias.name):
                        yield node.lineno, alias.name
            case ast.Constant(value=str(text)) if found := PRIVATE_PATH.search(text):
                yield node.lineno, found[0]
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)):
                by_name = called in BY_NAME and not is_name(node.args[:1], foreign)
                for argument in node.args if by_name else ():
                    if isinstance(argument, ast.Constant) and is_private(str(argument.value)):
                        yield node.lineno, f"{called}({argument.value!r})"
            case ast.Attribute(value=of, attr=name) if is_private(name):
                allowed = is_name([of], foreign) or name in NAMED_TUPLE
                if not allowed and not (is_name([of], {"self", "cls"}) and name in own):
                    yield node.lineno, ast.unparse(node)


def is_name(nodes: list[ast.expr], names: set[str]) -> bool:
    """Whether the one node is one of these names."""
    return any(isinstance(node, ast.Name) and node.id in names for node in nodes)


def own_names(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield what the classes of a test module define themselves."""
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


@pytest.mark.parametrize(
    "path",
    [each for each in MODULES if each not in (INTERNALS, Path(__file__))],
    ids=lambda path: str(path.relative_to(TESTS)),
)
def test_a_test_module_takes_no_private_name(path: Path) -> None:
    """What it needs of one is a helper in tests/support/internals.py."""
    uses = private_uses(ast.parse(path.read_text()))
    assert [f"{path}:{line}: {name}" for line, name in uses] == []


@pytest.mark.parametrize(
    "source",
    [
        "from abeja_registry._http import pool",
        "from abeja_registry.sandbox import Sandbox, _docker",
        "import abeja_registry._http.pool",
        'monkeypatch.setattr("abeja_registry._http.pool.MAX_CONNECTIONS", 1)',
        'program = "import sys; from abeja_registry.cli import main, _app"',
        'program = f"{start}; import abeja_registry.cli._app"',
        'monkeypatch.setattr(client, "_session", None)',
        'getattr(client, "_session")',
        "client._session",
        "make()._session.settings",
        "client._session = None",
        "class Other(Client):\n    def get(self):\n        return self._session",
    ],
)
def test_a_private_name_is_found(source: str) -> None:
    """Imported, named in a string, or reached through an object."""
    assert list(private_uses(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "from abeja_registry import __version__",
        "from abeja_registry.cli.__main__ import main",
        "from tests.support.internals import ConnectionPool",
        "import os\nos._exit(0)",
        'import os\nmonkeypatch.setattr(os, "_exit", end)',
        'monkeypatch.setenv("_ABEJA_REGISTRY_COMPLETE", "bash")',
        "row._replace(tag=name)",
        "class Own:\n    def set(self):\n        self._name = 1\n        print(self._name)",
    ],
)
def test_what_is_not_private_is_not_found(source: str) -> None:
    """A test's own names, another library's, and those that only look private."""
    assert not list(private_uses(ast.parse(source)))


def test_internals_hold_nothing_that_no_test_uses() -> None:
    """A helper goes with the last test that needs it."""
    tree = ast.parse(INTERNALS.read_text())
    held = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("abeja_registry.")
        for alias in node.names
    }
    held |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    used: set[str] = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ImportFrom(module="tests.support.internals" | "internals"):
                    used.update(alias.name for alias in node.names)
                case ast.Name(id=name) if path == INTERNALS:
                    used.add(name)
    assert held - used == set()
