"""Completion in shells: of repositories, tags and profiles."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from ._client import client_options

if TYPE_CHECKING:
    from ..client import Client

# Seconds for all requests of one completion, and for which its result is kept.
BUDGET = 0.8
_KEPT = 60.0
_MOST = 1000

Names = Callable[["Client"], Iterable[str]]


def complete_repositories(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of repositories."""
    return _items(_cached(ctx, "", _repositories), incomplete)


def complete_references(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return repositories, or the tags of one: after a colon, or as the next word."""
    words = [*(ctx.params.get(param.name or "") or ()), *([":"] if incomplete == ":" else [])]
    if words[-1:] == [":"] and words[:-1]:
        # bash splits words at colons, and completes the part after it.
        return _items(_cached(ctx, words[-2], _tags(words[-2])), incomplete.removeprefix(":"))
    repository, colon, tag = incomplete.partition(":")
    if colon:
        tags = _items(_cached(ctx, repository, _tags(repository)), tag)
        return [CompletionItem(f"{repository}:{each.value}") for each in tags]
    if words and ":" not in "".join(words[-2:]):
        return _items(_cached(ctx, words[-1], _tags(words[-1])), incomplete)
    return complete_repositories(ctx, param, incomplete)


def complete_profiles(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of the configurations in ~/.abeja/config."""
    with suppress(Exception):
        from .._settings.sources import profile_names

        return _items(profile_names(), incomplete)
    return []


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    matching = (name for name in names if name.startswith(incomplete) and name.isprintable())
    return [CompletionItem(name) for name in sorted(matching)]


def _repositories(client: Client) -> Iterable[str]:
    return (each.name for each in client.repositories.iter(page_size=_MOST))


def _tags(repository: str) -> Names:
    def names(client: Client) -> Iterable[str]:
        from ._references import repository_id

        found = repository_id(client, repository, None)
        return (each.name for each in client.tags.iter(found, page_size=_MOST))

    return names


# -- within a second, and for a minute ------------------------------------------------------------


def _cached(ctx: click.Context, what: str, names: Names) -> list[str]:
    """Return names from the cache, or from the API; none after an error."""
    with suppress(Exception):
        options = client_options(ctx)
        settings = options.resolve().settings()
        # Each user has other repositories; the secret is not a part of the key.
        parts = settings.base_url, settings.organization_id, str(settings.credential), what
        file = _folder() / f"{sha256(repr(parts).encode()).hexdigest()}.json"
        with suppress(OSError, ValueError):
            if 0 <= time.time() - file.stat().st_mtime < _KEPT:
                return [str(each) for each in json.loads(file.read_text("utf-8"))]
        with options.client() as client:
            hurried = client.with_options(deadline=BUDGET, max_retry_count=0)
            # Importing the models takes time that is not the API's.
            _ = hurried.repositories
            found = _within_budget(lambda: names(hurried))
        if found is not None:
            _keep(file, found)
            return found
    return []


def _within_budget(names: Callable[[], Iterable[str]]) -> list[str] | None:
    """Return names, or None after the budget or an error."""
    found: list[list[str]] = []

    def collect() -> None:
        with suppress(Exception):
            found.append(list(names()))

    # A deadline limits each request; several pages together are limited by the thread's time.
    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(BUDGET)
    return found[0] if found else None


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(home or Path.home() / ".cache") / "abeja-registry" / "completion"


def _keep(file: Path, names: list[str]) -> None:
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in file.parent.glob("*.json"):
            if time.time() - old.stat().st_mtime > _KEPT:
                old.unlink(missing_ok=True)
        number, path = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(number, "w", encoding="utf-8") as new:
            json.dump(names, new)
        Path(path).replace(file)
