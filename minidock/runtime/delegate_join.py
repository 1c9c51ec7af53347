"""Has an OCI runtime start one more process in a container that `delegate` keeps. Runs in the stub."""

from __future__ import annotations

import os
import select

from minidock.runtime import confinement, joining, messages, monitor, oci_calls, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from minidock.runtime.orders import Join, Limits, Oci


def join(oci: Oci, orders: Join) -> int:
    """Have the runtime start one more process in the container, wait for it and return its exit code."""
    container = joining.open_process(orders["pid"], orders["start_ticks"])
    keeper_pid = int(monitor.stat_fields(orders["pid"])[1])  # as long as it is a child, its parent lives
    keeper = os.pidfd_open(keeper_pid)
    directory = os.open(f"/proc/{keeper_pid}", os.O_PATH | os.O_DIRECTORY)
    kinds = joining.unshared(directory)
    host = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    bundle = os.open("cwd", os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
    joining.join_owner(directory)
    syscalls.setns(keeper, syscalls.CLONE_NEWPID)
    ending, held = os.pipe()
    limits = orders["process"]["limits"]
    pid = monitor.fork(
        lambda alive: _run_joined(oci, limits, (keeper, kinds), (host, bundle), (ending, held)), is_silent=True
    )
    os.close(ending)
    return _watch(pid, container, held)


def _watch(pid: int, container: int, held: int) -> int:
    """Wait for a child; have it end its process when the parent or the container is gone."""
    child = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(child, select.POLLIN)
    poll.register(container, select.POLLIN)
    poll.register(messages.ORDERS_FD, 0)  # a hang-up is always reported
    poll.poll()
    os.close(held)
    return monitor.exit_code(os.waitpid(pid, 0)[1])


def _run_joined(
    oci: Oci, limits: Limits, keeper: tuple[int, int], places: tuple[int, int], ending: tuple[int, int]
) -> NoReturn:
    os.close(ending[1])
    confinement.join(limits)  # with the runtime in the groups too: its process runs as soon as it is made
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    syscalls.setns(*keeper)
    os.fchdir(places[1])
    # A directory for what belongs to this process: several may join at the same time.
    os.mkdir(str(os.getpid()), 0o700)
    prefix = f"{os.getpid()}/"
    for name, content in oci["files"]:
        oci_calls.write(prefix + name, content)
    words = ["exec", "--detach", "--process", f"{prefix}process.json"]
    pid = oci_calls.create(oci, words, prefix)
    oci_calls.announce(places[0], pid)
    oci_calls.detach_streams()
    os.close(messages.STATUS_FD)
    _wait_or_kill(pid, ending[0])
    code = oci_calls.reap(pid)
    _remove(prefix)
    os._exit(code)


def _wait_or_kill(pid: int, ending: int) -> None:
    """Wait until a child has ended, or nobody holds the other end of ``ending``: then it is killed."""
    child = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(child, select.POLLIN)
    poll.register(ending, 0)
    if child not in [fd for fd, _ in poll.poll()]:
        os.kill(pid, syscalls.SIGKILL)


def _remove(directory: str) -> None:
    for name in os.listdir(directory):
        os.unlink(f"{directory}{name}")
    os.rmdir(directory)
