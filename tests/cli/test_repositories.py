"""`abeja-registry repositories …`, in process against the sandbox."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from abeja_registry import Client, inventory
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run

COLUMNS = [
    "id",
    "name",
    "description",
    "organization_id",
    "creator_email",
    "created_at",
    "updated_at",
]


class Terminal(io.StringIO):
    """A terminal with this input."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_table_has_a_line_for_each(run: Run, client: Client) -> None:
    """People see names and ids under a header."""
    first = client.repositories.create("trainer", "images [red]of CI")
    client.repositories.create("predictor")
    ran = run("repositories", "list")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err, len(lines)) == (0, "", 3)
    assert lines[0].split() == ["NAME", "ID", "UPDATED", "(UTC)", "CREATOR", "DESCRIPTION"]
    assert lines[1].split()[:2] == ["trainer", first.id]
    assert lines[1].rstrip().endswith("images [red]of CI")


@pytest.mark.parametrize(
    ("output", "out"),
    [("table", ""), ("json", "[]\n"), ("jsonl", ""), ("csv", ",".join(COLUMNS) + "\n")],
)
def test_an_empty_list_says_so(output: str, out: str, run: Run) -> None:
    """Without repositories, a line on stderr says so; with --quiet nothing is written."""
    ran = run("repositories", "list", "--output", output)
    assert (ran.code, ran.out, ran.err) == (0, out, "no repositories\n")
    ran = run("repositories", "list", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_json_is_the_dump_of_the_models(run: Run, client: Client) -> None:
    """JSON is an array of the models' dumps, and JSON lines are one dump each."""
    for name in ("trainer", "predictor"):
        client.repositories.create(name, "説明")
    dumps = [each.model_dump(mode="json") for each in client.repositories]
    assert json.loads(run("repositories", "list", "--output", "json").out) == dumps
    lines = run("repositories", "list", "-o", "jsonl", "--page-size", "1").out.splitlines()
    assert [json.loads(line) for line in lines] == dumps
    assert "説明" in lines[0]


def test_csv_has_the_documented_columns(run: Run, client: Client) -> None:
    """CSV has a header, the documented columns, and the API's values."""
    made = client.repositories.create("trainer", '=1+1, "quoted"')
    ran = run("repositories", "list", "--output", "csv")
    (row,) = csv.DictReader(io.StringIO(ran.out))
    assert list(row) == COLUMNS
    assert (row["id"], row["description"]) == (made.id, '=1+1, "quoted"')
    assert row["creator_email"] == made.creator.email


def test_csv_is_read_back(run: Run, client: Client) -> None:
    """A reader of CSV gets each text back unchanged; lines end with LF alone."""
    text = 'a, "b"\rc\nd\r\ne'
    client.repositories.create("trainer", description=text)
    out = run("repositories", "list", "--output", "csv").out
    [row] = csv.DictReader(io.StringIO(out, newline=""))
    assert row["description"] == text
    assert out.startswith(",".join(COLUMNS) + "\n")


def test_csv_for_spreadsheets(run: Run, client: Client) -> None:
    """--bom writes a byte order mark, and --escape-formulas a quote before what would run."""
    formulas = ["=1+1", "+1", "-1", "@x", "\tx", "\rx"]
    for number, text in enumerate([*formulas, "plain = text"]):
        client.repositories.create(f"r{number}", text)
    out = run("repositories", "list", "-o", "csv", "--bom", "--escape-formulas").out
    assert out.startswith("\ufeffid,name,")
    rows = csv.DictReader(io.StringIO(out.removeprefix("\ufeff"), newline=""))
    assert [row["description"] for row in rows] == [
        *(f"'{text}" for text in formulas),
        "plain = text",
    ]
    plain = run("repositories", "list", "-o", "csv").out
    assert next(csv.DictReader(io.StringIO(plain, newline="")))["description"] == "=1+1"


# -- selecting and sorting ------------------------------------------------------------------------


@pytest.fixture
def several(client: Client, sandbox: Sandbox) -> list[str]:
    """Repositories with 1, 3, 0 and 2 tags of 1 kB each, in this order."""
    counts = {"charlie": 1, "alpha": 3, "bravo": 0, "tmp-delta": 2}
    for name, count in counts.items():
        repository = client.repositories.create(name)
        for number in range(count):
            sandbox.push(repository, str(number), size=1000)
    return list(counts)


def names(run: Run, *options: str) -> list[str]:
    """Return the names that `repositories list --quiet` writes."""
    ran = run("repositories", "list", "--quiet", *options)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.splitlines()


def test_an_order(run: Run, several: list[str]) -> None:
    """Names are sorted from A, times from the newest, sizes from the largest; or in reverse."""
    assert names(run) == several
    assert names(run, "--reverse") == several[::-1]
    assert names(run, "--sort", "name") == sorted(several)
    assert names(run, "--sort", "name", "--reverse") == sorted(several)[::-1]
    for order in ("created", "updated"):
        assert names(run, "--sort", order) == several[::-1]
        assert names(run, "--sort", order, "--reverse") == several
    by_size = ["alpha", "tmp-delta", "charlie", "bravo"]
    assert names(run, "--sort", "size") == by_size
    assert names(run, "--sort", "size", "--reverse", "--limit", "2") == by_size[:1:-1]
    assert names(run, "--sort", "size", "--include", "[a-b]*") == ["alpha", "bravo"]


def test_a_limit(run: Run, several: list[str], sandbox: Sandbox) -> None:
    """A limit ends the list early, and sends no request for more pages than it needs."""
    assert names(run, "--limit", "3") == several[:3]
    assert names(run, "--limit", "9") == several
    before = len(sandbox.requests)
    assert names(run, "--limit", "1", "--page-size", "2") == several[:1]
    assert len(sandbox.requests) == before + 1


def test_patterns(run: Run, several: list[str]) -> None:
    """Each --include adds names, and each --exclude removes some."""
    assert names(run, "--include", "tmp-*") == ["tmp-delta"]
    assert names(run, "--include", "tmp-*", "--include", "a*") == ["alpha", "tmp-delta"]
    assert names(run, "--exclude", "tmp-*", "--exclude", "a*") == ["charlie", "bravo"]
    ran = run("repositories", "list", "--include", "zulu*")
    assert (ran.code, ran.out, ran.err) == (0, "", "no repositories\n")


@pytest.mark.usefixtures("several")
def test_sizes(run: Run) -> None:
    """The order by size shows sizes; JSON and CSV have them exactly, and --columns chooses them."""
    ran = run("repositories", "list", "--sort", "size")
    assert [line.split()[:5:2] for line in ran.out.splitlines()[1:3]] == [
        ["alpha", "3", "kB"],
        ["tmp-delta", "2", "kB"],
    ]
    rows = json.loads(run("repositories", "list", "--sort", "size", "-o", "json").out)
    assert [(row["name"], row["tag_count"], row["size"]) for row in rows] == [
        ("alpha", 3, 3000),
        ("tmp-delta", 2, 2000),
        ("charlie", 1, 1000),
        ("bravo", 0, 0),
    ]
    ran = run("repositories", "list", "--columns", "name,size,tag_count", "-o", "csv")
    assert ran.out.splitlines() == [
        "name,size,tag_count",
        "charlie,1000,1",
        "alpha,3000,3",
        "bravo,0,0",
        "tmp-delta,2000,2",
    ]


def test_the_order_by_size_needs_all_tags(run: Run, several: list[str], sandbox: Sandbox) -> None:
    """If a repository's tags cannot be read, the order by size is an error."""
    sandbox.faults.add(operation="get_repository_tags", status=403)
    ran = run("repositories", "list", "--sort", "size", "--quiet")
    assert (ran.code, ran.out) == (1, "")
    assert f"error: {len(several)} of the repositories failed: " in ran.err


@pytest.mark.usefixtures("several")
def test_columns(run: Run) -> None:
    """--columns chooses columns and their order in each form of output."""
    columns = ["--columns", "name,id", "--limit", "1"]
    id_ = json.loads(run("repositories", "get", "charlie", "-o", "json").out)["id"]
    outputs = {
        "table": f"NAME     ID\ncharlie  {id_}\n",
        "json": f'[\n{{"name":"charlie","id":"{id_}"}}\n]\n',
        "jsonl": f'{{"name":"charlie","id":"{id_}"}}\n',
        "csv": f"name,id\ncharlie,{id_}\n",
    }
    for output, out in outputs.items():
        assert run("repositories", "list", *columns, "--output", output).out == out
    assert run("repositories", "list", *columns, "--quiet").out == f"charlie\t{id_}\n"
    one = ["repositories", "get", "charlie", "--columns", "id, name"]
    assert run(*one).out.split() == ["id", id_, "name", "charlie"]
    assert json.loads(run(*one, "-o", "json").out) == {"id": id_, "name": "charlie"}


# -- names and ids --------------------------------------------------------------------------------


def test_a_name_or_an_id(run: Run, client: Client) -> None:
    """A repository is found by its name or its id; --name and --id look for one of them alone."""
    made = client.repositories.create("trainer")
    for arguments in (["trainer"], [made.id], ["--name", "trainer"], ["--id", made.id]):
        found = json.loads(run("repositories", "get", *arguments, "--output", "json").out)
        assert found["id"] == made.id
    for arguments in (["--id", "trainer"], ["--name", made.id]):
        assert run("repositories", "get", *arguments).code == 3
    lines = run("repositories", "get", "trainer").out.splitlines()
    assert lines[0].split() == ["id", made.id]
    assert not any(line.startswith("description") for line in lines)
    assert run("repositories", "get", "trainer", "-o", "csv").out.splitlines()[0].startswith("id,")


@pytest.fixture
def ambiguous(client: Client) -> tuple[str, str]:
    """The id of a repository, and the id of another one that has it as its name."""
    first = client.repositories.create("trainer")
    return first.id, client.repositories.create(first.id).id


def test_a_name_goes_before_an_id(run: Run, ambiguous: tuple[str, str]) -> None:
    """Where a word is a name and an id, the name wins, unless an option says which."""
    word, named = ambiguous
    for options, expected in (([], named), (["--name"], named), (["--id"], word)):
        found = json.loads(run("repositories", "get", word, *options, "-o", "json").out)
        assert found["id"] == expected


def test_a_deletion_of_an_ambiguous_word(
    run: Run, client: Client, ambiguous: tuple[str, str]
) -> None:
    """Where a word is a name and an id, nothing is deleted until an option says which."""
    word, named = ambiguous
    ran = run("repositories", "delete", word, "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert f"'{word}' is the name of the repository {named} and the id of 'trainer'" in ran.err
    assert len(list(client.repositories)) == 2
    assert run("repositories", "delete", word, "--yes", "--name").code == 0
    assert [each.id for each in client.repositories] == [word]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nobody"], "no repository named 'nobody'"),
        (["1999999999999"], "no repository with the name or the id '1999999999999'"),
        (["--name", "1999999999999"], "no repository named '1999999999999'"),
        (["--id", "1999999999999"], "(404 from "),
    ],
)
def test_a_missing_repository(arguments: list[str], problem: str, run: Run) -> None:
    """A name or an id of no repository is a 3, and one line says what to do."""
    for command in (["get"], ["delete", "--dry-run"]):
        ran = run("repositories", *command, *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
        assert problem in ran.err
        assert ran.err.endswith(" - list the repositories: abeja-registry repositories list\n")


@pytest.mark.usefixtures("several")
def test_several(run: Run) -> None:
    """Several repositories are rows, or an array; the first missing one ends it."""
    arguments = ["repositories", "get", "bravo", "alpha"]
    assert [row["name"] for row in json.loads(run(*arguments, "-o", "json").out)] == arguments[2:]
    assert [line.split()[0] for line in run(*arguments).out.splitlines()] == [
        "NAME",
        *arguments[2:],
    ]
    ran = run("repositories", "get", "nobody", "alpha", "-o", "jsonl")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    ran = run("repositories", "get", "nobody", "alpha", "--keep-going", "-o", "jsonl")
    assert (ran.code, json.loads(ran.out)["name"], ran.err.count("\n")) == (3, "alpha", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["repos", "ls", "-q"],
        ["repo", "list", "-q"],
        ["repository", "ls", "-q"],
        ["repositories", "show", "trainer", "-q"],
        ["repos", "get", "trainer", "-q"],
    ],
)
def test_aliases(arguments: list[str], run: Run, client: Client) -> None:
    """Words of other programs work, and are in no help."""
    client.repositories.create("trainer")
    ran = run(*arguments)
    assert (ran.code, ran.out, ran.err) == (0, "trainer\n", "")
    helps = run("--help").out + run("repositories", "--help").out
    assert not any(f"  {word} " in helps for word in ("ls", "rm", "repo", "repos", "show"))


