"""A small Registry on raw sockets that can produce any fault.

It speaks enough HTTP/1.1 to be a Registry: it reads requests, keeps connections alive, and carries
requests out. An armed fault of `faults.py` replaces this for the next requests. The server records
each request, and whether it was carried out.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeVar

from tests.support.patience import PATIENCE
from tests.support.registry import Registry, Reply
from tests.support.server import raw_response

T = TypeVar("T")

ALWAYS = 1_000_000
# A slow response: seconds between two pieces, and the number of pieces before it stops. At one of
# them the client's clock jumps by this number of seconds.
DROP, DROPS = 0.002, 20
LATE, JUMP = 5, 60.0


def whole(status: int, body: bytes, *fields: str) -> bytes:
    """Return a valid response."""
    content_type = [] if any(each.startswith("Content-Type:") for each in fields) else [JSON]
    return raw_response(body, status, *content_type, *fields)


JSON = "Content-Type: application/json"


@dataclass
class Seen:
    """An attempt as the server saw it; `method` and `path` are empty if it was not read."""

    method: str = ""
    path: str = ""
    done: bool = False


class Wire:
    """One accepted connection."""

    def __init__(
        self, registry: Registry, sock: socket.socket, seen: Seen, jump: Callable[[float], object]
    ) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open = True
        self.idle = False
        self.returned = asyncio.Event()
        self.seen = seen
        self._registry = registry
        self._sock = sock
        self._jump = jump
        # Bytes that arrived after the current request.
        self._ahead = b""
        self._loop = asyncio.get_running_loop()

    async def begins(self) -> bool:
        """Wait for a request, without reading it; return False at the end of the stream."""
        self.seen = Seen()
        if self._ahead:
            return True
        self.idle = True
        await self._wait_for(asyncio.Event())
        self.idle = False
        return bool(self._sock.recv(1, socket.MSG_PEEK))

    async def request(self) -> bytes:
        """Read a whole request, and return its body."""
        self.returned.clear()
        read, self._ahead = self._ahead, b""
        while b"\r\n\r\n" not in read:
            read += await self._receive()
        start, _, body = read.partition(b"\r\n\r\n")
        self.seen.method, self.seen.path = start.decode().split(" ")[:2]
        content_length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", start)
        length = int(content_length[1]) if content_length else 0
        while len(body) < length:
            body += await self._receive()
        self._ahead = body[length:]
        return body[:length]

    async def work(self) -> Reply:
        """Read a whole request, and carry it out."""
        body = await self.request()
        reply = self._registry.handle(self.seen.method, self.seen.path, body)
        self.seen.done = True
        return reply

    async def send(self, *pieces: bytes) -> None:
        """Send bytes at once."""
        await self._loop.sock_sendall(self._sock, b"".join(pieces))

    async def drip(self, pieces: Iterable[bytes]) -> None:
        """Send pieces slowly, for about a minute of the client's clock; then nothing."""
        for number, piece in enumerate(itertools.islice(pieces, DROPS)):
            if number == LATE:
                self._jump(JUMP)
            await self.send(piece)
            await asyncio.sleep(DROP)
        await self.silence()

    async def silence(self) -> None:
        """Send nothing, until the client closes the connection."""
        while self._sock.fileno() >= 0 and await self._loop.sock_recv(self._sock, 65536):
            pass
        self.close()

    async def finish(self) -> None:
        """Close the sending side (FIN), and the connection when the client closes it."""
        self._sock.shutdown(socket.SHUT_WR)
        await self.silence()

    async def pause(self) -> None:
        """Let the client read the bytes sent so far."""
        await asyncio.sleep(0.01)

    async def lull(self) -> None:
        """Wait until the call has returned, or until the client sends the next request."""
        await self._wait_for(self.returned)

    def set_reset_on_close(self) -> None:
        """Make close() send RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def reset(self) -> None:
        """Reset the connection (RST)."""
        self.set_reset_on_close()
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.open = False
        self._sock.close()

    async def _wait_for(self, event: asyncio.Event) -> None:
        """Wait for an event, or for bytes from the client."""
        self._loop.add_reader(self._sock, event.set)
        try:
            await event.wait()
        finally:
            self._loop.remove_reader(self._sock)

    async def _receive(self) -> bytes:
        data = await self._loop.sock_recv(self._sock, 65536)
        if not data:
            raise ConnectionError("the client closed the connection within a request")
        return data


Strike = Callable[[Wire], Coroutine[Any, Any, None]]
Setting = Callable[["FaultServer"], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: Its name on the page.
        wire: What happens on the wire, in a sentence.
        at: Where it occurs: at a request, at an accepted connection, at idle connections, or at a
            connection attempt.
        strike: Handles the request or the connection.
        setting: Changes the server, for a fault of neither.
        pace: Whether the response or the end comes "prompt", "never", or slowly, in "drips".
    """

    name: str
    wire: str
    at: Literal["request", "accept", "idle", "connect"]
    strike: Strike | None
    setting: Setting | None
    pace: Literal["prompt", "never", "drips"]


@dataclass
class Armed:
    """A fault that occurs `times` times, starting after a number of requests."""

    fault: Fault
    times: int = 1
    after: int = 0


