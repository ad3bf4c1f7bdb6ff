"""The package as a whole: its public names, and its imports."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
import typing
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import abeja_registry
from abeja_registry import AsyncClient, Client, exceptions

ROOT = Path(__file__).parent.parent
MODULES = [
    module.name
    for module in pkgutil.iter_modules(abeja_registry.__path__)
    if not module.name.startswith("_") and module.name not in {"cli", "sandbox"}
]
# Imported by name: the package itself loads them on first use.
OWN_FACES = {"contract", "inventory"}
EXPORTED = {name: getattr(abeja_registry, name) for name in abeja_registry.__all__}
CLASSES = {name: value for name, value in EXPORTED.items() if inspect.isclass(value)}


def public_classes(module: str) -> dict[str, type[Any]]:
    """Return the classes that a module defines under a public name."""
    loaded = importlib.import_module(f"abeja_registry.{module}")
    return {
        name: value
        for name, value in vars(loaded).items()
        if inspect.isclass(value) and name == value.__name__
        # Of a package, the modules in it.
        if f"{value.__module__}.".startswith(f"{loaded.__name__}.")
        # pydantic leaves its parametrized classes, such as Page[Tag], in the module.
        if name.isidentifier() and not name.startswith("_")
    }


def test_all_is_the_list_for_type_checkers() -> None:
    """`__all__` has exactly the names that the package imports for type checkers."""
    tree = ast.parse(inspect.getsource(abeja_registry))
    imports = next(each for each in tree.body if isinstance(each, ast.If)).body
    seen = [
        name.asname or name.name
        for each in imports
        if isinstance(each, ast.ImportFrom)
        for name in each.names
    ]
    assert sorted(abeja_registry.__all__) == sorted([*seen, "__version__"])


def test_an_unknown_name() -> None:
    """It is an AttributeError, and `dir` lists the valid names."""
    with pytest.raises(AttributeError, match="module 'abeja_registry' has no attribute 'Clint'"):
        _ = abeja_registry.Clint  # type: ignore[attr-defined]
    assert {*abeja_registry.__all__, "exceptions"} <= set(dir(abeja_registry))


def test_a_name_that_was_set_stays() -> None:
    """A test's replacement for a name stays after the first use of another name."""
    program = (
        "import abeja_registry as a; a.Client = 5; a.Error; assert a.Client == 5; print(a.Tag)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_everything_is_imported_by_a_star() -> None:
    """`from abeja_registry import *` imports each name."""
    namespace: dict[str, Any] = {}
    exec("from abeja_registry import *", namespace)
    assert {name: namespace[name] for name in EXPORTED} == EXPORTED


def test_every_exception_is_exported() -> None:
    """Each can be imported from the package, by the name that it prints."""
    assert public_classes("exceptions").items() <= CLASSES.items()
    kinds = [kind for kind in CLASSES.values() if issubclass(kind, exceptions.Error)]
    assert all(kind.__name__ in (exceptions.__doc__ or "") for kind in kinds)


@pytest.mark.parametrize("module", sorted({*MODULES} - OWN_FACES))
def test_every_public_class_is_exported(module: str) -> None:
    """A class with a public name is exported, or is a base of exported ones."""
    for name, kind in public_classes(module).items():
        heirs = [each for each in CLASSES.values() if issubclass(each, kind)]
        assert EXPORTED.get(name) is kind or len(heirs) > 1, name


@pytest.mark.parametrize("module", sorted(OWN_FACES))
def test_a_module_with_its_own_names_exports_its_classes(module: str) -> None:
    """Each is in the module's `__all__`, and the package is imported without the module."""
    loaded = importlib.import_module(f"abeja_registry.{module}")
    assert public_classes(module).keys() <= {*loaded.__all__}
    script = f"import abeja_registry, sys; assert 'abeja_registry.{module}' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", CLASSES)
def test_every_exported_class_is_documented(name: str) -> None:
    """Each has its own docstring, not an inherited one."""
    assert vars(CLASSES[name]).get("__doc__")


