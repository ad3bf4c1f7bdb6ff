"""`abeja-registry summary --html`: the content of the page, and what it never contains."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.examples import ORGANIZATION_ID
from tests.support.internals import (
    Entry,
    Period,
    Periods,
    StaleTag,
    SummaryBuilder,
    cli_output,
    percent,
    periods,
    report_page,
    size,
    write_jsonl,
)
from tests.support.server import Server, response

from abeja_registry import Client
from abeja_registry.inventory import InventoryRepository, InventoryRow, Moved, summarize
from abeja_registry.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import Run

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
VOID = {"meta", "input", "br"}


def row(repository: str, tag: str = "1", **other: Any) -> InventoryRow:
    """Make a row."""
    digest = f"sha256:{int(tag) if tag.isdecimal() else 0:064}"
    made = InventoryRow("1", repository, tag, digest, 1000, "a/b", "a@b", NOW, NOW)
    return made._replace(**other)


class Parsed(HTMLParser):
    """A page as a browser parses it.

    Attributes:
        elements: The start tags with their attributes, in order.
        tags: The start tags, with the names of their attributes, in order.
        attributes: The values of all attributes.
        texts: The texts of each element that has an id, by that id.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[tuple[str, ...]] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.elements.append((tag, dict(attrs)))
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.attributes += attrs
        above = self._open[-1][1] if self._open else ""
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id") or above))

    def handle_endtag(self, tag: str) -> None:
        """Return to the parent element."""
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        """Record a text."""
        if self._open and data.strip():
            self.texts.setdefault(self._open[-1][1], []).append(data)

    def rows(self, table: str) -> Any:
        """Return the rows of a table that the page has as JSON."""
        [text] = self.texts[f"{table}-rows"]
        return json.loads(text)

    def drawn(self, tag: str, kind: str | None, *names: str) -> list[tuple[str | None, ...]]:
        """Return these attributes of the elements with a tag name and a class."""
        return [
            tuple(attributes[name] for name in names)
            for each, attributes in self.elements
            if each == tag and attributes.get("class") == kind
        ]


Make = Callable[..., Parsed]


@pytest.fixture
def make(run: Run, tmp_path: Path) -> Make:
    """Make a page of rows, and of older rows to compare them with."""

    def make(rows: Sequence[Entry], old: Sequence[Entry] | None = None) -> Parsed:
        arguments = [str(tmp_path / "rows.jsonl"), "--html", str(tmp_path / "report.html")]
        write_jsonl(tmp_path / "rows.jsonl", rows)
        if old is not None:
            write_jsonl(tmp_path / "old.jsonl", old)
            arguments += ["--compare", str(tmp_path / "old.jsonl")]
        ran = run("summary", *arguments)
        assert (ran.code, ran.out) == (0, "")
        tags = len({each[1:3] for each in rows if isinstance(each, InventoryRow)})
        assert ran.err == f"{tags:,} tags in {tmp_path / 'report.html'}\n"
        return Parsed((tmp_path / "report.html").read_text("utf-8"))

    return make


# -- content --------------------------------------------------------------------------------------


def test_a_page_of_now(run: Run, client: Client, sandbox: Sandbox, tmp_path: Path) -> None:
    """It names the organization and the time; stdout stays empty, and one file is written."""
    for name in ("trainer", "predictor"):
        sandbox.push(client.repositories.create(name), "1", size=1_250_000_000)
    path = tmp_path / "report.html"
    ran = run("summary", "--html", str(path))
    assert (ran.code, ran.out, ran.err) == (0, "", f"2 tags in {path}\n")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    shown = path.read_text("utf-8")
    assert "<h1>test-org</h1>" in shown
    assert f'Registry inventory from the API, <time datetime="{datetime.now(UTC).year}' in shown
    assert '<dd title="2,500,000,000 bytes">2.50 GB</dd>' in shown
    run("summary", "--html", str(path), "--include", "train*")
    assert "from the API, repositories like train*, " in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "title"),
    [(None, ORGANIZATION_ID), (" ", ORGANIZATION_ID), ("<b>", "&lt;b&gt;")],
)
def test_the_title(name: object, title: str, run: Run, tmp_path: Path) -> None:
    """It is the organization's name, or its id where the API does not give a name."""
    page = {"offset": 0, "limit": 10, "has_next": False, "registry_repositories": []}
    path = tmp_path / "report.html"
    with Server(lambda _: response({**page, "organization_name": name})) as server:
        ran = run("--base-url", server.url, "summary", "--html", str(path))
    assert (ran.code, ran.err) == (0, f"0 tags in {path}\n")
    assert f"<title>{title}</title>" in path.read_text("utf-8")


