"""Secrets: those that the sandbox accepts, from files too, and how they are compared."""

import hmac
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

# A bearer token's characters.
TOKEN = "[A-Za-z0-9._~+/-]+=*"
# Bytes that are read of a file of secrets: a device or a pipe may have no end.
MAX_FILE_BYTES = 64 * 1024


def is_one_of(secret: str, known: Iterable[str]) -> bool:
    """Whether a secret is a known one; how long that takes says nothing of the known ones."""
    given = secret.encode()
    # All are compared, so that the first match is not quicker than the last.
    return sum(hmac.compare_digest(given, each.encode()) for each in known) > 0


def new_token() -> str:
    """Make a token that nobody can guess."""
    return secrets.token_urlsafe(32)


def checked_token(token: object) -> str:
    """Return a token that can stand in a header; raises ValueError, which does not show it."""
    if not isinstance(token, str) or not re.fullmatch(TOKEN, token):
        raise ValueError("control_token must be of letters, digits and -._~+/ alone")
    return token


def read_lines(file: Path) -> list[str]:
    """Read the lines of a file of secrets, without those that are empty.

    Args:
        file: a text in UTF-8, with or without a byte order mark, its lines ended in any way.

    Raises:
        OSError: it can't be read.
        ValueError: it is no such text, is too long, or holds nothing; the message names the file.
    """
    with file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{str(file)!r} is longer than {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{str(file)!r} is not text in UTF-8") from None
    if lines := [line for line in re.split("\r\n|\n|\r", text) if line.strip()]:
        return lines
    raise ValueError(f"{str(file)!r} is empty")


def read_or_make_token(file: Path) -> str:
    """Read a token from a file; where there is no file, make one that its owner alone can read.

    Raises:
        OSError: it can be neither read nor made.
        ValueError: what it holds is no token; the message names the file, and does not show it.
    """
    try:
        lines = read_lines(file)
    except FileNotFoundError:
        token = new_token()
        # O_EXCL: neither another's file nor a symbolic link in its place is written to.
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(made, "w", encoding="utf-8") as opened:  # noqa: PTH123 - it is open already
            opened.write(f"{token}\n")
        return token
    if len(lines) > 1:
        raise ValueError(f"{str(file)!r} holds more than one line")
    try:
        return checked_token(lines[0].strip())
    except ValueError as error:
        raise ValueError(f"{str(file)!r}: {error}") from None
