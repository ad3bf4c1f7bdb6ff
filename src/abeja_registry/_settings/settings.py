"""Settings: one step finds each setting with its source, and checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

from .._api.responses import ResponseInfo
from .._api.retries import Retry, RetryPolicy
from .._validation import (
    InvalidRows,
    check_choice,
    check_count,
    check_timeout,
    check_type,
    safe_repr,
)
from ..exceptions import ConfigurationError, InsecureTransportWarning, InvalidArgument
from . import credentials, sources
from .checks import (
    check_base_url,
    check_headers,
    check_hook,
    check_organization,
    check_user_agent,
)
from .credentials import ANONYMOUS, PARTS, Authorization, Credential
from .network import plaintext_hop
from .sources import DEFAULT, NOT_SET, Found, Source

OnRetry = Callable[[Retry], object]
OnResponse = Callable[[ResponseInfo], object]

# Assumption: the API is at this address.
DEFAULT_BASE_URL = "https://api.abeja.io"
_MASK = "********"

_timeout = partial(check_timeout, convert=True)
_count = partial(check_count, least=0, convert=True)


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda source, value: None if value is None else check(source, value)


# The check of each setting, and its default; a new setting is a line here and a field below.
_SETTINGS: Mapping[str, tuple[Callable[[str, Any], Any], Any]] = {
    "organization_id": (check_organization, None),
    "credential": (credentials.authorize, None),
    "base_url": (check_base_url, DEFAULT_BASE_URL),
    "timeout": (_timeout, 30.0),
    "deadline": (_timeout, 120.0),
    "max_retry_count": (_count, RetryPolicy().max_retries),
    "retry": (partial(check_type, kind=RetryPolicy, described="a RetryPolicy"), RetryPolicy()),
    "on_retry": (check_hook, None),
    "on_response": (check_hook, None),
    "user_agent": (_optional(check_user_agent), None),
    "default_headers": (check_headers, {}),
    "max_response_bytes": (_count, 64 * 1024 * 1024),
    "invalid_rows": (partial(check_choice, choices=get_args(InvalidRows)), "raise"),
}
# The checked policy holds the count of retries, so that neither is kept without the other.
_JOINED = ("max_retry_count", "retry")
# Required by a typed client: the name in an error, the argument, and the names in the sources.
_REQUIRED = {
    "organization_id": ("organization", "organization_id", ["organization_id"]),
    "credential": ("credential", "credential (an empty dict sends no credential)", PARTS),
}
_DEFAULTS = {
    name: Found(default, name, DEFAULT)
    for name, (_, default) in _SETTINGS.items()
    if name not in _REQUIRED
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a client, and its source.

    Attributes:
        name: The setting's name, which is an argument of the client.
        value: Its value, to be displayed; a credential's scheme and user, with `***` in place of
            the secret.
        source: An argument, a variable, a key of the command line's file, `with_options`, or
            `default`.
    """

    name: str
    value: str | float | None
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The checked settings of a client.

    Attributes:
        credential: The Authorization header.
        base_url: The API's URL, without a trailing slash.
        timeout: Seconds for each connect, read and write.
        deadline: Seconds for a whole call, including its retries.
        retry: When a call is retried.
        on_retry: The hook that is called before the wait of each retry.
        on_response: The hook that is called with each response.
        user_agent: A suffix of the User-Agent header.
        default_headers: Further headers of each request.
        max_response_bytes: Maximum size of a response's body, compressed and decompressed.
        invalid_rows: How a typed client handles a row that fails validation.
        organization_id: The organization of a typed client; empty for a raw client.
        resolution: The source of each setting.
    """

    credential: Authorization
    base_url: str
    timeout: float
    deadline: float
    retry: RetryPolicy
    on_retry: OnRetry | None
    on_response: OnResponse | None
    user_agent: str | None
    default_headers: tuple[tuple[str, str], ...]
    max_response_bytes: int
    invalid_rows: InvalidRows
    resolution: Resolution = field(compare=False, repr=False)
    organization_id: str = ""

    @property
    def authorization(self) -> str | None:
        """The value of the Authorization header; None sends no header."""
        return self.credential.header

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets of the Authorization header, encoded and decoded."""
        return self.credential.secrets

    def with_changes(self, **changes: Any) -> Settings:
        """Return settings with those of the changes that are not None."""
        changed = sources.from_arguments(changes, "with_options")
        return _resolve(changed, self.resolution.found, before=self.resolution).checked()


