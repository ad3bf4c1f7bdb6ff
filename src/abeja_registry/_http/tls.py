"""TLS in memory: what it has to send and to receive, whatever stream is below."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")


class Tls:
    """One layer of TLS in memory; a stream moves its bytes.

    Not `SSLSocket` nor `loop.start_tls`: those hide which bytes were received and not yet read.
    """

    def __init__(self, context: ssl.SSLContext, hostname: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)

    def run(self, call: Callable[[], T]) -> Generator[bytes, bytes, T]:
        """Carry out one call of OpenSSL.

        Yields:
            Bytes to write to the stream below; b"" to be sent bytes that were read from it.
        """
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                pass
            finally:
                # After an error as well: an alert tells the peer the reason.
                if pending := self._outgoing.read():
                    yield pending
            if received := (yield b""):
                self._incoming.write(received)
            else:
                self._incoming.write_eof()

    def read(self, max_bytes: int) -> bytes:
        """Decrypt; b"" at the end of the stream, whether or not its peer said goodbye."""
        try:
            return self.object.read(max_bytes)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def has_unread_data(self) -> bool:
        """Whether anything was received that nobody read. Reading it is the way to find out."""
        try:
            self.object.read(1)
        except ssl.SSLError as error:
            return not isinstance(error, ssl.SSLWantReadError) or self._incoming.pending > 0
        return True
