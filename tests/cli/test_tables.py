"""Tables at terminals of several widths, in process against the sandbox."""

from __future__ import annotations

import re
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
    "repositories list": "NAME ID UPDATED CREATOR DESCRIPTION",
    "tags list trainer-of-models": "NAME DIGEST SIZE UPDATED CREATOR",
    "inventory -o table": "REPOSITORY TAG DIGEST SIZE UPDATED CREATOR",
    "diff {old}": "CHANGE REPOSITORY TAG OLD_DIGEST NEW_DIGEST",
    "summary": "OF NAME TAGS BYTES TAG_BYTES NEWEST STALE STALE_BYTES",
}
# What has gone where a terminal is so narrow.
GONE = {
    ("repositories list", 50): "UPDATED CREATOR",
    ("repositories list", 40): "UPDATED CREATOR",
    ("tags list trainer-of-models", 50): "UPDATED CREATOR",
    ("tags list trainer-of-models", 40): "UPDATED CREATOR",
    ("inventory -o table", 50): "UPDATED CREATOR",
    ("inventory -o table", 40): "SIZE UPDATED CREATOR",
    ("diff {old}", 50): "OLD_DIGEST",
    ("diff {old}", 40): "OLD_DIGEST",
    ("summary", 80): "NEWEST",
    ("summary", 50): "TAG_BYTES NEWEST STALE STALE_BYTES",
    ("summary", 40): "TAGS TAG_BYTES NEWEST STALE STALE_BYTES",
}
TEXTS = ("NAME", "REPOSITORY", "TAG", "CREATOR", "DESCRIPTION")


@pytest.fixture(params=[SHA, LONGEST], ids=["sha", "longest"])
def repository(request: pytest.FixtureRequest, client: Client, sandbox: Sandbox) -> Repository:
    """A repository with a tag of a long name among short ones."""
    made = client.repositories.create("trainer-of-models", "the images that train all models")
    for name in ("1.0", request.param, "latest"):
        sandbox.push(made, name, size=SIZE)
    return made


@pytest.fixture
def old(repository: Repository, client: Client, sandbox: Sandbox, tmp_path: Path) -> Path:
    """An inventory of before each tag was moved."""
    path = tmp_path / "old.jsonl"
    client.inventory().write_jsonl(path)
    for number, tag in enumerate(list(repository.iter_tags())):
        sandbox.push(repository, tag.name, size=SIZE, digest=f"sha256:{number:064}")
    return path


def cells(line: str) -> list[str]:
    """Return the cells of a line."""
    return re.split(" {2,}", line.strip())


def is_cut(shown: str, whole: str) -> bool:
    """Whether a text gave way, as people see."""
    return len(shown) >= 8 and shown.endswith("…") and whole.startswith(shown[:-1])


@pytest.mark.parametrize("width", [120, 80, 50, 40])
@pytest.mark.parametrize("command", TITLES)
def test_a_table_fits(
    command: str, width: int, run: Run, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no wider; texts are seen to be cut, columns go, and all other values are whole."""
    arguments = command.format(old=old).split()
    whole = [cells(line) for line in run(*arguments).out.splitlines()]
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run(*arguments).out.splitlines()
    assert max(map(len, lines)) <= width
    titles = [title.replace(" ", "_") for title in whole[0]]
    assert titles == TITLES[command].split()
    gone = GONE.get((command, width), "").split()
    kept = [place for place, title in enumerate(titles) if title not in gone]
    assert len(lines) == len(whole)
    for line, row in zip(lines, whole, strict=True):
        for shown, place in zip(cells(line), kept, strict=True):
            assert shown == row[place] or (titles[place] in TEXTS and is_cut(shown, row[place]))


def test_what_cannot_fit_is_whole_all_the_same(
    run: Run, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no terminal is as narrow, lines are longer, and no value is cropped."""
    monkeypatch.setenv("COLUMNS", "10")
    ran = run("diff", str(old))
    assert ran.out.splitlines()[0] == "CHANGE  REPOSIT…  TAG"
    assert ran.out.splitlines()[1].startswith("moved   trainer…  1.0")
    assert f"{3 * SIZE:,}" in run("summary").out


def test_wide_characters_count_twice(
    run: Run, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes two places at a terminal is cut by places, and not by characters."""
    client.repositories.create("trainer", "説明" * 40)
    monkeypatch.setenv("COLUMNS", "80")
    line = run("repositories", "list").out.splitlines()[1]
    assert line.endswith("明…")
    assert sum(2 if east_asian_width(each) == "W" else 1 for each in line) in (79, 80)


@pytest.mark.usefixtures("old")
def test_a_table_of_one_is_folded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown by itself is whole, over as many lines as it takes; none ends in blanks."""
    monkeypatch.setenv("COLUMNS", "40")
    lines = run("tags", "latest", "trainer-of-models").out.splitlines()
    assert max(map(len, lines)) <= 40
    text = "".join(lines).replace(" ", "")
    assert f"digestsha256:{2:064}size{SIZE:,}" in text
    for command in ("repositories list", "summary", "whoami"):
        assert not re.search(r" $", run(*command.split()).out, re.M)


def test_counts_have_separators(run: Run, sandbox: Sandbox) -> None:
    """Every count of the summary is read in thousands."""
    sandbox.seed(repositories=1, tags=1000)
    total = cells(run("summary", "--stale-after-days", "0").out.splitlines()[1])
    assert (total[2], total[-2]) == ("1,000", "1,000")
