"""The report of `abeja-registry summary --html` in a real browser: Debian's chromium."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from tests.support.internals import write_jsonl
from tests.support.patience import until

from abeja_registry.cli import main
from abeja_registry.inventory import InventoryRow

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
WIDTHS = (320, 360, 768, 1440, 1600)
HOSTILE = [
    "</script><script>document.title = 'taken'</script>",
    "<img src=https://example.com/x.png onerror=\"document.title = 'taken'\">",
    "\u202egnp.exe",
    "\u05e9\u05dc\u05d5\u05dd",
    "x" * 1000,
]
# The colours of an element's text and of its background: red, green and blue, each 0 to 255.
COLOURS = """element => {
  const style = getComputedStyle(element);
  const ink = element instanceof SVGElement ? style.fill : style.color;
  let ground = "rgba(0, 0, 0, 0)";
  for (let each = element; ground === "rgba(0, 0, 0, 0)"; each = each.parentElement)
    ground = getComputedStyle(each).backgroundColor;
  return [ink, ground].map(each => each.match(/[\\d.]+/g).slice(0, 3).map(Number));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Open a file in its own context; at the end, no other was requested and no error logged."""
    with ExitStack() as stack:

        def opened(path: Path, width: int = 1440, scheme: str = "light", **options: Any) -> Any:
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, **options
            )
            stack.callback(context.close)
            page = context.new_page()
            asked: list[str] = []
            said: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(path.as_uri(), wait_until="networkidle")
            stack.callback(lambda: check(asked == [path.as_uri()] and not said, [*asked, *said]))
            return page

        yield opened


def check(holds: bool, told: object) -> None:
    """Fail where something does not hold."""
    assert holds, told


def row(repository: str, tag: str, number: int) -> InventoryRow:
    """Make a row; a larger number makes it larger and older."""
    time = NOW - timedelta(days=number)
    return InventoryRow(
        "1", repository, tag, f"sha256:{number:064}", number * 10**8, "a/b", "a@b", time, time
    )


def made(folder: Path, rows: list[InventoryRow], old: list[InventoryRow]) -> Path:
    """Make a report."""
    write_jsonl(folder / "rows.jsonl", rows)
    write_jsonl(folder / "old.jsonl", old)
    page = folder / "report.html"
    arguments = ["--html", str(page), "--compare", str(folder / "old.jsonl")]
    assert main(["summary", str(folder / "rows.jsonl"), *arguments]) == 0
    return page


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report of many repositories, the ninth of which has the most tags."""
    rows = [
        row(f"repository-{number}", f"1.0.{tag}", number * 30)
        for number in range(1, 31)
        for tag in range(90 if number == 9 else number)
    ]
    return made(tmp_path, rows, [each._replace(digest="sha256:old") for each in rows[:40]])


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A report of names that look like scripts, or are hard to lay out."""
    rows = [
        row(name, name, number)._replace(
            creator_email=name, size=min(10 ** (9 * number), 2**63 - 1)
        )
        for number, name in enumerate(HOSTILE, 1)
    ]
    return made(tmp_path, rows, [each._replace(digest=HOSTILE[0]) for each in rows])


def names(page: Any) -> list[str]:
    """Return the visible names in the table of repositories, from top to bottom."""
    shown: list[str] = page.locator("#repositories-table tbody tr:visible th").all_inner_texts()
    return shown


def contrast(colours: list[list[float]]) -> float:
    """Return the contrast of two colours by WCAG: 1 to 21."""
    lights = []
    for colour in colours:
        parts = [each / 255 for each in colour]
        red, green, blue = (
            each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
        )
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "hostile"])
def test_it_fits(name: str, width: int, opened: Open, request: pytest.FixtureRequest) -> None:
    """The page is as wide as the screen, whatever the names on it."""
    page = opened(request.getfixturevalue(name), width)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.title() == "rows.jsonl"


def test_wide_tables_scroll_by_themselves(opened: Open, report: Path) -> None:
    """On a narrow screen a table scrolls in its own region, by keyboard too."""
    page = opened(report, 320)
    place = page.locator(".scroll:has(#repositories-table)")
    assert place.evaluate("each => each.scrollWidth > each.clientWidth")
    place.focus()
    page.keyboard.press("ArrowRight")
    # The page's policy blocks wait_for_function of playwright.
    until(lambda: place.evaluate("each => each.scrollLeft") > 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_names_stay_in_view(width: int, scheme: str, opened: Open, report: Path) -> None:
    """The header and the first column of a scrolled table stay in view, above other cells."""
    page = opened(report, width, scheme)
    place = page.locator(".scroll:has(#repositories-table)")
    place.evaluate("each => each.scrollTo(150, 300)")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    for x, y in ((box["x"] + 20, box["y"] + 15), (box["x"] + 20, box["y"] + 200)):
        seen = page.evaluate(
            """([x, y]) => {
              const cell = document.elementFromPoint(x, y).closest("th");
              return [getComputedStyle(cell).backgroundColor, cell.cellIndex];
            }""",
            [x, y],
        )
        card = page.locator("#repositories").evaluate("e => getComputedStyle(e).backgroundColor")
        assert seen == [card, 0]
    title = page.locator("#repositories-table thead").bounding_box()
    assert title["y"] == pytest.approx(box["y"], abs=1)


def test_a_long_table_fades_where_it_is_cut(opened: Open, report: Path) -> None:
    """A long table fades at its lower edge; scrolled to its end, the last row is clear."""
    page = opened(report)
    page.locator("#moved summary").click()
    place = page.locator(".scroll:has(#moved-table)")
    fade = place.evaluate("each => parseFloat(getComputedStyle(each, '::after').height)")
    assert fade >= 20
    assert place.evaluate("each => each.scrollHeight > each.clientHeight")
    place.evaluate("each => each.scrollTo(0, each.scrollHeight)")
    end = place.bounding_box()
    last = page.locator("#moved-table tbody tr").last.bounding_box()
    assert last["y"] + last["height"] <= end["y"] + end["height"] - fade + 1


def test_a_moved_tag_on_a_narrow_screen(opened: Open, report: Path) -> None:
    """Both digests are in view, below the name."""
    page = opened(report, 320)
    page.locator("#moved summary").click()
    row = page.locator("#moved-table tbody tr").first
    name = row.locator("th").bounding_box()
    for digest in row.locator("code").all():
        box = digest.bounding_box()
        assert box["x"] + box["width"] <= 320
        assert box["y"] >= name["y"] + name["height"]


def test_long_names_on_a_wide_screen(opened: Open, tmp_path: Path) -> None:
    """A digest as a tag, and a long address, stay on one line in the table of moved tags."""
    rows = [
        row("recommender-feature-extraction", f"{1:040}", 1)._replace(
            creator_email="somebody.with-a-long-name@machine-learning-platform.example.com"
        ),
        row("a", "1", 2),
    ]
    page = opened(made(tmp_path, rows, [each._replace(digest="sha256:old") for each in rows]))
    page.locator("#moved summary").click()
    heights = [each.bounding_box()["height"] for each in page.locator("#moved-table bdi").all()]
    assert len(heights) == 6
    assert max(heights) == min(heights)
    place = page.locator(".scroll:has(#moved-table)")
    assert place.evaluate("each => each.scrollWidth == each.clientWidth")


def test_a_section_is_as_high_as_its_content(opened: Open, hostile: Path) -> None:
    """A short section next to a long one has its own height."""
    page = opened(hostile)
    page.locator("#history summary").click()
    sizes = page.locator("#sizes").bounding_box()
    assert sizes["height"] < page.locator("#history").bounding_box()["height"] / 2


@pytest.mark.parametrize("width", [320, 1440])
def test_texts_of_the_charts(width: int, opened: Open, report: Path) -> None:
    """The labels of a chart overlap neither one another nor the edge of the page."""
    page = opened(report, width)
    for chart in page.locator("svg.chart").all():
        for group in (".grid text", ".axis text"):
            texts = [each for each in chart.locator(group).all() if each.is_visible()]
            boxes = [each.bounding_box() for each in texts]
            assert len(boxes) >= 2
            assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
            if group == ".axis text":
                assert all(one["x"] + one["width"] < two["x"] for one, two in pairwise(boxes))


@pytest.mark.parametrize("width", [1024, 1280, 1440])
def test_texts_of_days(width: int, opened: Open, tmp_path: Path) -> None:
    """The labels of any number of days do not overlap."""
    for days in (4, 6, 8, 12, 16, 20, 21, 24, 61):
        rows = [row("a", str(number), number) for number in (1, days)]
        page = opened(made(tmp_path, rows, rows), width)
        for chart in page.locator("svg.chart").all():
            boxes = [each.bounding_box() for each in chart.locator(".axis text").all()]
            assert all(one["x"] + one["width"] < two["x"] for one, two in pairwise(boxes))


def test_light_and_dark(opened: Open, report: Path) -> None:
    """Each scheme has its background, and every text has a contrast of 4.5 or more to it."""
    grounds = []
    for scheme in ("light", "dark"):
        page = opened(report, 1440, scheme)
        for summary in page.locator("summary").all():
            summary.click()
        (_, ground) = page.locator("body").evaluate(COLOURS)
        grounds.append(sum(ground))
        for selector in (
            "h1, h2, header p, footer p, section p, code, dt, dd, figcaption, summary, label",
            "th, td, bdi, time, button, .name, .value, .share, output, .rest",
            "svg text",
        ):
            found = page.locator(selector).all()
            assert found
            # Each kind of text once is enough: there are hundreds of cells.
            pairs = {
                str(colours): contrast(colours)
                for colours in page.locator(selector).evaluate_all(
                    f"elements => elements.map({COLOURS})"
                )
            }
            assert min(pairs.values()) >= 4.5, (scheme, selector, pairs)
    light, dark = grounds
    assert light > 600 > 200 > dark


def test_marks_stand_out(opened: Open, report: Path) -> None:
    """Bars and columns have a contrast of 3 or more to their background, in each scheme."""
    for scheme in ("light", "dark"):
        page = opened(report, 1440, scheme)
        for selector in (".bar rect", "svg .mark"):
            assert contrast(page.locator(selector).first.evaluate(COLOURS)) >= 3


def test_sorted_by_click(opened: Open, report: Path) -> None:
    """A click on a column's title sorts by it, the largest first; another one reverses that."""
    page = opened(report)
    header = page.locator("#repositories-table thead th")
    tags = page.locator("#repositories-table").get_by_role("button", name="Tags")
    assert names(page)[:2] == ["repository-30", "repository-29"]
    assert header.nth(2).get_attribute("aria-sort") == "descending"
    place = page.locator(".scroll:has(#repositories-table)")
    place.evaluate("each => each.scrollTo(0, 200)")
    tags.click()
    assert place.evaluate("each => each.scrollTop") == 0
    assert names(page)[:3] == ["repository-9", "repository-30", "repository-29"]
    assert header.nth(1).get_attribute("aria-sort") == "descending"
    assert header.nth(2).get_attribute("aria-sort") is None
    tags.click()
    assert names(page)[:3] == ["repository-1", "repository-2", "repository-3"]
    assert header.nth(1).get_attribute("aria-sort") == "ascending"
    # The other table is left as it was.
    assert page.locator("#creators-table th[aria-sort]").inner_text().startswith("Size")


def test_sorted_by_keyboard(opened: Open, report: Path) -> None:
    """Tab focuses a column's title, and Enter and the space bar sort by it."""
    page = opened(report)
    page.locator("#repositories-filter").focus()
    header = page.locator("#repositories-table thead th").first
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Repository"
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert names(page)[:3] == ["repository-1", "repository-2", "repository-3"]
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") == "descending"
    assert names(page)[0] == "repository-30"


def test_sorted_by_time(opened: Open, report: Path) -> None:
    """Newest pushes are sorted from the latest, oldest pushes from the earliest."""
    page = opened(report)
    page.locator("#repositories-table").get_by_role("button", name="Oldest push").click()
    assert names(page)[0] == "repository-30"
    button = page.locator("#repositories-table").get_by_role("button", name="Newest push")
    button.click()
    assert names(page)[0] == "repository-1"
    button.click()
    assert names(page)[0] == "repository-30"


def test_filtered(opened: Open, report: Path) -> None:
    """The filter finds names that contain a text, in any case, and says how many."""
    page = opened(report)
    page.locator("#repositories-filter").fill("Y-2")
    assert len(names(page)) == 11
    assert page.locator("#repositories output").inner_text() == "11 of 30"
    page.locator("#repositories-filter").fill("")
    assert len(names(page)) == 30
    assert page.locator("#repositories output").inner_text() == ""
    page.locator("#stale-filter").fill("repository-9:1.0.7")
    assert page.locator("#stale output").inner_text().startswith("11 of ")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A report of 1,234 repositories, some of which have a size that JavaScript rounds."""
    rows = [
        row(f"repository-{number}", "1.0", number)._replace(
            size=2**53 + 1 if number > 1230 else number
        )
        for number in range(1, 1235)
    ]
    return made(tmp_path, rows, [each._replace(digest="sha256:old") for each in rows])


def test_rows_of_the_script(opened: Open, large: Path) -> None:
    """The script makes the same elements of a row as the template, to the last attribute."""
    page = opened(large)
    for summary in page.locator("summary").all():
        summary.click()
    for table in ("repositories", "stale", "moved", "creators"):
        before = page.locator(f"#{table}-table tbody").inner_html()
        page.locator(f"#{table}-filter").fill("e")
        page.locator(f"#{table}-filter").fill("")
        assert page.locator(f"#{table}-table tbody").inner_html() == before.replace("\n", "")


def test_many_repositories(opened: Open, large: Path) -> None:
    """A table has its first 100 rows, and 500 more with each click; the filter searches all."""
    page = opened(large)
    rest = page.locator("#repositories .rest")
    assert (len(names(page)), names(page)[99]) == (100, "repository-1135")
    assert "The first 100 of 1,234." in rest.inner_text()
    for count in (600, 1100):
        rest.get_by_role("button").click()
        assert len(names(page)) == count
        assert f"The first {count:,} of 1,234." in rest.inner_text()
    rest.get_by_role("button").click()
    assert len(names(page)) == 1234
    assert not rest.is_visible()
    page.locator("#repositories-filter").fill("repository-7")
    assert page.locator("#repositories output").inner_text() == "111 of 1,234"
    assert "The first 100 of 111." in rest.inner_text()
    page.locator("#repositories-filter").fill("repository-77")
    assert names(page)[:2] == ["repository-779", "repository-778"]
    assert not rest.is_visible()


def test_a_page_of_10_000_repositories_is_small(opened: Open, tmp_path: Path) -> None:
    """A page of 10,000 repositories has a few thousand elements."""
    rows = [row(f"repository-{number}", "1.0", number % 300) for number in range(10_000)]
    page = opened(made(tmp_path, rows, rows))
    assert page.evaluate("document.querySelectorAll('*').length") < 6000
    assert len(names(page)) == 100


def test_without_javascript(opened: Open, report: Path) -> None:
    """Without JavaScript a table has its rows, the largest first, and no button without effect."""
    page = opened(report, java_script_enabled=False)
    assert names(page)[:2] == ["repository-30", "repository-29"]
    assert len(names(page)) == 30
    assert page.locator("button").count() == 0
    assert not page.locator("#repositories-filter").is_visible()
    assert page.locator("#moved-table tbody tr").count() == 40


def test_many_repositories_without_javascript(opened: Open, large: Path) -> None:
    """Without JavaScript a table has its first 100 rows, and names the command for all."""
    page = opened(large, java_script_enabled=False)
    assert len(names(page)) == 100
    assert page.locator("#repositories .rest").inner_text() == (
        "The first 100 of 1,234. abeja-registry summary --output csv lists all."
    )


def test_hostile_names_are_texts(opened: Open, hostile: Path) -> None:
    """A name that looks like a script or an image is a text, and does not run."""
    page = opened(hostile)
    assert page.title() == "rows.jsonl"
    assert HOSTILE[0] in names(page)
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type])").count() == 1


def test_the_policy_holds(browser: Any, report: Path) -> None:
    """The policy blocks a script or an image that is injected into the page."""
    text = report.read_text("utf-8")
    extra = "<script>document.title = 'taken'</script><img src='https://example.com/x.png'>"
    report.write_text(text.replace("<main>", f"<main>{extra}"), "utf-8")
    with browser.new_context() as context:
        page = context.new_page()
        said: list[str] = []
        answered: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("response", lambda response: answered.append(response.url))
        page.goto(report.as_uri(), wait_until="networkidle")
        assert page.title() == "rows.jsonl"
        assert len([each for each in said if "Content Security Policy" in each]) == 2
        assert [each for each in answered if each.startswith("http")] == []


def test_printed(opened: Open, report: Path) -> None:
    """A printed page is black on white in each scheme, without filters and buttons."""
    page = opened(report, 1440, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    (ink, ground) = page.locator("body").evaluate(COLOURS)
    assert (ink, ground) == ([0, 0, 0], [255, 255, 255])
    assert not page.locator("#repositories-filter").is_visible()


def test_a_printed_table_has_its_titles_on_each_page(opened: Open, report: Path) -> None:
    """Chromium repeats a header that does not break, and paints its texts, but not its buttons."""
    page = opened(report)
    page.emulate_media(media="print")
    header = page.locator("#repositories-table thead")
    assert header.evaluate("each => getComputedStyle(each).breakInside") == "avoid"
    styles = "buttons => buttons.map(each => getComputedStyle(each).display)"
    assert set(header.locator("button").evaluate_all(styles)) == {"contents"}
    assert header.inner_text().split("\t")[:3] == ["Repository", "Tags", "Size"]


def test_moved_tags_are_folded(opened: Open, report: Path) -> None:
    """On the screen a click opens them, so that tables are near the top; on paper they are open."""
    page = opened(report)
    table = page.locator("#moved-table")
    assert "40 tags moved since old.jsonl" in page.locator("#moved").inner_text()
    assert not table.is_visible()
    page.locator("#moved summary").click()
    assert table.is_visible()
    page.locator("#moved summary").click()
    page.emulate_media(media="print")
    assert table.is_visible()
