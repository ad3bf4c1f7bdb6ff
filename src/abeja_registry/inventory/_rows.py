"""An inventory's rows and repositories, and the files that hold them: JSON lines, CSV, Parquet.

A file has a row for each tag and, as a left join has, one for each repository without tags, whose
other columns are null. The column `kind` tells them apart. A file without this column, as the first
version of this package wrote, names only repositories with tags.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, TypeVar

from .._validation import MAX_INT64, safe_repr
from ..exceptions import InvalidArgument, InvalidFile
from ._csv import csv_records
from ._files import appearing, check_target, hold, release, remove

# Rows that a Parquet file's writer holds at a time.
ROW_GROUP = 20_000
# An order of magnitude over any row that the API could give.
_LONGEST_LINE = 20_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST = timedelta(hours=23, minutes=59)

FilePath = str | os.PathLike[str]
T = TypeVar("T")


class InventoryRow(NamedTuple):
    """One tag of an organization, with the repository that it is in.

    Attributes:
        repository_id: The repository's id.
        repository_name: The repository's name.
        tag: The tag's name.
        digest: The digest of the image's manifest.
        size: The image's size in bytes.
        media_type: The media type of the image's manifest.
        creator_email: The e-mail address of who pushed it.
        created_at: When the tag was first pushed.
        updated_at: When it was last pushed.
    """

    repository_id: str
    repository_name: str
    tag: str
    digest: str
    size: int
    media_type: str
    creator_email: str
    created_at: datetime
    updated_at: datetime

    def to_dict(self) -> dict[str, str | int]:
        """Return the row as JSON has it: by the columns' names, times in UTC, ending in Z.

        A further key, `kind`, is `tag`.
        """
        return {
            **self._asdict(),
            "created_at": _time_text(self.created_at),
            "updated_at": _time_text(self.updated_at),
            "kind": TAG,
        }

    @classmethod
    def _from(cls, values: object) -> Self:
        """Return the row of a JSON value; a ValueError says why it is none."""
        if not isinstance(values, dict):
            raise ValueError(f"it must be a JSON object, not {safe_repr(values)}")
        try:
            found: list[Any] = list(_columns(values))
        except KeyError as missing:
            raise ValueError(f"it has no {missing.args[0]!r}") from None
        if isinstance(size := found[_SIZE], float) and size.is_integer():
            # pandas makes floats of integers beside nulls.
            found[_SIZE] = int(size)
        types = list(map(type, found))
        if types != _TYPES:
            at = next(at for at, each in enumerate(types) if each is not _TYPES[at])
            kind = "an integer" if at == _SIZE else "a string"
            raise ValueError(f"{COLUMNS[at]} must be {kind}, not {safe_repr(found[at])}")
        size = found[_SIZE]
        if not -MAX_INT64 - 1 <= size <= MAX_INT64:
            raise ValueError(f"size must fit in 64 bits, unlike {safe_repr(size)}")
        found[-2:] = map(_time, COLUMNS[-2:], found[-2:])
        return cls(*found)


COLUMNS = InventoryRow._fields
# Of a file's rows, by the column `kind`.
TAG, REPOSITORY = "tag", "repository"
FILE_COLUMNS = (*COLUMNS, "kind")


class InventoryRepository(NamedTuple):
    """A repository of an organization, with or without tags.

    Attributes:
        id: The repository's id.
        name: The repository's name.
        tag_count: The number of its tags.
    """

    id: str
    name: str
    tag_count: int

    def to_dict(self) -> dict[str, str | None]:
        """Return the row that stands for the repository where it has no tags.

        It has the columns of `InventoryRow.to_dict`; those of the tag are None, and `kind` is
        `repository`.
        """
        return dict(zip(FILE_COLUMNS, _cells(self), strict=True))

    @classmethod
    def _from(cls, values: Mapping[str, Any]) -> Self:
        for column in COLUMNS[:2]:
            if not isinstance(values.get(column), str):
                raise ValueError(f"{column} must be a string, not {safe_repr(values.get(column))}")
        # A row of a tag that is marked wrongly must not be lost.
        for column in COLUMNS[2:]:
            if values.get(column) not in (None, ""):
                raise ValueError(f"{column} must be null where kind is {REPOSITORY!r}")
        return cls(values["repository_id"], values["repository_name"], 0)


Entry = InventoryRow | InventoryRepository


def _entry(values: object) -> Entry:
    """Return the row of a JSON value; a ValueError says why it is none."""
    kind = values.get("kind", TAG) if isinstance(values, dict) else TAG
    if kind == TAG:
        return InventoryRow._from(values)
    if isinstance(values, dict) and kind == REPOSITORY:
        return InventoryRepository._from(values)
    raise ValueError(f"kind must be {TAG!r} or {REPOSITORY!r}, not {safe_repr(kind)}")


def _cells(entry: Entry) -> tuple[Any, ...]:
    """Return the values of a file's row, in the order of its columns."""
    if isinstance(entry, InventoryRow):
        return (*entry, TAG)
    return (entry.id, entry.name, *[None] * (len(COLUMNS) - 2), REPOSITORY)


