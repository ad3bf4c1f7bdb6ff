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

Answers = Callable[[str], dict[str, Any]]

# Each row of the reference: the model, the operation whose answer it is in, the way to it there.
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
def row(request: pytest.FixtureRequest, answer: Answers) -> tuple[type[BaseModel], dict[str, Any]]:
    """Each row of the reference in turn: its model, and the row as the API sends it."""
    model, operation, way = request.param
    sent: Any = answer(operation)
    for step in way:
        sent = sent[step]
    return model, sent


@pytest.fixture
def tag_row(answer: Answers) -> dict[str, Any]:
    """The reference's tag, as the API sends it."""
    row: dict[str, Any] = answer("get_repository_tags")["tags"][0]
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
    """Yield every object within an answer, from the outside in."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from levels(inner)


# -- rows -----------------------------------------------------------------------------------------


def test_a_row_comes_back_as_it_was_sent(row: tuple[type[BaseModel], dict[str, Any]]) -> None:
    """A model's dump is what the API sent: no field lost, none added."""
    model, sent = row
    dumped = model.model_validate(sent).model_dump(mode="json", exclude_unset=True)
    assert alike(dumped) == alike(sent)


def test_unknown_fields_are_kept(row: tuple[type[BaseModel], dict[str, Any]]) -> None:
    """At every level, a field that no model knows is in `model_extra` and in the dump."""
    model, sent = row
    for level in list(levels(sent)):
        level["new"] = {"some": ["thing"]}
    value = model.model_validate(sent)
    assert value.model_extra == {"new": {"some": ["thing"]}}
    assert alike(value.model_dump(mode="json", exclude_unset=True)) == alike(sent)


# What a field that no model knows may be called: like anything of a model's own, public or
# private, and like nothing in Python.
FOREIGN = sorted(
    {"_client", "_origin", "self", "cls", "get", "items", "0", "a-b", "", "é", "class", "context"}
    | {"__class__", "__dict__", "__slots__", "model_config", "model_fields_set", "model_extra"}
)


@pytest.mark.parametrize("value", [None, 5, "x", {"a": 1}, [1]], ids=repr)
def test_an_unknown_field_may_have_any_name(
    row: tuple[type[BaseModel], dict[str, Any]], value: Any
) -> None:
    """It is kept in `model_extra` and changes nothing else of the model."""
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
    """Two of one row are equal and hash alike, one of another row is not, and none changes."""
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


def test_what_a_tag_says(tag_row: dict[str, Any]) -> None:
    """A tag's fields are typed, its numeric id a string."""
    tag = Tag.model_validate(tag_row)
    assert (tag.id, tag.name, tag.digest) == ("1771682238503", "0.0.4", tag_row["digest"])
    assert (tag.size, tag.media_type) == (2757009, tag_row["media_type"])
    assert tag.created_at == datetime(2019, 5, 23, 5, 13, 13, tzinfo=UTC)
    assert tag.updated_at == datetime(2019, 5, 23, 5, 13, 15, tzinfo=UTC)
    assert (tag.creator.id, tag.creator.email) == ("1122334455660", "test@abeja.asia")
    assert (tag.creator.role, tag.creator.is_registered) == ("admin", True)


def test_what_a_page_says(answer: Answers) -> None:
    """A page's fields are typed, and what the API says of its organization is there."""
    repositories = Page[Repository].model_validate(answer("get_repositories"))
    tags = Page[Tag].model_validate(answer("get_repository_tags"))
    for page in (repositories, tags):
        assert (page.offset, page.limit, page.has_next) == (0, 10, False)
        assert (page.organization_id, page.organization_name) == ("1410000000000", "test-org")
        assert page.created_at == datetime(2019, 5, 23, 5, 13, 13, tzinfo=UTC)
        assert page.updated_at == datetime(2019, 5, 23, 5, 13, 15, tzinfo=UTC)
    assert repositories.registry_repository_id is None
    assert tags.registry_repository_id == "1700000000000"


def test_what_is_null_or_left_out_is_none(answer: Answers) -> None:
    """A null is None, and so is a field that a list leaves out; an empty list is one."""
    repository = Repository.model_validate(answer("get_repository"))
    assert (repository.description, repository.tags) == (None, ())
    assert repository.creator.display_name is None
    listed = answer("get_repositories")["registry_repositories"][0]
    for name in ("description", "tags"):
        listed.pop(name, None)
    listed["creator"].pop("display_name")
    repository = Repository.model_validate(listed)
    assert (repository.description, repository.tags) == (None, None)
    assert repository.creator.display_name is None
    assert Repository.model_validate(answer("get_repository") | {"tags": None}).tags is None


def test_tags_that_come_along_are_tags(answer: Answers, tag_row: dict[str, Any]) -> None:
    """The tags within a repository are the same values as those of a page."""
    repository = Repository.model_validate(answer("get_repository") | {"tags": [tag_row]})
    assert repository.tags == (Tag.model_validate(tag_row),)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.data())
def test_a_time_is_an_instant(naive: datetime, data: st.DataObject) -> None:
    """A time with an offset is that instant, one without a zone is UTC; all are aware."""
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
    """An id that the API sends as a number is the string of it."""
    assert Tag.model_validate(tag_row | {"id": identifier}).id == str(identifier)


