"""Twenty thousand operations from 16 threads, against a server that fails one request in five.

`python -m pytest tests/soak/soak.py` runs it; a plain `pytest` does not find it. The server is a
process of its own (`python -m tests.soak.soak SEED`): raw asyncio sockets, no HTTP library.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
import logging
import random
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.support.examples import ORGANIZATION_ID
from tests.support.internals import without_budget
from tests.support.registry import Registry
from tests.support.server import raw_response

from abeja_registry import Client, Error, NotFound, Repository, RetryPolicy

T = TypeVar("T")

SEED = 20190523
OPERATIONS, THREADS, SECONDS = 20_000, 16, 120
FAILING = 0.2
ROOT = Path(__file__).parents[2]


# -- the server -----------------------------------------------------------------------------------


class Server:
    """A connection at a time is served in order; each request fails by chance."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.registry = Registry()
        self.faults: collections.Counter[str] = collections.Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection until a fault ends it, or the client does."""
        try:
            while (request := await self._read(reader)) and await self._strike(writer, *request):
                pass
        except ConnectionError:
            pass
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        length = re.search(r"(?i)content-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        method, target, _ = head.split(" ", 2)
        return method, target, body

    def _do(self, *request: Any) -> bytes:
        reply = self.registry.handle(*request)
        return raw_response(reply.body, reply.status)

    async def _strike(self, writer: asyncio.StreamWriter, *request: Any) -> bool:
        """Answer a request, or fail; return whether the connection goes on."""
        fault = self._chance.choice(FAULTS) if self._chance.random() < FAILING else None
        self.faults[fault.__name__ if fault else "none"] += 1
        if fault is not None:
            sent = fault(writer, lambda: self._do(*request), self._chance)
        else:
            sent = self._do(*request)
        if sent is None:
            return False
        writer.write(sent)
        # A cut body ends with the connection.
        whole = sent.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", whole[0])
        return length is not None and len(whole[2]) == int(length[1])


Work = Callable[[], bytes]
Fault = Callable[[asyncio.StreamWriter, Work, random.Random], bytes | None]


def reset_before(writer: asyncio.StreamWriter, work: Work, chance: random.Random) -> None:
    """Nothing is done, and the connection is reset."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def reset_after(writer: asyncio.StreamWriter, work: Work, chance: random.Random) -> None:
    """The work is done, and the connection is reset."""
    work()
    reset_before(writer, work, chance)


def close_before(writer: asyncio.StreamWriter, work: Work, chance: random.Random) -> None:
    """Nothing is done, and the connection is closed."""


def close_after(writer: asyncio.StreamWriter, work: Work, chance: random.Random) -> None:
    """The work is done, and the connection is closed."""
    work()


def error_before(writer: asyncio.StreamWriter, work: Work, chance: random.Random) -> bytes:
    """Nothing is done, and the answer says so."""
    return raw_response(b"<h1>not done</h1>", chance.choice((429, 500, 503)))


def error_after(writer: asyncio.StreamWriter, work: Work, chance: random.Random) -> bytes:
    """The work is done, and a proxy says that it was not."""
    work()
    return raw_response(b"<h1>not done?</h1>", chance.choice((500, 503)))


def cut_body(writer: asyncio.StreamWriter, work: Work, chance: random.Random) -> bytes:
    """The work is done, and the answer breaks off in its body."""
    whole = work()
    return whole[: chance.randrange(whole.index(b"\r\n\r\n") + 4, len(whole))]


def cut_head(writer: asyncio.StreamWriter, work: Work, chance: random.Random) -> bytes:
    """The work is done, and the answer breaks off in its head."""
    whole = work()
    return whole[: chance.randrange(1, whole.index(b"\r\n\r\n"))]


FAULTS: tuple[Fault, ...] = (
    reset_before,
    reset_after,
    close_before,
    close_after,
    error_before,
    error_after,
    cut_body,
    cut_head,
)


async def main(seed: int) -> None:
    """Serve until the end of the input; say the port first, and what was done last."""
    server = Server(seed)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    listening.close()
    done = server.registry
    print(json.dumps([done.created, done.deleted, server.faults]))


# -- the client -----------------------------------------------------------------------------------


