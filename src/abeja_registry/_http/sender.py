"""What a session sends through: our own connections, or a user-supplied client."""

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
        base_url: Where the API is.
        target: The path below it, with the query where there is one.
        headers: The headers, Authorization among them.
        body: The body, or None.
        idempotent: Whether sending it twice does no more than sending it once.
        timeout: Seconds for each connect, read and write.
        max_response_bytes: Bytes that the response's body may have, compressed and decompressed.
        redact: Takes the credential out of a text.
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
        proxy: The URL of the proxy that requests pass, where this package has chosen it.
    """

    proxy: str | None

    @property
    def closed(self) -> bool: ...

    def send(self, request: Request, remaining: float, /) -> AttemptResult:
        """Send a request, whose response has so many seconds to come, and return the result."""
        ...

    def close(self) -> None: ...


class AsyncSender(Protocol):
    """As `Sender`, for tasks."""

    proxy: str | None

    @property
    def closed(self) -> bool: ...

    async def send(self, request: Request, remaining: float, /) -> AttemptResult: ...

    async def aclose(self) -> None: ...
