"""Flows: find, get_or_create, wait_for_tag, and a delete whose first response was lost."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.examples import BASE_URL, ORGANIZATION_ID
from tests.support.internals import (
    AsyncConnectionPool,
    Clock,
    ConnectionPool,
    replace_sleep,
    settings_of,
)
from tests.support.registry import Registry
from tests.support.worlds import done, walked

from abeja_registry import (
    AsyncClient,
    BadRequest,
    Client,
    Conflict,
    Error,
    Forbidden,
    HttpError,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    PaginationError,
    TransportError,
)

if TYPE_CHECKING:
    from tests.support.internals import Request
    from tests.support.scripted import ScriptedApi

pytestmark = pytest.mark.anyio

NAME = "sample"


class Faulty(Registry):
    """A registry with faults; by default, it accepts a name twice.

    Attributes:
        asked: The methods and queries of its requests, oldest first.
        faults: The fault of each request, by its index: "refused" and "lost" before it is carried
            out, "no response" after; a status before, a negative status after; "{}" and "<html>"
            are the body of a 200, after.
        later: What is done after a request was carried out, by its number.
    """

    def __init__(self, *names: str, unique: bool = False) -> None:
        super().__init__(*names, unique=unique, first_id=1)
        self.asked: list[str] = []
        self.faults: dict[int, int | str] = {}
        self.later: dict[int, Callable[[], object]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Respond to a request."""
        number = len(self.asked)
        fault = self.faults.get(number)
        self.asked.append(f"{request.method} {request.url.query.decode()}".strip())
        if fault == "refused":
            raise httpx.ConnectError("refused")
        if fault == "lost":
            raise httpx.ReadError("reset")
        if isinstance(fault, int) and fault > 0:
            return httpx.Response(fault, json={})
        reply = self.handle(request.method, request.url.raw_path.decode(), request.content)
        self.later.get(number, lambda: None)()
        if fault == "no response":
            raise httpx.ReadError("reset")
        if isinstance(fault, int):
            return httpx.Response(-fault, json={})
        if fault:
            return httpx.Response(200, text=fault)
        return httpx.Response(reply.status, content=reply.body)

    async def awaited(self, request: httpx.Request) -> httpx.Response:
        """As `__call__`, awaited."""
        return self(request)

    def client(self) -> Client:
        """Return a typed client of it."""
        http_client = httpx.Client(transport=httpx.MockTransport(self))
        return Client(ORGANIZATION_ID, {}, base_url=BASE_URL, http_client=http_client)

    def async_client(self) -> AsyncClient:
        """Return an async typed client of it."""
        http_client = httpx.AsyncClient(transport=httpx.MockTransport(self.awaited))
        return AsyncClient(ORGANIZATION_ID, {}, base_url=BASE_URL, http_client=http_client)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record waits instead of sleeping."""
    waited: list[float] = []
    replace_sleep(monkeypatch, waited.append)
    return waited


@pytest.fixture(params=["sync", "async"])
def client_of(request: pytest.FixtureRequest) -> Iterator[Callable[[Faulty], Any]]:
    """Return a sync or async typed client of a registry."""
    kind = Client if request.param == "sync" else AsyncClient
    with respx.mock(assert_all_called=False) as router:

        def build(registry: Faulty) -> Any:
            router.route().mock(side_effect=registry)
            return kind(ORGANIZATION_ID, {}, base_url=BASE_URL)

        yield build


ClientOf = Callable[[Faulty], Any]

# -- find -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 99, 100, 198, 199, 249])
async def test_a_repository_is_found_by_its_name(client_of: ClientOf, at: int) -> None:
    """find() stops at the page with the name."""
    registry = Faulty(*(f"r{number}" for number in range(250)))
    client = client_of(registry)
    repository = await done(client.repositories.find(f"r{at}"))
    assert (repository.id, repository.name) == (str(at + 1), f"r{at}")
    pages = 1 + (at >= 100) + (at >= 199)
    assert registry.asked == [f"GET limit=100&offset={99 * page}" for page in range(pages)]
    assert await done(repository.delete()) is None
    assert len(registry.names) == 249


@pytest.mark.parametrize("names", [(), ("Sample", "sample2", "")], ids=["none", "others"])
async def test_find_returns_none_for_an_unknown_name(
    client_of: ClientOf, names: tuple[str, ...]
) -> None:
    """The whole name must match, including its case."""
    registry = Faulty(*names)
    assert await done(client_of(registry).repositories.find(NAME)) is None
    assert registry.asked == ["GET limit=100&offset=0"]


async def test_find_works_while_others_delete(client_of: ClientOf) -> None:
    """A row that moves to an earlier page between two requests is not missed."""
    registry = Faulty(*(f"r{number}" for number in range(150)))

    def remove_some() -> None:
        for number in range(1, 61):
            del registry.repositories[str(number)]

    registry.later = {0: remove_some}
    assert (await done(client_of(registry).repositories.find("r110"))).name == "r110"


@pytest.mark.parametrize(
    ("fault", "kind"), [(403, Forbidden), ("refused", TransportError), ("{}", InvalidResponse)]
)
async def test_find_raises_the_error_of_a_page(
    client_of: ClientOf, fault: int | str, kind: type[Error]
) -> None:
    """No other exception is chained."""
    registry = Faulty(*(f"r{number}" for number in range(150)))
    registry.faults = dict.fromkeys(range(1, 20), fault)
    with pytest.raises(kind) as caught:
        await done(client_of(registry).repositories.find(NAME))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_find_on_a_contradictory_list(client_of: ClientOf) -> None:
    """Pages that contradict each other raise PaginationError."""
    registry = Faulty()
    empty = {"registry_repositories": [], "has_next": True, "limit": 100, "offset": 0}
    registry.faults = {0: json.dumps(empty)}
    with pytest.raises(PaginationError, match="is empty and says that more follow"):
        await done(client_of(registry).repositories.find(NAME))


# -- get_or_create --------------------------------------------------------------------------------

LOOK = "GET limit=100&offset=0"


async def test_get_or_create_returns_an_existing_repository(client_of: ClientOf) -> None:
    """It sends one request."""
    registry = Faulty("other", NAME)
    repository = await done(client_of(registry).repositories.get_or_create(NAME, "d"))
    assert (repository.id, registry.asked) == ("2", [LOOK])


async def test_get_or_create_creates_a_missing_repository(client_of: ClientOf) -> None:
    """It looks the name up, creates the repository once, and binds it to the client."""
    registry = Faulty("other")
    repository = await done(client_of(registry).repositories.get_or_create(NAME, "d"))
    assert (repository.id, registry.asked) == ("2", [LOOK, "POST"])
    await done(repository.delete())
    assert registry.names == ["other"]


@pytest.mark.parametrize("arguments", [(None,), (b"n",), (NAME, 1)], ids=repr)
async def test_an_invalid_argument_sends_no_request(
    client_of: ClientOf, arguments: tuple[Any, ...]
) -> None:
    """A name or a description that is not a string is refused before the look-up."""
    registry = Faulty()
    with pytest.raises(TypeError, match="must be a string"):
        await done(client_of(registry).repositories.get_or_create(*arguments))
    assert registry.asked == []


# Each fault of a create, before or after it is carried out, and the error if the name is missing.
DOUBTFUL: dict[str, tuple[int | str, type[Error]]] = {
    "no response": ("no response", OutcomeUnknown),
    "lost": ("lost", OutcomeUnknown),
    "no JSON after": ("<html>", InvalidResponse),
    "no repository after": ("{}", InvalidResponse),
    **{f"{status} before": (status, HttpError) for status in (408, 500, 502, 503, 504, 599)},
    **{f"{status} after": (-status, HttpError) for status in (408, 500, 502, 503, 504, 599)},
    "400 before": (400, BadRequest),
    "400 after": (-400, BadRequest),
    "409 before": (409, Conflict),
    "409 after": (-409, Conflict),
}


def carried_out(fault: int | str) -> bool:
    """Return whether a fault occurs after the create was carried out."""
    return fault < 0 if isinstance(fault, int) else fault not in ("refused", "lost")


@pytest.mark.parametrize(("fault", "kind"), DOUBTFUL.values(), ids=DOUBTFUL)
async def test_a_create_of_unknown_outcome_is_looked_up(
    client_of: ClientOf, fault: int | str, kind: type[Error]
) -> None:
    """If the repository exists, it is returned; else the create's error is raised."""
    registry = Faulty()
    registry.faults = {1: fault}
    call = client_of(registry).repositories.get_or_create
    if carried_out(fault):
        assert (await done(call(NAME))).id == "1"
    else:
        with pytest.raises(kind) as caught:
            await done(call(NAME))
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert registry.asked == [LOOK, "POST", LOOK]
    assert registry.names == [NAME] * carried_out(fault)


