"""`minidock update`, `minidock container update`."""

from __future__ import annotations

from typing import Annotated

import typer

from minidock.core.lifecycle import RestartPolicy
from minidock.core.limit_rules import parse_cpus, parse_swap
from minidock.core.resources import Resources
from minidock.core.units import parse_size
from minidock.errors import MinidockError


def update(
    containers: Annotated[tuple[str, ...], typer.Argument(metavar="CONTAINER")],
    blkio_weight: Annotated[
        int, typer.Option("--blkio-weight", metavar="uint16", help="Block IO (relative weight), between 10 and 1000")
    ] = 0,
    cpu_period: Annotated[int, typer.Option("--cpu-period", help="Limit CPU CFS period")] = 0,
    cpu_quota: Annotated[int, typer.Option("--cpu-quota", help="Limit CPU CFS quota")] = 0,
    cpu_rt_period: Annotated[int, typer.Option("--cpu-rt-period", help="Real-time period (no effect)")] = 0,
    cpu_rt_runtime: Annotated[int, typer.Option("--cpu-rt-runtime", help="Real-time runtime (no effect)")] = 0,
    cpu_shares: Annotated[int, typer.Option("--cpu-shares", "-c", help="CPU shares (relative weight)")] = 0,
    cpus: Annotated[int, typer.Option("--cpus", metavar="decimal", parser=parse_cpus, help="Number of CPUs")] = 0,
    cpuset_cpus: Annotated[str, typer.Option("--cpuset-cpus", help="CPUs in which to allow execution (0-3, 0,1)")] = "",
    cpuset_mems: Annotated[str, typer.Option("--cpuset-mems", help="MEMs in which to allow execution (0-3, 0,1)")] = "",
    kernel_memory: Annotated[
        int,
        typer.Option("--kernel-memory", hidden=True, metavar="bytes", parser=parse_size, help="Kernel memory limit"),
    ] = 0,
    memory: Annotated[int, typer.Option("--memory", "-m", metavar="bytes", parser=parse_size, help="Memory limit")] = 0,
    memory_reservation: Annotated[
        int, typer.Option("--memory-reservation", metavar="bytes", parser=parse_size, help="Memory soft limit")
    ] = 0,
    memory_swap: Annotated[
        int,
        typer.Option(
            "--memory-swap",
            metavar="bytes",
            parser=parse_swap,
            help="Swap limit equal to memory plus swap: -1 to enable unlimited swap",
        ),
    ] = 0,
    pids_limit: Annotated[
        int, typer.Option("--pids-limit", help="Tune container pids limit (set -1 for unlimited)")
    ] = 0,
    restart: Annotated[
        str | None, typer.Option("--restart", help="Restart policy to apply when a container exits")
    ] = None,
) -> int:
    """Update configuration of one or more containers."""
    from minidock.cli import options, streams
    from minidock.cli.each import for_each
    from minidock.engine import update as engine
    from minidock.engine import workspace

    without_effect = (
        ("--cpu-rt-period", cpu_rt_period),
        ("--cpu-rt-runtime", cpu_rt_runtime),
        ("--kernel-memory", kernel_memory),
    )
    changes = Resources(
        memory=memory,
        memory_swap=memory_swap,
        memory_reservation=memory_reservation,
        nano_cpus=cpus,
        cpu_quota=cpu_quota,
        cpu_period=cpu_period,
        cpu_shares=cpu_shares,
        cpuset_cpus=cpuset_cpus,
        cpuset_mems=cpuset_mems,
        pids=pids_limit,
        blkio_weight=blkio_weight,
        without_effect=tuple(name for name, value in without_effect if value),
    )
    if changes == Resources() and restart is None:
        raise MinidockError("you must provide one or more flags when using this command")
    policy = None if restart is None else RestartPolicy.parse(restart)
    ws = workspace.open_workspace(options.store_root(), waiting=streams.tell_waiting)

    def act(name: str) -> None:
        engine.update(ws, name, changes, policy, streams.warn)
        print(name, flush=True)

    return for_each(containers, act)
