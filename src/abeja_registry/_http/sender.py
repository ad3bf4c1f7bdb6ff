"""The interface of connection pools and user-supplied clients: requests in, results out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .._api.redaction import Redactor
from .._api.responses import AttemptResult


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send.

    Attributes:
        method: The HTTP method.
        base_url: The API's URL.
        target: The path below it, with the query if any.
        headers: The headers, Authorization among them.
        body: The body, or None.
        idempotent: Whether sending it twice has the effect of sending it once.
        timeout: Seconds for each connect, read and write.
        max_response_bytes: Maximum size of the response's body, compressed and decompressed.
        redact: Removes the credential from a text.
    """

    method: str
    base_url: str
    target: str
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes | None
    idempotent: bool
    timeout: float
    max_response_bytes: int
    redact: Redactor = field(repr=False)


class Sender(Protocol):
    """Sends requests for threads.

    Attributes:
        proxy: The URL of the proxy, if this package has chosen one.
    """

    proxy: str | None

    @property
    def closed(self) -> bool: ...

    def send(self, request: Request, remaining: float, /) -> AttemptResult:
        """Send a request, and return the result within the remaining seconds.

        Not a deadline: sockets need the monotonic clock, and a session's clock may be another.
        """
        ...

    def close(self) -> None: ...


class AsyncSender(Protocol):
    """As `Sender`, for tasks."""

    proxy: str | None

    @property
    def closed(self) -> bool: ...

    async def send(self, request: Request, remaining: float, /) -> AttemptResult: ...

    async def aclose(self) -> None: ...
