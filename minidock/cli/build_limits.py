"""The options of `build` that limit what its RUN instructions may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from minidock.cli.container_flags.resources import last_of_each
from minidock.core.limit_rules import parse_swap, parse_ulimit
from minidock.core.resources import DEFAULT_SHM_SIZE, Resources, Ulimit
from minidock.core.units import parse_size


@dataclass(frozen=True, slots=True)
class StepLimits:
    """Memory, processors, files."""

    cpu_period: Annotated[int, typer.Option("--cpu-period", hidden=True, help="Limit the CPU CFS period")] = 0
    cpu_quota: Annotated[int, typer.Option("--cpu-quota", hidden=True, help="Limit the CPU CFS quota")] = 0
    cpu_shares: Annotated[int, typer.Option("--cpu-shares", "-c", hidden=True, help="CPU shares (relative weight)")] = 0
    cpuset_cpus: Annotated[
        str, typer.Option("--cpuset-cpus", hidden=True, help='CPUs in which to allow execution ("0-3", "0,1")')
    ] = ""
    cpuset_mems: Annotated[
        str, typer.Option("--cpuset-mems", hidden=True, help='MEMs in which to allow execution ("0-3", "0,1")')
    ] = ""
    memory: Annotated[
        int, typer.Option("--memory", "-m", hidden=True, metavar="bytes", parser=parse_size, help="Memory limit")
    ] = 0
    memory_swap: Annotated[
        int,
        typer.Option(
            "--memory-swap",
            hidden=True,
            metavar="bytes",
            parser=parse_swap,
            help="Swap limit equal to memory plus swap",
        ),
    ] = 0
    shm_size: Annotated[
        int,
        typer.Option("--shm-size", metavar="bytes", parser=parse_size, help="Shared memory size for build containers"),
    ] = 0
    ulimits: Annotated[
        tuple[Ulimit, ...], typer.Option("--ulimit", metavar="ulimit", parser=parse_ulimit, help="Ulimit options")
    ] = ()

    def resources(self) -> Resources:
        """Return the limits of every RUN."""
        return Resources(
            memory=self.memory,
            memory_swap=self.memory_swap,
            cpu_quota=self.cpu_quota,
            cpu_period=self.cpu_period,
            cpu_shares=self.cpu_shares,
            cpuset_cpus=self.cpuset_cpus,
            cpuset_mems=self.cpuset_mems,
            ulimits=last_of_each(self.ulimits),
            shm_size=self.shm_size or DEFAULT_SHM_SIZE,
        )
