"""Measures pulling from and pushing to a registry on loopback beside podman, skopeo and docker.

Pulls: the layer is compressed by gzip -6 before; every program finds the same bytes. minidock, podman and docker
compare, unpack and keep; skopeo keeps what comes. The floor fetches, unpacks and hashes the same bytes.
Pushes: of an uncompressed layer into an empty registry, packed as the title says on every side. skopeo reads the
store of minidock. What came out is told in bytes: levels of different packers are not the same.
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

from bench import BASE, FLOOR, Program, Way, alternate, programs_in, reset, run, settle

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
        print(f"\nRegistries are not measured: {' and '.join(missing)} not installed.")
        return 0
    with tempfile.TemporaryDirectory(prefix="minidock-bench.", dir=options.directory) as name:
        place = Path(name)
        programs = programs_in(place)
        try:
            with _registry(place / "registry") as address:
                pulls(place, options.base, programs, address, options.runs)
                pushes(place, options.base, programs, address, options.runs)
        finally:
            for program in programs[1:]:
                if program.name == "podman":
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
    content = base.read_bytes() + bytes(1024)  # another layer than docker has from other measurements: it fetches that
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


def pulls(place: Path, base: Path, programs: list[Program], address: str, runs: int) -> None:
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
        words = ("pull", "-q", *_unchecked(program), name)
        ways.append(Way(program.name, program.words(*words), program.environment, partial(_without, program, name)))
    copying = ("skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"dir:{out}")
    ways.append(Way("skopeo", copying, before=partial(_emptied, out)))
    alternate(f"pull {base.stat().st_size >> 20} MiB, gzip -{_GZIP}", ways, runs, compared_with=FLOOR)


def _unchecked(program: Program) -> tuple[str, ...]:
    return ("--tls-verify=false",) if program.name == "podman" else ()


def pushes(place: Path, base: Path, programs: list[Program], address: str, runs: int) -> None:
    """Time pushes of an image whose one layer is ``base``."""
    name, data = f"{address}/bench-push:1", place / "registry/data"
    for program in programs:
        if program.name == "minidock":
            reset(program)
        run(program.words("import", str(base), BASE), program.environment)
        run(program.words("tag", BASE, name), program.environment)
    store = next(program for program in programs if program.name == "minidock").place
    copying = ("skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false")
    kinds = {
        "each as it likes": ((), (), ("podman", "docker")),
        "gzip -6": (
            ("--compression-level", "6"),
            ("--dest-compress-format", "gzip", "--dest-compress-level", "6"),
            (),
        ),
        "zstd -3": (
            ("--compression", "zstd", "--compression-level", "3"),
            ("--dest-compress-format", "zstd", "--dest-compress-level", "3"),
            (),
        ),
    }
    size = base.stat().st_size >> 20
    for title, (options, of_skopeo, others) in kinds.items():
        ways = []
        for program in programs:
            if program.name == "minidock" or program.name in others:
                words = ("push", "-q", *_unchecked(program), *(options if program.name == "minidock" else ()), name)
                before = partial(_nothing_there, data, store)
                ways.append(Way(program.name, program.words(*words), program.environment, before))
        words = (*copying, *of_skopeo, f"oci:{store}:{BASE}:latest", f"docker://{name}")
        ways.append(Way("skopeo", words, before=partial(_nothing_there, data, store)))
        alternate(f"push {size} MiB, {title}", ways, runs)
        for way in ways:
            _nothing_there(data, store)
            run(way.command, way.environment)
            print(f"  {way.name:20} {_largest(data) / 1e6:8.1f} MB packed")
    again = [
        Way(program.name, program.words("push", "-q", *_unchecked(program), name), program.environment)
        for program in programs
    ]
    for way in again:
        run(way.command, way.environment)
    alternate(f"push {size} MiB that the registry has", again, runs)


def _nothing_there(data: Path, store: Path) -> None:
    """Empty the registry, and make minidock forget what it has packed before."""
    shutil.rmtree(data, ignore_errors=True)
    for form in (store / "forms").iterdir():
        form.unlink()
    settle()


def _largest(data: Path) -> int:
    """Return the size of the largest blob of a registry."""
    return max((path.stat().st_size for path in data.glob("docker/registry/v2/blobs/sha256/*/*/data")), default=0)


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
