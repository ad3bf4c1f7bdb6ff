"""The client of a command, made when the command needs it and not before."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._validation import quote_segment
from ..exceptions import InvalidArgument, InvalidResponse
from . import _errors

if TYPE_CHECKING:
    from ..client import Client
    from ..repositories import Repository


@dataclass(frozen=True)
class Access:
    """The global options: what a client is told beside the environment and the CLI's file."""

    organization_id: str | None = None
    profile: str | None = None
    base_url: str | None = None
    timeout: float | None = None
    deadline: float | None = None

    def client(self) -> Client:
        """Return a client; it is the caller's to close."""
        import_httpx()
        from .._api.redaction import Redactor
        from ..client import Client

        client = Client(
            self.organization_id,
            profile=self.profile,
            base_url=self.base_url,
            timeout=self.timeout,
            deadline=self.deadline,
        )
        settings = client._session.settings
        _errors.redact = Redactor(settings.authorization, settings.secrets())
        return client

    def organization_name(self) -> str:
        """Return the organization's name, or its id if the API does not name it."""
        with self.client() as client:
            page = client.raw.get_repositories(client.organization_id, limit=1)
            name: object = page.get("organization_name")
            return name if isinstance(name, str) and name.strip() else client.organization_id


def import_httpx() -> None:
    """Import httpx without its own command line, which would take a third of all starting."""
    name = "httpx._main"
    if "httpx" not in sys.modules and name not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules[name]


def repository_of(client: Client, repository: str, by_id: bool) -> Repository:
    """Return the repository of a name, or of an id.

    Raises:
        NotFound: There is none.
    """
    if by_id:
        return client.repositories.get(repository)
    found = client.repositories.get_by_name(repository)
    try:
        quote_segment("the repository's id", found.id)
    except InvalidArgument as error:  # the API's, and nothing that the command was given
        raise InvalidResponse(str(error)) from None
    return found


def id_of(client: Client, repository: str, by_id: bool) -> str:
    """Return the id of a repository; one that is given by its id is not asked for."""
    return repository if by_id else repository_of(client, repository, by_id).id
