"""The result of a call for every fault: the table that the tests check, and the page made from it.

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
    """The outcome of one call.

    Attributes:
        outcome: The result, an empty dict, or the class of the exception.
        attempts: The number of attempts.
        unknown: The exception's `outcome_unknown`.
        done: Whether the create or the delete was carried out.
        by_timing: Other possible outcomes, where timing decides.
    """

    outcome: str
    attempts: int = 1
    unknown: bool = False
    done: bool = False
    by_timing: tuple[Cell, ...] = ()

    @property
    def allowed(self) -> tuple[Cell, ...]:
        """All possible outcomes."""
        return (replace(self, by_timing=()), *self.by_timing)


@dataclass(frozen=True)
class Row:
    """The outcome of each kind of call."""

    get: Cell
    delete: Cell
    create: Cell

    def replace(self, **cells: Cell) -> Row:
        """Return a row with other cells."""
        return replace(self, **cells)


@dataclass(frozen=True)
class Entry:
    """The outcomes of a fault at the first attempt; and, if they differ, at every attempt."""

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
# The retry of a carried-out delete gets 404; for the typed client, that is a success.
GONE_BEFORE = Cell("NotFound", 2, done=True)


def _no_connection(kind: str) -> Entry:
    """No byte was sent: every call is retried."""
    return Entry(_all(_result(2)), _all(Cell(kind, _GIVEN_UP)))


def _lost(kind: str) -> Entry:
    """The request was sent but not carried out, and there is no response."""
    return Entry(
        Row(_result(2), _result(2), _UNKNOWN),
        Row(Cell(kind, _GIVEN_UP), Cell(kind, _GIVEN_UP, unknown=True), _UNKNOWN),
    )


def _lost_response(kind: str) -> Entry:
    """The request was carried out, and there is no response."""
    return Entry(
        Row(_result(2), GONE_BEFORE, _UNKNOWN_DONE),
        Row(Cell(kind, _GIVEN_UP), Cell(kind, _GIVEN_UP, unknown=True, done=True), _UNKNOWN_DONE),
    )


def _lost_body(kind: str) -> Entry:
    """The request was carried out, and the body is incomplete; a retried delete gets 404."""
    return Entry(
        Row(_result(2), GONE_BEFORE, _UNKNOWN_DONE),
        Row(Cell(kind, _GIVEN_UP), GONE_BEFORE, _UNKNOWN_DONE),
    )


def _too_late(*, done: bool) -> Entry:
    """The deadline ends the call, so there is no retry."""
    delete = Cell("Timeout", unknown=True, done=done)
    return Entry(Row(Cell("Timeout"), delete, replace(delete, outcome="OutcomeUnknown")))


def _invalid(*, done: bool = True) -> Entry:
    """A 2xx response that is not a JSON object: an error without a retry."""
    doubtful = Cell("InvalidResponse", unknown=True, done=done)
    return Entry(Row(Cell("InvalidResponse"), doubtful, doubtful))


def _refused(kind: str) -> Entry:
    """An error that a retry would meet again."""
    return Entry(_all(Cell(kind)))


def _throttled() -> Entry:
    return Entry(_all(_result(2)), _all(Cell("TooManyRequests", _GIVEN_UP)))


def _transient(kind: str) -> Entry:
    """A transient error; the request was not carried out."""
    return Entry(
        Row(_result(2), _result(2), Cell(kind, unknown=True)),
        Row(Cell(kind, _GIVEN_UP), Cell(kind, _GIVEN_UP, unknown=True), Cell(kind, unknown=True)),
    )


def _transient_done(kind: str) -> Entry:
    """A transient error from a proxy, after the request was carried out."""
    doubtful = Cell(kind, unknown=True, done=True)
    return Entry(
        Row(_result(2), GONE_BEFORE, doubtful),
        Row(Cell(kind, _GIVEN_UP), replace(doubtful, attempts=_GIVEN_UP), doubtful),
    )


def _server_error(kind: str) -> Entry:
    """An error of the server that is not retried."""
    return Entry(_all(Cell(kind, unknown=True)).replace(get=Cell(kind)))


def _empty() -> Entry:
    """A 2xx response without a body, which is a success for a delete."""
    return Entry(_invalid().once.replace(delete=Cell(NOTHING, done=True)))


def _empty_gzip() -> Entry:
    """An empty body that is no gzip, but a success for a delete."""
    lost, success = _lost_body("TransportError"), Cell(NOTHING, done=True)
    assert lost.always is not None
    return Entry(lost.once.replace(delete=success), lost.always.replace(delete=success))


# For each attempt, timing decides whether a byte was written before the reset: if none was, every
# call is retried; if one was, a create is not.
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
    "Failed and lost connections": {
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
        "reset after the work": _lost_response("TransportError"),
        "closed after the work": _lost_response("TransportError"),
        "reset in the headers": _lost_response("TransportError"),
        "closed in the headers": _lost_response("TransportError"),
        "reset after the headers": _lost_body("TransportError"),
        "closed after the headers": _lost_body("TransportError"),
        "reset in the body": _lost_body("TransportError"),
        "body truncated": _lost_body("TransportError"),
        "truncated between chunks": _lost_body("TransportError"),
        "truncated in a chunk": _lost_body("TransportError"),
        "truncated without a length": _lost_body("TransportError"),
        "complete without a length": _FINE,
        "closed after the response": _FINE,
    },
    "Silence": {
        "no response before the work": _lost("Timeout"),
        "no response after the work": _lost_response("Timeout"),
        "stalled in the headers": _lost_response("Timeout"),
        "stalled in the body": _lost_body("Timeout"),
    },
    "Slow responses": {
        "headers drip": _too_late(done=True),
        "body drips": _too_late(done=True),
        "chunks drip": _too_late(done=True),
        "chunk size drips": _too_late(done=True),
        "error drips": _server_error("InternalServerError"),
        "endless 100 continue drips": _too_late(done=False),
        "endless 100 continue floods": _too_late(done=False),
    },
    "Headers and framing": {
        "continued 100 once": _FINE,
        "early hints 103": _FINE,
        "unexpected 101": _lost_response("TransportError"),
        "endless headers": _lost_response("TransportError"),
        "endless header line": _lost_response("TransportError"),
        "bare line feeds": _FINE,
        "folded header": _FINE,
        "latin header": _FINE,
        "nul in a header": _lost_response("TransportError"),
        "no status line": _lost_response("TransportError"),
        "another protocol": _lost_response("TransportError"),
        "two lengths": _lost_response("TransportError"),
        "length not a number": _lost_response("TransportError"),
        "length beside chunks": _FINE,
        "chunk size not a number": _lost_body("TransportError"),
    },
    "Extra and large data": {
        "length too small": _invalid(),
        "bytes after the response": _FINE,
        "second response after the first": _FINE,
        "second response later": _FINE,
        "large body": _invalid(),
        "gzip bomb": _invalid(),
    },
    "Gzip": {
        "gzip complete": _FINE,
        "gzip in chunks": _FINE,
        "gzip of two members": _FINE,
        "gzip truncated": _lost_body("TransportError"),
        "gzip without a trailer": _lost_body("TransportError"),
        "gzip with a wrong checksum": _lost_body("TransportError"),
        "gzip before garbage": _lost_body("TransportError"),
        "gzip that is plain": _lost_body("TransportError"),
        "gzip that is empty": _empty_gzip(),
        "gzip within gzip": _invalid(),
        "unexpected brotli": _invalid(),
    },
    "Bodies": {
        "body is a list": _invalid(),
        "body is a string": _invalid(),
        "body is a number": _invalid(),
        "body is null": _invalid(),
        "body is empty": _empty(),
        "body is unfinished": _invalid(),
        "body is deep": _invalid(),
        "body is a deep list": _invalid(),
        "number of 10000 digits": _invalid(),
        "numbers that are not json": _FINE,
        "lone surrogate": _invalid(),
        "invalid utf8": _invalid(),
        "utf16": _invalid(),
        "byte order mark": _invalid(),
        "duplicate keys": _FINE,
        "json that says it is html": _FINE,
    },
    "Statuses": {
        "proxy page 200": _invalid(done=False),
        "proxy page 502": _transient("HttpError"),
        "status 204": _empty(),
        "status 204 that says gzip": _empty(),
        "status 304": _refused("HttpError"),
        "redirect to the same origin": _refused("HttpError"),
        "redirect to another origin": _refused("HttpError"),
        "redirect to nowhere": _refused("HttpError"),
        "redirect without a location": _refused("HttpError"),
        "status 400": _refused("BadRequest"),
        "corrupt gzip 400": _refused("BadRequest"),
        "truncated 400": _refused("BadRequest"),
        "status 401": _refused("Unauthorized"),
        "status 403": _refused("Forbidden"),
        "status 404": _refused("NotFound"),
        "status 405": _refused("MethodNotAllowed"),
        "status 408": _transient("HttpError"),
        "status 408 after the work": _transient_done("HttpError"),
        "status 409": _refused("Conflict"),
        "status 429": _throttled(),
        "status 429 with retry after": _throttled(),
        "status 429 with a long retry after": _refused("TooManyRequests"),
        "status 500": _transient("InternalServerError"),
        "status 501": _server_error("HttpError"),
        "status 502": _transient("HttpError"),
        "status 503": _transient("HttpError"),
        "status 503 with retry after": _transient("HttpError"),
        "status 503 after the work": _transient_done("HttpError"),
        "status 504": _transient("HttpError"),
        "status 504 after the work": _transient_done("HttpError"),
        "status 999": _server_error("HttpError"),
    },
}
ENTRIES = {name: entry for group in TABLE.values() for name, entry in group.items()}
assert ENTRIES.keys() == FAULTS.keys(), ENTRIES.keys() ^ FAULTS.keys()


@dataclass(frozen=True)
class WeakGuarantee:
    """A weaker guarantee of a user-supplied client.

    Attributes:
        note: The description on the page.
        late: Whether sync calls continue after their deadline.
        next_call: Whether the next call gets its own response, and its number of attempts.
        row: The outcomes of the fault at the first attempt through httpx, if they differ.
    """

    note: str = ""
    late: bool = False
    next_call: tuple[bool, int] = (True, 1)
    row: Row | None = None


_LATE = WeakGuarantee(
    "**The deadline of a sync call, before the body.** It is checked between the pieces of a body."
    " While headers or the lines around a chunk trickle, only `timeout` ends the call, and it"
    " restarts with each byte. An async call ends at its deadline.",
    late=True,
)
_STRAY = WeakGuarantee(
    "**Bytes after a response.** httpx's pool reuses the connection, and the first attempt of the"
    " next call on it fails: GET and DELETE are retried, a create is `OutcomeUnknown`.",
    next_call=(True, 2),
)
_MISTAKEN = WeakGuarantee(
    "**A second response that is read together with the first** is taken for the response to the"
    " next call on that connection. Do not use `http_client=` with a server that may send one.",
    next_call=(False, 1),
)
_UNREAD = WeakGuarantee(
    "**A redirect whose Location is not a URL.** httpx fails to parse it, even if it follows no"
    " redirects, so the response counts as lost. httpx2 does not parse it.",
    row=_lost("TransportError").once,
)

USER_CLIENT: Mapping[str, WeakGuarantee] = {
    "headers drip": _LATE,
    "chunk size drips": _LATE,
    "endless 100 continue drips": _LATE,
    "endless 100 continue floods": _LATE,
    "length too small": _STRAY,
    "bytes after the response": _STRAY,
    "second response after the first": _MISTAKEN,
    "redirect to nowhere": _UNREAD,
}

_INTRODUCTION = f"""\
# Faults on the wire, and the result of a call

