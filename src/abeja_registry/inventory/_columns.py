"""Tags as Arrow record batches, which pyarrow makes: the columns of `InventoryRow`.

A page becomes columns without a model for each row where its values have the API's usual types. Any
other page is parsed by the models first, so that both forms accept and refuse the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING, Any

from .._api.responses import ApiResult
from .._page_rows import rows_key
from .._parsing import ParseContext, Problem, read
from ..exceptions import InvalidResponse
from ..models import Creator, Tag
from ..tags._collection import TAG_PAGES
from ._rows import COLUMNS, InventoryRow
from ._tasks import FetchedPage, RepositoryRef, TagColumns

if TYPE_CHECKING:
    from pyarrow import RecordBatch as RecordBatch
    from pyarrow import Schema
else:
    # Tools evaluate annotations, also where pyarrow is not installed.
    RecordBatch = Schema = Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_OFFSET = timedelta(hours=23, minutes=59)
# The columns whose values repeat.
REPEATED = ("repository_id", "repository_name", "media_type", "creator_email")
# Rows of a combined record batch, at least: an engine spends some time on each batch.
_BATCH_ROWS = 10_000
# The keys of a tag that become columns as they are, and the two times.
_VALUES, _TIMES = ("name", "digest", "size", "media_type"), ("created_at", "updated_at")
# The lengths of times that end in Z, without and with a fraction of a second. pyarrow and pydantic
# parse these alike; other texts are left to pydantic.
_TIME_LENGTHS = {20, *range(22, 28)}


def arrow_module() -> Any:
    """Return pyarrow.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError:
        raise ImportError(
            "Parquet files and record batches need the package pyarrow; install it with:"
            " pip install 'abeja-registry[arrow]'"
        ) from None
    return pyarrow


def memory_pool() -> Any:
    """Return the pool of what is soon released.

    The default one returns memory to the kernel, which clears it again for the next page.
    """
    return arrow_module().system_memory_pool()


@cache
def schema() -> Schema:
    """Return the columns of a record batch: those of `InventoryRow`, with times in UTC."""
    arrow = arrow_module()
    types = {
        "size": arrow.int64(),
        "created_at": _time_type(),
        "updated_at": _time_type(),
    }
    return arrow.schema([(name, types.get(name, arrow.string())) for name in COLUMNS])


def arrow_stream(batches: Iterator[Any], requested_schema: object) -> object:
    """Return record batches as a stream of Arrow's C interface, in a PyCapsule."""
    reader = arrow_module().RecordBatchReader.from_batches(schema(), batches)
    return reader.__arrow_c_stream__(requested_schema)


def as_dictionary(column: Any) -> Any:
    """Return a column as a dictionary of its values."""
    is_dictionary = arrow_module().types.is_dictionary(column.type)
    return column if is_dictionary else column.dictionary_encode()


@cache
def _time_type() -> Any:
    return arrow_module().timestamp("us", tz="UTC")


@cache
def _values_type() -> Any:
    arrow = arrow_module()
    types = {"size": arrow.int64()}
    return arrow.struct([(key, types.get(key, arrow.string())) for key in (*_VALUES, *_TIMES)])


def read_columns(repository: RepositoryRef, offset: int, result: ApiResult) -> FetchedPage | None:
    """Return a page of tags in columns, or None if one of its values has an unusual type."""
    key = rows_key(Tag, result.body)
    rows = result.body.get(key)
    if not isinstance(rows, list) or not rows:
        return None
    page: Any = read(TAG_PAGES.page, {**result.body, key: []}, ParseContext(None))
    if isinstance(page, Problem):
        return None
    arrow = arrow_module()
    pool = memory_pool()
    try:
        ids = [row["id"] for row in rows]
        # pyarrow would round a float.
        if not ({*map(type, ids)} <= {str, int} and {type(row["size"]) for row in rows} == {int}):
            return None
        emails = _emails(row["creator"] for row in rows)
        # Without a struct it would be a call for each column, each of which takes a while.
        columns = arrow.array(rows, type=_values_type(), memory_pool=pool).flatten(pool)
        if emails is None or any(column.null_count for column in columns):
            return None
        *values, created, updated = columns
        if not (_usual_times(created) and _usual_times(updated)):
            return None
        batch = arrow.record_batch(
            [
                arrow.repeat(repository.id, len(rows), pool),
                arrow.repeat(repository.name, len(rows), pool),
                *values,
                arrow.array(emails, arrow.string(), memory_pool=pool),
                created.cast(_time_type(), memory_pool=pool),
                updated.cast(_time_type(), memory_pool=pool),
            ],
            schema=schema(),
        )
    except (KeyError, TypeError, OverflowError, arrow.ArrowException):
        # A value is missing, has another type, or is too large.
        return None
    return FetchedPage(offset, list(map(str, ids)), page.has_next, TagColumns(batch))


