"""Whatever the documentation shows runs, against the sandbox, as it stands."""

from __future__ import annotations

import ast
import code
import doctest
import importlib
import inspect
import logging
import os
import pkgutil
import re
import select
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from tests.support.patience import PATIENCE

import abeja_registry
from abeja_registry import Client
from abeja_registry.cli import main
from abeja_registry.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "abeja_registry"
FENCED = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
SNIPPETS = {
    path.relative_to(ROOT).as_posix(): snippets
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if (snippets := FENCED.findall(path.read_text()))
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


# -- at a prompt ----------------------------------------------------------------------------------


def typed(snippet: str) -> str:
    """Return what somebody types who pastes a snippet: a blank line ends its last block."""
    return snippet + "\n"


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("page", SNIPPETS)
def test_each_snippet_can_be_pasted_line_by_line(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a prompt a blank line ends a block: no snippet has one where its block goes on."""
    for number, snippet in enumerate(SNIPPETS[page]):
        console = code.InteractiveConsole()
        waiting = [console.push(line) for line in typed(snippet).split("\n")]
        assert (number, capsys.readouterr().err) == (number, "")
        assert not waiting[-1], number


# What each prompt says where it does not understand, or what it runs fails.
COMPLAINTS = re.compile(r"^\s*(Traceback|\w*Error\b|\w*Exception\b).*", re.M)


# Each of these takes a Python of its own; `make nightly` pastes all pages.
PAGES = SNIPPETS if "NIGHTLY" in os.environ else ["README.md"]


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("page", PAGES)
def test_each_page_can_be_pasted_at_a_piped_prompt(page: str) -> None:
    """`python -i` takes a page's snippets one after another, and complains of none."""
    ran = subprocess.run(
        [sys.executable, "-q", "-i"],
        input="".join(map(typed, SNIPPETS[page])),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert (ran.returncode, COMPLAINTS.findall(ran.stderr)) == (0, [])


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.usefixtures("exported")
def test_the_readme_can_be_pasted_at_a_terminal(client: Client) -> None:
    """A terminal's prompt takes each snippet as a terminal pastes it, and nothing stays behind."""
    before = list(client.repositories)
    with Prompt() as prompt:
        for snippet in SNIPPETS["README.md"]:
            assert not COMPLAINTS.search(prompt.paste(typed(snippet))), snippet
    assert list(client.repositories) == before


class Prompt:
    """Python's prompt at a terminal of its own.

    From 3.13 on a terminal says what is pasted; before, lines come as if they were typed.
    """

    def __init__(self) -> None:
        self._bracketed = sys.version_info >= (3, 13)
        self._count = 0

    def __enter__(self) -> Self:
        self._end, inner = os.openpty()
        environment = {**os.environ, "TERM": "xterm" if self._bracketed else "dumb"}
        environment |= {"PYTHONUTF8": "1", "NO_COLOR": "1", "PYTHON_HISTORY": os.devnull}
        self._process = subprocess.Popen(
            [sys.executable, "-q", "-i"],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environment,
            start_new_session=True,
        )
        os.close(inner)
        self._until(lambda text: ">>> " in text)
        return self

    def paste(self, text: str) -> str:
        """Paste a text, and return all that the terminal shows until it has been run."""
        self._count += 1
        keys = f"\x1b[200~{text}\x1b[201~" if self._bracketed else text
        # Shown as it is typed, it must not look like what it prints.
        keys += f"\nprint('read', {self._count})\n"
        sent = threading.Thread(target=self._send, args=(keys.replace("\n", "\r").encode(),))
        sent.start()
        shown = self._until(lambda text: f"read {self._count}" in text)
        sent.join()
        return shown

    def _send(self, keys: bytes) -> None:
        while keys:
            keys = keys[os.write(self._end, keys[:500]) :]

    def _until(self, ends: Callable[[str], bool]) -> str:
        shown = b""
        while not ends(
            text := re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode("utf-8", "replace"))
        ):
            ready, _, _ = select.select([self._end], [], [], PATIENCE)
            assert ready, text
            shown += os.read(self._end, 65536)
        return text

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)


# -- the command line -----------------------------------------------------------------------------


def commands() -> list[str]:
    """Return the commands that the README shows for the second terminal of the quick start."""
    section = (ROOT / "README.md").read_text().partition("\n## Command line\n")[2]
    return re.findall(r"^    abeja-registry (.*)", section.partition("\n## ")[0], re.M)


@pytest.mark.usefixtures("exported")
def test_each_command_of_the_readme_runs(tmp_path: Path) -> None:
    """The commands run one after another, in a folder where they may write."""
    assert len(commands()) > 8
    for command in commands():
        assert main(shlex.split(command, comments=True)) == 0, command
    assert {each.name for each in tmp_path.iterdir()} >= {"inventory.csv", "report.html"}


def test_make_demo_installs_what_the_readme_uses_next() -> None:
    """Its extras are those of the sandbox, of the command line and of `by="version"`."""
    [extras] = re.findall(
        r"^\.venv/demo\.stamp:.*\n.*--editable '\.\[(.*)\]'", (ROOT / "Makefile").read_text(), re.M
    )
    assert set(extras.split(",")) == {"sandbox", "cli", "versions"}


def test_the_pages_have_their_snippets() -> None:
    """Each snippet that begins on a page, whatever its indentation, is among those that run."""
    for path in (ROOT / "docs").rglob("*.md"):
        begun = len(re.findall(r"^\s*(?:```|~~~)\s*py", path.read_text(), re.M))
        assert begun == len(SNIPPETS.get(path.relative_to(ROOT).as_posix(), [])), path
    assert len(SNIPPETS["README.md"]) == 5


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
