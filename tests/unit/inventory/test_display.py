"""How an inventory's values look, as text and in a notebook."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import TzInfo
from tests.support.internals import html_of

from abeja_registry import AsyncClient, Client, Error, NotFound
from abeja_registry.inventory import (
    Diff,
    Inventory,
    InventoryFailure,
    InventoryRepository,
    InventoryRow,
    Moved,
    Progress,
    Summary,
    Totals,
    read_rows,
    summarize,
)

TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
DIGEST = "sha256:0123456789abcdef0123456789abcdef"
ROW = InventoryRow("1", "trainer", "1.0", DIGEST, 5, "a/b", "jane@example.com", TIME, TIME)
MOVED = Moved(ROW, ROW._replace(digest="sha256:fedcba9876543210"))

texts = st.text(max_size=300)
# Sizes that are summed exceed 64 bits.
sizes = st.integers() | st.sampled_from([10**5000, -(10**5000)])
counts = st.integers(0, 2**64)
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), TzInfo(32400)]))
rows = st.builds(InventoryRow, *[texts] * 4, sizes, *[texts] * 2, times, times)
totals = st.builds(
    Totals, texts, counts, sizes, st.none() | times, st.none() | times, *[counts] * 2, *[sizes] * 2
)
summaries = st.builds(
    Summary, totals, st.lists(totals, max_size=20).map(tuple), st.just(()), st.integers(0, 10**6)
)
several_rows = st.lists(rows, max_size=5).map(tuple)
diffs = st.builds(
    Diff,
    st.lists(texts, max_size=20).map(tuple),
    st.lists(texts, max_size=5).map(tuple),
    several_rows,
    several_rows,
    st.lists(st.builds(Moved, rows, rows), max_size=5).map(tuple),
    sizes,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            ROW,
            "InventoryRow('trainer', '1.0', digest='sha256:0123456789ab…', size=5,"
            " updated_at='2026-01-02T03:04:05Z')",
        ),
        (
            InventoryRepository("1", "trainer", 3),
            "InventoryRepository('trainer', id='1', tag_count=3)",
        ),
        (
            Progress(repositories=3, finished=2, rows=6, concurrency=16),
            "Progress(repositories=3, finished=2, rows=6, concurrency=16)",
        ),
        (Progress(), "Progress()"),
        (
            InventoryFailure("1", "trainer", NotFound("404", "not here")),
            "InventoryFailure('trainer', id='1', error='<NotFound \"404\": not here>')",
        ),
        (
            InventoryFailure("1", "trainer", Error("no connection")),
            "InventoryFailure('trainer', id='1', error='Error: no connection')",
        ),
        (
            summarize([ROW], 30, TIME),
            "Summary(tags=1, images=1, bytes=5, stale=0, repositories=1, creators=1)",
        ),
        (
            summarize([ROW], 30, TIME).repositories[0],
            "Totals('trainer', tags=1, images=1, bytes=5, stale=0, stale_bytes=0)",
        ),
        (
            summarize([ROW], 30, TIME).creators[0],
            "Totals('(e-mail address)', tags=1, images=1, bytes=5, stale=0, stale_bytes=0)",
        ),
        (
            MOVED,
            "Moved('trainer', '1.0', old_digest='sha256:0123456789ab…',"
            " new_digest='sha256:fedcba987654…')",
        ),
        (
            Inventory.diff([ROW], [MOVED.new, ROW._replace(tag="2", digest="b:1", size=7)]),
            "Diff(repositories_added=0, repositories_removed=0, added=1, removed=0, moved=1,"
            " bytes_added=7)",
        ),
        (read_rows("a/rows.csv"), "FileRows('a/rows.csv')"),
    ],
    ids=lambda value: value.partition("(")[0] if isinstance(value, str) else "",
)
def test_a_repr_says_what_a_value_is(value: object, text: str) -> None:
    """It has names, counts and the start of a digest, and no e-mail address."""
    assert repr(value) == text


@pytest.mark.anyio
async def test_the_repr_of_an_inventory(client: Client, async_client: AsyncClient) -> None:
    """It has the organization, the patterns and the concurrency."""
    organization = repr(client.organization_id)
    assert repr(client.inventory()) == (
        f"Inventory(organization_id={organization}, include='*', concurrency=16)"
    )
    inventory = async_client.inventory(include=["a*", "b*"], exclude="*-old", concurrency=2)
    assert repr(inventory) == (
        f"AsyncInventory(organization_id={organization}, include='a*, b*', exclude='*-old',"
        " concurrency=2)"
    )
    many = client.inventory(include=[f"pattern-{n}-*" for n in range(99)], exclude="x" * 500)
    assert len(repr(many)) <= 120
    assert "pattern-0-*" in repr(many)
    assert repr(many).endswith("…', concurrency=16)")


@given(
    rows
    | totals
    | summaries
    | diffs
    | st.builds(InventoryRepository, texts, texts, counts)
    | st.builds(Moved, rows, rows)
    | st.builds(Progress, *[counts] * 7)
    | st.builds(InventoryFailure, texts, texts, st.builds(NotFound, texts, texts))
)
@example(ROW._replace(repository_name="\N{GRINNING FACE}\n\u2028" * 99, tag="\ud800" * 99))
@example(ROW._replace(updated_at=datetime.max.replace(tzinfo=timezone(timedelta(hours=-9)))))
def test_a_repr_fits_on_one_line(value: object) -> None:
    """Whatever a value holds, its repr has at most 120 printable characters."""
    text = repr(value)
    assert len(text) <= 120
    assert text.isprintable()
    assert text.startswith(f"{type(value).__name__}(")


@given(st.emails(), texts, texts, texts)
def test_the_repr_of_a_row_shows_no_email_address(
    email: str, name: str, tag: str, digest: str
) -> None:
    """Nor does that of a creator's totals, a summary or a diff; nor do their tables."""
    text = name + tag + digest
    row = ROW._replace(repository_name=name, tag=tag, digest=digest, creator_email=email)
    summary, diff = summarize([row], 30, TIME), Inventory.diff([], [row])
    shown = [row, *summary.creators, summary, diff, Moved(row, row)]
    tables: list[Any] = [summary, diff]
    for each in [*map(repr, shown), *(html_of(table) for table in tables)]:
        assert email not in each or email in text


