"""Mounts what the user asks for: directories and files of the host, and file systems in memory. Runs in the stub.

Sources are opened while the mounts of this namespace are still copies of the host's: later there would be nothing left
to receive from, or to pass on to, for those that want that (bind propagation). They are put in place last.
"""

from __future__ import annotations

import os
import stat

from minidock.runtime import messages, syscalls
from minidock.runtime.rootfs import stack_layers, through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.mountpoints import MountPoints
    from minidock.runtime.orders import MountOrders, OverlayOrders

# What lxcfs and the like give a container of its own; everything else in /proc is the kernel's word about it.
_REPLACEABLE = ("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo")
_WRONG_KIND = (
    "not a directory: Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)


def open_sources(mounts: list[MountOrders]) -> list[int]:
    """Return a detached mount for each bind, with its attributes, and -1 for each tmpfs and overlay.

    An overlay is mounted later: now it would spread to the host.
    """
    return [-1 if mount["is_tmpfs"] or mount["overlay"] else _open_source(mount) for mount in mounts]


def _open_overlay(mount: MountOrders, overlay: OverlayOrders) -> int:
    """Return a detached mount of (a part of) an overlay."""
    place, is_user_namespace = mount["source"], overlay["is_user_namespace"]
    parts = (overlay["lowers"], overlay["upper"], overlay["work"])
    stack_layers(place, *parts, is_user_namespace=is_user_namespace, is_volatile=True)
    tree = _open_source(mount)
    syscalls.umount(place, syscalls.MNT_DETACH)
    return tree


def _open_source(mount: MountOrders) -> int:
    source, is_recursive = mount["source"], mount["is_recursive"]
    try:
        if mount["subpath"]:
            tree = _clone_part(mount)
        else:
            tree = syscalls.clone_tree(syscalls.AT_FDCWD, source, is_recursive=is_recursive)
    except FileNotFoundError:
        reason = f'invalid mount config for type "bind": bind source path does not exist: {source}'
        raise messages.Failure("problem", reason) from None
    is_below = is_recursive and mount["is_propagation_recursive"]
    syscalls.mount_setattr(tree, 0, is_recursive=is_below, propagation=mount["propagation"])
    syscalls.mount_setattr(tree, syscalls.ATTR_NODEV, is_recursive=is_recursive)
    if mount["is_read_only"]:
        is_below = is_recursive and mount["is_read_only_below"]
        syscalls.mount_setattr(tree, syscalls.ATTR_RDONLY, is_recursive=is_below)
    return tree


def _clone_part(mount: MountOrders) -> int:
    """Clone ``subpath`` of a volume; a link in it that leads out of the volume leads nowhere."""
    base = os.open(mount["source"], os.O_PATH | os.O_DIRECTORY)
    resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
    try:
        part = syscalls.openat2(base, mount["subpath"], os.O_PATH, resolve)
    except OSError as error:
        text = f"cannot access path {mount['source']}/{mount['subpath']}: {(error.strerror or '').lower()}"
        raise messages.Failure("problem", text) from None
    finally:
        os.close(base)
    tree = syscalls.clone_tree(part, is_recursive=mount["is_recursive"])
    os.close(part)
    return tree


def mount_volumes(
    points: MountPoints, mounts: list[MountOrders], trees: list[int], secrets: list[tuple[str, int]]
) -> None:
    """Put every mount in its place, those near the root first, device nodes in them disabled.

    ``secrets`` are (target, detached mount of a file).
    """
    together: list[tuple[str, MountOrders | None, int]] = [
        (mount["target"], mount, tree) for mount, tree in zip(mounts, trees, strict=True)
    ]
    together += [(target, None, tree) for target, tree in secrets]
    for target, mount, tree in sorted(together, key=lambda item: item[0].rstrip("/").count("/")):
        if mount is None:
            _place(points, "a secret", target, tree)
        elif mount["is_tmpfs"]:
            _mount_tmpfs(points, mount)
        elif mount["overlay"]:
            _place(points, mount["source"], target, _open_overlay(mount, mount["overlay"]))
        else:
            _place(points, mount["source"], target, tree)


def _place(points: MountPoints, source: str, target: str, tree: int) -> None:
    is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    try:
        place = points.find_or_make(target, is_directory=is_directory)
    except OSError as error:
        reason = f'error mounting "{source}" to rootfs at "{target}": {(error.strerror or "").lower()}'
        raise messages.Failure("problem", reason) from None
    _check_not_in_proc(points, source, target, place)
    if stat.S_ISDIR(os.fstat(place).st_mode) != is_directory:
        reason = f'error mounting "{source}" to rootfs at "{target}": {_WRONG_KIND}'
        raise messages.Failure("problem", reason)
    syscalls.move_mount(tree, place)
    os.close(tree)
    os.close(place)


def _mount_tmpfs(points: MountPoints, mount: MountOrders) -> None:
    """Mount an empty file system; it has the mode of the directory that it hides, if there was one."""
    target = mount["target"]
    mode = None
    try:
        place = points.find(target)
        mode = stat.S_IMODE(os.fstat(place).st_mode)
    except FileNotFoundError:
        place = points.find_or_make(target, is_directory=True)
    _check_not_in_proc(points, mount["source"], target, place)
    try:
        # Writable until it has its mode.
        flags = mount["flags"] & ~syscalls.MS_RDONLY
        syscalls.mount("tmpfs", through(place), "tmpfs", flags, mount["data"])
    except OSError as error:
        reason = f'error mounting "tmpfs" to rootfs at "{target}": {(error.strerror or "").lower()}'
        raise messages.Failure("problem", f"{reason} (options: {mount['data']})") from None
    os.close(place)
    top = points.find(target)
    if mode is not None:
        os.chmod(through(top), mode)
    if mount["flags"] & syscalls.MS_RDONLY:
        syscalls.mount_setattr(top, syscalls.ATTR_RDONLY)
    os.close(top)


def _check_not_in_proc(points: MountPoints, source: str, target: str, place: int) -> None:
    try:
        proc = points.find("proc")
    except OSError:
        return
    device = os.fstat(proc).st_dev
    os.close(proc)
    if device == os.fstat(points.root).st_dev:
        return  # nothing is mounted there: files are only looked at
    is_inside = os.fstat(place).st_dev == device
    if is_inside and target not in [f"/proc/{name}" for name in _REPLACEABLE]:
        reason = f'"{target}" cannot be mounted because it is inside /proc'
        raise messages.Failure("problem", f'error mounting "{source}": {reason}')
