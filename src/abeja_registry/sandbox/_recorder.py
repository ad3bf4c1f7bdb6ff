"""The recorder: what was asked of an ASGI application, in order."""

import re
import threading
from collections import deque
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._answers import error_answer, is_control

# A sandbox may run for days: what it keeps has an end, in requests, in bytes of bodies, and in
# bytes of everything else.
REQUESTS_KEPT = 10_000
BYTES_KEPT = 64 * 1024 * 1024
HEAD_BYTES_KEPT = 64 * 1024 * 1024
# A longer body is read on for a while and thrown away: a client that has sent all sees the answer,
# where one that still sends would see a reset.
MAX_BODY_BYTES = 1024 * 1024
MAX_DISCARDED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it arrived.

    Attributes:
        method: in capitals.
        path: as sent, percent-encoded, without the query.
        query: as sent, without the question mark; empty if there was none.
        headers: by lower-case name, credentials included; of repeated ones the first.
        body: the whole body; empty if it had more than 1 MiB, which is a 413.
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
    """Keeps what an application is asked, the last 10,000 requests for the API."""

    def __init__(self) -> None:
        self.requests_kept = REQUESTS_KEPT
        self.bytes_kept = BYTES_KEPT
        self.head_bytes_kept = HEAD_BYTES_KEPT
        self.max_discarded_bytes = MAX_DISCARDED_BYTES
        # Written in the server's thread and read in others.
        self._lock = threading.Lock()
        self._requests: deque[RecordedRequest] = deque()
        self._bytes = self._head_bytes = 0

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The requests in the order they arrived."""
        with self._lock:
            return tuple(self._requests)

    def clear(self) -> None:
        """Forget the requests."""
        with self._lock:
            self._requests.clear()
            self._bytes = self._head_bytes = 0

    def _keep(self, request: RecordedRequest) -> None:
        with self._lock:
            self._requests.append(request)
            self._bytes += len(request.body)
            self._head_bytes += _head_bytes(request)
            while (
                len(self._requests) > self.requests_kept
                or self._bytes > self.bytes_kept
                or self._head_bytes > self.head_bytes_kept
            ):
                oldest = self._requests.popleft()
                self._bytes -= len(oldest.body)
                self._head_bytes -= _head_bytes(oldest)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Make an application that keeps the requests and passes them on to `app`.

        A request to the API is kept, and each body is read whole, within its bounds, before `app`
        has it: an application that refuses does not read it, and one that does has no bound.
        """

        async def recording(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                body = await _read_body(scope, receive, self.max_discarded_bytes)
            except ConnectionError:
                return
            if not is_control(scope):
                request = RecordedRequest(
                    method=scope["method"],
                    path=scope["raw_path"].decode("latin-1"),
                    query=scope["query_string"].decode("latin-1"),
                    headers=dict(Headers(scope=scope)),
                    # A longer one would push out all requests, its own too.
                    body=body if body is not None and len(body) <= self.bytes_kept else b"",
                )
                self._keep(request)
            if body is None:
                what = f"body: it is longer than {MAX_BODY_BYTES} bytes"
                close = {"Connection": "close"}
                await error_answer(413, what, {"field": "body"}, close)(scope, receive, send)
                return
            unread: list[Message] = [{"type": "http.request", "body": body}]

            async def replay() -> Message:
                return unread.pop() if unread else await receive()

            await app(scope, replay, send)

        return recording


async def _read_body(scope: Scope, receive: Receive, max_discarded_bytes: int) -> bytes | None:
    """Return a request's body, or None if it is too long; raises ConnectionError if it breaks off.

    No more of it is held than it may have, whether its length was declared or not.
    """
    declared = Headers(scope=scope).get("content-length", "")
    # Unread, a client that waits for 100 Continue sends nothing of it.
    if re.fullmatch("[0-9]{1,20}", declared) and int(declared) > max_discarded_bytes:
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
