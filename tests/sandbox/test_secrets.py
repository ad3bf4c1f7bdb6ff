"""Secrets in files, and how secrets are compared."""

import hmac
import os
import stat
from pathlib import Path

import httpx
import pytest

from abeja_registry.sandbox import Sandbox
from abeja_registry.sandbox.__main__ import main

REPOSITORIES = "/organizations/1410000000000/registry/repositories"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\r\n  \n",
        b"\xef\xbb\xbf",
        b"\xff\xfes\x00e\x00c\x00r\x00e\x00t\x00",
        b"secret\xff",
        b"secret\x00",
        "secret\N{SNOWMAN}".encode(),
        b"secret \n",
        b":secret",
        b"good\nse\tcret",
        b"secret" * 20_000,
    ],
)
@pytest.mark.parametrize("option", ["--credential-file", "--control-token-file"])
def test_a_file_that_holds_no_secret(
    option: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is one line that names the file and shows nothing that it holds, exit code 1."""
    file = tmp_path / "file"
    file.write_bytes(content)
    if option == "--control-token-file" and content == b"secret \n":
        content = b"sec ret"
        file.write_bytes(content)
    assert main([option, str(file), "--port", "0"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith(f"error: {str(file)!r}")
    assert "ecret" not in line.replace("'personal_access_token'", "")
    assert file.read_bytes() == content


def test_a_file_of_secrets_has_at_most_64_kib(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of 64 KiB is read, so that the next error counts; a longer one is not."""
    data, file = tmp_path / "data", tmp_path / "file"
    data.write_text("no database")
    options = ["--port", "0", "--data", str(data), "--credential-file", str(file)]
    for size, error in ((2**16, str(data)), (2**16 + 1, f"{str(file)!r} is longer than 65536")):
        file.write_bytes(b"s" * size)
        assert main(options) == 1
        assert error in capsys.readouterr().err


def test_a_file_that_can_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is missing or is a folder is one line that names it, exit code 1."""
    missing = tmp_path / "missing"
    for option, file in (
        ("--credential-file", missing),
        ("--credential-file", tmp_path),
        ("--control-token-file", tmp_path),
        ("--control-token-file", missing / "file"),
    ):
        assert main([option, str(file), "--port", "0"]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {file}: ")
    assert not missing.exists()


def test_a_link_that_leads_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No token is written through a symbolic link."""
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    assert main(["--control-token-file", str(link), "--port", "0"]) == 1
    assert "error: " in capsys.readouterr().err
    assert not target.exists()


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is sent, each known secret is compared whole, and by no quicker comparison."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    credentials = [{"auth_token": name} for name in ("one", "two", "three")]
    with Sandbox(credentials=credentials, control_token="control") as sandbox:
        monkeypatch.setattr(hmac, "compare_digest", compare)
        for token, status in (("one", 200), ("three", 200), ("four", 401), ("o", 401)):
            compared.clear()
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.get(sandbox.url + REPOSITORIES, headers=headers, trust_env=False)
            assert answer.status_code == status
            assert sorted(compared) == [b"Bearer one", b"Bearer three", b"Bearer two"]
            compared.clear()
            answer = httpx.get(f"{sandbox.url}/_sandbox/faults", headers=headers, trust_env=False)
            assert answer.status_code == 401
            assert compared == [b"control"]


def test_a_token_is_made(tmp_path: Path) -> None:
    """A token that is made is its owner's alone to read, and no two are the same."""
    from tests.support.internals import read_or_make_token

    files = [tmp_path / name for name in "ab"]
    tokens = [read_or_make_token(file) for file in files]
    assert len(set(tokens)) == 2
    assert [read_or_make_token(file) for file in files] == tokens
    if os.name == "posix":
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
