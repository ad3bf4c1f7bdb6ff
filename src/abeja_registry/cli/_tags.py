"""`abeja-registry tags …`, and `abeja-registry image`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import click

from ..exceptions import InvalidArgument, InvalidResponse, NotFound
from . import _options
from ._client import ClientOptions
from ._completion import complete_references
from ._framework import Command, Group, global_options, seconds
from ._output import Writer, write_text
from ._progress import spinner
from ._references import (
    Reference,
    check_organization,
    hint_at_tags,
    parse_references,
    repository_id,
    repository_of,
    tags_of,
)
from ._views import TAG

if TYPE_CHECKING:
    from ..client import Client
    from ..models import Tag
    from ..repositories import Repository

# Seconds in which no request can be sent: a wait without remaining time times out.
_MIN_WAIT = 0.001

references = click.argument(
    "words",
    metavar="REPOSITORY:TAG...",
    nargs=-1,
    required=True,
    shell_complete=complete_references,
)


@click.group(cls=Group)
@global_options
def tags(_: ClientOptions) -> None:
    """List tags, show the newest, wait for one."""


def _of_all_repositories(words: Sequence[str]) -> str:
    stale = " ".join(words) if words[:1] == ["--stale-days"] else ""
    return f"for all repositories: abeja-registry inventory {stale}".rstrip()


@tags.command(
    "list",
    instead=_of_all_repositories,
    examples=(
        "tags list trainer",
        "tags list trainer --pattern '1.*' --sort updated --limit 10",
        "tags list trainer --stale-days 90 --quiet",
        "tags list trainer --since 2024-01-31 --output csv",
    ),
)
@global_options
@_options.repository
@_options.by
@_options.pattern
@_options.window
@_options.stale
@_options.rows(TAG)
@_options.page_size
def list_(
    options: ClientOptions,
    write: Writer[Tag],
    window: _options.Window,
    repository: str,
    by: str | None,
    pattern: str | None,
    page_size: int | None,
) -> None:
    """List the tags of a repository."""
    with options.client() as client:
        write.write_all(
            client.tags.iter(
                repository_id(client, repository, by),
                page_size=page_size,
                pattern=pattern,
                since=window.since,
                until=window.until,
            )
        )


@tags.command(
    "get",
    examples=(
        "tags get trainer:1.0.0",
        "tags get trainer:1.0.0 predictor:latest --output json",
        "tags get trainer@sha256:5c40b3c27b9f…",
    ),
)
@global_options
@references
@_options.by
@_options.rows(TAG, one=True)
@_options.keep_going
def get(
    options: ClientOptions,
    write: Writer[Tag],
    words: Sequence[str],
    by: str | None,
    keep_going: bool,
) -> None:
    """Show tags; REPOSITORY@DIGEST shows all tags of an image.

    In JSON, one REPOSITORY:TAG is an object, and several are an array.
    """
    wanted = parse_references(words)
    attempts = _options.Attempts(keep_going)
    with options.client() as client:
        check_organization(client, wanted)

        def found() -> Iterator[Tag]:
            for reference in wanted:
                with attempts.one():
                    yield from tags_of(client, reference, by)[1]

        one = len(wanted) == 1 and wanted[0].tag is not None
        write.write_several(found(), 1 if one else len(wanted) + 1)
    attempts.end()


@tags.command(
    "latest",
    examples=(
        "tags latest trainer",
        "tags latest trainer --by version --quiet",
        "tags latest trainer --pattern '1.*' --output json | jq -r .digest",
    ),
)
@global_options
@_options.repository
@_options.by
@click.option(
    "--by",
    "order",
    type=click.Choice(["created", "updated", "version"]),
    default="created",
    help="By the first push, the last push, or the version in the name.  [default: created]",
)
@_options.pattern
@click.option("--prereleases", is_flag=True, help="Include versions such as 2.0.0rc1.")
@_options.rows(TAG, one=True)
def latest(
    options: ClientOptions,
    write: Writer[Tag],
    repository: str,
    by: str | None,
    order: Literal["created", "updated", "version"],
    pattern: str | None,
    prereleases: bool,
) -> None:
    """Show the tag with the most recent first push.

    --by updated shows the one with the most recent push.
    """
    if prereleases and order != "version":
        raise click.UsageError("--prereleases needs --by version")
    with options.client() as client:
        found = repository_id(client, repository, by)
        try:
            tag = client.tags.latest(found, by=order, pattern=pattern, prereleases=prereleases)
        except NotFound as error:
            hint_at_tags(error, repository, by)
            raise
        write.write_one(tag)


@tags.command(
    "wait",
    examples=(
        "tags wait trainer:1.0.0 --timeout 600",
        'tags wait trainer:latest --changed-from "$DIGEST" --output json',
    ),
)
@global_options
@references
@_options.by
@click.option(
    "--timeout",
    type=seconds,
    default=300,
    metavar="SECONDS",
    help="The longest time to wait.  [default: 300]",
)
@click.option("--digest", metavar="DIGEST", help="Wait until the tag points to this digest.")
@click.option(
    "--changed-from",
    metavar="DIGEST",
    help="Wait until the tag points elsewhere than this digest.",
)
@_options.rows(TAG, one=True)
def wait(
    options: ClientOptions,
    write: Writer[Tag],
    words: Sequence[str],
    by: str | None,
    timeout: float,
    digest: str | None,
    changed_from: str | None,
) -> None:
    """Wait until a tag exists, and show it.

    The time includes the look-up of REPOSITORY.
    """
    wanted = parse_references(words)
    if len(wanted) > 1 or wanted[0].tag is None:
        raise click.UsageError("pass one REPOSITORY:TAG")
    reference = wanted[0]
    if digest is not None and reference.digest not in (None, digest):
        raise click.UsageError(f"--digest {digest} contradicts {reference}")
    reference = replace(reference, digest=reference.digest if digest is None else digest)
    with options.client() as client, spinner(f"waiting for {reference}"):
        check_organization(client, wanted)
        end = client._session.clock.now() + timeout
        found = repository_id(client, reference.repository, by, end)
        tag = wait_for(client, found, reference, end, changed_from)
    write.write_one(tag)


def wait_for(
    client: Client,
    repository: str | Repository,
    reference: Reference,
    end: float,
    changed_from: str | None = None,
) -> Tag:
    """Wait for a tag until this time of the session's clock."""
    return client.tags.wait_for(
        repository,
        reference.tag or "",
        timeout=max(round(end - client._session.clock.now(), 3), _MIN_WAIT),
        digest=reference.digest,
        changed_from=changed_from,
    )


