"""The operation of each endpoint, and the arguments that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.internals import (
    Operation,
    create_repository,
    delete_repository,
    get_repositories,
    get_repository,
    get_repository_tags,
    quote_segment,
)

LIST = "/organizations/1/registry/repositories"

# Each operation, with good ids, and the names of its ids.
OPERATIONS: dict[str, Callable[[Any, Any], Operation]] = {
    "create_repository": lambda organization, _: create_repository(organization, "n"),
    "delete_repository": delete_repository,
    "get_repositories": lambda organization, _: get_repositories(organization),
    "get_repository": get_repository,
    "get_repository_tags": get_repository_tags,
}
OF_A_REPOSITORY = {
    name: OPERATIONS[name]
    for name in ("delete_repository", "get_repository", "get_repository_tags")
}

BAD_IDS: dict[str, tuple[object, type[Exception]]] = {
    "empty": ("", ValueError),
    "dot": (".", ValueError),
    "two dots": ("..", ValueError),
    "newline": ("1\n", ValueError),
    "nul": ("\0", ValueError),
    "delete": ("\x7f", ValueError),
    "lone surrogate": ("\ud800", ValueError),
    "none": (None, TypeError),
    "bool": (True, TypeError),
    "float": (1.0, TypeError),
    "bytes": (b"1", TypeError),
    "list": (["1"], TypeError),
}


class Known(str, Enum):  # noqa: UP042 - unlike a StrEnum it prints as more than its text
    """An Enum of ids, as programs define it."""

    REPOSITORY = "2"


@pytest.mark.parametrize(
    ("operation", "method", "target", "body"),
    [
        (create_repository("1", "n"), "POST", LIST, {"name": "n"}),
        (create_repository("1", "n", None), "POST", LIST, {"name": "n"}),
        (create_repository("1", "n", ""), "POST", LIST, {"name": "n", "description": ""}),
        (create_repository("1", "ñ", "d"), "POST", LIST, {"name": "ñ", "description": "d"}),
        (delete_repository("1", "2"), "DELETE", f"{LIST}/2", None),
        (get_repositories("1"), "GET", LIST, None),
        (get_repositories("1", 50), "GET", f"{LIST}?limit=50", None),
        (get_repositories("1", None, 7), "GET", f"{LIST}?offset=7", None),
        (get_repositories("1", offset=0, limit=0), "GET", f"{LIST}?limit=0&offset=0", None),
        (get_repository("1", "2"), "GET", f"{LIST}/2", None),
        (get_repository(1, 2), "GET", f"{LIST}/2", None),
        (get_repository("1", Known.REPOSITORY), "GET", f"{LIST}/2", None),
        (get_repository_tags("1", "2"), "GET", f"{LIST}/2/tags", None),
        (get_repository_tags("1", "2", 50), "GET", f"{LIST}/2/tags?limit=50", None),
        (get_repository_tags("1", "2", None, 7), "GET", f"{LIST}/2/tags?offset=7", None),
        (get_repository_tags(1, 2, -1, "x y"), "GET", f"{LIST}/2/tags?limit=-1&offset=x+y", None),
    ],
    ids=lambda value: f"{value.name} " if isinstance(value, Operation) else "",
)
def test_an_endpoint(
    operation: Operation, method: str, target: str, body: dict[str, str] | None
) -> None:
    """Method, target and body follow the reference, with optional parts only if given."""
    assert (operation.method, operation.target) == (method, target)
    assert (operation.body and json.loads(operation.body)) == body


@pytest.mark.parametrize(
    ("operation", "subject"),
    [
        (create_repository(1, "n"), "n"),
        (delete_repository(1, 2), "2"),
        (get_repositories(1), "1"),
        (get_repository(1, 2), "2"),
        (get_repository_tags(1, 2), "2"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.name,
)
def test_the_name_and_subject_of_an_operation(operation: Operation, subject: str) -> None:
    """The raw client's method, and the name or the id in the request."""
    assert operation.name in OPERATIONS
    assert operation.subject == subject


