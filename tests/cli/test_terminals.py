"""Terminals, shells and encodings of all kinds: no output is lost."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.internals import cli_errors, cli_root, take_for_closed_pipe
from tests.support.patience import PATIENCE

from abeja_registry import Client
from abeja_registry.cli import main, script

if TYPE_CHECKING:
    from .conftest import Run

COMMAND = [sys.executable, "-m", "abeja_registry"]
TEXT = "説明 é ñ €"
NAMES = [f"repository-{number}-{'x' * (1 + 10 * number)}" for number in range(4)]
VARIABLES = ["COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"]
VARIABLES += ["COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "PAGER", "LESS", "TERMINAL_WIDTH"]
VARIABLES += [
    "RICH_THEME",
    "UNICODE_VERSION",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
    "GITHUB_ACTIONS",
]
VARIABLES += ["JUPYTER_COLUMNS", "JUPYTER_LINES", "PY_COLORS", "COMP_WORDS", "COMP_CWORD"]
VARIABLES += ["_ABEJA_REGISTRY_COMPLETE"]
NUMBERS = [
    "",
    "0",
    "-5",
    "abc",
    "1",
    "2",
    "1000000000",
    "9" * 5000,
    "²",
    "٣",
    " 80 ",
    "8_0",
    "1e3",
    "é",
]
WORDS = ["", "0", "1", "dumb", "unknown", "xterm-256color", "linux", "no such", "é", "\x1b[2J", "C"]


@pytest.fixture
def named(client: Client) -> list[str]:
    """Repositories with names of several lengths, and a text that few encodings contain."""
    for name in NAMES:
        client.repositories.create(name, TEXT)
    return NAMES


def whole(text: str) -> str:
    """Return what a terminal shows, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def is_shown(name: str, text: str) -> bool:
    """Whether a text has a name, or its beginning with a mark."""
    cut = (name[:size] + mark for mark in ("…", "...") for size in range(5, len(name)))
    return name in text or any(part in text for part in cut)


def check_all_output(run: Run, names: list[str]) -> None:
    """Run a command of each kind, and check its output."""
    table = run("repositories", "list")
    assert (table.code, table.err) == (0, "")
    assert len(whole(table.out).splitlines()) == 1 + len(names)
    assert all(is_shown(name, table.out) for name in names)
    dump = run("repositories", "list", "--output", "json")
    assert [each["name"] for each in json.loads(dump.out)] == names
    one = run("repositories", "get", names[0])
    assert names[0] in whole(one.out).replace("\n", "").replace(" ", "")
    assert run("config").code == 0
    assert "--pattern" in run("tags", "list", "--help").out
    wrong = run("repositories", "get", "--nope")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    missing = run("repositories", "get", "nobody")
    assert (missing.code, missing.err.count("\n")) == (3, 1)


