"""The token of a process."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any

import pytest
from tests.support.internals import keep_process_token, process


def test_a_child_process_has_its_own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with its parent's pid; the parent's token stays."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    before = process.token
    with warnings.catch_warnings():
        # Python warns of threads beside a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os._exit(process.token is before)
    assert os.waitpid(child, 0)[1] == 0
    assert process.token is before


def test_a_fork_renews_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registered fork hook creates another token, also on systems without fork()."""
    token = process.token
    registered: list[Any] = []
    with monkeypatch.context() as patched:
        keep_process_token(patched)
        patched.setattr(os, "register_at_fork", lambda **options: registered.append(options))
        importlib.reload(process)
        assert (before := process.token) is process.token
        registered[0]["after_in_child"]()
        assert process.token is not before
        patched.delattr(os, "register_at_fork")
        importlib.reload(process)
    assert process.token is token
