"""What the API's rows say, as frozen values.

Every model keeps the fields that it does not know (`model_extra`), compares by value, and
takes ids as strings though the API sends some of them as numbers.
"""

from __future__ import annotations

from typing import Annotated, overload

from ._parsing import Bound, Id, Model, Time, dedupe_creator, real_datetime
from ._validation import MAX_INT64, safe_repr
from .exceptions import InvalidArgument
from .images import ImageName

with real_datetime():
    from pydantic import Field, WrapValidator


class Creator(Model, frozen=True):
    """The user who created a repository or a tag.

    Attributes:
        id: The user's id.
        email: The e-mail address.
        role: The role in the organization, such as `admin`.
        is_registered: Whether the user has finished registering.
        display_name: The name to show, if the user gave one.
        created_at: When the user was created.
        updated_at: When the user was last changed.
    """

    id: Id
    email: str
    role: str
    is_registered: bool
    display_name: str | None = None
    created_at: Time
    updated_at: Time


_SharedCreator = Annotated[Creator, WrapValidator(dedupe_creator)]


class Tag(Model, frozen=True):
    """A name in a repository, and the image that it points to.

    Attributes:
        id: The tag's id.
        name: The tag's name, such as `1.0.0`.
        digest: The digest of the image's manifest, `sha256:…`.
        size: The image's size in bytes.
        media_type: The media type of the image's manifest.
        creator: Who pushed it.
        created_at: When the tag was first pushed.
        updated_at: When it was last pushed.
    """

    id: Id
    name: str
    digest: str
    size: Annotated[int, Field(ge=-MAX_INT64 - 1, le=MAX_INT64)]
    media_type: str
    creator: _SharedCreator
    created_at: Time
    updated_at: Time


class RepositoryFields(Bound, frozen=True):
    """What the API says of a Docker repository: `Repository` documents the fields."""

    id: Id
    organization_id: Id
    name: str
    description: str | None = None
    tags: tuple[Tag, ...] | None = None
    creator: _SharedCreator
    created_at: Time
    updated_at: Time

    @overload
    def image(self, tag: Tag | str) -> ImageName: ...
    @overload
    def image(self, tag: Tag, *, pinned: bool) -> ImageName: ...
    def image(self, tag: Tag | str, *, pinned: bool = False) -> ImageName:
        """Return the name of a tag's image, as the platform's jobs take it; asks nothing.

        Args:
            tag: A tag, or its name.
            pinned: Whether to name the image that the tag points to now, by its digest, and
                not the tag, which can be moved. That needs a `Tag`.

        Raises:
            InvalidArgument: It is to be pinned, and the tag is a name, of which `get_tag(name)`
                has the digest; or the repository's or the tag's name cannot be an image's.

        Example:
            >>> tag = repository.get_tag("0.0.2")
            >>> print(repository.image(tag))
            custom/1410000000000/sample_repository:0.0.2
            >>> repository.image(tag, pinned=True).digest == tag.digest
            True
        """
        if not pinned:
            name = tag.name if isinstance(tag, Tag) else tag
            return ImageName(self.organization_id, self.name, tag=name)
        if not isinstance(tag, Tag):
            raise InvalidArgument(
                f"tag must be a Tag to be pinned, not {safe_repr(tag)}: get_tag has it"
            )
        return ImageName(self.organization_id, self.name, digest=tag.digest)


class PageFields(Bound, frozen=True):
    """What the API says of a page beside its items.

    Attributes:
        offset: How many items stand before the page.
        limit: How many items it may hold at the most: what the API applied, not what was asked.
        has_next: Whether more items follow.
        organization_id: The id of the organization.
        organization_name: The organization's name.
        registry_repository_id: The id of the repository whose tags these are; None for a
            page of repositories.
        created_at: When the organization was created.
        updated_at: When the organization was last changed.
    """

    offset: Annotated[int, Field(ge=0, le=MAX_INT64)]
    limit: Annotated[int, Field(ge=1, le=MAX_INT64)]
    has_next: bool
    organization_id: Id | None = None
    organization_name: str | None = None
    registry_repository_id: Id | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
