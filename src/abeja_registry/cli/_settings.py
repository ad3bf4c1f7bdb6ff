"""`abeja-registry whoami` and `abeja-registry doctor`."""

from __future__ import annotations

from typing import Any

from ..exceptions import ConfigurationError
from ._client import Access, import_httpx
from ._output import Kind, Output, width, write_rows, write_text

# Where a setting is that was given before the command.
_OPTIONS = {
    "organization_id": "--organization",
    "base_url": "--base-url",
    "timeout": "--timeout",
    "deadline": "--deadline",
}

Setting = tuple[str, Any, str]


def _to_json(setting: Setting) -> dict[str, Any]:
    name, value, place = setting
    return {"setting": name, "value": value, "place": _OPTIONS.get(place, place)}


SETTING: Kind[Setting] = Kind(_to_json, columns=("setting", "value", "place"))


def whoami(access: Access, output: Output) -> None:
    """Write each setting with its place, and fail where a client would."""
    import_httpx()
    from .._settings.settings import found_settings, settings_of, typed_sources

    arguments = {
        "organization_id": access.organization_id,
        "base_url": access.base_url,
        "timeout": access.timeout,
        "deadline": access.deadline,
    }
    # One look: what is written and what a client would use cannot differ.
    try:
        sources = typed_sources(None, access.profile, arguments)
        write_rows(SETTING, found_settings(sources), output)
        settings_of(sources)
    except ConfigurationError as error:
        error.add_note("see abeja-registry --help")
        raise


def doctor(access: Access) -> bool:
    """Write how the API compares with its reference, and return whether it is as promised."""
    with access.client() as client:
        report = client.check_contract()
    bound = width()
    write_text(str(report) if bound is None else report.table(bound))
    return report.ok
