"""Requests as the existing clients of this API send them: abeja-sdk 2.3.6 and abejacli 2.2.8.

Both packages were run against the sandbox, with ABEJA_API_URL alone pointing at it; what they sent
stands here.
"""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from abeja_registry.sandbox import Sandbox

PATH = "/organizations/1410000000000/registry/repositories"
BEARER = {"Authorization": "Bearer token"}
# User 1 with the token "t": both add "user-" to the id.
BASIC = {"Authorization": "Basic dXNlci0xOnQ="}
COMMON = {"Accept-Encoding": "gzip, deflate", "Accept": "*/*", "Connection": "keep-alive"}
SDK = {"User-Agent": "abeja-platform-sdk/2.3.6", **COMMON}
# The command line says what a body is where there is none.
CLI = {
    "User-Agent": "abeja-platform-cli/2.2.8",
    "Content-Type": "application/json",
    **COMMON,
    **BASIC,
}


@pytest.fixture
def guarded() -> Iterator[Sandbox]:
    """A sandbox that lets in the two credentials, with one repository of three tags."""
    credentials = [
        {"auth_token": "token"},
        {"user_id": "1", "personal_access_token": "t"},
    ]
    with Sandbox(credentials=credentials) as sandbox:
        sandbox.seed(repositories=1, tags=3)
        yield sandbox


def ask(
    sandbox: Sandbox, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> Any:
    """Send a request with these headers, and no other but what HTTP needs."""
    host, _, port = sandbox.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.putrequest(method, path, skip_accept_encoding=True)
    if body is not None or method == "DELETE":
        headers = {**headers, "Content-Length": str(len(body or ""))}
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders((body or "").encode())
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, content
    return content


@pytest.mark.parametrize("credential", [BEARER, BASIC], ids=["bearer", "basic"])
def test_the_sdk(guarded: Sandbox, credential: dict[str, str]) -> None:
    """Its five calls are answered, with either kind of credential."""
    headers = {**SDK, **credential}
    body = '{"name": "old_one", "description": "made by the old client"}'
    json_headers = {**headers, "Content-Type": "application/json"}
    made = ask(guarded, "POST", PATH, json_headers, body)
    page = ask(guarded, "GET", f"{PATH}?limit=1&offset=0", headers)
    assert (page["limit"], page["has_next"]) == (1, True)
    assert ask(guarded, "GET", f"{PATH}/{made['id']}", headers) == made
    assert ask(guarded, "GET", f"{PATH}/{made['id']}/tags?limit=5", headers)["tags"] == []
    assert ask(guarded, "DELETE", f"{PATH}/{made['id']}", headers) == made


def test_the_command_line(guarded: Sandbox) -> None:
    """Its five commands are answered, bodies that are empty and descriptions that are null too."""
    made = ask(guarded, "POST", PATH, CLI, '{"name": "old_one", "description": null}')
    assert made["description"] is None
    first, _ = ask(guarded, "GET", PATH, CLI)["registry_repositories"]
    assert len(ask(guarded, "GET", f"{PATH}/{first['id']}/tags", CLI)["tags"]) == 3
    assert ask(guarded, "GET", f"{PATH}/{made['id']}", CLI) == made
    assert ask(guarded, "DELETE", f"{PATH}/{made['id']}", CLI) == made
