"""`abeja-registry whoami` and `doctor`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from abeja_registry import Client, ConfigurationError
from abeja_registry.contract import ContractReport, Finding, Status
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run


def found(text: str) -> dict[str, tuple[object, str]]:
    """Return each setting's value and source."""
    return {row["setting"]: (row["value"], row["source"]) for row in json.loads(text)}


def test_it_says_what_was_found_where(run: Run, sandbox: Sandbox) -> None:
    """Each setting comes with its source, the secret masked, and nothing is asked of the API."""
    ran = run("--timeout", "7", "whoami", "--output", "json")
    assert found(ran.out) == {
        "organization_id": (sandbox.organization_id, "ABEJA_ORGANIZATION_ID"),
        "base_url": (sandbox.url, "ABEJA_API_URL"),
        "timeout": (7, "--timeout"),
        "deadline": (120, "default"),
        "max_retry_count": (5, "default"),
        "auth_token": ("********", "PLATFORM_AUTH_TOKEN"),
    }
    assert (ran.code, ran.err, sandbox.requests) == (0, "", ())
    assert run("whoami").out.split()[:3] == ["SETTING", "VALUE", "SOURCE"]


def test_a_profile_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile's settings name the file and its key, and show its user but not the token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".abeja" / "config"
    file.parent.mkdir()
    configuration = {
        "configuration-name": "staging",
        "abeja-platform-user": "7",
        "personal-access-token": "hush",
        "organization-name": "1",
    }
    file.write_text(json.dumps({"configurations": [configuration]}))
    file.chmod(0o600)
    ran = run("--profile", "staging", "whoami", "--output", "json")
    where = "of 'staging' in ~/.abeja/config"
    assert (
        found(ran.out).items()
        >= {
            "user_id": ("7", f"abeja-platform-user {where}"),
            "personal_access_token": ("********", f"personal-access-token {where}"),
        }.items()
    )
    assert run("--profile", "nope", "whoami").code == 2
    monkeypatch.setenv("COLUMNS", "60")
    narrow = run("--profile", "staging", "whoami").out
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 60


def test_what_is_missing_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a credential it shows the rest, and ends as a command would: with 2."""
    monkeypatch.delenv("PLATFORM_AUTH_TOKEN")
    ran = run("whoami", "--output", "json")
    assert found(ran.out)["credential"] == (None, "not set")
    assert ran.code == 2
    assert ran.err.startswith("error: no credential: pass the argument credential")
    assert ran.err.endswith(" - see abeja-registry --help\n")


def test_no_secret_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever kind the credential is of, its secret is masked, and its user is not."""
    monkeypatch.delenv("PLATFORM_AUTH_TOKEN")
    for user, secret in (
        ("datasource_id", "datasource_secret"),
        ("user_id", "personal_access_token"),
    ):
        names = [f"ABEJA_PLATFORM_{part.upper()}" for part in (user, secret)]
        monkeypatch.setenv(names[0], "7")
        monkeypatch.setenv(names[1], "hush")
        ran = run("whoami", "--output", "json")
        assert found(ran.out)[user] == ("7", names[0])
        assert found(ran.out)[secret] == ("********", names[1])
        assert "hush" not in ran.out + ran.err


