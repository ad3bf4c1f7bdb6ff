"""Rows that fail validation: they end their page, or are skipped and counted."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.examples import BASE_URL
from tests.support.worlds import done, walked

from abeja_registry import Client, InvalidResponse, NotFound, PaginationError

if TYPE_CHECKING:
    from tests.support.scripted import ScriptedApi

pytestmark = pytest.mark.anyio

Pages = Callable[..., dict[str, Any]]


@pytest.fixture(params=["sync", "async"])
def typed(request: pytest.FixtureRequest, api: ScriptedApi) -> Callable[..., Any]:
    """Build a typed client of either world."""
    return api.client if request.param == "sync" else api.async_client


NOBODY = {
    "id": "1",
    "email": "test@abeja.asia",
    "role": "admin",
    "is_registered": True,
    "created_at": "2017-05-26T01:38:46Z",
    "updated_at": "2017-05-26T01:38:46Z",
}
# A change of a row, and the field that it makes invalid.
BAD: dict[str, tuple[Any, str]] = {
    "no id": ({"id": None}, "id"),
    "no time": ({"created_at": "soon"}, "created_at"),
    "no creator": ({"creator": {"id": "1"}}, "creator.email"),
    "a null creator": ({"creator": None}, "creator"),
    "a creator without an address": ({"creator": NOBODY | {"email": None}}, "creator.email"),
    "no object": ("text", ""),
    "null": (None, ""),
    "a number": (5, ""),
    "a list": ([1], ""),
}
bad = pytest.mark.parametrize(("change", "field"), BAD.values(), ids=BAD)
# An iteration identifies rows by their ids.
WITH_ID = {
    name: (change, field)
    for name, (change, field) in BAD.items()
    if isinstance(change, dict) and "id" not in change
}
bad_with_id = pytest.mark.parametrize(("change", "field"), WITH_ID.values(), ids=WITH_ID)
bad_without_id = pytest.mark.parametrize(
    ("change", "field"),
    [each for name, each in BAD.items() if name not in WITH_ID],
    ids=[name for name in BAD if name not in WITH_ID],
)
SKIPPED = {"creator": None}

# The operation that returns a page, the key of its rows, and how a typed client requests it.
LISTS: dict[str, tuple[str, str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "repositories": (
        "get_repositories",
        "registry_repositories",
        lambda client: client.repositories.list(limit=10),
        lambda client: client.repositories.iter(page_size=10),
    ),
    "tags": (
        "get_repository_tags",
        "tags",
        lambda client: client.tags.list("1", limit=10),
        lambda client: client.tags.iter("1", page_size=10),
    ),
    "entries": (
        "get_repository_tags",
        "entries",
        lambda client: client.tags.list("1", limit=10),
        lambda client: client.tags.iter("1", page_size=10),
    ),
}


@pytest.fixture(params=LISTS.values(), ids=list(LISTS))
def listed(request: pytest.FixtureRequest, example: Callable[[str], dict[str, Any]]) -> Any:
    """Each list of the API: how to make its page of rows, how to ask for it, how to walk."""
    operation, key, ask, walk = request.param

    def page(*changes: Any, **beside: Any) -> dict[str, Any]:
        body = example(operation)
        row = body.pop("tags", None) or body.pop("registry_repositories")
        rows = [
            row[0] | {"id": str(place)} | change if isinstance(change, dict) else change
            for place, change in enumerate(changes)
        ]
        return {**body, key: rows, **beside}

    return page, ask, walk


@bad
async def test_an_invalid_row_ends_its_page(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any, change: Any, field: str
) -> None:
    """The error has the row's index, the field's path and the row, also in a pickle."""
    page, ask, _ = listed
    body = page({}, {}, change, {})
    api.responds(body)
    for options in ({}, {"invalid_rows": "raise"}):
        with pytest.raises(InvalidResponse, match="the response is not a valid ") as caught:
            await done(ask(typed(**options)))
        for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
            rows = next(rows for rows in body.values() if isinstance(rows, list))
            assert (error.index, error.row, error.body) == (2, rows[2], body)
            assert (error.field or "").endswith(f"2.{field}".rstrip("."))
        assert caught.value.outcome_unknown is False


@bad_without_id
async def test_a_row_without_an_id_is_never_skipped(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any, change: Any, field: str
) -> None:
    """It raises even if rows are skipped: in a page, an iteration and a look-up."""
    page, ask, walk = listed
    body = page({}, change, {})
    api.responds(body)
    client = typed(invalid_rows="skip")
    for call in (lambda: done(ask(client)), lambda: walked(walk(client))):
        with pytest.raises(InvalidResponse) as caught:
            await call()
        rows = next(rows for rows in body.values() if isinstance(rows, list))
        assert (caught.value.index, caught.value.row) == (1, rows[1])
        assert (caught.value.field or "").endswith(f"1.{field}".rstrip("."))


@bad_with_id
async def test_an_invalid_row_is_skipped(
    api: ScriptedApi,
    typed: Callable[..., Any],
    listed: Any,
    change: Any,
    field: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The page has the others in order and counts the skipped ones; each is logged once."""
    page, ask, _ = listed
    api.responds(page(change, {}, change, change, {}))
    with caplog.at_level(logging.WARNING, "abeja_registry"):
        got = await done(ask(typed(invalid_rows="skip")))
    assert [item.id for item in got] == [item.id for item in got.items] == ["1", "4"]
    assert (len(got), got.skipped) == (2, 3)
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("abeja_registry", "WARNING")
    ] * 3
    for place, record in zip((0, 2, 3), caplog.records, strict=True):
        assert f"row {place} " in record.getMessage()
        assert f"field {field!r}" in record.getMessage()


