"""Clients with some configuration: their requests, and the errors of an invalid one."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from abeja_registry import APIClient, Client, ConfigurationError

SetEnvironment = Callable[[Mapping[str, str]], None]

# The secret that no error, repr or traceback may show.
SECRET = "s3cr3t-0f-th3-t3st"


def sent_by(kind: type[APIClient | Client], *arguments: Any, **options: Any) -> httpx.Request:
    """Return the request of a client with these arguments."""
    requests: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={})

    transport = httpx.MockTransport(record)
    with (
        httpx.Client(transport=transport, trust_env=False) as http_client,
        kind(*arguments, http_client=http_client, **options) as client,
    ):
        if isinstance(client, Client):
            client.raw.get_repositories(client.organization_id)
        else:
            client.get_repositories("0")
    return requests[0]


def authorization(request: httpx.Request) -> str | None:
    """Return the Authorization header of a request, decoded from Base64."""
    header: str | None = request.headers.get("authorization")
    kind, _, encoded = (header or "").partition(" ")
    return f"Basic {base64.b64decode(encoded).decode()}" if kind == "Basic" else header


def refused(build: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Return the message of the ConfigurationError, which must not show the secret."""
    with pytest.raises(ConfigurationError) as caught:
        build(*arguments, **options)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    for error in _chain(caught.value):
        assert SECRET not in f"{error} {error!r} {error.args} {vars(error)}"
    return str(caught.value)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