@dataclass
class Log:
    """What the server did: ids by name, ids deleted, faults by name."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    deleted: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: dict[str, int] = field(default_factory=dict)


@contextmanager
def serving(seed: int) -> Iterator[tuple[int, Log]]:
    """Run the server in a process; its log is there when it has ended."""
    log = Log()
    command = [sys.executable, "-m", "tests.soak.soak", str(seed)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), log
            created, deleted, log.faults = json.loads(process.communicate()[0])
        finally:
            process.kill()
    for key, name in created:
        log.ids.setdefault(name, []).append(key)
    log.deleted.update(deleted)


@dataclass
class Told:
    """What a thread's client was told, and what it was left to wonder about.

    Attributes:
        created: The id that each name was created under.
        doubted: Names whose creation is in doubt.
        refused: Names that were not created.
        deleted: Ids that are deleted.
        undeleted: Ids whose deletion is in doubt.
        counts: How many operations came to what.
    """

    created: dict[str, str] = field(default_factory=dict)
    doubted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    undeleted: set[str] = field(default_factory=set)
    counts: collections.Counter[str] = field(default_factory=collections.Counter)


class Worker:
    """One thread's work: repositories of its own names, that nobody else touches."""

    def __init__(self, clients: tuple[Client, ...], number: int, end: float) -> None:
        self.told = Told()
        self._clients = clients
        self._number = number
        self._end = end
        self._chance = random.Random(SEED + number)
        self._names = itertools.count()
        self._mine: list[Repository] = []

    def run(self) -> Told:
        """Make this thread's share of the operations."""
        for _ in range(OPERATIONS // THREADS):
            assert time.monotonic() < self._end, "this takes too long"
            client = self._chance.choice(self._clients)
            kinds = [self.create, self.create, self.get, self.list]
            self._chance.choice([*kinds, self.delete] if self._mine else kinds[:1])(client)
        return self.told

    def _call(self, operation: str, call: Callable[[], T]) -> T | Error:
        """Return what comes of a call, and count it."""
        came: T | Error
        try:
            came = call()
        except NotFound:
            raise AssertionError(f"{operation}: what nobody else touches is gone") from None
        except Error as error:
            came = error
        what = type(came).__name__ if isinstance(came, Error) else "done"
        unknown = " (outcome unknown)" if isinstance(came, Error) and came.outcome_unknown else ""
        self.told.counts[f"{operation}: {what}{unknown}"] += 1
        return came

    def create(self, client: Client) -> None:
        """Create a repository of a name that is nobody else's."""
        name = f"of-{self._number}-{next(self._names)}"
        made = self._call("create", lambda: client.repositories.create(name))
        if not isinstance(made, Error):
            assert made.name == name
            self.told.created[name] = made.id
            self._mine.append(made)
        elif made.outcome_unknown:
            self.told.doubted.add(name)
        else:
            self.told.refused.add(name)

    def get(self, client: Client) -> None:
        """Get a repository that is there."""
        asked = self._chance.choice(self._mine)
        got = self._call("get", lambda: client.repositories.get(asked.id))
        assert not got.outcome_unknown if isinstance(got, Error) else got == asked

    def list(self, client: Client) -> None:
        """List a few repositories."""
        offset = self._chance.randrange(20)
        page = self._call("list", lambda: client.repositories.list(limit=5, offset=offset))
        if isinstance(page, Error):
            assert not page.outcome_unknown
        else:
            assert (page.offset, page.limit) == (offset, 5)
            assert len({repository.id for repository in page}) == len(page) <= 5

    def delete(self, client: Client) -> None:
        """Delete a repository that is there."""
        asked = self._mine.pop(self._chance.randrange(len(self._mine)))
        gone = self._call("delete", lambda: client.repositories.delete(asked.id))
        if not isinstance(gone, Error):
            self.told.deleted.add(asked.id)
        elif gone.outcome_unknown:
            self.told.undeleted.add(asked.id)


def check(told: Told, log: Log) -> None:
    """What a thread's client was told is what the server did."""
    for name, key in told.created.items():
        assert log.ids[name] == [key], name
    for name in told.doubted:
        assert len(log.ids.get(name, ())) <= 1, name
    for name in told.refused:
        assert name not in log.ids, name
    for key in told.deleted:
        assert log.deleted[key] == 1, key
    for key in told.undeleted:
        assert log.deleted[key] <= 1, key
    for key in set(told.created.values()) - told.deleted - told.undeleted:
        assert log.deleted[key] == 0, key


def test_nothing_is_lost_and_nothing_is_double(caplog: pytest.LogCaptureFixture) -> None:
    """On every create and delete the server's log and the client's results agree."""
    caplog.set_level(logging.ERROR, "abeja_registry")
    began = time.monotonic()
    at_once = RetryPolicy(base_delay=0, throttled_base_delay=0)
    with serving(SEED) as (port, log):
        url = f"http://127.0.0.1:{port}"
        given: dict[str, Any] = {"base_url": url, "retry": at_once, "deadline": 20}
        # One whose budget is soon empty, as it would be, and one that can always replay.
        with (
            Client(ORGANIZATION_ID, {"auth_token": "t"}, **given) as client,
            Client(ORGANIZATION_ID, {"auth_token": "t"}, **given) as lavish,
            ThreadPoolExecutor(THREADS) as pool,
        ):
            without_budget(lavish)
            workers = [
                Worker((client, lavish), number, began + SECONDS) for number in range(THREADS)
            ]
            told = [work.result() for work in [pool.submit(worker.run) for worker in workers]]
    for each in told:
        check(each, log)
    counts = sum((each.counts for each in told), collections.Counter[str]())
    assert sum(counts.values()) == OPERATIONS
    # Everything that the server did was asked for by somebody who was told, or is in doubt.
    assert log.ids.keys() <= {name for each in told for name in each.created.keys() | each.doubted}
    assert log.deleted.keys() <= {key for each in told for key in each.deleted | each.undeleted}
    print(f"\n{time.monotonic() - began:.1f} s for {OPERATIONS} operations from {THREADS} threads")
    print(f"{sum(log.faults.values())} requests: {log.faults}")
    for what, count in sorted(counts.items()):
        print(f"{count:6} {what}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