async def test_an_id_cannot_forge_a_line_of_the_log(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With any id of a skipped row, the log shows the beginning, on one line."""
    page, ask, _ = listed
    api.responds(page({"id": "7\nCRITICAL" + "x" * 5_000, "created_at": None}))
    with caplog.at_level(logging.WARNING, "abeja_registry"):
        await done(ask(typed(invalid_rows="skip")))
    [record] = caplog.records
    assert "id '7\\nCRITICALxxx" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 300


@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_an_id_that_is_the_credential_is_not_logged(
    api: ScriptedApi, listed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What a server echoes as a row's id is redacted in the log, as in an error."""
    page, ask, _ = listed
    api.responds(page({"id": "s3cret-token", "created_at": None}))
    with (
        caplog.at_level(logging.WARNING, "abeja_registry"),
        Client(
            "1", {"auth_token": "s3cret-token"}, base_url=BASE_URL, invalid_rows="skip"
        ) as client,
    ):
        ask(client)
    [record] = caplog.records
    assert "s3cret-token" not in record.getMessage()


async def test_a_page_of_valid_rows(
    api: ScriptedApi,
    typed: Callable[..., Any],
    listed: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is the same page with either setting; nothing is counted or logged."""
    page, ask, _ = listed
    api.responds(page({}, {}))
    pages = [await done(ask(typed(invalid_rows=rows))) for rows in ("raise", "skip")]
    assert pages[0] == pages[1]
    assert [got.skipped for got in pages] == [0, 0]
    assert caplog.records == []


async def test_a_page_of_invalid_rows(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any
) -> None:
    """It is an empty page, and not an error."""
    page, ask, walk = listed
    api.responds(page(SKIPPED, SKIPPED))
    got = await done(ask(typed(invalid_rows="skip")))
    assert (list(got), got.skipped) == ([], 2)
    assert await walked(walk(typed(invalid_rows="skip"))) == []


@pytest.mark.parametrize(
    ("beside", "field"),
    [({"has_next": "?"}, "has_next"), ({"offset": -1}, "offset")],
    ids=["has_next", "offset"],
)
async def test_an_invalid_page_is_not_skipped(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any, beside: dict[str, Any], field: str
) -> None:
    """The fields besides the rows must be valid."""
    page, ask, _ = listed
    api.responds(page({}, SKIPPED, **beside))
    with pytest.raises(InvalidResponse, match=f"field '{field}'"):
        await done(ask(typed(invalid_rows="skip")))


@pytest.mark.parametrize("rows", [5, "text", {"0": {}}], ids=["number", "string", "object"])
async def test_rows_that_are_not_a_list(
    api: ScriptedApi,
    typed: Callable[..., Any],
    example: Callable[[str], dict[str, Any]],
    rows: object,
) -> None:
    """No row can be skipped, and the error names the field."""
    body = example("get_repository_tags") | {"tags": rows}
    api.responds(body)
    with pytest.raises(InvalidResponse, match="field 'tags'") as caught:
        await done(typed(invalid_rows="skip").tags.list("1"))
    assert (caught.value.index, caught.value.row, caught.value.body) == (None, None, body)


async def test_a_page_without_a_list(
    api: ScriptedApi, typed: Callable[..., Any], example: Callable[[str], dict[str, Any]]
) -> None:
    """A page that lacks its list is an error with either setting."""
    body = example("get_repository_tags")
    del body["tags"]
    api.responds(body)
    for rows in ("raise", "skip"):
        with pytest.raises(InvalidResponse, match="field 'items': Field required"):
            await done(typed(invalid_rows=rows).tags.list("1"))


@pytest.fixture
def paged(api: ScriptedApi) -> Callable[..., None]:
    """Let the scripted API page through these rows, which a function makes a page of."""

    def play(page: Pages, *changes: Any) -> None:
        def respond_window(request: Any) -> None:
            limit, offset = (int(request.url.params[name]) for name in ("limit", "offset"))
            body = page(*changes)
            key = next(key for key, rows in body.items() if isinstance(rows, list))
            rows = body[key][offset : offset + limit]
            has_next = offset + limit < len(changes)
            window = {"has_next": has_next, "offset": offset, "limit": limit}
            api.responds({**body, key: rows, **window})

        api.on_request = respond_window

    return play


@pytest.mark.parametrize("kept", [1, 2, 3, 9, 10, 30])
async def test_an_iteration_is_complete(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any, paged: Callable[..., None], kept: int
) -> None:
    """Wherever the invalid rows are, all others are returned once and in order."""
    page, _, walk = listed
    changes = [{} if place % kept == 0 else {"creator": None} for place in range(45)]
    paged(page, *changes)
    listing = walk(typed(invalid_rows="skip"))
    assert [item.id for item in await walked(listing)] == [str(at) for at in range(0, 45, kept)]
    assert len(api.requests) == 5
    pages = await walked(listing.pages())
    assert [item.id for got in pages for item in got] == [str(at) for at in range(0, 45, kept)]
    assert sum(got.skipped for got in pages) == changes.count({"creator": None})


async def test_an_iteration_that_raises_has_a_resume_offset(
    typed: Callable[..., Any], listed: Any, paged: Callable[..., None]
) -> None:
    """The error has the row's index in its page, and the offset at which to continue."""
    page, _, walk = listed
    paged(page, *[{}] * 23, None, *[{}] * 10)
    with pytest.raises(InvalidResponse) as caught:
        await walked(walk(typed()))
    # The third page begins with the last item of the second: 9 + 10 - 1.
    assert (caught.value.index, caught.value.resume_offset) == (23 - 18, 19)


async def test_an_endless_list_of_skipped_rows_is_broken(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any
) -> None:
    """Skipped rows are distinguished by their ids, as any rows."""
    page, _, walk = listed
    api.responds(page(SKIPPED, SKIPPED, has_next=True))
    with pytest.raises(PaginationError, match="hold no new item and say that more follow"):
        await walked(walk(typed(invalid_rows="skip")))


async def test_the_page_after_one_with_skipped_rows(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any
) -> None:
    """It begins after all rows of this one, including the skipped ones."""
    page, ask, _ = listed
    api.responds(page({}, SKIPPED, {}, has_next=True, limit=3))
    got = await done(ask(typed(invalid_rows="skip")))
    await done(got.next_page())
    assert api.requests[-1].url.endswith("?limit=3&offset=3")


@pytest.mark.parametrize("api", ["own"], indirect=True)
@pytest.mark.parametrize("listed", [LISTS["tags"]], ids=["tags"], indirect=True)
@pytest.mark.parametrize(
    "copied", [copy.copy, lambda page: page.model_copy()], ids=["copy", "model_copy"]
)
async def test_a_copy_of_a_page_with_skipped_rows(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any, copied: Callable[[Any], Any]
) -> None:
    """A copy has the same count and the same next page."""
    page, ask, _ = listed
    api.responds(page({}, SKIPPED, {}, has_next=True, limit=3))
    got = copied(await done(ask(typed(invalid_rows="skip"))))
    assert got.skipped == 1
    await done(got.next_page())
    assert api.requests[-1].url.endswith("?limit=3&offset=3")


@pytest.mark.parametrize("api", ["own"], indirect=True)
@pytest.mark.parametrize("listed", [LISTS["tags"]], ids=["tags"], indirect=True)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda page: pickle.loads(pickle.dumps(page))], ids=["deep", "pickle"]
)
async def test_a_deep_copy_counts_skipped_rows(
    api: ScriptedApi, typed: Callable[..., Any], listed: Any, copied: Callable[[Any], Any]
) -> None:
    """So does a pickle."""
    page, ask, _ = listed
    api.responds(page({}, SKIPPED, {}))
    got = copied(await done(ask(typed(invalid_rows="skip"))))
    assert ([item.id for item in got], got.skipped) == (["0", "2"], 1)