Whatever happens on the wire, a call returns the right result or raises one exception of this
package, which says whether the change may have been applied.

| fault | GET | DELETE | create |
|---|---|---|---|
| no byte was sent, or the status is 429 | retried | retried | retried |
| the request was sent, and no complete response arrived | retried | retried | `OutcomeUnknown` |
| 408, 500, 502, 503, 504 | retried | retried | its error, unknown |
| any other status that is not 2xx | its error | its error | its error |
| a 2xx response that is not a JSON object | its error | its error, unknown | its error, unknown |

"unknown" means that `outcome_unknown` is true on the exception.

- **Deadline.** A call ends within its `deadline`, even if the server trickles, stalls or floods its
  response. A look-up by name in a list of more than six pages has one for each step of several
  pages. If a page that was read ahead failed, the look-up requests it again when it is the next
  one.
- **Retries.** GET and DELETE are retried after a transient failure: a failed or lost connection, a
  timeout, a truncated body, and 408, 429, 500, 502, 503 and 504. A create is retried only if it
  certainly was not carried out: no byte of it was sent, or the status was 429.
- **`outcome_unknown`** on the exception says whether the registry may have changed. A create that
  was sent and got no response raises `OutcomeUnknown`. `client.repositories.get_or_create` looks up
  the name before and after, and creates at most one repository with this name under any fault.
