"""`abeja-registry config`, `whoami` and `doctor`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
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


def test_it_shows_each_setting_with_its_source(run: Run, sandbox: Sandbox) -> None:
    """Each setting has its source, the secret is masked, and no request is sent."""
    ran = run("--request-timeout", "7", "config", "--output", "json")
    assert found(ran.out) == {
        "organization_id": (sandbox.organization_id, "ABEJA_ORGANIZATION_ID"),
        "base_url": (sandbox.url, "ABEJA_API_URL"),
        "timeout": (7, "--request-timeout"),
        "deadline": (120, "default"),
        "max_retry_count": (5, "default"),
        "auth_token": ("********", "PLATFORM_AUTH_TOKEN"),
    }
    assert (ran.code, ran.err, sandbox.requests) == (0, "", ())
    assert run("config").out.split()[:3] == ["SETTING", "VALUE", "SOURCE"]


def test_a_profile(
    run: Run, monkeypatch: pytest.MonkeyPatch, at_terminal: Callable[[int], None], tmp_path: Path
) -> None:
    """The source of a profile's setting is the file and its key; its token is masked."""
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
    ran = run("--profile", "staging", "config", "--output", "json")
    where = "of 'staging' in ~/.abeja/config"
    assert (
        found(ran.out).items()
        >= {
            "user_id": ("7", f"abeja-platform-user {where}"),
            "personal_access_token": ("********", f"personal-access-token {where}"),
        }.items()
    )
    assert run("--profile", "nope", "config").code == 2
    at_terminal(60)
    narrow = run("--profile", "staging", "config").out
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 60


