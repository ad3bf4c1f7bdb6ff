"""The sandbox's landing page and reference in Chromium, which fails on any error in its console."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import sync_playwright
from tests.support.patience import until

from abeja_registry import Client, HttpError, RetryPolicy
from abeja_registry.sandbox import Sandbox

WIDTHS = [390, 1440]
# With this, each page is saved there to look at.
SCREENSHOTS = os.environ.get("SCREENSHOTS")
HOSTILE = "/<img src=x onerror=document.title='taken'>"
CONTRAST = """element => {
  const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
  const luminance = colour => numbers(colour).slice(0, 3).map(part => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  let ground = element;
  while (numbers(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  const lights = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor]
    .map(luminance).sort((a, b) => b - a);
  return (lights[0] + 0.05) / (lights[1] + 0.05);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments
        )
        yield browser
        browser.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with a repository."""
    with Sandbox() as sandbox:
        sandbox.seed(repositories=1, tags=3)
        yield sandbox


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Open a page; at the end, only the sandbox was requested and the console is empty."""
    with ExitStack() as stack:

        def opened(
            sandbox: Sandbox,
            path: str = "/",
            width: int = 1440,
            scheme: str = "light",
            expected: str = "",
            **options: Any,
        ) -> Any:
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, **options
            )
            stack.callback(context.close)
            page = context.new_page()
            problems: list[str] = []
            page.on(
                "request",
                lambda request: (
                    None
                    if request.url.startswith((sandbox.url, "data:"))
                    else problems.append(request.url)
                ),
            )
            page.on(
                "console",
                lambda message: (
                    None if expected and expected in message.text else problems.append(message.text)
                ),
            )
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(sandbox.url + path)
            stack.callback(lambda: check(problems))
            return page

        yield opened


def check(problems: list[str]) -> None:
    """Fail if there are problems."""
    assert problems == []


def rows(page: Any, table: str) -> list[list[str]]:
    """Return the texts of a table's cells."""
    return [row.locator("td").all_inner_texts() for row in page.locator(f"#{table} tr").all()]


def send_some(sandbox: Sandbox) -> None:
    """Send requests and add faults, as a test does."""
    with Client(**sandbox.connection, retry=RetryPolicy(max_retries=0)) as client:
        [repository] = client.repositories
        assert len(list(repository.iter_tags())) == 3
        sandbox.faults.add(operation="create_repository", status=503, retry_after=1, times=2)
        sandbox.faults.add(repository_id=repository.id, latency=0.01)
        with pytest.raises(HttpError):
            client.repositories.create("trainer")


def test_the_page_refreshes(sandbox: Sandbox, opened: Open) -> None:
    """Requests and faults appear without a reload, the latest first, and go after a reset."""
    page = opened(sandbox)
    assert page.locator("#no-requests").is_visible()
    send_some(sandbox)
    path = f"/organizations/{sandbox.organization_id}/registry/repositories"
    page.locator("#requests tr").nth(2).wait_for()
    methods, paths, clients = zip(*rows(page, "requests"), strict=True)
    assert methods == ("POST", "GET", "GET")
    assert paths[0] == path
    assert paths[2].startswith(f"{path}?")
    assert all("abeja-registry" in client for client in clients)
    assert rows(page, "faults") == [
        ["1", "create_repository", "status=503, retry_after=1", "1"],
        ["2", "each operation, repository 1500000000001", "latency=0.01", "all"],
    ]
    sandbox.reset()
    page.locator("#no-requests").wait_for()
    assert page.locator("#no-faults").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/", "/reference"])
def test_pages_fit(path: str, width: int, scheme: str, sandbox: Sandbox, opened: Open) -> None:
    """No page is wider than its screen, and each text has a contrast of 4.5 or more."""
    send_some(sandbox)
    page = opened(sandbox, path, width, scheme)
    if path == "/":
        page.locator("#faults tr").nth(1).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    texts = page.locator("h1, h2, h3, p, a, code, pre, th, td")
    contrasts = texts.evaluate_all(f"elements => elements.map({CONTRAST})")
    assert len(contrasts) > 20
    assert min(contrasts) >= 4.5
    if SCREENSHOTS:
        name = f"{path.strip('/') or 'landing'}-{width}-{scheme}.png"
        page.screenshot(path=Path(SCREENSHOTS, name), full_page=True)


def test_the_control_token(opened: Open) -> None:
    """Beyond loopback, the page asks for the token, and shows the requests with the right one."""
    with Sandbox(host="0.0.0.0") as sandbox:
        httpx.get(f"{sandbox.url}/organizations/7/registry/repositories", trust_env=False)
        page = opened(sandbox, expected="401 (Unauthorized)")
        field = page.get_by_label("Control token")
        field.wait_for()
        assert rows(page, "requests") == []
        field.fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("The token is wrong.").wait_for()
        assert sandbox.control_token is not None
        field.fill(sandbox.control_token)
        page.get_by_role("button", name="Show").click()
        page.locator("#requests tr").first.wait_for()
        assert not field.is_visible()


def test_hostile_requests_are_text(sandbox: Sandbox, opened: Open) -> None:
    """Markup in a path or a header is shown as text and does not run."""
    headers = {"User-Agent": HOSTILE}
    httpx.get(sandbox.url + HOSTILE, params={"a": HOSTILE}, headers=headers, trust_env=False)
    page = opened(sandbox)
    page.locator("#requests tr").first.wait_for()
    [[_, _, client]] = rows(page, "requests")
    assert client == HOSTILE
    assert page.locator("img").count() == 0
    assert page.title().startswith("Registry sandbox")


def test_a_sandbox_that_stops(opened: Open) -> None:
    """The page says that the sandbox does not respond, and recovers when it starts again."""
    sandbox = Sandbox()
    with sandbox:
        page = opened(sandbox, expected="ERR_")
        page.get_by_text("Running.").wait_for()
    page.get_by_text("The sandbox does not respond.").wait_for()
    with sandbox:
        page.get_by_text("Running.").wait_for()


def test_without_javascript(sandbox: Sandbox, opened: Open) -> None:
    """Without JavaScript, the page has the lines for the shells and names the other calls."""
    page = opened(sandbox, java_script_enabled=False)
    assert f"export ABEJA_API_URL={sandbox.url}" in page.locator("pre").first.inner_text()
    assert page.locator("noscript").is_visible()


def test_the_links(sandbox: Sandbox, opened: Open) -> None:
    """The reference and its document open from the landing page, and lead back."""
    page = opened(sandbox)
    page.get_by_role("link", name="The API's reference").click()
    until(lambda: page.url == f"{sandbox.url}/reference")
    assert page.locator("section").count() > 5
    page.get_by_role("link", name="This sandbox").click()
    until(lambda: page.url == f"{sandbox.url}/")
