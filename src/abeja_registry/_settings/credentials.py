"""Credentials: the three kinds, their parts in each source, and the Authorization header."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from .._validation import as_configuration_error, safe_repr
from ..exceptions import ConfigurationError, InvalidArgument
from .checks import check_secret, check_user
from .sources import DEFAULT, NOT_SET, Found, Source

_ARGUMENT = "argument credential"


@dataclass(frozen=True, slots=True)
class _Kind:
    # The fields are the credential's parts; the repr hides the secret.
    def __post_init__(self) -> None:
        with as_configuration_error():
            for part in fields(self):
                _check(part.name, part.name, getattr(self, part.name))


@dataclass(frozen=True, slots=True)
class BearerToken(_Kind):
    """A bearer token of the platform.

    Args:
        auth_token: The token, without the word Bearer.

    Raises:
        ConfigurationError: A part does not fit into a header; the message does not show it.
    """

    auth_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserCredential(_Kind):
    """A user and one of their personal access tokens.

    Args:
        user_id: The user's id, with or without its prefix `user-`.
        personal_access_token: The token.

    Raises:
        ConfigurationError: A part does not fit into a header; the message does not show it.
    """

    user_id: str
    personal_access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DatasourceCredential(_Kind):
    """A datasource and its secret.

    Args:
        datasource_id: The datasource's id, with or without its prefix `datasource-`.
        datasource_secret: The secret.

    Raises:
        ConfigurationError: A part does not fit into a header; the message does not show it.
    """

    datasource_id: str
    datasource_secret: str = field(repr=False)


Credential = BearerToken | UserCredential | DatasourceCredential | Mapping[str, str]

# The parts of each kind, in the order in which a source is searched.
_KINDS = [
    [part.name for part in fields(kind)]
    for kind in (BearerToken, UserCredential, DatasourceCredential)
]
PARTS = [part for kind in _KINDS for part in kind]
SECRETS = [kind[-1] for kind in _KINDS]


@dataclass(frozen=True, slots=True)
class Authorization:
    """The Authorization header of a credential.

    Attributes:
        header: The header's value; None sends no header.
        shown: The scheme and the user, to be displayed.
        secrets: The secrets, encoded as in the header, and decoded.
    """

    header: str | None = field(repr=False)
    shown: str
    secrets: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True, slots=True)
class FoundCredential:
    """A credential in a source.

    Attributes:
        parts: Each part of its kind, also a missing one; empty to send no credential.
        incomplete: Which parts are missing; None if the credential is complete.
    """

    parts: Source
    incomplete: str | None = None


ANONYMOUS = Found(FoundCredential({}), "credential", DEFAULT)


def find_credentials(credential: Credential | None, sources: Sequence[Source]) -> list[Found]:
    """Return the argument's credential, or else those of the sources, in their order.

    Raises:
        ConfigurationError: The argument is no credential.
    """
    if credential is not None:
        sources = [_parts_of(credential)]
    credentials = [each for source in sources if (each := _credential_in(source))]
    if credential is None or credentials:
        return credentials
    incomplete = None
    if isinstance(credential, Mapping) and credential:
        incomplete = f"credential has none of {', '.join(PARTS)}"
        if unknown := [safe_repr(key) for key in credential if key not in PARTS]:
            incomplete += f"; it has {', '.join(unknown)}"
    return [Found(FoundCredential({}, incomplete), "credential", _ARGUMENT)]


def check_single_kind(credential: Credential) -> None:
    """Accept a credential with parts of one kind only."""
    given = _parts_of(credential)
    kinds = [" and ".join(filter(given.get, kind)) for kind in _KINDS]
    if len(kinds := [*filter(None, kinds)]) > 1:
        raise ConfigurationError(f"credential must be of one kind, not {', '.join(kinds)}")


def authorize(_: str, credential: FoundCredential) -> Authorization:
    """Return the Authorization header of a credential.

    Raises:
        InvalidArgument: A part is missing or invalid.
    """
    if credential.incomplete is not None:
        raise InvalidArgument(f"the credential is incomplete: {credential.incomplete}")
    parts = credential.parts.items()
    values = {part: _check(part, name, value) for part, (value, name, _) in parts}
    if not values:
        return Authorization(None, "none", ())
    # Assumption: a request has a bearer token, or an id and a secret as HTTP Basic credentials.
    if token := values.get("auth_token"):
        return Authorization(f"Bearer {token}", "Bearer ***", (token,))
    (part, user), (_, secret) = values.items()
    prefix = part.removesuffix("id").replace("_", "-")
    user = user if user.startswith(prefix) else prefix + user
    sent = base64.b64encode(f"{user}:{secret}".encode()).decode()
    return Authorization(f"Basic {sent}", f"Basic {user}:***", (sent, secret))


def authorization(credential: Credential) -> str:
    """Return the value of the Authorization header of a credential.

    Raises:
        ConfigurationError: The credential is invalid or incomplete.
    """
    with as_configuration_error():
        header = authorize("credential", find_credentials(credential, [])[0].value).header
    if header is None:
        raise ConfigurationError("the credential is empty")
    return header


def _check(part: str, name: str, value: object) -> str:
    return (check_user if part.endswith("_id") else check_secret)(name, value)


def _parts_of(credential: Credential) -> Source:
    if isinstance(credential, _Kind):
        credential = {part.name: getattr(credential, part.name) for part in fields(credential)}
    if not isinstance(credential, Mapping):
        raise ConfigurationError(
            "credential must be a BearerToken, a UserCredential, a DatasourceCredential"
            f" or a dict, not a {type(credential).__name__}"
        )
    return {
        part: Found(credential[part], f"credential['{part}']", _ARGUMENT)
        for part in PARTS
        if credential.get(part)
    }


def _credential_in(source: Source) -> Found | None:
    # A complete kind goes before an incomplete one.
    for kind in sorted(_KINDS, key=lambda kind: not all(part in source for part in kind)):
        if held := [source[part] for part in kind if part in source]:
            parts = {part: source.get(part, Found(None, part, NOT_SET)) for part in kind}
            missing = " and ".join(part for part in kind if part not in source)
            incomplete = f"{held[0].name} is set without {missing}" if missing else None
            named = " and ".join(dict.fromkeys(part.source for part in held))
            return Found(FoundCredential(parts, incomplete), "credential", named)
    return None
