"""What people type first who know gh, docker and crane: it works, or the error names what does."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run

# Typed at a terminal, task by task: the words after `abeja-registry`, and the words that the error
# has to name; None if it works.
GUESSES = {
    "find the newest tag of a repository": [
        ("tags latest trainer", None),
        ("tag list trainer --sort created --limit 1", None),
        ("tags ls trainer --limit 1 --sort created -q", None),
        ("latest trainer", "abeja-registry tags latest"),
        ("newest trainer", "abeja-registry tags latest"),
        ("tags trainer", "abeja-registry tags list trainer"),
        ("tags newest trainer", "abeja-registry tags latest"),
        ("trainer", "see abeja-registry --help"),
        ("ls", "abeja-registry repositories list` or `abeja-registry tags list"),
        ("images trainer", "abeja-registry tags list"),
        ("repo view trainer", "abeja-registry repositories get"),
        ("repos show trainer", None),
        ("tags inspect trainer:1.0", "abeja-registry tags get"),
    ],
    "wait for a push and print the pinned image": [
        ("image trainer:1.0 --pinned --wait 60", None),
        ("image trainer 1.0 --wait 60 --pinned", None),
        ("image trainer:1.0 --pinned --wait", "--wait needs SECONDS"),
        ("image trainer:1.0 --digest", "use --pinned"),
        ("image trainer", "trainer:TAG|REPOSITORY:TAG"),
        ("wait trainer:1.0", "abeja-registry tags wait"),
        ("tags wait trainer:1.0 --timeout 60", None),
        ("tags wait trainer 1.0", None),
        ("digest trainer:1.0", "abeja-registry image --pinned"),
        ("pull trainer:1.0", "docker pull"),
        ("push trainer:1.0", "docker push"),
    ],
    "list the ten largest repositories": [
        ("repositories list --sort size --limit 10", None),
        ("repo ls --sort size --limit 10 -q", None),
        ("repo list -L 10 --sort size", "use --limit"),
        ("repo list -n 10", "use --limit"),
        ("repos ls --sort-by size", "use --sort"),
        ("repos ls --order-by size", "use --sort"),
        ("summary --limit 10", None),
        ("repo list --json name,id", "use --output json"),
        ("repo list --format json", "use --output"),
        ("repos", None),
        ("list repositories", "abeja-registry repositories list"),
        ("usage", "abeja-registry summary"),
        ("repo list --filter name=x", "use --include"),
    ],
    "list tags untouched for 90 days": [
        ("tags list trainer --stale-days 90", None),
        ("tags list trainer --stale-days 90d", None),
        ("tags list trainer --until 90d", None),
        ("tags list trainer --stale 90", "use --stale-days"),
        ("tags list trainer --older-than 90d", "use --stale-days"),
        ("tags list trainer --before 90d", "use --until"),
        ("tags list --stale-days 90", "REPOSITORY"),
        ("inventory --stale-days 90", None),
        ("inventory --older-than 90", "use --stale-days"),
        ("tags list trainer --filter '1.*'", "use --pattern"),
    ],
    "delete two repositories": [
        ("repositories delete old-a old-b --dry-run", None),
        ("repo rm old-a old-b -y", None),
        ("repo rm old-a old-b -f", "use --yes"),
        ("repo delete old-a old-b --force", "use --yes"),
        ("repo remove old-a old-b", "abeja-registry repositories delete"),
        ("rm old-a old-b", "abeja-registry repositories delete"),
        ("delete old-a", "abeja-registry repositories delete"),
        ("repo rm old-a old-b", "--yes deletes"),
        ("tags delete trainer:1.0", "abeja-registry tags"),
    ],
    "write and compare inventories": [
        ("inventory --write after.csv", None),
        ("inventory", None),
        ("inventory -o csv", None),
        ("inventory -o after.json", "> after.json"),
        ("inventory --output-file after.csv", "use --write"),
        ("inventory --file after.csv", "use --write"),
        ("inventory --write after.json", ".jsonl, .csv or .parquet"),
        ("inventory diff before.csv", "abeja-registry diff"),
        ("inventory export", "unexpected extra argument"),
        ("export after.csv", "abeja-registry inventory --write"),
        ("diff before.csv", None),
        ("diff before.csv before.csv", None),
        ("compare before.csv", "abeja-registry diff"),
    ],
    "look around": [
        ("", None),
        ("help", None),
        ("help tags", None),
        ("help tags list", None),
        ("--version", None),
        ("version", "abeja-registry --version"),
        ("login", "abeja-registry config"),
        ("whoami", None),
        ("config", None),
        ("status", "abeja-registry whoami"),
        ("tags lst trainer", "abeja-registry tags list"),
        ("repositries list", "abeja-registry repositories"),
        ("--timeout 5 repos ls", "use --request-timeout"),
        ("repos ls --request-timeout 5", None),
        ("repos ls --org 1", "use --organization"),
        ("describe-repositories", "abeja-registry repositories list"),
    ],
}


@pytest.fixture
def organization(
    client: Client, sandbox: Sandbox, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An organization with some repositories, and an inventory in the current folder."""
    monkeypatch.chdir(tmp_path)
    trainer = client.repositories.create("trainer")
    for days, tag in ((100, "1.0"), (1, "2.0")):
        pushed = datetime.now(UTC) - timedelta(days=days)
        sandbox.push(trainer, tag, created_at=pushed, updated_at=pushed)
    for name in ("old-a", "old-b"):
        client.repositories.create(name)
    assert run("inventory", "--write", "before.csv").code == 0


@pytest.mark.usefixtures("organization")
@pytest.mark.parametrize("task", GUESSES)
def test_a_first_guess(task: str, run: Run) -> None:
    """A guess works, or it is a 2 whose one line names the right words."""
    for line, named in GUESSES[task]:
        ran = run(*shlex.split(line))
        if named is None:
            assert ran.code == 0, (line, ran.err)
        else:
            assert (ran.code, ran.out) == (2, ""), (line, ran.err)
            assert re.search(named.replace(".", r"\."), ran.err.splitlines()[-1]), (line, ran.err)
