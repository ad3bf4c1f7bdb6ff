"""An inventory in rows, in columns and to files; diffs and summaries beside engines.

    python -m benchmarks.columns columns reports ten_million

Each figure is of a process of its own. The files that are compared differ in one tag of a hundred.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import abeja_registry
from abeja_registry.inventory._columns import REPEATED
from abeja_registry.inventory._rows import FILE_COLUMNS

from .rounds import ENVIRONMENT, HERE, Figure, Measurement, Server, Target, below
from .worker import Stopwatch

ROUNDS = 3
# Repositories and tags of each, for an inventory and for the files of a report.
WALKED = (200, 1000)
FILES = (1000, 1000)
LARGE = (10_000, 1000)
ENGINES = ("duckdb", "polars", "pyarrow")
# Rows of a row group in the files of an inventory.
ROW_GROUP = 100_000
PAGE_SIZE = 1000
_MIB = 2**20


# -- contenders: each returns the number of its rows ----------------------------------------------


def _inventory(url: str, organization: str, concurrency: str = "16") -> Any:
    from abeja_registry import Client

    client = Client(organization, {"auth_token": "benchmark"}, base_url=url)
    return client.inventory(page_size=PAGE_SIZE, concurrency=int(concurrency))


def rows(url: str, organization: str, _: str, concurrency: str = "16") -> int:
    """Iterate over rows."""
    return sum(1 for _ in _inventory(url, organization, concurrency))


def record_batches(url: str, organization: str, _: str, concurrency: str = "16") -> int:
    """Iterate over record batches."""
    inventory = _inventory(url, organization, concurrency)
    return sum(batch.num_rows for batch in inventory.record_batches())


def write_jsonl(url: str, organization: str, path: str) -> int:
    """Write lines of JSON."""
    return int(_inventory(url, organization).write_jsonl(f"{path}.jsonl"))


def write_csv(url: str, organization: str, path: str) -> int:
    """Write comma-separated values."""
    return int(_inventory(url, organization).write_csv(f"{path}.csv"))


def write_parquet(url: str, organization: str, path: str) -> int:
    """Write a Parquet file."""
    return int(_inventory(url, organization).write_parquet(f"{path}.parquet"))


def diff(old: str, new: str) -> int:
    """Compare two files, as `Inventory.diff`."""
    from abeja_registry import Inventory

    return len(Inventory.diff(old, new).moved)


def one_by_one(path: str) -> Iterator[Any]:
    """Yield the rows of a file, which do not come in columns."""
    from abeja_registry import read_rows

    yield from read_rows(path)


def diff_rows(old: str, new: str) -> int:
    """Compare two files row by row, as without pyarrow's joins."""
    from abeja_registry import Inventory

    return len(Inventory.diff(one_by_one(old), one_by_one(new)).moved)


_MOVED = """
    select count(*) from (from '{old}' where kind = 'tag') o
    full join (from '{new}' where kind = 'tag') n using (repository_name, tag)
    where o.digest is distinct from n.digest
"""


def diff_duckdb(old: str, new: str) -> int:
    """Join two files on their tags, by DuckDB."""
    import duckdb

    found = duckdb.connect().execute(_MOVED.format(old=old, new=new)).fetchone()
    assert found is not None
    return int(found[0])


def diff_pyarrow(old: str, new: str) -> int:
    """Join two files on their tags, by pyarrow."""
    import pyarrow.compute
    import pyarrow.parquet

    key = ["repository_name", "tag"]
    before, after = (
        pyarrow.parquet.read_table(path, columns=[*key, "digest"]) for path in (old, new)
    )
    joined = before.join(after, key, join_type="full outer", right_suffix="_new")
    same = pyarrow.compute.equal(joined["digest"], joined["digest_new"])
    return int(joined.num_rows - pyarrow.compute.sum(same).as_py())


def diff_polars(old: str, new: str) -> int:
    """Join two files on their tags, by polars."""
    import polars

    key = ["repository_name", "tag"]
    before, after = (polars.scan_parquet(path).select(*key, "digest") for path in (old, new))
    joined = before.join(after, on=key, how="full", suffix="_new")
    return joined.filter(polars.col("digest").ne_missing(polars.col("digest_new"))).collect().height


def summary(path: str, _: str) -> int:
    """Add up a file, as `summarize`."""
    from abeja_registry import read_rows, summarize

    return len(summarize(read_rows(path)).repositories)


def summary_rows(path: str, _: str) -> int:
    """Add up a file row by row, as without pyarrow."""
    from abeja_registry import summarize

    return len(summarize(one_by_one(path)).repositories)


_IMAGES = """
    select repository_name, count(*), sum(size), sum(tags), min(oldest), max(newest) from (
        select repository_name, digest, max(size) size, count(*) tags,
               min(updated_at) oldest, max(updated_at) newest
        from '{path}' where kind = 'tag' group by all
    ) group by all
"""


