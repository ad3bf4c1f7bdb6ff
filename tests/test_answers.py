"""The judge: status, headers and bytes in, a dict or the right exception out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from abeja_registry._answers import QUOTED_CHARACTERS, Answer, Failure, Outcome, judge, receive
from abeja_registry._operations import (
    create_repository,
    delete_repository,
    get_repositories,
    get_repository,
)

if TYPE_CHECKING:
    from tests.conftest import ScriptedApi

URL = "https://api.example.com/organizations/1/registry/repositories?limit=1"

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


def judged(
    operation: Any, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return or raise what a whole answer comes to."""
    return judge(operation, URL, Answer(status, headers or {}, content))


def http_error(
    status: int, content: bytes = b"", headers: Mapping[str, str] | None = None, of: Any = GET
) -> HttpError:
    """Return the HttpError that an answer comes to."""
    with pytest.raises(HttpError) as caught:
        judged(of, status, content, headers)
    return caught.value


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), STATUSES.items(), ids=map(str, STATUSES))
def test_a_status_has_its_class(api: ScriptedApi, status: int, kind: type[HttpError]) -> None:
    """Through every door, a status is the class of its own, or HttpError itself."""
    api.answers(
        {"error": "e", "error_description": "d", "error_detail": [{"name": "n"}]},
        status=status,
        headers={"X-Request-Id": "r-1", "X-Other": "Other"},
    )
    with pytest.raises(HttpError) as caught:
        api.raw().get_repositories("1", 5, 10)
    error = caught.value
    url = "https://api.example.com/organizations/1/registry/repositories?limit=5&offset=10"
    assert type(error) is kind
    assert (error.error, error.error_description) == ("e", "d")
    assert error.error_detail == [{"name": "n"}]
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
    """What the body does not say in strings, the reason phrase and the body's text say."""
    caught = http_error(404, content)
    assert type(caught) is NotFound
    assert caught.error == error
    assert caught.error_description == (content.decode() if description is None else description)
    assert caught.error_detail == detail


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "Not Found"), (418, "I'm a Teapot"), (999, "unknown")]
)
def test_an_error_without_a_body_has_the_reason(status: int, reason: str) -> None:
    """The reason phrase is the error, and where the status has none, that it is unknown."""
    error = http_error(status)
    assert str(error) == f'<{type(error).__name__} "{reason}":  ({status} from {URL})>'


@pytest.mark.parametrize("content", [b"<p>" * 100_000, b"[" * 100_000, b'"' + b"x" * 100_000])
def test_the_quoted_body_is_bounded(content: bytes) -> None:
    """Of a long body, the description is the beginning."""
    assert http_error(502, content).error_description == content.decode()[:QUOTED_CHARACTERS]


@given(st.integers(300, 999), st.binary(), st.sampled_from([{}, GZIP]))
def test_any_error_body_is_an_http_error(
    status: int, content: bytes, headers: dict[str, str]
) -> None:
    """Whatever the bytes, packed or not, the exception is the status's class and has its text."""
    with pytest.raises(HttpError) as caught:
        judge(GET, URL, receive(status, headers, content))
    assert type(caught.value) is STATUSES.get(status, HttpError)
    assert caught.value.status_code == status
    assert f"({status} from {URL})" in str(caught.value)


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
    """Whatever the object holds, error and description are strings, and the text is made."""
    error = http_error(400, json.dumps(body).encode())
    assert type(error) is BadRequest
    assert {type(error.error), type(error.error_description)} == {str}
    assert str(error).startswith('<BadRequest "')


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", [GET, CREATE, DELETE], ids=lambda value: value.name)
def test_an_error_says_whether_it_may_have_happened(operation: Any, status: int) -> None:
    """A 408 or a 5xx leaves a create and a delete in doubt; no other answer, and no GET's."""
    unknown = operation is not GET and (status == 408 or status >= 500)
    assert http_error(status, of=operation).outcome_unknown is unknown


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
def test_a_success_is_its_object(
    answer: Callable[[str], dict[str, Any]], name: str, status: int
) -> None:
    """Each of the reference's answers comes through as it is, in its order of keys."""
    body = answer(name)
    assert json.dumps(judged(GET, status, json.dumps(body).encode())) == json.dumps(body)


@pytest.mark.parametrize("status", [200, 204])
def test_a_delete_may_be_answered_with_nothing(status: int) -> None:
    """An empty body after a DELETE is a success."""
    assert judged(DELETE, status) == {}


@pytest.mark.parametrize(
    ("status", "content", "kind", "body"),
    [
        (204, b"", "no JSON", ""),
        (200, b"", "no JSON", ""),
        (200, b"<html>", "no JSON", "<html>"),
        (200, b'{"id":1', "no JSON", '{"id":1'),
        (200, b"\xef\xbb\xbf{}", "no JSON", "\ufeff{}"),
        (200, b"[" * 100_000, "no JSON", "[" * QUOTED_CHARACTERS),
        (200, b"1" * 5000, "no JSON", "1" * QUOTED_CHARACTERS),
        (200, b"null", "JSON, but a NoneType", None),
        (200, b"[1]", "JSON, but a list", [1]),
        (200, b'"text"', "JSON, but a str", "text"),
    ],
    ids=[
        "204",
        "empty",
        "html",
        "cut short",
        "BOM",
        "too deep",
        "too many digits",
        "null",
        "list",
        "string",
    ],
)
@pytest.mark.parametrize("operation", [GET, CREATE], ids=lambda value: value.name)
def test_a_success_that_is_no_object(
    operation: Any, status: int, content: bytes, kind: str, body: object
) -> None:
    """It is an InvalidResponse that says what came, and carries it."""
    with pytest.raises(InvalidResponse) as caught:
        judged(operation, status, content, {"content-type": "text/html"})
    assert str(caught.value) == (
        f"{operation.name} was answered with {status} from {URL} and a body that is no JSON object"
        f" ({kind}, {len(content)} bytes, content type 'text/html')"
    )
    assert caught.value.body == body
    assert caught.value.outcome_unknown is operation.changes
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_delete_answered_with_what_is_no_object() -> None:
    """A body after a DELETE must be an object, and whether it happened is not known."""
    with pytest.raises(InvalidResponse, match="delete_repository was answered with 200") as caught:
        judged(DELETE, 200, b"<html>")
    assert caught.value.outcome_unknown is True


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.dictionaries(st.text(), st.integers() | st.text()).map(
        lambda body: json.dumps(body).encode()
    )
)
def test_any_success_is_a_dict_or_an_invalid_response(content: bytes) -> None:
    """Whatever the bytes of a success, the answer is their object, or an InvalidResponse."""
    with suppress(InvalidResponse):
        assert judged(GET, 200, content) == json.loads(content)


# -- no answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [False, True], ids=["lost", "timeout"])
@pytest.mark.parametrize("sent", [False, True], ids=["not sent", "sent"])
@pytest.mark.parametrize(
    "operation", [GET, get_repositories("1"), CREATE, DELETE], ids=lambda value: value.name
)
def test_no_answer(operation: Any, sent: bool, timeout: bool) -> None:
    """A create that was sent is OutcomeUnknown; else it is a Timeout or a TransportError."""
    with pytest.raises(TransportError) as caught:
        judge(operation, URL, Failure("ReadError: reset", sent, timeout))
    error = caught.value
    in_doubt = sent and operation.changes
    if in_doubt and operation is CREATE:
        assert type(error) is OutcomeUnknown
        assert "create_repository of 'sample' was sent and no answer came" in str(error)
        assert "(ReadError: reset)" in str(error)
    else:
        assert type(error) is (Timeout if timeout else TransportError)
        assert str(error) == f"{operation.name}: ReadError: reset ({operation.method} {URL})"
    assert (error.method, error.url) == (operation.method, URL)
    assert error.history == (Attempt("ReadError: reset"),)
    assert error.outcome_unknown is in_doubt


