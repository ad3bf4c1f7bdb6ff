"""Inventories of an API with invalid rows."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.examples import ORGANIZATION_ID
from tests.support.internals import session_of
from tests.support.inventories import each_form, walked_as
from tests.support.worlds import done, walked

from abeja_registry import Client, InvalidResponse
from abeja_registry.inventory import IncompleteInventory, Progress
from abeja_registry.sandbox import Sandbox

pytestmark = pytest.mark.anyio


@each_form
async def test_invalid_rows_may_be_skipped(
    example: Callable[[str], dict[str, Any]], form: str
) -> None:
    """A client with `invalid_rows="skip"` leaves them out of an inventory's rows too."""
    repositories, tags = example("get_repositories"), example("get_repository_tags")
    [repository], [tag] = repositories["registry_repositories"], tags["tags"]
    repositories["registry_repositories"] = [repository, {"id": "2"}]
    tags["tags"] = [tag, tag | {"id": "a", "size": "large"}, tag | {"id": "b", "name": "b"}]

    def respond(request: httpx.Request) -> httpx.Response:
        body = tags if request.url.path.endswith("/tags") else repositories
        return httpx.Response(200, json=body)

    with httpx.Client(transport=httpx.MockTransport(respond)) as http_client:
        client = Client(
            ORGANIZATION_ID,
            {},
            base_url="https://api.example.com",
            http_client=http_client,
            invalid_rows="skip",
        )
        rows = await walked_as(form, client.inventory())
        assert [row.tag for row in rows] == [tag["name"], "b"]


PERSON = {"creator": None}


NAMELESS = "(row 1 of the list)"


# The changes of a row in the list, and the id and the name of its failure.
BAD_ROWS: dict[str, tuple[Any, str, str]] = {
    "a null creator": (PERSON, "2", "second"),
    "no creation time": ({"created_at": "yesterday"}, "2", "second"),
    "no name": ({"name": None}, "2", NAMELESS),
    "a number for a name": ({"name": 7}, "2", NAMELESS),
}


@pytest.fixture(params=[None, "skip", "raise"])
def broken(
    request: pytest.FixtureRequest, either_of: Any, example: Callable[[str], dict[str, Any]]
) -> Callable[[Any], Any]:
    """Creates a client of an API whose second repository has an invalid row.

    The client skips invalid rows, raises for them, or has the default.
    """

    def client(bad: Any) -> Any:
        listed, tags = example("get_repositories"), example("get_repository_tags")
        [first] = listed["registry_repositories"]
        second = {**first, "id": "2", "name": "second"}
        third = {**first, "id": "3", "name": "third"}
        bad_row = {**second, **bad} if isinstance(bad, dict) else bad
        listed["registry_repositories"] = [first, bad_row, third]

        def respond(sent: httpx.Request) -> httpx.Response:
            body = tags if sent.url.path.endswith("/tags") else listed
            return httpx.Response(200, json=body)

        return either_of(respond, invalid_rows=request.param)

    return client


@each_form
@pytest.mark.parametrize(("bad", "key", "name"), BAD_ROWS.values(), ids=BAD_ROWS)
async def test_a_repository_with_an_invalid_row_is_a_failure(
    broken: Callable[[Any], Any], tmp_path: Path, bad: Any, key: str, name: str, form: str
) -> None:
    """Files, summaries and diffs are refused, and the rows of the others are returned."""
    reports: list[Progress] = []
    inventory = broken(bad).inventory(on_progress=reports.append)
    rows = await walked_as(form, inventory)
    assert sorted(row.repository_name for row in rows) == ["sample_repository", "third"]
    [failure] = inventory.failures
    assert (failure.repository_id, failure.repository_name, failure.deleted) == (key, name, False)
    assert isinstance(failure.error, InvalidResponse)
    assert (reports[-1].repositories, reports[-1].finished, reports[-1].failed) == (3, 2, 1)
    before = [*rows, rows[0]._replace(repository_id="2", repository_name="second")]
    with pytest.raises(IncompleteInventory):
        await done(type(inventory).diff(before, inventory))
    with pytest.raises(IncompleteInventory):
        await done(inventory.summary())
    with pytest.raises(IncompleteInventory):
        await done(inventory.write_csv(tmp_path / "a.csv"))
    assert await done(inventory.write_csv(tmp_path / "a.csv", resume=True, partial=True)) == 2


@each_form
@pytest.mark.parametrize(
    "bad", [{"id": None}, "nonsense", None], ids=["no id", "no object", "null"]
)
async def test_a_row_of_the_list_without_an_id_ends_an_inventory(
    broken: Callable[[Any], Any], bad: Any, form: str
) -> None:
    """Without the id, later rows cannot be distinguished from earlier ones."""
    with pytest.raises(InvalidResponse) as caught:
        await walked_as(form, broken(bad).inventory())
    assert caught.value.index == 1


