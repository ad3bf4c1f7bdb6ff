"""Reading CSV with fields of any reasonable length, without the `csv` module's global limit.

`csv.field_size_limit` belongs to the whole process: another library may need it as it is, or
change it at any time from any thread. So this module never sets it. `csv.reader` parses each
record; one that it refuses is parsed again in Python, by the same rules. A record that the end
of the file cuts off within quotes is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain

# An order of magnitude over any row that the API could give.
LONGEST_FIELD = 10_000_000


def csv_records(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each record of a CSV file, with the number of its last line.

    Args:
        lines: The file's lines with their ends, from a file opened with `newline=""`.

    Raises:
        csv.Error: A field is longer than `LONGEST_FIELD`, or the file ends within quotes.
    """
    number = 0
    # The lines of the record that `csv.reader` is at: it reads no line ahead.
    record: list[str] = []

    def recorded() -> Iterator[str]:
        nonlocal number
        for line in lines:
            number += 1
            record.append(line)
            yield line

    source = recorded()
    # Strict, so that it refuses a value that the end of the file cuts off.
    reader = csv.reader(source, strict=True)
    while True:
        record.clear()
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            values = _parse(record[:], source)
        yield number, values


def _parse(begun: list[str], source: Iterator[str]) -> list[str]:
    """Parse one record as `csv.reader` does with its default dialect.

    Args:
        begun: The lines of the record that are read already.
        source: The lines after these.
    """
    values: list[str] = []
    field: list[str] = []
    length, quoted, starts = 0, False, True
    for line in chain(begun, source):
        at, end = 0, len(line.rstrip("\r\n"))
        while True:
            if starts and line.startswith('"', at):
                quoted, starts, at = True, False, at + 1
            # Quotes count at the start of a field alone; after their end the rest is plain text.
            stop = line.find('"' if quoted else ",", at)
            part = line[at : len(line) if quoted else end] if stop < 0 else line[at:stop]
            length += len(part)
            if length > LONGEST_FIELD:
                raise csv.Error(f"field larger than {LONGEST_FIELD:,} characters")
            field.append(part)
            if stop < 0:
                break
            at = stop + 1
            if not quoted:
                values.append("".join(field))
                field, length, starts = [], 0, True
            elif line.startswith('"', at):
                field.append('"')
                at += 1
            else:
                quoted = False
        if not quoted:
            break
    else:
        raise csv.Error("the file ends within a quoted value")
    values.append("".join(field))
    return values
