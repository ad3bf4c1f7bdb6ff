"""The sandbox as an object, for a test, a script or the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol, Self, TypedDict

from starlette.types import ASGIApp

from .. import models
from .._api.dicts import TagDict
from .._settings.credentials import Credential
from . import _serializers
from ._faults import Faults
from ._guard import LOCALHOST
from ._options import ANY_CREDENTIAL as ANY_CREDENTIAL
from ._options import VARIABLES as VARIABLES
from ._options import copy_credential, make_options
from ._recorder import RecordedRequest, Recorder
from ._registry import Registry
from ._running import Running
from ._transport import SandboxTransport, Submit
from ._values import is_integer

LOOPBACK = "127.0.0.1"
LIMIT_MAX = 1000
# The base URL of a sandbox without a socket.
IN_PROCESS = "http://localhost:0"
# An e-mail address, or a person's fields.
Person = str | models.Creator | Mapping[str, Any]


class Connection(TypedDict):
    """A client's arguments to connect with a sandbox: `Client(**sandbox.connection)`."""

    organization_id: str
    credential: Credential
    base_url: str


class HasId(Protocol):
    """A repository, as the client's models are."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


class Sandbox:
    """A Registry API on this machine, over a real socket and in process, on a SQLite file.

    Use it as a context manager, or call `start` and `close`. It can be started again, on the same
    port, with the contents of `data`, or empty without it.

    Args:
        organization_id: The only organization: 1 to 18 digits, no leading zero.
        host: The address to listen on. Defaults to loopback, which only this machine reaches.
            Beyond loopback, `/_sandbox` needs `control_token`.
        port: 0 to 65535; 0 takes a free one. None opens no socket: only `transport` leads in.
        data: The SQLite file that keeps repositories and tags, created if it does not exist;
            several sandboxes may share one. Without it, they are deleted when the sandbox closes.
        limit_max: The largest page, 1 to 1,000,000 rows; a larger limit is clamped to it.
        latency: The delay of each of the API's responses, 0 to 3600 seconds.
        credentials: The accepted ones, in a client's forms. Defaults to any.
        docker_registry: The address of a Docker registry whose tags the sandbox shows, with a
            user's name and password if it needs them. It has to send its notifications to
            `notifications_url`.
        allow_hosts: Further names, or addresses, by which clients reach it, without a port. Those
            of loopback, `host`, and the address of the connection are always allowed.
        control_token: The bearer token that `/_sandbox` needs over the socket. Defaults to none on
            loopback, and to a generated one beyond it.

    Raises:
        ValueError: An argument breaks its rule.
        ConfigurationError: One of `credentials` is invalid or incomplete.
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
        self._options = make_options(
            organization_id=organization_id,
            host=host,
            port=port,
            data=data,
            limit_max=limit_max,
            latency=latency,
            credentials=credentials,
            docker_registry=docker_registry,
            allow_hosts=allow_hosts,
            control_token=control_token,
        )
        self._faults = Faults()
        self._recorder = Recorder()
        self._running: Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start serving; returns once it accepts requests.

        With a Docker registry, it returns once all tags were read from it.

        Raises:
            OSError: The port is taken or not allowed, or the Docker registry does not respond.
            ValueError: `data` cannot be used, or belongs to another organization.
            RuntimeError: It is running already, or the server failed to start.
        """
        if self._running is not None:
            raise RuntimeError("the sandbox is running already")
        self._running = Running(self._options, self._faults, self._recorder)
        # It keeps its port and its control token when it starts again.
        self._options = self._running.options

    def _listen(self) -> None:
        """Listen on a free port too, from now on."""
        running = self._run
        running.listen()
        self._options = running.options

    def close(self) -> None:
        """Stop serving, and delete the database unless `data` names it; may be repeated."""
        running, self._running = self._running, None
        if running is not None:
            running.close()

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash; without a port it reaches nothing.

        Raises:
            RuntimeError: The port is a free one, and the sandbox was not started yet.
        """
        options = self._options
        if options.port is None:
            return IN_PROCESS
        if options.port == 0:
            raise RuntimeError("the sandbox has no port before it is started")
        # localhost may resolve to ::1 first, where no socket listens.
        connectable = {"0.0.0.0": LOOPBACK, "::": "::1", LOCALHOST: LOOPBACK}
        host = connectable.get(options.host.lower(), options.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{options.port}"

    @property
    def organization_id(self) -> str:
        """The organization's id, in digits."""
        return self._options.organization_id

    @property
    def connection(self) -> Connection:
        """The arguments of a client, for `Client(**sandbox.connection)`."""
        return self._connection(self.url)

    def _connection(self, url: str) -> Connection:
        return {
            "organization_id": self._options.organization_id,
            "credential": copy_credential([*self._options.credentials, ANY_CREDENTIAL][0]),
            "base_url": url,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point `Client()` at the sandbox.

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
        """The bearer token that `/_sandbox` needs over the socket; None if it needs none."""
        return self._options.control_token

    @property
    def notifications_url(self) -> str:
        """The URL for a Docker registry's notifications; they need `control_token`, unless None."""
        return f"{self.url}/_sandbox/notifications"

    @property
    def is_running(self) -> bool:
        """Whether it is serving."""
        return self._running is not None

    @property
    def is_empty(self) -> bool:
        """Whether it has no repositories.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        rows, _ = self._registry.store.repositories(1, 0)
        return not rows

    @property
    def faults(self) -> Faults:
        """The faults, as `sandbox.faults.add(operation="get_repository", status=503)` adds them."""
        return self._faults

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The API's last 10,000 requests, in the order of their arrival; kept after closing."""
        return self._recorder.requests

    def clear_requests(self) -> None:
        """Forget the requests."""
        self._recorder.clear()

    def reset(self) -> None:
        """Delete repositories, tags, faults and requests; ids start again at the first.

        A request that is still delayed (`latency`) loses its connection and is not done. With a
        Docker registry, the images of all repositories are deleted there too, if it allows that.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        self._run.reset()

    def transport(self) -> SandboxTransport:
        """Make a transport that needs no socket, for sync and async clients.

        Returns:
            A transport for `httpx.Client` and `httpx.AsyncClient`; it works while the sandbox runs,
            also after another start, in any thread and any asyncio event loop.

        Raises:
            RuntimeError: The sandbox is not running.

        Example:
            >>> import httpx
            >>> http = httpx.Client(transport=sandbox.transport())
            >>> from abeja_registry import Client
            >>> client = Client(**sandbox.connection, http_client=http)
            >>> client.repositories.find("nobody")
            >>> http.close()
        """

        def running() -> tuple[ASGIApp, Submit]:
            current = self._run
            return current.app, current.portal.submit

        running()
        return SandboxTransport(running)

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
    ) -> TagDict:
        """Write a tag, as `docker push` would; an existing one keeps its id and creation time.

        Args:
            repository: The repository, or its id.
            tag: Its name by Docker's rules, 1 to 128 characters.
            size: Bytes, 0 or more. Defaults to a generated number.
            digest: algorithm:value. Defaults to one derived from repository and tag.
            media_type: type/subtype. Defaults to that of a Docker v2 manifest.
            created_at: The time of the tag's first push, a `datetime` with a time zone or a text
                such as `2018-06-07T04:42:34Z`. Defaults, for a new tag, to `updated_at` or now.
            updated_at: The time of this push. Defaults to now, for a new tag to `created_at`. A
                time before the first push moves `created_at` too.
            creator: The person who pushes: an e-mail address, a tag's `creator`, or a dict of a
                person's fields, where missing ones are generated.

        Returns:
            The tag as the API shows it.

        Raises:
            TypeError: `repository` is neither.
            ValueError: Another argument breaks its rule, or `updated_at` is before `created_at`.
            LookupError: The repository does not exist.
            RuntimeError: The sandbox is not running, or shows a Docker registry's tags.

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
        row = self._registry.write_tag(str(repository_id), tag, **fields)
        return _serializers.tag(row)

    def seed(
        self,
        repositories: int = 3,
        tags: int = 25,
        *,
        created_at: datetime | str | None = None,
        updated_at: datetime | str | None = None,
        creator: Person | None = None,
    ) -> list[str]:
        """Create repositories with tags: sample-0001 and on, each with tags 0.0.1 and on.

        Args:
            repositories: How many, 0 or more.
            tags: How many in each, 0 or more.
            created_at: As for `push`, of the repositories and of the tags.
            updated_at: As for `push`, of the repositories and of the tags.
            creator: As for `push`, of the repositories and of the tags.

        Returns:
            The ids of the new repositories.

        Raises:
            ValueError: An argument breaks its rule.
            RuntimeError: The sandbox is not running, or shows a Docker registry's tags.
        """
        for argument, value in (("repositories", repositories), ("tags", tags)):
            if not is_integer(value) or value < 0:
                raise ValueError(f"{argument} must be an integer, 0 or more, got {value!r}")
        times = {"created_at": created_at, "updated_at": updated_at}
        return self._registry.seed(repositories, tags, **times, creator=creator)

    @property
    def _registry(self) -> Registry:
        return self._run.context.registry

    @property
    def _run(self) -> Running:
        if self._running is None:
            raise RuntimeError("the sandbox is not running")
        return self._running
