"""parse_response: a status, headers and bytes become a dict or the matching exception."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import BASE_URL
from tests.support.internals import (
    QUOTED_CHARACTERS,
    AttemptResult,
    NoResponse,
    Operation,
    Redactor,
    Request,
    Response,
    create_repository,
    decode_response,
    delete_repository,
    get_repositories,
    get_repository,
    no_response,
    outcome_unknown,
    parse_response,
    response,
)

from abeja_registry import (
    Attempt,
    BadRequest,
    Conflict,
    Error,
    Forbidden,
    HttpError,
    InternalServerError,
    InvalidResponse,
    MethodNotAllowed,
    NotFound,
    OutcomeUnknown,
    Timeout,
    TooManyRequests,
    TransportError,
    Unauthorized,
)

if TYPE_CHECKING:
    from tests.support.scripted import ScriptedApi

GET = get_repository("1", "2")
CREATE = create_repository("1", "sample")
DELETE = delete_repository("1", "2")

# Every status that the reference lists, and some that it does not.
STATUSES: dict[int, type[HttpError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    429: TooManyRequests,
    500: InternalServerError,
    302: HttpError,
    402: HttpError,
    408: HttpError,
    418: HttpError,
    502: HttpError,
    503: HttpError,
    999: HttpError,
}
GZIP = {"content-encoding": "gzip"}
HISTORY = (Attempt(error="ReadError", message="reset", wait=0.1), Attempt(503))
# More than any body here has, where the limit does not matter.
LIMIT = 2**20


def received(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    cut: NoResponse | None = None,
    *,
    limit: int = LIMIT,
    method: str = "GET",
) -> AttemptResult:
    """Decode a response."""
    request = Request(method, "", "", [], None, True, 1, limit, Redactor())
    return decode_response(status, headers, body, request, cut)


def parsed(operation: Operation, result: AttemptResult, **options: Any) -> dict[str, Any]:
    """Parse the result of an attempt."""
    return parse_response(operation, BASE_URL, result, **options)


def parsed_response(
    operation: Operation,
    status: int,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Decode and parse a response."""
    return parsed(operation, response(status, headers or {}, content))


def http_error(
    status: int, content: bytes = b"", headers: Mapping[str, str] | None = None, of: Any = GET
) -> HttpError:
    """Return the HttpError for a response."""
    with pytest.raises(HttpError) as caught:
        parsed_response(of, status, content, headers)
    return caught.value


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), STATUSES.items(), ids=map(str, STATUSES))
def test_each_status_has_its_exception(
    api: ScriptedApi, status: int, kind: type[HttpError]
) -> None:
    """Through each sender, a status raises its own class, or HttpError."""
    api.responds(
        {"error": "e", "error_description": "d", "error_detail": [{"name": "n"}]},
        status=status,
        headers={"X-Request-Id": "r-1", "X-Other": "Other"},
    )
    with pytest.raises(HttpError) as caught:
        api.raw(max_retry_count=0).get_repositories("1", 5, 10)
    error = caught.value
    url = "https://api.example.com/organizations/1/registry/repositories?limit=5&offset=10"
    assert type(error) is kind
    assert (error.error, error.error_description) == ("e", "d")
    assert error.error_detail == [{"name": "n"}]
    assert error.history == (Attempt(status),)
    assert (error.status_code, error.url, error.method) == (status, url, "GET")
    assert (error.request_id, error.headers["x-other"]) == ("r-1", "Other")
    assert not {name for name in error.headers if name != name.lower()}
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("content", "error", "description", "detail"),
    [
        (b'{"error":"e","error_description":"d"}', "e", "d", None),
        (b'{"error":"","error_description":"","error_detail":"x"}', "", "", "x"),
        (b'{"error_description":"d"}', "Not Found", "d", None),
        (b'{"error":"e"}', "e", '{"error":"e"}', None),
        (b'{"error":1,"error_description":[2]}', "Not Found", None, None),
        (b'{"error":null,"error_description":null,"error_detail":0}', "Not Found", None, 0),
        (b"{}", "Not Found", "{}", None),
        (b'["no","object"]', "Not Found", '["no","object"]', None),
        (b'"text"', "Not Found", '"text"', None),
        (b"null", "Not Found", "null", None),
        (b"<html>\xc3\xa9</html>", "Not Found", "<html>é</html>", None),
        (b'{"error":"e"', "Not Found", '{"error":"e"', None),
        (b"\xff\xfe", "Not Found", "\ufffd\ufffd", None),
        (b"", "Not Found", "", None),
    ],
    ids=[
        "object",
        "empty fields",
        "no error",
        "no description",
        "numbers",
        "nulls",
        "empty object",
        "list",
        "string",
        "null",
        "html",
        "cut short",
        "no UTF-8",
        "empty",
    ],
)
def test_an_error_body_of_any_kind(
    content: bytes, error: str, description: str | None, detail: object
) -> None:
    """The reason phrase and the body's text replace fields that are not strings."""
    caught = http_error(404, content)
    assert type(caught) is NotFound
    assert caught.error == error
    assert caught.error_description == (content.decode() if description is None else description)
    assert caught.error_detail == detail


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "Not Found"), (418, "I'm a Teapot"), (999, "unknown")]
)
def test_an_error_without_a_body_has_the_reason(status: int, reason: str) -> None:
    """The error is the reason phrase, or "unknown" for an unknown status."""
    error = http_error(status)
    assert (
        str(error)
        == f'<{type(error).__name__} "{reason}":  ({status} from {BASE_URL + GET.target})>'
    )


