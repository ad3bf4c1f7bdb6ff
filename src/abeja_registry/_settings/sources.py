"""The sources of settings: arguments, environment, the file of the platform's command line.

A source maps the names of settings to values; the first source that has a setting wins.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .._api.retries import RetryPolicy
from .._validation import safe_repr
from ..exceptions import ConfigurationError
from .json_object import parse_object

# The source of a setting that was not found, with a default and without one.
DEFAULT = "default"
NOT_SET = "not set"

CLI_FILE = "~/.abeja/config"
# The variable that names a configuration of the file.
PROFILE = "ABEJA_PROFILE"
# Maximum size in bytes; a file of dozens of configurations has a tenth of it.
_MAX_CLI_FILE = 1024 * 1024
_PROFILES, _PROFILE, _ACTIVE = "configurations", "configuration-name", "active-configuration-name"


# The variable of each setting.
_VARIABLES = {
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
# The platform's command line uses these only if all three are set.
_CLI_VARIABLES = {
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


class Found(NamedTuple):
    """A value in a source.

    Attributes:
        value: The unchecked value.
        name: Its name in an error: the argument, the variable, or the key and the file.
        source: Its source, as it is displayed.
    """

    value: Any
    name: str
    source: str


Source = dict[str, Found]


def typed_sources(arguments: Source, profile: str | None, *, credential: bool) -> list[Source]:
    """Return the sources of a typed client's settings, in their order.

    Raises:
        ConfigurationError: The file of the platform's command line is invalid.
    """
    if profile is not None:
        return [arguments, _cli_file(profile, "profile"), *environment()]
    if credential and {"organization_id", "base_url"} <= arguments.keys():
        return [arguments, *environment()]
    if profile := os.environ.get(PROFILE):
        variables, cli = environment()
        return [arguments, variables, _cli_file(profile, PROFILE), cli]
    return [arguments, *environment(), _cli_file(None, None)]


def from_arguments(arguments: Mapping[str, Any], source: str | None = None) -> Source:
    """Return the arguments that are not None; a retry policy also sets the count of retries."""
    found = {
        name: Found(value, name, source or f"argument {name}")
        for name, value in arguments.items()
        if value is not None
    }
    if "retry" in found and isinstance(policy := found["retry"].value, RetryPolicy):
        found.setdefault("max_retry_count", found["retry"]._replace(value=policy.max_retries))
    return found


def environment() -> list[Source]:
    """Return the platform's variables, and those of its command line if all are set."""
    cli = _select(os.environ, _CLI_VARIABLES)
    return [_select(os.environ, _VARIABLES), cli if len(cli) == len(_CLI_VARIABLES) else {}]


def not_found(what: str, argument: str, settings: Sequence[str]) -> str:
    """Return an error that names each source in which settings were not found."""
    keys = [_CLI_KEYS[each] for each in settings if each in _CLI_KEYS]
    return (
        f"no {what}: pass the argument {argument},"
        f" or set {', '.join(_VARIABLES[each] for each in settings)},"
        f" or {', '.join(_CLI_VARIABLES.values())} (these three together),"
        f" or {' and '.join(keys)} in {CLI_FILE}{_unreadable()}"
    )


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Emit a warning that points to the caller's line outside this package."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("abeja_registry."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _select(values: Mapping[str, Any], names: Mapping[str, str], where: str = "") -> Source:
    """Return the settings with a non-empty value."""
    return {
        setting: Found(values[name], f"{name}{where}", f"{name}{where}")
        for setting, name in names.items()
        if values.get(name)
    }


# -- the file -------------------------------------------------------------------------------------


def profile_names() -> list[str]:
    """Return the names of the configurations in the file.

    Raises:
        ConfigurationError: The file of the platform's command line is invalid.
    """
    return [entry[_PROFILE] for entry in _named((_read_cli_file() or {}).get(_PROFILES))]


def _cli_file(profile: str | None, setting: str | None) -> Source:
    """Return the settings of a configuration; `setting` is the argument or variable naming it."""
    if profile == "":
        raise ConfigurationError(f"{setting} must be the name of a configuration, not empty")
    parsed = _read_cli_file()
    if parsed is None and profile is not None:
        raise ConfigurationError(
            f"{setting} {profile!r} cannot be used: {CLI_FILE} does not exist or cannot be read"
        )
    parsed = parsed or {}
    wanted = profile or parsed.get(_ACTIVE)
    entry = _choose(parsed.get(_PROFILES), wanted) if wanted else parsed
    of = f" of {safe_repr(wanted)}" if wanted else ""
    return _select(entry, _CLI_KEYS, f"{of} in {CLI_FILE}")


def _read_cli_file() -> Mapping[str, Any] | None:
    """Return the keys of the file, or None if it does not exist or cannot be read."""
    try:
        with _cli_path().open("rb") as file:
            content = file.read(_MAX_CLI_FILE + 1)
            mode = os.fstat(file.fileno()).st_mode & 0o777
    # No file; no home directory; or, as in many containers, the home of another user.
    except (FileNotFoundError, RuntimeError, PermissionError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{CLI_FILE} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        warn(f"{CLI_FILE} holds a secret, and others can read it (mode {mode:o}): chmod it to 600")
    if len(content) > _MAX_CLI_FILE:
        raise ConfigurationError(f"{CLI_FILE} is larger than {_MAX_CLI_FILE} bytes")
    keys = (*_CLI_KEYS.values(), _PROFILES, _PROFILE, _ACTIVE)
    parsed, problem = parse_object(content, keys)
    if problem is not None:
        raise ConfigurationError(f"{CLI_FILE} {problem}")
    return parsed


def _cli_path() -> Path:
    return Path.home() / ".abeja" / "config"


def _unreadable() -> str:
    """Return why the file cannot be read, to be appended to its name in an error."""
    try:
        _cli_path().open("rb").close()
    except (OSError, RuntimeError) as error:
        if isinstance(error, PermissionError):
            return f", which cannot be read: {error.strerror}"
    return ""


def _named(profiles: Any) -> list[Mapping[str, Any]]:
    """Return the configurations that have a name."""
    return [
        entry
        for entry in (profiles if isinstance(profiles, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get(_PROFILE), str)
    ]


def _choose(profiles: Any, wanted: Any) -> Mapping[str, Any]:
    named = _named(profiles)
    matching: list[Mapping[str, Any]] = [each for each in named if each[_PROFILE] == wanted]
    if not matching:
        raise ConfigurationError(
            f"{CLI_FILE} has no configuration {safe_repr(wanted)};"
            f" it has {[each[_PROFILE] for each in named]}"
        )
    if any(each != matching[0] for each in matching):
        raise ConfigurationError(
            f"{CLI_FILE} has {len(matching)} configurations {safe_repr(wanted)} that differ"
        )
    return matching[0]
