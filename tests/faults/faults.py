"""The faults: one function each; its docstring says what happens on the wire.

A function that takes a `Wire` handles one request. One that takes a `Reply` returns the bytes to
send as the response, after the server has carried out the request.
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
# The client's max_response_bytes.
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
    """Register a fault of the server itself."""

    def register(setting: Setting) -> Setting:
        _add(setting, at=at, setting=setting, pace=pace)
        return setting

    return register


def _wire(
    at: Literal["request", "accept"] = "request", pace: Pace = "prompt"
) -> Callable[[Strike], Strike]:
    """Register a fault of a request, or of a new connection."""

    def register(strike: Strike) -> Strike:
        _add(strike, at=at, strike=strike, pace=pace)
        return strike

    return register


def _response(function: Callable[[Reply], bytes]) -> Callable[[Reply], bytes]:
    """Register a fault that replaces the response."""

    async def strike(wire: Wire) -> None:
        await wire.send(function(await wire.work()))

    _add(function, strike=strike)
    return function


def _refusal(function: Callable[[], bytes]) -> Callable[[], bytes]:
    """Register a response without carrying out the request."""

    async def strike(wire: Wire) -> None:
        await wire.request()
        await wire.send(function())

    _add(function, strike=strike)
    return function


# Connections


@_server("connect")
async def connection_refused(server: FaultServer) -> None:
    """The port is closed."""
    await server.refuse()


@_server("connect", pace="never")
async def connection_not_accepted(server: FaultServer) -> None:
    """The server's backlog is full: a SYN gets no response."""
    await server.crowd()


@_server("idle")
async def idle_connection_closed(server: FaultServer) -> None:
    """An idle connection is closed (FIN)."""
    await server.drop(reset=False)


@_server("idle")
async def idle_connection_reset(server: FaultServer) -> None:
    """An idle connection is reset (RST)."""
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
    """The connection is reset when the request arrives."""
    wire.reset()


@_wire()
async def closed_before_reading(wire: Wire) -> None:
    """The connection is closed (FIN) when the request arrives."""
    await wire.finish()


@_wire()
async def reset_before_the_work(wire: Wire) -> None:
    """The server reads the request, and resets the connection without carrying it out."""
    await wire.request()
    wire.reset()


@_wire()
async def closed_before_the_work(wire: Wire) -> None:
    """The server reads the request, and closes the connection without carrying it out."""
    await wire.request()
    await wire.finish()


@_wire()
async def reset_after_the_work(wire: Wire) -> None:
    """The server carries out the request, and resets the connection before it responds."""
    await wire.work()
    wire.reset()


@_wire()
async def closed_after_the_work(wire: Wire) -> None:
    """The server carries out the request, and closes the connection before it responds."""
    await wire.work()
    await wire.finish()


@_wire()
async def reset_in_the_headers(wire: Wire) -> None:
    """The connection is reset within the headers."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[:30])
    await wire.pause()
    wire.reset()


@_wire()
async def closed_in_the_headers(wire: Wire) -> None:
    """The connection is closed within the headers."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[:30])
    await wire.finish()


@_wire()
async def reset_after_the_headers(wire: Wire) -> None:
    """The connection is reset after the headers."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body)])
    await wire.pause()
    wire.reset()


@_wire()
async def closed_after_the_headers(wire: Wire) -> None:
    """The connection is closed after the headers."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body)])
    await wire.finish()


@_wire()
async def reset_in_the_body(wire: Wire) -> None:
    """The connection is reset after half of the body."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body) // 2])
    await wire.pause()
    wire.reset()


@_wire()
async def body_truncated(wire: Wire) -> None:
    """The connection is closed after half of the Content-Length."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body) // 2])
    await wire.finish()


@_wire()
async def truncated_between_chunks(wire: Wire) -> None:
    """The connection is closed after a chunk that is not the last."""
    reply = await wire.work()
    await wire.send(_chunked(reply.status), _chunk(reply.body))
    await wire.finish()


