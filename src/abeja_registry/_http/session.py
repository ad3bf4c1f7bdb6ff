"""Sessions, sync and async: the retry loop (send, record, sleep), and the execution of flows."""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import Any, Generic, Self, TypeVar

from abeja_registry import __version__

from .._api.flows import Ahead, Flow, Wait, Within
from .._api.operations import Operation
from .._api.redaction import Redactor
from .._api.responses import (
    DEADLINE_PASSED,
    REQUEST_ID_HEADER,
    ApiResult,
    AttemptResult,
    NoResponse,
    Response,
    ResponseInfo,
    parse_response,
)
from .._api.retries import DEADLINE_ENDED, Attempts, Retry, RetryBudget
from .._settings.network import proxy_secrets
from .._settings.settings import Settings
from ..exceptions import Attempt, Error
from .adapter import AsyncHttpClient, AsyncHttpClientAdapter, HttpClient, HttpClientAdapter
from .clock import Clock
from .parallel import run_all
from .sender import AsyncSender, Request, Sender

_logger = logging.getLogger("abeja_registry")
# Without a handler, logging writes warnings to stderr.
_logger.addHandler(logging.NullHandler())

# How often a sleep checks whether the client was closed, in seconds.
POLL_INTERVAL = 0.1
# Names of headers whose values are secrets.
_SECRET_HEADER = re.compile("auth|cookie|key|secret|token", re.IGNORECASE)
# The result of an attempt after the deadline.
NOT_SENT = NoResponse(DEADLINE_PASSED, "", sent=False, timeout=True)

T = TypeVar("T")
S = TypeVar("S", Sender, AsyncSender)


class _BaseSession(Generic[S]):
    """The common part of both sessions: preparing a request, and finishing a call.

    Args:
        settings: The settings of every call.
        sender: The connection pool or the user-supplied client.
        budget: The retry budget of this sender.
        clock: Time, sleep and random numbers.
        owner: Whether closing the session closes the sender.
        paced: Whether the caller itself slows down when the API throttles.
    """

    def __init__(
        self,
        settings: Settings,
        sender: S,
        budget: RetryBudget,
        clock: Clock,
        *,
        owner: bool,
        paced: bool = False,
    ) -> None:
        self.settings = settings
        self.sender: S = sender
        self.clock = clock
        self._budget = budget
        self._owner = owner
        self._paced = paced
        self._cancelled = False
        private: list[str] = [
            text for name, text in settings.default_headers if _SECRET_HEADER.search(name)
        ]
        secrets = (*settings.secrets(), *proxy_secrets(sender.proxy), *private)
        self._redact = Redactor(settings.authorization, secrets)
        user_agent = f"abeja-registry/{__version__} {settings.user_agent or ''}".rstrip()
        self._headers = [
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"gzip"),
            (b"User-Agent", user_agent.encode()),
            *((name.encode(), text.encode()) for name, text in settings.default_headers),
        ]
        if settings.authorization is not None:
            self._headers.append((b"Authorization", settings.authorization.encode()))
        self._json_headers = [*self._headers, (b"Content-Type", b"application/json")]

    def with_settings(self, settings: Settings) -> Self:
        """Return a session with other settings over the same sender, which it does not own."""
        return type(self)(settings, self.sender, self._budget, self.clock, owner=False)

    def with_clock(self, clock: Clock) -> Self:
        """Return a session that replaces this one, with another clock."""
        return type(self)(self.settings, self.sender, self._budget, clock, owner=self._owner)

    def paced(self) -> Self:
        """Return a session over the same sender whose caller slows down when the API throttles."""
        return type(self)(
            self.settings, self.sender, self._budget, self.clock, owner=False, paced=True
        )

    def picklable_settings(self) -> Settings:
        """Return the settings from which another process can open an equal session.

        Raises:
            TypeError: The session uses a user-supplied client, which cannot be pickled.
        """
        if isinstance(self.sender, HttpClientAdapter | AsyncHttpClientAdapter):
            raise TypeError("a client with an http_client cannot be pickled")
        return self.settings

    @property
    def closed(self) -> bool:
        """Whether no more requests are sent."""
        return self._cancelled or self.sender.closed

    def cancel(self) -> None:
        """Send no more requests from this session; its sender stays open for others."""
        self._cancelled = True

    def notify(self, retry: Retry) -> None:
        """Log a retry, and call the user's hook."""
        _logger.warning(
            "%s: attempt %d failed: %s; retrying in %.2f s",
            retry.operation,
            retry.attempt,
            retry.cause,
            retry.wait,
        )
        if self.settings.on_retry is not None:
            self.settings.on_retry(retry)

    def _response_info(
        self, response: Response, attempts: Attempts, seconds: float
    ) -> ResponseInfo:
        headers = self._redact(response.headers)
        return ResponseInfo(
            attempts.operation.name,
            len(attempts.history) + 1,
            response.status,
            seconds,
            headers.get(REQUEST_ID_HEADER),
            headers,
        )

    def _prepare(self, operation: Operation, deadline: float) -> tuple[Request, Attempts]:
        if self._cancelled:
            raise Error(f"{operation.name} was not sent: its inventory was stopped")
        if self.sender.closed:
            raise Error(
                f"{operation.name} was not sent: the client was closed,"
                " or the client whose connections it shares"
            )
        settings = self.settings
        request = Request(
            operation.method,
            settings.base_url,
            operation.target,
            self._headers if operation.body is None else self._json_headers,
            operation.body,
            operation.idempotent,
            settings.timeout,
            settings.max_response_bytes,
            self._redact,
        )
        attempts = Attempts(
            operation, settings.retry, self._budget, deadline, self.clock.random, self._paced
        )
        return request, attempts

    def _finish(self, attempts: Attempts, result: AttemptResult, started: float) -> ApiResult:
        """Return the result of the last attempt, or raise the matching exception."""
        operation = attempts.operation
        history: tuple[Attempt, ...] = attempts.history
        if result.is_success:
            if not history:
                self._budget.successes += 1
            history = (*history, Attempt(result.status))
        if _logger.isEnabledFor(logging.DEBUG):
            _logger.debug(
                "%s of %r: %s, attempts %d, %.1f ms, request id %s",
                operation.name,
                self._redact(operation.subject),
                result,
                len(history),
                (self.clock.now() - started) * 1000,
                self._redact(result.request_id) if isinstance(result, Response) else None,
            )
        body = parse_response(
            operation,
            self.settings.base_url,
            result,
            history=history,
            after_unknown_outcome=attempts.outcome_unknown,
            redact=self._redact,
        )
        return ApiResult(body, history, self._redact)

    def _limit(self, step: Operation | Within, deadline: float) -> tuple[Operation, float]:
        """Return the operation of a flow's step, and its deadline.

        An operation has at most `settings.deadline` seconds.
        """
        now = self.clock.now()
        limit = min(now + self.settings.deadline, deadline)
        if isinstance(step, Within):
            return step.operation, now + (limit - now) * step.share
        return step, limit


