"""Control groups as rules: where they are, what their files hold. Nothing here reads or writes a file.

Version 1 has a tree for every controller (or several of them), version 2 one tree for all; a hybrid has both, and a
controller is in one of them. Source: kernel, Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst; `man 7 cgroups`.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from minidock.core.resources import Resources

MEMORY, CPU, CPUSET, PIDS, BLKIO, FREEZER, CPUACCT = "memory", "cpu", "cpuset", "pids", "blkio", "freezer", "cpuacct"
_V1_CONTROLLERS = frozenset({MEMORY, CPU, CPUSET, PIDS, BLKIO, FREEZER, CPUACCT})
V2_NAMES = {BLKIO: "io"}
LEAST_SHARES, MOST_SHARES = 2, 262_144  # cpu.shares that the kernel takes
_OCTAL = re.compile(r"\\([0-7]{3})")

# One write: the file and what goes into it, in the order in which they must be made.
Writes = tuple[tuple[str, str], ...]


class Tree(NamedTuple):  # not a dataclass: loading this module is part of every start
    """A tree of groups: the directory of its visible top, and the group of a process as a path below it.

    ``own`` is ``/`` if the process is in the top group, and None if its group is outside of what is mounted.
    """

    top: str
    own: str | None

    @property
    def own_directory(self) -> str | None:
        """The directory of the process's own group."""
        return None if self.own is None else posixpath.normpath(f"{self.top}/{self.own}")


class Trees(NamedTuple):
    """The trees of a machine as one process sees them; ``unified`` is that of version 2."""

    legacy: Mapping[str, Tree] = MappingProxyType({})
    unified: Tree | None = None


def parse_trees(mountinfo: str, membership: str) -> Trees:
    """Return the trees that /proc/PID/mountinfo and /proc/PID/cgroup tell of; lines that make no sense are skipped."""
    own = _memberships(membership)
    legacy: dict[str, Tree] = {}
    unified: Tree | None = None
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(kind) < 3:
            continue
        root, top = _plain(fields[3]), _plain(fields[4])
        if kind[0] == "cgroup2":
            # A later mount on the same place hides an earlier one; of several places the first is the usual one.
            unified = unified or Tree(top, _below(root, own.get("")))
        elif kind[0] == "cgroup":
            for controller in _V1_CONTROLLERS.intersection(kind[2].split(",")):
                legacy.setdefault(controller, Tree(top, _below(root, own.get(controller))))
    return Trees(legacy, unified)


