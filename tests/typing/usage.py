"""Every way a user would write it, sync and async: never run, only checked, by mypy and pyright."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, assert_type

import httpx
import httpx2

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    AsyncHttpClient,
    AsyncListing,
    AsyncPage,
    AsyncRepositories,
    AsyncRepository,
    AsyncTags,
    Attempt,
    BearerToken,
    Client,
    ConfigurationError,
    Creator,
    CreatorDict,
    Credential,
    DatasourceCredential,
    DeletedRepositoryDict,
    Error,
    HttpClient,
    HttpError,
    InvalidResponse,
    ListedRepositoryDict,
    Listing,
    NotFound,
    OutcomeUnknown,
    Page,
    Repositories,
    Repository,
    RepositoryDict,
    RepositoryPageDict,
    Setting,
    Tag,
    TagDict,
    TagPageDict,
    Tags,
    Timeout,
    TransportError,
    UserCredential,
    __version__,
)
from abeja_registry.contract import ContractReport, Finding, Status
from abeja_registry.sandbox import Sandbox

version: str = __version__

# -- making clients -------------------------------------------------------------------------------


def credentials() -> list[Credential]:
    """Write each kind of credential."""
    plain = {"user_id": "1", "personal_access_token": "p"}
    return [
        BearerToken("t"),
        UserCredential("1", "p"),
        DatasourceCredential(datasource_id="1", datasource_secret="s"),
        {"auth_token": "t"},
        plain,
        {},
    ]


def clients(sandbox: Sandbox, credential: Credential) -> None:
    """Make clients of every kind, in every way."""
    assert_type(Client(), Client)
    Client("1", credential)
    Client("1", {"auth_token": "t"})
    Client(organization_id="1", credential=credential, base_url="https://a", timeout=0.5)
    Client(max_retry_count=0, profile="p", timeout=5)
    Client(**sandbox.connection)
    Client(**sandbox.connection, timeout=5)
    AsyncClient(**sandbox.connection)
    APIClient(None, 30, 3)
    APIClient({"datasource_id": "1", "datasource_secret": "s"}, base_url=sandbox.url)
    AsyncAPIClient(credential, timeout=1.5, max_retry_count=0)

    Client("1", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client("1", None, "https://a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Client(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    APIClient(timeout="30")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    APIClient(profile="p")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    APIClient(**sandbox.connection)  # type: ignore[misc]  # pyright: ignore[reportCallIssue]


def handed_in() -> None:
    """Hand in a client of either library, in its own world."""
    Client(http_client=httpx.Client())
    Client(http_client=httpx2.Client())
    APIClient(http_client=httpx.Client())
    APIClient(http_client=httpx2.Client())
    AsyncClient(http_client=httpx.AsyncClient())
    AsyncClient(http_client=httpx2.AsyncClient())
    AsyncAPIClient(http_client=httpx.AsyncClient())
    AsyncAPIClient(http_client=httpx2.AsyncClient())
    kept: list[HttpClient] = [httpx.Client(), httpx2.Client()]
    async_kept: list[AsyncHttpClient] = [httpx.AsyncClient(), httpx2.AsyncClient()]
    Client(http_client=kept[0])
    AsyncClient(http_client=async_kept[0])

    Client(http_client=httpx.AsyncClient())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    APIClient(http_client=httpx2.AsyncClient())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncClient(http_client=httpx.Client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncAPIClient(http_client=httpx2.Client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(http_client=object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Ours(Client):
    """A user's own client."""

    def newest(self) -> Repository | None:
        """Return the repository that was created last."""
        return max(self.repositories, key=lambda each: each.created_at, default=None)


class OursAsync(AsyncClient):
    """A user's own async client."""


