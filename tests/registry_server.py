"""Debian's docker-registry on loopback, with a configuration of the test's own, and images that tests put there."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import socket
import ssl
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from minidock.core import mediatype
from minidock.core.reference import Reference
from minidock.engine.platforms import this_platform
from minidock.engine.registries import open_registries
from minidock.registry.client import Repository
from minidock.registry.registries import Registries

USER, PASSWORD = "someone", "secret"
_BCRYPT = "$2b$04$dbRO/pBX7..nTm.ltDrfrOzNgPwM/1aV4dKOmeiDjiujf5O/AqcIK"  # of the password, by libcrypt
_PATIENCE = 30.0


@dataclass(frozen=True)
class Server:
    """A registry that runs: ``domain`` as names of images have it; ``certificate`` is empty without TLS."""

    domain: str
    place: Path
    certificate: str = ""

    def environment(self, home: Path, *, logged_in: bool = False, settings: str = "") -> dict[str, str]:
        """Return the variables of a user in ``home`` who has registries.toml with ``settings``."""
        home.mkdir(parents=True, exist_ok=True)
        (home / "registries.toml").write_text(settings)
        if logged_in:
            (home / ".docker").mkdir(exist_ok=True)
            import base64

            entry = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
            (home / ".docker/config.json").write_text(json.dumps({"auths": {self.domain: entry}}))
        return {"HOME": str(home), "MINIDOCK_REGISTRIES": str(home / "registries.toml"), "PATH": "/usr/bin:/bin"}

    def registries(
        self,
        home: Path,
        *,
        logged_in: bool = False,
        settings: str = "",
        warn: Callable[[str], None] = lambda text: None,
    ) -> Registries:
        """Return the registries of that user."""
        return open_registries(self.environment(home, logged_in=logged_in, settings=settings), warn)


@contextmanager
def registry_server(
    place: Path, *, has_auth: bool = False, has_tls: bool = False, tokens: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a registry whose files are in ``place``; the test is skipped where that is not installed.

    ``tokens`` are the settings of the server that gives them out.
    """
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    place.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(place / "data")}, "delete": {"enabled": True}},
    }
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}"}
    if has_tls:
        http["tls"] = {"certificate": str(place / "crt.pem"), "key": str(place / "key.pem")}
        make_certificate(place)
    if has_auth:
        (place / "htpasswd").write_text(f"{USER}:{_BCRYPT}\n")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(place / "htpasswd")}}
    if tokens:
        config["auth"] = {"token": dict(tokens)}
    (place / "config.yml").write_text(json.dumps({**config, "http": http}))  # JSON is YAML
    with open(place / "log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(place / "config.yml")], stdout=log, stderr=log)
    try:
        _await(process, f"{'https' if has_tls else 'http'}://127.0.0.1:{port}/v2/", place)
        yield Server(f"127.0.0.1:{port}", place, str(place / "crt.pem") if has_tls else "")
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def make_certificate(place: Path) -> None:
    """Write a certificate for this machine and its key to ``place``."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    words += ["-keyout", str(place / "key.pem"), "-out", str(place / "crt.pem")]
    subprocess.run(words, check=True, capture_output=True)


def _await(process: subprocess.Popen[bytes], url: str, place: Path) -> None:
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5, context=unchecked):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return  # it answers, if only to ask who we are
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                pytest.skip(f"docker-registry does not start here: {(place / 'log').read_text()[-300:]}")
            time.sleep(0.05)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@dataclass(frozen=True)
class Image:
    """An image to put into a registry: its blobs by digest, and its manifest."""

    blobs: Mapping[str, bytes]
    manifest: bytes
    media_type: str = mediatype.MANIFEST

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return _digest(self.manifest)

    @property
    def image_id(self) -> str:
        """The digest of the config."""
        return str(json.loads(self.manifest)["config"]["digest"])


def _digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def make_image(
    layers: Sequence[Mapping[str, bytes] | bytes],
    *,
    architecture: str = "",
    is_of_docker: bool = False,
    is_plain: bool = False,
) -> Image:
    """Return an image with a layer for each map of files or tar, compressed unless ``is_plain``."""
    tars = [layer if isinstance(layer, bytes) else tar_of(layer) for layer in layers]
    packed = tars if is_plain else [gzip.compress(data, 1, mtime=0) for data in tars]
    platform = this_platform()
    config = json.dumps(
        {
            "architecture": architecture or platform.architecture,
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(data) for data in tars]},
            "history": [{"created_by": "test"} for _ in tars],
        }
    ).encode()
    kinds = (
        (mediatype.DOCKER_MANIFEST, "application/vnd.docker.container.image.v1+json", mediatype.DOCKER_LAYER_GZIP)
        if is_of_docker
        else (mediatype.MANIFEST, mediatype.CONFIG, mediatype.LAYER if is_plain else mediatype.LAYER_GZIP)
    )
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": kinds[0],
            "config": {"mediaType": kinds[1], "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": kinds[2], "digest": _digest(data), "size": len(data)} for data in packed],
        },
        indent=1,  # nobody would write it so again: the bytes must be kept
    ).encode()
    return Image({_digest(data): data for data in (*packed, config)}, manifest, kinds[0])


def make_index(images: Mapping[str, Image]) -> bytes:
    """Return an index that leads to an image for each architecture."""
    manifests = [
        {
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": len(image.manifest),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, image in images.items()
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": mediatype.INDEX, "manifests": manifests}).encode()


def upload(registries: Registries, name: str, image: Image) -> Repository:
    """Put an image into a registry under a name; return the repository."""
    reference = Reference.parse(name)
    repository = registries.repository(reference)
    from minidock.core.digest import Digest

    for digest, data in image.blobs.items():
        repository.upload(repository.begin_upload(), Digest.parse(digest), len(data), lambda data=data: [data])
    repository.put_manifest(str(reference.tag), image.media_type, image.manifest)
    return repository
