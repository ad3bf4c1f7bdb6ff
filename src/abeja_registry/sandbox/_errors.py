"""Errors of the registry, each with the status of its HTTP response."""

import reprlib
from typing import ClassVar


class RegistryError(Exception):
    """The registry rejects an operation.

    Attributes:
        status: The status of the HTTP response.
        detail: The field of bad input, as `{"field": name}`.
    """

    status: ClassVar[int]
    detail: dict[str, str] | None = None


class InvalidValue(RegistryError, ValueError):
    """A value breaks a rule; `detail` names its field."""

    status = 400

    def __init__(self, field: str, rule: str, value: object) -> None:
        super().__init__(f"{field} must be {rule}, got {reprlib.repr(value)}")
        self.detail = {"field": field}


class UnknownKey(RegistryError, ValueError):
    """A key that a call does not have; `detail` names it."""

    status = 400

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.detail = {"field": key}


class RepositoryNotFound(RegistryError, LookupError):
    """No repository has this id."""

    status = 404

    def __init__(self, repository_id: str) -> None:
        hint = "" if repository_id.isdecimal() else "; a path takes its id, not its name"
        super().__init__(f"no repository {reprlib.repr(repository_id)}{hint}")


class NameConflict(RegistryError, ValueError):
    """Another repository has this name."""

    status = 409


class ReadOnlyTags(RegistryError, RuntimeError):
    """The tags mirror a Docker registry; only a push to that registry writes one."""

    status = 409


class DatabaseBusy(RegistryError, RuntimeError):
    """Another process holds the database's write lock."""

    status = 503