- **If a retried DELETE returns 404** after an attempt of unknown outcome, that attempt is assumed
  to have deleted the repository: `client.repositories.delete` returns normally, and the raw
  `delete_repository` raises `NotFound` with `after_unknown_outcome`.
- **The next call** on the same client works, and gets its own response.
- **No exception of the HTTP library** is raised or chained. `history` on the exception lists each
  attempt with its cause and the wait after it.

Limit: unsolicited bytes that arrive after the next request was sent look like its
response. If they arrive earlier, the connection is closed.

A deadline bounds every step: the DNS look-up (in a thread that is abandoned at the deadline), the
connection to each of a host's addresses (tried in parallel, RFC 8305), TLS, also within TLS to a
proxy, and each read and write. If a signal handler raises an exception, such as a job's time limit,
the call raises it unchanged and is not retried.

The tests check the tables below. A server on raw sockets produces each fault, for all five
operations, sync and async, with `RetryPolicy(max_retries={RETRIES})`. The columns are the outcomes
of a GET (`get_repositories`, `get_repository`, `get_repository_tags`), a DELETE
(`delete_repository`) and a create (`create_repository`) of the raw client. *Once*: the fault occurs
at the first attempt; *always*: at every attempt. "unknown" means that `outcome_unknown` is true,
"was done" that the registry has changed though the call raised. (For the typed client, a DELETE
that was done and gets 404 when retried is a success.)
"""


def _text(cell: Cell) -> str:
    parts = [cell.outcome if cell.outcome == RESULT else f"`{cell.outcome}`"]
    if cell.attempts > 1:
        parts.append(f"{cell.attempts} attempts")
    if cell.unknown:
        parts.append("unknown")
    if cell.done and cell.outcome not in (RESULT, NOTHING):
        parts.append("was done")
    text = ", ".join(parts)
    return "; or, by timing, ".join([text, *map(_text, cell.by_timing)])


def _column(entry: Entry, column: str) -> str:
    once = _text(getattr(entry.once, column))
    always = once if entry.always is None else _text(getattr(entry.always, column))
    return once if once == always else f"*once* {once}<br>*always* {always}"


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
        "## With a user-supplied client",
        "",
        "With `http_client=`, the tables hold too, except for these guarantees, which are weaker:",
        "",
    ]
    notes: dict[str, list[str]] = {}
    for name, weak in USER_CLIENT.items():
        notes.setdefault(weak.note, []).append(name)
    lines += [f"- {note} (Tested with: {', '.join(names)}.)" for note, names in notes.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
