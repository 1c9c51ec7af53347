"""The options of `run` and `create` that say what process is started, and how it is reached."""

from typing import Annotated

import typer

from minidock.cli.values import parse_label, parse_variable
from minidock.core.dataclass import dataclass
from minidock.core.lifecycle import ALL_STREAMS
from minidock.errors import FlagError


def parse_stream(text: str) -> str:
    """Return the stream that ``--attach`` names. Raises: FlagError."""
    name = text.lower()
    if name not in ALL_STREAMS:
        raise FlagError("valid streams are STDIN, STDOUT and STDERR")
    return name


@dataclass(frozen=True, slots=True)
class ProcessFlags:
    """Image, program, environment, user, streams."""

    attach: Annotated[
        tuple[str, ...],
        typer.Option("--attach", "-a", parser=parse_stream, metavar="list", help="Attach to STDIN, STDOUT or STDERR"),
    ] = ()
    entrypoint: Annotated[
        str | None, typer.Option("--entrypoint", help="Overwrite the default ENTRYPOINT of the image")
    ] = None
    env: Annotated[
        tuple[str, ...],
        typer.Option("--env", "-e", parser=parse_variable, metavar="list", help="Set environment variables"),
    ] = ()
    env_files: Annotated[
        tuple[str, ...], typer.Option("--env-file", metavar="list", help="Read in a file of environment variables")
    ] = ()
    hostname: Annotated[str, typer.Option("--hostname", "-h", help="Container host name")] = ""
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Keep STDIN open even if not attached")] = (
        False
    )
    labels: Annotated[
        tuple[str, ...],
        typer.Option("--label", "-l", parser=parse_label, metavar="list", help="Set meta data on a container"),
    ] = ()
    label_files: Annotated[
        tuple[str, ...], typer.Option("--label-file", metavar="list", help="Read in a line delimited file of labels")
    ] = ()
    platform: Annotated[str, typer.Option("--platform", help="Set platform if server is multi-platform capable")] = ""
    pull: Annotated[str, typer.Option("--pull", help='Pull image before running ("always", "missing", "never")')] = (
        "missing"
    )
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Suppress the pull output")] = False
    runtime: Annotated[str, typer.Option("--runtime", help="Runtime to use for this container")] = ""
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Allocate a pseudo-TTY")] = False
    user: Annotated[str, typer.Option("--user", "-u", help="Username or UID (format: <name|uid>[:<group|gid>])")] = ""
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="Working directory inside the container")] = ""

    def attached(self, *, is_detached: bool) -> tuple[str, ...]:
        """Return the streams that the caller is connected with."""
        if is_detached:
            return ()
        if self.attach:
            return tuple(name for name in ALL_STREAMS if name in self.attach)
        return ALL_STREAMS if self.interactive else ALL_STREAMS[1:]
