"""The builders that are compared, each behind the same few lines: docker's daemon, a buildkitd, and minidock.

A daemon has everything (data, run-time files, pid file, socket) in a place of its own, which goes with it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from minidock.core.entries import DIRECTORY, FILE, SYMLINK
from minidock.engine import images
from minidock.engine.save import save
from minidock.engine.sinks import TarSink
from minidock.engine.workspace import SystemClock, Workspace
from minidock.errors import DockerfileError, MinidockError
from minidock.runtime.fake import FakeRuntime
from minidock.store.contents import Contents
from tests.differential.case import Case
from tests.differential.result import Result, config_of, history_of, read_archive, told_content
from tests.engine.building import import_base, open_store, run_build, tree_of, workspace

_PATIENCE = 60.0
_TRIES = 4
DAEMON_ENDED = "the daemon ended: "
# What the client says when nobody is at the other end any more.
_LOST = re.compile(
    r"annot connect to the Docker daemon|\bEOF\b|transport is closing|connection re(set|fused)|broken pipe"
)
_PANIC = re.compile(r"^(?:panic|fatal error): .*", re.MULTILINE)
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
            packed.extraction_filter = lambda member, _: member  # everything as it is, whatever Python's default
            packed.extractall(place)
        (manifest,) = json.loads((place / "index.json").read_text())["manifests"]
        return str(manifest["digest"])


class Docker:
    """Docker's daemon, which some Dockerfiles end: it is started anew then, and given the images again."""

    name = "docker"

    def __init__(self, program: str, place: Path, daemon: Daemon) -> None:
        self._program, self._place, self._daemon = program, place, daemon
        self._bases: dict[str, bytes] = {}
        self._lock = Lock()
        self.version = _output([*self._words, "version", "--format", "{{.Server.Version}}"])

    @property
    def _words(self) -> list[str]:
        return [self._program, "--host", f"unix://{self._daemon.socket}"]

    def add_base(self, name: str, packed: bytes) -> None:
        self._bases[name] = packed
        subprocess.run([*self._words, "import", "-", name], input=packed, check=True, capture_output=True)

    def build(self, case: Case, context: Path) -> Result:
        life = self._daemon.life
        result = self._build(case, context)
        if result.error and self._daemon.is_lost(life, seems_so=_LOST.search(result.error) is not None):
            return Result(error=f"{DAEMON_ENDED}{self._revived(life)}")  # this build did it, or one beside it
        return result

    def _revived(self, life: int) -> str:
        """Have a daemon again; return the last words of the one that was ``life``."""
        with self._lock:
            if self._daemon.life == life:
                self._daemon.restart()
                for name, packed in self._bases.items():
                    self.add_base(name, packed)
            return self._daemon.last_words

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

    def words(root: Path) -> list[str]:
        found = ["dockerd", "--data-root", f"{root}/data", "--exec-root", f"{root}/exec", "--pidfile", f"{root}/pid"]
        return [*found, "--host", f"unix://{root}/socket", "--iptables=false", "--ip6tables=false", "--bridge=none"]

    client = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
    with _daemon(words, place) as daemon:
        yield Docker(client, place, daemon)


@contextmanager
def buildkit_daemon(place: Path, source: Minidock) -> Iterator[BuildKit]:
    """Run a buildkitd with runc."""

    def words(root: Path) -> list[str]:
        found = ["buildkitd", "--root", f"{root}/data", "--addr", f"unix://{root}/socket", "--containerd-worker=false"]
        return [*found, "--oci-worker-net=host", "--oci-worker-gc=false"]

    with _daemon(words, place) as daemon:
        yield BuildKit("buildctl", f"unix://{daemon.socket}", place, source)


DAEMONS = {"docker": docker_daemon, "buildkit": buildkit_daemon}
PROGRAMS = {"docker": "dockerd", "buildkit": "buildkitd"}


class Daemon:
    """A daemon that can be started again, after it ended by itself: each ``life`` has a directory of its own.

    ``words`` gives the command for a directory; ``last_words`` are those of the one that ended last.
    """

    def __init__(self, words: Callable[[Path], list[str]], place: Path) -> None:
        self._words, self._place = words, place
        self.life, self.last_words = 0, ""
        self._has_given_up = False
        self._start()

    @property
    def socket(self) -> Path:
        return self._root / "socket"

    @property
    def _root(self) -> Path:
        return self._place / str(self.life)

    def _start(self) -> None:
        """Start the daemon; a busy machine may be too slow for it (docker's gives its containerd 15 seconds)."""
        if self._has_given_up:
            raise SystemExit("the daemon did not start again")
        for _ in range(_TRIES):
            self.life += 1
            self._root.mkdir()
            with open(self._root / "log", "wb") as log:
                self._process = subprocess.Popen(self._words(self._root), stdout=log, stderr=log)
            if self._is_up():
                return
            self.stop()
        self._has_given_up = True
        raise SystemExit(f"{self._words(self._root)[0]} does not start here: {self._log()[-600:]}")

    def _is_up(self) -> bool:
        until = time.monotonic() + _PATIENCE
        while self._process.poll() is None and time.monotonic() < until:
            if _answers(self._words(self._root)[0], self._root):
                return True
            time.sleep(0.1)
        return False

    def _log(self) -> str:
        return (self._root / "log").read_text(errors="replace")

    def is_lost(self, life: int, *, seems_so: bool) -> bool:
        """Tell whether the process of ``life`` has ended; one that only seems so is given a moment."""
        for _ in range(20 if seems_so else 1):
            if self.life != life or self._process.poll() is not None:
                return True
            time.sleep(0.1 * seems_so)
        return False

    def restart(self) -> None:
        """Start anew what has ended."""
        status, panic = self._process.wait(), _PANIC.search(self._log())
        self.last_words = panic[0] if panic else f"exit code {status}"
        self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE)


@contextmanager
def _daemon(words: Callable[[Path], list[str]], place: Path) -> Iterator[Daemon]:
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
