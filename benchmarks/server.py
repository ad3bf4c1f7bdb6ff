"""The benchmark's own server: prebuilt bodies over raw asyncio, in a process of its own.

    python -m benchmarks.server

It prints its port, and ends with its standard input. An organization's id says what it holds and
how long it takes: `100-200-50` has 100 repositories of 200 tags each and answers after 50 ms. In
`100-200-50-0` each tag has an image of its own, and one in a hundred has another in `100-200-50-1`.
`/counts` says how many connections and requests there were so far.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from abeja_registry.openapi import document

MOST_TAGS = 1_000_000
FIRST_REPOSITORY = 1510000000000
FIRST_TAG = 1771682238503


def _example(path: str) -> dict[str, Any]:
    """Return the reference's example of a page."""
    response = document()["paths"][path]["get"]["responses"]["200"]
    page: dict[str, Any] = response["content"]["application/json"]["example"]
    return page


_PATH = "/organizations/{organization_id}/registry/repositories"
_REPOSITORY_PAGE = _example(_PATH)
_TAG_PAGE = _example(_PATH + "/{repository_id}/tags")
[_REPOSITORY] = _REPOSITORY_PAGE.pop("registry_repositories")
[_TAG] = _TAG_PAGE.pop("tags")


# A row is its id and name, and what all rows share: a page is one join.
def _rest_without(*keys: str) -> bytes:
    return json.dumps({key: _TAG[key] for key in _TAG if key not in keys})[1:].encode()


_REST_OF_A_TAG = _rest_without("id", "name")
_REST_WITHOUT_DIGEST = _rest_without("id", "name", "digest")
_TAGS = [b'{"id": %d, "name": "0.0.%d", ' % (FIRST_TAG + at, at) for at in range(MOST_TAGS)]


def _with_images(rows: list[bytes], repository: int, offset: int, version: int) -> list[bytes]:
    """Return rows of tags with digests of their own before what all rows share."""
    images = []
    for at, row in enumerate(rows, offset):
        moved = version if at % 100 == repository % 100 else 0
        digest = hashlib.sha256(f"{repository} {at} {moved}".encode()).hexdigest()
        images.append(b'%s"digest": "sha256:%s", ' % (row, digest.encode()))
    return images


def _repository(organization: str, at: int) -> dict[str, object]:
    return {
        **_REPOSITORY,
        "id": str(FIRST_REPOSITORY + at),
        "organization_id": organization,
        "name": f"sample_repository_{at}",
    }


def _page(
    example: dict[str, Any], offset: int, limit: int, count: int, key: str, rows: bytes
) -> bytes:
    window = {"offset": offset, "limit": limit, "has_next": offset + limit < count}
    return json.dumps({**example, **window})[:-1].encode() + b', "%s": [%s]}' % (key.encode(), rows)


@lru_cache(maxsize=64)
def answer(target: str) -> tuple[float, bytes]:
    """Return how many seconds to wait, and the whole answer, for a request's target."""
    path, _, query = target.partition("?")
    # registry/repositories stands between.
    organization, _, _, *below = path.partition("/organizations/")[2].split("/")
    repositories, tags, milliseconds, *version = map(int, organization.split("-"))
    window = parse_qs(query)
    offset, limit = int(window.get("offset", "0")[0]), int(window.get("limit", "10")[0])
    if below[1:] == ["tags"]:
        rows = _TAGS[offset : min(offset + limit, tags)]
        rest = _REST_OF_A_TAG
        if version:
            rows = _with_images(rows, int(below[0]) - FIRST_REPOSITORY, offset, version[0])
            rest = _REST_WITHOUT_DIGEST
        joined = (rest + b", ").join(rows) + (rest if rows else b"")
        body = _page(_TAG_PAGE, offset, limit, tags, "tags", joined)
    elif not below:
        places = range(repositories)[offset : offset + limit]
        joined = ", ".join(json.dumps(_repository(organization, at)) for at in places).encode()
        key = "registry_repositories"
        body = _page(_REPOSITORY_PAGE, offset, limit, repositories, key, joined)
    else:
        repository = _repository(organization, int(below[0]) - FIRST_REPOSITORY)
        body = json.dumps({**repository, "tags": []}).encode()
    return milliseconds / 1000, _whole(body)


def _whole(body: bytes) -> bytes:
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    return head.format(len(body)).encode() + body


class Connection(asyncio.Protocol):
    """One connection, kept open; every request is a GET without a body."""

    connections = 0
    requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; it counts as a connection with its first request to the API."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""
        self._counted = False

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are whole."""
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            target = request.split(b" ", 2)[1].decode()
            if target == "/counts":
                self._transport.write(_whole(json.dumps(self._counts()).encode()))
                continue
            Connection.requests += 1
            Connection.connections += not self._counted
            self._counted = True
            latency, whole = answer(target)
            if latency:
                asyncio.get_running_loop().call_later(latency, self._transport.write, whole)
            else:
                self._transport.write(whole)

    @staticmethod
    def _counts() -> dict[str, int]:
        return {"connections": Connection.connections, "requests": Connection.requests}


async def main() -> None:
    """Serve on a free port, until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
