"""The options of `run` and `create` that say what file systems a container sees."""

import os
from dataclasses import replace
from typing import Annotated

import typer

from minidock.core.dataclass import dataclass
from minidock.core.mount_keys import parse_mount
from minidock.core.mounts import MountOption
from minidock.core.process import MountType


def _mount(text: str) -> MountOption:
    """Return the value of ``--mount``; the source of a bind that begins with a dot is a path from here."""
    option = parse_mount(text)
    if option.source == "." or option.source.startswith("./"):
        return replace(option, source=os.path.abspath(option.source))
    return option


def _volume(text: str) -> MountOption:
    """Return the value of ``-v``; a source that begins with a dot is a path from here. Raises: InvalidRequest."""
    source, colon, rest = text.partition(":")
    if colon and source.startswith("."):
        source = os.path.abspath(source)
    return MountOption.parse(f"{source}{colon}{rest}")


@dataclass(frozen=True, slots=True)
class MountFlags:
    """Volumes, and the root file system."""

    read_only: Annotated[
        bool, typer.Option("--read-only", help="Mount the container's root filesystem as read only")
    ] = False
    mounts: Annotated[
        tuple[MountOption, ...],
        typer.Option("--mount", metavar="mount", parser=_mount, help="Attach a filesystem mount to the container"),
    ] = ()
    tmpfs: Annotated[tuple[str, ...], typer.Option("--tmpfs", metavar="list", help="Mount a tmpfs directory")] = ()
    volumes: Annotated[tuple[str, ...], typer.Option("--volume", "-v", metavar="list", help="Bind mount a volume")] = ()
    volume_driver: Annotated[
        str, typer.Option("--volume-driver", help="Optional volume driver for the container (local)")
    ] = ""
    volumes_from: Annotated[
        tuple[str, ...],
        typer.Option("--volumes-from", metavar="list", help="Mount volumes from the specified container(s)"),
    ] = ()

    def mount_options(self) -> tuple[MountOption, ...]:
        """Return everything that is to be mounted. Raises: InvalidRequest."""
        from minidock.core.volume import check_driver

        volumes = tuple(_volume(text) for text in self.volumes)
        for volume in volumes:
            if volume.type is MountType.VOLUME:
                check_driver(self.volume_driver, f"create {volume.source}: ")
        mounts = tuple(mount.checked() for mount in self.mounts)
        return (*volumes, *mounts, *(MountOption.parse_tmpfs(text) for text in self.tmpfs))
