"""The sandbox as an object: starting, closing, filling, recording."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.support.internals import recorder_of
from tests.support.patience import PATIENCE, until

import abeja_registry
from abeja_registry import Client, OutcomeUnknown, RetryPolicy, Timeout, UserCredential
from abeja_registry.sandbox import RecordedRequest, Sandbox

HEADERS = {"Authorization": "Bearer sandbox"}
REPOSITORIES = "/organizations/1410000000000/registry/repositories"


def test_it_serves_while_it_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers from the first moment; closed, its socket, thread and file are gone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    threads = threading.active_count()
    with Sandbox() as sandbox:
        assert httpx.get(sandbox.url + REPOSITORIES, headers=HEADERS).status_code == 200
        assert list(tmp_path.iterdir())
    assert threading.active_count() == threads
    assert not list(tmp_path.iterdir())
    with pytest.raises(httpx.ConnectError):
        httpx.get(sandbox.url)


def test_closing_is_quick_and_may_be_repeated() -> None:
    """Closing does not wait for a client that keeps its connection; closing again does nothing."""
    sandbox = Sandbox()
    sandbox.close()
    sandbox.start()
    with httpx.Client(headers=HEADERS) as http:
        http.get(sandbox.url + REPOSITORIES)
        began = time.perf_counter()
        sandbox.close()
        sandbox.close()
        assert time.perf_counter() - began < 3


def test_a_response_does_not_wait_for_an_acknowledgement(sandbox: Sandbox) -> None:
    """A response is one piece: of two, the second could wait for the first's acknowledgement."""
    url = httpx.URL(sandbox.url)
    with socket.create_connection((url.host, url.port or 0), timeout=PATIENCE) as connection:
        for _ in range(20):
            connection.sendall(b"GET /_sandbox/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(body)


def test_it_may_be_started_again() -> None:
    """Started again it has the same port and none of the repositories of before."""
    sandbox = Sandbox()
    with sandbox:
        url = sandbox.url
        sandbox.seed(repositories=1, tags=1)
    with sandbox:
        assert sandbox.url == url
        page = httpx.get(url + REPOSITORIES, headers=HEADERS).json()
        assert page["registry_repositories"] == []


def test_starting_twice_is_refused(sandbox: Sandbox) -> None:
    """A sandbox that runs can't be started."""
    with pytest.raises(RuntimeError, match="running already"):
        sandbox.start()


def test_a_port_that_is_taken() -> None:
    """Starting on a port that is taken is an OSError, and the port's owner goes on."""
    with Sandbox() as owner:
        port = int(owner.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port).start()
        assert httpx.get(owner.url + REPOSITORIES, headers=HEADERS).status_code == 200


def test_a_server_that_fails_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that fails to start is an error with its cause, and leaves nothing behind."""

    async def startup(*_: object, **__: object) -> None:
        raise OSError("no")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(uvicorn.Server, "startup", startup)
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="failed to start") as raised:
        Sandbox().start()
    assert isinstance(raised.value.__cause__, OSError)
    assert threading.active_count() == threads
    assert not list(tmp_path.iterdir())


def test_two_side_by_side() -> None:
    """Two sandboxes share neither port, organization nor repositories."""
    with Sandbox() as one, Sandbox(organization_id="7") as two:
        one.seed(repositories=1, tags=0)
        url = f"{two.url}/organizations/7/registry/repositories"
        page = httpx.get(url, headers=HEADERS).json()
        assert one.url != two.url
        assert (page["organization_id"], page["registry_repositories"]) == (7, [])
        assert len(two.requests) == 1
        assert one.requests == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"organization_id": ""}, "organization_id .* got ''"),
        ({"organization_id": "acme"}, "organization_id .* got 'acme'"),
        ({"organization_id": 1410000000000}, "organization_id must be a str .* got 1410000000000"),
        ({"organization_id": "0141"}, "organization_id .* got '0141'"),
        ({"port": -1}, "port .* got -1"),
        ({"port": 65536}, "port .* got 65536"),
        ({"port": "8080"}, "port must be an integer, .* got '8080'"),
        ({"port": True}, "port must be an integer, .* got True"),
        ({"limit_max": 1.5}, "limit_max must be an integer, .* got 1.5"),
        ({"latency": "1"}, "latency .* got '1'"),
        ({"limit_max": 0}, "limit_max .* got 0"),
        ({"limit_max": 10**6 + 1}, "limit_max .* got 1000001"),
        ({"host": ""}, "host .* got ''"),
        ({"data": ""}, "data .* got ''"),
        ({"data": ":memory:"}, "data .* got ':memory:'"),
        ({"latency": -0.1}, "latency .* got -0.1"),
        ({"latency": float("nan")}, "latency .* got nan"),
        ({"credentials": [{}]}, "the credential is empty"),
        ({"credentials": [{"user_id": "1"}]}, "without personal_access_token"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    """An argument out of its bounds is a ValueError that names it and its value."""
    with pytest.raises(ValueError, match=message):
        Sandbox(**arguments)


def test_before_the_start() -> None:
    """What needs a running sandbox says so."""
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="no port before"):
        _ = sandbox.connection
    with pytest.raises(RuntimeError, match="not running"):
        sandbox.seed()
    with pytest.raises(RuntimeError, match="not running"):
        sandbox.push("1", "latest")


def test_connection(sandbox: Sandbox) -> None:
    """A connection has the arguments that a client takes, and no more."""
    assert sandbox.connection == {
        "organization_id": "1410000000000",
        "credential": {"auth_token": "sandbox"},
        "base_url": sandbox.url,
    }


@pytest.mark.parametrize(
    ("credential", "header"),
    [
        ({"auth_token": "t"}, "Bearer t"),
        (UserCredential("1", "t"), "Basic dXNlci0xOnQ="),
        ({"datasource_id": "1", "datasource_secret": "t"}, "Basic ZGF0YXNvdXJjZS0xOnQ="),
    ],
    ids=["token", "user", "datasource"],
)
def test_credentials(credential: Any, header: str) -> None:
    """With credentials given, each of them is let in, however its scheme is spelt, and no other."""
    with Sandbox(credentials=[credential, {"auth_token": "other"}]) as sandbox:
        assert sandbox.connection["credential"] == credential
        with Client(**sandbox.connection) as client:
            assert not client.repositories.list()
        scheme, _, secret = header.partition(" ")
        for sent, status in (
            (header, 200),
            (f"{scheme.upper()}  {secret}", 200),
            ("Bearer other", 200),
            ("Bearer wrong", 401),
            (f"{scheme} {secret}x", 401),
            ("Basic dDp0", 401),
        ):
            url = sandbox.url + REPOSITORIES
            answer = httpx.get(url, headers={"Authorization": sent}, trust_env=False)
            assert answer.status_code == status, sent


@pytest.mark.parametrize("credential", [None, {"auth_token": "mine"}, UserCredential("1", "t")])
def test_a_connection_is_nobody_else_s(credential: Any) -> None:
    """What is changed in a connection, or in an argument, changes no other and no sandbox."""
    given = [] if credential is None else [credential]
    first, second = Sandbox(port=None, credentials=given), Sandbox(port=None)
    expected = {"auth_token": "sandbox"} if credential is None else credential
    changed: Any = first.connection["credential"]
    if isinstance(changed, dict):
        changed["auth_token"] = "spoilt"
    if isinstance(credential, dict):
        credential["auth_token"] = "spoilt"
        expected = {"auth_token": "mine"}
    assert first.connection["credential"] == expected
    assert second.connection["credential"] == {"auth_token": "sandbox"}
    assert Sandbox(port=None).connection["credential"] == {"auth_token": "sandbox"}


def test_latency_of_every_answer() -> None:
    """Each of the API's responses has the delay."""
    with Sandbox(latency=3600) as sandbox, Client(**sandbox.connection, timeout=0.2) as client:
        hurried = client.with_options(deadline=0.5)
        with pytest.raises(Timeout):
            hurried.repositories.list()
        assert httpx.get(f"{sandbox.url}/_sandbox/requests", trust_env=False).status_code == 200


def test_a_reset_during_the_latency() -> None:
    """A request that waits when all is forgotten is not done."""
    with (
        Sandbox(latency=1) as sandbox,
        Client(**sandbox.connection, retry=RetryPolicy(max_retries=0)) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        waiting = threads.submit(client.repositories.create, "ghost")
        until(lambda: sandbox.requests)
        sandbox.reset()
        with pytest.raises(OutcomeUnknown):
            waiting.result(PATIENCE)
        assert sandbox.is_empty


def test_a_reset_during_a_body(sandbox: Sandbox) -> None:
    """A request of which a part came when all is forgotten is not done."""
    address = httpx.URL(sandbox.url)
    body = b'{"name": "ghost"}'
    with socket.create_connection((address.host, address.port or 0), PATIENCE) as slow:
        lines = [
            f"POST {REPOSITORIES} HTTP/1.1",
            f"Host: {address.netloc.decode()}",
            "Authorization: Bearer x",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Expect: 100-continue",
        ]
        slow.sendall("\r\n".join([*lines, "", ""]).encode())
        # The application asks for the body: it has the request.
        assert slow.recv(1000).startswith(b"HTTP/1.1 100 ")
        sandbox.reset()
        slow.sendall(body)
        with suppress(ConnectionResetError):
            assert slow.recv(1000) == b""
    assert sandbox.is_empty


def test_a_reset_during_a_body_ends_a_later_latency() -> None:
    """A request that began before a reset is dropped at once, and not after its latency."""
    with Sandbox(latency=3600) as sandbox, half_a_body(sandbox) as slow:
        sandbox.reset()
        slow.sendall(b" " * 100)
        with suppress(ConnectionResetError):
            assert slow.recv(1000) == b""


@pytest.mark.parametrize("path", ["/seed", "/faults", "/repositories/1500000000001/tags/1"])
def test_a_reset_during_a_body_of_the_sandbox_s_own_calls(sandbox: Sandbox, path: str) -> None:
    """Of those too, one of which a part came when all is forgotten is not done."""
    sandbox.seed(repositories=1, tags=0)
    address = httpx.URL(sandbox.url)
    body = b'{"status": 500}' if path == "/faults" else b"{}"
    with socket.create_connection((address.host, address.port or 0), PATIENCE) as slow:
        lines = [
            f"{'PUT' if 'tags' in path else 'POST'} /_sandbox{path} HTTP/1.1",
            f"Host: {address.netloc.decode()}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Expect: 100-continue",
        ]
        slow.sendall("\r\n".join([*lines, "", ""]).encode())
        assert slow.recv(1000).startswith(b"HTTP/1.1 100 ")
        sandbox.reset()
        [repository_id] = sandbox.seed(repositories=1, tags=0)
        slow.sendall(body)
        with suppress(ConnectionResetError):
            assert slow.recv(1000) == b""
    with Client(**sandbox.connection) as client:
        assert [each.id for each in client.repositories] == [repository_id]
        assert not list(client.tags.iter(repository_id))
    assert sandbox.faults.list() == {}


def test_a_reset_ends_the_latency() -> None:
    """A request that waits when all is forgotten loses its connection then, and not later."""
    with (
        Sandbox(latency=3600) as sandbox,
        Client(**sandbox.connection, retry=RetryPolicy(max_retries=0)) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        waiting = threads.submit(client.repositories.create, "ghost")
        until(lambda: sandbox.requests)
        sandbox.reset()
        with pytest.raises(OutcomeUnknown):
            waiting.result(PATIENCE)
        assert sandbox.is_empty


def half_a_body(sandbox: Sandbox) -> socket.socket:
    """Send a request of which the rest never comes."""
    address = httpx.URL(sandbox.url)
    lines = [
        f"POST {REPOSITORIES} HTTP/1.1",
        f"Host: {address.netloc.decode()}",
        "Content-Length: 100",
        "Expect: 100-continue",
    ]
    half = socket.create_connection((address.host, address.port or 0), PATIENCE)
    half.sendall("\r\n".join([*lines, "", ""]).encode())
    assert half.recv(1000).startswith(b"HTTP/1.1 100 ")
    return half


def waiting_for_latency(sandbox: Sandbox) -> socket.socket:
    """Send a request that waits for a fault."""
    sandbox.faults.add(latency=3600)
    return asked(sandbox, f"GET {REPOSITORIES}")


def waiting_after_work(sandbox: Sandbox) -> socket.socket:
    """Send a create that waits for a fault before it is done."""
    sandbox.faults.add(latency=3600, drop="half")
    return asked(sandbox, f"POST {REPOSITORIES}", '{"name": "ghost"}')


def unread_answers(sandbox: Sandbox) -> socket.socket:
    """Ask for more than the system buffers, and read nothing of it."""
    sandbox.seed(repositories=1, tags=10_000)
    limit = "limit=1000"
    line = f"GET {REPOSITORIES}/1500000000001/tags?{limit}"
    return asked(sandbox, *[part for _ in range(200) for part in (line, "")])


def idle(sandbox: Sandbox) -> socket.socket:
    """Keep a connection of which a request was answered."""
    connection = asked(sandbox, f"GET {REPOSITORIES}")
    assert connection.recv(100_000)
    return connection


def half_a_head(sandbox: Sandbox) -> socket.socket:
    """Send half of a request's head."""
    address = httpx.URL(sandbox.url)
    half = socket.create_connection((address.host, address.port or 0), PATIENCE)
    half.sendall(b"GET / HTTP/1.1\r\nHost:")
    return half


def asked(sandbox: Sandbox, *parts: str) -> socket.socket:
    """Send requests of these lines and bodies on one connection."""
    address = httpx.URL(sandbox.url)
    connection = socket.create_connection((address.host, address.port or 0), PATIENCE)
    for line, body in zip(parts[::2], [*parts[1::2], ""], strict=False):
        lines = [
            f"{line} HTTP/1.1",
            f"Host: {address.netloc.decode()}",
            "Authorization: Bearer x",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        connection.sendall(("\r\n".join([*lines, "", ""]) + body).encode())
    until(lambda: sandbox.requests)
    return connection


@pytest.mark.parametrize(
    "under_way",
    [
        half_a_body,
        half_a_head,
        waiting_for_latency,
        waiting_after_work,
        unread_answers,
        idle,
    ],
)
def test_closing_is_quiet_and_quick(
    under_way: Callable[[Sandbox], socket.socket],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever is under way, closing takes little time, says nothing, and ends the connection."""
    sandbox = Sandbox(limit_max=1000)
    sandbox.start()
    connections = [under_way(sandbox) for _ in range(2)]
    began = time.perf_counter()
    sandbox.close()
    took = time.perf_counter() - began
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")
    assert took < 10
    for connection in connections:
        with connection, suppress(ConnectionResetError):
            while connection.recv(1_000_000):
                pass


@pytest.mark.parametrize("way", ["socket", "process"])
def test_closing_while_many_wait(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """Requests that wait for latency lose their connections at once, over a socket and without."""
    sandbox = Sandbox(latency=3600)
    sandbox.start()
    transport = sandbox.transport() if way == "process" else None
    with (
        httpx.Client(transport=transport, timeout=None, trust_env=False) as http,
        ThreadPoolExecutor(8) as threads,
    ):
        url = sandbox.url + REPOSITORIES
        asking = [threads.submit(http.get, url, headers=HEADERS) for _ in range(8)]
        until(lambda: len(sandbox.requests) == 8)
        sandbox.close()
        for each in asking:
            with pytest.raises(httpx.RemoteProtocolError):
                each.result(PATIENCE)
    assert caplog.messages == []


def test_data_is_kept(tmp_path: Path) -> None:
    """Started again on its file, a sandbox has what it had."""
    sandbox = Sandbox(data=tmp_path / "registry.db")
    with sandbox:
        sandbox.seed(repositories=2, tags=3)
    with sandbox, Client(**sandbox.connection) as client:
        assert [len(list(each.iter_tags())) for each in client.repositories] == [3, 3]
        sandbox.reset()
    with sandbox:
        assert sandbox.is_empty


def test_it_is_this_machine_s_alone(sandbox: Sandbox) -> None:
    """It listens on one address of loopback, and on no other."""
    port = httpx.URL(sandbox.url).port or 0
    socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(OSError, match=r"refused|timed out|assign"):
        socket.create_connection(("127.0.0.2", port), timeout=1)


def test_another_address() -> None:
    """It listens at the given address, and clients can connect to its URL."""
    with Sandbox(host="0.0.0.0") as sandbox, Client(**sandbox.connection) as client:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert not client.repositories.list()
    assert Sandbox(host="::1", port=5).url == "http://[::1]:5"


def test_it_does_not_keep_a_program_from_ending() -> None:
    """A program that forgets to close its sandbox ends all the same."""
    code = "from abeja_registry.sandbox import Sandbox; Sandbox().start(); print('done')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "done\n")


def test_push(sandbox: Sandbox, http: httpx.Client) -> None:
    """A pushed tag is the one that the API shows."""
    [repository_id] = sandbox.seed(repositories=1, tags=0)
    tag = sandbox.push(repository_id, "latest", size=5, digest="sha256:a", media_type="a/b")
    assert (tag["size"], tag["digest"], tag["media_type"]) == (5, "sha256:a", "a/b")
    assert http.get(f"/repositories/{repository_id}/tags").json()["tags"] == [tag]


def test_push_takes_a_repository(sandbox: Sandbox) -> None:
    """A repository of a client's is as good as its id, and that as a number."""
    with Client(**sandbox.connection) as client:
        repository = client.repositories.create("trainer")
        sandbox.push(repository, "0")
        sandbox.push(repository.id, "1")
        sandbox.push(int(repository.id), "2")
        assert [tag.name for tag in repository.iter_tags()] == ["0", "1", "2"]


def test_bad_pushes(sandbox: Sandbox) -> None:
    """A push that breaks a rule is a ValueError, one to an unknown repository a LookupError.

    What can be no repository is a TypeError.
    """
    [repository_id] = sandbox.seed(repositories=1, tags=0)
    for size in (-1, 1.5, True, "1"):
        with pytest.raises(ValueError, match=rf"size .* got {size!r}"):
            sandbox.push(repository_id, "latest", size=size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"name .* got 5"):
        sandbox.push(repository_id, 5)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"repository must be one of a client's, or an id .* got \{"
    ):
        sandbox.push({"id": repository_id}, "latest")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got True"):
        sandbox.push(True, "latest")
    with pytest.raises(ValueError, match=r"name .* got '-'"):
        sandbox.push(repository_id, "-")
    with pytest.raises(LookupError, match="no repository '1'"):
        sandbox.push("1", "latest")


def test_seed(sandbox: Sandbox, http: httpx.Client) -> None:
    """Seeding makes as many repositories and tags as asked, each time under names that are free."""
    first = sandbox.seed(repositories=2, tags=3)
    last = int(http.get(f"/repositories/{first[1]}").json()["name"].removeprefix("sample-"))
    http.post("/repositories", json={"name": f"sample-{last + 1:04}"})
    second = sandbox.seed(repositories=1, tags=0)
    assert [len(http.get(f"/repositories/{each}").json()["tags"]) for each in first + second] == [
        3,
        3,
        0,
    ]
    assert http.get(f"/repositories/{second[0]}").json()["name"] == f"sample-{last + 2:04}"


@pytest.mark.parametrize("argument", ["repositories", "tags"])
@pytest.mark.parametrize("value", [-1, 1.5, "1"])
def test_bad_seeds(sandbox: Sandbox, argument: str, value: Any) -> None:
    """What is no count is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"{argument} .* got {value!r}"):
        sandbox.seed(**{argument: value})


def test_requests_are_recorded(sandbox: Sandbox, http: httpx.Client) -> None:
    """The API's requests are recorded as sent and in order, refused ones too."""
    http.post("/repositories", json={"name": "a"}, headers=[("X-Two", "1"), ("x-two", "2")])
    http.get("/repositories/a%2Fb%20c?limit=%31&offset=0")
    httpx.post(sandbox.url + REPOSITORIES, content=b"unread")
    create, get, refused = sandbox.requests
    assert (create.method, create.path, create.query) == ("POST", REPOSITORIES, "")
    assert create.body == b'{"name":"a"}'
    assert create.headers["authorization"] == "Bearer sandbox"
    assert create.headers["x-two"] == "1"
    assert (get.method, get.path) == ("GET", f"{REPOSITORIES}/a%2Fb%20c")
    assert (get.query, get.body) == ("limit=%31&offset=0", b"")
    assert (refused.body, "authorization" in refused.headers) == (b"unread", False)
    assert isinstance(refused, RecordedRequest)


def test_a_long_body_is_recorded_whole(sandbox: Sandbox, http: httpx.Client) -> None:
    """A body that comes in many pieces is recorded, and read, whole."""
    body = {"name": "long", "description": "x" * 300_000}
    answer = http.post("/repositories", json=body)
    assert answer.json()["description"] == body["description"]
    assert len(sandbox.requests[0].body) > 300_000


def test_what_is_recorded_has_an_end(
    sandbox: Sandbox, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many requests, or of long bodies, the last are kept; too long a body alone is not."""
    monkeypatch.setattr(recorder_of(sandbox), "max_requests", 3)
    for offset in range(5):
        http.get(f"/repositories?offset={offset}")
    assert [request.query for request in sandbox.requests] == ["offset=2", "offset=3", "offset=4"]
    monkeypatch.setattr(recorder_of(sandbox), "max_bodies", 10)
    for body in (b"1234", b"5678", b"90ab"):
        http.post("/repositories", content=body)
    assert [request.body for request in sandbox.requests] == [b"5678", b"90ab"]
    answer = http.post("/repositories", json={"name": "too-long"})
    assert answer.json()["name"] == "too-long"
    assert [request.body for request in sandbox.requests] == [b"5678", b"90ab", b""]


def test_a_request_that_was_cut_off_is_not_recorded(sandbox: Sandbox, http: httpx.Client) -> None:
    """A request whose body did not come whole is neither recorded nor done."""
    address = httpx.URL(sandbox.url)
    with socket.create_connection((address.host, address.port or 0)) as half:
        host = address.netloc.decode()
        head = f"POST {REPOSITORIES} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n"
        half.sendall(head.encode() + b'{"name"')
    assert http.get("/repositories").json()["registry_repositories"] == []
    assert [request.method for request in sandbox.requests] == ["GET"]


def test_the_sandbox_s_own_calls_are_not_recorded(sandbox: Sandbox) -> None:
    """Neither a push nor the tag-writing call counts as a request."""
    [repository_id] = sandbox.seed(repositories=1, tags=1)
    sandbox.push(repository_id, "latest")
    httpx.put(f"{sandbox.url}/_sandbox/repositories/{repository_id}/tags/1.0.0")
    assert sandbox.requests == ()


def test_requests_can_be_forgotten(sandbox: Sandbox, http: httpx.Client) -> None:
    """After a clear there are no requests, and later ones are recorded."""
    http.get("/repositories")
    sandbox.clear_requests()
    assert sandbox.requests == ()
    http.get("/repositories")
    assert len(sandbox.requests) == 1


def test_requests_outlive_the_sandbox() -> None:
    """After closing, the requests are still there to look at."""
    with Sandbox() as sandbox:
        httpx.get(sandbox.url + REPOSITORIES)
    assert [request.path for request in sandbox.requests] == [REPOSITORIES]


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
@pytest.mark.parametrize(
    "how", ["import abeja_registry.sandbox", "from abeja_registry.sandbox import Sandbox"]
)
def test_without_its_extra(missing: str, how: str) -> None:
    """Without fastapi or uvicorn the import says what to install, and nothing of what is below."""
    code = f"import sys; sys.modules[{missing!r}] = None; {how}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == (
        'ImportError: the sandbox needs its extra: pip install "abeja-registry[sandbox]"'
    )
    assert run.stderr.count("Traceback") == 1
    assert missing not in run.stderr.replace(code, "")


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
@pytest.mark.parametrize("module", ["abeja_registry.sandbox", "abeja_registry.sandbox.__main__"])
def test_the_program_without_its_extra(missing: str, module: str, tmp_path: Path) -> None:
    """Without fastapi or uvicorn the program ends with one line that says what to install."""
    # A module that can't be found, before all others.
    hide = f"import sys; sys.modules[{missing!r}] = None"
    (tmp_path / "sitecustomize.py").write_text(hide)
    run = subprocess.run(
        [sys.executable, "-m", module],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (run.returncode, run.stdout) == (1, "")
    [line] = run.stderr.splitlines()
    assert 'the sandbox needs its extra: pip install "abeja-registry[sandbox]"' in line


# A package in a zip file, and no metadata of it anywhere.
UNINSTALLED = """
import importlib.metadata, sys

def without_ours(find):
    def found(name):
        if name.replace("_", "-") == "abeja-registry":
            raise importlib.metadata.PackageNotFoundError(name)
        return find(name)
    return found

importlib.metadata.distribution = without_ours(importlib.metadata.distribution)
importlib.metadata.version = without_ours(importlib.metadata.version)
sys.path[:] = [sys.argv[1], *(each for each in sys.path if each != sys.argv[2])]
import abeja_registry, httpx
from abeja_registry.sandbox import Sandbox
assert abeja_registry.__file__.startswith(sys.argv[1])
with Sandbox() as sandbox, abeja_registry.Client(**sandbox.connection) as client:
    assert not client.repositories.list()
    answer = httpx.get(sandbox.url + "/_sandbox/openapi.json", trust_env=False)
print(answer.status_code, answer.json()["info"]["version"])
"""


def test_without_the_package_s_metadata(tmp_path: Path) -> None:
    """Run from a zip file and not installed, the sandbox serves all, and tells its version."""
    source = Path(abeja_registry.__file__).parents[1]
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as package:
        for file in source.glob("abeja_registry/**/*.*"):
            if file.suffix != ".pyc":
                package.write(file, file.relative_to(source))
    line = [sys.executable, "-c", UNINSTALLED, str(archive), str(source)]
    run = subprocess.run(line, capture_output=True, text=True)
    assert run.stdout == f"200 {abeja_registry.__version__}\n", run.stderr
