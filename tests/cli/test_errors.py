"""A wrong argument, a broken file and a defect are different errors."""

from __future__ import annotations

import json
import re
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.examples import Examples
from tests.support.internals import cli_tags
from tests.support.server import Request, Server, response

from abeja_registry import Client, InvalidArgument
from abeja_registry.inventory import InventoryRow, read_rows
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run

SECRET = "a-secret-of-somebody"


@pytest.fixture
def written(client: Client, sandbox: Sandbox, tmp_path: Path) -> Path:
    """Inventories of each kind, in a folder."""
    sandbox.seed(repositories=1, tags=30)
    found = client.inventory()
    found.write_jsonl(tmp_path / "good.jsonl")
    found.write_csv(tmp_path / "good.csv")
    found.write_parquet(tmp_path / "good.parquet")
    return tmp_path


# -- broken files ---------------------------------------------------------------------------------

each_kind = pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
lines = pytest.mark.parametrize("kind", ["jsonl", "csv"])


def refused(run: Run, path: Path, good: Path) -> str:
    """Return the error of each command that reads a broken file."""
    page = path.parent / "page.html"
    errors = set()
    for arguments in (
        ["diff", path, good],
        ["diff", good, path],
        ["summary", path],
        ["summary", path, "--html", page],
        ["summary", good, "--html", page, "--compare", path],
    ):
        ran = run(*map(str, arguments))
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1), arguments
        errors.add(ran.err)
    assert not page.exists()
    [error] = errors
    assert error.startswith("error: ")
    assert str(path) in error
    assert not re.search(r"Error|int\(\)|codec|Traceback|--help", error)
    return error


@each_kind
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file(run: Run, written: Path, kind: str, share: float) -> None:
    """A truncated file is a 1, and the error names the line where it ends."""
    good = written / f"good.{kind}"
    path = written / f"cut.{kind}"
    content = good.read_bytes()
    path.write_bytes(content[: int(len(content) * share) - 7])
    error = refused(run, path, good)
    last = path.read_bytes().count(b"\n") + 1
    assert kind == "parquet" or f"line {last} of " in error


@each_kind
def test_a_file_of_other_bytes(run: Run, written: Path, kind: str) -> None:
    """A file that is neither text nor Parquet is a 1."""
    path = written / f"junk.{kind}"
    path.write_bytes(bytes(range(256)) * 50)
    refused(run, path, written / f"good.{kind}")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_empty_file(run: Run, written: Path, kind: str) -> None:
    """An empty file without a header is a 1; JSON lines have no header."""
    path = written / f"empty.{kind}"
    path.touch()
    refused(run, path, written / f"good.{kind}")
    (written / "empty.jsonl").touch()
    assert run("summary", str(written / "empty.jsonl")).code == 0


@each_kind
def test_a_file_without_a_column(run: Run, written: Path, kind: str) -> None:
    """The error names the column that is missing."""
    import pyarrow
    import pyarrow.parquet

    path = written / f"narrow.{kind}"
    columns = [name for name in InventoryRow._fields if name != "digest"]
    if kind == "parquet":
        table = pyarrow.parquet.read_table(written / "good.parquet").select(columns)
        pyarrow.parquet.write_table(table, path)
    elif kind == "csv":
        path.write_text(",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n")
    else:
        path.write_text(json.dumps(dict.fromkeys(columns, "1")) + "\n")
    assert "it has no" in refused(run, path, written / f"good.{kind}")
    assert "'digest'" in run("summary", str(path)).err


@each_kind
@pytest.mark.parametrize(
    ("column", "value"), [("size", "large"), ("created_at", "yesterday"), ("updated_at", "")]
)
def test_a_file_of_other_types(run: Run, written: Path, kind: str, column: str, value: str) -> None:
    """The error names the column, and the line where there are lines."""
    import pyarrow
    import pyarrow.parquet

    path = written / f"types.{kind}"
    rows = [row.to_dict() for row in read_rows(written / "good.jsonl")]
    rows[2][column] = value
    if kind == "parquet":
        values = {name: [str(row[name]) for row in rows] for name in InventoryRow._fields}
        pyarrow.parquet.write_table(pyarrow.table(values), path)
    elif kind == "csv":
        cells = ([str(row[name]) for name in InventoryRow._fields] for row in rows)
        text = map(",".join, [InventoryRow._fields, *cells])
        path.write_text("\n".join(text))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    error = refused(run, path, written / f"good.{kind}")
    assert column in error
    assert kind == "parquet" or f"line {4 if kind == 'csv' else 3} of " in error


