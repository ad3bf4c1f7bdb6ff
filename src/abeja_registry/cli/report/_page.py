"""The report: one page of HTML that asks for nothing else.

Whatever came from the API goes through `text`, and nothing that is not written here is run: the
page's policy knows its own style and script by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from importlib.resources import files
from typing import TYPE_CHECKING

from ...inventory._times import in_utc
from .._sizes import percent, size
from ._charts import bar, columns, growth, text

if TYPE_CHECKING:
    from ...inventory import Moved, Summary, Totals
    from ._timeline import Periods

# Repositories that have a bar of their own.
LARGEST = 20
# Moved tags that are listed.
LISTED = 500


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        title: The organization's name, or a file's.
        source: Where the rows are from, in words.
        made_at: When the page is made.
        summary: What the rows add up to.
        periods: When the tags and images were last pushed.
        compared_with: What the older inventory is called; None without one.
        moved: The tags that point to another image than in the older inventory.
    """

    title: str
    source: str
    made_at: datetime
    summary: Summary
    periods: Periods
    compared_with: str | None
    moved: tuple[Moved, ...]


def page(report: Report) -> str:
    """Return the whole page."""
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)};"
        " base-uri 'none'; form-action 'none'"
    )
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{text(report.title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{text(report.title)}</h1>
<p>Registry inventory from {text(report.source)}, {_time(report.made_at)} UTC</p>
</header>
<main>
{_figures(report)}
<div class="pair">
{_sizes(report.summary)}
{_history(report.periods)}
</div>
{_moved(report)}
{_repositories(report.summary)}
{_totals_table("creators", "Creators", "Creator", report.summary.creators)}
</main>
<footer>
<p>Size counts each image once, however many tags of its repository point to it; layers that images
share are counted with each. By tag, an image counts once for each of its tags. {_coverage(report)}
Times are UTC.</p>
</footer>
<script>{script}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return files("abeja_registry.cli.report").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _section(name: str, title: str, content: str) -> str:
    return (
        f'<section id="{name}" aria-labelledby="{name}-h">\n'
        f'<h2 id="{name}-h">{title}</h2>\n{content}\n</section>'
    )


# -- figures --------------------------------------------------------------------------------------


def _figures(report: Report) -> str:
    total, days = report.summary.total, report.summary.stale_after_days
    empty = report.summary.empty_repositories
    shown = [
        (
            "Repositories",
            f"{len(report.summary.repositories):,}",
            "those with tags" if empty is None else f"{empty:,} without tags",
        ),
        ("Tags", f"{total.tags:,}", f"of {total.images:,} {_plural(total.images, 'image')}"),
        ("Size", size(total.bytes), _exactly(total.bytes)),
        ("Size by tag", size(total.tag_bytes), _exactly(total.tag_bytes)),
        ("Creators", f"{len(report.summary.creators):,}", ""),
        (
            f"Stale tags, after {days:,} {_plural(days, 'day')}",
            f"{total.stale:,}",
            f"{percent(total.stale, total.tags)} of all tags",
        ),
        (
            "Freed by deleting stale tags",
            size(total.stale_bytes),
            f"{percent(total.stale_bytes, total.bytes)} of the size",
        ),
    ]
    if report.compared_with is not None:
        shown.append(("Moved tags", f"{len(report.moved):,}", f"since {report.compared_with}"))
    return (
        '<dl class="figures">\n'
        + "\n".join(
            f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd>"
            + (f'<dd class="note">{text(note)}</dd>' if note else "")
            + "</div>"
            for name, value, note in shown
        )
        + "\n</dl>"
    )


def _coverage(report: Report) -> str:
    """Return a sentence on the repositories without tags."""
    if report.summary.empty_repositories is None:
        return "Repositories without tags are not in it, as the inventory does not name them."
    return "Repositories without tags are in it."


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _exactly(count: int) -> str:
    return f"{count:,} bytes" if count >= 1000 else ""


# -- charts ---------------------------------------------------------------------------------------


def _sizes(summary: Summary) -> str:
    groups = [each for each in summary.repositories if each.tags]
    if not groups:
        return _section("sizes", "Size by repository", "<p>There are no tags.</p>")
    most = groups[0].bytes
    items = [
        f'<li><span class="name">{_name(group.name)}</span>{bar(group.bytes, most)}'
        f"{_sized(group.bytes, summary)}</li>"
        for group in groups[:LARGEST]
    ]
    if others := groups[LARGEST:]:
        # Without a bar: together they may be so large that no other would be seen beside it.
        name = f"{len(others):,} {'other' if len(others) == 1 else 'others'}"
        items.append(
            f'<li class="others"><span class="name">{name}</span>'
            f"{_sized(sum(group.bytes for group in others), summary)}</li>"
        )
    bars = "\n".join(items)
    return _section("sizes", "Size by repository", f'<ol class="bars">\n{bars}\n</ol>')


def _sized(bytes_: int, summary: Summary) -> str:
    return (
        f'<span class="value">{size(bytes_)}</span>'
        f' <span class="share">{text(percent(bytes_, summary.total.bytes))}</span>'
    )


def _history(periods: Periods) -> str:
    title = "Tags over time"
    if not periods.each:
        return _section("history", title, "<p>There are no tags.</p>")
    added = 0
    rows = []
    for period in periods.each:
        added += period.bytes
        rows.append(
            f'<tr><th scope="row">{text(period.name)}</th><td>{period.tags:,}</td>'
            f"<td>{size(period.bytes)}</td><td>{size(added)}</td></tr>"
        )
    unit = periods.unit.capitalize()
    titles = (unit, "Tags", "Size", "Cumulative size")
    heads = "".join(f'<th scope="col">{each}</th>' for each in titles)
    table = _scrolling(
        "history-table", "Tags over time, as a table", heads, rows, kind="plain numbers"
    )
    return _section(
        "history",
        title,
        f"<figure><figcaption>Tags by {periods.unit} of their last push</figcaption>\n"
        f"{columns('columns', periods)}</figure>\n"
        "<figure><figcaption>Cumulative size of images, by last push</figcaption>\n"
        f"{growth('growth', periods)}</figure>\n"
        f"<details><summary>As a table</summary>\n{table}\n</details>",
    )


# -- tables ---------------------------------------------------------------------------------------


def _scrolling(name: str, label: str, heads: str, rows: Iterable[str], kind: str) -> str:
    """Return a table that scrolls by itself where it is too wide, also by keyboard."""
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n'
        f'<table class="{kind}" id="{name}">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody>\n</table>\n</div>"
    )


def _repositories(summary: Summary) -> str:
    # Without rows, it takes an inventory that names all repositories to say that there are none.
    none = "tags" if summary.empty_repositories is None else "repositories"
    return _totals_table("repositories", "Repositories", "Repository", summary.repositories, none)


def _totals_table(
    name: str, title: str, of: str, groups: tuple[Totals, ...], none: str = "tags"
) -> str:
    if not groups:
        return _section(name, title, f"<p>There are no {none}.</p>")
    heads = (
        f'<th scope="col" data-first="ascending">{of}</th>'
        '<th scope="col" class="number">Tags</th>'
        '<th scope="col" class="number" aria-sort="descending">Size</th>'
        '<th scope="col" class="number">Size by tag</th>'
        '<th scope="col" class="number">Stale</th>'
        '<th scope="col" class="number">Freed</th>'
        '<th scope="col" data-first="ascending">Oldest push</th>'
        '<th scope="col">Newest push</th>'
    )
    search = (
        f'<p class="filter" hidden><label for="{name}-filter">Filter by name</label>'
        f'<input id="{name}-filter" type="search" autocomplete="off" spellcheck="false">'
        f'<output for="{name}-filter"></output></p>\n'
    )
    table = _scrolling(f"{name}-table", title, heads, map(_totals_row, groups), kind="sortable")
    return _section(name, title, search + table)


def _totals_row(totals: Totals) -> str:
    return (
        f'<tr><th scope="row">{_name(totals.name)}</th>{_count_cell(totals.tags)}'
        f"{_size_cell(totals.bytes)}{_size_cell(totals.tag_bytes)}"
        f"{_count_cell(totals.stale)}{_size_cell(totals.stale_bytes)}"
        f"<td>{_day(totals.oldest)}</td><td>{_day(totals.newest)}</td></tr>"
    )


def _count_cell(count: int) -> str:
    return f'<td data-value="{count}">{count:,}</td>'


def _size_cell(count: int) -> str:
    return f'<td data-value="{count}" title="{count:,} bytes">{size(count)}</td>'


def _moved(report: Report) -> str:
    title = "Moved tags"
    if report.compared_with is None:
        return _section(
            "moved",
            title,
            "<p>Which tags point to another image than before is known beside an older inventory:"
            " keep one with <code>abeja-registry inventory --write OLD.jsonl</code>, and add"
            " <code>--compare OLD.jsonl</code> next time.</p>",
        )
    since = f"<bdi>{text(report.compared_with)}</bdi>"
    count = len(report.moved)
    if not count:
        return _section("moved", title, f"<p>None since {since}.</p>")
    intro = (
        "<p>One tag points" if count == 1 else f"<p>{count:,} tags point"
    ) + f" to another image than in {since}."
    if count > LISTED:
        intro += (
            f" Here are the {LISTED:,} that were pushed last;"
            " <code>abeja-registry diff</code> lists all."
        )
    newest = nlargest(LISTED, report.moved, key=lambda moved: moved.new.updated_at)
    heads = "".join(
        f'<th scope="col">{each}</th>'
        for each in ("Repository and tag", "Was \N{RIGHTWARDS ARROW} is", "Pushed", "Creator")
    )
    table = _scrolling("moved-table", title, heads, map(_moved_tag, newest), kind="plain")
    return _section("moved", title, f"{intro}</p>\n{table}")


def _moved_tag(moved: Moved) -> str:
    row = moved.new
    return (
        f'<tr><th scope="row">{_name(row.repository_name)} {_name(row.tag)}</th>'
        f"<td>{_digest(moved.old.digest)} \N{RIGHTWARDS ARROW} {_digest(row.digest)}</td>"
        f"<td>{_time(row.updated_at)}</td><td>{_name(row.creator_email)}</td></tr>"
    )


# -- texts ----------------------------------------------------------------------------------------


def _name(name: str) -> str:
    # A name that is written from right to left stays with itself, and one that is cut has a title.
    return f'<bdi title="{text(name)}">{text(name)}</bdi>'


def _digest(digest: str) -> str:
    short = (digest.partition(":")[2] or digest)[:12]
    return f'<code title="{text(digest)}">{text(short)}</code>'


def _utc(time: datetime) -> str:
    return in_utc(time).replace(tzinfo=None).isoformat(timespec="seconds")


def _time(time: datetime) -> str:
    utc = _utc(time)
    return f'<time datetime="{utc}Z">{utc.replace("T", " ")[:16]}</time>'


def _day(time: datetime | None) -> str:
    utc = _utc(time) if time else ""
    return f'<time datetime="{utc}Z" title="{utc}Z">{utc[:10]}</time>' if utc else ""
