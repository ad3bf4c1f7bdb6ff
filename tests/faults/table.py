"""What comes of every fault: the table that the tests keep to, and the page made from it.

`python -m tests.faults.table > docs/faults.md` writes the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .faults import FAULTS

RETRIES = 2
RESULT = "the result"
NOTHING = "{}"


@dataclass(frozen=True)
class Cell:
    """What comes of one call.

    Attributes:
        outcome: The result, an empty dict, or the class of the exception.
        attempts: How many it took.
        unknown: The exception's `outcome_unknown`.
        done: Whether the repository is there that was to be created, or gone that was to be
            deleted.
        by_timing: What may come of it as well, where timing decides.
    """

    outcome: str
    attempts: int = 1
    unknown: bool = False
    done: bool = False
    by_timing: tuple[Cell, ...] = ()

    @property
    def allowed(self) -> tuple[Cell, ...]:
        """Whatever may come of the call."""
        return (replace(self, by_timing=()), *self.by_timing)


@dataclass(frozen=True)
class Row:
    """What comes of a fault that strikes one attempt, or every attempt."""

    get: Cell
    delete: Cell
    create: Cell

    def but(self, **cells: Cell) -> Row:
        """Return a row that differs in some cells."""
        return replace(self, **cells)


@dataclass(frozen=True)
class Entry:
    """What comes of a fault: struck once, and where it makes a difference, struck always."""

    once: Row
    always: Row | None = None


def _result(attempts: int = 1) -> Cell:
    return Cell(RESULT, attempts, done=True)


def _all(cell: Cell) -> Row:
    return Row(cell, cell, cell)


_GIVEN_UP = 1 + RETRIES
_FINE = Entry(_all(_result()))
_UNKNOWN = Cell("OutcomeUnknown", unknown=True)
_UNKNOWN_DONE = Cell("OutcomeUnknown", unknown=True, done=True)
# The replay of a delete that was carried out finds nothing: the typed delete counts it as done.
GONE_BEFORE = Cell("NotFound", 2, done=True)


def _no_connection(kind: str) -> Entry:
    """Not a byte was sent: everything is made again."""
    return Entry(_all(_result(2)), _all(Cell(kind, _GIVEN_UP)))


def _lost(kind: str) -> Entry:
    """Sent, nothing done, no answer."""
    return Entry(
        Row(_result(2), _result(2), _UNKNOWN),
        Row(Cell(kind, _GIVEN_UP), Cell(kind, _GIVEN_UP, unknown=True), _UNKNOWN),
    )


def _lost_answer(kind: str) -> Entry:
    """Done, and no answer."""
    return Entry(
        Row(_result(2), GONE_BEFORE, _UNKNOWN_DONE),
        Row(Cell(kind, _GIVEN_UP), Cell(kind, _GIVEN_UP, unknown=True, done=True), _UNKNOWN_DONE),
    )


def _lost_body(kind: str) -> Entry:
    """Done, and the answer's body is not whole; that of a replayed delete says 404 by its head."""
    return Entry(
        Row(_result(2), GONE_BEFORE, _UNKNOWN_DONE),
        Row(Cell(kind, _GIVEN_UP), GONE_BEFORE, _UNKNOWN_DONE),
    )


def _too_late(*, done: bool) -> Entry:
    """The deadline ends it: nothing is left for a replay."""
    late = Cell("Timeout", unknown=True, done=done)
    return Entry(
        Row(Cell("Timeout"), late, replace(late, outcome="OutcomeUnknown")),
    )


def _invalid(*, done: bool = True) -> Entry:
    """A success that is none: its error at once."""
    doubtful = Cell("InvalidResponse", unknown=True, done=done)
    return Entry(Row(Cell("InvalidResponse"), doubtful, doubtful))


def _refused(kind: str) -> Entry:
    """An error that another attempt would meet too."""
    return Entry(_all(Cell(kind)))


def _throttled() -> Entry:
    return Entry(_all(_result(2)), _all(Cell("TooManyRequests", _GIVEN_UP)))


def _passing(kind: str) -> Entry:
    """An error that another attempt may not meet; nothing was done."""
    return Entry(
        Row(_result(2), _result(2), Cell(kind, unknown=True)),
        Row(Cell(kind, _GIVEN_UP), Cell(kind, _GIVEN_UP, unknown=True), Cell(kind, unknown=True)),
    )