class OursRaw(APIClient):
    """A class of code written for abeja-sdk."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


def derived(client: Client, ours: Ours, async_client: AsyncClient, async_ours: OursAsync) -> None:
    """Derive clients; a subclass stays one."""
    assert_type(client.with_options(timeout=5), Client)
    assert_type(ours.with_options(organization_id="2", timeout=0.5), Ours)
    assert_type(async_client.with_options(), AsyncClient)
    assert_type(async_ours.with_options(organization_id="2"), OursAsync)
    assert_type(ours.newest(), Repository | None)
    client.with_options("2")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def parts(client: Client, async_client: AsyncClient) -> None:
    """Look at what a client has."""
    assert_type(client.repositories, Repositories)
    assert_type(client.tags, Tags)
    assert_type(client.raw, APIClient)
    assert_type(client.organization_id, str)
    assert_type(async_client.repositories, AsyncRepositories)
    assert_type(async_client.tags, AsyncTags)
    assert_type(async_client.raw, AsyncAPIClient)
    assert_type(async_client.organization_id, str)
    client.organization_id = "2"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# -- sync -----------------------------------------------------------------------------------------


def opened(ours: Ours, raw: OursRaw) -> None:
    """Use clients as context managers."""
    with Client() as client:
        assert_type(client, Client)
    with ours as entered:
        assert_type(entered, Ours)
    with raw as entered_raw:
        assert_type(entered_raw, OursRaw)
    assert_type(ours.close(), None)


def repositories(client: Client) -> None:
    """Create, get, list, iterate and delete."""
    repository = client.repositories.create("sample_repository", description="a sample")
    assert_type(repository, Repository)
    assert_type(client.repositories.create("sample", "a sample"), Repository)
    assert_type(client.repositories.get(repository.id), Repository)
    assert_type(client.repositories.get(repository), Repository)
    assert_type(client.repositories.find("sample", page_size=1000), Repository | None)
    assert_type(client.repositories.get_by_name("sample", page_size=1000), Repository)
    assert_type(client.repositories.get_or_create("sample", page_size=1000), Repository)
    assert_type(client.repositories.delete(repository.id), None)
    assert_type(client.repositories.delete(repository), None)
    assert_type(client.repositories.delete(repository.id, missing_ok=True), None)
    assert_type(client.repositories.list(), Page[Repository])
    assert_type(client.repositories.list(limit=50, offset=0), Page[Repository])
    assert_type(client.repositories.iter(), Listing[Repository])
    assert_type(client.repositories.iter(page_size=10), Listing[Repository])
    for each in client.repositories:
        assert_type(each, Repository)
    for each in client.repositories.iter():
        assert_type(each, Repository)
    assert_type([each.name for each in client.repositories], list[str])
    assert_type(iter(client.repositories), Iterator[Repository])

    client.repositories.get(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.repositories.iter(10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.repositories.delete("1", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.repositories.list(limit="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def tags(client: Client, repository: Repository) -> None:
    """Reach a repository's tags, by the repository or by its id."""
    assert_type(client.tags.list("1"), Page[Tag])
    assert_type(client.tags.list("1", limit=5, offset=5), Page[Tag])
    assert_type(client.tags.iter("1", page_size=10), Listing[Tag])
    assert_type(client.tags.list(repository), Page[Tag])
    assert_type(client.tags.iter(repository), Listing[Tag])
    assert_type(client.tags.get(repository, "1.0", page_size=1000), Tag)
    assert_type(client.tags.latest(repository, page_size=1000), Tag)
    assert_type(client.tags.wait_for(repository, "1.0", timeout=5, page_size=1000), Tag)
    assert_type(repository.get_tag("1.0", page_size=1000), Tag)
    assert_type(repository.latest_tag(page_size=1000), Tag)
    assert_type(repository.wait_for_tag("1.0", timeout=5, page_size=1000), Tag)
    client.tags.list(repository.get_tag("1.0"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.raw.get_repository("1", repository)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for tag in client.repositories.get("1").iter_tags():
        assert_type(tag, Tag)
    for tag in client.tags.iter("1"):
        assert_type(tag, Tag)
    assert_type(repository.list_tags(), Page[Tag])
    assert_type(repository.list_tags(5, 5), Page[Tag])
    assert_type(repository.iter_tags(page_size=10), Listing[Tag])
    assert_type(repository.refresh(), Repository)
    assert_type(repository.delete(), None)
    assert_type(repository.delete(missing_ok=True), None)
    assert_type(sum(tag.size for tag in repository.iter_tags()), int)
    assert_type(sorted(repository.iter_tags(), key=lambda tag: tag.updated_at), list[Tag])


def page(page: Page[Tag]) -> None:
    """Use a page as the sequence that it is."""
    assert_type(page.items, tuple[Tag, ...])
    assert_type(page[0], Tag)
    assert_type(page[1:3], tuple[Tag, ...])
    assert_type(len(page), int)
    assert_type(list(page), list[Tag])
    assert_type(list(reversed(page)), list[Tag])
    assert_type(page.index(page[0]), int)
    assert_type(page[0] in page, bool)
    assert_type(page.offset, int)
    assert_type(page.limit, int)
    assert_type(page.has_next, bool)
    assert_type(page.organization_id, str | None)
    assert_type(page.organization_name, str | None)
    assert_type(page.registry_repository_id, str | None)
    assert_type(page.created_at, datetime | None)
    assert_type(page.next_page(), Page[Tag] | None)
    first, *rest = page
    assert_type(first, Tag)
    assert_type(rest, list[Tag])
    page.limit = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    page.items = ()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def listing(listing: Listing[Tag]) -> None:
    """Iterate over a list, by items and by pages."""
    assert_type(iter(listing), Iterator[Tag])
    assert_type(next(iter(listing)), Tag)
    assert_type(listing.pages(), Iterator[Page[Tag]])
    for each in listing.pages():
        assert_type(each, Page[Tag])


def names(repositories: Iterable[Repository]) -> list[str]:
    """Take anything that repositories come from."""
    return [each.name for each in repositories]


def objects(page: Page[object], listing: Listing[object]) -> int:
    """Take a page and a list of anything."""
    return len(page) + sum(1 for _ in listing)


def first(tags: Sequence[Tag]) -> Tag:
    """Take any sequence of tags."""
    return tags[0]


def covariance(client: Client) -> None:
    """Pass collections, lists and pages where something wider is taken."""
    names(client.repositories)
    names(client.repositories.iter())
    names(client.repositories.list())
    names([client.repositories.get("1")])
    objects(client.tags.list("1"), client.repositories.iter())
    first(client.tags.list("1"))
    first(client.tags.list("1").items)
    names(client.tags.iter("1"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def fields(repository: Repository, tag: Tag, creator: Creator) -> None:
    """Read what the values hold."""
    assert_type(repository.id, str)
    assert_type(repository.organization_id, str)
    assert_type(repository.name, str)
    assert_type(repository.description, str | None)
    assert_type(repository.tags, tuple[Tag, ...] | None)
    assert_type(repository.creator, Creator)
    assert_type(repository.created_at, datetime)
    assert_type(tag.id, str)
    assert_type(tag.name, str)
    assert_type(tag.digest, str)
    assert_type(tag.size, int)
    assert_type(tag.media_type, str)
    assert_type(tag.creator.email, str)
    assert_type(tag.updated_at, datetime)
    assert_type(creator.display_name, str | None)
    assert_type(creator.is_registered, bool)
    assert_type(creator.role, str)
    assert_type(tag.model_dump(), dict[str, Any])
    assert_type(tag.model_copy(), Tag)
    tag.name = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    creator.email = "e"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    repository.name = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def contract(client: Client) -> None:
    """Compare the API with its reference, and see where the settings are from."""
    report = client.check_contract()
    assert_type(report, ContractReport)
    assert_type(report.ok, bool)
    assert_type(report.findings, tuple[Finding, ...])
    for finding in report.findings:
        assert_type(finding.subject, str)
        assert_type(finding.status, Status)
        assert_type(finding.detail, str)
    for setting in client.settings():
        assert_type(setting, Setting)
        assert_type(setting.name, str)
        assert_type(setting.value, str | float | None)
        assert_type(setting.source, str)
    report.findings = ()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def raw(client: APIClient) -> None:
    """Call the five operations for plain dicts."""
    assert_type(client.create_repository("1", "sample", "a sample"), RepositoryDict)
    assert_type(client.delete_repository("1", "2"), DeletedRepositoryDict)
    assert_type(client.get_repositories("1", limit=10, offset=0), RepositoryPageDict)
    assert_type(client.get_repository(organization_id=1, repository_id=2), RepositoryDict)
    assert_type(client.get_repository_tags("1", "2", 10, 0), TagPageDict)
    assert_type(client.close(), None)
    repository = client.get_repository("1", "2")
    assert_type(repository["id"], str)
    assert_type(repository["description"], str | None)
    assert_type(repository["creator"], CreatorDict)
    assert_type(repository["creator"]["display_name"], str | None)
    assert_type(repository["tags"], list[TagDict])
    assert_type(client.delete_repository("1", "2").get("id"), str | None)
    page = client.get_repository_tags("1", repository["id"])
    assert_type([tag["id"] for tag in page["tags"]], list[int])
    assert_type(client.get_repositories("1")["registry_repositories"], list[ListedRepositoryDict])
    assert_type(client.request("GET", "/organizations"), Any)
    repository["nam"]  # type: ignore[typeddict-item]  # pyright: ignore[reportTypedDictNotRequiredAccess, reportGeneralTypeIssues]
    client.get_repositories("1", limit="all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def errors(client: Client) -> str | None:
    """Catch what can go wrong, from the narrow to the wide."""
    try:
        client.repositories.create("sample")
    except NotFound as error:
        assert_type(error.status_code, int | None)
        assert_type(error.headers, dict[str, str])
        return error.request_id
    except HttpError as error:
        assert_type(error.error, str)
        assert_type(error.error_description, str)
        assert_type(error.error_detail, object)
        assert_type(error.url, str | None)
        assert_type(error.method, str | None)
        assert_type(error._asdict(), dict[str, Any])
    except OutcomeUnknown as error:
        assert_type(error.history, tuple[Attempt, ...])
        return error.history[0].error
    except Timeout as error:
        late: TimeoutError = error
        return str(late)
    except TransportError as error:
        assert_type(error.url, str | None)
    except InvalidResponse as error:
        assert_type(error.body, object)
    except ConfigurationError as error:
        wrong: ValueError = error
        return str(wrong)
    except Error as error:
        assert_type(error.outcome_unknown, bool)
    return None


# -- async ----------------------------------------------------------------------------------------


async def async_opened(ours: OursAsync) -> None:
    """Use async clients as context managers."""
    async with AsyncClient() as client:
        assert_type(client, AsyncClient)
    async with ours as entered:
        assert_type(entered, OursAsync)
    async with AsyncAPIClient() as raw_client:
        assert_type(raw_client, AsyncAPIClient)
    assert_type(await ours.aclose(), None)
    with ours:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]
        pass


async def async_repositories(client: AsyncClient) -> None:
    """Create, get, list, iterate and delete."""
    repository = await client.repositories.create("sample_repository", description="a sample")
    assert_type(repository, AsyncRepository)
    assert_type(await client.repositories.get(repository.id), AsyncRepository)
    assert_type(await client.repositories.get(repository), AsyncRepository)
    assert_type(await client.repositories.delete(repository.id, missing_ok=True), None)
    assert_type(await client.repositories.delete(repository), None)
    assert_type(await client.tags.get(repository, "1.0", page_size=1000), Tag)
    assert_type(await repository.get_tag("1.0", page_size=1000), Tag)
    assert_type(await client.repositories.list(limit=50, offset=0), AsyncPage[AsyncRepository])
    assert_type(client.repositories.iter(page_size=10), AsyncListing[AsyncRepository])
    async for each in client.repositories:
        assert_type(each, AsyncRepository)
    async for each in client.repositories.iter():
        assert_type(each, AsyncRepository)
    assert_type([each.name async for each in client.repositories], list[str])
    assert_type(aiter(client.repositories), AsyncIterator[AsyncRepository])
    for wrong in client.repositories:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]
        print(wrong)


async def async_tags(client: AsyncClient, repository: AsyncRepository) -> None:
    """Reach a repository's tags, by the repository or by its id."""
    assert_type(await client.tags.list("1", limit=5, offset=5), AsyncPage[Tag])
    assert_type(client.tags.iter("1", page_size=10), AsyncListing[Tag])
    async for tag in (await client.repositories.get("1")).iter_tags():
        assert_type(tag, Tag)
    async for tag in client.tags.iter("1"):
        assert_type(tag, Tag)
    assert_type(await repository.list_tags(5, 5), AsyncPage[Tag])
    assert_type(repository.iter_tags(page_size=10), AsyncListing[Tag])
    assert_type(await repository.refresh(), AsyncRepository)
    assert_type(await repository.delete(missing_ok=True), None)
    assert_type(repository.tags, tuple[Tag, ...] | None)


async def async_page(page: AsyncPage[Tag]) -> None:
    """Use a page as the sequence that it is; only the next one is awaited."""
    assert_type(page.items, tuple[Tag, ...])
    assert_type(page[0], Tag)
    assert_type(page[1:3], tuple[Tag, ...])
    assert_type(list(page), list[Tag])
    assert_type(page.has_next, bool)
    assert_type(await page.next_page(), AsyncPage[Tag] | None)


async def async_listing(listing: AsyncListing[Tag]) -> None:
    """Iterate over a list, by items and by pages."""
    assert_type(aiter(listing), AsyncIterator[Tag])
    assert_type(await anext(aiter(listing)), Tag)
    assert_type(listing.pages(), AsyncIterator[AsyncPage[Tag]])
    async for each in listing.pages():
        assert_type(each, AsyncPage[Tag])


async def async_names(repositories: AsyncIterable[AsyncRepository]) -> list[str]:
    """Take anything that repositories come from."""
    return [each.name async for each in repositories]


async def async_objects(page: AsyncPage[object], listing: AsyncListing[object]) -> int:
    """Take a page and a list of anything."""
    return len(page) + len([each async for each in listing])


async def async_covariance(client: AsyncClient) -> None:
    """Pass collections, lists and pages where something wider is taken."""
    await async_names(client.repositories)
    await async_names(client.repositories.iter())
    await async_objects(await client.tags.list("1"), client.repositories.iter())
    first(await client.tags.list("1"))


async def async_contract(client: AsyncClient) -> None:
    """Compare the API with its reference."""
    assert_type(await client.check_contract(), ContractReport)
    assert_type(client.settings(), tuple[Setting, ...])


async def async_raw(client: AsyncAPIClient) -> None:
    """Call the five operations for plain dicts."""
    assert_type(await client.create_repository("1", "sample", "a sample"), RepositoryDict)
    assert_type(await client.delete_repository("1", "2"), DeletedRepositoryDict)
    assert_type(await client.get_repositories("1", limit=10, offset=0), RepositoryPageDict)
    assert_type(await client.get_repository(organization_id=1, repository_id=2), RepositoryDict)
    assert_type(await client.get_repository_tags("1", "2", 10, 0), TagPageDict)
    assert_type(await client.aclose(), None)