def test_a_row_s_time_is_in_utc() -> None:
    """The time zone of a parsed time is not shown as an object."""
    row = ROW._replace(updated_at=datetime(2026, 1, 2, 12, 0, tzinfo=TzInfo(9 * 3600)))
    assert repr(row).endswith(" updated_at='2026-01-02T03:00:00Z')")


class Table(HTMLParser):
    """Parses a table: its caption, and the texts of the cells of each row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.caption = ""
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Begin a row or a cell."""
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        """Add a text to the caption or to a cell."""
        if self.tags[-1] == "caption":
            self.caption += data
        elif self.tags[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def table_of(value: Any) -> Table:
    """Return a value's table."""
    return Table(html_of(value))


def test_the_table_of_a_summary() -> None:
    """It has the total and each repository, the largest first."""
    other = ROW._replace(repository_name="<b>&amp;", size=5_000_000)
    table = table_of(summarize([ROW, other], 30, TIME))
    assert table.caption == "2 repositories; a tag is stale after 30 days without a push"
    assert table.rows[0] == [
        *("repository", "tags", "images", "bytes", "newest", "stale tags", "stale bytes"),
    ]
    newest = "2026-01-02T03:04:05Z"
    assert table.rows[1:] == [
        ["total", "2", "2", "5,000,005", newest, "0", "0"],
        ["<b>&amp;", "1", "1", "5,000,000", newest, "0", "0"],
        ["trainer", "1", "1", "5", newest, "0", "0"],
    ]


def test_the_table_of_a_diff() -> None:
    """It has a row for each difference."""
    old = [ROW, ROW._replace(repository_name="removed", tag="<2>")]
    new = [MOVED.new, ROW._replace(repository_name="added", size=3000)]
    table = table_of(Inventory.diff(old, new))
    assert table.caption == (
        "repositories added: 1, repositories removed: 1, added: 1, removed: 1, moved: 1,"
        " bytes added: 2,995"
    )
    assert table.rows == [
        ["change", "repository", "tag", "old digest", "new digest"],
        ["repository added", "added", "", "", ""],
        ["repository removed", "removed", "", "", ""],
        ["added", "added", "1.0", "", "sha256:0123456789ab…"],
        ["removed", "removed", "<2>", "sha256:0123456789ab…", ""],
        ["moved", "trainer", "1.0", "sha256:0123456789ab…", "sha256:fedcba987654…"],
    ]


@pytest.mark.parametrize(
    ("count", "more"), [(12, None), (13, "and 1 more"), (2012, "and 2,000 more")]
)
@pytest.mark.parametrize(
    "make",
    [
        lambda count: Diff(tuple(map(str, range(count))), (), (), (), ()),
        lambda count: Diff((), (), (), (), (MOVED,) * count),
        lambda count: Summary(Totals("total"), (Totals("a"),) * (count - 1), (), 90),
    ],
)
def test_a_table_is_short(make: Callable[[int], object], count: int, more: str | None) -> None:
    """It has at most twelve rows, and the number of the others."""
    table = table_of(make(count))
    assert len(table.rows) == 1 + 12 + (more is not None)
    assert (table.rows[-1] == [more]) is (more is not None)


@given(summaries | diffs)
def test_a_table_is_escaped(value: Any) -> None:
    """Whatever a value holds, its table has no other elements, and can be encoded."""
    html = html_of(value)
    assert {*re.findall(r"<(.*?)>", html)} <= {
        f"{slash}{tag}" for tag in ("table", "caption", "tr", "th", "td") for slash in ("", "/")
    }
    assert len(html.encode()) < 20_000
    table = Table(html)
    assert all(len(cell) <= 201 for row in table.rows for cell in row)
