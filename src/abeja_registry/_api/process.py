"""Which process this is: a pid does not tell, since in containers a child may have its parent's."""

from __future__ import annotations

import os

# Stands for this process: after a fork, the child has another.
token = object()


def _renew() -> None:
    global token
    token = object()


# Absent on Windows, where no process forks.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_renew)
