"""Every way to go wrong: one function each, whose docstring says what happens on the wire.

A function that takes a `Wire` strikes one request. One that takes a `Reply` only says which bytes
go out in place of the answer, the work having been done.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal

from tests.support.registry import Reply
from tests.support.server import response_head as head

from .server import JSON, Fault, FaultServer, Setting, Strike, Wire, whole

FAULTS: dict[str, Fault] = {}
# What the table's client takes of a body.
LIMIT = 2 << 20

Pace = Literal["prompt", "never", "drips"]


def _add(
    function: Callable[..., object],
    *,
    at: Literal["request", "accept", "idle", "connect"] = "request",
    strike: Strike | None = None,
    setting: Setting | None = None,
    pace: Pace = "prompt",
) -> None:
    name = function.__name__.replace("_", " ").strip()
    assert name not in FAULTS
    FAULTS[name] = Fault(name, (function.__doc__ or "").strip(), at, strike, setting, pace)


def _server(at: Literal["idle", "connect"], pace: Pace = "prompt") -> Callable[[Setting], Setting]:
    """Register what sets the server up to go wrong."""

    def register(setting: Setting) -> Setting:
        _add(setting, at=at, setting=setting, pace=pace)
        return setting

    return register


def _wire(
    at: Literal["request", "accept"] = "request", pace: Pace = "prompt"
) -> Callable[[Strike], Strike]:
    """Register what strikes a request, or a connection as it is accepted."""

    def register(strike: Strike) -> Strike:
        _add(strike, at=at, strike=strike, pace=pace)
        return strike

    return register


def _answer(function: Callable[[Reply], bytes]) -> Callable[[Reply], bytes]:
    """Register what goes out in place of the answer."""

    async def strike(wire: Wire) -> None:
        await wire.send(function(await wire.work()))

    _add(function, strike=strike)
    return function


def _refusal(function: Callable[[], bytes]) -> Callable[[], bytes]:
    """Register an answer that is given with nothing done."""

    async def strike(wire: Wire) -> None:
        await wire.request()
        await wire.send(function())

    _add(function, strike=strike)
    return function


# Connections


@_server("connect")
async def connection_refused(server: FaultServer) -> None:
    """Nobody listens."""
    await server.refuse()


@_server("connect", pace="never")
async def connection_not_accepted(server: FaultServer) -> None:
    """The queue of those who want to connect is full: a SYN gets no answer."""
    await server.crowd()


@_server("idle")
async def idle_connection_closed(server: FaultServer) -> None:
    """A kept connection is closed (FIN) while it is idle."""
    await server.drop(reset=False)


@_server("idle")
async def idle_connection_reset(server: FaultServer) -> None:
    """A kept connection is reset (RST) while it is idle."""
    await server.drop(reset=True)


@_wire("accept")
async def reset_at_accept(wire: Wire) -> None:
    """A new connection is reset at once."""
    wire.reset()


@_wire("accept")
async def closed_at_accept(wire: Wire) -> None:
    """A new connection is closed (FIN) at once."""
    await wire.finish()


@_wire()
async def reset_before_reading(wire: Wire) -> None:
    """The connection is reset as the request comes."""
    wire.reset()


@_wire()
async def closed_before_reading(wire: Wire) -> None:
    """The connection is closed (FIN) as the request comes."""
    await wire.finish()


@_wire()
async def reset_before_the_work(wire: Wire) -> None:
    """The request is read; the connection is reset with nothing done."""
    await wire.request()
    wire.reset()


@_wire()
async def closed_before_the_work(wire: Wire) -> None:
    """The request is read; the connection is closed with nothing done."""
    await wire.request()
    await wire.finish()


@_wire()
async def reset_after_the_work(wire: Wire) -> None:
    """The work is done; the connection is reset before the answer."""
    await wire.work()
    wire.reset()


@_wire()
async def closed_after_the_work(wire: Wire) -> None:
    """The work is done; the connection is closed before the answer."""
    await wire.work()
    await wire.finish()


@_wire()
async def reset_in_the_headers(wire: Wire) -> None:
    """The answer breaks off within its headers: reset."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[:30])
    await wire.pause()
    wire.reset()


@_wire()
async def closed_in_the_headers(wire: Wire) -> None:
    """The answer breaks off within its headers: closed."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[:30])
    await wire.finish()


@_wire()
async def reset_after_the_headers(wire: Wire) -> None:
    """The headers come, then a reset."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body)])
    await wire.pause()
    wire.reset()


