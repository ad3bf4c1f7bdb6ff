"""What keeps strangers out: other hosts, other origins, and those without the control token."""

import contextlib
import http.client
import json
import socket
import sys
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from tests.support.internals import bind_beyond_loopback, take_nothing_for_loopback

from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

REPOSITORIES = "/organizations/1410000000000/registry/repositories"
BEARER = ("Authorization", "Bearer sandbox")
JSON = ("Content-Type", "application/json")
FOREIGN = "http://evil.example"
# Everything that changes something: method, path, body.
WRITES = [
    ("POST", REPOSITORIES, b'{"name": "ghost"}'),
    ("DELETE", f"{REPOSITORIES}/1500000000001", b""),
    ("POST", "/_sandbox/reset", b""),
    ("POST", "/_sandbox/seed", b""),
    ("POST", "/_sandbox/faults", b'{"status": 500}'),
    ("DELETE", "/_sandbox/faults", b""),
    ("DELETE", "/_sandbox/faults/1", b""),
    ("DELETE", "/_sandbox/requests", b""),
    ("PUT", "/_sandbox/repositories/1500000000001/tags/ghost", b"{}"),
    ("POST", "/_sandbox/notifications", b"{}"),
]
READS = [
    ("GET", REPOSITORIES, b""),
    ("GET", f"{REPOSITORIES}/1500000000001/tags", b""),
    ("GET", "/_sandbox/requests", b""),
    ("GET", "/_sandbox/faults", b""),
    ("GET", "/_sandbox/openapi.json", b""),
]


@pytest.fixture
def filled(registry_sandbox: Sandbox) -> Sandbox:
    """A sandbox with a repository of one tag, a fault that never strikes, and no requests."""
    registry_sandbox.seed(repositories=1, tags=1)
    registry_sandbox.faults.add(status=500, skip=10**6)
    return registry_sandbox


def ask(
    sandbox: Sandbox,
    method: str,
    path: str,
    body: bytes = b"",
    *headers: tuple[str, str],
    host: str | None = None,
) -> tuple[int, Any]:
    """Send exactly these headers, with the sandbox's own host unless another is given."""
    url = httpx.URL(sandbox.url)
    connection = http.client.HTTPConnection(url.host, url.port)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    hosts = [] if host == "" else [("Host", host or url.netloc.decode())]
    for name, value in [*hosts, ("Content-Length", str(len(body))), *headers]:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content)


def state(sandbox: Sandbox) -> Any:
    """All that a stranger could change: tags, faults and recorded requests."""
    with httpx.Client(transport=sandbox.transport()) as inside:
        requests = sandbox.requests
        client = Client(**sandbox.connection, http_client=inside)
        tags = [(each.name, tag.name) for each in client.repositories for tag in each.iter_tags()]
        sandbox.clear_requests()
        return tags, sandbox.faults.list(), requests


