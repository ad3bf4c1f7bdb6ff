"""docs/cli.md against the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from abeja_registry.cli._organization import CHANGE, ROW, TOTALS
from abeja_registry.cli._output import Kind
from abeja_registry.cli._repositories import REPOSITORY
from abeja_registry.cli._settings import SETTING
from abeja_registry.cli._tags import TAG

from .test_main import COMMANDS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


@pytest.mark.parametrize("kind", [REPOSITORY, TAG, ROW, CHANGE, TOTALS, SETTING])
def test_the_page_has_the_columns(kind: Kind[Any]) -> None:
    """Programs rely on the columns that the page lists, in their order."""
    assert f"| `{','.join(kind.header)}` |" in PAGE


@pytest.mark.parametrize("command", [*COMMANDS, "sandbox"])
def test_the_page_has_the_command(command: str) -> None:
    """Each command has a line on the page."""
    assert re.search(rf"^\| `{command}[` ]", PAGE, re.M)
