from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.support.configuration import SetEnvironment


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetEnvironment:
    """Set environment variables."""

    def set_variables(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables
