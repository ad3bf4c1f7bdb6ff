"""A token of this process. A pid is not enough: in a container, a child may have its parent's."""

from __future__ import annotations

import os

# Identifies this process; after a fork, the child has another.
token = object()


def _renew() -> None:
    global token
    token = object()


# Windows has no fork().
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_renew)
