"""The command line: `abeja-registry`, or `python -m abeja_registry.cli`; the extra `cli`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

__all__ = ["main", "script"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line after the program's name. Defaults to `sys.argv`.

    Returns:
        The exit code: 0; 1 for an error of the API, no connection or an unusable file; 2 for wrong
        usage; 3 for a missing repository or tag; 4 after a timeout; 70 for a defect of this
        package; 130 after Ctrl-C; 141 if the reader of the output has closed the pipe.
    """
    _open_streams()
    try:
        try:
            if find_spec("rich") is None:  # imported only where it is used
                return _no_extra("rich")
            from ._root import run
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing.partition(".")[0] == __name__.partition(".")[0]:
                raise
            return _no_extra(missing)
        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        with suppress(OSError):
            print(file=sys.stderr, flush=True)
        return 130


def _no_extra(missing: str) -> int:
    with suppress(OSError):
        print(
            "error: the command line needs its extra: pip install 'abeja-registry[cli]'"
            f" ({missing} is not installed)",
            file=sys.stderr,
            flush=True,
        )
    return 1


def _open_streams() -> None:
    """Replace closed streams, and let each write what its encoding lacks as escapes."""
    # In this order, so that each gets its usual file descriptor.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - it stays open
            setattr(sys, name, stream)
        # The environment may name an encoding that lacks characters, or that takes no error
        # handler (idna), and an error handler that does not exist.
        stream = getattr(sys, name)
        with suppress(AttributeError, OSError):
            try:
                "\u2026\n".encode(stream.encoding or "utf-8", "backslashreplace")
            except UnicodeError:
                stream.reconfigure(encoding="utf-8")
            stream.reconfigure(errors="backslashreplace")


def script() -> NoReturn:
    """Run the command line of this process, and end the process with its exit code."""
    from ._output import discard

    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # as on a full disk: Python would flush it again, and end with 120
            discard(stream)
            code = code or 1
    if code > 128:  # Ctrl-C, or a closed pipe: do not wait for the requests of threads
        os._exit(code)
    sys.exit(code)
