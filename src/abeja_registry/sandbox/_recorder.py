"""The recorder: the API's requests, in the order of their arrival."""

import re
import threading
from collections import deque
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._responses import error_response, is_own

# Limits of the record, as a sandbox may run for days: requests, bytes of bodies, other bytes.
MAX_REQUESTS = 10_000
MAX_BODIES = 64 * 1024 * 1024
MAX_HEADS = 64 * 1024 * 1024
MAX_BODY_BYTES = 1024 * 1024
# Bytes of a longer body to read and discard: a client that is still sending at the response would
# see a reset connection in its place.
MAX_DISCARDED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it arrived.

    Attributes:
        method: In capitals.
        path: As sent, percent-encoded, without the query.
        query: As sent, without the question mark; empty without a query.
        headers: By lower-case name, credentials included; of repeated ones the first.
        body: The whole body; empty if it had more than 1 MiB, which is a 413.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


def _head_bytes(request: RecordedRequest) -> int:
    texts = (request.method, request.path, request.query)
    return sum(map(len, (*texts, *request.headers, *request.headers.values())))


class Recorder:
    """Keeps the last 10,000 requests; several threads may use it."""

    def __init__(self) -> None:
        self.max_requests = MAX_REQUESTS
        self.max_bodies = MAX_BODIES
        self.max_heads = MAX_HEADS
        self.max_discarded_bytes = MAX_DISCARDED_BYTES
        self._lock = threading.Lock()
        # Each with the bytes of its head.
        self._requests: deque[tuple[RecordedRequest, int]] = deque()
        self._bodies = self._heads = 0

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The requests in the order of their arrival."""
        with self._lock:
            return tuple(request for request, _ in self._requests)

    def clear(self) -> None:
        """Forget the requests."""
        with self._lock:
            self._requests.clear()
            self._bodies = self._heads = 0

    def add(self, scope: Scope, body: bytes) -> None:
        """Record a request, and forget the oldest ones beyond the limits."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        request = RecordedRequest(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            # A longer one would evict all requests, this one too.
            body=body if len(body) <= self.max_bodies else b"",
        )
        head_bytes = _head_bytes(request)
        with self._lock:
            self._requests.append((request, head_bytes))
            self._bodies += len(request.body)
            self._heads += head_bytes
            while (
                len(self._requests) > self.max_requests
                or self._bodies > self.max_bodies
                or self._heads > self.max_heads
            ):
                oldest, head_bytes = self._requests.popleft()
                self._bodies -= len(oldest.body)
                self._heads -= head_bytes


class BodyMiddleware:
    """Reads each body whole, within its limit, before the application, and records the API's.

    An application that rejects a request does not read the body, and a framework reads one without
    a limit.
    """

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await _read_body(scope, receive, self._recorder.max_discarded_bytes)
        except ConnectionError:
            return
        if not is_own(scope):
            self._recorder.add(scope, body or b"")
        if body is None:
            what = f"body: it is longer than {MAX_BODY_BYTES} bytes"
            close = {"Connection": "close"}
            await error_response(413, what, {"field": "body"}, close)(scope, receive, send)
            return
        unread: list[Message] = [{"type": "http.request", "body": body}]

        async def receive_body() -> Message:
            return unread.pop() if unread else await receive()

        await self._app(scope, receive_body, send)


async def _read_body(scope: Scope, receive: Receive, max_discarded_bytes: int) -> bytes | None:
    """Return a request's body, or None if it is too long; raises ConnectionError if it breaks off.

    It holds at most MAX_BODY_BYTES and one message, with a declared length or without.
    """
    for name, value in scope["headers"]:
        is_length = name == b"content-length" and re.fullmatch(b"[0-9]{1,20}", value)
        # A client that waits for 100 Continue does not send a body that stays unread.
        if is_length and int(value) > max_discarded_bytes:
            return None
    body, size, more = bytearray(), 0, True
    while more and size <= max_discarded_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY_BYTES:
            body += part
        else:
            body.clear()
        more = message.get("more_body", False)
    return bytes(body) if size <= MAX_BODY_BYTES else None
