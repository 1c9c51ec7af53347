"""Puts together what a container sees as ``/``, in a mount namespace of its own, before `pivot_root`.

Every mount goes onto a descriptor that `MountPoints` found, never onto a path of the image. Runs in the stub.
What is mounted into it are `system_mounts`.
"""

from __future__ import annotations

import os

from minidock.runtime import syscalls
from minidock.runtime.mountpoints import MountPoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.fuse import Server
    from minidock.runtime.orders import Launch


def through(fd: int) -> str:
    """Return a path that leads to exactly what a descriptor holds, for calls that take paths only."""
    return f"/proc/self/fd/{fd}"


def mount_root(launch: Launch, server: Server | None = None) -> int:
    """Mount the root file system and return a descriptor of it; ``server`` stands in for overlayfs."""
    if launch["copied"]:
        place = launch["copied"]
        syscalls.mount(place, place, flags=syscalls.MS_BIND | syscalls.MS_REC)
    elif server is not None:
        place = launch["upper"]
        server.mount(place)
    else:
        place = launch["upper"]
        _mount_overlay(launch)
    root = os.open(place, os.O_PATH | os.O_DIRECTORY)
    if not launch["is_privileged"]:
        syscalls.mount_setattr(root, syscalls.ATTR_NODEV, is_recursive=True)
    return root


def _mount_overlay(launch: Launch) -> None:
    """Mount the layers onto the upper directory."""
    place = launch["upper"]
    if not launch["lowers"]:
        syscalls.mount(place, place, flags=syscalls.MS_BIND | syscalls.MS_REC)
        return
    stack_layers(
        place,
        launch["lowers"],
        place,
        launch["work"],
        is_user_namespace=launch["is_user_namespace"],
        is_volatile=launch["is_volatile"],
        has_devices=launch["is_privileged"],
    )


def stack_layers(
    target: str,
    lowers: list[str],
    upper: str,
    work: str,
    *,
    is_user_namespace: bool,
    is_volatile: bool,
    has_devices: bool = False,
) -> None:
    """Mount directories as one on ``target``.

    The options name descriptors, relative to /proc/self/fd: short (one page of options must do), nothing to escape.
    """
    opened = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (upper, work, *lowers)]
    os.chdir("/proc/self/fd")
    options = f"lowerdir={':'.join(map(str, opened[2:]))},upperdir={opened[0]},workdir={opened[1]}"
    mount_overlay(
        target, options, is_user_namespace=is_user_namespace, is_volatile=is_volatile, has_devices=has_devices
    )
    os.chdir("/")
    for fd in opened:
        os.close(fd)


def mount_overlay(
    target: str, layers: str, *, is_user_namespace: bool, is_volatile: bool, has_devices: bool = False
) -> None:
    """Mount an overlay on ``target``. Everything that distributions choose differently is said explicitly.

    Without ``userxattr`` a mount in a user namespace succeeds and fails later with EIO.
    """
    options = f"{layers},redirect_dir=nofollow,metacopy=off,index=off"
    if is_user_namespace:
        options += ",userxattr"
    if is_volatile:
        options += ",volatile"
    syscalls.mount("overlay", target, "overlay", 0 if has_devices else syscalls.MS_NODEV, options)


def clear_work_directory(path: str) -> None:
    """Remove what overlayfs leaves in a work directory: it has mode 000, and a plain user could not remove it."""
    os.chmod(path, 0o700)
    for entry in list(os.scandir(path)):
        if entry.is_dir(follow_symlinks=False):
            clear_work_directory(entry.path)
            os.rmdir(entry.path)
        else:
            os.unlink(entry.path)


def write_file(directory: int, name: str, content: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
    os.write(fd, content)
    os.close(fd)


def mount_files(points: MountPoints, launch: Launch) -> list[tuple[str, int]]:
    """Put files of our own over /etc/resolv.conf, /etc/hosts and /etc/hostname, gone with the container.

    A container can write them unless its root file system cannot be written; a build step cannot: it would be lost.
    They live on a tmpfs that is mounted only while they are written: the binds keep it. Secrets live there too; they
    come back as (target, detached mount), to be put in place along with the volumes.
    """
    place = points.built_in("dev")
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", through(place), "tmpfs", flags, "mode=755,size=65536k")
    os.close(place)
    store = points.find("dev")
    trees = []
    for number, (path, content) in enumerate(launch["files"]):
        write_file(store, str(number), content)
        trees.append((path, _clone_plain(store, str(number), is_read_only=launch["has_fixed_files"])))
    secrets = []
    for number, (path, content, mode, uid, gid) in enumerate(launch["secrets"]):
        name = f"secret{number}"
        write_file(store, name, content)
        _give(store, name, mode, uid, gid)
        secrets.append((path, syscalls.clone_tree(store, name) if mode & 0o111 else _clone_plain(store, name)))
    syscalls.umount(through(store), syscalls.MNT_DETACH)
    os.close(store)
    for path, tree in trees:
        target = points.find_or_make(path, is_directory=False)
        syscalls.move_mount(tree, target)
        os.close(target)
        os.close(tree)
    return secrets


def _clone_plain(directory: int, name: str, *, is_read_only: bool = False) -> int:
    tree = syscalls.clone_tree(directory, name)
    syscalls.mount_setattr(tree, syscalls.ATTR_NOEXEC | (syscalls.ATTR_RDONLY if is_read_only else 0))
    return tree


def _give(directory: int, name: str, mode: int, uid: int, gid: int) -> None:
    try:
        os.chown(name, uid, gid, dir_fd=directory)
    except OSError:
        pass  # with a single id there is one owner, whoever the process is
    os.chmod(name, mode, dir_fd=directory)


def enter(root: int, *, is_read_only: bool) -> None:
    """Make the mount ``root`` the only root of this process; nothing of the host's is left in the namespace."""
    if is_read_only:
        syscalls.mount_setattr(root, syscalls.ATTR_RDONLY)
    os.fchdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")
