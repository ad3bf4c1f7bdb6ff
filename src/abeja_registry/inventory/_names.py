"""Which repositories an inventory reads, by their names."""

from __future__ import annotations

from collections.abc import Iterable

from .._validation import check_str, compile_glob, safe_repr
from ..exceptions import InvalidArgument

Patterns = str | Iterable[str]


class NameFilter:
    """Matches the names of repositories.

    Args:
        include: One glob pattern or several; a name must match one of them.
        exclude: One glob pattern or several; a name must match none of them.

    Raises:
        InvalidArgument: An argument is no pattern, or `include` has none.
    """

    def __init__(self, include: Patterns = "*", exclude: Patterns = ()) -> None:
        self.include = _patterns("include", include)
        self.exclude = _patterns("exclude", exclude)
        if not self.include:
            raise InvalidArgument(
                "include has no pattern, so no repository matches: pass at least one pattern"
            )
        self._includes = [compile_glob("include", pattern) for pattern in self.include]
        self._excludes = [compile_glob("exclude", pattern) for pattern in self.exclude]

    def __call__(self, name: str) -> bool:
        """Whether a repository with this name is read."""
        return any(matches(name) for matches in self._includes) and not any(
            matches(name) for matches in self._excludes
        )

    def to_json(self) -> dict[str, str | list[str]]:
        """Return the patterns, without `exclude` where it has none."""
        value: dict[str, str | list[str]] = {"include": _json(self.include)}
        if self.exclude:
            value["exclude"] = _json(self.exclude)
        return value


def _patterns(argument: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise InvalidArgument(
            f"{argument} must be a string or several strings, not {safe_repr(value)}"
        )
    # Sorted, so that a set gives the same patterns in each process.
    return tuple(sorted({check_str(argument, pattern) for pattern in value}))


def _json(patterns: tuple[str, ...]) -> str | list[str]:
    return patterns[0] if len(patterns) == 1 else list(patterns)