def _passing_done(kind: str) -> Entry:
    """An error that another attempt may not meet; a proxy made it after the work was done."""
    doubtful = Cell(kind, unknown=True, done=True)
    return Entry(
        Row(_result(2), GONE_BEFORE, doubtful),
        Row(Cell(kind, _GIVEN_UP), replace(doubtful, attempts=_GIVEN_UP), doubtful),
    )


def _server_error(kind: str) -> Entry:
    """An error of the server that is not worth another attempt."""
    return Entry(_all(Cell(kind, unknown=True)).but(get=Cell(kind)))


def _nothing() -> Entry:
    """A success without a body, which is enough for a delete."""
    return Entry(_invalid().once.but(delete=Cell(NOTHING, done=True)))


# Whether a byte was written before the reset came is a matter of timing, at each attempt anew: if
# none was, everything is made again; if one was, a create is not.
_UNSENT = Cell("TransportError", _GIVEN_UP)
_AT_ONCE = Entry(
    Row(_result(2), _result(2), replace(_UNKNOWN, by_timing=(_result(2),))),
    Row(
        _UNSENT,
        replace(_UNSENT, unknown=True, by_timing=(_UNSENT,)),
        replace(
            _UNKNOWN,
            by_timing=(
                *(replace(_UNKNOWN, attempts=number) for number in range(2, _GIVEN_UP + 1)),
                _UNSENT,
            ),
        ),
    ),
)

TABLE: Mapping[str, Mapping[str, Entry]] = {
    "No connection, or one that is lost": {
        "connection refused": _no_connection("TransportError"),
        "connection not accepted": _no_connection("Timeout"),
        "idle connection closed": _FINE,
        "idle connection reset": _FINE,
        "reset at accept": _AT_ONCE,
        "closed at accept": _lost("TransportError"),
        "reset before reading": _lost("TransportError"),
        "closed before reading": _lost("TransportError"),
        "reset before the work": _lost("TransportError"),
        "closed before the work": _lost("TransportError"),
        "reset after the work": _lost_answer("TransportError"),
        "closed after the work": _lost_answer("TransportError"),
        "reset in the headers": _lost_answer("TransportError"),
        "closed in the headers": _lost_answer("TransportError"),
        "reset after the headers": _lost_body("TransportError"),
        "closed after the headers": _lost_body("TransportError"),
        "reset in the body": _lost_body("TransportError"),
        "body cut short": _lost_body("TransportError"),
        "cut between chunks": _lost_body("TransportError"),
        "cut in a chunk": _lost_body("TransportError"),
        "cut without a length": _lost_body("TransportError"),
        "whole without a length": _FINE,
        "closed behind the answer": _FINE,
    },
    "Silence": {
        "no answer to nothing done": _lost("Timeout"),
        "no answer to work done": _lost_answer("Timeout"),
        "stalled in the headers": _lost_answer("Timeout"),
        "stalled in the body": _lost_body("Timeout"),
    },
    "Drips": {
        "headers drip": _too_late(done=True),
        "body drips": _too_late(done=True),
        "chunks drip": _too_late(done=True),
        "chunk size drips": _too_late(done=True),
        "error drips": _server_error("InternalServerError"),
        "endless 100 continue drips": _too_late(done=False),
        "endless 100 continue floods": _too_late(done=False),
    },
    "Heads": {
        "continued 100 once": _FINE,
        "early hints 103": _FINE,
        "unasked 101": _lost_answer("TransportError"),
        "endless headers": _lost_answer("TransportError"),
        "endless header line": _lost_answer("TransportError"),
        "bare line feeds": _FINE,
        "folded header": _FINE,
        "latin header": _FINE,
        "nul in a header": _lost_answer("TransportError"),
        "no status line": _lost_answer("TransportError"),
        "another protocol": _lost_answer("TransportError"),
        "two lengths": _lost_answer("TransportError"),
        "length that is no number": _lost_answer("TransportError"),
        "length beside chunks": _FINE,
        "chunk size that is no number": _lost_body("TransportError"),
    },
    "More than was asked for": {
        "length too small": _invalid(),
        "bytes behind the answer": _FINE,
        "second answer behind the first": _FINE,
        "second answer a moment later": _FINE,
        "large body": _invalid(),
        "gzip bomb": _invalid(),
    },
    "Gzip": {
        "gzip that is whole": _FINE,
        "gzip of two members": _FINE,
        "gzip cut short": _lost_body("TransportError"),
        "gzip without its end": _lost_body("TransportError"),
        "gzip of a wrong check sum": _lost_body("TransportError"),
        "gzip with garbage behind": _lost_body("TransportError"),
        "gzip that is none": _lost_body("TransportError"),
        "gzip of nothing": _lost_body("TransportError"),
        "gzip within gzip": _invalid(),
        "unasked brotli": _invalid(),
    },
    "Bodies": {
        "body is a list": _invalid(),
        "body is a string": _invalid(),
        "body is a number": _invalid(),
        "body is null": _invalid(),
        "body is empty": _nothing(),
        "body is unfinished": _invalid(),
        "body is deep": _invalid(),
        "body is a deep list": _invalid(),
        "number of 10000 digits": _invalid(),
        "number that is none": _FINE,
        "lone surrogate": _invalid(),
        "invalid utf8": _invalid(),
        "utf16": _invalid(),
        "byte order mark": _invalid(),
        "duplicate keys": _FINE,
        "json that says it is html": _FINE,
    },
    "Statuses": {
        "proxy page 200": _invalid(done=False),
        "proxy page 502": _passing("HttpError"),
        "status 204": _nothing(),
        "status 204 that says gzip": _nothing(),
        "status 304": _refused("HttpError"),
        "redirect to the same origin": _refused("HttpError"),
        "redirect to another origin": _refused("HttpError"),
        "redirect to nowhere": _refused("HttpError"),
        "redirect without a location": _refused("HttpError"),
        "status 400": _refused("BadRequest"),
        "broken gzip 400": _refused("BadRequest"),
        "body of a 400 cut short": _refused("BadRequest"),
        "status 401": _refused("Unauthorized"),
        "status 403": _refused("Forbidden"),
        "status 404": _refused("NotFound"),
        "status 405": _refused("MethodNotAllowed"),
        "status 408": _passing("HttpError"),
        "status 408 after the work": _passing_done("HttpError"),
        "status 409": _refused("Conflict"),
        "status 429": _throttled(),
        "status 429 with retry after": _throttled(),
        "status 429 with a long retry after": _refused("TooManyRequests"),
        "status 500": _passing("InternalServerError"),
        "status 501": _server_error("HttpError"),
        "status 502": _passing("HttpError"),
        "status 503": _passing("HttpError"),
        "status 503 with retry after": _passing("HttpError"),
        "status 503 after the work": _passing_done("HttpError"),
        "status 504": _passing("HttpError"),
        "status 504 after the work": _passing_done("HttpError"),
        "status 999": _server_error("HttpError"),
    },
}
ENTRIES = {name: entry for group in TABLE.values() for name, entry in group.items()}
assert ENTRIES.keys() == FAULTS.keys(), ENTRIES.keys() ^ FAULTS.keys()


