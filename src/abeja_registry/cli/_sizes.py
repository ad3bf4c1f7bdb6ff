"""Sizes and shares as people read them."""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")


def size(count: int) -> str:
    """Return bytes as people read them, in powers of 1000 as Docker counts: `1.25 GB`."""
    if count < 1000:
        return f"{count:,} B"
    # Integers alone: a sum of sizes may be more than a float tells exactly.
    fitting = (each for each in range(1, len(_UNITS) + 1) if 2 * count < 1999 * 1000**each)
    power = next(fitting, None)
    if power is None:
        return f"over 999 {_UNITS[-1]}"
    unit = _UNITS[power - 1]
    rounded = {2: _rounded(100 * count, power), 1: _rounded(10 * count, power)}
    for decimals, number in rounded.items():
        if number < 1000:
            return f"{number / 10**decimals:.{decimals}f} {unit}"
    return f"{_rounded(count, power)} {unit}"


def _rounded(count: int, power: int) -> int:
    """Return a count in units of this power of 1000."""
    return int((2 * count // 1000**power + 1) // 2)


def percent(part: int, whole: int) -> str:
    """Return a part of a whole: `12 %`; `<1 %` and `>99 %` where it is nearly none or all."""
    if part <= 0 or whole <= 0:
        return "0 %"
    if part >= whole:
        return "100 %"
    rounded = (200 * part // whole + 1) // 2
    return {0: "<1 %", 100: ">99 %"}.get(rounded, f"{rounded} %")
