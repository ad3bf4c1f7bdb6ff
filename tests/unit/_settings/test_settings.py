"""Settings: sources, their order and checks; errors name the source, and show no secret."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from tests.support.configuration import SECRET, SetEnvironment, authorization, refused, sent_by
from tests.support.internals import Settings, raw_settings, settings_of

from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    BearerToken,
    Client,
    ConfigurationError,
    DatasourceCredential,
    InsecureTransportWarning,
    Retry,
    RetryPolicy,
    UserCredential,
)

NO_HEADER = "consist of printable ASCII characters, without spaces at either end"
DEFAULT_URL = "https://api.abeja.io"

Write = Callable[[object], None]

TOKEN = {"PLATFORM_AUTH_TOKEN": "t"}
USER = {"ABEJA_PLATFORM_USER_ID": "1", "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN": "p"}
DATASOURCE = {"ABEJA_PLATFORM_DATASOURCE_ID": "2", "ABEJA_PLATFORM_DATASOURCE_SECRET": "s"}
CLI = {"ABEJA_CLI_USER": "3", "ABEJA_CLI_TOKEN": "c", "ABEJA_CLI_ORGANIZATION": "30"}
# The same credentials as dicts of existing code, by their names in the environment.
KEYS = {
    "PLATFORM_AUTH_TOKEN": "auth_token",
    "ABEJA_PLATFORM_USER_ID": "user_id",
    "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN": "personal_access_token",
    "ABEJA_PLATFORM_DATASOURCE_ID": "datasource_id",
    "ABEJA_PLATFORM_DATASOURCE_SECRET": "datasource_secret",
}
FILE = {
    "abeja-platform-user": "4",
    "personal-access-token": "f",
    "organization-name": "40",
    "abeja-api-url": "https://file.example.com",
}
NAMED = {"configurations": [{"configuration-name": "other"} | FILE]}


@pytest.fixture
def cli_file() -> Write:
    """Write the file of the platform's command line: bytes, or a value as JSON."""

    def write(content: object) -> None:
        folder = Path(os.environ["HOME"]) / ".abeja"
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath("config").write_bytes(
            content if isinstance(content, bytes) else json.dumps(content).encode()
        )
        folder.joinpath("config").chmod(0o600)

    return write


def settings(**arguments: Any) -> Settings:
    """Return a raw client's settings without a credential."""
    return raw_settings(credential={}, **arguments)


# -- credentials ----------------------------------------------------------------------------------

COMPLETE: dict[str, tuple[dict[str, str], str]] = {
    "token": (TOKEN, "Bearer t"),
    "user": (USER, "Basic user-1:p"),
    "user with its prefix": (USER | {"ABEJA_PLATFORM_USER_ID": "user-1"}, "Basic user-1:p"),
    "datasource": (DATASOURCE, "Basic datasource-2:s"),
    "datasource with its prefix": (
        DATASOURCE | {"ABEJA_PLATFORM_DATASOURCE_ID": "datasource-2"},
        "Basic datasource-2:s",
    ),
    "an empty token before a user": (USER | {"PLATFORM_AUTH_TOKEN": ""}, "Basic user-1:p"),
}
SEVERAL: dict[str, tuple[dict[str, str], str, str]] = {
    "a token before all": (
        DATASOURCE | USER | TOKEN,
        "Bearer t",
        "auth_token, user_id and personal_access_token, datasource_id and datasource_secret",
    ),
    "a user before a datasource": (
        DATASOURCE | USER,
        "Basic user-1:p",
        "user_id and personal_access_token, datasource_id and datasource_secret",
    ),
    "a token before half a user": (
        TOKEN | {"ABEJA_PLATFORM_USER_ID": "1"},
        "Bearer t",
        "auth_token, user_id",
    ),
    "half a user before a datasource": (
        DATASOURCE | {"ABEJA_PLATFORM_USER_ID": "1"},
        "Basic datasource-2:s",
        "user_id, datasource_id and datasource_secret",
    ),
}
KINDS: dict[str, tuple[Any, str]] = {
    "token": (BearerToken("t"), "Bearer t"),
    "user": (UserCredential("1", "p"), "Basic user-1:p"),
    "user with its prefix": (UserCredential("user-1", "p"), "Basic user-1:p"),
    "datasource": (DatasourceCredential("2", "s"), "Basic datasource-2:s"),
    "datasource with its prefix": (
        DatasourceCredential("datasource-2", "s"),
        "Basic datasource-2:s",
    ),
    "read-only mapping": (MappingProxyType({"auth_token": "t"}), "Bearer t"),
}
both_layers = pytest.mark.parametrize(
    ("kind", "arguments"), [(APIClient, ()), (Client, ("10",))], ids=["raw", "typed"]
)


@both_layers
@pytest.mark.parametrize(("variables", "header"), COMPLETE.values(), ids=COMPLETE)
def test_a_credential_of_the_environment(
    environment: SetEnvironment,
    kind: type[APIClient | Client],
    arguments: tuple[str, ...],
    variables: dict[str, str],
    header: str,
) -> None:
    """It becomes the header, with its prefix once."""
    environment(variables)
    assert authorization(sent_by(kind, *arguments)) == header


@both_layers
@pytest.mark.parametrize(("variables", "header"), COMPLETE.values(), ids=COMPLETE)
def test_a_credential_as_a_dict(
    environment: SetEnvironment,
    kind: type[APIClient | Client],
    arguments: tuple[str, ...],
    variables: dict[str, str],
    header: str,
) -> None:
    """A dict goes before the environment, and is not changed."""
    environment({"PLATFORM_AUTH_TOKEN": "of the environment"})
    credential = {KEYS[name]: value for name, value in variables.items()}
    before = dict(credential)
    assert authorization(sent_by(kind, *arguments, credential=credential)) == header
    assert credential == before


@both_layers
@pytest.mark.parametrize(("credential", "header"), KINDS.values(), ids=KINDS)
def test_a_credential_as_a_value(
    kind: type[APIClient | Client], arguments: tuple[str, ...], credential: Any, header: str
) -> None:
    """Each class of credential becomes its header."""
    assert authorization(sent_by(kind, *arguments, credential=credential)) == header


@both_layers
def test_all_three_cli_variables(
    environment: SetEnvironment, kind: type[APIClient | Client], arguments: tuple[str, ...]
) -> None:
    """They are a user; the platform's own variables go before them."""
    environment(CLI)
    assert authorization(sent_by(kind, *arguments)) == "Basic user-3:c"
    environment(TOKEN)
    assert authorization(sent_by(kind, *arguments)) == "Bearer t"


