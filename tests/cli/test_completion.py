"""Completion in bash, zsh and fish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.internals import cli_completion
from tests.support.patience import PATIENCE

import abeja_registry
from abeja_registry import Client, Repository
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run

Complete = Callable[..., list[str]]


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the user's cache; requests have as much time as a busy machine needs."""
    monkeypatch.setattr(cli_completion, "BUDGET", PATIENCE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def complete(run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Complete the last of some words, as a shell does, and return the completed words."""

    def complete(*words: str, shell: str = "bash") -> list[str]:
        monkeypatch.setenv("_ABEJA_REGISTRY_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["abeja-registry", *words]))
        # fish sets the last word itself, and the other shells its index.
        monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words)))
        ran = run()
        assert (ran.code, ran.err) == (0, "")
        lines = [line for line in ran.out.splitlines() if line]
        if shell == "zsh":  # the type, the value and the help, each on a line
            return lines[1::3]
        return [line.partition(",")[2].partition("\t")[0] for line in lines]

    return complete


@pytest.fixture
def trainer(client: Client, sandbox: Sandbox) -> Repository:
    """A repository with two tags, beside another one."""
    repository = client.repositories.create("trainer")
    client.repositories.create("predictor")
    for tag in ("1.0.0", "1.1.0"):
        sandbox.push(repository, tag)
    return repository


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.usefixtures("trainer")
def test_each_shell(shell: str, complete: Complete) -> None:
    """Commands, options and repositories are completed."""
    assert complete("tags", "l", shell=shell) == ["list", "latest"]
    assert "--pattern" in complete("tags", "list", "--pa", shell=shell)
    assert complete("repositories", "get", "t", shell=shell) == ["trainer"]
    assert complete("repositories", "delete", "trainer", "", shell=shell) == [
        "predictor",
        "trainer",
    ]
    assert complete("sand", shell=shell) == ["sandbox"]


@pytest.mark.usefixtures("trainer")
def test_tags(complete: Complete) -> None:
    """The tags of a repository follow its name, as the next word or after a colon."""
    tags = ["1.0.0", "1.1.0"]
    for command in (["image"], ["tags", "get"], ["tags", "wait"]):
        assert complete(*command, "tr") == ["trainer"]
        assert complete(*command, "trainer", "") == tags
        assert complete(*command, "trainer", "1.1") == tags[1:]
        # zsh and fish complete the whole word.
        assert complete(*command, "trainer:1.1", shell="zsh") == ["trainer:1.1.0"]
        # bash splits words at colons.
        assert complete(*command, "trainer", ":") == tags
        assert complete(*command, "trainer", ":", "1.0") == tags[:1]
        assert complete(*command, "trainer", ":", "1.0.0", "p") == ["predictor"]
        assert complete(*command, "nobody", "") == []


def test_profiles(complete: Complete) -> None:
    """The configurations of the platform's file are completed, before and after the command."""
    assert complete("--profile", "") == []
    config = Path(os.environ["HOME"]) / ".abeja" / "config"
    config.parent.mkdir(parents=True)
    names = [{"configuration-name": name} for name in ("staging", "production")]
    config.touch(0o600)
    config.write_text(json.dumps({"configurations": names}))
    assert complete("--profile", "") == ["production", "staging"]
    assert complete("tags", "list", "--profile", "s") == ["staging"]
    config.write_text("no JSON")
    assert complete("--profile", "") == []


@pytest.mark.usefixtures("trainer")
def test_names_are_cached_for_a_minute(
    complete: Complete, cache: Path, sandbox: Sandbox, client: Client
) -> None:
    """A second completion sends no request; after a minute the names are read again."""
    assert complete("repositories", "get", "") == ["predictor", "trainer"]
    client.repositories.create("notebook")
    before = len(sandbox.requests)
    assert complete("repositories", "get", "") == ["predictor", "trainer"]
    assert len(sandbox.requests) == before
    [file] = cache.rglob("*.json")
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    assert "sandbox" not in file.read_text()
    old = time.time() - 61
    os.utime(file, (old, old))
    assert complete("repositories", "get", "") == ["notebook", "predictor", "trainer"]
    file.write_text("broken")
    assert complete("repositories", "get", "n") == ["notebook"]


def test_the_cache_is_that_of_a_client(
    complete: Complete, cache: Path, client: Client, sandbox: Sandbox
) -> None:
    """Another organization, URL or user has other names; old files are removed."""
    client.repositories.create("trainer")
    assert complete("repositories", "get", "") == ["trainer"]
    [file] = cache.rglob("*.json")
    assert complete("--organization", "7", "repositories", "get", "") == []
    os.utime(file, (0, 0))
    assert complete("image", "trainer", "") == []
    assert not file.exists()


@pytest.mark.parametrize("fault", [{"status": 401}, {"latency": 3600}, {"drop": "response"}])
@pytest.mark.usefixtures("trainer")
def test_errors_are_silent(
    fault: dict[str, object],
    complete: Complete,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error, or an API that does not respond in time, completes nothing."""
    monkeypatch.setattr(cli_completion, "BUDGET", 0.1)
    sandbox.faults.add(**fault)  # type: ignore[arg-type]
    assert complete("repositories", "get", "") == []
    assert complete("image", "trainer", "") == []


def test_without_settings(complete: Complete, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a credential nothing is completed, and nothing is written to stderr."""
    monkeypatch.delenv("PLATFORM_AUTH_TOKEN")
    assert complete("repositories", "get", "") == []


def test_a_folder_that_cannot_be_written(complete: Complete, cache: Path, client: Client) -> None:
    """Without a cache the names are read each time."""
    cache.write_text("a file")
    client.repositories.create("trainer")
    assert complete("repositories", "get", "") == ["trainer"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(shell: str, run: Run) -> None:
    """The script of a shell calls the program; another shell is wrong usage."""
    ran = run("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert f"_ABEJA_REGISTRY_COMPLETE={shell}_complete" in ran.out
    assert run("completion", "tcsh").code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="bash is not a part of Windows")
def test_in_bash(exported: dict[str, str], tmp_path: Path) -> None:
    """A real bash completes a word with the script."""
    program = tmp_path / "abeja-registry"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m abeja_registry "$@"\n')
    program.chmod(0o700)
    script = f"""
        PATH="{tmp_path}:$PATH"
        eval "$(abeja-registry completion bash)"
        COMP_WORDS=(abeja-registry tags l) COMP_CWORD=2
        _abeja_registry_completion abeja-registry
        echo "${{COMPREPLY[@]}}"
    """
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("list latest\n", "")


@pytest.mark.parametrize(
    "variables",
    [
        *({"_ABEJA_REGISTRY_COMPLETE": each} for each in ("", "1", "nosuchshell_complete", "bash")),
        {"_ABEJA_REGISTRY_COMPLETE": "bash_complete"},
        {"_ABEJA_REGISTRY_COMPLETE": "bash_complete", "COMP_WORDS": "a"},
        {"_ABEJA_REGISTRY_COMPLETE": "bash_complete", "COMP_WORDS": "a", "COMP_CWORD": "x"},
        {"_ABEJA_REGISTRY_COMPLETE": "bash_complete", "COMP_WORDS": "a", "COMP_CWORD": "9" * 5000},
    ],
    ids=lambda each: ",".join(each.values())[:40],
)
def test_variables_of_no_completion(
    variables: dict[str, str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that no shell sets stop no command, and stay as they were."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ran = run("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"{abeja_registry.__version__}\n", "")
    assert variables.items() <= os.environ.items()


@pytest.mark.usefixtures("trainer")
def test_an_unknown_command(complete: Complete) -> None:
    """Its words are not completed, and nothing is printed."""
    assert complete("nonsense", "tra") == []
