"""Shells: the lines that set environment variables."""

import shlex
from collections.abc import Callable, Mapping


def _sh(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def _powershell(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    return f"$env:{name} = '{quoted}'"


# A shell's line for a variable's name and value.
SHELLS: Mapping[str, Callable[[str, str], str]] = {
    "sh": _sh,
    "fish": _fish,
    "PowerShell": _powershell,
}


def export_lines(shell: str, variables: Mapping[str, str]) -> str:
    """Return the lines that set variables in a shell, one of SHELLS."""
    return "\n".join(SHELLS[shell](name, value) for name, value in variables.items())