def test_exported_names_that_are_not_classes() -> None:
    """These are the version, two functions and the names of five types."""
    types = {"Credential", "InvalidRows", "OnResponse", "OnRetry", "TagOrder"}
    functions = {"read_rows", "summarize"}
    assert EXPORTED.keys() - CLASSES.keys() == {*types, *functions, "__version__"}


def test_the_version_is_the_distributions() -> None:
    """`__version__` is the version of the installed distribution."""
    assert abeja_registry.__version__ == version("abeja-registry")


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        # An async deadline ends in a bare CancelledError.
        *[("anyio", number) for number in ("3.0.0", "3.6.2", "4.2.0", "4.3.0")],
        # An untrusted certificate is retried; a tunnel that the proxy closes raises EndOfStream.
        *[("httpcore", f"1.0.{number}") for number in range(6)],
        # Later than this, coerce_numbers_to_str works on a field.
        ("pydantic", "2.7.4"),
        # Only later ones were tried.
        *[("click", number) for number in ("7.1.2", "8.0.4", "8.1.7")],
        ("rich", "13.0.0"),
        # A body without a Content-Type is taken for JSON.
        *[("fastapi", number) for number in ("0.115.0", "0.131.0")],
    ],
)
def test_no_broken_release_of_a_dependency_is_allowed(name: str, broken: str) -> None:
    """The bounds exclude releases with which the package does not work."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    requirements = [
        requirement
        for line in [*project["dependencies"], *(line for extra in extras for line in extra)]
        if (requirement := Requirement(line)).name == name
    ]
    assert requirements
    assert not any(requirement.specifier.contains(broken) for requirement in requirements)


def test_the_import_loads_no_extra() -> None:
    """Neither the sandbox nor a dependency of an extra is loaded with the core."""
    # httpx itself loads some packages if they are installed, such as rich.
    program = (
        "import sys, httpx, pydantic; before = set(sys.modules);"
        "from abeja_registry import *; print(*set(sys.modules) - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    loaded = set(ran.stdout.split())
    assert "abeja_registry.client" in loaded
    extras = {"fastapi", "starlette", "uvicorn", "sqlite3", "httpx2", "click", "rich", "pyarrow"}
    assert not loaded & {*extras, "abeja_registry.sandbox", "respx", "pytest"}


@pytest.mark.parametrize("kind", ["Client", "AsyncClient", "APIClient", "AsyncAPIClient"])
def test_an_unused_client_loads_no_models(kind: str) -> None:
    """Pydantic is loaded with the first collection or response."""
    organization = '"1", ' if "API" not in kind else ""
    program = (
        f"import sys, abeja_registry; abeja_registry.{kind}({organization}{{'auth_token': 't'}});"
        "assert 'pydantic_core' not in sys.modules, 'pydantic is loaded'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_client_has_no_other_names() -> None:
    """An unknown attribute of a client is an AttributeError that names it."""
    kinds: list[Any] = [Client, AsyncClient]
    for kind in kinds:
        with pytest.raises(
            AttributeError, match=f"'{kind.__name__}' object has no attribute 'repository'"
        ):
            _ = kind("1", {}).repository


def test_a_public_module_needs_no_import() -> None:
    """After `import abeja_registry`, `abeja_registry.exceptions` can be used."""
    program = (
        "import sys, abeja_registry; assert 'httpx' not in sys.modules;"
        "print(abeja_registry.exceptions.NotFound is abeja_registry.NotFound)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert ran.stdout == "True\n"


def test_a_module_is_looked_up_like_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is not imported yet is imported on first use."""
    monkeypatch.delattr(abeja_registry, "exceptions")
    assert abeja_registry.exceptions is exceptions


def test_the_package_is_typed() -> None:
    """Type checkers read its annotations: the marker is beside the modules."""
    data = pkgutil.get_data("abeja_registry", "py.typed")
    assert data is not None