@pytest.mark.parametrize("name", ["a.txt", "a", "a.csv.gz", "a.json", "folder.csv", "nowhere.csv"])
def test_a_path_that_cannot_be_read(run: Run, written: Path, name: str) -> None:
    """Another suffix, a folder and a missing file are wrong arguments."""
    path = written / name
    if name == "folder.csv":
        path.mkdir()
    elif name != "nowhere.csv":
        path.write_text("no inventory")
    for arguments in (["diff", path], ["summary", path]):
        ran = run(*map(str, arguments))
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert name in ran.err
        assert ran.err.endswith(f" - see abeja-registry {arguments[0]} --help\n")


@each_kind
@pytest.mark.parametrize("change", [str.upper, str.title, str.lower])
def test_a_suffix_in_capitals(
    run: Run, written: Path, kind: str, change: Callable[[str], str]
) -> None:
    """Files are written and read by their suffix in any case."""
    path = written / f"Now.{change(kind)}"
    ran = run("inventory", "--write", str(path))
    assert (ran.code, ran.err) == (0, f"30 rows in {path}\n")
    assert run("diff", str(path), str(written / f"good.{kind}"), "--exit-code").code == 0
    assert sorted(read_rows(path)) == sorted(read_rows(written / f"good.{kind}"))


@pytest.mark.parametrize("name", ["a.txt", "a", "a.csv.gz", "a.CSV.GZ", "a.json", "a.html"])
def test_a_suffix_that_is_not_written_is_not_read(run: Run, tmp_path: Path, name: str) -> None:
    """Writing and reading refuse the same paths, before any request."""
    path = tmp_path / name
    for arguments in (["inventory", "--write", path], ["summary", path]):
        ran = run("--base-url", "http://127.0.0.1:9", *map(str, arguments))
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        path.touch()


def test_another_inventory_is_not_resumed(run: Run, written: Path, sandbox: Sandbox) -> None:
    """The rows of another inventory, which an earlier run kept, cannot be resumed: a 1."""
    sandbox.faults.add(operation="get_repository_tags", status=403)
    path = written / "new.csv"
    assert run("inventory", "--write", str(path)).code == 1
    ran = run("inventory", "--write", str(path), "--resume", "--include", "train*")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert f"{path}.partial has the rows of another inventory: include was" in ran.err
    assert ran.err.endswith(" - leave out --resume to start again\n")
    assert "resume=" not in ran.err


# -- names in responses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "Odd Name"}, "repository cannot be 'Odd Name'"),
        ({"name": "odd", "id": ".."}, "the repository's id must be an id"),
        ({"name": "odd", "id": ""}, "the repository's id must be an id"),
    ],
)
def test_a_name_in_a_response_is_no_argument(
    run: Run, example: Examples, change: dict[str, str], problem: str
) -> None:
    """An invalid name or id in a response is a 1, and not wrong usage."""
    listed, tags = example("get_repositories"), example("get_repository_tags")
    listed["registry_repositories"][0] |= change

    def api(request: Request) -> bytes:
        return response(tags if "/tags" in request.target else listed)

    with Server(api) as server:
        tag = f"{change['name']}:{tags['tags'][0]['name']}"
        ran = run("--base-url", server.url, "image", tag)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert problem in ran.err
    assert "--help" not in ran.err


# -- defects --------------------------------------------------------------------------------------


def failing(error: BaseException) -> Any:
    """Return a function that fails."""

    def body(*_: object, **__: object) -> None:
        raise error

    return body


