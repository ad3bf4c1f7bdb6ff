"""The times and the creator of a push, as Python, HTTP and a client's models have them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import httpx
import pytest

from abeja_registry import Client, Repository
from abeja_registry.sandbox import Sandbox

OLD = datetime(2019, 5, 23, 5, 13, 15, 6, tzinfo=UTC)
OLDER = OLD - timedelta(days=400)
CREATED = {"created_at": "2019-05-23T05:13:15.000006Z"}


@pytest.fixture
def control(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client of the sandbox's own calls."""
    sandbox.faults.clear()
    with httpx.Client(base_url=f"{sandbox.url}/_sandbox", trust_env=False) as control:
        yield control


@pytest.fixture
def repository(registry_client: Client) -> Repository:
    """A repository without tags."""
    return registry_client.repositories.create("trainer")


def test_pushes_within_a_second_are_in_order(sandbox: Sandbox, repository: Repository) -> None:
    """A client sees which of two tags was pushed last, however soon after the other."""
    sandbox.push(repository, "a")
    sandbox.push(repository, "b")
    assert repository.latest_tag(by="updated").name == "b"
    sandbox.push(repository, "a", digest=f"sha256:{'0' * 64}")
    assert repository.latest_tag(by="updated").name == "a"
    assert repository.latest_tag(by="created").name == "b"


@pytest.mark.parametrize(
    ("given", "created_at", "updated_at"),
    [
        ({"created_at": OLD}, OLD, OLD),
        ({"updated_at": OLD}, OLD, OLD),
        ({"created_at": OLDER, "updated_at": OLD}, OLDER, OLD),
        ({"created_at": OLD, "updated_at": OLD}, OLD, OLD),
        ({"created_at": "2019-05-23T05:13:15.000006Z"}, OLD, OLD),
        ({"created_at": "2019-05-23t05:13:15.000006z"}, OLD, OLD),
        ({"created_at": "2019-05-23T14:13:15.000006999+09:00"}, OLD, OLD),
        ({"created_at": OLD.astimezone(timezone(timedelta(hours=9)))}, OLD, OLD),
        ({"created_at": datetime(1, 1, 1, tzinfo=UTC)},) + (datetime(1, 1, 1, tzinfo=UTC),) * 2,
    ],
)
def test_times_of_a_new_tag(
    sandbox: Sandbox,
    repository: Repository,
    given: dict[str, Any],
    created_at: datetime,
    updated_at: datetime,
) -> None:
    """A client reads the times that the push gives, the missing one equal to the other."""
    sandbox.push(repository, "1.0.0", **given)
    tag = repository.get_tag("1.0.0")
    assert (tag.created_at, tag.updated_at) == (created_at, updated_at)


def test_times_of_an_existing_tag(sandbox: Sandbox, repository: Repository) -> None:
    """A push moves the update, and the creation only to keep it before the update."""

    def times(**given: Any) -> tuple[datetime, datetime]:
        sandbox.push(repository, "1.0.0", **given)
        tag = repository.get_tag("1.0.0")
        return tag.created_at, tag.updated_at

    times(created_at=OLD)
    before = datetime.now(UTC)
    created_at, updated_at = times()
    assert created_at == OLD
    assert before <= updated_at <= datetime.now(UTC)
    assert times(updated_at=OLD + timedelta(1)) == (OLD, OLD + timedelta(1))
    assert times(updated_at=OLDER) == (OLDER, OLDER)
    created_at, updated_at = times(created_at=OLD)
    assert created_at == OLD
    assert updated_at >= before
    assert times(created_at="2999-01-01T00:00:00Z") == (datetime(2999, 1, 1, tzinfo=UTC),) * 2


@pytest.mark.parametrize(
    ("creator", "person"),
    [
        ("ana@abeja.asia", {"email": "ana@abeja.asia", "role": "admin"}),
        ({"email": "ana@abeja.asia"}, {"email": "ana@abeja.asia"}),
        ({"id": "7"}, {"id": "7", "email": "test@abeja.asia"}),
        ({"role": "user", "is_registered": False}, {"role": "user", "is_registered": False}),
        ({"display_name": "Ana"}, {"display_name": "Ana"}),
        ({"display_name": None}, {"display_name": None}),
        (CREATED, {"created_at": OLD}),
        ({"updated_at": "2019-05-23T05:13:15Z"}, {"updated_at": OLD.replace(microsecond=0)}),
        ({}, {"id": "1122334455660", "email": "test@abeja.asia"}),
        ("test@abeja.asia", {"id": "1122334455660", "email": "test@abeja.asia"}),
    ],
)
@pytest.mark.parametrize("way", ["push", "put"])
def test_a_creator(
    sandbox: Sandbox,
    control: httpx.Client,
    repository: Repository,
    creator: Any,
    person: dict[str, Any],
    way: str,
) -> None:
    """A client reads the person that the push names, from Python and over HTTP."""
    if way == "push":
        sandbox.push(repository, "1.0.0", creator=creator)
    else:
        url = f"/repositories/{repository.id}/tags/1.0.0"
        assert control.put(url, json={"creator": creator}).status_code == 200
    read = repository.get_tag("1.0.0").creator
    assert {name: getattr(read, name) for name in person} == person


