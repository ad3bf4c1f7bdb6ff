"""The sandbox as an object: of a test, of a script, of the program."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict

import httpx
from starlette.types import ASGIApp

from .. import models
from .._settings.credentials import Credential, authorization
from . import _shapes
from ._app import make_app
from ._docker import DockerRegistry, Mirror, explain, registry_url
from ._faults import LARGEST_LIMIT, Faults
from ._guard import LOCALHOST, Guard, canonical_host, is_loopback
from ._in_process import InProcess, Submit
from ._recorder import RecordedRequest, Recorder
from ._secrets import checked_token, new_token
from ._server import Server, listen
from ._state import State
from ._store import Store, is_integer
from ._thread import LoopThread

LOOPBACK = "127.0.0.1"
# A number in JSON, so no leading zero, and one that fits in 64 bits.
ORGANIZATION_ID = "[1-9][0-9]{0,17}"
LIMIT_MAX = 1000
ANY_CREDENTIAL = {"auth_token": "sandbox"}
# The base URL where there is no socket.
IN_PROCESS = "http://localhost:0"
# What a client reads a credential's parts from.
VARIABLES = {
    "auth_token": "PLATFORM_AUTH_TOKEN",
    "user_id": "ABEJA_PLATFORM_USER_ID",
    "personal_access_token": "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN",
    "datasource_id": "ABEJA_PLATFORM_DATASOURCE_ID",
    "datasource_secret": "ABEJA_PLATFORM_DATASOURCE_SECRET",
}


# An e-mail address, or a person's fields.
Person = str | models.Creator | Mapping[str, Any]


class Connection(TypedDict):
    """What a client is given to work against a sandbox: `Client(**sandbox.connection)`."""

    organization_id: str
    credential: Credential
    base_url: str


@dataclass(frozen=True)
class _Running:
    """What there is only while a sandbox runs; `app` does not note a request's era yet.

    Its body may come slowly, so that is done before all else.
    """

    state: State
    app: ASGIApp
    thread: LoopThread
    resources: ExitStack


class HasId(Protocol):
    """A repository, as the client's models are."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


