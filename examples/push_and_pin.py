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
from pathlib import Path

from abeja_registry import Client


def push(source: str, target: str) -> str:
    """Push an image, and return its digest."""
    insecure = ["--insecure-policy", "--dest-tls-verify=false"]  # a registry on this machine
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "digest")
        options = [insecure[1], "--digestfile", str(file)]
        subprocess.run(["skopeo", insecure[0], "copy", *options, source, target], check=True)
        return file.read_text().strip()


def main(source: str, registry: str) -> None:
    """Push one image, and pin it."""
    with Client() as client:
        repository = client.repositories.get_or_create("trainer")
        path = f"{registry}/{repository.organization_id}/{repository.name}"
        digest = push(source, f"docker://{path}:1.0.0")
        # By its digest: the tag may be there, and point to the image before.
        tag = repository.wait_for_tag("1.0.0", timeout=30, digest=digest)
        print(f"{tag.name}: {tag.media_type}, {tag.size:,} bytes")
        print(f"{path}@{tag.digest}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: push_and_pin.py IMAGE REGISTRY\n\n" + (__doc__ or ""))
    main(*sys.argv[1:])
