"""Faults on demand: what is to go wrong, with which operation, how often."""

import threading
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

OperationName = Literal[
    "create_repository",
    "delete_repository",
    "get_repositories",
    "get_repository",
    "get_repository_tags",
]
ERRORS = tuple(status.value for status in HTTPStatus if status >= 400)
Drop = Literal["request", "answer", "half"]
# Rows that a page may be told to have at most.
LARGEST_LIMIT = 1_000_000


class Fault(BaseModel):
    """What goes wrong with a request.

    Attributes:
        operation: the operation that it strikes; every one if None.
        repository_id: the repository that it strikes, by its id; every one if None.
        status: the error to answer with, 400 to 599.
        retry_after: seconds for the header Retry-After of that error.
        work_done: whether the work is done before that error is answered.
        drop: where the connection is lost: "request", before any work is done; "answer", when the
            work is done and nothing of the answer is sent; "half", after half of the answer.
        latency: seconds to wait first.
        limit_max: the largest page, in rows; a larger limit is clamped to it.
        skip: how many requests to let pass before the first that is struck.
        times: how many requests to strike; every one if None.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True)

    operation: OperationName | None = None
    repository_id: str | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[int, Field(ge=0, le=86_400)] | None = None
    work_done: bool = False
    drop: Drop | None = None
    latency: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    limit_max: Annotated[int, Field(ge=1, le=LARGEST_LIMIT)] | None = None
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _has_an_effect(self) -> "Fault":
        if self.status is not None and self.status not in ERRORS:
            raise ValueError(f"status must be one that HTTP knows, got {self.status!r}")
        if self.status is not None and self.drop is not None:
            raise ValueError("status and drop exclude each other")
        if self.status is None and (self.retry_after is not None or self.work_done):
            raise ValueError("retry_after and work_done need a status")
        if not (self.status or self.drop or self.latency or self.limit_max):
            raise ValueError("a fault needs a status, a drop, a latency or a limit_max")
        return self

    @property
    def ends(self) -> bool:
        """Whether the request gets no answer, or another than it would have."""
        return self.status is not None or self.drop is not None


def make_fault(**fields: Any) -> Fault:
    """Make a fault.

    Args:
        fields: its attributes, those that differ from their defaults.

    Returns:
        The fault.

    Raises:
        ValueError: a field is not one of a fault's, or its value breaks its rule.
    """
    try:
        return Fault.model_validate(fields)
    except ValidationError as error:
        raise ValueError(explain(error)) from None


def parse_fault(text: str) -> Fault:
    """Read a fault as the command line has it: `operation=create_repository,status=503,times=2`.

    Raises:
        ValueError: it is not of that form, or says what no fault can be.
    """
    fields: dict[str, Any] = {}
    for part in text.split(","):
        key, is_there, value = part.partition("=")
        if not is_there:
            raise ValueError(f"a fault has the form field=value,field=value, got {text!r}")
        fields[key.strip()] = value.strip()
    try:
        return Fault.model_validate_strings(fields)
    except ValidationError as error:
        raise ValueError(explain(error)) from None


def explain(error: ValidationError) -> str:
    """Say in one line what is wrong with the first field that is."""
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        known = ", ".join(Fault.model_fields)
        return f"{first['loc'][0]}: a fault has no such field, but {known}, got {first['input']!r}"
    return f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}"


@dataclass
class _Armed:
    fault: Fault
    to_skip: int
    left: int | None


@dataclass(frozen=True)
class Trouble:
    """All that goes wrong with one request.

    Attributes:
        latency: seconds to wait first.
        limit_max: the largest page, if it is another than usual.
        ending: the fault that ends it, if one does.
    """

    latency: float
    limit_max: int | None
    ending: Fault | None


class Faults:
    """The faults that wait for requests; may be used from several threads.

    Each request meets them in the order in which they were added, up to the first that ends it:
    latencies add up, and the smallest limit_max counts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[int, _Armed] = {}
        self._numbers = count(1)

    def add(
        self,
        *,
        operation: OperationName | None = None,
        repository_id: str | None = None,
        status: int | None = None,
        retry_after: int | None = None,
        work_done: bool = False,
        drop: Drop | None = None,
        latency: float = 0.0,
        limit_max: int | None = None,
        skip: int = 0,
        times: int | None = None,
    ) -> int:
        """Add a fault: from now on it strikes the requests that it is for.

        Args:
            operation: the operation that it strikes, by the raw client's name; every one if None.
            repository_id: the repository that it strikes, by its id; every one if None.
            status: the error to answer with, 400 to 599.
            retry_after: seconds, 0 to 86,400, for the header Retry-After of that error.
            work_done: whether the work is done before that error is answered.
            drop: where the connection is lost: "request", before any work is done; "answer", when
                the work is done and nothing of the answer is sent; "half", after half of it.
            latency: seconds to wait first, 0 to 3600.
            limit_max: the largest page, in rows, 1 to 1,000,000; a larger limit is clamped to it.
            skip: how many requests to let pass before the first that is struck.
            times: how many requests to strike, 1 or more; every one if None.

        Returns:
            Its number, for `remove`.

        Raises:
            ValueError: an argument breaks its rule, or the fault would have no effect.

        Example:
            >>> number = sandbox.faults.add(operation="create_repository", status=503, times=2)
            >>> sandbox.faults.remove(number)
        """
        return self.arm(
            make_fault(
                operation=operation,
                repository_id=repository_id,
                status=status,
                retry_after=retry_after,
                work_done=work_done,
                drop=drop,
                latency=latency,
                limit_max=limit_max,
                skip=skip,
                times=times,
            )
        )

    def remove(self, number: int) -> None:
        """Remove a fault by its number.

        Raises:
            LookupError: there is none of that number; one that struck as often as it was to is
                there until it is removed.
        """
        with self._lock:
            if self._armed.pop(number, None) is None:
                raise LookupError(f"there is no fault {number!r}")

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._armed.clear()

    def arm(self, fault: Fault) -> int:
        """Add a fault that was made before; returns its number."""
        with self._lock:
            number = next(self._numbers)
            self._armed[number] = _Armed(fault, fault.skip, fault.times)
            return number

    def list(self) -> dict[int, tuple[Fault, int | None]]:
        """Return the faults and how often each still strikes, by number."""
        with self._lock:
            return {number: (each.fault, each.left) for number, each in self._armed.items()}

    def meet(self, operation: str, repository_id: str | None = None) -> Trouble:
        """Say what goes wrong with a request, and count it."""
        latency, limit_max = 0.0, None
        with self._lock:
            for each in self._armed.values():
                fault = each.fault
                if fault.operation not in (None, operation) or each.left == 0:
                    continue
                if fault.repository_id not in (None, repository_id):
                    continue
                if each.to_skip:
                    each.to_skip -= 1
                    continue
                if each.left is not None:
                    each.left -= 1
                latency += fault.latency
                if fault.limit_max is not None:
                    limit_max = min(limit_max or fault.limit_max, fault.limit_max)
                if fault.ends:
                    return Trouble(latency, limit_max, fault)
        return Trouble(latency, limit_max, None)
