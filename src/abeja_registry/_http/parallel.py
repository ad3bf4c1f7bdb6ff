"""Runs calls in parallel: the pages that a look-up reads ahead, each in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

from ..exceptions import Error

T = TypeVar("T")


class _Call(Generic[T]):
    """A call in a daemon thread: after Ctrl-C, the end of the process does not wait for it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._results: list[T] = []
        self._error: BaseException | None = None
        context = copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="abeja-registry-look-up", daemon=True
        )
        try:
            self._thread.start()
        except (RuntimeError, MemoryError):
            # The process has reached its limit of threads, or is ending.
            self._run()

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                # With its traceback, the attribute would be a reference cycle.
                self._error = None
        return self._results[0]


def run_all(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run calls at once, the first of them in this thread.

    Returns:
        The results of the calls before the first that raised an Error.

    Raises:
        Error: The first call raised it.
    """
    first, *others = calls
    started = [_Call(call) for call in others]
    try:
        results = [first()]
    except Error:
        for each in started:
            each.join()
        raise
    for each in started:
        each.join()
    for each in started:
        try:
            results.append(each.result())
        except Error:
            break
    return results
