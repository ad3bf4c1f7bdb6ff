"""The certificates of tests: a server's, by a CA that nobody knows."""

from __future__ import annotations

import ssl
from pathlib import Path

TLS = Path(__file__).parent.parent / "tls"
# What OpenSSL calls ca.pem in a folder of certificates: `openssl x509 -hash -in ca.pem`.
CA_HASH = "8ba87bcd.0"


def certified() -> ssl.SSLContext:
    """Return what a server speaks TLS with."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(TLS / "server.pem")
    return tls
