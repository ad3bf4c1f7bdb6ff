"""One call through to its dict: an operation in, a door to the network, the judge's word out."""

from __future__ import annotations

import logging
import time
from typing import Any, Generic, Self, TypeVar

from ._answers import Answer, Outcome, judge
from ._config import Settings
from ._connections import AsyncConnections, Connections
from ._handed_in import AsyncHttpClient, HandedInAsyncClient, HandedInClient, HttpClient
from ._operations import Operation
from ._version import __version__
from ._wire import Request
from .exceptions import Error

_logger = logging.getLogger("abeja_registry")

Door = TypeVar("Door", Connections | HandedInClient, AsyncConnections | HandedInAsyncClient)


class _Calls(Generic[Door]):
    """What both kinds do before and after the wire.

    Args:
        settings: What every call has in common.
        door: The door to the network.
        owner: Whether closing this closes the door.
    """

    def __init__(self, settings: Settings, door: Door, *, owner: bool) -> None:
        self.settings = settings
        self._door: Door = door
        self._owner = owner
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"abeja-registry/{__version__}",
        }
        if settings.authorization is not None:
            self._headers["Authorization"] = settings.authorization
        self._headers_of_a_body = {**self._headers, "Content-Type": "application/json"}

    def sharing(self, settings: Settings) -> Self:
        """Return one of other settings over the same door, which it never closes."""
        return type(self)(settings, self._door, owner=False)

    def _request(self, operation: Operation) -> Request:
        if self._door.closed:
            raise Error(
                f"{operation.name} cannot be called: the client was closed,"
                " or the one that it shares its connections with"
            )
        return Request(
            operation.method,
            self.settings.base_url + operation.target,
            self._headers if operation.body is None else self._headers_of_a_body,
            operation.body,
            self.settings.timeout,
        )

    def _result(
        self, operation: Operation, request: Request, outcome: Outcome, started: float
    ) -> dict[str, Any]:
        _logger.debug(
            "%s: %s in %.1f ms, request id %s",
            operation.name,
            outcome,
            (time.perf_counter() - started) * 1000,
            outcome.request_id if isinstance(outcome, Answer) else None,
        )
        return judge(operation, request.url, outcome)


class Transport(_Calls[Connections | HandedInClient]):
    """The way through, for threads."""

    @classmethod
    def open(cls, settings: Settings, http_client: HttpClient | None) -> Self:
        """Return a transport over a client handed in, or over connections of its own."""
        if http_client is not None:
            return cls(settings, HandedInClient(http_client), owner=True)
        return cls(settings, Connections(settings), owner=True)

    def call(self, operation: Operation) -> dict[str, Any]:
        """Carry out an operation and return the JSON object that it brought."""
        started = time.perf_counter()
        request = self._request(operation)
        outcome = self._door.send(request)
        return self._result(operation, request, outcome, started)

    def close(self) -> None:
        """Close the connections, unless they are shared and somebody else's."""
        if self._owner:
            self._door.close()


class AsyncTransport(_Calls[AsyncConnections | HandedInAsyncClient]):
    """The way through, for the tasks of an event loop."""

    @classmethod
    def open(cls, settings: Settings, http_client: AsyncHttpClient | None) -> Self:
        """As `Transport.open`."""
        if http_client is not None:
            return cls(settings, HandedInAsyncClient(http_client), owner=True)
        return cls(settings, AsyncConnections(settings), owner=True)

    async def call(self, operation: Operation) -> dict[str, Any]:
        """As `Transport.call`, awaited."""
        started = time.perf_counter()
        request = self._request(operation)
        outcome = await self._door.send(request)
        return self._result(operation, request, outcome, started)

    async def aclose(self) -> None:
        """As `Transport.close`, awaited."""
        if self._owner:
            await self._door.aclose()
