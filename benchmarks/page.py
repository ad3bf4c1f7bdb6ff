"""How soon the page of a large inventory shows in a browser.

    python -m benchmarks.page [REPOSITORIES]

It needs chromium and playwright (`make .venv/system.stamp`). The best of three is printed: the
first contentful paint; the first frame after the page has loaded and its script has run; and the
nodes of the document.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from playwright.sync_api import sync_playwright

from abeja_registry.cli.report import write_report
from abeja_registry.inventory import InventoryRow

FRAME = """() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => {
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  const nodes = document.createTreeWalker(document);
  let count = 1;
  while (nodes.nextNode()) count++;
  resolve([paint.startTime, performance.now(), count]);
})))"""


def rows(repositories: int) -> Iterator[InventoryRow]:
    """Yield ten tags of each repository, a third of them stale, by one of 200 people."""
    chance = random.Random(1)
    now = datetime.now(UTC)
    for number in range(repositories):
        name = f"team-{number % 97}/model-{number}"
        for tag in range(10):
            pushed = now - timedelta(hours=chance.randrange(135 * 24))
            yield InventoryRow(
                str(number),
                name,
                f"1.{tag}.0",
                f"sha256:{chance.getrandbits(256):064x}",
                chance.randrange(10**7, 10**10),
                "application/vnd.docker.distribution.manifest.v2+json",
                f"person-{chance.randrange(200)}@example.com",
                pushed,
                pushed,
            )


def opened(browser: Any, path: Path) -> tuple[float, float, int]:
    """Return the milliseconds until the first paint and the first frame, and the nodes."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto(path.as_uri(), wait_until="load")
        paint, frame, nodes = page.evaluate(FRAME)
        return paint, frame, nodes


def main(repositories: int) -> None:
    """Write a page, open it, and print the figures."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder, "page.html")
        inventory = list(rows(repositories))
        start = perf_counter()
        write_report(
            path, inventory, title=lambda: "test-org", source="the API", stale_after_days=90
        )
        seconds = perf_counter() - start
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        paint, frame, nodes = map(min, zip(*(opened(browser, path) for _ in range(3)), strict=True))
        browser.close()
        print(
            f"{repositories:,} repositories, {len(inventory):,} tags:"
            f" written in {seconds:.1f} s, {path.stat().st_size / 1e6:.1f} MB;"
            f" first paint {paint / 1000:.2f} s, whole page {frame / 1000:.2f} s, {nodes:,} nodes"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
