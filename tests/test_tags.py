"""A repository's tags, typed, by the repository's id."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.support.examples import BASE_URL, ORGANIZATION_ID, TAG, Examples
from tests.support.internals import replace_now, replace_random, replace_sleep
from tests.support.registry import page_fields
from tests.support.scripted import ScriptedApi
from tests.support.worlds import done, walked

from abeja_registry import (
    AsyncClient,
    AsyncPage,
    Client,
    HttpError,
    InvalidResponse,
    NotFound,
    Page,
    Tag,
    WaitTimeout,
)
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio

URL = f"{BASE_URL}/organizations/{ORGANIZATION_ID}/registry/repositories/1700000000000/tags"
ID = "1700000000000"


@pytest.mark.parametrize(
    ("arguments", "query"),
    [((), ""), ((5,), "?limit=5"), ((None, 20), "?offset=20"), ((5, 0), "?limit=5&offset=0")],
    ids=["nothing", "limit", "offset", "both"],
)
async def test_list(
    api: ScriptedApi, typed: Any, example: Examples, arguments: Any, query: str
) -> None:
    """Listing asks for one page, of what was given and no more, and for no repository first."""
    api.responds(example("get_repository_tags"))
    page = await done(typed.tags.list(ID, *arguments))
    assert [(sent.method, sent.url) for sent in api.requests] == [("GET", URL + query)]
    assert isinstance(page, Page if isinstance(typed, Client) else AsyncPage)
    assert (page.registry_repository_id, page.organization_id) == (ID, ORGANIZATION_ID)
    [tag] = page
    assert type(tag) is Tag
    assert (tag.id, tag.name, tag.size) == ("1771682238503", "0.0.4", 2757009)
    assert tag.created_at == datetime(2019, 5, 23, 5, 13, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, "limit=100&offset=0"),
        ({"page_size": None}, "limit=100&offset=0"),
        ({"page_size": 7}, "limit=7&offset=0"),
        ({"offset": 30}, "limit=100&offset=30"),
        ({"page_size": 7, "offset": 30}, "limit=7&offset=30"),
    ],
    ids=["usual", "None", "page size", "offset", "both"],
)
async def test_iter(
    api: ScriptedApi, typed: Any, example: Examples, options: dict[str, Any], query: str
) -> None:
    """It requests pages of 100 by default, and sends no request before iteration starts."""
    api.responds(example("get_repository_tags"))
    walk = typed.tags.iter(ID, **options)
    assert not api.requests
    assert [type(tag) for tag in await walked(walk)] == [Tag]
    assert [sent.url for sent in api.requests] == [f"{URL}?{query}"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda tags: tags.list(""), ValueError, "repository_id must .* not ''"),
        (lambda tags: tags.list(None), TypeError, "repository_id must .* not None"),
        (lambda tags: tags.list(ID, 0), ValueError, "limit must .* 1, not 0"),
        (lambda tags: tags.list(ID, 1, -1), ValueError, "offset must .* 0, not -1"),
        (lambda tags: tags.iter("."), ValueError, r"repository_id must .* not '\.'"),
        (lambda tags: tags.iter(ID, page_size=-1), ValueError, "page_size must .* 1, not -1"),
        (lambda tags: tags.iter(ID, page_size=True), TypeError, "page_size must .* not True"),
        (lambda tags: tags.iter(ID, offset=-1), ValueError, "offset must .* 0, not -1"),
        (lambda tags: tags.iter(ID, offset=None), TypeError, "offset must .* not None"),
    ],
    ids=[
        "list ''",
        "list None",
        "limit 0",
        "offset -1",
        "iter .",
        "page size -1",
        "page size bool",
        "start -1",
        "start None",
    ],
)
async def test_a_bad_argument_is_refused_before_a_request(
    api: ScriptedApi, typed: Any, call: Any, error: type[Exception], message: str
) -> None:
    """What is out of its bounds is refused by name and value, by `iter` before it is walked."""
    with pytest.raises(error, match=message):
        await done(call(typed.tags))
    assert not api.requests


@pytest.mark.parametrize(
    "call", [lambda tags: tags.list(ID), lambda tags: walked(tags.iter(ID))], ids=["list", "iter"]
)
async def test_an_invalid_tag(api: ScriptedApi, typed: Any, example: Examples, call: Any) -> None:
    """It is an InvalidResponse with the field and the body, and no chained exception."""
    body = example("get_repository_tags")
    del body["tags"][0]["creator"]["email"]
    api.responds(body)
    with pytest.raises(InvalidResponse, match=re.escape("'tags.0.creator.email'")) as caught:
        await done(call(typed.tags))
    assert caught.value.body == body
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_an_invalid_tag_can_be_skipped(api: ScriptedApi, example: Examples) -> None:
    """`invalid_rows="skip"` leaves it out of pages and iterations, and counts it."""
    body = example("get_repository_tags")
    [tag] = body["tags"]
    api.responds(body | {"tags": [tag | {"id": "a"}, tag | {"size": "large"}, tag | {"id": "b"}]})
    for make in (api.client, api.async_client):
        client: Any = make(invalid_rows="skip")
        page = await done(client.tags.list(ID))
        assert ([tag.id for tag in page], page.skipped) == (["a", "b"], 1)
        assert [tag.id for tag in await walked(client.tags.iter(ID))] == ["a", "b"]


async def test_tags_of_a_missing_repository(api: ScriptedApi, typed: Any) -> None:
    """NotFound is raised by a list, and by the first step of an iteration."""
    api.responds({}, status=404)
    with pytest.raises(NotFound):
        await done(typed.tags.list(ID))
    with pytest.raises(NotFound):
        await walked(typed.tags.iter(ID))


# -- over a real socket: 250 tags in pages of 100 -------------------------------------------------


@pytest.fixture
def many(sandbox: Sandbox) -> str:
    """The id of a repository with 250 tags."""
    [repository_id] = sandbox.seed(repositories=1, tags=250)
    return repository_id


def check(sandbox: Sandbox, repository_id: str, names: list[str]) -> None:
    """See that 250 tags came in order, none twice, with 1 + 3 requests, each page an item early."""
    assert names == [f"0.0.{number}" for number in range(1, 251)]
    path = f"/organizations/{ORGANIZATION_ID}/registry/repositories/{repository_id}"
    assert [(request.path, request.query) for request in sandbox.requests] == [
        (path, ""),
        (f"{path}/tags", "limit=100&offset=0"),
        (f"{path}/tags", "limit=100&offset=99"),
        (f"{path}/tags", "limit=100&offset=198"),
    ]


def test_every_tag_of_a_repository(sandbox: Sandbox, client: Client, many: str) -> None:
    """`get(id).iter_tags()` returns all, with one request for the repository and one per page."""
    names = [tag.name for tag in client.repositories.get(many).iter_tags()]
    check(sandbox, many, names)


async def test_every_tag_of_an_async_repository(
    sandbox: Sandbox, async_client: AsyncClient, many: str
) -> None:
    """`get(id).iter_tags()` returns all, with one request for the repository and one per page."""
    repository = await async_client.repositories.get(many)
    names = [tag.name async for tag in repository.iter_tags()]
    check(sandbox, many, names)


# -- questions ------------------------------------------------------------------------------------

DAY = datetime(2026, 1, 1, tzinfo=UTC)


class Registry:
    """A repository's tags, as an API that serves pages of two; time passes only in waits.

    Attributes:
        names: The tags' names, oldest first, each with the number of its image.
        pushed: The day of a tag's last push, by its name; that of its first one if not there.
        later: What is done after so many looks, by their number.
        asked: The offsets that were asked for.
        waits: The seconds of each wait.
    """

    def __init__(self, *names: str) -> None:
        self.names = {name: number for number, name in enumerate(names)}
        self.pushed: dict[str, int] = {}
        self.later: dict[int, Callable[[], object]] = {}
        self.status = 200
        self.asked: list[int] = []
        self.waits: list[float] = []

    def now(self) -> float:
        """The time, which only waits move on."""
        return sum(self.waits)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Return a page."""
        offset = int(request.url.params["offset"])
        self.asked.append(offset)
        if offset == 0:
            self.later.pop(self.asked.count(0) - 1, lambda: None)()
        if self.status != 200:
            return httpx.Response(self.status, json={})
        rows = [self._row(name) for name in self.names][offset:]
        return httpx.Response(200, json=page_fields("tags", rows, offset, 2))

    async def awaited(self, request: httpx.Request) -> httpx.Response:
        """As a call."""
        return self(request)

    def _row(self, name: str) -> dict[str, Any]:
        first = list(self.names).index(name)
        days = {"created_at": first, "updated_at": self.pushed.get(name, first)}
        times = {field: (DAY + timedelta(days=day)).isoformat() for field, day in days.items()}
        digest = f"sha256:{self.names[name]:064x}"
        return TAG | {"id": name, "name": name, "digest": digest} | times

    def digest(self, number: int) -> str:
        """Return the digest of an image, by its number."""
        return f"sha256:{number:064x}"


