"""`abeja-registry config`, `whoami` and `doctor`."""

from __future__ import annotations

from typing import Any

import click

from ..exceptions import ConfigurationError
from . import _options
from ._client import SETTING_OPTIONS, ClientOptions
from ._errors import FAILED, add_hint
from ._framework import Command, global_options
from ._output import Writer, width, write_json, write_text
from ._views import ACCESS, FINDING, SETTING

# The settings that options and variables set.
_SHOWN = ("organization_id", "base_url", "timeout", "deadline", "max_retry_count")


@click.command("config", cls=Command, examples=("config", "config --profile staging -o json"))
@global_options
@_options.rows(SETTING, one=True)
def config(options: ClientOptions, write: Writer[dict[str, Any]]) -> None:
    """Show each setting, and where it was found.

    Secrets are masked, and no request is sent. If a setting is missing or invalid, the
    command exits with 2.
    """
    resolution = options.resolve()
    found = [each for each in resolution.shown if each.name in _SHOWN]
    rows = []
    for each in [*found, *resolution.credential_parts()]:
        given = each.source.startswith("argument ")
        source = SETTING_OPTIONS[each.name] if given else each.source
        rows.append({"setting": each.name, "value": each.value, "source": source})
    write.write_all(rows)
    try:
        resolution.settings()
    except ConfigurationError as error:
        explained = options.explain(error)
        add_hint(explained, "the variables are in abeja-registry --help")
        raise explained from None


@click.command("whoami", cls=Command, examples=("whoami", "whoami --profile staging -o json"))
@global_options
@_options.rows(ACCESS, one=True)
def whoami(options: ClientOptions, write: Writer[dict[str, Any]]) -> None:
    """Ask the API which organization the credential belongs to.

    It requests one repository of the list, the cheapest call there is.
    """
    with options.client() as client:
        page = client.raw.get_repositories(client.organization_id, limit=1)
        credential = next(each for each in client.settings() if each.name == "credential")
        write.write_one(
            {
                "organization_id": str(page.get("organization_id", client.organization_id)),
                "organization_name": page.get("organization_name"),
                "credential": credential.value,
                "source": credential.source,
                "base_url": client._session.settings.base_url,
            }
        )


@click.command("doctor", cls=Command, examples=("doctor", "doctor --output json"))
@global_options
@_options.rows(FINDING, one=True)
def doctor(options: ClientOptions, write: Writer[Any]) -> None:
    """Check that the API behaves as this tool expects (read-only).

    It sends about ten requests. If something differs, the command exits with 1.
    """
    with options.client() as client:
        report = client.check_contract()
    if write.output == "json" and not write.columns:
        findings = [FINDING.to_json(each) for each in report.findings]
        write_json({"ok": report.ok, "findings": findings})
    elif write.output == "table" and not write.columns:
        available = width()
        write_text(str(report) if available is None else report.table(available))
    else:
        write.write_all(report.findings)
    if not report.ok:
        raise click.exceptions.Exit(FAILED)
