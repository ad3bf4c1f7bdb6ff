"""One repository by its id, over a warm connection, async, one at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .calls import HEADERS, ID, TOKEN, path

if TYPE_CHECKING:
    from abeja_registry import AsyncHttpClient

    from ..worker import AsyncWork


@asynccontextmanager
async def abeja_registry(
    url: str, organization: str, http_client: AsyncHttpClient | None = None
) -> AsyncIterator[AsyncWork]:
    """This package over its own connections, typed."""
    from abeja_registry import AsyncClient

    async with AsyncClient(
        organization, {"auth_token": TOKEN}, base_url=url, http_client=http_client
    ) as client:

        async def work() -> int:
            return int((await client.repositories.get(ID)).id == ID)

        yield work


@asynccontextmanager
async def abeja_registry_over_httpx(url: str, organization: str) -> AsyncIterator[AsyncWork]:
    """This package over an httpx.AsyncClient handed in."""
    import httpx

    async with (
        httpx.AsyncClient() as handed_in,
        abeja_registry(url, organization, handed_in) as work,
    ):
        yield work


@asynccontextmanager
async def abeja_registry_over_httpx2(url: str, organization: str) -> AsyncIterator[AsyncWork]:
    """This package over an httpx2.AsyncClient handed in."""
    import httpx2

    async with (
        httpx2.AsyncClient() as handed_in,
        abeja_registry(url, organization, handed_in) as work,
    ):
        yield work


@asynccontextmanager
async def abeja_registry_over_aiohttp(url: str, organization: str) -> AsyncIterator[AsyncWork]:
    """This package over an httpx.AsyncClient handed in, whose transport is aiohttp's."""
    from httpx_aiohttp import HttpxAiohttpClient

    async with (
        HttpxAiohttpClient() as handed_in,
        abeja_registry(url, organization, handed_in) as work,
    ):
        yield work


@asynccontextmanager
async def httpx_client(url: str, organization: str) -> AsyncIterator[AsyncWork]:
    """Bare httpx and its `json()`."""
    import httpx

    async with httpx.AsyncClient(base_url=url, headers=HEADERS) as client:

        async def work() -> int:
            return int((await client.get(path(organization))).json()["id"] == ID)

        yield work


@asynccontextmanager
async def httpx2_client(url: str, organization: str) -> AsyncIterator[AsyncWork]:
    """Bare httpx2 and its `json()`."""
    import httpx2

    async with httpx2.AsyncClient(base_url=url, headers=HEADERS) as client:

        async def work() -> int:
            return int((await client.get(path(organization))).json()["id"] == ID)

        yield work


@asynccontextmanager
async def aiohttp_session(url: str, organization: str) -> AsyncIterator[AsyncWork]:
    """Bare aiohttp and its `json()`."""
    import aiohttp

    async with aiohttp.ClientSession(url, headers=HEADERS) as session:

        async def work() -> int:
            async with session.get(path(organization)) as response:
                return int((await response.json())["id"] == ID)

        yield work


@asynccontextmanager
async def openai_get(url: str, organization: str) -> AsyncIterator[AsyncWork]:
    """The generic `get`; `cast_to` wants openai's own kind of model, which checks no types."""
    from openai import AsyncOpenAI

    from .models import openai_repository

    repository = openai_repository()

    async with AsyncOpenAI(api_key=TOKEN, base_url=url) as client:

        async def work() -> int:
            return int((await client.get(path(organization), cast_to=repository)).id == ID)

        yield work


@asynccontextmanager
async def harborapi_get(url: str, organization: str) -> AsyncIterator[AsyncWork]:
    """The generic `get` and `construct_model`, as each of its methods calls them."""
    from harborapi import HarborAsyncClient

    from .models import Repository

    client = HarborAsyncClient(url=url, basicauth=TOKEN)

    async def work() -> int:
        body = await client.get(path(organization))
        return int(client.construct_model(Repository, body).id == ID)

    yield work