TagsOf = Callable[[Registry], Any]


@pytest.fixture(params=["sync", "async"])
def tags_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TagsOf:
    """Build `client.tags` of a registry, of either world, on the registry's clock."""

    def build(registry: Registry) -> Any:
        replace_sleep(monkeypatch, registry.waits.append)
        replace_now(monkeypatch, registry.now)
        options: dict[str, Any] = {"base_url": BASE_URL, "max_retry_count": 0}
        if request.param == "sync":
            http_client = httpx.Client(transport=httpx.MockTransport(registry))
            return Client(ORGANIZATION_ID, {}, http_client=http_client, **options).tags
        async_door = httpx.AsyncClient(transport=httpx.MockTransport(registry.awaited))
        return AsyncClient(ORGANIZATION_ID, {}, http_client=async_door, **options).tags

    return build


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, "a1 a2 b1 b2 b3"),
        ({"pattern": "b*"}, "b1 b2 b3"),
        ({"pattern": "?[13]"}, "a1 b1 b3"),
        ({"pattern": "A*"}, ""),
        ({"since": DAY + timedelta(days=3)}, "b2 b3"),
        ({"until": DAY + timedelta(days=3)}, "a1 a2 b1"),
        ({"since": DAY + timedelta(days=1), "until": DAY + timedelta(days=4)}, "a2 b1 b2"),
        ({"since": DAY + timedelta(days=1), "pattern": "a*"}, "a2"),
        ({"offset": 1, "pattern": "a*"}, "a2"),
    ],
)
async def test_matching_tags(tags_of: TagsOf, options: dict[str, Any], names: str) -> None:
    """Filters select names that match the pattern, pushed at or after `since`, before `until`."""
    listing = tags_of(Registry("a1", "a2", "b1", "b2", "b3")).iter(ID, **options)
    for _ in range(2):
        assert [tag.name for tag in await walked(listing)] == names.split()
    paged = [tag.name for page in await walked(listing.pages()) for tag in page]
    assert paged == names.split()


