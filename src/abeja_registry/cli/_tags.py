"""`abeja-registry tags …`, and `abeja-registry image`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import typer

from ..exceptions import InvalidArgument, InvalidResponse
from ._client import Access, id_of, repository_of
from ._output import Kind, Output, write_one, write_rows, write_text
from ._progress import waiting

if TYPE_CHECKING:
    from ..models import Tag


# Seconds, in which nothing can be asked: a wait without any left times out.
_LEAST_WAIT = 0.001


def _to_json(tag: Tag) -> dict[str, Any]:
    return tag.model_dump(mode="json")


TAG: Kind[Tag] = Kind(
    _to_json,
    columns=(
        "id",
        "name",
        "digest",
        "size",
        "media_type",
        "creator.email",
        "created_at",
        "updated_at",
    ),
    table=("name", "digest", "size", "updated_at", "creator.email"),
    first_to_go=("creator.email", "updated_at", "size"),
)


def list_(
    access: Access,
    repository: str,
    by_id: bool,
    matching: str | None,
    since: str | None,
    until: str | None,
    page_size: int | None,
    output: Output,
) -> None:
    """Write the tags of a repository."""
    begin, end = _time("--since", since), _time("--until", until)
    with access.client() as client:
        found = client.tags.iter(
            id_of(client, repository, by_id),
            page_size=page_size,
            pattern=matching,
            since=begin,
            until=end,
        )
        write_rows(TAG, found, output)


def latest(
    access: Access,
    repository: str,
    by_id: bool,
    by: Literal["created", "updated", "version"],
    matching: str | None,
    prereleases: bool,
    output: Output,
) -> None:
    """Write the newest tag."""
    with access.client() as client:
        repository_id = id_of(client, repository, by_id)
        with _naming_tags(repository, by_id):
            tag = client.tags.latest(
                repository_id, by=by, pattern=matching, prereleases=prereleases
            )
        write_one(TAG, tag, output)


def wait(
    access: Access,
    repository: str,
    name: str,
    by_id: bool,
    timeout: float,
    digest: str | None,
    changed_from: str | None,
    output: Output,
) -> None:
    """Wait for a tag, and write it."""
    if not timeout > 0:
        raise typer.BadParameter(f"--timeout must be seconds above 0, not {timeout:g}")
    ends = monotonic() + timeout
    with access.client() as client, waiting(f"waiting for {repository}:{name}"):
        # One time for both: the look-up by name, and the wait with what that leaves.
        allowed = min(client._session.settings.deadline, timeout)
        repository_id = id_of(client.with_options(deadline=allowed), repository, by_id)
        tag = client.tags.wait_for(
            repository_id,
            name,
            timeout=max(round(ends - monotonic(), 3), _LEAST_WAIT),
            digest=digest,
            changed_from=changed_from,
        )
    write_one(TAG, tag, output)


def image(access: Access, repository: str, name: str, by_id: bool, pinned: bool) -> None:
    """Write the image's name of a tag that is there."""
    with access.client() as client:
        found = repository_of(client, repository, by_id)
        with _naming_tags(repository, by_id):
            tag = found.get_tag(name)
        try:
            name = str(found.image(tag, pinned=pinned))
        except InvalidArgument as error:  # all of its parts are the API's
            raise InvalidResponse(str(error)) from None
        write_text(name)


@contextmanager
def _naming_tags(repository: str, by_id: bool) -> Iterator[None]:
    """Where it is the tag that is not there, say how to see those that are."""
    from ..exceptions import NotFound

    try:
        yield
    except NotFound as error:
        # A repository that is not there has the API's status.
        if error.url is None:
            of = f"--id {repository}" if by_id else repository
            error.add_note(f"see what there is: abeja-registry tags list {of}")
        raise


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option} must be a time such as 2024-01-31 or 2024-01-31T12:00:00Z, not {text!r}"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