class Session(_BaseSession[Sender]):
    """A session whose methods block."""

    @classmethod
    def open(
        cls, settings: Settings, http_client: HttpClient | None, clock: Clock | None = None
    ) -> Self:
        """Return a session over a user-supplied client, or over its own connection pool."""
        sender: Sender
        if http_client is not None:
            sender = HttpClientAdapter(http_client)
        else:
            # Lazy import: with httpcore, it takes half of a client's import time.
            from .pool import ConnectionPool

            sender = ConnectionPool(settings)
        return cls(settings, sender, RetryBudget(), clock or Clock(), owner=True)

    def request_json(self, operation: Operation) -> Any:
        """Send an operation, and return the JSON object of its response."""
        return self.request(operation, self.clock.now() + self.settings.deadline).body

    def request(self, operation: Operation, deadline: float) -> ApiResult:
        """Send an operation, with retries, and return its result.

        Args:
            operation: The operation.
            deadline: When the call must end, by the session's clock.
        """
        started = self.clock.now()
        request, attempts = self._prepare(operation, deadline)
        result = self._send(request, attempts)
        while not result.is_success and (retry := attempts.record(result, self.clock.now())):
            try:
                self.notify(retry)
                self.sleep(retry.wait)
            except BaseException:
                attempts.give_up()
                raise
            if self.closed:
                attempts.give_up()
                break
            next_result = self._send(request, attempts)
            if next_result is NOT_SENT:
                attempts.give_up(DEADLINE_ENDED)
                break
            result = next_result
        return self._finish(attempts, result, started)

    def _send(self, request: Request, attempts: Attempts) -> AttemptResult:
        now = self.clock.now()
        if now >= attempts.deadline:
            return NOT_SENT
        result = self.sender.send(request, attempts.deadline - now)
        hook = self.settings.on_response
        if hook is not None and isinstance(result, Response):
            hook(self._response_info(result, attempts, self.clock.now() - now))
        return result

    def run(self, flow: Flow[T], deadline: float | None = None) -> T:
        """Execute a flow, and return its result.

        Args:
            flow: The flow.
            deadline: When the whole flow must end, by the session's clock. Defaults to the
                deadline of a call; each `Ahead` step renews it.
        """
        renewable = deadline is None
        if deadline is None:
            deadline = self.clock.now() + self.settings.deadline
        result: object = None
        failure: Error | None = None
        while True:
            try:
                step = flow.throw(failure) if failure else flow.send(result)  # type: ignore[arg-type]
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                # With its traceback, `failure` would be a reference cycle.
                result = failure = None
            try:
                if isinstance(step, Wait):
                    self.sleep(step.seconds)
                elif isinstance(step, Ahead):
                    if renewable:
                        deadline = self.clock.now() + self.settings.deadline
                    result = self._request_all(step, deadline)
                else:
                    result = self.request(*self._limit(step, deadline))
            except Error as error:
                failure = error

    def _request_all(self, step: Ahead, deadline: float) -> list[ApiResult]:
        return run_all(
            [partial(self.request, *self._limit(each, deadline)) for each in step.operations]
        )

    def sleep(self, seconds: float) -> None:
        """Sleep, or return early when the client is closed."""
        # Polling instead of threading.Event: a lock held at fork() stays locked in the child.
        # Count the slept seconds: a test may have frozen the clock.
        while not self.closed and seconds > 0:
            self.clock.sleep(min(seconds, POLL_INTERVAL))
            seconds -= POLL_INTERVAL

    def close(self) -> None:
        """Close the sender, unless another session owns it."""
        if self._owner:
            self.sender.close()


