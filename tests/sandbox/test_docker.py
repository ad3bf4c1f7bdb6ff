"""Odd answers of a Docker registry; real pushes are among the tests of the system."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from tests.support.internals import mirror_of, store_of
from tests.support.patience import PATIENCE, until

from abeja_registry import Client
from abeja_registry.sandbox import Sandbox

URL = "http://registry.example.com:5000"
PATH = "1410000000000/trainer"
OCI = "application/vnd.oci.image"


class Scripted:
    """A Docker registry that answers as told: manifests by tag and by digest."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.manifests: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.status: int | None = None
        self.error: httpx.HTTPError | None = None
        self.deletes = False
        # What has to stand in the header Authorization.
        self.wanted: str | None = None
        self.page, self.next = 2, f"/v2/{PATH}/tags/list?last={{}}"
        # What ends so is answered when it is free to.
        self.redirect: str | None = None
        self.strayed: list[httpx.Request] = []
        self.held: str | None = None
        self.holding, self.free = threading.Event(), threading.Event()

    def elsewhere(self, request: httpx.Request) -> httpx.Response:
        """Note a request that went to another origin, and answer it with tags."""
        self.strayed.append(request)
        return httpx.Response(200, json={"tags": ["stray"]})

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if self.error is not None:
            raise self.error
        if self.held is not None and request.url.path.endswith(self.held):
            self.holding.set()
            await asyncio.to_thread(self.free.wait, PATIENCE)
        return self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request that is not held."""
        path = request.url.path
        self.asked.append((request.method, path))
        if self.wanted is not None and request.headers.get("Authorization") != self.wanted:
            return httpx.Response(401)
        if self.status is not None:
            return httpx.Response(self.status)
        if path == "/v2/":
            return httpx.Response(200, json={})
        if self.redirect is not None:
            return httpx.Response(307, headers={"Location": self.redirect.format(path=path)})
        if path == f"/v2/{PATH}/tags/list":
            return self.list_tags(request.url.params.get("last", ""))
        reference = path.removeprefix(f"/v2/{PATH}/manifests/")
        digest = self.tags.get(reference, reference)
        if digest not in self.manifests:
            return httpx.Response(404)
        if request.method == "DELETE":
            if self.deletes:
                del self.manifests[digest]
            return httpx.Response(202 if self.deletes else 405)
        kind = "index" if "manifests" in self.manifests[digest] else "manifest"
        headers = {"Docker-Content-Digest": digest, "Content-Type": f"{OCI}.{kind}.v1+json"}
        if (odd := self.manifests[digest].get("odd")) is not None:
            return httpx.Response(200, content=odd, headers=headers)
        return httpx.Response(200, json=self.manifests[digest], headers=headers)

    def list_tags(self, last: str) -> httpx.Response:
        """Return a page of tags."""
        names = [name for name in sorted(self.tags) if name > last]
        page = names[: self.page]
        rest = f"<{self.next.format(page[-1])}>; rel=next" if names != page else None
        body = {"name": PATH, "tags": page or None}
        return httpx.Response(200, json=body, headers={"Link": rest} if rest else {})

    def image(self, digest: str, *sizes: int) -> None:
        """Have an image whose config is of 1 byte and whose layers are of these sizes."""
        layers = [{"size": size} for size in sizes]
        self.manifests[digest] = {"config": {"size": 1}, "layers": layers}


@pytest.fixture
def registry() -> Iterator[Scripted]:
    """A Docker registry that has nothing yet; only our own server is reached beside it."""
    scripted = Scripted()
    with respx.mock(assert_all_called=False) as router:
        router.route(host="registry.example.com").mock(side_effect=scripted)
        router.route(host="localhost").pass_through()
        # Everywhere else.
        router.route().mock(side_effect=scripted.elsewhere)
        yield scripted


def shown(sandbox: Sandbox) -> dict[str, tuple[str, int]]:
    """The digests and sizes of the repository's tags, as the API shows them."""
    with httpx.Client(transport=sandbox.transport()) as http:
        client = Client(**sandbox.connection, http_client=http)
        repository = client.repositories.get_or_create("trainer")
        return {tag.name: (tag.digest, tag.size) for tag in repository.iter_tags()}