def test_a_page_of_a_file(make: Make, tmp_path: Path) -> None:
    """Its title is the name of its file, in the tab and at the top."""
    make([row("a")])
    shown = (tmp_path / "report.html").read_text("utf-8")
    assert "<title>rows.jsonl</title>" in shown
    assert "<h1>rows.jsonl</h1>\n<p>Registry inventory from rows.jsonl, <time" in shown


def test_figures(make: Make) -> None:
    """The figures are those of the summary: the size is that of the images."""
    old = NOW - timedelta(days=9000)
    rows = [
        row("a", "1", updated_at=old),
        row("a", "2"),
        row("a", "latest", digest=row("a", "2").digest),
        row("b", creator_email="c@d"),
    ]
    shown = make(rows, rows)
    texts = shown.texts[""]
    start = texts.index("Repositories")
    assert texts[start : start + 13] == [
        "Repositories", "2", "0 without tags", "Tags", "4", "of 3 images", "Size of images",
        "3.00 kB", "Size by tag", "4.00 kB", "Creators", "2", "Stale tags, after 90 days",
    ]  # fmt: skip
    assert texts[start + 14].endswith(" % of all tags")
    assert texts[start + 15] == "Freed by deleting stale tags"
    assert texts[start + 17].endswith(" % of the size")
    assert texts[start + 18 : start + 21] == ["Moved tags", "0", "since old.jsonl"]
    assert {("title", "3,000 bytes"), ("title", "4,000 bytes")} <= set(shown.attributes)


def test_the_largest_have_bars(make: Make) -> None:
    """Each of the 20 largest repositories has a bar; the others have one line without a bar."""
    rows = [row(f"r{number:02}", size=(22 - number) * 1000) for number in range(22)]
    shown = make(rows)
    assert shown.texts["sizes"][:3] == ["r00", "22.0 kB", "9 %"]
    assert shown.texts["sizes"][-3:] == ["2 others", "3.00 kB", "1 %"]
    assert len(shown.drawn("svg", "bar")) == 20
    assert shown.texts["sizes"].count("r20") == 0
    assert "r21" in shown.texts["repositories-table"]
    assert make(rows[:21]).texts["sizes"][-3] == "1 other"


def test_bars_are_as_long_as_sizes(make: Make) -> None:
    """The largest bar is full, and each other is in proportion, however large the rest is."""
    rows = [row("a", size=8000), row("b", size=4000), row("c", size=1000), row("d", size=10)]
    others = [row(f"o{number:04}", size=9) for number in range(2000)]
    for each in (rows, rows + others):
        widths = [width for (width,) in make(each).drawn("rect", None, "width")]
        assert widths[:4] == ["100.00%", "50.00%", "12.50%", "0.12%"]
    shown = make(rows)
    assert shown.texts["sizes"][-3:] == ["d", "10 B", "<1 %"]


def test_tables(make: Make) -> None:
    """Each repository and creator has a row, the largest first; a size shows its exact bytes."""
    latest = row("b", "latest", size=1_500_000, digest=row("b", "1").digest)
    rows = [row("a", size=5), latest, latest._replace(tag="1"), row("b", "2", creator_email="c@d")]
    shown = make(rows)
    cells = shown.texts["repositories-table"]
    assert cells[:8] == [
        "Repository", "Tags", "Size", "Size by tag", "Stale", "Freed", "Oldest push", "Newest push",
    ]  # fmt: skip
    assert cells[8:] == [
        "b", "3", "1.50 MB", "3.00 MB", *cells[12:14], "2026-11-01", "2026-11-01",
        "a", "1", "5 B", "5 B", *cells[20:22], "2026-11-01", "2026-11-01",
    ]  # fmt: skip
    assert ("title", "1,501,000 bytes") in shown.attributes
    assert shown.attributes.count(("aria-sort", "descending")) == 2
    assert {"a@b", "c@d"} <= set(shown.texts["creators-table"])