TOKEN_VARIABLES = (
    "PLATFORM_AUTH_TOKEN (or ABEJA_PLATFORM_USER_ID with ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN)"
)
ORGANIZATION_VARIABLE = "ABEJA_ORGANIZATION_ID (or --organization)"
CONFIGURE = "run `abeja configure` of the platform's command line"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (["PLATFORM_AUTH_TOKEN"], f"no credential: set {TOKEN_VARIABLES}"),
        (["ABEJA_ORGANIZATION_ID"], f"no organization: set {ORGANIZATION_VARIABLE}"),
        (
            ["PLATFORM_AUTH_TOKEN", "ABEJA_ORGANIZATION_ID"],
            f"no credential and no organization: set {TOKEN_VARIABLES} and {ORGANIZATION_VARIABLE}",
        ),
    ],
)
def test_missing_settings(
    missing: list[str], message: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence names all missing settings, what to set, and the command that shows them."""
    for name in missing:
        monkeypatch.delenv(name)
    ran = run("config", "--output", "json")
    hint = "the variables are in abeja-registry --help"
    assert (ran.code, ran.err) == (2, f"error: {message}, or {CONFIGURE} - {hint}\n")
    not_set = {name for name, (_, source) in found(ran.out).items() if source == "not set"}
    assert len(not_set) == len(missing)
    for command in (["repositories", "list"], ["whoami"], ["image", "trainer:1"]):
        ran = run(*command)
        hint = "see what was found where: abeja-registry config"
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"error: {message}, or {CONFIGURE} - {hint}\n"


def test_the_profile_of_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ABEJA_PROFILE` selects a configuration, after the variables; --profile goes before them."""
    other = {"ABEJA_CLI_USER": "9", "ABEJA_CLI_TOKEN": "hush", "ABEJA_CLI_ORGANIZATION": "90"}
    for name, value in {"ABEJA_PROFILE": "other", **other}.items():
        monkeypatch.setenv(name, value)
    ran = run("config")
    assert (ran.code, "ABEJA_PROFILE 'other' cannot be used" in ran.err) == (2, True)
    config = Path(os.environ["HOME"]) / ".abeja" / "config"
    config.parent.mkdir(parents=True)
    config.touch(0o600)
    config.write_text(json.dumps(FILE | {"configurations": [OTHER]}))
    shown = found(run("config", "-o", "json").out)
    assert shown["auth_token"] == ("********", "PLATFORM_AUTH_TOKEN")
    monkeypatch.delenv("PLATFORM_AUTH_TOKEN")
    shown = found(run("config", "-o", "json").out)
    assert shown["user_id"] == ("6", "abeja-platform-user of 'other' in ~/.abeja/config")
    assert shown["organization_id"][1] == "ABEJA_ORGANIZATION_ID"
    shown = found(run("config", "-o", "json", "--profile", "other").out)
    assert shown["organization_id"] == ("40", "organization-name of 'other' in ~/.abeja/config")
    monkeypatch.setenv("ABEJA_PROFILE", "nope")
    ran = run("config")
    assert (ran.code, "has no configuration 'nope'; it has ['other']" in ran.err) == (2, True)
    monkeypatch.setenv("ABEJA_PROFILE", "")
    shown = found(run("config", "-o", "json").out)
    assert shown["user_id"] == ("9", "ABEJA_CLI_USER")


def test_whoami(run: Run, sandbox: Sandbox) -> None:
    """It asks the API with one request, and names the organization and the credential."""
    ran = run("whoami", "--output", "json")
    assert json.loads(ran.out) == {
        "organization_id": sandbox.organization_id,
        "organization_name": "test-org",
        "credential": "Bearer ***",
        "source": "PLATFORM_AUTH_TOKEN",
        "base_url": sandbox.url,
    }
    assert (ran.code, ran.err) == (0, "")
    [request] = sandbox.requests
    assert (request.method, request.query) == ("GET", "limit=1")
    assert run("whoami", "--quiet").out == "test-org\n"
    assert run("whoami").out.splitlines()[1].split() == ["organization_name", "test-org"]
    sandbox.faults.add(status=401)
    ran = run("whoami")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.endswith(" - check the credential: abeja-registry config\n")


def test_no_secret_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret of each kind of credential is masked, and its user is shown."""
    monkeypatch.delenv("PLATFORM_AUTH_TOKEN")
    for user, secret in (
        ("datasource_id", "datasource_secret"),
        ("user_id", "personal_access_token"),
    ):
        names = [f"ABEJA_PLATFORM_{part.upper()}" for part in (user, secret)]
        monkeypatch.setenv(names[0], "7")
        monkeypatch.setenv(names[1], "hush")
        ran = run("config", "--output", "json")
        assert found(ran.out)[user] == ("7", names[0])
        assert found(ran.out)[secret] == ("********", names[1])
        assert "hush" not in ran.out + ran.err


def test_values_are_of_one_type(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting from any source has the client's value; the source of an option is its name."""
    monkeypatch.setenv("ABEJA_SDK_CONNECTION_TIMEOUT", "7")
    monkeypatch.setenv("ABEJA_SDK_MAX_RETRY_COUNT", "2")
    options = ["--organization", "1", "--base-url", "https://api.example.com/", "--deadline", "9"]
    rows = json.loads(run(*options, "config", "--output", "json").out)
    assert [tuple(row.values()) for row in rows[:5]] == [
        ("organization_id", "1", "--organization"),
        ("base_url", "https://api.example.com", "--base-url"),
        ("timeout", 7.0, "ABEJA_SDK_CONNECTION_TIMEOUT"),
        ("deadline", 9.0, "--deadline"),
        ("max_retry_count", 2, "ABEJA_SDK_MAX_RETRY_COUNT"),
    ]
    assert [type(row["value"]) for row in rows[2:5]] == [float, float, int]


def test_an_invalid_value(run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid value is shown unchanged beside the others, and it ends with 2."""
    monkeypatch.setenv("ABEJA_SDK_CONNECTION_TIMEOUT", "soon")
    ran = run("config", "--output", "json")
    assert ran.code == 2
    assert found(ran.out)["timeout"] == ("soon", "ABEJA_SDK_CONNECTION_TIMEOUT")
    assert found(ran.out)["base_url"] == (sandbox.url, "ABEJA_API_URL")


def test_an_invalid_url_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid URL may contain a password: neither the table nor the error shows it."""
    monkeypatch.setenv("ABEJA_API_URL", "https://user:hush@api.example.com")
    ran = run("config", "--output", "json")
    assert found(ran.out)["base_url"] == ("********", "ABEJA_API_URL")
    assert ran.code == 2
    assert "hush" not in ran.out + ran.err


@pytest.mark.filterwarnings("default")
def test_warnings_are_lines(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of the package is one line on stderr, without a place in the source."""
    monkeypatch.setenv("ABEJA_API_URL", "http://api.example.com")
    ran = run("config", "--output", "json")
    assert ran.code == 0
    assert ran.err == (
        "warning: the credential will be sent unencrypted to http://api.example.com\n"
    )


def test_doctor_of_an_api_that_matches(run: Run, sandbox: Sandbox) -> None:
    """It shows the report as a table, without names of the organization, and ends with 0."""
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


def test_doctor_fits_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, at_terminal: Callable[[int], None]
) -> None:
    """At a terminal the report is as wide as the terminal, and elsewhere it has 100 columns."""
    report = ContractReport((Finding("tags", "ok", "a word " * 40),))
    monkeypatch.setattr(Client, "check_contract", lambda _: report)
    assert run("doctor").out == f"{report}\n"
    assert max(map(len, str(report).splitlines())) in range(90, 101)
    for columns, least, most in (("50", 40, 50), ("200", 190, 200), ("10", 25, 35)):
        at_terminal(int(columns))
        shown = run("doctor").out
        assert max(map(len, shown.splitlines())) in range(least, most + 1)
        assert shown.split() == str(report).split()


def test_doctor_of_an_api_that_differs(run: Run, sandbox: Sandbox) -> None:
    """If something differs, it shows all findings, and ends with 1."""
    sandbox.faults.add(operation="get_repositories", status=401)
    ran = run("doctor")
    assert (ran.code, ran.err) == (1, "")
    assert f"{'authentication':42}differs  Unauthorized (401)" in ran.out


def test_doctor_for_programs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has whether all is well, and each finding; the other forms have a row for each."""
    findings = Finding("tags", "differs", "a, b"), Finding("TLS", "ok", "connected")
    monkeypatch.setattr(Client, "check_contract", lambda _: ContractReport(findings))
    rows = [
        {"subject": "tags", "status": "differs", "detail": "a, b"},
        {"subject": "TLS", "status": "ok", "detail": "connected"},
    ]
    ran = run("doctor", "--output", "json")
    assert (ran.code, json.loads(ran.out)) == (1, {"ok": False, "findings": rows})
    assert [json.loads(line) for line in run("doctor", "-o", "jsonl").out.splitlines()] == rows
    assert run("doctor", "-o", "csv").out == (
        'subject,status,detail\ntags,differs,"a, b"\nTLS,ok,connected\n'
    )
    assert run("doctor", "--columns", "status").out.split() == ["STATUS", "differs", "ok"]


# -- the client's settings -------------------------------------------------------------------------

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
# The environment, the file, and the global options.
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
        ["--request-timeout", "7", "--deadline", "9"],
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
    """A client uses each setting from the shown source, or fails with the same error."""
    for name in exported:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if file is not None:
        config = Path(os.environ["HOME"]) / ".abeja" / "config"
        config.parent.mkdir(parents=True)
        config.touch(0o600)
        config.write_text(json.dumps(file))
    ran = run(*options, "config", "--output", "json")
    shown = found(ran.out)
    assert "hush" not in ran.out + ran.err
    given: dict[str, Any] = dict(zip(options[::2], options[1::2], strict=True))
    names = {"--organization": "organization_id", "--request-timeout": "timeout"}
    arguments = {names.get(name, name.strip("-")): value for name, value in given.items()}
    client, problem = None, ""
    try:
        client = Client(**arguments)
    except ConfigurationError as error:
        problem = str(error)
    if client is None:
        assert ran.code == 2
        missing = {name for name, (_, source) in shown.items() if source == "not set"}
        if problem.startswith("no "):  # in the words of the command line
            assert missing == set(
                re.findall(
                    r"no (\w+?)(?: and|:)", ran.err.replace("organization", "organization_id")
                )
            )
            return
        assert problem in ran.err
        assert missing or "must be" in problem
        if "incomplete" in problem:  # names the part that is set, and the missing one
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
    """Return the sources of the credential's parts."""
    return [source for name, (_, source) in shown.items() if name in PARTS]


def test_a_setting_without_a_default(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing organization and a missing credential are shown as not set, in a table too."""
    monkeypatch.delenv("PLATFORM_AUTH_TOKEN")
    monkeypatch.delenv("ABEJA_ORGANIZATION_ID")
    shown = found(run("config", "--output", "json").out)
    assert shown["organization_id"] == shown["credential"] == (None, "not set")
    assert shown["timeout"] == (30, "default")
    rows = [line.split() for line in run("config").out.splitlines()]
    assert [row[-2:] for row in rows if row[0] in ("organization_id", "credential")] == [
        ["not", "set"],
        ["not", "set"],
    ]


@pytest.mark.filterwarnings("default")
def test_a_file_is_read_once(run: Run) -> None:
    """One command reads the file once, and warns of its mode once."""
    config = Path(os.environ["HOME"]) / ".abeja" / "config"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps(FILE))
    config.chmod(0o644)
    ran = run("config", "--output", "json")
    assert ran.err.count("warning: ") == 1
