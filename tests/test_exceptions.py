"""The hierarchy of exceptions, their texts, copies and pickles."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.worlds import done, walked

import abeja_registry
from abeja_registry import (
    AsyncClient,
    Attempt,
    BadRequest,
    Client,
    Error,
    HttpError,
    ImageName,
    InsecureTransportWarning,
    InternalServerError,
    InvalidArgument,
    InvalidFile,
    InvalidResponse,
    NotFound,
    Timeout,
    TransportError,
    WaitTimeout,
    exceptions,
)
from abeja_registry.inventory import read_rows, summarize

if TYPE_CHECKING:
    from tests.support.scripted import ScriptedApi

URL = "https://api.example.com/organizations/1/registry/repositories?limit=1"

EXPORTED: dict[str, type[Error]] = {
    name: value
    for name, value in vars(abeja_registry).items()
    if name in abeja_registry.__all__ and isinstance(value, type) and issubclass(value, Error)
}


def example(kind: type[Error]) -> Error:
    """Return an exception of a class, with every attribute that it takes filled in."""
    if issubclass(kind, HttpError):
        return kind(
            "e",
            "d",
            {"field": ["name"]},
            418,
            URL,
            method="POST",
            headers={"x-request-id": "r"},
            request_id="r",
            retry_after=1.5,
            outcome_unknown=True,
            after_unknown_outcome=True,
        )
    if issubclass(kind, TransportError):
        return kind("m", method="POST", url=URL, outcome_unknown=True)
    if issubclass(kind, InvalidResponse):
        return kind(
            "m", body=[{"id": 1}], field="0.id", index=0, row={"id": 1}, outcome_unknown=True
        )
    return kind("m")


def drawn() -> dict[str, str]:
    """Return each class of the docstring's drawing with the class that it hangs under."""
    parents: dict[str, str] = {}
    above = {0: "Error"}
    for line in (exceptions.__doc__ or "").splitlines():
        if found := re.match(r"    ([ |]+)\+-- (\w+)", line):
            depth = len(found[1]) // 5 + 1
            above[depth] = found[2]
            parents[found[2]] = above[depth - 1]
    return parents


def test_the_drawing_is_the_hierarchy() -> None:
    """Each class is below its base in the drawing, and is exported by the package."""
    assert drawn() == {
        name: kind.__bases__[0].__name__ for name, kind in EXPORTED.items() if kind is not Error
    }


def test_the_hierarchy_is_what_existing_code_catches() -> None:
    """The classes of a status derive from HttpError directly."""
    names = (
        "BadRequest Unauthorized Forbidden NotFound MethodNotAllowed Conflict TooManyRequests"
        " InternalServerError"
    )
    assert {kind.__name__ for kind in HttpError.__subclasses__()} == set(names.split())
    assert {kind.__bases__ for kind in HttpError.__subclasses__()} == {(HttpError,)}


def test_a_configuration_error_is_a_value_error() -> None:
    """Code that catches ValueError catches an invalid setting."""
    with pytest.raises(ValueError, match="timeout"):
        abeja_registry.APIClient(timeout=0)


@pytest.mark.parametrize("kind", [Timeout, WaitTimeout])
def test_a_timeout_is_a_timeout_error(kind: type[Error]) -> None:
    """Code that catches Python's TimeoutError catches both kinds; neither has an error number."""
    with pytest.raises(TimeoutError) as caught:
        raise kind("too late")
    assert str(caught.value) == "too late"
    assert (caught.value.errno, caught.value.filename) == (None, None)
    assert isinstance(caught.value, Error)
    assert issubclass(kind, TransportError) is (kind is Timeout)