@_wire()
async def closed_after_the_headers(wire: Wire) -> None:
    """The headers come, then the end of the connection."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body)])
    await wire.finish()


@_wire()
async def reset_in_the_body(wire: Wire) -> None:
    """Half of the body comes, then a reset."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body) // 2])
    await wire.pause()
    wire.reset()


@_wire()
async def body_cut_short(wire: Wire) -> None:
    """Half of what Content-Length promises comes, then the end of the connection."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body) // 2])
    await wire.finish()


@_wire()
async def cut_between_chunks(wire: Wire) -> None:
    """A chunk comes, then the end of the connection in place of the next."""
    reply = await wire.work()
    await wire.send(_chunked(reply.status), _chunk(reply.body))
    await wire.finish()


@_wire()
async def cut_in_a_chunk(wire: Wire) -> None:
    """Half of a chunk comes, then the end of the connection."""
    reply = await wire.work()
    await wire.send(_chunked(reply.status), _chunk(reply.body)[: len(reply.body) // 2])
    await wire.finish()


@_wire()
async def cut_without_a_length(wire: Wire) -> None:
    """The answer has no length, ends where the connection does, and that is in the middle."""
    reply = await wire.work()
    await wire.send(head(reply.status, JSON), reply.body[: len(reply.body) // 2])
    await wire.finish()


@_wire()
async def whole_without_a_length(wire: Wire) -> None:
    """The answer has no length, and ends where the connection does."""
    reply = await wire.work()
    await wire.send(head(reply.status, JSON), reply.body)
    await wire.finish()


@_wire()
async def closed_behind_the_answer(wire: Wire) -> None:
    """The connection is closed behind a good answer, which did not say so."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body))
    wire.close()


# Silence


@_wire(pace="never")
async def no_answer_to_nothing_done(wire: Wire) -> None:
    """The request is read, nothing is done and nothing answered."""
    await wire.request()
    await wire.silence()


@_wire(pace="never")
async def no_answer_to_work_done(wire: Wire) -> None:
    """The work is done and nothing answered."""
    await wire.work()
    await wire.silence()


@_wire(pace="never")
async def stalled_in_the_headers(wire: Wire) -> None:
    """The answer stops within its headers, the connection stays open."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[:30])
    await wire.silence()


@_wire(pace="never")
async def stalled_in_the_body(wire: Wire) -> None:
    """Content-Length promises a byte more than comes, the connection stays open."""
    reply = await wire.work()
    await wire.send(head(reply.status, JSON, f"Content-Length: {len(reply.body) + 1}"), reply.body)
    await wire.silence()


# Drips


@_wire(pace="drips")
async def headers_drip(wire: Wire) -> None:
    """The headers come a byte at a time, and do not end."""
    reply = await wire.work()
    await wire.drip(_bytes(head(reply.status, JSON, "X-Slow: " + "a" * 1000)))


@_wire(pace="drips")
async def body_drips(wire: Wire) -> None:
    """The body comes a byte at a time."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body)])
    await wire.drip(_bytes(reply.body))


@_wire(pace="drips")
async def chunks_drip(wire: Wire) -> None:
    """The body comes in chunks of a byte."""
    reply = await wire.work()
    await wire.send(_chunked(reply.status))
    await wire.drip(map(_chunk, _bytes(reply.body)))


@_wire(pace="drips")
async def chunk_size_drips(wire: Wire) -> None:
    """The line that gives a chunk's size comes a byte at a time, and does not end."""
    reply = await wire.work()
    await wire.send(_chunked(reply.status), b"1;")
    await wire.drip(itertools.repeat(b"a"))


@_wire(pace="drips")
async def error_drips(wire: Wire) -> None:
    """A 500 whose body comes a byte at a time; nothing is done."""
    await wire.request()
    await wire.send(whole(500, b"a" * 1000)[:-1000])
    await wire.drip(itertools.repeat(b"a"))


@_wire(pace="drips")
async def endless_100_continue_drips(wire: Wire) -> None:
    """100 Continue, again and again; nothing is done."""
    await wire.request()
    await wire.drip(itertools.repeat(head(100)))


@_wire(pace="drips")
async def endless_100_continue_floods(wire: Wire) -> None:
    """100 Continue, a thousand at a time, again and again; nothing is done."""
    await wire.request()
    await wire.drip(itertools.repeat(head(100) * 1000))


# Heads


@_answer
def continued_100_once(reply: Reply) -> bytes:
    """100 Continue, then the answer."""
    return head(100) + whole(reply.status, reply.body)