@pytest.mark.parametrize(("fault", "kind"), DOUBTFUL.values(), ids=DOUBTFUL)
async def test_a_failed_second_look_up_raises_the_create_s_error(
    client_of: ClientOf, fault: int | str, kind: type[Error]
) -> None:
    """The caller learns that the outcome of the create is unknown."""
    registry = Faulty()
    registry.faults = {1: fault} | dict.fromkeys(range(2, 20), 403)
    with pytest.raises(kind) as caught:
        await done(client_of(registry).repositories.get_or_create(NAME))
    assert registry.asked == [LOOK, "POST", LOOK]
    if kind not in (BadRequest, Conflict):
        assert caught.value.outcome_unknown is True


@pytest.mark.parametrize(
    ("fault", "kind", "creates"),
    [(401, HttpError, 1), (403, Forbidden, 1), (404, NotFound, 1), ("refused", TransportError, 6)],
)
async def test_a_create_that_certainly_failed_is_not_looked_up(
    client_of: ClientOf, fault: int | str, kind: type[Error], creates: int
) -> None:
    """Its error is raised."""
    registry = Faulty()
    registry.faults = dict.fromkeys(range(1, 20), fault)
    with pytest.raises(kind) as caught:
        await done(client_of(registry).repositories.get_or_create(NAME))
    assert registry.asked == [LOOK] + ["POST"] * creates
    assert caught.value.outcome_unknown is False


