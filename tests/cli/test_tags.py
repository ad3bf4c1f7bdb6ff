"""`abeja-registry tags …` and `image`, in process against the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

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
    """People see sizes with commas and the beginning of each digest."""
    ran = run("tags", "list", "trainer")
    tag = next(iter(trainer.iter_tags()))
    assert (ran.code, ran.err, len(ran.out.splitlines())) == (0, "", 4)
    assert ran.out.splitlines()[1].split()[:3] == [tag.name, tag.digest[7:19], "2,757,009"]


def test_lists_for_programs(run: Run, trainer: Repository) -> None:
    """JSON is the models' dumps, CSV the documented columns; an id will do."""
    dumps = [tag.model_dump(mode="json") for tag in trainer.iter_tags()]
    assert json.loads(run("tags", "list", "--id", trainer.id, "-o", "json").out) == dumps
    lines = run("tags", "list", "trainer", "--output", "csv").out.splitlines()
    assert lines[0] == COLUMNS
    assert lines[1].split(",")[2:4] == [dumps[0]["digest"], "2757009"]


def test_filters(run: Run, trainer: Repository) -> None:
    """Names fit a pattern; times bound the last push, in UTC where they have no zone."""

    def names(*options: str) -> list[str]:
        lines = run("tags", "list", "trainer", "-o", "jsonl", *options).out.splitlines()
        return [json.loads(line)["name"] for line in lines]

    assert names("--matching", "1.*") == ["1.10.0", "1.9.0"]
    assert len(names("--since", "2001-01-01", "--until", "2999-12-31T00:00:00+09:00")) == 3
    assert names("--until", "2001-01-01") == []


def test_a_time_that_is_none(run: Run) -> None:
    """What is no time is wrong usage, before anything is asked."""
    ran = run("tags", "list", "trainer", "--since", "yesterday")
    assert (ran.code, ran.out) == (2, "")
    assert "--since must be a time such as 2024-01-31" in ran.err


def test_latest(run: Run, trainer: Repository) -> None:
    """The newest is the one first pushed last, the one pushed last, or the highest version."""

    def name(*options: str) -> str:
        return str(json.loads(run("tags", "latest", "trainer", "-o", "json", *options).out)["name"])

    assert name() == "1.9.0"
    assert name("--by", "updated") == "1.9.0"
    assert name("--by", "version") == "1.10.0"
    assert name("--by", "version", "--prereleases") == "2.0.0rc1"
    assert run("tags", "latest", "trainer", "--matching", "3.*").code == 3
    assert run("tags", "latest", "trainer", "--by", "size").code == 2


def test_wait(run: Run, trainer: Repository) -> None:
    """A tag that is there is shown; one that does not come is a 4, a bad digest a 2."""
    tag = trainer.get_tag("1.9.0")
    ran = run("tags", "wait", "trainer", "1.9.0", "--digest", tag.digest, "--output", "json")
    assert json.loads(ran.out) == tag.model_dump(mode="json")
    options = ["--timeout", "0.01", "--changed-from", tag.digest]
    ran = run("tags", "wait", "trainer", "1.9.0", *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (4, "", 1)
    assert run("tags", "wait", "trainer", "1.9.0", "--digest", "latest").code == 2


def test_a_tag_that_is_not_there(run: Run, trainer: Repository) -> None:
    """It is a 3, and says how to list the repository's tags, as it was given; or repositories."""
    for given, shown in ((["trainer"], "trainer"), (["--id", trainer.id], f"--id {trainer.id}")):
        for command in (["image", *given, "nope"], ["tags", "latest", *given, "--matching", "3"]):
            ran = run(*command)
            assert ran.code == 3
            assert ran.err.endswith(f" - see what there is: abeja-registry tags list {shown}\n")
    for given in (["nobody"], ["--id", "1999999999999"]):
        for command in (["image", *given, "nope"], ["tags", "latest", *given]):
            assert run(*command).err.endswith(": abeja-registry repositories list\n")


@pytest.mark.usefixtures("trainer")
def test_the_time_of_a_wait_is_that_of_the_look_up_too(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository is looked up within --timeout, and what is left is for the wait."""
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
    ran = run("tags", "wait", "trainer", "1.9.0", "--timeout", "-1")
    assert (ran.code, "--timeout must be seconds above 0, not -1" in ran.err) == (2, True)


def test_image(run: Run, trainer: Repository) -> None:
    """The image's name is all that is written: by the tag, or by its digest; never of no tag."""
    tag = trainer.get_tag("1.9.0")
    name = f"custom/{trainer.organization_id}/trainer"
    assert run("image", "trainer", "1.9.0").out == f"{name}:1.9.0\n"
    assert run("image", "--id", trainer.id, "1.9.0", "--pinned").out == f"{name}@{tag.digest}\n"
    assert run("image", "trainer", "nope").code == 3