@pytest.mark.parametrize(
    ("outcome", "text"),
    [(Answer(503, {}, b""), "503"), (Failure("ReadError: reset", sent=True), "ReadError: reset")],
    ids=["answer", "failure"],
)
def test_an_outcome_has_a_word_for_the_log(outcome: Outcome, text: str) -> None:
    """An answer is its status, a failure its cause."""
    assert str(outcome) == text


# -- packed bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
@given(payloads=st.lists(st.binary(), min_size=1, max_size=4))
def test_gzip_is_unpacked(encoding: str, payloads: list[bytes]) -> None:
    """Any payload comes out as it went in, in however many members, under each of its names."""
    outcome = receive(
        200, {"content-encoding": encoding}, b"".join(gzip.compress(part) for part in payloads)
    )
    assert isinstance(outcome, Answer)
    assert outcome.content == b"".join(payloads)


@given(st.binary(max_size=200), st.binary(max_size=200), st.data())
def test_gzip_cut_short_is_no_answer(first: bytes, last: bytes, data: st.DataObject) -> None:
    """Wherever a member is cut, the first or a later one, a success without its end is none."""
    whole, cut = gzip.compress(first), gzip.compress(last)
    kept = cut[: data.draw(st.integers(1, len(cut) - 1))]
    for body in (kept, whole + kept):
        with pytest.raises(
            TransportError, match="get_repository: the gzip body is broken"
        ) as caught:
            judge(GET, URL, receive(200, GZIP, body))
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
def test_broken_gzip_of_a_success(operation: Any, kind: type[Error], body: bytes) -> None:
    """A create may have happened all the same, and so may a delete."""
    with pytest.raises(TransportError) as caught:
        judge(operation, URL, receive(200, GZIP, body))
    assert type(caught.value) is kind
    assert caught.value.outcome_unknown is operation.changes
    assert caught.value.history == (Attempt("the gzip body is broken or was cut short"),)


def test_a_status_that_has_no_body_needs_none() -> None:
    """A delete that is answered with 204 is done, whatever the headers say of packing."""
    assert judge(DELETE, URL, receive(204, GZIP, b"")) == {}


@pytest.mark.parametrize("body", [gzip.compress(b"ends"), gzip.compress(b"ends")[:-1]])
def test_what_ended_a_body_is_what_failed(body: bytes) -> None:
    """Where the connection was lost within a body, that is the cause, whatever is packed in it."""
    cut = Failure("ReadTimeout: ", sent=True, timeout=True)
    assert receive(200, GZIP, body, cut) is cut
    assert receive(200, {}, body, cut) is cut


@pytest.mark.parametrize("headers", [{}, GZIP], ids=["plain", "gzip"])
def test_a_broken_body_does_not_hide_an_error(headers: dict[str, str]) -> None:
    """An error whose body was cut short is the status's class, with what came of the body."""
    text = b"<p>a page of which the end is missing"
    body = gzip.compress(text)[:-1] if headers else text
    outcome = receive(404, headers, body, Failure("ReadError: reset", sent=True))
    with pytest.raises(NotFound) as caught:
        judge(GET, URL, outcome)
    assert caught.value.error_description == text.decode()


def test_other_codings_are_left_alone() -> None:
    """What was not asked for is not unpacked, and so is no JSON."""
    with pytest.raises(InvalidResponse):
        judge(GET, URL, receive(200, {"content-encoding": "br"}, gzip.compress(b"{}")))


def test_gzip_through_every_door(api: ScriptedApi, answer: Callable[[str], dict[str, Any]]) -> None:
    """We ask for gzip, and an answer that is packed comes out as the object in it."""
    body = answer("get_repository")
    api.answers(
        content=gzip.compress(json.dumps(body).encode()), headers={"Content-Encoding": "gzip"}
    )
    assert api.raw().get_repository("1", "2") == body
    assert api.requests[0].headers["accept-encoding"] == "gzip"