def test_values_are_of_one_type(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a setting is from, its value is what a client uses; the options tell their names."""
    monkeypatch.setenv("ABEJA_SDK_CONNECTION_TIMEOUT", "7")
    monkeypatch.setenv("ABEJA_SDK_MAX_RETRY_COUNT", "2")
    options = ["--organization", "1", "--base-url", "https://api.example.com/", "--deadline", "9"]
    rows = json.loads(run(*options, "whoami", "--output", "json").out)
    assert [tuple(row.values()) for row in rows[:5]] == [
        ("organization_id", "1", "--organization"),
        ("base_url", "https://api.example.com", "--base-url"),
        ("timeout", 7.0, "ABEJA_SDK_CONNECTION_TIMEOUT"),
        ("deadline", 9.0, "--deadline"),
        ("max_retry_count", 2, "ABEJA_SDK_MAX_RETRY_COUNT"),
    ]
    assert [type(row["value"]) for row in rows[2:5]] == [float, float, int]


def test_a_value_that_is_refused(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown as it was found, hides none of the others, and ends with 2."""
    monkeypatch.setenv("ABEJA_SDK_CONNECTION_TIMEOUT", "soon")
    ran = run("whoami", "--output", "json")
    assert ran.code == 2
    assert found(ran.out)["timeout"] == ("soon", "ABEJA_SDK_CONNECTION_TIMEOUT")
    assert found(ran.out)["base_url"] == (sandbox.url, "ABEJA_API_URL")


def test_an_address_that_is_refused_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused may hold a password: neither the table nor the error shows it."""
    monkeypatch.setenv("ABEJA_API_URL", "https://user:hush@api.example.com")
    ran = run("whoami", "--output", "json")
    assert found(ran.out)["base_url"] == ("********", "ABEJA_API_URL")
    assert ran.code == 2
    assert "hush" not in ran.out + ran.err


@pytest.mark.filterwarnings("default")
def test_warnings_are_lines(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of the package is one line on stderr, without a place in the source."""
    monkeypatch.setenv("ABEJA_API_URL", "http://api.example.com")
    ran = run("whoami", "--output", "json")
    assert ran.code == 0
    assert ran.err == (
        "warning: the credential will be sent unencrypted to http://api.example.com\n"
    )


def test_doctor_of_an_api_as_promised(run: Run, sandbox: Sandbox) -> None:
    """It shows the report as a table, without the organization's names, and ends with 0."""
    sandbox.seed(repositories=2, tags=12)
    ran = run("doctor")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert f"{'setting credential':42}ok       Bearer from PLATFORM_AUTH_TOKEN" in lines
    assert f"{'connection':42}ok       connected" in lines
    assert lines[-1].endswith(" ok, 0 differ, 1 unknown")
    assert sandbox.organization_id not in ran.out


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("unknown", 0), ("differs", 1)])
def test_doctor_shows_any_report(
    status: Status, code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is shown without control characters; a difference alone ends with 1."""
    report = ContractReport((Finding("tags", status, "\x1b[1ma string"),))
    monkeypatch.setattr(Client, "check_contract", lambda _: report)
    ran = run("doctor")
    assert ran.code == code
    assert ran.out.startswith(f"tags  {status:7}  \N{REPLACEMENT CHARACTER}[1ma string\n")


def test_doctor_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal the report is as wide as that, and elsewhere as str() has it."""
    report = ContractReport((Finding("tags", "ok", "a word " * 40),))
    monkeypatch.setattr(Client, "check_contract", lambda _: report)
    assert run("doctor").out == f"{report}\n"
    assert max(map(len, str(report).splitlines())) in range(90, 101)
    for columns, least, most in (("50", 40, 50), ("200", 190, 200), ("10", 25, 35)):
        monkeypatch.setenv("COLUMNS", columns)
        shown = run("doctor").out
        assert max(map(len, shown.splitlines())) in range(least, most + 1)
        assert shown.split() == str(report).split()


def test_doctor_of_an_api_that_differs(run: Run, sandbox: Sandbox) -> None:
    """Where something differs it shows all that it found, and ends with 1."""
    sandbox.faults.add(operation="get_repositories", status=401)
    ran = run("doctor")
    assert (ran.code, ran.err) == (1, "")
    assert f"{'authentication':42}differs  Unauthorized (401)" in ran.out


# -- what a client does ---------------------------------------------------------------------------

FILE = {
    "abeja-platform-user": "4",
    "personal-access-token": "hush",
    "organization-name": "40",
    "abeja-api-url": "https://file.example.com",
}
CLI = {"ABEJA_CLI_USER": "3", "ABEJA_CLI_TOKEN": "hush", "ABEJA_CLI_ORGANIZATION": "30"}
USER = {"ABEJA_PLATFORM_USER_ID": "7"}
TOKEN = {"ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN": "hush"}
DATASOURCE = {"ABEJA_PLATFORM_DATASOURCE_ID": "5"}
OTHER = FILE | {"configuration-name": "other", "abeja-platform-user": "6"}
# The environment, the file, and the options before the command.
SURROUNDINGS: dict[str, tuple[dict[str, str], dict[str, Any] | None, list[str]]] = {
    "nothing": ({}, None, []),
    "a file": ({}, FILE, []),
    "half a user before a file": (USER, FILE, []),
    "a token without its user before a file": (TOKEN, FILE, []),
    "half a user before the command line's variables": (USER | CLI, None, []),
    "half a datasource before a file": (DATASOURCE, FILE, []),
    "half of each": (USER | DATASOURCE, FILE, []),
    "half a user beside a bearer token": (USER | {"PLATFORM_AUTH_TOKEN": "hush"}, FILE, []),
    "half a datasource beside a user": (DATASOURCE | USER | TOKEN, None, []),
    "two of the command line's three": (dict(list(CLI.items())[:2]), FILE, []),
    "all of the command line's three": (CLI, FILE, []),
    "an empty token and an empty organization": (
        {"PLATFORM_AUTH_TOKEN": "", "ABEJA_ORGANIZATION_ID": "", "ABEJA_API_URL": ""},
        FILE,
        [],
    ),
    "a user with an empty token": (USER | dict.fromkeys(TOKEN, ""), FILE, []),
    "no organization": (USER | TOKEN, None, []),
    "no organization in a file": ({}, {k: v for k, v in FILE.items() if "organ" not in k}, []),
    "half a file": ({}, {"abeja-platform-user": "4", "organization-name": "40"}, []),
    "a number in a file": ({}, FILE | {"abeja-platform-user": 4}, []),
    "a list in a file": ({}, FILE | {"organization-name": ["hush"]}, []),
    "a user that is a list": ({}, FILE | {"abeja-platform-user": ["hush"]}, []),
    "a profile before the environment": (
        USER | {"ABEJA_ORGANIZATION_ID": "1"},
        {"configurations": [OTHER]},
        ["--profile", "other"],
    ),
    "half a profile before the environment": (
        USER | TOKEN,
        {"configurations": [{"configuration-name": "other", "abeja-platform-user": "6"}]},
        ["--profile", "other", "--organization", "1"],
    ),
    "an active configuration": (
        {},
        {"configurations": [OTHER]} | {"active-configuration-name": "other"},
        [],
    ),
    "bad numbers": (
        USER | TOKEN | {"ABEJA_SDK_CONNECTION_TIMEOUT": "soon", "ABEJA_ORGANIZATION_ID": "1"},
        None,
        [],
    ),
    "numbers": (
        USER
        | TOKEN
        | {"ABEJA_SDK_CONNECTION_TIMEOUT": "7", "ABEJA_SDK_MAX_RETRY_COUNT": "0"}
        | {"ABEJA_ORGANIZATION_ID": "1"},
        None,
        [],
    ),
    "a number among the options": (
        USER | TOKEN | {"ABEJA_ORGANIZATION_ID": "1"},
        None,
        ["--timeout", "7", "--deadline", "9"],
    ),
}


@pytest.mark.parametrize(("variables", "file", "options"), SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_it_shows_what_a_client_uses_or_refuses(
    run: Run,
    exported: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    file: dict[str, Any] | None,
    options: list[str],
) -> None:
    """A client takes each setting from where it is said to be, or fails with the same words."""
    for name in exported:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if file is not None:
        config = Path(os.environ["HOME"]) / ".abeja" / "config"
        config.parent.mkdir(parents=True)
        config.touch(0o600)
        config.write_text(json.dumps(file))
    ran = run(*options, "whoami", "--output", "json")
    shown = found(ran.out)
    assert "hush" not in ran.out + ran.err
    given: dict[str, Any] = dict(zip(options[::2], options[1::2], strict=True))
    names = {"--organization": "organization_id"}
    arguments = {names.get(name, name.strip("-")): value for name, value in given.items()}
    client, problem = None, ""
    try:
        client = Client(**arguments)
    except ConfigurationError as error:
        problem = str(error)
    if client is None:
        assert ran.code == 2
        assert problem in ran.err
        missing = {name for name, (_, source) in shown.items() if source == "not set"}
        assert missing or "must be" in problem
        if "incomplete" in problem:  # of the part that is there, and of the one that is not
            assert [source for source in sources(shown) if f"{source} is set" in problem]
            assert problem.endswith(f"without {' and '.join(missing & PARTS)}")
        return
    assert (ran.code, ran.err) == (0, "")
    used = {each.name: each for each in client.settings()}
    for setting in ("organization_id", "base_url", "timeout", "deadline", "max_retry_count"):
        shown_value, where = shown[setting]
        assert (shown_value, setting if where.startswith("--") else where) == (
            used[setting].value,
            used[setting].source.removeprefix("argument "),
        )
    assert " and ".join(sources(shown)) == used["credential"].source


PARTS = {"auth_token", "user_id", "personal_access_token", "datasource_id", "datasource_secret"}


def sources(shown: dict[str, tuple[object, str]]) -> list[str]:
    """Return where the parts of the credential are from."""
    return [source for name, (_, source) in shown.items() if name in PARTS]


def test_nothing_is_a_default_that_has_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An organization and a credential that are not set say so, in a table too."""
    monkeypatch.delenv("PLATFORM_AUTH_TOKEN")
    monkeypatch.delenv("ABEJA_ORGANIZATION_ID")
    shown = found(run("whoami", "--output", "json").out)
    assert shown["organization_id"] == shown["credential"] == (None, "not set")
    assert shown["timeout"] == (30, "default")
    rows = [line.split() for line in run("whoami").out.splitlines()]
    assert [row[-2:] for row in rows if row[0] in ("organization_id", "credential")] == [
        ["not", "set"],
        ["not", "set"],
    ]


@pytest.mark.filterwarnings("default")
def test_a_file_is_spoken_of_once(run: Run) -> None:
    """One command reads the file once, and warns of its mode once."""
    config = Path(os.environ["HOME"]) / ".abeja" / "config"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps(FILE))
    config.chmod(0o644)
    ran = run("whoami", "--output", "json")
    assert ran.err.count("warning: ") == 1
