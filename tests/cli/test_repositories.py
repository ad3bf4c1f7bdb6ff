"""`abeja-registry repositories …`, in process against the sandbox."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from abeja_registry import Client
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
    """A terminal at which somebody types this."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_table_has_a_line_for_each(run: Run, client: Client) -> None:
    """People see names and ids under a header; where there is none, the header alone."""
    header = ["NAME", "ID", "UPDATED", "CREATOR", "DESCRIPTION"]
    assert run("repositories", "list").out.split() == header
    first = client.repositories.create("trainer", "images [red]of CI")
    client.repositories.create("predictor")
    ran = run("repositories", "list")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err, len(lines)) == (0, "", 3)
    assert lines[1].split()[:2] == ["trainer", first.id]
    assert lines[1].rstrip().endswith("images [red]of CI")


def test_json_is_what_the_models_say(run: Run, client: Client) -> None:
    """JSON is an array of the models' dumps, JSON lines one each, also where there is none."""
    assert json.loads(run("repositories", "list", "--output", "json").out) == []
    assert run("repositories", "list", "--output", "jsonl").out == ""
    for name in ("trainer", "predictor"):
        client.repositories.create(name, "説明")
    dumps = [each.model_dump(mode="json") for each in client.repositories]
    assert json.loads(run("repositories", "list", "--output", "json").out) == dumps
    lines = run("repositories", "list", "-o", "jsonl", "--page-size", "1").out.splitlines()
    assert [json.loads(line) for line in lines] == dumps
    assert "説明" in lines[0]


def test_csv_has_the_documented_columns(run: Run, client: Client) -> None:
    """CSV has a header, the documented columns, and cells as the API has them."""
    assert run("repositories", "list", "--output", "csv").out == ",".join(COLUMNS) + "\n"
    made = client.repositories.create("trainer", '=1+1, "quoted"')
    ran = run("repositories", "list", "--output", "csv")
    (row,) = csv.DictReader(io.StringIO(ran.out))
    assert list(row) == COLUMNS
    assert (row["id"], row["description"]) == (made.id, '=1+1, "quoted"')
    assert row["creator_email"] == made.creator.email


def test_csv_is_read_back(run: Run, client: Client) -> None:
    """Whatever stands in a text, a reader of CSV gets it back; lines end with LF alone."""
    text = 'a, "b"\rc\nd\r\ne'
    client.repositories.create("trainer", description=text)
    out = run("repositories", "list", "--output", "csv").out
    [row] = csv.DictReader(io.StringIO(out, newline=""))
    assert row["description"] == text
    assert out.startswith(",".join(COLUMNS) + "\n")


def test_get_takes_a_name_or_an_id(run: Run, client: Client) -> None:
    """One repository is found by its name, and with --id by its id."""
    made = client.repositories.create("trainer")
    by_name = run("repositories", "get", "trainer", "--output", "json")
    by_id = run("repositories", "get", "--id", made.id, "--output", "json")
    assert json.loads(by_name.out)["id"] == json.loads(by_id.out)["id"] == made.id
    lines = run("repositories", "get", "trainer").out.splitlines()
    assert lines[0].split() == ["id", made.id]
    assert not any(line.startswith("description") for line in lines)
    assert run("repositories", "get", "trainer", "-o", "csv").out.splitlines()[0].startswith("id,")


def test_what_is_not_there_is_a_3(run: Run) -> None:
    """A name or an id of no repository ends with 3, and one line that says what to do."""
    for arguments in (["nobody"], ["--id", "1999999999999"]):
        ran = run("repositories", "get", *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
        assert ran.err.endswith(" - see what there is: abeja-registry repositories list\n")


def test_create_shows_what_it_made(run: Run, client: Client) -> None:
    """A new repository is written like one that was asked for; a second of its name is a 1."""
    ran = run("repositories", "create", "trainer", "--description", "CI", "--output", "json")
    assert json.loads(ran.out)["id"] == client.repositories.get_by_name("trainer").id
    again = run("repositories", "create", "trainer")
    assert (again.code, again.out) == (1, "")
    assert "(409 from http://" in again.err
    same = run("repositories", "create", "trainer", "--exist-ok", "--output", "json")
    assert json.loads(same.out)["id"] == json.loads(ran.out)["id"]


def test_nothing_is_deleted_without_a_terminal_or_yes(
    run: Run, client: Client, sandbox: Sandbox
) -> None:
    """With neither, it is wrong usage, and nothing at all is asked of the API."""
    client.repositories.create("trainer")
    before = len(sandbox.requests)
    ran = run("repositories", "delete", "trainer")
    assert (ran.code, ran.out) == (2, "")
    assert "nothing was deleted; --yes deletes" in ran.err
    assert len(sandbox.requests) == before


@pytest.mark.parametrize(("stdin", "stderr"), [(True, False), (False, True)])
def test_half_a_terminal_is_none_to_ask_at(
    stdin: bool, stderr: bool, run: Run, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where either the question or the answer has no terminal, nobody is asked."""
    client.repositories.create("trainer")
    monkeypatch.setattr(sys, "stdin", Terminal("y\n") if stdin else io.StringIO("y\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: stderr)
    ran = run("repositories", "delete", "trainer")
    assert (ran.code, "--yes deletes" in ran.err) == (2, True)
    assert client.repositories.find("trainer") is not None


def test_yes_deletes(run: Run, client: Client, sandbox: Sandbox) -> None:
    """With --yes nobody is asked; an id is not even looked up."""
    client.repositories.create("trainer")
    ran = run("repositories", "delete", "trainer", "--yes")
    assert (ran.code, ran.out, ran.err) == (0, "", "deleted trainer\n")
    made = client.repositories.create("trainer")
    before = len(sandbox.requests)
    assert run("repositories", "delete", "--id", made.id, "--yes").code == 0
    assert [each.method for each in sandbox.requests][before:] == ["DELETE"]
    assert client.repositories.find("trainer") is None


def test_one_that_is_missing(run: Run) -> None:
    """One that is not there is a 3, and with --missing-ok fine."""
    assert run("repositories", "delete", "trainer", "--yes").code == 3
    ran = run("repositories", "delete", "trainer", "--yes", "--missing-ok")
    assert (ran.code, ran.err) == (0, "there is no repository trainer\n")


@pytest.mark.parametrize(
    ("typed", "gone"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_at_a_terminal_somebody_is_asked(
    typed: str, gone: bool, run: Run, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question names the repository, and only a yes deletes it."""
    made = client.repositories.create("trainer")
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = run("repositories", "delete", "--id", made.id)
    assert f"Delete the repository trainer ({made.id}) and all its tags? [y/N] " in ran.err
    assert (ran.code, ran.out) == (0 if gone else 1, "")
    # On a line of its own, also after Ctrl-D.
    assert ran.err.endswith("\nnothing was deleted\n" if typed == "" else "")
    assert ("nothing was deleted\n" in ran.err) is not gone
    assert (client.repositories.find("trainer") is None) is gone
