"""TLS in memory, over any stream: which bytes to write, and when to read."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")


class Tls:
    """One TLS layer in memory; a stream moves its bytes.

    `SSLSocket` and `loop.start_tls` do not work here: they hide received but unread bytes.
    """

    def __init__(self, context: ssl.SSLContext, hostname: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)

    def run(self, call: Callable[[], T]) -> Generator[bytes, bytes, T]:
        """Run one call of OpenSSL.

        Yields:
            Bytes to write to the stream below; or b"", to receive bytes read from that stream.
        """
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                pass
            finally:
                # Also after an error: a TLS alert tells the peer the reason.
                if pending := self._outgoing.read():
                    yield pending
            if received := (yield b""):
                self._incoming.write(received)
            else:
                self._incoming.write_eof()

    def read(self, max_bytes: int) -> bytes:
        """Decrypt; b"" at the end of the stream, with or without a close_notify."""
        try:
            return self.object.read(max_bytes)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def has_unread_data(self) -> bool:
        """Whether received bytes are unread. OpenSSL tells only by reading one."""
        try:
            self.object.read(1)
        except ssl.SSLError as error:
            return not isinstance(error, ssl.SSLWantReadError) or self._incoming.pending > 0
        return True
