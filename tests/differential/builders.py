"""The builders that are compared, each behind the same few lines: docker's daemon, a buildkitd, and minidock.

A daemon has everything (data, run-time files, pid file, socket) in a place of its own, which goes with it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from minidock.core.entries import DIRECTORY, FILE, SYMLINK
from minidock.engine import images
from minidock.engine.save import TarSink, save
from minidock.engine.workspace import SystemClock, Workspace
from minidock.errors import DockerfileError, MinidockError
from minidock.runtime.fake import FakeRuntime
from minidock.store.layers import Contents
from tests.differential.case import Case
from tests.differential.result import Result, config_of, history_of, read_archive, told_content
from tests.engine.building import import_base, open_store, run_build, tree_of, workspace

_PATIENCE = 60.0
_TRIES = 4
_KINDS = {DIRECTORY: "dir", SYMLINK: "link", FILE: "file"}


class Builder(Protocol):
    """Builds cases on base images that it was given."""

    name: str
    version: str

    def add_base(self, name: str, packed: bytes) -> None:
        """Have an image of one layer."""

    def build(self, case: Case, context: Path) -> Result:
        """Build a case whose context is written; failures are results."""


class Minidock:
    """This program, in this process."""

    name, version = "minidock", ""

    def __init__(self, place: Path, *, runs: bool = True) -> None:
        place.mkdir(exist_ok=True)
        ws = workspace(place / "store", FakeRuntime({}))
        self._ws = Workspace(open_store(place / "store"), SystemClock()) if runs else ws

    def add_base(self, name: str, packed: bytes) -> None:
        import_base(self._ws, packed, name)

    def build(self, case: Case, context: Path) -> Result:
        try:
            options = {"build_args": case.args, "labels": case.labels, "target": case.target or None}
            options["dockerfile"] = str(context / case.dockerfile_name)
            built = run_build(self._ws, context, **options)
        except MinidockError as error:
            line = f" (line {error.first})" if isinstance(error, DockerfileError) and error.first else ""
            return Result(error=f"{error}{line}")
        return self.read(built.image_id)

    def read(self, image_id: Any) -> Result:
        """Return an image of the store."""
        image = images.load(self._ws, image_id)
        tree: dict[str, str] = {}
        with Contents(self._ws.store.blobs, self._ws.store.layers, image.config.diff_ids) as contents:
            for entry in tree_of(self._ws, image_id).entries():
                kind, owner = _KINDS.get(entry.kind, entry.kind), f"{entry.uid}:{entry.gid}"
                told = f"{kind} {owner} -> {entry.linkname}" if kind == "link" else f"{kind} {entry.mode:o} {owner}"
                told += told_content(contents.read(entry), entry.mtime) if kind == "file" else ""
                told += f" {entry.major}:{entry.minor}" if kind in ("char", "block") else ""
                if entry.path:
                    tree[entry.path] = told
        document = json.loads(image.config.to_bytes())
        return Result(dict(sorted(tree.items())), config_of(document.get("config") or {}), history_of(document))

    def write_layout(self, name: str, place: Path) -> str:
        """Write an image as an OCI layout; return the digest of its manifest."""
        archive = place.with_suffix(".tar")
        with open(archive, "wb") as out:
            save(self._ws, [name], TarSink(out.write))
        with tarfile.open(archive) as packed:
            packed.extractall(place)
        (manifest,) = json.loads((place / "index.json").read_text())["manifests"]
        return str(manifest["digest"])


class Docker:
    """Docker's daemon; ``host`` is where it listens."""

    name = "docker"

    def __init__(self, program: str, host: str, place: Path, daemon: Daemon) -> None:
        self._words, self._place, self._daemon = [program, "--host", host], place, daemon
        self.version = _output([*self._words, "version", "--format", "{{.Server.Version}}"])

    def add_base(self, name: str, packed: bytes) -> None:
        subprocess.run([*self._words, "import", "-", name], input=packed, check=True, capture_output=True)

    def build(self, case: Case, context: Path) -> Result:
        for _ in range(_TRIES):
            result = self._build(case, context)
            if "annot connect to the Docker daemon" not in result.error:
                return result
            self._daemon.revive()  # some build ended it, perhaps another one
        return Result(error=f"the daemon ends: {result.error}")

    def _build(self, case: Case, context: Path) -> Result:
        words = [*self._words, "build", "--quiet", "--no-cache", "--network", "host", *_options(case)]
        words += ["--file", str(context / case.dockerfile_name), str(context)]
        env = {**os.environ, "DOCKER_BUILDKIT": "1"}
        done = subprocess.run(words, check=False, capture_output=True, text=True, env=env)
        if done.returncode:
            return Result(error=_last_line(done.stderr))
        return self._read(case, done.stdout.strip())

    def _read(self, case: Case, image: str) -> Result:
        archive = self._place / f"{case.name}.tar"
        words = [*self._words, "save", "--output", str(archive), image]
        saved = subprocess.run(words, check=False, capture_output=True, text=True)
        if "empty export" in saved.stderr:  # an image without layers
            config = json.loads(_output([*self._words, "image", "inspect", "--format", "{{json .Config}}", image]))
            lines = _output([*self._words, "history", "--no-trunc", "--format", "{{json .CreatedBy}}", image])
            return Result({}, config_of(config), [[json.loads(line), True] for line in reversed(lines.splitlines())])
        if saved.returncode:
            return Result(error=_last_line(saved.stderr))
        result = read_archive(archive)
        archive.unlink()
        return result


