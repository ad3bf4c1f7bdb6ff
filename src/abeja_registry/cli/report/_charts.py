"""Charts of the report as inline SVG: bars of repositories, and charts over time.

Lengths are in percent and font sizes in pixels: a narrow screen has texts of the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import accumulate

from .._output import strip_control
from .._sizes import size
from ._timeline import Periods

HEIGHT = 180
# The most labels under a chart.
_LABELS = 5


def text(value: object) -> str:
    """Escape a text for HTML, without control characters."""
    return escape(strip_control(value))


def bar(part: int, whole: int) -> str:
    """Return a horizontal bar; a text next to it has its value."""
    return (
        '<svg class="bar" aria-hidden="true" focusable="false">'
        f'<rect width="{_share(part, whole):.2f}%" height="100%" rx="2"/></svg>'
    )


def columns(name: str, periods: Periods) -> str:
    """Return a chart of the number of tags in each period."""
    counts = [period.tags for period in periods.items]
    top = _top(max(counts))
    step = 100 / len(counts)
    # A single column would be as wide as the page.
    width = min(step * 0.8, 8)
    parts = [
        f'<rect class="mark" x="{(number + 0.5) * step - width / 2:.3f}%" width="{width:.3f}%"'
        f' y="{100 - _share(count, top):.2f}%" height="{_share(count, top):.2f}%">'
        f"<title>{text(period.name)}: {count:,} {'tag' if count == 1 else 'tags'},"
        f" {size(period.bytes)} of images</title></rect>"
        for number, (period, count) in enumerate(zip(periods.items, counts, strict=True))
        if count
    ]
    most = max(periods.items, key=lambda period: period.tags)
    described = (
        f"One column for each {periods.unit} from {periods.items[0].name} to"
        f" {periods.items[-1].name}; most of them, {most.tags:,}, in {most.name}."
    )
    return _chart(
        name, "Tags by their last push", described, periods, top, "{:,}".format, "".join(parts)
    )


def growth(name: str, periods: Periods) -> str:
    """Return a chart of the bytes of images whose last push was up to the end of each period."""
    sums = [max(0, each) for each in accumulate(period.bytes for period in periods.items)]
    top = _top(max(sums))
    heights = [100 - _share(each, top) for each in sums]
    line = f"M0 {heights[0]:.2f}" + "".join(
        f"V{height:.2f}H{number}" for number, height in enumerate(heights, 1)
    )
    parts = (
        f'<svg viewBox="0 0 {len(sums)} 100" preserveAspectRatio="none" width="100%" height="100%"'
        ' overflow="visible">'
        f'<path class="area" d="{line}V100H0Z"/>'
        f'<path class="line" d="{line}" vector-effect="non-scaling-stroke"/></svg>'
    )
    described = (
        f"It rises from {size(sums[0])} at the end of the {periods.unit} {periods.items[0].name}"
        f" to {size(sums[-1])}."
    )
    return _chart(
        name, "Cumulative size of images, by last push", described, periods, top, _tick_size, parts
    )


def _chart(
    name: str,
    title: str,
    described: str,
    periods: Periods,
    top: int,
    shown: Callable[[int], str],
    parts: str,
) -> str:
    middle = [top // 2] if top % 2 == 0 else []
    grid = "".join(
        f'<line x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>'
        f'<text x="-8" y="{y:.2f}%" dy="0.32em" text-anchor="end">{text(shown(tick))}</text>'
        for tick, y in ((tick, 100 - _share(tick, top)) for tick in (0, *middle, top))
    )
    return (
        f'<svg class="chart" role="img" aria-labelledby="{name}-title {name}-text"'
        f' height="{HEIGHT}">'
        f'<title id="{name}-title">{text(title)}</title><desc id="{name}-text">{text(described)}'
        f'</desc><g class="grid">{grid}</g>{parts}'
        f'<g class="axis">{_axis([period.name for period in periods.items])}</g></svg>'
    )


def _axis(names: Sequence[str]) -> str:
    """Return the labels under a chart; every second one of five is for wide screens only."""
    count = len(names)
    # Five labels of a few periods would be spaced unevenly, and overlap.
    labels = min(_LABELS if count > 20 or count % 4 == 1 else 3, count) if count != 4 else 2
    marks = []
    for label in range(labels):
        number = label * (count - 1) // max(1, labels - 1)
        if count == 1:
            x, anchor = 50.0, "middle"
        elif number == 0:
            x, anchor = 0.0, "start"
        elif number == count - 1:
            x, anchor = 100.0, "end"
        else:
            x, anchor = (number + 0.5) * 100 / count, "middle"
        minor = ' class="minor"' if labels == _LABELS and label % 2 else ""
        marks.append(
            f'<text{minor} x="{x:.2f}%" y="100%" dy="1.6em" text-anchor="{anchor}">'
            f"{text(names[number])}</text>"
        )
    return "".join(marks)


def _share(part: int, whole: int) -> float:
    """Return a share in percent, 0 to 100."""
    if part <= 0 or whole <= 0:
        return 0.0
    return min(part, whole) * 10_000 // whole / 100


def _top(most: int) -> int:
    """Return the round number at the end of an axis."""
    power: int = 10 ** (len(str(max(1, most))) - 1)
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= most)


def _tick_size(count: int) -> str:
    number, _, unit = size(count).partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {unit}"