@pytest.mark.parametrize(
    "strange",
    [
        [("Origin", FOREIGN)],
        [("Origin", "null")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Origin", FOREIGN), ("Sec-Fetch-Site", "cross-site")],
        [("Referer", f"{FOREIGN}/page?a=b")],
    ],
    ids=["origin", "null", "site", "both", "referer"],
)
def test_another_origin_is_refused(filled: Sandbox, strange: Sequence[tuple[str, str]]) -> None:
    """A web page of another origin reaches no call: each is a 403, and nothing is changed."""
    before = state(filled)
    for method, path, body in (*WRITES, *READS):
        status, content = ask(filled, method, path, body, BEARER, JSON, *strange)
        assert (status, content["error"]) == (403, "forbidden"), (method, path)
    assert state(filled) == before


@pytest.mark.parametrize(
    "strange",
    [
        [("Origin", "http://127.0.0.1")],
        [("Origin", "http://127.0.0.1:1")],
        [("Origin", "http://localhost:{port}")],
        [("Origin", "https://127.0.0.1")],
        [("Origin", "http://127.0.0.1:{port}@evil.example")],
        [("Origin", "http://127.0.0.1:{port}.evil.example")],
        [("Origin", "file://")],
        [("Origin", "chrome-extension://127.0.0.1:{port}")],
        [("Origin", "")],
        [("Origin", "http://127.0.0.1:{port}"), ("Origin", FOREIGN)],
        [("Origin", "http://127.0.0.1:{port}"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", FOREIGN), ("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "")],
        [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", FOREIGN), ("Connection", "Upgrade"), ("Upgrade", "websocket")],
        [("Referer", FOREIGN)],
        [("Referer", "http://127.0.0.1/")],
        [("Referer", "http://127.0.0.1:{port}@evil.example/")],
        [("Referer", "http://127.0.0.1:{port}.evil.example/")],
        [("Referer", "http://evil.example/http://127.0.0.1:{port}/")],
        [("Referer", "http://evil.example?http://127.0.0.1:{port}/")],
        [("Referer", "http://evil.example#//127.0.0.1:{port}/")],
        [("Referer", "https://127.0.0.1:1/")],
        [("Referer", "file:///home/page.html")],
        [("Referer", "about:blank")],
        [("Referer", "")],
        [("Referer", "http://127.0.0.1:{port}/"), ("Referer", FOREIGN)],
        [("Referer", "http://127.0.0.1:{port}/"), ("Origin", FOREIGN)],
    ],
)
def test_all_that_is_not_the_same_origin(
    filled: Sandbox, strange: Sequence[tuple[str, str]]
) -> None:
    """Another port, name or scheme, an extension or a file are other origins, and are refused."""
    port = httpx.URL(filled.url).port
    headers = [(name, value.format(port=port)) for name, value in strange]
    before = state(filled)
    assert ask(filled, "POST", "/_sandbox/reset", b"", *headers)[0] == 403
    assert state(filled) == before


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", "http://127.0.0.1:{port}")],
        [("Origin", "http://127.0.0.1:{port}"), ("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
        [("Referer", "http://127.0.0.1:{port}/_sandbox/requests?a=b#c")],
        [("Referer", "http://127.0.0.1:{port}")],
        [("Referer", FOREIGN), ("Sec-Fetch-Site", "none")],
        [("Referer", "http://127.0.0.1:{port}/"), ("Sec-Fetch-Site", "same-origin")],
        [("User-Agent", "curl"), ("Accept", "*/*")],
    ],
)
def test_its_own_clients_are_served(filled: Sandbox, headers: Sequence[tuple[str, str]]) -> None:
    """Programs, its own origin and an address bar are served, writes too."""
    port = httpx.URL(filled.url).port
    sent = [(name, value.format(port=port)) for name, value in headers]
    assert ask(filled, "GET", "/_sandbox/requests", b"", *sent)[0] == 200
    assert ask(filled, "POST", "/_sandbox/reset", b"", *sent)[0] == 200
    assert filled.is_empty


def test_the_origin_of_a_proxy_with_tls() -> None:
    """Behind a proxy that speaks TLS, the origin's host and port count, defaults included."""
    with Sandbox(allow_hosts=["registry.test"]) as sandbox:
        for host, origin, status in (
            ("registry.test", "https://registry.test", 200),
            ("registry.test", "http://registry.test:80", 200),
            ("registry.test:443", "https://registry.test", 200),
            ("registry.test:443", "http://registry.test", 403),
            ("registry.test", "https://other.test", 403),
        ):
            origins = ("Origin", origin)
            assert ask(sandbox, "POST", "/_sandbox/seed", b"", origins, host=host)[0] == status


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "TEXT/PLAIN",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json, text/plain",
        "",
    ],
)
def test_a_form_changes_nothing(filled: Sandbox, kind: str) -> None:
    """What a form can send is a 400 wherever something is written, with a body or without."""
    before = state(filled)
    for method, path, body in WRITES:
        if method == "POST":
            for sent in (body, b'{"name": "ghost"}', b"a=b"):
                status, _ = ask(filled, method, path, sent, BEARER, ("Content-Type", kind))
                assert status == 400
    tags, faults, requests = state(filled)
    assert (tags, faults) == before[:2]
    assert {request.path for request in requests} == {REPOSITORIES}


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.docker.distribution.events.v1+json",
    ],
)
def test_json_by_any_of_its_names(filled: Sandbox, kind: str) -> None:
    """JSON is taken, also as a Docker registry names it."""
    header = ("Content-Type", kind)
    assert ask(filled, "POST", "/_sandbox/seed", b'{"repositories": 1}', header)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1:80:80",
        "127.0.0.1,evil.example",
        "192.0.2.1",
        "0.0.0.0",
        "128.0.0.1",
        "[2001:db8::1]",
        "[::ffff:192.0.2.1]",
        "[::1",
        "::1",
        "[localhost]",
        "sandbox",
        "localhost/",
        "127.1",
    ],
)
def test_another_host_is_refused(filled: Sandbox, host: str) -> None:
    """A host that is not allowed reads and writes nothing: DNS rebinding leads nowhere."""
    host = host.format(port=httpx.URL(filled.url).port)
    before = state(filled)
    for method, path, body in (WRITES[0], WRITES[2], READS[0], READS[2]):
        status, content = ask(filled, method, path, body, BEARER, JSON, host=host)
        assert (status, content["error"]) == (403, "forbidden")
        assert "--allow-host" in content["error_description"]
    assert state(filled) == before


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:{port}",
        "localhost.",
        "localhost:1",
        "127.0.0.1",
        "127.0.0.1:",
        "127.1.2.3:8080",
        "[::1]",
        "[::1]:{port}",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]:{port}",
    ],
)
def test_loopback_has_many_names(filled: Sandbox, host: str) -> None:
    """Each name and address of loopback is allowed, with any port: it may have been forwarded."""
    host = host.format(port=httpx.URL(filled.url).port)
    assert ask(filled, "GET", "/_sandbox/requests", host=host)[0] == 200


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("registry.test", "registry.test:8080"),
        ("Registry.Test.", "registry.TEST"),
        ("host.docker.internal", "host.docker.internal:8080"),
        ("under_score", "under_score"),
        ("192.0.2.1", "192.0.2.1:8080"),
        ("2001:db8::1", "[2001:DB8:0::1]:8080"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_allow_hosts(allowed: str, host: str) -> None:
    """A host that was allowed is, however it is spelt, and no other beside it."""
    with Sandbox(allow_hosts=[allowed]) as sandbox:
        assert ask(sandbox, "GET", "/_sandbox/requests", host=host)[0] == 200
        assert ask(sandbox, "GET", "/_sandbox/requests", host="other.test")[0] == 403
        assert ask(sandbox, "GET", "/_sandbox/requests")[0] == 200


@pytest.mark.parametrize(
    "allow_hosts",
    [
        "registry.test",
        None,
        [""],
        ["*"],
        ["*.test"],
        ["registry.test:8080"],
        ["http://registry.test"],
        ["registry.test/"],
        ["user@registry.test"],
        ["a b"],
        ["[::1]:80"],
        ["ü.test"],
        [5],
    ],
)
def test_bad_allow_hosts(allow_hosts: Any) -> None:
    """What is no list of host names is a ValueError that names the argument and the value."""
    with pytest.raises(ValueError, match=r"^allow_hosts must be .*, got "):
        Sandbox(allow_hosts=allow_hosts)


def test_without_a_host(filled: Sandbox) -> None:
    """HTTP/1.0 without a Host header is refused."""
    url = httpx.URL(filled.url)
    with socket.create_connection((url.host, url.port or 0)) as old:
        old.sendall(b"GET /_sandbox/requests HTTP/1.0\r\n\r\n")
        assert old.recv(1000).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/_sandbox/reset", "localhost", 200),
        ("HTTP://[::1]:1/_sandbox/reset", "localhost", 200),
        ("http://evil.example/_sandbox/reset", "localhost", 403),
        ("http://evil.example/_sandbox/reset", "evil.example", 403),
        ("http://localhost/_sandbox/reset", "evil.example", 403),
        ("http://localhost@evil.example/_sandbox/reset", "localhost", 403),
        ("http:///_sandbox/reset", "localhost", 403),
        ("http://localhost/_sandbox/nowhere", "localhost", 404),
        ("http://localhost", "localhost", 405),
        ("//localhost/_sandbox/reset", "localhost", 404),
        ("ftp://localhost/_sandbox/reset", "localhost", 404),
    ],
)
def test_a_whole_url_in_the_first_line(
    filled: Sandbox, target: str, host: str, status: int
) -> None:
    """The form that proxies get is served too, where both of its hosts are allowed."""
    assert ask(filled, "POST", target, host=host)[0] == status
    assert filled.is_empty is (status == 200)


