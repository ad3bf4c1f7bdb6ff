"""All that tests need of the package's private names, imported here and nowhere else."""

from __future__ import annotations

from abeja_registry._http.session import AsyncTransport, Transport
from abeja_registry._settings.credentials import authorization

__all__ = ["ASYNC_SLEEP", "SLEEP", "AsyncTransport", "Transport", "authorization"]

# The wait for a replay, as it is where no test has replaced it.
SLEEP, ASYNC_SLEEP = Transport._sleep, AsyncTransport._sleep
