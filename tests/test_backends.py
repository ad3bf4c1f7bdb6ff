"""How connections are made, and the streams that come of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from types import SimpleNamespace
from typing import Any

import httpcore
import pytest

from abeja_registry._backends import AsyncBackend, Backend
from abeja_registry._streams import CallState


def test_a_long_body_is_sent_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it is taken: what is left of the deadline bounds each piece of it."""
    now = [0.0]
    monkeypatch.setattr("abeja_registry._streams.time", SimpleNamespace(monotonic=lambda: now[0]))
    allowed: list[float | None] = []
    taken: list[bytes] = []

    class Slow(socket.socket):
        def connect(self, _: Any) -> None:
            pass

        def settimeout(self, value: float | None) -> None:
            allowed.append(value)

        def send(self, data: Any, *_: int) -> int:
            taken.append(bytes(data))
            now[0] += 1
            return len(data)

    monkeypatch.setattr(socket, "socket", Slow)
    state = CallState()
    state.start(3.5)
    stream = Backend(state, 0).connect_tcp("127.0.0.1", 80)
    del allowed[:]
    body = bytes(range(256)) * 1024
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(body, 2)
    assert allowed == [2, 2, 1.5, 0.5]
    assert body.startswith(b"".join(taken))
    now[0] = 0
    state.start(100)
    del taken[:]
    stream.write(body)
    assert b"".join(taken) == body
    stream.close()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_deadline_that_passes_before_tls_leaves_no_socket_open(is_async: bool) -> None:
    """The peer sees the connection end."""
    state = CallState()
    state.start(time.monotonic() + 30)
    context = ssl.create_default_context()

    def connect(address: tuple[str, int]) -> None:
        stream = Backend(state, 1).connect_tcp(*address)
        state.start(0)
        with pytest.raises(httpcore.ConnectTimeout):
            stream.start_tls(context, "localhost")

    async def aconnect(address: tuple[str, int]) -> None:
        stream = await AsyncBackend(state, 1).connect_tcp(*address)
        state.start(0)
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
