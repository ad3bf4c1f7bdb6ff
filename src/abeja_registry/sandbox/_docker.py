"""The mirror: the tags of a Docker registry, as they are there, in the store.

A registry's notification only says where to look again. What a tag is now is asked of the registry,
so that notifications which come twice, late, in another order or not at all make no difference.
"""

import asyncio
import logging
import re
import reprlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import httpx
from pydantic import BaseModel, ValidationError

from .._validation import DIGEST
from ..images import TAG
from ._store import RepositoryNotFound, Store
from ._values import InvalidValue, Refused

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
# Seconds that the registry may take for an answer, and how many it is asked for at once.
PATIENCE = 10.0
WIDTH = 16
# What a registry may answer: bytes of one answer, pages of one list, indexes within indexes.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_PAGES = 10_000
MAX_INDEX_DEPTH = 8
# Seconds before each further look at a tag that is not yet what was told of it.
WAITS = (0.02, 0.08, 0.2, 0.5, 1, 3)
# Seconds that a create waits for what the registry has under its name, and that a reset waits until
# the registry's images are gone.
CREATE_PATIENCE = 1.0
RESET_PATIENCE = 2.0

T = TypeVar("T")


class Target(BaseModel, frozen=True):
    """What an event is about."""

    repository: str = ""
    tag: str | None = None
    digest: str | None = None


class Event(BaseModel):
    """Something that happened in the registry."""

    action: str
    target: Target = Target()


class Notification(BaseModel):
    """What a Docker registry sends to those it is to tell; more fields are passed over."""

    events: list[Event] = []


class Part(BaseModel):
    """What a manifest refers to."""

    digest: str = ""
    size: int = 0


class TagList(BaseModel):
    """The tags of a repository; null where there are none."""

    tags: list[str] | None


class Manifest(BaseModel):
    """The manifest of an image, or the index of several; more fields are passed over."""

    config: Part | None = None
    layers: list[Part] = []
    manifests: list[Part] = []


@dataclass(frozen=True)
class Image:
    """What a tag stands for.

    Attributes:
        digest: of its manifest or index.
        media_type: of the same.
        size: bytes of its config and layers; of an index, those of all its images.
    """

    digest: str
    media_type: str
    size: int


def registry_url(text: str) -> httpx.URL:
    """Read a Docker registry's address; raises ValueError if it is none."""
    # A host in Punycode is decoded only when it is read.
    with suppress(httpx.InvalidURL, UnicodeError):
        url = httpx.URL(text)
        if url.scheme in ("http", "https") and url.host:
            return url
    # It is not shown: it may hold a password.
    raise ValueError("docker_registry must be a URL of http or https, with a host")


