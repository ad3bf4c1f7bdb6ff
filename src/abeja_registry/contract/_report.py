"""A contract report: what was compared, and how."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import Literal, get_args

from .._display import html_table

Status = Literal["ok", "differs", "unknown"]

# The minimum width of a report's last column, in characters.
_MIN_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        subject: The checked part of the API.
        status: "ok", "differs" (from the reference), or "unknown" if the check was impossible.
        detail: A description of the result.
    """

    subject: str
    status: Status
    detail: str


@dataclass(frozen=True, slots=True)
class ContractReport:
    """The API compared with its reference; its text is a table.

    Attributes:
        findings: The results, in the order of the checks.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return all(finding.status != "differs" for finding in self.findings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._counts()})"

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        """Return the report as a table, for notebooks."""
        rows = ((each.subject, each.status, each.detail) for each in self.findings)
        return html_table(self._counts(), ("subject", "status", "detail"), rows)

    def _counts(self) -> str:
        statuses = [finding.status for finding in self.findings]
        ok, differs, unknown = map(statuses.count, get_args(Status))
        return f"{ok} ok, {differs} differ{'s' if differs == 1 else ''}, {unknown} unknown"

    def table(self, width: int = 100) -> str:
        """Return the report as a table, with its last column wrapped.

        Args:
            width: The width of a line in characters; the last column has at least 20 of them.
        """
        subjects = max((len(finding.subject) for finding in self.findings), default=0)
        statuses = len("differs")
        lines = []
        for finding in self.findings:
            detail = wrap(finding.detail, max(width - subjects - statuses - 4, _MIN_WIDTH))
            first, *more = detail or [""]
            lines.append(f"{finding.subject:{subjects}}  {finding.status:{statuses}}  {first}")
            lines += [f"{'':{subjects}}  {'':{statuses}}  {line}" for line in more]
        return "\n".join([*(line.rstrip() for line in lines), self._counts()])
