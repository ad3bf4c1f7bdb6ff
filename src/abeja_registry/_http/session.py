"""One call through to its dict: an operation in, a door to the network, the judge's word out."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from abeja_registry import __version__

from .._api.operations import Operation
from .._api.redaction import Redactor
from .._api.responses import QUOTED_CHARACTERS, Answer, Answered, Failure, Outcome, judge
from .._api.retries import Attempts, Retry, RetryBudget
from .._settings.network import proxy_secrets
from .._settings.settings import Settings
from ..exceptions import Error
from .adapter import AsyncHttpClient, HandedInAsyncClient, HandedInClient, HttpClient
from .sender import Request

if TYPE_CHECKING:
    from .pool import AsyncConnectionPool, ConnectionPool

_logger = logging.getLogger("abeja_registry")
# A program that set up no logging is told nothing: logging would write warnings to its stderr.
_logger.addHandler(logging.NullHandler())

# Seconds after which who waits looks whether the client was closed.
_TURN = 0.1

Door = TypeVar(
    "Door", "ConnectionPool | HandedInClient", "AsyncConnectionPool | HandedInAsyncClient"
)


class _Calls(Generic[Door]):
    """What both kinds do before and after the wire.

    Args:
        settings: What every call has in common.
        door: The door to the network.
        budget: What may be spent on replays through this door.
        owner: Whether closing this closes the door.
    """

    _random = staticmethod(random.random)

    def __init__(self, settings: Settings, door: Door, budget: RetryBudget, *, owner: bool) -> None:
        self.settings = settings
        self.door: Door = door
        self._budget = budget
        self._owner = owner
        self._stopped = False
        self._paced = False
        secrets = (*settings.secrets(), *proxy_secrets(door.proxy))
        self._redact = Redactor(settings.authorization, secrets)
        self._headers = [
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"gzip"),
            (b"User-Agent", f"abeja-registry/{__version__}".encode()),
        ]
        if settings.authorization is not None:
            self._headers.append((b"Authorization", settings.authorization.encode()))
        self._headers_of_a_body = [*self._headers, (b"Content-Type", b"application/json")]

    def sharing(self, settings: Settings) -> Self:
        """Return one of other settings over the same door, which it never closes."""
        return type(self)(settings, self.door, self._budget, owner=False)

    def paced(self) -> Self:
        """Return one over the same door whose caller itself slows down where the API throttles."""
        paced = self.sharing(self.settings)
        paced._paced = True
        return paced

    def without_sleeping(self) -> Self:
        """Return one in the place of this whose retries, and its clients' copies', do not sleep."""
        settings = replace(self.settings, sleeps=False)
        return type(self)(settings, self.door, self._budget, owner=self._owner)

    def own_settings(self) -> Settings:
        """Return the settings from which another process can open a transport like this.

        Raises:
            TypeError: It sends through a client that was handed in, which cannot go along.
        """
        if isinstance(self.door, HandedInClient | HandedInAsyncClient):
            raise TypeError("a client with an http_client of its own cannot be pickled")
        return self.settings

    def now(self) -> float:
        """Return the time by the monotonic clock."""
        return time.monotonic()

    def deadline(self) -> float:
        """Return when a call that begins now has to be over, by the monotonic clock."""
        return time.monotonic() + self.settings.deadline

    def share(self, operation: Operation, deadline: float) -> float:
        """Return when an operation has to be over that is a part of something that has to be.

        A create gets two thirds of the time: the rest is to look what came of it.
        """
        if operation.replayable:
            return deadline
        now = time.monotonic()
        return now + (deadline - now) * 2 / 3

    def _attempts(self, operation: Operation, deadline: float | None) -> Attempts:
        return Attempts(
            operation,
            self.settings.retry,
            self._budget,
            deadline=self.deadline() if deadline is None else deadline,
            random=self._random,
            paced=self._paced,
        )

    @property
    def _over(self) -> bool:
        """Whether nothing is sent any more."""
        return self._stopped or self.door.closed

    def _check_open(self, operation: Operation) -> None:
        if self._stopped:
            raise Error(f"{operation.name} cannot be called: what it was to be a part of has ended")
        if self.door.closed:
            raise Error(
                f"{operation.name} cannot be called: the client was closed,"
                " or the one that it shares its connections with"
            )

    def _request(self, operation: Operation, attempts: Attempts) -> Request:
        self._check_open(operation)
        return Request(
            operation.method,
            self.settings.base_url,
            operation.target,
            self._headers if operation.body is None else self._headers_of_a_body,
            operation.body,
            operation.replayable,
            self.settings.timeout,
            attempts.deadline,
            self.settings.max_response_bytes,
        )

    def tell(self, retry: Retry) -> None:
        """Log a retry, and call the hook with it."""
        _logger.warning(
            "%s: attempt %d came to %s; the next in %.2f s",
            retry.operation,
            retry.attempt,
            retry.cause,
            retry.wait,
        )
        if self.settings.on_retry is not None:
            self.settings.on_retry(retry)

    def _pause(self, retry: Retry, attempts: Attempts) -> float:
        """Return how long to sleep before a retry."""
        if self.settings.sleeps:
            return retry.wait
        # As many retries as with the wait: it takes from the call's deadline.
        attempts.deadline -= retry.wait
        return 0.0

    def _heard(self, outcome: Outcome) -> Outcome:
        """Return an outcome whose cause, which may quote what is no HTTP, shows no credential."""
        if not isinstance(outcome, Failure):
            return outcome
        return replace(outcome, cause=self._redact(outcome.cause)[:QUOTED_CHARACTERS])

    def _result(
        self,
        operation: Operation,
        request: Request,
        outcome: Outcome,
        attempts: Attempts,
        started: float,
    ) -> Answered:
        if _logger.isEnabledFor(logging.DEBUG):
            _logger.debug(
                "%s: %s in %.1f ms, request id %s",
                operation.name,
                outcome,
                (time.monotonic() - started) * 1000,
                self._redact(outcome.request_id) if isinstance(outcome, Answer) else None,
            )
        body = judge(
            operation,
            request.url,
            outcome,
            history=attempts.history,
            after_unknown_outcome=attempts.outcome_unknown,
            redact=self._redact,
        )
        return Answered(body, attempts.history, self._redact)


class Transport(_Calls["ConnectionPool | HandedInClient"]):
    """The way through, for threads."""

    @classmethod
    def open(cls, settings: Settings, http_client: HttpClient | None) -> Self:
        """Return a transport over a client handed in, or over connections of its own."""
        if http_client is not None:
            return cls(settings, HandedInClient(http_client), RetryBudget(), owner=True)
        # Here: with what it needs of httpcore it is half of what a client's import would cost.
        from .pool import ConnectionPool

        return cls(settings, ConnectionPool(settings), RetryBudget(), owner=True)

    def call(self, operation: Operation) -> dict[str, Any]:
        """Carry out an operation and return the JSON object that it brought."""
        return self.fetch(operation).body

    def fetch(self, operation: Operation, deadline: float | None = None) -> Answered:
        """Carry out an operation and return what it brought, for models to be made of it.

        Args:
            operation: What to do.
            deadline: When it has to be over, where it is a part of something that has to be.
        """
        started = time.monotonic()
        attempts = self._attempts(operation, deadline)
        request = self._request(operation, attempts)
        outcome = self._heard(self.door.send(request))
        while (retry := attempts.record(outcome, time.monotonic())) is not None:
            try:
                self.tell(retry)
                self.sleep(self._pause(retry, attempts))
            except BaseException:
                attempts.give_up()
                raise
            if self._over:
                attempts.give_up()
                break
            outcome = self._heard(self.door.send(request))
        return self._result(operation, request, outcome, attempts, started)

    def sleep(self, seconds: float) -> None:
        """Wait, as long as something can still be sent after that."""
        self._sleep(seconds)

    def _sleep(self, seconds: float) -> None:
        # Not an event: in a child process, nobody lets go of a lock that was held at the fork.
        # Counted by what was slept: a test may have frozen the clock.
        while not self._over and seconds > 0:
            time.sleep(min(seconds, _TURN))
            seconds -= _TURN

    def stop(self) -> None:
        """Send nothing more, from here alone: the door stays open for others."""
        self._stopped = True

    def close(self) -> None:
        """Close the connections, unless they are shared and somebody else's."""
        if self._owner:
            self.door.close()


