"""The options of `build` that say what its steps get, and whether the cache is used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from minidock.cli.values import parse_choice, unless_empty
from minidock.core.build_options import AgentOption, SecretOption, key_and_value
from minidock.core.dataclass import dataclass

if TYPE_CHECKING:
    from minidock.engine.secrets import Secrets


def parse_network(text: str) -> str:
    """Return the network of RUN instructions. Raises: FlagError."""
    return parse_choice(text, ("default", "host", "none"))


@dataclass(frozen=True, slots=True)
class BuildSteps:
    """Arguments, network, secrets, cache."""

    build_args: Annotated[
        tuple[str, ...], typer.Option("--build-arg", metavar="list", help="Set build-time variables")
    ] = ()
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Do not use cache when building the image")] = False
    no_cache_filter: Annotated[
        tuple[str, ...], typer.Option("--no-cache-filter", metavar="list", help="Do not cache specified stages")
    ] = ()
    network: Annotated[
        str,
        typer.Option(
            "--network",
            parser=parse_network,
            metavar="string",
            help='Set the networking mode for the "RUN" instructions during build (default, host, none)',
        ),
    ] = "default"
    secrets: Annotated[
        tuple[SecretOption | None, ...],
        typer.Option(
            "--secret",
            parser=unless_empty(SecretOption.parse),
            metavar="list",
            help='Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")',
        ),
    ] = ()
    agents: Annotated[
        tuple[AgentOption | None, ...],
        typer.Option(
            "--ssh",
            parser=unless_empty(AgentOption.parse),
            metavar="list",
            help='SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")',
        ),
    ] = ()

    def arguments(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the build arguments; a bare NAME takes the caller's value, if there is one. Raises: InvalidRequest."""
        found = {}
        for item in self.build_args:
            name, value = key_and_value(item)
            if value is None:
                value = environment.get(name)
            if value is not None:
                found[name] = value
        return found

    def no_cache_stages(self) -> tuple[str, ...]:
        """Return the names of the stages that are built without the cache."""
        return tuple(name.lower() for item in self.no_cache_filter for name in item.split(","))

    def wanted_secrets(self, environment: Mapping[str, str]) -> "Secrets":
        """Return the secrets and agents. Raises: BuildError."""
        from minidock.engine.secrets import gather

        return gather(filter(None, self.secrets), filter(None, self.agents), environment)
