"""An organization's whole registry as rows: iterated over in parallel, written, compared.

`client.inventory()` makes one. No request is sent until iteration starts, and each iteration sends
new ones.
"""

from ._crawler import InventoryFailure, Progress
from ._inventory import (
    AsyncInventory,
    IncompleteInventory,
    Inventory,
    OnProgress,
    summarize,
)
from ._reports import Diff, Moved, Summary, Totals
from ._rows import FileRows, InventoryRepository, InventoryRow, read_rows

__all__ = [
    "AsyncInventory",
    "Diff",
    "FileRows",
    "IncompleteInventory",
    "Inventory",
    "InventoryFailure",
    "InventoryRepository",
    "InventoryRow",
    "Moved",
    "OnProgress",
    "Progress",
    "Summary",
    "Totals",
    "read_rows",
    "summarize",
]
