"""The server: the API on a socket, in a thread of the test or script that wants it."""

import re
import socket
import threading
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from itertools import count
from typing import Any, Self, TypedDict

import uvicorn
from starlette.types import ASGIApp

from . import _shapes
from ._app import LIMIT_MAX, make_app
from ._recorder import RecordedRequest, Recorder
from ._store import NameTaken, Store

LOOPBACK = "127.0.0.1"
# A number in JSON, so no leading zero, and one that every language can hold.
ORGANIZATION_ID = "[1-9][0-9]{0,17}"


class Connection(TypedDict):
    """What a client is given to work against a sandbox: `Client(**sandbox.connection)`."""

    organization_id: str
    credential: dict[str, str]
    base_url: str


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it has started, or why it could not."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready: Future[None] = Future()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set_result(None)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets=sockets)
        except BaseException as error:
            if self.ready.done():
                raise
            self.ready.set_exception(error)


class Sandbox:
    """A Registry API on loopback, with a database that goes when it closes.

    Use it as a context manager, or call `start` and `close`. It may be started again: on the same
    port, empty.

    Args:
        organization_id: the one organization there is: 1 to 18 digits, no leading zero.
        port: 0 to 65535; 0 takes a free one.
        limit_max: the largest page, in rows, 1 or more; a larger limit is clamped to it.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    def __init__(
        self, *, organization_id: str = "1410000000000", port: int = 0, limit_max: int = LIMIT_MAX
    ) -> None:
        if not re.fullmatch(ORGANIZATION_ID, organization_id):
            rule = "1 to 18 digits without a leading zero"
            raise ValueError(f"organization_id must be {rule}, got {organization_id!r}")
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be 0 to 65535, got {port!r}")
        if limit_max < 1:
            raise ValueError(f"limit_max must be 1 or more, got {limit_max!r}")
        self._organization_id = organization_id
        self._port = port
        self._limit_max = limit_max
        self._recorder = Recorder()
        self._sample_numbers = count(1)
        self._store: Store | None = None
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start serving; returns once requests are answered.

        Raises:
            OSError: the port is taken, or may not be used.
            RuntimeError: it is running already, or the server failed to start.
        """
        if self._store is not None:
            raise RuntimeError("the sandbox is running already")
        with ExitStack() as resources:
            listener = resources.enter_context(_listen(self._port))
            store = resources.enter_context(closing(Store()))
            app = make_app(store, self._organization_id, self._limit_max)
            server = _Server(_config(self._recorder.around(app)))
            thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
            thread.start()
            resources.callback(_stop, server, thread)
            failure = server.ready.exception()
            if failure is not None:
                raise RuntimeError("the sandbox's server failed to start") from failure
            self._port = listener.getsockname()[1]
            self._store = store
            self._resources = resources.pop_all()

    def close(self) -> None:
        """Stop serving and remove the database; a second time does nothing."""
        self._store = None
        self._resources.close()

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end.

        Raises:
            RuntimeError: the port is to be a free one, and it has not been started yet.
        """
        if self._port == 0:
            raise RuntimeError("the sandbox has no port before it is started")
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def organization_id(self) -> str:
        """The organization's id, in digits."""
        return self._organization_id

    @property
    def connection(self) -> Connection:
        """The arguments that point a client at it: `Client(**sandbox.connection)`."""
        return {
            "organization_id": self._organization_id,
            "credential": {"auth_token": "sandbox"},
            "base_url": self.url,
        }

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The API's requests in order of arrival, the last 10,000; kept after closing."""
        return self._recorder.requests

    def clear_requests(self) -> None:
        """Forget the requests."""
        self._recorder.clear()

    def push(
        self,
        repository_id: str,
        tag: str,
        *,
        size: int | None = None,
        digest: str | None = None,
        media_type: str | None = None,
    ) -> dict[str, Any]:
        """Write a tag, as `docker push` would; one that is there keeps its id and creation time.

        Args:
            repository_id: the repository's id.
            tag: its name by Docker's rules, 1 to 128 characters.
            size: bytes, 0 or more; made up if not given.
            digest: algorithm:value; made up from repository and tag if not given.
            media_type: type/subtype; that of a Docker v2 manifest unless given.

        Returns:
            The tag as the API shows it.

        Raises:
            ValueError: an argument breaks its rule.
            LookupError: there is no such repository.
            RuntimeError: the sandbox is not running.
        """
        return _shapes.tag(self._running().write_tag(repository_id, tag, size, digest, media_type))

    def seed(self, repositories: int = 3, tags: int = 25) -> list[str]:
        """Make repositories with tags: sample-0001 and on, each with tags 0.0.1 and on.

        Args:
            repositories: how many, 0 or more.
            tags: how many in each, 0 or more.

        Returns:
            The ids of the new repositories.

        Raises:
            ValueError: an argument is out of its bounds.
            RuntimeError: the sandbox is not running.
        """
        for argument, value in (("repositories", repositories), ("tags", tags)):
            if value < 0:
                raise ValueError(f"{argument} must be 0 or more, got {value!r}")
        store = self._running()
        ids: list[str] = []
        while len(ids) < repositories:
            # A name that is taken already is passed over.
            with suppress(NameTaken):
                name = f"sample-{next(self._sample_numbers):04}"
                ids.append(str(store.create_repository(name, "made by the sandbox")["id"]))
        for repository_id in ids:
            for number in range(1, tags + 1):
                store.write_tag(repository_id, f"0.0.{number}")
        return ids

    def _running(self) -> Store:
        if self._store is None:
            raise RuntimeError("the sandbox is not running")
        return self._store


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle off only where the protocol is named: an answer takes 1 ms, not 44.
    made = socket.create_server((LOOPBACK, port))
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, fileno=made.detach())


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        # Logging belongs to the program that this runs in: uvicorn is not to set it up.
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        # Closing waits this many seconds for requests that are under way.
        timeout_graceful_shutdown=1,
    )


def _stop(server: _Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join()
