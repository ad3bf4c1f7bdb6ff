"""The repositories that a deletion is about: from names, or from a file."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exceptions import Error, InvalidFile
from ._errors import add_hint
from ._output import echo_err
from ._references import find_repositories, repository_of

if TYPE_CHECKING:
    from ..client import Client

# Repositories that the question lists.
_LISTED = 20


@dataclass(frozen=True)
class Target:
    """A repository to delete."""

    id: str
    name: str
    tags: int | None = None

    def __str__(self) -> str:
        tags = "" if self.tags is None else f", {self.tags:,} tag{'' if self.tags == 1 else 's'}"
        return self.name if self.id == self.name else f"{self.name} ({self.id}{tags})"


@dataclass
class ListedRepository:
    """A repository in a file.

    Attributes:
        line: The line of its first row.
        id: Its id; empty if the file has no ids.
        name: Its name; empty if the file has no names.
        tags: The tags that the file has of it; None for a file without tags.
    """

    line: int
    id: str
    name: str
    tags: set[str] | None

    def __str__(self) -> str:
        return self.name or self.id


def target_of(
    client: Client, requested: str | ListedRepository, by: str | None, *, look_up: bool
) -> Target:
    """Return the repository to delete.

    Args:
        client: The client.
        requested: A name or an id, or a repository of a file.
        by: "id" or "name", to look for this alone.
        look_up: Whether to look up an id too.

    Raises:
        NotFound: It does not exist.
    """
    if isinstance(requested, ListedRepository):
        return _listed_target(client, requested)
    if by == "id" and not look_up:
        return Target(requested, requested)
    return _named_target(client, requested, by)


def _named_target(client: Client, text: str, by: str | None) -> Target:
    """Return the repository with a name or an id.

    Raises:
        UsageError: One repository has the name, and another one the id.
        NotFound: There is none.
    """
    found = {each.id: each for each in find_repositories(client, text, by, both=True)}
    if len(found) > 1:
        named, other = found.values()
        raise click.UsageError(
            f"{text!r} is the name of the repository {named.id} and the id of {other.name!r}:"
            " say which with --name or --id"
        )
    return next(Target(each.id, each.name) for each in found.values())


def _listed_target(client: Client, listed: ListedRepository) -> Target:
    """Return a repository of a file, if the file is right about it.

    Raises:
        NotFound: It does not exist.
        Error: It has another name, or tags that the file does not have.
    """
    if listed.id:
        repository = client.repositories.get(listed.id)
    else:
        repository = repository_of(client, listed.name, "name")
    if listed.name not in ("", repository.name):
        raise Error(f"{listed.id} is {repository.name!r} now, not {listed.name!r}: it was kept")
    if listed.tags is None:
        return Target(repository.id, repository.name)
    tags = {tag.name for tag in repository.iter_tags()}
    if others := tags - listed.tags:
        raise Error(
            f"{repository.name} was kept: {len(others):,} of its {len(tags):,} tags are not in the"
            f" file, such as {min(others)!r}"
        )
    return Target(repository.id, repository.name, len(tags))


def confirmed(targets: list[Target]) -> bool:
    """Ask whether to delete the repositories."""
    for target in targets[:_LISTED]:
        echo_err(f"  {target}")
    if len(targets) > _LISTED:
        echo_err(f"  … and {len(targets) - _LISTED:,} more")
    one = len(targets) == 1
    what = (
        "this repository and all its"
        if one
        else f"these {len(targets):,} repositories and all their"
    )
    sys.stderr.write(f"Delete {what} tags? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # Ctrl-D leaves the cursor behind the question
        echo_err("")
    return answer.strip().lower() in ("y", "yes")


# -- files ----------------------------------------------------------------------------------------


def read_file(path: str) -> list[ListedRepository]:
    """Return the repositories in a file: CSV, JSON lines or a JSON array, or - for stdin.

    Raises:
        InvalidFile: A line names no repository, or is of another output.
    """
    name = "stdin" if path == "-" else path
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise _invalid(name, None, "is not UTF-8") from None
    listed: dict[tuple[str, str], ListedRepository] = {}
    for line, row in _rows(name, text.removeprefix("\ufeff")):
        if {"of", "tag_bytes"} <= row.keys():
            raise _invalid(name, line, "is of a summary, which has all repositories and no tags")
        # A list of repositories has `id` and `name`, but a list of tags has them too.
        of_tags = row.keys() & {"repository_id", "repository_name", "digest"}
        prefix = "repository_" if of_tags else ""
        key = str(row.get(f"{prefix}id") or ""), str(row.get(f"{prefix}name") or "")
        if not any(key):
            problem = "names no repository: it has neither repository_id nor repository_name"
            raise _invalid(name, line, problem)
        known = listed.setdefault(key, ListedRepository(line, *key, None))
        if prefix:
            # Without its tags, a repository with one stale tag looks like one that is stale.
            if "tag" not in row and row.get("kind") != "repository":
                raise _invalid(name, line, "is of an inventory, and has no column 'tag'")
            known.tags = {*(known.tags or ()), *([str(row["tag"])] if row.get("tag") else [])}
    return list(listed.values())


def _invalid(name: str, line: int | None, problem: str) -> InvalidFile:
    where = name if line is None else f"line {line} of {name}"
    error = InvalidFile(f"{where} {problem}", name, line)
    add_hint(error, "pass a list of `abeja-registry inventory` or `repositories list`")
    return error


def _rows(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return (_json_rows if text.lstrip()[:1] in ("{", "[") else _csv_rows)(name, text)


def _csv_rows(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise _invalid(name, reader.line_num + 1, f"is not CSV: {error}") from None


def _json_rows(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    decode = json.JSONDecoder().raw_decode
    array = text.lstrip()[0] == "["
    between = re.compile(r"[\s,\]]*" if array else r"\s*")
    end, line = text.index("[") + 1 if array else 0, 1
    line += text.count("\n", 0, end)
    try:
        if array:
            json.loads(text)  # the commas and brackets
        while (start := between.match(text, end).end()) < len(text):  # type: ignore[union-attr]
            line += text.count("\n", end, start)
            value, end = decode(text, start)
            if not isinstance(value, dict):
                raise ValueError("it must be an object")
            yield line, value
            line += text.count("\n", start, end)
    except json.JSONDecodeError as error:
        raise _invalid(name, error.lineno, f"is not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise _invalid(name, line, f"is not JSON: {error}") from None
