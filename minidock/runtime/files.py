"""Reads and writes files of a container as it sees them, mounts included, whether it runs or not. Runs in the stub.

A running container is entered through its root directory in /proc. For one that does not run the root file system and
its volumes are mounted in a namespace of this process. The root itself is never changed to, so nothing of the image is
ever executed or loaded; paths are resolved by the kernel inside the root.

First ``("found", members)`` or a problem is told; then the stream passes over the standard input or output.
"""

from __future__ import annotations

import os
import posixpath
import stat

from minidock.runtime import fuse, identity, joining, messages, monitor, rootfs, syscalls, volumes
from minidock.runtime.mountpoints import MountPoints, remove_unused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from minidock.runtime.orders import Files, Launch

_RESOLVE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


def run(orders: Files) -> int:
    """Carry out the orders and return the exit code."""
    if orders["launch"] is None:
        return _guarded(lambda: _work(orders, _root_of_running(orders)))
    launch = orders["launch"]
    if launch["is_chroot"]:
        return _guarded(lambda: _work(orders, os.open(launch["copied"], os.O_PATH | os.O_DIRECTORY)))
    base = os.open(launch["copied"] or launch["upper"], os.O_RDONLY | os.O_DIRECTORY)
    if launch["user_namespace"] is not None:
        identity.enter_user_namespace(launch["user_namespace"])
    server = fuse.server_of(launch)
    records, records_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(_guarded(lambda: _mounted(orders, launch, base, records_end, server)))
    os.close(records_end)
    if server is not None:
        server.let_go()
    try:
        made = messages.receive(records)
    except EOFError:
        made = ([], [])
    code = monitor.exit_code(os.waitpid(pid, 0)[1])
    if server is not None:
        server.wait()
    remove_unused(base, made)
    if launch["lowers"] and not launch["copied"]:
        rootfs.clear_work_directory(launch["work"])
    return code


def _guarded(action: Callable[[], None]) -> int:
    """Run ``action``; what goes wrong is told on the status descriptor, or on stderr once the stream has begun."""
    try:
        action()
    except BaseException as error:
        problem = str(error) if not isinstance(error, OSError) else f"{error.filename or ''}: {error.strerror}"
        try:
            monitor.report(error)
        finally:
            os.write(2, problem.encode("utf-8", "surrogateescape"))
        return monitor.LAUNCH_FAILED
    return 0


def _root_of_running(orders: Files) -> int:
    container = joining.open_process(orders["pid"], orders["start_ticks"])
    directory = os.open(f"/proc/{monitor.visible(orders['pid'])}", os.O_PATH | os.O_DIRECTORY)
    if not joining.is_shared(directory, "mnt"):
        joining.join_owner(directory)
    root = os.open("root", os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
    os.close(container)
    return root


def _mounted(orders: Files, launch: Launch, base: int, records_end: int, server: fuse.Server | None) -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, syscalls.SIGKILL)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    trees = volumes.open_sources(launch["mounts"])
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    points = MountPoints(rootfs.mount_root(launch, server), base)
    try:
        volumes.mount_volumes(points, launch["mounts"], trees, [])
    finally:
        messages.send(records_end, points.records)
    _work(orders, points.root)


def _work(orders: Files, root: int) -> None:
    if orders["is_read"]:
        _read(orders, root)
    else:
        _write(orders, root)


def _tell(**members: object) -> None:
    messages.send(messages.STATUS_FD, ("found", members))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, messages.STATUS_FD)
    os.close(null)


def _find(root: int, path: str, *, follows: bool) -> int:
    flags = os.O_PATH | (0 if follows else os.O_NOFOLLOW)
    return syscalls.openat2(root, path, flags, _RESOLVE)


def _missing(path: str) -> NoReturn:
    raise messages.Failure("not-found", path)


def _read(orders: Files, root: int) -> None:
    """Send what is at a path."""
    path, follows = orders["path"], orders["follows"]
    normal = posixpath.normpath("/" + path.lstrip("/"))
    says_directory = path.endswith(("/", "/.")) or normal == "/"
    try:
        found = _find(root, normal, follows=follows or says_directory)
    except (FileNotFoundError, NotADirectoryError):
        _missing(normal)
    is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
    if says_directory and not is_directory:
        raise messages.Failure("problem", f"{path}: not a directory")
    from minidock.runtime.archive import Packer

    real = _target(root, normal) if follows else normal
    _tell(is_directory=is_directory, name=posixpath.basename(real) or "/", size=os.fstat(found).st_size)
    with os.fdopen(1, "wb") as stream:
        packer = Packer(stream, is_single_id=orders["is_single_id"], hidden=_devices_of_kernel(root))
        packer.pack(found)
        packer.close()


def _devices_of_kernel(root: int) -> list[int]:
    """Return the devices of /proc, /sys and /dev where they are mounted: what is there is not the container's."""
    own = os.fstat(root).st_dev
    devices = []
    for name in ("proc", "sys", "dev"):
        try:
            found = _find(root, name, follows=False)
        except OSError:
            continue
        devices.append(os.fstat(found).st_dev)
        os.close(found)
    return [device for device in devices if device != own]


def _write(orders: Files, root: int) -> None:
    """Receive a stream; the parent is told what is at the path and answers with where the stream goes."""
    path = posixpath.normpath("/" + orders["path"].lstrip("/"))
    exists, is_directory = True, False
    try:
        found = _find(root, path, follows=True)
        is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        exists = False
    from minidock.runtime.archive import Unpacker, below

    messages.send(messages.STATUS_FD, ("found", {"exists": exists, "is_directory": is_directory}))
    try:
        directory, name, keeps_owners = messages.receive(messages.ORDERS_FD)
    except EOFError:
        return  # it cannot be done
    if exists and name and not is_directory:
        path = _target(root, path)
        directory, name = posixpath.dirname(path), posixpath.basename(path)
    try:
        target = _find(root, directory, follows=True)
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            _missing(directory)
    except (FileNotFoundError, NotADirectoryError):
        _missing(directory)
    _check_writable(orders, root, target)
    _tell()
    resolve = below(root, _RESOLVE)
    unpacker = Unpacker(
        name,
        lambda way: resolve(posixpath.join(directory, way)),
        keeps_owners=keeps_owners,
        is_single_id=orders["is_single_id"],
    )
    with os.fdopen(0, "rb") as stream:
        unpacker.unpack(stream)


def _target(root: int, path: str) -> str:
    """Return where the links at ``path`` lead: the file there is what is replaced, not the link."""
    for _ in range(40):
        try:
            found = _find(root, path, follows=False)
        except FileNotFoundError:
            return path
        if not stat.S_ISLNK(os.fstat(found).st_mode):
            return path
        path = posixpath.join(posixpath.dirname(path), os.readlink("", dir_fd=found))
    return path


def _check_writable(orders: Files, root: int, target: int) -> None:
    is_root = _mount_of(target) == _mount_of(root)
    # One that does not run is mounted for this only, and could be written.
    launch = orders["launch"]
    is_closed = is_root and launch is not None and launch["is_read_only"]
    if is_closed or os.fstatvfs(target).f_flag & os.ST_RDONLY:
        what = "container rootfs" if is_root else "mounted volume"
        raise messages.Failure("problem", f"{what} is marked read-only")


def _mount_of(fd: int) -> bytes:
    """Return what tells the mount of a descriptor from others; file systems may be mounted several times."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        return next(line for line in file if line.startswith(b"mnt_id:"))