def with_empty(
    rows: Iterable[InventoryRow], repositories: Callable[[], Iterable[InventoryRepository]]
) -> Iterator[Entry]:
    """Return rows, and then the repositories that none of them is of.

    Args:
        rows: The rows.
        repositories: Called after the last row: all repositories.
    """
    with_rows: set[str] = set()
    for row in rows:
        with_rows.add(row.repository_id)
        yield row
    yield from (each for each in repositories() if each.id not in with_rows)


# As JSON has them.
_TYPES = [int if name == "size" else str for name in COLUMNS]
_SIZE = COLUMNS.index("size")
_columns = itemgetter(*COLUMNS)


def _time(name: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{name} must be a time such as 2024-01-31T12:00:00Z, not {safe_repr(text)}"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def in_utc(time: datetime) -> datetime:
    """Return the same time in UTC; on the calendar's first and last day maybe as it is."""
    with suppress(OverflowError):
        return time.astimezone(UTC)
    return time


def _time_text(time: datetime) -> str:
    return in_utc(time).isoformat().replace("+00:00", "Z")


def write_jsonl(path: Path, entries: Iterable[Entry]) -> int:
    """Write a file of a JSON object a line; return the number of tags."""
    count = 0
    with appearing(path) as file:
        for entry in entries:
            file.write(_json_line(entry.to_dict()))
            count += isinstance(entry, InventoryRow)
        if not file.tell():
            # A blank line tells an organization without repositories from a file of the first
            # version, which was empty where there were no tags.
            file.write(b"\n")
    return count


def write_csv(path: Path, entries: Iterable[Entry]) -> int:
    """Write a file of comma-separated values, the columns' names first; return how many tags."""
    count = 0
    with appearing(path) as file:
        # csv writes text: of each row it is told to write, the bytes.
        # Unquoted, a carriage return in a text would end the line.
        encoded = _Encoded(file)
        writer = csv.writer(encoded, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(FILE_COLUMNS)
        for entry in entries:
            if isinstance(entry, InventoryRow):
                writer.writerow(entry.to_dict().values())
                count += 1
            else:
                # csv quotes what is null, and a quoted empty field is a text to some readers.
                encoded.write(",".join(map(_quoted, _cells(entry))) + "\n")
    return count


class _Encoded:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())


def _quoted(text: str | None) -> str:
    return "" if text is None else '"' + text.replace('"', '""') + '"'


def write_parquet(path: Path, entries: Iterable[Entry]) -> int:
    """Write a Parquet file, a row group at a time; return the number of tags."""
    arrow, parquet = arrow_modules()
    schema = _schema(arrow)
    count, left = 0, iter(entries)
    with appearing(path) as file, parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(left, ROW_GROUP)):
            columns = [list(column) for column in zip(*map(_cells, group), strict=True)]
            writer.write_table(arrow.table(columns, schema=schema))
            count += sum(isinstance(entry, InventoryRow) for entry in group)
    return count


def _schema(arrow: Any) -> Any:
    time = arrow.timestamp("us", tz="UTC")
    types = {"size": arrow.int64(), "created_at": time, "updated_at": time}
    return arrow.schema([(name, types.get(name, arrow.string())) for name in FILE_COLUMNS])


