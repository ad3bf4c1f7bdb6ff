"""What is kept, whatever happens: kills, other processes, many clients at once."""

import itertools
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import pytest
from tests.support.internals import Store, reader_of, store_of
from tests.support.patience import PATIENCE, until

from abeja_registry import Client, Error, RetryPolicy, Tag
from abeja_registry.sandbox import Sandbox

# Forked from a process that has the imports behind it, a sandbox starts at once.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["abeja_registry.sandbox"])
KILLS = 50 if "NIGHTLY" in os.environ else 10


def serve(file: Path, told: Connection) -> None:
    """Run a sandbox on a file, until killed."""
    with Sandbox(data=file) as sandbox:
        told.send(sandbox.url)
        signal.pause()


@contextmanager
def process(file: Path) -> Iterator[tuple[str, int]]:
    """A sandbox in a process of its own: its address and process id; it ends by `kill -9`."""
    ours, theirs = FORKS.Pipe()
    child = FORKS.Process(target=serve, args=(file, theirs))
    child.start()
    try:
        assert ours.poll(PATIENCE)
        assert child.pid is not None
        yield ours.recv(), child.pid
    finally:
        child.kill()
        child.join(PATIENCE)
        ours.close()
        theirs.close()


def client(url: str) -> Client:
    """A client that tries once."""
    once = RetryPolicy(max_retries=0)
    return Client("1410000000000", {"auth_token": "x"}, base_url=url, retry=once)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Killed 50 times while four clients write, a sandbox has lost nothing that it said was done.

    A request without a response may have been done or not, and nothing else exists.
    """
    file = tmp_path / "registry.db"
    names = (f"r{number}" for number in itertools.count())
    chance = random.Random(7)
    asked: set[str] = set()
    there: set[str] = set()
    tagged: set[str] = set()
    gone: set[str] = set()
    progress = threading.Condition()

    def write(url: str) -> None:
        with client(url) as writer, httpx.Client(base_url=url, trust_env=False) as pusher:
            while True:
                with progress:
                    name = next(names)
                    asked.add(name)
                try:
                    repository = writer.repositories.create(name)
                    with progress:
                        there.add(name)
                        progress.notify()
                    pushed = pusher.put(f"/_sandbox/repositories/{repository.id}/tags/1.0.0")
                    assert pushed.status_code == 200
                    with progress:
                        tagged.add(name)
                    if chance.random() < 0.3:
                        with progress:
                            there.discard(name)
                        repository.delete()
                        with progress:
                            gone.add(name)
                except (Error, httpx.TransportError):
                    return

    for _ in range(KILLS):
        with ThreadPoolExecutor(4) as writers:
            with process(file) as (url, pid):
                writing = [writers.submit(write, url) for _ in range(4)]
                with progress:
                    for _ in range(chance.randrange(1, 20)):
                        assert progress.wait(PATIENCE)
                os.kill(pid, signal.SIGKILL)
            for each in writing:
                each.result(PATIENCE)
    with process(file) as (url, _), client(url) as reader:
        kept = {each.name: [tag.name for tag in each.iter_tags()] for each in reader.repositories}
    assert there <= kept.keys() <= asked - gone
    assert all(kept[name] == ["1.0.0"] for name in tagged & kept.keys())
    assert all(tags in ([], ["1.0.0"]) for tags in kept.values())
    assert len(there) > KILLS
    assert len(tagged & kept.keys()) > KILLS
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_processes_on_one_file(tmp_path: Path) -> None:
    """Both write at once and lose nothing, and each shows what the other wrote."""
    file = tmp_path / "registry.db"
    names = [f"r{number}" for number in range(100)]
    with (
        process(file) as (one, _),
        process(file) as (two, _),
        client(one) as first,
        client(two) as second,
        ThreadPoolExecutor(8) as threads,
    ):
        both = [first, second]
        made = threads.map(
            lambda name, each: each.repositories.create(name), names, itertools.cycle(both)
        )
        assert {repository.name for repository in made} == set(names)
        listed = [list(each.repositories) for each in both]
        assert listed[0] == listed[1]
        assert {repository.name for repository in listed[0]} == set(names)
        # A name that was taken in the one is taken in the other.
        with pytest.raises(Error, match="the name 'r0' is taken"):
            second.repositories.create("r0")


def test_many_begin_on_one_new_file(tmp_path: Path) -> None:
    """Whoever opens a new file first makes it, and all the others find it made."""

    def open_and_close(file: Path, begin: threading.Barrier) -> None:
        begin.wait(PATIENCE)
        Store("7", file).close()

    with ThreadPoolExecutor(8) as threads:
        for turn in range(20):
            begin = threading.Barrier(8)
            opened = [
                threads.submit(open_and_close, tmp_path / f"{turn}.db", begin) for _ in range(8)
            ]
            for each in opened:
                each.result(PATIENCE)


def test_closing_does_not_wait_for_another_process(tmp_path: Path) -> None:
    """A write that waits for another process's is refused when the sandbox closes, and not done."""
    file = tmp_path / "registry.db"
    sandbox = Sandbox(data=file)
    sandbox.start()
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        client(sandbox.url) as writer,
        ThreadPoolExecutor(2) as threads,
    ):
        other.execute("BEGIN IMMEDIATE")
        writing = threads.submit(writer.repositories.create, "late")
        until(lambda: sandbox.requests)
        # Far less than the minute that a write would wait.
        threads.submit(sandbox.close).result(PATIENCE / 2)
        with pytest.raises(Error) as caught:
            writing.result(PATIENCE)
        assert getattr(caught.value, "status_code", 503) == 503
        other.execute("COMMIT")
    with Sandbox(data=file) as again:
        assert again.is_empty


