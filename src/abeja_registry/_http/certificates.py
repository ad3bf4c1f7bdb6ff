"""The TLS context of all connections, and the CA certificates that it trusts."""

from __future__ import annotations

import functools
import os
import ssl
import sys
from pathlib import Path

import httpx

from ..exceptions import ConfigurationError
from .signals import from_signal_handler

# requests reads the first two, and deployments of abeja-sdk set them; httpx reads the others.
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_KEY_LOG = "SSLKEYLOGFILE"


def names_tls_files() -> bool:
    """Whether the environment names a file or a folder that a TLS context reads."""
    return any(os.environ.get(name) for name in (*_CA_VARIABLES, _KEY_LOG))


@functools.cache
def unused_ssl_context() -> ssl.SSLContext:
    """Return a context for clients without TLS: httpcore loads all CA certificates for None."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def create_ssl_context(*, trust_env: bool = True) -> ssl.SSLContext:
    """Return a TLS context with the environment's CA certificates, or else the default CA bundle.

    Args:
        trust_env: Whether to read the environment.

    Raises:
        ConfigurationError: A file cannot be used; the message names its variable.
    """
    _check_key_log()
    name = next((name for name in _CA_VARIABLES if trust_env and os.environ.get(name)), None)
    value = os.environ.get(name or "", "")
    try:
        if name is None:
            return httpx.create_ssl_context(trust_env=False)
        folders = value.split(os.pathsep) if name == "SSL_CERT_DIR" else [value]
        # OpenSSL skips folders that do not exist, and empty names.
        if found := [folder for folder in folders if folder and Path(folder).is_dir()]:
            return ssl.create_default_context(capath=os.pathsep.join(found))
        return ssl.create_default_context(cafile=value)
    except OSError as error:
        if from_signal_handler(error):
            raise
        which = "default CA bundle" if name is None else f"CA bundle in {name}, {value!r},"
        raise ConfigurationError(f"the {which} cannot be loaded: {error}") from None


def _check_key_log() -> None:
    """Check SSLKEYLOGFILE here: every TLS context opens this file, and its error has no name."""
    path = "" if sys.flags.ignore_environment else os.environ.get(_KEY_LOG, "")
    if path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = path
        except OSError as error:
            raise ConfigurationError(
                f"the file in {_KEY_LOG}, {path!r}, cannot be written: {error.strerror}"
            ) from None
