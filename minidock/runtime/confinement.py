"""Keeps a process within its limits: control groups that it joins, and what is set on the process itself.

Runs in the stub. The groups have been made by the parent (`minidock.runtime.cgroups`); the monitor of the container
removes them, after a look at whether the kernel had to kill something for want of memory.
"""

from __future__ import annotations

import errno
import os
import time

from minidock.runtime import messages, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.orders import Limits

_TRIES = 200
_PAUSE = 0.005


def join(limits: Limits) -> None:
    """Move this process into the groups, then as `settle`; whatever it starts is in them too."""
    for directory in limits["groups"]:
        try:
            with open(f"{directory}/cgroup.procs", "w") as file:
                file.write("0")
        except PermissionError:
            # Version 2: a plain user cannot move from a session's group into one that systemd has delegated to him.
            reason = f"the control group {directory} cannot be entered from this session"
            raise messages.Failure("problem", f"{reason}: try systemd-run --user --scope minidock …") from None
    settle(limits)


def open_groups(limits: Limits) -> list[int]:
    """Return descriptors of the groups, for `adopt` where their files cannot be seen any more."""
    return [os.open(f"{directory}/cgroup.procs", os.O_WRONLY) for directory in limits["groups"]]


def adopt(groups: list[int], pid: int) -> None:
    """Move a process, by its PID in the namespace of this one, into groups; closes their descriptors."""
    for fd in groups:
        os.write(fd, str(pid).encode())
        os.close(fd)


def settle(limits: Limits) -> None:
    """Set what children inherit; called while /proc is the host's."""
    if limits["oom_score_adj"] is not None:
        _write_score(limits["oom_score_adj"])
    if limits["cpus"]:
        os.sched_setaffinity(0, limits["cpus"])
    if limits["nice"]:
        os.setpriority(os.PRIO_PROCESS, 0, limits["nice"])


def raise_limits(limits: Limits) -> None:
    """Set the resource limits above one's own, while there may be a privilege to do so."""
    _set_rlimits(limits, is_raised=True)


def tighten(limits: Limits, pid: int = 0) -> None:
    """Set the other resource limits, just before this program, which might not survive them, is replaced."""
    _set_rlimits(limits, is_raised=False, pid=pid)


def _set_rlimits(limits: Limits, *, is_raised: bool, pid: int = 0) -> None:
    """Set those that are (not) raised. Raises OSError, in docker's words, if that is refused."""
    for number, soft, hard, is_above in limits["rlimits"]:
        if is_above is not is_raised:
            continue
        try:
            syscalls.set_rlimit(number, soft, hard, pid)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), f"error setting rlimit type {number}") from None


def _write_score(score: int) -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(score))
    except PermissionError:
        pass  # a lower score than one's own needs CAP_SYS_RESOURCE; the parent has warned


def thaw(limits: Limits) -> None:
    """Let frozen processes go on: in version 1 not even SIGKILL would end them."""
    for directory in limits["possible"]:
        for name, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            try:
                with open(f"{directory}/{name}", "r+") as file:
                    file.write(value)
            except OSError:
                continue  # another controller's, or never made


def begin(limits: Limits) -> None:
    """Forget what is known about an earlier run of the same container."""
    if limits["oom_marker"]:
        try:
            os.unlink(limits["oom_marker"])
        except FileNotFoundError:
            pass


def end(limits: Limits) -> None:
    """Remove the groups of a container that has ended; leave a mark if it was killed for want of memory."""
    directories = limits["possible"]
    if limits["oom_marker"] and any(_has_killed(directory) for directory in directories):
        try:
            os.close(os.open(limits["oom_marker"], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError:
            pass  # no space, or the container is being removed: its exit code tells enough
    for directory in directories:
        _remove(directory)


def _has_killed(directory: str) -> bool:
    for name in ("memory.oom_control", "memory.events"):
        try:
            with open(f"{directory}/{name}") as file:
                counts = dict(line.split()[:2] for line in file)
        except OSError:
            continue
        if counts.get("oom_kill", "0") != "0":
            return True
    return False


def _remove(directory: str) -> None:
    """Remove a group, and the one above it with the last; what ended a moment ago may still be counted in it."""
    for _ in range(_TRIES):
        try:
            os.rmdir(directory)
        except OSError as error:
            if error.errno != errno.EBUSY:
                return  # it was never made, or is gone
            _remove_below(directory)
            time.sleep(_PAUSE)
            continue
        break
    try:
        os.rmdir(os.path.dirname(directory))
    except OSError:
        pass  # other containers have their groups there


def _remove_below(directory: str) -> None:
    """Remove the groups that the container has made in its own (a privileged one can)."""
    for place, _, _ in os.walk(directory, topdown=False):
        if place != directory:
            try:
                os.rmdir(place)
            except OSError:
                continue  # the next time
