from collections.abc import Iterator

import httpx
import pytest

from abeja_registry.sandbox import Sandbox


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """The sandbox of all tests; its largest page is 20."""
    with Sandbox(limit_max=20) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def http(shared_sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client with a credential; paths are relative to the organization's registry."""
    with httpx.Client(
        base_url=f"{shared_sandbox.url}/organizations/{shared_sandbox.organization_id}/registry",
        headers={"Authorization": "Bearer sandbox"},
        trust_env=False,
    ) as http:
        yield http


@pytest.fixture
def sandbox(shared_sandbox: Sandbox, http: httpx.Client) -> Sandbox:
    """A sandbox without repositories and recorded requests."""
    while rows := http.get("/repositories").json()["registry_repositories"]:
        for row in rows:
            http.delete(f"/repositories/{row['id']}")
    shared_sandbox.clear_requests()
    return shared_sandbox
