"""Redaction of the credential in errors, for any credential and any response."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import BASE_URL, ORGANIZATION_ID
from tests.support.internals import PLACEHOLDER, Redactor
from tests.support.worlds import done, walked

from abeja_registry import APIClient, AsyncClient, Client, Error, HttpError, InvalidResponse

pytestmark = pytest.mark.anyio

Examples = Callable[[str], dict[str, Any]]

# Tokens that are words of a response, or of this package, or no words at all.
WORDS = (
    "repositories",
    "registry_repositories",
    "organization_id",
    "created_at",
    "creator",
    "id",
    "error_description",
    "error_detail",
    "location",
    "content-type",
    "x-request-id",
    "credential",
    "[the credential]",
    "sample_repository",
    "1410000000000",
    "1234567890123",
    '{"id": "1"}',
    "registry_repositories.0.creator",
    "InvalidResponse",
    "\\u0041\\u0042",
    "%41%42%43%44",
    "&amp;&lt;&gt;",
)
words = pytest.mark.parametrize("word", WORDS)
kinds = pytest.mark.parametrize("kind", [Client, AsyncClient])


def client_of(kind: Callable[..., Any], word: str, **options: Any) -> Any:
    """Return a client with this token."""
    return kind(ORGANIZATION_ID, {"auth_token": word}, base_url=BASE_URL, **options)


@words
@kinds
@respx.mock
async def test_the_error_of_a_bad_row_is_the_same_for_any_token(
    example: Examples, kind: Callable[..., Any], word: str, respx_mock: respx.MockRouter
) -> None:
    """A token that equals a field's name changes no key in the error."""
    body = example("get_repositories")
    good = body["registry_repositories"][0]
    body["registry_repositories"] = [good, good | {"id": "2", "creator": None}]
    respx_mock.route().mock(return_value=httpx.Response(200, json=body))
    client = client_of(kind, word)
    with pytest.raises(InvalidResponse) as caught:
        await done(client.repositories.list())
    error = caught.value
    assert (error.index, error.field) == (1, "registry_repositories.1.creator")
    assert isinstance(error.row, dict)
    assert isinstance(error.body, dict)
    assert (error.row.keys(), error.body.keys()) == (good.keys(), body.keys())
    assert error.body["registry_repositories"][1] == error.row
    if len(word) >= 8:
        assert word not in error.row.values()
        assert word not in error.body.values()
    assert pickle.loads(pickle.dumps(error)).row == error.row
    with pytest.raises(InvalidResponse):
        await done(client.repositories.get_or_create("sample_repository-2"))
    skipping = client_of(kind, word, invalid_rows="skip")
    assert [each.id for each in await walked(skipping.repositories.iter())] == [good["id"]]
    await walked(skipping.inventory())


@words
@kinds
async def test_an_http_error_is_the_same_for_any_token(kind: Callable[..., Any], word: str) -> None:
    """Status, code, request id and headers are those of the response."""
    body = {"error": "some_code", "error_description": "what was wrong", "error_detail": {"a": 1}}
    headers = {"x-request-id": "r-1", "location": "https://else.example.com", "retry-after": "0"}
    client = client_of(kind, word, max_retry_count=0)
    for status in (302, 400, 404, 500):
        with respx.mock as router:
            router.route().mock(return_value=httpx.Response(status, json=body, headers=headers))
            with pytest.raises(HttpError) as caught:
                await done(client.repositories.get("1"))
        error = caught.value
        assert (error.status_code, error.error, error.request_id) == (status, "some_code", "r-1")
        assert error.error_description == "what was wrong"
        assert error.error_detail == {"a": 1}
        assert headers.keys() | {"content-type"} <= error.headers.keys()


@words
def test_an_invalid_response_is_the_same_for_any_token(word: str) -> None:
    """No token changes the class of the exception."""
    with APIClient({"auth_token": word}, base_url=BASE_URL, max_retry_count=0) as client:
        for content in (b"[]", b"null", b"5", b'"repositories"', b"<p>creator</p>", b"{", b"\xff"):
            with respx.mock as router:
                router.route().mock(return_value=httpx.Response(200, content=content))
                with pytest.raises(Error):
                    client.get_repositories("1")


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("1410000000000", 1410000000000),
        ("1410000000000", [-1410000000000]),
        ("1410000000000", {"a": 14100000000000.5}),
        ("1.23456789", 1.23456789),
        ("12345678", "x12345678x"),
        ("secret-secret", {"secret-secret": 1}),
        ("secret-secret", {"a": {"secret-secret": ["secret-secret"]}}),
        ("media_type", {"name": "media_type"}),
        ("media_type", ["media_type", {"the media_type": 1}]),
        ("credential", "the credential \\u0063redential %63redential"),
        ("[the credential]", "a [the credential] \\n"),
        ("e credenti", "a e credenti b"),
    ],
)
def test_a_value_is_redacted_at_any_depth(token: str, value: Any) -> None:
    """Strings, numbers and unknown keys are redacted; known keys are not."""
    redacted = Redactor(f"Bearer {token}", [token])(value)
    text = json.dumps(redacted).replace('"media_type":', "")
    assert token not in text.replace(PLACEHOLDER, "")
    assert redacted != value


def test_other_values_are_unchanged() -> None:
    """Numbers of any length, booleans and null."""
    redact = Redactor("Bearer 1410000000000", ["1410000000000"])
    value = {"a": [1, 1.5, True, None, "x", 10**5000, float("inf")], "name": "n"}
    assert redact(value) == value
    assert redact(value)["a"][2] is True


def test_endless_quoting_is_redacted_completely() -> None:
    """A server that quotes at ever greater depth causes no other exception."""
    text, level = "", "secret-secret"
    for _ in range(1500):
        text += level + " "
        level = level.replace("%", "%25").replace("s", "%73", 1)
    assert Redactor("Bearer secret-secret", ["secret-secret"])(text) == PLACEHOLDER


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=JSON, word=st.sampled_from([word for word in WORDS if len(word) >= 8]))
def test_redacting_keeps_the_shape_of_any_value(value: Any, word: str) -> None:
    """No string in the result contains the token."""
    redact = Redactor(f"Bearer {word}", [word])

    def check(before: Any, after: Any) -> None:
        if isinstance(before, dict):
            assert isinstance(after, dict)
            for inner in before:
                if redact({inner: 0}) == {inner: 0}:
                    assert inner in after
        elif isinstance(before, list):
            assert len(before) == len(after)
            for one, other in zip(before, after, strict=True):
                check(one, other)
        elif isinstance(before, str):
            assert word not in after.replace(PLACEHOLDER, "")

    check(value, redact(value))


@pytest.mark.parametrize("escape", [str, quote, json.dumps], ids=["plain", "quoted", "JSON"])
@given(length=st.integers(8, 5_000), before=st.integers(0, 3_000))
def test_a_secret_that_is_cut_through_is_not_quoted(
    escape: Callable[[str], str], length: int, before: int
) -> None:
    """However long the secret is, the start of a long text shows no part of it."""
    secret = ("s3cr!t/" * (length // 7 + 1))[:length]
    redact = Redactor("Bearer " + secret, [secret])
    text = "x" * before + escape(secret) * (16 * 1024 // length + 2)
    shown = redact.quote(text[: 16 * 1024], 1_000, cut=True)
    assert len(shown) <= 1_000
    assert "s3cr" not in shown
