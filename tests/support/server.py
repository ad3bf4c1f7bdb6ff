"""A peer on raw sockets: what it hears is written down, and answered as told."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Self

from .examples import REPOSITORY
from .patience import PATIENCE


@dataclass(frozen=True)
class Heard:
    """A whole request, and the port that it came from; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    port: int


def said(body: object, status: int = 200, *fields: str) -> bytes:
    """Return an answer of a JSON value."""
    content = json.dumps(body).encode()
    head = (f"HTTP/1.1 {status} Said", f"Content-Length: {len(content)}", *fields, "", "")
    return "\r\n".join(head).encode() + content


def of_its_name(heard: Heard) -> bytes:
    """Answer a GET with the repository of the id that was asked for, a POST with one so named."""
    name = json.loads(heard.body)["name"] if heard.body else heard.target.rpartition("/")[2]
    return said(REPOSITORY | {"id": name, "name": name})


class Peer:
    """A server on loopback, a thread for each connection.

    Args:
        answer: What goes out for a request; nothing closes the connection.

    Attributes:
        heard: What was asked, oldest first.
        accepted: How many connections came.
    """

    def __init__(self, answer: Callable[[Heard], bytes] = of_its_name) -> None:
        self.answer = answer
        self.heard: list[Heard] = []
        self.accepted = 0
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        peer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                peer._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 512

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.drop()

    def drop(self) -> None:
        """Close every connection (FIN)."""
        with self._changed:
            for sock in self._open:
                with suppress(OSError):  # it may have been reset from the other side
                    sock.shutdown(socket.SHUT_RDWR)
        self.settle(0)

    def settle(self, count: int) -> None:
        """Wait until so many connections are open."""
        with self._changed:
            settled = self._changed.wait_for(lambda: len(self._open) == count, PATIENCE)
            assert settled, f"{len(self._open)} connections are open, not {count}"

    def _serve(self, sock: socket.socket) -> None:
        with self._changed:
            self.accepted += 1
            self._open.add(sock)
            self._changed.notify_all()
        try:
            with sock.makefile("rb") as lines:
                while (heard := _read(lines, sock.getpeername()[1])) is not None:
                    self.heard.append(heard)
                    answer = self.answer(heard)
                    sock.sendall(answer)
                    if not answer:
                        break
        except ConnectionError:
            pass
        finally:
            with self._changed:
                self._open.remove(sock)
                self._changed.notify_all()


def _read(lines: BufferedIOBase, port: int) -> Heard | None:
    start = lines.readline().decode()
    if not start:
        return None
    headers = {}
    while line := lines.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    method, target, _ = start.split(" ")
    body = lines.read(int(headers.get("content-length", 0)))
    return Heard(method, target, headers, body, port)
