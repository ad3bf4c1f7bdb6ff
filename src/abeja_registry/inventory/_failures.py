"""The repositories that an inventory could not read."""

from __future__ import annotations

from dataclasses import dataclass

from .._display import one_line
from .._validation import safe_repr
from ..exceptions import Error, NotFound


@dataclass(frozen=True, slots=True)
class InventoryFailure:
    """A repository that could not be read.

    Attributes:
        repository_id: Its id; empty where its row in the list has no valid id.
        repository_name: Its name; its position in the list where its row has no valid name.
        error: The error of the second attempt; an `InvalidResponse` where its row in the list is
            invalid, or tags were skipped.
    """

    repository_id: str
    repository_name: str
    error: Error

    @property
    def deleted(self) -> bool:
        """Whether it was deleted after it was listed, so that the second attempt returned 404."""
        return isinstance(self.error, NotFound)

    def __repr__(self) -> str:
        return one_line(
            "InventoryFailure", self.repository_name, id=self.repository_id, error=self.error
        )


class IncompleteInventory(Error):
    """A report over all repositories was refused because some of them failed.

    Args:
        failures: The repositories that failed, with their errors.
        hint: The consequence, and how to proceed.
    """

    def __init__(self, failures: tuple[InventoryFailure, ...], hint: str) -> None:
        super().__init__(failures, hint)
        self.failures = failures
        self._hint = hint

    def __str__(self) -> str:
        first, *others = self.failures
        more = f", and {len(others):,} more failed" if others else ""
        return (
            f"repository {safe_repr(first.repository_name)} failed with {first.error}{more}:"
            f" {self._hint}"
        )