class AsyncTransport(_Calls["AsyncConnectionPool | HandedInAsyncClient"]):
    """The way through, for the tasks of an event loop."""

    @classmethod
    def open(cls, settings: Settings, http_client: AsyncHttpClient | None) -> Self:
        """As `Transport.open`."""
        if http_client is not None:
            return cls(settings, HandedInAsyncClient(http_client), RetryBudget(), owner=True)
        from .pool import AsyncConnectionPool

        return cls(settings, AsyncConnectionPool(settings), RetryBudget(), owner=True)

    async def call(self, operation: Operation) -> dict[str, Any]:
        """As `Transport.call`, awaited."""
        return (await self.fetch(operation)).body

    async def fetch(self, operation: Operation, deadline: float | None = None) -> Answered:
        """As `Transport.fetch`, awaited."""
        started = time.monotonic()
        attempts = self._attempts(operation, deadline)
        request = self._request(operation, attempts)
        outcome = self._heard(await self.door.send(request))
        while (retry := attempts.record(outcome, time.monotonic())) is not None:
            try:
                self.tell(retry)
                await self.sleep(self._pause(retry, attempts))
            except BaseException:
                attempts.give_up()
                raise
            if self._over:
                attempts.give_up()
                break
            outcome = self._heard(await self.door.send(request))
        return self._result(operation, request, outcome, attempts, started)

    async def sleep(self, seconds: float) -> None:
        """As `Transport.sleep`, awaited."""
        await self._sleep(seconds)

    async def _sleep(self, seconds: float) -> None:
        # Not an event: it would be of one loop, and who closes the client may be of another.
        while not self._over and seconds > 0:
            await asyncio.sleep(min(seconds, _TURN))
            seconds -= _TURN

    async def aclose(self) -> None:
        """As `Transport.close`, awaited."""
        if self._owner:
            await self.door.aclose()