def arrow_modules() -> tuple[Any, Any]:
    """Return pyarrow and its room for Parquet, or say how to install them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            "Parquet files need the package pyarrow: pip install 'abeja-registry[arrow]'"
        ) from None
    return pyarrow, pyarrow.parquet


class FileRows(Iterator[InventoryRow]):
    """The rows of a file, one at a time: see `read_rows`.

    Args:
        path: The file.
        included: Whether to return the rows of the repository with this name. Defaults to all.
    """

    def __init__(self, path: FilePath, included: Callable[[str], bool] | None = None) -> None:
        path = Path(path)
        read = _READERS.get(path.suffix.lower())
        if read is None:
            raise InvalidArgument(
                f"path must end in {', '.join(_READERS)}, unlike {safe_repr(str(path))}"
            )
        self._included = included
        self._repositories: tuple[InventoryRepository, ...] | None = None
        self._rows = self._read(read(path))

    @property
    def repositories(self) -> tuple[InventoryRepository, ...] | None:
        """The repositories, once the last row was read; those without tags are among them.

        None before, and where the file has no column `kind`: it does not name all of them.
        """
        return self._repositories

    def __next__(self) -> InventoryRow:
        return next(self._rows)

    def _read(self, entries: Generator[Entry, None, bool]) -> Iterator[InventoryRow]:
        counts: dict[tuple[str, str], int] = {}
        while True:
            try:
                entry = next(entries)
            except StopIteration as end:
                if end.value:
                    self._repositories = tuple(
                        InventoryRepository(*key, count) for key, count in counts.items()
                    )
                return
            key = entry[:2]
            if self._included is not None and not self._included(key[1]):
                continue
            if isinstance(entry, InventoryRow):
                counts[key] = counts.get(key, 0) + 1
                yield entry
            else:
                counts.setdefault(key, 0)


def read_rows(path: FilePath) -> FileRows:
    """Return the rows of a file that an inventory was written to, one at a time.

    Args:
        path: The file; its suffix says what it is: `.jsonl`, `.csv` or `.parquet`.

    Returns:
        An iterator over the rows of tags. Its `repositories` are those of the file, once the last
        row was read, or None where the file has no column `kind` and so names only repositories
        with tags.

    Raises:
        InvalidArgument: The suffix is none of these, in capitals or not.
        InvalidFile: The file is not an inventory's; it names the line where there are lines.
        ImportError: It is a Parquet file, and the extra `arrow` is not installed.
        OSError: The file cannot be read.
    """
    return FileRows(path)


# Each reader returns, at its end, whether the file names repositories without tags too.


def _read_jsonl(path: Path) -> Generator[Entry, None, bool]:
    lines = kinds = number = 0
    with path.open("rb") as file:
        # Bounded, so that a file without line feeds is not read whole.
        for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE), b""), 1):
            if not line.isspace():
                has_kind, entry = _row(path, number, partial(_parsed, line))
                lines += 1
                kinds += has_kind
                yield entry
    return number > 0 and lines == kinds


def _parsed(line: bytes) -> tuple[bool, Entry]:
    """Return whether a line says what kind of row it is, and the row."""
    try:
        value = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        # A number of over 4,300 digits; lists within lists.
        raise ValueError(f"it cannot be read: {error}") from None
    return isinstance(value, dict) and "kind" in value, _entry(value)


def _read_csv(path: Path) -> Generator[Entry, None, bool]:
    # Spreadsheets put a byte order mark first.
    with path.open(encoding="utf-8-sig", newline="") as file:
        number = 0
        try:
            records = csv_records(file)
            number, names = next(records, (0, []))
            if missing := set(COLUMNS) - set(names):
                raise _no_inventory(path, f"it has no column {min(missing)!r}")
            for number, values in records:
                if values:
                    yield _row(path, number, partial(_of_csv, names, values))
            return "kind" in names
        except csv.Error as error:
            raise _no_row(path, number + 1, error) from None
        except UnicodeDecodeError:
            raise _no_row(path, _first_not_utf8(path), "it is no UTF-8") from None


def _of_csv(names: list[str], values: list[str]) -> Entry:
    if len(values) != len(names):
        more = "more" if len(values) > len(names) else "fewer"
        raise ValueError(f"it has {more} values than there are columns")
    line = dict(zip(names, values, strict=True))
    if line.get("kind", TAG) != TAG:
        return _entry(line)
    # int() takes blanks, underscores and the digits of any script.
    if not re.fullmatch(r"-?[0-9]{1,20}(\.0)?", line["size"]):
        raise ValueError(f"size must be an integer, not {safe_repr(line['size'])}")
    return _entry({**line, "size": int(line["size"].removesuffix(".0"))})


def _first_not_utf8(path: Path) -> int:
    """Return the number of a line: a text file is decoded many lines at a time."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1  # pragma: no cover - the file has changed meanwhile