@pytest.mark.parametrize(
    ("bad", "failed"),
    [(PERSON, 0), ({"name": "train-2", "creator": None}, 1), ({"name": None}, 1)],
    ids=["another name", "a matching name", "no name"],
)
async def test_an_invalid_row_counts_if_its_repository_is_included(
    broken: Callable[[Any], Any], bad: Any, failed: int
) -> None:
    """A row whose name does not match is left out; a row without a name may match."""
    inventory = broken(bad).inventory(include="train-*")
    assert await walked(inventory) == []
    assert len(inventory.failures) == failed


async def test_an_invalid_row_of_a_repository_that_an_earlier_run_has_finished(
    sandbox: Sandbox, either: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed inventory does not need the row."""
    first, second = sandbox.seed(repositories=2, tags=1)
    sandbox.faults.add(repository_id=second, status=403, times=2)
    reports: list[Progress] = []
    inventory = either.inventory(on_progress=reports.append)
    with pytest.raises(IncompleteInventory):
        await done(inventory.write_csv(tmp_path / "a.csv"))
    fetch = type(session_of(either)).request

    def without_creator(result: Any) -> Any:
        for row in result.body.get("registry_repositories", ()):
            if row["id"] == first:
                row["creator"] = None
        return result

    async def later(result: Any) -> Any:
        return without_creator(await result)

    def fetched(*arguments: Any) -> Any:
        result = fetch(*arguments)
        return later(result) if inspect.isawaitable(result) else without_creator(result)

    monkeypatch.setattr(type(session_of(either)), "request", fetched)
    assert await done(inventory.write_csv(tmp_path / "a.csv", resume=True)) == 2
    assert (reports[-1].repositories, reports[-1].finished) == (2, 2)


BAD_TAGS: dict[str, dict[str, Any]] = {
    "a null creator": PERSON,
    "no digest": {"digest": None},
    "a size in words": {"size": "large"},
    "no name": {"name": None},
    "no object for a creator": {"creator": "someone"},
}


@each_form
@pytest.mark.parametrize("bad", BAD_TAGS.values(), ids=BAD_TAGS)
@pytest.mark.parametrize("at", [0, 3, 4])
@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_a_repository_with_skipped_tags_is_a_failure(
    either_of: Any,
    caplog: pytest.LogCaptureFixture,
    example: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    bad: dict[str, Any],
    at: int,
    page_size: int,
    form: str,
) -> None:
    """Files, summaries and diffs are refused; its other rows are returned, and kept if wished."""
    listed, tags = example("get_repositories"), example("get_repository_tags")
    [first], [tag] = listed["registry_repositories"], tags["tags"]
    listed["registry_repositories"] = [first, {**first, "id": "2", "name": "second"}]
    good = [{**tag, "id": f"{number}", "name": f"t{number}"} for number in range(5)]
    broken = [*good[:at], good[at] | bad, *good[at + 1 :]]

    def respond(sent: httpx.Request) -> httpx.Response:
        offset, limit = (int(sent.url.params[name]) for name in ("offset", "limit"))
        if sent.url.path.endswith("/tags"):
            name, body, rows = "tags", tags, broken if "/2/" in sent.url.path else good
        else:
            name, body, rows = "registry_repositories", listed, listed["registry_repositories"]
        end = offset + limit
        page = {"offset": offset, "limit": limit, "has_next": end < len(rows)}
        return httpx.Response(200, json={**body, **page, name: rows[offset:end]})

    reports: list[Progress] = []
    client = either_of(respond, invalid_rows="skip")
    inventory = client.inventory(page_size=page_size, on_progress=reports.append)
    with caplog.at_level(logging.WARNING, "abeja_registry"):
        rows = await walked_as(form, inventory)
    assert len(caplog.records) == 1
    assert [row.tag for row in rows if row.repository_id == "2"] == [
        f"t{number}" for number in range(5) if number != at
    ]
    [failure] = inventory.failures
    assert (failure.repository_name, failure.deleted) == ("second", False)
    assert isinstance(failure.error, InvalidResponse)
    assert (reports[-1].repositories, reports[-1].finished, reports[-1].failed) == (2, 1, 1)
    before = [*rows, rows[0]._replace(repository_id="2", repository_name="second")]
    with pytest.raises(IncompleteInventory):
        await done(type(inventory).diff(before, inventory))
    with pytest.raises(IncompleteInventory):
        await done(inventory.summary())
    assert (await done(inventory.summary(partial=True))).total.tags == 9
    write = inventory.write_csv if form == "rows" else inventory.write_parquet
    for resume in (False, True):
        with pytest.raises(IncompleteInventory):
            await done(write(tmp_path / "a", resume=resume))
    assert await done(write(tmp_path / "a", resume=True, partial=True)) == 9
    assert {(each.name, each.tag_count) for each in inventory.repositories} == {
        (first["name"], 5),
        ("second", 5),
    }
