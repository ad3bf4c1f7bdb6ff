"""The package beside its peers: every figure a ratio on the same work in the same run.

make bench
python -m benchmarks.run calls paging
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from . import columns, imports, items
from .rounds import HERE, Figure, Measurement, Server, ratio

RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "performance.md"
BELOW = "<!-- What stands below is written by `make bench`. -->\n"
ITEMS: dict[str, Callable[[Server], Measurement]] = {
    "calls": items.calls,
    "async_calls": items.async_calls,
    "paging": items.paging,
    "memory": items.memory,
    "inventory": items.inventory,
    "narrow_inventory": items.narrow_inventory,
    "inventory_cpu": items.inventory_cpu,
    "large_repository": items.large_repository,
    "executors": items.executors,
    "columns": columns.columns,
    "reports": columns.reports,
    "ten_million": columns.ten_million,
    "imports": lambda _: imports.imports(),
    "building": lambda _: imports.building(),
    "connections": items.connections,
    "scaling": items.scaling,
}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _beside(figure: Figure, ours: Figure) -> float | None:
    """Return how many times ours a figure is, if both count the same."""
    if figure.unit != ours.unit or len(figure.rounds) != len(ours.rounds):
        return None
    return ratio(figure, ours)


def _row(figure: Figure, ours: Figure) -> str:
    beside = _beside(figure, ours)
    shown = "" if beside is None else f"{beside:.2f}"
    spread = f"{_number(min(figure.rounds))} - {_number(max(figure.rounds))}"
    return f"| {figure.name} | {_number(figure.median)} {figure.unit} | {spread} | {shown} |"


def table(measurement: Measurement) -> str:
    """Return a measurement as Markdown."""
    ours = measurement.figures[0]
    lines = [
        f"### {measurement.title}",
        "",
        f"| | median | spread | / {ours.name} |",
        "|---|---:|---:|---:|",
        *(_row(figure, ours) for figure in measurement.figures),
    ]
    if measurement.targets:
        lines += ["", "| target | | should be | met |", "|---|---:|---:|---|"]
    for target in measurement.targets:
        bound = f"{'≥' if target.least else '≤'} {target.limit:.3g}"
        met = "yes" if target.met else "**no**"
        lines.append(f"| {target.text} | {target.value:.3g} | {bound} | {met} |")
    if measurement.note:
        lines += ["", measurement.note]
    return "\n".join([*lines, ""])


def _plain(measurement: Measurement) -> dict[str, Any]:
    ours = measurement.figures[0]
    figures = [
        {
            "name": each.name,
            "unit": each.unit,
            "median": each.median,
            "least": min(each.rounds),
            "most": max(each.rounds),
            "rounds": len(each.rounds),
            "ratio": _beside(each, ours),
        }
        for each in measurement.figures
    ]
    targets = [{**vars(each), "met": each.met} for each in measurement.targets]
    return {
        "title": measurement.title,
        "figures": figures,
        "targets": targets,
        "note": measurement.note,
    }


def main(names: list[str]) -> None:
    """Measure the items named, or all; print tables, and keep the figures in a file."""
    if unknown := set(names) - set(ITEMS):
        raise SystemExit(f"no such item: {', '.join(unknown)}; there are {', '.join(ITEMS)}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    machine = f"Python {platform.python_version()}, {os.cpu_count()} processors"
    with Server.running() as server:
        for name in names or ITEMS:
            measurement = ITEMS[name](server)
            print(table(measurement), flush=True)
            when = datetime.datetime.now(datetime.UTC).date().isoformat()
            results[name] = {
                "date": when,
                "machine": machine,
                **_plain(measurement),
                "table": table(measurement),
            }
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            publish(results)


def publish(results: dict[str, dict[str, Any]]) -> None:
    """Write the tables to the end of the docs' page."""
    text, below, _ = PAGE.read_text().partition(BELOW)
    lines = [text + below]
    for item in ITEMS:
        if item in results:
            lines += [
                results[item]["table"],
                f"{results[item]['date']}, {results[item]['machine']}.\n",
            ]
    PAGE.write_text("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
