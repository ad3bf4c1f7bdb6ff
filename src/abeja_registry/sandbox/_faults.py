"""Faults: the failures that the sandbox simulates, by operation and number of requests."""

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
# Operations whose path has no repository id, and operations that return one page of a list.
_WITHOUT_REPOSITORY = frozenset({"create_repository", "get_repositories"})
_PAGED = frozenset({"get_repositories", "get_repository_tags"})
ERRORS = tuple(status.value for status in HTTPStatus if status >= 400)
Drop = Literal["request", "response", "half"]
# The largest page that `limit_max` allows, in rows.
MAX_LIMIT = 1_000_000


class Fault(BaseModel):
    """A simulated failure of a request.

    Attributes:
        operation: The affected operation; None: any.
        repository_id: The id of the affected repository; None: any.
        status: The status of an error response, 400 to 599.
        retry_after: The Retry-After header of that response, in seconds.
        work_done: Whether the operation is done before that response.
        drop: When the connection is lost: "request", before the operation; "response", after the
            operation and before the response; "half", after half of the response.
        latency: A delay before all else, in seconds.
        limit_max: The largest page, in rows; a larger limit is clamped to it.
        skip: The number of requests to let through first.
        times: The number of affected requests; None affects all.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True)

    operation: OperationName | None = None
    repository_id: str | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[int, Field(ge=0, le=86_400)] | None = None
    work_done: bool = False
    drop: Drop | None = None
    latency: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    limit_max: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None = None
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _has_an_effect(self) -> "Fault":
        if self.status is not None and self.status not in ERRORS:
            raise ValueError(f"status must be one of HTTP's, got {self.status!r}")
        if self.status is not None and self.drop is not None:
            raise ValueError("status and drop exclude each other")
        if self.status is None and (self.retry_after is not None or self.work_done):
            raise ValueError("retry_after and work_done need a status")
        if not (self.status or self.drop or self.latency or self.limit_max):
            raise ValueError("a fault needs a status, a drop, a latency or a limit_max")
        self._check_operation()
        return self

    def _check_operation(self) -> None:
        if self.operation is None:
            return
        if self.repository_id is not None and self.operation in _WITHOUT_REPOSITORY:
            raise ValueError(f"repository_id has no effect: {self.operation} has none in its path")
        if self.limit_max is not None and self.operation not in _PAGED:
            raise ValueError(f"limit_max has no effect: {self.operation} returns no list")

    @property
    def is_terminal(self) -> bool:
        """Whether it replaces the response; no later fault applies then."""
        return self.status is not None or self.drop is not None


def make_fault(**fields: Any) -> Fault:
    """Make a fault.

    Args:
        fields: Its attributes, where they differ from the defaults.

    Raises:
        ValueError: A fault has no such field, or a value breaks its rule.
    """
    try:
        return Fault.model_validate(fields)
    except ValidationError as error:
        raise ValueError(describe_invalid(error)) from None


def parse_fault(text: str) -> Fault:
    """Parse a fault in the command line's form: `operation=create_repository,status=503,times=2`.

    Raises:
        ValueError: It has another form, or an invalid field.
    """
    fields: dict[str, Any] = {}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        if not separator:
            raise ValueError(f"a fault has the form field=value,field=value, got {text!r}")
        fields[key.strip()] = value.strip()
    try:
        return Fault.model_validate_strings(fields)
    except ValidationError as error:
        raise ValueError(describe_invalid(error)) from None


def describe_invalid(error: ValidationError) -> str:
    """Describe the first invalid field in one line."""
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"unknown field {first['loc'][0]}; the fields are {', '.join(Fault.model_fields)}"
    return f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}"


@dataclass
class _ActiveFault:
    fault: Fault
    to_skip: int
    remaining: int | None


@dataclass(frozen=True)
class FaultPlan:
    """The faults that affect one request.

    Attributes:
        latency: The delay before all else, in seconds.
        limit_max: The largest page, in rows; None leaves the usual one.
        terminal: The fault that replaces the response, if one does.
    """

    latency: float = 0.0
    limit_max: int | None = None
    terminal: Fault | None = None


NO_FAULTS = FaultPlan()


class Faults:
    """The active faults; several threads may use them.

    They apply to a request in the order of their addition, up to the first that replaces the
    response: latencies add up, and the smallest limit_max counts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: dict[int, _ActiveFault] = {}
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
        """Add a fault, which affects the requests that arrive from now on.

        Args:
            operation: The affected operation, by the raw client's name. Defaults to each one.
            repository_id: The id of the affected repository. Defaults to each one.
            status: The status of an error response, 400 to 599.
            retry_after: The Retry-After header of that response, 0 to 86,400 seconds.
            work_done: Whether the operation is done before that response.
            drop: When the connection is lost: "request", before the operation; "response", after
                the operation and before the response; "half", after half of the response.
            latency: A delay before all else, 0 to 3600 seconds.
            limit_max: The largest page, 1 to 1,000,000 rows; a larger limit is clamped to it.
            skip: The number of requests to let through first.
            times: The number of affected requests, 1 or more. Defaults to all.

        Returns:
            Its number, for `remove`.

        Raises:
            ValueError: An argument breaks its rule, or the fault would have no effect.

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
        """Remove a fault by its number, also one that has affected its last request.

        Raises:
            LookupError: No fault has this number.
        """
        with self._lock:
            if self._active.pop(number, None) is None:
                raise LookupError(f"no fault {number!r}")

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._active.clear()

    def arm(self, fault: Fault) -> int:
        """Add a fault made by `make_fault` or `parse_fault`; returns its number."""
        with self._lock:
            number = next(self._numbers)
            self._active[number] = _ActiveFault(fault, fault.skip, fault.times)
            return number

    def list(self) -> dict[int, tuple[Fault, int | None]]:
        """Return each fault and the number of requests it still affects, by number."""
        with self._lock:
            return {number: (item.fault, item.remaining) for number, item in self._active.items()}

    def take(self, operation: str, repository_id: str | None = None) -> FaultPlan:
        """Return the faults that affect a request, and count it."""
        if not self._active:
            return NO_FAULTS
        latency, limit_max = 0.0, None
        with self._lock:
            for active in self._active.values():
                fault = active.fault
                if fault.operation not in (None, operation) or active.remaining == 0:
                    continue
                if fault.repository_id not in (None, repository_id):
                    continue
                if active.to_skip:
                    active.to_skip -= 1
                    continue
                if active.remaining is not None:
                    active.remaining -= 1
                latency += fault.latency
                if fault.limit_max is not None:
                    limit_max = min(limit_max or fault.limit_max, fault.limit_max)
                if fault.is_terminal:
                    return FaultPlan(latency, limit_max, fault)
        return FaultPlan(latency, limit_max)
