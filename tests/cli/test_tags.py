"""`abeja-registry tags …` and `image`, in process against the sandbox."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import respx
from tests.support.examples import TAG
from tests.support.internals import replace_sleep

from abeja_registry import Client, Repository, Tag
from abeja_registry.sandbox import Sandbox
from abeja_registry.tags import Tags

if TYPE_CHECKING:
    from .conftest import Run

COLUMNS = "id,name,digest,size,media_type,creator_email,created_at,updated_at"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def trainer(client: Client, sandbox: Sandbox) -> Repository:
    """A repository with the tags 1.9.0, 1.10.0 and 2.0.0rc1, pushed in another order."""
    repository = client.repositories.create("trainer")
    for name in ("1.10.0", "2.0.0rc1", "1.9.0"):
        sandbox.push(repository, name, size=2_757_009)
    return repository


def test_a_table_cuts_digests_as_docker_does(run: Run, trainer: Repository) -> None:
    """People see sizes in units and the beginning of each digest."""
    ran = run("tags", "list", "trainer")
    tag = next(iter(trainer.iter_tags()))
    assert (ran.code, ran.err, len(ran.out.splitlines())) == (0, "", 4)
    assert ran.out.splitlines()[1].split()[:3] == [tag.name, tag.digest[7:19], "2.76"]


def test_lists_for_programs(run: Run, trainer: Repository) -> None:
    """JSON is the models' dumps, and CSV has the documented columns and exact sizes."""
    dumps = [tag.model_dump(mode="json") for tag in trainer.iter_tags()]
    assert json.loads(run("tags", "list", "--id", trainer.id, "-o", "json").out) == dumps
    lines = run("tags", "list", "trainer", "--output", "csv").out.splitlines()
    assert lines[0] == COLUMNS
    assert lines[1].split(",")[2:4] == [dumps[0]["digest"], "2757009"]


def test_filters(run: Run, trainer: Repository) -> None:
    """Tags are selected by a pattern and by the last push, in UTC where a time has no zone."""

    def names(*options: str) -> list[str]:
        lines = run("tags", "list", "trainer", "-o", "jsonl", *options).out.splitlines()
        return [json.loads(line)["name"] for line in lines]

    assert names("--pattern", "1.*") == ["1.10.0", "1.9.0"]
    assert len(names("--since", "2001-01-01", "--until", "2999-12-31T00:00:00+09:00")) == 3
    assert names("--until", "2001-01-01") == []


def test_ages(run: Run, trainer: Repository, sandbox: Sandbox) -> None:
    """--since and --until take ages, and --stale-days selects tags without a push since."""
    now = datetime.now(UTC)
    for days in (10, 100, 1000):
        pushed = now - timedelta(days=days)
        sandbox.push(trainer, f"old-{days}", created_at=pushed, updated_at=pushed)

    def names(*options: str) -> list[str]:
        return run("tags", "list", "trainer", "--quiet", "--pattern", "old-*", *options).out.split()

    assert names("--since", "30d") == ["old-10"]
    assert names("--since", "20w") == ["old-10", "old-100"]
    assert names("--until", "2160h") == names("--stale-days", "90") == ["old-100", "old-1000"]
    assert names("--since", "200d", "--until", "86400m") == ["old-100"]
    assert names("--stale-days", "90", "--until", "52w") == ["old-1000"]
    assert names("--sort", "updated", "--reverse") == ["old-1000", "old-100", "old-10"]
    ran = run("tags", "list", "trainer", "--since", "yesterday")
    assert (ran.code, ran.out) == (2, "")
    assert "'--since': 'yesterday' is no time such as 30d, 12h, 2024-01-31" in ran.err


def test_the_tags_of_all_repositories(run: Run) -> None:
    """Without REPOSITORY, the error names the command for all of them."""
    ran = run("tags", "list", "--stale-days", "90")
    assert (ran.code, ran.out) == (2, "")
    assert "; for all repositories: abeja-registry inventory --stale-days 90 - see" in ran.err


