"""Mounts what every container has beside its own files: /proc, /sys, /dev, and what hides the host in them.

Runs in the stub. Source: the order and the lists follow moby's default spec (default mounts, masked and read-only
paths).
"""

from __future__ import annotations

import os
import stat

from minidock.runtime import group_mounts, messages, syscalls
from minidock.runtime.mountpoints import MountPoints
from minidock.runtime.nodes import place_nodes
from minidock.runtime.rootfs import through, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.orders import Launch

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


def mount_system(points: MountPoints, launch: Launch) -> int:
    """Mount /proc, /sys and /dev; return a descriptor of the new /dev."""
    proc = points.built_in("proc")
    try:
        syscalls.mount("proc", through(proc), "proc", _PLAIN)
    except PermissionError:
        if "pid" not in launch["shared"]:
            raise
        _bind_host(proc, "/proc")  # the user namespace is not the one that the host's PID namespace belongs to
    os.close(proc)
    mount_sys(points, launch)
    dev = mount_dev(points, launch)
    _set_sysctls(points, launch["sysctls"])
    if not launch["is_unmasked"]:
        _mask(points)
        for path in READ_ONLY:
            _cover_read_only(points, path)
    return dev


def _bind_host(target: int, path: str, attributes: int = 0) -> None:
    """Show a directory of the host, with what is mounted below."""
    tree = syscalls.clone_tree(syscalls.AT_FDCWD, path, is_recursive=True)
    syscalls.mount_setattr(tree, _PLAIN_ATTRIBUTES | attributes, is_recursive=True)
    syscalls.move_mount(tree, target)
    os.close(tree)


def _set_sysctls(points: MountPoints, values: list[tuple[str, str]]) -> None:
    """Set what the namespaces of this process have for themselves. Raises: messages.Failure in the words of runc."""
    for name, value in values:
        path = f"/proc/sys/{name.replace('.', '/')}"
        verb = "open"
        try:
            found = points.find(path)
            with open(through(found), "wb", buffering=0) as file:
                verb = "write"
                file.write(value.encode())
            os.close(found)
        except OSError as error:
            raise messages.Failure("problem", f"{verb} {path}: {(error.strerror or '').lower()}") from None


def mount_sys(points: MountPoints, launch: Launch) -> None:
    """Mount /sys, read-only unless the container is privileged: its own with a network of its own, else the host's."""
    target = points.built_in("sys")
    locked = 0 if launch["is_privileged"] else syscalls.ATTR_RDONLY  # the same number as MS_RDONLY
    if launch["own_network"]:
        syscalls.mount("sysfs", through(target), "sysfs", _PLAIN | locked)
    else:  # a sysfs of one's own needs a network namespace of one's own
        # A recursive bind brings every cgroup mount along, writable, if only its top is made read-only.
        _bind_host(target, "/sys", locked)
    os.close(target)
    if launch["oci"] is None and "cgroup" not in launch["shared"]:
        group_mounts.mount_groups(points, locked)


def mount_dev(points: MountPoints, launch: Launch) -> int:
    """Mount /dev and what is in it; return a descriptor of it."""
    is_single_id = launch["user_namespace"] is not None
    target = points.built_in("dev")
    flags = syscalls.MS_NOSUID | (0 if launch["is_privileged"] else syscalls.MS_NODEV)
    syscalls.mount("tmpfs", through(target), "tmpfs", flags, "mode=755,size=65536k")
    os.close(target)
    dev = points.find("dev")
    for name in ("pts", "mqueue", *(("shm",) if launch["has_shm"] else ())):
        os.mkdir(name, 0o755, dir_fd=dev)
    terminals = "newinstance,ptmxmode=0666,mode=0620" + ("" if is_single_id else ",gid=5")
    base = through(dev)
    syscalls.mount("devpts", f"{base}/pts", "devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, terminals)
    _mount_ipc(dev, launch)
    for name, link in LINKS:
        if name != "core" or os.path.exists(link):  # not every kernel has it
            os.symlink(link, name, dir_fd=dev)
    place_nodes(points, dev, launch)
    if is_single_id:
        # Apt gives itself up to the user _apt and looks whether it did, which a single id cannot; from here it leaves
        # no trace in a layer. (To name root as that user would change whose apt's own directories are.)
        write_file(dev, os.path.basename(APT_CONFIG), b'Debug::NoDropPrivs "true";\n')
    return dev


def _mount_ipc(dev: int, launch: Launch) -> None:
    """Mount shared memory and message queues: those of the IPC namespace, or the host's along with its namespace."""
    if "ipc" in launch["shared"]:
        for name in ("shm", "mqueue"):
            if os.path.isdir(f"/dev/{name}"):
                target = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=dev)
                _bind_host(target, f"/dev/{name}")
                os.close(target)
        return
    if launch["has_shm"]:
        options = f"mode=1777,size={launch['shm_size']}"
        syscalls.mount("shm", f"{through(dev)}/shm", "tmpfs", _PLAIN, options)
    if not launch["oci"]:  # for an OCI runtime makes the namespace
        syscalls.mount("mqueue", f"{through(dev)}/mqueue", "mqueue", _PLAIN)


def _bind(source: int, target: int) -> None:
    tree = syscalls.clone_tree(source)
    syscalls.move_mount(tree, target)
    os.close(tree)


def bind_console(dev: int, terminal: int) -> None:
    """Make /dev/console the terminal of the process."""
    write_file(dev, "console", b"")
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