def _memberships(text: str) -> dict[str, str]:
    """Return the path of a process's group by controller; that of version 2 under the empty name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon or not path.startswith("/"):
            continue
        if number == "0" and not controllers:
            found[""] = path
        for controller in controllers.split(",") if controllers else []:
            found[controller] = path
    return found


def _below(root: str, path: str | None) -> str | None:
    """Return ``path`` as seen from a mount whose top is ``root``."""
    if path is None or ".." in path.split("/") or ".." in root.split("/"):
        return None  # a group outside of the cgroup namespace is shown as /../..
    if root == "/":
        return path
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :] or "/"
    # In a container that has the host's /proc/self/cgroup path cut off by a namespace, its top is its own group.
    return "/" if path == "/" else None


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def wanted_controllers(resources: Resources) -> frozenset[str]:
    """Return the controllers (by their names in version 1) that it takes to keep the limits."""
    wanted = {
        MEMORY: resources.memory
        or resources.memory_swap
        or resources.memory_reservation
        or resources.memory_swappiness >= 0
        or resources.is_oom_kill_disabled,
        CPU: resources.quota != (0, 0) or resources.cpu_shares,
        CPUSET: resources.cpuset_cpus or resources.cpuset_mems,
        PIDS: resources.pids > 0,
        BLKIO: resources.blkio_weight,
    }
    return frozenset(name for name, value in wanted.items() if value)


def legacy_writes(controller: str, resources: Resources) -> Writes:
    """Return the writes that put the limits of one controller into a group of version 1."""
    writes: list[tuple[str, int | str]] = []
    if controller == MEMORY:
        if resources.memory:
            writes.append(("memory.limit_in_bytes", resources.memory))
            writes.append(("memory.memsw.limit_in_bytes", resources.whole_memory))
        if resources.memory_reservation:
            writes.append(("memory.soft_limit_in_bytes", resources.memory_reservation))
        if resources.memory_swappiness >= 0:
            writes.append(("memory.swappiness", resources.memory_swappiness))
        if resources.is_oom_kill_disabled:
            writes.append(("memory.oom_control", 1))
    elif controller == CPU:
        quota, period = resources.quota
        writes += [("cpu.cfs_period_us", period)] if period else []
        writes += [("cpu.cfs_quota_us", quota)] if quota else []
        writes += [("cpu.shares", clamped_shares(resources.cpu_shares))] if resources.cpu_shares else []
    elif controller == CPUSET:
        writes += [("cpuset.cpus", resources.cpuset_cpus)] if resources.cpuset_cpus else []
        writes += [("cpuset.mems", resources.cpuset_mems)] if resources.cpuset_mems else []
    elif controller == PIDS and resources.pids:
        writes.append(("pids.max", _or_max(resources.pids)))
    elif controller == BLKIO and resources.blkio_weight:
        writes.append(("blkio.weight", resources.blkio_weight))
    return tuple((name, str(value)) for name, value in writes)


def unified_writes(controller: str, resources: Resources) -> Writes:
    """Return the writes that put the limits of one controller (named as in version 1) into a group of version 2."""
    writes: list[tuple[str, int | str]] = []
    if controller == MEMORY:
        if resources.memory:
            writes.append(("memory.max", resources.memory))
            whole = resources.whole_memory
            writes.append(("memory.swap.max", "max" if whole < 0 else whole - resources.memory))
        if resources.memory_reservation:
            writes.append(("memory.low", resources.memory_reservation))
    elif controller == CPU:
        quota, period = resources.quota
        writes += [("cpu.max", f"{_or_max(quota)} {period}")] if period else []
        writes += [("cpu.weight", weight_of_shares(resources.cpu_shares))] if resources.cpu_shares else []
    elif controller == CPUSET:
        writes += [("cpuset.cpus", resources.cpuset_cpus)] if resources.cpuset_cpus else []
        writes += [("cpuset.mems", resources.cpuset_mems)] if resources.cpuset_mems else []
    elif controller == PIDS and resources.pids:
        writes.append(("pids.max", _or_max(resources.pids)))
    elif controller == BLKIO and resources.blkio_weight:
        writes.append(("io.weight", f"default {weight_of_blkio(resources.blkio_weight)}"))
    return tuple((name, str(value)) for name, value in writes)


def _or_max(value: int) -> str:
    return str(value) if value > 0 else "max"


def clamped_shares(shares: int) -> int:
    """Return the nearest weight that the kernel takes."""
    return min(max(shares, LEAST_SHARES), MOST_SHARES)


def weight_of_shares(shares: int) -> int:
    """Return the cpu.weight (1 to 10000) for cpu.shares (2 to 262144), such that 1024 becomes 100.

    Source: runc 1.3.2 and crun 1.24, whose curve goes through (2, 1), (1024, 100) and (262144, 10000).
    """
    if shares <= LEAST_SHARES:
        return 1
    if shares >= MOST_SHARES:
        return 10_000
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def weight_of_blkio(weight: int) -> int:
    """Return the io.weight (1 to 10000) for a blkio weight (10 to 1000). Source: runc and crun."""
    return 1 + (weight - 10) * 9999 // 990


def inexact(resources: Resources, *, is_unified: bool) -> tuple[str, ...]:
    """Return the options whose effect a version of the memory controller does not have."""
    if not is_unified:
        return ()
    named = (
        ("--memory-swappiness", resources.memory_swappiness >= 0),
        ("--oom-kill-disable", resources.is_oom_kill_disabled),
    )
    return tuple(name for name, is_asked in named if is_asked)