@dataclass
class _Script:
    """The armed faults, and their progress."""

    armed: Sequence[Armed] = ()
    begun: int = 0
    strikes: set[asyncio.Task[None]] = field(default_factory=set)

    def due(self, at: str) -> Fault | None:
        """Return the fault that occurs now, and count it."""
        for each in self.armed:
            if each.fault.at == at and each.times and each.after <= self.begun:
                each.times -= 1
                return each.fault
        return None

    @property
    def wants_new_connections(self) -> bool:
        return any(each.fault.at in ("accept", "connect") and each.times for each in self.armed)


class FaultServer:
    """The server, in its own thread, on loopback.

    Args:
        jump: Puts the client's clock forward by seconds.

    Attributes:
        registry: Its repositories.
        seen: The attempts since faults were last armed, oldest first.
    """

    def __init__(self, jump: Callable[[float], object] = lambda _: None) -> None:
        self.registry = Registry()
        self.seen: list[Seen] = []
        self._jump = jump
        self._script = _Script()
        self._connections: dict[asyncio.Task[None], Wire] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def renew(self) -> None:
        """Reset it: repositories, faults, connections."""
        self._do(self._renew())

    def arm(self, *armed: Armed) -> None:
        """Arm faults, and clear the attempts seen."""
        self._do(self._arm(armed))

    def settle(self) -> None:
        """After the calls have returned, wait until every fault has ended.

        Most faults end when the client closes the connection.
        """
        self._do(self._settle())

    def disarm(self) -> None:
        """Disarm all faults."""
        self.settle()
        self.arm()

    def retried(self) -> None:
        """Record that a client is about to retry: the server does not see a failed connect."""
        self._do(self._retried())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * PATIENCE)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._port = 0
        self._listener: socket.socket | None = None
        self._crowd: list[socket.socket] = []
        await self._listen()
        self._ready.set()
        await self._stop.wait()
        await self._renew()
        await self.refuse()

    async def _listen(self) -> None:
        await self.refuse()
        self._listener = self._bound(backlog=100)
        self._accepting = asyncio.create_task(self._accept(self._listener))

    def _bound(self, backlog: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(backlog)
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        return listener

    async def refuse(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
            self._listener.close()
        self._listener = None
        for sock in self._crowd:
            sock.close()
        self._crowd = []

    async def crowd(self) -> None:
        """Listen without accepting, and fill the backlog."""
        await self.refuse()
        listener = self._bound(backlog=0)
        self._crowd = [listener]
        for _ in range(2):
            sock = socket.socket()
            sock.setblocking(False)
            assert sock.connect_ex(("127.0.0.1", self._port)) in (0, errno.EINPROGRESS)
            self._crowd.append(sock)

    async def drop(self, *, reset: bool) -> None:
        """Close every idle connection."""
        dropped = [task for task, wire in self._connections.items() if wire.idle]
        for task in dropped:
            if reset:
                self._connections[task].set_reset_on_close()
            task.cancel()
        if dropped:
            await asyncio.wait(dropped)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            sock, _ = await self._loop.sock_accept(listener)
            wire = Wire(self.registry, sock, Seen(), self._jump)
            task = asyncio.create_task(self._serve(wire))
            self._connections[task] = wire
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]

    async def _serve(self, wire: Wire) -> None:
        with contextlib.closing(wire), contextlib.suppress(ConnectionError):
            if (fault := self._script.due("accept")) is not None:
                await self._struck(fault, wire)
            while wire.open and await wire.begins():
                fault = self._script.due("request")
                if fault is not None:
                    await self._struck(fault, wire)
                else:
                    await self._plainly(wire)

    async def _struck(self, fault: Fault, wire: Wire) -> None:
        assert fault.strike is not None
        await self._begin(wire)
        strike = asyncio.create_task(fault.strike(wire))
        self._script.strikes.add(strike)
        await strike

    async def _plainly(self, wire: Wire) -> None:
        await self._begin(wire)
        reply = await wire.work()
        parting = ["Connection: close"] if self._script.wants_new_connections else []
        await wire.send(whole(reply.status, reply.body, *parting))
        if parting:
            await wire.finish()

    async def _begin(self, wire: Wire) -> None:
        self._script.begun += 1
        self.seen.append(wire.seen)
        await self._set()

    async def _set(self) -> None:
        """Change the server for each fault whose turn has come."""
        for each in self._script.armed:
            if each.fault.setting is not None and each.after == self._script.begun:
                await each.fault.setting(self)

    async def _arm(self, armed: Sequence[Armed]) -> None:
        if self._listener is None:
            await self._listen()
        self._script = _Script(armed)
        self.seen = []
        await self._set()

    async def _retried(self) -> None:
        for each in self._script.armed:
            if self._listener is None and each.fault.at == "connect":
                each.times -= 1
                if not each.times:
                    await self._listen()

    async def _settle(self) -> None:
        for wire in self._connections.values():
            wire.returned.set()
        if strikes := self._script.strikes:
            _, kept = await asyncio.wait(strikes, timeout=PATIENCE)
            assert not kept, "the client keeps a connection that a fault struck"

    async def _renew(self) -> None:
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(list(self._connections))
        self.registry = Registry()
        await self._arm(())