def _row(path: Path, number: int, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise _no_row(path, number, error) from None


def _no_row(path: Path, number: int, problem: object) -> InvalidFile:
    return InvalidFile(
        f"line {number} of {path} is no row of an inventory: {problem}", str(path), number
    )


def _no_inventory(path: Path, problem: object) -> InvalidFile:
    # Of Arrow's messages some have several lines.
    said = " ".join(str(problem).split())
    return InvalidFile(f"{path} is no inventory: {said}", str(path))


def _read_parquet(path: Path) -> Generator[Entry, None, bool]:
    arrow, parquet = arrow_modules()
    with path.open("rb") as opened:
        try:
            file = parquet.ParquetFile(opened)
            names = file.schema_arrow.names
            if missing := set(COLUMNS) - set(names):
                raise ValueError(f"it has no column {min(missing)!r}")
            read = [name for name in FILE_COLUMNS if name in names]
            fields = list(_schema(arrow))[: len(COLUMNS)]
            for group in file.iter_batches(columns=read, batch_size=ROW_GROUP):
                tags, repositories = _by_kind(arrow, group) if "kind" in names else (group, None)
                columns = [_of_arrow(arrow, tags, field) for field in fields]
                yield from map(InventoryRow._make, zip(*columns, strict=True))
                if repositories is not None:
                    for field in fields[2:]:
                        if repositories.column(field.name).null_count < repositories.num_rows:
                            raise ValueError(
                                f"{field.name} must be null where kind is 'repository'"
                            )
                    columns = [_of_arrow(arrow, repositories, field) for field in fields[:2]]
                    for id_, name in zip(*columns, strict=True):
                        yield InventoryRepository(id_, name, 0)
            return "kind" in names
        except (arrow.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise _no_inventory(path, error) from None
        except OSError as error:
            # Arrow's own word for damaged bytes, which has no number; the system's has one.
            if error.errno is not None:
                raise
            raise _no_inventory(path, error) from None


def _by_kind(arrow: Any, group: Any) -> tuple[Any, Any]:
    """Return the rows of tags, and those of repositories without tags."""
    kinds = group.column("kind").to_pylist()
    if unknown := set(kinds) - {TAG, REPOSITORY}:
        raise ValueError(f"kind must be {TAG!r} or {REPOSITORY!r}, not {safe_repr(unknown.pop())}")
    return tuple(
        group.filter(arrow.array([kind == each for kind in kinds], arrow.bool_()))
        for each in (TAG, REPOSITORY)
    )


def _of_arrow(arrow: Any, group: Any, field: Any) -> Iterable[Any]:
    column = group.column(field.name)
    if column.null_count:
        raise ValueError(f"{field.name} is missing in a row")
    try:
        column = column.cast(field.type)
    except arrow.ArrowException as error:
        raise ValueError(f"{field.name} is no {field.type}: {error}") from None
    if arrow.types.is_timestamp(field.type):
        return map(_since_epoch, column.cast(arrow.int64()).to_pylist())
    return column.to_pylist()  # type: ignore[no-any-return]


def _since_epoch(microseconds: int) -> datetime:
    since = timedelta(microseconds=microseconds)
    try:
        return _EPOCH + since
    except OverflowError:
        # Just off the calendar in UTC: in a zone that is ahead or behind it is on it.
        offset = -_FARTHEST if microseconds > 0 else _FARTHEST
        return _EPOCH.replace(tzinfo=timezone(offset)) + (since + offset)


_READERS: Mapping[str, Callable[[Path], Generator[Entry, None, bool]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


class Journal:
    """What a walk to a file has found so far, in a file of its own beside the target.

    A line for each row, and a line for each repository of which all rows are there, with its name
    and the number of its tags: only those count. The first line says what is walked through. A walk
    that goes on begins with this line again: of what it is through with, rows that an earlier walk
    had found don't count.

    Args:
        target: The file that is made of it in the end.
        walked: What is walked through, as JSON has it.
        resume: Whether to go on with what is there.

    Raises:
        InvalidFile: What is there is of another walk.
        OSError: It cannot be written, or another walk is at it.
    """

    def __init__(self, target: Path, walked: Mapping[str, str], *, resume: bool) -> None:
        self._target = target
        # Tells this walk's first line from those of others.
        self._run = secrets.token_hex(8)
        # The repositories of which all rows are there, and the number of the walk that has them.
        self._finished: dict[str, InventoryRepository] = {}
        self._walk_of: dict[str, int] = {}
        self._walks = 0
        # It holds what the target will hold: who may not read the one may not read the other.
        self._file, self._path = hold(target, ".partial.jsonl", check_target(target))
        try:
            self._file.truncate(self._taken_over(walked) if resume else 0)
            self._walks += 1
            self._file.write(_json_line({"walked": walked, "run": self._run}))
            # Buffered, it would be written by each process that is forked, too.
            self._file.flush()
        except BaseException:
            self.close()
            raise

    def _taken_over(self, walked: Mapping[str, str]) -> int:
        """Take note of what is finished there; return the length of what is whole."""
        whole = 0
        rows: dict[str, InventoryRepository] = {}
        for line, end in self._lines():
            if "walked" in line or not self._walks:
                self._check(line.get("walked"), walked)
                self._walks += 1
                rows.clear()
            elif isinstance(id_ := line.get("finished"), str):
                name, tags = line.get("name"), line.get("tags")
                if isinstance(name, str) and isinstance(tags, int):
                    self._finish(InventoryRepository(id_, name, tags))
                elif id_ in rows:
                    # The first version wrote the id alone. Without rows the name is unknown: the
                    # repository is requested again.
                    self._finish(rows[id_])
            elif isinstance(id_ := line.get("repository_id"), str):
                count = rows[id_].tag_count + 1 if id_ in rows else 1
                rows[id_] = InventoryRepository(id_, str(line.get("repository_name")), count)
            whole = end
        return whole

    def _finish(self, repository: InventoryRepository) -> None:
        self._finished[repository.id] = repository
        self._walk_of[repository.id] = self._walks

    def _check(self, there: object, walked: Mapping[str, str]) -> None:
        if there != walked:
            raise InvalidFile(
                f"{self._path} is of another walk, {safe_repr(str(there))}, and not of"
                f" {safe_repr(str(dict(walked)))}: pass resume=False to begin anew",
                str(self._path),
            )

    def _lines(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Return each line that is whole, and where it ends."""
        end = 0
        with self._path.open("rb") as file:
            for line in file:
                # The last one may have been cut; after a power cut others may be damaged.
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
        """The repositories of which all rows are there, by their ids."""
        return self._finished

    def add(self, rows: Iterable[InventoryRow], finished: Iterable[InventoryRepository]) -> None:
        """Take note of rows, and then of repositories of which these are the last."""
        self._file.writelines(_json_line(row.to_dict()) for row in rows)
        for each in finished:
            self._finish(each)
            line = {"finished": each.id, "name": each.name, "tags": each.tag_count}
            self._file.write(_json_line(line))
            self._file.flush()

    def entries(self) -> Iterator[Entry]:
        """Return the rows of the repositories that are finished, and those that have none.

        Raises:
            OSError: Another walk has written to it, where files have no locks.
        """
        return with_empty(self._rows(), self._finished.values)

    def _rows(self) -> Iterator[InventoryRow]:
        self._file.flush()
        walk = end = 0
        run = None
        for line, line_end in self._lines():
            end = line_end
            if "walked" in line:
                walk += 1
                run = line.get("run")
            elif self._walk_of.get(line.get("repository_id", "")) == walk:
                yield InventoryRow._from(line)
        if run != self._run or end != self._path.stat().st_size:
            reason = f"another walk has written to {self._path.name} beside it"
            raise OSError(errno.EBUSY, reason, str(self._target))

    def close(self) -> None:
        """Keep what is there for another walk."""
        # Rows that cannot be written any more are none of a repository that is finished.
        release(self._file, self._path)

    def remove(self) -> None:
        """Remove it: the file is there."""
        remove(self._file, self._path)


def _json_line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
