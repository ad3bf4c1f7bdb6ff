"""The fixtures for users' tests, as a user's own test run has them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from abeja_registry import AsyncClient, Client
from abeja_registry.sandbox import Sandbox

CONFTEST = 'pytest_plugins = ["abeja_registry.testing"]\n'
SYNC = """
import pytest

@pytest.mark.parametrize("turn", range(2))
def test_it_finds_nothing_of_other_tests(registry_sandbox, registry_client, turn):
    assert not registry_client.repositories.list()
    repository = registry_client.repositories.create("trainer")
    assert repository.id == "1500000000001"
    tag = registry_sandbox.push(repository, "1.0.0", size=7)
    assert [(each.name, each.size) for each in repository.iter_tags()] == [("1.0.0", 7)]
    assert [each.method for each in registry_sandbox.requests] == ["GET", "POST", "GET"]
    registry_sandbox.faults.add(status=400)
    registry_sandbox.seed(repositories=3, tags=25)
"""
ASYNC = """
    assert not await async_registry_client.repositories.list()
    repository = await async_registry_client.repositories.create("trainer")
    registry_sandbox.push(repository, "1.0.0")
    assert [each.name async for each in repository.iter_tags()] == ["1.0.0"]
    registry_sandbox.faults.add(status=400)
"""
ARGUMENTS = "registry_sandbox, async_registry_client, turn"
TESTS = {
    "pytest-asyncio": f"""
import pytest

@pytest.mark.asyncio
@pytest.mark.parametrize("turn", range(2))
async def test_it({ARGUMENTS}):{ASYNC}""",
    "anyio": f"""
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
@pytest.mark.parametrize("turn", range(2))
async def test_it({ARGUMENTS}):{ASYNC}""",
    "neither": f"""
import asyncio
import pytest

async def work({ARGUMENTS}):{ASYNC}

@pytest.mark.parametrize("turn", range(2))
def test_it({ARGUMENTS}):
    asyncio.run(work({ARGUMENTS}))
""",
}


def run(folder: Path, tests: str, plugin: str = "neither") -> subprocess.CompletedProcess[str]:
    """Run pytest as a user would, with every warning an error."""
    settings = ["[pytest]", "filterwarnings = error"]
    if plugin == "pytest-asyncio":
        settings.append("asyncio_default_fixture_loop_scope = function")
    else:
        settings.append("addopts = -p no:asyncio")
    (folder / "pytest.ini").write_text("\n".join(settings))
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_mine.py").write_text(tests)
    return pytest_run(folder)


def pytest_run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, in none of our own run's environment."""
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.anyio
async def test_both_clients_are_of_one_sandbox(
    registry_sandbox: Sandbox, registry_client: Client, async_registry_client: AsyncClient
) -> None:
    """What is created with the one is there with the other, though only one has a socket."""
    made = registry_client.repositories.create("trainer")
    assert (await async_registry_client.repositories.get(made.id)).name == made.name
    assert len(registry_sandbox.requests) == 2


def test_sync_tests_are_isolated(tmp_path: Path) -> None:
    """Each test has an empty sandbox, whatever the one before left, and a client of it."""
    ran = run(tmp_path, SYNC)
    assert "2 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize("plugin", TESTS)
def test_async_tests_with_any_plugin(tmp_path: Path, plugin: str) -> None:
    """The async client works under pytest-asyncio, under anyio's plugin, and without any."""
    ran = run(tmp_path, TESTS[plugin], plugin)
    assert "2 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_the_environment_is_for_others(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, case: Callable[[str], str]
) -> None:
    """Neither proxies nor settings, good or bad, reach the clients, and tests have all of it."""
    monkeypatch.setenv(case("http_proxy"), "http://127.0.0.1:1")
    monkeypatch.setenv(case("all_proxy"), "no proxy at all")
    monkeypatch.setenv("ABEJA_SDK_CONNECTION_TIMEOUT", "soon")
    monkeypatch.setenv("ABEJA_SDK_MAX_RETRY_COUNT", "-1")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import asyncio
        import os

        def test_it(registry_client, async_registry_client):
            assert not registry_client.repositories.list()
            assert not asyncio.run(async_registry_client.repositories.list())
            assert os.environ["ABEJA_SDK_CONNECTION_TIMEOUT"] == "soon"
            assert not {"NO_PROXY", "no_proxy"} & os.environ.keys()
    """)
    ran = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=1)


def test_what_a_test_leaves_waiting_is_not_done(pytester: pytest.Pytester) -> None:
    """A create that nobody waits for any more makes no repository in the next test."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import pytest
        from abeja_registry import HttpError, OutcomeUnknown, RetryPolicy

        def test_a_time_out(registry_sandbox, registry_client):
            registry_sandbox.faults.add(operation="create_repository", latency=0.5)
            hurried = registry_client.with_options(timeout=0.1, retry=RetryPolicy(max_retries=0))
            with pytest.raises(OutcomeUnknown):
                hurried.repositories.create("ghost")

        def test_the_next(registry_sandbox, registry_client):
            # By the time that this is answered, the other's wait is over.
            registry_sandbox.faults.add(operation="get_repository", status=404, latency=0.5)
            with pytest.raises(HttpError):
                registry_client.repositories.get("1")
            assert not registry_client.repositories.list()
    """)
    ran = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=2)


def test_a_test_may_close_the_sandbox(pytester: pytest.Pytester) -> None:
    """The next one finds it running."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        def test_down(registry_sandbox):
            registry_sandbox.close()

        def test_up(registry_client):
            assert not registry_client.repositories.list()
    """)
    ran = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=2)


def test_nobody_else_pays(tmp_path: Path) -> None:
    """Without the line that asks for it, a test run has no such fixture and imports nothing."""
    test = "import sys\n\ndef test_it():\n    assert 'abeja_registry' not in sys.modules\n"
    (tmp_path / "test_theirs.py").write_text(test)
    ran = pytest_run(tmp_path, "--fixtures")
    assert "tmp_path" in ran.stdout
    assert "registry_sandbox" not in ran.stdout
    ran = pytest_run(tmp_path)
    assert "1 passed" in ran.stdout, ran.stdout