async def test_the_page_after_a_filtered_one(tags_of: TagsOf) -> None:
    """`next_page` starts where the fetched page ended, whatever the filter kept."""
    listing = tags_of(Registry("a1", "b1", "a2", "b2", "a3")).iter(ID, pattern="a1", page_size=2)
    page = (await walked(listing.pages()))[0]
    following = await done(page.next_page())
    assert [tag.name for tag in following] == ["a2", "b2"]
    listing = tags_of(Registry("a1", "b1", "a2")).iter(ID, pattern="none", page_size=2)
    page = (await walked(listing.pages()))[0]
    assert [tag.name for tag in await done(page.next_page())] == ["a2"]


async def test_a_filtered_page_counts_skipped_rows(api: ScriptedApi, example: Examples) -> None:
    """A skipped row might have matched, so the page counts it."""
    body = example("get_repository_tags")
    [tag] = body["tags"]
    api.responds(body | {"tags": [tag, tag | {"id": "a", "size": "large"}]})
    client = api.client(invalid_rows="skip")
    [page] = client.tags.iter(ID, pattern="nothing").pages()
    assert (list(page), page.skipped) == ([], 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pattern": 1}, TypeError, "pattern must be a string, not 1"),
        ({"pattern": ""}, ValueError, "pattern must be a non-empty pattern"),
        ({"since": "2026"}, TypeError, "since must be a datetime, not '2026'"),
        ({"until": datetime(2026, 1, 1)}, ValueError, "until must have a time zone"),
    ],
)
async def test_an_invalid_filter(
    tags_of: TagsOf, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """It is rejected before the iteration, by name and value."""
    with pytest.raises(error, match=message):
        tags_of(Registry()).iter(ID, **options)


async def test_a_tag_is_found_by_its_name(tags_of: TagsOf) -> None:
    """`get` requests page after page until it has found the tag."""
    registry = Registry("a", "b", "c", "d", "e")
    tag = await done(tags_of(registry).get(ID, "c"))
    assert (tag.name, registry.asked) == ("c", [0, 1])


async def test_a_missing_tag(tags_of: TagsOf) -> None:
    """`get` raises NotFound with the tag's name and the status, and without a URL."""
    with pytest.raises(NotFound, match="no tag named 'x'") as caught:
        await done(tags_of(Registry("a")).get(ID, "x"))
    assert (caught.value.status_code, caught.value.url) == (404, None)
    with pytest.raises(TypeError, match="name must be a string, not None"):
        await done(tags_of(Registry("a")).get(ID, None))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "nightly"),
        ({"pattern": "1.*"}, "1.2"),
        ({"by": "updated"}, "latest"),
        ({"by": "updated", "pattern": "1.*"}, "1.2"),
        ({"by": "version"}, "1.10"),
        ({"by": "version", "pattern": "1.?"}, "1.9"),
        ({"by": "version", "prereleases": True}, "v2.0rc1"),
    ],
)
async def test_the_latest_tag(tags_of: TagsOf, options: dict[str, Any], name: str) -> None:
    """It has the latest first push, the latest push, or the highest version."""
    registry = Registry("1.9", "v2.0rc1", "1.10", "latest", "1.2", "nightly")
    registry.pushed = {"latest": 9, "1.9": 3}
    assert (await done(tags_of(registry).latest(ID, **options))).name == name


