"""Measures pulling an image from a registry on loopback beside podman and skopeo, and beside fetching its bytes.

The layer is compressed by gzip -6 before; every program finds the same bytes. minidock and podman compare, unpack and
keep; skopeo keeps what comes. docker takes no part: its daemon would have to be told of the registry.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

from bench import FLOOR, Program, Way, alternate, programs_in, reset, run, settle

_PATIENCE = 30.0
_GZIP = 6


def main() -> int:
    """Measure and print; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, help="tar of a root file system")
    parser.add_argument("--runs", type=int, default=5, help="how often each command is run")
    parser.add_argument("--directory", help="where to work (default: the place for temporary files)")
    options = parser.parse_args()
    missing = [name for name in ("docker-registry", "skopeo") if shutil.which(name) is None]
    if missing:
        print(f"\nPulling is not measured: {' and '.join(missing)} not installed.")
        return 0
    with tempfile.TemporaryDirectory(prefix="minidock-bench.", dir=options.directory) as name:
        place = Path(name)
        programs = [program for program in programs_in(place) if program.name in ("minidock", "podman")]
        try:
            with _registry(place / "registry") as address:
                measure(place, options.base, programs, address, options.runs)
        finally:
            for program in programs[1:]:
                run(program.words("system", "reset", "-f"))
    return 0


@contextmanager
def _registry(place: Path) -> Iterator[str]:
    """Run a registry until the block ends; yield its address."""
    place.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(place / "data")}},
        "http": {"addr": address},
    }
    (place / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with open(place / "log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(place / "config.yml")], stdout=log, stderr=log)
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/v2/", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _layout(place: Path, base: Path) -> str:
    """Write an OCI layout of one layer, compressed; return the digest of that."""
    blobs = place / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> tuple[str, int]:
        digits = sha256(data).hexdigest()
        (blobs / digits).write_bytes(data)
        return f"sha256:{digits}", len(data)

    kinds = "application/vnd.oci.image"
    content = base.read_bytes()
    layer = put(gzip.compress(content, _GZIP, mtime=0))
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{sha256(content).hexdigest()}"]}
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kinds}.manifest.v1+json",
        "config": {"mediaType": f"{kinds}.config.v1+json", "digest": config[0], "size": config[1]},
        "layers": [{"mediaType": f"{kinds}.layer.v1.tar+gzip", "digest": layer[0], "size": layer[1]}],
    }
    digest, size = put(json.dumps(manifest).encode())
    entry = {"mediaType": f"{kinds}.manifest.v1+json", "digest": digest, "size": size}
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return layer[0]


def measure(place: Path, base: Path, programs: list[Program], address: str, runs: int) -> None:
    """Time pulls of an image whose one layer is ``base``."""
    layer = _layout(place / "layout", base)
    name, out = f"{address}/bench:1", place / "skopeo"
    problem = run(
        ("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{place}/layout", f"docker://{name}")
    )
    if problem:
        print(f"the registry could not be filled: {problem}", file=sys.stderr)
        return
    blob = f"http://{address}/v2/bench/blobs/{layer}"
    fetching = (
        f"curl -sf {blob} | tee {place}/fetched | sha256sum && gzip -dc {place}/fetched | tee {place}/tar | sha256sum"
    )
    ways = [Way(FLOOR, ("sh", "-c", fetching), before=settle)]
    for program in programs:
        words = ("pull", "-q", name) if program.name == "minidock" else ("pull", "-q", "--tls-verify=false", name)
        ways.append(Way(program.name, program.words(*words), program.environment, partial(_without, program, name)))
    copying = ("skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"dir:{out}")
    ways.append(Way("skopeo", copying, before=partial(_emptied, out)))
    alternate(f"pull {base.stat().st_size >> 20} MiB, gzip -{_GZIP}", ways, runs, compared_with=FLOOR)


def _without(program: Program, name: str) -> None:
    if program.name == "minidock":
        reset(program)
    run(program.words("rmi", "-f", name), program.environment)
    settle()


def _emptied(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    settle()


if __name__ == "__main__":
    sys.exit(main())
