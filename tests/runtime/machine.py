"""A small root file system made of this machine's own programs, and containers on top of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from minidock.core.process import ProcessSpec, RootFs
from minidock.errors import MinidockError
from minidock.runtime.base import Handle, ProcessIO, Runtime

PROGRAMS = ("sh", "cat", "id", "sleep", "ls", "mkdir", "rm", "touch", "stat", "chown", "chmod", "mknod", "env", "true")
PROGRAMS += ("ln", "mv", "mkfifo")
ENVIRONMENT = ("PATH=/bin", "GREETING=hello")


def make_rootfs(place: Path) -> Path:
    """Make ``place`` a root file system with `PROGRAMS` and the libraries that they load."""
    place.chmod(0o755)
    for name in PROGRAMS:
        program = shutil.which(name, path="/usr/bin:/bin")
        assert program, f"this machine has no {name}"
        _copy(Path(program), place / "bin" / name)
        listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+)", listing):
            _copy(Path(library), place / library.lstrip("/"))
    (place / "etc").mkdir()
    (place / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (place / "tmp").mkdir()
    (place / "tmp").chmod(0o1777)
    return place


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


class Containers:
    """Makes specs whose changes go below ``place``, each with directories of its own, and runs them.

    Their ID, ``name``, is that of no other test that may run at the same time: control groups are called by it.
    """

    def __init__(self, runtime: Runtime, lower: Path, place: Path, *, is_copied: bool) -> None:
        self.runtime = runtime
        self._lower = lower
        self._place = place
        self._is_copied = is_copied
        self._count = 0
        self.name = f"box-{os.getpid()}"

    def place_for(self, name: str) -> Path:
        """Return a new directory beside the root file systems."""
        place = self._place / name
        place.mkdir()
        return place

    def rootfs(self) -> RootFs:
        """Return a fresh root file system."""
        self._count += 1
        place = self._place / str(self._count)
        place.mkdir()
        if self._is_copied:
            shutil.copytree(self._lower, place / "copied", symlinks=True)
            return RootFs(copied=str(place / "copied"))
        for name in ("upper", "work"):
            (place / name).mkdir()
        return RootFs(lowers=(str(self._lower),), upper=str(place / "upper"), work=str(place / "work"))

    def spec(self, *args: str, **fields: Any) -> ProcessSpec:
        """Return a spec for ``args`` on a fresh root file system."""
        spec = ProcessSpec(id=self.name, args=args, env=ENVIRONMENT, rootfs=self.rootfs(), is_build_step=True)
        return replace(spec, **fields)

    def shell(self, script: str, **fields: Any) -> ProcessSpec:
        """Return a spec for a shell script."""
        return self.spec("/bin/sh", "-c", script, **fields)

    def run(self, spec: ProcessSpec, stdin: bytes = b"") -> tuple[int, str]:
        """Run to the end; return the exit code and what the process wrote to its standard output and error."""
        read_end, write_end = os.pipe()
        input_read, input_write = os.pipe()
        try:
            handle = self.runtime.start(spec, ProcessIO(input_read, write_end, write_end))
        except MinidockError:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
            os.close(input_read)
            os.write(input_write, stdin)
            os.close(input_write)
        return finish(handle, read_end)

    def output(self, script: str, **fields: Any) -> str:
        """Run a shell script that must succeed and return its output."""
        code, text = self.run(self.shell(script, **fields))
        assert code == 0, text
        return text


def finish(handle: Handle, read_end: int) -> tuple[int, str]:
    """Read everything, wait, and return the exit code and the text."""
    with os.fdopen(read_end, "rb") as file:
        text = file.read().decode()
    return handle.wait(), text


def changes(spec: ProcessSpec) -> list[str]:
    """Return the paths below the directory that received the changes of a container."""
    upper = Path(spec.rootfs.upper)
    return sorted(str(path.relative_to(upper)) for path in upper.rglob("*"))


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()
