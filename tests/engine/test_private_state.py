"""What lies in a store is its user's alone, whatever the umask and whoever may enter the directory above it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.engine.workspace import open_workspace
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import import_base
from tests.engine.machine_image import machine_tar
from tests.engine.test_lifecycle import Machine

TREES = {"upper", "fs", "_data", "work"}  # below are files of containers, with modes of their own


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if NativeRuntime().probe(str(tmp_path)).isolation is not Isolation.NAMESPACES:
        pytest.skip("no process can be started here")
    umask = os.umask(0)
    root = tmp_path / "store"
    root.mkdir(0o755)
    import_base(open_workspace(str(root)), machine_tar())
    machine = Machine(root)
    yield machine
    machine.call("rm", "-f", *machine.run("ps", "-aq").split())
    os.umask(umask)


def modes(root: Path) -> Iterator[tuple[Path, int]]:
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if name not in TREES]
        for name in (*names, *files):
            path = Path(directory, name)
            yield path, path.lstat().st_mode


def test_nobody_else_reaches_the_state_and_the_sockets_of_containers(machine: Machine) -> None:
    machine.run("network", "create", "mine")
    words = ("--network", "mine", "-v", "vol:/v", "--health-cmd", "true", "base:1", "sleep", "1000")
    machine.run("run", "-d", "--name", "box", *words)
    machine.run("exec", "-d", "box", "sleep", "1000")
    found = list(modes(machine.root))
    sockets = [path.name for path, mode in found if stat.S_ISSOCK(mode)]
    assert len(sockets) == 4  # two of the network's, the relay's, the monitor's
    for path, mode in found:
        if stat.S_ISDIR(mode):
            assert stat.S_IMODE(mode) == 0o700, path
        elif stat.S_ISSOCK(mode):
            assert stat.S_IMODE(mode) == 0o600, path
        else:
            assert not mode & 0o022, path
    named = [line for line in Path("/proc/net/unix").read_text().splitlines() if "minidock" in line and " @" in line]
    assert named == []  # an abstract socket is open to everybody
