"""What a container uses, from its control groups where it has them, and from /proc where it has not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from minidock.core import cgroups as rules
from minidock.core.stats import Sample
from minidock.errors import RuntimeProblem
from minidock.runtime.base import Started
from minidock.runtime.cgroup_files import read
from minidock.runtime.monitor import stat_fields, visible

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
_NO_LIMIT = 1 << 62
_UTIME, _THREADS = 11, 17  # of `stat_fields`; four times in a row from the first on: its own and its children's


def sample(groups: Mapping[str, str], started: Started, pids: Sequence[int]) -> Sample:
    """Return what the processes ``pids`` of a container use. Raises: RuntimeProblem if there are none any more."""
    if not pids:
        raise RuntimeProblem("the container is not running")
    received, sent = _network(visible(started.pid))
    read_size, written = _blocks(groups, pids)
    memory, limit = _memory(groups, pids)
    return Sample(
        cpu_time=_cpu_time(groups, pids),
        machine_time=_machine_time(),
        processors=os.cpu_count() or 1,
        memory=memory,
        memory_limit=limit,
        received=received,
        sent=sent,
        read=read_size,
        written=written,
        pids=sum(_each(pids, lambda pid: int(stat_fields(pid)[_THREADS]))),
    )


def _each(pids: Sequence[int], value: Callable[[int], int]) -> list[int]:
    """Return a value of every process, but for those that have ended or do not tell."""
    found = []
    for pid in pids:
        try:
            found.append(value(pid))
        except (OSError, ValueError, IndexError):
            continue
    return found


def _machine_time() -> float:
    """Return the seconds that have passed on all processors together, idle or not; guests are part of user time."""
    with open("/proc/stat", encoding="ascii") as file:
        return sum(int(field) for field in file.readline().split()[1:9]) / _TICKS


def _cpu_time(groups: Mapping[str, str], pids: Sequence[int]) -> float:
    directory = groups.get(rules.CPUACCT)
    if directory is not None:
        return int(read(f"{directory}/cpuacct.usage")) / 10**9
    stat = _table(groups.get(rules.CPU), "cpu.stat")
    if "usage_usec" in stat:
        return stat["usage_usec"] / 10**6

    def ticks(pid: int) -> int:
        return sum(int(field) for field in stat_fields(pid)[_UTIME : _UTIME + 4])

    return sum(_each(pids, ticks)) / _TICKS


def _table(directory: str | None, name: str) -> dict[str, int]:
    """Return the lines ``NAME NUMBER`` of a group's file; none if there is no such file."""
    if directory is None:
        return {}
    try:
        lines = read(f"{directory}/{name}").splitlines()
    except OSError:
        return {}
    return {fields[0]: int(fields[1]) for fields in map(str.split, lines) if len(fields) == 2 and fields[1].isdecimal()}


def _memory(groups: Mapping[str, str], pids: Sequence[int]) -> tuple[int, int]:
    """Return what is used and what there is."""
    total = _memory_of_machine()
    directory = groups.get(rules.MEMORY)
    table = _table(directory, "memory.stat")
    for usage, limit, droppable in (
        ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
        ("memory.current", "memory.max", "inactive_file"),
    ):
        if directory is not None and os.path.exists(f"{directory}/{usage}"):
            used = int(read(f"{directory}/{usage}"))
            most = read(f"{directory}/{limit}").strip()
            inactive = table.get(droppable, 0)
            allowed = int(most) if most.isdecimal() else _NO_LIMIT
            return used - inactive if inactive < used else used, min(total, allowed)
    return sum(_each(pids, _proportional)), total


def _memory_of_machine() -> int:
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _proportional(pid: int) -> int:
    """Return a process's memory, shared pages divided by those who share them; all it has where that is not told."""
    try:
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not ours, or no such file in this kernel
    return int(read(f"/proc/{pid}/statm").split()[1]) * _PAGE_SIZE


def _network(pid: int) -> tuple[int, int]:
    """Return the bytes that came and went over a container's own interfaces; none on the host's network."""
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            return 0, 0
        lines = read(f"/proc/{pid}/net/dev").splitlines()[2:]
    except OSError:
        return 0, 0
    counted = [line.partition(":")[2].split() for line in lines if line.partition(":")[0].strip() != "lo"]
    return sum(int(fields[0]) for fields in counted), sum(int(fields[8]) for fields in counted)


def _blocks(groups: Mapping[str, str], pids: Sequence[int]) -> tuple[int, int]:
    """Return the bytes read from and written to disks."""
    directory = groups.get(rules.BLKIO)
    if directory is not None:
        try:
            return _operations(read(f"{directory}/blkio.throttle.io_service_bytes_recursive"))
        except OSError:
            pass  # version 2
        try:
            return _unified_operations(read(f"{directory}/io.stat"))
        except OSError:
            pass  # a kernel that does not count them
    return sum(_each(pids, _counter("read_bytes"))), sum(_each(pids, _counter("write_bytes")))


def _operations(text: str) -> tuple[int, int]:
    lines = [fields for fields in map(str.split, text.splitlines()) if len(fields) == 3]
    return (
        sum(int(size) for _, operation, size in lines if operation == "Read"),
        sum(int(size) for _, operation, size in lines if operation == "Write"),
    )


def _unified_operations(text: str) -> tuple[int, int]:
    pairs = [word.partition("=") for line in text.splitlines() for word in line.split()[1:]]
    return (
        sum(int(value) for name, _, value in pairs if name == "rbytes"),
        sum(int(value) for name, _, value in pairs if name == "wbytes"),
    )


def _counter(name: str) -> Callable[[int], int]:
    def value(pid: int) -> int:
        for line in read(f"/proc/{pid}/io").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        return 0

    return value
