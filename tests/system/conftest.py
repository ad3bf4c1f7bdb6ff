"""A Docker registry of the system, a sandbox over it, and images made up on the spot."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.patience import until

from abeja_registry.sandbox import Sandbox

OCI = "application/vnd.oci.image"
# Seconds that a tool of the system may take to start or to end.
PATIENCE = 30


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """The tools that these tests are about; without one they fail, and don't pass by."""
    missing = [
        name for name in ("docker-registry", "skopeo", "chromium") if shutil.which(name) is None
    ]
    assert not missing, f"not installed: {', '.join(missing)} - apt-get install {' '.join(missing)}"


def free_port() -> int:
    """A port that nobody has, and that the system gives to no connection on its way out."""
    for port in random.sample(range(15_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


@dataclass(frozen=True)
class Made:
    """An image that was made up.

    Attributes:
        source: what skopeo copies from.
        size: bytes of its config and layers; of an index, of all its images'.
    """

    source: str
    size: int


class Layout:
    """A folder in the OCI's image layout, where images are made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._references: list[dict[str, Any]] = []

    def image(self, name: str, content: bytes) -> Made:
        """Make an image of one file."""
        descriptor, size = self._image(content)
        return self._named(name, descriptor, size)

    def index(self, name: str, *contents: bytes) -> Made:
        """Make an index of images of one file each, for as many architectures."""
        images = [self._image(content) for content in contents]
        platforms = ({"os": "linux", "architecture": each} for each in ("amd64", "arm64"))
        manifests = [
            {**descriptor, "platform": platform}
            for (descriptor, _), platform in zip(images, platforms, strict=True)
        ]
        body = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": manifests}
        descriptor = self._blob(json.dumps(body).encode(), "index.v1+json")
        return self._named(name, descriptor, sum(size for _, size in images))

    def _image(self, content: bytes) -> tuple[dict[str, Any], int]:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo("file")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        plain = archive.getvalue()
        layer = self._blob(gzip.compress(plain, mtime=0), "layer.v1.tar+gzip")
        told = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(plain)}"]},
        }
        config = self._blob(json.dumps(told).encode(), "config.v1+json")
        body = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": config,
            "layers": [layer],
        }
        manifest = self._blob(json.dumps(body).encode(), "manifest.v1+json")
        return manifest, config["size"] + layer["size"]

    def _blob(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = _sha256(content)
        (self._blobs / digest).write_bytes(content)
        return {"mediaType": f"{OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    def _named(self, name: str, descriptor: dict[str, Any], size: int) -> Made:
        annotations = {"org.opencontainers.image.ref.name": name}
        self._references.append({**descriptor, "annotations": annotations})
        body = {"schemaVersion": 2, "manifests": self._references}
        (self._folder / "index.json").write_text(json.dumps(body))
        return Made(f"oci:{self._folder}:{name}", size)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Registry:
    """Debian's docker-registry on loopback, which tells a sandbox what happens.

    Args:
        folder: for its configuration, data and log.
        notifications_url: where it sends its notifications.
    """

    def __init__(self, folder: Path, notifications_url: str) -> None:
        self.host = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.host}"
        self._folder = folder
        self._config = folder / "config.yml"
        endpoint = {
            "name": "sandbox",
            "url": notifications_url,
            "timeout": "5s",
            "threshold": 1,
            "backoff": "100ms",
        }
        told = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {
                "filesystem": {"rootdirectory": str(folder / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host},
            "notifications": {"endpoints": [endpoint]},
        }
        # JSON is YAML too.
        self._config.write_text(json.dumps(told))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns once it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(self._config)],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            )
        until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return httpx.get(f"{self.url}/v2/", trust_env=False).is_success
        except httpx.ConnectError:
            return False

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def push(self, made: Made, path: str, *options: str) -> None:
        """Push an image with skopeo."""
        skopeo(
            "copy", "--dest-tls-verify=false", *options, made.source, f"docker://{self.host}/{path}"
        )

    def digest(self, path: str) -> str:
        """Return what a tag's digest is, as skopeo sees it."""
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{self.host}/{path}")
        return f"sha256:{_sha256(raw)}"

    def delete(self, path: str) -> None:
        """Delete a tag's image with skopeo."""
        skopeo("delete", "--tls-verify=false", f"docker://{self.host}/{path}")


def skopeo(command: str, *arguments: str) -> bytes:
    """Run skopeo, and return what it said."""
    line = ["skopeo", "--insecure-policy", command, *arguments]
    run = subprocess.run(line, capture_output=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place to make images in."""
    return Layout(tmp_path / "layout")


@pytest.fixture
def port() -> int:
    """The port that the sandbox is going to have."""
    return free_port()


@pytest.fixture
def registry(tmp_path: Path, port: int) -> Iterator[Registry]:
    """A Docker registry that runs, and tells a sandbox on the port."""
    folder = tmp_path / "registry"
    folder.mkdir()
    registry = Registry(folder, f"http://127.0.0.1:{port}/_sandbox/notifications")
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def make_sandbox(tmp_path: Path, port: int, registry: Registry) -> Callable[[], Sandbox]:
    """Make a sandbox over the registry, on the same file each time."""
    return lambda: Sandbox(port=port, data=tmp_path / "data.db", docker_registry=registry.url)


@pytest.fixture
def sandbox(make_sandbox: Callable[[], Sandbox]) -> Iterator[Sandbox]:
    """A sandbox over the registry."""
    with make_sandbox() as sandbox:
        yield sandbox