# -- creating and deleting ------------------------------------------------------------------------


def test_create_shows_the_new_repository(run: Run, client: Client) -> None:
    """A new repository is shown as by `get`; a second one with its name is a 1."""
    ran = run("repositories", "create", "trainer", "--description", "CI", "--output", "json")
    assert json.loads(ran.out)["id"] == client.repositories.get_by_name("trainer").id
    again = run("repositories", "create", "trainer")
    assert (again.code, again.out) == (1, "")
    assert "(409 from http://" in again.err
    same = run("repositories", "create", "trainer", "--exist-ok", "--output", "json")
    assert json.loads(same.out)["id"] == json.loads(ran.out)["id"]
    assert run("repositories", "create", "other", "-d", "CI", "-q").out == "other\n"


def test_nothing_is_deleted_without_a_terminal_or_yes(
    run: Run, client: Client, sandbox: Sandbox
) -> None:
    """Without both, it is wrong usage, and no request is sent."""
    client.repositories.create("trainer")
    before = len(sandbox.requests)
    ran = run("repositories", "delete", "trainer")
    assert (ran.code, ran.out) == (2, "")
    assert "nothing was deleted; --yes deletes" in ran.err
    assert len(sandbox.requests) == before


@pytest.mark.parametrize(("stdin", "stderr"), [(True, False), (False, True)])
def test_half_a_terminal(
    stdin: bool, stderr: bool, run: Run, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks only if both stdin and stderr are a terminal."""
    client.repositories.create("trainer")
    monkeypatch.setattr(sys, "stdin", Terminal("y\n") if stdin else io.StringIO("y\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: stderr)
    ran = run("repositories", "delete", "trainer")
    assert (ran.code, "--yes deletes" in ran.err) == (2, True)
    assert client.repositories.find("trainer") is not None


def test_yes_deletes(run: Run, client: Client, sandbox: Sandbox) -> None:
    """With --yes it does not ask, and looks up no id that is given with --id."""
    client.repositories.create("trainer")
    ran = run("repositories", "delete", "trainer", "--yes")
    assert (ran.code, ran.out, ran.err.split(" (")[0]) == (0, "", "deleted trainer")
    made = client.repositories.create("trainer")
    before = len(sandbox.requests)
    assert run("repositories", "delete", "--id", made.id, "--yes").code == 0
    assert [each.method for each in sandbox.requests][before:] == ["DELETE"]
    assert client.repositories.find("trainer") is None


def test_one_that_is_missing(run: Run) -> None:
    """A missing repository is a 3, and with --missing-ok a success."""
    assert run("repositories", "delete", "trainer", "--yes").code == 3
    ran = run("repositories", "rm", "trainer", "--yes", "--missing-ok")
    assert (ran.code, ran.err) == (0, "no repository trainer\n")


@pytest.mark.parametrize(
    ("typed", "deleted"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)],
)
def test_at_a_terminal_it_asks(
    typed: str, deleted: bool, run: Run, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question names the repository, and only a yes deletes it."""
    made = client.repositories.create("trainer")
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = run("repositories", "delete", "--id", made.id)
    assert ran.err.startswith(
        f"  trainer ({made.id})\nDelete this repository and all its tags? [y/N] "
    )
    assert (ran.code, ran.out) == (0 if deleted else 1, "")
    # On a separate line, also after Ctrl-D.
    assert ran.err.endswith("\nnothing was deleted\n" if typed == "" else "")
    assert ("nothing was deleted\n" in ran.err) is not deleted
    assert (client.repositories.find("trainer") is None) is deleted


# -- clean-ups ------------------------------------------------------------------------------------


def test_several_are_counted_and_reported(
    run: Run, several: list[str], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question lists and counts the repositories, and each deletion is reported."""
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = run("repositories", "delete", "alpha", "bravo")
    assert ran.code == 0
    question = (
        r"  alpha \(\d+\)\n  bravo \(\d+\)\nDelete these 2 repositories and all their tags\? "
    )
    assert re.match(question, ran.err)
    assert re.search(r"deleted alpha \(\d+\)\ndeleted bravo \(\d+\)\n$", ran.err)
    assert [each.name for each in client.repositories] == ["charlie", "tmp-delta"]


def test_a_long_question(run: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question lists the first 20, and how many more there are."""
    created = [client.repositories.create(f"r{number}").name for number in range(23)]
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = run("repositories", "delete", *created)
    assert "\n  r19 (" in ran.err
    assert "\n  … and 3 more\nDelete these 23 repositories and all their tags? [y/N] " in ran.err


@pytest.mark.usefixtures("several")
def test_a_missing_name_deletes_nothing(run: Run, client: Client) -> None:
    """All names are looked up before the first deletion; --keep-going deletes the others."""
    arguments = ["repositories", "delete", "alpha", "nobody", "bravo", "--yes"]
    ran = run(*arguments)
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert len(list(client.repositories)) == 4
    ran = run(*arguments, "--keep-going")
    assert (ran.code, ran.err.count("deleted ")) == (3, 2)
    assert [each.name for each in client.repositories] == ["charlie", "tmp-delta"]


@pytest.mark.usefixtures("several")
def test_a_deletion_that_fails(run: Run, client: Client, sandbox: Sandbox) -> None:
    """With --keep-going the others are deleted, and the exit code is that of the first error."""
    sandbox.faults.add(operation="delete_repository", status=403, times=1)
    ran = run("repositories", "delete", "alpha", "bravo", "--yes", "--keep-going")
    assert (ran.code, ran.err.count("error: "), ran.err.count("deleted bravo")) == (1, 1, 1)
    assert client.repositories.find("alpha") is not None


def test_a_dry_run(run: Run, several: list[str], sandbox: Sandbox) -> None:
    """--dry-run looks up each repository, says what would be deleted, and deletes nothing."""
    for options in ([], ["--yes"]):
        ran = run("repositories", "delete", "alpha", "bravo", "--dry-run", *options)
        assert (ran.code, ran.out) == (0, "")
        assert re.fullmatch(r"would delete alpha \(\d+\)\nwould delete bravo \(\d+\)\n", ran.err)
    assert not any(request.method == "DELETE" for request in sandbox.requests)
    assert names(run) == several


@pytest.mark.parametrize("output", ["csv", "json", "jsonl"])
@pytest.mark.parametrize(
    "listing",
    [
        ["repositories", "list", "--include", "[ab]*"],
        ["inventory", "--include", "[ab]*"],
        ["inventory", "--include", "[ab]*", "--columns", "repository_name,tag"],
        ["inventory", "--include", "[ab]*", "--columns", "repository_id,tag"],
    ],
)
def test_a_list_is_deleted(
    listing: list[str], output: str, several: list[str], run: Run, tmp_path: Path
) -> None:
    """Each list of the command line can be read back, and a dry run says the same."""
    file = tmp_path / "list"
    file.write_text(run(*listing, "--output", output).out)
    ran = run("repositories", "delete", "--from", str(file), "--dry-run")
    assert (ran.code, ran.out) == (0, "")
    would = [line.removeprefix("would delete ") for line in ran.err.splitlines()]
    assert sorted(each.split(" ")[0] for each in would) == ["alpha", "bravo"]
    ran = run("repositories", "delete", "--from", str(file), "--yes")
    assert ran.code == 0
    assert ran.err.splitlines() == [f"deleted {each}" for each in would]
    assert names(run) == ["charlie", "tmp-delta"]


def test_a_list_of_stale_tags(
    run: Run, several: list[str], client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A repository is deleted if the file has all of its tags, and kept if it has others."""
    file = tmp_path / "stale.csv"
    file.write_text(run("inventory", "--stale-days", "0", "--output", "csv").out)
    sandbox.push(client.repositories.get_by_name("alpha"), "fresh")
    ran = run("repositories", "delete", "--from", str(file), "--yes", "--keep-going")
    assert ran.code == 1
    assert "alpha was kept: 1 of its 4 tags are not in the file, such as 'fresh'" in ran.err
    # An inventory's file has the repositories in the order in which they were read.
    deleted = re.findall(r"^deleted (\S+) \(\d+, (\d tags?)\)$", ran.err, re.M)
    assert sorted(deleted) == [("charlie", "1 tag"), ("tmp-delta", "2 tags")]
    assert names(run) == ["alpha", "bravo"]


def test_an_empty_repository_that_has_a_tag_now(
    run: Run, several: list[str], client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A repository that was empty is kept if something was pushed since."""
    file = tmp_path / "empty.jsonl"
    file.write_text(run("inventory", "--empty", "--output", "jsonl").out)
    sandbox.push(client.repositories.get_by_name("bravo"), "1")
    ran = run("repositories", "delete", "--from", str(file), "--yes")
    assert (ran.code, "bravo was kept" in ran.err) == (1, True)
    assert names(run) == several


def test_a_list_that_is_out_of_date(run: Run, client: Client, tmp_path: Path) -> None:
    """A repository with another name than in the file is kept; a missing one is a 3."""
    made = client.repositories.create("trainer")
    file = tmp_path / "list.csv"
    file.write_text(f"id,name\n{made.id},predictor\n1999999999999,other\n")
    ran = run("repositories", "delete", "--from", str(file), "--yes")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert f"{made.id} is 'trainer' now, not 'predictor': it was kept" in ran.err
    ran = run(
        "repositories", "delete", "--from", str(file), "--yes", "--keep-going", "--missing-ok"
    )
    assert (ran.code, ran.err.splitlines()[1]) == (1, "no repository other")
    assert client.repositories.find("trainer") is not None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ""),
        ("name\n", ""),
        ("size\n1\n", "line 2 of {} names no repository"),
        ('name\na\n\n""\n', "line 4 of {} names no repository"),
        ("id,name,digest\n17,1.0,sha256:0\n", "line 2 of {} names no repository"),
        ('name\n"a\n', "line 2 of {} is not CSV"),
        ("of,name,tags,tag_bytes\nrepository,a,1,1\n", "line 2 of {} is of a summary"),
        ('{"name": "a"}\n{"name"', "line 2 of {} is not JSON"),
        ("repository_id,repository_name\n1,a\n", "line 2 of {} is of an inventory, and has no"),
        ('[{"repository_name": "a", "kind": "tag"}]', "line 1 of {} is of an inventory, and has"),
        ('[\n{"name": "a"},\n{"name": "b"}', "line 3 of {} is not JSON"),
        ('[\n{"name": "a"},\n{\n"size": 1}]', "line 3 of {} names no repository"),
        ('{"name": "a"}, {"name": "b"}', "line 1 of {} is not JSON: "),
        ('[\n"a"\n]', "line 2 of {} is not JSON: it must be an object"),
        ("[" * 5000, "line 1 of {} is not JSON"),
        ("\udcff", "{} is not UTF-8"),
    ],
)
def test_a_file_that_is_no_list(text: str, problem: str, run: Run, tmp_path: Path) -> None:
    """A bad file is a 1, and the error names its line; an empty list deletes nothing."""
    file = tmp_path / "list"
    file.write_bytes(text.encode(errors="surrogateescape"))
    ran = run("repositories", "delete", "--from", str(file), "--yes")
    assert (ran.code, ran.out) == (1 if problem else 0, "")
    assert problem.format(file) in ran.err
    assert ran.err.count("\n") == (1 if problem else 0)
    assert not problem or ran.err.endswith(" or `repositories list`\n")