@dataclass(frozen=True)
class InPart:
    """What holds for a handed-in client only in part.

    Attributes:
        note: The same for the reader.
        late: Whether sync calls go on after their deadline.
        next_call: Whether the next call gets its own answer, and how many attempts it takes.
        row: What comes of the fault, struck once, where that differs.
    """

    note: str = ""
    late: bool = False
    next_call: tuple[bool, int] = (True, 1)
    row: Row | None = None


_LATE = InPart(
    "**The deadline, in sync mode, before the body begins.** It is looked at between the pieces of"
    " a body. While a head or the lines around a chunk drip, only `timeout` ends the call, which"
    " begins anew with each byte. An async call ends at its deadline.",
    late=True,
)
_STRAY = InPart(
    "**Bytes behind an answer.** Whether the connection is used again is its owner's pool's"
    " business. It is, and the next call on it loses its first attempt: a GET or a DELETE is made"
    " again, a create is `OutcomeUnknown`.",
    next_call=(True, 2),
)
_TAKEN = InPart(
    "**A whole second answer that is read together with the first** is taken for the answer to the"
    " next call on that connection. Do not hand in a client where the server cannot be trusted with"
    " this.",
    next_call=(False, 1),
)
_UNREAD = InPart(
    "**A redirect whose Location is no URL.** httpx tries to read it, redirects followed or not,"
    " and gives no answer: it counts as lost.",
    row=_lost("TransportError").once,
)

HANDED_IN: Mapping[str, InPart] = {
    "headers drip": _LATE,
    "chunk size drips": _LATE,
    "endless 100 continue drips": _LATE,
    "endless 100 continue floods": _LATE,
    "length too small": _STRAY,
    "bytes behind the answer": _STRAY,
    "second answer behind the first": _TAKEN,
    "redirect to nowhere": _UNREAD,
}