def summary_duckdb(path: str, _: str) -> int:
    """Add up images and repositories, by DuckDB."""
    import duckdb

    return len(duckdb.connect().execute(_IMAGES.format(path=path)).fetchall())


def summary_pyarrow(path: str, _: str) -> int:
    """Add up images and repositories, by pyarrow."""
    import pyarrow.parquet

    columns = ["repository_name", "digest", "size", "updated_at"]
    table = pyarrow.parquet.read_table(path, columns=columns)
    images = table.group_by(["repository_name", "digest"]).aggregate(
        [("size", "max"), ("size", "count"), ("updated_at", "min"), ("updated_at", "max")]
    )
    sums = images.group_by("repository_name").aggregate([("size_max", "sum"), ([], "count_all")])
    return int(sums.num_rows)


def summary_polars(path: str, _: str) -> int:
    """Add up images and repositories, by polars."""
    import polars

    size, time_ = polars.col("size"), polars.col("updated_at")
    images = (
        polars.scan_parquet(path)
        .group_by("repository_name", "digest")
        .agg(size.max(), time_.min().alias("oldest"), time_.max().alias("newest"), polars.len())
    )
    return images.group_by("repository_name").agg(size.sum(), polars.len()).collect().height


def a_file(path: str, seed: str) -> int:
    """Write a Parquet file as an inventory does; with a seed, some of its tags have moved."""
    import pyarrow
    import pyarrow.parquet

    repositories, tags = FILES
    time_ = pyarrow.timestamp("us", tz="UTC")
    kinds = {"size": pyarrow.int64(), "created_at": time_, "updated_at": time_}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in FILE_COLUMNS])
    group = []
    with pyarrow.parquet.ParquetWriter(path, schema, use_dictionary=[*REPEATED, "kind"]) as writer:
        for at in range(repositories):
            texts = [
                f"{at} {n} {seed if n % 100 == at % 100 else ''}".encode() for n in range(tags)
            ]
            times = [1_700_000_000_000_000 + n * 3_600_000_000 for n in range(tags)]
            columns: dict[str, Sequence[Any]] = {
                "repository_id": [str(1510000000000 + at)] * tags,
                "repository_name": [f"sample_repository_{at}"] * tags,
                "tag": [f"0.0.{n}" for n in range(tags)],
                "digest": [f"sha256:{hashlib.sha256(text).hexdigest()}" for text in texts],
                "size": [2757009 + n for n in range(tags)],
                "media_type": ["application/vnd.docker.distribution.manifest.v2+json"] * tags,
                "creator_email": [f"user{n % 50}@abeja.asia" for n in range(tags)],
                "created_at": times,
                "updated_at": times,
                "kind": ["tag"] * tags,
            }
            group.append(pyarrow.table(columns, schema=schema))
            if len(group) * tags >= ROW_GROUP:
                writer.write_table(pyarrow.concat_tables(group))
                group.clear()
        if group:
            writer.write_table(pyarrow.concat_tables(group))
    return repositories * tags


# -- measurements ---------------------------------------------------------------------------------


def _run(name: str, *arguments: str) -> dict[str, float]:
    """Run a contender in a process of its own; return what it took."""
    command = [sys.executable, "-m", "benchmarks.columns", "--run", name, *arguments]
    ran = subprocess.run(
        command, cwd=HERE.parent, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, float] = json.loads(ran.stdout)
    return result


