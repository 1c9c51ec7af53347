"""What a process in a container needs: arguments, environment, user, mounts, all decided before it starts.

``engine`` makes a `ProcessSpec` from an image's config and the user's options; ``runtime`` carries it out and
decides nothing. Shaped like the OCI runtime config, so that an adapter to crun or runc is a pure function of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from minidock.core.networking import Networking
from minidock.core.resources import Resources
from minidock.core.security import Security

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Mount:
    """One bind mount: ``source`` on the host (absolute) at ``target`` in the container (absolute)."""

    source: str
    target: str
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """Numeric identity of a process, and the home directory that its HOME gets."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"


@dataclass(frozen=True, slots=True)
class RootFs:
    """Where the root file system of a container comes from.

    ``lowers`` are unpacked layers, topmost first, never written. ``upper`` and ``work`` are directories on one file
    system; what the process changes goes to ``upper``. When ``copied`` is set (overlay cannot be used) it is a whole
    private copy of the root file system, and ``lowers``, ``upper`` and ``work`` are not looked at.
    """

    lowers: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    copied: str | None = None
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to start: in which root file system, as whom, with what.

    ``args`` is not empty; ``args[0]`` is looked up in the PATH of ``env`` inside the container. ``env`` holds
    ``NAME=value`` strings in order; nothing is added but, for root with a single id, APT_CONFIG. ``cwd`` is absolute
    and created if ``make_cwd``. With ``has_init`` a small first process reaps orphans and passes signals on.
    """

    id: str
    args: tuple[str, ...]
    env: tuple[str, ...]
    rootfs: RootFs
    cwd: str = "/"
    user: User = field(default_factory=User)
    mounts: tuple[Mount, ...] = ()
    hostname: str = ""
    networking: Networking = field(default_factory=Networking)
    security: Security = field(default_factory=Security)
    resources: Resources = field(default_factory=Resources)
    has_terminal: bool = False
    has_init: bool = False
    make_cwd: bool = True
    is_build_step: bool = False
