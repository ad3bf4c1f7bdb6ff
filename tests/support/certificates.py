"""The certificates of tests: a server's, signed by an unknown CA."""

from __future__ import annotations

import ssl
from pathlib import Path

TLS = Path(__file__).parent.parent / "tls"
# The name of ca.pem in OpenSSL's folder of certificates: `openssl x509 -hash -in ca.pem`.
CA_HASH = "8ba87bcd.0"

# Loading CA certificates takes longer than a test: a context for clients that send nothing by TLS.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def certified() -> ssl.SSLContext:
    """Return a server's TLS context."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(TLS / "server.pem")
    return tls
