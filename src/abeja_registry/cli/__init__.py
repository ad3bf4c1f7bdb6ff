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
        arguments: The command line after the program's name, `sys.argv`'s if not given.

    Returns:
        The exit code: 0; 1 for an error of the API or no connection; 2 for wrong usage; 3 for
        what is not there; 4 for what timed out; 130 after Ctrl-C; 141 where the reader of the
        output went away.
    """
    _open_streams()
    if not (find_spec("typer") and find_spec("rich")):
        print(
            "error: the command line needs its extra: pip install 'abeja-registry[cli]'",
            file=sys.stderr,
        )
        return 1
    try:
        from ._app import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def _open_streams() -> None:
    """Put nothing in the place of streams that who started the program has closed."""
    # In this order, so that each gets the number of its own.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - it stays open
            setattr(sys, name, stream)


def script() -> NoReturn:
    """Run the command line of this process, and end the process with its exit code."""
    code = main()
    if code > 128:  # Ctrl-C, or no reader: nobody waits for answers that threads still wait for
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