@pytest.mark.parametrize("content", [b"<p>" * 100_000, b"[" * 100_000, b'"' + b"x" * 100_000])
def test_the_quoted_body_is_truncated(content: bytes) -> None:
    """The description is the start of a long body."""
    assert http_error(502, content).error_description == content.decode()[:QUOTED_CHARACTERS]


@given(st.integers(300, 999), st.binary(), st.sampled_from([{}, GZIP]))
def test_any_error_body_is_an_http_error(
    status: int, content: bytes, headers: dict[str, str]
) -> None:
    """Any bytes, compressed or not, raise the status's class with their text."""
    with pytest.raises(HttpError) as caught:
        parsed(GET, received(status, headers, content))
    assert type(caught.value) is STATUSES.get(status, HttpError)
    assert caught.value.status_code == status
    assert f"({status} from {BASE_URL}{GET.target})" in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(["error", "error_description", "error_detail", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_any_error_object_is_an_http_error(body: dict[str, Any]) -> None:
    """For any JSON object, error and description are strings, and str() works."""
    error = http_error(400, json.dumps(body).encode())
    assert type(error) is BadRequest
    assert {type(error.error), type(error.error_description)} == {str}
    assert str(error).startswith('<BadRequest "')


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", [GET, CREATE, DELETE], ids=lambda value: value.name)
def test_outcome_unknown_of_an_http_error(operation: Any, status: int) -> None:
    """A 408 or a 5xx to a create or a delete; no other status, and no GET."""
    unknown = operation is not GET and (status == 408 or status >= 500)
    assert http_error(status, of=operation).outcome_unknown is unknown


OUTCOMES: dict[str, tuple[AttemptResult, bool]] = {
    **{str(status): (response(status, {}, b""), False) for status in (200, 302, 404, 429, 499)},
    **{str(status): (response(status, {}, b""), True) for status in (408, 500, 503, 599, 999)},
    "not sent": (no_response("ConnectError: refused", sent=False), False),
    "sent": (no_response("ReadError: reset", sent=True), True),
    "sent, and out of time": (no_response("ReadTimeout: ", sent=True, timeout=True), True),
}


@pytest.mark.parametrize(("outcome", "doubtful"), OUTCOMES.values(), ids=OUTCOMES)
@pytest.mark.parametrize("operation", [GET, CREATE, DELETE], ids=lambda value: value.name)
def test_outcome_unknown_of_an_attempt(
    operation: Any, outcome: AttemptResult, doubtful: bool
) -> None:
    """A change that was sent, or that got a status which a proxy may send; never a GET."""
    assert outcome_unknown(operation, outcome) is (doubtful and operation is not GET)


AFTER: dict[str, tuple[AttemptResult, bool]] = {
    "404": (response(404, {}, b""), False),
    "403": (response(403, {}, b""), True),
    "503": (response(503, {}, b""), True),
    "no JSON": (response(200, {}, b"<html>"), True),
    "not sent": (no_response("ConnectError: refused", sent=False), True),
    "sent": (no_response("ReadError: reset", sent=True), True),
}


@pytest.mark.parametrize(("outcome", "unknown"), AFTER.values(), ids=AFTER)
def test_a_delete_after_an_attempt_of_unknown_outcome(
    outcome: AttemptResult, unknown: bool
) -> None:
    """The outcome stays unknown, except after a 404."""
    with pytest.raises(Error) as caught:
        parsed(DELETE, outcome, history=HISTORY, after_unknown_outcome=True)
    assert caught.value.outcome_unknown is unknown
    assert caught.value.history == HISTORY
    if isinstance(caught.value, HttpError):
        assert caught.value.after_unknown_outcome is True


def test_a_404_at_the_first_attempt() -> None:
    """The delete itself has not deleted the repository."""
    assert http_error(404, of=DELETE).after_unknown_outcome is False


POINTING = "redirects are not followed; this one points to "
REDIRECTS: dict[str, tuple[int, dict[str, str], bytes, str]] = {
    "to another host": (
        302,
        {"location": "https://elsewhere.example.com/?a=b"},
        b"<html>",
        POINTING + "'https://elsewhere.example.com/?a=b'",
    ),
    "to a path": (307, {"location": "/path"}, b"", POINTING + "'/path'"),
    "to what is no URL": (301, {"location": "http://[\n"}, b"", POINTING + "'http://[\\n'"),
    "to nothing": (308, {"location": ""}, b"", POINTING + "''"),
    "far": (
        302,
        {"location": "x" * 100_000},
        b"",
        POINTING + repr("x" * QUOTED_CHARACTERS),
    ),
    "without a target": (302, {}, b"<html>", "<html>"),
    "not modified": (304, {}, b"", ""),
    "in the API's words": (302, {"location": "/"}, b'{"error_description":"d"}', "d"),
    "no redirect": (404, {"location": "/path"}, b"text", "text"),
}


@pytest.mark.parametrize(
    ("status", "headers", "content", "description"), REDIRECTS.values(), ids=REDIRECTS
)
def test_a_redirect_quotes_its_target(
    status: int, headers: dict[str, str], content: bytes, description: str
) -> None:
    """It is an HttpError, for any target."""
    assert http_error(status, content, headers).error_description == description


# -- how long to wait -----------------------------------------------------------------------------

NOW = "Wed, 21 Oct 2015 07:28:00 GMT"
RETRY_AFTER: dict[str, tuple[dict[str, str], float | None]] = {
    "nothing": ({}, None),
    "empty": ({"retry-after": ""}, None),
    "none": ({"retry-after": "0"}, 0),
    "seconds": ({"retry-after": "120"}, 120),
    "seconds with spaces": ({"retry-after": " 7\t"}, 7),
    "huge": ({"retry-after": "9" * 300}, float("9" * 300)),
    "beyond all floats": ({"retry-after": "9" * 5000}, float("inf")),
    "below none": ({"retry-after": "-1"}, None),
    "a fraction": ({"retry-after": "1.5"}, None),
    "a word": ({"retry-after": "soon"}, None),
    "digits of another script": ({"retry-after": "\u0661"}, None),
    "a power": ({"retry-after": "\u00b2"}, None),
    "a date": ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": NOW}, 30),
    "a date of another zone": ({"retry-after": "Wed, 21 Oct 2015 09:28:30 +0200", "date": NOW}, 30),
    "a date without a zone": ({"retry-after": "Wed, 21 Oct 2015 07:28:30 -0000", "date": NOW}, 30),
    "a date of RFC 850": ({"retry-after": "Wednesday, 21-Oct-15 07:29:00 GMT", "date": NOW}, 60),
    "the same date": ({"retry-after": NOW, "date": NOW}, 0),
    "a past date": ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT", "date": NOW}, 0),
    "a past date by our clock": ({"retry-after": NOW}, 0),
    "a past date beside nonsense": ({"retry-after": NOW, "date": "now"}, 0),
    "a date that is none": ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT", "date": NOW}, None),
    "a year that is none": ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT", "date": NOW}, None),
    "a zone that is none": ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +9999", "date": NOW}, None),
    "half a date": ({"retry-after": "Wed, 21", "date": NOW}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds are used as they are, a date by the API's clock; other values are ignored."""
    assert response(503, headers, b"").retry_after == seconds
    assert http_error(503, headers=headers).retry_after == seconds


def test_retry_after_without_a_date_header() -> None:
    """A date a minute ahead of our clock means a minute."""
    ahead = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < (response(429, {"retry-after": ahead}, b"").retry_after or 0) <= 60


@given(
    *[
        st.text()
        | st.lists(
            st.sampled_from(["Wed,", "21", "Oct", "9999", "1", "07:28:61", "+2359", "-", ":", "70"])
        ).map(" ".join)
    ]
    * 2
)
def test_any_retry_after_is_seconds_or_none(asked: str, date: str) -> None:
    """No value of the header raises an exception."""
    seconds = response(503, {"retry-after": asked, "date": date}, b"").retry_after
    assert seconds is None or seconds >= 0


# -- successes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 299])
@pytest.mark.parametrize(
    "name",
    [
        "create_repository",
        "delete_repository",
        "get_repositories",
        "get_repository",
        "get_repository_tags",
    ],
)
def test_a_success_returns_its_object(
    example: Callable[[str], dict[str, Any]], name: str, status: int
) -> None:
    """Each example of the reference is returned unchanged, with its order of keys."""
    body = example(name)
    assert json.dumps(parsed_response(GET, status, json.dumps(body).encode())) == json.dumps(body)


@pytest.mark.parametrize("status", [200, 204])
def test_a_delete_may_return_an_empty_body(status: int) -> None:
    """It is a success."""
    assert parsed_response(DELETE, status) == {}


@pytest.mark.parametrize(
    ("status", "content", "kind", "body"),
    [
        (204, b"", "a body of 0 bytes that is not JSON", ""),
        (200, b"", "a body of 0 bytes that is not JSON", ""),
        (200, b"<html>", "a body of 6 bytes that is not JSON", "<html>"),
        (200, b'{"id":1', "a body of 7 bytes that is not JSON", '{"id":1'),
        (200, b"\xef\xbb\xbf{}", "a body of 5 bytes that is not JSON", "\ufeff{}"),
        (200, b'"\\ud800"', "a body of 8 bytes that is not JSON", '"\\ud800"'),
        (200, b'{"a":"\xff"}', "a body of 9 bytes that is not JSON", '{"a":"\ufffd"}'),
        (
            200,
            b"[" * 100_000,
            "a body of 100000 bytes that is not JSON",
            "[" * QUOTED_CHARACTERS,
        ),
        (200, b"1" * 5000, "a body of 5000 bytes that is not JSON", "1" * QUOTED_CHARACTERS),
        (200, b"null", "a JSON body that is a NoneType, not an object", None),
        (200, b"[1]", "a JSON body that is a list, not an object", [1]),
        (200, b'"text"', "a JSON body that is a str, not an object", "text"),
    ],
    ids=[
        "204",
        "empty",
        "html",
        "cut short",
        "BOM",
        "lone surrogate",
        "no UTF-8",
        "too deep",
        "too many digits",
        "null",
        "list",
        "string",
    ],
)
@pytest.mark.parametrize("operation", [GET, CREATE], ids=lambda value: value.name)
def test_a_success_without_an_object(
    operation: Any, status: int, content: bytes, kind: str, body: object
) -> None:
    """It is an InvalidResponse with the body and a description."""
    with pytest.raises(InvalidResponse) as caught:
        parsed_response(operation, status, content, {"content-type": "text/html"})
    assert str(caught.value) == (
        f"{operation.name}: {BASE_URL}{operation.target} returned {status} with {kind}"
        " (content type 'text/html')"
    )
    assert caught.value.body == body
    assert caught.value.outcome_unknown is operation.changes
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_delete_with_an_invalid_body() -> None:
    """A non-empty body must be an object; the outcome is unknown."""
    said = r"^delete_repository: .* returned 200 with"
    with pytest.raises(InvalidResponse, match=said) as caught:
        parsed_response(DELETE, 200, b"<html>")
    assert caught.value.outcome_unknown is True


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.dictionaries(st.text(), st.integers() | st.text()).map(
        lambda body: json.dumps(body).encode()
    )
)
def test_any_success_is_a_dict_or_an_invalid_response(content: bytes) -> None:
    """For any bytes."""
    with suppress(InvalidResponse):
        assert parsed_response(GET, 200, content) == json.loads(content)


# -- no response ----------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [False, True], ids=["lost", "timeout"])
@pytest.mark.parametrize("sent", [False, True], ids=["not sent", "sent"])
@pytest.mark.parametrize(
    "operation", [GET, get_repositories("1"), CREATE, DELETE], ids=lambda value: value.name
)
def test_no_response(operation: Any, sent: bool, timeout: bool) -> None:
    """A create that was sent is OutcomeUnknown; other calls are Timeout or TransportError."""
    with pytest.raises(TransportError) as caught:
        parsed(operation, no_response("ReadError: reset", sent, timeout), history=HISTORY)
    error = caught.value
    in_doubt = sent and operation.changes
    if in_doubt and operation is CREATE:
        assert type(error) is OutcomeUnknown
        assert "create_repository of 'sample' was sent, but no response arrived" in str(error)
        assert "(ReadError: reset)" in str(error)
    else:
        assert type(error) is (Timeout if timeout else TransportError)
        where = f"({operation.method} {BASE_URL}{operation.target})"
        assert str(error) == f"{operation.name}: ReadError: reset {where}"
    assert (error.method, error.url) == (operation.method, BASE_URL + operation.target)
    assert error.history == HISTORY
    assert error.outcome_unknown is in_doubt


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (response(503, {}, b""), "503"),
        (no_response("ReadError: reset", sent=True), "ReadError: reset"),
    ],
    ids=["response", "failure"],
)
def test_the_text_of_a_result(outcome: AttemptResult, text: str) -> None:
    """The status of a response, or the cause of a failure."""
    assert str(outcome) == text


# -- packed bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
@given(payloads=st.lists(st.binary(), min_size=1, max_size=4))
def test_gzip_is_decompressed(encoding: str, payloads: list[bytes]) -> None:
    """Any payload, in any number of members, under each name of the encoding."""
    outcome = received(
        200, {"content-encoding": encoding}, b"".join(gzip.compress(part) for part in payloads)
    )
    assert isinstance(outcome, Response)
    assert outcome.content == b"".join(payloads)


@given(st.binary(max_size=200), st.binary(max_size=200), st.data())
def test_truncated_gzip_is_a_lost_response(first: bytes, last: bytes, data: st.DataObject) -> None:
    """At any position in the first or a later member."""
    whole, cut = gzip.compress(first), gzip.compress(last)
    kept = cut[: data.draw(st.integers(1, len(cut) - 1))]
    for body in (kept, whole + kept):
        with pytest.raises(
            TransportError, match="get_repository: the gzip body is corrupt"
        ) as caught:
            parsed(GET, received(200, GZIP, body))
        assert type(caught.value) is TransportError


@pytest.mark.parametrize(
    ("operation", "kind"),
    [(GET, TransportError), (CREATE, OutcomeUnknown), (DELETE, TransportError)],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"{}")[:-1], b"", b"{}", gzip.compress(b"{}") + b"more"],
    ids=["cut short", "cut off", "not packed", "with more behind"],
)
def test_corrupt_gzip_of_a_success(operation: Any, kind: type[Error], body: bytes) -> None:
    """The outcome of a create or a delete is unknown."""
    with pytest.raises(TransportError) as caught:
        parsed(operation, received(200, GZIP, body))
    assert type(caught.value) is kind
    assert caught.value.outcome_unknown is operation.changes
    assert "the gzip body is corrupt or incomplete" in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "body", "cut"),
    [
        ({}, b'{"id": "1', True),
        ({"connection": "close"}, b'{"id": ', True),
        ({}, b'{"id": "1"}', False),
        ({}, b"<html>", False),
        ({"content-length": "9"}, b'{"id": "1', False),
        ({"transfer-encoding": "chunked"}, b'{"id": "1', False),
    ],
)
def test_a_body_without_a_length_is_complete_if_its_json_is(
    headers: dict[str, str], body: bytes, cut: bool
) -> None:
    """Half an object before the end of the connection is a lost response."""
    outcome = received(200, headers, body)
    assert isinstance(outcome, NoResponse) is cut
    if isinstance(outcome, NoResponse):
        assert outcome.sent
        assert outcome.transient
    assert isinstance(received(500, headers, body), Response)


