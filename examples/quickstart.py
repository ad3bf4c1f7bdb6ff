"""Create a repository, fill it, read it, page through it, delete it: over a real socket.

Runs against the embedded Registry server, so it needs no account and leaves this machine alone.
"""

from abeja_registry import Client, NotFound
from abeja_registry.sandbox import Sandbox


def main() -> None:
    """Show the SDK's main job."""
    with Sandbox() as sandbox, Client(**sandbox.connection) as client:
        repository = client.repositories.create(
            "sample_repository", description="this is sample repository"
        )
        print(f"created {repository.name}, id {repository.id}, by {repository.creator.email}")

        for number in range(1, 251):
            sandbox.push(repository.id, f"0.0.{number}")  # what `docker push` does for the real API
        sandbox.clear_requests()

        names = []
        for tag in client.repositories.get(repository.id).iter_tags():
            names.append(tag.name)
            if len(names) <= 3:
                print(f"  {tag.name}  {tag.size:>10,} bytes  {tag.digest[:19]}…")
        print(f"  … up to {names[-1]}: {len(names)} tags, {len(set(names))} of them different")
        print(f"read with 1 + {len(sandbox.requests) - 1} requests")

        sandbox.seed(repositories=3, tags=2)
        page = client.repositories.list(limit=2)
        print(
            f"{len(page)} repositories of the first page: {', '.join(each.name for each in page)}"
        )
        print(f"all: {', '.join(each.name for each in client.repositories)}")

        repository.delete()
        try:
            client.repositories.get(repository.id)
        except NotFound as error:
            print(f"deleted: {error.status_code} {error.error_description}")


if __name__ == "__main__":
    main()
