"""Connection pools: number of connections, reuse, closing, and trusted certificates."""

from __future__ import annotations

import asyncio
import copy
import fcntl
import gc
import os
import pickle
import re
import select
import socket
import ssl
import subprocess
import sys
import termios
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import httpcore
import httpx
import pytest
import uvloop
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.certificates import CA_HASH, TLS, certified
from tests.support.examples import example
from tests.support.internals import (
    ancestors_dropped_twice,
    as_in_child,
    create_repository,
    get_repository_tags,
    keep_alive_for,
    limit_connections,
    session_of,
)
from tests.support.patience import PATIENCE
from tests.support.server import Request, Server, closing, empty, raw_response, response

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    Client,
    ConfigurationError,
    Error,
    OutcomeUnknown,
    RetryPolicy,
    Timeout,
    TransportError,
)

# -- a recording server, and sync and async callers -----------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that records its requests and connections."""
    with Server() as server:
        yield server


@pytest.fixture
def held(server: Server) -> Iterator[Callable[[str], threading.Event]]:
    """Hold the response to one repository's request until the returned event is set."""
    events: dict[str, threading.Event] = {}

    def hold(repository_id: str) -> threading.Event:
        return events.setdefault(repository_id, threading.Event())

    def respond_when_released(request: Request) -> bytes:
        if event := events.get(request.target.rpartition("/")[2]):
            event.wait(PATIENCE)
        return empty(request)

    server.respond = respond_when_released
    yield hold
    for event in events.values():
        event.set()


