"""Every tag of an organization, its repositories side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from .calls import HEADERS, TOKEN

if TYPE_CHECKING:
    import httpx

    from abeja_registry import AsyncHttpClient, HttpClient

    from ..worker import AsyncWork, Work

PAGE_SIZE = 100


@contextmanager
def abeja_registry(
    url: str, organization: str, concurrency: int, http_client: HttpClient | None = None
) -> Iterator[Work]:
    """This package: `inventory`."""
    from abeja_registry import Client

    with Client(
        organization, {"auth_token": TOKEN}, base_url=url, http_client=http_client
    ) as client:
        yield lambda: sum(1 for _ in client.inventory(concurrency=concurrency))


@contextmanager
def abeja_registry_over_httpx(url: str, organization: str, concurrency: int) -> Iterator[Work]:
    """This package over an httpx.Client handed in."""
    import httpx

    with (
        httpx.Client() as handed_in,
        abeja_registry(url, organization, concurrency, handed_in) as work,
    ):
        yield work


@contextmanager
def abeja_registry_over_httpx2(url: str, organization: str, concurrency: int) -> Iterator[Work]:
    """This package over an httpx2.Client handed in."""
    import httpx2

    with (
        httpx2.Client() as handed_in,
        abeja_registry(url, organization, concurrency, handed_in) as work,
    ):
        yield work


@asynccontextmanager
async def abeja_registry_async(
    url: str, organization: str, concurrency: int, http_client: AsyncHttpClient | None = None
) -> AsyncIterator[AsyncWork]:
    """This package's async twin."""
    from abeja_registry import AsyncClient

    async with AsyncClient(
        organization, {"auth_token": TOKEN}, base_url=url, http_client=http_client
    ) as client:

        async def work() -> int:
            rows = 0
            async for _ in client.inventory(concurrency=concurrency):
                rows += 1
            return rows

        yield work


@asynccontextmanager
async def abeja_registry_async_over_httpx(
    url: str, organization: str, concurrency: int
) -> AsyncIterator[AsyncWork]:
    """This package over an httpx.AsyncClient handed in."""
    import httpx

    async with (
        httpx.AsyncClient() as handed_in,
        abeja_registry_async(url, organization, concurrency, handed_in) as work,
    ):
        yield work


@asynccontextmanager
async def abeja_registry_async_over_httpx2(
    url: str, organization: str, concurrency: int
) -> AsyncIterator[AsyncWork]:
    """This package over an httpx2.AsyncClient handed in."""
    import httpx2

    async with (
        httpx2.AsyncClient() as handed_in,
        abeja_registry_async(url, organization, concurrency, handed_in) as work,
    ):
        yield work


@asynccontextmanager
async def abeja_registry_async_over_aiohttp(
    url: str, organization: str, concurrency: int
) -> AsyncIterator[AsyncWork]:
    """This package over an httpx.AsyncClient handed in, whose transport is aiohttp's."""
    from httpx_aiohttp import HttpxAiohttpClient

    async with (
        HttpxAiohttpClient() as handed_in,
        abeja_registry_async(url, organization, concurrency, handed_in) as work,
    ):
        yield work


async def _by_hand(
    ask: Callable[[str], Awaitable[Any]], organization: str, concurrency: int
) -> int:
    """The loop that one writes by hand: each repository a task, its pages one by one, no models."""
    free = asyncio.Semaphore(concurrency)

    async def pages(path: str, key: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        while True:
            async with free:
                body = await ask(f"{path}?offset={len(items)}&limit={PAGE_SIZE}")
            items += body[key]
            if not body["has_next"]:
                return items

    path = f"/organizations/{organization}/registry/repositories"
    repositories = await pages(path, "registry_repositories")
    tags = await asyncio.gather(
        *(pages(f"{path}/{each['id']}/tags", "tags") for each in repositories)
    )
    return sum(map(len, tags))


@asynccontextmanager
async def aiohttp_by_hand(
    url: str, organization: str, concurrency: int
) -> AsyncIterator[AsyncWork]:
    """A loop by hand over bare aiohttp."""
    import aiohttp

    async with aiohttp.ClientSession(url, headers=HEADERS) as session:

        async def ask(target: str) -> Any:
            async with session.get(target) as response:
                return await response.json()

        yield lambda: _by_hand(ask, organization, concurrency)


@asynccontextmanager
async def httpx_by_hand(url: str, organization: str, concurrency: int) -> AsyncIterator[AsyncWork]:
    """The same loop over one shared httpx.AsyncClient that keeps its connections."""
    import httpx

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(
        base_url=url, headers=HEADERS, timeout=30, limits=limits
    ) as client:
        yield _over_httpx(client, organization, concurrency)


@asynccontextmanager
async def httpx_by_hand_default_limits(
    url: str, organization: str, concurrency: int
) -> AsyncIterator[AsyncWork]:
    """The same with httpx's own limits: it keeps 20 connections and opens others anew."""
    import httpx

    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=30) as client:
        yield _over_httpx(client, organization, concurrency)


def _over_httpx(client: httpx.AsyncClient, organization: str, concurrency: int) -> AsyncWork:
    async def ask(target: str) -> Any:
        return (await client.get(target)).json()

    return lambda: _by_hand(ask, organization, concurrency)


@contextmanager
def abeja_sdk(url: str, organization: str) -> Iterator[Work]:
    """The platform's own SDK: dicts, one page after the other."""
    from abeja.common.connection import Connection
    from abeja.registry import APIClient

    Connection.BASE_URL = url
    client = APIClient({"auth_token": TOKEN})

    def pages(ask: Callable[..., Any], key: str, *of: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            body = ask(organization, *of, limit=PAGE_SIZE, offset=offset)
            yield from body[key]
            offset += len(body[key])
            if not body["has_next"]:
                return

    def work() -> int:
        tags = 0
        for repository in pages(client.get_repositories, "registry_repositories"):
            tags += sum(1 for _ in pages(client.get_repository_tags, "tags", repository["id"]))
        return tags

    yield work
