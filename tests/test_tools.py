"""Which tools see the package's requests; docs/tools.md lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from tests.support.examples import BASE_URL
from tests.support.worlds import done

from abeja_registry import APIClient, AsyncAPIClient

if TYPE_CHECKING:
    from pytest_httpx import HTTPXMock

pytestmark = pytest.mark.anyio

SEEN = {"seen": True}


@pytest.fixture(params=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    """Threads or tasks."""
    return bool(request.param == "async")


@pytest.fixture(params=["own connections", "http_client"])
def client(request: pytest.FixtureRequest, is_async: bool) -> Any:
    """A raw client over its own connections, or over a client of httpx."""
    options: dict[str, Any] = {"base_url": BASE_URL, "max_retry_count": 0}
    if request.param == "http_client":
        options["http_client"] = httpx.AsyncClient() if is_async else httpx.Client()
    return (AsyncAPIClient if is_async else APIClient)({}, **options)


async def test_respx_by_default(client: Any) -> None:
    """It patches httpcore, below both."""
    with respx.mock() as router:
        router.get(url__startswith=BASE_URL).respond(json=SEEN)
        assert await done(client.get_repository("1", "2")) == SEEN


async def test_pytest_httpx(client: Any, httpx_mock: HTTPXMock) -> None:
    """It patches httpx's transport, which both use."""
    httpx_mock.add_response(json=SEEN)
    assert await done(client.get_repository("1", "2")) == SEEN
    [request] = httpx_mock.get_requests()
    assert str(request.url) == f"{BASE_URL}/organizations/1/registry/repositories/2"


async def test_tools_that_patch_httpx_clients(is_async: bool) -> None:
    """They see a user-supplied client only: respx with `using="httpx"`, Sentry, old vcrpy."""
    http_client: Any = httpx.AsyncClient() if is_async else httpx.Client()
    kind: Any = AsyncAPIClient if is_async else APIClient
    with respx.mock(using="httpx") as router:
        router.get(url__startswith=BASE_URL).respond(json=SEEN)
        client = kind({}, base_url=BASE_URL, http_client=http_client)
        assert await done(client.get_repository("1", "2")) == SEEN
    sent: list[object] = []

    class Noting(httpx.Client):
        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            sent.append(request)
            return super().send(request, **options)

    with pytest.MonkeyPatch.context() as patched, respx.mock() as router:
        patched.setattr(httpx, "Client", Noting)
        router.get(url__startswith=BASE_URL).respond(json=SEEN)
        assert dict(APIClient({}, base_url=BASE_URL).get_repository("1", "2")) == SEEN
        assert sent == []
