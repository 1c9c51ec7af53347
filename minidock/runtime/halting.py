"""The processes of a running container as the host sees them: which they are, halting them, letting them go on.

Works for whatever has started the container: everything is found through the first process and the kernel.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterable

from minidock.core import cgroups as rules
from minidock.core.resources import Resources
from minidock.errors import RuntimeProblem
from minidock.runtime import cgroup_files
from minidock.runtime.base import Started
from minidock.runtime.cgroups import Cgroups
from minidock.runtime.monitor import stat_fields, visible

_NS_GET_PARENT = 0xB702
_PASSES = 100
_PAUSE = 0.01
_HALTED = "TtZX"


def processes_of(started: Started) -> tuple[int, ...]:
    """Return the PIDs of a container's processes, its first one included, in ascending order; empty if it has ended.

    Those are the processes of its PID namespace and of the namespaces below; without one of its own, its descendants.
    """
    own = _namespace("self")
    namespace = _namespace(visible(started.pid))
    if namespace is None or not _is_same(started):
        return ()
    if namespace == own:
        return _descendants(started.pid)
    inside: dict[int | None, bool] = {namespace: True, own: False, None: False}
    found = []
    for pid in _all_processes():
        one = _namespace(pid)
        if one not in inside:
            inside[one] = _is_below(pid, namespace)
        if inside[one] or pid == started.pid:  # which may hide its namespaces
            found.append(pid)
    return tuple(found)


def _is_same(started: Started) -> bool:
    try:
        return int(stat_fields(started.pid)[19]) == started.start_ticks
    except (FileNotFoundError, ProcessLookupError):
        return False


def _all_processes() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def _namespace(pid: int | str) -> int | None:
    """Return the inode of a process's PID namespace; None if it has ended or is none of our business."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return None


def _is_below(pid: int, namespace: int) -> bool:
    """Whether the PID namespace of a process is one that was made inside of ``namespace``."""
    try:
        fd = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    while True:
        try:
            parent = fcntl.ioctl(fd, _NS_GET_PARENT)
        except OSError:
            return False  # above the caller's own
        finally:
            os.close(fd)
        fd = parent
        if os.fstat(fd).st_ino == namespace:
            os.close(fd)
            return True


def _descendants(first: int) -> tuple[int, ...]:
    children: dict[int, list[int]] = {}
    for pid in _all_processes():
        try:
            children.setdefault(int(stat_fields(pid)[1]), []).append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    found, rest = set[int](), [first]
    while rest:
        pid = rest.pop()
        if pid not in found:
            found.add(pid)
            rest += children.get(pid, [])
    return tuple(sorted(found))


def pause(groups: Cgroups, started: Started, name: str) -> None:
    """Halt every process of a container: its group is frozen (and made, if need be), or each is stopped by a signal.

    Raises: RuntimeProblem if that does not succeed; then everything goes on.
    """
    try:
        if _enter_freezer(groups, started, name) and cgroup_files.freeze(groups.of(started.pid), is_frozen=True):
            _wait_until_frozen(groups, started)
            return
        _stop_each(started)
    except OSError as error:
        resume(groups, started)
        raise RuntimeProblem(f"cannot pause: {error.filename}: {(error.strerror or '').lower()}") from error


def _enter_freezer(groups: Cgroups, started: Started, name: str) -> bool:
    """Put all processes into a group that can be frozen; False if there is none for this user."""
    if rules.FREEZER in groups.of(started.pid):
        return True
    made = groups.make(name, Resources(), also=(rules.FREEZER,))
    return bool(made) and gather(made, started)


def gather(directories: Iterable[str], started: Started) -> bool:
    """Move all processes of a container into groups, those too that are born meanwhile; False if that is refused."""
    for directory in directories:
        for _ in range(_PASSES):
            inside = {int(pid) for pid in cgroup_files.read(f"{directory}/cgroup.procs").split()}
            outside = [pid for pid in processes_of(started) if pid not in inside and not _is_zombie(pid)]
            if not outside:
                break
            try:
                cgroup_files.move(directory, outside)
            except PermissionError:
                return False
    return True


def _is_zombie(pid: int) -> bool:
    try:
        return stat_fields(pid)[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _wait_until_frozen(groups: Cgroups, started: Started) -> None:
    """Wait until all is frozen; a process in the middle of a system call may take its time."""
    for _ in range(_PASSES * 10):
        if cgroup_files.is_frozen(groups.of(started.pid)):
            return
        time.sleep(_PAUSE)
    resume(groups, started)
    raise RuntimeProblem("cannot pause: a process does not come to a halt")


def _stop_each(started: Started) -> None:
    """Stop every process; over again until a whole pass has found none that runs: stopped ones have no children."""
    for _ in range(_PASSES):
        moving = [pid for pid in processes_of(started) if not _is_halted(pid)]
        if not moving:
            return
        _signal_each(moving, signal.SIGSTOP)
        time.sleep(_PAUSE if _ else 0)
    _signal_each(processes_of(started), signal.SIGCONT)
    raise RuntimeProblem("cannot pause: a process does not come to a halt")


def _is_halted(pid: int) -> bool:
    """Whether all threads of a process have stopped."""
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0].decode() not in _HALTED:
                    return False
    except (FileNotFoundError, ProcessLookupError):
        return True
    return True


def _signal_each(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def resume(groups: Cgroups, started: Started) -> None:
    """Let the processes of a container go on. Raises: RuntimeProblem."""
    try:
        if not cgroup_files.freeze(groups.of(started.pid), is_frozen=False):
            _signal_each(processes_of(started), signal.SIGCONT)
    except OSError as error:
        raise RuntimeProblem(f"cannot unpause: {error.filename}: {(error.strerror or '').lower()}") from error