class World:
    """Starts calls in threads or in tasks, so that one test serves both."""

    def __init__(self, portal: BlockingPortal | None, threads: ThreadPoolExecutor) -> None:
        self._portal = portal
        self._threads = threads

    @property
    def is_async(self) -> bool:
        """Whether calls are tasks."""
        return self._portal is not None

    def start(self, call: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Start a call in parallel to those in flight."""
        if self._portal is None:
            return self._threads.submit(call, *arguments)
        return self._portal.start_task_soon(call, *arguments)

    def client(self, url: str, **options: Any) -> Any:
        """Return a raw client."""
        kind = AsyncAPIClient if self.is_async else APIClient
        return kind({}, base_url=url, max_retry_count=0, **options)

    def typed(self, url: str, **options: Any) -> Any:
        """Return a typed client."""
        kind = AsyncClient if self.is_async else Client
        return kind("1", {}, base_url=url, **{"max_retry_count": 0, **options})

    def get(self, client: Any, repository_id: str = "free") -> Future[Any]:
        """Start asking for a repository."""
        return self.start(client.get_repository, "1", repository_id)

    def create(self, client: Any) -> Future[Any]:
        """Start creating a repository."""
        return self.start(client.create_repository, "1", "sample")

    def close(self, client: Any) -> None:
        """Close a client."""
        self.start(client.aclose if self.is_async else client.close).result(PATIENCE)


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Threads, or tasks."""
    with ThreadPoolExecutor() as threads:
        if request.param == "sync":
            yield World(None, threads)
        else:
            with start_blocking_portal() as portal:
                yield World(portal, threads)


@pytest.fixture
def client(world: World, server: Server) -> Iterator[Any]:
    """A raw client of the server."""
    client = world.client(server.url, timeout=PATIENCE)
    yield client
    world.close(client)


# -- number and choice of connections -------------------------------------------------------------


def test_sequential_calls_reuse_one_connection(world: World, server: Server, client: Any) -> None:
    """Sequential calls use one connection, which is open until the client closes."""
    for _ in range(5):
        world.get(client).result(PATIENCE)
    assert len(server.connections) == 1
    assert server.gone.empty()
    world.close(client)
    assert server.gone.get(timeout=PATIENCE) == server.connections[0]


def test_a_client_without_calls_opens_no_connection(
    world: World, server: Server, client: Any
) -> None:
    """Creating and closing a client sends no request."""
    world.close(client)
    assert not server.connections


def test_derived_clients_share_the_connection(world: World, server: Server) -> None:
    """A typed client, its raw client and derived clients use one connection."""
    client = world.typed(server.url)
    for each in (client, client.with_options(timeout=5), client.with_options(organization_id="2")):
        world.get(each.raw).result(PATIENCE)
        world.start(lambda delete=each.repositories.delete: delete("3")).result(PATIENCE)
    world.close(client)
    assert len(server.connections) == 1


def test_as_many_connections_as_parallel_calls(world: World, server: Server, client: Any) -> None:
    """Three parallel calls open three connections; three more rounds open no further one."""
    together = threading.Barrier(3)

    def respond_together(request: Request) -> bytes:
        together.wait(PATIENCE)
        return empty(request)

    server.respond = respond_together
    for _ in range(4):
        for call in [world.get(client) for _ in range(3)]:
            call.result(PATIENCE)
    assert len(server.connections) == 3


@pytest.mark.parametrize("last", ["a", "b"])
def test_the_latest_connection_is_reused_first(
    world: World, server: Server, client: Any, held: Callable[[str], threading.Event], last: str
) -> None:
    """The server has most likely kept the latest connection open."""
    calls, ports = {}, {}
    for name in ("a", "b"):
        held(name)
        calls[name] = world.get(client, name)
        ports[name] = server.asked.get(timeout=PATIENCE).port
    for name in sorted(calls, key=lambda name: name == last):
        held(name).set()
        calls[name].result(PATIENCE)
    for _ in range(2):
        world.get(client).result(PATIENCE)
        assert server.asked.get(timeout=PATIENCE).port == ports[last]


def test_cookies_are_not_kept(world: World, server: Server, client: Any) -> None:
    """A Set-Cookie of one response is not sent with the next call."""
    server.respond = lambda _: response({}, 200, "Set-Cookie: tied=1")
    for _ in range(2):
        world.get(client).result(PATIENCE)
        assert "cookie" not in server.asked.get(timeout=PATIENCE).head.lower()


def test_a_create_after_the_server_closed_the_idle_connection(
    world: World, server: Server, client: Any
) -> None:
    """It is sent once, over a new connection, at the first attempt."""
    server.respond = closing(response({}))
    for _ in range(3):
        for call in (world.get, world.create):
            assert call(client).result(PATIENCE) == {}
            assert server.gone.get(timeout=PATIENCE) == server.connections[-1]
    assert [request.method for request in server.requests] == ["GET", "POST"] * 3
    assert [request.port for request in server.requests] == server.connections


def test_a_create_uses_a_separate_connection(world: World, server: Server, client: Any) -> None:
    """A create never reuses an idle connection, and its connection is not reused."""
    for call in (world.get, world.create, world.create, world.get):
        assert call(client).result(PATIENCE) == {}
    ports = [request.port for request in server.requests]
    assert len(set(ports)) == 3
    assert ports[0] == ports[3]
    assert {server.gone.get(timeout=PATIENCE) for _ in range(2)} == {ports[1], ports[2]}


EXAMPLE = example("create_repository")


def named(name: str) -> dict[str, Any]:
    """Return a repository with this name."""
    return {**EXAMPLE, "name": name, "id": f"id of {name}"}


def listed(*names: str) -> bytes:
    """Return a response that lists repositories."""
    rows = [named(name) for name in names]
    page = {"offset": 0, "limit": 50, "has_next": False, "organization_id": "1"}
    return response({**page, "registry_repositories": rows})


def created(name: str) -> bytes:
    """Return a response to a create."""
    return response(named(name))


UNASKED = {
    "nothing, and closes": (b"", b"", False),
    "a time-out, and closes": (b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",) * 2
    + (False,),
    "a time-out": (b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",) * 2 + (True,),
    "a second response": (listed("other"), created("other"), True),
}


@pytest.mark.parametrize("delay", [0, 0.02], ids=["at once", "late"])
@pytest.mark.parametrize(("to_get", "to_post", "stays"), UNASKED.values(), ids=UNASKED)
def test_get_or_create_despite_unsolicited_responses(
    world: World, server: Server, to_get: bytes, to_post: bytes, stays: bool, delay: float
) -> None:
    """It creates once, and returns the repository that it created."""

    def respond_with_more(request: Request) -> bytes | None:
        create = request.method == "POST"
        request.send(created("wanted") if create else listed())
        over.wait(delay)
        request.send(to_post if create else to_get)
        return b"" if stays else None

    over = threading.Event()
    server.respond = respond_with_more
    retry = RetryPolicy(base_delay=0)
    client = world.typed(server.url, timeout=PATIENCE, max_retry_count=5, retry=retry)
    for _ in range(5):
        made = world.start(client.repositories.get_or_create, "wanted").result(PATIENCE)
        assert (made.name, made.id) == ("wanted", "id of wanted")
    over.set()
    assert [request.method for request in server.requests].count("POST") == 5
    world.close(client)


STRAY = {
    "a response": b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"a": 1}\n',
    "a part": b"HTTP/1.1 200 OK\r\n",
    "a byte": b" ",
}
stray = pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)


@stray
def test_extra_bytes_with_a_response_close_the_connection(
    world: World, server: Server, client: Any, stray: bytes
) -> None:
    """The next call opens a new connection, and gets its own response."""
    server.respond = lambda _: response({}) + stray
    for number, call in enumerate((world.get, world.create, world.get)):
        assert call(client).result(PATIENCE) == {}
        assert server.gone.get(timeout=PATIENCE) == server.connections[number]
    assert len(server.connections) == 3


@stray
def test_extra_bytes_on_an_idle_connection_close_it(
    world: World, server: Server, client: Any, stray: bytes
) -> None:
    """The next call opens a new connection, and gets its own response."""
    go_on, sent = threading.Event(), threading.Event()

    def respond_with_more(request: Request) -> bytes:
        request.send(response({}))
        go_on.wait(PATIENCE)
        request.send(stray)
        sent.set()
        return b""

    server.respond = respond_with_more
    assert world.get(client).result(PATIENCE) == {}
    go_on.set()
    assert sent.wait(PATIENCE)
    server.respond = empty
    assert world.create(client).result(PATIENCE) == {}
    assert world.get(client).result(PATIENCE) == {}
    assert {server.gone.get(timeout=PATIENCE) for _ in range(2)} == set(server.connections[:2])
    assert len(server.connections) == 3


def test_a_host_with_one_listening_address(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that refuses connections is skipped."""
    port = server.port
    addresses = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
        for address in ("127.0.0.2", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **options: addresses)
    client = world.client(f"http://api.example.com:{port}")
    assert world.get(client).result(PATIENCE) == {}
    world.close(client)


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port of 127.0.0.2 that does not accept: a connection neither succeeds nor fails."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())
        yield full.getsockname()[1]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make every host name resolve to these addresses."""

    def to(*addresses: tuple[str, int]) -> None:
        infos = [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in addresses
            for host in address[:1]
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)

    return to


@pytest.mark.parametrize("holes", [1, 3])
def test_an_address_that_does_not_respond_costs_little_time(
    world: World, server: Server, black_hole: int, resolve: Callable[..., None], holes: int
) -> None:
    """The next addresses are tried in parallel, long before the timeout."""
    resolve(*[("127.0.0.2", black_hole)] * holes, ("127.0.0.1", server.port))
    client = world.client("http://api.example.com", timeout=PATIENCE)
    started = time.monotonic()
    for _ in range(3):
        assert world.create(client).result(PATIENCE) == {}
    assert time.monotonic() - started < PATIENCE / 2
    assert len(server.connections) == 3
    world.close(client)


def test_addresses_that_do_not_respond_share_one_timeout(
    world: World, black_hole: int, resolve: Callable[..., None]
) -> None:
    """Any number of addresses takes one timeout, and no request is sent."""
    resolve(*[("127.0.0.2", black_hole)] * 4)
    client = world.client("http://api.example.com", timeout=0.4)
    started = time.monotonic()
    with pytest.raises(Timeout) as caught:
        world.create(client).result(PATIENCE)
    assert time.monotonic() - started < 1.5
    assert not caught.value.outcome_unknown
    world.close(client)


def test_a_refusal_leaves_the_timeout_to_other_addresses(
    world: World, server: Server, black_hole: int, resolve: Callable[..., None]
) -> None:
    """An address that may still accept has the rest of the timeout."""
    with socket.create_server(("127.0.0.3", 0)) as closed:
        refusing = closed.getsockname()
    resolve(("127.0.0.2", black_hole), refusing)
    client = world.client("http://api.example.com", timeout=0.6)
    with pytest.raises(Timeout):
        world.create(client).result(PATIENCE)
    world.close(client)


def test_an_event_loop_that_rejects_the_socket(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection fails: the socket is closed, and no request is sent."""

    async def refuse(*_: object, **__: object) -> object:
        raise OSError(24, "Too many open files")

    async def call() -> None:
        client = AsyncAPIClient({}, base_url=server.url, max_retry_count=0)
        monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", refuse)
        with pytest.raises(TransportError, match="Too many open files") as caught:
            await client.create_repository("1", "sample")
        assert not caught.value.outcome_unknown

    asyncio.run(call())
    assert server.gone.get(timeout=PATIENCE) == server.connections[0]


def test_a_url_that_is_too_long_is_not_sent(world: World, server: Server) -> None:
    """The limit is httpx's: 65,536 characters."""
    client = world.client(server.url)
    call = world.start(client.create_repository, "1" * 70_000, "sample")
    with pytest.raises(TransportError, match="InvalidURL: the URL is longer than") as caught:
        call.result(PATIENCE)
    assert not caught.value.outcome_unknown
    assert not server.requests
    world.close(client)


@pytest.mark.parametrize("hosts", [["127.0.0.2"], ["127.0.0.2", "127.0.0.3"], ["::1", "127.0.0.2"]])
def test_addresses_that_all_refuse_fail_at_once(
    world: World, server: Server, resolve: Callable[..., None], hosts: list[str]
) -> None:
    """The call fails after one refusal of each address, and no request is sent."""
    resolve(*((host, server.port) for host in hosts))
    client = world.client("http://api.example.com", timeout=PATIENCE)
    with pytest.raises(TransportError, match="ConnectError") as caught:
        world.create(client).result(PATIENCE)
    assert type(caught.value) is TransportError
    assert not caught.value.outcome_unknown
    world.close(client)


def test_address_families_alternate(
    world: World, server: Server, black_hole: int, resolve: Callable[..., None]
) -> None:
    """IPv6 and IPv4 addresses are tried alternately (RFC 8305)."""
    tried: list[str] = []
    real = socket.socket

    class Noting(socket.socket):
        def __init__(self, family: int = -1, *arguments: Any, **options: Any) -> None:
            tried.append("6" if family == socket.AF_INET6 else "4")
            real.__init__(self, socket.AF_INET, *arguments, **options)

        def connect(self, address: Any) -> None:
            real.connect(self, ("127.0.0.2", black_hole))

    six, four = ("::1", 1), ("127.0.0.2", black_hole)
    resolve(six, six, six, four, four)
    client = world.client("http://api.example.com", timeout=1.4)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "socket", Noting)
        with pytest.raises(TransportError):
            world.create(client).result(PATIENCE)
    if not world.is_async:  # an event loop connects the socket, and fails at once
        assert tried == ["6", "4", "6", "4", "6"]
    assert tried[:4] == ["6", "4", "6", "4"]
    world.close(client)


@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), MemoryError()], ids=["limit", "memory"]
)
def test_a_look_up_without_a_thread(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The call works if the process has reached its limit of threads, or is ending."""
    client = world.client(server.url.replace("127.0.0.1", "localhost"), timeout=PATIENCE)
    assert world.get(client).result(PATIENCE) == {}

    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if thread.name == "abeja-registry-look-up":  # others are the test's own
            failed.append(error)
            raise error
        start(thread)

    failed: list[Exception] = []
    monkeypatch.setattr(threading.Thread, "start", fail)
    assert world.create(client).result(PATIENCE) == {}
    assert failed == [error]
    assert len(server.connections) == 2
    world.close(client)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_call_at_the_end_of_the_process_works(server: Server, is_async: bool) -> None:
    """Python 3.12 and later start no thread at the end of a process."""
    server_url = server.url.replace("127.0.0.1", "localhost")
    call = "asyncio.run(main())" if is_async else 'print(client.get_repository("1", "2"))'
    script = f"""
import asyncio, atexit
from abeja_registry import APIClient, AsyncAPIClient

client = APIClient({{}}, base_url={server_url!r}, max_retry_count=0)

async def main():
    async with AsyncAPIClient({{}}, base_url={server_url!r}, max_retry_count=0) as client:
        print(await client.get_repository("1", "2"))

atexit.register(lambda: {call})
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert ran.stdout == "{}\n"


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        OSError(24, "Too many open files"),
        UnicodeError("label too long"),
        ValueError("embedded null byte"),
        RuntimeError("the interpreter ends"),
        MemoryError(),
        None,
    ],
    ids=[
        "gaierror",
        "OSError",
        "UnicodeError",
        "ValueError",
        "RuntimeError",
        "MemoryError",
        "none",
    ],
)
def test_any_failed_look_up_is_a_transport_error(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """The call fails at once, and the outcome of a create is certain."""

    def look_up(*_: object, **__: object) -> list[object]:
        if error is not None:
            raise error
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    client = world.client("http://api.example.com", timeout=PATIENCE * 10)
    with pytest.raises(TransportError) as caught:
        world.create(client).result(PATIENCE)
    assert type(caught.value) is TransportError
    assert not caught.value.outcome_unknown
    world.close(client)


# -- failed calls, and closing --------------------------------------------------------------------


@pytest.mark.parametrize(
    "part", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"], ids=["no response", "a part"]
)
def test_a_failed_call_closes_its_connection(
    world: World, server: Server, client: Any, part: bytes
) -> None:
    """After a lost response, the next call works over a new connection."""
    closed: SimpleQueue[bool] = SimpleQueue()

    def respond_in_part(request: Request) -> None:
        request.send(part)
        request.socket.shutdown(socket.SHUT_WR)
        closed.put(request.client_has_closed())

    server.respond = respond_in_part
    with pytest.raises(TransportError):
        world.get(client).result(PATIENCE)
    assert closed.get()
    server.respond = empty
    assert world.get(client).result(PATIENCE) == {}
    assert len(set(server.connections)) == 2


def test_a_timed_out_call_closes_its_connection(
    world: World,
    server: Server,
    held: Callable[[str], threading.Event],
) -> None:
    """A late response is dropped, and the next call opens a new connection."""
    typed = world.typed(server.url, timeout=PATIENCE)
    held("late")
    with pytest.raises(Timeout, match="ReadTimeout"):
        world.get(typed.with_options(timeout=0.5).raw, "late").result(PATIENCE)
    assert server.requests[0].client_has_closed()
    held("late").set()
    assert server.gone.get(timeout=PATIENCE) == server.connections[0]
    assert world.get(typed.raw).result(PATIENCE) == {}
    assert len(server.connections) == 2
    world.close(typed)


# The first bytes of a response, and the bytes that then repeat forever.
DRIPS = {
    "head": (b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Drip: x\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "nothing": (b"", b""),
}


@pytest.mark.parametrize(("start", "drop"), DRIPS.values(), ids=DRIPS)
def test_the_deadline_bounds_a_slow_response(
    world: World, server: Server, start: bytes, drop: bytes
) -> None:
    """The call ends and its connection closes, though each byte arrives in time."""
    late = "deadline has passed"
    server.respond = server.dripping(start, drop)
    typed = world.typed(server.url, timeout=PATIENCE)
    hurried = typed.with_options(deadline=1).raw
    for number, (call, kind) in enumerate([(world.get, Timeout), (world.create, OutcomeUnknown)]):
        started = time.monotonic()
        with pytest.raises(kind, match=late) as caught:
            call(hurried).result(PATIENCE)
        assert time.monotonic() - started < PATIENCE / 2
        assert type(caught.value) is kind
        assert [attempt.wait for attempt in caught.value.history] == [None]
        assert server.requests[number].client_has_closed()
    server.respond = empty
    assert world.get(typed.raw).result(PATIENCE) == {}
    world.close(typed)


def test_a_cancelled_call_closes_its_connection(
    server: Server, held: Callable[[str], threading.Event]
) -> None:
    """A cancelled task releases its slot, and closes its connection."""
    with ThreadPoolExecutor() as threads, start_blocking_portal() as portal:
        world = World(portal, threads)
        client = world.client(server.url, timeout=PATIENCE)
        held("cancelled")
        call = world.get(client, "cancelled")
        server.asked.get(timeout=PATIENCE)
        call.cancel()
        with pytest.raises(CancelledError):
            call.result(PATIENCE)
        held("cancelled").set()
        assert server.gone.get(timeout=PATIENCE) == server.connections[0]
        assert world.get(client).result(PATIENCE) == {}
        assert len(server.connections) == 2
        assert server.gone.empty()
        world.close(client)
        assert server.gone.get(timeout=PATIENCE) == server.connections[1]


@pytest.mark.parametrize("option", ["timeout", "deadline"])
def test_waiting_for_a_connection_is_within_the_timeout(
    world: World,
    server: Server,
    held: Callable[[str], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
) -> None:
    """With all connections in use, the call raises Timeout, and sends no request."""
    limit_connections(monkeypatch, 1)
    typed = world.typed(server.url, timeout=PATIENCE)
    held("slow")
    slow = world.get(typed.raw, "slow")
    server.asked.get(timeout=PATIENCE)
    hurried = typed.with_options(**{option: 0.05}).raw
    with pytest.raises(Timeout, match="came free") as caught:
        world.create(hurried).result(PATIENCE)
    assert type(caught.value) is Timeout
    assert not caught.value.outcome_unknown
    patient = world.get(typed.raw)
    assert server.asked.empty()
    held("slow").set()
    assert slow.result(PATIENCE) == patient.result(PATIENCE) == {}
    assert len(server.connections) == 1
    world.close(typed)


def test_a_call_cancelled_while_it_waits_for_a_slot(
    server: Server, held: Callable[[str], threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves the slot to the next call, and sends no request."""
    limit_connections(monkeypatch, 1)
    with ThreadPoolExecutor() as threads, start_blocking_portal() as portal:
        world = World(portal, threads)
        client = world.client(server.url, timeout=PATIENCE)
        held("slow")
        slow = world.get(client, "slow")
        server.asked.get(timeout=PATIENCE)
        waiting = [world.get(client, "waiting") for _ in range(3)]
        for call in waiting:
            call.cancel()
        held("slow").set()
        assert slow.result(PATIENCE) == {}
        assert world.get(client).result(PATIENCE) == {}
        assert "/free " in server.asked.get(timeout=PATIENCE).head
        world.close(client)


def test_closing_lets_the_call_in_flight_finish(
    world: World, server: Server, client: Any, held: Callable[[str], threading.Event]
) -> None:
    """The call gets its response, then its connection closes; later calls are refused."""
    held("slow")
    slow = world.get(client, "slow")
    server.asked.get(timeout=PATIENCE)
    world.close(client)
    with pytest.raises(Error, match="closed"):
        world.get(client).result(PATIENCE)
    held("slow").set()
    assert slow.result(PATIENCE) == {}
    assert server.gone.get(timeout=PATIENCE) == server.connections[0]


def test_a_host_name_that_dns_does_not_allow(world: World) -> None:
    """A label of over 63 characters is refused or fails to connect: never a UnicodeError."""
    with pytest.raises(Error):
        world.get(world.client(f"http://{'a' * 64}.invalid")).result(PATIENCE)


def test_a_host_without_an_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome of a create is certain."""

    def fail(*_: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(TransportError, match=r"ConnectError: .*not known") as caught:
        world.create(world.client("http://api.example.com")).result(PATIENCE)
    assert type(caught.value) is TransportError
    assert not caught.value.outcome_unknown


def test_a_handshake_that_does_not_end(world: World, server: Server) -> None:
    """The deadline ends it, the outcome of a create is certain, and the socket is closed."""
    client = world.client(server.url.replace("http:", "https:"), timeout=PATIENCE, deadline=0.5)
    with warnings.catch_warnings(record=True) as leaks:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(Timeout) as caught:
            world.create(client).result(PATIENCE)
        gc.collect()
    assert type(caught.value) is Timeout
    assert not caught.value.outcome_unknown
    assert not leaks


class Bare:
    """A connection of httpcore with its public interface, except one name."""

    def __init__(self, connection: Any, missing: str) -> None:
        public = {"handle_request", "handle_async_request", "close", "aclose"}
        for name in {*public, "is_idle", "has_expired"} - {missing}:
            if hasattr(connection, name):
                setattr(self, name, getattr(connection, name))


@pytest.mark.parametrize("missing", ["", "is_idle", "has_expired"])
def test_httpcore_without_a_private_name_disables_reuse(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """If unread bytes cannot be detected, the connection is closed."""
    for pool in (httpcore.ConnectionPool, httpcore.AsyncConnectionPool):
        real: Any = pool.create_connection
        monkeypatch.setattr(
            pool, "create_connection", lambda *given, real=real: Bare(real(*given), missing)
        )
    client = world.client(server.url, timeout=PATIENCE)
    for number, call in enumerate((world.get, world.create, world.get), start=1):
        assert call(client).result(PATIENCE) == {}
        assert len(server.connections) == number
        assert server.gone.get(timeout=PATIENCE) == server.connections[-1]
    world.close(client)


@pytest.mark.parametrize("name", ["_h11_state", "trailing_data"])
def test_h11_without_a_private_name_disables_reuse(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """If the parser's state cannot be read, the connection is closed."""

    class Half(Bare):
        _connection = None if name == "_h11_state" else SimpleNamespace(_h11_state=object())

    for pool in (httpcore.ConnectionPool, httpcore.AsyncConnectionPool):
        real: Any = pool.create_connection
        monkeypatch.setattr(
            pool, "create_connection", lambda *given, real=real: Half(real(*given), "")
        )
    client = world.client(server.url, timeout=PATIENCE)
    for number in (1, 2):
        assert world.get(client).result(PATIENCE) == {}
        assert len(server.connections) == number
    world.close(client)


def test_an_httpx_without_its_private_name_is_refused(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request is sent, and the error says what to do."""
    for transport in (httpx.HTTPTransport, httpx.AsyncHTTPTransport):
        real: Any = transport.__init__

        def renamed(self: Any, *given: Any, real: Any = real, **options: Any) -> None:
            real(self, *given, **options)
            self._renamed = vars(self).pop("_pool")

        monkeypatch.setattr(transport, "__init__", renamed)
    client = world.client(server.url)
    with pytest.raises(Error, match=r"httpx .* is not supported, and no request was sent"):
        world.create(client).result(PATIENCE)
    assert not server.connections
    world.close(client)


def test_the_private_name_is_httpx_s_pool() -> None:
    """A transport sends through `_pool`; if this changes, calls would bypass our connections."""
    pools = [vars(each())["_pool"] for each in (httpx.HTTPTransport, httpx.AsyncHTTPTransport)]
    assert isinstance(pools[0], httpcore.ConnectionPool)
    assert isinstance(pools[1], httpcore.AsyncConnectionPool)


@pytest.mark.usefixtures("trusted")
def test_uvloop(layered: Server) -> None:
    """Uvloop works with plain http, TLS, and TLS within TLS."""

    async def main() -> None:
        url = layered.url.replace("127.0.0.1", "localhost")
        async with AsyncAPIClient({}, base_url=url, max_retry_count=0) as client:
            for _ in range(2):
                assert dict(await client.get_repository("1", "2")) == {}
            assert dict(await client.create_repository("1", "sample")) == {}

    uvloop.run(main())
    assert len(layered.connections) == 2


def test_gunicorn_with_gevent_and_preload(server: Server) -> None:
    """A client at module level works after the fork and gevent's patching."""
    script = f"""
import os
from abeja_registry import APIClient

client = APIClient({{}}, base_url={server.url.replace("127.0.0.1", "localhost")!r}, timeout=20)
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
from gevent import joinall, monkey, spawn
monkey.patch_all()
calls = [spawn(client.get_repository, "1", "2") for _ in range(20)]
joinall(calls, timeout=25)
print([call.value for call in calls] == [{{}}] * 20)
client.close()
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert ran.stdout == "True\n", ran.stderr


# -- processes and event loops --------------------------------------------------------------------


@pytest.mark.parametrize("same_pid", [False, True], ids=["its own pid", "its parent's pid"])
def test_a_child_process_opens_its_own_connections(
    server: Server, monkeypatch: pytest.MonkeyPatch, same_pid: bool
) -> None:
    """After fork(), both processes work, each over its own connection."""
    if same_pid:
        monkeypatch.setattr(os, "getpid", lambda: 1)
    with APIClient({}, base_url=server.url, max_retry_count=0) as client:
        client.get_repository("1", "parent")
        assert in_child(lambda: dict(client.get_repository("1", "child")) == {})
        client.get_repository("1", "parent")
    first, second, third = (request.port for request in server.requests)
    assert len(server.connections) == 2
    assert first == third != second


def test_threads_of_a_child_process_share_its_connections(server: Server) -> None:
    """Several threads may detect the fork at the same time."""

    def calls_of_threads() -> bool:
        sys.setswitchinterval(1e-6)
        together = threading.Barrier(6)

        def call(_: int) -> bool:
            together.wait(PATIENCE)
            return dict(raw.get_repository("1", "2")) == {}

        with ThreadPoolExecutor(6) as threads:
            return all(threads.map(call, range(6)))

    with APIClient({}, base_url=server.url, max_retry_count=0) as raw:
        raw.get_repository("1", "parent")
        assert all(in_child(calls_of_threads) for _ in range(10))


def test_two_threads_drop_the_parent_s_connections(server: Server) -> None:
    """One thread may drop them just before the other."""
    with APIClient({}, base_url=server.url, max_retry_count=0) as client:
        client.get_repository("1", "parent")
        with ancestors_dropped_twice(client):
            assert in_child(lambda: dict(client.get_repository("1", "2")) == {})


def test_a_child_closes_its_copies_of_idle_sockets(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child keeps no copy of its parent's sockets after its first call."""
    with APIClient({}, base_url=server.url, max_retry_count=0) as client:
        client.get_repository("1", "parent")
        as_in_child(monkeypatch)
        client.get_repository("1", "child")
        assert server.gone.get(timeout=PATIENCE) == server.connections[0]
    assert len(server.connections) == 2


def test_a_child_does_not_warn_about_its_parent_s_client(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent closes the connections that it opened."""

    async def use() -> None:
        client = AsyncAPIClient({}, base_url=server.url, max_retry_count=0)
        await client.get_repository("1", "2")
        as_in_child(monkeypatch)

    # The event loop holds the parent's connection, whose own warning comes after the loop's end.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(use())
        gc.collect()
    messages = " ".join(str(each.message) for each in caught)
    assert "unclosed transport" in messages
    assert "client" not in messages


def test_a_child_of_an_event_loop_opens_its_own_connections(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child's event loop has its own connections; the parent's still work."""
    monkeypatch.setattr(os, "getpid", lambda: 1)

    async def main() -> None:
        client = AsyncAPIClient({}, base_url=server.url, max_retry_count=0)

        async def call() -> bool:
            return dict(await client.get_repository("1", "2")) == {}

        def call_in_a_thread() -> bool:
            # The child's main thread still has the parent's event loop.
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(asyncio.run, call()).result(PATIENCE)

        assert await call()
        assert in_child(call_in_a_thread)
        assert await call()
        await client.aclose()

    asyncio.run(main())
    first, second, third = (request.port for request in server.requests)
    assert first == third != second


def in_child(call: Callable[[], bool]) -> bool:
    """Return whether a call returned True in a child process."""
    with warnings.catch_warnings():
        # Python warns about fork() in a process with threads, such as the test's server.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if call() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def test_each_event_loop_has_its_own_connections(server: Server) -> None:
    """A client works in two event loops, each with its own connection."""
    client: Any = AsyncAPIClient({}, base_url=server.url, max_retry_count=0)
    with ThreadPoolExecutor() as threads, start_blocking_portal() as one:
        first = World(one, threads)
        with start_blocking_portal() as other:
            second = World(other, threads)
            for world in (first, second, first, second):
                assert world.get(client).result(PATIENCE) == {}
            assert len(server.connections) == 2
            assert [request.port for request in server.requests] == server.connections * 2
            second.close(client)
            assert server.gone.get(timeout=PATIENCE) == server.connections[1]
        first.close(client)
        assert server.gone.get(timeout=PATIENCE) == server.connections[0]


def test_an_unclosed_client_warns(world: World, server: Server) -> None:
    """A client that is collected with an open connection warns once, and closes it."""

    def use(close: bool) -> None:
        client = world.client(server.url)
        world.get(client).result(PATIENCE)
        if close:
            world.close(client)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        use(close=True)
        use(close=False)
        gc.collect()
        messages = [str(each.message) for each in caught if "client" in str(each.message)]
        # A warning keeps its source alive, and so its sockets.
        caught.clear()
        gc.collect()
    [line] = messages
    assert line.startswith("a client was not closed: use it in a `with` block")
    assert {server.gone.get(timeout=PATIENCE) for _ in range(2)} == set(server.connections)


def test_expired_connections_are_closed(
    world: World,
    held: Callable[[str], threading.Event],
    server: Server,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a burst, the next call closes the connections that were idle for too long."""
    held("a"), held("b")
    burst = [world.get(client, name) for name in ("a", "b")]
    for _ in burst:
        server.asked.get(timeout=PATIENCE)
    for name in ("a", "b"):
        held(name).set()
    for call in burst:
        call.result(PATIENCE)
    keep_alive_for(client, -1)
    world.get(client).result(PATIENCE)
    gone = {server.gone.get(timeout=PATIENCE) for _ in burst}
    assert gone == set(server.connections[:2])


def test_a_look_up_is_within_the_deadline(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """A call does not wait for a hanging DNS look-up, and sends no request."""
    enough = threading.Event()
    results: SimpleQueue[bool] = SimpleQueue()
    look_up = socket.getaddrinfo

    def slow(*arguments: Any, **options: Any) -> Any:
        results.put(enough.wait(PATIENCE))
        return look_up(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    url = server.url.replace("127.0.0.1", "localhost")
    with APIClient({}, base_url=url, deadline=0.5) as client:
        with pytest.raises(Timeout) as caught:
            client.create_repository("1", "sample")
        enough.set()
        # The call ended before the look-up.
        assert results.get(timeout=PATIENCE)
        assert not caught.value.outcome_unknown
        assert not server.connections


def test_a_look_up_may_outlast_its_event_loop(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Its thread ends without an exception."""
    enough = threading.Event()
    look_up = socket.getaddrinfo

    def slow(*arguments: Any, **options: Any) -> Any:
        enough.wait(PATIENCE)
        return look_up(*arguments, **options)

    async def call() -> None:
        url = server.url.replace("127.0.0.1", "localhost")
        async with AsyncAPIClient({}, base_url=url, deadline=0.2) as client:
            with pytest.raises(Timeout):
                await client.get_repository("1", "2")

    failures: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    before = set(threading.enumerate())
    asyncio.run(call())
    threads = set(threading.enumerate()) - before
    assert threads
    enough.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not failures


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call raises TransportError with the system's message, and sends no request."""

    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with APIClient({}, base_url="http://localhost:1", max_retry_count=0) as client:
        with pytest.raises(TransportError, match="not known") as caught:
            client.create_repository("1", "sample")
        assert not caught.value.outcome_unknown


def test_a_call_after_its_deadline_sends_no_request(world: World, server: Server) -> None:
    """The outcome of a create that waited until its deadline is certain."""
    client = world.typed(server.url)
    operation = create_repository("1", "sample")

    def late() -> Any:
        return session_of(client).request(operation, time.monotonic() - 1)

    with pytest.raises(Timeout) as caught:
        world.start(late).result(PATIENCE)
    assert not caught.value.outcome_unknown
    assert not server.requests
    world.close(client)


# -- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def tls_server() -> Iterator[Server]:
    """A server over TLS that records its requests and connections."""
    with Server(tls=certified()) as server:
        yield server


@pytest.fixture
def tls_proxy(tls_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A proxy over TLS from the environment, and behind it the server over TLS."""
    with Server(tls=certified()) as proxy:
        proxy.respond = partial(tunnel, tls_server.port)
        monkeypatch.setenv("https_proxy", proxy.url)
        yield proxy


@pytest.fixture
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The CA's certificate in a file, or in a folder for OpenSSL."""
    if request.param == "file":
        return TLS / "ca.pem"
    (tmp_path / CA_HASH).write_bytes((TLS / "ca.pem").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "bundle"),
    [
        ("REQUESTS_CA_BUNDLE", "file"),
        ("REQUESTS_CA_BUNDLE", "folder"),
        ("CURL_CA_BUNDLE", "file"),
        ("SSL_CERT_FILE", "file"),
        ("SSL_CERT_DIR", "folder"),
    ],
    indirect=["bundle"],
)
def test_a_ca_of_the_environment_is_trusted(
    world: World,
    tls_server: Server,
    variable: str,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variables of requests and those of OpenSSL are read."""
    monkeypatch.setenv(variable, str(bundle))
    client = world.client(tls_server.url)
    assert world.get(client).result(PATIENCE) == {}
    world.close(client)


def test_an_unknown_ca_is_not_trusted(world: World, tls_server: Server) -> None:
    """An unverified certificate is a TransportError with its reason; no request is sent."""
    client = world.client(tls_server.url)
    with pytest.raises(TransportError, match="certificate verify failed") as caught:
        world.create(client).result(PATIENCE)
    assert not caught.value.outcome_unknown
    assert not tls_server.connections
    world.close(client)


def test_certificates_are_loaded_once(
    world: World, tls_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first connection loads them; parallel first calls load them once."""
    loaded: list[ssl.SSLContext] = []
    twice = threading.Event()

    def load(*, trust_env: bool) -> ssl.SSLContext:
        loaded.append(ssl.create_default_context(cafile=TLS / "ca.pem"))
        if len(loaded) > 1:
            twice.set()
        twice.wait(0.2)
        return loaded[0]

    monkeypatch.setattr(httpx, "create_ssl_context", load)
    client = world.client(tls_server.url)
    assert not loaded
    for call in [world.get(client) for _ in range(4)]:
        assert call.result(PATIENCE) == {}
    assert len(loaded) == 1
    world.close(client)


def test_missing_default_certificates(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call raises ConfigurationError, as in a frozen application."""

    def load(*, trust_env: bool) -> ssl.SSLContext:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(httpx, "create_ssl_context", load)
    client = world.client("https://127.0.0.1:1")
    with pytest.raises(
        ConfigurationError, match=r"the default CA bundle cannot be loaded: .*No such"
    ):
        world.get(client).result(PATIENCE)
    world.close(client)


def test_an_untrusted_certificate_is_not_retried(world: World, tls_server: Server) -> None:
    """Unlike other failures of a connection, it is not transient."""
    kind = AsyncAPIClient if world.is_async else APIClient
    client: Any = kind({}, base_url=tls_server.url, retry=RetryPolicy(max_retries=3))
    with pytest.raises(TransportError) as caught:
        world.get(client).result(PATIENCE)
    assert len(caught.value.history) == 1
    world.close(client)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the CA of the server's certificate."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "ca.pem"))


@pytest.mark.usefixtures("trusted")
def test_an_unsolicited_response_in_its_own_tls_record(world: World, tls_server: Server) -> None:
    """It is not taken for the response to the next call."""
    sent = threading.Event()

    def respond_twice(request: Request) -> bytes:
        for name in (request.target.rpartition("/")[2], "nobody-asked"):
            request.send(repository(name))
        # On a busy machine, loopback delivers bytes after send() has returned.
        while any(fcntl.ioctl(request.socket, termios.TIOCOUTQ, bytes(4))):
            time.sleep(0.001)
        sent.set()
        return b""

    tls_server.respond = respond_twice
    client = world.client(tls_server.url)
    for number in range(5):
        assert world.get(client, f"r{number}").result(PATIENCE) == {"id": f"r{number}"}
        # Bytes after the next request look like its response.
        assert sent.wait(PATIENCE)
        sent.clear()
    assert len(tls_server.connections) == 5
    world.close(client)


def repository(name: str, size: int = 0) -> bytes:
    """Return a response with a repository's id, and with a large body if requested."""
    body = b'{"id": "%s"}' % name.encode()
    body = body.ljust(size - len(b"HTTP/1.1 200 OK\r\nContent-Length: 00000\r\n\r\n"))
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.fixture(params=[0, 1, 2], ids=["in the clear", "over TLS", "over TLS within TLS"])
def layered(request: pytest.FixtureRequest) -> Server:
    """A recording server; with two TLS layers, it is behind a proxy."""
    if request.param == 2:
        request.getfixturevalue("tls_proxy")
    server: Server = request.getfixturevalue("tls_server" if request.param else "server")
    return server


# Bytes per read of httpcore, and the overhead of a TLS record of 16 KiB: header, type and tag.
READ, RECORD, ADDED = 64 * 1024, 16 * 1024, 22


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("fills_a_read", [False, True], ids=["a short one", "a read"])
def test_an_unsolicited_response_in_any_buffer(
    world: World, layered: Server, fills_a_read: bool
) -> None:
    """The next call gets its own response, whichever layer has buffered the extra bytes."""
    size = 0
    if fills_a_read:
        size = READ - (READ // RECORD * ADDED if layered.url.startswith("https") else 0)
    waiting, sent = threading.Event(), threading.Event()

    def respond_twice(request: Request) -> bytes:
        waiting.wait(PATIENCE)
        first = repository("first", size)
        # Corked, they arrive together.
        request.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, True)
        for start in range(0, len(first), RECORD):
            request.send(first[start : start + RECORD])
        request.send(repository("nobody-asked"))
        request.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, False)
        sent.set()
        return b""

    def hold() -> None:
        waiting.set()
        sent.wait(PATIENCE)

    layered.respond = respond_twice
    client = world.client(layered.url, timeout=PATIENCE)
    call = world.get(client, "first")
    layered.asked.get(timeout=PATIENCE)
    # A blocked event loop reads all bytes at once.
    world.start(hold).result(PATIENCE)
    assert call.result(PATIENCE) == {"id": "first"}
    layered.respond = lambda _: repository("own")
    assert world.get(client, "own").result(PATIENCE) == {"id": "own"}
    assert len(layered.connections) == 2
    world.close(client)


@pytest.mark.usefixtures("trusted")
def test_a_corrupt_tls_record_is_a_lost_connection(world: World, tls_server: Server) -> None:
    """The outcome of a sent create is unknown; a GET has no effect."""

    def respond_with_garbage(request: Request) -> None:
        with socket.socket(fileno=os.dup(request.socket.fileno())) as bare:
            bare.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))

    tls_server.respond = respond_with_garbage
    client = world.client(tls_server.url)
    with pytest.raises(OutcomeUnknown):
        world.create(client).result(PATIENCE)
    with pytest.raises(TransportError) as caught:
        world.get(client).result(PATIENCE)
    assert type(caught.value) is TransportError
    tls_server.respond = empty
    assert world.get(client).result(PATIENCE) == {}
    world.close(client)


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "no certificate"])
def test_a_bad_ca_bundle_is_a_configuration_error(
    world: World, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the bundle's file, if it is missing or has no certificate."""
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with pytest.raises(ConfigurationError, match=re.escape(repr(str(path)))):
        world.get(world.client("https://127.0.0.1:1")).result(PATIENCE)


# -- proxies --------------------------------------------------------------------------------------


def test_the_proxy_of_the_environment_is_used(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy gets the whole URL, and the API's host is not looked up."""
    monkeypatch.setenv("http_proxy", server.url)
    client = world.client("http://api.example.com/v1")
    assert world.get(client).result(PATIENCE) == {}
    head = server.asked.get(timeout=PATIENCE).head
    path = "/v1/organizations/1/registry/repositories/free"
    assert head.startswith(f"GET http://api.example.com{path} HTTP/1.1\r\n")
    world.close(client)


@pytest.mark.usefixtures("trusted")
def test_an_https_proxy_uses_the_same_ca_bundle(
    world: World, tls_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's CA is trusted for the proxy, with an http or https API."""
    monkeypatch.setenv("http_proxy", tls_server.url)
    client = world.client("http://api.example.com")
    assert world.get(client).result(PATIENCE) == {}
    head = tls_server.asked.get(timeout=PATIENCE).head
    assert head.startswith("GET http://api.example.com/organizations/1/")
    world.close(client)


@pytest.mark.usefixtures("trusted")
def test_an_https_api_through_an_https_proxy(
    world: World, tls_server: Server, tls_proxy: Server
) -> None:
    """Two sequential calls work over one connection with two TLS layers."""
    client = world.client(tls_server.url)
    for _ in range(2):
        assert world.get(client).result(PATIENCE) == {}
    world.close(client)
    assert (len(tls_proxy.connections), len(tls_server.connections)) == (1, 1)


def tunnel(port: int, request: Request) -> None:
    """Open a tunnel to a port, and forward bytes until one side closes."""
    request.send(b"HTTP/1.1 200 OK\r\n\r\n")
    here = request.socket
    with socket.create_connection(("127.0.0.1", port)) as there:
        other = {here: there, there: here}
        while True:
            for each in select.select([here, there], [], [])[0]:
                if not (data := each.recv(65536)):
                    return
                other[each].sendall(data)


@pytest.fixture(params=["http", "https"])
def proxy(request: pytest.FixtureRequest) -> Server:
    """An http or https proxy."""
    server: Server = request.getfixturevalue("server" if request.param == "http" else "tls_server")
    return server


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "Error"),
        (b"", "RemoteProtocolError"),
    ],
    ids=["refused", "no way on", "opened and closed", "no response"],
)
def test_a_refused_tunnel(
    world: World, proxy: Server, monkeypatch: pytest.MonkeyPatch, said: bytes, message: str
) -> None:
    """It is a TransportError, and the outcome of a create is certain."""
    proxy.respond = closing(said)
    monkeypatch.setenv("https_proxy", proxy.url)
    client = world.client("https://api.example.com")
    with pytest.raises(TransportError, match=message) as caught:
        world.create(client).result(PATIENCE)
    assert type(caught.value) is TransportError
    assert not caught.value.outcome_unknown
    assert proxy.asked.get(timeout=PATIENCE).head.startswith("CONNECT api.example.com:443 ")


@pytest.mark.parametrize(("status", "attempts"), [(407, 1), (502, 3)])
def test_a_407_of_a_proxy_is_not_retried(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, status: int, attempts: int
) -> None:
    """Other failures of a proxy are retried."""
    server.respond = closing(raw_response(b"", status))
    monkeypatch.setenv("https_proxy", server.url)
    kind: Any = AsyncAPIClient if world.is_async else APIClient
    client = kind({}, base_url="https://api.example.com", max_retry_count=2)
    with pytest.raises(TransportError, match=f"ProxyError: {status}") as caught:
        world.get(client).result(PATIENCE)
    assert len(caught.value.history) == attempts
    world.close(client)


def test_no_proxy_bypasses_the_proxy(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host in NO_PROXY gets its requests directly."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    client = world.client(server.url)
    assert world.get(client).result(PATIENCE) == {}
    world.close(client)


# -- requests -------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    base=st.sampled_from(["http://127.0.0.1:8080", "http://127.0.0.1/a%20b/c", "http://[::1]:81"]),
    organization_id=TEXT.filter(lambda text: text not in (".", "..")),
    repository_id=TEXT.filter(lambda text: text not in (".", "..")),
    limit=st.none() | st.integers(1),
)
def test_a_request_equals_one_that_httpx_builds(
    base: str, organization_id: str, repository_id: str, limit: int | None
) -> None:
    """Tools see the URL that httpx builds from the whole text."""
    seen: list[httpx.Request] = []

    def respond(_: object, request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    with (
        pytest.MonkeyPatch.context() as patched,
        APIClient({"auth_token": "t"}, base_url=base) as client,
    ):
        patched.setattr(httpx.HTTPTransport, "handle_request", respond)
        client.get_repository_tags(organization_id, repository_id, limit)
        client.create_repository(organization_id, "sample")
    asked = [
        get_repository_tags(organization_id, repository_id, limit),
        create_repository(organization_id, "sample"),
    ]
    for request, each in zip(seen, asked, strict=True):
        alike = httpx.Request(each.method, base + each.target, content=each.body)
        assert (request.method, request.read()) == (alike.method, alike.content)
        for part in ("scheme", "host", "port", "path", "query", "raw_path", "netloc", "fragment"):
            assert getattr(request.url, part) == getattr(alike.url, part), part
        assert request.url == alike.url == copy.copy(request.url)
        assert pickle.loads(pickle.dumps(request.url)) == alike.url
        assert not hasattr(request.url, "nothing")
        ours = {name: request.headers.get_list(name) for name in ("host", "content-length")}
        assert ours == {name: alike.headers.get_list(name) for name in ours}
