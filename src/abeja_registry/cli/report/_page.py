"""The report: one HTML page that loads nothing else.

Jinja escapes every value, and `strip_control` removes its control characters; only the page's own
style, script and charts are `safe`. The page's policy allows that style and script by their hashes,
and nothing else. Data in JSON does not run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined, Template

from .._output import strip_control
from .._sizes import percent, size
from . import _charts
from ._tables import MAX_LISTED, empty_table, moved_table, stale_table, totals_table, utc_text

if TYPE_CHECKING:
    from ...inventory import Moved, Summary
    from ...inventory._summary import StaleTag
    from ._timeline import Periods

# The most repositories that have their own bar.
MAX_BARS = 20


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        title: The organization's name, or a file's.
        source: Where the rows are from, in words.
        made_at: When the page is made.
        summary: What the rows add up to.
        periods: When the tags and images were last pushed.
        stale_tags: The stale tags.
        empty_repositories: The names of the repositories without tags.
        compared_with: The older inventory's name; None without one.
        moved: The tags that point to another image than in the older inventory.
    """

    title: str
    source: str
    made_at: datetime
    summary: Summary
    periods: Periods
    stale_tags: Sequence[StaleTag]
    empty_repositories: Sequence[str]
    compared_with: str | None
    moved: Sequence[Moved]


def page(report: Report) -> str:
    """Return the whole page."""
    summary, periods = report.summary, report.periods
    style, script = _asset("report.css"), _asset("report.js")
    tables = (
        totals_table("repositories", "Repository", summary.repositories),
        totals_table("creators", "Creator", summary.creators),
        stale_table(report.stale_tags, report.summary.stale_after_days),
        empty_table(report.empty_repositories),
        moved_table(report.moved),
    )
    return _template().render(
        report=report,
        summary=summary,
        total=summary.total,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        bars=[each for each in summary.repositories if each.tags],
        history=zip(periods.items, accumulate(each.bytes for each in periods.items), strict=True),
        tables={each.name: each for each in tables},
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_without_control_characters,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters.update(
        size=size, utc=utc_text, plural=_plural, number="{:,}".format, digest=_digest
    )
    environment.globals.update(
        percent=percent,
        bar=_charts.bar,
        columns=_charts.columns,
        growth=_charts.growth,
        max_bars=MAX_BARS,
        max_listed=MAX_LISTED,
    )
    return environment.from_string(_asset("page.html.jinja"))


def _without_control_characters(value: Any) -> Any:
    # Values are HTML already that a macro returns, or that are `safe`.
    return value if hasattr(value, "__html__") else strip_control(value)


def _asset(name: str) -> str:
    return files("abeja_registry.cli.report").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else f'{noun}s'}"


def _digest(digest: str) -> str:
    return (digest.partition(":")[2] or digest)[:12]
