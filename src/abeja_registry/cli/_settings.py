"""`abeja-registry whoami` and `abeja-registry doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._client import Access, import_httpx
from ._output import Kind, Output, write_rows, write_text

if TYPE_CHECKING:
    from .._config import Settings

# What a header is made from that no one but the API is to see.
_SECRETS = ("auth_token", "personal_access_token", "datasource_secret")
_MASK = "********"

Setting = tuple[str, Any, str]


def _to_json(setting: Setting) -> dict[str, Any]:
    name, value, place = setting
    return {"setting": name, "value": value, "place": place or "default"}


SETTING: Kind[Setting] = Kind(_to_json, columns=("setting", "value", "place"))


def whoami(access: Access, output: Output) -> None:
    """Write each setting with its place, and fail where a client would."""
    import_httpx()
    from .._config import found_settings, typed_settings

    arguments = {
        "organization_id": access.organization_id,
        "base_url": access.base_url,
        "timeout": access.timeout,
        "deadline": access.deadline,
    }
    found = found_settings(access.profile, **arguments)
    problem: ValueError | None = None
    settings: Settings | None = None
    try:
        settings = typed_settings(credential=None, profile=access.profile, **arguments)
    except ValueError as error:
        problem = error
    write_rows(SETTING, [_masked(setting, settings) for setting in found], output)
    if problem is not None:
        raise problem


def _masked(setting: Setting, settings: Settings | None) -> Setting:
    name, value, place = setting
    if name in _SECRETS:
        return name, _MASK, place
    if name == "base_url" and place:
        # One that is refused may hold a password.
        return name, settings.base_url if settings else _MASK, place
    return name, value, place


def doctor(access: Access) -> bool:
    """Write how the API compares with its reference, and return whether it is as promised."""
    with access.client() as client:
        report = client.check_contract()
    write_text(str(report))
    return report.ok
