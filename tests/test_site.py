"""The documentation: each public name has its place, and each link into the project a target."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import abeja_registry
from abeja_registry import contract, exceptions, inventory, sandbox

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
HOME = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Homepage"]
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
FIXTURES = ("registry_sandbox", "registry_client", "async_registry_client", "registry_environment")


def documented() -> set[str]:
    """Return the names that the reference documents, without their modules."""
    pages = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    return set(
        re.findall(r"^\.\. (?:auto\w+|py:data):: abeja_registry\.(?:\w+\.)*(\w+)$", pages, re.M)
    )


def test_every_public_name_is_documented() -> None:
    """The reference has each name that the package, its modules and its fixtures export."""
    names = {*abeja_registry.__all__, *inventory.__all__, *contract.__all__, *sandbox.__all__}
    names |= {name for name in vars(exceptions) if getattr(exceptions, name) in _errors()}
    assert sorted({*names, *FIXTURES} - documented()) == ["__version__"]


def _errors() -> list[object]:
    return [
        each
        for each in vars(exceptions).values()
        if isinstance(each, type) and each.__module__ == exceptions.__name__
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_into_the_project_has_a_target(page: Path) -> None:
    """A link to a file of the repository, on the web or beside the page, leads to one."""
    for link in _links(page):
        target, _, anchor = link.partition("#")
        if target.startswith(f"{HOME}/blob/main/"):
            file = ROOT / target.removeprefix(f"{HOME}/blob/main/")
        elif re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), link
            continue
        else:
            file = page.parent / target if target else page
        assert file.exists(), link
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file), link


def _links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^]]+\]: (\S+)", text, re.M)


def test_the_readme_is_short_and_works_on_a_package_index() -> None:
    """It has at most 150 lines, and no link that is relative to the repository."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    assert [link for link in _links(ROOT / "README.md") if not link.startswith("https://")] == []


def _anchors(page: Path) -> set[str]:
    """Return a page's headings as GitHub and MyST link to them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_each_page_is_in_the_navigation() -> None:
    """A page that the index does not list would be found by nobody."""
    listed = set(re.findall(r"^[\w/-]+$", (DOCS / "index.md").read_text(), re.M))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert {each for each in pages if not each.startswith("_build")} - {"index"} == listed & pages
    assert listed <= pages
