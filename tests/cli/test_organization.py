"""`abeja-registry inventory`, `diff` and `summary`, in process against the sandbox."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from abeja_registry import Client
from abeja_registry.inventory import Inventory, read_rows
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run

COLUMNS = ["repository_id", "repository_name", "tag", "digest", "size", "media_type"]
COLUMNS += ["creator_email", "created_at", "updated_at", "kind"]


@pytest.fixture
def rows(client: Client, sandbox: Sandbox) -> list[dict[str, Any]]:
    """The rows of two repositories with two tags each."""
    for name in ("trainer", "predictor"):
        repository = client.repositories.create(name)
        for tag in ("1", "2"):
            sandbox.push(repository, tag, size=1000)
    return sorted((row.to_dict() for row in client.inventory()), key=by_name)


def by_name(row: dict[str, Any]) -> tuple[str, str]:
    """Return what tells a row from others."""
    return row["repository_name"], row["tag"]


def lines(text: str) -> list[Any]:
    """Return the values of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def broken(sandbox: Sandbox) -> None:
    """The tags of no repository can be had."""
    sandbox.faults.add(operation="get_repository_tags", status=403)


def test_rows_for_programs(run: Run, rows: list[dict[str, Any]]) -> None:
    """Without a terminal the rows are JSON lines; the other forms are asked for."""
    ran = run("inventory")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(lines(ran.out), key=by_name) == rows
    assert sorted(json.loads(run("inventory", "-o", "json").out), key=by_name) == rows
    (row, *_) = csv.DictReader(io.StringIO(run("inventory", "-o", "csv", "--page-size", "1").out))
    assert list(row) == list(rows[0]) == COLUMNS
    assert len(lines(run("inventory", "--include", "train*").out)) == 2


