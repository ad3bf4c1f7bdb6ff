"""An inventory by a Dask cluster, whose workers share the repositories.

Needs no account: it runs an embedded sandbox and a cluster of two processes on this machine; with
`Client("scheduler:8786")` of distributed it is the same on any other cluster.
"""

from collections import Counter

from abeja_registry import Client, summarize
from abeja_registry.sandbox import Sandbox

try:
    from distributed import Client as Dask
    from distributed import LocalCluster
except ModuleNotFoundError:
    raise SystemExit("this example needs a cluster: pip install distributed") from None


def main() -> None:
    """Read the tags of 40 repositories, one of them large, and add them up."""
    with Sandbox() as sandbox:
        sandbox.seed(repositories=39, tags=20)
        sandbox.seed(repositories=1, tags=3000)
        with (
            LocalCluster(n_workers=2, host="127.0.0.1", dashboard_address=":0") as cluster,
            Dask(cluster) as dask,
            Client(**sandbox.connection) as client,
        ):
            inventory = client.inventory(executor=dask.get_executor())
            rows = list(inventory)
            print(f"{len(rows):,} tags, {len(set(rows)):,} of them different")
            print(f"failures: {len(inventory.failures)}")
            for group in summarize(rows).repositories[:1]:
                print(f"the largest: {group.name}, {group.tags:,} tags, {group.bytes:,} bytes")
            per_repository = Counter(row.repository_name for row in rows)
            print(f"repositories: {len(per_repository)}")


# The cluster's processes import this file, and must not run it.
if __name__ == "__main__":
    main()