def test_moved_tags(make: Make) -> None:
    """Moved tags are listed with both digests; added, removed and unchanged tags are not."""
    was = [row("a", "1", digest="sha256:0123456789abcdef"), row("a", "2"), row("a", "gone")]
    shown = make([row("a", "1"), row("a", "2"), row("a", "new")], was)
    assert shown.texts["moved-table"][5:] == [
        "a", "1", "0123456789ab", "0" * 12, "2026-11-01 12:00", "a@b",
    ]  # fmt: skip
    assert shown.texts["moved"][0] == "1 tag moved since "
    assert ("title", "sha256:0123456789abcdef") in shown.attributes
    assert "None since " in make([row("a")], [row("a")]).texts["moved"]
    alone = make([row("a")])
    assert "moved" not in alone.texts
    assert "--compare OLD.jsonl" in alone.texts[""]


def test_repositories_without_tags(make: Make) -> None:
    """They are counted and listed, and have no bar, also where no repository has tags."""
    empty = [InventoryRepository(str(number), f"empty-{number}", 0) for number in range(3)]
    names = [each.name for each in empty]
    shown = make([row("a"), row("b"), *empty])
    texts = shown.texts[""]
    start = texts.index("Repositories")
    assert texts[start : start + 3] == ["Repositories", "5", "3 without tags"]
    assert shown.texts["sizes"] == ["a", "1.00 kB", "50 %", "b", "1.00 kB", "50 %"]
    assert shown.texts["repositories-table"][-18:] == [
        cell for name in names for cell in (name, "0", "0 B", "0 B", "0", "0 B")
    ]
    assert shown.texts["empty-table"] == ["Repository", *names]
    assert "Repositories without tags are included." in " ".join(texts)
    shown = make(empty)
    assert shown.texts["sizes"] == ["There are no tags."]
    assert shown.texts["empty-table"] == ["Repository", *names]
    assert "empty-table" not in make([row("a")]).texts


def test_stale_tags(make: Make) -> None:
    """Each is listed with the bytes it frees, the most first; an image in use frees none."""
    old = NOW - timedelta(days=9000)
    rows = [
        row("a", "fresh", size=9000, digest="x"),
        row("a", "kept", size=9000, digest="x", updated_at=old),
        row("a", "one", size=2000, digest="y", updated_at=old),
        row("b", "two", size=2000, digest="y", updated_at=old),
        row("b", "three", size=2000, digest="y", updated_at=old - timedelta(days=1)),
        row("b", "large", size=3000, updated_at=old, creator_email="c@d"),
    ]
    shown = make(rows)
    day, before = str(old.date()), str((old - timedelta(days=1)).date())
    assert shown.texts["stale-table"] == [
        "Repository and tag", "Freed", "Size", "Tags of the image", "Last push", "Creator",
        "b", "large", "3.00 kB", "3.00 kB", "1", day, "c@d",
        "b", "three", "2.00 kB", "2.00 kB", "2", before, "a@b",
        "a", "one", "2.00 kB", "2.00 kB", "1", day, "a@b",
        "b", "two", "2.00 kB", "2.00 kB", "2", day, "a@b",
        "a", "kept", "0 B", "9.00 kB", "2", day, "a@b",
    ]  # fmt: skip
    assert "Deleting all 5 frees 7.00 kB." in " ".join(shown.texts["stale"])
    assert make([row("a", updated_at=datetime.now(UTC))]).texts["stale"] == [
        "Each tag was pushed within 90 days."
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 3), st.booleans())
    )
)
def test_what_stale_tags_free_adds_up(tags: list[tuple[str, str, int, bool]]) -> None:
    """The list has as many tags as the total, and its distinct images free as many bytes."""
    builder = SummaryBuilder(90, NOW)
    digests = {}
    for number, (repository, digest, bytes_, stale) in enumerate(tags):
        digests[repository, str(number)] = digest
        pushed = NOW - timedelta(days=91 if stale else 90)
        builder.add(row(repository, str(number), digest=digest, size=bytes_, updated_at=pushed))
    listed = list(builder.stale_tags())
    freed = {
        (each.repository_name, digests[each.repository_name, each.name]): each.freed
        for each in listed
    }
    total = builder.summary().total
    assert (len(listed), sum(freed.values())) == (total.stale, total.stale_bytes)


