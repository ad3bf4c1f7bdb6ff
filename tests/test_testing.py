"""The fixtures for users' tests, in a test run of their own."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.internals import replace_clock_sleep

from abeja_registry import AsyncClient, Client, Error, RetryPolicy
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


def run(
    folder: Path,
    tests: str,
    plugin: str = "neither",
    *,
    before: str = "",
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run pytest as a user would, with every warning an error."""
    plugins = ["anyio.pytest_plugin", "pytest_socket"]
    settings = ["[pytest]", "filterwarnings = error"]
    if plugin == "pytest-asyncio":
        plugins.append("pytest_asyncio.plugin")
        settings.append("asyncio_default_fixture_loop_scope = function")
    (folder / "pytest.ini").write_text("\n".join(settings))
    (folder / "conftest.py").write_text(before + CONFTEST)
    (folder / "test_mine.py").write_text(tests)
    # All plugins that are installed take five times as long to load as a run takes.
    loading = [f"-p{each}" for each in plugins]
    return pytest_run(folder, *loading, *options, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def pytest_run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, in none of our own run's environment."""
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    environment |= {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.anyio
async def test_both_clients_use_one_sandbox(
    registry_sandbox: Sandbox, registry_client: Client, async_registry_client: AsyncClient
) -> None:
    """Repositories of one client exist for the other, though only one has a socket."""
    made = registry_client.repositories.create("trainer")
    assert (await async_registry_client.repositories.get(made.id)).name == made.name
    assert len(registry_sandbox.requests) == 2


def test_sync_tests_are_isolated(tmp_path: Path) -> None:
    """Each test has an empty sandbox, and a client for it."""
    ran = run(tmp_path, SYNC)
    assert "2 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize("plugin", TESTS)
def test_async_tests_with_any_plugin(tmp_path: Path, plugin: str) -> None:
    """The async client works with pytest-asyncio, with anyio's plugin, and without a plugin."""
    ran = run(tmp_path, TESTS[plugin], plugin)
    assert "2 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_the_environment_does_not_reach_the_clients(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, case: Callable[[str], str]
) -> None:
    """Neither proxies nor settings reach the clients; tests see the environment unchanged."""
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


def test_an_abandoned_request_is_not_carried_out(pytester: pytest.Pytester) -> None:
    """An abandoned create makes no repository in the next test."""
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
            # Before this response, the other call's wait is over.
            registry_sandbox.faults.add(operation="get_repository", status=404, latency=0.5)
            with pytest.raises(HttpError):
                registry_client.repositories.get("1")
            assert not registry_client.repositories.list()
    """)
    ran = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=2)


def test_a_test_may_close_the_sandbox(pytester: pytest.Pytester) -> None:
    """It runs again in the next test."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        def test_down(registry_sandbox):
            registry_sandbox.close()

        def test_up(registry_client):
            assert not registry_client.repositories.list()
    """)
    ran = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=2)


FROZEN = """
import asyncio, unittest
from datetime import UTC, datetime

import pytest
from abeja_registry import Client, HttpError
from freezegun import freeze_time

THEN = datetime(2024, 1, 1, tzinfo=UTC)

def work(sandbox, client):
    # The sandbox's timers ignore the stopped clock.
    sandbox.faults.add(latency=0.01)
    repository = client.repositories.create("trainer")
    sandbox.push(repository, "1.0.0")
    [tag] = repository.iter_tags()
    sandbox.faults.add(status=503, retry_after=2, times=2)
    assert client.repositories.get(repository.id) == client.repositories.get(repository.id)
    return {repository.created_at, tag.created_at, tag.updated_at}

@freeze_time(THEN)
def test_frozen(registry_sandbox, registry_client):
    assert work(registry_sandbox, registry_client) == {THEN}

def test_between(registry_sandbox, registry_client):
    assert min(work(registry_sandbox, registry_client)) > THEN
    with freeze_time(THEN):
        assert registry_client.repositories.create("second").created_at == THEN

@freeze_time(THEN)
def test_async(registry_sandbox, async_registry_client):
    async def work():
        registry_sandbox.faults.add(latency=0.01)
        repository = await async_registry_client.repositories.create("trainer")
        registry_sandbox.push(repository, "1.0.0")
        return [tag.updated_at async for tag in repository.iter_tags()]
    assert asyncio.run(work()) == [THEN]

@freeze_time(THEN, tick=True)
def test_ticking(registry_sandbox, registry_client):
    assert all(0 <= (each - THEN).total_seconds() < 60 for each in work(
        registry_sandbox, registry_client))

@freeze_time(THEN)
class TestClass:
    def test_it(self, registry_sandbox, registry_client):
        assert work(registry_sandbox, registry_client) == {THEN}

@freeze_time(THEN)
def test_started_again(registry_sandbox):
    registry_sandbox.close()
    registry_sandbox.start()
    with Client(**registry_sandbox.connection) as client:
        assert client.repositories.create("trainer").created_at == THEN

def test_the_clock_stays_frozen(registry_sandbox, registry_client):
    freeze_time(THEN).start()
    assert work(registry_sandbox, registry_client) == {THEN}
"""


@pytest.mark.parametrize("before", ["", "import pydantic.main", "import freezegun, abeja_registry"])
def test_a_frozen_clock(tmp_path: Path, before: str) -> None:
    """With a stopped clock the fixtures work, new items have its time, and the session ends.

    It ends also where a test leaves the clock stopped.
    """
    ran = run(tmp_path, FROZEN, before=f"{before}\n")
    assert "7 passed" in ran.stdout, ran.stdout


WITHOUT_SOCKETS = """
import socket

import httpx
import pytest
from abeja_registry import Client

def test_the_sandbox(registry_sandbox):
    [repository_id] = registry_sandbox.seed(repositories=1, tags=0)
    registry_sandbox.push(repository_id, "1.0.0")
    registry_sandbox.faults.add(status=400)
    with pytest.raises(RuntimeError):
        socket.socket()

def test_a_sync_client(registry_sandbox):
    with httpx.Client(transport=registry_sandbox.transport()) as http:
        client = Client(**registry_sandbox.connection, http_client=http)
        assert client.repositories.create("trainer").name == "trainer"

@pytest.mark.enable_socket
def test_a_server_for_who_needs_one(registry_sandbox, registry_client, registry_environment):
    assert not registry_client.repositories.list()
    with Client() as client:
        assert not client.repositories.list()
    registry_sandbox.close()

def test_a_sandbox_that_was_closed(registry_sandbox, async_registry_client):
    assert not registry_sandbox.requests
    registry_sandbox.close()
    assert not registry_sandbox.is_running

def test_a_sandbox_of_the_tests_own():
    from abeja_registry.sandbox import Sandbox
    with Sandbox(port=None) as sandbox:
        sandbox.seed()
"""
ASYNC_WITHOUT_SOCKETS = (
    TESTS["anyio"]
    + """
def test_a_server_that_nobody_can_have(registry_sandbox, request):
    for fixture in ("registry_client", "registry_environment"):
        with pytest.raises(RuntimeError, match="A test tried to use socket.socket"):
            request.getfixturevalue(fixture)
"""
)
NO_SOCKETS = ["-W", "ignore:A test tried to use:UserWarning", "--disable-socket"]


def test_no_unnecessary_socket(tmp_path: Path) -> None:
    """If pytest-socket blocks sockets, the sandbox and an in-process client work."""
    ran = run(tmp_path, WITHOUT_SOCKETS, options=NO_SOCKETS)
    assert "5 passed" in ran.stdout, ran.stdout


def test_only_the_sockets_of_an_event_loop(tmp_path: Path) -> None:
    """The async client works if an event loop may have its pair of sockets.

    A fixture that needs a server fails with the guard's own error.
    """
    options = [*NO_SOCKETS, "--allow-unix-socket"]
    ran = run(tmp_path, ASYNC_WITHOUT_SOCKETS, options=options)
    assert "3 passed" in ran.stdout, ran.stdout


def test_only_loopback(tmp_path: Path) -> None:
    """If pytest-socket allows only loopback, every fixture works."""
    ran = run(tmp_path, SYNC + TESTS["neither"], options=["--allow-hosts=127.0.0.1"])
    assert "4 passed" in ran.stdout, ran.stdout


def test_the_address_of_a_closed_sandbox(registry_sandbox: Sandbox) -> None:
    """A test that closed it does not open it again by asking where it was."""
    opened = registry_sandbox.url
    registry_sandbox.close()
    assert registry_sandbox.url == opened
    assert not registry_sandbox.is_running


def test_the_address_is_opened_once(registry_sandbox: Sandbox) -> None:
    """Each reader of the address finds a server there, always the same one."""
    url = registry_sandbox.url
    assert registry_sandbox.connection["base_url"] == registry_sandbox.url == url
    with Client(**registry_sandbox.connection) as client:
        assert not client.repositories.list()


WAYS: dict[str, Callable[[Client], Any]] = {
    "typed": lambda client: client.repositories.list(),
    "raw": lambda client: client.raw.get_repositories(client.organization_id),
    "with_options": lambda client: client.with_options(timeout=5).repositories.list(),
    "with a policy": lambda client: client.with_options(
        retry=RetryPolicy(base_delay=9.0, throttled_base_delay=9.0)
    ).repositories.list(),
    "derived twice": lambda client: (
        client.with_options(timeout=5)
        .with_options(max_retry_count=5)
        .raw.get_repositories("1410000000000")
    ),
}
TROUBLES: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 503, "retry_after": 2},
    {"status": 429, "retry_after": 20},
    {"drop": "response"},
]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each sleep before a retry."""
    seconds: list[float] = []
    replace_clock_sleep(monkeypatch, seconds.append)
    return seconds


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("way", ["typed", "raw", "with_options", "with a policy", "derived twice"])
def test_retries_without_the_waits(
    registry_sandbox: Sandbox,
    registry_client: Client,
    slept: list[float],
    way: str,
    trouble: dict[str, Any],
) -> None:
    """A call of the fixture's client, or of a derived one, retries as often as any, at once.

    The error says which waits there would have been.
    """
    registry_sandbox.faults.add(operation="get_repositories", **trouble)
    with pytest.raises(Error) as raised:
        WAYS[way](registry_client)
    assert len(registry_sandbox.requests) == len(raised.value.history) == 6
    assert slept == []
    waits = [attempt.wait or 0.0 for attempt in raised.value.history]
    assert sum(waits) > 0
    assert all(wait >= trouble.get("retry_after", 0) for wait in waits[:-1])


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("way", ["typed", "raw", "with_options", "with a policy"])
async def test_async_retries_without_the_waits(
    registry_sandbox: Sandbox,
    async_registry_client: AsyncClient,
    slept: list[float],
    way: str,
    trouble: dict[str, Any],
) -> None:
    """The async client's calls behave as the sync one's."""
    registry_sandbox.faults.add(operation="get_repositories", **trouble)
    with pytest.raises(Error) as raised:
        await WAYS[way](async_registry_client)  # type: ignore[arg-type]
    assert len(registry_sandbox.requests) == len(raised.value.history) == 6
    assert not any(slept)


@pytest.mark.parametrize(
    "trouble", [{"status": 503}, {"status": 429, "retry_after": 30}, {"drop": "half"}]
)
def test_an_inventory_does_not_wait(
    registry_sandbox: Sandbox,
    registry_client: Client,
    slept: list[float],
    trouble: dict[str, Any],
) -> None:
    """Neither an inventory with failing pages waits, nor one of an unpickled client."""
    registry_sandbox.seed(repositories=2, tags=3)
    with pickle.loads(pickle.dumps(registry_client)) as copy:
        for client in (registry_client, copy):
            number = registry_sandbox.faults.add(
                operation="get_repository_tags", **trouble, times=3
            )
            assert len(list(client.inventory())) == 6
            registry_sandbox.faults.remove(number)
    assert slept == []


@pytest.mark.anyio
async def test_an_async_inventory_does_not_wait(
    registry_sandbox: Sandbox, async_registry_client: AsyncClient, slept: list[float]
) -> None:
    """Nor does an async one if the API throttles it."""
    registry_sandbox.seed(repositories=2, tags=3)
    registry_sandbox.faults.add(
        operation="get_repository_tags", status=429, retry_after=30, times=3
    )
    assert len([row async for row in async_registry_client.inventory()]) == 6
    assert not any(slept)


@pytest.mark.parametrize(("deadline", "requests"), [(5, 3), (3.5, 2), (2, 1), (60, 6)])
def test_waits_count_against_the_deadline(
    registry_sandbox: Sandbox,
    registry_client: Client,
    slept: list[float],
    deadline: float,
    requests: int,
) -> None:
    """A skipped wait counts against the call's deadline, which thus limits the retries."""
    registry_sandbox.faults.add(status=503, retry_after=2)
    hurried = registry_client.with_options(deadline=deadline, retry=RetryPolicy(base_delay=0.0))
    with pytest.raises(Error):
        hurried.repositories.list()
    assert len(registry_sandbox.requests) == requests
    assert slept == []


def test_other_clients_wait(registry_sandbox: Sandbox, slept: list[float]) -> None:
    """A client without the fixtures sleeps before it retries."""
    registry_sandbox.faults.add(status=503, retry_after=2, times=1)
    with Client(**registry_sandbox.connection) as client:
        client.repositories.list()
    assert sum(slept) == pytest.approx(2, abs=0.5)


OWN_CLIENTS = """
import asyncio
import os
import subprocess
import sys

import pytest
from abeja_registry import APIClient, AsyncClient, Client

def names():
    with Client() as client:
        return [each.name for each in client.repositories]

def raw_names():
    with APIClient() as client:
        page = client.get_repositories(os.environ["ABEJA_ORGANIZATION_ID"])
        return [each["name"] for each in page["registry_repositories"]]

def async_names():
    async def work():
        async with AsyncClient() as client:
            return [each.name async for each in client.repositories]
    return asyncio.run(work())

def names_elsewhere():
    code = "from abeja_registry import Client; print([each.name for each in Client().repositories])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return eval(ran.stdout)

@pytest.mark.parametrize("names", [names, raw_names, async_names, names_elsewhere])
def test_it(registry_sandbox, registry_environment, names):
    registry_sandbox.seed(repositories=2, tags=0)
    assert names() == ["sample-0001", "sample-0002"]
    assert {name: os.environ[name] for name in registry_environment} == registry_environment
    assert registry_environment["ABEJA_API_URL"] == registry_sandbox.url
    assert len(registry_sandbox.requests) == 1

def test_after():
    assert os.environ["ABEJA_API_URL"] == "http://127.0.0.1:1"
    assert os.environ.get("NO_PROXY", "unset") == BEFORE
"""


@pytest.mark.parametrize("no_proxy", ["unset", "example.com", "*"])
def test_code_that_builds_its_own_client(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_proxy: str
) -> None:
    """With any environment and any ABEJA CLI file, each kind of client uses the test's sandbox.

    After the test the environment is as before.
    """
    home = tmp_path / "home"
    (home / ".abeja").mkdir(parents=True)
    (home / ".abeja" / "config").write_text("no JSON")
    (home / ".abeja" / "config").chmod(0o644)
    for name, value in {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "ABEJA_API_URL": "http://127.0.0.1:1",
        "ABEJA_PROFILE": "production",
        "ABEJA_PLATFORM_USER_ID": "1",
        "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN": "real",
        "ABEJA_CLI_USER": "1",
        "ABEJA_CLI_TOKEN": "real",
        "ABEJA_CLI_ORGANIZATION": "1",
        "ABEJA_SDK_CONNECTION_TIMEOUT": "soon",
        "ABEJA_SDK_MAX_RETRY_COUNT": "-1",
        "PLATFORM_AUTH_TOKEN": "real",
        "http_proxy": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    if no_proxy != "unset":
        monkeypatch.setenv("NO_PROXY", no_proxy)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(OWN_CLIENTS.replace("BEFORE", repr(no_proxy)))
    ran = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=5)


@pytest.mark.parametrize("missing", ["pytest", "fastapi", "uvicorn"])
def test_without_the_extra(missing: str) -> None:
    """The import raises one error, which names the extra and the missing package."""
    code = f"import sys; sys.modules[{missing!r}] = None; import abeja_registry.testing"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert 'the fixtures need an extra: pip install "abeja-registry[testing]"' in last
    assert missing in last
    assert ran.stderr.count("Traceback") == 1


def test_a_plugin_without_the_extra(tmp_path: Path) -> None:
    """A test run that loads the plugin ends with the same error."""
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError(\"No module named 'fastapi'\")")
    (tmp_path / "test_theirs.py").write_text("def test_it(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (tmp_path / "conftest.py").write_text(f"import sys; sys.path.insert(0, '.')\n{CONFTEST}")
    ran = pytest_run(tmp_path)
    assert ran.returncode != 0
    assert 'pip install "abeja-registry[testing]"' in ran.stdout + ran.stderr


def test_other_test_runs_are_unaffected(tmp_path: Path) -> None:
    """Without the plugin, a test run has no such fixture and imports nothing."""
    test = "import sys\n\ndef test_it():\n    assert 'abeja_registry' not in sys.modules\n"
    (tmp_path / "test_theirs.py").write_text(test)
    ran = pytest_run(tmp_path, "--fixtures")
    assert "tmp_path" in ran.stdout
    assert "registry_sandbox" not in ran.stdout
    ran = pytest_run(tmp_path)
    assert "1 passed" in ran.stdout, ran.stdout