@pytest.mark.parametrize(
    "error",
    [
        NotFound("e", "d", ["x"], 404, URL),
        NotFound(error="e", error_description="d", error_detail=["x"], status_code=404, url=URL),
    ],
    ids=["positional", "by name"],
)
def test_an_http_error_takes_positional_and_named_arguments(error: HttpError) -> None:
    """The five arguments of existing code are accepted both ways."""
    assert (error.error, error.error_description, error.error_detail) == ("e", "d", ["x"])
    assert (error.status_code, error.url) == (404, URL)
    assert (error.method, error.headers, error.request_id) == (None, {}, None)
    assert (error.retry_after, error.history) == (None, ())
    assert error.outcome_unknown is error.after_unknown_outcome is False


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BadRequest("e", "d"), '<BadRequest "e": d>'),
        (BadRequest("e", "d", None, 400), '<BadRequest "e": d>'),
        (BadRequest("e", "d", None, None, "u"), '<BadRequest "e": d (400 from u)>'),
        (HttpError("e", "d", None, None, "u"), '<HttpError "e": d>'),
        (BadRequest("e", "d", None, 400, "u"), '<BadRequest "e": d (400 from u)>'),
        (BadRequest("e", "d", "x"), '<BadRequest "e": d, x>'),
        (BadRequest("e", "d", {}), '<BadRequest "e": d>'),
        (BadRequest("e", "d", [], 400, "u"), '<BadRequest "e": d (400 from u)>'),
        (BadRequest("e", "d", "x", 400, "u"), '<BadRequest "e": d (400 from u), x>'),
        (BadRequest("e", "d", {"a": 1}, 400, "u"), "<BadRequest \"e\": d (400 from u), {'a': 1}>"),
        (HttpError("e", "d", None, 418, "u"), '<HttpError "e": d (418 from u)>'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_text_of_an_http_error(error: HttpError, text: str) -> None:
    """The text and the repr are one line, without missing parts."""
    assert str(error) == repr(error) == text


def test_an_http_error_is_one_line() -> None:
    """Control characters of the response become blanks, and long details are cut."""
    error = HttpError("a\nb", "c\r\nCRITICAL \x1b[31md\u2028e", ["x" * 5_000_000, "y\n"], 400, "u")
    text = str(error)
    assert text.startswith('<HttpError "a b": c  CRITICAL  [31md e (400 from u), [\'xxx')
    assert len(text) < 1_100
    assert text.isprintable()
    assert error.error_detail == ["x" * 5_000_000, "y\n"]
    assert error.error_description.startswith("c\r\n")


def test_an_http_error_follows_its_attributes() -> None:
    """The text and the dict are built from the current attributes."""
    error = InternalServerError("e", "d", None, 500, "u")
    error.error, error.error_description, error.error_detail = "E", "D", "X"
    error.status_code, error.url = 503, "U"
    assert str(error) == '<InternalServerError "E": D (503 from U), X>'
    assert error._asdict() == {
        "error": "E",
        "error_description": "D",
        "error_detail": "X",
        "status_code": 503,
        "url": "U",
    }


@pytest.mark.parametrize(
    ("error", "left_out"),
    [
        (HttpError("e", "d"), {"error_detail", "status_code", "url"}),
        (HttpError("", "", {}, 404, "u"), {"error_detail"}),
        (HttpError("e", "d", "x", None, "u"), {"status_code"}),
        (NotFound("e", "d"), {"error_detail", "url"}),
        (HttpError("e", "d", "x", 404, ""), {"url"}),
        (HttpError("e", "d", "x", 404, "u"), set()),
    ],
    ids=["all", "detail", "status", "detail and url", "url", "none"],
)
def test_an_http_error_as_a_dict(error: HttpError, left_out: set[str]) -> None:
    """`_asdict()` always has error and description, and the other fields unless empty."""
    names = ["error", "error_description", "error_detail", "status_code", "url"]
    assert error._asdict() == {name: getattr(error, name) for name in names if name not in left_out}


def test_an_http_error_copies_its_headers() -> None:
    """Later changes to the passed headers do not change the exception."""
    headers = {"x": "1"}
    error = HttpError("e", "d", headers=headers)
    headers.clear()
    assert error.headers == {"x": "1"}


@pytest.mark.parametrize("kind", EXPORTED.values(), ids=EXPORTED)
@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        *(
            lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
    ids=["copy", "deepcopy", *(f"pickle {n}" for n in range(pickle.HIGHEST_PROTOCOL + 1))],
)
def test_an_exception_can_be_copied_and_pickled(
    kind: type[Error], copied: Callable[[Any], Any]
) -> None:
    """A copy or a pickle has the class, the text and every attribute, also changed ones."""
    error = example(kind)
    error.added = "later"  # type: ignore[attr-defined]
    error.history = (Attempt(error="ReadError", message="reset", wait=0.25), Attempt(503))
    error.resume_offset = 200
    again = copied(error)
    assert type(again) is kind
    assert again is not error
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
    assert again.outcome_unknown is error.outcome_unknown
    assert (again.history, again.resume_offset) == (error.history, 200)


@pytest.mark.parametrize("kind", EXPORTED.values(), ids=EXPORTED)
def test_every_exception_has_outcome_unknown(kind: type[Error]) -> None:
    """By default, the outcome is known."""
    words = ("e", "d") if issubclass(kind, HttpError) else ("m",)
    error = kind(*words)
    assert error.outcome_unknown is False
    assert (error.history, error.resume_offset) == ((), None)


def test_a_warning_is_not_an_error() -> None:
    """`except Error` does not catch the warning, and filters of UserWarning match it."""
    assert issubclass(InsecureTransportWarning, UserWarning)
    assert not issubclass(InsecureTransportWarning, Error)
    assert "InsecureTransportWarning" in (exceptions.__doc__ or "")


def test_an_attempt_is_a_frozen_value() -> None:
    """The attempts of a history compare by value, and cannot be changed."""
    attempt = Attempt(503, wait=0.5)
    assert attempt == Attempt(503, None, "", None, 0.5) != Attempt(503)
    with pytest.raises(FrozenInstanceError):
        attempt.wait = None  # type: ignore[misc]


# -- arguments ------------------------------------------------------------------------------------

HUGE = 10**5000
# Each is called with a sync and an async client, and sends no request.
REFUSED: dict[str, Callable[[Any], Any]] = {
    "limit 0": lambda c: c.repositories.list(limit=0),
    "limit text": lambda c: c.repositories.list(limit="5"),
    "limit bool": lambda c: c.tags.list("1", limit=True),
    "limit huge": lambda c: c.tags.list("1", limit=-HUGE),
    "offset": lambda c: c.repositories.list(offset=-1),
    "page size": lambda c: walked(c.repositories.iter(page_size=0)),
    "offset of an iteration": lambda c: walked(c.tags.iter("1", offset=1.5)),
    "no id": lambda c: c.repositories.get(None),
    "empty id": lambda c: c.repositories.get(""),
    "dots": lambda c: c.repositories.delete(".."),
    "huge id": lambda c: c.repositories.get(HUGE),
    "name": lambda c: c.repositories.create(5),
    "description": lambda c: c.repositories.create("n", 5),
    "pattern": lambda c: walked(c.tags.iter("1", pattern="")),
    "pattern type": lambda c: walked(c.tags.iter("1", pattern=5)),
    "since": lambda c: walked(c.tags.iter("1", since="2024-01-01")),
    "naive time": lambda c: walked(c.tags.iter("1", until=datetime(2024, 1, 1))),
    "order": lambda c: c.tags.latest("1", by="size"),
    "prereleases": lambda c: c.tags.latest("1", prereleases=True),
    "timeout": lambda c: c.tags.wait_for("1", "x", timeout=0),
    "timeout huge": lambda c: c.tags.wait_for("1", "x", timeout=HUGE),
    "digest": lambda c: c.tags.wait_for("1", "x", timeout=1, digest="x"),
    "digest type": lambda c: c.tags.wait_for("1", "x", timeout=1, digest=5),
    "concurrency": lambda c: walked(c.inventory(concurrency=0)),
    "include": lambda c: walked(c.inventory(include="")),
    "progress": lambda c: walked(c.inventory(on_progress=5)),
    "raw id": lambda c: c.raw.get_repository("1", ["2"]),
    "raw name": lambda c: c.raw.create_repository("1", None),
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
async def test_an_invalid_argument_has_its_own_class(
    kind: type[Any], call: Callable[[Any], Any]
) -> None:
    """`InvalidArgument` can be caught as a ValueError or a TypeError, too."""
    client = kind("1", {}, base_url="http://127.0.0.1:9")
    with pytest.raises(InvalidArgument) as caught:
        await done(call(client))
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)
    assert not isinstance(caught.value, Error)
    assert len(str(caught.value)) < 400
    await done(client.close() if kind is Client else client.aclose())


@pytest.mark.parametrize(
    "call",
    [
        lambda: ImageName("1", "trainer"),
        lambda: ImageName("1", "NO", tag="1"),
        lambda: ImageName("1", "trainer", tag=5),  # type: ignore[arg-type]
        lambda: ImageName.parse("x"),
        lambda: ImageName.parse(5),  # type: ignore[arg-type]
        lambda: ImageName.parse("custom/1/NO:1"),
        lambda: read_rows("inventory.txt"),
        lambda: summarize([], stale_after_days=-1),
        lambda: summarize([], stale_after_days=HUGE),
        lambda: summarize([], now=datetime(2024, 1, 1)),
    ],
)
def test_an_invalid_argument_of_a_function(call: Callable[[], object]) -> None:
    """Functions without a client raise the same class."""
    with pytest.raises(InvalidArgument):
        call()


def test_an_invalid_argument_survives_pickling() -> None:
    """It is unpickled unchanged, also in another process."""
    error = pickle.loads(pickle.dumps(InvalidArgument("limit must be at least 1, not 0")))
    assert (type(error), str(error)) == (InvalidArgument, "limit must be at least 1, not 0")


def test_an_invalid_file_has_path_and_line() -> None:
    """Its text is the message, and its attributes are the file and the line."""
    error = pickle.loads(pickle.dumps(InvalidFile("line 2 of a.csv is none", "a.csv", 2)))
    assert (str(error), error.path, error.line) == ("line 2 of a.csv is none", "a.csv", 2)
    assert isinstance(error, ValueError)
    assert (InvalidFile("x").path, InvalidFile("x").line) == (None, None)


STATUSES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "Conflict": 409,
    "TooManyRequests": 429,
    "InternalServerError": 500,
}


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_an_error_has_the_status_of_its_class(name: str, status: int) -> None:
    """An error without an explicit status has an integer status."""
    kind: type[HttpError] = getattr(abeja_registry, name)
    error = kind("e", "d")
    assert (error.status_code, error.args[3]) == (status, status)
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (copied.status_code, str(copied)) == (status, f'<{name} "e": d>')
    assert kind("e", "d", None, 599).status_code == 599
    assert kind("e", "d", status_code=599).status_code == 599
    assert HttpError("e", "d").status_code is None


LOOK_UPS: dict[str, Callable[[Any], Any]] = {
    "get_by_name": lambda client: client.repositories.get_by_name("nobody"),
    "tags.get": lambda client: client.tags.get("1", "nobody"),
    "tags.latest": lambda client: client.tags.latest("1", pattern="nobody*"),
    "tags.latest by version": lambda client: client.tags.latest("1", by="version"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("ask", LOOK_UPS.values(), ids=LOOK_UPS)
@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_look_up_that_finds_nothing_is_a_404(
    api: ScriptedApi, typed: Any, ask: Callable[[Any], Any]
) -> None:
    """Code can compare the status, and the text names the missing item."""
    page = {"offset": 0, "limit": 100, "has_next": False}
    api.responds(page | {"items": []})
    with pytest.raises(HttpError) as caught:
        await done(ask(typed))
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert type(error) is NotFound
        assert error.status_code is not None
        assert error.status_code == 404
        assert not error.status_code >= 500
        assert (error.error, error.url, error.history) == ("not_found", None, ())
        assert str(error).startswith('<NotFound "not_found": no ')
        assert not getattr(error, "__notes__", ())  # ids have nothing to do with it
