"""Shows a container the control groups from its own on, where programs read how much memory and time they may use.

Runs in the stub, in a namespace of groups whose top is the container's group. Source: runc, which mounts version 1 the
same way where it has made such a namespace.
"""

from __future__ import annotations

import os

from minidock.runtime import syscalls
from minidock.runtime.rootfs import through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.mountpoints import MountPoints

_TOP = "/sys/fs/cgroup"
_PLAIN = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
# What a tree of version 1 is known by, among other options of its mount.
_CONTROLLERS = frozenset(
    (
        *("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"),
        *("net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc"),
    )
)


def mount_groups(points: MountPoints, locked: int) -> None:
    """Mount the trees of groups in the container's /sys; ``locked`` is MS_RDONLY or 0.

    What the kernel refuses is left out: only the readings of one's own limits are missing then.
    """
    try:
        target = points.find(_TOP)
    except OSError:
        return  # a /sys without groups
    try:
        if os.path.exists(f"{_TOP}/cgroup.controllers"):
            if os.fstat(target).st_dev == os.stat(_TOP).st_dev:  # the kernel mounts no file system right on itself
                syscalls.mount("tmpfs", through(target), "tmpfs", _PLAIN, "mode=755,size=64k")
                os.close(target)
                target = points.find(_TOP)
            syscalls.mount("cgroup2", through(target), "cgroup2", _PLAIN | locked)
        elif trees := _trees():
            syscalls.mount("tmpfs", through(target), "tmpfs", _PLAIN, "mode=755,size=64k")
            _mount_trees(points, trees, locked)
    except OSError:
        pass
    finally:
        os.close(target)


def _trees() -> list[tuple[str, str, str]]:
    """Return the trees of this machine right below the top as (name, file system, options)."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            directory, _, name = before.split(" ")[4].rpartition("/")
            kind, _, options = after.split()
            if directory == _TOP and kind in ("cgroup", "cgroup2"):
                known = [word for word in options.split(",") if word in _CONTROLLERS or word.startswith("name=")]
                found.append((name, kind, ",".join(known)))
    return found


def _mount_trees(points: MountPoints, trees: list[tuple[str, str, str]], locked: int) -> None:
    top = points.find(_TOP)
    for name, kind, options in trees:
        os.mkdir(name, 0o755, dir_fd=top)
        try:
            syscalls.mount(kind, f"{through(top)}/{name}", kind, _PLAIN | locked, options)
        except OSError:
            continue
    for name in os.listdir(_TOP):
        if os.path.islink(f"{_TOP}/{name}"):  # one controller of a tree with several
            os.symlink(os.readlink(f"{_TOP}/{name}"), name, dir_fd=top)
    if locked:
        syscalls.mount_setattr(top, syscalls.ATTR_RDONLY)
    os.close(top)
