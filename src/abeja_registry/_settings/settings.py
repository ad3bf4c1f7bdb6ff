"""Settings: what there is to set, where each is looked for, and in which order.

A source is a table of the settings that it holds, each with its place, so that an error can name
the argument, the variable or the file's key at fault. The first source that holds one wins.
"""

from __future__ import annotations

import base64
import inspect
import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from .._api.retries import Retry, RetryPolicy
from .._validation import MAX_TIMEOUT, InvalidRows, quote_segment, safe_repr
from ..exceptions import ConfigurationError, InsecureTransportWarning
from .json_object import parse_object
from .network import is_here, is_host, proxy_for

OnRetry = Callable[[Retry], object]

DEFAULT_BASE_URL = "https://api.abeja.io"
DEFAULT_TIMEOUT = 30.0
DEFAULT_DEADLINE = 120.0
DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024

_CLI_FILE = "~/.abeja/config"
# Bytes of it that are read: a file of dozens of configurations has a tenth.
_LARGEST_CLI_FILE = 1024 * 1024
# The source of a setting that was found nowhere, with a default and without one; and of one that
# a client was derived with.
DEFAULT_PLACE = "default"
NOT_SET = "not set"
_DERIVED = "with_options"

_ENVIRONMENT = {
    "auth_token": "PLATFORM_AUTH_TOKEN",
    "user_id": "ABEJA_PLATFORM_USER_ID",
    "personal_access_token": "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN",
    "datasource_id": "ABEJA_PLATFORM_DATASOURCE_ID",
    "datasource_secret": "ABEJA_PLATFORM_DATASOURCE_SECRET",
    "organization_id": "ABEJA_ORGANIZATION_ID",
    "base_url": "ABEJA_API_URL",
    "timeout": "ABEJA_SDK_CONNECTION_TIMEOUT",
    "max_retry_count": "ABEJA_SDK_MAX_RETRY_COUNT",
}
# These count only where all three are set, as an identity of the platform's command line.
_CLI_ENVIRONMENT = {
    "user_id": "ABEJA_CLI_USER",
    "personal_access_token": "ABEJA_CLI_TOKEN",
    "organization_id": "ABEJA_CLI_ORGANIZATION",
}
_CLI_KEYS = {
    "user_id": "abeja-platform-user",
    "personal_access_token": "personal-access-token",
    "organization_id": "organization-name",
    "base_url": "abeja-api-url",
}

# Parts of a credential that no one but the API is to see, and what is shown in their place.
_SECRETS = ("auth_token", "personal_access_token", "datasource_secret")
_MASK = "********"

# What is read of the file.
_FILE_KEYS = (
    *_CLI_KEYS.values(),
    "configurations",
    "configuration-name",
    "active-configuration-name",
)