def test_orders(run: Run, client: Client, sandbox: Sandbox) -> None:
    """Tags are sorted by name, time or size."""
    repository = client.repositories.create("sorted")
    for name, size in (("b", 2000), ("c", 3000), ("a", 1000)):
        sandbox.push(repository, name, size=size)
    for options, expected in (
        ([], "bca"),
        (["--sort", "name"], "abc"),
        (["--sort", "size"], "cba"),
        (["--sort", "created"], "acb"),
        (["--sort", "updated", "--limit", "1"], "a"),
        (["--sort", "size", "--reverse", "--limit", "2"], "ab"),
    ):
        assert run("tags", "list", "sorted", "-q", *options).out.split() == list(expected)
    ran = run("tags", "list", "sorted", "--columns", "name,size", "--quiet", "--limit", "1")
    assert ran.out == "b\t2000\n"


def test_an_empty_list_says_so(run: Run, client: Client) -> None:
    """Without tags, a line on stderr says so."""
    client.repositories.create("empty")
    ran = run("tags", "list", "empty", "-o", "json")
    assert (ran.code, ran.out, ran.err) == (0, "[]\n", "no tags\n")


def test_get(run: Run, trainer: Repository, sandbox: Sandbox) -> None:
    """A tag is shown by each form of its name; several are rows or an array."""
    tag = trainer.get_tag("1.9.0")
    dump = tag.model_dump(mode="json")
    for words in (
        ["trainer", "1.9.0"],
        ["trainer:1.9.0"],
        [f"{trainer.id}:1.9.0"],
        ["--id", f"{trainer.id}:1.9.0"],
        [f"trainer:1.9.0@{tag.digest}"],
        [str(trainer.image(tag))],
    ):
        assert json.loads(run("tags", "get", *words, "-o", "json").out) == dump
    lines = run("tags", "show", "trainer:1.9.0").out.splitlines()
    assert "size           2.76 MB (2,757,009 bytes)" in lines
    assert lines[-1].endswith(" UTC")
    sandbox.push(trainer, "latest", digest=tag.digest)
    by_digest = run("tags", "get", f"trainer@{tag.digest}", "-q")
    assert by_digest.out.split() == ["1.9.0", "latest"]
    both = json.loads(run("tags", "get", "trainer:1.9.0", "trainer:latest", "-o", "json").out)
    assert [each["name"] for each in both] == ["1.9.0", "latest"]


def test_a_tag_with_another_digest(run: Run, trainer: Repository) -> None:
    """A tag that does not point to the given digest is a 3, and so is a digest without a tag."""
    for words in ([f"trainer:1.9.0@{DIGEST}"], [f"trainer@{DIGEST}"]):
        for command in (["tags", "get"], ["image"]):
            ran = run(*command, *words)
            assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
            assert ran.err.endswith("list its tags: abeja-registry tags list trainer\n")


def test_latest(run: Run, trainer: Repository) -> None:
    """The newest tag is that of the last first push, of the last push, or the highest version."""

    def name(*options: str) -> str:
        return str(json.loads(run("tags", "latest", "trainer", "-o", "json", *options).out)["name"])

    assert name() == "1.9.0"
    assert name("--by", "updated") == "1.9.0"
    assert name("--by", "version") == "1.10.0"
    assert name("--by", "version", "--prereleases") == "2.0.0rc1"
    assert run("tags", "latest", "trainer", "--pattern", "3.*").code == 3
    assert run("tags", "latest", "trainer", "--by", "size").code == 2
    ran = run("tags", "latest", "trainer", "--by", "version", "--pattern", "*rc1")
    assert (ran.code, "a final version; pass --prereleases" in ran.err) == (3, True)


