"""Charts for the docs, from the figures of the latest run.

benchmarks/.venvs/peers/bin/python -m benchmarks.charts
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

from .rounds import HERE

DOCS = HERE.parent / "docs"
# All of them stand out from white and from black.
TEXT, OURS, OTHERS = "#7d8590", "#e8590c", "#4c8bf5"
STYLE = {
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "abeja_registry",
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}


def _save(figure: Any, name: str) -> Path:
    path = DOCS / f"performance-{name}.svg"
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    # Of the path data, some lines end in a space.
    path.write_text("".join(line.rstrip() + "\n" for line in path.read_text().splitlines()))
    pyplot.close(figure)
    return path


def _color(name: str) -> str:
    return OURS if name.startswith("abeja_registry") else OTHERS


def bars(measurement: dict[str, Any], name: str) -> Path:
    """Draw the medians of one item, the least above, with their spreads."""
    figures = sorted(measurement["figures"], key=lambda each: each["median"], reverse=True)
    drawn, axes = pyplot.subplots(figsize=(8, 0.35 * len(figures) + 1))
    medians = [each["median"] for each in figures]
    spreads = (
        [each["median"] - each["least"] for each in figures],
        [each["most"] - each["median"] for each in figures],
    )
    names = [each["name"] for each in figures]
    colors = [_color(each) for each in names]
    axes.barh(names, medians, xerr=spreads, color=colors, ecolor=TEXT, height=0.6)
    axes.set_title(measurement["title"].replace("`", ""), loc="left")
    axes.set_xlabel(f"{figures[0]['unit']}: median, least and most")
    return _save(drawn, name)


def curves(measurement: dict[str, Any], name: str) -> Path:
    """Draw what one costs among more and more, a panel a kind."""
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for each in measurement["figures"]:
        whose, _, number = each["name"].partition(", ")
        point = int(number.replace(",", "")), each["median"]
        panels.setdefault(each["unit"], {}).setdefault(whose, []).append(point)
    drawn, all_axes = pyplot.subplots(1, len(panels), figsize=(11, 3.2))
    for axes, (unit, lines) in zip(all_axes, panels.items(), strict=True):
        for whose, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", color=_color(whose), label=whose)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title(unit, loc="left")
        axes.set_xlabel(f"{unit.split()[-1]}s".replace("ys", "ies"))
        axes.legend()
    drawn.tight_layout()
    return _save(drawn, name)


def main() -> None:
    """Draw what has been measured."""
    mpl.rcParams.update(STYLE)
    mpl.use("svg")
    results = json.loads((HERE / "results.json").read_text())
    for item, draw in {"calls": bars, "inventory": bars, "scaling": curves}.items():
        if item in results:
            print(draw(results[item], item))


if __name__ == "__main__":
    main()