@click.command(
    "image",
    cls=Command,
    examples=(
        "image trainer:1.0.0",
        "image trainer:latest --pinned",
        "image trainer:1.2.3 --pinned --wait 300",
    ),
)
@global_options
@references
@_options.by
@click.option("--pinned", is_flag=True, help="Name the image by its digest, which never changes.")
@click.option(
    "--wait",
    type=seconds,
    metavar="SECONDS",
    help="Wait up to SECONDS for the tag, the look-up of the repository included.",
)
@_options.keep_going
def image(
    options: ClientOptions,
    words: Sequence[str],
    by: str | None,
    pinned: bool,
    wait: float | None,
    keep_going: bool,
) -> None:
    """Print image names in the form that job definitions use.

    Fails if a tag does not exist.
    """
    wanted = parse_references(words)
    if wait is not None and any(reference.tag is None for reference in wanted):
        raise click.UsageError("--wait needs REPOSITORY:TAG")
    attempts = _options.Attempts(keep_going)
    with options.client() as client:
        check_organization(client, wanted)
        for reference in wanted:
            with attempts.one():
                if wait is None:
                    repository, (tag, *_) = tags_of(client, reference, by)
                else:
                    with spinner(f"waiting for {reference}"):
                        end = client._session.clock.now() + wait
                        repository = repository_of(client, reference.repository, by, end)
                        tag = wait_for(client, repository, reference, end)
                try:
                    name = repository.image(tag, pinned=pinned or reference.tag is None)
                except InvalidArgument as error:  # all parts are the API's, not the user's
                    raise InvalidResponse(str(error)) from None
                write_text(str(name))
    attempts.end()
