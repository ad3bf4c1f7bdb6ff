"""What a session hands to a sender: one request, ready for the network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a door sends it.

    Attributes:
        method: The HTTP method.
        base_url: Where the API is.
        target: The path below it, with the query where there is one.
        headers: The headers, Authorization among them.
        body: The body, or None.
        replayable: Whether sending it twice does no more than sending it once.
        timeout: Seconds for each connect, read and write.
        deadline: When it has to be over, by the monotonic clock.
        max_response_bytes: Bytes that the answer's body may have, packed and unpacked.
    """

    method: str
    base_url: str
    target: str
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes | None
    replayable: bool
    timeout: float
    deadline: float
    max_response_bytes: int

    @property
    def url(self) -> str:
        """The whole URL."""
        return self.base_url + self.target

    @property
    def left(self) -> float:
        """Seconds until the deadline, from 0."""
        return max(0.0, self.deadline - time.monotonic())
