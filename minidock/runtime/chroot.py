"""Runs a process with a changed root directory and nothing else, where namespaces are refused. Runs in the stub.

The root file system is a private copy. Nothing can be mounted on it: /etc/resolv.conf and /etc/hosts are written
into it and the usual device nodes made, and everything is put back when the process has ended, so that it does not
show as a change (all but the ctime, which cannot be set).
"""

from __future__ import annotations

import os
import stat

from minidock.runtime import confinement, execute, guarding, monitor
from minidock.runtime.mountpoints import MountPoints, remove_unused
from minidock.runtime.nodes import NODES
from minidock.runtime.rootfs import through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from minidock.runtime.orders import Launch, Process

    # What a file held before, its times, and what was put there.
    Placed = tuple[str, bytes, tuple[int, int], bytes]

_WRITTEN = ("/etc/resolv.conf", "/etc/hosts")  # a host name is not written: it could not be set either


def start(launch: Launch) -> int:
    """Start the process, wait for it, end all its descendants, put the files back; return its exit code."""
    limits = launch["process"]["limits"]
    confinement.begin(limits)
    root = os.open(launch["copied"], os.O_RDONLY | os.O_DIRECTORY)
    points = MountPoints(root, root)
    placed: list[Placed] = []
    nodes: list[str] = []

    def tidy() -> None:
        confinement.end(limits)
        _remove_nodes(points, nodes)
        for entry in reversed(placed):
            _put_back(points, entry)
        remove_unused(root, points.records)

    try:
        for path, content in launch["files"]:
            if path in _WRITTEN:
                placed.append(_place(points, path, content))
        nodes += _make_nodes(points)
    except BaseException:
        tidy()
        raise
    return _guarded(lambda alive: _run(launch["process"], root, alive), tidy, lambda: confinement.thaw(limits))


def join(process: Process, directory: int, container: int) -> int:
    """Start one more process with the root directory of the process behind ``directory`` (in /proc)."""
    root = os.open("root", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
    return _guarded(lambda alive: _run(process, root, alive), lambda: None, lambda: None, container=container)


def _guarded(
    run: Callable[[int], NoReturn], tidy: Callable[[], None], thaw: Callable[[], None], *, container: int | None = None
) -> int:
    """Start a process, and end with it what it leaves behind; see `guarding.guarded`."""

    def work(guardian: int) -> int:
        return monitor.watch(monitor.fork(run), container=container, guardian=guardian, before_kill=thaw)

    return guarding.guarded(work, tidy, thaw)


def _run(process: Process, root: int, alive: int) -> NoReturn:
    confinement.join(process["limits"])
    self_fd = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    terminal = execute.open_terminal("/dev/ptmx", uid=process["uid"]) if process["has_terminal"] else None
    os.fchdir(root)
    os.chroot(".")
    os.chdir("/")
    execute.attach(terminal)
    execute.execute(process, self_fd=self_fd, is_single_id=False, alive=alive)


def _place(points: MountPoints, path: str, content: bytes) -> Placed:
    target = points.find_or_make(path, is_directory=False)
    info = os.fstat(target)
    before = _read(target)
    _rewrite(target, content)
    os.close(target)
    return path, before, (info.st_atime_ns, info.st_mtime_ns), content


def _put_back(points: MountPoints, placed: Placed) -> None:
    path, before, times, content = placed
    try:
        target = points.find(path)
    except OSError:
        return  # the process removed it
    try:
        if stat.S_ISREG(os.fstat(target).st_mode) and _read(target) == content:
            _rewrite(target, before)
            os.utime(through(target), ns=times)
    finally:
        os.close(target)


def _read(fd: int) -> bytes:
    with open(through(fd), "rb") as file:
        return file.read()


def _rewrite(fd: int, content: bytes) -> None:
    with open(through(fd), "wb") as file:
        file.write(content)


def _make_nodes(points: MountPoints) -> list[str]:
    """Make the device nodes that are missing and return their names; none where that is not allowed."""
    dev = points.built_in("dev")
    info = os.fstat(dev)
    made = []
    for name, major, minor in NODES:
        try:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=dev)
        except FileExistsError:
            continue
        except OSError:
            # No CAP_MKNOD: the process has to do without, but no shell starts anything in the background without this.
            if name == "null":
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=dev))
                os.chmod(name, 0o666, dir_fd=dev)
                made.append(name)
            break
        os.chmod(name, 0o666, dir_fd=dev)
        made.append(name)
    os.utime(through(dev), ns=(info.st_atime_ns, info.st_mtime_ns))
    os.close(dev)
    return made


def _remove_nodes(points: MountPoints, names: list[str]) -> None:
    if not names:
        return
    try:
        dev = points.built_in("dev")
    except OSError:
        return  # the process put something else in its place
    info = os.fstat(dev)
    for name in names:
        try:
            mode = os.stat(name, dir_fd=dev, follow_symlinks=False).st_mode
            if stat.S_ISCHR(mode) or (name == "null" and stat.S_ISREG(mode)):
                os.unlink(name, dir_fd=dev)
        except FileNotFoundError:
            pass  # the process removed it
    os.utime(through(dev), ns=(info.st_atime_ns, info.st_mtime_ns))
    os.close(dev)
