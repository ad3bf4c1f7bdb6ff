"""The API's rows as frozen values: nothing lost, ids as strings, times as instants."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from abeja_registry import (
    AsyncPage,
    AsyncRepository,
    Creator,
    Error,
    InvalidResponse,
    Page,
    Repository,
    Tag,
)

if TYPE_CHECKING:
    from tests.support.scripted import ScriptedApi

Examples = Callable[[str], dict[str, Any]]

# Each row of the reference: its model, the operation that returns it, and its path in the response.
ROWS: dict[str, tuple[type[BaseModel], str, tuple[str | int, ...]]] = {
    "created repository": (Repository, "create_repository", ()),
    "deleted repository": (Repository, "delete_repository", ()),
    "repository": (Repository, "get_repository", ()),
    "async repository": (AsyncRepository, "get_repository", ()),
    "listed repository": (Repository, "get_repositories", ("registry_repositories", 0)),
    "creator": (Creator, "get_repository", ("creator",)),
    "tag": (Tag, "get_repository_tags", ("tags", 0)),
    "creator of a tag": (Creator, "get_repository_tags", ("tags", 0, "creator")),
    "page of repositories": (Page[Repository], "get_repositories", ()),
    "async page of repositories": (AsyncPage[AsyncRepository], "get_repositories", ()),
    "page of tags": (Page[Tag], "get_repository_tags", ()),
    "async page of tags": (AsyncPage[Tag], "get_repository_tags", ()),
}


@pytest.fixture(params=ROWS.values(), ids=list(ROWS))
def row(
    request: pytest.FixtureRequest, example: Examples
) -> tuple[type[BaseModel], dict[str, Any]]:
    """Each row of the reference in turn: its model, and the row as the API sends it."""
    model, operation, way = request.param
    sent: Any = example(operation)
    for step in way:
        sent = sent[step]
    return model, sent


@pytest.fixture
def tag_row(example: Examples) -> dict[str, Any]:
    """The reference's tag, as the API sends it."""
    row: dict[str, Any] = example("get_repository_tags")["tags"][0]
    return row