async def test_the_setting_holds_for_derived_clients_and_repositories(
    api: ScriptedApi, typed: Callable[..., Any], example: Callable[[str], dict[str, Any]]
) -> None:
    """It holds for `with_options` and for a repository's own tags, but not for a look-up.

    A row without a name may be the one that is looked for.
    """
    client = typed(invalid_rows="skip").with_options(timeout=5)
    api.responds(example("get_repository"))
    repository = await done(client.repositories.get("1"))
    tags = example("get_repository_tags")
    bad_tag = tags["tags"][0] | {"id": "bad", "creator": None}
    api.responds(tags | {"tags": [bad_tag, *tags["tags"]]})
    assert (await done(repository.list_tags())).skipped == 1
    listed = example("get_repositories")
    rows = listed["registry_repositories"]
    api.responds(listed | {"registry_repositories": [{"id": "bad"}, *rows]})
    with pytest.raises(InvalidResponse, match=r"registry_repositories\.0"):
        await done(client.repositories.find(rows[0]["name"]))


# -- look-ups by name -----------------------------------------------------------------------------

NAMELESS = {"null": None, "a number": 5, "a list": ["b"], "an object": {"name": "b"}}


def rows_of(page: dict[str, Any], key: str, *changes: Any) -> dict[str, Any]:
    """Return a page whose rows are called a, b, c, ..., each changed so."""
    [row, *_] = page[key]
    rows = [
        row | {"id": str(at), "name": "abcdef"[at]} | change if isinstance(change, dict) else change
        for at, change in enumerate(changes)
    ]
    return page | {key: rows, "has_next": False}


