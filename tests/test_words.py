"""The words of the field: a private dialect in code, messages and documentation is found here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Files in plain words. The list grows until it is one glob.
CLEAN = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "benchmarks/page.py",
    "docs/*/*.md",
    "docs/cli.md",
    "docs/conf.py",
    "docs/faults.md",
    "docs/http-api.md",
    "docs/index.md",
    "docs/performance.md",
    "docs/sandbox.md",
    "docs/project.md",
    "docs/tools.md",
    "examples/inventory_on_dask.py",
    "src/abeja_registry/*.py",
    "src/abeja_registry/_api/*.py",
    "src/abeja_registry/_http/*.py",
    "src/abeja_registry/_settings/*.py",
    "src/abeja_registry/cli/*.py",
    "src/abeja_registry/cli/report/*",
    "src/abeja_registry/inventory/*.py",
    "src/abeja_registry/contract/*.py",
    "src/abeja_registry/repositories/*.py",
    "src/abeja_registry/sandbox/[!_]*.*",
    "src/abeja_registry/sandbox/_[!_]*.py",
    "src/abeja_registry/sandbox/__init__.py",
    "src/abeja_registry/tags/*.py",
    "tests/cli/*.py",
    "tests/faults/*.py",
    "tests/inventory/*.py",
    "tests/sandbox/*.py",
    "tests/support/*.py",
    "tests/system/test_report.py",
    "tests/test_client.py",
    "tests/test_connections.py",
    "tests/test_contract.py",
    "tests/test_display.py",
    "tests/test_exceptions.py",
    "tests/test_http_client.py",
    "tests/test_images.py",
    "tests/test_invalid_rows.py",
    "tests/test_models.py",
    "tests/test_openapi.py",
    "tests/test_package.py",
    "tests/test_pages.py",
    "tests/test_raw.py",
    "tests/test_repositories.py",
    "tests/test_security.py",
    "tests/test_session.py",
    "tests/test_sharing.py",
    "tests/test_signals.py",
    "tests/test_tags.py",
    "tests/test_testing.py",
    "tests/test_tools.py",
    "tests/test_twins.py",
    "tests/test_wire.py",
    "tests/typing/*.py",
    "tests/unit/_api/*.py",
    "tests/unit/_http/*.py",
    "tests/unit/_settings/*.py",
    "tests/unit/inventory/*.py",
    "tests/unit/test_validation.py",
]
# Each phrase of the dialect, with the plain words to use.
DIALECT = {
    r"\bdoors?\b": "sender",
    r"\bjudge[ds]?\b|\bverdicts?\b": "parse, status",
    r"\breplay(s|ed|able)?\b": "retry",
    r"\bwalk(s|ed|ing)? (through|on|again)\b|\ba walk\b": "iterate over, iteration",
    r"\bhanded[- ]in\b": "user-supplied",
    r"\b(is|are|was|were|be|been) told\b|\btold (of|otherwise|apart)\b": "is called with, is given",
    r"\b(came|comes|come) to\b": "failed with, the result of",
    r"\b(what|who) (came|comes|waits|pauses|stops)\b": "name the thing",
    r"\bwhat became of\b": "the result of",
    r"\bof (a|the|this|that) name\b": "with this name",
    r"\b(is|are|was|were) (not )?there\b": "exists",
    r"\bthere any more\b": "no longer exists",
    r"\bat the (most|least)\b": "at most, at least",
    r"\bfrom [01]\b[^.]": ">= 0, >= 1",
    r"\b(an|no|the|each|other|whose|first) answers?\b|\banswer(s|ed)? with\b": "response",
    r"\banew\b": "again",
    r"\blest\b": "so that … not",
    r"\basks? nothing\b": "sends no request",
    r"\bif not given\b": "Defaults to …",
    r"\bpass(es|ed)? over\b": "skip",
    r"\bby itself\b": "separately, as a program",
    r"\bcannot be meant\b": "invalid",
    r"\bside by side\b": "in parallel",
}


def files() -> list[Path]:
    """Return the files that the list of clean ones names."""
    paths = {path for pattern in CLEAN for path in ROOT.glob(pattern)}
    return sorted(path for path in paths if path.is_file())  # no __pycache__


def dialect_in(text: str) -> list[str]:
    """Return each phrase of the dialect in a text, with its line and the plain words."""
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]!r} -> {plain}"
        for phrase, plain in DIALECT.items()
        for match in re.finditer(phrase.replace(" ", r"[\s#]+"), text, re.IGNORECASE)
    ]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_plain_words(path: Path) -> None:
    """No phrase of the dialect is in a file of the list."""
    assert dialect_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("pattern", CLEAN)
def test_each_pattern_names_a_file(pattern: str) -> None:
    """A file that was renamed stays on the list."""
    assert list(ROOT.glob(pattern))


def test_a_phrase_is_found_over_the_end_of_a_line() -> None:
    """A break within a phrase, also in a comment, does not hide it."""
    assert dialect_in("plain\n# so many at the\n# most") == [
        "line 2: 'at the\\n# most' -> at most, at least"
    ]