@pytest.mark.parametrize(
    ("name", "changes", "idempotent"),
    [
        ("create_repository", True, False),
        ("delete_repository", True, True),
        ("get_repositories", False, True),
        ("get_repository", False, True),
        ("get_repository_tags", False, True),
    ],
)
def test_which_operations_change_something(name: str, changes: bool, idempotent: bool) -> None:
    """Only create and delete change the registry; only create is not idempotent."""
    operation = OPERATIONS[name]("1", "2")
    assert operation.name == name
    assert (operation.changes, operation.idempotent) == (changes, idempotent)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize(("value", "error"), BAD_IDS.values(), ids=BAD_IDS)
def test_a_bad_organization_id_is_refused(
    operation: Callable[[Any, Any], Operation], value: object, error: type[Exception]
) -> None:
    """The error names the argument and shows the value."""
    with pytest.raises(error) as caught:
        operation(value, "2")
    assert str(caught.value).startswith("organization_id must be ")
    said = f"a value of type {type(value).__name__}" if value in (b"1", ["1"]) else repr(value)
    assert str(caught.value).endswith(f", not {said}")


@pytest.mark.parametrize("operation", OF_A_REPOSITORY.values(), ids=OF_A_REPOSITORY)
@pytest.mark.parametrize(("value", "error"), BAD_IDS.values(), ids=BAD_IDS)
def test_a_bad_repository_id_is_refused(
    operation: Callable[[Any, Any], Operation], value: object, error: type[Exception]
) -> None:
    """The error names the argument and shows the value."""
    with pytest.raises(error) as caught:
        operation("1", value)
    assert str(caught.value).startswith("repository_id must be ")
    said = f"a value of type {type(value).__name__}" if value in (b"1", ["1"]) else repr(value)
    assert str(caught.value).endswith(f", not {said}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), "name must be a string, not None"),
        ((b"n",), "name must be a string, not a value of type bytes"),
        (("n", 1), "description must be a string, not 1"),
    ],
    ids=["no name", "bytes", "number"],
)
def test_a_name_must_be_a_string(arguments: tuple[Any, ...], message: str) -> None:
    """The error for a create's name or description has the argument's name."""
    with pytest.raises(TypeError, match=f"^{message}$"):
        create_repository("1", *arguments)


@given(
    st.integers()
    | st.text(min_size=1).filter(lambda text: text.isprintable() and text not in (".", ".."))
)
def test_an_id_is_one_segment_of_the_path(identifier: int | str) -> None:
    """Any printable id is one segment of the path, and decodes to itself."""
    target = get_repository_tags(identifier, identifier).target
    assert target.isascii()
    # In the sent URL, no part of an id is a query, a fragment or another segment.
    for path in (target, httpx.URL(f"https://host{target}").raw_path.decode()):
        assert urlsplit(path).path == path
        _, _, organization, _, _, repository, _ = path.split("/")
        assert unquote(organization) == unquote(repository) == str(identifier)


@given(st.text())
def test_an_id_is_quoted_or_refused(identifier: str) -> None:
    """Every string is either quoted as an id, or refused with the argument's name."""
    if identifier.isprintable() and identifier not in ("", ".", ".."):
        assert unquote(quote_segment("id", identifier)) == identifier
    else:
        with pytest.raises(ValueError, match=r"^id must be an id of printable characters, not "):
            quote_segment("id", identifier)


@given(st.text(), st.none() | st.text())
def test_a_create_sends_any_text(name: str, description: str | None) -> None:
    """Every name and description is sent unchanged, as ASCII JSON."""
    body = create_repository("1", name, description).body
    assert body is not None
    assert body.isascii()
    given_description = {} if description is None else {"description": description}
    assert json.loads(body) == {"name": name, **given_description}
