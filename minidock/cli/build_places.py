"""The options of `build` that say where things are: contexts, hosts, and the platform that is built for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from minidock.cli.values import unless_empty
from minidock.core.build_options import ContextOption, parse_hosts
from minidock.core.dataclass import dataclass

if TYPE_CHECKING:
    from minidock.core.platform import Platform


@dataclass(frozen=True, slots=True)
class BuildPlaces:
    """Dockerfile, target, named contexts, hosts, platforms."""

    file: Annotated[str, typer.Option("--file", "-f", help='Name of the Dockerfile (Default is "PATH/Dockerfile")')] = (
        ""
    )
    target: Annotated[str, typer.Option("--target", help="Set the target build stage to build")] = ""
    add_hosts: Annotated[
        tuple[tuple[tuple[str, str], ...], ...],
        typer.Option(
            "--add-host",
            parser=parse_hosts,
            metavar="list",
            help='Add a custom host-to-IP mapping (format: "host:ip")',
        ),
    ] = ()
    build_contexts: Annotated[
        tuple[ContextOption | None, ...],
        typer.Option(
            "--build-context",
            parser=unless_empty(ContextOption.parse),
            metavar="list",
            help="Additional build contexts (e.g., name=path)",
        ),
    ] = ()
    platforms: Annotated[
        tuple[str, ...], typer.Option("--platform", metavar="list", help="Set target platform for build")
    ] = ()

    def contexts(self) -> dict[str, str]:
        """Return what stands for which name; of two for one name the last."""
        return {option.name: option.value for option in filter(None, self.build_contexts)}

    def hosts(self) -> tuple[tuple[str, str], ...]:
        """Return the names and addresses that RUN instructions know."""
        return tuple(host for hosts in self.add_hosts for host in hosts)

    def wanted_platforms(self) -> tuple[Platform, ...]:
        """Return the platforms to build for, none if none is named. Raises: InvalidPlatform."""
        from minidock.cli import options
        from minidock.engine.platforms import parse_platforms

        return parse_platforms(self.platforms or (options.platform(),))
