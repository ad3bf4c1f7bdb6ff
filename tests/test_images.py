"""The names of images, as the platform's jobs take them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import ORGANIZATION_ID, Examples

from abeja_registry import ImageName, Repository, Tag

DIGEST = "sha256:" + "0a" * 32
PARTS = {
    "organization_id": st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True),
    "repository": st.from_regex(r"[a-z0-9]{1,9}((\.|__?|-+)[a-z0-9]{1,9}){0,3}", fullmatch=True),
    "tag": st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True),
    "digest": st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
}


@given(parts=st.fixed_dictionaries(PARTS).filter(lambda parts: parts["tag"] or parts["digest"]))
def test_a_name_survives_being_printed(parts: dict[str, str]) -> None:
    """Whatever its parts, the name that is printed is parsed into the same value."""
    name = ImageName(**parts)
    assert ImageName.parse(str(name)) == name
    assert name.pinned == (parts["digest"] is not None)
    assert pickle.loads(pickle.dumps(name)) == name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("custom/1/a:1.0", ("1", "a", "1.0", None)),
        (f"custom/1/a@{DIGEST}", ("1", "a", None, DIGEST)),
        (f"custom/1/a-b__c.d:x@{DIGEST}", ("1", "a-b__c.d", "x", DIGEST)),
        ("custom/1/a@sha512:abc", ("1", "a", None, "sha512:abc")),
    ],
)
def test_a_name_has_its_parts(text: str, parts: tuple[Any, ...]) -> None:
    """A name is parsed into its parts, and printed from them."""
    assert ImageName.parse(text) == ImageName(*parts)
    assert str(ImageName(*parts)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "custom/1/a",
        "custom/1/a:",
        "custom/1/a@",
        "custom/1/:1",
        "custom//a:1",
        "custom/1/b/a:1",
        "abeja/1/a:1",
        "custom/1/A:1",
        "custom/1/a:.1",
        "custom/1/a:" + "1" * 129,
        "custom/1/a:1\n",
        "custom/1/a@sha256:00",
        "custom/1/a@" + DIGEST.upper(),
        "registry.example.com/custom/1/a:1",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    """A text that is no image's name is refused, and shown."""
    with pytest.raises(ValueError, match="image") as caught:
        ImageName.parse(text)
    assert repr(text)[:40] in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"organization_id": "1/2"}, ValueError, "organization_id cannot be '1/2'"),
        ({"repository": "Trainer"}, ValueError, "repository cannot be 'Trainer'"),
        ({"repository": "a" * 256}, ValueError, "repository cannot be 'a"),
        ({"repository": None}, TypeError, "repository must be a string, not None"),
        ({"tag": "-"}, ValueError, "tag cannot be '-'"),
        ({"tag": None}, ValueError, "needs a tag or a digest"),
        ({"digest": "00"}, ValueError, "digest cannot be '00'"),
    ],
)
def test_a_part_that_cannot_be_one_is_refused(
    parts: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Each part is refused by its own name, with its value."""
    with pytest.raises(error, match=message):
        ImageName(**({"organization_id": "1", "repository": "a", "tag": "1"} | parts))


def test_only_a_string_is_parsed() -> None:
    """Anything else is a TypeError that shows it."""
    with pytest.raises(TypeError, match="not 1"):
        ImageName.parse(1)  # type: ignore[arg-type]


def test_a_repository_names_its_images(example: Examples) -> None:
    """A tag's image is named by the tag, or pinned to the digest that it has now."""
    repository = Repository.model_validate(example("get_repository"))
    tag = Tag.model_validate(example("get_repository_tags")["tags"][0])
    path = f"custom/{ORGANIZATION_ID}/{repository.name}"
    assert str(repository.image(tag)) == str(repository.image(tag.name)) == f"{path}:{tag.name}"
    assert str(repository.image(tag, pinned=True)) == f"{path}@{tag.digest}"


def test_a_name_alone_cannot_be_pinned(example: Examples) -> None:
    """What a tag's name points to is not known without asking."""
    repository = Repository.model_validate(example("get_repository"))
    with pytest.raises(TypeError, match=r"tag must be a Tag to be pinned, not '1\.0'"):
        repository.image("1.0", pinned=True)  # type: ignore[call-overload]
