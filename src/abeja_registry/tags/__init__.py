"""The tags of an organization's repositories."""

from ._collection import AsyncTags, Tags
from ._selection import TagOrder

__all__ = ["AsyncTags", "TagOrder", "Tags"]
