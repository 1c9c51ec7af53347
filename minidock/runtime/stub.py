"""The launcher: a fresh, single-threaded process that turns into the monitor of one container process.

The parent starts it (`minidock.runtime.spawn`) with orders on a pipe (`minidock.runtime.messages`)::

    parent ── stub: user, PID, IPC … namespaces ──┬── monitor: waits, ends it with the parent, tidies up, exit code
                                                  └── PID 1: mount namespace, mounts, pivot_root, identity, exec

The monitor stays in the mount namespace of the host: when it has reaped PID 1 everything is unmounted.

What is loaded here is loaded before the root changes; afterwards an import would run code of the image. What only other
verbs than ``start`` need is loaded by `_action`, before anything else. Nothing that is loaded here may use dataclasses,
enum or typing: they double the time to start.
"""

from __future__ import annotations

import _socket
import os
import struct

from minidock.runtime import (
    confinement,
    execute,
    guarding,
    identity,
    loopback,
    messages,
    monitor,
    rootfs,
    syscalls,
    system_mounts,
    volumes,
)
from minidock.runtime.mountpoints import MountPoints, remove_unused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from minidock.runtime.fuse import Server
    from minidock.runtime.mountpoints import Records
    from minidock.runtime.orders import Launch


def wait() -> NoReturn:
    """Wait, with everything loaded, for the descriptors that `main` expects; then do as that."""
    syscalls.close_range(messages.ORDERS_FD + 1)
    channel = _socket.socket(fileno=messages.ORDERS_FD)
    said, control, _, _ = channel.recvmsg(1, _socket.CMSG_SPACE(4 * messages.FIRST_FREE_FD))
    if not said:
        os._exit(0)  # nothing is to be started
    received = struct.unpack(f"{messages.FIRST_FREE_FD}i", control[0][2][: 4 * messages.FIRST_FREE_FD])
    channel.detach()
    first_copy = max(*received, messages.FIRST_FREE_FD) + 1  # a number that stands for two would lose one of them
    for number, fd in enumerate(received):
        os.dup2(fd, first_copy + number)
    for number in range(messages.FIRST_FREE_FD):
        os.dup2(first_copy + number, number)
    main()


def main() -> NoReturn:
    """Carry out the orders and exit with the code of the process."""
    syscalls.close_range(messages.FIRST_FREE_FD)
    os.umask(0o022)
    code = monitor.LAUNCH_FAILED
    try:
        for fd in (messages.ORDERS_FD, messages.STATUS_FD, messages.TERMINAL_FD):
            os.set_inheritable(fd, False)
        verb, orders = messages.receive(messages.ORDERS_FD)
        code = _action(verb)(orders)
    except EOFError:
        pass  # the parent ended before it had said anything
    except BaseException as error:
        monitor.report(error)
    os._exit(code)


def _action(verb: str) -> Callable[[Any], int]:
    """Return what carries out a verb; all that it needs is loaded then."""
    if verb == "join":
        from minidock.runtime import delegate_join, joining

        return lambda orders: delegate_join.join(orders["oci"], orders) if orders["oci"] else joining.join(orders)
    if verb == "try":
        from minidock.runtime import trial

        return trial.run
    if verb == "files":
        from minidock.runtime import files

        return files.run
    return start


def start(launch: Launch) -> int:
    """Start the first process of a container, wait for it, tidy up and return its exit code."""
    if launch["is_chroot"]:
        from minidock.runtime import chroot

        return chroot.start(launch)
    if "pid" in launch["shared"]:
        limits = launch["process"]["limits"]
        tidy, thaw = (lambda: confinement.end(limits)), (lambda: confinement.thaw(limits))
        return guarding.guarded(lambda guardian: _start(launch, guardian), tidy, thaw)
    return _start(launch)


