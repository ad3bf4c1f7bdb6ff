"""The client of a command, made when the command first needs it."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from ..exceptions import ConfigurationError
from . import _errors
from ._output import echo_err

if TYPE_CHECKING:
    from .._api.responses import AttemptResult
    from .._http.sender import Request, Sender
    from .._settings.settings import Resolution
    from ..client import Client

# The options that set a setting, by its name.
SETTING_OPTIONS = {
    "organization_id": "--organization",
    "base_url": "--base-url",
    "timeout": "--request-timeout",
    "deadline": "--deadline",
    "profile": "--profile",
}
# What to set for a setting that is missing.
_MISSING = {
    "credential": "PLATFORM_AUTH_TOKEN (or ABEJA_PLATFORM_USER_ID with"
    " ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN)",
    "organization_id": "ABEJA_ORGANIZATION_ID (or --organization)",
}


@dataclass(frozen=True)
class ClientOptions:
    """The global options."""

    organization_id: str | None = None
    profile: str | None = None
    base_url: str | None = None
    request_timeout: float | None = None
    deadline: float | None = None
    verbose: int = 0

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a client."""
        return {
            "organization_id": self.organization_id,
            "profile": self.profile,
            "base_url": self.base_url,
            "timeout": self.request_timeout,
            "deadline": self.deadline,
        }

    def client(self) -> Client:
        """Return a client, for the caller to close.

        Raises:
            ConfigurationError: A setting is missing or invalid; the message speaks of options.
        """
        import_httpx()
        from .._api.redaction import Redactor
        from ..client import Client

        try:
            client = Client(**self.arguments())
        except ConfigurationError as error:
            raise self.explain(error) from None
        session = client._session
        _errors.redact = Redactor(session.settings.authorization, session.settings.secrets())
        if self.verbose:
            session.sender = _VerboseSender(session.sender, headers=self.verbose > 1)
        return client

    def organization_name(self) -> str:
        """Return the organization's name, or its id if the API does not name it."""
        with self.client() as client:
            page = client.raw.get_repositories(client.organization_id, limit=1)
            name: object = page.get("organization_name")
            return name if isinstance(name, str) and name.strip() else client.organization_id

    def resolve(self) -> Resolution:
        """Find each setting with its source.

        Raises:
            ConfigurationError: The platform's file cannot be used.
        """
        import_httpx()
        from .._settings.settings import resolve

        try:
            return resolve(credential=None, **self.arguments())
        except ConfigurationError as error:
            raise _in_options(error) from None

    def explain(self, error: ConfigurationError) -> ConfigurationError:
        """Return a client's error with all missing settings, in the words of the command line."""
        from .._settings.sources import NOT_SET

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shown = self.resolve().shown
        missing = [each.name for each in shown if each.source == NOT_SET]
        # An incomplete credential, or an invalid value, is not a missing one.
        if not missing or not str(error).startswith("no "):
            return _in_options(error)
        names = " and no ".join(name.removesuffix("_id") for name in sorted(missing))
        settings = " and ".join(_MISSING[name] for name in sorted(missing))
        return ConfigurationError(
            f"no {names}: set {settings}, or run `abeja configure` of the platform's command line"
        )


def stored_options(ctx: click.Context) -> dict[str, Any]:
    """Return the global options that the command line had so far, before and after the command."""
    options: dict[str, Any] = ctx.meta.setdefault(__name__, {})
    return options


def client_options(ctx: click.Context) -> ClientOptions:
    """Return the global options."""
    return ClientOptions(**stored_options(ctx))


def _in_options(error: ConfigurationError) -> ConfigurationError:
    return ConfigurationError(_errors.in_options(str(error), SETTING_OPTIONS))


class _VerboseSender:
    """A sender that shows each request and its result on stderr."""

    def __init__(self, sender: Sender, *, headers: bool) -> None:
        self._sender = sender
        self._headers = headers
        self.proxy = sender.proxy

    @property
    def closed(self) -> bool:
        return self._sender.closed

    def send(self, request: Request, remaining: float, /) -> AttemptResult:
        started = monotonic()
        result = self._sender.send(request, remaining)
        line = (
            f"{request.method} {request.base_url}{request.target}: {result},"
            f" {(monotonic() - started) * 1000:.0f} ms"
        )
        headers = getattr(result, "headers", {})
        if self._headers:
            line += "".join(f"\n  {name}: {value}" for name, value in headers.items())
        elif "x-request-id" in headers:
            line += f", request {headers['x-request-id']}"
        for each in request.redact(line).split("\n"):
            echo_err(each)
        return result

    def close(self) -> None:
        self._sender.close()


def import_httpx() -> None:
    """Import httpx without its own command line, which would take a third of the start-up time."""
    name = "httpx._main"
    if "httpx" not in sys.modules and name not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules[name]
