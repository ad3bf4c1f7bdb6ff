"""Which tags a filter keeps, which one is the latest, and which one a wait is for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal, get_args

from .._api import flows
from .._api.flows import Flow
from .._validation import (
    check_choice,
    check_digest,
    check_time,
    check_timeout,
    compile_glob,
    safe_repr,
)
from ..exceptions import InvalidArgument, NotFound
from ..models import Tag

TagOrder = Literal["created", "updated", "version"]


def tag_filter(
    pattern: str | None, since: datetime | None, until: datetime | None
) -> Callable[[Tag], bool] | None:
    """Return the filter of an iteration, or None if every tag is kept."""
    check_time("since", since)
    check_time("until", until)
    if pattern is None and since is None and until is None:
        return None
    matches = compile_glob("pattern", "*" if pattern is None else pattern)
    return lambda tag: (
        (since is None or tag.updated_at >= since)
        and (until is None or tag.updated_at < until)
        and matches(tag.name)
    )


def latest_flow(
    repository_id: str,
    by: TagOrder,
    pattern: str | None,
    prereleases: bool,
    list_page: flows.ListOperation,
    find_rows: flows.FindRows[Tag],
    page_size: int | None,
) -> Flow[Tag]:
    """Return the newest matching tag, or raise NotFound."""
    check_choice("by", by, get_args(TagOrder))
    if prereleases and by != "version":
        raise InvalidArgument("prereleases needs by='version'")
    version = _version_key(prereleases) if by == "version" else None
    pushed_at = attrgetter("updated_at" if by == "updated" else "created_at")
    matches = compile_glob("pattern", "*" if pattern is None else pattern)
    skipped = set()

    def is_wanted(name: str) -> bool:
        if not matches(name):
            return False
        if version is not None and version(name) is None:
            skipped.add(name)
            return False
        return True

    def rank(tag: Tag) -> Any:
        return pushed_at(tag) if version is None else (version(tag.name), pushed_at(tag))

    latest = yield from flows.best(list_page, find_rows, page_size, rank, is_wanted)
    if latest is None:
        problem = f"no matching tag in the repository {safe_repr(repository_id)}"
        if skipped:
            kind = "a version" if prereleases else "a final version; pass prereleases=True"
            problem += f": {len(skipped)} tags match by name, and none is {kind}"
        raise NotFound("not_found", problem)
    return latest


def _version_key(prereleases: bool) -> Callable[[str], Any]:
    try:
        from packaging.version import InvalidVersion, Version
    except ImportError:
        raise ImportError(
            "by='version' needs the package packaging: pip install 'abeja-registry[versions]'"
        ) from None

    def version(name: str) -> Any:
        try:
            parsed = Version(name)
        except InvalidVersion:
            return None
        return None if parsed.is_prerelease and not prereleases else parsed

    return version


def wait_condition(
    timeout: float, digest: str | None, changed_from: str | Tag | None
) -> Callable[[Tag], str | None]:
    """Return a function that tells why a tag does not meet the condition, or None if it does."""
    check_timeout("timeout", timeout)
    before = changed_from.digest if isinstance(changed_from, Tag) else changed_from
    for name, value in (("digest", digest), ("changed_from", before)):
        if value is not None:
            check_digest(name, value)
    if digest is not None and digest == before:
        raise InvalidArgument(f"digest and changed_from are the same, {digest}")

    def problem(tag: Tag) -> str | None:
        if digest is not None and tag.digest != digest:
            return f"it points to {tag.digest}"
        if tag.digest == before:
            return f"it still points to {before}"
        return None

    return problem
