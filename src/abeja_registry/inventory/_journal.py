"""The journal of an inventory that is written to a file: its rows so far, to resume from."""

from __future__ import annotations

import errno
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .._validation import safe_repr
from ..exceptions import InvalidFile
from ._files import check_target, open_locked, release, remove
from ._jsonl import json_line
from ._rows import Entry, InventoryRepository, InventoryRow, parse_row, with_empty

# The key of a first line, as the first version wrote it.
_SOURCE = "walked"
# Ends the message of a journal that cannot be resumed.
START_AGAIN = "; pass resume=False to start again"


class Journal:
    """The rows of an inventory so far, in a separate file beside the target.

    A line for each row, and a line for each repository that is finished, with its name and the
    number of its tags: only finished repositories count. The first line names the inventory's
    source. A resumed inventory begins with this line again, and rows of a repository count only
    from the run that finished it.

    Args:
        target: The file that is written in the end.
        source: The inventory's source, as JSON.
        resume: Whether to keep the repositories that an earlier run has finished.

    Raises:
        InvalidFile: The journal has another source.
        OSError: It cannot be written, or another inventory writes to it.
    """

    def __init__(self, target: Path, source: Mapping[str, object], *, resume: bool) -> None:
        self._target = target
        # Marks this run's first line among those of other runs.
        self._run = secrets.token_hex(8)
        # The finished repositories, and for each the number of the run that has its rows.
        self._finished: dict[str, InventoryRepository] = {}
        self._run_of: dict[str, int] = {}
        self._runs = 0
        # With the target's mode: a user who may not read the target may not read its rows here.
        self._file, self._path = open_locked(target, ".partial.jsonl", check_target(target))
        try:
            self._file.truncate(self._load(source) if resume else 0)
            self._runs += 1
            self._file.write(json_line({_SOURCE: source, "run": self._run}))
            # After fork() each child process would write the bytes left in the buffer.
            self._file.flush()
        except BaseException:
            self.close()
            raise

    def _load(self, source: Mapping[str, object]) -> int:
        """Record the repositories that are finished; return the length of the complete lines."""
        length = 0
        rows: dict[str, InventoryRepository] = {}
        for line, end in self._lines():
            if _SOURCE in line or not self._runs:
                self._check(line.get(_SOURCE), source)
                self._runs += 1
                rows.clear()
            elif isinstance(id_ := line.get("finished"), str):
                name, tags = line.get("name"), line.get("tags")
                if isinstance(name, str) and isinstance(tags, int):
                    self._finish(InventoryRepository(id_, name, tags))
                elif id_ in rows:
                    # The first version wrote only the id. Without rows the name is unknown, and the
                    # repository is requested again.
                    self._finish(rows[id_])
            elif isinstance(id_ := line.get("repository_id"), str):
                count = rows[id_].tag_count + 1 if id_ in rows else 1
                rows[id_] = InventoryRepository(id_, str(line.get("repository_name")), count)
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

    def _lines(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield each complete line, and where it ends."""
        end = 0
        with self._path.open("rb") as file:
            for line in file:
                # The last line may be incomplete; after a power failure others may be damaged.
                try:
                    value = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    value = None
                if not isinstance(value, dict):
                    return
                end += len(line)
                yield value, end

    @property
    def finished(self) -> Mapping[str, InventoryRepository]:
        """The finished repositories, by their ids."""
        return self._finished

    def add(self, rows: Iterable[InventoryRow], finished: Iterable[InventoryRepository]) -> None:
        """Record rows, and then the repositories that they finish."""
        self._file.writelines(json_line(row.to_dict()) for row in rows)
        for each in finished:
            self._finish(each)
            line = {"finished": each.id, "name": each.name, "tags": each.tag_count}
            self._file.write(json_line(line))
            self._file.flush()

    def entries(self) -> Iterator[Entry]:
        """Return the rows of the finished repositories, and those of them that have no tags.

        Raises:
            OSError: Another inventory has written to the journal, where files have no locks.
        """
        return with_empty(self._rows(), self._finished.values)

    def _rows(self) -> Iterator[InventoryRow]:
        self._file.flush()
        number = end = 0
        run = None
        for line, line_end in self._lines():
            end = line_end
            if _SOURCE in line:
                number += 1
                run = line.get("run")
            elif self._run_of.get(line.get("repository_id", "")) == number:
                yield parse_row(line)
        if run != self._run or end != self._path.stat().st_size:
            reason = f"another inventory has written to {self._path.name} beside it"
            raise OSError(errno.EBUSY, reason, str(self._target))

    def close(self) -> None:
        """Close the file, and keep its rows for a resumed inventory."""
        # Rows left in the buffer belong to no finished repository.
        release(self._file, self._path)

    def remove(self) -> None:
        """Remove the file, once the target is written."""
        remove(self._file, self._path)


def _shown(value: object) -> str:
    return (
        "not given" if value is None else safe_repr(value if isinstance(value, str) else str(value))
    )
