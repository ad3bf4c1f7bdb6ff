"""The errors of files that are not an inventory."""

from __future__ import annotations

from pathlib import Path

from ..exceptions import InvalidFile


def row_error(path: Path, number: int, problem: object) -> InvalidFile:
    """Return the error of a line that is not a row."""
    return InvalidFile(
        f"line {number} of {path} is not a row of an inventory: {problem}", str(path), number
    )


def file_error(path: Path, problem: object) -> InvalidFile:
    """Return the error of a file without the columns of an inventory."""
    # Some of Arrow's messages have several lines.
    text = " ".join(str(problem).split())
    return InvalidFile(f"{path} is not an inventory: {text}", str(path))
