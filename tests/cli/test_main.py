"""The command line as a program: its help, exit codes, and the modules that it loads."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.support.examples import Examples
from tests.support.internals import cli_errors, cli_output, cli_root, cli_tags, import_httpx
from tests.support.patience import PATIENCE, until
from tests.support.server import Request, Server, response

import abeja_registry
from abeja_registry import Client, OutcomeUnknown, Timeout, WaitTimeout, exceptions
from abeja_registry.cli import main, script
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run

COMMAND = [sys.executable, "-m", "abeja_registry.cli"]


# -- help and usage -------------------------------------------------------------------------------

COMMANDS = [
    "repositories list",
    "repositories get",
    "repositories create",
    "repositories delete",
    "tags list",
    "tags get",
    "tags latest",
    "tags wait",
    "image",
    "inventory",
    "diff",
    "summary",
    "config",
    "whoami",
    "doctor",
    "completion",
]
GROUPS = ["", "repositories", "tags"]


def test_the_word_help(run: Run) -> None:
    """It shows the help of the program, or of the command behind it."""
    assert run("help") == run("--help")
    assert run("help", "tags", "list") == run("tags", "list", "--help")


@pytest.mark.parametrize(
    "command",
    [
        "config",
        "whoami",
        "doctor",
        "repositories create a",
        "repositories get a",
        "tags get a:b",
        "tags latest a",
        "tags wait a:b",
    ],
)
def test_a_command_of_chosen_rows_has_no_limit(command: str, run: Run) -> None:
    """It writes all rows that it was asked for in their order, and refuses options of lists."""
    for option in ("--limit", "--sort", "--reverse"):
        ran = run(*command.split(), option, "1")
        assert ran.code == 2
        assert f"no option {option}" in ran.err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_each_help_has_examples(command: str, run: Run) -> None:
    """The help of each command shows how it is called."""
    ran = run(*command.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert re.search(rf"Examples?:\n +abeja-registry {command}", ran.out)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_each_example_is_valid(command: str, run: Run) -> None:
    """The options and arguments of each example exist."""
    for example in re.findall(r"^  abeja-registry (.*)$", run(*command.split(), "-h").out, re.M):
        line = re.split(r" [|>] ", example)[0]
        ran = run(*shlex.split(line), "--help")
        assert (ran.code, ran.err) == (0, ""), line
        known = set(re.findall(r"(?<!\S)--?[a-z-]+", ran.out))
        assert {word for word in line.split() if word.startswith("-")} <= known, line


def test_the_help_lists_every_command(run: Run) -> None:
    """Each command is in the help of its group, with a summary that is not cut."""
    listed = run("--help").out + run("tags", "--help").out + run("repositories", "--help").out
    for command in [*COMMANDS, "sandbox"]:
        line = re.search(rf"^  {command.split()[-1]} .*$", listed, re.M)
        assert line is not None, command
        assert not line[0].endswith("..."), command


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_command_shows_its_help(group: str, run: Run) -> None:
    """The program and its groups show their help, and that is a success."""
    assert run(*group.split()) == run(*group.split(), "--help")


@pytest.mark.parametrize("command", [each for each in COMMANDS if "list" not in each])
def test_a_bare_command_that_needs_more_shows_its_help(command: str, run: Run) -> None:
    """Without the arguments that it needs, a command shows its help on stderr, and exits with 2."""
    if command in ("inventory", "summary", "config", "whoami", "doctor"):
        return
    ran = run(*command.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"Usage: abeja-registry {command} ")
    assert ran.err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_global_options_are_named_in_each_help(command: str, run: Run) -> None:
    """The help of a command names the global options; the program's help describes them."""
    names = ["--organization", "--profile", "--base-url", "--request-timeout", "--deadline", "-v"]
    shown = run(*command.split(), "--help").out
    assert all(name in shown for name in names)
    root = run("--help").out
    variables = ["ABEJA_ORGANIZATION_ID", "ABEJA_PROFILE", "ABEJA_API_URL"]
    for variable in [*variables, "ABEJA_SDK_CONNECTION_TIMEOUT"]:
        assert variable in root


