"""The options of `run` and `create` that say how much of the machine a container may use."""

from typing import Annotated

import typer

from minidock.core.dataclass import dataclass
from minidock.core.limit_rules import parse_cpus, parse_swap, parse_ulimit
from minidock.core.resources import DEFAULT_SHM_SIZE, Resources, Ulimit
from minidock.core.units import parse_size


@dataclass(frozen=True, slots=True)
class ResourceFlags:
    """Memory, processors, processes, files. What cannot be had without a daemon is taken, and said to do nothing."""

    memory: Annotated[int, typer.Option("--memory", "-m", metavar="bytes", parser=parse_size, help="Memory limit")] = 0
    memory_swap: Annotated[
        int,
        typer.Option(
            "--memory-swap",
            metavar="bytes",
            parser=parse_swap,
            help="Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        ),
    ] = 0
    memory_reservation: Annotated[
        int,
        typer.Option("--memory-reservation", metavar="bytes", parser=parse_size, help="Memory soft limit"),
    ] = 0
    memory_swappiness: Annotated[
        int, typer.Option("--memory-swappiness", help="Tune container memory swappiness (0 to 100)", show_default=False)
    ] = -1
    oom_kill_disable: Annotated[bool, typer.Option("--oom-kill-disable", help="Disable OOM Killer")] = False
    oom_score_adj: Annotated[
        int, typer.Option("--oom-score-adj", help="Tune host's OOM preferences (-1000 to 1000)")
    ] = 0
    cpus: Annotated[int, typer.Option("--cpus", metavar="decimal", parser=parse_cpus, help="Number of CPUs")] = 0
    cpu_quota: Annotated[int, typer.Option("--cpu-quota", help="Limit CPU CFS (Completely Fair Scheduler) quota")] = 0
    cpu_period: Annotated[
        int, typer.Option("--cpu-period", help="Limit CPU CFS (Completely Fair Scheduler) period")
    ] = 0
    cpu_shares: Annotated[int, typer.Option("--cpu-shares", "-c", help="CPU shares (relative weight)")] = 0
    cpuset_cpus: Annotated[str, typer.Option("--cpuset-cpus", help="CPUs in which to allow execution (0-3, 0,1)")] = ""
    cpuset_mems: Annotated[str, typer.Option("--cpuset-mems", help="MEMs in which to allow execution (0-3, 0,1)")] = ""
    pids_limit: Annotated[
        int, typer.Option("--pids-limit", help="Tune container pids limit (set -1 for unlimited)")
    ] = 0
    blkio_weight: Annotated[
        int,
        typer.Option(
            "--blkio-weight", metavar="uint16", help="Block IO (relative weight), between 10 and 1000, or 0 to disable"
        ),
    ] = 0
    ulimits: Annotated[
        tuple[Ulimit, ...], typer.Option("--ulimit", metavar="ulimit", parser=parse_ulimit, help="Ulimit options")
    ] = ()
    shm_size: Annotated[
        int, typer.Option("--shm-size", metavar="bytes", parser=parse_size, help="Size of /dev/shm")
    ] = 0
    strict_limits: Annotated[
        bool, typer.Option("--strict-limits", help="Fail where a limit cannot be kept, instead of a warning")
    ] = False
    blkio_weight_device: Annotated[
        tuple[str, ...],
        typer.Option("--blkio-weight-device", metavar="list", help="Block IO weight of a device (no effect)"),
    ] = ()
    device_read_bps: Annotated[
        tuple[str, ...],
        typer.Option("--device-read-bps", metavar="list", help="Read rate of a device in bytes (no effect)"),
    ] = ()
    device_read_iops: Annotated[
        tuple[str, ...],
        typer.Option("--device-read-iops", metavar="list", help="Read rate of a device in operations (no effect)"),
    ] = ()
    device_write_bps: Annotated[
        tuple[str, ...],
        typer.Option("--device-write-bps", metavar="list", help="Write rate of a device in bytes (no effect)"),
    ] = ()
    device_write_iops: Annotated[
        tuple[str, ...],
        typer.Option("--device-write-iops", metavar="list", help="Write rate of a device in operations (no effect)"),
    ] = ()
    cpu_rt_period: Annotated[
        int, typer.Option("--cpu-rt-period", help="CPU real-time period in microseconds (no effect)")
    ] = 0
    cpu_rt_runtime: Annotated[
        int, typer.Option("--cpu-rt-runtime", help="CPU real-time runtime in microseconds (no effect)")
    ] = 0
    cgroup_parent: Annotated[
        str, typer.Option("--cgroup-parent", help="Parent cgroup for the container (no effect)")
    ] = ""
    cpu_count: Annotated[int, typer.Option("--cpu-count", hidden=True, help="CPU count (Windows only)")] = 0
    cpu_percent: Annotated[int, typer.Option("--cpu-percent", hidden=True, help="CPU percent (Windows only)")] = 0
    kernel_memory: Annotated[
        int,
        typer.Option("--kernel-memory", hidden=True, metavar="bytes", parser=parse_size, help="Kernel memory limit"),
    ] = 0

    log_opts: Annotated[
        tuple[str, ...], typer.Option("--log-opt", metavar="list", help="Log driver options (no effect)")
    ] = ()
    storage_opts: Annotated[
        tuple[str, ...], typer.Option("--storage-opt", metavar="list", help="Storage driver options (no effect)")
    ] = ()

    def resources(self) -> Resources:
        """Return the limits that the options ask for."""
        return Resources(
            memory=self.memory,
            memory_swap=self.memory_swap,
            memory_reservation=self.memory_reservation,
            memory_swappiness=self.memory_swappiness,
            is_oom_kill_disabled=self.oom_kill_disable,
            oom_score_adj=self.oom_score_adj,
            nano_cpus=self.cpus,
            cpu_quota=self.cpu_quota,
            cpu_period=self.cpu_period,
            cpu_shares=self.cpu_shares,
            cpuset_cpus=self.cpuset_cpus,
            cpuset_mems=self.cpuset_mems,
            pids=self.pids_limit,
            blkio_weight=self.blkio_weight,
            ulimits=last_of_each(self.ulimits),
            shm_size=self.shm_size or DEFAULT_SHM_SIZE,
            is_strict=self.strict_limits,
            without_effect=self.without_effect(),
        )

    def without_effect(self) -> tuple[str, ...]:
        """Return the options that were given and do nothing here."""
        given = (
            ("--blkio-weight-device", self.blkio_weight_device),
            ("--device-read-bps", self.device_read_bps),
            ("--device-read-iops", self.device_read_iops),
            ("--device-write-bps", self.device_write_bps),
            ("--device-write-iops", self.device_write_iops),
            ("--cpu-rt-period", self.cpu_rt_period),
            ("--cpu-rt-runtime", self.cpu_rt_runtime),
            ("--cgroup-parent", self.cgroup_parent),
            ("--cpu-count", self.cpu_count),
            ("--cpu-percent", self.cpu_percent),
            ("--kernel-memory", self.kernel_memory),
            ("--log-opt", self.log_opts),
            ("--storage-opt", self.storage_opts),
        )
        return tuple(name for name, value in given if value)


def last_of_each(ulimits: tuple[Ulimit, ...]) -> tuple[Ulimit, ...]:
    """Return the limits in order of their names, the last one where a name was given twice."""
    return tuple(value for _, value in sorted({limit.name: limit for limit in ulimits}.items()))
