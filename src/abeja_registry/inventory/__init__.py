"""An organization's registry as rows: read in parallel, written to files, compared.

`client.inventory()` makes one. No request is sent until iteration starts, and each iteration sends
new requests. `Inventory`, `AsyncInventory`, `InventoryRow`, `read_rows` and `summarize` can be
imported from `abeja_registry` too.
"""

from ._async_inventory import AsyncInventory
from ._diff import Diff, Moved
from ._failures import IncompleteInventory, InventoryFailure
from ._file_rows import FileRows, read_rows
from ._inventory import Inventory
from ._iteration import OnProgress
from ._reports import summarize
from ._rows import InventoryRepository, InventoryRow
from ._summary import Summary, Totals
from ._tasks import Progress

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