def _start(launch: Launch, guardian: int | None = None) -> int:
    """Start the process in namespaces, see `start`. A ``guardian`` ends what it leaves behind, as does this process."""
    oci = launch["oci"]
    if oci:
        from minidock.runtime import delegate
    limits = launch["process"]["limits"]
    confinement.begin(limits)
    base = os.open(launch["copied"] or launch["upper"], os.O_RDONLY | os.O_DIRECTORY)
    if launch["joins"] is not None:
        from minidock.runtime.network.connection import join_namespace

        join_namespace(*launch["joins"], has_user_namespace=launch["user_namespace"] is not None)
    elif launch["user_namespace"] is not None:
        identity.enter_user_namespace(launch["user_namespace"])
    network = None
    if launch["network"] is not None:
        from minidock.runtime.network.connection import Connection

        network = Connection(launch["network"])  # while this process is still in the host's network
    server = None
    if launch["fuse"]:
        from minidock.runtime import fuse

        server = fuse.server_of(launch)
    syscalls.unshare(_kinds(launch))
    if network is not None:
        messages.send(messages.STATUS_FD, ("ports", network.join()))
    helpers = guarding.children()
    records, records_end = os.pipe()
    supervisor = None
    if oci:
        pid = monitor.fork(lambda alive: delegate.keep(launch, oci, base, records_end, alive, server), is_silent=True)
    else:
        pid, channel = monitor.fork_connected(lambda alive: _run_first(launch, base, records_end, alive, server))
        if launch["process"]["records_owners"]:
            from minidock.runtime import ownership

            supervisor = ownership.Supervisor(channel, base, launch["owners"])
    os.close(records_end)
    if server is not None:
        server.let_go()
    try:
        made: Records = messages.receive(records)
    except EOFError:
        made = ([], [])  # it failed earlier, and has said so to the parent
    relay = None if network is None else network.process
    code = monitor.watch(
        pid,
        container=relay,
        guardian=guardian,
        before_kill=lambda: confinement.thaw(limits),
        supervisor=supervisor,
    )
    if guardian is not None:
        confinement.thaw(limits)
        guarding.end_descendants(helpers)  # a PID namespace would have done it
    confinement.end(limits)
    if network is not None:
        network.end()
    if server is not None:
        server.wait()
    remove_unused(base, made)
    if launch["lowers"] and not launch["copied"]:
        rootfs.clear_work_directory(launch["work"])
    return code


def _kinds(launch: Launch) -> int:
    """Return the namespaces to make before the first process: without those of the host, and of an OCI runtime."""
    shared, is_own = launch["shared"], not launch["oci"]
    return (
        (syscalls.CLONE_NEWIPC if is_own and "ipc" not in shared else 0)
        | (syscalls.CLONE_NEWUTS if is_own and "uts" not in shared else 0)
        | (syscalls.CLONE_NEWPID if "pid" not in shared else 0)
        | (syscalls.CLONE_NEWNET if launch["own_network"] else 0)
    )


def _run_first(launch: Launch, base: int, records_end: int, alive: int, server: Server | None) -> NoReturn:
    """Build the container around this process, PID 1 of its namespace, and become the program."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, syscalls.SIGKILL)
    confinement.join(launch["process"]["limits"])  # before its namespace of groups is made, whose top it shall be
    self_fd = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    syscalls.unshare(syscalls.CLONE_NEWNS | (0 if "cgroup" in launch["shared"] else syscalls.CLONE_NEWCGROUP))
    trees = volumes.open_sources(launch["mounts"])
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    points = MountPoints(rootfs.mount_root(launch, server), base)
    try:
        terminal = _mount_all(points, launch, trees)
    finally:
        messages.send(records_end, points.records)
        os.close(records_end)
    if launch["hostname"]:
        syscalls.sethostname(launch["hostname"])
    if launch["domain"]:
        syscalls.setdomainname(launch["domain"])
    if launch["own_network"]:
        loopback.rise()
    rootfs.enter(points.root, is_read_only=launch["is_read_only"])
    execute.attach(terminal)
    is_single_id = launch["user_namespace"] is not None
    execute.execute(launch["process"], self_fd=self_fd, is_single_id=is_single_id, alive=alive)


def _mount_all(points: MountPoints, launch: Launch, trees: list[int]) -> int | None:
    """Mount everything below the root; return the terminal of the process if it has one."""
    secrets = rootfs.mount_files(points, launch)
    dev = system_mounts.mount_system(points, launch)
    terminal = None
    if launch["process"]["has_terminal"]:
        terminal = execute.open_terminal("pts/ptmx", directory=dev, uid=launch["process"]["uid"])
        system_mounts.bind_console(dev, terminal)
    volumes.mount_volumes(points, launch["mounts"], trees, secrets)
    if launch["is_read_only"] and launch["process"]["make_cwd"]:
        os.close(points.find_or_make(launch["process"]["cwd"], is_directory=True))  # later it could not be made
    return terminal