# A look-up of "b", or of the only row that is left.
LOOK_UPS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "find": (
        "get_repositories",
        "registry_repositories",
        lambda client: client.repositories.find("b"),
    ),
    "get_by_name": (
        "get_repositories",
        "registry_repositories",
        lambda client: client.repositories.get_by_name("b"),
    ),
    "get_or_create": (
        "get_repositories",
        "registry_repositories",
        lambda client: client.repositories.get_or_create("b"),
    ),
    "get_tag": ("get_repository_tags", "tags", lambda client: client.tags.get("1", "b")),
    "wait_for_tag": (
        "get_repository_tags",
        "tags",
        lambda client: client.tags.wait_for("1", "b", timeout=5),
    ),
    "latest_tag": (
        "get_repository_tags",
        "tags",
        lambda client: client.tags.latest("1", pattern="b"),
    ),
}
look_up = pytest.mark.parametrize(("operation", "key", "ask"), LOOK_UPS.values(), ids=LOOK_UPS)
invalid = pytest.mark.parametrize(
    "change", [change for change, _ in WITH_ID.values()], ids=list(WITH_ID)
)


@look_up
@invalid
@pytest.mark.parametrize("setting", ["raise", "skip"])
@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_look_up_skips_an_invalid_row_with_another_name(
    api: ScriptedApi,
    typed: Callable[..., Any],
    example: Callable[[str], dict[str, Any]],
    operation: str,
    key: str,
    ask: Callable[[Any], Any],
    change: dict[str, Any],
    setting: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Such a row is not the match, whether it is before or after it."""
    api.responds(rows_of(example(operation), key, change, {}, change))
    with caplog.at_level(logging.WARNING, "abeja_registry"):
        found = await done(ask(typed(invalid_rows=setting)))
    assert (found.id, found.name) == ("1", "b")
    assert {sent.method for sent in api.requests} == {"GET"}
    assert caplog.records == []  # nobody misses it


@look_up
@invalid
@pytest.mark.parametrize("setting", ["raise", "skip"])
@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_look_up_raises_for_an_invalid_match(
    api: ScriptedApi,
    typed: Callable[..., Any],
    example: Callable[[str], dict[str, Any]],
    operation: str,
    key: str,
    ask: Callable[[Any], Any],
    change: dict[str, Any],
    setting: str,
) -> None:
    """The error is that row's, not an earlier one's, and nothing is created."""
    body = rows_of(example(operation), key, {"creator": None}, change, {})
    api.responds(body)
    with pytest.raises(InvalidResponse) as caught:
        await done(ask(typed(invalid_rows=setting)))
    assert (caught.value.index, caught.value.row) == (1, body[key][1])
    assert (caught.value.body, caught.value.outcome_unknown) == (body, False)
    assert (caught.value.field or "").startswith(f"{key}.1.")
    assert {sent.method for sent in api.requests} == {"GET"}


@look_up
@pytest.mark.parametrize("name", NAMELESS.values(), ids=NAMELESS)
@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_look_up_raises_for_a_row_without_a_name(
    api: ScriptedApi,
    typed: Callable[..., Any],
    example: Callable[[str], dict[str, Any]],
    operation: str,
    key: str,
    ask: Callable[[Any], Any],
    name: object,
) -> None:
    """Such a row might be the match, and so the look-up ends there."""
    for row in ({"name": name}, [name]):
        api.responds(rows_of(example(operation), key, row, {}))
        with pytest.raises(InvalidResponse) as caught:
            await done(ask(typed()))
        assert caught.value.index == 0


@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_the_latest_version_with_invalid_rows(
    api: ScriptedApi, typed: Callable[..., Any], example: Callable[[str], dict[str, Any]]
) -> None:
    """An invalid tag raises only if its name could make it the latest."""
    page = example("get_repository_tags")
    names = [{"name": "1.0"}, {"name": "nightly", "creator": None}, {"name": "0.9"}]
    api.responds(rows_of(page, "tags", *names))
    assert (await done(typed().tags.latest("1", by="version"))).name == "1.0"
    with pytest.raises(InvalidResponse):
        await done(typed().tags.latest("1"))
    api.responds(rows_of(page, "tags", *names, {"name": "2.0", "creator": None}))
    with pytest.raises(InvalidResponse) as caught:
        await done(typed().tags.latest("1", by="version"))
    assert caught.value.index == 3


@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_look_up_without_a_match_among_invalid_rows(
    api: ScriptedApi, typed: Callable[..., Any], example: Callable[[str], dict[str, Any]]
) -> None:
    """If all names are valid, it is certain that the name is missing."""
    page = example("get_repositories")
    api.responds(rows_of(page, "registry_repositories", {"creator": None}, {"creator": {}}))
    assert await done(typed().repositories.find("x")) is None
    with pytest.raises(NotFound):
        await done(typed().repositories.get_by_name("x"))


# -- the log --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad_at", [[0], [9], [18], [9, 18], [8, 9, 10], list(range(30))])
@pytest.mark.parametrize("by", ["items", "pages"])
@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_skipped_row_is_logged_once(
    typed: Callable[..., Any],
    listed: Any,
    paged: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    bad_at: list[int],
    by: str,
) -> None:
    """A row at a page's end, which the next page repeats, is logged once."""
    page, _, walk = listed
    paged(page, *[{"creator": None} if at in bad_at else {} for at in range(30)])
    listing = walk(typed(invalid_rows="skip"))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "abeja_registry"):
            await walked(listing if by == "items" else listing.pages())
        logged = [record.getMessage() for record in caplog.records]
        assert [line for at in bad_at for line in logged if f"id '{at}'," in line] == logged
        assert len(logged) == len(bad_at)


