"""Bodies and records without an end: the sandbox holds no more than it may."""

import json
import socket
import tracemalloc
from collections.abc import Iterator
from itertools import count

import httpx
import pytest
from tests.support.internals import recorder_of
from tests.support.patience import PATIENCE

from abeja_registry.sandbox import Sandbox

REPOSITORIES = "/organizations/1410000000000/registry/repositories"
BEARER = {"Authorization": "Bearer x", "Content-Type": "application/json"}
PATHS = [
    ("POST", REPOSITORIES),
    ("DELETE", f"{REPOSITORIES}/1"),
    ("GET", REPOSITORIES),
    ("POST", "/nowhere"),
    ("POST", "/_sandbox/seed"),
    ("POST", "/_sandbox/reset"),
    ("POST", "/_sandbox/notifications"),
    ("PUT", "/_sandbox/repositories/1/tags/1"),
]
MEGABYTE = 1024 * 1024


def test_the_limits_of_the_record(sandbox: Sandbox) -> None:
    """It holds 10,000 requests, 64 MiB of bodies and as much of heads."""
    recorder = recorder_of(sandbox)
    assert recorder.max_requests == 10_000
    assert recorder.max_bodies == recorder.max_heads == 64 * MEGABYTE


def in_chunks(count: int) -> Iterator[bytes]:
    """So many bodies of 64 KiB, as one without a declared length."""
    return iter([b" " * 65_536] * count)


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_body_that_is_too_long(sandbox: Sandbox, method: str, path: str, declared: bool) -> None:
    """It is a 413 that is seen by whoever sent it, is held nowhere, and changes nothing."""
    sandbox.seed(repositories=1, tags=0)
    length = {"Content-Length": str(480 * 65_536)} if declared else {}
    tracemalloc.start()
    try:
        answer = httpx.request(
            method,
            sandbox.url + path,
            content=in_chunks(480),
            headers={**BEARER, **length},
            trust_env=False,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert answer.json()["error_detail"] == {"field": "body"}
    assert answer.headers["Connection"] == "close"
    assert peak < 8 * MEGABYTE
    assert not sandbox.is_empty
    recorded = [(each.path, each.body) for each in sandbox.requests]
    assert recorded == ([] if path.startswith("/_sandbox") else [(path, b"")])


@pytest.mark.parametrize(
    "headers", [["Content-Length: 99999999999"], ["Transfer-Encoding: chunked"]]
)
@pytest.mark.parametrize("path", [REPOSITORIES, "/_sandbox/seed"])
def test_a_body_without_an_end(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, headers: list[str], path: str
) -> None:
    """It is read on for a while only, and then its connection is closed."""
    monkeypatch.setattr(recorder_of(sandbox), "max_discarded_bytes", 4 * MEGABYTE)
    url = httpx.URL(sandbox.url)
    sent = count()
    with socket.create_connection((url.host, url.port or 0), PATIENCE) as endless:
        lines = [f"POST {path} HTTP/1.1", f"Host: {url.netloc.decode()}", *headers, "", ""]
        endless.sendall("\r\n".join(lines).encode())
        chunk = b" " * 65_536
        framed = b"10000\r\n" + chunk + b"\r\n" if "chunked" in headers[0] else chunk
        with pytest.raises(ConnectionError):
            send_chunks(endless, framed, sent)
    assert next(sent) * len(framed) < 30 * MEGABYTE


def send_chunks(connection: socket.socket, chunk: bytes, sent: Iterator[int]) -> None:
    """Send a chunk again and again, and count."""
    while next(sent) * len(chunk) < 100 * MEGABYTE:
        connection.sendall(chunk)


def test_a_client_that_asks_before_it_sends(sandbox: Sandbox) -> None:
    """Of a body that is declared too long, a client that waits for 100 Continue sends nothing."""
    url = httpx.URL(sandbox.url)
    with socket.create_connection((url.host, url.port or 0), PATIENCE) as polite:
        lines = [
            f"POST {REPOSITORIES} HTTP/1.1",
            f"Host: {url.netloc.decode()}",
            "Content-Length: 99999999999",
            "Expect: 100-continue",
        ]
        polite.sendall("\r\n".join([*lines, "", ""]).encode())
        assert polite.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_the_longest_body(sandbox: Sandbox) -> None:
    """A body of just the length that is allowed is taken, one byte more is not, in process too."""
    with httpx.Client(
        transport=sandbox.transport(), base_url=sandbox.url, headers=BEARER
    ) as inside:
        for name, length, status in (("a", MEGABYTE, 200), ("b", MEGABYTE + 1, 413)):
            body = json.dumps({"name": name}).encode()
            content = body + b" " * (length - len(body))
            answers = [
                httpx.post(
                    sandbox.url + REPOSITORIES, content=content, headers=BEARER, trust_env=False
                )
            ]
            content = content.replace(b'"a"', b'"c"')
            answers.append(inside.post(REPOSITORIES, content=content))
            assert [answer.status_code for answer in answers] == [status, status]


def test_long_heads_are_not_kept_for_ever(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many requests with long paths or headers, the last are kept."""
    monkeypatch.setattr(recorder_of(sandbox), "max_heads", 50_000)
    with httpx.Client(base_url=sandbox.url, headers=BEARER, trust_env=False) as http:
        for number in range(20):
            http.get(REPOSITORIES, headers={"X-Long": "x" * 9_000}, params={"offset": number})
    assert [request.query for request in sandbox.requests] == [
        f"offset={number}" for number in range(15, 20)
    ]
