"""The parts of a sandbox while it runs: store, event loop, application, server."""

import socket
from contextlib import ExitStack, closing

import httpx
from starlette.types import ASGIApp

from ._app import make_app
from ._context import Context, GenerationMiddleware
from ._docker import DockerRegistry, describe_error
from ._faults import Faults
from ._guard import Guard, canonical_host, is_loopback
from ._mirror import Mirror
from ._options import Options
from ._portal import Portal
from ._recorder import BodyMiddleware, Recorder
from ._registry import Registry
from ._secrets import new_token
from ._server import Server, listen
from ._store import Store


class Running:
    """A running sandbox.

    Args:
        options: The sandbox's arguments.
        faults: The active faults.
        recorder: Records the API's requests.

    Attributes:
        options: The sandbox's arguments, with the port and the control token in use.

    Raises:
        OSError: The port is taken or not allowed, or the Docker registry does not respond.
        ValueError: `data` cannot be used, or belongs to another organization.
        RuntimeError: The server failed to start.
    """

    def __init__(self, options: Options, faults: Faults, recorder: Recorder) -> None:
        self.options = options
        with ExitStack() as resources:
            listener = None
            if options.port is not None:
                listener = resources.enter_context(listen(options.host, options.port))
            store = resources.enter_context(closing(Store(options.organization_id, options.data)))
            self.portal = resources.enter_context(closing(Portal()))
            self.context = Context(
                registry=Registry(
                    options.organization_id, store, self._start_mirror(store, resources)
                ),
                faults=faults,
                recorder=recorder,
                limit_max=options.limit_max,
                latency=options.latency,
                credentials=options.authorizations,
            )
            self._app = BodyMiddleware(make_app(self.context), recorder)
            if listener is not None:
                self._serve(listener, resources)
            self._resources = resources.pop_all()

    @property
    def app(self) -> ASGIApp:
        """The application, without the guard: no web page reaches it."""
        return GenerationMiddleware(self._app, self.context.generations)

    def _start_mirror(self, store: Store, resources: ExitStack) -> Mirror | None:
        """Read all tags from the Docker registry, if there is one."""
        url = self.options.docker_registry
        if url is None:
            return None
        mirror = Mirror(store, DockerRegistry(url), self.options.organization_id)
        resources.callback(lambda: self.portal.submit(mirror.close).result())
        try:
            self.portal.submit(mirror.sync_all).result()
        except httpx.HTTPError as error:
            where = f"the Docker registry at {url.netloc.decode()}"
            raise ConnectionError(f"{where}: {describe_error(error)}") from None
        return mirror

    def listen(self) -> None:
        """Listen on a free port too, from now on."""
        with ExitStack() as resources:
            self._serve(resources.enter_context(listen(self.options.host, 0)), resources)
            self._resources.push(resources.pop_all())

    def _serve(self, listener: socket.socket, resources: ExitStack) -> None:
        """Serve on a listening socket, until `resources` are closed."""
        address, port, *_ = listener.getsockname()
        options = self.options.with_port(port)
        # A name of loopback may resolve to another address, so the address decides.
        bound = canonical_host(address)
        if options.control_token is None and not (bound and is_loopback(bound)):
            options = options.with_control_token(new_token())
        guard = Guard(self._app, options.hosts, options.control_token)
        # The outermost middleware: a slow body of an earlier generation arrives later.
        server = Server(GenerationMiddleware(guard, self.context.generations), listener)
        try:
            self.portal.submit(server.start).result()
        except Exception as error:
            raise RuntimeError("the sandbox's server failed to start") from error
        resources.callback(lambda: self.portal.submit(server.stop).result())
        self.options = options

    def reset(self) -> None:
        """Delete everything: repositories, tags, faults, recorded and waiting requests."""
        self.portal.submit(self.context.reset).result()

    def close(self) -> None:
        """Drop delayed requests, stop serving, and delete a temporary database."""
        self.context.registry.store.stop_waiting()
        self.portal.submit(self._drop_delayed).result()
        self._resources.close()

    async def _drop_delayed(self) -> None:
        self.context.generations.advance()