def test_a_hundred_clients_at_once(sandbox: Sandbox) -> None:
    """Of a hundred clients that write and read at once, each finds all that it wrote."""
    begin = threading.Barrier(100)

    def work(number: int) -> list[str]:
        with Client(**sandbox.connection) as mine:
            begin.wait(PATIENCE)
            repository = mine.repositories.create(f"r{number}")
            for tag in ("0", "1", "2"):
                sandbox.push(repository, tag)
            return [tag.name for tag in repository.iter_tags()]

    with ThreadPoolExecutor(100) as threads:
        assert list(threads.map(work, range(100))) == [["0", "1", "2"]] * 100
    with Client(**sandbox.connection) as client:
        assert len(list(client.repositories)) == 100


def test_reads_do_not_wait_for_writes(tmp_path: Path) -> None:
    """While another process holds the file for a write, reads are answered, and the write waits."""
    file = tmp_path / "registry.db"
    with (
        Sandbox(data=file) as sandbox,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        Client(**sandbox.connection) as reader,
        Client(**sandbox.connection) as writer,
        ThreadPoolExecutor(1) as threads,
    ):
        [repository_id] = sandbox.seed(repositories=1, tags=3)
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM tags")
        writing = threads.submit(writer.repositories.create, "late")
        for _ in range(20):
            tags: list[Tag] = list(reader.tags.iter(repository_id))
            assert len(tags) == 3
            assert len(reader.repositories.list()) == 1
        assert not writing.done()
        other.execute("COMMIT")
        assert writing.result(PATIENCE).name == "late"
        assert list(reader.tags.iter(repository_id)) == []


def test_a_far_page_costs_no_more_than_the_first(tmp_path: Path) -> None:
    """The database's steps for a page do not grow with its offset."""
    with Sandbox(port=None) as sandbox:
        [repository_id] = sandbox.seed(repositories=1, tags=50_000)
        store = store_of(sandbox)
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        reader_of(store).set_progress_handler(count, 100)
        costs = []
        for offset in (0, 49_000):
            steps = 0
            rows, _ = store.tags(repository_id, 100, offset)
            assert [row.name for row in rows] == [
                f"0.0.{number}" for number in range(offset + 1, offset + 101)
            ]
            costs.append(steps)
        assert costs[1] < 2 * costs[0] + 20
