"""How values look: one short line in a terminal, an escaped table in a notebook."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.internals import html_of

from abeja_registry import (
    AsyncClient,
    AsyncPage,
    AsyncRepository,
    Client,
    Creator,
    Page,
    Repository,
    Tag,
)
from abeja_registry.contract import ContractReport, Finding

Examples = Callable[[str], dict[str, Any]]

WIDTH = 120
ODD = [
    "",
    "x" * 100_000,
    'it\'s "quoted"',
    "line\nfeed\r\x00\x1b[31m\u2028\u202e",
    "\N{GRINNING FACE}" * 50,
    "\N{HIRAGANA LETTER A}" * 300,
    "\ud800",
    "<script>alert(1)</script>&amp;",
    None,
    5,
    10**5000,
    b"bytes",
    {"a": [1]},
]
values = (
    st.sampled_from(ODD)
    | st.text(st.characters(exclude_characters="@"))
    | st.integers()
    | st.none()
)


class Cells(HTMLParser):
    """The tags of a page, and the texts in its cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Begin a cell."""
        assert not attrs
        self.tags.add(tag)
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        """Fill a cell."""
        self.texts[-1] += data.strip("\n")


def shown(value: Any) -> str:
    """Return the repr of a value, which has to be one short line."""
    text = repr(value)
    assert text.isprintable()
    assert len(text) <= WIDTH
    assert "@" not in text
    assert str(value) == f"{value}" == text
    return text


def test_the_models_of_the_reference(example: Examples) -> None:
    """Each shows what identifies it, and neither an e-mail address nor times."""
    repository = Repository.model_validate(example("get_repository"))
    assert shown(repository) == f"Repository({repository.name!r}, id={repository.id!r})"
    tag = Tag.model_validate(example("get_repository_tags")["tags"][0])
    assert shown(tag) == f"Tag('0.0.4', '{tag.digest[:19]}…', 2_757_009)"
    assert shown(tag.creator) == "Creator(id='1122334455660', role='admin')"
    page = Page[Tag].model_validate(example("get_repository_tags"))
    assert shown(page) == f"Page[Tag]({len(page)} items, offset=0, limit=10, has_next=False)"
    listed = AsyncPage[AsyncRepository].model_validate(example("get_repositories"))
    assert shown(listed).startswith("AsyncPage[AsyncRepository](")


@given(st.data())
def test_a_model_of_odd_values_is_one_short_line(data: st.DataObject) -> None:
    """Whatever the fields hold: a long text is cut, and a control character escaped."""
    for kind in (Repository, AsyncRepository, Tag, Creator):
        given_values: dict[str, Any] = {name: data.draw(values) for name in kind.model_fields}
        shown(kind.model_construct(**given_values | {"email": "who@example.com"}))
    # A field may be missing where a model is built without validation.
    shown(Tag.model_construct())


def test_extremes_of_a_page(example: Examples) -> None:
    """The longest class and the largest numbers stay within the line."""
    body = example("get_repositories") | {"offset": 2**63 - 1, "limit": 2**63 - 1}
    page = AsyncPage[AsyncRepository].model_validate(body)
    shown(page.model_copy(update={"items": page.items * 1000}))


@pytest.mark.anyio
async def test_clients_and_lists() -> None:
    """A client shows its organization and address; a list, which pages it asks for."""
    for kind in (Client, AsyncClient):
        client: Any = kind("1" * 500, {}, base_url="https://example.com/" + "x" * 500)
        for value in (client, client.raw, client.repositories, client.tags):
            assert type(value).__name__ in shown(value)
        prefix = "" if kind is Client else "Async"
        listing = client.repositories.iter(offset=3)
        assert shown(listing) == f"{prefix}Listing(page_size=100, offset=3)"
        assert shown(client.tags.iter("1", page_size=7, pattern="a")) == (
            f"{prefix}Listing(page_size=7, offset=0, filtered)"
        )
        await client.aclose() if kind is AsyncClient else client.close()


def test_a_page_in_a_notebook(example: Examples) -> None:
    """A page is a table with a row for each item, escaped and without e-mail addresses."""
    body = example("get_repository_tags")
    names = ["<script>alert(1)</script>", "a & b", "\x1b[31m", "\N{GRINNING FACE}", "x" * 1000]
    body["tags"] = [body["tags"][0] | {"name": name, "id": name[:9]} for name in names]
    html = html_of(Page[Tag].model_validate(body))
    cells = Cells(html)
    assert cells.tags == {"table", "caption", "tr", "th", "td"}
    for text in (*names[:2], "\N{REPLACEMENT CHARACTER}[31m", names[3], "x" * 200 + "…"):
        assert text in cells.texts
    assert html.count("<tr>") == 1 + len(names)
    assert "@" not in html
    assert re.fullmatch(r"[^\x00-\x09\x0b-\x1f]*", html)


def test_a_page_without_items_in_a_notebook(example: Examples) -> None:
    """An empty page has the head of its columns."""
    page = Page[Repository].model_validate(
        example("get_repositories") | {"registry_repositories": []}
    )
    cells = Cells(html_of(page))
    assert "name" in cells.texts
    assert "td" not in cells.tags


def test_a_missing_value_in_a_notebook(example: Examples) -> None:
    """A field that is None is an empty cell."""
    body = example("get_repositories")
    body["registry_repositories"] = [body["registry_repositories"][0] | {"description": None}]
    html = html_of(Page[Repository].model_validate(body))
    assert "<td></td>" in html
    assert "None" not in html


def test_a_contract_report() -> None:
    """Its repr counts the findings; in a notebook it is the table that its text is."""
    findings = [
        Finding("a", "ok", "as <b>promised</b>"),
        Finding("b", "differs", "\x1b[1m"),
        Finding("c", "ok", ""),
    ]
    report = ContractReport(tuple(findings))
    assert repr(report) == "ContractReport(2 ok, 1 differs, 0 unknown)"
    cells = Cells(html_of(report))
    assert cells.tags == {"table", "caption", "tr", "th", "td"}
    assert "as <b>promised</b>" in cells.texts
    assert "\N{REPLACEMENT CHARACTER}[1m" in cells.texts


def test_completion_leaves_out_deprecated_names(example: Examples) -> None:
    """`dir()` of a model has its fields and methods, and no name that pydantic deprecates."""
    page = Page[Tag].model_validate(example("get_repository_tags"))
    for model in (page, page[0], page[0].creator):
        names = set(dir(model))
        assert {"model_dump", "model_extra", *type(model).model_fields} <= names
        assert not {"dict", "json", "copy", "construct", "parse_obj", "schema", "validate"} & names
