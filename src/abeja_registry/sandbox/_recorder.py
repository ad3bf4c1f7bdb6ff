"""The recorder: what was asked of an ASGI application, in order."""

import threading
from collections import deque
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A sandbox may run for days: what it keeps has an end, in requests and in bytes of their bodies.
REQUESTS_KEPT = 10_000
BYTES_KEPT = 64 * 1024 * 1024


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it arrived.

    Attributes:
        method: in capitals.
        path: as sent, percent-encoded, without the query.
        query: as sent, without the question mark; empty if there was none.
        headers: by lower-case name, credentials included; of repeated ones the first.
        body: the whole body; empty if it had more than 64 MiB.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Recorder:
    """Keeps what an application is asked, the last 10,000 requests for the API."""

    def __init__(self) -> None:
        # Written in the server's thread and read in others.
        self._lock = threading.Lock()
        self._requests: deque[RecordedRequest] = deque()
        self._bytes = 0

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The requests in the order they arrived."""
        with self._lock:
            return tuple(self._requests)

    def clear(self) -> None:
        """Forget the requests."""
        with self._lock:
            self._requests.clear()
            self._bytes = 0

    def _keep(self, request: RecordedRequest) -> None:
        with self._lock:
            self._requests.append(request)
            self._bytes += len(request.body)
            while len(self._requests) > REQUESTS_KEPT or self._bytes > BYTES_KEPT:
                self._bytes -= len(self._requests.popleft().body)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Make an application that keeps the requests and passes them on to `app`."""

        async def recording(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith("/_sandbox/"):
                await app(scope, receive, send)
                return
            # The whole body is read here, since an application that refuses does not read it.
            body = bytearray()
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message.get("body", b"")
                more = message.get("more_body", False)
            request = RecordedRequest(
                method=scope["method"],
                path=scope["raw_path"].decode("latin-1"),
                query=scope["query_string"].decode("latin-1"),
                headers=dict(Headers(scope=scope)),
                # A longer one would push out all requests, its own too.
                body=bytes(body) if len(body) <= BYTES_KEPT else b"",
            )
            self._keep(request)
            unread: list[Message] = [{"type": "http.request", "body": bytes(body)}]

            async def replay() -> Message:
                return unread.pop() if unread else await receive()

            await app(scope, replay, send)

        return recording