def test_a_204_has_no_body() -> None:
    """A delete with 204 is a success, with any headers."""
    assert parsed(DELETE, received(204, GZIP, b"")) == {}


@pytest.mark.parametrize(
    "body", [gzip.compress(b"ends"), gzip.compress(b"ends")[:-1]], ids=["whole", "cut"]
)
def test_a_lost_connection_is_the_cause_of_a_truncated_body(body: bytes) -> None:
    """Also if the truncated body is compressed."""
    cut = no_response("ReadTimeout: ", sent=True, timeout=True)
    assert received(200, GZIP, body, cut) is cut
    assert received(200, {}, body, cut) is cut


@pytest.mark.parametrize("headers", [{}, GZIP], ids=["plain", "gzip"])
def test_a_truncated_error_keeps_its_status(headers: dict[str, str]) -> None:
    """The error has the start of the body."""
    text = b"<p>a page of which the end is missing"
    body = gzip.compress(text)[:-1] if headers else text
    outcome = received(404, headers, body, no_response("ReadError: reset", sent=True))
    with pytest.raises(NotFound) as caught:
        parsed(GET, outcome)
    assert caught.value.error_description == text.decode()


def test_other_encodings_are_not_decoded() -> None:
    """The client does not request them; the body is not JSON."""
    with pytest.raises(InvalidResponse):
        parsed(GET, received(200, {"content-encoding": "br"}, gzip.compress(b"{}")))