@_answer
def early_hints_103(reply: Reply) -> bytes:
    """103 Early Hints, then the answer."""
    return head(103, "Link: </style.css>") + whole(reply.status, reply.body)


@_answer
def unasked_101(reply: Reply) -> bytes:
    """101 Switching Protocols, which nobody asked for."""
    return head(101, "Upgrade: h2c", "Connection: Upgrade") + reply.body


@_wire()
async def endless_headers(wire: Wire) -> None:
    """Header after header, as fast as they are read."""
    await wire.work()
    await wire.send(head(200)[:-2])
    for number in itertools.count():
        await wire.send(f"X-Header-{number}: a\r\n".encode() * 1000)


@_wire()
async def endless_header_line(wire: Wire) -> None:
    """One header whose line does not end, as fast as it is read."""
    await wire.work()
    await wire.send(head(200, "X-Header: ")[:-4])
    while True:
        await wire.send(b"a" * 65536)


@_answer
def bare_line_feeds(reply: Reply) -> bytes:
    """The lines of the head end with LF alone."""
    return whole(reply.status, reply.body).replace(b"\r\n", b"\n")


@_answer
def folded_header(reply: Reply) -> bytes:
    """A header goes on in a line of its own (obs-fold)."""
    return whole(reply.status, reply.body, "X-Folded: a\r\n b")


@_answer
def latin_header(reply: Reply) -> bytes:
    """A header holds bytes that are no ASCII."""
    return whole(reply.status, reply.body, "X-Name: caf\xe9")


@_answer
def nul_in_a_header(reply: Reply) -> bytes:
    """A header holds a NUL."""
    return whole(reply.status, reply.body, "X-Name: a\0b")


@_wire()
async def no_status_line(wire: Wire) -> None:
    """The body alone, then the end of the connection, as in HTTP/0.9."""
    await wire.send((await wire.work()).body)
    await wire.finish()


@_answer
def another_protocol(reply: Reply) -> bytes:
    """A TLS alert, in place of HTTP."""
    return b"\x15\x03\x01\x00\x02\x02\x16"


@_answer
def two_lengths(reply: Reply) -> bytes:
    """Two Content-Lengths that differ."""
    return whole(reply.status, reply.body, "Content-Length: 3")


@_answer
def length_that_is_no_number(reply: Reply) -> bytes:
    """A Content-Length that is no number."""
    return head(reply.status, JSON, "Content-Length: many") + reply.body


@_answer
def length_beside_chunks(reply: Reply) -> bytes:
    """Content-Length and chunks, which contradict each other."""
    return (
        head(reply.status, JSON, "Content-Length: 3", "Transfer-Encoding: chunked")
        + _chunk(reply.body)
        + _chunk(b"")
    )


@_answer
def chunk_size_that_is_no_number(reply: Reply) -> bytes:
    """A chunk whose size is no number."""
    return _chunked(reply.status) + b"many\r\n" + reply.body


# More than was asked for


@_answer
def length_too_small(reply: Reply) -> bytes:
    """Content-Length says half of what comes."""
    half = len(reply.body) // 2
    return head(reply.status, JSON, f"Content-Length: {half}") + reply.body


@_answer
def bytes_behind_the_answer(reply: Reply) -> bytes:
    """A good answer, and behind it, in the same packet, bytes that nobody asked for."""
    return whole(reply.status, reply.body) + b"more"


@_answer
def second_answer_behind_the_first(reply: Reply) -> bytes:
    """A good answer, and behind it, in the same packet, a whole second one."""
    return whole(reply.status, reply.body) + whole(200, b'{"id": "of somebody else"}')