# -- variables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: ascii(value[:12]))
@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_a_size_of_a_terminal(
    name: str,
    value: str,
    terminal: bool,
    run: Run,
    named: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All output is complete with any size of a terminal, and the variable is unchanged."""
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    check_all_output(run, named)
    assert os.environ[name] == value


@pytest.mark.parametrize("value", ["", "0", "1", "40", "-5", "abc", "²", "9" * 5000])
def test_no_size_is_no_bound(
    value: str, run: Run, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal nothing limits the width."""
    expected = run("repositories", "list").out
    monkeypatch.setenv("COLUMNS", value)
    assert run("repositories", "list").out == expected
    assert named[-1] in expected


@pytest.mark.parametrize("value", WORDS, ids=ascii)
def test_every_variable_of_this_value(
    value: str, run: Run, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries do not know the values of the variables that they read."""
    for name in VARIABLES:
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    check_all_output(run, named)


values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    variables=st.dictionaries(
        st.sampled_from(VARIABLES), values | st.sampled_from(NUMBERS), max_size=5
    )
)
@example(variables={"COLUMNS": "²"})
@example(variables={"LINES": "²"})
@example(variables={"_ABEJA_REGISTRY_COMPLETE": "bash_complete"})
def test_any_variables(variables: dict[str, str], run: Run) -> None:
    """A table, a help and an error are written in any environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        environment.setattr(sys.stdout, "isatty", lambda: True)
        table, usage, wrong = run("config"), run("--help"), run("nope")
    assert (table.code, usage.code, wrong.code) == (0, 0, 2)
    assert "organization_id" in table.out
    assert "repositories" in usage.out
    assert "nope" in wrong.err


@pytest.mark.parametrize("columns", ["0", "1", "abc", "²", "999999", "9" * 20])
def test_progress_at_a_terminal_of_any_size(
    columns: str, run: Run, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is shown, ends, and leaves the rows whole."""
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, columns)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = run("inventory", "--output", "jsonl")
    assert ran.code == 0
    rows = map(json.loads, ran.out.splitlines())
    assert sorted(row["repository_name"] for row in rows) == sorted(named)
    assert run("tags", "wait", f"{named[0]}:x", "--timeout", "0.05").code == 4


# -- encodings ------------------------------------------------------------------------------------

ENCODINGS = ["ascii", "latin-1", "cp1252", "cp932", "koi8-r", "utf-8", "utf-16", "utf-7", "gb18030"]


class Streams:
    """Both outputs in an encoding, and what was written to each."""

    def __init__(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._encoding = encoding
        self._files = {name: io.BytesIO() for name in ("stdout", "stderr")}
        for name, file in self._files.items():
            monkeypatch.setattr(sys, name, io.TextIOWrapper(file, encoding, errors="strict"))

    def written(self, name: str, encoding: str | None = None) -> str:
        """Return what was written so far."""
        getattr(sys, name).flush()
        return self._files[name].getvalue().decode(encoding or self._encoding)


each_encoding = pytest.mark.parametrize("encoding", ENCODINGS)


@pytest.mark.usefixtures("exported")
@each_encoding
@pytest.mark.parametrize("columns", ["", "60", "20"])
def test_an_encoding_that_lacks_characters(
    columns: str, encoding: str, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Characters that an encoding lacks are written as escapes, and a table is no wider."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "dumb")
    streams = Streams(encoding, monkeypatch)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: bool(columns))
    assert main(["repositories", "list"]) == 0
    out = whole(streams.written("stdout"))
    assert len(out.splitlines()) == 1 + len(named)
    assert all(is_shown(name, out) for name in named)
    if columns == "60":
        assert max(map(len, out.splitlines())) <= 60
    if not columns:
        assert out.count(TEXT.encode(encoding, "backslashreplace").decode(encoding)) == len(named)


@pytest.mark.usefixtures("exported")
@each_encoding
def test_messages_and_helps_in_such_an_encoding(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors, warnings and helps are written too."""
    streams = Streams(encoding, monkeypatch)
    assert main(["repositories", "get", TEXT]) == 3
    assert main(["tags", "list", "--help"]) == 0
    assert streams.written("stderr").count("\n") == 1
    # To an ASCII stream click writes UTF-8 all the same.
    assert "--pattern" in streams.written("stdout", "utf-8" if encoding == "ascii" else None)


@pytest.mark.usefixtures("exported")
@each_encoding
def test_data_is_utf8_in_any_of_them(
    encoding: str, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs read the same bytes in each environment."""
    streams = Streams(encoding, monkeypatch)
    assert main(["repositories", "list", "--output", "jsonl"]) == 0
    rows = streams.written("stdout", "utf-8").splitlines()
    assert [json.loads(line)["description"] for line in rows] == [TEXT] * len(named)


STARTED = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1:strict"},
    {"PYTHONIOENCODING": "cp932"},
    {"PYTHONIOENCODING": "ascii:bogus"},
    {"PYTHONIOENCODING": "latin-1:bogus"},
    {"PYTHONIOENCODING": ":bogus"},
    {"PYTHONIOENCODING": "idna"},
    {"PYTHONIOENCODING": "idna:replace"},
    {"PYTHONIOENCODING": "undefined"},
    {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONUTF8": "1", "LC_ALL": "POSIX"},
    {"LC_ALL": "bogus", "LANG": "bogus"},
    {"LC_ALL": "ja_JP.SJIS"},
    {"PYTHONWARNINGS": "error", "TERM": "", "COLUMNS": "²"},
    {"PYTHONUNBUFFERED": "1", "TERMINAL_WIDTH": "x"},
]


@pytest.mark.parametrize("variables", STARTED, ids=str)
def test_a_program_that_is_started_so(
    variables: dict[str, str], exported: dict[str, str], named: list[str]
) -> None:
    """A table is whole, however Python itself interprets the environment."""
    environment = {**os.environ, **variables}
    ran = subprocess.run([*COMMAND, "repositories", "list"], capture_output=True, env=environment)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert all(name.encode() in ran.stdout for name in named)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize("columns", [None, "0", "²", "30"])
def test_a_terminal_without_a_size(
    columns: str | None, exported: dict[str, str], named: list[str]
) -> None:
    """A terminal with 0 columns, as in many containers, shows the whole table."""
    outer, inner = os.openpty()
    environment = {**os.environ, "TERM": "xterm"} | ({"COLUMNS": columns} if columns else {})
    with subprocess.Popen([*COMMAND, "repositories", "list"], stdout=inner, env=environment) as ran:
        os.close(inner)
        shown = b""
        with suppress(OSError):  # as Linux says that the other end was closed
            while read := os.read(outer, 65536):
                shown += read
        assert ran.wait(PATIENCE) == 0
    os.close(outer)
    assert all(is_shown(name, whole(shown.decode())) for name in named)


# -- closed pipes and full disks ------------------------------------------------------------------


class Closed(io.StringIO):
    """A stream whose writes fail with an error of the system."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        """Fail unless the text is empty."""
        if text:
            raise OSError(self._number, os.strerror(self._number))
        return 0


@pytest.mark.parametrize(
    "arguments", ["repositories list", "--help", "config -o json", "--version"]
)
@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL, errno.ENOSPC, errno.EIO])
def test_a_stdout_that_fails(
    number: int,
    windows: bool,
    arguments: str,
    run: Run,
    named: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A closed pipe is a 141 without a message, also on Windows; another failure is reported."""
    gone = {errno.EPIPE, errno.EINVAL} if windows else {errno.EPIPE}
    take_for_closed_pipe(monkeypatch, gone)
    monkeypatch.setattr(sys, "stdout", Closed(number))
    ran = run(*arguments.split())
    if number in gone:
        assert (ran.code, ran.err) == (141, "")
    else:
        assert (ran.code, ran.err) == (1, f"error: {os.strerror(number)}\n")


def test_an_error_about_a_file_is_no_closed_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows reports EINVAL for a file's name as well, and the error has the name."""
    take_for_closed_pipe(monkeypatch, {errno.EPIPE, errno.EINVAL})
    assert cli_errors.is_closed_pipe(OSError(errno.EINVAL, "Invalid argument"))
    assert not cli_errors.is_closed_pipe(OSError(errno.EINVAL, "Invalid argument", "a?.csv"))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL, errno.ENOSPC])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError("x")], ids=["ctrl-c", "defect"])