_INTRODUCTION = f"""\
# What comes of every fault

Whatever happens on the wire, a call ends in one of two ways: with the right result, or with one
exception of this package that says what is known.

| what happens | GET | DELETE | create |
|---|---|---|---|
| not a byte was sent, or the answer is 429 | made again | made again | made again |
| sent, and no whole answer came | made again | made again | `OutcomeUnknown` |
| 408, 500, 502, 503, 504 | made again | made again | its error, unknown |
| any other status that is no success | its error | its error | its error |
| a success that is no JSON object | `InvalidResponse` | the same, unknown | the same, unknown |

"unknown" stands for `outcome_unknown` on the exception, and:

- **In time.** No call outlasts its `deadline`, whatever drips, stalls or floods.
- **A GET and a DELETE are made again** where another attempt may fare better: no connection, one
  that is lost, a time-out, a body cut short, and 408, 429, 500, 502, 503, 504. A create is made
  again only where it certainly was not carried out: not a byte of it was sent, or it was answered
  with 429.
- **`outcome_unknown`** on the exception says whether the registry may have changed all the same.
  A create that was sent and got no answer is `OutcomeUnknown`; `client.repositories.get_or_create`
  looks before and after, and makes at most one repository of a name, whatever strikes it.
- **A DELETE whose replay is told 404** after an attempt that may have been carried out was
  carried out: `client.repositories.delete` returns, and the raw `delete_repository` raises
  `NotFound` with `after_unknown_outcome`.
- **The next call** on the same client works, and gets its own answer.
- **Nothing of the HTTP library's** is raised, nor hangs on what is raised; `history` on the
  exception tells each attempt, its cause and the wait after it.

One thing nobody can tell: bytes that nobody asked for, if they come after the next request was
sent on that connection, look like its answer. What comes earlier is noticed, and the connection
closed.

A deadline bounds every step: the look-up of a name (in a thread that nobody waits for), each of a
name's addresses (tried side by side, as RFC 8305 has it), TLS, also within TLS to a proxy, and
each byte. An exception that a signal handler raises meanwhile, such as a job's own time limit,
comes out as it is: nothing is sent again.

The table below is what the tests keep to: each fault is made by a server on raw sockets, for all
five operations, sync and async, with `RetryPolicy(max_retries={RETRIES})`. Its columns: what
comes of a GET (`get_repositories`, `get_repository`, `get_repository_tags`), of a DELETE
(`delete_repository`) and of a create (`create_repository`), all of the raw client. *Once* the
fault strikes the first attempt alone, *lasting* it strikes every one. "unknown" stands for
`outcome_unknown`, "was done" for what the registry holds afterwards though no result came. (A
DELETE that was done and is told so by 404 is a success of the typed client.)
"""


def _text(cell: Cell) -> str:
    told = [cell.outcome if cell.outcome == RESULT else f"`{cell.outcome}`"]
    if cell.attempts > 1:
        told.append(f"{cell.attempts} attempts")
    if cell.unknown:
        told.append("unknown")
    if cell.done and cell.outcome not in (RESULT, NOTHING):
        told.append("was done")
    text = ", ".join(told)
    return "; or, by timing, ".join([text, *map(_text, cell.by_timing)])


def _column(entry: Entry, column: str) -> str:
    once = _text(getattr(entry.once, column))
    lasting = once if entry.always is None else _text(getattr(entry.always, column))
    return once if once == lasting else f"*once* {once}<br>*lasting* {lasting}"


def page() -> str:
    """Return `docs/faults.md`."""
    lines = [_INTRODUCTION]
    for group, entries in TABLE.items():
        lines += [f"## {group}", "", "| fault | on the wire | GET | DELETE | create |"]
        lines.append("|---|---|---|---|---|")
        for name, entry in entries.items():
            columns = [_column(entry, each) for each in ("get", "delete", "create")]
            lines.append("| " + " | ".join([name, FAULTS[name].wire, *columns]) + " |")
        lines.append("")
    lines += [
        "## Through a client handed in",
        "",
        "With `http_client=`, connections are the business of the client's owner. The table holds"
        " there too, but for this:",
        "",
    ]
    notes: dict[str, list[str]] = {}
    for name, limits in HANDED_IN.items():
        notes.setdefault(limits.note, []).append(name)
    lines += [f"- {note} (Tested with: {', '.join(names)}.)" for note, names in notes.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