def test_a_whole_url_is_recorded_as_a_path(filled: Sandbox) -> None:
    """Of a whole URL, the record has path and query."""
    assert ask(filled, "GET", f"http://localhost{REPOSITORIES}?limit=1", b"", BEARER)[0] == 200
    [request] = filled.requests
    assert (request.path, request.query) == (REPOSITORIES, "limit=1")


def test_strangers_are_not_recorded(filled: Sandbox) -> None:
    """What was refused pushes nothing out of the record, and uses up no fault."""
    filled.faults.add(operation="get_repositories", status=503, times=1)
    ask(filled, "GET", REPOSITORIES, b"", BEARER, host="evil.example")
    ask(filled, "GET", REPOSITORIES, b"", BEARER, ("Origin", FOREIGN))
    assert filled.requests == ()
    assert ask(filled, "GET", REPOSITORIES, b"", BEARER)[0] == 503


# Beyond loopback. 0.0.0.0 and :: are reached over loopback here.
WIDE = [
    pytest.param("0.0.0.0", id="ipv4"),
    pytest.param("::", id="ipv6", marks=pytest.mark.xfail(not socket.has_ipv6, reason="no IPv6")),
]
CONTROL = [each for each in (*READS, *WRITES) if each[1].startswith("/_sandbox")]


