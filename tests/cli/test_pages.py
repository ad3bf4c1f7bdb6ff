"""docs/cli.md against the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.internals import cli_output, cli_views

from .test_main import COMMANDS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


VIEWS = [
    cli_views.REPOSITORY,
    cli_views.SIZED,
    cli_views.TAG,
    cli_views.ROW,
    cli_views.CHANGE,
    cli_views.TOTALS,
    cli_views.SETTING,
    cli_views.ACCESS,
    cli_views.FINDING,
]


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_has_the_columns(view: cli_output.View[Any]) -> None:
    """Programs rely on the columns that the page lists, in their order."""
    assert f"| `{','.join(view.header)}` |" in PAGE


@pytest.mark.parametrize("command", [*COMMANDS, "sandbox"])
def test_the_page_has_the_command(command: str) -> None:
    """Each command has a line on the page."""
    assert re.search(rf"^\| `{command}[` ]", PAGE, re.M)
