"""`abeja-registry whoami` and `abeja-registry doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..exceptions import ConfigurationError
from ._client import Access, import_httpx
from ._output import Kind, Output, width, write_rows, write_text

if TYPE_CHECKING:
    from .. import Setting

# The settings that options and variables set, by their option.
_OPTIONS = {
    "organization_id": "--organization",
    "base_url": "--base-url",
    "timeout": "--timeout",
    "deadline": "--deadline",
    "max_retry_count": None,
}


def _to_json(setting: Setting) -> dict[str, Any]:
    given = setting.source.startswith("argument ")
    source = _OPTIONS[setting.name] if given else setting.source
    return {"setting": setting.name, "value": setting.value, "source": source}


SETTING: Kind[Setting] = Kind(_to_json, columns=("setting", "value", "source"))


def whoami(access: Access, output: Output) -> None:
    """Write each setting with its source, and fail where a client would."""
    import_httpx()
    from .._settings.settings import resolve

    # One look: what is written and what a client would use cannot differ.
    try:
        resolved = resolve(credential=None, **asdict(access))
        shown = [setting for setting in resolved.shown if setting.name in _OPTIONS]
        write_rows(SETTING, [*shown, *resolved.credential_parts()], output)
        resolved.settings()
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
