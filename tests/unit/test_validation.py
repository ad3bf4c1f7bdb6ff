"""The checks of arguments: each returns a valid value, or raises an error with the name."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.support.internals import (
    MAX_TIMEOUT,
    as_configuration_error,
    check_callable,
    check_choice,
    check_count,
    check_delay,
    check_digest,
    check_str,
    check_time,
    check_timeout,
    check_type,
)

from abeja_registry import ConfigurationError, InvalidArgument

SECONDS = f"must be seconds, above 0 and at most {MAX_TIMEOUT}, not"
BAD: dict[str, tuple[Callable[..., object], Any, str]] = {
    "a type": (lambda n, v: check_type(n, v, dict, "a dict"), [], "must be a dict, not a value of"),
    "a string": (check_str, 5, "must be a string, not 5"),
    "a word": (
        lambda n, v: check_choice(n, v, ("a", "b", "c")),
        "d",
        "must be 'a', 'b' or 'c', not 'd'",
    ),
    "a word in a list": (
        lambda n, v: check_choice(n, v, ("a", "b")),
        ["a"],
        "must be 'a' or 'b', not a value of type list",
    ),
    "a function": (check_callable, 0, "must be callable, not 0"),
    "a text as a time": (check_time, "2026-01-01", "must be a datetime, not '2026-01-01'"),
    "no time zone": (
        check_time,
        datetime(2026, 1, 1),
        "must have a time zone, not 2026-01-01T00:00:00",
    ),
    "no timeout": (check_timeout, 0, f"{SECONDS} 0"),
    "too long a timeout": (check_timeout, MAX_TIMEOUT + 1, f"{SECONDS} 1000001"),
    "a text as a timeout": (check_timeout, "5", f"{SECONDS} '5'"),
    "a truth as a timeout": (check_timeout, True, f"{SECONDS} True"),
    "a negative delay": (check_delay, -0.5, "must be seconds, at least 0, not -0.5"),
    "an endless delay": (check_delay, math.inf, "must be seconds, at least 0, not inf"),
    "a delay beyond floats": (check_delay, 10**400, "must be seconds, at least 0, not 1000"),
    "a text as a count": (
        lambda n, v: check_count(n, v, least=0),
        "5",
        "must be a whole number, not '5'",
    ),
    "a text that is no count": (
        lambda n, v: check_count(n, v, least=0, convert=True),
        "5.5",
        "must be a whole number, not '5.5'",
    ),
    "a float that int() would cut": (
        lambda n, v: check_count(n, v, least=0, convert=True),
        5.5,
        "must be a whole number, not 5.5",
    ),
    "a text below the least": (
        lambda n, v: check_count(n, v, least=0, convert=True),
        "-1",
        "must be at least 0, not '-1'",
    ),
    "no algorithm": (check_digest, "5f", "cannot be '5f': see Docker's rules for image names"),
}


@pytest.mark.parametrize(("check", "value", "message"), BAD.values(), ids=BAD)
def test_an_invalid_value_is_refused(
    check: Callable[..., object], value: Any, message: str
) -> None:
    """The error starts with the argument's name, and shows the value or its type."""
    with pytest.raises(InvalidArgument) as caught:
        check("the_argument", value)
    assert str(caught.value).startswith(f"the_argument {message}")


def test_a_valid_value_is_returned() -> None:
    """A check returns the value in the form that callers use."""
    value = {"a": 1}
    assert check_type("name", value, dict, "a dict") is value
    assert check_str("name", "") == ""
    assert check_delay("name", 0) == 0
    assert check_timeout("name", 5) == 5
    assert check_timeout("name", "5.5", convert=True) == 5.5
    assert check_timeout("name", Decimal(5), convert=True) == 5
    assert check_count("name", "5", least=5, convert=True) == 5
    assert [type(check_timeout("name", 5)), type(check_delay("name", 0))] == [float, float]


def test_a_valid_value_is_accepted() -> None:
    """A check without a result accepts None for an optional argument."""
    check_choice("name", "b", ("a", "b"))
    check_digest("name", "sha256:0a")
    for check, value in ((check_callable, print), (check_time, datetime.now(UTC))):
        check("name", value)
        check("name", None)


def test_an_invalid_setting() -> None:
    """It is a ConfigurationError with the same message."""
    match = r"^name must be a string, not 5$"
    with pytest.raises(ConfigurationError, match=match), as_configuration_error():
        check_str("name", 5)
