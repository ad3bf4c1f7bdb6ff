"""`abeja-registry repositories …`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from ._client import Access, repository_of
from ._errors import say
from ._output import Kind, Output, plain, write_one, write_rows

if TYPE_CHECKING:
    from ..repositories import Repository


def _to_json(repository: Repository) -> dict[str, Any]:
    return repository.model_dump(mode="json")


REPOSITORY: Kind[Repository] = Kind(
    _to_json,
    columns=(
        "id",
        "name",
        "description",
        "organization_id",
        "creator.email",
        "created_at",
        "updated_at",
    ),
    table=("name", "id", "updated_at", "creator.email", "description"),
    first_to_go=("creator.email", "updated_at", "description"),
)


def list_(access: Access, page_size: int | None, output: Output) -> None:
    """Write all repositories."""
    with access.client() as client:
        write_rows(REPOSITORY, client.repositories.iter(page_size=page_size), output)


def get(access: Access, repository: str, by_id: bool, output: Output) -> None:
    """Write one."""
    with access.client() as client:
        write_one(REPOSITORY, repository_of(client, repository, by_id), output)


def create(
    access: Access, name: str, description: str | None, exist_ok: bool, output: Output
) -> None:
    """Create one, and write it."""
    with access.client() as client:
        repositories = client.repositories
        make = repositories.get_or_create if exist_ok else repositories.create
        write_one(REPOSITORY, make(name, description), output)


def delete(access: Access, repository: str, by_id: bool, yes: bool, missing_ok: bool) -> None:
    """Delete one, once somebody said yes."""
    from ..exceptions import NotFound

    # Before anything is asked of anybody.
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter("no terminal to ask at: nothing was deleted; --yes deletes")
    with access.client() as client:
        try:
            # An id with --yes is all it takes; otherwise who is asked should read the name.
            found = None if by_id and yes else repository_of(client, repository, by_id)
            if found is not None and not yes and not _agreed(found):
                say("nothing was deleted")
                raise typer.Exit(1)
            repository_id = repository if found is None else found.id
            client.repositories.delete(repository_id)
        except NotFound:
            if not missing_ok:
                raise
            say(f"there is no repository {repository}")
        else:
            say(f"deleted {repository}")


def _agreed(repository: Repository) -> bool:
    sys.stderr.write(
        f"Delete the repository {plain(repository.name)} ({plain(repository.id)})"
        " and all its tags? [y/N] "
    )
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # Ctrl-D, which leaves the cursor where it was
        say("")
    return answer.strip().lower() in ("y", "yes")