@pytest.mark.parametrize("host", WIDE)
def test_beyond_loopback_a_token_is_needed(host: str) -> None:
    """Each of the sandbox's own calls is a 401 without its token, and is served with it."""
    with Sandbox(host=host) as sandbox:
        assert sandbox.control_token is not None
        assert len(sandbox.control_token) > 30
        sandbox.seed(repositories=1, tags=1)
        before = state(sandbox)
        token = sandbox.control_token
        wrong = ("", f"{token}x", token[:-1], "sandbox", "é")
        for method, path, body in CONTROL:
            assert ask(sandbox, method, path, body, JSON)[0] == 401
            for value in (*(f"Bearer {each}" for each in wrong), token, f"Basic {token}"):
                headers = [JSON, ("Authorization", value)]
                assert ask(sandbox, method, path, body, *headers)[0] == 401
        assert state(sandbox) == before
        for method, path, body in CONTROL:
            status, _ = ask(sandbox, method, path, body, JSON, ("Authorization", f"bearer {token}"))
            assert status in (200, 404)
        assert ask(sandbox, "GET", REPOSITORIES, b"", BEARER)[0] == 200


def test_beyond_loopback_hosts_are_looked_at_too() -> None:
    """A token and a credential do not make a foreign host or origin good."""
    with Sandbox(host="0.0.0.0") as sandbox:
        token = ("Authorization", f"Bearer {sandbox.control_token}")
        for path, header in (("/_sandbox/requests", token), (REPOSITORIES, BEARER)):
            assert ask(sandbox, "GET", path, b"", header, host="evil.example")[0] == 403
            assert ask(sandbox, "GET", path, b"", header, ("Origin", FOREIGN))[0] == 403
            assert ask(sandbox, "GET", path, b"", header, host="192.0.2.1")[0] == 403
            assert ask(sandbox, "GET", path, b"", header, host="0.0.0.0")[0] == 200


