"""Network backends and streams."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any

import httpcore
import pytest
from tests.support.certificates import TLS, certified
from tests.support.internals import (
    AsyncBackend,
    Backend,
    CallState,
    replace_stream_clock,
)
from tests.support.server import Server


def test_a_long_body_is_sent_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remaining time limits each write, however slowly the peer reads."""
    now = [0.0]
    replace_stream_clock(monkeypatch, lambda: now[0])
    allowed: list[float | None] = []
    taken: list[bytes] = []

    class Slow(socket.socket):
        def connect(self, _: Any) -> None:
            pass

        def settimeout(self, value: float | None) -> None:
            allowed.append(value)

        def send(self, data: Any, *_: int) -> int:
            if len(allowed) == len(taken):
                raise BlockingIOError
            taken.append(bytes(data))
            now[0] += 1
            return len(data)

    monkeypatch.setattr(socket, "socket", Slow)
    state = CallState()
    state.deadline = 3.5
    stream = Backend(state, 0).connect_tcp("127.0.0.1", 80)
    del allowed[:]
    body = bytes(range(256)) * 1024
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(body, 2)
    assert allowed == [2, 2, 1.5, 0.5]
    assert body.startswith(b"".join(taken))
    now[0] = 0
    state.deadline = 100
    del taken[:], allowed[:]
    stream.write(body)
    assert b"".join(taken) == body
    stream.close()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_deadline_before_tls_closes_the_socket(is_async: bool) -> None:
    """The peer sees the end of the connection."""
    state = CallState()
    state.deadline = time.monotonic() + 30
    context = ssl.create_default_context()

    def connect(address: tuple[str, int]) -> None:
        stream = Backend(state, 1).connect_tcp(*address)
        state.deadline = 0
        with pytest.raises(httpcore.ConnectTimeout):
            stream.start_tls(context, "localhost")

    async def aconnect(address: tuple[str, int]) -> None:
        stream = await AsyncBackend(state, 1).connect_tcp(*address)
        state.deadline = 0
        with pytest.raises(httpcore.ConnectTimeout):
            await stream.start_tls(context, "localhost")

    with socket.create_server(("127.0.0.1", 0)) as server:
        if is_async:
            asyncio.run(aconnect(server.getsockname()))
        else:
            connect(server.getsockname())
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(10)
            assert accepted.recv(1) == b""


# -- failed connections ---------------------------------------------------------------------------

A_FAMILY_THAT_IS_NONE = (1 << 20, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))
NO_ROUTE = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("255.255.255.255", 9))
NOBODY = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))


