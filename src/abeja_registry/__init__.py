"""The typed Python SDK for the ABEJA Platform Registry API.

`Client` and `AsyncClient` give typed values, `APIClient` and `AsyncAPIClient` plain dicts.
"""

from ._config import (
    BearerToken,
    Credential,
    DatasourceCredential,
    InvalidRows,
    OnRetry,
    UserCredential,
)
from ._handed_in import AsyncHttpClient, HttpClient
from ._retries import Retry, RetryPolicy
from ._version import __version__
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
    "HttpClient",
    "HttpError",
    "ImageName",
    "InsecureTransportWarning",
    "InternalServerError",
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