def test_the_address_of_a_connection_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On all addresses, each is a host of its own: no web page's name is an address."""
    take_nothing_for_loopback(monkeypatch)
    with Sandbox(host="0.0.0.0") as sandbox:
        assert ask(sandbox, "GET", REPOSITORIES, b"", BEARER, host="127.0.0.1:1")[0] == 200
        assert ask(sandbox, "GET", REPOSITORIES, b"", BEARER, host="127.0.0.2:1")[0] == 403


def test_a_host_of_its_own() -> None:
    """The name that it listens on is allowed, and needs a token unless it is loopback's by name."""
    name = socket.gethostname()
    try:
        sandbox = Sandbox(host=name)
        sandbox.start()
    except OSError:
        # A machine may not know its own name.
        return
    with contextlib.closing(sandbox):
        assert sandbox.control_token is not None
        assert ask(sandbox, "GET", REPOSITORIES, b"", BEARER, host=name)[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "::1"])
def test_on_loopback_no_token_is_needed(host: str) -> None:
    """On each of loopback's addresses the sandbox's own calls need nothing."""
    if sys.platform != "linux" and host == "127.0.0.2":
        return
    with Sandbox(host=host) as sandbox, Client(**sandbox.connection) as client:
        assert sandbox.control_token is None
        assert ask(sandbox, "GET", "/_sandbox/requests")[0] == 200
        assert not client.repositories.list()


def test_a_token_of_one_s_own() -> None:
    """A token that was given is needed on loopback too, and survives a start."""
    sandbox = Sandbox(control_token="mine")
    for _ in range(2):
        with sandbox:
            assert sandbox.control_token == "mine"
            assert ask(sandbox, "POST", "/_sandbox/reset")[0] == 401
            headers = [("Authorization", "Bearer mine")]
            assert ask(sandbox, "POST", "/_sandbox/reset", b"", *headers)[0] == 200


@pytest.mark.parametrize("token", ["", "a b", "é", "a\n", "a\r\nb", 5, b"x", "=x"])
def test_a_bad_token(token: Any) -> None:
    """What can be no bearer token is a ValueError that does not show it."""
    with pytest.raises(ValueError, match=r"^control_token must be") as raised:
        Sandbox(control_token=token)
    assert not token or repr(token) not in str(raised.value)


def test_in_process_nobody_is_a_stranger() -> None:
    """A transport needs no token, and may use any name: no web page can have it."""
    with (
        Sandbox(host="0.0.0.0", control_token="secret") as sandbox,
        httpx.Client(transport=sandbox.transport()) as inside,
    ):
        for host in ("registry.example.com", "testserver"):
            assert inside.post(f"http://{host}/_sandbox/seed").status_code == 200


def test_the_address_of_localhost_is_a_number() -> None:
    """`localhost` may lead to ::1 first, where nothing listens: the URL has the address."""
    assert Sandbox(host="localhost", port=5).url == "http://127.0.0.1:5"


def test_a_name_of_loopback_that_resolves_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of the socket decides: beyond loopback, the sandbox generates a token."""
    sandbox = Sandbox(host="localhost")
    assert sandbox.control_token is None
    bind_beyond_loopback(monkeypatch)
    with sandbox:
        token = sandbox.control_token
        assert token is not None
        assert ask(sandbox, "GET", "/_sandbox/requests")[0] == 401
        bearer = ("Authorization", f"Bearer {token}")
        assert ask(sandbox, "GET", "/_sandbox/requests", b"", bearer)[0] == 200
    with sandbox:
        assert sandbox.control_token == token
