"""Options: the checked arguments of a sandbox."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import httpx

from .._settings.credentials import Credential, authorization
from ._docker import registry_url
from ._faults import MAX_LIMIT
from ._guard import canonical_host, is_loopback
from ._secrets import checked_token, new_token
from ._values import is_integer

# No leading zero, as it is a number in JSON, and within 64 bits.
ORGANIZATION_ID = "[1-9][0-9]{0,17}"

ANY_CREDENTIAL = {"auth_token": "sandbox"}
# The environment variables of a credential's parts.
VARIABLES = {
    "auth_token": "PLATFORM_AUTH_TOKEN",
    "user_id": "ABEJA_PLATFORM_USER_ID",
    "personal_access_token": "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN",
    "datasource_id": "ABEJA_PLATFORM_DATASOURCE_ID",
    "datasource_secret": "ABEJA_PLATFORM_DATASOURCE_SECRET",
}


@dataclass(frozen=True)
class Options:
    """The checked arguments of `Sandbox`.

    Attributes:
        hosts: The allowed hosts in their canonical spelling.
    """

    organization_id: str
    host: str
    port: int | None
    data: Path | None
    limit_max: int
    latency: float
    credentials: tuple[Credential, ...]
    docker_registry: httpx.URL | None
    hosts: tuple[str, ...]
    control_token: str | None

    @property
    def authorizations(self) -> frozenset[str]:
        """The accepted values of the header Authorization."""
        return frozenset(map(authorization, self.credentials))

    def with_port(self, port: int | None) -> Self:
        """Return a copy with another port."""
        return replace(self, port=port)

    def with_control_token(self, token: str) -> Self:
        """Return a copy with another control token."""
        return replace(self, control_token=token)


def make_options(
    *,
    organization_id: str,
    host: str,
    port: int | None,
    data: str | os.PathLike[str] | None,
    limit_max: int,
    latency: float,
    credentials: Sequence[Credential],
    docker_registry: str | None,
    allow_hosts: Sequence[str],
    control_token: str | None,
) -> Options:
    """Check the arguments of `Sandbox`; raises ValueError or ConfigurationError, as it does."""
    is_text = isinstance(organization_id, str)
    if not is_text or not re.fullmatch(ORGANIZATION_ID, organization_id):
        rule = "a str of 1 to 18 digits without a leading zero"
        raise ValueError(f"organization_id must be {rule}, got {organization_id!r}")
    if port is not None and not (is_integer(port) and 0 <= port <= 65535):
        raise ValueError(f"port must be an integer, 0 to 65535, got {port!r}")
    if not host:
        raise ValueError(f"host must not be empty, got {host!r}")
    if not (is_integer(limit_max) and 1 <= limit_max <= MAX_LIMIT):
        raise ValueError(f"limit_max must be an integer, 1 to {MAX_LIMIT}, got {limit_max!r}")
    if data is not None and str(data) in ("", ":memory:"):
        raise ValueError(f"data must name a file, got {str(data)!r}")
    is_number = isinstance(latency, int | float)
    if not is_number or not 0 <= latency <= 3600:
        raise ValueError(f"latency must be 0 to 3600 seconds, got {latency!r}")
    own = canonical_host(host)
    token = None if control_token is None else checked_token(control_token)
    if token is None and port is not None and not (own and is_loopback(own)):
        token = new_token()
    options = Options(
        organization_id=organization_id,
        host=host,
        port=port,
        data=None if data is None else Path(data).absolute(),
        limit_max=limit_max,
        latency=latency,
        credentials=tuple(map(copy_credential, credentials)),
        docker_registry=None if docker_registry is None else registry_url(docker_registry),
        hosts=(*_canonical_hosts(allow_hosts), *([own] if own else ())),
        control_token=token,
    )
    # This raises ConfigurationError for an invalid credential.
    _ = options.authorizations
    return options


def copy_credential(credential: Credential) -> Credential:
    """Copy a credential if it is a dict, which its owner may change later."""
    return {**credential} if isinstance(credential, Mapping) else credential


def _canonical_hosts(allow_hosts: object) -> list[str]:
    """Return the canonical names and addresses of the argument allow_hosts."""
    if isinstance(allow_hosts, str) or not isinstance(allow_hosts, Iterable):
        raise ValueError(f"allow_hosts must be a sequence of host names, got {allow_hosts!r}")
    hosts = []
    for text in allow_hosts:
        host = canonical_host(text) if isinstance(text, str) else None
        if host is None:
            rule = "host names or addresses, without scheme and port"
            raise ValueError(f"allow_hosts must be {rule}, got {text!r}")
        hosts.append(host)
    return hosts