@_wire()
async def truncated_in_a_chunk(wire: Wire) -> None:
    """The connection is closed after half of a chunk."""
    reply = await wire.work()
    await wire.send(_chunked(reply.status), _chunk(reply.body)[: len(reply.body) // 2])
    await wire.finish()


@_wire()
async def truncated_without_a_length(wire: Wire) -> None:
    """A response without a length; the connection is closed after half of it."""
    reply = await wire.work()
    await wire.send(head(reply.status, JSON), reply.body[: len(reply.body) // 2])
    await wire.finish()


@_wire()
async def complete_without_a_length(wire: Wire) -> None:
    """A response without a length; the connection is closed after all of it."""
    reply = await wire.work()
    await wire.send(head(reply.status, JSON), reply.body)
    await wire.finish()


@_wire()
async def closed_after_the_response(wire: Wire) -> None:
    """The connection is closed after a good response without `Connection: close`."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body))
    wire.close()


# Silence


@_wire(pace="never")
async def no_response_before_the_work(wire: Wire) -> None:
    """The server reads the request, does not carry it out, and sends nothing."""
    await wire.request()
    await wire.silence()


@_wire(pace="never")
async def no_response_after_the_work(wire: Wire) -> None:
    """The server carries out the request, and sends nothing."""
    await wire.work()
    await wire.silence()


@_wire(pace="never")
async def stalled_in_the_headers(wire: Wire) -> None:
    """The response stops within its headers; the connection stays open."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[:30])
    await wire.silence()


@_wire(pace="never")
async def stalled_in_the_body(wire: Wire) -> None:
    """The response stops a byte before its Content-Length; the connection stays open."""
    reply = await wire.work()
    await wire.send(head(reply.status, JSON, f"Content-Length: {len(reply.body) + 1}"), reply.body)
    await wire.silence()


# Slow responses


@_wire(pace="drips")
async def headers_drip(wire: Wire) -> None:
    """The headers arrive byte by byte, and do not end."""
    reply = await wire.work()
    await wire.drip(_bytes(head(reply.status, JSON, "X-Slow: " + "a" * 1000)))


@_wire(pace="drips")
async def body_drips(wire: Wire) -> None:
    """The body arrives byte by byte."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body)[: -len(reply.body)])
    await wire.drip(_bytes(reply.body))


@_wire(pace="drips")
async def chunks_drip(wire: Wire) -> None:
    """The body arrives in chunks of one byte."""
    reply = await wire.work()
    await wire.send(_chunked(reply.status))
    await wire.drip(map(_chunk, _bytes(reply.body)))


@_wire(pace="drips")
async def chunk_size_drips(wire: Wire) -> None:
    """The line with a chunk's size arrives byte by byte, and does not end."""
    reply = await wire.work()
    await wire.send(_chunked(reply.status), b"1;")
    await wire.drip(itertools.repeat(b"a"))


@_wire(pace="drips")
async def error_drips(wire: Wire) -> None:
    """A 500 whose body arrives byte by byte; the request is not carried out."""
    await wire.request()
    await wire.send(whole(500, b"a" * 1000)[:-1000])
    await wire.drip(itertools.repeat(b"a"))


@_wire(pace="drips")
async def endless_100_continue_drips(wire: Wire) -> None:
    """100 Continue, again and again; the request is not carried out."""
    await wire.request()
    await wire.drip(itertools.repeat(head(100)))


@_wire(pace="drips")
async def endless_100_continue_floods(wire: Wire) -> None:
    """100 Continue, a hundred at once, again and again; the request is not carried out."""
    await wire.request()
    await wire.drip(itertools.repeat(head(100) * 100))


# Headers and framing


@_response
def continued_100_once(reply: Reply) -> bytes:
    """100 Continue, then the response."""
    return head(100) + whole(reply.status, reply.body)


@_response
def early_hints_103(reply: Reply) -> bytes:
    """103 Early Hints, then the response."""
    return head(103, "Link: </style.css>") + whole(reply.status, reply.body)


@_response
def unexpected_101(reply: Reply) -> bytes:
    """101 Switching Protocols, which the client did not request."""
    return head(101, "Upgrade: h2c", "Connection: Upgrade") + reply.body


@_wire()
async def endless_headers(wire: Wire) -> None:
    """Endless headers, as fast as the client reads."""
    await wire.work()
    await wire.send(head(200)[:-2])
    for number in itertools.count():
        await wire.send(f"X-Header-{number}: a\r\n".encode() * 1000)


@_wire()
async def endless_header_line(wire: Wire) -> None:
    """One header line without an end, as fast as the client reads."""
    await wire.work()
    await wire.send(head(200, "X-Header: ")[:-4])
    while True:
        await wire.send(b"a" * 65536)


@_response
def bare_line_feeds(reply: Reply) -> bytes:
    """The lines of the head end with LF."""
    return whole(reply.status, reply.body).replace(b"\r\n", b"\n")


@_response
def folded_header(reply: Reply) -> bytes:
    """A header continues in a second line (obs-fold)."""
    return whole(reply.status, reply.body, "X-Folded: a\r\n b")


@_response
def latin_header(reply: Reply) -> bytes:
    """A header contains bytes outside ASCII."""
    return whole(reply.status, reply.body, "X-Name: caf\xe9")


@_response
def nul_in_a_header(reply: Reply) -> bytes:
    """A header contains a NUL."""
    return whole(reply.status, reply.body, "X-Name: a\0b")


@_wire()
async def no_status_line(wire: Wire) -> None:
    """The body without a head, then the end of the connection, as in HTTP/0.9."""
    await wire.send((await wire.work()).body)
    await wire.finish()


@_response
def another_protocol(reply: Reply) -> bytes:
    """A TLS alert instead of HTTP."""
    return b"\x15\x03\x01\x00\x02\x02\x16"


@_response
def two_lengths(reply: Reply) -> bytes:
    """Two different Content-Lengths."""
    return whole(reply.status, reply.body, "Content-Length: 3")


@_response
def length_not_a_number(reply: Reply) -> bytes:
    """A Content-Length that is not a number."""
    return head(reply.status, JSON, "Content-Length: many") + reply.body


@_response
def length_beside_chunks(reply: Reply) -> bytes:
    """A Content-Length that contradicts the chunks."""
    return (
        head(reply.status, JSON, "Content-Length: 3", "Transfer-Encoding: chunked")
        + _chunk(reply.body)
        + _chunk(b"")
    )


@_response
def chunk_size_not_a_number(reply: Reply) -> bytes:
    """A chunk whose size is not a number."""
    return _chunked(reply.status) + b"many\r\n" + reply.body


# Extra and large data


@_response
def length_too_small(reply: Reply) -> bytes:
    """The Content-Length is half of the body."""
    half = len(reply.body) // 2
    return head(reply.status, JSON, f"Content-Length: {half}") + reply.body


@_response
def bytes_after_the_response(reply: Reply) -> bytes:
    """A good response, and after it, in the same packet, extra bytes."""
    return whole(reply.status, reply.body) + b"more"


@_response
def second_response_after_the_first(reply: Reply) -> bytes:
    """A good response, and after it, in the same packet, a second response."""
    return whole(reply.status, reply.body) + whole(200, b'{"id": "of somebody else"}')


@_wire()
async def second_response_later(wire: Wire) -> None:
    """A good response, and a moment later, before any request, a second response."""
    reply = await wire.work()
    await wire.send(whole(reply.status, reply.body))
    await wire.lull()
    await wire.send(whole(200, b'{"id": "of somebody else"}'))


@_response
def large_body(reply: Reply) -> bytes:
    """A body larger than `max_response_bytes`."""
    return whole(200, b'{"id": "' + b"a" * LIMIT + b'"}')


@_response
def gzip_bomb(reply: Reply) -> bytes:
    """A gzip body that decompresses to a gigabyte."""
    return whole(200, _bomb(), GZIP)


# Gzip


@_response
def gzip_complete(reply: Reply) -> bytes:
    """A gzip body."""
    return whole(reply.status, gzip.compress(reply.body), GZIP)


@_response
def gzip_in_chunks(reply: Reply) -> bytes:
    """A gzip body in two chunks."""
    packed = gzip.compress(reply.body)
    chunks = _chunk(packed[:5]) + _chunk(packed[5:]) + _chunk(b"")
    return head(reply.status, JSON, GZIP, "Transfer-Encoding: chunked") + chunks


@_response
def gzip_of_two_members(reply: Reply) -> bytes:
    """A gzip body of two members, one half each."""
    half = len(reply.body) // 2
    packed = gzip.compress(reply.body[:half]) + gzip.compress(reply.body[half:])
    return whole(reply.status, packed, GZIP)


@_response
def gzip_truncated(reply: Reply) -> bytes:
    """Half of a gzip body, with a correct Content-Length."""
    packed = gzip.compress(reply.body)
    return whole(reply.status, packed[: len(packed) // 2], GZIP)


@_response
def gzip_without_a_trailer(reply: Reply) -> bytes:
    """A gzip body without its last 8 bytes: all data, no checksum."""
    return whole(reply.status, gzip.compress(reply.body)[:-8], GZIP)


@_response
def gzip_with_a_wrong_checksum(reply: Reply) -> bytes:
    """A gzip body with a wrong checksum."""
    packed = gzip.compress(reply.body)
    return whole(reply.status, packed[:-8] + b"\0\0\0\0" + packed[-4:], GZIP)


@_response
def gzip_before_garbage(reply: Reply) -> bytes:
    """A gzip body followed by other bytes, within the Content-Length."""
    return whole(reply.status, gzip.compress(reply.body) + b"garbage", GZIP)


@_response
def gzip_that_is_plain(reply: Reply) -> bytes:
    """A plain body with `Content-Encoding: gzip`."""
    return whole(reply.status, reply.body, GZIP)


@_response
def gzip_that_is_empty(reply: Reply) -> bytes:
    """An empty body with `Content-Encoding: gzip`."""
    return whole(reply.status, b"", GZIP)


@_response
def gzip_within_gzip(reply: Reply) -> bytes:
    """A body compressed twice, which the client did not request."""
    packed = gzip.compress(gzip.compress(reply.body))
    return whole(200, packed, "Content-Encoding: gzip, gzip")


@_response
def unexpected_brotli(reply: Reply) -> bytes:
    """A Brotli body, which the client did not request."""
    return whole(200, b"\x8b\x02\x80\x03", "Content-Encoding: br")


# Bodies


@_response
def body_is_a_list(reply: Reply) -> bytes:
    """A JSON list."""
    return whole(200, b"[" + reply.body + b"]")


@_response
def body_is_a_string(reply: Reply) -> bytes:
    """A JSON string."""
    return whole(200, b'"created"')


@_response
def body_is_a_number(reply: Reply) -> bytes:
    """A JSON number."""
    return whole(200, b"12")


@_response
def body_is_null(reply: Reply) -> bytes:
    """A JSON null."""
    return whole(200, b"null")


@_response
def body_is_empty(reply: Reply) -> bytes:
    """200 with an empty body."""
    return whole(200, b"")


@_response
def body_is_unfinished(reply: Reply) -> bytes:
    """Half of a JSON object, with a correct Content-Length."""
    return whole(200, reply.body[: len(reply.body) // 2])


@_response
def body_is_deep(reply: Reply) -> bytes:
    """JSON objects, 100,000 levels deep."""
    return whole(200, b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


@_response
def body_is_a_deep_list(reply: Reply) -> bytes:
    """JSON lists, 100,000 levels deep."""
    return whole(200, b"[" * 100_000 + b"]" * 100_000)


@_response
def number_of_10000_digits(reply: Reply) -> bytes:
    """A JSON object with an integer of 10,000 digits."""
    return whole(200, _with(reply, b"1" * 10_000))


@_response
def numbers_that_are_not_json(reply: Reply) -> bytes:
    """A JSON object with NaN, Infinity and 1e400, which Python's parser accepts too."""
    return whole(reply.status, _with(reply, b"[NaN, -Infinity, 1e400]"))


@_response
def lone_surrogate(reply: Reply) -> bytes:
    r"""A JSON string with half of a surrogate pair, `\\ud800`."""
    return whole(200, _with(reply, rb'"\ud800"'))


@_response
def invalid_utf8(reply: Reply) -> bytes:
    """A JSON string with bytes that are not UTF-8."""
    return whole(200, _with(reply, b'"\xff\xfe"'))


@_response
def utf16(reply: Reply) -> bytes:
    """The response in UTF-16."""
    return whole(200, reply.body.decode().encode("utf-16"))


@_response
def byte_order_mark(reply: Reply) -> bytes:
    """The response after a byte order mark."""
    return whole(200, b"\xef\xbb\xbf" + reply.body)


@_response
def duplicate_keys(reply: Reply) -> bytes:
    """A JSON object with duplicate keys; the last one counts, as in Python."""
    doubled = b'{"id": 0, "name": 0, "registry_repositories": 0, ' + reply.body[1:]
    return whole(reply.status, doubled)


@_response
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


@_response
def status_204(reply: Reply) -> bytes:
    """204, which has no body."""
    return head(204)


@_response
def status_204_that_says_gzip(reply: Reply) -> bytes:
    """204, which has no body, with `Content-Encoding: gzip`."""
    return head(204, GZIP)


@_refusal
def status_304() -> bytes:
    """304, which has no body."""
    return head(304)


@_refusal
def status_999() -> bytes:
    """999, which is not a standard status."""
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
    """302 with a Location that is not a URL."""
    return whole(302, b"", "Location: http://[::1")


@_refusal
def redirect_without_a_location() -> bytes:
    """302 without a Location."""
    return whole(302, b"")


@_refusal
def corrupt_gzip_400() -> bytes:
    """400 with a corrupt gzip body."""
    return whole(400, b"no gzip", GZIP)


@_wire()
async def truncated_400(wire: Wire) -> None:
    """400 with half of its body."""
    await wire.request()
    await wire.send(whole(400, ERROR)[:-40])
    await wire.finish()


def _register_statuses() -> None:
    for status in (400, 401, 403, 404, 405, 409, 408, 429, 500, 501, 502, 503, 504):

        def refuse(status: int = status) -> bytes:
            return whole(status, ERROR)

        refuse.__name__ = f"status_{status}"
        refuse.__doc__ = f"{status}; the request is not carried out."
        _refusal(refuse)


_register_statuses()


@_refusal
def status_429_with_retry_after() -> bytes:
    """429 with `Retry-After: 1`; the request is not carried out."""
    return whole(429, ERROR, "Retry-After: 1")


@_refusal
def status_429_with_a_long_retry_after() -> bytes:
    """429 with `Retry-After: 3600`; the request is not carried out."""
    return whole(429, ERROR, "Retry-After: 3600")


@_refusal
def status_503_with_retry_after() -> bytes:
    """503 with `Retry-After: 1`; the request is not carried out."""
    return whole(503, ERROR, "Retry-After: 1")


@_response
def status_503_after_the_work(reply: Reply) -> bytes:
    """503 with `Retry-After: 1` from a proxy, after the server has carried out the request."""
    return whole(503, ERROR, "Retry-After: 1")


@_response
def status_504_after_the_work(reply: Reply) -> bytes:
    """504 from a proxy, after the server has carried out the request."""
    return whole(504, ERROR)


@_response
def status_408_after_the_work(reply: Reply) -> bytes:
    """408 from a proxy, after the server has carried out the request."""
    return whole(408, ERROR)


# Helpers


def _bytes(data: bytes) -> Iterator[bytes]:
    return (bytes([each]) for each in data)


def _chunked(status: int) -> bytes:
    return head(status, JSON, "Transfer-Encoding: chunked")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _with(reply: Reply, value: bytes) -> bytes:
    """Return the response with one more key."""
    return b'{"more": ' + value + b", " + reply.body[1:]


@cache
def _bomb() -> bytes:
    pack = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    begin = pack.compress(bytes(LIMIT)) + pack.flush(zlib.Z_FULL_FLUSH)
    # After a full flush, each further block compresses to the same bytes.
    block = pack.compress(bytes(LIMIT)) + pack.flush(zlib.Z_FULL_FLUSH)
    return begin + block * 511
