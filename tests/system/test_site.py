"""The documentation's site in a browser: what a reader sees, and finds."""

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each request."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site, built as `make docs` does, and served on loopback."""
    html = tmp_path_factory.mktemp("html")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "-b", "html", "docs", str(html)]
    subprocess.run(command, cwd=ROOT, check=True)
    handler = functools.partial(QuietHandler, directory=str(html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("retry", "explanation/retries.html"),
        ("401", "howto/authenticate.html"),
        ("duplicate", "howto/create-in-ci.html"),
        ("pandas", "howto/data-frames.html"),
        ("timeout", "explanation/retries.html"),
        ("3.13", "project.html"),
        ("abeja-sdk", "migrate/abeja-sdk.html"),
    ],
)
def test_a_search_finds_the_right_page_first(
    site: str, chromium: Browser, query: str, first: str
) -> None:
    """The first result of a search is the page that has the result."""
    page = chromium.new_page()
    page.goto(f"{site}/search.html?q={query}")
    result = page.locator("ul.search > li > a").first
    assert (result.get_attribute("href") or "").partition("#")[0].partition("?")[0] == first
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_a_page_fits_its_window(site: str, chromium: Browser, width: int, scheme: str) -> None:
    """No page is wider than its window, misses a file, or reports an error of a script."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "response",
        lambda response: (
            problems.append(response.url)
            if response.status >= 400 and "favicon" not in response.url
            else None
        ),
    )
    for path in ["index", "reference/clients", "migrate/abeja-sdk", "faults", "performance"]:
        page.goto(f"{site}/{path}.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert problems == []
    context.close()
