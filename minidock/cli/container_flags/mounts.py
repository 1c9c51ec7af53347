"""The options of `run` and `create` that say what file systems a container sees."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import typer

from minidock.core.container import VolumeOption


@dataclass(frozen=True, slots=True)
class MountFlags:
    """Volumes, and the root file system."""

    read_only: Annotated[
        bool, typer.Option("--read-only", help="Mount the container's root filesystem as read only")
    ] = False
    volumes: Annotated[tuple[str, ...], typer.Option("--volume", "-v", metavar="list", help="Bind mount a volume")] = ()

    def volume_options(self) -> tuple[VolumeOption, ...]:
        """Return the values of ``-v``. Raises: InvalidRequest."""
        return tuple(_volume(text) for text in self.volumes)


def _volume(text: str) -> VolumeOption:
    """Return the value of ``-v``; a source that begins with a dot is a path from here. Raises: InvalidRequest."""
    source, colon, rest = text.partition(":")
    if colon and source.startswith("."):
        source = os.path.abspath(source)
    return VolumeOption.parse(f"{source}{colon}{rest}")
