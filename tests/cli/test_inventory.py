"""`abeja-registry inventory`, `diff` and `summary`, in process against the sandbox."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
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
    """Return the key of a row."""
    return row["repository_name"], row["tag"]


def lines(text: str) -> list[Any]:
    """Return the values of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def broken(sandbox: Sandbox) -> None:
    """The tags of each repository cannot be read."""
    sandbox.faults.add(operation="get_repository_tags", status=403)


def test_rows_for_programs(run: Run, rows: list[dict[str, Any]]) -> None:
    """Without a terminal the rows are JSON lines; --output chooses another form."""
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
    assert {line.split()[1] for line in shown[1:]} == {"1", "2"}


@pytest.mark.usefixtures("rows", "broken")
def test_failures_are_reported(run: Run) -> None:
    """It names each repository that failed, and ends with 1."""
    ran = run("inventory")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 4)
    assert {line.split(":")[1] for line in ran.err.splitlines()[1:3]} == {" trainer", " predictor"}
    assert "error: 2 of the repositories failed: their rows are missing" in ran.err


@pytest.mark.usefixtures("rows", "broken")
def test_partial_rows(run: Run) -> None:
    """With --partial it ends with 0, and the failures are still reported."""
    ran = run("inventory", "--partial")
    assert (ran.code, len(lines(ran.out)), ran.err.count("\nwarning: ")) == (0, 0, 2)


@pytest.mark.usefixtures("rows")
def test_a_repository_that_is_deleted_during_the_inventory(run: Run, sandbox: Sandbox) -> None:
    """It is reported, and is no failure."""
    sandbox.faults.add(operation="get_repository_tags", status=404)
    ran = run("inventory")
    assert (ran.code, ran.out) == (0, "")
    assert "warning: trainer: it was deleted during the inventory\n" in ran.err


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_file(run: Run, rows: list[dict[str, Any]], tmp_path: Path, suffix: str) -> None:
    """--write writes a file in the format of its suffix, with a message on stderr alone."""
    path = tmp_path / f"inventory.{suffix}"
    ran = run("inventory", "--write", str(path))
    assert (ran.code, ran.out, ran.err) == (0, "", f"4 rows in {path}\n")
    assert sorted((row.to_dict() for row in read_rows(path)), key=by_name) == rows