def test_the_sdist_has_the_files_of_its_tests() -> None:
    """`make check` works in an unpacked sdist: no file is missing."""
    root = Path(__file__).parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    included = set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    tests = "".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("*.py"))
    # The pages of `docs` are named by variables.
    read = {*re.findall(r'ROOT / "([\w.]+)', tests), *project["tool"]["mypy"]["files"], "docs"}
    assert {"README.md", "benchmarks", "examples", "tests", "Makefile"} <= read
    assert {f"/{name}" for name in read - {"pyproject.toml"}} <= included
    assert all((root / each.removeprefix("/")).exists() for each in included)


def _public() -> dict[str, Any]:
    """Return every public class and function, with its public methods and properties, by name."""
    found = {name: getattr(abeja_registry, name) for name in abeja_registry.__all__}
    for module in ("contract", "inventory", "testing", "images", "sandbox"):
        names = vars(importlib.import_module(f"abeja_registry.{module}"))
        found |= {name: value for name, value in names.items() if not name.startswith("_")}
    ours = {
        name: value
        for name, value in found.items()
        if str(getattr(value, "__module__", "")).startswith("abeja_registry")
        and (inspect.isclass(value) or inspect.isfunction(value))
    }
    for name, value in list(ours.items()):
        for kind in inspect.getmro(value) if inspect.isclass(value) else ():
            members = vars(kind) if kind.__module__.startswith("abeja_registry") else {}
            for member, held in members.items():
                function = inspect.unwrap(getattr(held, "fget", getattr(held, "__func__", held)))
                # Old releases of pydantic add methods of their own to each model.
                is_ours = str(getattr(function, "__module__", "")).startswith("abeja_registry")
                is_public = member == "__init__" or member[0] != "_"
                if inspect.isfunction(function) and is_ours and is_public:
                    ours[f"{name}.{member}"] = function
    return ours


def test_every_annotation_can_be_evaluated() -> None:
    """Tools that evaluate annotations (dependency injection, documentation) work."""
    public = _public()
    assert {"Client.inventory", "AsyncClient.check_contract", "Repository.iter_tags"} <= set(public)
    for name, value in public.items():
        try:
            typing.get_type_hints(value)
        except NameError as error:
            pytest.fail(f"{name}: {error}")
    repositories: Any = vars(abeja_registry.Client)["repositories"]
    hints = typing.get_type_hints(repositories.func)
    assert hints["return"] is abeja_registry.Repositories
    returned = typing.get_type_hints(abeja_registry.Client.inventory)["return"]
    assert returned is abeja_registry.inventory.Inventory


def _classes(hint: Any) -> Iterator[type]:
    """Yield every class of this package within a type."""
    if inspect.isclass(hint) and hint.__module__.startswith("abeja_registry"):
        yield hint
    for each in typing.get_args(hint):
        for inner in each if isinstance(each, list) else [each]:
            yield from _classes(inner)


def test_every_class_in_a_signature_is_exported() -> None:
    """A user can import each class that the signature of an exported name shows."""
    faces = (abeja_registry, abeja_registry.contract, abeja_registry.inventory)
    exported = {name: getattr(face, name) for face in faces for name in face.__all__}
    public = {name: value for name, value in _public().items() if name.split(".")[0] in exported}
    assert {"Client.inventory", "Tags.latest", "ContractReport.table"} <= set(public)
    shown = {
        (name, each)
        for name, value in public.items()
        for parameter, hint in typing.get_type_hints(value).items()
        if parameter[0] != "_"
        for each in _classes(hint)
    }
    assert shown
    known = {*exported.values()}
    assert {(name, each) for name, each in shown if _origin(each) not in known} == set()


def _origin(kind: Any) -> Any:
    """Return the class that pydantic has parametrized, or the class itself."""
    metadata = getattr(kind, "__pydantic_generic_metadata__", None)
    return (metadata or {}).get("origin") or kind


def test_annotations_load_nothing_before_they_are_evaluated() -> None:
    """A client that is built but not used has loaded no model."""
    program = (
        "import sys, typing, abeja_registry as a; a.Client('1', {}).close();"
        "print('pydantic' in sys.modules, 'abeja_registry.inventory' in sys.modules);"
        "print(typing.get_type_hints(vars(a.Client)['tags'].func)['return'].__name__);"
        "print(a.inventory.Inventory.__name__)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "False", "Tags", "Inventory"]