async def test_another_client_creates_the_name_first(client_of: ClientOf) -> None:
    """If the name is taken between look-up and create, that repository is returned."""
    registry = Faulty("other", unique=True)
    registry.later = {0: lambda: registry.add(NAME)}
    assert (await done(client_of(registry).repositories.get_or_create(NAME))).id == "2"
    assert registry.asked == [LOOK, "POST", LOOK]


FAULTS = st.sampled_from(
    ["refused", "lost", "no response", "{}", "<html>"]
    + [sign * status for sign in (1, -1) for status in (400, 403, 404, 408, 409, 429, 500, 503)]
)


@settings(deadline=None)
@example({1: "{}"}, False, False)
@given(st.dictionaries(st.integers(0, 12), FAULTS, max_size=6), st.booleans(), st.booleans())
def test_get_or_create_under_any_faults(
    faults: dict[int, int | str], unique: bool, there: bool
) -> None:
    """At most one repository has the name, and sync and async clients do the same."""
    # A 429 is taken for one that was made before the work.
    faults = {at: 429 if fault == -429 else fault for at, fault in faults.items()}
    registries = [Faulty(*[NAME] * there, unique=unique) for _ in range(2)]
    ends: list[object] = []

    async def awaited(call: Awaitable[Any]) -> Any:
        return await call

    clients: list[Any] = [registries[0].client(), registries[1].async_client()]
    for registry, client in zip(registries, clients, strict=True):
        registry.faults = dict(faults)
        try:
            call = client.repositories.get_or_create(NAME)
            repository = asyncio.run(awaited(call)) if inspect.isawaitable(call) else call
            ends.append(repository.id)
            assert registry.names == [NAME]
        except Error as error:
            ends.append((type(error), error.outcome_unknown))
            sent = [at for at, asked in enumerate(registry.asked) if asked == "POST"]
            assert len(registry.names) <= 1
            if registry.names and not there and not error.outcome_unknown:
                # Only a false response leaves an unknown repository.
                assert faults[sent[-1]] in (-400, -403, -404, -409)
        creates = [at for at, asked in enumerate(registry.asked) if asked == "POST"]
        assert all(faults[at] in ("refused", 429) for at in creates[:-1])
    assert ends[0] == ends[1]
    assert registries[0].asked == registries[1].asked


