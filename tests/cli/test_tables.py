"""Tables at terminals of several widths, in process against the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

import pytest

from abeja_registry import Client, Repository
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run

SIZE = 2_757_009_123
SHA = "0123456789abcdef0123456789abcdef01234567"
LONGEST = "x" * 128
TITLES = {
    "repositories list": "NAME ID UPDATED_(UTC) CREATOR DESCRIPTION",
    "repositories list --sort size": "NAME ID TAG_COUNT SIZE UPDATED_(UTC) DESCRIPTION",
    "tags list trainer-of-models": "NAME DIGEST SIZE UPDATED_(UTC) CREATOR",
    "inventory -o table": "REPOSITORY TAG DIGEST SIZE UPDATED_(UTC) CREATOR",
    "diff {old}": "CHANGE REPOSITORY TAG OLD_DIGEST NEW_DIGEST",
    "summary": "GROUP NAME TAGS BYTES TAG_BYTES NEWEST_(UTC) STALE STALE_BYTES",
}
# The columns that are left out at a narrow terminal.
DROPPED = {
    ("repositories list", 50): "UPDATED_(UTC) CREATOR",
    ("repositories list", 40): "UPDATED_(UTC) CREATOR DESCRIPTION",
    ("repositories list --sort size", 50): "UPDATED_(UTC) DESCRIPTION TAG_COUNT",
    ("repositories list --sort size", 40): "UPDATED_(UTC) DESCRIPTION TAG_COUNT",
    ("tags list trainer-of-models", 80): "CREATOR",
    ("tags list trainer-of-models", 50): "SIZE UPDATED_(UTC) CREATOR",
    ("tags list trainer-of-models", 40): "SIZE UPDATED_(UTC) CREATOR",
    ("inventory -o table", 80): "UPDATED_(UTC) CREATOR",
    ("inventory -o table", 50): "SIZE UPDATED_(UTC) CREATOR",
    ("inventory -o table", 40): "SIZE UPDATED_(UTC) CREATOR",
    ("diff {old}", 80): "OLD_DIGEST",
    ("diff {old}", 50): "OLD_DIGEST NEW_DIGEST",
    ("diff {old}", 40): "OLD_DIGEST NEW_DIGEST",
    ("summary", 80): "NEWEST_(UTC)",
    ("summary", 50): "TAG_BYTES NEWEST_(UTC) STALE STALE_BYTES",
    ("summary", 40): "TAGS TAG_BYTES NEWEST_(UTC) STALE STALE_BYTES",
}
TEXTS = ("NAME", "REPOSITORY", "TAG", "CREATOR", "DESCRIPTION")


@pytest.fixture(params=[SHA, LONGEST], ids=["sha", "longest"])
def repository(request: pytest.FixtureRequest, client: Client, sandbox: Sandbox) -> Repository:
    """A repository with a tag with a long name among short ones."""
    made = client.repositories.create("trainer-of-models", "the images that train all models")
    for name in ("1.0", request.param, "latest"):
        sandbox.push(made, name, size=SIZE)
    return made


@pytest.fixture
def old(repository: Repository, client: Client, sandbox: Sandbox, tmp_path: Path) -> Path:
    """An inventory, after which each tag was moved."""
    path = tmp_path / "old.jsonl"
    client.inventory().write_jsonl(path)
    for number, tag in enumerate(list(repository.iter_tags())):
        sandbox.push(repository, tag.name, size=SIZE, digest=f"sha256:{number:064}")
    return path


def cells(line: str) -> list[str]:
    """Return the cells of a line."""
    return re.split(" {2,}", line.strip())


def is_cut(shown: str, whole: str) -> bool:
    """Whether a text was truncated, with a mark."""
    return len(shown) >= 8 and shown.endswith("…") and whole.startswith(shown[:-1])


@pytest.mark.parametrize("width", [120, 80, 50, 40])
@pytest.mark.parametrize("command", TITLES)
def test_a_table_fits(
    command: str, width: int, run: Run, old: Path, at_terminal: Callable[[int], None]
) -> None:
    """It is no wider; texts are truncated with a mark, and all other values are whole."""
    arguments = command.format(old=old).split()
    whole = [cells(line) for line in run(*arguments).out.splitlines()]
    at_terminal(width)
    lines = run(*arguments).out.splitlines()
    assert max(map(len, lines)) <= width
    titles = [title.replace(" ", "_") for title in whole[0]]
    assert titles == TITLES[command].split()
    dropped = DROPPED.get((command, width), "").split()
    kept = [place for place, title in enumerate(titles) if title not in dropped]
    assert len(lines) == len(whole)
    for line, row in zip(lines, whole, strict=True):
        for shown, place in zip(cells(line), kept, strict=True):
            assert shown == row[place] or (titles[place] in TEXTS and is_cut(shown, row[place]))


def test_names_are_truncated_last(
    run: Run, client: Client, at_terminal: Callable[[int], None]
) -> None:
    """A description gives way before a name does, and so do the columns that matter least."""
    name = "a-name-of-thirty-two-characters-"[:31] + "x"
    client.repositories.create(name, "a description of several words")
    for width in (120, 100, 80, 60, 50):
        at_terminal(width)
        row = run("repositories", "list").out.splitlines()[1]
        assert row.startswith(f"{name}  15000")
        assert ("words" in row) is (width == 120)
    assert run("repositories", "list").out.splitlines()[0].split() == ["NAME", "ID"]


def test_a_narrower_terminal_than_any(
    run: Run, old: Path, at_terminal: Callable[[int], None]
) -> None:
    """Where nothing else helps, lines are longer, and no value is truncated without a mark."""
    at_terminal(10)
    ran = run("diff", str(old))
    assert ran.out.splitlines()[0] == "CHANGE  REPOSIT…  TAG"
    assert ran.out.splitlines()[1].startswith("moved   trainer…  1.0")
    assert "8.27 GB" in run("summary").out


def test_wide_characters_count_twice(
    run: Run, client: Client, at_terminal: Callable[[int], None]
) -> None:
    """Characters that take two cells of a terminal are counted as two."""
    client.repositories.create("trainer", "説明" * 40)
    at_terminal(80)
    line = run("repositories", "list").out.splitlines()[1]
    assert line.endswith("明…")
    assert sum(2 if east_asian_width(each) == "W" else 1 for each in line) in (79, 80)


@pytest.mark.usefixtures("old")
def test_a_table_of_one_is_folded(
    run: Run,
    at_terminal: Callable[[int], None],
) -> None:
    """A table of one row shows each value whole, on several lines; no line ends in blanks."""
    at_terminal(40)
    lines = run("tags", "latest", "trainer-of-models").out.splitlines()
    assert max(map(len, lines)) <= 40
    text = "".join(lines).replace(" ", "")
    assert f"digestsha256:{2:064}size2.76GB({SIZE:,}bytes)" in text
    for command in ("repositories list", "summary", "config"):
        assert not re.search(r" $", run(*command.split()).out, re.M)


def test_counts_have_separators(run: Run, sandbox: Sandbox) -> None:
    """Every count of the summary is read in thousands."""
    sandbox.seed(repositories=1, tags=1000)
    total = cells(run("summary", "--stale-days", "0").out.splitlines()[1])
    assert (total[2], total[-2]) == ("1,000", "1,000")
