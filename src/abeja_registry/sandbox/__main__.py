"""The sandbox by itself: `python -m abeja_registry.sandbox --port 0 --seed`."""

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from . import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        arguments: the command line after the program's name, `sys.argv`'s unless given.

    Returns:
        The exit code: 0 once told to end, 1 if the port can't be had.

    Raises:
        SystemExit: with code 2, if the command line is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m abeja_registry.sandbox",
        description="A Registry API on this machine, until Ctrl-C; its data goes with it.",
    )
    defaults = "(default: %(default)s)"
    parser.add_argument("--port", type=int, default=8080, help=f"0 takes a free one {defaults}")
    parser.add_argument("--organization", default="1410000000000", help=f"its id {defaults}")
    parser.add_argument("--seed", action="store_true", help="make some repositories with tags")
    options = parser.parse_args(arguments)
    try:
        sandbox = Sandbox(organization_id=options.organization, port=options.port)
    except ValueError as error:
        parser.error(str(error))
    signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)
    with contextlib.suppress(KeyboardInterrupt), contextlib.closing(sandbox):
        try:
            sandbox.start()
        except OSError as error:
            print(f"error: {error.strerror}", file=sys.stderr)
            return 1
        if options.seed:
            sandbox.seed()
            sandbox.seed(repositories=1, tags=250)
        print(f"export ABEJA_API_URL={sandbox.url}")
        print(f"export ABEJA_ORGANIZATION_ID={sandbox.organization_id}")
        print("export PLATFORM_AUTH_TOKEN=sandbox", flush=True)
        while True:
            time.sleep(3600)
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second Ctrl-C must not break into the closing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
