"""The options of `build` that limit what its RUN instructions may use of the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

import typer

from minidock.cli.container_flags.resources import last_of_each
from minidock.cli.values import parse_int
from minidock.core.dataclass import dataclass
from minidock.core.limit_rules import parse_swap, parse_ulimit
from minidock.core.quoting import quoted
from minidock.core.resources import DEFAULT_SHM_SIZE, Resources, Ulimit
from minidock.core.units import parse_size
from minidock.errors import InvalidRequest, MinidockError

_RESOURCES: Mapping[str, Callable[[str], int | str]] = {
    "memory": parse_size,
    "memory-swap": parse_swap,
    "cpu-shares": parse_int,
    "cpu-period": parse_int,
    "cpu-quota": parse_int,
    "cpuset-cpus": str,
    "cpuset-mems": str,
}


def parse_resource(text: str) -> tuple[str, int | str]:
    """Return the member of `Resources` that ``NAME=VALUE`` sets, and its value. Raises: InvalidRequest."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise InvalidRequest(f"invalid resource {quoted(text)}, expected key=value")
    if name not in _RESOURCES:
        raise InvalidRequest(f"unknown resource {quoted(name)}")
    try:
        return name.replace("-", "_"), _RESOURCES[name](value)
    except MinidockError as error:
        raise InvalidRequest(f"invalid value {quoted(value)} for resource {name}: {error}") from error


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

    resource: Annotated[
        tuple[tuple[str, int | str], ...],
        typer.Option(
            "--resource",
            metavar="list",
            parser=parse_resource,
            help='Resource limits for build containers (format: "memory=2g", "cpu-quota=50000")',
        ),
    ] = ()

    def resources(self) -> Resources:
        """Return the limits of every RUN; those of --resource win over the options of their own."""
        found = Resources(
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
        return replace(found, **dict(self.resource))  # type: ignore[arg-type]  # `_RESOURCES` has each with its type
