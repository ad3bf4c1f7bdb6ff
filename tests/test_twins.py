"""Each sync class and its async twin: the same names, parameters and types, one documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest

import abeja_registry
import abeja_registry.inventory
from abeja_registry import (
    APIClient,
    AsyncAPIClient,
    AsyncClient,
    AsyncHttpClient,
    AsyncListing,
    AsyncPage,
    AsyncRepositories,
    AsyncRepository,
    AsyncTags,
    Client,
    HttpClient,
    Listing,
    Page,
    Repositories,
    Repository,
    Tags,
)
from abeja_registry.inventory import AsyncInventory, Inventory

TWINS: list[tuple[type[Any], type[Any]]] = [
    (APIClient, AsyncAPIClient),
    (Client, AsyncClient),
    (HttpClient, AsyncHttpClient),
    (Inventory, AsyncInventory),
    (Listing, AsyncListing),
    (Page, AsyncPage),
    (Repositories, AsyncRepositories),
    (Repository, AsyncRepository),
    (Tags, AsyncTags),
]
# A page has its items, so that both kinds are sequences, by their common base.
RENAMED = {
    "close": "aclose",
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
}
# Only the sync inventory can use other threads and processes.
SYNC_ONLY = {"executor"}
each_pair = pytest.mark.parametrize("pair", TWINS, ids=lambda pair: pair[0].__name__)


def members(cls: type[Any]) -> dict[str, Callable[..., Any]]:
    """Return the public methods and properties that a class defines, as functions, by name.

    Its constructor may be inherited.
    """
    found: dict[str, Callable[..., Any]] = {}
    for name, value in {"__init__": cls.__init__, **vars(cls)}.items():
        if name.startswith("_") and name not in {*RENAMED, *RENAMED.values(), "__init__"}:
            continue
        function = value.fget if isinstance(value, property) else value
        # pydantic adds its own functions to models, and a wrapper of a base's hook.
        if not inspect.isfunction(function) or name == "model_post_init":
            continue
        if function.__module__.startswith("abeja_registry"):
            found[name] = function
    return found


def pairs_of_members() -> list[Any]:
    """Return each sync method with its async one, named for the report."""
    return [
        pytest.param(function, members(twin)[RENAMED.get(name, name)], id=f"{cls.__name__}.{name}")
        for cls, twin in TWINS
        for name, function in members(cls).items()
        # HttpClient is a protocol; typing adds an `__init__` to it.
        if cls is not HttpClient or name != "__init__"
    ]


each_method = pytest.mark.parametrize(("method", "twin"), pairs_of_members())


def in_sync(annotation: str) -> str:
    """Return an annotation of the async world as the sync world writes it."""
    awaited = re.sub(r"Awaitable\[(\w+\[\w+\](?: \| None)?)\]", r"\1", annotation)
    return awaited.replace("Async", "")


def test_every_async_class_has_its_twin() -> None:
    """The pairs above are complete, and the names of each pair match."""
    faces = (*abeja_registry.__all__, *abeja_registry.inventory.__all__)
    names = {name for name in faces if name.startswith("Async")}
    assert names == {twin.__name__ for _, twin in TWINS}
    assert names == {f"Async{cls.__name__}" for cls, _ in TWINS}


@each_pair
def test_twins_have_the_same_public_names(pair: tuple[type[Any], type[Any]]) -> None:
    """The names are equal, except for closing, entering and iterating."""
    cls, twin = pair
    assert [RENAMED.get(name, name) for name in members(cls)] == list(members(twin))
    collections = [
        [name for name, value in vars(kind).items() if isinstance(value, cached_property)]
        for kind in pair
    ]
    assert collections[0] == collections[1]
    attributes = {name: in_sync(kind) for name, kind in inspect.get_annotations(twin).items()}
    assert attributes == inspect.get_annotations(cls)


@each_method
def test_twins_have_the_same_parameters(
    method: Callable[..., Any], twin: Callable[..., Any]
) -> None:
    """Names, order, kinds, defaults, annotations and return types are equal."""
    signature, other = inspect.signature(method), inspect.signature(twin)
    parameters = {n: each for n, each in signature.parameters.items() if n not in SYNC_ONLY}
    assert parameters.keys() == other.parameters.keys()
    for name, parameter in parameters.items():
        in_twin = other.parameters[name]
        assert parameter == in_twin.replace(annotation=in_sync_or_none(in_twin.annotation))
    assert signature.return_annotation == in_sync(other.return_annotation)


def in_sync_or_none(annotation: Any) -> Any:
    """Return a parameter's annotation in the sync world; `self` has none."""
    return in_sync(annotation) if isinstance(annotation, str) else annotation


@each_method
def test_the_twin_is_a_coroutine_if_it_sends_requests(
    method: Callable[..., Any], twin: Callable[..., Any]
) -> None:
    """Methods without a request are plain functions in both."""
    plain = {
        "__init__", "__iter__", "iter", "iter_tags", "pages",
        "organization_id", "with_options", "inventory", "settings",
        "model_post_init", "build_request", "is_closed", "record_batches",
    }  # fmt: skip
    assert not inspect.iscoroutinefunction(method)
    assert inspect.iscoroutinefunction(twin) is (method.__name__ not in plain)


@each_method
def test_the_async_docstring_refers_to_the_sync_one(
    method: Callable[..., Any], twin: Callable[..., Any]
) -> None:
    """The sync method has a full docstring, and the async one a reference to it."""
    if method.__name__.startswith("__") or method.__qualname__.startswith("HttpClient."):
        assert twin.__doc__ is None
        return
    assert method.__doc__ is not None
    assert not method.__doc__.startswith("As ")
    assert (twin.__doc__ or "").startswith(f"As `{method.__qualname__}`")


@each_pair
def test_an_async_class_names_its_twin(pair: tuple[type[Any], type[Any]]) -> None:
    """Its docstring names the sync class, or is a similar sentence."""
    cls, twin = pair
    if cls is HttpClient:
        assert str(twin.__doc__).startswith("The type of an async client's `http_client`")
    else:
        assert f"`{cls.__name__}`" in str(twin.__doc__).splitlines()[0]
