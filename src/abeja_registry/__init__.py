"""The typed Python SDK for the ABEJA Platform Registry API.

`Client` and `AsyncClient` return typed values, `APIClient` and `AsyncAPIClient` plain dicts.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ._api.dicts import (
        CreatorDict,
        DeletedRepositoryDict,
        ListedRepositoryDict,
        RepositoryDict,
        RepositoryPageDict,
        TagDict,
        TagPageDict,
    )
    from ._api.responses import ResponseInfo
    from ._api.retries import Retry, RetryPolicy
    from ._http.adapter import AsyncHttpClient, HttpClient
    from ._settings.credentials import (
        BearerToken,
        Credential,
        DatasourceCredential,
        UserCredential,
    )
    from ._settings.settings import OnResponse, OnRetry, Setting
    from ._validation import InvalidRows
    from .client import AsyncClient, Client
    from .exceptions import (
        Attempt,
        BadRequest,
        ConfigurationError,
        Conflict,
        Error,
        Forbidden,
        HttpError,
        InsecureTransportWarning,
        InternalServerError,
        InvalidArgument,
        InvalidFile,
        InvalidResponse,
        MethodNotAllowed,
        NotFound,
        OutcomeUnknown,
        PaginationError,
        Timeout,
        TooManyRequests,
        TransportError,
        Unauthorized,
        WaitTimeout,
    )
    from .images import ImageName
    from .inventory import AsyncInventory, Inventory, InventoryRow, read_rows, summarize
    from .models import Creator, Tag
    from .pages import AsyncListing, AsyncPage, Listing, Page
    from .raw import APIClient, AsyncAPIClient
    from .repositories import AsyncRepositories, AsyncRepository, Repositories, Repository
    from .tags import AsyncTags, TagOrder, Tags

__all__ = [
    "APIClient",
    "AsyncAPIClient",
    "AsyncClient",
    "AsyncHttpClient",
    "AsyncInventory",
    "AsyncListing",
    "AsyncPage",
    "AsyncRepositories",
    "AsyncRepository",
    "AsyncTags",
    "Attempt",
    "BadRequest",
    "BearerToken",
    "Client",
    "ConfigurationError",
    "Conflict",
    "Creator",
    "CreatorDict",
    "Credential",
    "DatasourceCredential",
    "DeletedRepositoryDict",
    "Error",
    "Forbidden",
    "HttpClient",
    "HttpError",
    "ImageName",
    "InsecureTransportWarning",
    "InternalServerError",
    "InvalidArgument",
    "InvalidFile",
    "InvalidResponse",
    "InvalidRows",
    "Inventory",
    "InventoryRow",
    "ListedRepositoryDict",
    "Listing",
    "MethodNotAllowed",
    "NotFound",
    "OnResponse",
    "OnRetry",
    "OutcomeUnknown",
    "Page",
    "PaginationError",
    "Repositories",
    "Repository",
    "RepositoryDict",
    "RepositoryPageDict",
    "ResponseInfo",
    "Retry",
    "RetryPolicy",
    "Setting",
    "Tag",
    "TagDict",
    "TagOrder",
    "TagPageDict",
    "Tags",
    "Timeout",
    "TooManyRequests",
    "TransportError",
    "Unauthorized",
    "UserCredential",
    "WaitTimeout",
    "__version__",
    "read_rows",
    "summarize",
]

# Hidden from type checkers: `__getattr__` would make every name valid.
if not TYPE_CHECKING:  # pragma: no branch
    # The public names of each module; the modules without an underscore are public too.
    _NAMES = {
        "_api.dicts": (
            *("CreatorDict", "DeletedRepositoryDict", "ListedRepositoryDict", "RepositoryDict"),
            *("RepositoryPageDict", "TagDict", "TagPageDict"),
        ),
        "_api.responses": ("ResponseInfo",),
        "_api.retries": ("Retry", "RetryPolicy"),
        "_http.adapter": ("AsyncHttpClient", "HttpClient"),
        "_settings.credentials": (
            *("BearerToken", "Credential", "DatasourceCredential", "UserCredential"),
        ),
        "_settings.settings": ("OnResponse", "OnRetry", "Setting"),
        "_validation": ("InvalidRows",),
        "client": ("AsyncClient", "Client"),
        "contract": (),
        "exceptions": (
            *("Attempt", "BadRequest", "ConfigurationError", "Conflict", "Error", "Forbidden"),
            *("HttpError", "InsecureTransportWarning", "InternalServerError", "InvalidArgument"),
            *("InvalidFile", "InvalidResponse", "MethodNotAllowed", "NotFound", "OutcomeUnknown"),
            *("PaginationError", "Timeout", "TooManyRequests", "TransportError", "Unauthorized"),
            "WaitTimeout",
        ),
        "images": ("ImageName",),
        "inventory": ("AsyncInventory", "Inventory", "InventoryRow", "read_rows", "summarize"),
        "models": ("Creator", "Tag"),
        "pages": ("AsyncListing", "AsyncPage", "Listing", "Page"),
        "raw": ("APIClient", "AsyncAPIClient"),
        "repositories": ("AsyncRepositories", "AsyncRepository", "Repositories", "Repository"),
        "tags": ("AsyncTags", "TagOrder", "Tags"),
    }
    _MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
    _PUBLIC_MODULES = [module for module in _NAMES if not module.startswith("_")]

    def __getattr__(name: str) -> Any:
        """Import a name's module on first use.

        A command's help, shell completion and a client that sends no request need no pydantic.
        """
        if name in _PUBLIC_MODULES:
            return import_module(f".{name}", __name__)
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
        return globals().setdefault(name, value)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_PUBLIC_MODULES})

    # Import everything for tools that freeze the clock: a module imported later would keep the
    # classes that replace datetime's.
    if {"freezegun", "pydantic", "pytest"} & sys.modules.keys():  # pragma: no branch
        for _each in (*_PUBLIC_MODULES, *_MODULE_OF):
            __getattr__(_each)
