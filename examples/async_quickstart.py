"""Three repositories, created and read side by side with `AsyncClient`.

Runs against the embedded Registry server, as quickstart.py does, which shows `Client`.
"""

import asyncio

from abeja_registry import AsyncClient, AsyncRepository
from abeja_registry.sandbox import Sandbox


async def count_bytes(repository: AsyncRepository) -> int:
    """Return the size of all images that a repository's tags point to."""
    return sum([tag.size async for tag in repository.iter_tags()])


async def main() -> None:
    """Show the async client."""
    with Sandbox() as sandbox:
        async with AsyncClient(**sandbox.connection) as client:
            names = ["trainer", "predictor", "notebook"]
            repositories = await asyncio.gather(*map(client.repositories.create, names))
            for repository in repositories:
                for version in ("1.0.0", "1.1.0"):
                    sandbox.push(repository.id, version, size=1_000_000)

            sizes = await asyncio.gather(*map(count_bytes, repositories))
            for repository, size in zip(repositories, sizes, strict=True):
                print(f"{repository.name}: {size:,} bytes")

            async for repository in client.repositories:
                await repository.delete()
                print(f"deleted {repository.name}")


if __name__ == "__main__":
    asyncio.run(main())