class DockerRegistry:
    """What is asked of a Docker registry, over its HTTP API (version 2).

    No request goes to another origin than the registry's own, wherever a link or a redirect leads:
    it would carry the password, or fetch what a stranger chose.

    Args:
        url: its address; may hold a user's name and password.
    """

    def __init__(self, url: httpx.URL) -> None:
        self.max_answer_bytes = MAX_ANSWER_BYTES
        self.max_pages = MAX_PAGES
        self._origin = _origin(url)
        self._http = httpx.AsyncClient(
            # An error shows the address, and must not show the password.
            base_url=url.copy_with(username=None, password=None),
            auth=(url.username, url.password) if url.username else None,
            # Decompression can make a small answer a huge one.
            headers={"Accept-Encoding": "identity"},
            timeout=PATIENCE,
            trust_env=False,
            follow_redirects=True,
            # The hook sees each request of a chain of redirects before it is sent.
            event_hooks={"request": [self._check_request]},
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def check(self) -> None:
        """Raise httpx.HTTPError unless it answers as a Docker registry does."""
        answer, _ = await self._ask("GET", "/v2/")
        answer.raise_for_status()

    async def tags(self, repository: str) -> list[str]:
        """Return the names of a repository's tags; none where there is no such repository."""
        listed: dict[str, None] = {}
        asked: set[bytes] = set()
        url: str | httpx.URL = f"/v2/{repository}/tags/list"
        while len(asked) < self.max_pages:
            answer, content = await self._ask("GET", url)
            if answer.status_code == 404:
                break
            answer.raise_for_status()
            asked.add(answer.url.raw_path)
            try:
                page = dict.fromkeys(TagList.model_validate_json(content).tags or ())
                following = answer.links.get("next")
                if following is not None:
                    url = answer.url.join(following["url"])
                    # A URL without a host, as of mailto, would be sent as a path of the registry.
                    self._check_origin(url)
                    if url.raw_path in asked or (page and page.keys() <= listed.keys()):
                        raise httpx.DecodingError("its list of tags repeats a page")
            except (ValidationError, httpx.InvalidURL):
                raise httpx.DecodingError("its answer is no list of tags") from None
            listed |= page
            if following is None:
                break
        else:
            raise httpx.DecodingError(f"its list of tags has more than {self.max_pages} pages")
        return list(filter(_is_tag, listed))

    async def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest that a tag has now; None if there is no such tag."""
        answer, _ = await self._ask("HEAD", f"/v2/{repository}/manifests/{tag}", ACCEPT)
        if answer.status_code == 404:
            return None
        digest: str | None = answer.raise_for_status().headers.get("Docker-Content-Digest")
        return digest

    async def image(self, repository: str, digest: str) -> Image | None:
        """Return the image of a digest; None, with a word in the log, if it can't be read."""
        return await self._image(repository, digest, {}, 0)

    async def _image(
        self, repository: str, digest: str, known: dict[str, Image | None], depth: int
    ) -> Image | None:
        # An index may name an image often, and within indexes that would multiply.
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
            LOG.warning("%s has an image of no digest: %s", repository, reprlib.repr(digest))
            return None
        answer, content = await self._ask("GET", f"/v2/{repository}/manifests/{digest}", ACCEPT)
        if answer.status_code == 404:
            LOG.warning("%s@%s is not in the Docker registry", repository, digest)
            return None
        answer.raise_for_status()
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError:
            LOG.warning("%s@%s can't be read: it is %s", repository, digest, media_type)
            return None
        parts = [manifest.config, *manifest.layers] if manifest.config else manifest.layers
        size = sum(part.size for part in parts)
        for part in manifest.manifests:
            # Of an index, an image may have been removed: it has no size any more.
            image = await self._image(repository, part.digest, known, depth + 1)
            size += image.size if image else 0
        return Image(digest, media_type, size)

    async def delete(self, repository: str, digest: str) -> None:
        """Remove what has a digest; nothing happens where nothing has it."""
        answer, _ = await self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")
        if answer.status_code != 404:
            answer.raise_for_status()

    async def _ask(
        self, method: str, url: str | httpx.URL, headers: Mapping[str, str] | None = None
    ) -> tuple[httpx.Response, bytes]:
        """Send a request; returns the answer and its content, which is bounded as it is read."""
        try:
            async with self._http.stream(method, url, headers=headers) as answer:
                content = bytearray()
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > self.max_answer_bytes:
                        what = f"its answer is longer than {self.max_answer_bytes} bytes"
                        raise httpx.DecodingError(what, request=answer.request)
        except UnicodeError:
            # httpx lets the codec's error out for a redirect to a host that is no valid Punycode.
            raise httpx.RequestError("it leads to another origin, of an invalid host") from None
        return answer, bytes(content)

    async def _check_request(self, request: httpx.Request) -> None:
        self._check_origin(request.url)

    def _check_origin(self, url: httpx.URL) -> None:
        if url.userinfo or _origin(url) != self._origin:
            where = f"{url.scheme}://{url.netloc.decode()}"
            raise httpx.RequestError(f"it leads to another origin, {where}")


class Mirror:
    """Keeps the tags of the store's repositories as a Docker registry has them.

    Args:
        store: the repositories, and the tags to keep.
        registry: where `<organization_id>/<repository>` stands for each of them.
        organization_id: the organization, in digits.
    """

    def __init__(self, store: Store, registry: DockerRegistry, organization_id: str) -> None:
        self.registry = registry
        self.waits: Sequence[float] = WAITS
        self.create_patience = CREATE_PATIENCE
        self.reset_patience = RESET_PATIENCE
        # Looks at tags that go on after what asked for them has returned.
        self.later: set[asyncio.Task[None]] = set()
        self._store = store
        self._organization_id = organization_id
        # By repository; a lock is there while somebody has it or waits for it.
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # How often all was reset: ids begin anew then, and don't tell repositories apart.
        self._resets = 0
        self._writing = threading.Lock()
        self._deletions: set[asyncio.Task[None]] = set()
        self._deleting = asyncio.Semaphore(WIDTH)

    async def close(self) -> None:
        """Look no more, and close the registry's connections."""
        await _cancelled({*self.later, *self._deletions})
        await self.registry.close()

    async def forget(self) -> None:
        """Write down nothing any more of what was asked of the registry before."""
        await asyncio.to_thread(self._count_reset)
        await _cancelled(self.later)

    def _count_reset(self) -> None:
        with self._writing:
            self._resets += 1

    async def reset(self, images: Mapping[str, Iterable[str]]) -> None:
        """Remove the images of all repositories that there were, by name, from the registry.

        Where that takes long, it goes on after this returns.
        """
        # Each waits for its repository's lock from now on, before a new repository of that name.
        deletions = [
            self._go_on(self.deleted(name, images[name]), self._deletions) for name in images
        ]
        if deletions:
            await asyncio.wait(deletions, timeout=self.reset_patience)

    async def read_all(self) -> None:
        """Read every repository anew; raises httpx.HTTPError."""
        await self.registry.check()
        offset, has_next = 0, True
        while has_next:
            rows, has_next = self._store.repositories(100, offset)
            offset += len(rows)
            for row in rows:
                await self.read(row["name"])

    async def read(self, name: str) -> None:
        """Read a repository anew; raises httpx.HTTPError."""
        await self._look(name)

    async def notified(self, notification: Notification) -> None:
        """Look where the registry's events point to; raises httpx.HTTPError."""
        for target in self._targets(notification.events):
            organization_id, _, name = target.repository.partition("/")
            is_ours = organization_id == self._organization_id
            if not is_ours or self._store.named(name) is None:
                if target.tag is not None:
                    path = f"{target.repository}:{target.tag}"
                    LOG.warning("%s is not shown: there is no such repository", path)
            elif await self._look(name, target) != target.digest and target.tag is not None:
                self._go_on(self._look_later(name, target))

    def _go_on(
        self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]] | None = None
    ) -> asyncio.Task[None]:
        tasks = self.later if tasks is None else tasks
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _look_later(self, name: str, target: Target) -> None:
        """Look until a tag has the digest that was told of, for some seconds.

        A registry tells of a push before it moves the tag. What was told may also be long past, and
        then never comes.
        """
        problem: Exception | None = None
        for wait in self.waits:
            await asyncio.sleep(wait)
            try:
                if await self._look(name, target) == target.digest:
                    return
                problem = None
            except (httpx.HTTPError, Refused) as error:
                # A registry may fail for a moment while a tag is being moved.
                problem = error
        if problem is not None:
            LOG.warning("the Docker registry could not be read for %s: %s", name, explain(problem))

    async def created(self, name: str) -> None:
        """Read a repository that was created, since images may have been there before it.

        Where that takes long, it goes on after this returns.
        """
        await asyncio.wait([self._go_on(self._read_created(name))], timeout=self.create_patience)

    async def _read_created(self, name: str) -> None:
        try:
            await self.read(name)
        except (httpx.HTTPError, Refused) as error:
            LOG.warning("the Docker registry could not be read for %s: %s", name, explain(error))

    async def deleted(self, name: str, digests: Iterable[str]) -> None:
        """Remove a deleted repository's images from the registry, as far as it lets us."""
        path = self._path(name)
        try:
            # A new repository of that name is not read before they are gone.
            async with self._lock(name), self._deleting:
                # The registry may not have told of some yet.
                tags = await self.registry.tags(path)
                there = await _gathered(tags, partial(self.registry.digest, path))
                for digest in {*digests, *filter(None, there.values())}:
                    await self.registry.delete(path, digest)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = "a new repository of that name will show them"
            what = "images of %s stay in the Docker registry (%s): %s"
            LOG.warning(what, name, why, explain(error))
        # One that was made meanwhile may have been read before they were gone.
        if self._store.named(name) is not None:
            await self._read_created(name)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._looking.setdefault(name, asyncio.Lock())

    def _path(self, name: str) -> str:
        return f"{self._organization_id}/{name}"

    @staticmethod
    def _targets(events: Iterable[Event]) -> list[Target]:
        # A registry tells of layers and of pulls too, and of one deletion twice.
        told = []
        for action, target in ((event.action, event.target) for event in events):
            is_deletion = action == "delete" and target.tag is None
            is_of_tag = action in ("push", "delete") and _is_tag(target.tag or "")
            if is_deletion or is_of_tag:
                told.append(target)
        return list(dict.fromkeys(told))

    async def _look(self, name: str, target: Target | None = None) -> str | None:
        """Write down what the tags are now that are meant: the target's, or all.

        Returns:
            The digest of the target's tag; None if it is not there.
        """
        path = self._path(name)
        # Of two looks at the same tag at once, the one that asked first could write last.
        async with self._lock(name):
            try:
                resets, repository_id = self._resets, self._id(name)
                known = self._store.digests(repository_id)
                if target is None:
                    names = {*await self.registry.tags(path), *known}
                elif target.tag is not None:
                    names = {target.tag}
                else:
                    # A deletion names a digest, and not whose it was.
                    names = {name for name, digest in known.items() if digest == target.digest}
                digests = await _gathered(names, partial(self.registry.digest, path))
                new = {n: d for n, d in digests.items() if d is not None and d != known.get(n)}
                images = await _gathered(new, lambda name: self.registry.image(path, new[name]))
                gone = [name for name in known if name in names and digests[name] is None]
                await asyncio.to_thread(self._write, name, images, gone, resets, repository_id)
            except RepositoryNotFound:
                # It was deleted meanwhile, and has no tags to keep.
                return None
        return next(iter(digests.values()), None)

    def _id(self, name: str) -> str:
        row = self._store.named(name)
        if row is None:
            raise RepositoryNotFound(f"there is no repository {name!r}")
        return str(row["id"])

    def _write(
        self,
        name: str,
        images: dict[str, Image | None],
        gone: list[str],
        resets: int,
        repository_id: str,
    ) -> None:
        with self._writing:
            # What was read is not of a repository that was made under the same name since; after a
            # reset that may even have the same id.
            if resets != self._resets or self._id(name) != repository_id:
                raise RepositoryNotFound(f"there is no repository {name!r} any more")
            path = self._path(name)
            for tag, image in images.items():
                if image is not None:
                    written = (tag, image.size, image.digest, image.media_type)
                    try:
                        self._store.write_tag(repository_id, *written)
                        continue
                    except InvalidValue as error:
                        # It keeps no other tag from being shown.
                        LOG.warning("%s:%s is not shown: %s", path, tag, error)
                gone = [*gone, tag]
            for tag in gone:
                self._store.delete_tag(repository_id, tag)


def explain(error: Exception) -> str:
    """Say in one line what went wrong; some errors have no words of their own."""
    return str(error).partition("\n")[0] or type(error).__name__


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    # httpx leaves out a port that is the scheme's own, and writes the others in lower case.
    return url.scheme, url.raw_host, url.port


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _is_tag(name: str) -> bool:
    return re.fullmatch(TAG, name) is not None


def _is_digest(text: str) -> bool:
    # The longest that is in use has 135 characters; a URL can't hold any length.
    return len(text) <= 255 and re.fullmatch(DIGEST, text) is not None


async def _gathered(names: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    """Ask for each of some names, a few at once; raises the first error when all are through."""
    places = asyncio.Semaphore(WIDTH)

    async def one(name: str) -> T:
        async with places:
            return await ask(name)

    ordered = sorted(names)
    answers: dict[str, T] = {}
    found = await asyncio.gather(*map(one, ordered), return_exceptions=True)
    for name, answer in zip(ordered, found, strict=True):
        if isinstance(answer, BaseException):
            raise answer
        answers[name] = answer
    return answers
