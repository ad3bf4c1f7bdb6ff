"""An organization's repositories."""

from ._collection import AsyncRepositories, Repositories
from ._repository import AsyncRepository, Repository

__all__ = ["AsyncRepositories", "AsyncRepository", "Repositories", "Repository"]
