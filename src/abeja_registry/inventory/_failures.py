"""The repositories that an inventory could not read."""

from __future__ import annotations

from dataclasses import dataclass

from .._validation import safe_repr
from ..exceptions import Error, NotFound
from ._display import short_repr


@dataclass(frozen=True, slots=True)
class InventoryFailure:
    """A repository that could not be read.

    Attributes:
        repository_id: Its id; empty where its row in the list has no valid id.
        repository_name: Its name; its position in the list where its row has no valid name.
        error: The error of the second try; an `InvalidResponse` where its row in the list is
            invalid.
    """

    repository_id: str
    repository_name: str
    error: Error

    @property
    def deleted(self) -> bool:
        """Whether it was deleted after it was listed: it was not found the second time."""
        return isinstance(self.error, NotFound)

    def __repr__(self) -> str:
        return short_repr(
            "InventoryFailure", self.repository_name, id=self.repository_id, error=self.error
        )


class IncompleteInventory(Error):
    """A report over all repositories was refused because some of them failed.

    Args:
        failures: The repositories that failed, with their errors.
        consequence: What was not done, and what helps.
    """

    def __init__(self, failures: tuple[InventoryFailure, ...], consequence: str) -> None:
        super().__init__(failures, consequence)
        self.failures = failures
        self._consequence = consequence

    def __str__(self) -> str:
        first = self.failures[0]
        return (
            f"{len(self.failures)} repositories failed, the first of them"
            f" {safe_repr(first.repository_name)} with {first.error}: {self._consequence}"
        )