def test_creators_are_told_apart(sandbox: Sandbox, repository: Repository) -> None:
    """Each address is a person of its own id, the same for each push, and may be a client's."""
    for name, email in (("a", "ana@abeja.asia"), ("b", "bo@abeja.asia"), ("c", "ana@abeja.asia")):
        sandbox.push(repository, name, creator=email)
    ana, bo, again = (tag.creator for tag in repository.iter_tags())
    assert ana == again
    assert ana.id != bo.id
    sandbox.push(repository, "d", creator=bo)
    assert repository.get_tag("d").creator == bo
    sandbox.push(repository, "d")
    assert repository.get_tag("d").creator.email == "test@abeja.asia"


BAD = [
    ({"created_at": "yesterday"}, "created_at", "created_at must be a time with its zone"),
    ({"created_at": "2019-05-23"}, "created_at", "created_at must be a time"),
    ({"created_at": "2019-05-23T05:13:15"}, "created_at", "created_at must be a time"),
    ({"updated_at": "2019-02-30T05:13:15Z"}, "updated_at", "updated_at must be a time"),
    ({"updated_at": "0001-01-01T00:00:00+09:00"}, "updated_at", "updated_at must be a time"),
    ({"updated_at": 1558588395}, "updated_at", "got 1558588395"),
    (
        {"created_at": "2019-05-23T05:13:15Z", "updated_at": "2019-05-23T05:13:14.999Z"},
        "updated_at",
        "at or after created_at, 2019-05-23T05:13:15.000000Z",
    ),
    ({"creator": "ana"}, "creator", "creator must be an e-mail address or a person, got 'ana'"),
    ({"creator": ""}, "creator", "creator must be an e-mail address"),
    ({"creator": 5}, "creator", "got 5"),
    ({"creator": ["ana@abeja.asia"]}, "creator", "creator must be an e-mail address or a person"),
    ({"creator": {"mail": "a@b"}}, "creator.mail", "no such field; the fields are id, email, role"),
    ({"creator": {"email": "ana"}}, "creator.email", "creator.email must be an e-mail address"),
    ({"creator": {"id": 7}}, "creator.id", "creator.id must be 1 to 19 digits"),
    ({"creator": {"role": ""}}, "creator.role", "creator.role must be text"),
    ({"creator": {"is_registered": 1}}, "creator.is_registered", "true or false, got 1"),
    ({"creator": {"display_name": 1}}, "creator.display_name", "got 1"),
    ({"creator": {"created_at": None}}, "creator.created_at", "got None"),
    ({"creator": {"updated_at": "now"}}, "creator.updated_at", "got 'now'"),
]


@pytest.mark.parametrize(("given", "field", "problem"), BAD)
def test_a_bad_push(
    sandbox: Sandbox,
    control: httpx.Client,
    repository: Repository,
    given: dict[str, Any],
    field: str,
    problem: str,
) -> None:
    """A bad time or person is a ValueError, and over HTTP a 400 that names the field.

    Nothing is written.
    """
    with pytest.raises(ValueError, match=r"got|no such field") as raised:
        sandbox.push(repository, "1.0.0", **given)
    assert problem in str(raised.value)
    with pytest.raises(ValueError, match=r"got|no such field"):
        sandbox.seed(**given)
    for method, path in (("PUT", f"/repositories/{repository.id}/tags/1"), ("POST", "/seed")):
        answer = control.request(method, path, json=given)
        assert (answer.status_code, answer.json()["error_detail"]) == (400, {"field": field})
        assert problem in answer.json()["error_description"]
    assert not list(repository.iter_tags())


class Zoneless(tzinfo):
    """A time zone that knows no offset: such a time is naive, as Python has it."""

    def utcoffset(self, _: datetime | None) -> None:
        """Return no offset."""

    dst = tzname = utcoffset


@pytest.mark.parametrize(
    "given",
    [
        datetime(2019, 5, 23),
        datetime(2019, 5, 23, tzinfo=Zoneless()),
        5,
        b"2019-05-23T05:13:15Z",
    ],
)
def test_a_time_that_json_cannot_say(
    sandbox: Sandbox, repository: Repository, given: object
) -> None:
    """A time without a zone, or of another type, is a ValueError that names the argument."""
    with pytest.raises(ValueError, match="updated_at must be a time with its zone"):
        sandbox.push(repository, "1", updated_at=given)  # type: ignore[arg-type]


def test_seeds_of_then(sandbox: Sandbox, control: httpx.Client, registry_client: Client) -> None:
    """What is seeded has the times and the creator that the seed gives, tags and repositories."""
    [first] = sandbox.seed(1, 2, created_at=OLDER, updated_at=OLD, creator="ana@abeja.asia")
    body = {"repositories": 1, "tags": 2, **CREATED, "creator": {"email": "ana@abeja.asia"}}
    [second] = control.post("/seed", json=body).json()["repository_ids"]
    for repository_id, created_at in ((first, OLDER), (second, OLD)):
        repository = registry_client.repositories.get(repository_id)
        made: list[Any] = [repository, *repository.iter_tags()]
        assert len(made) == 3
        assert {(each.created_at, each.updated_at) for each in made} == {(created_at, OLD)}
        assert {each.creator.email for each in made} == {"ana@abeja.asia"}


def test_old_tags_are_found_by_their_age(sandbox: Sandbox, registry_client: Client) -> None:
    """Code that cleans up can be tested: a summary and a filter see what is old."""
    repository = registry_client.repositories.create("trainer")
    sandbox.push(repository, "old", updated_at=OLD)
    sandbox.push(repository, "new")
    assert [tag.name for tag in repository.iter_tags(until=OLD + timedelta(1))] == ["old"]
    assert [tag.name for tag in repository.iter_tags(since=OLD + timedelta(1))] == ["new"]