@pytest.mark.parametrize("missing", CLI)
def test_two_of_three_cli_variables(environment: SetEnvironment, missing: str) -> None:
    """They are ignored: no incomplete credential, and no organization."""
    environment({name: value for name, value in CLI.items() if name != missing})
    assert authorization(sent_by(APIClient)) is None
    assert refused(Client, "10").startswith("no credential: ")
    assert refused(Client, credential={}).startswith("no organization: ")


@both_layers
def test_an_empty_dict_is_anonymous(
    environment: SetEnvironment, kind: type[APIClient | Client], arguments: tuple[str, ...]
) -> None:
    """It sends no credential, for any environment."""
    environment(TOKEN)
    assert authorization(sent_by(kind, *arguments, credential={})) is None


def test_the_raw_client_needs_no_credential() -> None:
    """Without one, it sends no header."""
    assert authorization(sent_by(APIClient)) is None


INCOMPLETE: dict[str, tuple[dict[str, str], str]] = {
    "user": ({"ABEJA_PLATFORM_USER_ID": "1"}, "personal_access_token"),
    "access token": ({"ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN": SECRET}, "user_id"),
    "datasource": ({"ABEJA_PLATFORM_DATASOURCE_ID": "2"}, "datasource_secret"),
    "secret": ({"ABEJA_PLATFORM_DATASOURCE_SECRET": SECRET}, "datasource_id"),
    "without its secret": (
        {"ABEJA_PLATFORM_USER_ID": "1", "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN": ""},
        "personal_access_token",
    ),
}


@pytest.mark.parametrize("by", ["argument", "environment"])
@pytest.mark.parametrize(("variables", "other"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_an_incomplete_credential(
    environment: SetEnvironment, variables: dict[str, str], other: str, by: str
) -> None:
    """The raw client warns and sends none; the typed client refuses it."""
    place = next(iter(variables))
    options: dict[str, Any] = {}
    if by == "environment":
        environment(variables)
    else:
        options["credential"] = {KEYS[name]: value for name, value in variables.items()}
        place = f"credential['{KEYS[place]}']"
    what = f"{place} is set without {other}"
    with pytest.warns(UserWarning, match="no credential is sent") as caught:
        request = sent_by(APIClient, **options)
    assert authorization(request) is None
    assert [str(each.message) for each in caught] == [
        f"no credential is sent because it is incomplete: {what}"
    ]
    assert refused(Client, "10", **options) == f"the credential is incomplete: {what}"


@pytest.mark.parametrize(
    ("credential", "beside"),
    [
        ({"auth_token": ""}, ""),
        ({"auth_token": None}, ""),
        ({"token": SECRET}, "; it has 'token'"),
        ({"user": "1", 5: SECRET}, "; it has 'user', 5"),
    ],
    ids=["empty", "none", "another name", "other names"],
)
def test_a_dict_without_a_credential(credential: Any, beside: str) -> None:
    """It is incomplete, and the error lists its keys."""
    what = (
        "credential has none of auth_token, user_id, personal_access_token,"
        f" datasource_id, datasource_secret{beside}"
    )
    with pytest.warns(UserWarning, match=what):
        assert authorization(sent_by(APIClient, credential)) is None
    assert refused(Client, "10", credential) == f"the credential is incomplete: {what}"


@pytest.mark.parametrize(("variables", "header", "kinds"), SEVERAL.values(), ids=SEVERAL)
def test_a_credential_of_several_kinds(
    environment: SetEnvironment, variables: dict[str, str], header: str, kinds: str
) -> None:
    """The raw client sends the first complete kind; the typed client refuses a dict."""
    credential = {KEYS[name]: value for name, value in variables.items()}
    assert authorization(sent_by(APIClient, credential)) == header
    for kind in (Client, AsyncClient):
        assert refused(kind, "10", credential) == f"credential must be of one kind, not {kinds}"
    environment(variables)
    assert authorization(sent_by(APIClient)) == authorization(sent_by(Client, "10")) == header


@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient])
def test_the_warning_points_at_the_caller(kind: Callable[..., object]) -> None:
    """It names the line that created the client."""
    with pytest.warns(UserWarning, match="incomplete") as caught:
        kind({"user_id": "1"})
    assert caught[0].filename == __file__


def test_a_complete_credential_goes_before_an_incomplete_one(environment: SetEnvironment) -> None:
    """The raw client sends the next source's credential, without a warning."""
    environment(CLI | {"ABEJA_PLATFORM_USER_ID": "1"})
    assert authorization(sent_by(APIClient)) == "Basic user-3:c"


@pytest.mark.parametrize(
    ("credential", "name"),
    [(SECRET, "str"), (("auth_token", SECRET), "tuple"), (SECRET.encode(), "bytes"), (0, "int")],
    ids=lambda value: value if value in ("str", "tuple", "bytes", "int") else "",
)
@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient, Client, AsyncClient])
def test_a_credential_of_another_type(
    kind: Callable[..., object], credential: Any, name: str
) -> None:
    """Neither a credential nor a dict: the error shows only its class."""
    assert refused(kind, credential=credential) == (
        "credential must be a BearerToken, a UserCredential, a DatasourceCredential or a dict,"
        f" not a {name}"
    )


@pytest.mark.parametrize(
    ("credential", "shown"),
    [
        (BearerToken(SECRET), "BearerToken()"),
        (UserCredential("1", SECRET), "UserCredential(user_id='1')"),
        (DatasourceCredential("2", SECRET), "DatasourceCredential(datasource_id='2')"),
    ],
    ids=["token", "user", "datasource"],
)
def test_no_repr_shows_a_secret(environment: SetEnvironment, credential: Any, shown: str) -> None:
    """Neither a credential's, nor the settings', nor a client's."""
    environment({"HTTPS_PROXY": f"http://u:{SECRET}@proxy.example.com"})
    assert repr(credential) == str(credential) == shown
    everything = raw_settings(credential=credential)
    with APIClient(credential) as raw, Client("10", credential) as typed:
        text = f"{everything!r} {raw!r} {typed!r} {typed.raw!r}"
    assert SECRET not in text
    assert str(everything.authorization) not in text


# -- values that do not fit into a header ---------------------------------------------------------

UNSENDABLE = {
    "newline": SECRET + "\n",
    "header": f"{SECRET}\r\nX-Other: 1",
    "tab": f"{SECRET}\t{SECRET}",
    "space before": f" {SECRET}",
    "space behind": f"{SECRET} ",
    "no ASCII": f"{SECRET}é",
}


ARGUMENTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "token": (BearerToken, "auth_token"),
    "user": (lambda value: UserCredential(value, "p"), "user_id"),
    "access token": (lambda value: UserCredential("1", value), "personal_access_token"),
    "datasource": (lambda value: DatasourceCredential(value, "s"), "datasource_id"),
    "secret": (lambda value: DatasourceCredential("2", value), "datasource_secret"),
    "raw": (lambda value: APIClient({"auth_token": value}), "credential['auth_token']"),
    "typed": (lambda value: Client("10", {"auth_token": value}), "credential['auth_token']"),
}
unsendable = pytest.mark.parametrize("value", UNSENDABLE.values(), ids=UNSENDABLE)


