"""A server on raw sockets that records each request; a test supplies the responses."""

from __future__ import annotations

import json
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, BinaryIO, Self

from .examples import REPOSITORY
from .patience import PATIENCE


@dataclass(frozen=True)
class Request:
    """A whole request.

    Attributes:
        head: Its first line and its headers, as they arrived.
        headers: Its headers; their names are in lower case.
        port: The client's port, which tells one connection from another.
        socket: The connection, for a response in parts.
    """

    head: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    port: int
    socket: socket.socket = field(repr=False, compare=False)

    def send(self, part: bytes) -> None:
        """Send a part of the response."""
        self.socket.sendall(part)

    def client_has_closed(self) -> bool:
        """Wait for the client to close the connection, and return whether it did."""
        try:
            ready, _, _ = select.select([self.socket], [], [], PATIENCE)
            return bool(ready) and not self.socket.recv(1, socket.MSG_PEEK)
        except (ConnectionError, ValueError):  # reset, or closed here as well since then
            return True


# Returns the rest of the response, or None to close the connection.
Respond = Callable[[Request], bytes | None]


def response(body: object, status: int = 200, *headers: str) -> bytes:
    """Return a response with a JSON body."""
    return raw_response(json.dumps(body).encode(), status, *headers)


def raw_response(content: bytes, status: int = 200, *headers: str) -> bytes:
    """Return a response with a body of any bytes."""
    return response_head(status, f"Content-Length: {len(content)}", *headers) + content


def response_head(status: int, *headers: str) -> bytes:
    """Return a response up to its body."""
    return "\r\n".join((f"HTTP/1.1 {status} Reason", *headers, "", "")).encode("latin-1")


def empty(_: Request) -> bytes:
    """Respond with an empty object."""
    return response({})


def any_repository(request: Request) -> bytes:
    """Respond to a GET with the repository in its path, to a POST with the one in its body."""
    name = json.loads(request.body)["name"] if request.body else request.target.rpartition("/")[2]
    return response(REPOSITORY | {"id": name, "name": name})


def closing(content: bytes) -> Respond:
    """Respond with these bytes, and close the connection."""

    def respond(request: Request) -> None:
        request.send(content)

    return respond


class Server(socketserver.ThreadingTCPServer):
    """A server on loopback, with a thread for each connection.

    Attributes:
        respond: Returns the response to each request.
        requests: All requests, oldest first.
        asked: A queue of the same requests; `get` waits for the next one.
        connections: The client's port of each connection, oldest first.
        gone: A queue of the port of each connection that has ended.
        over: Set when the server ends; a response may wait for it.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, respond: Respond = empty, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port = int(self.server_address[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.respond = respond
        self.requests: list[Request] = []
        self.asked: SimpleQueue[Request] = SimpleQueue()
        self.connections: list[int] = []
        self.gone: SimpleQueue[int] = SimpleQueue()
        self.over = threading.Event()
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        self.drop()

    def drop(self) -> None:
        """Close every connection (FIN)."""
        with self._changed:
            for sock in self._open:
                with suppress(OSError):  # the peer may have reset it
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self.settle(0)

    def settle(self, count: int) -> None:
        """Wait until this number of connections is open."""
        with self._changed:
            settled = self._changed.wait_for(lambda: len(self._open) == count, PATIENCE)
            assert settled, f"{len(self._open)} connections are open, not {count}"

    def dripping(self, start: bytes, drop: bytes = b"") -> Respond:
        """Respond with bytes, then with a drop again and again, until the server ends."""

        def respond(request: Request) -> None:
            request.send(start)
            while not self.over.wait(0.01):
                request.send(drop)

        return respond

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; socketserver drops one whose handshake raises OSError."""
        connection, address = super().get_request()
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with self._changed:
            self.connections.append(address[1])
            self._open.add(connection)
            self._changed.notify_all()
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()
        super().shutdown_request(request)


class _Connection(socketserver.BaseRequestHandler):
    server: Server
    request: socket.socket

    def handle(self) -> None:
        # The next read or write fails if the client has closed the connection.
        try:
            with suppress(ConnectionError), self.request.makefile("rb") as lines:
                while request := self._read(lines):
                    self.server.requests.append(request)
                    self.server.asked.put(request)
                    if (rest := self.server.respond(request)) is None:
                        break
                    request.send(rest)
        finally:
            with suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)
            self.server.gone.put(self.client_address[1])

    def _read(self, lines: BinaryIO) -> Request | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (line := lines.readline()):
                return None
            head += line
        start, *fields = head.decode("latin-1").strip().split("\r\n")
        split = [each.partition(":") for each in fields]
        headers = {name.lower(): value.strip() for name, _, value in split}
        method, target, _ = start.split(" ")
        body = lines.read(int(headers.get("content-length", 0)))
        port = self.client_address[1]
        return Request(head.decode("latin-1"), method, target, headers, body, port, self.request)