DEFECTS = [
    KeyError("x"),
    ValueError("not one of ours"),
    TypeError("int() argument must be a string"),
    UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
    AttributeError("'NoneType' object has no attribute 'x'"),
    ModuleNotFoundError("No module named 'xyz'", name="xyz"),
    AssertionError("several\nlines"),
]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("error", DEFECTS, ids=lambda error: type(error).__name__)
def test_a_defect(error: Exception, run: Run, monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    """A defect is a 70, with one line that says what happened and where the traceback is."""
    monkeypatch.setattr(cli_tags, "tags_of", failing(error))
    ran = run("image", "trainer:1")
    assert (ran.code, ran.out, ran.err.count("\n")) == (70, "", 1)
    [path] = kept.iterdir()
    assert ran.err.startswith(f"error: this should not happen: {type(error).__name__}: ")
    assert ran.err.endswith(f" - please report it with the traceback in {path}\n")
    assert "--help" not in ran.err
    text = path.read_text()
    assert text.startswith("abeja-registry ")
    assert "Traceback (most recent call last):" in text
    assert f'{__file__}"' in text
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_defect_shows_no_credential(
    run: Run, monkeypatch: pytest.MonkeyPatch, kept: Path
) -> None:
    """Neither the line nor the file has the token, whatever the error quotes."""
    monkeypatch.setenv("PLATFORM_AUTH_TOKEN", SECRET)
    error = RuntimeError(f"Illegal header value b'Bearer {SECRET}'")
    monkeypatch.setattr(cli_tags, "tags_of", failing(error))
    ran = run("image", "trainer:1")
    assert ran.code == 70
    [path] = kept.iterdir()
    assert SECRET not in ran.err + path.read_text()
    assert "[the credential]" in ran.err


def test_a_defect_where_nothing_can_be_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no file can be created, the line says how to see the traceback."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(cli_tags, "tags_of", failing(KeyError("x")))
    ran = run("image", "trainer:1")
    assert (ran.code, ran.err) == (
        70,
        "error: this should not happen: KeyError: 'x' - -v shows the traceback\n",
    )


@pytest.mark.parametrize("arguments", [["-v", "image", "trainer:1"], ["image", "trainer:1", "-v"]])
def test_v_shows_the_traceback(
    arguments: list[str], run: Run, monkeypatch: pytest.MonkeyPatch, kept: Path
) -> None:
    """With -v the traceback of a defect is on stderr, without the credential, and in no file."""
    monkeypatch.setenv("PLATFORM_AUTH_TOKEN", SECRET)
    monkeypatch.setattr(cli_tags, "tags_of", failing(KeyError(SECRET)))
    ran = run(*arguments)
    assert (ran.code, ran.out, list(kept.iterdir())) == (70, "", [])
    assert "Traceback (most recent call last):\n" in ran.err
    assert ran.err.splitlines()[-1] == (
        "error: this should not happen: KeyError: '[the credential]'"
        " - please report it with the traceback above"
    )
    assert SECRET not in ran.err


# -- wrong arguments ------------------------------------------------------------------------------


def test_only_invalid_arguments_are_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`InvalidArgument` alone is wrong usage, and names the command's help."""
    monkeypatch.setattr(cli_tags, "tags_of", failing(InvalidArgument("tag must be shorter")))
    ran = run("image", "trainer:1")
    assert (ran.code, ran.err) == (
        2,
        "error: tag must be shorter - see abeja-registry image --help\n",
    )
    monkeypatch.setattr(cli_tags, "tags_of", failing(UserWarning("as an error")))
    assert run("image", "trainer:1").code == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["tags", "list", "--id", ".."], "REPOSITORY must be an id"),
        (["tags", "list", "--id", "1", "--pattern", ""], "--pattern must be a non-empty pattern"),
        (["inventory", "--include", ""], "--include must be a non-empty pattern"),
        (["tags", "wait", "--id", "1:x", "--digest", "x"], "--digest"),
        (["tags", "wait", "--id", "1:x", "--changed-from", "x"], "--changed-from"),
        (["tags", "wait", "--id", "1:x", "--timeout", "0"], "--timeout"),
        (["summary", "--stale-days", "9" * 12], "--stale-days"),
        (["--organization", "..", "whoami"], "--organization"),
        (["whoami", "--base-url", "ftp://x"], "--base-url"),
        (["whoami", "--request-timeout", "x"], "--request-timeout"),
        (["whoami", "--profile", "x"], "--profile"),
    ],
)
def test_a_message_names_the_option(arguments: list[str], problem: str, run: Run) -> None:
    """A message about an argument speaks of the option, not of the library's argument."""
    ran = run(*arguments)
    assert ran.code == 2
    assert problem in ran.err
    assert not re.search(r"repository_id|base_url|stale_after|page_size|changed_from|=", ran.err)