def _usual_times(texts: Any) -> bool:
    """Whether all texts of a column are times in the usual form."""
    compute = arrow_module().compute
    return (
        set(compute.binary_length(texts).unique().to_pylist()) <= _TIME_LENGTHS
        and compute.all(compute.ends_with(texts, "Z")).as_py()
        # pyarrow knows a year 0.
        and compute.min_max(texts).as_py()["min"] >= "0001"
    )


def columns_of_rows(rows: Sequence[InventoryRow | InvalidResponse]) -> TagColumns:
    """Return the columns of a page's rows; a skipped row is its error."""
    skipped = {at: row for at, row in enumerate(rows) if isinstance(row, InvalidResponse)}
    kept = [None if isinstance(row, InvalidResponse) else row for row in rows]
    return TagColumns(batch_of_rows(kept), skipped)


def _emails(creators: Iterable[Any]) -> list[str] | None:
    """Return the creators' e-mail addresses, or None if a creator is invalid."""
    emails: list[str] = []
    known: dict[Any, tuple[Any, str]] = {}
    # Most tags of a page have the same few creators, and many the same one as the tag before.
    last, email = None, ""
    for row in creators:
        if row != last or last is None:
            key = row.get("id") if isinstance(row, dict) else None
            if type(key) is not str:
                return None
            earlier = known.get(key)
            if earlier is None or earlier[0] != row:
                creator = read(Creator, row, ParseContext(None))
                if isinstance(creator, Problem):
                    return None
                earlier = known[key] = row, creator.email
            last, email = earlier
        emails.append(email)
    return emails


def batch_of_rows(rows: Sequence[InventoryRow | None]) -> Any:
    """Return a record batch of rows; a row that is None is null."""
    arrow = arrow_module()
    nulls = (None,) * len(COLUMNS)
    values = [nulls if row is None else row for row in rows]
    columns = zip(*values, strict=True) if values else [()] * len(COLUMNS)
    arrays = [
        arrow.array(column, field.type) for column, field in zip(columns, schema(), strict=True)
    ]
    return arrow.record_batch(arrays, schema=schema())


def rows_of_table(table: Any) -> Iterator[InventoryRow]:
    """Return the rows of a table or a record batch with the columns of `InventoryRow`."""
    arrow = arrow_module()
    *texts, created, updated = (table.column(name) for name in COLUMNS)
    values = [column.to_pylist() for column in texts]
    times = [map(since_epoch, each.cast(arrow.int64()).to_pylist()) for each in (created, updated)]
    return map(InventoryRow._make, zip(*values, *times, strict=True))


def since_epoch(microseconds: int) -> datetime:
    """Return a time in UTC, or in another zone if it is beyond the calendar in UTC."""
    since = timedelta(microseconds=microseconds)
    try:
        return _EPOCH + since
    except OverflowError:
        # Beyond the calendar in UTC, but not in a time zone ahead of or behind it.
        offset = -_MAX_OFFSET if microseconds > 0 else _MAX_OFFSET
        return _EPOCH.replace(tzinfo=timezone(offset)) + (since + offset)


def to_microseconds(time: datetime) -> int:
    """Return the microseconds of a time since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)


class BatchBuffer:
    """Combines small record batches, such as those of pages, into larger ones."""

    def __init__(self, rows: int = _BATCH_ROWS) -> None:
        self._least = rows
        self._batches: list[Any] = []
        self._rows = 0

    def add(self, columns: Iterable[TagColumns]) -> Iterator[Any]:
        """Record columns, and yield a combined batch if there are enough rows."""
        for each in columns:
            self._batches.append(each.batch)
            self._rows += len(each)
        if self._rows >= self._least:
            yield from self.rest()

    def rest(self) -> Iterator[Any]:
        """Yield what is left."""
        batches, self._batches, self._rows = self._batches, [], 0
        if batches:
            yield from arrow_module().Table.from_batches(batches).combine_chunks().to_batches()
