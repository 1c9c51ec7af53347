"""Starts one more process inside a running container. Runs in the stub.

The monitor joins the user and PID namespaces only: what holds the mount namespace must end with the container.
"""

from __future__ import annotations

import fcntl
import os

from minidock.runtime import chroot, confinement, execute, guarding, messages, monitor, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from minidock.runtime.orders import Join

_NS_GET_USERNS = 0xB701
_KINDS = (
    ("mnt", syscalls.CLONE_NEWNS),
    ("uts", syscalls.CLONE_NEWUTS),
    ("ipc", syscalls.CLONE_NEWIPC),
    ("net", syscalls.CLONE_NEWNET),
    ("cgroup", syscalls.CLONE_NEWCGROUP),
)


def join(orders: Join) -> int:
    """Start the process, wait for it (or for the end of the container) and return its exit code."""
    container = open_process(orders["pid"], orders["start_ticks"])
    seen = monitor.visible(orders["pid"])
    directory = os.open(f"/proc/{seen}", os.O_PATH | os.O_DIRECTORY)
    if is_shared(directory, "mnt"):
        return chroot.join(orders["process"], directory, container)
    inside = container if seen == orders["pid"] else os.pidfd_open(seen)
    if not is_shared(directory, "pid"):
        return _join(orders, container, directory, inside)
    # What it leaves behind would not end with the container: it ends with the process.
    return guarding.guarded(
        lambda guardian: _join(orders, container, directory, inside, guardian), lambda: None, lambda: None
    )


def _join(orders: Join, container: int, directory: int, inside: int, guardian: int | None = None) -> int:
    """Start the process in the namespaces of a process, given by its ``directory`` and as pidfd, see `join`."""
    kinds = unshared(directory)
    if not orders["is_single_id"]:
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)  # nobody inside may look into this process
    join_owner(directory)
    if guardian is None:
        syscalls.setns(inside, syscalls.CLONE_NEWPID)
    base = os.open(orders["base"], os.O_RDONLY | os.O_DIRECTORY)
    pid, channel = monitor.fork_connected(lambda alive: _run(orders, inside, kinds, alive))
    supervisor = None
    if orders["process"]["records_owners"]:
        from minidock.runtime import ownership

        supervisor = ownership.Supervisor(channel, base, orders["owners"])
    return monitor.watch(pid, container=container, guardian=guardian, supervisor=supervisor)


def open_process(pid: int, start_ticks: int) -> int:
    """Return a pidfd of the process that had this PID at that time. Raises messages.Failure if it has ended."""
    try:
        fd = os.pidfd_open(pid)
        if monitor.start_ticks(pid) == start_ticks:  # compared after opening: now the PID cannot be used again
            return fd
    except (FileNotFoundError, ProcessLookupError):
        pass
    raise messages.Failure("problem", "the container is not running")


def unshared(directory: int) -> int:
    """Return the flags of the namespaces that a process behind ``directory`` has and this one has not.

    What is shared must not be asked for: joining one's own namespace needs a capability.
    """
    return sum(flag for name, flag in _KINDS if not is_shared(directory, name))


def is_shared(directory: int, name: str) -> bool:
    """Whether a process, given by its directory in /proc, is in the same namespace as this one."""
    return os.stat(f"ns/{name}", dir_fd=directory).st_ino == os.stat(f"/proc/self/ns/{name}").st_ino


def join_owner(directory: int) -> None:
    """Join the user namespace that owns the mounts; PID 1 itself may be in one below it (another user than root)."""
    mounts = os.open("ns/mnt", os.O_RDONLY, dir_fd=directory)
    owner = fcntl.ioctl(mounts, _NS_GET_USERNS)
    if os.fstat(owner).st_ino != os.stat("/proc/self/ns/user").st_ino:
        syscalls.setns(owner, syscalls.CLONE_NEWUSER)
    os.close(owner)
    os.close(mounts)


def _run(orders: Join, inside: int, kinds: int, alive: int) -> NoReturn:
    process = orders["process"]
    confinement.join(process["limits"])
    self_fd = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    syscalls.setns(inside, kinds)
    terminal = execute.open_terminal("/dev/pts/ptmx", uid=process["uid"]) if process["has_terminal"] else None
    execute.attach(terminal)
    execute.execute(process, self_fd=self_fd, is_single_id=orders["is_single_id"], alive=alive)