_Source = dict[str, tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A bearer token of the platform.

    Args:
        auth_token: The token, without the word Bearer.

    Raises:
        ConfigurationError: A part holds what no header can; the message does not show it.
    """

    auth_token: str = field(repr=False)

    def __post_init__(self) -> None:
        _header_text(self.auth_token, "auth_token")

    @property
    def _authorization(self) -> str:
        return f"Bearer {self.auth_token}"


@dataclass(frozen=True, slots=True)
class UserCredential:
    """A user and one of their personal access tokens.

    Args:
        user_id: The user's id, with or without its prefix `user-`.
        personal_access_token: The token.

    Raises:
        ConfigurationError: A part holds what no header can; the message does not show it.
    """

    user_id: str
    personal_access_token: str = field(repr=False)

    def __post_init__(self) -> None:
        _user_text(self.user_id, "user_id")
        _header_text(self.personal_access_token, "personal_access_token")

    @property
    def _authorization(self) -> str:
        return _basic("user-", self.user_id, self.personal_access_token)


@dataclass(frozen=True, slots=True)
class DatasourceCredential:
    """A datasource and its secret.

    Args:
        datasource_id: The datasource's id, with or without its prefix `datasource-`.
        datasource_secret: The secret.

    Raises:
        ConfigurationError: A part holds what no header can; the message does not show it.
    """

    datasource_id: str
    datasource_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        _user_text(self.datasource_id, "datasource_id")
        _header_text(self.datasource_secret, "datasource_secret")

    @property
    def _authorization(self) -> str:
        return _basic("datasource-", self.datasource_id, self.datasource_secret)


Credential = BearerToken | UserCredential | DatasourceCredential | Mapping[str, str]

_Kind = type[BearerToken] | type[UserCredential] | type[DatasourceCredential]

# In the order in which one source is searched.
_KINDS: Mapping[_Kind, tuple[str, ...]] = {
    BearerToken: ("auth_token",),
    UserCredential: ("user_id", "personal_access_token"),
    DatasourceCredential: ("datasource_id", "datasource_secret"),
}


@dataclass(frozen=True, slots=True)
class FoundSetting:
    """A setting of a client, and where it was found.

    Attributes:
        name: The setting's name, as an argument of the client.
        value: Its value, to be shown; of a credential the kind and the user, `***` in place of
            the secret.
        place: Where it was found: an argument, a variable, a key of the command line's file,
            `with_options`, or `default`.
    """

    name: str
    value: str
    place: str

    @property
    def source(self) -> str:
        """The place, of the command line's file without the key and the profile's name."""
        return _CLI_FILE if _CLI_FILE in self.place else self.place


@dataclass(frozen=True, slots=True)
class _Header:
    """The Authorization header of the credential found first, or None.

    With it, where that is from, and what is incomplete in the sources that were searched until
    then.
    """

    value: str | None = field(repr=False)
    place: str
    incomplete: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client was told, found and checked.

    Attributes:
        base_url: Where the API is, without a slash at its end.
        authorization: The value of the Authorization header; None sends none.
        timeout: Seconds for each connect, read and write.
        deadline: Seconds for a whole call, waits and replays included.
        retry: Whether and when a call is made again.
        on_retry: What is told of each replay before its wait.
        max_response_bytes: Bytes that an answer's body may have, packed and unpacked.
        organization_id: The organization of a typed client; empty for a raw one.
        invalid_rows: What becomes of a row that no model can be made from, in a typed client.
        places: The name of each setting, as an argument, and where it was found.
        sleeps: Whether a retry sleeps for its wait; a test's client only counts it.
    """

    base_url: str
    authorization: str | None = field(repr=False)
    timeout: float
    deadline: float
    retry: RetryPolicy
    on_retry: OnRetry | None
    max_response_bytes: int
    organization_id: str
    invalid_rows: InvalidRows
    places: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    sleeps: bool = field(default=True, repr=False)

    def but(self, **changes: Any) -> Settings:
        """Return settings that differ in those of the changes that are not None."""
        checked = {
            name: _CHECKS[name](value, name) for name, value in changes.items() if value is not None
        }
        derived = {*checked, "max_retry_count"} if "retry" in checked else {*checked}
        count = checked.pop("max_retry_count", None)
        if count is not None:
            checked["retry"] = replace(checked.get("retry", self.retry), max_retries=count)
        places = tuple((name, _DERIVED if name in derived else at) for name, at in self.places)
        return replace(self, **checked, places=places)

    def found(self) -> tuple[FoundSetting, ...]:
        """Return each setting as it is shown, and where it was found."""
        shown_as = {
            "credential": self._masked(),
            "max_retry_count": str(self.retry.max_retries),
            "on_retry": "none" if self.on_retry is None else "a function",
        }
        return tuple(
            FoundSetting(name, shown_as.get(name) or str(getattr(self, name)), place)
            for name, place in self.places
        )

    def secrets(self) -> tuple[str, ...]:
        """Return what is secret in the Authorization header, as it stands there and decoded."""
        kind, _, sent = (self.authorization or "").partition(" ")
        return (sent, _decoded(sent)[1]) if kind == "Basic" else tuple(filter(None, [sent]))

    def _masked(self) -> str:
        if self.authorization is None:
            return "none"
        kind, _, sent = self.authorization.partition(" ")
        return f"{kind} {_decoded(sent)[0]}:***" if kind == "Basic" else f"{kind} ***"


def raw_settings(*, credential: Credential | None, **arguments: Any) -> Settings:
    """Return a raw client's settings: from its arguments, then from the environment.

    No credential is none to send, and an incomplete one too, with a warning: existing code
    expects that.
    """
    sources = [_arguments(arguments), *_environment()]
    header = _authorization(credential, sources)
    if header.value is None and header.incomplete is not None:
        # From here over the client's __init__ to its caller.
        warnings.warn(
            f"no credential is sent, as it is incomplete: {header.incomplete}", stacklevel=3
        )
    # From there over this and the client's __init__ to its caller.
    return _settings(sources, header, "", stacklevel=4)


def typed_settings(
    *, credential: Credential | None, profile: str | None, **arguments: Any
) -> Settings:
    """Return a typed client's settings: from its arguments, the environment, the CLI's file.

    A profile is an argument: named, it goes before the environment.

    Raises:
        ConfigurationError: A value is bad, a credential incomplete, or there is no organization
            or no credential at all: then it says where it looked.
    """
    _one_kind(credential)
    sources = typed_sources(credential, profile, arguments)
    return settings_of(sources, credential)


def settings_of(sources: list[_Source], credential: Credential | None = None) -> Settings:
    """Return a typed client's settings, from the sources that `typed_sources` found."""
    header = _authorization(credential, sources)
    if header.incomplete is not None:
        raise ConfigurationError(f"the credential is incomplete: {header.incomplete}")
    if header.value is None and credential is None:
        raise ConfigurationError(
            "no credential: neither as the argument credential (an empty dict is none on purpose)"
            f" nor in {', '.join(list(_ENVIRONMENT.values())[:5])},"
            f" nor in {', '.join(_CLI_ENVIRONMENT.values())} (these three together),"
            f" nor as {_CLI_KEYS['user_id']} and {_CLI_KEYS['personal_access_token']}"
            f" in {_CLI_FILE}{_unreadable()}"
        )
    found = _first(sources, "organization_id")
    if found is None:
        raise ConfigurationError(
            "no organization: neither as the argument organization_id"
            f" nor in {_ENVIRONMENT['organization_id']},"
            f" nor in {', '.join(_CLI_ENVIRONMENT.values())} (these three together),"
            f" nor as {_CLI_KEYS['organization_id']} in {_CLI_FILE}{_unreadable()}"
        )
    return _settings(sources, header, _organization_id(*found), stacklevel=5)


def found_settings(sources: list[_Source]) -> list[tuple[str, Any, str]]:
    """Return the settings that a typed client takes from sources: name, value and place of each.

    Values are as a client would use them, and one that it would refuse as it was found; secrets
    are masked, and so is a base URL that is refused, as it may hold one. The parts of the
    credential are the last: those of the source that a client takes it from, or refuses because a
    part is missing there.
    """
    defaults: dict[str, Any] = {
        "organization_id": None,
        "base_url": DEFAULT_BASE_URL,
        "timeout": DEFAULT_TIMEOUT,
        "deadline": DEFAULT_DEADLINE,
        "max_retry_count": RetryPolicy().max_retries,
    }
    found: list[tuple[str, Any, str]] = []
    for name, default in defaults.items():
        nowhere = NOT_SET if default is None else DEFAULT_PLACE
        value, place = _first(sources, name) or (default, nowhere)
        found.append((name, value if place == nowhere else _used(name, value, place), place))
    for source in sources:
        if (kind := _kind_in(source)) is not None:
            for part in _KINDS[kind]:
                value, place = source.get(part, (None, NOT_SET))
                masked = part in _SECRETS and value is not None
                found.append((part, _MASK if masked else _scalar(value), place))
            return found
    return [*found, ("credential", None, NOT_SET)]


def _used(name: str, value: Any, place: str) -> Any:
    try:
        return _CHECKS[name](value, place)
    except ConfigurationError:
        return _MASK if name == "base_url" else _scalar(value)


def _scalar(value: Any) -> Any:
    # Of the file's JSON, a list or an object may hold a secret.
    return value if value is None or isinstance(value, str | int | float) else safe_repr(value)


def typed_sources(
    credential: Credential | None, profile: str | None, arguments: Mapping[str, Any]
) -> list[_Source]:
    """Return where a typed client looks for its settings, the first first.

    Raises:
        ConfigurationError: The file of the platform's command line cannot be used.
    """
    sources = [_arguments(arguments), *_environment()]
    if profile is not None:
        sources.insert(1, _cli_file(profile))
    elif credential is None or not all(map(sources[0].get, ("organization_id", "base_url"))):
        sources.append(_cli_file(None))
    return sources


def authorization(credential: Credential) -> str:
    """Return the Authorization header of a credential.

    Raises:
        ConfigurationError: It is none, or is incomplete.
    """
    header = _authorization(credential, [])
    if header.value is None:
        what = header.incomplete or "it is empty"
        raise ConfigurationError(f"the credential is incomplete: {what}")
    return header.value


def _settings(
    sources: list[_Source], header: _Header, organization_id: str, *, stacklevel: int
) -> Settings:
    places: dict[str, str] = {}

    def found(setting: str, default: Any) -> Any:
        first = _first(sources, setting)
        given = first is not None and setting in sources[0]
        places[setting] = f"argument {setting}" if given else first[1] if first else DEFAULT_PLACE
        return _CHECKS[setting](*(first or (default, setting)))

    if organization_id:  # a raw client has none
        found("organization_id", organization_id)
    places["credential"] = header.place
    retry = found("retry", RetryPolicy())
    # A policy that is an argument goes before the environment's count.
    if "max_retry_count" in sources[0] or "retry" not in sources[0]:
        retry = replace(retry, max_retries=found("max_retry_count", retry.max_retries))
    else:
        places["max_retry_count"] = places["retry"]
    base_url = found("base_url", DEFAULT_BASE_URL)
    if header.value is not None and (exposed := _exposed(base_url)):
        warnings.warn(
            f"the credential is going to be sent unencrypted to {exposed}",
            InsecureTransportWarning,
            stacklevel=stacklevel,
        )
    return Settings(
        base_url=base_url,
        authorization=header.value,
        timeout=found("timeout", DEFAULT_TIMEOUT),
        deadline=found("deadline", DEFAULT_DEADLINE),
        retry=retry,
        on_retry=found("on_retry", None),
        max_response_bytes=found("max_response_bytes", DEFAULT_MAX_RESPONSE_BYTES),
        organization_id=organization_id,
        invalid_rows=found("invalid_rows", "raise"),
        places=tuple(places.items()),
    )


def _exposed(base_url: str) -> str | None:
    """Return where what is sent there can be read on its way, or None if nowhere but here."""
    url = httpx.URL(base_url)
    if url.scheme == "https":
        return None
    if not is_here(url.host):
        return base_url
    try:
        proxy = proxy_for(base_url)
    except ConfigurationError:  # our own connections refuse it, and send nothing
        return None
    if proxy is None or is_here(httpx.URL(proxy).host):
        return None
    return f"{base_url} through a proxy that the environment names"


# -- sources --------------------------------------------------------------------------------------


def _first(sources: list[_Source], setting: str) -> tuple[Any, str] | None:
    return next((source[setting] for source in sources if setting in source), None)


def _arguments(arguments: Mapping[str, Any]) -> _Source:
    return {name: (value, name) for name, value in arguments.items() if value is not None}


def _environment() -> list[_Source]:
    cli = _found(os.environ, _CLI_ENVIRONMENT)
    complete = len(cli) == len(_CLI_ENVIRONMENT)
    return [_found(os.environ, _ENVIRONMENT), cli if complete else {}]


def _cli_file(profile: str | None) -> _Source:
    if profile == "":
        raise ConfigurationError("profile must be the name of a configuration, not empty")
    try:
        with _cli_path().open("rb") as file:
            content = file.read(_LARGEST_CLI_FILE + 1)
            mode = os.fstat(file.fileno()).st_mode & 0o777
    # No file, no home, or somebody else's home, as in many a container.
    except (FileNotFoundError, RuntimeError, PermissionError):
        if profile is not None:
            raise ConfigurationError(
                f"profile {profile!r} cannot be used: there is no {_CLI_FILE} that can be read"
            ) from None
        return {}
    except OSError as error:
        raise ConfigurationError(f"{_CLI_FILE} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        # From here over typed_sources, typed_settings and the client's __init__ to its caller.
        warnings.warn(
            f"{_CLI_FILE} holds a secret and others may read it (mode {mode:o}): chmod it to 600",
            stacklevel=5,
        )
    if len(content) > _LARGEST_CLI_FILE:
        raise ConfigurationError(f"{_CLI_FILE} is larger than {_LARGEST_CLI_FILE} bytes")
    parsed, problem = parse_object(content, _FILE_KEYS)
    if problem is not None:
        raise ConfigurationError(f"{_CLI_FILE} {problem}")
    wanted = profile or parsed.get("active-configuration-name")
    entry = _named(parsed.get("configurations"), wanted) if wanted else parsed
    of = f" of {safe_repr(wanted)}" if wanted else ""
    return _found(entry, _CLI_KEYS, after=f"{of} in {_CLI_FILE}")


def _cli_path() -> Path:
    return Path.home() / ".abeja" / "config"


def _unreadable() -> str:
    """Return what keeps the CLI's file from being read, for an error that names the file."""
    try:
        _cli_path().open("rb").close()
    except PermissionError as error:
        return f", which cannot be read: {error.strerror}"
    except (OSError, RuntimeError):
        pass
    return ""


def _named(configurations: Any, wanted: Any) -> Mapping[str, Any]:
    entries = configurations if isinstance(configurations, list) else []
    named = [
        (entry["configuration-name"], entry)
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("configuration-name"), str)
    ]
    found: list[Mapping[str, Any]] = [entry for name, entry in named if name == wanted]
    if not found:
        raise ConfigurationError(
            f"{_CLI_FILE} has no configuration {safe_repr(wanted)},"
            f" but these: {[name for name, _ in named]}"
        )
    if any(entry != found[0] for entry in found):
        raise ConfigurationError(
            f"{_CLI_FILE} has {len(found)} configurations {safe_repr(wanted)} that differ"
        )
    return found[0]


def _found(
    values: Mapping[str, Any], names: Mapping[str, str], before: str = "", after: str = ""
) -> _Source:
    return {
        setting: (values[name], f"{before}{name}{after}")
        for setting, name in names.items()
        if values.get(name)
    }


def _one_kind(credential: Credential | None) -> None:
    if isinstance(credential, Mapping):
        given = [[part for part in parts if credential.get(part)] for parts in _KINDS.values()]
        kinds = [" and ".join(parts) for parts in given if parts]
        if len(kinds) > 1:
            raise ConfigurationError(f"credential must be of one kind, not {', '.join(kinds)}")


def _kind_in(source: _Source) -> _Kind | None:
    """Return the kind of credential that a source has all parts of, or else some."""
    for enough in (all, any):
        for kind, parts in _KINDS.items():
            if enough(part in source for part in parts):
                return kind
    return None


def _authorization(credential: Credential | None, sources: list[_Source]) -> _Header:
    given = "argument credential"
    if isinstance(credential, BearerToken | UserCredential | DatasourceCredential):
        return _Header(credential._authorization, given, None)
    incomplete = None
    if credential is not None:
        if not isinstance(credential, Mapping):
            raise ConfigurationError(
                "credential must be a BearerToken, a UserCredential, a DatasourceCredential"
                f" or a dict, not a {type(credential).__name__}"
            )
        keys = {key: key for keys in _KINDS.values() for key in keys}
        sources = [_found(credential, keys, before="credential['", after="']")]
        if credential and not sources[0]:
            incomplete = f"credential has a value for none of {', '.join(keys)}"
            if unknown := [safe_repr(key) for key in credential if key not in keys]:
                incomplete += f"; it has {', '.join(unknown)}"
    for source in sources:
        if (kind := _kind_in(source)) is None:
            continue
        parts = _KINDS[kind]
        held = [source[part] for part in parts if part in source]
        if len(held) == len(parts):
            found = kind(*(_header_text(*each) for each in held))
            places = " and ".join(place for _, place in held)
            place = places if credential is None else given
            return _Header(found._authorization, place, incomplete)
        missing = " and ".join(part for part in parts if part not in source)
        incomplete = incomplete or f"{held[0][1]} is there without its {missing}"
    return _Header(None, DEFAULT_PLACE if credential is None else given, incomplete)


# -- checks: a value and its place in, the value as it is used out --------------------------------


def _header_text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{place} must be a string that is not empty")
    # The HTTP library would show a value that it cannot send, secret and all.
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise ConfigurationError(
            f"{place} must be of printable ASCII characters, without a space at either end"
        )
    return value


def _user_text(value: Any, place: str) -> str:
    if ":" in _header_text(value, place):
        raise ConfigurationError(f"{place} must hold no colon: the secret begins after one")
    return str(value)


def _basic(prefix: str, user: str, secret: str) -> str:
    user = user if user.startswith(prefix) else prefix + user
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def _decoded(basic: str) -> tuple[str, str]:
    user, _, secret = base64.b64decode(basic).decode().partition(":")
    return user, secret


def _organization_id(value: Any, place: str) -> str:
    try:
        quote_segment(place, value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(str(error)) from None
    return str(value)


def _base_url(value: Any, place: str) -> str:
    try:
        url = httpx.URL(value)
    except (TypeError, ValueError, httpx.InvalidURL):
        url = httpx.URL()
    text = str(value)
    if url.userinfo or "@" in text:  # not shown: it may be a password
        raise ConfigurationError(
            f"{place} must hold no user name or password: pass them as credential"
        )
    if "?" in text or "#" in text:
        raise ConfigurationError(f"{place} must hold no query and no fragment")
    usable = url.scheme in ("http", "https") and is_host(url.host) and (url.port or 0) <= 65535
    if not usable or any(character.isspace() for character in text):
        raise ConfigurationError(
            f"{place} must be an http or https URL with a host, not {safe_repr(value)}"
        )
    return str(url).rstrip("/")


def _seconds(value: Any, place: str) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 < seconds <= MAX_TIMEOUT:
        raise ConfigurationError(
            f"{place} must be seconds, above 0 and at most {MAX_TIMEOUT}, not {safe_repr(value)}"
        )
    return seconds


def _count(value: Any, place: str) -> int:
    try:
        count = -1 if isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        count = -1
    if count < 0:
        raise ConfigurationError(f"{place} must be a whole number from 0, not {safe_repr(value)}")
    return count


def _retry(value: Any, place: str) -> RetryPolicy:
    if not isinstance(value, RetryPolicy):
        raise ConfigurationError(f"{place} must be a RetryPolicy, not {safe_repr(value)}")
    return value


def _on_retry(value: Any, place: str) -> OnRetry | None:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{place} must be callable, not {safe_repr(value)}")
    if inspect.iscoroutinefunction(value):
        raise ConfigurationError(f"{place} must be a plain function: nobody would await it")
    hook: OnRetry | None = value
    return hook


def _invalid_rows(value: Any, place: str) -> InvalidRows:
    if value not in ("raise", "skip"):
        raise ConfigurationError(f"{place} must be 'raise' or 'skip', not {safe_repr(value)}")
    rows: InvalidRows = value
    return rows


_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "organization_id": _organization_id,
    "base_url": _base_url,
    "timeout": _seconds,
    "deadline": _seconds,
    "retry": _retry,
    "max_retry_count": _count,
    "on_retry": _on_retry,
    "max_response_bytes": _count,
    "invalid_rows": _invalid_rows,
}
