"""The site: `make docs` builds it, without a network, and a warning fails it."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

import abeja_registry

ROOT = Path(__file__).parent.parent
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]

project = "abeja_registry"
author = "The abeja_registry authors"
project_copyright = author
version = release = abeja_registry.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
default_role = "literal"
smartquotes = False
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"abeja_registry {release}"
html_show_sphinx = False
html_theme_options = {
    "source_repository": URLS["Homepage"],
    "source_branch": "main",
    "source_directory": "docs/",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# Names of other libraries, which no network means no links to, and private names in annotations.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(_pytest|asyncio|collections|concurrent|datetime|httpx|httpx2|os|pathlib|pydantic)\..*",
    ),
    ("py:.*", r"(types|typing|[A-Za-z]*$)\b.*"),
    ("py:.*", r"abeja_registry\.(_\w+|\w+\._\w+)\..*"),
    ("py:.*", r"abeja_registry\.\w+\.(_\w+|T_co|PageOf)"),
]

_PUBLIC = {*abeja_registry.__all__}
# Classes that users construct; a signature of another class is of no use to them.
_CONSTRUCTED = {
    *(
        "Client",
        "AsyncClient",
        "APIClient",
        "AsyncAPIClient",
        "RetryPolicy",
        "ImageName",
        "Sandbox",
    ),
    *("BearerToken", "UserCredential", "DatasourceCredential"),
}

# "As `Client.close`, awaited." -> the twin's docstring.
_TWIN = re.compile(r"^As `(\w+)\.(\w+)`, (.*)\.$")


def _docstring_of_the_twin(
    _app: object, what: str, name: str, obj: object, _options: object, lines: list[str]
) -> None:
    """Give an async method the whole docstring of its sync twin."""
    if what != "method" or not lines or not (found := _TWIN.match(lines[0])):
        return
    kind, method, how = found.groups()
    twin = getattr(getattr(abeja_registry, kind), method)
    docstring = inspect.cleandoc(twin.__doc__).partition("\nExample:")[0]
    own = inspect.signature(cast(Callable[..., object], obj)).parameters
    for parameter in inspect.signature(twin).parameters.keys() - own.keys():
        docstring = re.sub(rf"\n    {parameter}: .*(\n     .*)*", "", docstring)
    first, *rest = docstring.splitlines()
    lines[:] = [first, "", f"As :meth:`{kind}.{method}`, {how}.", *rest, ""]


def _signature(
    _app: object,
    what: str,
    name: str,
    _obj: object,
    _options: object,
    signature: str | None,
    returns: str,
) -> tuple[str, str] | None:
    """Leave out the constructors that users do not call."""
    constructed = name.rpartition(".")[2] in _CONSTRUCTED
    if signature and what in ("class", "exception") and not constructed:
        return "", returns
    return None


def _bases(_app: object, _name: str, _obj: object, _options: object, bases: list[Any]) -> None:
    """Leave out private bases."""
    public = [
        each
        for each in bases
        if not each.__module__.startswith("abeja_registry") or each.__name__ in _PUBLIC
    ]
    bases[:] = public or [object]


def _skip(
    _app: object, _what: str, _name: str, obj: object, _skip: bool, _options: object
) -> bool | None:
    """Leave out a tuple's fields, which the class's docstring describes."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def _options(_app: object, context: click.Context, lines: list[str]) -> None:
    """Leave out a subcommand's global options, which the program has, and escape globs."""
    first, *options = "\n".join(lines).replace("*", r"\*").split(".. option:: ")
    if context.parent is not None:
        shared = {option for each in context.find_root().command.params for option in each.opts}
        options = [
            each
            for each in options
            if not shared & set(re.findall(r"--?[\w-]+", each.split("\n")[0]))
        ]
    lines[:] = "".join([first, *(f".. option:: {each}" for each in options)]).split("\n")


def setup(app: Any) -> None:
    """Connect the hooks."""
    app.connect("sphinx-click-process-options", _options)
    app.connect("autodoc-process-docstring", _docstring_of_the_twin, priority=100)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-bases", _bases)
    app.connect("autodoc-skip-member", _skip)