class AsyncSession(_BaseSession[AsyncSender]):
    """A session whose methods are awaited."""

    @classmethod
    def open(
        cls, settings: Settings, http_client: AsyncHttpClient | None, clock: Clock | None = None
    ) -> Self:
        """As `Session.open`."""
        sender: AsyncSender
        if http_client is not None:
            sender = AsyncHttpClientAdapter(http_client)
        else:
            from .pool import AsyncConnectionPool

            sender = AsyncConnectionPool(settings)
        return cls(settings, sender, RetryBudget(), clock or Clock(), owner=True)

    async def request_json(self, operation: Operation) -> Any:
        """As `Session.request_json`, awaited."""
        return (await self.request(operation, self.clock.now() + self.settings.deadline)).body

    async def request(self, operation: Operation, deadline: float) -> ApiResult:
        """As `Session.request`, awaited."""
        started = self.clock.now()
        request, attempts = self._prepare(operation, deadline)
        result = await self._send(request, attempts)
        while not result.is_success and (retry := attempts.record(result, self.clock.now())):
            try:
                self.notify(retry)
                await self.sleep(retry.wait)
            except BaseException:
                attempts.give_up()
                raise
            if self.closed:
                attempts.give_up()
                break
            next_result = await self._send(request, attempts)
            if next_result is NOT_SENT:
                attempts.give_up(DEADLINE_ENDED)
                break
            result = next_result
        return self._finish(attempts, result, started)

    async def _send(self, request: Request, attempts: Attempts) -> AttemptResult:
        now = self.clock.now()
        if now >= attempts.deadline:
            return NOT_SENT
        result = await self.sender.send(request, attempts.deadline - now)
        hook = self.settings.on_response
        if hook is not None and isinstance(result, Response):
            hook(self._response_info(result, attempts, self.clock.now() - now))
        return result

    async def run(self, flow: Flow[T], deadline: float | None = None) -> T:
        """As `Session.run`, awaited."""
        renewable = deadline is None
        if deadline is None:
            deadline = self.clock.now() + self.settings.deadline
        result: object = None
        failure: Error | None = None
        while True:
            try:
                step = flow.throw(failure) if failure else flow.send(result)  # type: ignore[arg-type]
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                # With its traceback, `failure` would be a reference cycle.
                result = failure = None
            try:
                if isinstance(step, Wait):
                    await self.sleep(step.seconds)
                elif isinstance(step, Ahead):
                    if renewable:
                        deadline = self.clock.now() + self.settings.deadline
                    result = await self._request_all(step, deadline)
                else:
                    result = await self.request(*self._limit(step, deadline))
            except Error as error:
                failure = error

    async def _request_all(self, step: Ahead, deadline: float) -> list[ApiResult]:
        tasks = [
            asyncio.ensure_future(self.request(*self._limit(each, deadline)))
            for each in step.operations
        ]
        try:
            await asyncio.wait(tasks)
            results = [tasks[0].result()]
            for task in tasks[1:]:
                if isinstance(task.exception(), Error):
                    break
                results.append(task.result())
            return results
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def sleep(self, seconds: float) -> None:
        """As `Session.sleep`, awaited."""
        # Polling: an asyncio.Event belongs to one loop; close() may run on another.
        while not self.closed and seconds > 0:
            await self.clock.asleep(min(seconds, POLL_INTERVAL))
            seconds -= POLL_INTERVAL

    async def aclose(self) -> None:
        """As `Session.close`, awaited."""
        if self._owner:
            await self.sender.aclose()