async def test_the_newer_of_equal_versions(tags_of: TagsOf) -> None:
    """1.0 and 1.0.0 are equal versions: the newer tag is the latest."""
    registry = Registry("1.0", "1.0.0", "0.9")
    assert (await done(tags_of(registry).latest(ID, by="version"))).name == "1.0.0"


async def test_the_last_of_tags_with_the_same_time(tags_of: TagsOf) -> None:
    """The latest is the one that the list has last."""
    registry = Registry("a", "b", "c")
    registry.pushed = {"a": 9, "b": 9}
    assert (await done(tags_of(registry).latest(ID, by="updated"))).name == "b"


NONE = f"no matching tag in the repository '{ID}'"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "1.*"}, NONE),
        ({"pattern": "1.*", "by": "version"}, NONE),
        (
            {"by": "version"},
            f"{NONE}: 3 tags match by name, and none is a final version; pass prereleases=True",
        ),
        (
            {"by": "version", "pattern": "l*", "prereleases": True},
            f"{NONE}: 1 tags match by name, and none is a version",
        ),
    ],
)
async def test_no_tag_matches(tags_of: TagsOf, options: dict[str, Any], message: str) -> None:
    """NotFound says how many matching names are not versions."""
    with pytest.raises(NotFound) as caught:
        await done(tags_of(Registry("latest", "2.0rc1", "nightly")).latest(ID, **options))
    assert caught.value.error_description == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "size"}, "by must be 'created', 'updated' or 'version', not 'size'"),
        ({"prereleases": True}, "by='version'"),
        ({"prereleases": True, "by": "updated"}, "by='version'"),
    ],
)
async def test_invalid_arguments_of_latest(
    tags_of: TagsOf, options: dict[str, Any], message: str
) -> None:
    """They are rejected before a request is sent."""
    registry = Registry()
    with pytest.raises(ValueError, match=message):
        await done(tags_of(registry).latest(ID, **options))
    assert not registry.asked


