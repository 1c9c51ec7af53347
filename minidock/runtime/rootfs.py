"""Puts together what a container sees as ``/``, in a mount namespace of its own, before `pivot_root`.

Every mount goes onto a descriptor that `MountPoints` found, never onto a path of the image. Runs in the stub.
Source: the order and the lists follow moby's default spec (default mounts, masked and read-only paths).
"""

from __future__ import annotations

import os
import stat

from minidock.runtime import syscalls
from minidock.runtime.mountpoints import MountPoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.fuse import Server
    from minidock.runtime.launch import Launch

NODES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
LINKS = (
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
)
MASKED = (
    *("proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats"),
    *("proc/sched_debug", "proc/scsi", "proc/timer_list", "proc/timer_stats"),
    *("sys/firmware", "sys/devices/virtual/powercap"),
)
PROCESSORS = "sys/devices/system/cpu"
READ_ONLY = ("proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger")
APT_CONFIG = "/dev/.apt.conf"

_PLAIN = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
_PLAIN_ATTRIBUTES = syscalls.ATTR_NOSUID | syscalls.ATTR_NODEV | syscalls.ATTR_NOEXEC


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
    )


def stack_layers(
    target: str, lowers: list[str], upper: str, work: str, *, is_user_namespace: bool, is_volatile: bool
) -> None:
    """Mount directories as one on ``target``.

    The options name descriptors, relative to /proc/self/fd: short (one page of options must do), nothing to escape.
    """
    opened = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (upper, work, *lowers)]
    os.chdir("/proc/self/fd")
    options = f"lowerdir={':'.join(map(str, opened[2:]))},upperdir={opened[0]},workdir={opened[1]}"
    mount_overlay(target, options, is_user_namespace=is_user_namespace, is_volatile=is_volatile)
    os.chdir("/")
    for fd in opened:
        os.close(fd)


def mount_overlay(target: str, layers: str, *, is_user_namespace: bool, is_volatile: bool) -> None:
    """Mount an overlay on ``target``. Everything that distributions choose differently is said explicitly.

    Without ``userxattr`` a mount in a user namespace succeeds and fails later with EIO.
    """
    options = f"{layers},redirect_dir=nofollow,metacopy=off,index=off"
    if is_user_namespace:
        options += ",userxattr"
    if is_volatile:
        options += ",volatile"
    syscalls.mount("overlay", target, "overlay", syscalls.MS_NODEV, options)


def clear_work_directory(path: str) -> None:
    """Remove what overlayfs leaves in a work directory: it has mode 000, and a plain user could not remove it."""
    os.chmod(path, 0o700)
    for entry in list(os.scandir(path)):
        if entry.is_dir(follow_symlinks=False):
            clear_work_directory(entry.path)
            os.rmdir(entry.path)
        else:
            os.unlink(entry.path)


def mount_system(points: MountPoints, launch: Launch) -> int:
    """Mount /proc, /sys and /dev; return a descriptor of the new /dev."""
    is_single_id = launch["user_namespace"] is not None
    proc = points.built_in("proc")
    syscalls.mount("proc", through(proc), "proc", _PLAIN)
    mount_sys(points, own_network=launch["own_network"])
    dev = mount_dev(points, is_single_id=is_single_id, shm_size=launch["shm_size"])
    if not launch["is_privileged"]:
        _mask(points)
        for path in READ_ONLY:
            _cover_read_only(points, path)
    os.close(proc)
    return dev


def mount_sys(points: MountPoints, *, own_network: bool) -> None:
    """Mount /sys read-only: one of its own with a network of its own, else the host's."""
    target = points.built_in("sys")
    if own_network:
        syscalls.mount("sysfs", through(target), "sysfs", _PLAIN | syscalls.MS_RDONLY)
        _mount_cgroup(points)
    else:  # a sysfs of one's own needs a network namespace of one's own
        tree = syscalls.clone_tree(syscalls.AT_FDCWD, "/sys", is_recursive=True)
        # A recursive bind brings every cgroup mount along, writable, if only its top is made read-only.
        syscalls.mount_setattr(tree, _PLAIN_ATTRIBUTES | syscalls.ATTR_RDONLY, is_recursive=True)
        syscalls.move_mount(tree, target)
        os.close(tree)
    os.close(target)


def _mount_cgroup(points: MountPoints) -> None:
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return  # version 1: nothing that a container could read without the host's hierarchy
    fd = points.find("sys/fs/cgroup")
    try:
        syscalls.mount("cgroup2", through(fd), "cgroup2", _PLAIN | syscalls.MS_RDONLY)
    except OSError:
        pass  # only the readings of one's own limits are missing then
    finally:
        os.close(fd)


