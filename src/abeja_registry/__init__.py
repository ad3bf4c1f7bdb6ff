"""The typed Python SDK for the ABEJA Platform Registry API.

`Client` and `AsyncClient` give typed values, `APIClient` and `AsyncAPIClient` plain dicts.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from ._config import (
        BearerToken,
        Credential,
        DatasourceCredential,
        FoundSetting,
        InvalidRows,
        OnRetry,
        UserCredential,
    )
    from ._handed_in import AsyncHttpClient, HttpClient
    from ._retries import Retry, RetryPolicy
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
    )
    from .images import ImageName
    from .models import Creator, Tag
    from .pages import AsyncListing, AsyncPage, Listing, Page
    from .raw import APIClient, AsyncAPIClient
    from .repositories import AsyncRepositories, AsyncRepository, Repositories, Repository
    from .tags import AsyncTags, Tags

__all__ = [
    "APIClient",
    "AsyncAPIClient",
    "AsyncClient",
    "AsyncHttpClient",
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
    "Credential",
    "DatasourceCredential",
    "Error",
    "Forbidden",
    "FoundSetting",
    "HttpClient",
    "HttpError",
    "ImageName",
    "InsecureTransportWarning",
    "InternalServerError",
    "InvalidArgument",
    "InvalidFile",
    "InvalidResponse",
    "InvalidRows",
    "Listing",
    "MethodNotAllowed",
    "NotFound",
    "OnRetry",
    "OutcomeUnknown",
    "Page",
    "PaginationError",
    "Repositories",
    "Repository",
    "Retry",
    "RetryPolicy",
    "Tag",
    "Tags",
    "Timeout",
    "TooManyRequests",
    "TransportError",
    "Unauthorized",
    "UserCredential",
    "__version__",
]

# Not for checkers: they would take any name for one of ours.
if not TYPE_CHECKING:  # pragma: no branch

    def __getattr__(name: str) -> Any:
        """Load what is asked for, and no more than has to be loaded before.

        A command's help, what a shell completes, and a client that is built and not used yet need
        not wait for what they do not use.
        """
        if name in _ROOMS or name in _MODULES:
            return import_module(f".{name}", __name__)
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        rooms = iter(_ROOMS)
        while name not in globals():
            names = vars(import_module(f".{next(rooms)}", __name__))
            for each in __all__:
                # A name that somebody has set, as a test does, stays as it is.
                if each in names:
                    globals().setdefault(each, names[each])
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_ROOMS, *_MODULES})

    # Public modules that no public name here is in.
    _MODULES = ("contract", "inventory")

    # Where the public names are, what takes longest to load last; those without an underscore
    # are public themselves.
    _ROOMS = (
        "exceptions",
        "images",
        "_retries",
        "_config",
        "_handed_in",
        "raw",
        "client",
        "models",
        "pages",
        "tags",
        "repositories",
    )

    # What may freeze the clock must not find a package of which half is loaded: it would load the
    # other half, and that would keep the classes that stand in for datetime's.
    _WHOLE = {"freezegun", "pydantic", "pytest"}

    def _load_all() -> None:
        for name in (*__all__, "contract", "inventory"):
            getattr(sys.modules[__name__], name, None) or import_module(f".{name}", __name__)

    if _WHOLE & sys.modules.keys():  # pragma: no branch
        _load_all()
