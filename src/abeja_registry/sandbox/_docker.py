"""A client of a Docker registry's HTTP API (version 2)."""

import asyncio
import logging
import re
import reprlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from .._validation import DIGEST
from ..images import TAG

LOG = logging.getLogger("abeja_registry.sandbox")

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = {"Accept": ", ".join(INDEXES + MANIFESTS)}
# The registry's time-out in seconds, and how many requests are in flight at most.
TIMEOUT = 10.0
MAX_CONCURRENCY = 16
# Limits: bytes of a response, pages of a list, indexes within indexes.
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
MAX_PAGES = 10_000
MAX_INDEX_DEPTH = 8

T = TypeVar("T")


class Part(BaseModel):
    """A manifest's reference to a config, a layer or another manifest."""

    digest: str = ""
    size: int = 0


class TagList(BaseModel):
    """The tags of a repository; null if it has none."""

    tags: list[str] | None


class Manifest(BaseModel):
    """The manifest of an image, or the index of several; other fields are ignored."""

    config: Part | None = None
    layers: list[Part] = []
    manifests: list[Part] = []


@dataclass(frozen=True)
class Image:
    """The image of a tag.

    Attributes:
        digest: That of its manifest or index.
        media_type: That of its manifest or index.
        size: Bytes of its config and layers; of an index, those of all its images.
    """

    digest: str
    media_type: str
    size: int


def registry_url(text: str) -> httpx.URL:
    """Parse a Docker registry's address; raises ValueError for an invalid one."""
    # httpx decodes a Punycode host only when `host` is read.
    with suppress(httpx.InvalidURL, UnicodeError):
        url = httpx.URL(text)
        if url.scheme in ("http", "https") and url.host:
            return url
    # The message leaves the address out, as it may hold a password.
    raise ValueError("docker_registry must be a URL of http or https, with a host")