@_wire()
async def second_answer_a_moment_later(wire: Wire) -> None:
    """A good answer; a moment later, nobody having asked, a whole second one."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body))
    await wire.lull()
    await wire.send(whole(200, b'{"id": "of somebody else"}'))


@_answer
def large_body(reply: Reply) -> bytes:
    """A body larger than `max_response_bytes`."""
    return whole(200, b'{"id": "' + b"a" * LIMIT + b'"}')


@_answer
def gzip_bomb(reply: Reply) -> bytes:
    """A gzip body that unpacks to a gigabyte."""
    return whole(200, _bomb(), GZIP)


# Gzip


@_answer
def gzip_that_is_whole(reply: Reply) -> bytes:
    """A gzip body."""
    return whole(reply.status, gzip.compress(reply.body), GZIP)


@_answer
def gzip_of_two_members(reply: Reply) -> bytes:
    """A gzip body of two members, one half each."""
    half = len(reply.body) // 2
    packed = gzip.compress(reply.body[:half]) + gzip.compress(reply.body[half:])
    return whole(reply.status, packed, GZIP)


@_answer
def gzip_cut_short(reply: Reply) -> bytes:
    """A gzip body that breaks off in the middle; its Content-Length is right."""
    packed = gzip.compress(reply.body)
    return whole(reply.status, packed[: len(packed) // 2], GZIP)


@_answer
def gzip_without_its_end(reply: Reply) -> bytes:
    """A gzip body whose last 8 bytes are missing: all data, no check sum."""
    return whole(reply.status, gzip.compress(reply.body)[:-8], GZIP)


@_answer
def gzip_of_a_wrong_check_sum(reply: Reply) -> bytes:
    """A gzip body whose check sum is wrong."""
    packed = gzip.compress(reply.body)
    return whole(reply.status, packed[:-8] + b"\0\0\0\0" + packed[-4:], GZIP)


@_answer
def gzip_with_garbage_behind(reply: Reply) -> bytes:
    """A gzip body, and bytes within Content-Length behind it."""
    return whole(reply.status, gzip.compress(reply.body) + b"garbage", GZIP)


@_answer
def gzip_that_is_none(reply: Reply) -> bytes:
    """A plain body that says that it is gzip."""
    return whole(reply.status, reply.body, GZIP)


@_answer
def gzip_of_nothing(reply: Reply) -> bytes:
    """An empty body that says that it is gzip."""
    return whole(reply.status, b"", GZIP)


@_answer
def gzip_within_gzip(reply: Reply) -> bytes:
    """A body packed twice, which nobody asked for."""
    packed = gzip.compress(gzip.compress(reply.body))
    return whole(200, packed, "Content-Encoding: gzip, gzip")


@_answer
def unasked_brotli(reply: Reply) -> bytes:
    """A body that says that it is Brotli, which nobody asked for."""
    return whole(200, b"\x8b\x02\x80\x03", "Content-Encoding: br")


# Bodies


@_answer
def body_is_a_list(reply: Reply) -> bytes:
    """A JSON list."""
    return whole(200, b"[" + reply.body + b"]")


@_answer
def body_is_a_string(reply: Reply) -> bytes:
    """A JSON string."""
    return whole(200, b'"created"')


@_answer
def body_is_a_number(reply: Reply) -> bytes:
    """A JSON number."""
    return whole(200, b"12")


@_answer
def body_is_null(reply: Reply) -> bytes:
    """A JSON null."""
    return whole(200, b"null")


@_answer
def body_is_empty(reply: Reply) -> bytes:
    """200, and a body of no bytes."""
    return whole(200, b"")


@_answer
def body_is_unfinished(reply: Reply) -> bytes:
    """Half of a JSON object; its Content-Length is right."""
    return whole(200, reply.body[: len(reply.body) // 2])


@_answer
def body_is_deep(reply: Reply) -> bytes:
    """JSON objects, 100,000 levels deep."""
    return whole(200, b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


@_answer
def body_is_a_deep_list(reply: Reply) -> bytes:
    """JSON lists, 100,000 levels deep."""
    return whole(200, b"[" * 100_000 + b"]" * 100_000)


@_answer
def number_of_10000_digits(reply: Reply) -> bytes:
    """A JSON object with an integer of 10,000 digits."""
    return whole(200, _with(reply, b"1" * 10_000))


@_answer
def number_that_is_none(reply: Reply) -> bytes:
    """A JSON object with NaN, Infinity and 1e400, which Python's own parser takes too."""
    return whole(reply.status, _with(reply, b"[NaN, -Infinity, 1e400]"))


@_answer
def lone_surrogate(reply: Reply) -> bytes:
    r"""A JSON string with half of a pair, `\\ud800`."""
    return whole(200, _with(reply, rb'"\ud800"'))


@_answer
def invalid_utf8(reply: Reply) -> bytes:
    """A JSON string with bytes that are no UTF-8."""
    return whole(200, _with(reply, b'"\xff\xfe"'))


@_answer
def utf16(reply: Reply) -> bytes:
    """The answer in UTF-16."""
    return whole(200, reply.body.decode().encode("utf-16"))


@_answer
def byte_order_mark(reply: Reply) -> bytes:
    """The answer behind a byte order mark."""
    return whole(200, b"\xef\xbb\xbf" + reply.body)


@_answer
def duplicate_keys(reply: Reply) -> bytes:
    """A JSON object that has each key of its answer twice; the last counts, as in Python."""
    doubled = b'{"id": 0, "name": 0, "registry_repositories": 0, ' + reply.body[1:]
    return whole(reply.status, doubled)