def test_wait(run: Run, trainer: Repository) -> None:
    """An existing tag is shown; a tag that does not appear is a 4, and a bad digest a 2."""
    tag = trainer.get_tag("1.9.0")
    ran = run("tags", "wait", "trainer:1.9.0", "--digest", tag.digest, "--output", "json")
    assert json.loads(ran.out) == tag.model_dump(mode="json")
    options = ["--timeout", "0.01", "--changed-from", tag.digest]
    ran = run("tags", "wait", "trainer", "1.9.0", *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (4, "", 1)
    assert run("tags", "wait", "trainer", "1.9.0", "--digest", "latest").code == 2
    assert run("tags", "wait", f"trainer:1.9.0@{tag.digest}", "-q").out == "1.9.0\n"
    ran = run("tags", "wait", f"trainer:1.9.0@{tag.digest}", "--digest", DIGEST)
    assert (ran.code, f"--digest {DIGEST} contradicts trainer:1.9.0@" in ran.err) == (2, True)
    for words in (["trainer:1", "trainer:2"], [f"trainer@{tag.digest}"]):
        ran = run("tags", "wait", *words)
        assert (ran.code, "pass one REPOSITORY:TAG" in ran.err) == (2, True)


def test_a_missing_tag(run: Run, trainer: Repository) -> None:
    """It is a 3, and says how to list the tags of the repository, or the repositories."""
    for given, shown in ((["trainer"], "trainer"), (["--id", trainer.id], f"--id {trainer.id}")):
        for command in (["image", *given, "nope"], ["tags", "latest", *given, "--pattern", "3"]):
            ran = run(*command)
            assert ran.code == 3
            assert ran.err.endswith(f" - list its tags: abeja-registry tags list {shown}\n")
    for given in (["nobody"], ["--id", "1999999999999"]):
        for command in (["image", *given, "nope"], ["tags", "latest", *given]):
            assert run(*command).err.endswith(": abeja-registry repositories list\n")


@pytest.mark.usefixtures("trainer")
def test_the_time_of_a_wait_includes_the_look_up(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository is looked up within --timeout, and the rest is for the wait."""
    sandbox.faults.add(operation="get_repositories", latency=0.1, times=1)
    left: list[float] = []
    wait_for = Tags.wait_for

    def noted(tags: Tags, *arguments: Any, timeout: float, **options: Any) -> Tag:
        left.append(timeout)
        return wait_for(tags, *arguments, timeout=timeout, **options)

    monkeypatch.setattr(Tags, "wait_for", noted)
    assert run("tags", "wait", "trainer", "1.9.0", "--timeout", "30").code == 0
    assert 0 < left[0] <= 29.9
    sandbox.faults.add(operation="get_repositories", latency=60)
    ran = run("tags", "wait", "trainer", "1.9.0", "--timeout", "0.1")
    assert (ran.code, len(left)) == (4, 1)
    ran = run("image", "trainer:1.9.0", "--wait", "0.1")
    assert (ran.code, len(left)) == (4, 1)


def test_all_calls_of_a_look_up_share_the_time_of_a_wait(
    run: Run, trainer: Repository, sandbox: Sandbox
) -> None:
    """A look-up by name and then by id has one limit: the second call has what the first left."""
    sandbox.faults.add(operation="get_repositories", latency=0.3, times=1)
    sandbox.faults.add(operation="get_repository", latency=0.3)
    for command in (["tags", "wait", "--timeout"], ["image", "--wait"]):
        sandbox.faults.add(operation="get_repositories", latency=0.3, times=1)
        ran = run(*command, "0.5", f"{trainer.id}:1.9.0")
        assert (ran.code, ran.out) == (4, "")
    assert not any("/tags" in request.path for request in sandbox.requests)


def test_the_awaited_tag_is_the_image(
    run: Run, trainer: Repository, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--wait prints the tag that it saw, even if it was pushed again at once."""
    wait_for = Tags.wait_for
    before = trainer.get_tag("1.9.0").digest

    def pushed_again(tags: Tags, *arguments: Any, **options: Any) -> Tag:
        tag = wait_for(tags, *arguments, **options)
        sandbox.push(trainer, "1.9.0", digest=DIGEST)
        return tag

    monkeypatch.setattr(Tags, "wait_for", pushed_again)
    words = ["image", f"trainer:1.9.0@{before}", "--pinned", "--wait", "9"]
    ran = run(*words)
    assert (ran.code, ran.out.partition("@")[2]) == (0, f"{before}\n")


def test_image(run: Run, trainer: Repository) -> None:
    """The name of an existing image is the whole output: by its tag, or by its digest."""
    tag = trainer.get_tag("1.9.0")
    name = f"custom/{trainer.organization_id}/trainer"
    for words in (["trainer", "1.9.0"], ["trainer:1.9.0"], [f"{name}:1.9.0"]):
        assert run("image", *words).out == f"{name}:1.9.0\n"
        assert run("image", *words, "--pinned").out == f"{name}@{tag.digest}\n"
    assert run("image", f"trainer@{tag.digest}").out == f"{name}@{tag.digest}\n"
    assert run("image", "--id", trainer.id, "1.9.0", "--pinned").out == f"{name}@{tag.digest}\n"
    ran = run("image", "trainer:1.9.0", "trainer", "1.10.0", "trainer:2.0.0rc1")
    assert ran.out.split() == [f"{name}:{each}" for each in ("1.9.0", "1.10.0", "2.0.0rc1")]
    ran = run("image", "trainer:nope", "trainer:1.9.0", "--keep-going")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, f"{name}:1.9.0\n", 1)
    assert run("image", "trainer:nope", "trainer:1.9.0").out == ""


def test_an_image_that_is_pushed_later(
    run: Run, trainer: Repository, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--wait waits for the tag, and then prints its image, pinned: one step of CI."""
    replace_sleep(monkeypatch, lambda _: sandbox.push(trainer, "1.2.3"))
    ran = run("image", "trainer", "1.2.3", "--pinned", "--wait", "300")
    digest = trainer.get_tag("1.2.3").digest
    name = f"custom/{trainer.organization_id}/trainer@{digest}"
    assert (ran.code, ran.out, ran.err) == (0, f"{name}\n", "")
    ran = run("image", f"trainer@{digest}", "--wait", "300")
    assert (ran.code, "--wait needs REPOSITORY:TAG" in ran.err) == (2, True)
    monkeypatch.undo()


@pytest.mark.parametrize("command", [["tags", "get"], ["image"], ["tags", "wait"]])
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["trainer"], "'trainer' has no tag"),
        (["trainer", "1.0", "2.0"], "'2.0' has no tag"),
        (["trainer", "other:1"], "'trainer' has no tag"),
        (["trainer:"], "'trainer:' names no tag"),
        ([":1"], "':1' names no tag"),
        (["trainer@"], "'trainer@' names no tag"),
        (["custom/1/x"], "'custom/1/x'"),
        (["docker.io/trainer:1"], "'docker.io/trainer:1'"),
        (["custom/9/trainer:1.9.0"], "organization 9, not of 1410000000000: use --organization 9"),
    ],
)
def test_a_word_that_names_no_tag(
    words: list[str], problem: str, command: list[str], run: Run, sandbox: Sandbox
) -> None:
    """It is wrong usage, and the error says why; no request is sent."""
    ran = run(*command, *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert problem in ran.err
    assert not sandbox.requests


def test_a_time_beyond_the_calendar_in_utc(run: Run, client: Client) -> None:
    """A table shows it in its own time zone."""
    made = client.repositories.create("old")
    first = "0001-01-01T00:00:00+09:00"
    with respx.mock(assert_all_called=False) as router:
        body = {"registry_repositories": [made.model_dump(mode="json")]}
        page = {"offset": 0, "limit": 100, "has_next": False}
        router.get(path__regex="/tags$").respond(
            json={**page, "tags": [{**TAG, "name": "first", "created_at": first}]}
        )
        router.get(path__regex="/repositories$").respond(json={**page, **body})
        ran = run("tags", "get", "old:first")
    assert (ran.code, first in ran.out) == (0, True)
