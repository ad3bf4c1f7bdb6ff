"""The journal of an inventory that is written to a file: its rows so far, to resume from."""

from __future__ import annotations

import errno
import json
import os
import secrets
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from .._validation import safe_repr
from ..exceptions import InvalidFile
from ._files import check_target, errors_name, open_locked, paths_beside, release, remove
from ._formats import FileFormat, Part
from ._rows import InventoryRepository
from ._tasks import Batch

# The key of a first line.
_SOURCE = "source"
_SUFFIX = ".partial"
# The suffix of an earlier version's journal, which has lines of JSON.
_EARLIER_SUFFIX = ".partial.jsonl"
# Ten times the longest line that the API could cause.
_MAX_LINE = 20_000_000
# Ends the message of a journal that cannot be resumed.
START_AGAIN = "; pass resume=False to start again"


class _Entry(NamedTuple):
    """A line of a journal, with the rows after it.

    Attributes:
        line: The line.
        data: The rows, in the target's format.
        end: Where they end in the file.
    """

    line: dict[str, Any]
    data: bytes
    end: int


class Journal:
    """The rows of an inventory so far, in a separate file beside the target.

    The file has lines of JSON. A line with `rows` is followed by rows of one repository as the
    target holds them: lines of JSON or CSV, or an Arrow record batch. It has their length and
    checksum, since a power failure may leave zeros. Another line names each repository that is
    finished, with the number of its tags: only finished repositories count. The first line names
    the inventory's source. A resumed inventory begins with this line again, and rows of a
    repository count only from the run that finished it.

    Args:
        target: The file that is written in the end.
        file_format: The target's format.
        source: The inventory's source, as JSON.
        resume: Whether to keep the repositories that an earlier run has finished.

    Raises:
        InvalidFile: The journal has another source, or is an earlier version's.
        OSError: It cannot be written, or another inventory writes to it.
    """

    def __init__(
        self, target: Path, file_format: FileFormat, source: Mapping[str, object], *, resume: bool
    ) -> None:
        self._target = target
        self._format = file_format
        source = {**source, "format": file_format.name}
        # Marks this run's first line among those of other runs.
        self._run = secrets.token_hex(8)
        # The finished repositories, and for each the number of the run that has its rows.
        self._finished: dict[str, InventoryRepository] = {}
        self._run_of: dict[str, int] = {}
        self._runs = 0
        # For each run, the repositories of its rows.
        self._with_rows: list[set[str]] = []
        # With the target's mode: a user who may not read the target may not read its rows here.
        self._file, self._path = open_locked(target, _SUFFIX, check_target(target))
        try:
            self._handle_earlier(resume)
            self._file.truncate(self._load(source) if resume else 0)
            self._begin_run()
            self._write_line({_SOURCE: source, "run": self._run})
            # After fork() each child process would write the bytes left in the buffer.
            self._file.flush()
        except BaseException:
            self.close()
            raise

    def _handle_earlier(self, resume: bool) -> None:
        """Refuse the journal of an earlier version, or remove it."""
        for earlier in paths_beside(self._target, _EARLIER_SUFFIX):
            # Unlike Path.exists(), it accepts a name that is too long.
            if not os.path.exists(earlier):  # noqa: PTH110
                continue
            if resume:
                problem = "has the rows of an earlier version of this package"
                raise InvalidFile(f"{earlier} {problem}{START_AGAIN}", str(earlier))
            with errors_name(self._target):
                earlier.unlink()

    def _begin_run(self) -> None:
        self._runs += 1
        self._with_rows.append(set())

    def _load(self, source: Mapping[str, object]) -> int:
        """Record the repositories that are finished; return the length of the undamaged part."""
        length = 0
        for line, data, end in self._entries():
            if _SOURCE in line or not self._runs:
                self._check(line.get(_SOURCE), source)
                self._begin_run()
            elif isinstance(id_ := line.get("finished"), str):
                name, tags = line.get("name"), line.get("tags")
                if isinstance(name, str) and isinstance(tags, int):
                    self._finish(InventoryRepository(id_, name, tags))
            elif isinstance(id_ := line.get("repository"), str):
                if line.get("checksum") != zlib.crc32(data):
                    break
                self._with_rows[-1].add(id_)
            length = end
        return length

    def _finish(self, repository: InventoryRepository) -> None:
        self._finished[repository.id] = repository
        self._run_of[repository.id] = self._runs

    def _check(self, found: object, source: Mapping[str, object]) -> None:
        if found == source:
            return
        problem = "has no inventory's rows"
        if isinstance(found, dict):
            key = next(key for key in {**source, **found} if found.get(key) != source.get(key))
            problem = (
                f"has the rows of another inventory: {key} was {_shown(found.get(key))}, and is"
                f" {_shown(source.get(key))} now"
            )
        raise InvalidFile(f"{self._path} {problem}{START_AGAIN}", str(self._path))

    def _entries(self) -> Iterator[_Entry]:
        """Yield each complete line with its rows."""
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while (entry := _read_entry(file, size)) is not None:
                yield entry

    @property
    def finished(self) -> Mapping[str, InventoryRepository]:
        """The finished repositories, by their ids."""
        return self._finished

    def add(self, batch: Batch) -> None:
        """Record rows, and then the repositories that they finish."""
        for part in self._format.encode(batch):
            data = part.data
            line = {
                "repository": part.repository_id,
                "rows": part.rows,
                "bytes": len(data),
                "checksum": zlib.crc32(data),
            }
            self._write_line(line)
            self._file.write(data)
            self._with_rows[-1].add(part.repository_id)
        for each in batch.finished:
            self._finish(each)
            self._write_line({"finished": each.id, "name": each.name, "tags": each.tag_count})
            self._file.flush()

    def _write_line(self, line: Mapping[str, object]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")

    def parts(self) -> Iterator[Part]:
        """Yield the rows of the finished repositories.

        Raises:
            OSError: Another inventory has written to the journal, where files have no locks.
        """
        self._file.flush()
        number = end = 0
        run = None
        for line, data, entry_end in self._entries():
            end = entry_end
            if _SOURCE in line:
                number += 1
                run = line.get("run")
            elif self._run_of.get(id_ := line.get("repository", "")) == number:
                yield Part(id_, line["rows"], data)
        if run != self._run or end != self._path.stat().st_size:
            reason = f"another inventory has written to {self._path.name} beside it"
            raise OSError(errno.EBUSY, reason, str(self._target))

    def repositories_without_rows(self) -> list[InventoryRepository]:
        """Return the finished repositories that have no rows."""
        return [
            each
            for id_, each in self._finished.items()
            if id_ not in self._with_rows[self._run_of[id_] - 1]
        ]

    def close(self) -> None:
        """Close the file, and keep its rows for a resumed inventory."""
        # Rows left in the buffer belong to no finished repository.
        release(self._file, self._path)

    def remove(self) -> None:
        """Remove the file, once the target is written."""
        remove(self._file, self._path)


def _read_entry(file: IO[bytes], size: int) -> _Entry | None:
    """Return the next line with its rows, or None if it is incomplete or damaged."""
    # Bounded, since a damaged file may have no more line feeds.
    line = file.readline(_MAX_LINE)
    try:
        # After an interruption the last line may be incomplete; after a power failure, any line
        # may be damaged.
        value = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    length = value.get("bytes", 0)
    if type(length) is not int or not 0 <= length <= size - file.tell():
        return None
    return _Entry(value, file.read(length), file.tell())


def _shown(value: object) -> str:
    return (
        "not given" if value is None else safe_repr(value if isinstance(value, str) else str(value))
    )
