"""Which limits of a process can be kept here, and with what: control groups, or what comes nearest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from minidock.core import cgroups as rules
from minidock.core.process import ProcessSpec
from minidock.core.resources import Resources
from minidock.errors import RuntimeProblem
from minidock.runtime.base import Started
from minidock.runtime.cgroups import Cgroups
from minidock.runtime.launch import no_limits
from minidock.runtime.orders import Limits

if TYPE_CHECKING:
    from minidock.core.substitutes import Substitutes

_CAP_SYS_RESOURCE = 24


def shortcomings(groups: Cgroups, wanted: Resources) -> tuple[str, ...]:
    """Return what of the limits is not kept as asked for, one phrase each."""
    if not rules.wanted_controllers(wanted) and not wanted.oom_score_adj:
        return ()
    kept, unknown = groups.usable(wanted)
    missing = rules.wanted_controllers(wanted) - kept
    phrases = [*_nearest(wanted, kept).shortcomings, *(f"{option} has no effect" for option in dict.fromkeys(unknown))]
    if wanted.oom_score_adj and wanted.oom_score_adj < _own_score() and not _may_exceed():
        phrases.append("--oom-score-adj below one's own has no effect")
    if missing:
        phrases.append(f"no control group can be used for {', '.join(sorted(missing))} (see `minidock doctor`)")
    return tuple(phrases)


def _nearest(wanted: Resources, kept: frozenset[str]) -> Substitutes:
    from minidock.core.substitutes import substitutes

    return substitutes(wanted, kept, processors=os.sched_getaffinity(0), counts_processes=os.geteuid() != 0)


def limits_of_start(groups: Cgroups, spec: ProcessSpec) -> Limits:
    """Make the control groups of a container and return what its first process is told. Raises: RuntimeProblem."""
    made = groups.make(spec.id, spec.resources) if rules.wanted_controllers(spec.resources) else []
    kept = _kept(groups, spec.resources)
    return _limits(spec.resources, kept, made, groups.possible(spec.id), _marker(spec))


def limits_of_exec(groups: Cgroups, started: Started, spec: ProcessSpec) -> Limits:
    """Return what one more process of a container is told."""
    found = groups.of(started.pid)
    return _limits(spec.resources, _kept(groups, spec.resources), list(dict.fromkeys(found.values())), [], "")


def _kept(groups: Cgroups, wanted: Resources) -> frozenset[str]:
    return groups.usable(wanted)[0] if rules.wanted_controllers(wanted) else frozenset()


def _marker(spec: ProcessSpec) -> str:
    """Return the file, beside the container's directories, that says that memory ran out."""
    place = spec.rootfs.copied or spec.rootfs.upper
    return os.path.join(os.path.dirname(os.path.abspath(place)), "oom-killed") if place else ""


def _limits(wanted: Resources, kept: frozenset[str], made: list[str], possible: list[str], marker: str) -> Limits:
    found = no_limits()
    found["groups"], found["possible"], found["oom_marker"] = made, possible, marker
    found["oom_score_adj"] = wanted.oom_score_adj
    if not wanted.ulimits and not rules.wanted_controllers(wanted):
        return found
    from minidock.core.limit_rules import RLIMITS

    nearest = _nearest(wanted, kept)
    chosen = {RLIMITS[limit.name]: (limit.soft, limit.hard) for limit in wanted.ulimits}
    for number, soft, hard in nearest.rlimits:
        chosen.setdefault(number, (soft, hard))
    found["rlimits"] = [
        (number, soft, hard, _is_above(number, hard)) for number, (soft, hard) in sorted(chosen.items())
    ]
    found["cpus"], found["nice"] = list(nearest.cpus), nearest.nice
    return found


def _is_above(number: int, hard: int) -> bool:
    """Whether a hard limit is above that of this process, which only the privileged may exceed."""
    import resource

    own = resource.getrlimit(number)[1]
    return own != resource.RLIM_INFINITY and (hard < 0 or hard > own)


def _own_score() -> int:
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        return int(file.read())


def _may_exceed() -> bool:
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def changed_groups(groups: Cgroups, name: str, wanted: Resources) -> list[str]:
    """Change the limits of the groups called ``name``, which are made if need be; return their directories.

    Raises: RuntimeProblem if the kernel refuses, or if there is no control group for this user.
    """
    controllers = rules.wanted_controllers(wanted) | ({rules.PIDS} if wanted.pids else set())  # -1 lifts a limit
    missing = controllers - groups.usable(wanted)[0]
    if missing:
        raise RuntimeProblem(
            f"no control group can be used for {', '.join(sorted(missing))}: the limits of a running container stay",
            hint="stop the container, update it and start it again",
        )
    return groups.make(name, wanted, also=controllers)