def alike(value: Any, name: str = "") -> Any:
    """Return a row with its ids as strings, its times as instants, its items under one name."""
    if isinstance(value, dict):
        listed = {"registry_repositories": "items"} | (
            {"tags": "items"} if "limit" in value else {}
        )
        return {listed.get(key, key): alike(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [alike(inner) for inner in value]
    if name.endswith("_at"):
        return datetime.fromisoformat(value)
    return str(value) if name.endswith("id") else value


def levels(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within a response, from the outside in."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from levels(inner)


# -- rows -----------------------------------------------------------------------------------------


def test_a_dump_equals_the_row(row: tuple[type[BaseModel], dict[str, Any]]) -> None:
    """A model's dump is the row of the API: no field is lost or added."""
    model, sent = row
    dumped = model.model_validate(sent).model_dump(mode="json", exclude_unset=True)
    assert alike(dumped) == alike(sent)


def test_unknown_fields_are_kept(row: tuple[type[BaseModel], dict[str, Any]]) -> None:
    """At every level, an unknown field is in `model_extra` and in the dump."""
    model, sent = row
    for level in list(levels(sent)):
        level["new"] = {"some": ["thing"]}
    value = model.model_validate(sent)
    assert value.model_extra == {"new": {"some": ["thing"]}}
    assert alike(value.model_dump(mode="json", exclude_unset=True)) == alike(sent)


# Names of unknown fields: a model's own attributes, public and private, and names that are invalid
# in Python.
FOREIGN = sorted(
    {"_client", "_origin", "self", "cls", "get", "items", "0", "a-b", "", "é", "class", "context"}
    | {"__class__", "__dict__", "__slots__", "model_config", "model_fields_set", "model_extra"}
)


@pytest.mark.parametrize("value", [None, 5, "x", {"a": 1}, [1]], ids=repr)
def test_an_unknown_field_may_have_any_name(
    row: tuple[type[BaseModel], dict[str, Any]], value: Any
) -> None:
    """It is kept in `model_extra`, and changes nothing else of the model."""
    model, sent = row
    plain = model.model_validate(sent)
    for name in sorted({*FOREIGN, *dir(model)} - set(model.model_fields) - set(sent)):
        known = model.model_validate(sent | {name: value})
        assert known.model_extra == {name: value}
        assert type(known) is model
        fields = [(getattr(known, field), getattr(plain, field)) for field in model.model_fields]
        assert all(one == other for one, other in fields)
        assert known.model_fields_set == plain.model_fields_set | {name}
        assert repr(known) == repr(plain)
        assert known.model_dump()[name] == value
        copies = (
            model.model_validate(known.model_dump()),
            pickle.loads(pickle.dumps(known)),
            copy.copy(known),
            copy.deepcopy(known),
            known.model_copy(),
        )
        assert all(copied == known != plain for copied in copies)
        for copied in copies:
            if isinstance(copied, Repository):  # a field is nothing that it is bound to
                with pytest.raises(Error, match="not bound to a client"):
                    copied.iter_tags()


def test_a_model_is_a_frozen_value(row: tuple[type[BaseModel], dict[str, Any]]) -> None:
    """Models of equal rows are equal and hash alike, of different rows not; none can change."""
    model, sent = row
    one, same = model.model_validate(sent), model.model_validate(copy.deepcopy(sent))
    other = model.model_validate(sent | {"created_at": "2001-01-01T00:00:00Z"})
    assert one == same != other
    assert len({one, same, other}) == 2
    assert one != model.model_validate(sent | {"new": 1})
    with pytest.raises(ValidationError, match="frozen"):
        one.created_at = None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_model_survives(
    row: tuple[type[BaseModel], dict[str, Any]], copied: Callable[[BaseModel], BaseModel]
) -> None:
    """A copy or a pickle is an equal value of the same class, unknown fields included."""
    model, sent = row
    value = model.model_validate(sent | {"new": [1]})
    again = copied(value)
    assert again is not value
    assert (type(again), again, repr(again)) == (type(value), value, repr(value))
    assert again.model_fields_set == value.model_fields_set


# -- fields ---------------------------------------------------------------------------------------


def test_the_fields_of_a_tag(tag_row: dict[str, Any]) -> None:
    """A tag's fields are typed, and its numeric id is a string."""
    tag = Tag.model_validate(tag_row)
    assert (tag.id, tag.name, tag.digest) == ("1771682238503", "0.0.4", tag_row["digest"])
    assert (tag.size, tag.media_type) == (2757009, tag_row["media_type"])
    assert tag.created_at == datetime(2019, 5, 23, 5, 13, 13, tzinfo=UTC)
    assert tag.updated_at == datetime(2019, 5, 23, 5, 13, 15, tzinfo=UTC)
    assert (tag.creator.id, tag.creator.email) == ("1122334455660", "test@abeja.asia")
    assert (tag.creator.role, tag.creator.is_registered) == ("admin", True)


def test_the_fields_of_a_page(example: Examples) -> None:
    """A page's fields are typed, including the organization's."""
    repositories = Page[Repository].model_validate(example("get_repositories"))
    tags = Page[Tag].model_validate(example("get_repository_tags"))
    for page in (repositories, tags):
        assert (page.offset, page.limit, page.has_next) == (0, 10, False)
        assert (page.organization_id, page.organization_name) == ("1410000000000", "test-org")
        assert page.created_at == datetime(2019, 5, 23, 5, 13, 13, tzinfo=UTC)
        assert page.updated_at == datetime(2019, 5, 23, 5, 13, 15, tzinfo=UTC)
    assert repositories.registry_repository_id is None
    assert tags.registry_repository_id == "1700000000000"


def test_a_null_or_missing_field_is_none(example: Examples) -> None:
    """A list omits some fields; an empty list stays a list."""
    repository = Repository.model_validate(example("get_repository"))
    assert (repository.description, repository.tags) == (None, ())
    assert repository.creator.display_name is None
    listed = example("get_repositories")["registry_repositories"][0]
    for name in ("description", "tags"):
        listed.pop(name, None)
    listed["creator"].pop("display_name")
    repository = Repository.model_validate(listed)
    assert (repository.description, repository.tags) == (None, None)
    assert repository.creator.display_name is None
    assert Repository.model_validate(example("get_repository") | {"tags": None}).tags is None


def test_embedded_tags_are_tags(example: Examples, tag_row: dict[str, Any]) -> None:
    """The tags of a repository equal those of a page."""
    repository = Repository.model_validate(example("get_repository") | {"tags": [tag_row]})
    assert repository.tags == (Tag.model_validate(tag_row),)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.data())
def test_a_time_has_a_zone(naive: datetime, data: st.DataObject) -> None:
    """A time with an offset is that instant, and one without a zone is UTC."""
    offset = timezone(timedelta(minutes=data.draw(st.integers(-1439, 1439))))
    row = {"id": 1, "email": "e", "role": "r", "is_registered": True}
    times = {
        "created_at": naive.isoformat(),
        "updated_at": naive.replace(tzinfo=offset).isoformat(),
    }
    creator = Creator.model_validate(row | times)
    assert creator.created_at == naive.replace(tzinfo=UTC)
    assert creator.updated_at == naive.replace(tzinfo=offset)
    assert None not in (creator.created_at.tzinfo, creator.updated_at.tzinfo)


@pytest.mark.parametrize("identifier", [0, 1771682238503, 10**40, "x", "user-1"])
def test_an_id_is_a_string(tag_row: dict[str, Any], identifier: int | str) -> None:
    """An id that the API sends as a number becomes a string."""
    assert Tag.model_validate(tag_row | {"id": identifier}).id == str(identifier)


@pytest.mark.parametrize("size", [-(2**63) - 1, 2**63])
def test_a_size_is_a_number_of_64_bits(tag_row: dict[str, Any], size: int) -> None:
    """A larger one is rejected before it is in a sum or a file."""
    assert Tag.model_validate(tag_row | {"size": 2**63 - 1}).size == 2**63 - 1
    with pytest.raises(ValidationError, match="size"):
        Tag.model_validate(tag_row | {"size": size})


# -- what no model can be made from ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"id": None}, "id", "Input should be a valid string (1 in all)"),
        ({"created_at": "soon"}, "created_at", "Input should be a valid datetime"),
        ({"creator": {}}, "creator.id", "Field required (6 in all)"),
        ({"tags": [{}]}, "tags.0.id", "Field required (8 in all)"),
        ({"tags": "0.0.4"}, "tags", "Input should be a valid tuple (1 in all)"),
    ],
    ids=["id", "time", "creator", "tag", "tags"],
)
def test_the_error_names_the_invalid_field(
    api: ScriptedApi, example: Examples, change: dict[str, object], field: str, problem: str
) -> None:
    """The InvalidResponse has the path of the first invalid field, and the body."""
    body = example("get_repository") | change
    api.responds(body)
    with pytest.raises(InvalidResponse) as caught:
        api.client().repositories.get("1")
    assert str(caught.value).startswith(
        f"the response is not a valid Repository: field {field!r}: {problem}"
    )
    assert (caught.value.field, caught.value.body) == (field, body)
    assert (caught.value.index, caught.value.row) == ((0, {}) if "0" in field else (None, None))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"offset": -1}, "offset"), ({"limit": 0}, "limit"), ({"has_next": "?"}, "has_next")],
    ids=["offset", "limit", "has_next"],
)
def test_an_invalid_page(
    api: ScriptedApi, example: Examples, change: dict[str, object], field: str
) -> None:
    """A page with an impossible offset or limit is an InvalidResponse."""
    api.responds(example("get_repository_tags") | change)
    with pytest.raises(InvalidResponse, match=f"Page.Tag.: field '{field}': ") as caught:
        api.client().tags.list("1")
    assert (caught.value.field, caught.value.index, caught.value.row) == (field, None, None)