@pytest.fixture
def deadlines(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the deadline of each request over our own connections."""
    seen: list[float] = []
    # Each request takes a second.
    now = [0.0]
    monkeypatch.setattr(Clock, "now", staticmethod(lambda: now[0]))
    send, async_send = ConnectionPool.send, AsyncConnectionPool.send

    def sent(self: ConnectionPool, request: Request, remaining: float) -> Any:
        seen.append(now[0] + remaining)
        now[0] += 1
        return send(self, request, remaining)

    async def async_sent(self: AsyncConnectionPool, request: Request, remaining: float) -> Any:
        seen.append(now[0] + remaining)
        now[0] += 1
        return await async_send(self, request, remaining)

    monkeypatch.setattr(ConnectionPool, "send", sent)
    monkeypatch.setattr(AsyncConnectionPool, "send", async_sent)
    return seen


@pytest.mark.parametrize("api", ["own"], indirect=True)
@pytest.mark.parametrize("world", ["sync", "async"])
async def test_a_flow_has_one_deadline(
    api: ScriptedApi, deadlines: list[float], world: str, example: Callable[[str], dict[str, Any]]
) -> None:
    """All requests share it; a create leaves some time, and each page of a list has its own."""
    client: Any = api.client() if world == "sync" else api.async_client()
    api.responds(status=503)
    with pytest.raises(HttpError):
        await done(client.repositories.find(NAME))
    assert (len(deadlines), len(set(deadlines))) == (6, 1)
    page = example("get_repositories")
    api.responds(page)
    # The response is no repository, so the create's outcome is unknown and it is looked up.
    with pytest.raises(InvalidResponse):
        await done(client.repositories.get_or_create(NAME))
    found, created, looked_again = deadlines[6:]
    assert found == looked_again > deadlines[0]
    # Two thirds, so that there is time to look again.
    assert found - created == pytest.approx(settings_of(client).deadline / 3, abs=1)
    repositories = page["registry_repositories"]
    more = {"registry_repositories": [*repositories, repositories[0] | {"id": "2"}]}
    api.responds(page | more | {"has_next": True})
    del deadlines[:]
    with pytest.raises(PaginationError):
        await walked(client.repositories)
    assert len(set(deadlines)) == len(deadlines) > 1


@pytest.mark.parametrize("api", ["own"], indirect=True)
@pytest.mark.parametrize("world", ["sync", "async"])
@pytest.mark.parametrize(("timeout", "allowed"), [(1000, 120), (50, 50)])
async def test_a_poll_has_at_most_the_deadline_of_a_call(
    api: ScriptedApi,
    deadlines: list[float],
    world: str,
    example: Callable[[str], dict[str, Any]],
    timeout: float,
    allowed: float,
) -> None:
    """Or the remaining time of the wait, if that is less."""
    client: Any = api.client() if world == "sync" else api.async_client()
    page = example("get_repository_tags")
    api.responds(page | {"has_next": False})
    await done(client.tags.wait_for("1", page["tags"][0]["name"], timeout=timeout))
    [deadline] = deadlines
    assert deadline == allowed


# -- a delete whose first response was lost -------------------------------------------------------

FIRST = {"no response": "no response", "500": -500, "503": -503, "504": -504, "408": -408}


@pytest.mark.parametrize("fault", FIRST.values(), ids=FIRST)
async def test_a_delete_whose_response_was_lost(client_of: ClientOf, fault: int | str) -> None:
    """The typed client returns; the raw client's NotFound has after_unknown_outcome."""
    registry = Faulty("a", "b")
    registry.faults = {0: fault, 2: fault}
    client = client_of(registry)
    assert await done(client.repositories.delete("1")) is None
    with pytest.raises(NotFound) as caught:
        await done(client.raw.delete_repository(ORGANIZATION_ID, "2"))
    assert (caught.value.after_unknown_outcome, caught.value.outcome_unknown) == (True, False)
    assert len(caught.value.history) == 2
    assert (registry.names, registry.asked) == ([], ["DELETE"] * 4)


@pytest.mark.parametrize("faults", [{}, {0: "refused"}, {0: 429}], ids=["", "refused", "429"])
async def test_a_delete_of_a_missing_repository(
    client_of: ClientOf, faults: dict[int, int | str]
) -> None:
    """If no earlier attempt can have deleted it, a 404 raises NotFound."""
    for missing_ok in (True, False):
        registry = Faulty("a")
        registry.faults = dict(faults)
        delete = client_of(registry).repositories.delete
        if missing_ok:
            assert await done(delete("9", missing_ok=True)) is None
        else:
            with pytest.raises(NotFound) as caught:
                await done(delete("9"))
            assert caught.value.after_unknown_outcome is False
        assert len(registry.names) == 1


async def test_a_delete_without_any_response(client_of: ClientOf) -> None:
    """The error has outcome_unknown."""
    registry = Faulty("a")
    registry.faults = {0: "no response", **dict.fromkeys(range(1, 9), "refused")}
    with pytest.raises(TransportError) as caught:
        await done(client_of(registry).repositories.delete("1"))
    assert type(caught.value) is TransportError
    assert caught.value.outcome_unknown is True
    assert registry.names == []


# -- a create with an invalid response ------------------------------------------------------------


@pytest.mark.parametrize("body", ["{}", "<html>", "[1]"])
async def test_a_create_with_an_invalid_response(client_of: ClientOf, body: str) -> None:
    """The repository may exist, so the error has outcome_unknown."""
    registry = Faulty()
    registry.faults = {0: body}
    with pytest.raises(InvalidResponse) as caught:
        await done(client_of(registry).repositories.create(NAME))
    assert caught.value.outcome_unknown is True
    assert registry.names == [NAME]