def told(sandbox: Sandbox, *targets: dict[str, str], action: str = "push") -> int:
    """Notify a sandbox, and return its answer's status."""
    events = [{"action": action, "target": {"repository": PATH, **each}} for each in targets]
    with httpx.Client(transport=sandbox.transport()) as http:
        answer = http.post(sandbox.notifications_url, json={"events": events})
    assert answer.status_code != 200 or answer.json() == {}
    return answer.status_code


def over(registry: Scripted, **options: Any) -> Sandbox:
    """A sandbox in process over the registry."""
    return Sandbox(port=None, docker_registry=URL, **options)


def test_tags_that_come_in_pages(registry: Scripted) -> None:
    """All of a repository's tags are read, however many the registry lists at once."""
    registry.image("sha256:a", 10, 20)
    registry.tags = dict.fromkeys("abcde", "sha256:a")
    with over(registry) as sandbox:
        assert shown(sandbox) == dict.fromkeys("abcde", ("sha256:a", 31))


def test_an_index_of_indexes(registry: Scripted) -> None:
    """The size of an index is that of all images below it."""
    registry.image("sha256:a", 10)
    registry.image("sha256:b", 20)
    registry.manifests["sha256:i"] = {"manifests": [{"digest": "sha256:a"}, {"digest": "sha256:b"}]}
    registry.manifests["sha256:j"] = {"manifests": [{"digest": "sha256:i"}, {"digest": "sha256:a"}]}
    registry.tags = {"all": "sha256:j"}
    with over(registry) as sandbox:
        assert shown(sandbox) == {"all": ("sha256:j", 11 + 21 + 11)}


