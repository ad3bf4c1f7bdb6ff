"""Every tag of one repository, one page after the other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from .calls import HEADERS, ID, TOKEN, path

if TYPE_CHECKING:
    from ..worker import AsyncWork, Work


@contextmanager
def abeja_registry(url: str, organization: str, page_size: int) -> Iterator[Work]:
    """This package: `tags.iter`, as models."""
    from abeja_registry import Client

    with Client(organization, {"auth_token": TOKEN}, base_url=url) as client:
        yield lambda: sum(1 for _ in client.tags.iter(ID, page_size=page_size))


@asynccontextmanager
async def abeja_registry_async(
    url: str, organization: str, page_size: int
) -> AsyncIterator[AsyncWork]:
    """This package's async twin."""
    from abeja_registry import AsyncClient

    async with AsyncClient(organization, {"auth_token": TOKEN}, base_url=url) as client:

        async def work() -> int:
            tags = 0
            async for _ in client.tags.iter(ID, page_size=page_size):
                tags += 1
            return tags

        yield work


@contextmanager
def httpx_json_loads(url: str, organization: str, page_size: int) -> Iterator[Work]:
    """Bare httpx and `json.loads`: dicts, no models."""
    import httpx

    def pages(client: httpx.Client) -> Iterator[list[dict[str, Any]]]:
        for offset in count(0, page_size):
            window = {"offset": offset, "limit": page_size}
            body = json.loads(client.get(path(organization) + "/tags", params=window).content)
            yield body["tags"]
            if not body["has_next"]:
                return

    with httpx.Client(base_url=url, headers=HEADERS) as client:
        yield lambda: sum(1 for page in pages(client) for _ in page)


@contextmanager
def harborapi_style(url: str, organization: str, page_size: int) -> Iterator[Work]:
    """What harborapi does, in a few sync lines: `response.json()`, then a model an item."""
    import httpx

    from .models import Tag

    def pages(client: httpx.Client) -> Iterator[list[Tag]]:
        for offset in count(0, page_size):
            window = {"offset": offset, "limit": page_size}
            body = client.get(path(organization) + "/tags", params=window).json()
            yield [Tag.model_validate(item) for item in body["tags"]]
            if not body["has_next"]:
                return

    with httpx.Client(base_url=url, headers=HEADERS) as client:
        yield lambda: sum(1 for page in pages(client) for _ in page)


@contextmanager
def harborapi(url: str, organization: str, page_size: int) -> Iterator[Work]:
    """The generic `get` and `construct_model`; it pages by Link headers, which the API has not."""
    from harborapi import HarborClient

    from .models import Tag

    client = HarborClient(url=url, basicauth=TOKEN)

    def pages() -> Iterator[list[Tag]]:
        for offset in count(0, page_size):
            window = {"offset": offset, "limit": page_size}
            asked = client.get(path(organization) + "/tags", params=window)
            body = client.loop.run_until_complete(asked)
            yield client.construct_model(Tag, body["tags"], is_list=True)
            if not body["has_next"]:
                return

    yield lambda: sum(1 for page in pages() for _ in page)
