"""The names on the command line: a repository by name or id, and its tags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from .._validation import quote_segment
from ..exceptions import InvalidArgument, InvalidResponse, NotFound
from ..images import ImageName
from ._errors import add_hint

if TYPE_CHECKING:
    from .._api.flows import Flow
    from ..client import Client
    from ..models import Tag
    from ..repositories import Repository

_FORMS = "REPOSITORY:TAG, REPOSITORY@sha256:… or REPOSITORY TAG"


@dataclass(frozen=True)
class Reference:
    """A tag or an image of a repository.

    Attributes:
        repository: The repository's name, or its id.
        tag: The tag's name; None for an image by its digest alone.
        digest: The digest that the tag must have; None for any.
        organization_id: The organization that an image's name has; None for the client's.
    """

    repository: str
    tag: str | None
    digest: str | None = None
    organization_id: str | None = None

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        return f"{self.repository}{tag}{'' if self.digest is None else f'@{self.digest}'}"


def parse_references(words: Iterable[str]) -> list[Reference]:
    """Return the tags that the words of a command line name.

    Raises:
        UsageError: A word names no tag.
        InvalidArgument: An image's name is invalid.
    """
    references = []
    left = list(reversed(list(words)))
    while left:
        word = left.pop()
        if "/" in word:
            image = ImageName.parse(word)
            references.append(
                Reference(image.repository, image.tag, image.digest, image.organization_id)
            )
        elif ":" in word or "@" in word:
            path, at, digest = word.partition("@")
            repository, colon, tag = path.partition(":")
            if not repository or (colon and not tag) or (at and not digest):
                raise click.UsageError(f"{word!r} names no tag: write {_FORMS}")
            references.append(Reference(repository, tag or None, digest or None))
        elif left and not re.search("[:@/]", left[-1]):
            references.append(Reference(word, left.pop()))
        else:
            raise click.UsageError(
                f"{word!r} has no tag: write {_FORMS}; `abeja-registry tags latest {word}` shows"
                " the newest"
            )
    return references


def check_organization(client: Client, references: Iterable[Reference]) -> None:
    """Raise a UsageError for an image of another organization than the client's."""
    for reference in references:
        theirs = reference.organization_id
        if theirs not in (None, client.organization_id):
            raise click.UsageError(
                f"{reference} is an image of organization {theirs}, not of"
                f" {client.organization_id}: use --organization {theirs}"
            )


def find_repositories(
    client: Client, text: str, by: str | None, *, both: bool = False, end: float | None = None
) -> list[Repository]:
    """Return the repositories that a name or an id means; the one with the name comes first.

    Args:
        client: The client.
        text: A name or an id.
        by: "id" or "name", to look for this alone.
        both: Whether to look for the id too if there is one with the name.
        end: When the look-up must end, by the session's clock. Defaults to the deadline of calls.

    Raises:
        NotFound: There is none.
    """

    def look_up() -> Flow[list[Repository]]:
        repositories = client.repositories
        named = None if by == "id" else (yield from repositories._find(text, None))  # noqa: SLF001
        if named is not None:
            try:
                quote_segment("the repository's id", named.id)
            except InvalidArgument as error:  # the API's value, not the user's
                raise InvalidResponse(str(error)) from None
        found = [] if named is None else [named]
        # Assumption: an id is all digits, as in the reference.
        if by == "id" or (by is None and text.isdecimal() and (both or not found)):
            try:
                found.append((yield from repositories._get(text)))  # noqa: SLF001
            except NotFound:
                if by == "id":
                    raise
        if not found:
            kinds = "with the name or the id" if by is None and text.isdecimal() else "named"
            raise NotFound("not_found", f"no repository {kinds} {text!r}")
        return found

    return client._session.run(look_up(), end)


def repository_of(
    client: Client, text: str, by: str | None, end: float | None = None
) -> Repository:
    """Return the repository with this name, else the one with this id, as `find_repositories`."""
    return find_repositories(client, text, by, end=end)[0]


def repository_id(client: Client, text: str, by: str | None, end: float | None = None) -> str:
    """Return the id of a repository; sends no request for one that is given by its id."""
    return text if by == "id" else repository_of(client, text, by, end).id


def tags_of(client: Client, reference: Reference, by: str | None) -> tuple[Repository, list[Tag]]:
    """Return the repository and the tags that a reference names.

    Raises:
        NotFound: The repository or the tag does not exist, or the tag has another digest.
    """
    repository = repository_of(client, reference.repository, by)
    try:
        if reference.tag is None:
            tags = [tag for tag in repository.iter_tags() if tag.digest == reference.digest]
            if not tags:
                raise NotFound(
                    "not_found", f"no tag of {repository.name} points to {reference.digest}"
                )
        else:
            tag = repository.get_tag(reference.tag)
            if reference.digest not in (None, tag.digest):
                raise NotFound(
                    "not_found",
                    f"{repository.name}:{tag.name} points to {tag.digest}, not to"
                    f" {reference.digest}",
                )
            tags = [tag]
    except NotFound as error:
        hint_at_tags(error, reference.repository, by)
        raise
    return repository, tags


def hint_at_tags(error: NotFound, repository: str, by: str | None) -> None:
    """Hint at the list of tags, if a tag is missing and not its repository."""
    # The API's NotFound has a URL: it has no such repository.
    if error.url is None:
        option = f"--{by} " if by else ""
        add_hint(error, f"list its tags: abeja-registry tags list {option}{repository}")