def test_a_help_has_plain_words(run: Run) -> None:
    """No help has an argument of a function, or a default that is a Python value."""
    for command in [*GROUPS, *COMMANDS]:
        shown = run(*command.split(), "--help").out
        assert not re.search(r"default: \(|None|[xX]>=|\bpass [a-z_]+=", shown)
    assert re.search(r"^Usage: abeja-registry diff .*OLD \[NEW\]$", run("diff", "-h").out, re.M)
    assert re.search(r"^Usage: abeja-registry summary .*\[FILE\]$", run("summary", "-h").out, re.M)


def test_the_version(run: Run) -> None:
    """--version is the package's, and nothing more."""
    assert run("--version").out == f"{abeja_registry.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["--nope"], "abeja-registry"),
        (["tags", "lis"], "abeja-registry tags"),
        (["tags", "list", "--limit", "1"], "abeja-registry tags list"),
        (["tags", "list", "trainer", "--output", "xml"], "abeja-registry tags list"),
        (["tags", "list", "trainer", "--columns", "nme"], "abeja-registry tags list"),
        (["repos", "ls", "--sort", "age"], "abeja-registry repositories list"),
        (["--request-timeout", "-1", "doctor"], "abeja-registry"),
        (["doctor", "--request-timeout", "-1"], "abeja-registry doctor"),
        (["repositories", "list", "--page-size", "0"], "abeja-registry repositories list"),
        (["inventory", "--concurrency", "0"], "abeja-registry inventory"),
        (["inventory", "--include", ""], "abeja-registry inventory"),
        (["image", "--id", "..:1"], "abeja-registry image"),
    ],
)
def test_wrong_usage(arguments: list[str], path: str, run: Run, sandbox: Sandbox) -> None:
    """Wrong usage is a 2 before any request, with one line that names the help to read."""
    ran = run(*arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("error: ")
    assert ran.err.endswith(f" - see {path} --help\n")
    assert not sandbox.requests


def test_no_option_takes_a_secret(run: Run) -> None:
    """No help names an option for a token or a password."""
    for command in ["", *COMMANDS]:
        options = re.findall(r"--[a-z-]+", run(*command.split(), "--help").out)
        assert not [each for each in options if re.search("token|secret|password|cred", each)]


# -- global options -------------------------------------------------------------------------------


def test_global_options_stand_anywhere(run: Run, sandbox: Sandbox) -> None:
    """A global option works before and after groups and commands; the last one counts."""
    url, other = ["--base-url", sandbox.url], ["--base-url", "http://127.0.0.1:9"]
    for line in (
        [*url, "repositories", "list"],
        ["repositories", *url, "list"],
        ["repositories", "list", *url],
        [*other, "repositories", *other, "list", *url],
    ):
        ran = run(*line, "-o", "json")
        assert (ran.code, ran.out) == (0, "[]\n"), line
    organization = ["config", "--organization", "7", "-o", "json"]
    rows = json.loads(run("--organization", "8", *organization).out)
    assert (rows[0]["value"], rows[0]["source"]) == ("7", "--organization")


def test_v_shows_each_request(run: Run, sandbox: Sandbox, client: Client) -> None:
    """-v shows the URL, status, time and id of each request on stderr, and data is on stdout."""
    made = client.repositories.create("trainer")
    url = rf"{sandbox.url}/organizations/\d+/registry/repositories/{made.id}"
    shown = rf"GET {url}: 200, \d+ ms, request \w+"
    for line in (["-v", "repos", "get"], ["repos", "get", "-v"], ["repos", "-v", "get"]):
        ran = run(*line, "--id", made.id, "-q")
        assert (ran.code, ran.out) == (0, "trainer\n")
        assert re.fullmatch(rf"{shown}\n", ran.err)
    for line in (["-vv", "repos", "get"], ["-v", "repos", "get", "--verbose"]):
        ran = run(*line, "--id", made.id, "-q")
        assert "\n  content-type: application/json\n" in ran.err
        assert "authorization" not in ran.err.lower()


@pytest.mark.usefixtures("no_waiting")
def test_v_shows_retries_and_lost_connections(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt has a line, without the credential, whatever a server quotes."""
    secret = "a-secret-of-somebody"
    monkeypatch.setenv("PLATFORM_AUTH_TOKEN", secret)
    sandbox.faults.add(status=503, times=1)
    sandbox.faults.add(drop="request", times=1)
    ran = run("repositories", "list", "-v", "-q")
    attempts = [line for line in ran.err.splitlines() if line.startswith("GET ")]
    assert (ran.code, len(attempts)) == (0, 3)
    assert ": 503, " in attempts[0]
    assert ran.err.count("warning: ") == 2
    assert secret not in ran.err


def test_v_of_an_inventory(run: Run, sandbox: Sandbox) -> None:
    """The requests of an inventory's threads are shown too."""
    sandbox.seed(repositories=3, tags=1)
    ran = run("inventory", "-v", "-q")
    assert (ran.code, len(ran.out.splitlines()), ran.err.count("GET ")) == (0, 3, 4)


# -- errors ---------------------------------------------------------------------------------------


def test_a_credential_that_is_rejected(run: Run, sandbox: Sandbox) -> None:
    """A 401 is a 1, and says where to look."""
    sandbox.faults.add(status=401)
    ran = run("repositories", "list")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "(401 from http://" in ran.err
    assert ", request " in ran.err
    assert ran.err.endswith(" - check the credential: abeja-registry config\n")


@pytest.mark.usefixtures("no_waiting")
def test_no_connection(run: Run) -> None:
    """Without a connection it is a 1, after a warning for each retry."""
    ran = run("--base-url", "http://127.0.0.1:9", "repositories", "list")
    assert (ran.code, ran.out) == (1, "")
    last = ran.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith(" - check the network and the API's URL: abeja-registry config")
    assert all(line.startswith("warning: ") for line in ran.err.splitlines()[:-1])


def test_a_time_out(run: Run, sandbox: Sandbox) -> None:
    """A response that does not come in time is a 4."""
    sandbox.faults.add(latency=1)
    ran = run("--deadline", "0.05", "repositories", "list")
    assert (ran.code, ran.out) == (4, "")


def test_control_characters_do_not_reach_a_terminal(run: Run, sandbox: Sandbox) -> None:
    """What the server says cannot move the cursor or break the line, in a table or an error."""
    with Client(**sandbox.connection) as client:
        client.repositories.create("trainer", "\x1b[2Jhidden\n\u202etxt")
    ran = run("repositories", "list")
    assert ran.out.splitlines()[1].rstrip().endswith("�[2Jhidden �txt")
    dump = json.loads(run("repositories", "list", "--output", "json").out)
    assert dump[0]["description"] == "\x1b[2Jhidden\n\u202etxt"
    assert cli_output.strip_control("a\x1b]0;b\x07\x9bc") == "a�]0;b��c"


def test_json_breaks_no_line_and_no_terminal(run: Run, client: Client) -> None:
    """What does not print is escaped, so that lines are lines; the rest can be read."""
    hostile = "説明 é\u2028a\x85b\x9bc\u202ed\x7fe\x1bf\ng\U000e0001"
    client.repositories.create("trainer", hostile)
    for output in ("jsonl", "json"):
        out = run("repositories", "list", "--output", output).out
        assert out.replace("\n", "").isprintable()
        assert out.splitlines() == out.removesuffix("\n").split("\n")
        assert "説明 é\\u2028a\\u0085b\\u009bc\\u202ed\\u007fe\\u001bf\\ng" in out
        [row] = [json.loads(out)] if output == "jsonl" else json.loads(out)
        assert row["description"] == hostile
    one = run("repositories", "get", "trainer", "--output", "json").out
    assert json.loads(one)["description"] == hostile
    assert one.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (OutcomeUnknown("no response"), 1, "no response - check whether it exists"),
        (Timeout("too long"), 4, "too long - try again, or allow more time"),
        (WaitTimeout("too long"), 4, "too long - try again, or wait longer"),
        (exceptions.HttpError("teapot", ""), 1, "teapot - try again later"),
        (exceptions.HttpError("x", "y", None, 502, "http://z"), 1, "y (502 from http://z) - "),
        (exceptions.HttpError("x", "y", None, 502), 1, "y - try again later"),
        (exceptions.NotFound("not_found", "no tag 'x'"), 3, "no tag 'x' - list the repositories"),
        (exceptions.NotFound("x", "no tag", request_id="r"), 3, "no tag - list the repositories"),
        (
            exceptions.Conflict("x", "y", None, None, "http://z", request_id="r"),
            1,
            "y (409 from http://z, request r) - list the repositories",
        ),
        (ImportError("needs an extra"), 1, "needs an extra"),
        (ImportError("needs an extra", name="abeja_registry.sandbox"), 1, "needs an extra"),
        (
            exceptions.NotFound("x", "none without prereleases=True"),
            3,
            "none without --prereleases",
        ),
        (
            exceptions.Error("kept: pass resume=True to continue"),
            1,
            "kept: pass --resume to continue",
        ),
        (OSError("broken"), 1, "broken"),
        (KeyError("x"), 70, "this should not happen: KeyError: 'x'"),
    ],
)
def test_errors_that_are_rare(error: Exception, code: int, text: str) -> None:
    """Each error has its exit code, and a line that says what to do next, if that is known."""
    assert cli_errors.exit_code(error) == code
    assert cli_errors.format_error(error).startswith(text)


