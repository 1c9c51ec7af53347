"""Which limits make sense, and how users write them; every refusal in docker's words.

Source: moby, daemon/daemon_unix.go, and docker/cli, opts, as seen from outside.
"""

from __future__ import annotations

import re
from dataclasses import replace

from minidock.core.resources import Resources, Ulimit
from minidock.core.units import parse_size
from minidock.errors import InvalidRequest

LEAST_MEMORY = 6 << 20
_NANO = 10**9
_RATIONAL = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?|[+-]?[0-9]+/[0-9]*[1-9][0-9]*", re.IGNORECASE
)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_MOST = 2**63

# The numbers of setrlimit(2), the same on every architecture but MIPS, SPARC and Alpha.
RLIMITS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}


def parse_cpus(text: str) -> int:
    """Return the thousand-millionths of a processor that ``1.5`` means. Raises: InvalidRequest."""
    if not _RATIONAL.fullmatch(text):
        raise InvalidRequest(f"failed to parse {text} as a rational number")
    from fractions import Fraction  # takes longer to load than all else here, and few need it

    nano = Fraction(text) * _NANO
    if nano.denominator != 1:
        raise InvalidRequest("value is too precise")
    return nano.numerator


def parse_swap(text: str) -> int:
    """Return the bytes of ``--memory-swap``, where -1 means unlimited. Raises: InvalidUnit."""
    return -1 if text == "-1" else parse_size(text)


def parse_ulimit(text: str) -> Ulimit:
    """Return the value of ``NAME=SOFT[:HARD]``. Raises: InvalidRequest."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidRequest(f"invalid ulimit argument: {text}")
    if name not in RLIMITS:
        raise InvalidRequest(f"invalid ulimit type: {name}")
    parts = value.split(":")
    if len(parts) > 2:
        raise InvalidRequest(
            f"too many limit value arguments - {value}, can only have up to two, `soft[:hard]`",
        )
    hard = _ulimit_value(parts[-1])
    soft = _ulimit_value(parts[0])
    if hard != -1 and soft == -1:
        raise InvalidRequest(
            f"ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
        )
    if hard != -1 and soft > hard:
        raise InvalidRequest(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return Ulimit(name, soft, hard)


def _ulimit_value(text: str) -> int:
    if text in ("infinity", "unlimited"):
        return -1
    if not _INTEGER.fullmatch(text):
        raise InvalidRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text)
    if not -_MOST <= value < _MOST:
        raise InvalidRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def parse_cpu_list(text: str) -> frozenset[int]:
    """Return the numbers of a list such as ``0-2,5``. Raises: ValueError."""
    found: set[int] = set()
    for part in text.split(",") if text.strip() else []:
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"invalid format: {text}")
        low, high = int(first), int(last or first)
        if low > high or high > 8191:
            raise ValueError(f"invalid format: {text}")
        found.update(range(low, high + 1))
    return frozenset(found)


def check(resources: Resources, *, processors: int, cpus: str, nodes: str, is_update: bool = False) -> None:
    """Raise InvalidRequest in docker's words if the limits contradict each other or this machine.

    ``processors`` is how many there are; ``cpus`` and ``nodes`` list those that can be used, empty if nobody knows.
    """
    _check_memory(resources, is_update=is_update)
    _check_cpus(resources, processors)
    _check_set(resources.cpuset_cpus, cpus, "cpuset cpus", "CPUs")
    _check_set(resources.cpuset_mems, nodes, "cpuset mems", "memory nodes")
    if resources.blkio_weight and not 10 <= resources.blkio_weight <= 1000:
        raise InvalidRequest("Range of blkio weight is from 10 to 1000")
    if not -1000 <= resources.oom_score_adj <= 1000:
        raise InvalidRequest(f"Invalid value {resources.oom_score_adj}, range for oom score adj is [-1000, 1000]")


def _check_memory(resources: Resources, *, is_update: bool) -> None:
    memory, swap, reservation = resources.memory, resources.memory_swap, resources.memory_reservation
    if memory and memory < LEAST_MEMORY:
        raise InvalidRequest("Minimum memory limit allowed is 6MB")
    if memory and 0 < swap < memory:
        raise InvalidRequest("Minimum memoryswap limit should be larger than memory limit, see usage")
    if not memory and swap > 0 and not is_update:
        raise InvalidRequest("You should always set the Memory limit when using Memoryswap limit, see usage")
    if not -1 <= resources.memory_swappiness <= 100:
        raise InvalidRequest(f"invalid value: {resources.memory_swappiness}. Valid memory swappiness range is 0-100")
    if 0 < reservation < LEAST_MEMORY:
        raise InvalidRequest("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reservation:
        raise InvalidRequest("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_cpus(resources: Resources, processors: int) -> None:
    nano, period, quota = resources.nano_cpus, resources.cpu_period, resources.cpu_quota
    if nano > 0 and period > 0:
        raise InvalidRequest("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if nano > 0 and quota > 0:
        raise InvalidRequest("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if not 0 <= nano <= processors * _NANO:
        raise InvalidRequest(
            f"Range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
        )
    if resources.cpu_shares < 0:
        raise InvalidRequest("shares: invalid argument")
    if period and not 1000 <= period <= 1_000_000:
        raise InvalidRequest("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < quota < 1000:
        raise InvalidRequest("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def _check_set(wanted: str, available: str, kind: str, name: str) -> None:
    try:
        numbers = parse_cpu_list(wanted)
    except ValueError as error:
        raise InvalidRequest(f"Invalid value {wanted} for {kind}: {error}") from error
    if available and not numbers <= parse_cpu_list(available):
        raise InvalidRequest(f"Requested {name} are not available - requested {wanted}, available: {available}")


def updated(before: Resources, changes: Resources) -> Resources:
    """Return the limits with those replaced that ``changes`` gives. Raises: InvalidRequest in docker's words."""
    _check_cpu_kinds(before, changes)
    whole = before.whole_memory
    if 0 < whole < changes.memory and not changes.memory_swap:
        raise InvalidRequest(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    swap = changes.memory_swap or whole
    return replace(
        before,
        memory=changes.memory or before.memory,
        memory_swap=swap,
        memory_reservation=changes.memory_reservation or before.memory_reservation,
        nano_cpus=changes.nano_cpus or before.nano_cpus,
        cpu_quota=changes.cpu_quota or before.cpu_quota,
        cpu_period=changes.cpu_period or before.cpu_period,
        cpu_shares=changes.cpu_shares or before.cpu_shares,
        cpuset_cpus=changes.cpuset_cpus or before.cpuset_cpus,
        cpuset_mems=changes.cpuset_mems or before.cpuset_mems,
        pids=changes.pids or before.pids,
        blkio_weight=changes.blkio_weight or before.blkio_weight,
    )


def _check_cpu_kinds(before: Resources, changes: Resources) -> None:
    for name, new, old in (
        ("CPU Period", changes.cpu_period, before.cpu_period),
        ("CPU Quota", changes.cpu_quota, before.cpu_quota),
    ):
        if changes.nano_cpus > 0 and old > 0:
            raise InvalidRequest(f"Conflicting options: Nano CPUs cannot be updated as {name} has already been set")
        if new > 0 and before.nano_cpus > 0:
            raise InvalidRequest(f"Conflicting options: {name} cannot be updated as NanoCPUs has already been set")
