"""What an import costs, and a client's building: instructions, and seconds of the processor."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from .rounds import ENVIRONMENT, PEERS, Figure, Measurement, below

RUNS = 20
_OURS = "import abeja_registry; abeja_registry.Client"
_ALL = f"{_OURS}; abeja_registry.Repository"
_TOKEN = "{'auth_token': 'benchmark'}"


def _instructions(code: str) -> float:
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*valgrind, str(PEERS), "-c", code]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", ran.stderr)
    assert found, ran.stderr
    return int(found[1]) / 1e6


def _user_time(code: str) -> float:
    process = subprocess.Popen([PEERS, "-c", code], env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{code} has failed")
    return usage.ru_utime * 1e3


def _compared(title: str, codes: dict[str, str], pairs: dict[str, str]) -> Measurement:
    times: dict[str, list[float]] = {name: [] for name in codes}
    for code in codes.values():  # leaves what was compiled
        _user_time(code)
    for _ in range(RUNS):
        for name, code in codes.items():
            times[name].append(_user_time(code))
    figures = {name: Figure(name, "ms of user time", its) for name, its in times.items()}
    judged = figures
    if shutil.which("valgrind"):
        # A count does not depend on who else is at work: once, side by side.
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            counts = dict(zip(codes, threads.map(_instructions, codes.values()), strict=True))
        judged = {
            name: Figure(name, "million instructions", [count]) for name, count in counts.items()
        }
        figures = {**figures, **{f"{name}, counted": each for name, each in judged.items()}}
    return Measurement(
        title,
        [*figures.values()],
        [below(judged[ours], judged[peer], 1.10) for ours, peer in pairs.items()],
        f"Python's own start is part of both. Measured in {judged[next(iter(pairs))].unit}.",
    )


def imports() -> Measurement:
    """`import abeja_registry` with a client's class, and with its models, against what it needs."""
    codes = {
        "abeja_registry": _OURS,
        "abeja_registry with its models": _ALL,
        "httpx, pydantic": "import httpx, pydantic",
        # Which is what models are made from; pydantic loads it with the first look at the name.
        "httpx, pydantic.BaseModel": "import httpx; from pydantic import BaseModel",
    }
    return _compared("`import abeja_registry`", codes, {"abeja_registry": "httpx, pydantic"})


def building() -> Measurement:
    """Import and build a client, for http and for https."""
    codes = {}
    for scheme in ("http", "https"):
        url = f"base_url='{scheme}://127.0.0.1'"
        codes[f"Client, {scheme}"] = f"{_OURS}('1', {_TOKEN}, {url})"
        codes[f"httpx.Client, {scheme}"] = f"import httpx; httpx.Client({url})"
    pairs = {f"Client, {scheme}": f"httpx.Client, {scheme}" for scheme in ("http", "https")}
    return _compared("Import and build a `Client`", codes, pairs)
