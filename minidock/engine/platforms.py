"""The platform of this machine, and those that a command line names."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from minidock.core.platform import Platform

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def architecture() -> str:
    """Return the OCI name of this machine's architecture."""
    machine = platform.machine()
    return _MACHINES.get(machine, machine)


def this_platform() -> Platform:
    """Return the platform of this machine."""
    return Platform("linux", architecture())


def parse_platforms(texts: Iterable[str]) -> tuple[Platform, ...]:
    """Return the platforms of lists with commas between them, each once. Raises: InvalidPlatform."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    return tuple(dict.fromkeys(Platform.parse(name, this_platform()).normalized() for name in names))