@_answer
def json_that_says_it_is_html(reply: Reply) -> bytes:
    """A good body with a wrong Content-Type."""
    return whole(reply.status, reply.body, "Content-Type: text/html")


# Proxies, and statuses


HTML = b"<!DOCTYPE html><html><body><h1>Welcome to the hotel</h1></body></html>"
ERROR = b'{"error": "said", "error_description": "said on purpose", "error_detail": null}'
GZIP = "Content-Encoding: gzip"


@_refusal
def proxy_page_200() -> bytes:
    """A proxy's HTML page with 200."""
    return whole(200, HTML, "Content-Type: text/html")


@_refusal
def proxy_page_502() -> bytes:
    """A proxy's HTML page with 502."""
    return whole(502, HTML, "Content-Type: text/html")


@_answer
def status_204(reply: Reply) -> bytes:
    """204, which has no body."""
    return head(204)


@_answer
def status_204_that_says_gzip(reply: Reply) -> bytes:
    """204, which has no body, and says that it is gzip."""
    return head(204, GZIP)


@_refusal
def status_304() -> bytes:
    """304, which has no body."""
    return head(304)


@_refusal
def status_999() -> bytes:
    """999, which is no status."""
    return whole(999, ERROR)


@_refusal
def redirect_to_the_same_origin() -> bytes:
    """302 to a path of the same server."""
    return whole(302, b"", "Location: /elsewhere")


@_refusal
def redirect_to_another_origin() -> bytes:
    """307, which keeps method and body, to another host."""
    return whole(307, b"", "Location: http://localhost.invalid/elsewhere")


@_refusal
def redirect_to_nowhere() -> bytes:
    """302 with a Location that is no URL."""
    return whole(302, b"", "Location: http://[::1")


@_refusal
def redirect_without_a_location() -> bytes:
    """302 without a Location."""
    return whole(302, b"")


@_refusal
def broken_gzip_400() -> bytes:
    """400 with a gzip body that is broken."""
    return whole(400, b"no gzip", GZIP)


@_wire()
async def body_of_a_400_cut_short(wire: Wire) -> None:
    """400 whose body breaks off."""
    await wire.request()
    await wire.send(whole(400, ERROR)[:-40])
    await wire.finish()


def _register_statuses() -> None:
    for status in (400, 401, 403, 404, 405, 409, 408, 429, 500, 501, 502, 503, 504):

        def answer(status: int = status) -> bytes:
            return whole(status, ERROR)

        answer.__name__ = f"status_{status}"
        answer.__doc__ = f"{status}, with nothing done."
        _refusal(answer)


_register_statuses()


@_refusal
def status_429_with_retry_after() -> bytes:
    """429 with `Retry-After: 1`, with nothing done."""
    return whole(429, ERROR, "Retry-After: 1")


@_refusal
def status_429_with_a_long_retry_after() -> bytes:
    """429 with `Retry-After: 3600`, with nothing done."""
    return whole(429, ERROR, "Retry-After: 3600")


@_refusal
def status_503_with_retry_after() -> bytes:
    """503 with `Retry-After: 1`, with nothing done."""
    return whole(503, ERROR, "Retry-After: 1")


@_answer
def status_503_after_the_work(reply: Reply) -> bytes:
    """503 with `Retry-After: 1`, made by a proxy after the work was done."""
    return whole(503, ERROR, "Retry-After: 1")


@_answer
def status_504_after_the_work(reply: Reply) -> bytes:
    """504, made by a proxy after the work was done."""
    return whole(504, ERROR)


@_answer
def status_408_after_the_work(reply: Reply) -> bytes:
    """408, made by a proxy after the work was done."""
    return whole(408, ERROR)


# What they share


def _bytes(data: bytes) -> Iterator[bytes]:
    return (bytes([each]) for each in data)


def _chunked(status: int) -> bytes:
    return head(status, JSON, "Transfer-Encoding: chunked")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _with(reply: Reply, value: bytes) -> bytes:
    """Return the answer with a key more."""
    return b'{"more": ' + value + b", " + reply.body[1:]


@cache
def _bomb() -> bytes:
    pack = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    begin = pack.compress(bytes(LIMIT)) + pack.flush(zlib.Z_FULL_FLUSH)
    # After a full flush each further block packs to the same bytes.
    block = pack.compress(bytes(LIMIT)) + pack.flush(zlib.Z_FULL_FLUSH)
    return begin + block * 511