def test_many_rows(make: Make) -> None:
    """A table has its first 100 rows as HTML, and all as JSON; it names the command for all."""
    rows = [row(f"r{number:03}", size=1000 - number) for number in range(101)]
    shown = make(rows)
    assert shown.texts["repositories-table"][8::8] == [f"r{number:03}" for number in range(100)]
    rest = " ".join(shown.texts["repositories"])
    assert "The first 100 of 101." in rest
    assert "abeja-registry summary --output csv" in rest
    assert [name for name, *_ in shown.rows("repositories")] == [each[1] for each in rows]
    assert shown.rows("repositories")[100] == [
        "r100", 1, [900, "900 B"], [900, "900 B"], *shown.rows("repositories")[100][4:6],
        "2026-11-01T12:00:00Z", "2026-11-01T12:00:00Z",
    ]  # fmt: skip
    assert "The first" not in " ".join(make(rows[:100]).texts["repositories"])


def test_many_listed_tags(make: Make) -> None:
    """At most 10,000 stale and moved tags are listed, in any order of rows; all are counted."""
    rows = [
        row("a", str(number), size=number, updated_at=NOW - timedelta(days=9000, minutes=number))
        for number in range(10_002)
    ]
    for order in (rows, [*rows[::-1], *rows]):
        shown = make(order, [each._replace(digest="x") for each in order])
        assert shown.texts["moved"][0] == "10,002 tags moved since "
        assert "Here are the 10,000 that were pushed last." in shown.texts["moved"]
        assert [tag for (_, tag), *_ in shown.rows("moved")] == list(map(str, range(10_000)))
        assert "Deleting all 10,002 frees 50.0 MB." in shown.texts["stale"][0]
        assert "Here are the 10,000 that free the most." in shown.texts["stale"][0]
        assert [tag for (_, tag), *_ in shown.rows("stale")] == list(map(str, range(10_001, 1, -1)))


@pytest.mark.parametrize(
    ("was", "digests"),
    [("x", "yx"), ("x", "xy"), ("x", "yz"), ("x", "xx"), ("xy", "y"), ("xy", "x"), ("yx", "xy")],
)
def test_a_tag_that_is_listed_twice(
    was: str, digests: str, make: Make, run: Run, tmp_path: Path
) -> None:
    """Its last row counts, in either inventory: the page and `diff` agree on whether it moved."""
    old = [row("a", "t", digest=digest) for digest in was]
    new = [row("a", "t", digest=digest) for digest in digests]
    shown = make(new, old)
    moved = was[-1] != digests[-1]
    assert ("moved-table" in shown.texts) is moved
    if moved:
        assert shown.texts["moved-table"][7:9] == [was[-1], digests[-1]]
    ran = run("diff", str(tmp_path / "old.jsonl"), str(tmp_path / "rows.jsonl"), "-o", "json")
    assert [
        (each["change"], each["old"]["digest"], each["new"]["digest"])
        for each in json.loads(ran.out)
    ] == ([("moved", was[-1], digests[-1])] if moved else [])


def test_an_organization_without_tags(make: Make) -> None:
    """Each section says that it is empty, and has no table."""
    shown = make([], [])
    for name in ("sizes", "history", "creators"):
        assert shown.texts[name] == ["There are no tags."]
    assert shown.texts["repositories"] == ["There are no repositories."]
    assert not [tag for tag, *_ in shown.tags if tag in ("table", "svg")]


# -- time -----------------------------------------------------------------------------------------


def pushes(rows: list[InventoryRow]) -> Periods:
    """Return the periods of rows, each with its own image."""
    return periods((each.size, [each.updated_at]) for each in rows)


FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "last", "unit", "names", "count"),
    [
        (NOW, NOW, "day", ["2026-11-01"] * 2, 1),
        (NOW - timedelta(days=59), NOW, "day", ["2026-09-03", "2026-11-01"], 60),
        (NOW - timedelta(days=60), NOW, "two days", ["2026-09-02", "2026-11-01"], 31),
        (NOW - timedelta(days=130), NOW, "week", ["2026-06-22", "2026-10-26"], 19),
        (NOW - timedelta(days=730), NOW, "month", ["2024-11", "2026-11"], 25),
        (NOW - timedelta(days=6 * 365), NOW, "quarter", ["2020-Q4", "2026-Q4"], 25),
        (NOW - timedelta(days=6000), NOW, "year", ["2010", "2026"], 17),
        (NOW - timedelta(days=40_000), NOW, "decade", ["1910s", "2020s"], 12),
        (FIRST, LAST, "century", ["0000s", "9900s"], 100),
    ],
)
def test_periods(
    first: datetime, last: datetime, unit: str, names: list[str], count: int, make: Make
) -> None:
    """The span decides the length of a period; empty periods are included, and no tag is lost."""
    rows = [row("a", "1", updated_at=last, size=7), row("a", "2", updated_at=first)]
    found = pushes(rows)
    assert found.unit == unit
    assert [found.items[0].name, found.items[-1].name] == names
    assert len(found.items) == count
    assert sum(each.tags for each in found.items) == 2
    assert sum(each.bytes for each in found.items) == 1007
    shown = make(rows)
    assert f"Tags by {unit} of their last push" in shown.texts["history"]
    cells = shown.texts["history-table"]
    assert cells[:4] == [unit.capitalize(), "Tags", "Size", "Cumulative size"]
    assert len(cells) == 4 * (count + 1)
    assert (cells[4], cells[-4], cells[-1]) == (*names, "1.01 kB")


def test_no_periods() -> None:
    """Without tags the shortest period is as good as any."""
    assert pushes([]) == Periods("day", ())


@given(st.integers(0, 50 * 365))
def test_a_span_has_neither_few_nor_many_periods(days: int) -> None:
    """A span of up to 50 years has as many periods as days, or 14 to 60."""
    times = (NOW, NOW - timedelta(days=days))
    count = len(pushes([row("a", updated_at=time) for time in times]).items)
    assert count == days + 1 or 14 <= count <= 60


def test_days_are_those_of_utc() -> None:
    """A push counts on its day in UTC, also at either end of the calendar."""
    tokyo = datetime.fromisoformat("2026-11-02T08:59:59+09:00")
    end = datetime.fromisoformat("9999-12-31T23:00:00-09:00")
    for time, name in ((tokyo, "2026-11-01"), (end, "9999-12-31")):
        found = pushes([row("a", updated_at=time, size=3)])
        assert found.items == (Period(name, 1, 3),)


def test_an_image_is_of_its_newest_push(make: Make) -> None:
    """Each tag counts on its day; the bytes of an image count once, on the day of its last push."""
    rows = [
        row("a", str(days), digest="x", size=1000, updated_at=NOW - timedelta(days=days))
        for days in (3, 0, 2)
    ]
    cells = make(rows).texts["history-table"][4:]
    assert cells == [
        "2026-10-29", "1", "0 B", "0 B",
        "2026-10-30", "1", "0 B", "0 B",
        "2026-10-31", "0", "0 B", "0 B",
        "2026-11-01", "1", "1.00 kB", "1.00 kB",
    ]  # fmt: skip


def test_columns_are_as_high_as_counts(make: Make) -> None:
    """A column is in proportion to the end of the axis, and starts at its zero."""
    rows = [
        row("a", f"{days}.{number}", updated_at=NOW - timedelta(days=days))
        for days, count in enumerate((2, 0, 1, 3))
        for number in range(count)
    ]
    shown = make(rows)
    assert shown.drawn("rect", "mark", "y", "height") == [
        ("25.00%", "75.00%"),
        ("75.00%", "25.00%"),
        ("50.00%", "50.00%"),
    ]
    assert [each for each in shown.texts["history"] if len(each) == 1] == ["0", "2", "4"]