def test_gzip_through_each_sender(
    api: ScriptedApi, example: Callable[[str], dict[str, Any]]
) -> None:
    """Requests accept gzip, and a compressed response is decoded."""
    body = example("get_repository")
    api.responds(
        content=gzip.compress(json.dumps(body).encode()), headers={"Content-Encoding": "gzip"}
    )
    assert api.raw().get_repository("1", "2") == body
    assert api.requests[0].headers["accept-encoding"] == "gzip"


# -- bodies of a length that nothing says ---------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "cut"),
    [
        (b"", True),
        (b" \r\n", True),
        (b'{"id":', True),
        (b' {"id":', True),
        (b' {"id": 1} ', False),
        (b"[1", False),
        (b"<html>", False),
    ],
)
@pytest.mark.parametrize("measured", [{}, {"content-length": "9"}], ids=["unmeasured", "measured"])
def test_half_an_object_without_a_length(body: bytes, cut: bool, measured: dict[str, str]) -> None:
    """It is a lost response if only the end of the connection ends the body."""
    outcome = received(200, measured, body)
    assert isinstance(outcome, NoResponse) is (cut and not measured)


@pytest.mark.parametrize(("status", "may_be_empty"), [(204, False), (200, True), (500, False)])
def test_an_empty_body_without_a_length(status: int, may_be_empty: bool) -> None:
    """It is complete for a 204, a DELETE or an error."""
    outcome = received(status, {}, b"", method="DELETE" if may_be_empty else "GET")
    assert outcome == response(status, {}, b"")