@pytest.mark.parametrize("indent", [None, 2])
def test_json_in_any_layout(
    indent: int | None, several: list[str], run: Run, tmp_path: Path
) -> None:
    """A JSON array on one line or on many, an object and a row of JSON lines are read alike."""
    rows = [json.loads(run("repositories", "get", each, "-o", "json").out) for each in several[:2]]
    file = tmp_path / "list.json"
    for text in (
        json.dumps(rows, indent=indent),
        "\n".join(json.dumps(row, indent=indent) for row in rows),
    ):
        file.write_text(text)
        ran = run("repositories", "delete", "--from", str(file), "--dry-run")
        assert (ran.code, re.findall("delete ([a-z]+)", ran.err)) == (0, several[:2])


@pytest.mark.usefixtures("several")
def test_a_list_of_empty_repositories_needs_no_tags(run: Run, tmp_path: Path) -> None:
    """A row of a repository without tags has no tag, and protects it if it has one now."""
    file = tmp_path / "empty.csv"
    options = ["--columns", "repository_name,kind", "--output", "csv"]
    file.write_text(run("inventory", "--empty", *options).out)
    ran = run("repositories", "delete", "--from", str(file), "--dry-run")
    assert (ran.code, ran.err.count("would delete bravo")) == (0, 1)
    file.write_text("repository_name,kind\nalpha,repository\n")
    ran = run("repositories", "delete", "--from", str(file), "--yes")
    assert (ran.code, "alpha was kept" in ran.err) == (1, True)


def test_a_list_from_stdin(run: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """- reads stdin, which then cannot be asked at."""
    client.repositories.create("trainer")
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeffname\ntrainer\n"))
    ran = run("repositories", "delete", "--from", "-")
    assert (ran.code, "--from - needs --yes or --dry-run" in ran.err) == (2, True)
    assert run("repositories", "delete", "--from", "-", "--yes").code == 0
    assert client.repositories.find("trainer") is None
    for arguments in ([], ["trainer", "--from", "-"], ["--from", "nowhere.csv"]):
        assert run("repositories", "delete", *arguments, "--yes").code == 2


def test_a_repository_that_is_created_during_a_sort_by_size(
    run: Run, several: list[str], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no size yet, and is not listed."""
    summarize = inventory.summarize

    def summarized(rows: Any) -> inventory.Summary:
        summary = summarize(rows)
        client.repositories.create("zulu")
        return summary

    monkeypatch.setattr(inventory, "summarize", summarized)
    assert sorted(names(run, "--sort", "size")) == sorted(several)
    assert "zulu" in names(run)


def test_a_column_without_a_value(run: Run, several: list[str]) -> None:
    """A table of one repository has no line for it."""
    ran = run("repositories", "get", several[0], "--columns", "description")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
