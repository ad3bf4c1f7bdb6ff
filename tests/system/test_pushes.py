"""Real pushes: Debian's docker-registry and skopeo, and the sandbox over them."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.support.patience import until

from abeja_registry import Client, Repository, Tag
from abeja_registry.sandbox import Sandbox

from .conftest import Layout, Registry, skopeo

ORGANIZATION = "1410000000000"
OCI = "application/vnd.oci.image"
EXAMPLE = Path(__file__).parents[2] / "examples" / "push_and_pin.py"


@pytest.fixture
def repository(client: Client) -> Repository:
    """A repository without tags."""
    return client.repositories.create("trainer")


def tags(repository: Repository) -> dict[str, Tag]:
    """A repository's tags as the API shows them, by name."""
    return {tag.name: tag for tag in repository.iter_tags()}


def digests_are(repository: Repository, **digests: str) -> dict[str, Tag]:
    """A repository's tags once they have these digests, and until then nothing."""
    shown = tags(repository)
    return shown if {name: tag.digest for name, tag in shown.items()} == digests else {}


@pytest.mark.parametrize(
    ("options", "media_type"),
    [
        ((), f"{OCI}.manifest.v1+json"),
        (("--format=v2s2",), "application/vnd.docker.distribution.manifest.v2+json"),
    ],
    ids=["oci", "docker"],
)
def test_a_push_appears(
    repository: Repository,
    registry: Registry,
    layout: Layout,
    options: tuple[str, ...],
    media_type: str,
) -> None:
    """Soon after the push its tag is there, with its digest, media type and size."""
    made, path = layout.image("one", b"one" * 100_000), f"{ORGANIZATION}/trainer:1.0.0"
    registry.push(made, path, *options)
    tag = until(lambda: tags(repository))["1.0.0"]
    assert tag.digest == registry.digest(path)
    assert tag.media_type == media_type
    # For Docker, skopeo writes a config of its own.
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/{path}")
    manifest = json.loads(raw)
    assert tag.size == sum(part["size"] for part in (manifest["config"], *manifest["layers"]))
    assert tag.size == made.size or not media_type.startswith(OCI)


def test_an_index_appears(repository: Repository, registry: Registry, layout: Layout) -> None:
    """A tag of several architectures has the index's digest, and the size of all its images."""
    made = layout.index("both", b"amd64" * 1000, b"arm64" * 2000)
    registry.push(made, f"{ORGANIZATION}/trainer:both", "--all")
    tag = until(lambda: tags(repository))["both"]
    assert tag.digest == registry.digest(f"{ORGANIZATION}/trainer:both")
    assert (tag.media_type, tag.size) == (f"{OCI}.index.v1+json", made.size)


def test_a_push_moves_its_tag(repository: Repository, registry: Registry, layout: Layout) -> None:
    """Pushed again, a tag has the new digest and time of update, and its old id and creation."""
    registry.push(layout.image("one", b"one"), f"{ORGANIZATION}/trainer:latest")
    before = until(lambda: tags(repository))
    registry.push(layout.image("two", b"two"), f"{ORGANIZATION}/trainer:latest")
    pushed = registry.digest(f"{ORGANIZATION}/trainer:latest")
    after = until(lambda: digests_are(repository, latest=pushed))
    assert before["latest"].digest != pushed
    assert after["latest"].id == before["latest"].id
    assert after["latest"].created_at == before["latest"].created_at
    assert after["latest"].updated_at > before["latest"].updated_at


def test_pushes_without_a_break(repository: Repository, registry: Registry, layout: Layout) -> None:
    """However quickly one tag is pushed again and again, it ends as the last push left it."""
    made = [layout.image(name, name.encode()) for name in ("one", "two")]
    for _ in range(5):
        for each in made:
            registry.push(each, f"{ORGANIZATION}/trainer:latest")
    last = registry.digest(f"{ORGANIZATION}/trainer:latest")
    until(lambda: digests_are(repository, latest=last))


def test_a_deleted_image_goes(repository: Repository, registry: Registry, layout: Layout) -> None:
    """With an image go all of its tags, and no other's."""
    made = layout.image("one", b"one")
    for name in ("a", "b"):
        registry.push(made, f"{ORGANIZATION}/trainer:{name}")
    registry.push(layout.image("two", b"two"), f"{ORGANIZATION}/trainer:c")
    until(lambda: len(tags(repository)) == 3)
    registry.delete(f"{ORGANIZATION}/trainer:a")
    until(lambda: list(tags(repository)) == ["c"])