@pytest.mark.parametrize("headers", [GZIP, {"content-encoding": "x-gzip"}])
def test_no_body_needs_no_decompression(headers: dict[str, str]) -> None:
    """A DELETE whose body is empty is done, whatever encoding its head names."""
    assert parsed(DELETE, received(200, headers, b"", method="DELETE")) == {}


# -- bodies that are too large --------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 99, 100])
@pytest.mark.parametrize("headers", [{"transfer-encoding": "chunked"}, GZIP], ids=["plain", "gzip"])
def test_a_body_at_the_limit(size: int, headers: dict[str, str]) -> None:
    """A body of exactly the maximum size is accepted, compressed or not."""
    body = b"x" * size
    sent = gzip.compress(body) if headers == GZIP else body
    outcome = received(200, headers, sent, limit=100)
    assert outcome == response(200, headers, body)


LARGE: dict[str, tuple[dict[str, str], bytes]] = {
    "plain": ({}, b"x" * 5000),
    "by one byte": ({}, b"x" * 1501),
    "gzip": (GZIP, gzip.compress(b"x" * 5000)),
    "gzip by one byte": (GZIP, gzip.compress(b"x" * 1501)),
    "gzip of two members": (GZIP, gzip.compress(b"x" * 1500) + gzip.compress(b"x")),
    "gzip cut short after the limit": (GZIP, gzip.compress(b"x" * 5000)[:-1]),
    # A sender stops reading as soon as the body exceeds the limit.
    "gzip that is large packed alone": (GZIP, gzip.compress(b"x" * 1490, 0)[:1501]),
}