async def test_versions_need_their_extra(tags_of: TagsOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without packaging, the error names the extra to install; no request is sent."""
    registry = Registry()
    monkeypatch.setitem(sys.modules, "packaging.version", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'abeja-registry[versions]'")):
        await done(tags_of(registry).latest(ID, by="version"))
    assert not registry.asked


@pytest.mark.parametrize(("drawn", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
async def test_waiting_for_a_new_tag(
    tags_of: TagsOf, monkeypatch: pytest.MonkeyPatch, drawn: float, share: float
) -> None:
    """It polls until the tag exists, with random waits that grow from half a second."""
    replace_random(monkeypatch, lambda: drawn)
    registry = Registry("a")
    registry.later[3] = lambda: registry.names.update(b=7)
    tag = await done(tags_of(registry).wait_for(ID, "b", timeout=60))
    assert tag.digest == registry.digest(7)
    assert registry.waits == [share * wait for wait in (0.5, 0.75, 1.125)]


@pytest.mark.parametrize(
    "options", [{"digest": Registry().digest(7)}, {"changed_from": Registry().digest(0)}]
)
async def test_waiting_for_a_moved_tag(tags_of: TagsOf, options: dict[str, Any]) -> None:
    """It polls until the tag has the digest, or another one than before."""
    registry = Registry("a")
    registry.later[2] = lambda: registry.names.update(a=7)
    tag = await done(tags_of(registry).wait_for(ID, "a", timeout=60, **options))
    assert (tag.digest, len(registry.waits)) == (registry.digest(7), 2)


async def test_waiting_for_a_change_from_a_tag(tags_of: TagsOf) -> None:
    """A previous `Tag` stands for its digest."""
    registry = Registry("a")
    tags = tags_of(registry)
    before = await done(tags.get(ID, "a"))
    registry.later[3] = lambda: registry.names.update(a=7)
    tag = await done(tags.wait_for(ID, "a", timeout=60, changed_from=before))
    assert (tag.digest, len(registry.waits)) == (registry.digest(7), 2)


@pytest.mark.parametrize(
    ("name", "options", "seen"),
    [
        ("b", {}, "it does not exist"),
        ("a", {"digest": Registry().digest(7)}, f"it points to {Registry().digest(0)}"),
        ("a", {"changed_from": Registry().digest(0)}, "it still points to sha256:000"),
    ],
)
@pytest.mark.parametrize("timeout", [0.01, 3, 600])
async def test_waiting_too_long(
    tags_of: TagsOf, name: str, options: dict[str, Any], seen: str, timeout: float
) -> None:
    """It ends within the timeout, shortly after a last poll, with the tag's last state."""
    registry = Registry("a")
    with pytest.raises(WaitTimeout, match=f"waited {timeout:g} s for '{name}': {seen}"):
        await done(tags_of(registry).wait_for(ID, name, timeout=timeout, **options))
    assert timeout - 0.1 < registry.now() < timeout or timeout < 0.1
    assert max(registry.waits, default=0) <= 10


async def test_waiting_during_an_outage(tags_of: TagsOf) -> None:
    """A transient error of a poll does not end the waiting, except in the first poll."""
    registry = Registry("a")
    registry.later[1] = lambda: setattr(registry, "status", 503)
    registry.later[3] = lambda: registry.names.update(b=1)
    registry.later[4] = lambda: setattr(registry, "status", 200)
    assert (await done(tags_of(registry).wait_for(ID, "b", timeout=60))).name == "b"

    registry = Registry("a")
    registry.later[1] = lambda: setattr(registry, "status", 503)
    with pytest.raises(WaitTimeout, match="it does not exist; the last request failed: <HttpError"):
        await done(tags_of(registry).wait_for(ID, "b", timeout=60))


@pytest.mark.parametrize(("look", "status"), [(0, 503), (0, 404), (2, 404), (2, 401), (2, 501)])
async def test_waiting_ends_with_a_permanent_error(tags_of: TagsOf, look: int, status: int) -> None:
    """The first poll's error is raised at once, and so is a later permanent one."""
    registry = Registry("a")
    registry.later[look] = lambda: setattr(registry, "status", status)
    with pytest.raises(HttpError) as caught:
        await done(tags_of(registry).wait_for(ID, "b", timeout=60))
    assert (caught.value.status_code, len(registry.waits)) == (status, look)


async def test_waiting_after_a_lost_connection(
    tags_of: TagsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost connection is a transient error, too."""
    registry = Registry("a")

    def lose() -> None:
        raise httpx.ReadError("reset")

    registry.later[1] = lose
    registry.later[2] = lambda: registry.names.update(b=1)
    assert (await done(tags_of(registry).wait_for(ID, "b", timeout=60))).name == "b"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"timeout": 0}, ValueError, "timeout must be seconds, above 0 .* not 0"),
        ({"timeout": "60"}, ValueError, "timeout must be .* not '60'"),
        ({"timeout": True}, ValueError, "timeout must be .* not True"),
        ({"timeout": float("nan")}, ValueError, "timeout must be .* not nan"),
        ({"timeout": 1, "digest": "1.0.0"}, ValueError, r"digest cannot be '1\.0\.0'"),
        ({"timeout": 1, "changed_from": 5}, TypeError, "changed_from must be a string, not 5"),
        (
            {"timeout": 1, "digest": "sha256:0", "changed_from": "sha256:0"},
            ValueError,
            "digest and changed_from are the same, sha256:0",
        ),
    ],
)
async def test_invalid_arguments_of_wait_for(
    tags_of: TagsOf, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """They are rejected before a request is sent."""
    registry = Registry()
    with pytest.raises(error, match=message):
        await done(tags_of(registry).wait_for(ID, "a", **options))
    assert not registry.asked


async def test_a_repository_has_the_same_methods(
    sandbox: Sandbox, client: Client, async_client: AsyncClient
) -> None:
    """A repository's methods call `client.tags` with its id, sync and async."""
    ours: Any
    for number, ours in enumerate((client, async_client)):
        await done(ours.repositories.create(f"r{number}"))
        repository = await done(ours.repositories.get_by_name(f"r{number}"))
        for name in ("1.0", "2.0", "3.0rc1"):
            sandbox.push(repository.id, name)
        assert (await done(repository.get_tag("2.0"))).name == "2.0"
        assert (await done(repository.latest_tag(by="version"))).name == "2.0"
        waited = await done(repository.wait_for_tag("1.0", timeout=30))
        assert waited == await done(repository.get_tag("1.0"))
        found = await walked(repository.iter_tags(pattern="*.0", since=waited.updated_at))
        assert [tag.name for tag in found] == ["1.0", "2.0"]
        with pytest.raises(NotFound, match="no repository named 'none'"):
            await done(ours.repositories.get_by_name("none"))


async def test_waiting_for_a_tag_of_a_long_list(
    sandbox: Sandbox, client: Client, async_client: AsyncClient
) -> None:
    """A poll finds a tag behind many pages, within the time of the wait."""
    [repository] = sandbox.seed(repositories=1, tags=90)
    for each in (client, async_client):
        tag = await done(each.tags.wait_for(repository, "0.0.90", timeout=60, page_size=5))
        assert tag.name == "0.0.90"
