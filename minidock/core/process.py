"""What a process in a container needs: arguments, environment, user, mounts, all decided before it starts.

``engine`` makes a `ProcessSpec` from an image's config and the user's options; ``runtime`` carries it out and
decides nothing. Shaped like the OCI runtime config, so that an adapter to crun or runc is a pure function of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from enum import StrEnum

from minidock.core.dataclass import dataclass
from minidock.core.networking import Networking
from minidock.core.resources import Resources
from minidock.core.security import Security

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MountType(StrEnum):
    """Where the content of a mount comes from; a runtime is given binds and tmpfs only."""

    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"


class Recursion(StrEnum):
    """What becomes of the mounts below the source of a bind."""

    ENABLED = "enabled"  # they come along, read-only if the mount is
    DISABLED = "disabled"
    WRITABLE = "writable"  # they come along, and stay writable below a read-only mount
    READONLY = "readonly"  # as ENABLED; an error where that cannot be had


@dataclass(frozen=True, slots=True)
class Overlay:
    """Directories shown as one: ``lowers``, topmost first, below ``upper``, which receives what is written.

    ``upper`` and ``work`` are directories on one file system.
    """

    lowers: tuple[str, ...]
    upper: str
    work: str


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: ``source`` on the host (absolute; empty for a tmpfs) at ``target`` in the container (absolute).

    ``subpath`` is a part of ``source``, out of which no link leads. ``propagation`` is a word of mount(8), empty for
    rprivate. ``options`` are those of a tmpfs, as mount(8) takes them. An ``overlay`` is mounted on ``source``, an
    empty directory, before that is looked at.
    """

    source: str
    target: str
    is_read_only: bool = False
    type: MountType = MountType.BIND
    subpath: str = ""
    propagation: str = ""
    recursion: Recursion = Recursion.ENABLED
    options: tuple[str, ...] = ()
    overlay: Overlay | None = None


@dataclass(frozen=True, slots=True)
class MountedFile:
    """A file that exists in memory only: at ``target`` (absolute) in the container, gone with it."""

    target: str
    content: bytes = field(repr=False)
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class User:
    """Numeric identity of a process, and the home directory that its HOME gets."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"

    def joining(self, groups: Iterable[int]) -> User:
        """Return the same user, in more supplementary groups."""
        return replace(self, groups=tuple(dict.fromkeys((*self.groups, *groups))))


@dataclass(frozen=True, slots=True)
class RootFs:
    """Where the root file system of a container comes from.

    ``lowers`` are unpacked layers, topmost first, never written. ``upper`` and ``work`` are directories on one file
    system; what the process changes goes to ``upper``. When ``copied`` is set (overlay cannot be used) it is a whole
    private copy of the root file system, and ``lowers``, ``upper`` and ``work`` are not looked at. With a single id,
    owners of links and fifos are noted in the file ``owners``, which need not exist.
    """

    lowers: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    copied: str | None = None
    is_read_only: bool = False
    owners: str = ""


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
    files: tuple[MountedFile, ...] = ()
    hostname: str = ""
    networking: Networking = field(default_factory=Networking)
    security: Security = field(default_factory=Security)
    resources: Resources = field(default_factory=Resources)
    has_terminal: bool = False
    has_init: bool = False
    make_cwd: bool = True
    is_build_step: bool = False
