"""Plain dicts: the answers as the API sent them, by the method names of abeja-sdk."""

from abeja_registry import APIClient, Client
from abeja_registry.sandbox import Sandbox


def main() -> None:
    """Show the raw client, by itself and beside a typed one."""
    with Sandbox() as sandbox:
        organization_id = sandbox.organization_id
        with APIClient({"auth_token": "sandbox"}, base_url=sandbox.url) as api_client:
            created = api_client.create_repository(organization_id, "sample_repository")
            sandbox.push(created["id"], "0.0.4")
            page = api_client.get_repository_tags(organization_id, created["id"], limit=10)
            print(f"{created['name']}: {[tag['name'] for tag in page['tags']]}")

        with Client(**sandbox.connection) as client:
            # The same over a typed client's connections, where one answer is wanted untouched.
            body = client.raw.get_repository(organization_id, created["id"])
            print(f"keys: {', '.join(body)}")
            client.raw.delete_repository(organization_id, created["id"])


if __name__ == "__main__":
    main()
