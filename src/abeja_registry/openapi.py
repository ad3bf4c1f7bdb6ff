"""The API's reference as an OpenAPI 3.1 document, for clients in other languages.

    python -m abeja_registry.openapi > openapi.json

prints it. Fields named `x-assumption` say what the API's own reference leaves open.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

_READER_GONE = 141
# Windows reports a write to a closed pipe as EINVAL.
_CLOSED_PIPE = {errno.EPIPE, errno.EINVAL} if os.name == "nt" else {errno.EPIPE}


def text() -> str:
    """Return the document as JSON."""
    return files("abeja_registry").joinpath("openapi.json").read_text(encoding="utf-8")


def document() -> dict[str, Any]:
    """Return the document as a new dict."""
    loaded: dict[str, Any] = json.loads(text())
    return loaded


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the document.

    Args:
        arguments: The command line's; `sys.argv` if None.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m abeja_registry.openapi",
        description="Print the API's OpenAPI 3.1 document as JSON, to generate a client from.",
    )
    try:
        try:
            parser.parse_args(arguments)
            # The document is ASCII, which every terminal's encoding has.
            print(text(), end="")
        finally:
            print(end="", flush=True)
    except OSError as error:
        # Python flushes stdout again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in _CLOSED_PIPE:
            return _READER_GONE
        parser.exit(1, f"cannot write the document: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
