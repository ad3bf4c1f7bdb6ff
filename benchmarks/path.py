"""How far a reader goes to follow one call: the functions of this package that `get` enters.

Run as `python -m benchmarks.path`; with `--list` it names each of them, in order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType

import abeja_registry
from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

PACKAGE = str(Path(abeja_registry.__file__).parent)


def entered(call: Callable[[], object]) -> list[tuple[str, str]]:
    """Return the file and the function of each call of ours, in order."""
    found: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(PACKAGE) and "/sandbox/" not in file:
            found.append((file.removeprefix(PACKAGE + "/"), frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def main() -> None:
    """Print the figures of one `get` of a repository without tags, over an open connection."""
    with Sandbox() as sandbox, Client(**sandbox.connection) as client:
        repository = client.repositories.create("trainer")
        client.repositories.get(repository.id)
        path = entered(lambda: client.repositories.get(repository.id))
    if "--list" in sys.argv:
        for file, function in path:
            print(f"{file:30} {function}")
    files = [file for file, _ in path]
    changes = sum(one != other for one, other in pairwise(files))
    print(f"{len(path)} calls in {len(set(files))} files with {changes} changes of file")


if __name__ == "__main__":
    main()