def mount_dev(points: MountPoints, *, is_single_id: bool, shm_size: int, has_queues: bool = True) -> int:
    """Mount /dev and what is in it; return a descriptor of it. Message queues are those of the IPC namespace."""
    target = points.built_in("dev")
    syscalls.mount("tmpfs", through(target), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=65536k")
    os.close(target)
    dev = points.find("dev")
    _place_nodes(points, dev, is_single_id=is_single_id)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(name, 0o755, dir_fd=dev)
    terminals = "newinstance,ptmxmode=0666,mode=0620" + ("" if is_single_id else ",gid=5")
    base = through(dev)
    syscalls.mount("devpts", f"{base}/pts", "devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, terminals)
    syscalls.mount("tmpfs", f"{base}/shm", "tmpfs", _PLAIN, f"mode=1777,size={shm_size}")
    if has_queues:
        syscalls.mount("mqueue", f"{base}/mqueue", "mqueue", _PLAIN)
    for name, link in LINKS:
        os.symlink(link, name, dir_fd=dev)
    if is_single_id:
        # Apt gives itself up to the user _apt and looks whether it did, which a single id cannot; from here it leaves
        # no trace in a layer. (To name root as that user would change whose apt's own directories are.)
        _write(dev, os.path.basename(APT_CONFIG), b'Debug::NoDropPrivs "true";\n')
    return dev


def _place_nodes(points: MountPoints, dev: int, *, is_single_id: bool) -> None:
    """Put the devices of every container into its /dev, where nodes that it makes itself do not work.

    They are its own: root may change their mode or owner, and must not change the host's. They live on a file system
    that is mounted only while they are made. Who may not make any gets the host's, whose attributes are read-only.
    """
    trees = [] if is_single_id else _made_nodes(points)
    if not trees:
        trees = [(name, tree) for name, *numbers in NODES if (tree := _host_node(name, os.makedev(*numbers))) >= 0]
    for name, tree in trees:
        _write(dev, name, b"")
        target = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=dev)
        syscalls.move_mount(tree, target)
        os.close(target)
        os.close(tree)


def _made_nodes(points: MountPoints) -> list[tuple[str, int]]:
    """Return new device nodes, as (name, detached mount); none without the privilege."""
    place = points.find("dev")
    syscalls.mount("tmpfs", through(place), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, "mode=755,size=64k")
    os.close(place)
    store = points.find("dev")
    trees = []
    try:
        for name, major, minor in NODES:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=store)
            os.chmod(name, 0o666, dir_fd=store)
            trees.append((name, syscalls.clone_tree(store, name)))
    except PermissionError:
        trees.clear()
    finally:
        syscalls.umount(through(store), syscalls.MNT_DETACH)
        os.close(store)
    return trees


def _host_node(name: str, device: int) -> int:
    """Return a detached mount of the host's node if it is the right device, else -1."""
    try:
        source = os.open(f"/dev/{name}", os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError:
        return -1
    info = os.fstat(source)
    tree = -1
    if stat.S_ISCHR(info.st_mode) and info.st_rdev == device:
        tree = syscalls.clone_tree(source)
        syscalls.mount_setattr(tree, syscalls.ATTR_RDONLY)
    os.close(source)
    return tree


def _write(directory: int, name: str, content: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
    os.write(fd, content)
    os.close(fd)


def _bind(source: int, target: int) -> None:
    tree = syscalls.clone_tree(source)
    syscalls.move_mount(tree, target)
    os.close(tree)


def bind_console(dev: int, terminal: int) -> None:
    """Make /dev/console the terminal of the process."""
    _write(dev, "console", b"")
    target = os.open("console", os.O_PATH | os.O_NOFOLLOW, dir_fd=dev)
    _bind(terminal, target)
    os.close(target)


def _mask(points: MountPoints) -> None:
    """Cover what tells about the host: files with /dev/null, directories with an empty read-only one."""
    null = points.find("dev/null")
    for path in masked():
        try:
            target = points.find(path)
        except OSError:
            continue  # this kernel does not have it
        if stat.S_ISDIR(os.fstat(target).st_mode):
            syscalls.mount("tmpfs", through(target), "tmpfs", _PLAIN | syscalls.MS_RDONLY, "mode=755,size=0")
        else:
            _bind(null, target)
        os.close(target)
    os.close(null)


def masked() -> list[str]:
    """Return what is to be covered on this machine, relative to the root: `MASKED` and what heat every processor has.

    Source: moby, which hides the readings of power and heat since they tell what others compute.
    """
    try:
        names = sorted(os.listdir(f"/{PROCESSORS}"))
    except OSError:
        names = []
    found = [f"{PROCESSORS}/{name}/thermal_throttle" for name in names if name[:3] == "cpu" and name[3:].isdigit()]
    return [*MASKED, *(path for path in found if os.path.exists(f"/{path}"))]


def _cover_read_only(points: MountPoints, path: str) -> None:
    try:
        target = points.find(path)
    except OSError:
        return
    tree = syscalls.clone_tree(target, is_recursive=True)
    syscalls.mount_setattr(tree, _PLAIN_ATTRIBUTES | syscalls.ATTR_RDONLY, is_recursive=True)
    syscalls.move_mount(tree, target)
    os.close(tree)
    os.close(target)


def mount_files(points: MountPoints, launch: Launch) -> list[tuple[str, int]]:
    """Put files of our own over /etc/resolv.conf, /etc/hosts and /etc/hostname, gone with the container.

    They can be written unless the root file system cannot.
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
        _write(store, str(number), content)
        trees.append((path, _clone_plain(store, str(number), is_read_only=launch["is_read_only"])))
    secrets = []
    for number, (path, content, mode, uid, gid) in enumerate(launch["secrets"]):
        name = f"secret{number}"
        _write(store, name, content)
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
