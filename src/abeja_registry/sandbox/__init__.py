"""A Registry API on your own machine, to develop and test against.

    from abeja_registry import Client
    from abeja_registry.sandbox import Sandbox

    with Sandbox() as sandbox, Client(**sandbox.connection) as client:
        repository = client.repositories.create("sample_repository")
        sandbox.push(repository.id, "1.0.0")

It serves the five operations of the API's reference over a real socket on loopback, from a SQLite
file that it deletes when it closes. `python -m abeja_registry.sandbox --seed` runs it as a program
and prints the environment variables for its clients.
"""

from .._parsing import real_datetime

try:
    # FastAPI imports pydantic, and the rest of it with the first route that has a response's model.
    with real_datetime():
        import fastapi

        fastapi.APIRouter().add_api_route("/", lambda: None, response_model=dict)
    import uvicorn  # noqa: F401
except ModuleNotFoundError:
    # `python -m` prints an ImportError with the package's own name in one line.
    raise ImportError(
        'the sandbox needs its extra: pip install "abeja-registry[sandbox]"', name=__name__
    ) from None

from ._faults import Faults
from ._recorder import RecordedRequest
from ._sandbox import Connection, Sandbox

__all__ = ["Connection", "Faults", "RecordedRequest", "Sandbox"]