def test_a_stderr_that_fails(
    number: int,
    error: BaseException,
    run: Run,
    named: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If stderr is closed, the exit code is the same."""
    monkeypatch.setattr(sys, "stderr", Closed(number))
    assert run("repositories", "get", "nobody").code == 3
    assert run("nope").code == 2

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli_root, "run", failing)
    if isinstance(error, KeyboardInterrupt):
        assert main([]) == 130


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")  # noqa: PTH110
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(
    ("arguments", "code"), [("repositories list", 0), ("--version", 0), ("nope", 2)]
)
def test_a_full_disk(
    stream: str, arguments: str, code: int, exported: dict[str, str], named: list[str]
) -> None:
    """A failed write turns a success into a 1, with a line, and never into Python's 120."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ran = subprocess.run(
            [*COMMAND, *arguments.split()],
            stdout=full if stream == "stdout" else subprocess.PIPE,
            stderr=full if stream == "stderr" else subprocess.PIPE,
            text=True,
        )
    lost = stream == "stdout" and code == 0
    assert ran.returncode == (1 if lost else code)
    assert not lost or ran.stderr == "error: No space left on device\n"
    assert "Exception ignored" not in (ran.stderr or "")


@pytest.mark.parametrize("code", [0, 1, 2])
def test_what_is_left_to_write_at_the_end(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that fails at the end turns a success into a failure, and no other exit code."""

    class Failing(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("abeja_registry.cli.main", lambda: code)
    monkeypatch.setattr(sys, "stdout", Failing())
    with pytest.raises(SystemExit) as ended:
        script()
    monkeypatch.undo()
    assert ended.value.code == (code or 1)