@dataclass(frozen=True, slots=True)
class Resolution:
    """Each setting with its source, found in one step.

    Attributes:
        found: Each setting's unchecked value.
        shown: Each setting as it is displayed; an invalid value too, unless it may be secret.
        values: The checked values.
        problem: Why a client cannot use these settings, or None.
    """

    found: Source = field(repr=False)
    shown: tuple[Setting, ...]
    values: Mapping[str, Any] = field(repr=False)
    problem: str | None

    def checked(self) -> Settings:
        """Return the settings of a client.

        Raises:
            ConfigurationError: A setting is missing or invalid.
        """
        if self.problem is not None:
            raise ConfigurationError(self.problem)
        return Settings(**self.values, resolution=self)

    def settings(self) -> Settings:
        """As `checked`, with a warning if the credential is sent unencrypted."""
        settings = self.checked()
        if settings.authorization is not None and (hop := plaintext_hop(settings.base_url)):
            message = f"the credential will be sent unencrypted to {hop}"
            sources.warn(message, InsecureTransportWarning)
        return settings

    def credential_parts(self) -> list[Setting]:
        """Return each part of the credential as it is displayed; one row if there is none."""
        if "credential" not in self.found:
            return [Setting("credential", None, NOT_SET)]
        rows = []
        for part, (value, _, source) in self.found["credential"].value.parts.items():
            shown = _MASK if part in credentials.SECRETS else _shown(value)
            rows.append(Setting(part, None if value is None else shown, source))
        return rows


def raw_settings(*, credential: Credential | None, **arguments: Any) -> Settings:
    """Return a raw client's settings: from its arguments, then from the environment.

    Without a credential, no header is sent; with an incomplete one neither, with a warning, as
    existing code expects.
    """
    searched = [sources.from_arguments(arguments), *sources.environment()]
    found = credentials.find_credentials(credential, searched)
    # A complete credential goes before an incomplete one.
    first = min(found, key=lambda each: each.value.incomplete is not None, default=ANONYMOUS)
    if first.value.incomplete is not None:
        sources.warn(f"no credential is sent because it is incomplete: {first.value.incomplete}")
        first = ANONYMOUS
    return _resolve({"credential": first}, *searched, _DEFAULTS).settings()


def resolve(*, credential: Credential | None, profile: str | None, **arguments: Any) -> Resolution:
    """Find a typed client's settings: in arguments, the environment, the command line's file.

    A profile that is an argument goes before the environment.

    Raises:
        ConfigurationError: The file or the argument `credential` is invalid.
    """
    if credential is not None:
        credentials.check_single_kind(credential)
    given = sources.from_arguments(arguments)
    searched = sources.typed_sources(given, profile, credential=credential is not None)
    found = credentials.find_credentials(credential, searched)
    first = {"credential": found[0]} if found else {}
    return _resolve(first, *searched, _DEFAULTS, typed=True)


def _resolve(
    *searched: Source, typed: bool = False, before: Resolution | None = None
) -> Resolution:
    """Take each setting from the first source that holds it.

    Args:
        searched: The sources.
        typed: Whether a typed client needs these settings.
        before: Settings whose checked values are kept where nothing has changed.
    """
    table: Source = {}
    for source in reversed(searched):
        table.update(source)
    found = {name: table[name] for name in _SETTINGS if name in table}
    values: dict[str, Any] = {}
    shown = []
    problems = {}
    kept = {} if before is None else {each.name: each for each in before.shown}
    for name, (check, _) in _SETTINGS.items():
        if before and name not in _JOINED and found.get(name) is before.found.get(name):
            if name in found:
                values[name] = before.values[name]
                shown.append(kept[name])
        elif name in found:
            value, label, origin = found[name]
            try:
                value = check(label, value)
                if name == "retry":  # the count was checked before, and is a part of it
                    value = replace(value, max_retries=values.pop("max_retry_count", 0))
                values[name] = value
            except InvalidArgument as error:
                problems[name] = str(error)
                value = _MASK if name == "base_url" else value
            shown.append(Setting(name, _shown(value), origin))
        elif typed:
            problems[name] = sources.not_found(*_REQUIRED[name])
            shown.append(Setting(name, None, NOT_SET))
    problem = problems.get("credential") or next(iter(problems.values()), None)
    return Resolution(found, tuple(shown), values, problem)


def _shown(value: Any) -> str | float:
    if value is None or callable(value):
        return "none" if value is None else "a function"
    if isinstance(value, tuple):
        return ", ".join(name for name, _ in value) or "none"
    if isinstance(value, RetryPolicy | Authorization):
        return str(value)
    # A list or an object in the file may contain a secret.
    return value if isinstance(value, str | int | float) else safe_repr(value)