@pytest.mark.parametrize("api", ["own"], indirect=True)
async def test_a_skipped_row_of_an_inventory_is_logged_once(
    api: ScriptedApi,
    typed: Callable[..., Any],
    example: Callable[[str], dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An inventory's pages overlap, too."""
    repositories, tags = example("get_repositories"), example("get_repository_tags")

    def respond_window(request: Any) -> None:
        limit, offset = (int(request.url.params[name]) for name in ("limit", "offset"))
        if not request.url.path.endswith("/tags"):
            api.responds(repositories)
            return
        rows = [tags["tags"][0] | {"id": str(at), "name": f"t{at}"} for at in range(30)]
        for at in (0, 9, 18, 29):
            rows[at]["creator"] = None
        shown = {"offset": offset, "limit": limit, "has_next": offset + limit < len(rows)}
        api.responds(tags | shown | {"tags": rows[offset : offset + limit]})

    api.on_request = respond_window
    with caplog.at_level(logging.WARNING, "abeja_registry"):
        rows = await walked(typed(invalid_rows="skip").inventory(page_size=10, concurrency=1))
    assert len(rows) == 26
    logged = [record.getMessage() for record in caplog.records]
    assert [sum(f"id '{at}'," in line for line in logged) for at in (0, 9, 18, 29)] == [1] * 4
