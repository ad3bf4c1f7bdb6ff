"""The table of translations from abejacli in docs/migrate/abejacli.md: both programs do the same.

abejacli is made for Python 3.11 and old dependencies, so that it has an environment of its own,
which `make test-system` builds.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
ABEJACLI = ROOT.joinpath(".venv-abejacli", "bin", "abeja")
TABLE = re.findall(
    r"^\| `abeja registry (.*?)` \| `abeja-registry (.*?)` \|$",
    (ROOT / "docs" / "migrate" / "abejacli.md").read_text(),
    re.M,
)


def test_the_table_has_each_command() -> None:
    """Each registry command of abejacli has a translation."""
    ran = subprocess.run(
        [ABEJACLI, "registry", "--help"], capture_output=True, text=True, check=True
    )
    commands = re.findall(r"^  ([a-z-]+) +\S", ran.stdout.partition("Commands:")[2], re.M)
    assert len(commands) == 5
    assert {theirs.split()[0] for theirs, _ in TABLE} == set(commands)


@pytest.mark.parametrize(("theirs", "ours"), TABLE, ids=[theirs for theirs, _ in TABLE])
def test_both_do_the_same(
    theirs: str, ours: str, registry_sandbox: Sandbox, tmp_path: Path
) -> None:
    """Both print the same rows, create the same repository, or delete the one with the id."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ABEJA_API_URL": registry_sandbox.url,
        "ABEJA_CLI_USER": "user-1",
        "ABEJA_CLI_TOKEN": "sandbox",
        "ABEJA_CLI_ORGANIZATION": registry_sandbox.organization_id,
    }

    def run(program: list[str], line: str, number: int) -> Any:
        repository = repositories[number if "delete" in line else 0]
        words = [
            {"ID": repository.id, "NAME": f"new-{number}", "TEXT": "CI images"}.get(word, word)
            for word in shlex.split(line)
        ]
        ran = subprocess.run(
            [*program, *words], capture_output=True, text=True, env=environment, check=True
        )
        return json.loads(ran.stdout) if ran.stdout else None

    with Client(**registry_sandbox.connection) as client:
        repositories = [client.repositories.create(f"repository-{number}") for number in range(12)]
        for number in range(12):
            registry_sandbox.push(repositories[0], f"1.{number}")
        response = run([str(ABEJACLI), "registry"], theirs, 0)
        printed = run([sys.executable, "-m", "abeja_registry"], ours, 1)
        left = [each.name for each in client.repositories]
    if "create" in theirs:
        assert left[-2:] == ["new-0", "new-1"]
        assert response["description"] == printed["description"] == "CI images"
    elif "delete" in theirs:
        assert left == [f"repository-{number}" for number in range(2, 12)]
    elif "get" in ours:
        assert (str(response["id"]), response["name"]) == (printed["id"], printed["name"])
    else:
        rows = response["tags" if "tags" in theirs else "registry_repositories"]
        names = [(str(row["id"]), row["name"]) for row in rows]
        assert [(row["id"], row["name"]) for row in printed][: len(names)] == names
        # Without a limit abejacli prints a page, and this program all rows.
        assert (len(names), len(printed)) == ((2, 2) if "--limit" in ours else (10, 12))
