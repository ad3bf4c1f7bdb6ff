"""What is measured against the benchmark's server: each item a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .rounds import (
    ROUNDS,
    Figure,
    Job,
    Measurement,
    Server,
    Target,
    Turn,
    Worker,
    above,
    below,
    take_turns,
)

CALLS = 100
# Many short rounds: what else a machine does falls on all alike.
ROUNDS_OF_CALLS = 21
TAGS = 100_000
MILLION = 1_000_000
REPOSITORIES = 100
TAGS_EACH = 200
# Of the inventory's default, and of the loops by hand.
PAGE_SIZE = 100
THREADS = 32
TYPED_PEERS = ("openai_get", "stripe_raw_request", "githubkit_request", "harborapi_get")


def _organization(repositories: int, tags: int, milliseconds: int = 0) -> str:
    return f"{repositories}-{tags}-{milliseconds}"


def _figures(
    turns: dict[str, list[Turn]], unit: str, value: Callable[[Turn], float]
) -> dict[str, Figure]:
    """Return what each contender's turns come to, by its name without the module's."""
    names = {contender: contender.partition(".")[2] for contender in turns}
    return {
        names[contender]: Figure(names[contender], unit, [value(turn) for turn in its])
        for contender, its in turns.items()
    }


def _microseconds(turn: Turn) -> float:
    return turn.seconds / turn.items * 1e6


def _seconds(turn: Turn) -> float:
    return turn.seconds


def _calls(server: Server, module: str, names: Iterable[str]) -> dict[str, Figure]:
    job = Job(_organization(1, 0), times=CALLS, warm_up=20)
    turns = take_turns(server, {f"{module}.{name}": job for name in names}, ROUNDS_OF_CALLS)
    return _figures(turns, "µs a call", _microseconds)


def calls(server: Server) -> Measurement:
    """A call over a warm connection, and the same through clients handed in."""
    names = (
        "abeja_registry",
        "abeja_registry_raw",
        "abeja_registry_over_httpx",
        "abeja_registry_over_httpx2",
        "httpx_client",
        "httpx2_client",
        "requests_session",
        "gitlab_http_get",
        *TYPED_PEERS,
        "abeja_sdk",
    )
    figures = _calls(server, "calls", names)
    ours = figures["abeja_registry"]
    return Measurement(
        "`client.repositories.get(id)` over a warm connection",
        [*figures.values()],
        [
            below(ours, figures["httpx_client"], 0.80),
            below(ours, figures["abeja_sdk"], 0.30),
            *(below(ours, figures[peer], 1.0) for peer in TYPED_PEERS),
        ],
    )


def async_calls(server: Server) -> Measurement:
    """An awaited call over a warm connection, one at a time."""
    names = (
        "abeja_registry",
        "abeja_registry_over_httpx",
        "abeja_registry_over_httpx2",
        "abeja_registry_over_aiohttp",
        "httpx_client",
        "httpx2_client",
        "aiohttp_session",
        "openai_get",
        "harborapi_get",
    )
    figures = _calls(server, "async_calls", names)
    return Measurement(
        "`await client.repositories.get(id)`, one at a time",
        [*figures.values()],
        [below(figures["abeja_registry"], figures["httpx_client"], 0.95)],
    )


def _reading(tags: int, page_size: int) -> Job:
    return Job(_organization(1, tags), items=tags, options={"page_size": page_size})


def paging(server: Server) -> Measurement:
    """Tags as models, page after page."""
    few = TAGS // 10  # of the slow ones, which are compared a tag
    jobs = {
        "tags.abeja_registry": _reading(TAGS, 1000),
        "tags.abeja_registry_async": _reading(TAGS, 1000),
        "tags.httpx_json_loads": _reading(TAGS, 1000),
        "tags.harborapi_style": _reading(few, 100),
        "tags.harborapi": _reading(few, 100),
    }
    figures = _figures(take_turns(server, jobs), "µs a tag", _microseconds)
    ours = figures["abeja_registry"]
    return Measurement(
        f"Iterating {TAGS:,} tags, page 1,000, as models",
        [*figures.values()],
        [
            below(ours, figures["httpx_json_loads"], 1.9),
            below(ours, figures["harborapi_style"], 1 / 3),
        ],
        f"harborapi and its style: page 100, {few:,} tags.",
    )


def memory(server: Server) -> Measurement:
    """The most memory that a process has while it iterates."""
    peaks: dict[int, list[float]] = {MILLION // 100: [], MILLION: []}
    # A process of its own each: a peak never falls. What is read does not depend on the clock,
    # so of the slow one there is one round.
    for tags, rounds in zip(peaks, (ROUNDS, 1), strict=True):
        for _ in range(rounds):
            with Worker("tags.abeja_registry", server) as worker:
                peaks[tags].append(worker.turn(_reading(tags, 1000)).peak / 2**20)
    few, many = (Figure(f"{tags:,} tags", "MiB", peak) for tags, peak in peaks.items())
    grown = (many.median - few.median) * 2**20 / (MILLION - MILLION // 100)
    return Measurement(
        "Peak memory while iterating, page 1,000",
        [many, few],
        [Target(f"{many.name} / {few.name}", many.median / few.median, 1.05)],
        f"The whole process, with Python and httpx; {grown:.2f} bytes more a tag.",
    )


def _walking(concurrency: int, milliseconds: int = 100) -> Job:
    organization = _organization(REPOSITORIES, TAGS_EACH, milliseconds)
    options = {"concurrency": concurrency}
    return Job(organization, items=REPOSITORIES * TAGS_EACH, options=options)


def inventory(server: Server) -> Measurement:
    """An organization, 100 wide: our own connections, clients handed in, loops by hand."""
    names = (
        "abeja_registry_async",
        "abeja_registry",
        "abeja_registry_async_over_httpx",
        "abeja_registry_async_over_httpx2",
        "abeja_registry_async_over_aiohttp",
        "abeja_registry_over_httpx",
        "abeja_registry_over_httpx2",
        "aiohttp_by_hand",
        "httpx_by_hand",
        "httpx_by_hand_default_limits",
    )
    turns = take_turns(server, {f"inventories.{name}": _walking(100) for name in names})
    figures = _figures(turns, "s", _seconds)
    # Its time is the sum of its requests' times: a tenth of the repositories, once, says enough.
    share = 10
    with Worker("inventories.abeja_sdk", server) as worker:
        repositories = REPOSITORIES // share
        few = Job(_organization(repositories, TAGS_EACH, 100), items=repositories * TAGS_EACH)
        sequential = Figure("abeja_sdk", "s", [worker.turn(few).seconds * share] * ROUNDS)
    targets = [
        target
        for ours in (figures["abeja_registry_async"], figures["abeja_registry"])
        for target in (
            below(ours, figures["aiohttp_by_hand"], 2.0),
            below(ours, figures["httpx_by_hand"], 0.25),
            below(ours, figures["httpx_by_hand_default_limits"], 1.1),
            below(ours, sequential, 1 / 20),
        )
    ]
    return Measurement(
        f"Inventory, {REPOSITORIES} repositories x {TAGS_EACH} tags, 100 ms, concurrency 100",
        [*figures.values(), sequential],
        targets,
        f"Page 100, cold connections. abeja_sdk: {repositories} repositories, x {share}.",
    )


def narrow_inventory(server: Server) -> Measurement:
    """The same, 16 wide, against what the latency allows."""
    wide = 16
    job = _walking(wide)
    names = ("abeja_registry_async", "abeja_registry")
    turns = take_turns(server, {f"inventories.{name}": job for name in names})
    figures = _figures(turns, "s", _seconds)
    requests = _figures(turns, "requests", lambda turn: turn.requests)
    targets = []
    for name in names:
        bound = [number / wide * 0.1 for number in requests[name].rounds]
        targets.append(below(figures[name], Figure("(requests / 16 x 0.1 s)", "s", bound), 1.15))
    least = 1 + REPOSITORIES * (TAGS_EACH // PAGE_SIZE)
    return Measurement(
        f"Inventory, {REPOSITORIES} repositories x {TAGS_EACH} tags, 100 ms, concurrency {wide}",
        [*figures.values(), *requests.values()],
        targets,
        f"Without pages that overlap there would be {least} requests.",
    )


def inventory_cpu(server: Server) -> Measurement:
    """The CPU time of an inventory, by tasks and by threads, over no latency."""
    wide = 16
    job = _walking(wide, milliseconds=0)
    names = ("abeja_registry_async", "abeja_registry")
    turns = take_turns(server, {f"inventories.{name}": job for name in names}, ROUNDS_OF_CALLS)
    figures = _figures(turns, "s", lambda turn: turn.cpu)
    return Measurement(
        f"CPU time of an inventory, {REPOSITORIES} repositories x {TAGS_EACH} tags,"
        f" concurrency {wide}",
        [*figures.values()],
        [below(figures["abeja_registry_async"], figures["abeja_registry"], 1.1)],
        "No latency, cold connections.",
    )


def executors(server: Server) -> Measurement:
    """An inventory by threads, by processes and by clusters, and what its main process pays."""
    repositories, tags = 200, 1000
    names = ("threads", "processes", "dask", "ray")
    figures: list[Figure] = []
    targets: list[Target] = []
    for form, columns in (("record batches", True), ("rows", False)):
        job = Job(
            _organization(repositories, tags),
            items=repositories * tags,
            warm_up=1,
            options={"page_size": tags, "columns": columns},
        )
        turns = take_turns(server, {f"executors.{name}": job for name in names}, rounds=3)
        for contender, its in turns.items():
            name = f"{contender.partition('.')[2]}, {form}"
            figures.append(Figure(name, "s", [turn.seconds for turn in its]))
            cpu = Figure(
                f"{name}, main process",
                "µs of CPU a row",
                [turn.cpu / turn.items * 1e6 for turn in its],
            )
            figures.append(cpu)
            if columns and not name.startswith("threads"):
                targets.append(Target(cpu.name, cpu.median, 2))
    return Measurement(
        f"An inventory of {repositories} repositories x {tags:,} tags by two workers",
        figures,
        targets,
        f"No latency, page {tags:,}. The cluster and its workers' clients are warm; the server is a"
        " third process on the same processors.",
    )


def large_repository(server: Server) -> Measurement:
    """One repository, its pages side by side and one after the other."""
    share = 50
    few = Job(
        _organization(1, TAGS // share, 50),
        items=TAGS // share,
        options={"page_size": PAGE_SIZE},
    )
    many = Job(_organization(1, TAGS, 50), items=TAGS, options={"concurrency": 16})
    jobs = {
        "inventories.abeja_registry_async": many,
        "inventories.abeja_registry": many,
        "tags.abeja_registry": few,
    }
    turns = take_turns(server, jobs)
    sequential = Figure(
        "tags.iter", "s", [turn.seconds * share for turn in turns.pop("tags.abeja_registry")]
    )
    figures = _figures(turns, "s", _seconds)
    return Measurement(
        f"One repository of {TAGS:,} tags, page {PAGE_SIZE}, 50 ms, concurrency 16",
        [*figures.values(), sequential],
        [above(sequential, figure, 8.0) for figure in figures.values()],
        f"tags.iter: {few.items:,} tags, x {share}.",
    )


def connections(server: Server) -> Measurement:
    """How many connections many threads open through one client."""
    job = Job(_organization(1, 0, 5), items=1_000)
    jobs = {f"threads.{name}": job for name in ("abeja_registry", "httpx_client")}
    opened = _figures(take_turns(server, jobs), "connections", lambda turn: turn.connections)
    return Measurement(
        f"Connections opened for {job.items:,} calls from {THREADS} threads, 5 ms",
        [*opened.values()],
        [Target("abeja_registry, at most", max(opened["abeja_registry"].rounds), THREADS)],
        "httpx_client: its default limits.",
    )


def scaling(server: Server) -> Measurement:
    """What one of 1, 10 and 100 times as many costs, over no latency."""
    figures = []
    for of, module, names, base in (
        ("call", "calls", ("abeja_registry", "httpx_client"), 10),
        ("tag", "tags", ("abeja_registry", "httpx_json_loads"), 500),
        ("repository", "inventories", ("abeja_registry_async", "aiohttp_by_hand"), 4),
    ):
        for number in (base, base * 10, base * 100):
            if of == "call":
                job = Job(_organization(1, 0), times=number, warm_up=20)
            elif of == "tag":
                job = _reading(number, 500)
            else:
                organization = _organization(number, TAGS_EACH)
                job = Job(organization, number * TAGS_EACH, options={"concurrency": 100})
            jobs = {f"{module}.{name}": job for name in names}
            for contender, turns in take_turns(server, jobs).items():
                each = [turn.seconds / number * 1e6 for turn in turns]
                name = f"{contender.partition('.')[2]}, {number:,}"
                figures.append(Figure(name, f"µs a {of}", each))
    return Measurement(
        "Scaling: 1, 10 and 100 times as many, no latency",
        figures,
        note=f"Tags: page 500. Repositories: {TAGS_EACH} tags each, concurrency 100.",
    )