@unsendable
@pytest.mark.parametrize(("build", "place"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_invalid_part_of_a_credential(
    value: str, build: Callable[[Any], object], place: str
) -> None:
    """The error names it, and does not show it."""
    assert refused(build, value) == f"{place} must {NO_HEADER}"


@unsendable
def test_an_invalid_credential_of_a_source(
    environment: SetEnvironment, cli_file: Write, value: str
) -> None:
    """The error names the file's key or the variable, without the value."""
    cli_file(FILE | {"personal-access-token": value})
    place = "personal-access-token in ~/.abeja/config"
    assert refused(Client) == f"{place} must {NO_HEADER}"
    environment({"PLATFORM_AUTH_TOKEN": value})
    for kind in (APIClient, Client):
        assert refused(kind) == f"PLATFORM_AUTH_TOKEN must {NO_HEADER}"


@pytest.mark.parametrize(
    ("build", "place"),
    [
        (lambda: BearerToken(""), "auth_token"),
        (lambda: BearerToken(SECRET.encode()), "auth_token"),  # type: ignore[arg-type]
        (lambda: UserCredential(1, SECRET), "user_id"),  # type: ignore[arg-type]
        (lambda: DatasourceCredential("2", ""), "datasource_secret"),
        (lambda: APIClient({"auth_token": [SECRET]}), "credential['auth_token']"),  # type: ignore[dict-item]
        (
            lambda: Client("10", {"user_id": 1, "personal_access_token": SECRET}),  # type: ignore[dict-item]
            "credential['user_id']",
        ),
    ],
    ids=["empty", "bytes", "number", "empty secret", "list", "number in a dict"],
)
def test_a_part_of_a_credential_must_be_a_non_empty_string(
    build: Callable[[], object], place: str
) -> None:
    """The error names it, and does not show it."""
    assert refused(build) == f"{place} must be a non-empty string"


# -- the order of the sources ---------------------------------------------------------------------


@pytest.mark.parametrize("first", range(4), ids=["argument", "variable", "CLI", "file"])
def test_the_order_of_sources_for_the_organization(
    environment: SetEnvironment, cli_file: Write, first: int
) -> None:
    """The argument, then ABEJA_ORGANIZATION_ID, then ABEJA_CLI_*, then the file."""
    cli_file(FILE)
    environment(CLI if first <= 2 else {})
    environment({"ABEJA_ORGANIZATION_ID": "20"} if first <= 1 else {})
    arguments = ("10",) if first == 0 else ()
    with Client(*arguments) as client:
        assert client.organization_id == ("10", "20", "30", "40")[first]


@pytest.mark.parametrize("first", range(4), ids=["argument", "variable", "CLI", "file"])
def test_the_order_of_sources_for_the_credential(
    environment: SetEnvironment, cli_file: Write, first: int
) -> None:
    """The argument, then the platform's variables, then ABEJA_CLI_*, then the file."""
    cli_file(FILE)
    environment(CLI if first <= 2 else {})
    environment(USER if first <= 1 else {})
    options = {"credential": BearerToken("a")} if first == 0 else {}
    expected = ("Bearer a", "Basic user-1:p", "Basic user-3:c", "Basic user-4:f")[first]
    assert authorization(sent_by(Client, **options)) == expected


@pytest.mark.parametrize("first", range(4), ids=["argument", "variable", "file", "default"])
def test_the_order_of_sources_for_the_base_url(
    environment: SetEnvironment, cli_file: Write, first: int
) -> None:
    """The argument, then ABEJA_API_URL, then the file, then the default."""
    cli_file(FILE if first <= 2 else {})
    environment({"ABEJA_API_URL": "https://variable.example.com"} if first <= 1 else {})
    options = {"base_url": "https://argument.example.com"} if first == 0 else {}
    host = ("argument.example.com", "variable.example.com", "file.example.com", "api.abeja.io")
    assert sent_by(Client, "10", {}, **options).url.host == host[first]


@both_layers
@pytest.mark.parametrize("first", range(3), ids=["argument", "variable", "default"])
def test_the_order_of_sources_for_numbers(
    environment: SetEnvironment,
    kind: type[APIClient | Client],
    arguments: tuple[str, ...],
    first: int,
) -> None:
    """The arguments, then their variables, then 30 seconds and 5 retries."""
    variables = {"ABEJA_SDK_CONNECTION_TIMEOUT": "7.5", "ABEJA_SDK_MAX_RETRY_COUNT": "0"}
    environment(variables if first <= 1 else dict.fromkeys(variables, ""))
    options = {"timeout": 3, "max_retry_count": 2} if first == 0 else {}
    request = sent_by(kind, *arguments, credential={}, **options)
    assert set(request.extensions["timeout"].values()) == {(3, 7.5, 30)[first]}
    assert settings(**options).retry == RetryPolicy(max_retries=(2, 0, 5)[first])


def test_an_empty_variable_is_not_set(environment: SetEnvironment) -> None:
    """An empty environment variable is ignored."""
    environment(dict.fromkeys([*TOKEN, *USER, *DATASOURCE, *CLI, "ABEJA_API_URL"], ""))
    request = sent_by(APIClient)
    assert authorization(request) is None
    assert str(request.url).startswith(f"{DEFAULT_URL}/organizations/0/")


@pytest.mark.parametrize("content", [b"broken", FILE], ids=["broken", "whole"])
def test_the_raw_client_does_not_read_the_file(cli_file: Write, content: object) -> None:
    """The file has no effect, even if it is broken."""
    cli_file(content)
    request = sent_by(APIClient)
    assert authorization(request) is None
    assert str(request.url).startswith(DEFAULT_URL)


def test_a_client_with_all_arguments_does_not_read_the_file(cli_file: Write) -> None:
    """The file is read only for missing arguments."""
    cli_file(b"broken")
    with Client("10", {}, base_url=DEFAULT_URL) as client:
        assert client.organization_id == "10"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_error_of_a_missing_setting_names_all_sources(kind: Callable[..., object]) -> None:
    """For the credential and for the organization."""
    message = refused(kind)
    assert message.startswith("no credential: pass the argument credential ")
    for name in (*KEYS, *CLI, "abeja-platform-user", "personal-access-token", "~/.abeja/config"):
        assert name in message
    message = refused(kind, credential={})
    assert message.startswith("no organization: pass the argument organization_id,")
    for name in ("ABEJA_ORGANIZATION_ID", *CLI, "organization-name", "~/.abeja/config"):
        assert name in message


# -- the file of the platform's command line ------------------------------------------------------

FORMS: dict[str, tuple[dict[str, Any], str | None]] = {
    "unnamed": (FILE, None),
    "unnamed beside named": (
        FILE | {"configurations": [{"configuration-name": "other"}]},
        None,
    ),
    "unnamed, as the active name is empty": (
        FILE | {"configurations": [], "active-configuration-name": ""},
        None,
    ),
    "active": (NAMED | {"active-configuration-name": "other"}, None),
    "active beside unnamed": (
        {"organization-name": "unnamed"} | NAMED | {"active-configuration-name": "other"},
        None,
    ),
    "profile": (NAMED, "other"),
    "profile before active": (
        {
            "configurations": [{"configuration-name": "active"}, "?", *NAMED["configurations"]],
            "active-configuration-name": "active",
        },
        "other",
    ),
    "profile with braces": (
        {"configurations": [{"configuration-name": "a{b}"} | FILE]},
        "a{b}",
    ),
}


@pytest.mark.parametrize(("content", "profile"), FORMS.values(), ids=FORMS)
def test_the_forms_of_the_file(
    cli_file: Write, content: dict[str, Any], profile: str | None
) -> None:
    """A configuration may be unnamed, active, or chosen by name."""
    cli_file(content)
    request = sent_by(Client, profile=profile)
    assert authorization(request) == "Basic user-4:f"
    assert str(request.url).startswith("https://file.example.com/organizations/40/")


def test_a_profile_goes_before_the_environment(
    environment: SetEnvironment, cli_file: Write
) -> None:
    """The environment supplies the settings that the profile lacks."""
    environment(TOKEN | {"ABEJA_ORGANIZATION_ID": "20", "ABEJA_API_URL": "https://v.example.com"})
    cli_file(
        {
            "configurations": [
                {"configuration-name": "half", "organization-name": "50"},
                *NAMED["configurations"],
            ]
        }
    )
    request = sent_by(Client, profile="other")
    assert authorization(request) == "Basic user-4:f"
    assert str(request.url).startswith("https://file.example.com/organizations/40/")
    request = sent_by(Client, profile="half")
    assert authorization(request) == "Bearer t"
    assert str(request.url).startswith("https://v.example.com/organizations/50/")


def test_arguments_go_before_a_profile(cli_file: Write) -> None:
    """An argument wins over the profile's setting."""
    cli_file(NAMED)
    request = sent_by(Client, "10", {"auth_token": "a"}, base_url=DEFAULT_URL, profile="other")
    assert authorization(request) == "Bearer a"
    assert str(request.url).startswith(f"{DEFAULT_URL}/organizations/10/")


@pytest.fixture
def forbidden(cli_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without read permission, as in a container with another user's home."""
    opens = Path.open

    def forbid(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "config":
            raise PermissionError(13, "Permission denied", str(path))
        return opens(path, *arguments, **options)

    cli_file(FILE)
    monkeypatch.setattr(Path, "open", forbid)


@pytest.mark.usefixtures("forbidden")
def test_an_unreadable_file_is_ignored() -> None:
    """An error for a missing setting says that the file cannot be read."""
    assert str(sent_by(Client, "10", {}).url).startswith(DEFAULT_URL)
    assert refused(Client, "10", {}, profile="other").startswith("profile 'other' cannot be used")
    end = " in ~/.abeja/config, which cannot be read: Permission denied"
    assert refused(Client).endswith(f"personal-access-token{end}")
    assert refused(Client, credential={}).endswith(f"organization-name{end}")


def test_an_empty_profile_is_refused() -> None:
    """It does not mean the unnamed configuration."""
    assert refused(Client, "10", {}, profile="") == (
        "profile must be the name of a configuration, not empty"
    )


@pytest.mark.parametrize("kind", [UserCredential, DatasourceCredential])
def test_an_id_with_a_colon_is_refused(kind: Callable[[str, str], object]) -> None:
    """Basic authentication would read the rest as the secret."""
    assert "must not contain a colon" in refused(kind, "1:2", SECRET)


@pytest.mark.parametrize("url", ["https://host ", "https://h:99999", "https:// host"])
def test_an_invalid_base_url(url: str) -> None:
    """One with a space or an invalid port is refused."""
    assert refused(APIClient, base_url=url) == (
        f"base_url must be an http or https URL with a host, not {url!r}"
    )


@pytest.mark.parametrize("home", [True, False], ids=["no file", "no home"])
def test_a_missing_file(monkeypatch: pytest.MonkeyPatch, home: bool) -> None:
    """It is an error only if a profile was requested."""
    if not home:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(
            os, "getuid", lambda: 2**31 - 7
        )  # a user id without an entry in the password database
    assert str(sent_by(Client, "10", {}).url).startswith(DEFAULT_URL)
    assert refused(Client, "10", {}, profile="other") == (
        "profile 'other' cannot be used: ~/.abeja/config does not exist or cannot be read"
    )


TOKEN_LINE = f'"personal-access-token": "{SECRET}"'
AT_TOKEN = ", at the key 'personal-access-token'"
# Each broken file, and the description in the error.
BROKEN: dict[str, tuple[str | bytes, str]] = {
    "a line break in a string, before a comma and a bracket": (
        f'{{{TOKEN_LINE}, "a": "b\n,}}',
        f"line 1, column 56: a line break or another control character in a string{AT_TOKEN}",
    ),
    "trailing comma": (
        f"{{\n  {TOKEN_LINE},\n}}",
        f"line 2, column 48: a comma before a closing bracket{AT_TOKEN}",
    ),
    "trailing comma, then nothing": (
        f'{{"organization-name": "1",\n {TOKEN_LINE}  ,  \n\n }}\n',
        f"line 2, column 49: a comma before a closing bracket{AT_TOKEN}",
    ),
    "trailing comma of a list": (
        f'{{"configurations": [\n{{{TOKEN_LINE}}},\n]}}',
        f"line 2, column 48: a comma before a closing bracket{AT_TOKEN}",
    ),
    "missing comma": (
        f'{{{TOKEN_LINE}\n "organization-name": "1"}}',
        f"line 2, column 2: a comma is missing{AT_TOKEN}",
    ),
    "missing colon": (
        f'{{{TOKEN_LINE},\n "organization-name" "1"}}',
        f"line 2, column 22: a colon is missing{AT_TOKEN}",
    ),
    "missing value": (
        '{"organization-name": }',
        "line 1, column 23: a value is missing, at the key 'organization-name'",
    ),
    "no quotes": (
        f"{{{TOKEN_LINE}, x: 1}}",
        f"line 1, column 49: a key in double quotes is missing{AT_TOKEN}",
    ),
    "single quotes": (
        f"{{'personal-access-token': '{SECRET}'}}",
        "line 1, column 2: strings take double quotes",
    ),
    "a value in single quotes": (
        f"{{\"personal-access-token\": '{SECRET}'}}",
        f"line 1, column 27: strings take double quotes{AT_TOKEN}",
    ),
    "a comment": (
        f"{{\n  // {SECRET}\n  {TOKEN_LINE}}}",
        "line 2, column 3: JSON has no comments",
    ),
    "a shell's comment": (f"# {SECRET}\n{{}}", "line 1, column 1: JSON has no comments"),
    "a comment behind": (
        f'{{{TOKEN_LINE}, /* {SECRET} */ "x": 1}}',
        f"line 1, column 49: JSON has no comments{AT_TOKEN}",
    ),
    "cut short": (f"{{{TOKEN_LINE}", f"line 1, column 47: it ends too early{AT_TOKEN}"),
    "cut within a string": (
        f'{{"personal-access-token": "{SECRET}',
        f"line 1, column 27: a string is not terminated{AT_TOKEN}",
    ),
    "a line break in a string": (
        f'{{"personal-access-token": "{SECRET}\n"}}',
        f"line 1, column 46: a line break or another control character in a string{AT_TOKEN}",
    ),
    "a backslash": (
        f'{{"personal-access-token": "{SECRET}\\q"}}',
        f"line 1, column 46: an invalid escape sequence{AT_TOKEN}",
    ),
    "half an escape": (
        f'{{"personal-access-token": "{SECRET}\\u12"}}',
        f"line 1, column 47: an invalid escape sequence{AT_TOKEN}",
    ),
    "more behind": (
        f"{{{TOKEN_LINE}}}\n{SECRET}",
        f"line 2, column 1: unexpected text after the object{AT_TOKEN}",
    ),
    "a quote in a string": (
        f'{{"personal-access-token": "a"{SECRET}"}}',
        f"line 1, column 30: a comma is missing{AT_TOKEN}",
    ),
    "not JSON": (f"token={SECRET}", "line 1, column 1: a value is missing"),
    "no UTF-8": (
        f'{{\n"personal-access-token": "{SECRET}'.encode() + b'\xff"}',
        "line 2, column 45: a byte that is not UTF-8",
    ),
    "no UTF-16": (
        b"\xff\xfe" + f'{{"personal-access-token": "{SECRET}"}}'.encode("utf-16-le") + b"\x00",
        "line 1, column 48: a byte that is not UTF-16",
    ),
    "empty": ("", "it is empty"),
    "blank": (" \n\t", "it is empty"),
    "a mark alone": ("\ufeff", "it is empty"),
    "a list": (f'["{SECRET}"]', "it is another JSON value"),
    "a string": (f'"{SECRET}"', "it is another JSON value"),
    "null": ("null", "it is another JSON value"),
    "too deep": ("[" * 100_000, "it is nested too deeply"),
    "a long number": (f'{{"x": {"9" * 5000}, {TOKEN_LINE}}}', "a number has too many digits"),
}


@pytest.mark.parametrize(("content", "says"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("profile", [None, "other"])
def test_a_broken_file(
    cli_file: Write, content: str | bytes, says: str, profile: str | None
) -> None:
    """The error has the line, the column and the key, and no other content."""
    cli_file(content if isinstance(content, bytes) else content.encode())
    assert refused(Client, profile=profile) == f"~/.abeja/config is not a JSON object: {says}"


@given(
    at=st.integers(0, 300),
    cut=st.integers(0, 4),
    put=st.text("{}[],:\"'\\/# \n\x00u0é", max_size=3) | st.text(max_size=2),
)
@settings_of_hypothesis(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_broken_file_shows_its_secret(cli_file: Write, at: int, cut: int, put: str) -> None:
    """For any edit of the file, the error does not contain the secret."""
    text = json.dumps(
        {"organization-name": "4", "configurations": [], "abeja-platform-user": "4"}
        | {"personal-access-token": SECRET},
        indent=2,
    )
    edited = text[:at] + put + text[at + cut :]
    cli_file(edited.encode(errors="surrogatepass"))
    try:
        Client().close()
    except ConfigurationError as error:
        shown = "".join(traceback.format_exception(error))
        assert not [part for part in (SECRET[:8], SECRET[-8:]) if part in shown]


MARKS = {
    "UTF-8": json.dumps(FILE).encode("utf-8-sig"),
    "two": json.dumps(FILE).encode("utf-8-sig").join([b"\xef\xbb\xbf", b""]),
    "UTF-16": json.dumps(FILE).encode("utf-16"),
    "UTF-16, little-endian": b"\xff\xfe" + json.dumps(FILE).encode("utf-16-le"),
    "UTF-16, big-endian": b"\xfe\xff" + json.dumps(FILE).encode("utf-16-be"),
    "UTF-32": json.dumps(FILE).encode("utf-32"),
    "none": json.dumps(FILE).encode(),
}


@pytest.mark.parametrize("content", MARKS.values(), ids=MARKS)
def test_a_file_with_a_byte_order_mark(cli_file: Write, content: bytes) -> None:
    """A file saved by an editor on Windows is read in the encoding of its mark."""
    cli_file(content)
    request = sent_by(Client)
    assert authorization(request) == "Basic user-4:f"
    assert str(request.url).startswith("https://file.example.com/organizations/40/")


def test_a_byte_order_mark_is_not_part_of_a_column(cli_file: Write) -> None:
    """An editor shows the same column."""
    cli_file('{"é": 1,}'.encode("utf-8-sig"))
    assert "line 1, column 8: a comma before" in refused(Client)
    cli_file(b"\xef\xbb\xbf{\xff}")
    assert "line 1, column 2: a byte" in refused(Client)


@pytest.mark.parametrize("key", [*FILE, "configurations", "active-configuration-name"])
def test_a_duplicate_key(cli_file: Write, key: str) -> None:
    """Different values are refused; equal ones are accepted."""
    value = json.dumps((FILE | NAMED).get(key, "other"))
    rest = json.dumps(FILE | NAMED)[1:]
    cli_file(f'{{"{key}": "{SECRET}", "{key}": {value}, {rest}'.encode())
    assert refused(Client) == f"~/.abeja/config has the key {key!r} twice, with different values"
    cli_file(f'{{"{key}": {value}, "{key}": {value}, "x": 1, "x": 2, {rest}'.encode())
    assert authorization(sent_by(Client)) == "Basic user-4:f"


def test_duplicate_configurations(cli_file: Write) -> None:
    """Two configurations with one name are refused if they differ."""
    [named] = NAMED["configurations"]
    cli_file({"configurations": [named, named]})
    assert authorization(sent_by(Client, profile="other")) == "Basic user-4:f"
    cli_file({"configurations": [named, named | {"personal-access-token": SECRET}]})
    assert refused(Client, profile="other") == (
        "~/.abeja/config has 2 configurations 'other' that differ"
    )


def test_a_file_that_is_too_large(cli_file: Write) -> None:
    """It is not read into memory."""
    cli_file(json.dumps(FILE).encode() + b" " * 1024 * 1024)
    assert refused(Client) == "~/.abeja/config is larger than 1048576 bytes"


def test_a_file_that_cannot_be_read() -> None:
    """The error has the operating system's message."""
    (Path(os.environ["HOME"]) / ".abeja" / "config").mkdir(parents=True)
    assert refused(Client) == "~/.abeja/config cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("configurations", "names"),
    [
        ([{"configuration-name": "a", "personal-access-token": SECRET}, SECRET], ["a"]),
        ([{"configuration-name": "a"}, {"configuration-name": "b"}], ["a", "b"]),
        ({"configuration-name": "x"}, []),
        (None, []),
    ],
    ids=["one", "two", "no list", "none"],
)
@pytest.mark.parametrize("by", ["argument", "file"])
def test_an_unknown_configuration(
    cli_file: Write, configurations: Any, names: list[str], by: str
) -> None:
    """The error lists the names in the file."""
    active = {"active-configuration-name": "x"} if by == "file" else {}
    cli_file(FILE | {"configurations": configurations} | active)
    options = {"profile": "x"} if by == "argument" else {}
    assert refused(Client, **options) == (
        f"~/.abeja/config has no configuration 'x'; it has {names}"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"personal-access-token": 5},
            "personal-access-token{} must be a non-empty string",
        ),
        (
            {"personal-access-token": SECRET + "\n"},
            f"personal-access-token{{}} must {NO_HEADER}",
        ),
        (
            {"abeja-platform-user": "", "personal-access-token": SECRET},
            "the credential is incomplete: personal-access-token{} is set without user_id",
        ),
        (
            {"organization-name": ".."},
            "organization-name{} must be an id of printable characters, not '..'",
        ),
        (
            {"abeja-api-url": f"https://u:{SECRET}@h"},
            "abeja-api-url{} must not contain a user name or password; pass them as credential",
        ),
    ],
    ids=["token", "newline", "incomplete", "organization", "base URL"],
)
@pytest.mark.parametrize("profile", [None, "x"], ids=["unnamed", "named"])
def test_an_invalid_value_in_the_file(
    cli_file: Write, change: dict[str, Any], message: str, profile: str | None
) -> None:
    """The error names the key, the configuration and the file."""
    entry = FILE | change
    cli_file({"configurations": [{"configuration-name": "x"} | entry]} if profile else entry)
    place = " of 'x' in ~/.abeja/config" if profile else " in ~/.abeja/config"
    assert refused(Client, profile=profile) == message.format(place)


# -- organization, base URL, numbers --------------------------------------------------------------


@pytest.mark.parametrize("value", ["", ".", "..", "1\n", True, 1.5, b"1"], ids=repr)
def test_an_invalid_organization(environment: SetEnvironment, value: Any) -> None:
    """The constructor refuses an id that is no path segment, and names its source."""
    assert refused(Client, value, {}).startswith("organization_id must be ")
    with Client("10", {}) as client:
        said = "a value of type bytes" if value == b"1" else repr(value)
        assert refused(client.with_options, organization_id=value).endswith(f", not {said}")
    if isinstance(value, str) and value:
        environment({"ABEJA_ORGANIZATION_ID": value})
        assert refused(Client, credential={}).startswith("ABEJA_ORGANIZATION_ID must be ")


def test_an_organization_may_be_an_integer() -> None:
    """The setting is its string."""
    with Client(1410000000000, {}) as client:  # type: ignore[arg-type]
        assert client.organization_id == "1410000000000"


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ("https://h", "https://h/organizations"),
        ("https://h/", "https://h/organizations"),
        ("http://h:8080/a/b//", "http://h:8080/a/b/organizations"),
        ("HTTPS://H.example.com:443/A", "https://h.example.com/A/organizations"),
        ("http://[::1]:8080", "http://[::1]:8080/organizations"),
        ("https://bücher.example.com/ä", "https://xn--bcher-kva.example.com/%C3%A4/organizations"),
    ],
)
def test_a_base_url(environment: SetEnvironment, value: str, start: str) -> None:
    """From each source, a path is kept and a trailing slash removed."""
    assert str(sent_by(APIClient, {}, base_url=value).url).startswith(f"{start}/0/")
    environment({"ABEJA_API_URL": value})
    assert str(sent_by(APIClient, {}).url).startswith(f"{start}/0/")


USERINFO = "must not contain a user name or password; pass them as credential"
QUERY = "must not contain a query or a fragment"
NO_URL = "must be an http or https URL with a host"
BAD_URLS: dict[str, tuple[Any, str]] = {
    "user and password": (f"https://u:{SECRET}@h", USERINFO),
    "user": (f"https://{SECRET}@h", USERINFO),
    "password": (f"https://:{SECRET}@h", USERINFO),
    "password of another scheme": (f"ftp://u:{SECRET}@h", USERINFO),
    "query": (f"https://h/?token={SECRET}", QUERY),
    "empty query": ("https://h?", QUERY),
    "fragment": (f"https://h/#{SECRET}", QUERY),
    "empty fragment": ("https://h/#", QUERY),
    "scheme": ("ftp://h", NO_URL),
    "no scheme": ("h.example.com", NO_URL),
    "half a scheme": ("//h", NO_URL),
    "no host": ("https://", NO_URL),
    "no host but a path": ("https:///a", NO_URL),
    "control character": ("https://h/\n", NO_URL),
    "port": ("https://h:port", NO_URL),
    "bytes": (b"https://h", NO_URL),
    "number": (5, NO_URL),
    "empty": ("", NO_URL),
    "no UTF-8": ("https://h/\udcff", NO_URL),
    "a part of 64 characters": (f"https://{'h' * 64}.example.com", NO_URL),
    "a part of none": ("https://h..example.com", NO_URL),
    "password, and no scheme": (f"u:{SECRET}@h", ""),
    "password, and a bad port": (f"https://u:{SECRET}@h:port", ""),
}


@pytest.mark.parametrize(("value", "message"), BAD_URLS.values(), ids=BAD_URLS)
def test_a_refused_base_url(environment: SetEnvironment, value: Any, message: str) -> None:
    """The error names the source, without the password or the query."""
    assert refused(APIClient, {}, base_url=value).startswith(f"base_url {message}")
    assert refused(Client, "10", {}, base_url=value).startswith(f"base_url {message}")
    if isinstance(value, str) and value:
        environment({"ABEJA_API_URL": value})
        assert refused(APIClient, {}).startswith(f"ABEJA_API_URL {message}")


@pytest.mark.parametrize(
    "value",
    [0, -1, "0", "-0.5", "nan", "inf", "soon", "", True, None, [1], 1_000_001, 10**5000],
    ids=lambda value: repr(value)[:12] if value != 10**5000 else "5,001 digits",
)
def test_an_invalid_timeout(environment: SetEnvironment, value: Any) -> None:
    """Not seconds > 0: the error names the argument, the option or the variable."""
    says = "must be seconds, above 0 and at most 1000000, not "
    if value is not None:
        for build in (APIClient, Client("10", {}).with_options):
            assert refused(build, timeout=value).startswith(f"timeout {says}")
    if isinstance(value, str) and value:
        environment({"ABEJA_SDK_CONNECTION_TIMEOUT": value})
        assert refused(APIClient) == f"ABEJA_SDK_CONNECTION_TIMEOUT {says}{value!r}"


@pytest.mark.parametrize(("value", "seconds"), [(0.001, 0.001), ("5", 5), (1_000_000, 1e6)])
def test_a_timeout(environment: SetEnvironment, value: Any, seconds: float) -> None:
    """A number or its text."""
    assert settings(timeout=value).timeout == seconds
    environment({"ABEJA_SDK_CONNECTION_TIMEOUT": str(value)})
    assert settings().timeout == seconds
    assert settings().with_changes(organization_id=None, timeout=value).timeout == seconds


def test_options_change_only_given_settings() -> None:
    """Others keep their values."""
    before = settings()
    after = before.with_changes(organization_id="11", timeout=None)
    assert after == replace(before, organization_id="11") != before
    assert after.with_changes(organization_id=None, timeout=2) == replace(after, timeout=2)


@pytest.mark.parametrize(
    "value",
    [-1, "-1", "1.5", 1.5, "nan", "inf", "many", "²", "", True, [1], "9" * 5000],
    ids=lambda value: repr(value)[:12],
)
def test_an_invalid_max_retry_count(environment: SetEnvironment, value: Any) -> None:
    """Not an integer >= 0: the error names the argument or the variable."""
    says = f"must be {'at least 0' if value in (-1, '-1') else 'a whole number'}, not "
    assert refused(APIClient, None, None, value).startswith(f"max_retry_count {says}")
    assert refused(Client, "10", {}, max_retry_count=value).startswith(f"max_retry_count {says}")
    if isinstance(value, str) and value:
        environment({"ABEJA_SDK_MAX_RETRY_COUNT": value})
        assert refused(APIClient).startswith(f"ABEJA_SDK_MAX_RETRY_COUNT {says}")


# -- retries, deadline, limits --------------------------------------------------------------------

ALL_FOUR = (APIClient, AsyncAPIClient, Client, AsyncClient)


def anonymous(kind: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that creates a client without a credential."""
    of = {"organization_id": "10"} if kind in (Client, AsyncClient) else {}
    return partial(kind, credential={}, **of)


def test_the_defaults() -> None:
    """120 seconds, 5 retries, 64 MiB, invalid rows raise, and no hook."""
    without = settings()
    assert (without.deadline, without.retry) == (120, RetryPolicy(max_retries=5))
    assert (without.max_response_bytes, without.invalid_rows) == (64 * 1024 * 1024, "raise")
    assert without.on_retry is None


POLICY = RetryPolicy(max_retries=3, base_delay=1)
COUNTS: dict[str, tuple[dict[str, Any], str, RetryPolicy]] = {
    "nothing": ({}, "", RetryPolicy()),
    "a variable": ({}, "7", RetryPolicy(max_retries=7)),
    "none": ({"max_retry_count": 0}, "7", RetryPolicy(max_retries=0)),
    "an argument before a variable": ({"max_retry_count": 2}, "7", RetryPolicy(max_retries=2)),
    "a policy before a variable": ({"retry": POLICY}, "7", POLICY),
    "an argument before a policy": (
        {"retry": POLICY, "max_retry_count": 0},
        "7",
        RetryPolicy(max_retries=0, base_delay=1),
    ),
}


@pytest.mark.parametrize(("options", "variable", "policy"), COUNTS.values(), ids=COUNTS)
def test_the_order_of_sources_for_the_count_of_retries(
    environment: SetEnvironment, options: dict[str, Any], variable: str, policy: RetryPolicy
) -> None:
    """The argument, the policy, the variable, 5; the policy's delays are kept."""
    environment({"ABEJA_SDK_MAX_RETRY_COUNT": variable})
    assert settings(**options).retry == policy


@pytest.mark.parametrize(
    "value",
    [0, -1, "0", "nan", "inf", "soon", "", True, [1], 1_000_001, 10**5000],
    ids=lambda value: repr(value)[:12] if value != 10**5000 else "5,001 digits",
)
def test_an_invalid_deadline(value: Any) -> None:
    """Not seconds > 0: the error names it, in each client and as an option."""
    says = "deadline must be seconds, above 0 and at most 1000000, not "
    with Client("10", {}) as client:
        for build in (*map(anonymous, ALL_FOUR), client.with_options):
            assert refused(build, deadline=value).startswith(says)


BAD: dict[str, tuple[str, Any, str]] = {
    "retry is a count": ("retry", 3, "retry must be a RetryPolicy, not 3"),
    "retry is a class": ("retry", RetryPolicy, "retry must be a RetryPolicy, not a value of type"),
    "on_retry is to be awaited": (
        "on_retry",
        asyncio.sleep,
        "on_retry must be a plain function, not a coroutine function",
    ),
    "on_retry is a word": ("on_retry", "log", "on_retry must be callable, not 'log'"),
    **{
        f"max_response_bytes is {value!r}": (
            "max_response_bytes",
            value,
            f"max_response_bytes must be {says}, not {value!r}",
        )
        for value, says in (
            (-1, "at least 0"),
            (1.5, "a whole number"),
            ("many", "a whole number"),
            (True, "a whole number"),
        )
    },
}


@pytest.mark.parametrize(("name", "value", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("kind", ALL_FOUR)
def test_an_invalid_value_is_named(
    kind: Callable[..., object], name: str, value: Any, message: str
) -> None:
    """Each client's constructor names the argument."""
    assert refused(anonymous(kind), **{name: value}).startswith(message)


@pytest.mark.parametrize(
    ("value", "said"),
    [("ignore", "'ignore'"), ("", "''"), (1, "1"), (["skip"], "a value of type list")],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_invalid_choice_for_invalid_rows(
    kind: Callable[..., object], value: Any, said: str
) -> None:
    """The error names both choices."""
    assert refused(kind, "10", {}, invalid_rows=value) == (
        f"invalid_rows must be 'raise' or 'skip', not {said}"
    )


@pytest.mark.parametrize("kind", ALL_FOUR)
def test_each_client_accepts_all_settings(kind: Callable[..., Any]) -> None:
    """Typed clients alone accept invalid_rows."""
    reported: list[Retry] = []
    options: dict[str, Any] = {
        "deadline": 1.5,
        "retry": POLICY,
        "on_retry": reported.append,
        "max_response_bytes": 7,
    }
    if kind in (Client, AsyncClient):
        options |= {"invalid_rows": "skip"}
    found = settings_of(anonymous(kind)(**options))
    assert {name: getattr(found, name) for name in options} == options


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_options_of_a_client(kind: Callable[..., Any]) -> None:
    """Policy, count, hook and deadline can be changed; an invalid policy is refused."""
    client = kind("10", {}, on_retry=print, invalid_rows="skip")
    before = settings_of(client)
    after = settings_of(client.with_options(deadline=2, retry=POLICY))
    assert after == replace(before, deadline=2.0, retry=POLICY)
    fewer = client.with_options(max_retry_count=1, on_retry=repr)
    policy = replace(before.retry, max_retries=1)
    assert settings_of(fewer) == replace(before, retry=policy, on_retry=repr)
    derived = {each.name for each in fewer.settings() if each.source == "with_options"}
    assert derived == {"max_retry_count", "on_retry"}
    assert settings_of(client) is before
    assert refused(client.with_options, retry=0) == "retry must be a RetryPolicy, not 0"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_each_argument_is_a_setting(kind: Callable[..., Any]) -> None:
    """client.settings() lists each argument, except those that name sources."""
    shown = [setting.name for setting in kind("10", {}).settings()]
    assert sorted(shown) == sorted({*signature(kind).parameters} - {"http_client", "profile"})


def test_a_policy_is_shown_as_it_is_used(environment: SetEnvironment) -> None:
    """The displayed policy has the effective count, from any source."""
    environment({"ABEJA_SDK_MAX_RETRY_COUNT": "7"})
    client = Client("10", {})
    for used, count in ((client, 7), (client.with_options(max_retry_count=2), 2)):
        shown = {setting.name: setting.value for setting in used.settings()}
        assert (shown["retry"], shown["max_retry_count"]) == (str(RetryPolicy(count)), count)


def test_a_derived_client_keeps_the_sources() -> None:
    """An unchanged setting keeps its source, also over two derivations."""
    client = Client("10", {}, timeout=5).with_options(deadline=7).with_options(deadline=None)
    sources = {setting.name: setting.source for setting in client.settings()}
    assert (sources["timeout"], sources["deadline"]) == ("argument timeout", "with_options")
    assert (sources["retry"], sources["credential"]) == ("default", "argument credential")


# -- credentials over plain http ------------------------------------------------------------------

UNSAFE = (
    "http://registry.example.com",
    "http://10.0.0.1:8080",
    "http://[2001:db8::1]",
    "http://localhost.example.com",
    "http://notlocalhost",
    "http://registry.localhost",
    "http://127.0.0.1.example.com",
)
SAFE = (
    "https://registry.example.com",
    "HTTPS://10.0.0.1",
    "http://127.0.0.1:8080",
    "http://127.1.2.3",
    "http://localhost:8080",
    "http://LOCALHOST",
    "http://[::1]:8080",
)


@pytest.mark.parametrize("base_url", UNSAFE)
@pytest.mark.parametrize("kind", ALL_FOUR)
def test_a_credential_over_plain_http(kind: Callable[..., Any], base_url: str) -> None:
    """A warning of its own class has the URL and the caller's line, not the credential."""
    with pytest.warns(InsecureTransportWarning) as caught:
        anonymous(kind)(credential={"auth_token": SECRET}, base_url=base_url)
    assert [str(each.message) for each in caught] == [
        f"the credential will be sent unencrypted to {base_url}"
    ]
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("credential", "base_url"),
    [*(({"auth_token": "t"}, url) for url in SAFE), *(({}, url) for url in UNSAFE)],
)
@pytest.mark.parametrize("kind", ALL_FOUR)
def test_no_warning_without_an_unencrypted_credential(
    kind: Callable[..., Any], credential: dict[str, str], base_url: str
) -> None:
    """With TLS, on this machine, or without a credential."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anonymous(kind)(credential=credential, base_url=base_url)
    assert not [each.message for each in caught]


@pytest.mark.parametrize(
    ("proxy", "no_proxy", "seen"),
    [
        ("http://u:p@proxy.example.com", "", True),
        ("10.0.0.1:3128", "", True),
        ("http://proxy.example.com", "127.0.0.1", False),
        ("http://127.0.0.1:3128", "", False),
        ("http://localhost:3128", "", False),
    ],
)
def test_a_credential_to_this_machine_through_a_proxy(
    environment: SetEnvironment, proxy: str, no_proxy: str, seen: bool
) -> None:
    """A remote proxy sees the credential, so there is a warning, without the proxy's URL."""
    environment({"http_proxy": proxy, "no_proxy": no_proxy})
    url = "http://127.0.0.1:8080"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anonymous(Client)(credential={"auth_token": SECRET}, base_url=url)
    what = "the credential will be sent unencrypted to"
    assert [str(each.message) for each in caught] == [
        f"{what} {url} through a proxy that the environment names"
    ] * seen


@pytest.mark.parametrize("variable", [{"ABEJA_API_URL": UNSAFE[0]}, {}], ids=["variable", "file"])
def test_a_credential_and_a_base_url_from_any_source(
    environment: SetEnvironment, cli_file: Write, variable: dict[str, str]
) -> None:
    """The warning does not depend on their sources."""
    cli_file(FILE | {"abeja-api-url": UNSAFE[0]})
    environment(variable)
    with pytest.warns(InsecureTransportWarning, match=UNSAFE[0]):
        Client("10")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o777])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_file_that_others_can_read(
    cli_file: Write, kind: Callable[..., object], mode: int
) -> None:
    """The file is used, and a warning at the caller's line has its mode."""
    cli_file(FILE)
    (Path(os.environ["HOME"]) / ".abeja" / "config").chmod(mode)
    with pytest.warns(UserWarning, match="~/.abeja/config") as caught:
        client = kind()
    assert "'40'" in repr(client)
    assert [each.filename for each in caught] == [__file__]
    assert f"(mode {mode:o})" in str(caught[0].message)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file(cli_file: Write, mode: int) -> None:
    """A file that only its owner can read causes no warning."""
    cli_file(FILE)
    (Path(os.environ["HOME"]) / ".abeja" / "config").chmod(mode)
    assert authorization(sent_by(Client)) == "Basic user-4:f"