def test_a_table_for_people(
    run: Run, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal the rows are a table that is no wider."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    shown = re.sub(r"\x1b\[[0-9]*m", "", run("inventory").out).splitlines()
    assert len(shown) == 1 + len(rows)
    assert max(map(len, shown)) <= 60
    # What is told apart by is whole; what is long gives way.
    assert {line.split()[1] for line in shown[1:]} == {"1", "2"}


@pytest.mark.usefixtures("rows", "broken")
def test_failures_are_told(run: Run) -> None:
    """Where repositories failed it names each of them, and ends with 1."""
    ran = run("inventory")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 3)
    assert {line.split(":")[1] for line in ran.err.splitlines()[:2]} == {" trainer", " predictor"}
    assert "error: 2 of the repositories failed: their rows are missing" in ran.err


@pytest.mark.usefixtures("rows", "broken")
def test_failures_that_are_accepted(run: Run) -> None:
    """With --partial it ends with 0, and the failures are still told."""
    ran = run("inventory", "--partial")
    assert (ran.code, len(lines(ran.out)), ran.err.count("\n")) == (0, 0, 2)


@pytest.mark.usefixtures("rows")
def test_a_repository_that_is_deleted_meanwhile(run: Run, sandbox: Sandbox) -> None:
    """It is told, and is no failure: what is there no more is not missing."""
    sandbox.faults.add(operation="get_repository_tags", status=404)
    ran = run("inventory")
    assert (ran.code, ran.out) == (0, "")
    assert "warning: trainer: it was deleted meanwhile\n" in ran.err


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_file(run: Run, rows: list[dict[str, Any]], tmp_path: Path, suffix: str) -> None:
    """--write makes a file of the suffix's kind, and says so on stderr alone."""
    path = tmp_path / f"inventory.{suffix}"
    ran = run("inventory", "--write", str(path))
    assert (ran.code, ran.out, ran.err) == (0, "", f"4 rows in {path}\n")
    assert sorted((row.to_dict() for row in read_rows(path)), key=by_name) == rows


@pytest.mark.usefixtures("rows", "broken")
def test_a_file_is_resumed(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """Where a repository failed there is no file; --resume asks again, --partial does without."""
    path = tmp_path / "inventory.csv"
    ran = run("inventory", "--write", str(path))
    assert (ran.code, path.exists()) == (1, False)
    assert f"{path} was not written - --resume asks for the rest" in ran.err
    assert run("inventory", "--write", str(path), "--resume", "--partial").code == 0
    assert list(read_rows(path)) == []
    assert run("inventory", "--write", str(path)).code == 1
    sandbox.faults.clear()
    assert run("inventory", "--write", str(path), "--resume").code == 0
    assert len(list(read_rows(path))) == 4


def test_an_interrupted_walk_says_what_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After Ctrl-C one line says that there is no file, and how to go on."""

    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Inventory, "write_csv", interrupted)
    path = tmp_path / "inventory.csv"
    ran = run("inventory", "--write", str(path))
    assert (ran.code, ran.out, ran.err.count("\n")) == (130, "", 2)
    assert ran.err.startswith(f"\n{path} was not written - ")
    assert "--resume goes on" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--write", "inventory.txt"], "takes a .jsonl, .csv or .parquet file"),
        (["--write", "inventory.csv", "--output", "csv"], "exclude each other"),
        (["--resume"], "--resume needs --write"),
        (["--concurrency", "0"], "concurrency must be at least 1"),
        (["--include", ""], "include must be a non-empty pattern"),
    ],
)
def test_what_is_refused(run: Run, arguments: list[str], said: str) -> None:
    """What cannot be meant is wrong usage."""
    ran = run("inventory", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_a_file_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """A folder that is not there is an error of one line, with the path."""
    ran = run("inventory", "--write", str(tmp_path / "nowhere" / "inventory.csv"))
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "nowhere" in ran.err
    assert "No such file or directory" in ran.err


@pytest.mark.usefixtures("rows")
def test_a_file_that_cannot_be_replaced(
    run: Run, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names it and the option that goes on, which then needs no tags again."""
    path = tmp_path / "inventory.csv"
    path.write_text("last week's")
    replace = os.replace

    def refuse(source: Any, place: Any) -> None:
        if Path(place) == path:
            raise OSError(errno.EBUSY, "Device or resource busy", str(source))
        replace(source, place)

    monkeypatch.setattr(os, "replace", refuse)
    ran = run("inventory", "--write", str(path))
    assert ran.code == 1
    assert f"{path}: Device or resource busy - --resume goes on with the rows that" in ran.err
    assert "resume=True" not in ran.err
    assert path.read_text() == "last week's"
    monkeypatch.setattr(os, "replace", replace)
    before = [each for each in sandbox.requests if each.path.endswith("/tags")]
    assert run("inventory", "--write", str(path), "--resume").code == 0
    assert [each for each in sandbox.requests if each.path.endswith("/tags")] == before
    assert len(list(read_rows(path))) == 4


@pytest.mark.usefixtures("rows")
def test_a_file_that_cannot_be_written_asks_for_nothing(
    run: Run, tmp_path: Path, sandbox: Sandbox
) -> None:
    """What is no regular file is refused before the first request, with no word of --resume."""
    path = tmp_path / "inventory.csv"
    os.mkfifo(path)
    before = len(sandbox.requests)
    for arguments in (["inventory", "--write", str(path)], ["summary", "--html", f"{path}.html"]):
        if "--html" in arguments:
            os.mkfifo(f"{path}.html")
        ran = run(*arguments)
        assert ran.code == 1
        assert f"{arguments[-1]}: it is not a regular file" in ran.err
        assert "resume" not in ran.err
    assert len(sandbox.requests) == before


def test_diff(
    run: Run, rows: list[dict[str, Any]], client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Files are compared with one another or with what is there now; the order is fixed."""
    old, new = str(tmp_path / "old.jsonl"), str(tmp_path / "new.csv")
    client.inventory().write_jsonl(old)
    same = run("diff", old, "--exit-code", "--output", "json")
    assert (same.code, json.loads(same.out)) == (0, [])
    client.repositories.get_by_name("predictor").delete()
    sandbox.push(
        client.repositories.get_by_name("trainer"), "1", size=7, digest="sha256:" + "0" * 64
    )
    sandbox.push(client.repositories.create("notebook"), "1")
    client.inventory().write_csv(new)
    changes = lines(run("diff", old, new, "--output", "jsonl").out)
    assert [(each["change"], each["repository_name"], each["tag"]) for each in changes] == [
        ("repository_added", "notebook", None),
        ("repository_removed", "predictor", None),
        ("added", "notebook", "1"),
        ("removed", "predictor", "1"),
        ("removed", "predictor", "2"),
        ("moved", "trainer", "1"),
    ]
    moved = changes[-1]
    assert moved["old"] == next(row for row in rows if by_name(row) == ("trainer", "1"))
    assert moved["new"]["size"] == 7
    live = run("diff", old, "--exit-code", "--output", "csv")
    assert live.code == 1
    assert live.out.splitlines()[-1].startswith("moved,trainer,1,sha256:")
    assert len(run("diff", old, new).out.splitlines()) == 1 + len(changes)


@pytest.mark.usefixtures("rows")
def test_a_pattern_is_of_files_too(run: Run, client: Client, tmp_path: Path) -> None:
    """--include leaves out the same rows of a file, of another, and of what is there now."""
    old, new = str(tmp_path / "old.jsonl"), str(tmp_path / "new.csv")
    client.inventory().write_jsonl(old)
    client.repositories.get_by_name("predictor").delete()
    client.inventory().write_csv(new)
    for sources in ([old], [old, new]):
        assert len(lines(run("diff", *sources, "--output", "jsonl").out)) == 3
        ran = run("diff", *sources, "--include", "train*", "--output", "jsonl", "--exit-code")
        assert (ran.code, ran.out) == (0, "")
    ran = run("summary", old, "--include", "pred*", "--output", "json")
    assert json.loads(ran.out)["total"]["tags"] == 2
    page = tmp_path / "page.html"
    run("summary", new, "--html", str(page), "--include", "train*", "--compare", old)
    assert "new.csv, repositories like train*" in page.read_text()
    patterns = ["--include", "pred*", "--include", "train*", "--exclude", "*er", "--exclude", "x*"]
    ran = run("summary", old, *patterns, "--output", "json")
    assert json.loads(ran.out)["total"]["tags"] == 2
    run("summary", old, "--html", str(page), *patterns)
    text = "old.jsonl, repositories like pred*, train*, without repositories like *er, x*"
    assert text in page.read_text()
    run("summary", old, "--html", str(page), "--exclude", "pred*")
    assert "old.jsonl, without repositories like pred*" in page.read_text()


@pytest.mark.usefixtures("rows")
def test_diff_with_a_part_of_what_is_there(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """Where a repository failed nothing is compared: it would look as if it were gone."""
    old = tmp_path / "old.jsonl"
    run("inventory", "--write", str(old))
    sandbox.faults.add(operation="get_repository_tags", status=403)
    ran = run("diff", str(old))
    assert (ran.code, ran.out) == (1, "")
    assert "without them there is nothing to tell" in ran.err


def test_files_that_are_none(run: Run, tmp_path: Path) -> None:
    """A file that is not there, or that is not an inventory, is wrong usage."""
    text = tmp_path / "inventory.txt"
    text.write_text("no inventory")
    for path in (tmp_path / "nowhere.csv", text):
        for command in ("diff", "summary"):
            assert run(command, str(path)).code == 2


@pytest.mark.usefixtures("rows")
def test_summary(run: Run, tmp_path: Path) -> None:
    """What is there now, and a file, add up to the same: in all, by repository and by creator."""
    path = str(tmp_path / "inventory.jsonl")
    run("inventory", "--write", path)
    now = json.loads(run("summary", "--output", "json").out)
    assert now == json.loads(run("summary", path, "--output", "json").out)
    assert list(now) == [
        "stale_after_days", "empty_repositories", "total", "repositories", "creators",
    ]  # fmt: skip
    assert (now["stale_after_days"], now["total"]["tags"], now["total"]["bytes"]) == (90, 4, 4000)
    assert [group["name"] for group in now["repositories"]] == ["predictor", "trainer"]
    (total, *others) = csv.DictReader(io.StringIO(run("summary", path, "-o", "csv").out))
    assert list(total) == [
        "of", "name", "tags", "images", "bytes", "tag_bytes",
        "oldest", "newest", "stale", "stale_bytes",
    ]  # fmt: skip
    assert [row["of"] for row in others] == ["repository", "repository", "creator"]
    assert total["newest"].endswith("Z")
    assert "4,000" in run("summary", path, "--stale-after-days", "1").out


def test_sizes_count_images(run: Run, client: Client, sandbox: Sandbox, tmp_path: Path) -> None:
    """Two tags of one image are its size once; the sum over tags has a column of its own."""
    repository = client.repositories.create("trainer")
    for tag in ("1.0.0", "latest"):
        sandbox.push(repository, tag, size=10**10, digest="sha256:" + "0" * 64)
    path = str(tmp_path / "inventory.csv")
    run("inventory", "--write", path)
    for source in ([], [path]):
        for days, freed in (("90", 0), ("0", 10**10)):
            arguments = [*source, "--stale-after-days", days]
            summary = json.loads(run("summary", *arguments, "-o", "json").out)
            for totals in (summary["total"], summary["repositories"][0], summary["creators"][0]):
                assert (totals["tags"], totals["images"]) == (2, 1)
                assert (totals["bytes"], totals["tag_bytes"]) == (10**10, 2 * 10**10)
                assert totals["stale_bytes"] == freed
            for totals in csv.DictReader(io.StringIO(run("summary", *arguments, "-o", "csv").out)):
                assert (totals["bytes"], totals["tag_bytes"]) == (str(10**10), str(2 * 10**10))
                assert totals["stale_bytes"] == str(freed)
            for line in run("summary", *arguments).out.splitlines()[1:]:
                assert line.split()[3:5] == ["10,000,000,000", "20,000,000,000"]


def test_summary_of_nothing(run: Run) -> None:
    """An organization without tags adds up to nothing, at no time."""
    total = json.loads(run("summary", "--output", "json").out)["total"]
    assert (total["tags"], total["oldest"]) == (0, None)


# -- repositories without tags --------------------------------------------------------------------

FIRST_VERSION = Path(__file__).parents[1] / "first_version"


@pytest.fixture
def empty(rows: list[dict[str, Any]], client: Client) -> list[str]:
    """The names of three repositories without tags, beside two with tags."""
    names = ["empty-1", "empty-2", "empty-3"]
    for name in names:
        client.repositories.create(name)
    return names


def test_rows_of_repositories_without_tags(run: Run, empty: list[str]) -> None:
    """In each form a row names them, after those of tags; the tag's columns are null or empty."""
    found = lines(run("inventory", "-o", "jsonl").out)
    as_json = json.loads(run("inventory", "-o", "json").out)
    assert sorted(map(str, found)) == sorted(map(str, as_json))
    assert [each["kind"] for each in found] == ["tag"] * 4 + ["repository"] * 3
    assert sorted(each["repository_name"] for each in found[4:]) == empty
    assert list(found[-1]) == COLUMNS
    assert {found[-1][name] for name in COLUMNS[2:-1]} == {None}
    records = list(csv.DictReader(io.StringIO(run("inventory", "-o", "csv").out)))
    assert sorted(each["repository_name"] for each in records[4:]) == empty
    assert {records[-1][name] for name in COLUMNS[2:-1]} == {""}
    table = run("inventory", "-o", "table").out.splitlines()
    assert sorted(table[5:]) == empty


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_file_with_repositories_without_tags(
    run: Run, empty: list[str], tmp_path: Path, suffix: str
) -> None:
    """Writing says how many there are; a summary of the file counts and names them."""
    path = tmp_path / f"inventory.{suffix}"
    ran = run("inventory", "--write", str(path))
    assert ran.err == f"4 rows, and 3 repositories without tags in {path}\n"
    ran = run("inventory", "--write", str(path), "--include", "*-1")
    assert ran.err == f"0 rows, and 1 repository without tags in {path}\n"
    run("inventory", "--write", str(path))
    sources: list[list[str]] = [[], [str(path)]]
    for source in sources:
        summary = json.loads(run("summary", *source, "-o", "json").out)
        assert summary["empty_repositories"] == 3
        assert [each["name"] for each in summary["repositories"][2:]] == empty
        assert {each["tags"] for each in summary["repositories"][2:]} == {0}
        records = list(csv.DictReader(io.StringIO(run("summary", *source, "-o", "csv").out)))
        assert [each["name"] for each in records[3:6]] == empty
        assert (records[3]["tags"], records[3]["bytes"], records[3]["newest"]) == ("0", "0", "")
        table = run("summary", *source)
        assert [line.split() for line in table.out.splitlines()[4:7]] == [
            ["repository", name, *"00000"] for name in empty
        ]
        assert table.err == ""
        only = json.loads(run("summary", *source, "-o", "json", "--include", "*-1").out)
        assert [each["name"] for each in only["repositories"]] == ["empty-1"]


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_diff_of_repositories_without_tags(
    run: Run, client: Client, tmp_path: Path, suffix: str
) -> None:
    """One that is deleted or created is a difference, by name and exit code."""
    old, new = str(tmp_path / f"old.{suffix}"), str(tmp_path / f"new.{suffix}")
    run("inventory", "--write", old)
    assert run("diff", old, "--exit-code").code == 0
    client.repositories.get_by_name("empty-1").delete()
    client.repositories.create("empty-4")
    run("inventory", "--write", new)
    for sources in ([old], [old, new]):
        ran = run("diff", *sources, "--exit-code", "-o", "json")
        assert (ran.code, ran.err) == (1, "")
        assert [(each["change"], each["repository_name"]) for each in json.loads(ran.out)] == [
            ("repository_added", "empty-4"),
            ("repository_removed", "empty-1"),
        ]
        records = csv.DictReader(io.StringIO(run("diff", *sources, "-o", "csv").out))
        assert [each["repository_name"] for each in records] == ["empty-4", "empty-1"]
        table = [line.split() for line in run("diff", *sources).out.splitlines()[1:]]
        assert table == [["repository_added", "empty-4"], ["repository_removed", "empty-1"]]
        ran = run("diff", *sources, "--exit-code", "-o", "json", "--include", "*-[23]")
        assert (ran.code, json.loads(ran.out)) == (0, [])


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_file_of_the_first_version(run: Run, tmp_path: Path, suffix: str) -> None:
    """It does not name repositories without tags: a warning says so, and no difference does."""
    path = FIRST_VERSION / f"inventory.{suffix}"
    warning = f"warning: {path} names only repositories with tags: it has no column 'kind'\n"
    ran = run("diff", str(path), "-o", "jsonl")
    assert (ran.code, ran.err) == (0, warning)
    changes = [(each["change"], each["repository_name"]) for each in lines(ran.out)]
    assert not [change for change in changes if change[0].startswith("repository")]
    now = str(tmp_path / "now.csv")
    run("inventory", "--write", now)
    ran = run("diff", now, str(path), "-o", "jsonl")
    assert ran.err == warning
    assert not [each for each in lines(ran.out) if each["change"].startswith("repository")]
    for output in ("json", "table", "csv"):
        assert run("summary", str(path), "-o", output).err == warning
    summary = json.loads(run("summary", str(path), "-o", "json").out)
    assert (summary["empty_repositories"], len(summary["repositories"])) == (None, 2)
    page = tmp_path / "page.html"
    assert run("summary", str(path), "--html", str(page)).err == f"{warning}3 tags in {page}\n"
    assert "Repositories without tags are not in it" in page.read_text()
