"""One repository by its id, over a warm connection, sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abeja_registry import HttpClient

    from ..worker import Work

ID = "1510000000000"
TOKEN = "benchmark"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def path(organization: str) -> str:
    """Return the path of the one repository."""
    return f"/organizations/{organization}/registry/repositories/{ID}"


@contextmanager
def abeja_registry(
    url: str, organization: str, http_client: HttpClient | None = None
) -> Iterator[Work]:
    """This package over its own connections, typed."""
    from abeja_registry import Client

    with Client(
        organization, {"auth_token": TOKEN}, base_url=url, http_client=http_client
    ) as client:
        yield lambda: client.repositories.get(ID).id == ID


@contextmanager
def abeja_registry_raw(url: str, organization: str) -> Iterator[Work]:
    """This package's dicts."""
    from abeja_registry import Client

    with Client(organization, {"auth_token": TOKEN}, base_url=url) as client:
        yield lambda: client.raw.get_repository(organization, ID)["id"] == ID


@contextmanager
def abeja_registry_over_httpx(url: str, organization: str) -> Iterator[Work]:
    """This package over an httpx.Client handed in."""
    import httpx

    with httpx.Client() as handed_in, abeja_registry(url, organization, handed_in) as work:
        yield work


@contextmanager
def abeja_registry_over_httpx2(url: str, organization: str) -> Iterator[Work]:
    """This package over an httpx2.Client handed in."""
    import httpx2

    with httpx2.Client() as handed_in, abeja_registry(url, organization, handed_in) as work:
        yield work


@contextmanager
def abeja_sdk(url: str, organization: str) -> Iterator[Work]:
    """The platform's own SDK; it opens a connection a call."""
    from abeja.common.connection import Connection
    from abeja.registry import APIClient

    Connection.BASE_URL = url
    client = APIClient({"auth_token": TOKEN})
    yield lambda: client.get_repository(organization, ID)["id"] == ID


@contextmanager
def httpx_client(url: str, organization: str) -> Iterator[Work]:
    """Bare httpx and its `json()`."""
    import httpx

    with httpx.Client(base_url=url, headers=HEADERS) as client:
        yield lambda: client.get(path(organization)).json()["id"] == ID


@contextmanager
def httpx2_client(url: str, organization: str) -> Iterator[Work]:
    """Bare httpx2 and its `json()`."""
    import httpx2

    with httpx2.Client(base_url=url, headers=HEADERS) as client:
        yield lambda: client.get(path(organization)).json()["id"] == ID


@contextmanager
def requests_session(url: str, organization: str) -> Iterator[Work]:
    """Bare requests and its `json()`."""
    import requests

    with requests.Session() as session:
        session.headers.update(HEADERS)
        yield lambda: session.get(url + path(organization)).json()["id"] == ID


@contextmanager
def openai_get(url: str, organization: str) -> Iterator[Work]:
    """The generic `get`; `cast_to` wants openai's own kind of model, which checks no types."""
    from openai import OpenAI

    from .models import openai_repository

    repository = openai_repository()

    with OpenAI(api_key=TOKEN, base_url=url) as client:
        yield lambda: client.get(path(organization), cast_to=repository).id == ID


@contextmanager
def gitlab_http_get(url: str, organization: str) -> Iterator[Work]:
    """The generic `http_get`, which gives a dict; it puts /api/v4 before the path."""
    from gitlab import Gitlab

    with Gitlab(url, oauth_token=TOKEN) as client:
        yield lambda: client.http_get(path(organization))["id"] == ID


@contextmanager
def stripe_raw_request(url: str, organization: str) -> Iterator[Work]:
    """The generic `raw_request`, made an object by `deserialize`, which checks no types."""
    from stripe import StripeClient

    client = StripeClient(TOKEN, base_addresses={"api": url})

    def work() -> int:
        answer = client.raw_request("get", path(organization))
        return int(client.deserialize(answer, api_mode="V1").id == ID)

    yield work


@contextmanager
def githubkit_request(url: str, organization: str) -> Iterator[Work]:
    """The generic `request` with a pydantic model, without its cache of answers."""
    from githubkit import GitHub

    from .models import Repository

    with GitHub(TOKEN, base_url=url, http_cache=False) as client:
        yield (
            lambda: (
                client.request("GET", path(organization), response_model=Repository).parsed_data.id
                == ID
            )
        )


@contextmanager
def harborapi_get(url: str, organization: str) -> Iterator[Work]:
    """The generic `get` and `construct_model`, as its sync client runs each of its methods."""
    from harborapi import HarborClient

    from .models import Repository

    client = HarborClient(url=url, basicauth=TOKEN)

    def work() -> int:
        body = client.loop.run_until_complete(client.get(path(organization)))
        return int(client.construct_model(Repository, body).id == ID)

    yield work