def failing(error: BaseException) -> Any:
    """Return a function that fails."""

    def body(*_: object, **__: object) -> None:
        raise error

    return body


def test_the_log_is_left_as_it_was(run: Run) -> None:
    """Nothing of a run stays behind in the process."""
    before = logging.getLogger("abeja_registry").handlers[:]
    run("config")
    assert logging.getLogger("abeja_registry").handlers == before


# In a Python without a distribution, importing it is an error.
WITHOUT = """\
import importlib.abc, runpy, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = ["abeja-registry", *sys.argv[1:]]
{enter}
"""
ENTRIES = {
    "abeja-registry": "from abeja_registry.cli import script; script()",
    "python -m abeja_registry": "runpy.run_module('abeja_registry', run_name='__main__')",
    "python -m abeja_registry.cli": "runpy.run_module('abeja_registry.cli', run_name='__main__')",
}


@pytest.mark.parametrize("enter", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize("missing", [["click"], ["rich"], ["rich", "click", "jinja2"]])
@pytest.mark.parametrize("arguments", [["--help"], ["repositories", "list"]], ids=" ".join)
def test_the_extra_is_missing(enter: str, missing: list[str], arguments: list[str]) -> None:
    """Without the extra, each entry point says in one line what to install."""
    program = WITHOUT.format(missing=missing, enter=enter)
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert ran.stderr.startswith(
        "error: the command line needs its extra: pip install 'abeja-registry[cli]' ("
    )


@pytest.mark.parametrize("missing", ["rich", "click"])
def test_the_extra_is_missing_in_this_process(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the missing distribution; a missing module of this package is a defect."""
    monkeypatch.setitem(sys.modules, missing, None)
    for name in list(sys.modules):
        if name.startswith("abeja_registry.cli."):
            monkeypatch.delitem(sys.modules, name)
    assert main(["--help"]) == 1
    assert f"({missing} is not installed)" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, cli_root.__name__, None)
    with pytest.raises(ModuleNotFoundError):
        main(["--help"])


# -- interrupts and pipes -------------------------------------------------------------------------


def test_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with 130 and a newline, wherever it strikes."""
    monkeypatch.setattr(cli_tags, "tags_of", failing(KeyboardInterrupt()))
    assert run("image", "trainer:1") == type(run("--version"))(130, "", "\n")
    monkeypatch.setattr(cli_root, "run", failing(KeyboardInterrupt()))
    assert main([]) == 130


def test_a_closed_stdout(run: Run, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """If the reader of stdout has closed it, it ends with 141, without a message."""
    sandbox.seed()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        ran = run("repositories", "list")
    assert (ran.code, ran.err) == (141, "")


@pytest.mark.parametrize("arguments", ["--help", "--version", "tags list --help", "sandbox --help"])
def test_a_help_to_a_closed_stdout(arguments: str, exported: dict[str, str]) -> None:
    """A help or a version whose reader has closed the pipe ends with 141 as well."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        ran = subprocess.run([*COMMAND, *arguments.split()], stdout=stdout, stderr=subprocess.PIPE)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_a_stream_that_is_closed(closed: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is closed at the start is replaced by the null device."""
    monkeypatch.setattr(sys, closed, None)
    ran = run("repositories", "delete", "trainer")
    stream = getattr(sys, closed)
    assert (ran.code, ran.out, stream.name) == (2, "", os.devnull)
    assert ("--yes deletes" in ran.err) is (closed != "stderr")
    stream.close()


def test_rows_are_written_at_once(exported: dict[str, str], example: Examples) -> None:
    """The reader has the first page's rows before the response with the second page."""
    page = example("get_repository_tags")
    rows = [page["tags"][0] | {"id": number, "name": str(number)} for number in range(3)]
    read = threading.Event()
    were_read: list[bool] = []

    def paged(request: Request) -> bytes:
        window = dict(parse_qsl(urlsplit(request.target).query))
        begin, end = int(window["offset"]), int(window["offset"]) + int(window["limit"])
        if begin:
            were_read.append(read.wait(PATIENCE))
        return response(page | {"tags": rows[begin:end], "has_next": end < len(rows)})

    arguments = ["tags", "list", "--id", "1", "--page-size", "2", "--output", "jsonl"]
    with (
        Server(paged) as server,
        subprocess.Popen(
            [*COMMAND, "--base-url", server.url, *arguments], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["name"] == "0"
        read.set()
        assert [json.loads(line)["name"] for line in process.stdout] == ["1", "2"]
    assert all(were_read)


def test_a_closed_pipe(exported: dict[str, str], sandbox: Sandbox) -> None:
    """`abeja-registry … | head -1` has its line, and no message follows."""
    sandbox.seed(repositories=1, tags=3000)
    arguments = ["tags", "list", "sample-0001", "--output", "jsonl"]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["name"] == "0.0.1"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize(
    "arguments",
    [["tags", "wait", "sample-0001:1", "--timeout", "60"], ["inventory", "--output", "jsonl"]],
    ids=["wait", "inventory"],
)
def test_ctrl_c_while_it_waits(
    exported: dict[str, str], sandbox: Sandbox, arguments: list[str]
) -> None:
    """Ctrl-C ends a wait, and an inventory without responses, without a traceback."""
    sandbox.seed(repositories=1, tags=0)
    if arguments[0] == "inventory":
        sandbox.faults.add(operation="get_repository_tags", latency=3600)
    # In a shell's background, Ctrl-C is ignored, also by child processes.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import runpy; runpy.run_module('abeja_registry.cli', run_name='__main__')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        until(lambda: any(each.path.endswith("/tags") for each in sandbox.requests))
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == (b"", b"\n")
    assert process.returncode == 130


@pytest.mark.parametrize("code", [130, 141])
def test_an_interrupted_process_waits_for_no_thread(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output is flushed, and the process ends at once."""
    ended: list[tuple[int, str]] = []

    def end(with_code: int) -> NoReturn:
        ended.append((with_code, capsys.readouterr().out))
        raise SystemExit

    def interrupted() -> int:
        sys.stdout.write("so far")
        return code

    monkeypatch.setattr("abeja_registry.cli.main", interrupted)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit):
        script()
    assert ended == [(code, "so far")]


@pytest.mark.parametrize("name", ["__main__", "abeja_registry.cli.__main__"])
def test_as_a_module(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m abeja_registry.cli` is the same program; importing it runs nothing."""
    monkeypatch.setattr(sys, "argv", ["abeja-registry", "--version"])
    monkeypatch.delitem(sys.modules, "abeja_registry.cli.__main__", raising=False)
    runs = name == "__main__"
    with pytest.raises(SystemExit, match="0") if runs else nullcontext():
        runpy.run_module("abeja_registry.cli.__main__", run_name=name)
    assert capsys.readouterr().out == (f"{abeja_registry.__version__}\n" if runs else "")


# -- terminals ------------------------------------------------------------------------------------


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make both outputs a terminal with colours."""
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_colours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header is bold at a terminal; with NO_COLOR nothing has a colour."""
    at_a_terminal(monkeypatch)
    assert "\x1b[1m" in run("config").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", run("config").out)


@pytest.mark.usefixtures("no_waiting")
def test_progress_at_a_terminal(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long work shows its progress on stderr, and only data is on stdout."""
    at_a_terminal(monkeypatch)
    sandbox.seed(repositories=2, tags=2)
    done = "4 tags, 0 empty, 0 failed"
    assert done in run("inventory").err
    sandbox.faults.add(operation="get_repository_tags", status=429, times=1)
    assert f"{done}, API throttles: 12 at a time" in run("inventory").err
    # Progress would break the lines of data at the same terminal.
    assert run("inventory", "--output", "jsonl").err == ""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    ran = run("inventory", "--output", "jsonl")
    assert "2/2" in ran.err
    assert len([json.loads(line) for line in ran.out.splitlines()]) == 4
    ran = run("tags", "wait", "sample-0001:0.0.1", "--output", "json")
    assert re.search(r"waiting for sample-0001:0.0.1 .*0:00:0[0-9]", ran.err)
    assert json.loads(ran.out)["name"] == "0.0.1"


def test_a_stdout_of_another_kind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may replace stdout by another stream."""
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    assert run("repositories", "list", "--output", "json").code == 0
    assert stdout.getvalue() == "[]\n"


# -- the sandbox ----------------------------------------------------------------------------------


def test_the_sandbox(run: Run, sandbox: Sandbox) -> None:
    """The sandbox takes its own options, and has its own help."""
    ran = run("sandbox", "--help")
    assert ran.code == 0
    assert ran.out.startswith("Usage: abeja-registry sandbox [OPTIONS]")
    assert "\nExamples:\n  abeja-registry sandbox --" in ran.out
    for arguments in (["--port", "99999"], ["--port", "x"], ["--limit-max", "0"], ["--nope"]):
        ran = run("sandbox", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert arguments[0] in ran.err
        assert ran.err.endswith(" - see abeja-registry sandbox --help\n")
    taken = sandbox.url.rpartition(":")[2]
    ran = run("sandbox", "--port", taken)
    assert (ran.code, taken in ran.err) == (1, True)


# -- what is loaded -------------------------------------------------------------------------------

OURS = {"click"}
CLIENT = OURS | {"httpx", "pydantic"}
# Sums and differences are computed in columns, if pyarrow is installed.
COLUMNS = {"numpy", "pyarrow"}
LOADED = [
    ("--help", OURS),
    ("--version", OURS),
    ("tags list --help", OURS),
    ("repositories delete nobody", OURS),
    ("config --output json", CLIENT),
    ("config", CLIENT | {"rich"}),
    ("whoami --output json", CLIENT),
    ("tags list sample-0001 --output csv", CLIENT),
    ("tags list sample-0001 --quiet", CLIENT),
    ("tags list sample-0001", CLIENT | {"rich"}),
    ("repositories get sample-0001 --output json", CLIENT),
    ("repositories list --sort size --output json", CLIENT | COLUMNS),
    ("image sample-0001:0.0.1", CLIENT),
    ("inventory", CLIENT),
    ("summary --output json", CLIENT | COLUMNS),
    ("inventory --write {folder}/new.jsonl", CLIENT),
    ("diff {folder}/old.jsonl --output csv", CLIENT | COLUMNS),
    ("doctor", CLIENT),
    ("tags latest sample-0001 --output json", CLIENT),
    ("tags latest sample-0001 --by version --output json", CLIENT | {"packaging"}),
    ("tags wait sample-0001:0.0.1 --output json", CLIENT),
    ("repositories create trainer --output json", CLIENT),
]
HEAVY = {"fastapi", "jinja2", "httpx", "numpy", "packaging", "pandas", "pyarrow", "pydantic"}
HEAVY |= {"pygments", "rich", "sqlite3", "starlette", "uvicorn"}
PROGRAM = """\
import sys
from abeja_registry.cli import main
main(sys.argv[1:])
print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


@pytest.mark.parametrize(("command", "allowed"), LOADED, ids=[command for command, _ in LOADED])
def test_a_command_loads_what_it_needs(
    command: str, allowed: set[str], exported: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    """A command imports those of the slow modules that it uses, and no others."""
    sandbox.seed(repositories=1, tags=1)
    (tmp_path / "old.jsonl").touch()
    arguments = command.format(folder=tmp_path).split()
    # Coverage loads modules of its own.
    uncovered = {key: os.environ[key] for key in os.environ if not key.startswith("COVERAGE_")}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, env=uncovered
    )
    loaded = set(ran.stderr.splitlines()[-1].split()) & HEAVY
    assert loaded <= allowed


def test_httpx_without_its_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Httpx is imported without its own command line, and this leaves no trace."""
    for name in ("httpx", "httpx._main"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import_httpx()
    assert "httpx" in sys.modules
    assert "httpx._main" not in sys.modules
