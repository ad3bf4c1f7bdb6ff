"""An exception that a signal handler raises during a call: a job's own time limit."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType
from typing import Any

import httpx
import httpx2
import pytest
from tests.support.certificates import TLS, certified
from tests.support.patience import PATIENCE
from tests.support.server import Request, Server, empty

from abeja_registry import APIClient, OutcomeUnknown, RetryPolicy, Timeout


class JobLimit(OSError):
    """An exception of a job's time limit."""


LIMITS = {
    "TimeoutError": lambda: TimeoutError(),
    "TimeoutError as a socket's": lambda: TimeoutError("timed out"),
    "TimeoutError with an errno": lambda: TimeoutError(errno.ETIMEDOUT, "the job took too long"),
    "a ConnectionError": lambda: ConnectionAbortedError("the job took too long"),
    "OSError": lambda: OSError("the job took too long"),
    "a class of its own": lambda: JobLimit("the job took too long"),
    "no OSError": lambda: LookupError("the job took too long"),
}
# A create, and an idempotent operation.
CALLS: dict[str, Callable[[APIClient], object]] = {
    "create": lambda client: client.create_repository("1", "sample"),
    "get": lambda client: client.get_repository("1", "2"),
    "delete": lambda client: client.delete_repository("1", "2"),
}
limits = pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)


@contextmanager
def alarm(error: Exception, begun: threading.Event | None = None) -> Iterator[None]:
    """Raise an error in this thread soon, as a time limit does; first, wait for an event."""

    def handler(_: int, __: FrameType | None) -> None:
        raise error

    def start() -> None:
        if begun is None or begun.wait(PATIENCE):
            signal.setitimer(signal.ITIMER_REAL, 0.2)

    before = signal.signal(signal.SIGALRM, handler)
    starter = threading.Thread(target=start)
    starter.start()
    try:
        yield
    finally:
        starter.join()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set at the end; threads that wait for it continue."""
    over = threading.Event()
    yield over
    over.set()


@pytest.fixture
def begun() -> threading.Event:
    """Set when the slow server has received a request."""
    return threading.Event()


@pytest.fixture(params=["no head", "half a head", "half a body"])
def slow(request: pytest.FixtureRequest, begun: threading.Event) -> Iterator[Server]:
    """A server whose response does not end before the test does."""
    start = {
        "no head": b"",
        "half a head": b"HTTP/1.1 200 OK\r\nContent-",
        "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"a":',
    }[request.param]

    def never(request: Request) -> None:
        request.send(start)
        begun.set()
        server.over.wait(PATIENCE)

    with Server(never) as server:
        yield server


def client_of(url: str, **options: Any) -> APIClient:
    """Return a client with retries."""
    options = {"timeout": PATIENCE, "retry": RetryPolicy(base_delay=0), **options}
    return APIClient({}, base_url=url, **options)


@limits
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_it_is_raised_unchanged(
    slow: Server,
    begun: threading.Event,
    call: Callable[[APIClient], object],
    limit: Callable[[], Exception],
) -> None:
    """It is not mistaken for a socket's error: no retry, and the next call works."""
    error = limit()
    with client_of(slow.url) as client:
        with alarm(error, begun), pytest.raises(type(error)) as caught:
            call(client)
        assert caught.value is error
        slow.respond = empty
        assert dict(client.get_repository("1", "3")) == {}
    assert len(slow.requests) == 2
    assert slow.requests[1].target.endswith("3")


@limits
@pytest.mark.parametrize("library", [httpx, httpx2])
def test_it_is_raised_unchanged_through_a_user_supplied_client(
    slow: Server, begun: threading.Event, library: Any, limit: Callable[[], Exception]
) -> None:
    """The HTTP library mistakes it for its own timeout or a lost connection."""
    error = limit()
    with library.Client() as theirs, client_of(slow.url, http_client=theirs) as client:
        with alarm(error, begun), pytest.raises(type(error)) as caught:
            client.create_repository("1", "sample")
        assert caught.value is error
    assert [request.method for request in slow.requests] == ["POST"]


@limits
def test_it_is_raised_unchanged_during_a_handshake(
    monkeypatch: pytest.MonkeyPatch, limit: Callable[[], Exception]
) -> None:
    """Also while TLS waits for the server."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    error = limit()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with client_of(url) as client, alarm(error), pytest.raises(type(error)) as caught:
            client.create_repository("1", "sample")
    assert caught.value is error


@limits
def test_it_is_raised_unchanged_during_a_look_up(
    over: threading.Event, monkeypatch: pytest.MonkeyPatch, limit: Callable[[], Exception]
) -> None:
    """Also while DNS is slow."""
    error = limit()

    def wait(*_: object, **__: object) -> list[object]:
        over.wait(PATIENCE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    with (
        client_of("http://api.example.com") as client,
        alarm(error),
        pytest.raises(type(error)) as caught,
    ):
        client.create_repository("1", "sample")
    assert caught.value is error


@limits
def test_it_is_raised_unchanged_while_reading_over_tls(
    monkeypatch: pytest.MonkeyPatch, limit: Callable[[], Exception]
) -> None:
    """Also while an encrypted response is awaited."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    error = limit()
    with Server(tls=certified()) as server, client_of(server.url) as client:
        server.respond = server.dripping(b"")
        with alarm(error), pytest.raises(type(error)) as caught:
            client.create_repository("1", "sample")
    assert caught.value is error


def test_a_timeout_of_the_socket_is_a_timeout(slow: Server) -> None:
    """Without a signal, the call raises Timeout."""
    with client_of(slow.url, timeout=0.05, max_retry_count=1) as client:
        with pytest.raises(OutcomeUnknown):
            client.create_repository("1", "sample")
        with pytest.raises(Timeout) as caught:
            client.get_repository("1", "2")
    assert len(caught.value.history) == 2


@pytest.mark.parametrize("library", ["own", "httpx", "httpx2"])
@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT])
def test_a_reset_is_a_transport_error(
    slow: Server, monkeypatch: pytest.MonkeyPatch, library: str, number: int
) -> None:
    """The socket itself raises it, so the outcome of a create is unknown."""

    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    # The package that the frame of a socket's own Python code is of, as gevent's is.
    globals_of_gevent = {"__name__": "gevent._socket3", "OSError": OSError}
    failing = FunctionType(fail.__code__, globals_of_gevent | {"os": os}, closure=fail.__closure__)

    class Failing(socket.socket):
        recv = failing

    monkeypatch.setattr(socket, "socket", Failing)
    options: dict[str, Any] = {}
    if library != "own":
        options["http_client"] = {"httpx": httpx, "httpx2": httpx2}[library].Client()
    with client_of(slow.url, **options) as client, pytest.raises(OutcomeUnknown):
        client.create_repository("1", "sample")
    if options:
        options["http_client"].close()
