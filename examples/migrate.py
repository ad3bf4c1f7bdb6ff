"""From abeja-sdk to abeja_registry: the same job before, after, and with typed values.

Before, with abeja-sdk:

    import requests
    from abeja.exceptions import HttpError
    from abeja.registry import APIClient

    def tag_names(api_client, organization_id, repository_id):
        names, offset = [], 0
        try:
            while True:
                page = api_client.get_repository_tags(
                    organization_id, repository_id, limit=50, offset=offset)
                names += [tag["name"] for tag in page["tags"]]
                offset += len(page["tags"])
                if not page["has_next"]:
                    return names
        except HttpError as error:
            raise SystemExit("the API said: " + error.error_description)
        except requests.exceptions.RequestException as error:
            raise SystemExit("no answer: " + str(error))

    tag_names(APIClient(), "1410000000000", "1510000000000")
"""

import os

from abeja_registry import APIClient, Client, HttpError, TransportError
from abeja_registry.sandbox import Sandbox


# After: the import lines change, and the name of what the network raises. Nothing else.
def tag_names(api_client: APIClient, organization_id: str, repository_id: str) -> list[str]:
    """Return a repository's tag names, with the code that was there."""
    names, offset = [], 0
    try:
        while True:
            page = api_client.get_repository_tags(
                organization_id, repository_id, limit=50, offset=offset)  # fmt: skip
            names += [tag["name"] for tag in page["tags"]]
            offset += len(page["tags"])
            if not page["has_next"]:
                return names
    except HttpError as error:
        raise SystemExit("the API said: " + error.error_description) from None
    except TransportError as error:
        raise SystemExit("no answer: " + str(error)) from None


# And in its own time: typed values, and no paging by hand.
def typed_tag_names(client: Client, repository_id: str) -> list[str]:
    """Return a repository's tag names, with the typed client."""
    return [tag.name for tag in client.tags.iter(repository_id)]


def main() -> None:
    """Show that the two say the same."""
    with Sandbox() as sandbox:
        os.environ["ABEJA_API_URL"] = sandbox.url
        os.environ["ABEJA_ORGANIZATION_ID"] = sandbox.organization_id
        os.environ["PLATFORM_AUTH_TOKEN"] = "sandbox"
        [repository_id] = sandbox.seed(repositories=1, tags=120)

        with APIClient() as api_client, Client() as client:
            after = tag_names(api_client, sandbox.organization_id, repository_id)
            typed = typed_tag_names(client, repository_id)
        print(f"{len(after)} tags with the old code, {len(typed)} typed, equal: {after == typed}")


if __name__ == "__main__":
    main()
