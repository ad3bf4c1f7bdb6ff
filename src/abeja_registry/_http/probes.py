"""A connection and TLS by themselves: made as our own connections are, with nothing sent."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpcore
import httpx

from .._settings.settings import Settings
from .adapter import HandedInAsyncClient, HandedInClient
from .backends import AsyncBackend, Backend
from .pool import AsyncConnectionPool, ConnectionPool
from .streams import CallState

_FAILURES = (httpcore.NetworkError, httpcore.TimeoutException, OSError)
# Characters of what the system says that are shown.
_SHOWN = 200
# What stands between us and the API's socket, so that only a call can tell of it.
_HANDED_IN = "a client handed in"
_PROXY = "the proxy that the environment names"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one came.

    Attributes:
        through: What stands in between, where it was not tried.
        no_connection: Why there is no connection; None where there is one.
        no_tls: Why there is no TLS; None where there is, or none was wanted.
        tls: The version of TLS that was agreed on, where it is spoken.
    """

    through: str | None = None
    no_connection: str | None = None
    no_tls: str | None = None
    tls: str | None = None


class _Target:
    """Where to, and what is allowed on the way."""

    def __init__(self, settings: Settings) -> None:
        url = httpx.URL(settings.base_url)
        self.tls = url.scheme == "https"
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or (443 if self.tls else 80)
        self.watch = CallState()
        self.watch.start(time.monotonic() + settings.deadline)
        self._timeout = settings.timeout

    def allowed(self) -> float:
        """Return the seconds that the next step may take."""
        return self.watch.clamp_timeout(self._timeout, httpcore.ConnectTimeout)

    def said(self, error: Exception) -> str:
        """Return what failed, without the host's name."""
        text = f"{type(error).__name__}: {error}".rstrip(": ").replace(self.host, "[the host]")
        return "".join(each for each in text if each.isprintable())[:_SHOWN]


def reach(door: ConnectionPool | HandedInClient, settings: Settings) -> Reached:
    """Make a connection to the API, speak TLS where it is wanted, and close it."""
    if isinstance(door, HandedInClient):
        return Reached(through=_HANDED_IN)
    if door.proxy is not None:
        return Reached(through=_PROXY)
    to = _Target(settings)
    backend = Backend(to.watch, 0)
    try:
        return _speak(to, door, backend.connect_tcp(to.host, to.port, to.allowed()))
    except _FAILURES as error:
        return Reached(no_connection=to.said(error))


def _speak(to: _Target, door: ConnectionPool, stream: httpcore.NetworkStream) -> Reached:
    try:
        if not to.tls:
            return Reached()
        stream = stream.start_tls(door.ssl_context, to.host, to.allowed())
        return Reached(tls=stream.get_extra_info("ssl_object").version())
    except _FAILURES as error:
        return Reached(no_tls=to.said(error))
    finally:
        stream.close()


async def areach(door: AsyncConnectionPool | HandedInAsyncClient, settings: Settings) -> Reached:
    """As `reach`, awaited."""
    if isinstance(door, HandedInAsyncClient):
        return Reached(through=_HANDED_IN)
    if door.proxy is not None:
        return Reached(through=_PROXY)
    to = _Target(settings)
    backend = AsyncBackend(to.watch, 0)
    try:
        return await _aspeak(to, door, await backend.connect_tcp(to.host, to.port, to.allowed()))
    except _FAILURES as error:
        return Reached(no_connection=to.said(error))


async def _aspeak(
    to: _Target, door: AsyncConnectionPool, stream: httpcore.AsyncNetworkStream
) -> Reached:
    try:
        if not to.tls:
            return Reached()
        stream = await stream.start_tls(door.ssl_context, to.host, to.allowed())
        return Reached(tls=stream.get_extra_info("ssl_object").version())
    except _FAILURES as error:
        return Reached(no_tls=to.said(error))
    finally:
        await stream.aclose()