class BuildKit:
    """A buildkitd of its own, with the frontend that is built into it; images come from ``minidock`` as OCI layouts."""

    name = "buildkit"

    def __init__(self, program: str, host: str, place: Path, source: Minidock) -> None:
        self._words, self._place, self._source = [program, "--addr", host], place, source
        self._bases: list[str] = []
        self.version = _output([program, "--version"]).split("buildkit ")[-1]

    def add_base(self, name: str, packed: bytes) -> None:
        digest = self._source.write_layout(name, self._place / name)
        self._bases += ["--oci-layout", f"{name}={self._place / name}"]
        self._bases += ["--opt", f"context:{name}=oci-layout://{name}@{digest}"]

    def build(self, case: Case, context: Path) -> Result:
        archive = self._place / f"{case.name}.tar"
        words = [
            *self._words,
            "build",
            "--frontend",
            "dockerfile.v0",
            "--progress",
            "plain",
            "--no-cache",
            *self._bases,
        ]
        # Names of their own: what the daemon knows of a context it takes for the same if sizes and times are.
        words += ["--local", f"context={context}", "--local", f"{case.name}={context}"]
        words += ["--opt", f"contextkey={case.name}"]
        words += ["--opt", f"dockerfilekey={case.name}", "--opt", f"filename={case.dockerfile_name}"]
        words += [word for name, value in case.args.items() for word in ("--opt", f"build-arg:{name}={value}")]
        words += [word for name, value in case.labels.items() for word in ("--opt", f"label:{name}={value}")]
        words += ["--opt", f"target={case.target}"] if case.target else []
        words += ["--output", f"type=oci,dest={archive}"]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        if done.returncode:
            return Result(error=_last_line(done.stderr))
        result = read_archive(archive)
        archive.unlink()
        return result


def _options(case: Case) -> Sequence[str]:
    words = [word for name, value in case.args.items() for word in ("--build-arg", f"{name}={value}")]
    words += [word for name, value in case.labels.items() for word in ("--label", f"{name}={value}")]
    return [*words, *(("--target", case.target) if case.target else ())]


def _output(words: Sequence[str]) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def _last_line(text: str) -> str:
    """Return the message of a failed build, its usual beginnings left out."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    line = next((line for line in reversed(lines) if "failed to" in line or "rror" in line), lines[-1] if lines else "")
    line = line.removeprefix("ERROR: ").removeprefix("error: ")
    for start in ("failed to build: ", "failed to solve with frontend dockerfile.v0: ", "failed to solve: "):
        line = line.removeprefix(start)
    return line.removeprefix("failed to create LLB definition: ")


@contextmanager
def docker_daemon(place: Path, source: Minidock) -> Iterator[Docker]:
    """Run docker's daemon; it changes no network of the machine."""
    words = ["dockerd", "--data-root", f"{place}/data", "--exec-root", f"{place}/exec", "--pidfile", f"{place}/pid"]
    words += ["--host", f"unix://{place}/socket", "--iptables=false", "--ip6tables=false", "--bridge=none"]
    client = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
    with _daemon(words, place) as daemon:
        yield Docker(client, f"unix://{place}/socket", place, daemon)


@contextmanager
def buildkit_daemon(place: Path, source: Minidock) -> Iterator[BuildKit]:
    """Run a buildkitd with runc."""
    words = ["buildkitd", "--root", f"{place}/data", "--addr", f"unix://{place}/socket", "--containerd-worker=false"]
    words += ["--oci-worker-net=host", "--oci-worker-gc=false"]
    with _daemon(words, place):
        yield BuildKit("buildctl", f"unix://{place}/socket", place, source)


DAEMONS = {"docker": docker_daemon, "buildkit": buildkit_daemon}
PROGRAMS = {"docker": "dockerd", "buildkit": "buildkitd"}


class Daemon:
    """A daemon that is started again if it ends by itself, which docker's does over some Dockerfiles."""

    def __init__(self, words: Sequence[str], place: Path) -> None:
        self._words, self._place, self._lock = words, place, Lock()
        self._start()

    def _start(self) -> None:
        with open(self._place / "log", "wb") as log:
            self._process = subprocess.Popen(self._words, stdout=log, stderr=log)
        until = time.monotonic() + _PATIENCE
        while not _answers(self._words[0], self._place):
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                log_text = (self._place / "log").read_text()
                raise SystemExit(f"{self._words[0]} does not start here: {log_text[-600:]}")
            time.sleep(0.1)

    def revive(self) -> None:
        """Start the daemon if it has ended."""
        with self._lock:
            if self._process.poll() is not None:
                self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE)


@contextmanager
def _daemon(words: Sequence[str], place: Path) -> Iterator[Daemon]:
    place.mkdir()
    try:
        daemon = Daemon(words, place)
        try:
            yield daemon
        finally:
            daemon.stop()
    finally:
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{place}/")]):
            subprocess.run(["umount", "--quiet", mount], check=False)


def _answers(program: str, place: Path) -> bool:
    if program == "dockerd":
        return b"API listen on" in (place / "log").read_bytes()
    client = [shutil.which("buildctl") or "buildctl", "--addr", f"unix://{place}/socket", "debug", "workers"]
    return subprocess.run(client, check=False, capture_output=True).returncode == 0
