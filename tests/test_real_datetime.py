"""Tools that stop the clock, before and after the package and pydantic are imported."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pydantic
import pytest
import time_machine
from freezegun import freeze_time
from freezegun.api import FakeDate, FakeDatetime
from tests.support.examples import example
from tests.support.internals import real_datetime

from abeja_registry import Tag

THEN = "2024-01-01T00:00:00+00:00"
EXAMPLES = {name: example(name) for name in ("get_repository", "get_repository_tags")}
# What a program does with the package, in both worlds and without a network.
WORK = """
import asyncio, httpx
from abeja_registry import AsyncClient, Client
from abeja_registry.models import Tag

def responses(request):
    name = "get_repository_tags" if request.url.path.endswith("tags") else "get_repository"
    return httpx.Response(200, json=EXAMPLES[name])

settings = ("1410000000000", {"auth_token": "t"})
with httpx.Client(transport=httpx.MockTransport(responses)) as http:
    repository = Client(*settings, http_client=http).repositories.get("1")
    [tag] = repository.iter_tags()
assert tag.created_at.isoformat() == "2019-05-23T05:13:13+00:00", tag

async def work():
    async with httpx.AsyncClient(transport=httpx.MockTransport(responses)) as http:
        repository = await AsyncClient(*settings, http_client=http).repositories.get("1")
        return [tag async for tag in repository.iter_tags()]

assert asyncio.run(work()) == [tag]
"""
# What every other package does with pydantic.
OTHERS = """
import datetime, pydantic

class Theirs(pydantic.BaseModel):
    time: datetime.datetime
    day: datetime.date | None = None

assert Theirs(time="2024-01-01T00:00:00Z", day="2024-01-01").day == datetime.date(2024, 1, 1)
assert datetime.datetime.__module__ == "datetime", "the clock is still frozen"
"""
FREEZE = "from freezegun import freeze_time\n"
ORDERS = {
    "freezegun first": (FREEZE, "freeze_time('2024-01-01')"),
    "package first": (f"import abeja_registry\n{FREEZE}", "freeze_time('2024-01-01')"),
    "pydantic, package": (
        f"import pydantic.main, abeja_registry\n{FREEZE}",
        "freeze_time('2024-01-01')",
    ),
    "package, pydantic": (
        f"import abeja_registry, pydantic.main\n{FREEZE}",
        "freeze_time('2024-01-01', tick=True)",
    ),
    "a client": (
        f"from abeja_registry import Client\n{FREEZE}",
        "freeze_time('2024-01-01', auto_tick_seconds=1)",
    ),
    "ignored": (
        f"import abeja_registry\n{FREEZE}",
        "freeze_time('2024-01-01', ignore=['abeja_registry'])",
    ),
    "fixtures": (f"import abeja_registry.testing\n{FREEZE}", "freeze_time('2024-01-01')"),
    "time-machine": (
        "import abeja_registry, time_machine\n",
        "time_machine.travel('2024-01-01', tick=False)",
    ),
}


def run(program: str) -> None:
    """Run a program in a process of its own, where nothing is imported yet."""
    line = [sys.executable, "-W", "error", "-c", program]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


def indented(code: str) -> str:
    """Return code as the body of a block."""
    return "".join(f"    {line}\n" for line in code.splitlines())


@pytest.mark.parametrize("order", ORDERS)
def test_a_frozen_clock_in_any_order(order: str) -> None:
    """Clients work under a stopped clock, after it, and other packages' models after that."""
    imports, frozen = ORDERS[order]
    responses = f"EXAMPLES = {EXAMPLES!r}\n"
    run(f"{responses}{imports}with {frozen}:\n{indented(WORK)}{OTHERS}{WORK}")


@pytest.mark.parametrize(
    "imported",
    ["abeja_registry", "abeja_registry.models", "abeja_registry.pages", "abeja_registry.sandbox"],
)
def test_an_import_under_a_frozen_clock(imported: str) -> None:
    """Whichever module is imported first while the clock is frozen, pydantic works afterwards."""
    run(f"{FREEZE}with freeze_time('2024-01-01'):\n    import {imported}\n{OTHERS}")


def test_a_decorated_class(tmp_path: Path) -> None:
    """A test case of unittest under a frozen clock uses the package, and the next one as well."""
    run(f"""
import abeja_registry, unittest
{FREEZE}
EXAMPLES = {EXAMPLES!r}

@freeze_time('2024-01-01')
class Frozen(unittest.TestCase):
    def test_it(self):
        exec({WORK!r}, globals())

class Later(unittest.TestCase):
    def test_it(self):
        exec({OTHERS + WORK!r}, globals())

unittest.main()
""")


def test_everything_is_loaded_beside_pydantic() -> None:
    """Where pydantic is loaded, no part of the package is left to load under a frozen clock."""
    run("""
import sys, pydantic, abeja_registry
assert {"models", "repositories", "inventory", "contract"} <= {
    name.removeprefix("abeja_registry.") for name in sys.modules
}
assert abeja_registry.inventory.Inventory and abeja_registry.contract.ContractReport
""")


def tag(**fields: Any) -> Tag:
    """Return a tag built by hand."""
    creator = {"id": "1", "email": "a@b", "role": "admin", "is_registered": True}
    times = {"created_at": THEN, "updated_at": THEN}
    row = {"id": 1, "name": "a", "digest": "sha256:a", "size": 1, "media_type": "a/b"}
    return Tag.model_validate({**row, **times, "creator": {**creator, **times}, **fields})


@freeze_time(THEN)
def test_a_model_takes_a_frozen_time() -> None:
    """A model built from the stopped clock's time equals one that was read from the API."""
    made = tag(created_at=datetime.now(UTC), updated_at=datetime.now())
    assert made == tag()
    assert pickle.loads(pickle.dumps(made)) == made
    assert made.model_dump_json() == tag().model_dump_json()


@pytest.mark.parametrize(
    ("given", "time"),
    [
        ("2024-01-01T00:00:00", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T09:00:00+09:00", datetime(2024, 1, 1, tzinfo=UTC)),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
        (1704067200, datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_of_a_model(given: object, time: datetime) -> None:
    """A time is read in each of pydantic's forms, and is UTC where it names no zone."""
    read = tag(created_at=given).created_at
    assert (read, read.tzinfo is None) == (time, False)


def test_a_time_is_documented_as_one() -> None:
    """A model's schema says that a time is one, and a bad one is pydantic's error."""
    schema = Tag.model_json_schema()["properties"]["created_at"]
    assert (schema["type"], schema["format"]) == ("string", "date-time")
    with pytest.raises(pydantic.ValidationError, match="created_at"):
        tag(created_at="yesterday")


def test_the_real_classes() -> None:
    """They are there within the block alone, whether the clock is frozen or not."""
    import datetime as module

    real = module.datetime, module.date
    with real_datetime():
        assert (module.datetime, module.date) == real
    with freeze_time(THEN):
        with real_datetime():
            assert (module.datetime, module.date) == real
        assert (module.datetime, module.date) == (FakeDatetime, FakeDate)
    with time_machine.travel(THEN), real_datetime():
        assert date(2024, 1, 1) == module.date(2024, 1, 1)
    assert (module.datetime, module.date) == real


def test_a_stand_in_that_is_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock in the place of a class stays where it is."""
    import datetime as module

    mock: Any = object()
    monkeypatch.setattr(module, "datetime", mock)
    with real_datetime():
        assert module.datetime is mock