def _figures(
    contenders: Mapping[str, Sequence[str]], rows: int
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Return the CPU time a row of each contender, and its peak memory, in alternating order."""
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    peak: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(ROUNDS):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            ran = _run(name.partition(",")[0], *contenders[name])
            cpu[name].append(ran["cpu"] / rows * 1e6)
            peak[name].append(ran["peak"] / _MIB)
    return (
        {name: Figure(name, "µs of CPU a row", its) for name, its in cpu.items()},
        {name: Figure(f"{name}, peak", "MiB", its) for name, its in peak.items()},
    )


def _at_most(figure: Figure, limit: float) -> Target:
    return Target(figure.name, figure.median, limit)


def columns(server: Server) -> Measurement:
    """An inventory as rows, as record batches, and to files."""
    repositories, tags = WALKED
    with tempfile.TemporaryDirectory() as folder:
        arguments = (server.url, f"{repositories}-{tags}-0", f"{folder}/inventory")
        files = dict.fromkeys(("write_jsonl", "write_csv", "write_parquet"), arguments)
        forms = {
            f"{form}, concurrency {concurrency}": (*arguments, concurrency)
            for concurrency in ("16", "1")
            for form in ("rows", "record_batches")
        }
        cpu, peak = _figures({**forms, **files}, repositories * tags)
    return Measurement(
        f"An inventory of {repositories} repositories x {tags:,} tags, page {PAGE_SIZE:,}",
        [*cpu.values(), *peak.values()],
        [
            *(
                below(cpu[f"record_batches, {width}"], cpu[f"rows, {width}"], 1 / 1.8)
                for width in ("concurrency 16", "concurrency 1")
            ),
            _at_most(cpu["write_parquet"], 12),
            _at_most(cpu["write_jsonl"], 26),
            _at_most(cpu["write_csv"], 26),
            _at_most(peak["write_parquet"], 600),
        ],
        "No latency; imports are not measured.",
    )


def reports(_: Server) -> Measurement:
    """A diff of two Parquet files, and the summary of one, beside engines."""
    repositories, tags = FILES
    with tempfile.TemporaryDirectory() as folder:
        old, new = (str(Path(folder) / name) for name in ("old.parquet", "new.parquet"))
        _run("a_file", old, "")
        _run("a_file", new, "moved")
        contenders = dict.fromkeys(
            (
                "diff",
                "diff_rows",
                *(f"diff_{engine}" for engine in ENGINES),
                "summary",
                "summary_rows",
                *(f"summary_{engine}" for engine in ENGINES),
            ),
            (old, new),
        )
        cpu, peak = _figures(contenders, repositories * tags)
    return Measurement(
        f"Diff and summary of Parquet files of {repositories * tags:,} rows",
        [*cpu.values(), *peak.values()],
        [
            _at_most(cpu["diff"], 2.5),
            _at_most(cpu["summary"], 0.7),
            _at_most(peak["diff"], 500),
        ],
        "A diff's rows are those of one of its two files. The engines read only the columns that"
        " they join or add up, and check no values.",
    )


def ten_million(server: Server) -> Measurement:
    """Ten million tags to a Parquet file, the diff of two such files, and the summary of one."""
    repositories, tags = LARGE
    figures: list[Figure] = []

    def run(name: str, *arguments: str) -> None:
        with _DiskUse(Path(folder)) as disk:
            ran = _run(name, *arguments)
        figures.extend(
            Figure(f"{name}{what}", unit, [value])
            for what, unit, value in (
                ("", "s", ran["seconds"]),
                (", CPU", "µs a row", ran["cpu"] / (repositories * tags) * 1e6),
                (", peak", "MiB", ran["peak"] / _MIB),
                (", disk", "MiB", disk.peak / _MIB),
            )
            # What an engine needs is noise.
            if not (what == ", disk" and name.endswith(ENGINES))
        )

    with tempfile.TemporaryDirectory() as folder:
        old, new = f"{folder}/old", f"{folder}/new"
        run("write_parquet", server.url, f"{repositories}-{tags}-0-0", old)
        _run("write_parquet", server.url, f"{repositories}-{tags}-0-1", new)
        files = f"{old}.parquet", f"{new}.parquet"
        for name in ("diff", "summary"):
            run(name, *files)
            for engine in ENGINES:
                run(f"{name}_{engine}", *files)
        size = Path(files[0]).stat().st_size / _MIB
    return Measurement(
        f"{repositories:,} repositories x {tags:,} tags, page {PAGE_SIZE:,}",
        figures,
        note=f"One run each. A file has {size:,.0f} MiB; disk is what a run needs at most, with"
        " its temporary files.",
    )


class _DiskUse:
    """The most space that the folder's file system lacks meanwhile, beyond what it lacked before.

    Temporary files have no name, so their sizes cannot be added up.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self.peak = 0

    def __enter__(self) -> _DiskUse:
        self._before = shutil.disk_usage(self._folder).used
        self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.peak = max(self.peak, shutil.disk_usage(self._folder).used - self._before)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()


CONTENDERS: dict[str, Callable[..., int]] = {
    each.__name__: each
    for each in (
        rows,
        record_batches,
        write_jsonl,
        write_csv,
        write_parquet,
        diff,
        diff_rows,
        diff_duckdb,
        diff_polars,
        diff_pyarrow,
        summary,
        summary_rows,
        summary_duckdb,
        summary_polars,
        summary_pyarrow,
        a_file,
    )
}


def _measure(name: str, arguments: Sequence[str]) -> None:
    # Loaded before the clock starts: what an engine costs is not its import.
    engine = name.partition("_")[2]
    if engine in ENGINES:
        import_module(engine)
    else:
        for each in abeja_registry.__all__:
            getattr(abeja_registry, each)
    if engine not in ("duckdb", "polars", "rows"):
        import_module("pyarrow.parquet")
        # pyarrow imports pandas, where it is installed, with its first array.
        import_module("pyarrow").array([])
    stopwatch = Stopwatch()
    found = CONTENDERS[name](*arguments)
    measured = stopwatch.read()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**measured, "rows": found, "peak": peak}))


MEASUREMENTS = {each.__name__: each for each in (columns, reports, ten_million)}


def main(arguments: list[str]) -> None:
    """Run a contender, or print the measurements with these names."""
    if arguments[:1] == ["--run"]:
        _measure(arguments[1], arguments[2:])
        return
    from .run import table

    with Server.running() as server:
        for name in arguments or MEASUREMENTS:
            print(table(MEASUREMENTS[name](server)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
