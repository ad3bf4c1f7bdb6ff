"""docs/cli.md against the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.internals import (
    cli_organization,
    cli_output,
    cli_repositories,
    cli_settings,
    cli_tags,
)

from .test_main import COMMANDS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


KINDS = [
    cli_repositories.REPOSITORY,
    cli_tags.TAG,
    cli_organization.ROW,
    cli_organization.CHANGE,
    cli_organization.TOTALS,
    cli_settings.SETTING,
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_the_columns(kind: cli_output.Kind[Any]) -> None:
    """Programs rely on the columns that the page lists, in their order."""
    assert f"| `{','.join(kind.header)}` |" in PAGE


@pytest.mark.parametrize("command", [*COMMANDS, "sandbox"])
def test_the_page_has_the_command(command: str) -> None:
    """Each command has a line on the page."""
    assert re.search(rf"^\| `{command}[` ]", PAGE, re.M)