class DockerRegistry:
    """A Docker registry.

    No link and no redirect leads a request to another origin: that would send the password there,
    or fetch a URL of a stranger's choice.

    Args:
        url: Its address; may hold a user's name and password.
    """

    def __init__(self, url: httpx.URL) -> None:
        self.max_response_bytes = MAX_RESPONSE_BYTES
        self.max_pages = MAX_PAGES
        self._origin = _origin(url)
        self._http = httpx.AsyncClient(
            # Errors show the address, and must not show the password.
            base_url=url.copy_with(username=None, password=None),
            auth=(url.username, url.password) if url.username else None,
            # A small compressed response may decompress to a huge one.
            headers={"Accept-Encoding": "identity"},
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=True,
            # The hook runs before each request of a chain of redirects.
            event_hooks={"request": [self._check_request]},
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def check(self) -> None:
        """Raise httpx.HTTPError unless it responds like a Docker registry."""
        response, _ = await self._send("GET", "/v2/")
        response.raise_for_status()

    async def tags(self, repository: str) -> list[str]:
        """Return the names of a repository's tags; none if the repository does not exist."""
        listed: dict[str, None] = {}
        requested: set[bytes] = set()
        url: str | httpx.URL = f"/v2/{repository}/tags/list"
        while len(requested) < self.max_pages:
            response, content = await self._send("GET", url)
            if response.status_code == 404:
                break
            response.raise_for_status()
            requested.add(response.url.raw_path)
            try:
                page = dict.fromkeys(TagList.model_validate_json(content).tags or ())
                following = response.links.get("next")
                if following is not None:
                    url = response.url.join(following["url"])
                    # httpx would send mailto: and other URLs without a host as paths here.
                    self._check_origin(url)
                    if url.raw_path in requested or (page and page.keys() <= listed.keys()):
                        raise httpx.DecodingError("its list of tags repeats a page")
            except (ValidationError, httpx.InvalidURL):
                raise httpx.DecodingError("its response is no list of tags") from None
            listed |= page
            if following is None:
                break
        else:
            raise httpx.DecodingError(f"its list of tags has more than {self.max_pages} pages")
        return list(filter(is_tag, listed))

    async def digests(self, repository: str, tags: Iterable[str]) -> dict[str, str | None]:
        """Return the current digest of each of some tags; None for a tag that does not exist."""

        async def digest(tag: str) -> str | None:
            response, _ = await self._send("HEAD", f"/v2/{repository}/manifests/{tag}", ACCEPT)
            if response.status_code == 404:
                return None
            header: str | None = response.raise_for_status().headers.get("Docker-Content-Digest")
            return header

        return await _gather(tags, digest)

    async def images(self, repository: str, digests: Iterable[str]) -> dict[str, Image | None]:
        """Return the image of each digest; None, with a warning in the log, for unreadable ones."""

        async def image(digest: str) -> Image | None:
            return await self._image(repository, digest, {}, 0)

        return await _gather(digests, image)

    async def delete(self, repository: str, digest: str) -> None:
        """Delete the manifest of a digest, if it exists."""
        response, _ = await self._send("DELETE", f"/v2/{repository}/manifests/{digest}")
        if response.status_code != 404:
            response.raise_for_status()

    async def _image(
        self, repository: str, digest: str, known: dict[str, Image | None], depth: int
    ) -> Image | None:
        # An index may name an image many times; nested indexes would multiply the requests.
        if digest not in known:
            known[digest] = await self._read_image(repository, digest, known, depth)
        return known[digest]

    async def _read_image(
        self, repository: str, digest: str, known: dict[str, Image | None], depth: int
    ) -> Image | None:
        if depth > MAX_INDEX_DEPTH:
            LOG.warning("%s has indexes more than %d deep", repository, MAX_INDEX_DEPTH)
            return None
        if not _is_digest(digest):
            LOG.warning(
                "%s has an image with an invalid digest: %s", repository, reprlib.repr(digest)
            )
            return None
        path = f"/v2/{repository}/manifests/{digest}"
        response, content = await self._send("GET", path, ACCEPT)
        if response.status_code == 404:
            LOG.warning("%s@%s is not in the Docker registry", repository, digest)
            return None
        response.raise_for_status()
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError:
            LOG.warning("%s@%s cannot be read: it is %s", repository, digest, media_type)
            return None
        parts = [manifest.config, *manifest.layers] if manifest.config else manifest.layers
        size = sum(part.size for part in parts)
        for part in manifest.manifests:
            # The registry may have lost an image of an index; its size is then unknown.
            image = await self._image(repository, part.digest, known, depth + 1)
            size += image.size if image else 0
        return Image(digest, media_type, size)

    async def _send(
        self, method: str, url: str | httpx.URL, headers: Mapping[str, str] | None = None
    ) -> tuple[httpx.Response, bytes]:
        """Send a request; returns the response and its content, bounded while it is read."""
        try:
            async with self._http.stream(method, url, headers=headers) as response:
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > self.max_response_bytes:
                        what = f"its response is longer than {self.max_response_bytes} bytes"
                        raise httpx.DecodingError(what, request=response.request)
        except UnicodeError:
            # httpx lets the codec's error out for a redirect to a host with invalid Punycode.
            raise httpx.RequestError("it leads to another origin, of an invalid host") from None
        return response, bytes(content)

    async def _check_request(self, request: httpx.Request) -> None:
        self._check_origin(request.url)

    def _check_origin(self, url: httpx.URL) -> None:
        if url.userinfo or _origin(url) != self._origin:
            where = f"{url.scheme}://{url.netloc.decode()}"
            raise httpx.RequestError(f"it leads to another origin, {where}")


def describe_error(error: Exception) -> str:
    """Describe an error in one line; some have no message."""
    return str(error).partition("\n")[0] or type(error).__name__


def is_tag(name: str) -> bool:
    """Whether a name is a tag by Docker's rules."""
    return re.fullmatch(TAG, name) is not None


def _is_digest(text: str) -> bool:
    # The longest in use has 135 characters; a URL's length is limited.
    return len(text) <= 255 and re.fullmatch(DIGEST, text) is not None


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    # httpx leaves out the scheme's default port, and lower-cases the others' host.
    return url.scheme, url.raw_host, url.port


async def _gather(keys: Iterable[str], get: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    """Get the value of each key, a few at once; raises the first error after the last one ended."""
    slots = asyncio.Semaphore(MAX_CONCURRENCY)

    async def get_in_slot(key: str) -> T:
        async with slots:
            return await get(key)

    ordered = sorted(set(keys))
    results = await asyncio.gather(*map(get_in_slot, ordered), return_exceptions=True)
    values: dict[str, T] = {}
    for key, result in zip(ordered, results, strict=True):
        if isinstance(result, BaseException):
            raise result
        values[key] = result
    return values
