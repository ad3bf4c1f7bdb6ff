"""The sandbox as a program."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.patience import until
from tests.support.server import Server, response

from abeja_registry import Client, TooManyRequests, Unauthorized
from abeja_registry.sandbox import Sandbox
from abeja_registry.sandbox.__main__ import main

COMMAND = [sys.executable, "-m", "abeja_registry.sandbox"]


@contextmanager
def program(
    *arguments: str, before: Sequence[str] = (), said: list[str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The program on a free port, and what it told to export; `said` gets all its lines."""
    process = subprocess.Popen(
        [*before, *COMMAND, "--port", "0", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            lines = list(iter(process.stdout.readline, "# Ctrl-C ends it.\n"))
            if said is not None:
                said += lines
            words = [shlex.split(line) for line in lines if line.startswith("export")]
            yield process, dict(word.split("=", 1) for _, word in words)
        finally:
            process.terminate()


def client(exports: dict[str, str], **options: Any) -> Client:
    """A client with the exported variables only."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"ABEJA_ORGANIZATION_ID": "1410000000000", **exports}.items():
            environment.setenv(name, value)
        return Client(**options)


# Whoever runs the tests may have had signals ignored, as nohup and a shell's background do.
HEEDING = [
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(int(sys.argv[1]), signal.SIG_DFL);"
    " os.execv(sys.argv[2], sys.argv[2:])",
]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_serves_until_it_is_told_to_end(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves at what it says to export, seeded, and a signal ends it with 0 and no word more."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    heeding = [*HEEDING, str(number.value)]
    with program("--organization", "7", "--seed", before=heeding) as (process, exports):
        assert list(exports) == [
            "ABEJA_API_URL",
            "ABEJA_ORGANIZATION_ID",
            "PLATFORM_AUTH_TOKEN",
        ]
        assert exports["ABEJA_ORGANIZATION_ID"] == "7"
        url = f"{exports['ABEJA_API_URL']}/organizations/7/registry/repositories"
        headers = {"Authorization": f"Bearer {exports['PLATFORM_AUTH_TOKEN']}"}
        with httpx.Client(headers=headers) as http:
            ids = [row["id"] for row in http.get(url).json()["registry_repositories"]]
            pages = [http.get(f"{url}/{each}/tags?limit=1000").json() for each in ids]
            assert [len(page["tags"]) for page in pages] == [25, 25, 25, 250]
            assert list(tmp_path.glob("abeja-registry-sandbox-*"))
            process.send_signal(number)
            rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert not list(tmp_path.glob("abeja-registry-sandbox-*"))


def test_it_may_outlive_its_terminal() -> None:
    """Under nohup, the end of the terminal does not end it."""
    with program(before=["nohup"]) as (process, exports):
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        with client(exports) as nobody_s:
            assert not nobody_s.repositories.list()
        process.terminate()
        assert process.wait(30) == 0


def test_it_binds_loopback_only() -> None:
    """The address is one of this machine's own, and none of its others is listened on."""
    with program() as (_, exports):
        url = httpx.URL(exports["ABEJA_API_URL"])
        assert url.host == "127.0.0.1"
        assert exports["ABEJA_ORGANIZATION_ID"] == "1410000000000"
        with pytest.raises(OSError, match=r"refused|timed out|assign"):
            socket.create_connection(("127.0.0.2", url.port or 0), timeout=1)


def refusal(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the line on stderr with which the program ends instead of serving, with code 1."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        assert main([*map(str, arguments)]) == 1
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_a_port_that_is_taken(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    """A port that is taken is one line on stderr and exit code 1."""
    port = sandbox.url.rpartition(":")[2]
    line = refusal(capfd, "--port", port)
    assert line.startswith("error: Address already in use")
    assert port in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--port", "x"),
        ("--organization", "acme"),
        ("--limit-max", "0"),
        ("--allow-host", "http://x"),
        ("--shell", "fish"),
        ("--latency", "-1"),
        ("--credential", ""),
        ("--docker-registry", "ftp://x"),
        ("--fault", "status"),
        ("--fault", "status=200"),
        ("--fault", "operation=push,status=500"),
    ],
)
def test_a_wrong_command_line(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An argument out of its bounds is a usage error naming it, exit code 2."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1].replace("_", "-")
    assert arguments[0].strip("-") in said


def test_seeds_and_a_docker_registry(capsys: pytest.CaptureFixture[str]) -> None:
    """Tags come from the one or from the other, and both are a usage error."""
    with pytest.raises(SystemExit):
        main(["--seed", "--docker-registry", "http://127.0.0.1:1"])
    assert "--seed and --docker-registry exclude each other" in capsys.readouterr().err


def test_a_docker_registry_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    """It is one line on stderr, without the password, and exit code 1."""
    error = refusal(capfd, "--port", 0, "--docker-registry", "http://user:secret@127.0.0.1:1")
    assert error.startswith("error: the Docker registry at 127.0.0.1:1: ")
    assert "secret" not in error


def test_data_that_can_not_be_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file of another kind is one line on stderr that names it, and exit code 1."""
    file = tmp_path / "notes.txt"
    file.write_text("not a database, and longer than the head of one would be" * 10)
    error = refusal(capfd, "--port", 0, "--data", file)
    assert error == f"error: data: {str(file)!r}: file is not a database\n"
    assert file.read_text().startswith("not a database")


def test_what_the_command_line_says_holds(tmp_path: Path) -> None:
    """Limits, faults and seeds are those of the command line; data and ids outlive the program."""
    options = ["--data", str(tmp_path / "a.db"), "--limit-max", "2", "--latency", "0.001", "--seed"]
    fault = "operation=get_repository,status=429,retry_after=3,times=1"
    with program(*options, "--fault", fault) as (process, exports):
        with client(exports, max_retry_count=0) as first:
            page = first.repositories.list(limit=100)
            assert (page.limit, page.has_next) == (2, True)
            with pytest.raises(TooManyRequests) as caught:
                first.repositories.get(page[0].id)
            assert caught.value.retry_after == 3
            there = list(first.repositories)
        process.terminate()
        assert process.wait(30) == 0
    # With repositories there already, nothing is seeded.
    with program(*options) as (_, exports), client(exports) as second:
        assert list(second.repositories) == there


def test_data_of_another_organization(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that is another organization's is not taken, and says whose it is."""
    with Sandbox(data=tmp_path / "a.db"):
        pass
    error = refusal(capfd, "--port", 0, "--data", tmp_path / "a.db", "--organization", 7)
    assert "it is of organization 1410000000000, not 7" in error


@pytest.mark.parametrize(
    ("credential", "exports"),
    [
        ("secret", {"PLATFORM_AUTH_TOKEN": "secret"}),
        (
            "7:secret",
            {
                "ABEJA_PLATFORM_USER_ID": "7",
                "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN": "secret",
            },
        ),
        (
            "datasource-7:secret",
            {
                "ABEJA_PLATFORM_DATASOURCE_ID": "datasource-7",
                "ABEJA_PLATFORM_DATASOURCE_SECRET": "secret",
            },
        ),
    ],
    ids=["token", "user", "datasource"],
)
def test_a_client_that_takes_the_exports_is_let_in(
    credential: str, exports: dict[str, str]
) -> None:
    """With --credential, a client is let in by what is exported, and by nothing else."""
    with program("--credential", credential, "--credential", "second") as (_, told):
        assert exports.items() <= told.items()
        with client(told) as first:
            assert not first.repositories.list()
        second = {"PLATFORM_AUTH_TOKEN": "second"}
        with client({"ABEJA_API_URL": told["ABEJA_API_URL"], **second}) as other:
            assert not other.repositories.list()
        wrong = {"PLATFORM_AUTH_TOKEN": "wrong"}
        refused = client({"ABEJA_API_URL": told["ABEJA_API_URL"], **wrong})
        with refused, pytest.raises(Unauthorized):
            refused.repositories.list()


@pytest.mark.parametrize(
    "content",
    [
        b"first\nsecond",
        b"first\nsecond\n",
        b"\xef\xbb\xbffirst\r\n\r\nsecond\r\n",
        b"\nfirst\rsecond",
    ],
    ids=["bare", "newline", "windows", "classic"],
)
def test_credentials_of_a_file(content: bytes, tmp_path: Path) -> None:
    """Each line of the file is let in, nothing else is, and none of it is printed."""
    file = tmp_path / "credentials"
    file.write_bytes(content)
    with program("--credential-file", str(file), "--credential", "third") as (_, exports):
        assert exports["PLATFORM_AUTH_TOKEN"] == "third"
        for token in ("first", "second", "third"):
            with client({**exports, "PLATFORM_AUTH_TOKEN": token}) as admitted:
                assert not admitted.repositories.list()
        with (
            client({**exports, "PLATFORM_AUTH_TOKEN": "sandbox"}) as refused,
            pytest.raises(Unauthorized),
        ):
            refused.repositories.list()


def test_a_credential_of_a_file_is_not_printed(tmp_path: Path) -> None:
    """Where the only credential is a file's, the program says which file, and not what it holds."""
    file = tmp_path / "credentials"
    file.write_text("7:secret\n")
    said: list[str] = []
    with program("--credential-file", str(file), said=said) as (_, exports):
        assert list(exports) == ["ABEJA_API_URL", "ABEJA_ORGANIZATION_ID"]
        assert str(file) in "".join(said)
        assert "secret" not in "".join(said)
        mine = {"ABEJA_PLATFORM_USER_ID": "7", "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN": "secret"}
        with client({**exports, **mine}) as admitted:
            assert not admitted.repositories.list()


def test_beyond_loopback_a_token_is_printed() -> None:
    """The printed token is the one that the sandbox's own calls need; the API needs none."""
    with program("--host", "0.0.0.0") as (_, exports):
        token = exports.pop("ABEJA_SANDBOX_CONTROL_TOKEN")
        url = f"{exports['ABEJA_API_URL']}/_sandbox/requests"
        assert httpx.get(url, trust_env=False).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
        with client(exports) as nobody_s:
            assert not nobody_s.repositories.list()


def test_beyond_loopback_over_a_docker_registry() -> None:
    """It prints where the registry's notifications go, and with which token."""
    said: list[str] = []
    registry = Server(lambda _: response({"repositories": []}))
    options = ("--host", "0.0.0.0", "--credential", "secret")
    with registry, program(*options, "--docker-registry", registry.url, said=said) as (_, exports):
        token = exports["ABEJA_SANDBOX_CONTROL_TOKEN"]
        assert f"{exports['ABEJA_API_URL']}/_sandbox/notifications" in "".join(said)
        assert f"Bearer {token}" in "".join(said)
        assert "accepts any credential" not in "".join(said)


def test_the_token_s_file(tmp_path: Path) -> None:
    """A token's file is made once, is read after that, and its token is not printed."""
    file = tmp_path / "token"
    for host in ("127.0.0.1", "0.0.0.0"):
        said: list[str] = []
        options = ("--host", host, "--control-token-file", str(file))
        with program(*options, said=said) as (_, exports):
            token = file.read_text().strip()
            assert token not in "".join(said)
            url = f"{exports['ABEJA_API_URL']}/_sandbox/requests"
            assert httpx.get(url, trust_env=False).status_code == 401
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
    file.write_text("\ufeffchosen\r\n")
    with program("--control-token-file", str(file)) as (_, exports):
        headers = {"Authorization": "Bearer chosen"}
        url = f"{exports['ABEJA_API_URL']}/_sandbox/requests"
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 200


def test_allowed_hosts_of_the_command_line() -> None:
    """Each --allow-host is a name by which clients reach it, and no other name is."""
    options = ("--allow-host", "registry.test", "--allow-host", "host.docker.internal")
    with program(*options) as (_, exports):
        url = f"{exports['ABEJA_API_URL']}/_sandbox/requests"
        for host, status in (
            ("registry.test", 200),
            ("host.docker.internal:8080", 200),
            ("localhost", 200),
            ("other.test", 403),
        ):
            answer = httpx.get(url, headers={"Host": host}, trust_env=False)
            assert answer.status_code == status


def test_what_powershell_takes() -> None:
    """With --shell powershell, the variables are set as PowerShell does it, quotes and all."""
    said: list[str] = []
    options = ("--shell", "powershell", "--credential", "it's")
    with program(*options, said=said) as (_, exports):
        assert exports == {}
    assert "$env:ABEJA_ORGANIZATION_ID = '1410000000000'\n" in said
    assert "$env:PLATFORM_AUTH_TOKEN = 'it''s'\n" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_requests_wait(number: signal.Signals) -> None:
    """A signal ends it soon, with 0 and no word more, whatever its clients wait for."""
    heeding = [*HEEDING, str(number.value)]
    with (
        program("--latency", "3600", before=heeding) as (process, exports),
        ThreadPoolExecutor(2) as threads,
        httpx.Client(base_url=exports["ABEJA_API_URL"], timeout=None, trust_env=False) as http,
    ):
        path = "/organizations/1410000000000/registry/repositories"
        headers = {"Authorization": "Bearer x"}
        create = threads.submit(http.post, path, json={"name": "ghost"}, headers=headers)
        listing = threads.submit(http.get, path, headers=headers)
        until(lambda: len(http.get("/_sandbox/requests").json()["requests"]) == 2)
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
        assert (process.returncode, rest, errors) == (0, "", "")
        for each in (create, listing):
            with pytest.raises(httpx.RemoteProtocolError):
                each.result(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_it_starts(number: signal.Signals) -> None:
    """A signal ends a start that waits for a Docker registry, with 0 and without a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        line = [*HEEDING, str(number.value), *COMMAND, "--port", "0", "--docker-registry", url]
        with subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(number)
                said = process.communicate(timeout=30)
            assert (process.returncode, said) == (0, ("", ""))


def test_nobody_reads_what_is_printed() -> None:
    """Where the reader of its output is gone, it ends with one line and exit code 1."""
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [*COMMAND, "--port", "0"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writing)
    assert (run.returncode, run.stderr) == (1, "error: Broken pipe\n")