@pytest.mark.parametrize("odd", ["<html>", "[]", '{"config": 3}'])
def test_an_image_that_can_not_be_read(
    registry: Scripted, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names it, and the API shows the other tags of its repository only."""
    registry.image("sha256:a", 1)
    registry.manifests["sha256:b"] = {"odd": odd}
    registry.tags = {"a": "sha256:a", "b": "sha256:b"}
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {"a": ("sha256:a", 2)}
        assert "sha256:b cannot be read" in caplog.text
        registry.tags["a"] = "sha256:b"
        assert told(sandbox, {"tag": "a", "digest": "sha256:b"}) == 200
        assert shown(sandbox) == {}


def test_an_index_that_lost_an_image(registry: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """It is shown with the size of what is left."""
    registry.image("sha256:a", 10)
    registry.manifests["sha256:i"] = {"manifests": [{"digest": "sha256:a"}, {"digest": "sha256:b"}]}
    registry.tags = {"all": "sha256:i"}
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {"all": ("sha256:i", 11)}
    assert "sha256:b is not in the Docker registry" in caplog.text


@pytest.mark.parametrize("size", [2**63 - 1, -2])
def test_an_image_of_an_absurd_size(
    registry: Scripted, size: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names it, and the API shows all other tags, after a push and after a start."""
    registry.image("sha256:a", 1)
    registry.image("sha256:b", size)
    registry.tags = {"b": "sha256:a"}
    file = tmp_path / "registry.db"
    with over(registry, data=file) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {"b": ("sha256:a", 2)}
        registry.tags = {"a": "sha256:a", "b": "sha256:b"}
        targets = [{"tag": tag, "digest": digest} for tag, digest in registry.tags.items()]
        assert told(sandbox, *reversed(targets)) == 200
        assert shown(sandbox) == {"a": ("sha256:a", 2)}
        assert f"{PATH}:b is not shown: size must be " in caplog.text
    registry.tags["c"] = "sha256:a"
    with over(registry, data=file) as sandbox:
        assert shown(sandbox) == dict.fromkeys("ac", ("sha256:a", 2))


@pytest.mark.parametrize("name", ["", "a\x01b", "a/b", "../x", "a?b", "x" * 129, "x" * 70_000])
def test_what_is_no_tag(registry: Scripted, name: str) -> None:
    """It is skipped in notifications and in lists."""
    registry.image("sha256:a", 1)
    with over(registry) as sandbox:
        assert shown(sandbox) == {}
        registry.tags = {"a": "sha256:a"}
        targets = [{"tag": tag, "digest": "sha256:a"} for tag in (name, "a")]
        assert told(sandbox, *targets) == 200
        assert shown(sandbox) == {"a": ("sha256:a", 2)}
    registry.tags[name] = "sha256:a"
    with over(registry) as sandbox:
        assert shown(sandbox) == {"a": ("sha256:a", 2)}


@pytest.mark.parametrize("digest", ["", "sha256:a\x01", "sha256:" + "a" * 70_000])
def test_an_index_of_what_is_no_digest(
    registry: Scripted, digest: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is shown with the size of its other images."""
    registry.image("sha256:a", 10)
    registry.manifests["sha256:i"] = {"manifests": [{"digest": digest}, {"digest": "sha256:a"}]}
    registry.tags = {"all": "sha256:i"}
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {"all": ("sha256:i", 11)}
    assert f"{PATH} has an image with an invalid digest" in caplog.text


def test_a_list_of_tags_that_leads_nowhere(
    registry: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """A link without a valid address makes the list of tags unreadable."""
    registry.next = "http://x:port/"
    registry.tags = dict.fromkeys("abc", "sha256:a")
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {}
    assert "no list of tags" in caplog.text


def test_a_deletion_during_a_look(registry: Scripted) -> None:
    """A tag that goes while it is being read is gone in the end."""
    with over(registry) as sandbox, ThreadPoolExecutor(2) as threads:
        assert shown(sandbox) == {}
        registry.image("sha256:a", 1)
        registry.tags = {"a": "sha256:a"}
        registry.held = "sha256:a"
        push = threads.submit(told, sandbox, {"tag": "a", "digest": "sha256:a"})
        assert registry.holding.wait(PATIENCE)
        registry.tags = {}
        deletion = threads.submit(told, sandbox, {"digest": "sha256:a"}, action="delete")
        # By the time that these are answered, the deletion waits for its turn.
        until(deletion.running)
        assert shown(sandbox) == {}
        registry.free.set()
        assert (push.result(PATIENCE), deletion.result(PATIENCE)) == (200, 200)
        assert shown(sandbox) == {}


def test_a_repository_that_is_deleted_during_a_look(registry: Scripted) -> None:
    """The notification of its push is answered, and nothing is written."""
    with (
        over(registry) as sandbox,
        httpx.Client(transport=sandbox.transport()) as http,
        ThreadPoolExecutor(2) as threads,
    ):
        client = Client(**sandbox.connection, http_client=http)
        repository = client.repositories.create("trainer")
        registry.image("sha256:a", 1)
        registry.tags = {"a": "sha256:a"}
        registry.held = "sha256:a"
        push = threads.submit(told, sandbox, {"tag": "a", "digest": "sha256:a"})
        assert registry.holding.wait(PATIENCE)
        deletion = threads.submit(client.repositories.delete, repository)
        until(lambda: not client.repositories.list())
        registry.free.set()
        assert (deletion.result(PATIENCE), push.result(PATIENCE)) == (None, 200)


def test_closing_while_it_looks(registry: Scripted) -> None:
    """A sandbox that is going to look again closes at once, and quietly."""
    with over(registry) as sandbox:
        assert shown(sandbox) == {}
        assert told(sandbox, {"tag": "a", "digest": "sha256:never"}) == 200


def test_what_lists_no_tags(registry: Scripted, tmp_path: Path) -> None:
    """A server that answers everything with something is an error at the start."""
    file = tmp_path / "registry.db"
    with Sandbox(port=None, data=file) as sandbox:
        sandbox.seed(repositories=1, tags=0)
    registry.status = 200
    with pytest.raises(ConnectionError, match="no list of tags"):
        over(registry, data=file).start()


def test_a_tag_that_did_not_move_is_asked_no_more_than_its_digest(registry: Scripted) -> None:
    """A notification that tells nothing new costs one small request."""
    registry.image("sha256:a", 1)
    registry.tags = {"a": "sha256:a"}
    with over(registry) as sandbox:
        before = shown(sandbox)
        registry.asked.clear()
        assert told(sandbox, {"tag": "a", "digest": "sha256:a"}) == 200
        assert registry.asked == [("HEAD", f"/v2/{PATH}/manifests/a")]
        assert shown(sandbox) == before


def test_a_registry_that_fails(registry: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """A notification is rejected and changes nothing; a create succeeds, with a logged warning."""
    registry.image("sha256:a", 1)
    registry.tags = {"a": "sha256:a"}
    with over(registry) as sandbox:
        before = shown(sandbox)
        registry.status = 500
        assert told(sandbox, {"tag": "a"}) == 503
        assert shown(sandbox) == before
        with caplog.at_level(logging.WARNING), httpx.Client(transport=sandbox.transport()) as http:
            Client(**sandbox.connection, http_client=http).repositories.create("other")
        assert "the Docker registry failed for other" in caplog.text


def test_a_registry_that_hangs(registry: Scripted) -> None:
    """A create waits for it no longer than a little, other repositories not at all."""
    registry.image("sha256:a", 1)
    registry.tags = {"a": "sha256:a"}
    registry.held = f"{PATH}/tags/list"
    with over(registry) as sandbox, ThreadPoolExecutor(2) as threads:
        mirror_of(sandbox).create_timeout = 0.1
        sandbox.seed(repositories=1, tags=0)
        assert threads.submit(shown, sandbox).result(PATIENCE / 2) == {}
        assert registry.holding.is_set()
        other = {"repository": "1410000000000/sample-0001", "tag": "a"}
        assert threads.submit(told, sandbox, other).result(PATIENCE / 2) == 200
        registry.free.set()
        assert until(lambda: shown(sandbox)) == {"a": ("sha256:a", 2)}


@pytest.mark.parametrize("error", [httpx.ReadTimeout(""), httpx.ConnectError("no\nroute")])
def test_an_error_without_words(
    registry: Scripted, error: httpx.HTTPError, caplog: pytest.LogCaptureFixture
) -> None:
    """The log, a response and a start name its class if it has no message, in one line."""
    said = "ReadTimeout" if not str(error) else "no"
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        registry.error = error
        assert shown(sandbox) == {}
        assert caplog.messages == [f"the Docker registry failed for trainer: {said}"]
        with httpx.Client(transport=sandbox.transport()) as http:
            target = {"repository": PATH, "tag": "a"}
            events = {"events": [{"action": "push", "target": target}]}
            answer = http.post(sandbox.notifications_url, json=events)
            assert answer.json()["error_description"].endswith(f" failed: {said}")
    with pytest.raises(ConnectionError, match=f"registry.example.com:5000: {said}$"):
        over(registry).start()


def test_a_reset_while_it_looks(registry: Scripted) -> None:
    """What was read for a repository is not written into another that has its id now."""
    with over(registry) as sandbox, ThreadPoolExecutor(1) as threads:
        mirror_of(sandbox).reset_timeout = 0.1
        assert shown(sandbox) == {}
        registry.image("sha256:a", 1)
        registry.tags = {"a": "sha256:a"}
        registry.held = "sha256:a"
        push = threads.submit(told, sandbox, {"tag": "a", "digest": "sha256:a"})
        assert registry.holding.wait(PATIENCE)
        sandbox.reset()
        [other] = sandbox.seed(repositories=1, tags=0)
        registry.free.set()
        assert push.result(PATIENCE) == 200
        with httpx.Client(transport=sandbox.transport()) as http:
            client = Client(**sandbox.connection, http_client=http)
            assert list(client.tags.iter(other)) == []


@pytest.mark.parametrize("over_http", [False, True], ids=["object", "http"])
def test_a_reset_takes_the_images_along(registry: Scripted, over_http: bool) -> None:
    """After a reset, repositories of the old names begin without tags, and others are untouched."""
    registry.deletes = True
    registry.image("sha256:a", 1)
    registry.image("sha256:b", 1)
    registry.image("sha256:other", 1)
    registry.tags = {"1": "sha256:a", "2": "sha256:b"}
    with over(registry) as sandbox:
        assert sorted(shown(sandbox)) == ["1", "2"]
        if over_http:
            with httpx.Client(transport=sandbox.transport()) as http:
                assert http.post(f"{sandbox.url}/_sandbox/reset").status_code == 200
        else:
            sandbox.reset()
        assert list(registry.manifests) == ["sha256:other"]
        registry.tags = {}
        assert sandbox.is_empty
        assert shown(sandbox) == {}
        registry.image("sha256:c", 1)
        registry.tags = {"3": "sha256:c"}
        assert told(sandbox, {"tag": "3", "digest": "sha256:c"}) == 200
        assert shown(sandbox) == {"3": ("sha256:c", 2)}


def test_a_reset_of_images_that_may_not_be_deleted(
    registry: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """A registry that refuses, or fails, keeps nothing else from being reset, and is named."""
    registry.image("sha256:a", 1)
    registry.tags = {"a": "sha256:a"}
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {"a": ("sha256:a", 2)}
        sandbox.faults.add(status=500)
        sandbox.reset()
        assert sandbox.is_empty
        assert sandbox.faults.list() == {}
        assert sandbox.requests == ()
        assert "images of trainer stay in the Docker registry" in caplog.text
        registry.error = httpx.ConnectError("gone")
        sandbox.reset()


def test_a_reset_ends_later_looks(registry: Scripted) -> None:
    """A reset ends the look-ups of earlier notifications."""
    with over(registry) as sandbox:
        mirror = mirror_of(sandbox)
        mirror.backoff = (3600,)
        assert shown(sandbox) == {}
        assert told(sandbox, {"tag": "a", "digest": "sha256:late"}) == 200
        assert shown(sandbox) == {}
        assert mirror.pending
        # It has looked once, when the notification came.
        assert len([path for _, path in registry.asked if "/manifests/" in path]) == 1
        sandbox.reset()
        assert not mirror.pending


@pytest.mark.parametrize("removal", ["delete", "reset"])
def test_a_look_at_what_was_removed(
    registry: Scripted, removal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read for a repository is not written into a new one of the same name."""
    with over(registry) as sandbox, ThreadPoolExecutor(2) as threads:
        mirror_of(sandbox).reset_timeout = mirror_of(sandbox).create_timeout = 0.1
        assert shown(sandbox) == {}
        registry.image("sha256:a", 1)
        registry.tags = {"a": "sha256:a"}
        registry.deletes = True
        registry.held = "sha256:a"
        push = threads.submit(told, sandbox, {"tag": "a", "digest": "sha256:a"})
        assert registry.holding.wait(PATIENCE)
        with httpx.Client(transport=sandbox.transport()) as http:
            client = Client(**sandbox.connection, http_client=http)
            [repository] = client.repositories
            work = threads.submit(repository.delete if removal == "delete" else sandbox.reset)
            until(lambda: sandbox.is_empty)
            written: list[str] = []
            store = store_of(sandbox)
            monkeypatch.setattr(store, "write_tag", lambda _, name, *__: written.append(name))
            assert client.repositories.create("trainer").name == "trainer"
            registry.tags = {}
            registry.free.set()
            assert push.result(PATIENCE) == 200
            work.result(PATIENCE)
            assert shown(sandbox) == {}
            assert written == []


def test_a_look_that_is_refused(
    registry: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where another process does not let a later look write, the log says so."""
    registry.image("sha256:a", 1)
    file = tmp_path / "registry.db"
    with (
        over(registry, data=file) as sandbox,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        caplog.at_level(logging.WARNING),
    ):
        assert shown(sandbox) == {}
        mirror_of(sandbox).backoff = (0.02, 0.02)
        store_of(sandbox).busy_timeout = 0
        other.execute("BEGIN IMMEDIATE")
        assert told(sandbox, {"tag": "a", "digest": "sha256:a"}) == 200
        registry.tags = {"a": "sha256:a"}
        until(lambda: "failed for trainer: another process writes" in caplog.text)


def test_images_that_no_notification_told_of(registry: Scripted) -> None:
    """With a repository go all of its images, those too that were not shown yet."""
    with over(registry) as sandbox, httpx.Client(transport=sandbox.transport()) as http:
        assert shown(sandbox) == {}
        for name in "ab":
            registry.image(f"sha256:{name}", 1)
        registry.tags = {"1": "sha256:a", "2": "sha256:b", "3": "sha256:b"}
        registry.deletes = True
        [repository] = Client(**sandbox.connection, http_client=http).repositories
        repository.delete()
        assert registry.manifests == {}


def test_images_that_may_not_be_deleted(
    registry: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """A repository is deleted all the same, and the log says that its images stay."""
    registry.image("sha256:a", 1)
    registry.tags = {"a": "sha256:a"}
    with over(registry) as sandbox:
        shown(sandbox)
        with caplog.at_level(logging.WARNING), httpx.Client(transport=sandbox.transport()) as http:
            client = Client(**sandbox.connection, http_client=http)
            [repository] = client.repositories
            repository.delete()
            assert not client.repositories.list()
        assert "images of trainer stay in the Docker registry" in caplog.text


def test_a_registry_that_wants_a_password(registry: Scripted) -> None:
    """The user's name and password of its address are sent; without them nothing is read."""
    registry.wanted = "Basic dXNlcjpzZWNyZXQ="
    registry.image("sha256:a", 1)
    registry.tags = {"a": "sha256:a"}
    address = URL.replace("//", "//user:secret@")
    with Sandbox(port=None, docker_registry=address) as sandbox:
        assert shown(sandbox) == {"a": ("sha256:a", 2)}
    with pytest.raises(ConnectionError, match="401"):
        over(registry).start()


def test_tags_are_the_registry_s_alone(registry: Scripted) -> None:
    """Over a Docker registry no tag is written otherwise, from within or over HTTP."""
    with over(registry) as sandbox:
        [repository_id] = sandbox.seed(repositories=1, tags=0)
        with pytest.raises(RuntimeError, match="push them there"):
            sandbox.push(repository_id, "1.0.0")
        with pytest.raises(RuntimeError, match="push them there"):
            sandbox.seed(repositories=1, tags=1)
        with httpx.Client(transport=sandbox.transport(), base_url=sandbox.url) as http:
            url = f"/_sandbox/repositories/{repository_id}/tags/1.0.0"
            assert http.put(url).status_code == 409


@pytest.mark.parametrize("status", [401, 404, 500])
def test_what_is_no_docker_registry(registry: Scripted, status: int) -> None:
    """A start over something else is an error that says what was answered."""
    registry.status = status
    with pytest.raises(ConnectionError, match=f"registry.example.com:5000: .*{status}"):
        over(registry).start()


@pytest.mark.parametrize(
    "url",
    ["", "registry:5000", "ftp://registry", "http://", "http://xn--/", "http://user:pw@xn--a"],
)
def test_a_bad_address(url: str) -> None:
    """It is a ValueError that does not show what may hold a password."""
    with pytest.raises(ValueError, match="docker_registry must be a URL of http or https"):
        Sandbox(docker_registry=url)


def test_a_registry_that_fails_while_a_tag_is_moved(
    registry: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag is looked for again, and is shown."""
    with over(registry) as sandbox:
        assert shown(sandbox) == {}
        registry.image("sha256:a", 10)
        registry.tags["1.0.0"] = "sha256:a"
        first, answer = iter([404, 500]), registry.answer

        def answered(request: httpx.Request) -> httpx.Response:
            status = next(first, None)
            return answer(request) if status is None else httpx.Response(status)

        monkeypatch.setattr(registry, "answer", answered)
        assert told(sandbox, {"tag": "1.0.0", "digest": "sha256:a"}) == 200
        until(lambda: shown(sandbox) == {"1.0.0": ("sha256:a", 11)})


STRANGE = [
    "http://evil.example:5000{path}",
    "https://registry.example.com:5000{path}",
    "http://registry.example.com{path}",
    "http://registry.example.com:80{path}",
    "http://registry.example.com:5001{path}",
    "//evil.example:5000{path}",
    "http://registry.example.com:5000@evil.example{path}",
    "http://other:secret@registry.example.com:5000{path}",
    "http://registry.example.com.evil.example:5000{path}",
    "https://evil.example{path}",
    "http://xn--/{path}",
    "http://xn--a{path}",
]
# Without a host, these would be sent as paths of the registry, and never end.
HOSTLESS = ["mailto:x", "data:,x", "javascript:x", "file:///v2/x", "urn:a:b"]


@pytest.mark.parametrize(
    ("way", "where"),
    [(way, where) for way in ("link", "redirect") for where in STRANGE]
    + [("link", where) for where in HOSTLESS],
)
def test_no_request_goes_elsewhere(
    registry: Scripted, where: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A link or a redirect to another origin is followed by no request, and shows no tags."""
    registry.image("sha256:a", 1)
    registry.tags = dict.fromkeys("abc", "sha256:a")
    where = where.replace("{path}", f"/v2/{PATH}/tags/list?last=b") if way == "link" else where
    if way == "link":
        registry.next = where
    address = URL.replace("//", "//user:secret@")
    with Sandbox(port=None, docker_registry=address) as sandbox, caplog.at_level(logging.WARNING):
        registry.redirect = where if way == "redirect" else None
        assert shown(sandbox) == {}
    assert registry.strayed == []
    assert f"/v2/{PATH}/tags/list" in [path for _, path in registry.asked]
    assert "it leads to another origin" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "where",
    [
        "{path}",
        "http://registry.example.com:5000{path}",
        "HTTP://Registry.Example.COM:5000{path}",
        "//registry.example.com:5000{path}",
        "?last={{}}",
        "list?last={{}}",
    ],
)
def test_the_same_origin_however_it_is_spelt(registry: Scripted, where: str) -> None:
    """A link to a further page of the same origin is followed, with the password."""
    registry.wanted = "Basic dXNlcjpzZWNyZXQ="
    registry.next = where.format(path=f"/v2/{PATH}/tags/list?last={{}}")
    registry.image("sha256:a", 1)
    registry.tags = dict.fromkeys("abcde", "sha256:a")
    with Sandbox(port=None, docker_registry=URL.replace("//", "//user:secret@")) as sandbox:
        assert sorted(shown(sandbox)) == list("abcde")


@pytest.mark.parametrize(
    "address", ["http://registry.example.com", "http://registry.example.com:80"]
)
@pytest.mark.parametrize("where", ["http://registry.example.com", "http://registry.example.com:80"])
def test_the_port_of_the_scheme_is_no_other_origin(
    registry: Scripted, address: str, where: str
) -> None:
    """With or without the scheme's own port, it is the same origin."""
    registry.next = f"{where}/v2/{PATH}/tags/list?last={{}}"
    registry.image("sha256:a", 1)
    registry.tags = dict.fromkeys("abcde", "sha256:a")
    with Sandbox(port=None, docker_registry=address) as sandbox:
        assert sorted(shown(sandbox)) == list("abcde")


@pytest.mark.parametrize(
    "following",
    [
        f"/v2/{PATH}/tags/list",
        f"/v2/{PATH}/tags/list?last=",
        f"/v2/{PATH}/tags/list?last=a",
        f"/v2/{PATH}/tags/list#{{}}",
        f"/v2/{PATH}/tags/list?last=&x={{}}",
        "",
    ],
)
def test_no_page_is_asked_for_twice(
    registry: Scripted, following: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A list whose next page is one that was read, by address or by content, is an error."""
    registry.next = following
    registry.image("sha256:a", 1)
    registry.tags = dict.fromkeys("abcde", "sha256:a")
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {}
        assert "its list of tags repeats a page" in caplog.text
    assert len([path for _, path in registry.asked if path.endswith("/list")]) <= 3


def test_a_list_without_an_end(
    registry: Scripted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A list that always has another page, full or empty, is an error after so many."""
    numbers = iter(range(1000))

    def endless(last: str) -> httpx.Response:
        number = next(numbers)
        rest = f"</v2/{PATH}/tags/list?last={number}>; rel=next"
        tags = None if number % 2 else [f"t{number}"]
        return httpx.Response(200, json={"tags": tags}, headers={"Link": rest})

    monkeypatch.setattr(registry, "list_tags", endless)
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        mirror_of(sandbox).registry.max_pages = 5
        assert shown(sandbox) == {}
        assert "more than 5 pages" in caplog.text
    assert next(numbers) == 5


def test_an_answer_without_an_end(
    registry: Scripted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A response that is too long is not read to its end, and shows nothing."""
    read = []

    async def endless() -> AsyncIterator[bytes]:
        for number in range(10**6):
            read.append(number)
            yield b" " * 100

    monkeypatch.setattr(registry, "list_tags", lambda _: httpx.Response(200, content=endless()))
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        mirror_of(sandbox).registry.max_response_bytes = 1000
        assert shown(sandbox) == {}
        assert "its response is longer than 1000 bytes" in caplog.text
    assert len(read) < 20


def test_indexes_without_an_end(registry: Scripted) -> None:
    """An index that holds itself is read a few times, and shown with the size of the rest."""
    registry.image("sha256:a", 10)
    parts = [{"digest": "sha256:i"}, {"digest": "sha256:a"}, {"digest": "sha256:i"}]
    registry.manifests["sha256:i"] = {"manifests": parts}
    registry.tags = {"all": "sha256:i"}
    with over(registry) as sandbox:
        assert list(shown(sandbox)) == ["all"]
    assert len(registry.asked) < 20


def test_a_repository_that_the_registry_does_not_have(
    registry: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no tags, and the log no warning."""
    with (
        over(registry) as sandbox,
        caplog.at_level(logging.WARNING),
        httpx.Client(transport=sandbox.transport()) as http,
    ):
        client = Client(**sandbox.connection, http_client=http)
        assert list(client.repositories.create("other").iter_tags()) == []
    assert caplog.messages == []


def test_an_image_that_is_gone_already(
    registry: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """Deleting a repository whose image the registry has lost succeeds without a warning."""
    registry.deletes = True
    registry.image("sha256:a", 1)
    registry.tags = {"a": "sha256:a"}
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {"a": ("sha256:a", 2)}
        registry.manifests, registry.tags = {}, {}
        with httpx.Client(transport=sandbox.transport()) as http:
            [repository] = Client(**sandbox.connection, http_client=http).repositories
            repository.delete()
    assert caplog.messages == []


@pytest.mark.parametrize(
    "path", ["1410000000000/unknown", "7/trainer", "trainer"], ids=["name", "organization", "none"]
)
def test_a_push_to_an_unknown_repository(
    registry: Scripted, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names a pushed tag; a deletion of a digest says nothing."""
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        assert shown(sandbox) == {}
        assert told(sandbox, {"repository": path, "tag": "a", "digest": "sha256:a"}) == 200
        assert told(sandbox, {"repository": path, "digest": "sha256:a"}, action="delete") == 200
    assert caplog.messages == [f"{path}:a is not shown: the repository does not exist"]


def test_a_digest_that_never_appears(registry: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """The look-ups of a notification end, and the log has no warning."""
    registry.image("sha256:a", 1)
    registry.tags = {"a": "sha256:a"}
    with over(registry) as sandbox, caplog.at_level(logging.WARNING):
        mirror = mirror_of(sandbox)
        mirror.backoff = (0, 0)
        assert shown(sandbox) == {"a": ("sha256:a", 2)}
        assert told(sandbox, {"tag": "a", "digest": "sha256:old"}) == 200
        until(lambda: not mirror.pending)
        assert shown(sandbox) == {"a": ("sha256:a", 2)}
    assert caplog.messages == []
