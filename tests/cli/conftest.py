from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from abeja_registry.cli import main
from abeja_registry.sandbox import Sandbox


@dataclass(frozen=True)
class Ran:
    """What a command wrote, and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def exported(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of somebody who works with the sandbox."""
    exports = {
        "ABEJA_API_URL": sandbox.url,
        "ABEJA_ORGANIZATION_ID": sandbox.organization_id,
        "PLATFORM_AUTH_TOKEN": "sandbox",
    }
    for name, value in exports.items():
        monkeypatch.setenv(name, value)
    # Where the tests run is no business of a table's.
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    return exports


@pytest.fixture
def run(exported: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command against the sandbox, in this process."""

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def at_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make stdout a terminal of this width, without styles."""

    def at_terminal(columns: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setenv("COLUMNS", str(columns))

    return at_terminal