@pytest.mark.parametrize(("headers", "body"), LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("operation", [GET, CREATE, DELETE], ids=lambda value: value.name)
def test_a_success_that_is_too_large(operation: Any, headers: dict[str, str], body: bytes) -> None:
    """It is an InvalidResponse that names the setting, and quotes the start."""
    outcome = received(201, headers, body, limit=1500)
    assert isinstance(outcome, Response)
    assert outcome.too_large
    with pytest.raises(InvalidResponse) as caught:
        parsed(operation, outcome, history=HISTORY)
    assert str(caught.value) == (
        f"{operation.name}: {BASE_URL}{operation.target} returned 201"
        " with a body larger than max_response_bytes (content type None)"
    )
    assert caught.value.body == outcome.content.decode(errors="replace")[:QUOTED_CHARACTERS]
    assert caught.value.outcome_unknown is operation.changes
    assert caught.value.history == HISTORY


@pytest.mark.parametrize("cut", [None, no_response("ReadError: reset", sent=True)])
def test_an_error_that_is_too_large(cut: NoResponse | None) -> None:
    """It keeps its status and the start of its body."""
    outcome = received(403, GZIP, gzip.compress(b"<p>" * 10_000), cut, limit=1500)
    with pytest.raises(Forbidden) as caught:
        parsed(GET, outcome)
    assert caught.value.error_description == ("<p>" * 1000)[:QUOTED_CHARACTERS]


def test_a_body_beyond_the_limit_is_not_decompressed() -> None:
    """A gigabyte in a megabyte of gzip takes the memory and time of the limit."""
    packed = gzip.compress(bytes(2**20)) * 1000
    outcome = received(200, GZIP, packed, limit=2**20)
    assert isinstance(outcome, Response)
    assert outcome.too_large


@pytest.mark.parametrize(("empty", "whole"), [(999, True), (1000, False), (1_000_000, False)])
def test_a_gzip_body_of_many_members_is_corrupt(empty: int, whole: bool) -> None:
    """A million empty members, which would take seconds, are not read."""
    packed = gzip.compress(b"") * empty + gzip.compress(b"{}")
    outcome = received(200, GZIP, packed, limit=2**25)
    broken = no_response("the gzip body is corrupt or incomplete", sent=True)
    assert outcome == (response(200, GZIP, b"{}") if whole else broken)


def test_max_response_bytes_through_each_sender(api: ScriptedApi) -> None:
    """It is the maximum size of a body."""
    api.responds({"id": "x" * 100})
    client = api.raw(max_response_bytes=110)
    assert dict(client.get_repository("1", "2")) == {"id": "x" * 100}
    client = api.raw(max_response_bytes=109)
    with pytest.raises(InvalidResponse, match="larger than max_response_bytes"):
        client.get_repository("1", "2")
    assert len(api.requests) == 2


def test_the_texts_of_an_error_are_truncated() -> None:
    """The API's error and description have a maximum length."""
    body = {"error": "e" * 5_000, "error_description": "d" * 5_000}
    with pytest.raises(HttpError) as caught:
        parsed(GET, received(500, {}, json.dumps(body).encode()))
    assert (caught.value.error, caught.value.error_description) == ("e" * 1000, "d" * 1000)