@pytest.mark.usefixtures("rows", "broken")
def test_a_file_is_resumed(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """If a repository failed, no file is written; --resume reads it, --partial leaves it out."""
    path = tmp_path / "inventory.csv"
    ran = run("inventory", "--write", str(path))
    assert (ran.code, path.exists()) == (1, False)
    assert f"{path} was not written - --resume reads the rest" in ran.err
    assert run("inventory", "--write", str(path), "--resume", "--partial").code == 0
    assert list(read_rows(path)) == []
    assert run("inventory", "--write", str(path)).code == 1
    sandbox.faults.clear()
    assert run("inventory", "--write", str(path), "--resume").code == 0
    assert len(list(read_rows(path))) == 4


def test_an_interrupted_file(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After Ctrl-C one line says that the file was not written, and how to continue."""

    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Inventory, "write_csv", interrupted)
    path = tmp_path / "inventory.csv"
    ran = run("inventory", "--write", str(path))
    assert (ran.code, ran.out, ran.err.count("\n")) == (130, "", 2)
    assert ran.err == f"\n{path} was not written; --resume continues with the rows so far\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--write", "inventory.txt"], "takes a .jsonl, .csv or .parquet file"),
        (["--write", "inventory.csv", "--output", "csv"], "--write writes all rows and columns"),
        (["--write", "inventory.csv", "--limit", "1"], "--write writes all rows and columns"),
        (["--write", "inventory.csv", "--since", "1d"], "--write writes all rows and columns"),
        (["--write", "inventory.csv", "--empty"], "--write writes all rows and columns"),
        (["--empty", "--since", "1d"], "repositories without tags have no time of a push"),
        (["--resume"], "--resume needs --write"),
        (["-o", "inv.csv"], "; `--write inv.csv` writes a file"),
        (["--concurrency", "0"], "it must be a whole number, at least 1"),
        (["--include", ""], "--include must be a non-empty pattern"),
    ],
)
def test_invalid_options(run: Run, arguments: list[str], problem: str) -> None:
    """Options that exclude each other, and invalid values, are wrong usage."""
    ran = run("inventory", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err


def test_a_file_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """A missing folder is an error of one line, with the path."""
    ran = run("inventory", "--write", str(tmp_path / "nowhere" / "inventory.csv"))
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "nowhere" in ran.err
    assert "No such file or directory" in ran.err


@pytest.mark.usefixtures("rows")
def test_a_file_that_cannot_be_replaced(
    run: Run, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names it and the option to continue, which then reads no tags again."""
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
    assert f"{path}: Device or resource busy; the rows so far are kept beside it" in ran.err
    assert "pass --resume to continue with them" in ran.err
    assert "resume=True" not in ran.err
    assert path.read_text() == "last week's"
    monkeypatch.setattr(os, "replace", replace)
    before = [each for each in sandbox.requests if each.path.endswith("/tags")]
    assert run("inventory", "--write", str(path), "--resume").code == 0
    assert [each for each in sandbox.requests if each.path.endswith("/tags")] == before
    assert len(list(read_rows(path))) == 4


@pytest.mark.usefixtures("rows")
def test_a_target_that_is_no_file(run: Run, tmp_path: Path, sandbox: Sandbox) -> None:
    """A target that is no regular file is an error before the first request."""
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
    """A file is compared with another file or with the API; the order is fixed."""
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
def test_patterns_select_rows_of_files(run: Run, client: Client, tmp_path: Path) -> None:
    """--include and --exclude select the same rows of files and of the API."""
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
def test_a_diff_without_all_rows(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """If a repository failed, nothing is compared, since it would look removed."""
    old = tmp_path / "old.jsonl"
    run("inventory", "--write", str(old))
    sandbox.faults.add(operation="get_repository_tags", status=403)
    ran = run("diff", str(old))
    assert (ran.code, ran.out) == (1, "")
    assert "nothing was compared or added up; --partial leaves them out" in ran.err


def test_files_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    """A missing file, or one with another suffix, is wrong usage."""
    text = tmp_path / "inventory.txt"
    text.write_text("no inventory")
    for path in (tmp_path / "nowhere.csv", text):
        for command in ("diff", "summary"):
            assert run(command, str(path)).code == 2


@pytest.mark.usefixtures("rows")
def test_summary(run: Run, tmp_path: Path) -> None:
    """The API and a file have the same sums: in all, by repository and by creator."""
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
    assert "4.00 kB" in run("summary", path, "--stale-days", "1").out


def test_sizes_count_images(run: Run, client: Client, sandbox: Sandbox, tmp_path: Path) -> None:
    """The size of an image with two tags counts once; another column has the sum over tags."""
    repository = client.repositories.create("trainer")
    for tag in ("1.0.0", "latest"):
        sandbox.push(repository, tag, size=10**10, digest="sha256:" + "0" * 64)
    path = str(tmp_path / "inventory.csv")
    run("inventory", "--write", path)
    for source in ([], [path]):
        for days, freed in (("90", 0), ("0", 10**10)):
            arguments = [*source, "--stale-days", days]
            summary = json.loads(run("summary", *arguments, "-o", "json").out)
            for totals in (summary["total"], summary["repositories"][0], summary["creators"][0]):
                assert (totals["tags"], totals["images"]) == (2, 1)
                assert (totals["bytes"], totals["tag_bytes"]) == (10**10, 2 * 10**10)
                assert totals["stale_bytes"] == freed
            for totals in csv.DictReader(io.StringIO(run("summary", *arguments, "-o", "csv").out)):
                assert (totals["bytes"], totals["tag_bytes"]) == (str(10**10), str(2 * 10**10))
                assert totals["stale_bytes"] == str(freed)
            for line in run("summary", *arguments).out.splitlines()[1:]:
                assert line.split()[3:7] == ["10.0", "GB", "20.0", "GB"]


def test_summary_of_nothing(run: Run) -> None:
    """The sums of an organization without tags are 0, without times."""
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
    """In each form their rows follow those of tags; the columns of a tag are null or empty."""
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
            ["repository", name, "0", "0", "B", "0", "B", "0", "0", "B"] for name in empty
        ]
        assert table.err == ""
        only = json.loads(run("summary", *source, "-o", "json", "--include", "*-1").out)
        assert [each["name"] for each in only["repositories"]] == ["empty-1"]


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_diff_of_repositories_without_tags(
    run: Run, client: Client, tmp_path: Path, suffix: str
) -> None:
    """A deleted or created repository is a difference, with its name, and by the exit code."""
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
    """It does not name repositories without tags: a warning says so, and they do not differ."""
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
    assert "Repositories without tags are missing, as the inventory" in page.read_text()


# -- selecting and sorting ------------------------------------------------------------------------


@pytest.fixture
def aged(client: Client, sandbox: Sandbox) -> list[str]:
    """Two repositories with tags of several ages and sizes, and one without."""
    now = datetime.now(UTC)
    client.repositories.create("empty")
    names = []
    for name, size, days in (("a:new", 1000, 1), ("a:old", 3000, 100), ("b:older", 2000, 400)):
        repository, _, tag = name.partition(":")
        pushed = now - timedelta(days=days)
        repository_ = client.repositories.get_or_create(repository)
        sandbox.push(repository_, tag, size=size, created_at=pushed, updated_at=pushed)
        names.append(name)
    return names


def quiet(run: Run, *arguments: str) -> list[str]:
    """Return the lines of a command with --quiet, in one word each."""
    ran = run(*arguments, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    return [":".join(filter(None, line.split("\t"))) for line in ran.out.splitlines()]


def test_selected_rows(run: Run, aged: list[str]) -> None:
    """Rows are selected by the last push, sorted and limited; --empty selects the others."""
    assert sorted(quiet(run, "inventory")) == [*aged, "empty"]
    assert sorted(quiet(run, "inventory", "--stale-days", "90")) == aged[1:]
    assert quiet(run, "inventory", "--since", "30d") == aged[:1]
    assert quiet(run, "inventory", "--until", "52w") == aged[2:]
    assert quiet(run, "inventory", "--empty") == ["empty"]
    assert quiet(run, "inventory", "--sort", "name", "--limit", "2") == aged[:2]
    assert quiet(run, "inventory", "--sort", "updated") == [*aged, "empty"]
    assert quiet(run, "inventory", "--sort", "created", "--reverse") == ["empty", *aged[::-1]]
    assert quiet(run, "inventory", "--sort", "size", "--limit", "2") == ["a:old", "b:older"]
    ran = run("inventory", "--columns", "repository_name,tag", "--stale-days", "365", "-o", "csv")
    assert ran.out == "repository_name,tag\nb,older\n"
    for output in ("table", "json"):
        ran = run("inventory", "--since", "1m", "-o", output)
        assert (ran.code, ran.err) == (0, "no tags\n")


def test_selected_differences(
    run: Run, aged: list[str], client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Differences are selected by the last push of the tag, sorted and limited."""
    old = tmp_path / "old.jsonl"
    run("inventory", "--write", str(old))
    client.repositories.get_by_name("b").delete()
    sandbox.push(client.repositories.get_by_name("a"), "newest", size=5000)
    assert quiet(run, "diff", str(old)) == [
        "repository_removed:b",
        "added:a:newest",
        "removed:b:older",
    ]
    assert quiet(run, "diff", str(old), "--since", "30d") == ["added:a:newest"]
    assert quiet(run, "diff", str(old), "--stale-days", "365") == ["removed:b:older"]
    assert quiet(run, "diff", str(old), "--sort", "size")[0] == "added:a:newest"
    assert quiet(run, "diff", str(old), "--sort", "name", "--limit", "1") == ["added:a:newest"]
    ran = run("diff", str(old), "--columns", "change,tag", "-o", "jsonl", "--limit", "2")
    assert lines(ran.out)[1] == {"change": "added", "tag": "newest"}
    ran = run("diff", str(old), "--since", "1m", "--until", "1m", "--exit-code")
    assert (ran.code, ran.out, ran.err) == (0, "", "no differences\n")


def test_a_partial_diff(
    run: Run, aged: list[str], client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    """With --partial a repository that failed is neither removed nor different."""
    old = tmp_path / "old.jsonl"
    run("inventory", "--write", str(old))
    sandbox.push(client.repositories.get_by_name("b"), "newest")
    failed = client.repositories.get_by_name("a").id
    sandbox.faults.add(operation="get_repository_tags", repository_id=failed, status=403)
    ran = run("diff", str(old), "--partial", "--quiet")
    assert (ran.code, ran.out) == (0, "added\tb\tnewest\n")
    assert ran.err.startswith("warning: a: ")


def test_selected_sums(run: Run, aged: list[str], tmp_path: Path) -> None:
    """The limit and the order are those of repositories and creators; --since selects tags."""
    path = str(tmp_path / "now.csv")
    run("inventory", "--write", path)
    for source in ([], [path]):

        def summary(*options: str, source: list[str] = source) -> Any:
            return json.loads(run("summary", *source, *options, "-o", "json").out)

        def names(*options: str, summary: Any = summary) -> list[str]:
            return [each["name"] for each in summary(*options)["repositories"]]

        assert names() == ["a", "b", "empty"]
        assert names("--limit", "1") == ["a"]
        assert names("--sort", "size", "--reverse") == ["empty", "b", "a"]
        assert names("--sort", "name", "--reverse", "--limit", "2") == ["empty", "b"]
        assert names("--sort", "updated", "--limit", "1") == ["a"]
        recent = summary("--since", "200d")
        assert (recent["total"]["tags"], recent["total"]["bytes"]) == (2, 4000)
        assert [each["name"] for each in recent["repositories"]] == ["a"]
        assert summary("--stale-days", "365")["total"]["stale"] == 1
        assert summary("--limit", "1")["total"]["tags"] == len(aged)
    table = run("summary", "--limit", "1", "--columns", "of,name,bytes").out
    assert [line.split()[:2] for line in table.splitlines()] == [
        ["GROUP", "NAME"],
        ["total", "(all)"],
        ["repository", "a"],
        ["creator", "test@abeja.asia"],
    ]


def test_partial_sums(run: Run, aged: list[str], client: Client, sandbox: Sandbox) -> None:
    """With --partial the sums leave out a repository that failed, and a warning names it."""
    failed = client.repositories.get_by_name("a").id
    sandbox.faults.add(operation="get_repository_tags", repository_id=failed, status=403)
    ran = run("summary", "-o", "json")
    assert (ran.code, ran.out) == (1, "")
    ran = run("summary", "--partial", "-o", "json")
    assert (ran.code, json.loads(ran.out)["total"]["tags"]) == (0, 1)
    assert ran.err.startswith("warning: a: ")
