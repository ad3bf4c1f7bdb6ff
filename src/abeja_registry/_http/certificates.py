"""The TLS context of all connections: which certificates are trusted."""

from __future__ import annotations

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
    """Return whether the environment names a file or a folder that a TLS context reads."""
    return any(os.environ.get(name) for name in (*_CA_VARIABLES, _KEY_LOG))


def create_ssl_context(*, trust_env: bool = True) -> ssl.SSLContext:
    """Return a TLS context that trusts what the environment names, or else the usual CA bundle.

    Args:
        trust_env: Whether to look into the environment.

    Raises:
        ConfigurationError: A file cannot be used; names its variable.
    """
    _check_key_log()
    name = next((name for name in _CA_VARIABLES if trust_env and os.environ.get(name)), None)
    value = os.environ.get(name or "", "")
    try:
        if name is None:
            return httpx.create_ssl_context(trust_env=False)
        folders = value.split(os.pathsep) if name == "SSL_CERT_DIR" else [value]
        # OpenSSL skips the folders that do not exist, and reads none that is empty text.
        if found := [folder for folder in folders if folder and Path(folder).is_dir()]:
            return ssl.create_default_context(capath=os.pathsep.join(found))
        return ssl.create_default_context(cafile=value)
    except OSError as error:
        if from_signal_handler(error):
            raise
        which = "usual CA bundle" if name is None else f"CA bundle in {name}, {value!r},"
        raise ConfigurationError(f"the {which} cannot be loaded: {error}") from None


def _check_key_log() -> None:
    """Refuse a bad SSLKEYLOGFILE by its name: any TLS context of Python's opens that file, too."""
    path = "" if sys.flags.ignore_environment else os.environ.get(_KEY_LOG, "")
    if path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = path
        except OSError as error:
            raise ConfigurationError(
                f"the file in {_KEY_LOG}, {path!r}, cannot be written: {error.strerror}"
            ) from None
