"""Contenders taking turns at the same work, and what their turns come to."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

ROUNDS = 7
HERE = Path(__file__).parent
VENVS = HERE / ".venvs"
PEERS = VENVS / "peers" / "bin" / "python"
ABEJA_SDK = VENVS / "abeja-sdk" / "bin" / "python"
# Nothing of a user's own settings: no proxies, no credentials, no .netrc.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": str(VENVS), "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Turn:
    """One turn of one contender.

    Attributes:
        seconds: How long it took.
        cpu: The CPU time of its process, in seconds.
        items: How many items of work were done.
        peak: The most memory that its process has had, in bytes.
        requests: How many the server has seen meanwhile.
        connections: How many were opened for them.
    """

    seconds: float
    cpu: float
    items: int
    peak: int
    requests: int
    connections: int


class Process:
    """A module of the benchmark as a process that is spoken to by lines."""

    def __init__(self, python: str | Path, *module_and_arguments: str) -> None:
        self._process = subprocess.Popen(
            [python, "-m", *module_and_arguments],
            cwd=HERE.parent,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        """Write a line to it."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Return the next line that it writes; what it says of an error has been shown."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            arguments = self._process.args
            assert isinstance(arguments, list)
            raise SystemExit(f"{' '.join(map(str, arguments[2:]))} has failed")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class Server:
    """The benchmark's server, in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._port = int(process.hear())
        self.url = f"http://127.0.0.1:{self._port}"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Server]:
        """Run one."""
        with Process(sys.executable, "benchmarks.server") as process:
            yield cls(process)

    def counts(self) -> dict[str, int]:
        """Return how many `connections` and `requests` there were so far."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("GET", "/counts")
        counts: dict[str, int] = json.load(connection.getresponse())
        connection.close()
        return counts


@dataclass(frozen=True)
class Job:
    """What a contender is to do in a turn.

    Attributes:
        organization: The organization's id, which says what it holds.
        items: The items of work that there are each time; any other count ends the benchmark.
        times: How often to do it.
        warm_up: How often to do it before, untimed.
        options: The contender's own.
    """

    organization: str
    items: int = 1
    times: int = 1
    warm_up: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


class Worker(Process):
    """One contender in a process of its own, named as in `calls.abeja_registry`."""

    def __init__(self, contender: str, server: Server) -> None:
        module, _, name = contender.partition(".")
        python = ABEJA_SDK if name == "abeja_sdk" else PEERS
        super().__init__(python, "benchmarks.worker", module, name)
        self._contender = contender
        self._server = server

    def turn(self, job: Job) -> Turn:
        """Let it do its work."""
        before = self._server.counts()
        self.tell(json.dumps({**vars(job), "url": self._server.url}))
        said = json.loads(self.hear())
        after = self._server.counts()
        turn = Turn(**said, **{name: after[name] - before[name] for name in after})
        if turn.items != job.items * job.times:
            raise SystemExit(f"{self._contender} has found {turn.items} items of {job}")
        return turn


def take_turns(
    server: Server, jobs: Mapping[str, Job], rounds: int = ROUNDS
) -> dict[str, list[Turn]]:
    """Return the turns of each contender, round by round; those of a first round do not count."""
    turns: dict[str, list[Turn]] = {contender: [] for contender in jobs}
    with ExitStack() as stack:
        workers = {each: stack.enter_context(Worker(each, server)) for each in jobs}
        for number in range(rounds + 1):
            # In and against the order, so that nobody always comes after the same one.
            for contender in list(jobs)[:: -1 if number % 2 else 1]:
                turn = workers[contender].turn(jobs[contender])
                if number:
                    turns[contender].append(turn)
    return turns


@dataclass(frozen=True)
class Figure:
    """What was measured, round by round.

    Attributes:
        name: Whose figure it is.
        unit: What it counts.
        rounds: Its values.
    """

    name: str
    unit: str
    rounds: Sequence[float]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Target:
    """A figure of ours against a peer's or a bound, and what it should be.

    Attributes:
        text: Whose figure over whose.
        value: The median of the rounds' ratios.
        limit: What it should be.
        least: Whether it should be at least that, and not at most.
    """

    text: str
    value: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.value >= self.limit if self.least else self.value <= self.limit


def ratio(ours: Figure, other: Figure) -> float:
    """Return the median of the ratios of each round: what slows a whole round down falls out."""
    return statistics.median(
        mine / theirs for mine, theirs in zip(ours.rounds, other.rounds, strict=True)
    )


def below(ours: Figure, other: Figure, limit: float) -> Target:
    """Return the target that one figure is at most so many times another."""
    return Target(f"{ours.name} / {other.name}", ratio(ours, other), limit)


def above(ours: Figure, other: Figure, limit: float) -> Target:
    """Return the target that one figure is at least so many times another."""
    return Target(f"{ours.name} / {other.name}", ratio(ours, other), limit, least=True)


@dataclass(frozen=True)
class Measurement:
    """One item of the benchmark.

    Attributes:
        title: What was done.
        figures: What was measured, ours first: the others are compared with that.
        targets: What it should come to.
        note: What the reader should know.
    """

    title: str
    figures: Sequence[Figure]
    targets: Sequence[Target] = ()
    note: str = ""