def test_a_push_to_no_repository(
    client: Client,
    repository: Repository,
    registry: Registry,
    layout: Layout,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told in the log and is not shown: neither a name that is not there nor another's."""
    made = layout.image("one", b"one")
    with caplog.at_level(logging.WARNING, "abeja_registry.sandbox"):
        registry.push(made, f"{ORGANIZATION}/nobody:1.0.0")
        registry.push(made, "7/trainer:1.0.0")
        until(lambda: len(caplog.messages) == 2)
    assert caplog.messages == [
        f"{ORGANIZATION}/nobody:1.0.0 is not shown: the repository does not exist",
        "7/trainer:1.0.0 is not shown: the repository does not exist",
    ]
    assert [each.name for each in client.repositories] == ["trainer"]
    assert tags(repository) == {}


def test_a_repository_created_after_its_push(
    client: Client, registry: Registry, layout: Layout
) -> None:
    """A new repository shows what the registry has under its name."""
    registry.push(layout.image("one", b"one"), f"{ORGANIZATION}/late:1.0.0")
    assert list(tags(client.repositories.create("late"))) == ["1.0.0"]


def test_a_deleted_repository_takes_its_images_along(
    client: Client, repository: Repository, registry: Registry, layout: Layout
) -> None:
    """One that is created under the name again begins without tags."""
    registry.push(layout.image("one", b"one"), f"{ORGANIZATION}/trainer:1.0.0")
    until(lambda: tags(repository))
    repository.delete()
    assert tags(client.repositories.create("trainer")) == {}


def test_what_was_missed_is_read_at_start(
    make_sandbox: Callable[[], Sandbox], registry: Registry, layout: Layout
) -> None:
    """Pushes, moves and deletions that no sandbox was told of are there after the next start."""
    made = {name: layout.image(name, name.encode()) for name in ("one", "two", "three")}
    with make_sandbox() as sandbox, Client(**sandbox.connection) as client:
        repository = client.repositories.create("trainer")
        for name in ("stays", "moves", "goes"):
            registry.push(
                made["two" if name == "goes" else "one"], f"{ORGANIZATION}/trainer:{name}"
            )
        until(lambda: len(tags(repository)) == 3)
        shown = tags(repository)
    registry.delete(f"{ORGANIZATION}/trainer:goes")
    for name in ("moves", "new"):
        registry.push(made["three"], f"{ORGANIZATION}/trainer:{name}")
    with make_sandbox() as sandbox, Client(**sandbox.connection) as client:
        again = tags(client.repositories.get(repository.id))
    assert sorted(again) == ["moves", "new", "stays"]
    assert again["stays"] == shown["stays"]
    assert again["moves"].id == shown["moves"].id
    for name, tag in again.items():
        assert tag.digest == registry.digest(f"{ORGANIZATION}/trainer:{name}")


def test_notifications_only_point(
    sandbox: Sandbox, repository: Repository, registry: Registry, layout: Layout
) -> None:
    """Twice, false or in another order, they leave what the registry has."""
    registry.push(layout.image("one", b"one"), f"{ORGANIZATION}/trainer:1.0.0")
    before = until(lambda: tags(repository))
    path = {"repository": f"{ORGANIZATION}/trainer"}
    targets = [
        {**path, "tag": "1.0.0", "digest": "sha256:false"},
        {**path, "tag": "2.0.0", "digest": before["1.0.0"].digest},
        {**path, "digest": before["1.0.0"].digest},
    ]
    actions = ("delete", "push", "delete", "pull", "mount")
    events = [{"action": action, "target": target} for action in actions for target in targets]
    for _ in range(2):
        answer = httpx.post(sandbox.notifications_url, json={"events": events})
        assert answer.status_code == 200
    assert tags(repository) == before


def test_a_registry_that_does_not_answer(
    sandbox: Sandbox,
    make_sandbox: Callable[[], Sandbox],
    repository: Repository,
    registry: Registry,
) -> None:
    """Notifications are refused, to be sent again; the API goes on; a start says what is wrong."""
    registry.stop()
    target = {"repository": f"{ORGANIZATION}/trainer", "tag": "1.0.0"}
    events = [{"action": "push", "target": target}]
    answer = httpx.post(sandbox.notifications_url, json={"events": events})
    assert answer.status_code == 503
    assert tags(repository) == {}
    sandbox.close()
    with pytest.raises(ConnectionError, match=f"Docker registry at {registry.host}"):
        make_sandbox().start()


def test_the_example(sandbox: Sandbox, registry: Registry, layout: Layout) -> None:
    """Each run of `examples/push_and_pin.py` ends with its own image, which skopeo finds."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "ABEJA_API_URL": sandbox.url,
        "ABEJA_ORGANIZATION_ID": ORGANIZATION,
        "PLATFORM_AUTH_TOKEN": "sandbox",
    }
    for name in ("one", "two"):
        made = layout.image(name, name.encode())
        line = [sys.executable, "-W", "error", str(EXAMPLE), made.source, registry.host]
        run = subprocess.run(line, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        pinned = run.stdout.splitlines()[-1]
        path, _, digest = pinned.removeprefix(f"{registry.host}/").partition("@")
        assert digest == registry.digest(f"{path}@{digest}") == registry.digest(f"{path}:1.0.0")
