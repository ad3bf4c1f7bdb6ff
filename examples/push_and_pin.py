"""Create a repository, push an image into it, wait for its tag, print the image pinned by digest.

Run it against a sandbox that shows a Docker registry's tags, with skopeo installed:

    python -m abeja_registry.sandbox --docker-registry http://127.0.0.1:5000
    python examples/push_and_pin.py docker://busybox 127.0.0.1:5000

The first argument is an image as skopeo names it (`docker://…`, `docker-archive:…`, `oci:…`), the
second the registry's host.
"""

import subprocess
import sys
import time

from abeja_registry import Client, Repository, Tag

PATIENCE = 30.0  # seconds


def wait_for_tag(repository: Repository, name: str) -> Tag:
    """Look for a tag until it is there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for tag in repository.iter_tags():
            if tag.name == name:
                return tag
        time.sleep(0.1)
    raise TimeoutError(f"{repository.name}:{name} did not appear within {PATIENCE:.0f} s")


def main(source: str, registry: str) -> None:
    """Push one image, and pin it."""
    with Client() as client:
        repository = client.repositories.get_or_create("trainer")
        path = f"{registry}/{repository.organization_id}/{repository.name}"
        insecure = ["--insecure-policy", "--dest-tls-verify=false"]  # a registry on this machine
        subprocess.run(
            ["skopeo", insecure[0], "copy", insecure[1], source, f"docker://{path}:1.0.0"],
            check=True,
        )
        tag = wait_for_tag(repository, "1.0.0")
        print(f"{tag.name}: {tag.media_type}, {tag.size:,} bytes")
        print(f"{path}@{tag.digest}")


if __name__ == "__main__":
    main(*sys.argv[1:])