@pytest.fixture
def few_digits() -> Iterator[None]:
    """An interpreter that prints no numbers of over 640 digits."""
    allowed = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(allowed)


def with_digits(digits: int) -> bytes:
    """Return the bytes of an object whose id is a number of so many digits."""
    return b'{"id":' + b"1" * digits + b"}"


def test_a_number_that_json_rejects(api: ScriptedApi) -> None:
    """An id of 5,000 digits is an InvalidResponse."""
    api.responds(content=with_digits(5000))
    with pytest.raises(InvalidResponse, match="a body of 5007 bytes that is not JSON"):
        api.client().repositories.get("1")


@pytest.mark.usefixtures("few_digits")
def test_a_number_that_python_cannot_print(api: ScriptedApi) -> None:
    """An id with more digits than the interpreter prints is an InvalidResponse with the body."""
    api.responds(content=with_digits(700))
    with pytest.raises(InvalidResponse, match=r"valid Repository: .* Exceeds the limit") as caught:
        api.client().repositories.get("1")
    assert caught.value.body == {"id": int(b"1" * 600) * 10**100 + int(b"1" * 100)}
    assert (caught.value.field, caught.value.index) == ("", None)


# -- creators -------------------------------------------------------------------------------------


def test_a_repeated_creator_is_one_value(api: ScriptedApi, example: Examples) -> None:
    """Tags of one response share equal creators; a different or invalid one is separate."""
    page = example("get_repository_tags")
    row = page["tags"][0]
    renamed = {**row["creator"], "display_name": "Somebody"}
    without_id = {name: value for name, value in row["creator"].items() if name != "id"}
    creators = [row["creator"], dict(row["creator"]), renamed, row["creator"]]
    api.responds({**page, "tags": [{**row, "id": n, "creator": c} for n, c in enumerate(creators)]})
    first, second, third, fourth = api.client().tags.list("1")
    assert first.creator is second.creator
    assert (third.creator.display_name, third.creator.id) == ("Somebody", first.creator.id)
    assert fourth.creator == first.creator
    for wrong, field in ((without_id, "tags.0.creator.id"), (None, "tags.0.creator")):
        api.responds({**page, "tags": [{**row, "creator": wrong}]})
        with pytest.raises(InvalidResponse) as caught:
            api.client().tags.list("1")
        assert caught.value.field == field