def test_growth_is_as_high_as_sums(make: Make) -> None:
    """The line starts at the first sum, and steps to each sum at the start of its period."""
    rows = [
        row("a", str(days), size=size, updated_at=NOW - timedelta(days=days))
        for days, size in ((0, 1000), (1, 1000), (3, 1000))
    ]
    shown = make(rows)
    line = "M0 75.00V75.00H1V75.00H2V50.00H3V25.00H4"
    assert shown.drawn("path", "line", "d") == [(line,)]
    assert shown.drawn("path", "area", "d") == [(f"{line}V100H0Z",)]
    assert {"0 B", "2 kB", "4 kB"} <= set(shown.texts["history"])


@pytest.mark.parametrize("days", [1, 2, 3, 4, 5, 40])
def test_texts_below_a_chart(days: int, make: Make) -> None:
    """The first and the last period are labelled, and at most five."""
    rows = [row("a", str(n), updated_at=NOW - timedelta(days=n)) for n in range(days)]
    svg = make(rows).texts["history"]
    names = [each for each in svg if re.fullmatch(r"\d{4}-\d\d-\d\d", each)]
    half = names[: len(names) // 2]
    assert names == half * 2
    assert 1 <= len(half) <= 5
    assert len(set(half)) == len(half)
    assert half[-1] == "2026-11-01"
    assert half[0] == str((NOW - timedelta(days=days - 1)).date())


# -- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (-5, "-5 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_995, "10.0 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (1_234_567_890_123, "1.23 TB"),
        (10**24, "1.00 YB"),
        (10**400, "over 999 YB"),
    ],
)
def test_sizes(count: int, shown: str) -> None:
    """Bytes have three digits and a unit in powers of 1000."""
    assert size(count) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0 %"),
        (-1, 5, "0 %"),
        (1, 1000, "<1 %"),
        (1, 200, "1 %"),
        (1, 3, "33 %"),
        (199, 200, ">99 %"),
        (989, 1000, "99 %"),
        (5, 5, "100 %"),
    ],
)
def test_percents(part: int, whole: int, shown: str) -> None:
    """A share is in whole percents; only nothing is 0 %, and only everything is 100 %."""
    assert percent(part, whole) == shown


def test_sizes_that_cannot_be(make: Make) -> None:
    """A page is made of negative sizes too, and of the largest that a file can have."""
    for sizes in ([-5, -5], [0, 0], [2**63 - 1, 1], [2**63 - 1, 2**63 - 1], [-(2**63), 1]):
        shown = make([row("a", size=sizes[0]), row("b", size=sizes[1])])
        widths = [float(v[:-1]) for k, v in shown.attributes if k == "width" and v and "%" in v]
        assert all(0 <= width <= 100 for width in widths)


# -- injection -----------------------------------------------------------------------------------

HOSTILE = [
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' x='",
    "<!--",
    "]]>",
    "&lt;b&gt;&amp",
    "\u202egnp.exe",
    "\u05e9\u05dc\u05d5\u05dd",
    "\ud800",
    "\x00\x1b[2J",
    "\u2028alert(1)\u2029",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 10_000,
]


def made_of(name: str) -> Parsed:
    """Return a page on which every value from the registry is this text."""
    rows = [
        row(name, name, creator_email=name, digest=name, media_type=name),
        row("other", name, creator_email="other"),
    ]
    report = report_page.Report(
        title=name,
        source=name,
        made_at=NOW,
        summary=summarize(rows, 90, NOW),
        periods=pushes(rows),
        stale_tags=[StaleTag(name, name, 1, 1, 1, NOW, name)],
        empty_repositories=[name],
        compared_with=name,
        moved=[Moved(each._replace(digest=f"{name}:{name}"), each) for each in rows],
    )
    return Parsed(report_page.page(report))


PLAIN = made_of("plain")


def check(name: str) -> None:
    """Check that a name is shown as a text, and changes nothing else."""
    shown = made_of(name)
    # Two repositories of the same size are sorted by name; their rows have the same elements.
    assert shown.tags == PLAIN.tags
    visible = cli_output.strip_control(name)
    assert shown.attributes.count(("title", visible)) == PLAIN.attributes.count(("title", "plain"))
    tables = ("repositories", "creators", "stale", "empty", "moved")
    if visible.strip():
        for section in ("sizes", *(f"{table}-table" for table in tables)):
            assert visible in shown.texts[section]
    for table in tables:
        assert any(rows[0] in (visible, [visible, visible]) for rows in shown.rows(table))
        assert not set("<>&'\u2028\u2029") & set(shown.texts[f"{table}-rows"][0])


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names(name: str) -> None:
    """A name that looks like HTML, a script or a template is a text on the page."""
    check(name)


