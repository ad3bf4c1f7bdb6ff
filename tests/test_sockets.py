"""The streams between the HTTP library and the socket."""

from __future__ import annotations

from types import SimpleNamespace

import httpcore
import pytest

from abeja_registry._sockets import Backend, Watch


def test_a_long_body_is_sent_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it is taken: what is left of the deadline bounds each piece of it."""
    now = [0.0]
    monkeypatch.setattr("abeja_registry._sockets.time", SimpleNamespace(monotonic=lambda: now[0]))
    allowed: list[float | None] = []
    taken = []

    class Slow(httpcore.NetworkStream):
        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            allowed.append(timeout)
            taken.append(buffer)
            now[0] += 1

    def connected(*_: object, **__: object) -> httpcore.NetworkStream:
        return Slow()

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connected)
    watch = Watch()
    watch.begin(3.5)
    stream = Backend(watch, 0).connect_tcp("127.0.0.1", 80)
    body = bytes(range(256)) * 1024
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(body, 2)
    assert allowed == [2, 2, 1.5, 0.5]
    assert body.startswith(b"".join(taken))
    now[0] = 0
    watch.begin(100)
    del taken[:]
    stream.write(body)
    assert b"".join(taken) == body
