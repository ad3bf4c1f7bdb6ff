"""The sandbox as a program."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from abeja_registry.sandbox import Sandbox
from abeja_registry.sandbox.__main__ import main

COMMAND = [sys.executable, "-m", "abeja_registry.sandbox"]


@contextmanager
def program(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The program and what it told to export."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            words = [line.removeprefix("export ").strip().split("=") for line in lines]
            yield process, dict(words)
        finally:
            process.terminate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(number: signal.Signals) -> None:
    """It serves at what it says to export, seeded, and a signal ends it with 0 and no word more."""
    with program("--port", "0", "--organization", "7", "--seed") as (process, exports):
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
            process.send_signal(number)
            rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_it_binds_loopback_only() -> None:
    """The address is one of this machine's own."""
    with program("--port", "0") as (_, exports):
        assert httpx.URL(exports["ABEJA_API_URL"]).host == "127.0.0.1"
        assert exports["ABEJA_ORGANIZATION_ID"] == "1410000000000"


def test_a_port_that_is_taken(sandbox: Sandbox) -> None:
    """A port that is taken is one line on stderr and exit code 1."""
    port = sandbox.url.rpartition(":")[2]
    run = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    [line] = run.stderr.splitlines()
    assert line.startswith("error: Address already in use")
    assert port in line


@pytest.mark.parametrize(
    "arguments",
    [("--port", "65536"), ("--port", "-1"), ("--port", "x"), ("--organization", "acme")],
)
def test_a_wrong_command_line(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An argument out of its bounds is a usage error naming it, exit code 2."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert arguments[0].strip("-") in capsys.readouterr().err.splitlines()[-1]
