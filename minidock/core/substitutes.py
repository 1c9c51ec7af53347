"""What comes nearest to a limit where no control group can be used: it holds for every process by itself, mostly."""

from __future__ import annotations

import math
from collections.abc import Collection

from minidock.core import cgroups
from minidock.core.dataclass import dataclass
from minidock.core.limit_rules import RLIMITS, parse_cpu_list
from minidock.core.resources import Resources

_MOST_NICE = 19
_WEIGHT_STEP = 1.25  # what one step of nice changes a process's share by
_USUAL_SHARES = 1024


@dataclass(frozen=True, slots=True)
class Substitutes:
    """What every process is given before it starts.

    ``rlimits`` are (number, soft, hard); ``cpus`` the processors that it may run on, empty for all; ``shortcomings``
    say, one phrase for each, what is not kept as it was asked for.
    """

    rlimits: tuple[tuple[int, int, int], ...] = ()
    cpus: tuple[int, ...] = ()
    nice: int = 0
    shortcomings: tuple[str, ...] = ()


def substitutes(
    resources: Resources, kept: Collection[str], *, processors: Collection[int], counts_processes: bool
) -> Substitutes:
    """Return what replaces the controllers that are not ``kept``.

    ``processors`` are those that the process could run on; ``counts_processes`` says that the kernel counts the
    processes of the container by themselves (a user namespace of a plain user), so that their number can be limited.
    """
    missing = cgroups.wanted_controllers(resources) - set(kept)
    phrases: list[str] = []
    rlimits: list[tuple[int, int, int]] = []
    if cgroups.MEMORY in missing:
        phrases += _memory(resources, rlimits)
    if cgroups.PIDS in missing:
        if counts_processes:
            # The launcher is in the same user namespace, and counts.
            rlimits.append((RLIMITS["nproc"], resources.pids + 1, resources.pids + 1))
            phrases.append("--pids-limit counts an exec twice")
        else:
            phrases.append("--pids-limit has no effect")
    cpus, nice = tuple[int, ...](), 0
    if cgroups.CPUSET in missing:
        cpus, said = _cpuset(resources, processors)
        phrases += said
    if cgroups.CPU in missing:
        cpus, nice, said = _cpu(resources, cpus or tuple(sorted(processors)), bool(cpus))
        phrases += said
    if cgroups.BLKIO in missing:
        phrases.append("--blkio-weight has no effect")
    return Substitutes(tuple(rlimits), cpus, nice, tuple(phrases))


def _memory(resources: Resources, rlimits: list[tuple[int, int, int]]) -> list[str]:
    phrases = []
    if resources.memory:
        # Not RLIMIT_AS: runtimes that reserve address space (Go, Java) would not even start.
        rlimits.append((RLIMITS["data"], resources.memory, resources.memory))
        phrases.append("--memory holds for each process by itself, and not for shared memory")
    others = (
        ("--memory-swap", resources.memory_swap),
        ("--memory-reservation", resources.memory_reservation),
        ("--memory-swappiness", resources.memory_swappiness >= 0),
        ("--oom-kill-disable", resources.is_oom_kill_disabled),
    )
    return phrases + [f"{name} has no effect" for name, is_asked in others if is_asked]


def _cpuset(resources: Resources, processors: Collection[int]) -> tuple[tuple[int, ...], list[str]]:
    phrases = []
    cpus = tuple(sorted(parse_cpu_list(resources.cpuset_cpus) & set(processors)))
    if resources.cpuset_cpus:
        phrases.append("--cpuset-cpus can be changed by the container itself")
    if resources.cpuset_mems:
        phrases.append("--cpuset-mems has no effect")
    return cpus, phrases


def _cpu(resources: Resources, cpus: tuple[int, ...], is_chosen: bool) -> tuple[tuple[int, ...], int, list[str]]:
    quota, period = resources.quota
    phrases = []
    nice = 0
    chosen = cpus if is_chosen else ()
    if quota > 0:
        count = max(1, math.ceil(quota / period))
        if count < len(cpus):
            chosen = cpus[-count:]
        if quota < len(cpus) * period:
            option = "--cpus" if resources.nano_cpus else "--cpu-quota"
            kept = min(count, len(cpus))
            phrases.append(f"{option} only keeps the container on {kept} processor{'s' if kept > 1 else ''}")
    if resources.cpu_shares:
        nice = nice_of_shares(resources.cpu_shares)
        phrases.append("--cpu-shares is a nice value" if nice else "--cpu-shares above 1024 has no effect")
    return chosen, nice, phrases


def nice_of_shares(shares: int) -> int:
    """Return the nice value (0 to 19) whose processes get about the share that ``shares`` of the usual 1024 would."""
    if shares >= _USUAL_SHARES:
        return 0
    return min(_MOST_NICE, round(math.log(_USUAL_SHARES / max(shares, 2), _WEIGHT_STEP)))
