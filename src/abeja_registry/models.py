"""The API's rows as frozen values.

Every model keeps unknown fields (`model_extra`), compares by value, and has ids as strings,
although the API sends some of them as numbers. Its repr is one short line; `model_dump()` has every
field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, overload

from ._display import grouped, short_digest, short_repr
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
        is_registered: Whether the user has completed the registration.
        display_name: The user's display name, or None.
        created_at: The time at which the user was created.
        updated_at: The time of the user's last change.
    """

    id: Id
    email: str
    role: str
    is_registered: bool
    # Assumption: a display name is a string or null; the reference shows null alone.
    display_name: str | None = None
    created_at: Time
    updated_at: Time

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        yield "id", short_repr(getattr(self, "id", None))
        yield "role", short_repr(getattr(self, "role", None))


_SharedCreator = Annotated[Creator, WrapValidator(dedupe_creator)]


class Tag(Model, frozen=True):
    """A name in a repository, and the image that it points to.

    Attributes:
        id: The tag's id.
        name: The tag's name, such as `1.0.0`.
        digest: The digest of the image's manifest, `sha256:…`.
        size: The image's size in bytes.
        media_type: The media type of the image's manifest.
        creator: The user who pushed it.
        created_at: The time of the first push.
        updated_at: The time of the last push.
    """

    _rows_key: ClassVar = "tags"
    _shown_columns: ClassVar = ("name", "digest", "size", "created_at", "updated_at")

    id: Id
    name: str
    digest: str
    # Assumption: a tag's size is the size of its image in bytes.
    size: Annotated[int, Field(ge=-MAX_INT64 - 1, le=MAX_INT64)]
    media_type: str
    creator: _SharedCreator
    created_at: Time
    updated_at: Time

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        yield None, short_repr(getattr(self, "name", None))
        yield None, short_repr(short_digest(getattr(self, "digest", None)), 36)
        yield None, grouped(getattr(self, "size", None))


class RepositoryFields(Bound, frozen=True):
    """The fields of a Docker repository: `Repository` documents them."""

    _rows_key: ClassVar = "registry_repositories"
    _shown_columns: ClassVar = ("name", "id", "description", "created_at", "updated_at")

    id: Id
    organization_id: Id
    name: str
    description: str | None = None
    tags: tuple[Tag, ...] | None = None
    creator: _SharedCreator
    created_at: Time
    updated_at: Time

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        yield None, short_repr(getattr(self, "name", None))
        yield "id", short_repr(getattr(self, "id", None))

    @overload
    def image(self, tag: Tag | str) -> ImageName: ...
    @overload
    def image(self, tag: Tag, *, pinned: bool) -> ImageName: ...
    def image(self, tag: Tag | str, *, pinned: bool = False) -> ImageName:
        """Return the name of a tag's image, as the platform's job definitions take it.

        No request is sent.

        Args:
            tag: A tag, or its name.
            pinned: Whether to name the image by its digest, which never changes, and not by the
                tag, which can be moved. This needs a `Tag`.

        Raises:
            InvalidArgument: `pinned` is true and the tag is only a name (`get_tag(name)` returns
                its digest), or a name is invalid in an image's name.

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
                f"tag must be a Tag to be pinned, not {safe_repr(tag)}: use get_tag"
            )
        return ImageName(self.organization_id, self.name, digest=tag.digest)


class PageFields(Bound, frozen=True):
    """The fields of a page besides its items.

    Attributes:
        offset: The number of items before the page.
        limit: The maximum number of items that the API applied, which may be lower than the
            requested one.
        has_next: Whether more items follow.
        organization_id: The id of the organization.
        organization_name: The organization's name.
        registry_repository_id: The id of the repository that the tags belong to; None for a page
            of repositories.
        created_at: The time at which the organization was created.
        updated_at: The time of the organization's last change.
    """

    offset: Annotated[int, Field(ge=0, le=MAX_INT64)]
    # Assumption: `limit` is at least 1, and the API lowers a value that is too large and shows the
    # applied one in the page.
    limit: Annotated[int, Field(ge=1, le=MAX_INT64)]
    has_next: bool
    organization_id: Id | None = None
    organization_name: str | None = None
    registry_repository_id: Id | None = None
    # Assumption: a page's `created_at` and `updated_at` are the organization's.
    created_at: Time | None = None
    updated_at: Time | None = None