WRONG = [
    *(["tags", "list", "--id", each] for each in ("", ".", "..", "\ud800", "\0", "a\nb")),
    *(["repositories", "get", "--id", each] for each in ("", "..", "\x7f")),
    *(
        ["repositories", "list", "--page-size", each]
        for each in ("0", "-1", "x", "1.5", "1" * 5000)
    ),
    *(["inventory", "--concurrency", each] for each in ("0", "-5", "x", "")),
    *(["tags", "latest", "--id", "1", *each] for each in (["--prereleases"], ["--by", "size"])),
    *(["tags", "wait", "--id", "1:x", "--timeout", each] for each in ("0", "-1", "nan", "x")),
    *(["tags", "wait", "--id", "1:x", "--digest", each] for each in ("", "x", "sha256:")),
    *(["image", *each] for each in (["x"], ["x:"], [":x"], ["x@"], ["x:1", "y"], ["a/b:1"])),
    *(["image", "x:1", "--wait", each] for each in ("0", "-1", "inf", "soon")),
    *(["tags", "list", "t", "--limit", each] for each in ("0", "-1", "x")),
    *(
        ["tags", "list", "t", "--columns", each]
        for each in ("", ",", "nme", "name,x", "creator.email")
    ),
    *(["tags", "list", "t", "--quiet", "--output", each] for each in ("json", "csv")),
    *(["tags", "list", "t", each] for each in ("--bom", "--escape-formulas")),
    *(
        ["tags", "list", "t", "--since", each]
        for each in ("", "x", "2024-13-01", "9" * 50, "30", "9999999d", "30y")
    ),
    *(["tags", "list", "--id", "1", "--pattern", each] for each in ("",)),
    *(["summary", "--stale-days", each] for each in ("-1", "x", "9" * 12, "9" * 5000)),
    *(["inventory", "--stale-days", each] for each in ("9" * 7, "9" * 12)),
    *(
        ["--request-timeout", each, "repositories", "list"]
        for each in ("nan", "inf", "0", "-1", "1e400")
    ),
    *(["--deadline", each, "repositories", "list"] for each in ("nan", "inf", "0", "x")),
    *(["--base-url", each, "repositories", "list"] for each in ("", "x", "ftp://x", "http://a b")),
    *(["--base-url", each, "repositories", "list"] for each in ("http://\ud800", "http://x:99999")),
    *(["--organization", each, "repositories", "list"] for each in ("..", "\x1b", "\udcff")),
    *(["--profile", each, "repositories", "list"] for each in ("", "nosuch", "\udcff")),
]


@pytest.mark.parametrize("arguments", WRONG, ids=lambda each: ascii(" ".join(each))[:60])
def test_wrong_arguments(arguments: list[str], run: Run, sandbox: Sandbox) -> None:
    """Each is a 2 with one line, and no request is sent."""
    ran = run(*arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    assert " - see " in ran.err
    assert not sandbox.requests


words = st.text(st.characters(exclude_characters="\0"), max_size=6) | st.sampled_from(
    [
        "--id",
        "--output",
        "-o",
        "json",
        "csv",
        "--yes",
        "--by",
        "version",
        "--",
        "-1",
        "--page-size",
        "--include",
        "--pattern",
        "--limit",
        "--columns",
        "a:b",
        "a@b",
        "-q",
        "-v",
    ]
)
COMMANDS = ["repositories list", "repositories get", "repositories delete", "tags list"]
COMMANDS += [
    "repositories create",
    "tags get",
    "tags latest",
    "image",
    "inventory",
    "diff",
    "summary",
    "config",
]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=st.sampled_from(COMMANDS), arguments=st.lists(words, max_size=4))
def test_no_argument_is_a_defect(command: str, arguments: list[str], run: Run) -> None:
    """Whatever its arguments are, a command ends with a documented exit code, and no traceback."""
    ran = run(*command.split(), *arguments)
    assert ran.code in (0, 1, 2, 3), (ran.code, ran.err)
    assert "should not happen" not in ran.err
    assert ran.code == 0 or "error: " in ran.err
