"""The name of an image in the registry, as the platform's job definitions take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ._validation import DIGEST, check_image_part, check_str, safe_repr
from .exceptions import InvalidArgument

# Docker's rules for a path component and a tag.
# Assumption: the API names repositories and tags by Docker's rules.
NAME = r"(?!.{256})[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
# The API's digests are SHA-256; the length of other algorithms is unknown here.
_DIGEST_TO_RUN = r"sha256:[0-9a-f]{64}|(?!sha256:)" + DIGEST
_ORGANIZATION = r"[A-Za-z0-9_-]+"
# Assumption: the platform's jobs name an organization's own images
# `custom/<organization_id>/<repository>`.
_PREFIX = "custom"
_FORM = f"{_PREFIX}/<organization_id>/<repository>:<tag> or …@<digest>"


@dataclass(frozen=True, slots=True)
class ImageName:
    """The name of an image: `custom/<organization_id>/<repository>:<tag>`, or pinned by its digest.

    A tag can be moved to another image; a digest always names the same one.

    Args:
        organization_id: The organization's id.
        repository: The repository's name (not its id).
        tag: The tag's name.
        digest: The digest of the image's manifest, `sha256:…`. It takes precedence over the tag.

    Raises:
        InvalidArgument: A part is invalid, or both the tag and the digest are missing.

    Example:
        >>> print(ImageName("1410000000000", "trainer", tag="1.0.0"))
        custom/1410000000000/trainer:1.0.0
        >>> ImageName.parse("custom/1410000000000/trainer:1.0.0").repository
        'trainer'
    """

    organization_id: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        check_image_part("organization_id", self.organization_id, _ORGANIZATION)
        check_image_part("repository", self.repository, NAME)
        if self.tag is not None:
            check_image_part("tag", self.tag, TAG)
        if self.digest is not None:
            check_image_part("digest", self.digest, _DIGEST_TO_RUN)
        if self.tag is None and self.digest is None:
            raise InvalidArgument("an image's name needs a tag or a digest")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an image's name.

        Raises:
            InvalidArgument: The text is not an image's name.
        """
        path, at, digest = check_str("an image's name", text).partition("@")
        path, colon, tag = path.partition(":")
        prefix, *parts = path.split("/")
        if prefix != _PREFIX or len(parts) != 2:
            raise InvalidArgument(f"an image's name must be {_FORM}, not {safe_repr(text)}")
        try:
            return cls(parts[0], parts[1], tag if colon else None, digest if at else None)
        except InvalidArgument as error:
            raise InvalidArgument(f"{safe_repr(text)} is not an image's name: {error}") from None

    @property
    def pinned(self) -> bool:
        """Whether the name has a digest, so that its image never changes."""
        return self.digest is not None

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{_PREFIX}/{self.organization_id}/{self.repository}{tag}{digest}"
