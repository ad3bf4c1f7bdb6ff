from collections.abc import Iterator

import httpx
import pytest

from abeja_registry.sandbox import Sandbox


@pytest.fixture
def sandbox(registry_sandbox: Sandbox) -> Sandbox:
    """A sandbox that holds nothing yet; its largest page is 20."""
    registry_sandbox.faults.add(limit_max=20)
    return registry_sandbox


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client with a credential; paths are relative to the organization's registry."""
    with httpx.Client(
        base_url=f"{sandbox.url}/organizations/{sandbox.organization_id}/registry",
        headers={"Authorization": "Bearer sandbox"},
        trust_env=False,
    ) as http:
        yield http