class Sandbox:
    """A Registry API on this machine, over a real socket and in process, on a SQLite file.

    Use it as a context manager, or call `start` and `close`. It may be started again, on the same
    port: with what `data` holds, or else empty.

    Args:
        organization_id: the one organization there is: 1 to 18 digits, no leading zero.
        host: the address to listen on; this machine alone reaches it unless another is told.
            Beyond loopback, `/_sandbox` needs `control_token`.
        port: 0 to 65535; 0 takes a free one. None opens no socket: `transport` is the only way in.
        data: the SQLite file that keeps repositories and tags, made if it is not there; several
            sandboxes may share one. Without it they go when the sandbox closes.
        limit_max: the largest page, in rows, 1 to 1,000,000; a larger limit is clamped to it.
        latency: seconds that every answer of the API waits, 0 to 3600.
        credentials: those that are let in, as a client takes them; every one if there are none.
        docker_registry: the address of a Docker registry whose tags are to be shown, with a user's
            name and password if it wants them. It has to send its notifications to
            `notifications_url`.
        allow_hosts: further names, or addresses, by which clients reach it, without a port. Those
            of loopback, `host`, and the address that a connection is made to are always allowed.
        control_token: what `/_sandbox` over the socket needs as a bearer token. Without it, none
            is needed on loopback, and beyond it one is made.

    Raises:
        ValueError: an argument is out of its bounds.
        ConfigurationError: one of `credentials` is none, or is incomplete.
    """

    def __init__(
        self,
        *,
        organization_id: str = "1410000000000",
        host: str = LOOPBACK,
        port: int | None = 0,
        data: str | os.PathLike[str] | None = None,
        limit_max: int = LIMIT_MAX,
        latency: float = 0.0,
        credentials: Sequence[Credential] = (),
        docker_registry: str | None = None,
        allow_hosts: Sequence[str] = (),
        control_token: str | None = None,
    ) -> None:
        is_text = isinstance(organization_id, str)
        if not is_text or not re.fullmatch(ORGANIZATION_ID, organization_id):
            rule = "a str of 1 to 18 digits without a leading zero"
            raise ValueError(f"organization_id must be {rule}, got {organization_id!r}")
        if port is not None and not (is_integer(port) and 0 <= port <= 65535):
            raise ValueError(f"port must be an integer from 0 to 65535, got {port!r}")
        if not host:
            raise ValueError(f"host must not be empty, got {host!r}")
        if not (is_integer(limit_max) and 1 <= limit_max <= LARGEST_LIMIT):
            rule = f"an integer from 1 to {LARGEST_LIMIT}"
            raise ValueError(f"limit_max must be {rule}, got {limit_max!r}")
        if data is not None and str(data) in ("", ":memory:"):
            raise ValueError(f"data must name a file, got {str(data)!r}")
        is_number = isinstance(latency, int | float)
        if not is_number or not 0 <= latency <= 3600:
            raise ValueError(f"latency must be 0 to 3600 seconds, got {latency!r}")
        self._organization_id = organization_id
        self._host = host
        self._port = port
        self._data = None if data is None else Path(data).absolute()
        self._limit_max = limit_max
        self._latency = latency
        # Copies: the caller's dicts may change later.
        self._credentials = tuple(map(_copy, credentials))
        self._admitted = frozenset(authorization(each) for each in self._credentials)
        self._docker_registry = None if docker_registry is None else registry_url(docker_registry)
        own = canonical_host(host)
        self._hosts = [*_hosts(allow_hosts), *([own] if own else ())]
        self._control_token = None if control_token is None else checked_token(control_token)
        if self._control_token is None and port is not None and not (own and is_loopback(own)):
            self._control_token = new_token()
        self._faults = Faults()
        self._recorder = Recorder()
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start serving; returns once requests are answered.

        With a Docker registry, it returns once all tags were read from there.

        Raises:
            OSError: the port is taken, or may not be used, or the Docker registry does not answer.
            ValueError: `data` is a file that can't be used, or is of another organization.
            RuntimeError: it is running already, or the server failed to start.
        """
        if self._running is not None:
            raise RuntimeError("the sandbox is running already")
        with ExitStack() as resources:
            listener = None
            if self._port is not None:
                listener = resources.enter_context(listen(self._host, self._port))
            store = resources.enter_context(closing(Store(self._organization_id, self._data)))
            thread = resources.enter_context(closing(LoopThread()))
            state, app = thread.submit(self._open(store, resources, thread)).result()
            if listener is not None:
                self._serve(state, app, listener, thread, resources)
            self._running = _Running(state, app, thread, resources.pop_all())

    async def _open(
        self, store: Store, resources: ExitStack, thread: LoopThread
    ) -> tuple[State, ASGIApp]:
        """Start what lives in the sandbox's event loop, and say how it ends."""
        mirror = None
        if self._docker_registry is not None:
            registry = DockerRegistry(self._docker_registry)
            mirror = Mirror(store, registry, self._organization_id)
            resources.callback(lambda: thread.submit(mirror.close()).result())
            try:
                await mirror.read_all()
            except httpx.HTTPError as error:
                where = self._docker_registry.netloc.decode()
                raise ConnectionError(f"the Docker registry at {where}: {explain(error)}") from None
        state = State(
            organization_id=self._organization_id,
            store=store,
            limit_max=self._limit_max,
            latency=self._latency,
            admitted=self._admitted,
            mirror=mirror,
            faults=self._faults,
            recorder=self._recorder,
        )
        return state, self._recorder.around(make_app(state))

    def _serve(
        self,
        state: State,
        app: ASGIApp,
        listener: socket.socket,
        thread: LoopThread,
        resources: ExitStack,
    ) -> None:
        """Serve on a socket that listens, until `resources` are closed."""
        guard = Guard(app, self._hosts, self._token_for(listener))
        server = Server(state.around(guard), listener)
        try:
            thread.submit(server.start()).result()
        except Exception as error:
            raise RuntimeError("the sandbox's server failed to start") from error
        resources.callback(lambda: thread.submit(server.stop()).result())
        self._port = listener.getsockname()[1]

    def _listen(self) -> None:
        """Listen on a free port too, from now on."""
        run = self._run
        with ExitStack() as resources:
            listener = resources.enter_context(listen(self._host, 0))
            self._serve(run.state, run.app, listener, run.thread, resources)
            run.resources.push(resources.pop_all())

    def _token_for(self, listener: socket.socket) -> str | None:
        # A name of loopback may lead elsewhere: the address counts.
        bound = canonical_host(listener.getsockname()[0])
        if self._control_token is None and not (bound and is_loopback(bound)):
            self._control_token = new_token()
        return self._control_token

    def close(self) -> None:
        """Stop serving; without `data` the database goes. A second time does nothing."""
        running, self._running = self._running, None
        if running is not None:
            running.state.store.hurry()
            running.thread.submit(running.state.end_era()).result()
            running.resources.close()

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end; without a port it leads nowhere.

        Raises:
            RuntimeError: the port is to be a free one, and it has not been started yet.
        """
        if self._port is None:
            return IN_PROCESS
        if self._port == 0:
            raise RuntimeError("the sandbox has no port before it is started")
        # A name may lead to ::1 first, where nothing listens.
        connectable = {"0.0.0.0": LOOPBACK, "::": "::1", LOCALHOST: LOOPBACK}
        host = connectable.get(self._host.lower(), self._host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def organization_id(self) -> str:
        """The organization's id, in digits."""
        return self._organization_id

    @property
    def connection(self) -> Connection:
        """The arguments that point a client at it: `Client(**sandbox.connection)`."""
        return self._connection(self.url)

    def _connection(self, url: str) -> Connection:
        return {
            "organization_id": self._organization_id,
            "credential": _copy([*self._credentials, ANY_CREDENTIAL][0]),
            "base_url": url,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point a client at it: `Client()`.

        Example:
            >>> dict(sandbox.environment)["ABEJA_ORGANIZATION_ID"]
            '1410000000000'
        """
        connection = self.connection
        credential = connection["credential"]
        parts = credential if isinstance(credential, Mapping) else asdict(credential)
        return {
            "ABEJA_API_URL": connection["base_url"],
            "ABEJA_ORGANIZATION_ID": connection["organization_id"],
            **{name: parts[part] for part, name in VARIABLES.items() if parts.get(part)},
        }

    @property
    def control_token(self) -> str | None:
        """What `/_sandbox` needs over the socket, as `Authorization: Bearer …`; None if nothing."""
        return self._control_token

    @property
    def notifications_url(self) -> str:
        """Where a Docker registry has to send its notifications, with `control_token` if any."""
        return f"{self.url}/_sandbox/notifications"

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not closed since."""
        return self._running is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is no repository.

        Raises:
            RuntimeError: the sandbox is not running.
        """
        rows, _ = self._state.store.repositories(1, 0)
        return not rows

    @property
    def faults(self) -> Faults:
        """What is to go wrong: `sandbox.faults.add(operation="get_repository", status=503)`."""
        return self._faults

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The API's requests in order of arrival, the last 10,000; kept after closing."""
        return self._recorder.requests

    def clear_requests(self) -> None:
        """Forget the requests."""
        self._recorder.clear()

    def reset(self) -> None:
        """Forget repositories, tags, faults and requests; ids begin anew.

        A request that still waits (`latency`) loses its connection instead of being done. Over a
        Docker registry the images of all repositories are deleted there too, if it allows that, as
        those of a repository that the API deletes.

        Raises:
            RuntimeError: the sandbox is not running.
        """
        run = self._run
        run.thread.submit(run.state.reset()).result()

    def transport(self) -> InProcess:
        """Make a way into the sandbox that needs no socket, for sync and async clients.

        Returns:
            A transport for `httpx.Client` and `httpx.AsyncClient`; it works while the sandbox runs,
            also when it is started again, in any thread and any asyncio event loop.

        Raises:
            RuntimeError: the sandbox is not running.

        Example:
            >>> http = httpx.Client(transport=sandbox.transport())
            >>> from abeja_registry import Client
            >>> client = Client(**sandbox.connection, http_client=http)
            >>> client.repositories.find("nobody")
            >>> http.close()
        """

        def running() -> tuple[ASGIApp, Submit]:
            now = self._run
            # No guard: no web page can use it.
            return now.state.around(now.app), now.thread.submit

        running()
        return InProcess(running)

    def push(
        self,
        repository: str | int | HasId,
        tag: str,
        *,
        size: int | None = None,
        digest: str | None = None,
        media_type: str | None = None,
        created_at: datetime | str | None = None,
        updated_at: datetime | str | None = None,
        creator: Person | None = None,
    ) -> _shapes.Tag:
        """Write a tag, as `docker push` would; one that exists keeps its id and creation time.

        Args:
            repository: the repository, or its id.
            tag: its name by Docker's rules, 1 to 128 characters.
            size: bytes, 0 or more; made up if not given.
            digest: algorithm:value; made up from repository and tag if not given.
            media_type: type/subtype; that of a Docker v2 manifest unless given.
            created_at: the time of the tag's first push, a `datetime` with a time zone or a text
                such as `2018-06-07T04:42:34Z`; for a new tag `updated_at` or now if not given.
            updated_at: the time of this push; now if not given, for a new tag `created_at`. A time
                before the first push moves `created_at` too.
            creator: the person who pushes: an e-mail address, a tag's `creator`, or a dict of a
                person's fields. What a dict does not give is made up.

        Returns:
            The tag as the API shows it.

        Raises:
            TypeError: `repository` is neither.
            ValueError: another argument breaks its rule, or `updated_at` is before `created_at`.
            LookupError: there is no such repository.
            RuntimeError: the sandbox is not running, or shows a Docker registry's tags.

        Example:
            >>> tag = sandbox.push(
            ...     repository, "0.9.0", updated_at="2019-05-23T05:13:15Z", creator="ana@abeja.asia"
            ... )
            >>> print(tag["created_at"], tag["creator"]["email"])
            2019-05-23T05:13:15.000000Z ana@abeja.asia
        """
        repository_id = getattr(repository, "id", repository)
        if not isinstance(repository_id, str) and not is_integer(repository_id):
            rule = "one of a client's, or an id as a str or an int"
            raise TypeError(f"repository must be {rule}, got {repository!r}")
        fields = {
            "size": size,
            "digest": digest,
            "media_type": media_type,
            "created_at": created_at,
            "updated_at": updated_at,
            "creator": creator,
        }
        return _shapes.tag(self._state.write_tag(str(repository_id), tag, **fields))

    def seed(
        self,
        repositories: int = 3,
        tags: int = 25,
        *,
        created_at: datetime | str | None = None,
        updated_at: datetime | str | None = None,
        creator: Person | None = None,
    ) -> list[str]:
        """Make repositories with tags: sample-0001 and on, each with tags 0.0.1 and on.

        Args:
            repositories: how many, 0 or more.
            tags: how many in each, 0 or more.
            created_at: as for `push`, of the repositories and of the tags.
            updated_at: as for `push`, of the repositories and of the tags.
            creator: as for `push`, of the repositories and of the tags.

        Returns:
            The ids of the new repositories.

        Raises:
            ValueError: an argument is out of its bounds.
            RuntimeError: the sandbox is not running, or shows a Docker registry's tags.
        """
        for argument, value in (("repositories", repositories), ("tags", tags)):
            if not is_integer(value) or value < 0:
                raise ValueError(f"{argument} must be an integer, 0 or more, got {value!r}")
        times = {"created_at": created_at, "updated_at": updated_at}
        return self._state.seed(repositories, tags, **times, creator=creator)

    @property
    def _state(self) -> State:
        return self._run.state

    @property
    def _run(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the sandbox is not running")
        return self._running


def _copy(credential: Credential) -> Credential:
    # A dict can be changed by whoever has it, the other kinds can't.
    return {**credential} if isinstance(credential, Mapping) else credential


def _hosts(allow_hosts: object) -> list[str]:
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