@pytest.mark.parametrize("size", [-(2**63) - 1, 2**63])
def test_a_size_is_a_number_of_64_bits(tag_row: dict[str, Any], size: int) -> None:
    """A larger one is refused before it is in anybody's sums and files."""
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
def test_a_field_at_fault_is_named(
    api: ScriptedApi, answer: Answers, change: dict[str, object], field: str, problem: str
) -> None:
    """The InvalidResponse names the first field at fault and carries the body as it came."""
    body = answer("get_repository") | change
    api.answers(body)
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
def test_a_page_that_cannot_be(
    api: ScriptedApi, answer: Answers, change: dict[str, object], field: str
) -> None:
    """A page whose place in the list makes no sense is an InvalidResponse."""
    api.answers(answer("get_repository_tags") | change)
    with pytest.raises(InvalidResponse, match=f"Page.Tag.: field '{field}': ") as caught:
        api.client().tags.list("1")
    assert (caught.value.field, caught.value.index, caught.value.row) == (field, None, None)


@pytest.fixture
def few_digits() -> Iterator[None]:
    """An interpreter that was told to write no numbers of over 640 digits."""
    allowed = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(allowed)


def with_digits(digits: int) -> bytes:
    """Return the bytes of an object whose id is a number of so many digits."""
    return b'{"id":' + b"1" * digits + b"}"


def test_a_number_that_json_does_not_take(api: ScriptedApi) -> None:
    """An id of 5,000 digits is an InvalidResponse."""
    api.answers(content=with_digits(5000))
    with pytest.raises(InvalidResponse, match="a body of 5007 bytes that is not JSON"):
        api.client().repositories.get("1")


@pytest.mark.usefixtures("few_digits")
def test_a_number_that_python_does_not_write(api: ScriptedApi) -> None:
    """An id of more digits than the interpreter writes is an InvalidResponse with the body."""
    api.answers(content=with_digits(700))
    with pytest.raises(InvalidResponse, match=r"valid Repository: .* Exceeds the limit") as caught:
        api.client().repositories.get("1")
    assert caught.value.body == {"id": int(b"1" * 600) * 10**100 + int(b"1" * 100)}
    assert (caught.value.field, caught.value.index) == ("", None)


# -- creators -------------------------------------------------------------------------------------


def test_a_creator_who_is_said_twice_is_one_value(api: ScriptedApi, answer: Answers) -> None:
    """Tags of one answer share equal creators; where one differs, or is none, it is told apart."""
    page = answer("get_repository_tags")
    row = page["tags"][0]
    renamed = {**row["creator"], "display_name": "Somebody"}
    without_id = {name: value for name, value in row["creator"].items() if name != "id"}
    creators = [row["creator"], dict(row["creator"]), renamed, row["creator"]]
    api.answers({**page, "tags": [{**row, "id": n, "creator": c} for n, c in enumerate(creators)]})
    first, second, third, fourth = api.client().tags.list("1")
    assert first.creator is second.creator
    assert (third.creator.display_name, third.creator.id) == ("Somebody", first.creator.id)
    assert fourth.creator == first.creator
    for wrong, field in ((without_id, "tags.0.creator.id"), (None, "tags.0.creator")):
        api.answers({**page, "tags": [{**row, "creator": wrong}]})
        with pytest.raises(InvalidResponse) as caught:
            api.client().tags.list("1")
        assert caught.value.field == field


# -- the bond -------------------------------------------------------------------------------------


def test_the_bond_is_no_part_of_the_value(api: ScriptedApi, answer: Answers) -> None:
    """A repository that knows its client equals, and looks like, one that does not."""
    api.answers(answer("get_repository"))
    bound = api.client().repositories.get("1")
    unbound = Repository.model_validate(answer("get_repository"))
    assert (bound, hash(bound), repr(bound)) == (unbound, hash(unbound), repr(unbound))
    assert bound.model_dump() == unbound.model_dump()


@pytest.mark.parametrize("copied", [copy.copy, Repository.model_copy], ids=["copy", "model_copy"])
def test_a_shallow_copy_keeps_the_bond(
    api: ScriptedApi, answer: Answers, copied: Callable[[Repository], Repository]
) -> None:
    """A copy of a repository asks through the same client."""
    api.answers(answer("get_repository"))
    repository = copied(api.client().repositories.get("1"))
    assert repository.refresh() == repository
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["deepcopy", "pickle"],
)
def test_a_deep_copy_comes_back_unbound(
    api: ScriptedApi, answer: Answers, copied: Callable[[Any], Any]
) -> None:
    """A deep copy or a pickle holds no client, and says what to do instead of calling it."""
    api.answers(answer("get_repository"))
    repository = copied(api.client().repositories.get("1"))
    with pytest.raises(Error, match=r"this Repository is not bound to a client.*: get it from"):
        repository.refresh()
    # A copy of what is not bound is not bound either.
    with pytest.raises(Error, match="this Repository is not bound"):
        copy.copy(repository).iter_tags()
    api.answers(answer("get_repository_tags") | {"has_next": True})
    page = copied(api.client().tags.list("1"))
    with pytest.raises(Error, match=r"this Page\[Tag\] is not bound.*: fetch the page again"):
        page.next_page()
