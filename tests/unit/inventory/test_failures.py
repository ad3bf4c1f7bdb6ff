"""The repositories that an inventory could not read."""

from __future__ import annotations

import pickle

import pytest

from abeja_registry import Error, NotFound
from abeja_registry.inventory import IncompleteInventory, InventoryFailure


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (1, "repository 'r0' failed with error 0: try again"),
        (2, "repository 'r0' failed with error 0, and 1 more failed: try again"),
        (1001, "repository 'r0' failed with error 0, and 1,000 more failed: try again"),
    ],
)
def test_an_incomplete_inventory_names_the_first_failure(count: int, message: str) -> None:
    """The message has its error, the number of the others and a hint, also after pickling."""
    failures = tuple(InventoryFailure(str(n), f"r{n}", Error(f"error {n}")) for n in range(count))
    error = IncompleteInventory(failures, "try again")
    copy = pickle.loads(pickle.dumps(error))
    assert str(error) == str(copy) == message
    assert len(copy.failures) == count


def test_a_repository_that_is_not_found_was_deleted() -> None:
    """Another error leaves open whether the repository exists."""
    assert InventoryFailure("1", "a", NotFound("404", "not found")).deleted
    assert not InventoryFailure("1", "a", Error("no response")).deleted