# -- the bond -------------------------------------------------------------------------------------


def test_the_client_is_not_part_of_the_value(api: ScriptedApi, example: Examples) -> None:
    """A repository with a client equals one without, and has the same repr."""
    api.responds(example("get_repository"))
    bound = api.client().repositories.get("1")
    unbound = Repository.model_validate(example("get_repository"))
    assert (bound, hash(bound), repr(bound)) == (unbound, hash(unbound), repr(unbound))
    assert bound.model_dump() == unbound.model_dump()


@pytest.mark.parametrize("copied", [copy.copy, Repository.model_copy], ids=["copy", "model_copy"])
def test_a_shallow_copy_keeps_the_client(
    api: ScriptedApi, example: Examples, copied: Callable[[Repository], Repository]
) -> None:
    """A copy of a repository uses the same client."""
    api.responds(example("get_repository"))
    repository = copied(api.client().repositories.get("1"))
    assert repository.refresh() == repository
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["deepcopy", "pickle"],
)
def test_a_deep_copy_has_no_client(
    api: ScriptedApi, example: Examples, copied: Callable[[Any], Any]
) -> None:
    """A deep copy or a pickle has no client, and its methods say what to do."""
    api.responds(example("get_repository"))
    repository = copied(api.client().repositories.get("1"))
    with pytest.raises(Error, match=r"this Repository is not bound to a client.*: get it from"):
        repository.refresh()
    # A copy of a repository without a client has none, either.
    with pytest.raises(Error, match="this Repository is not bound"):
        copy.copy(repository).iter_tags()
    api.responds(example("get_repository_tags") | {"has_next": True})
    page = copied(api.client().tags.list("1"))
    with pytest.raises(Error, match=r"this Page\[Tag\] is not bound.*: fetch the page again"):
        page.next_page()