@given(st.text(st.characters(), min_size=1))
def test_any_name(name: str) -> None:
    """No name of a repository changes an element or an attribute of the page."""
    assume(name != "other")
    check(name)


def test_nothing_else_runs_or_is_asked_for(make: Make, tmp_path: Path) -> None:
    """The policy allows the page's own style and script by their hashes, and nothing else."""
    shown = make([row("a")], [row("a", digest="x")])
    source = (tmp_path / "report.html").read_bytes()
    hashes = [
        base64.b64encode(hashlib.sha256(content).digest()).decode()
        for kind in (b"style", b"script")
        for content in re.findall(b"<%b>(.*?)</%b>" % (kind, kind), source, re.S)
    ]
    assert len(hashes) == 2
    assert (
        "content",
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}';"
        " base-uri 'none'; form-action 'none'",
    ) in shown.attributes
    names = {name for name, _ in shown.attributes}
    assert not names & {"style", "src", "href", "srcset", "action"}
    assert not [name for name in names if name.startswith("on")]
    assert b"://" not in source


# -- refused arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--html", "report.pdf"], "--html takes a .html file, not report.pdf"),
        (["--html", "nowhere/report.html"], "--html needs an existing folder, unlike nowhere"),
        (["--html", "."], "is a directory"),
        (["--html", "report.html", "--output", "csv"], "it takes no other output"),
        (["--compare", "old.jsonl"], "--compare needs --html"),
        (["--html", "report.html", "--compare", "nowhere.jsonl"], "does not exist"),
        (["--html", "report.html", "--compare", "old.txt"], "path must end in .jsonl"),
        (["--html", "report.html", "--compare", "bad.jsonl"], "is not a row of an inventory"),
        (["--html", "report.html", "--stale-days", "-1"], "at least 0"),
        (["--html", "report.html", "--concurrency", "0"], "at least 1"),
    ],
)
def test_refused_arguments(
    arguments: list[str],
    said: str,
    run: Run,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An invalid argument is an error before the first request, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    for name in ("old.jsonl", "old.txt"):
        (tmp_path / name).touch()
    (tmp_path / "bad.jsonl").write_text("no row\n")
    ran = run("summary", *arguments)
    # A damaged file is not wrong usage.
    code = 1 if "bad.jsonl" in arguments else 2
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert said in ran.err
    assert not sandbox.requests
    files = sorted(each.name for each in tmp_path.iterdir())
    assert files == ["bad.jsonl", "old.jsonl", "old.txt"]


def test_no_page_of_a_partial_inventory(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """If a repository failed, no page is written, and an older one stays unchanged."""
    sandbox.seed(repositories=1, tags=1)
    sandbox.faults.add(operation="get_repository_tags", status=403)
    path = tmp_path / "report.html"
    path.write_text("before")
    ran = run("summary", "--html", str(path))
    assert (ran.code, ran.out) == (1, "")
    assert "nothing was compared or added up" in ran.err
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_only_a_page_imports_its_modules(exported: dict[str, str], tmp_path: Path) -> None:
    """Only a command that writes a page imports its modules."""
    program = (
        "import sys; from abeja_registry.cli import main; main(sys.argv[1:]);"
        "print([n for n in sys.modules if n.startswith('abeja_registry.cli.report')],"
        " file=sys.stderr)"
    )
    for arguments, loaded in (
        (["--help"], False),
        (["summary", "--help"], False),
        (["summary"], False),
        (["summary", "--html", str(tmp_path / "report.html")], True),
    ):
        line = [sys.executable, "-c", program, *arguments]
        ran = subprocess.run(line, capture_output=True, text=True, check=True)
        assert (report_page.__name__ in ran.stderr.splitlines()[-1]) is loaded
