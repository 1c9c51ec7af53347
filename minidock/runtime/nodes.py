"""Puts devices into a container: those that every one has, and those of the host that it is given. Runs in the stub."""

from __future__ import annotations

import os
import stat

from minidock.runtime import syscalls
from minidock.runtime.mountpoints import MountPoints
from minidock.runtime.rootfs import through, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.orders import Launch

NODES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))


def place_nodes(points: MountPoints, dev: int, launch: Launch) -> None:
    """Put the devices of every container, and those asked for, in place; nodes that it makes itself do not work.

    They are its own: root may change their mode or owner, and must not change the host's. They live on a file system
    that is mounted only while they are made. Who may not make any gets the host's, whose attributes are read-only.
    """
    wanted = [(f"/dev/{name}", f"/dev/{name}", os.makedev(*numbers)) for name, *numbers in NODES]
    given = {target: (source, target, os.stat(source).st_rdev) for source, target in launch["devices"]}
    wanted = [*(node for node in wanted if node[1] not in given), *given.values()]
    trees = [] if launch["is_user_namespace"] else _made_nodes(points, wanted)
    for path, tree in trees or _host_nodes(wanted):
        directory, _, name = path.rpartition("/")
        if directory == "/dev":
            write_file(dev, name, b"")
            target = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=dev)
        else:
            target = points.find_or_make(path, is_directory=False)
        syscalls.move_mount(tree, target)
        os.close(target)
        os.close(tree)


def _made_nodes(points: MountPoints, wanted: list[tuple[str, str, int]]) -> list[tuple[str, int]]:
    """Return new device nodes like those of the host, as (path, detached mount); none without the privilege."""
    place = points.find("dev")
    syscalls.mount("tmpfs", through(place), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, "mode=755,size=1m")
    os.close(place)
    store = points.find("dev")
    trees = []
    try:
        for number, (source, path, device) in enumerate(wanted):
            mode, uid, gid = _attributes(source, device)
            os.mknod(str(number), mode, device, dir_fd=store)
            os.chown(str(number), uid, gid, dir_fd=store)
            os.chmod(str(number), stat.S_IMODE(mode), dir_fd=store)
            trees.append((path, syscalls.clone_tree(store, str(number))))
    except PermissionError:
        trees.clear()
    finally:
        syscalls.umount(through(store), syscalls.MNT_DETACH)
        os.close(store)
    return trees


def _attributes(source: str, device: int) -> tuple[int, int, int]:
    """Return mode, owner and group of a node: those of the host's, if it is the same device."""
    try:
        info = os.stat(source)
    except FileNotFoundError:
        info = None
    if info is not None and info.st_rdev == device and (stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode)):
        return info.st_mode, info.st_uid, info.st_gid
    return stat.S_IFCHR | 0o666, 0, 0


def _host_nodes(wanted: list[tuple[str, str, int]]) -> list[tuple[str, int]]:
    """Return the host's own nodes, as (path, detached mount); those that are something else there are left out."""
    found = [(path, _host_node(source, device)) for source, path, device in wanted]
    return [(path, tree) for path, tree in found if tree >= 0]


def _host_node(source: str, device: int) -> int:
    """Return a detached mount of a node if it is the right device, else -1."""
    try:
        node = os.open(source, os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError:
        return -1
    info = os.fstat(node)
    tree = -1
    if (stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode)) and info.st_rdev == device:
        tree = syscalls.clone_tree(node)
        syscalls.mount_setattr(tree, syscalls.ATTR_RDONLY)
    os.close(node)
    return tree