def connect(is_async: bool, timeout: float | None = 30) -> Any:
    """Return the stream of a new connection."""
    state = CallState()
    state.deadline = time.monotonic() + 60
    if is_async:
        return asyncio.run(AsyncBackend(state, 0).connect_tcp("api.example.com", 80, timeout))
    return Backend(state, 0).connect_tcp("api.example.com", 80, timeout)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    "addresses",
    [
        [A_FAMILY_THAT_IS_NONE],
        [NO_ROUTE],
        [NO_ROUTE, A_FAMILY_THAT_IS_NONE],
        [A_FAMILY_THAT_IS_NONE, NOBODY],
        [NOBODY, NO_ROUTE],
    ],
    ids=["no family", "no route", "neither", "nobody", "nobody first"],
)
def test_addresses_that_fail_at_once(
    monkeypatch: pytest.MonkeyPatch, is_async: bool, addresses: list[Any]
) -> None:
    """An unsupported address family or a missing route is a ConnectError."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    with pytest.raises(httpcore.ConnectError):
        connect(is_async)


@pytest.mark.parametrize("before", [[], [A_FAMILY_THAT_IS_NONE], [NO_ROUTE]])
def test_an_interrupted_connect_closes_its_socket(
    monkeypatch: pytest.MonkeyPatch, before: list[Any]
) -> None:
    """Also if other addresses failed before."""
    opened: list[socket.socket] = []

    class Interrupted(socket.socket):
        def connect(self, address: Any) -> None:
            opened.append(self)
            if address == NO_ROUTE[4]:
                super().connect(address)
            raise KeyboardInterrupt

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*before, NOBODY])
    monkeypatch.setattr(socket, "socket", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        connect(is_async=False)
    assert opened
    assert all(each.fileno() == -1 for each in opened)


def test_unused_parallel_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If two addresses accept at once, one connection is used, the other closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", server.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address, address])
        opened: list[socket.socket] = []

        async def main() -> None:
            both = asyncio.Barrier(2)

            async def together(connecting: socket.socket, to: Any) -> None:
                opened.append(connecting)
                await both.wait()
                connecting.setblocking(True)
                connecting.connect(to)
                connecting.setblocking(False)

            monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", together)
            state = CallState()
            state.deadline = time.monotonic() + 60
            backend = AsyncBackend(state, 0, attempt_delay=0)
            stream = await backend.connect_tcp("api.example.com", 80, 30)
            assert sorted(each.fileno() == -1 for each in opened) == [False, True]
            await stream.aclose()

        asyncio.run(main())
        assert [each.fileno() for each in opened] == [-1, -1]


# -- the extra info of streams --------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_extra_info_of_a_stream(monkeypatch: pytest.MonkeyPatch, is_async: bool) -> None:
    """Both addresses, the socket, and whether it is readable; None for other names."""

    def look(stream: Any) -> dict[str, Any]:
        names = ("client_addr", "server_addr", "is_readable", "ssl_object", "unknown")
        seen = {name: stream.get_extra_info(name) for name in names}
        return {**seen, "open": stream.get_extra_info("socket").fileno() != -1}

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", server.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address])

        async def main() -> dict[str, Any]:
            state = CallState()
            state.deadline = time.monotonic() + 60
            stream = await AsyncBackend(state, 0).connect_tcp("api.example.com", 80)
            await stream.write(b"")
            seen = look(stream)
            await stream.aclose()
            return seen

        if is_async:
            seen = asyncio.run(main())
        else:
            stream = connect(is_async)
            stream.write(b"")
            seen = look(stream)
            stream.close()
            assert stream.get_extra_info("is_readable")
        accepted, peer = server.accept()
        with accepted:
            assert seen == {
                "client_addr": peer,
                "server_addr": server.getsockname(),
                "is_readable": False,
                "ssl_object": None,
                "unknown": None,
                "open": True,
            }
            # No byte arrived, also none of the empty write.
            assert accepted.recv(1) == b""


def test_a_system_without_poll_uses_select(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.delattr(select, "poll", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", server.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address])
        stream = connect(is_async=False)
        accepted, _ = server.accept()
        assert not stream.get_extra_info("is_readable")
        accepted.close()
        assert stream.get_extra_info("is_readable")
        stream.close()


# -- flow control, and connections that end -------------------------------------------------------


def test_an_async_stream_has_back_pressure() -> None:
    """Reading pauses while the buffer is full, and no byte is lost."""
    sent = bytes(range(256)) * 4 * 1024

    async def main() -> None:
        async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(sent)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
            state = CallState()
            state.deadline = time.monotonic() + 60
            stream = await AsyncBackend(state, 0).connect_tcp(*server.sockets[0].getsockname())
            await asyncio.sleep(0.1)
            received = b""
            while data := await stream.read(10_000):
                received += data
            assert received == sent
            assert await stream.read(1) == b""
            await stream.aclose()

    asyncio.run(main())


def test_an_async_write_waits_for_the_peer() -> None:
    """Until its timeout, or until the peer reads."""
    body = bytes(16 * 1024 * 1024)

    async def main() -> None:
        take = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await take.wait()
            await reader.readexactly(2 * len(body))
            writer.write(b"done")
            writer.close()

        async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
            state = CallState()
            state.deadline = time.monotonic() + 60
            stream = await AsyncBackend(state, 0).connect_tcp(*server.sockets[0].getsockname())
            with pytest.raises(httpcore.WriteTimeout):
                await stream.write(body, 0.05)
            writing = asyncio.create_task(stream.write(body, 30))
            take.set()
            await writing
            assert await stream.read(100, 30) == b"done"
            await stream.aclose()

    asyncio.run(main())


def test_an_async_stream_after_a_reset() -> None:
    """Reads and writes raise httpcore's errors."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            state = CallState()
            state.deadline = time.monotonic() + 60
            stream = await AsyncBackend(state, 0).connect_tcp(*server.getsockname())
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            with pytest.raises(httpcore.ReadError):
                await stream.read(1, 30)
            with pytest.raises(httpcore.WriteError):
                await stream.write(b"x")
            await stream.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_write_to_an_ended_tls_session(is_async: bool) -> None:
    """It raises httpcore's error; an empty write does nothing."""
    context = ssl.create_default_context(cafile=TLS / "ca.pem")
    state = CallState()

    async def write_async(address: tuple[str, int]) -> None:
        below = await AsyncBackend(state, 1).connect_tcp(*address)
        stream = await below.start_tls(context, "127.0.0.1")
        await stream.write(b"")
        with suppress(ssl.SSLError):
            stream.get_extra_info("ssl_object").unwrap()
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"x")
        await stream.aclose()

    with Server(tls=certified()) as server:
        host, port = "127.0.0.1", int(server.server_address[1])
        state.deadline = time.monotonic() + 60
        if is_async:
            asyncio.run(write_async((host, port)))
            return
        stream = Backend(state, 1).connect_tcp(host, port).start_tls(context, host)
        stream.write(b"")
        with suppress(ssl.SSLError):
            stream.get_extra_info("ssl_object").unwrap()
        with pytest.raises(httpcore.WriteError):
            stream.write(b"x")
        stream.close()


def test_a_socket_that_rejects_an_option_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a ConnectError, and no descriptor leaks."""
    opened: list[socket.socket] = []

    class Refusing(socket.socket):
        def setsockopt(self, *_: Any) -> None:
            opened.append(self)
            raise OSError(92, "Protocol not available")

    monkeypatch.setattr(socket, "socket", Refusing)
    state = CallState()
    state.deadline = time.monotonic() + 30
    with pytest.raises(httpcore.ConnectError, match="Protocol not available"):
        Backend(state, 0).connect_tcp("127.0.0.1", 80)
    assert [each.fileno() for each in opened] == [-1]
