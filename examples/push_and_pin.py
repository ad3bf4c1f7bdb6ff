"""Create a repository, push an image into it, wait for its tag, print the image pinned by digest.

Run it against a sandbox that shows a Docker registry's tags, with skopeo installed:

    python -m abeja_registry.sandbox --docker-registry http://127.0.0.1:5000
    python examples/push_and_pin.py docker://busybox 127.0.0.1:5000

The first argument is an image as skopeo names it (`docker://…`, `docker-archive:…`, `oci:…`), the
second the registry's host.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from abeja_registry import Client, Repository, Tag

PATIENCE = 30.0  # seconds


def push(source: str, target: str) -> str:
    """Push an image, and return its digest."""
    insecure = ["--insecure-policy", "--dest-tls-verify=false"]  # a registry on this machine
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "digest")
        options = [insecure[1], "--digestfile", str(file)]
        subprocess.run(["skopeo", insecure[0], "copy", *options, source, target], check=True)
        return file.read_text().strip()


def wait_for_image(repository: Repository, name: str, digest: str) -> Tag:
    """Look for a tag until it is there, and no longer that of the image before."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for tag in repository.iter_tags():
            if (tag.name, tag.digest) == (name, digest):
                return tag
        time.sleep(0.1)
    raise TimeoutError(f"{repository.name}:{name} did not appear within {PATIENCE:.0f} s")


def main(source: str, registry: str) -> None:
    """Push one image, and pin it."""
    with Client() as client:
        repository = client.repositories.get_or_create("trainer")
        path = f"{registry}/{repository.organization_id}/{repository.name}"
        digest = push(source, f"docker://{path}:1.0.0")
        tag = wait_for_image(repository, "1.0.0", digest)
        print(f"{tag.name}: {tag.media_type}, {tag.size:,} bytes")
        print(f"{path}@{tag.digest}")


if __name__ == "__main__":
    main(*sys.argv[1:])
