"""What a user wants mounted into a container: the values of ``-v``, ``--mount``, ``--tmpfs`` and ``--volumes-from``.

Grammars::

    -v              [SOURCE:]TARGET[:MODE]     MODE: comma-separated, at most one word of each group in `_MODES`
    --mount         KEY[=VALUE],...            one line of CSV, see `mount_keys`
    --tmpfs         TARGET[:OPTION,...]
    --volumes-from  CONTAINER[:ro|rw]

Source: docker/cli opts/mount.go and moby volume/mounts/linux_parser.go, as seen from outside.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.process import MountType, Recursion
from minidock.core.quoting import quoted
from minidock.core.volume import check_volume_name
from minidock.errors import InvalidRequest

PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_MODES = (
    frozenset({"ro", "rw"}),
    frozenset({"z", "Z"}),
    frozenset({"nocopy"}),
    frozenset(PROPAGATIONS),
    frozenset({"consistent", "cached", "delegated", "default"}),
)
TMPFS_FLAGS = (
    *("ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "async", "sync", "dirsync", "atime", "noatime"),
    *("diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime"),
)
TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")


@dataclass(frozen=True, slots=True)
class MountOption:
    """One mount of a container.

    ``source`` is an absolute path of the host for a bind, the name of a volume (empty: one without a name of its own)
    or empty for a tmpfs; ``target`` is absolute and normal. ``mode`` is the last part of ``-v`` as it was written;
    ``is_short`` tells ``-v`` and ``--tmpfs`` from ``--mount``: a missing directory of the host is made for ``-v`` only.
    ``tmpfs`` are options of that file system; ``labels`` and ``driver_options`` those of a volume that is made.
    """

    source: str
    target: str
    is_read_only: bool = False
    type: MountType = MountType.VOLUME
    is_short: bool = True
    mode: str = ""
    propagation: str = ""
    recursion: Recursion = Recursion.ENABLED
    has_copy: bool = True
    subpath: str = ""
    tmpfs: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    driver_options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_bind(self) -> bool:
        """Whether ``source`` is a path of the host."""
        return self.type is MountType.BIND

    @property
    def volume(self) -> str:
        """The name of the volume; empty for a bind or tmpfs."""
        return self.source if self.type is MountType.VOLUME else ""

    @classmethod
    def parse(cls, text: str) -> MountOption:
        """Return the value of ``-v``, a source on the host being absolute. Raises: InvalidRequest in docker's words."""
        if not text:
            raise InvalidRequest("invalid empty volume spec")
        parts = text.split(":")
        if not all(parts):
            raise InvalidRequest(f"invalid spec: {text}: empty section between colons")
        prefix = f"invalid volume specification: '{text}'"
        if len(parts) > 3 or (len(parts) == 2 and _is_mode(parts[1])):
            raise InvalidRequest(prefix)
        if len(parts) == 1:
            return cls("", _target(parts[0], MountType.VOLUME, prefix))
        mode = parts[2] if len(parts) == 3 else ""
        words = _mode_words(mode)
        kind = MountType.BIND if parts[0].startswith("/") else MountType.VOLUME
        target = _target(parts[1], kind, prefix)
        has_copy, propagation = "nocopy" not in words, next((word for word in words if word in PROPAGATIONS), "")
        if kind is MountType.BIND:
            if not has_copy:
                raise _extra_field("VolumeOptions", kind, prefix)
            source = "/" + posixpath.normpath(parts[0]).lstrip("/")
            return cls(source, target, "ro" in words, kind, mode=mode, propagation=propagation)
        if propagation:
            raise _extra_field("BindOptions", kind, prefix)
        return cls(check_volume_name(parts[0]), target, "ro" in words, kind, mode=mode, has_copy=has_copy)

    @classmethod
    def parse_tmpfs(cls, text: str) -> MountOption:
        """Return the value of ``--tmpfs``. Raises: InvalidRequest."""
        path, _, options = text.partition(":")
        target = _absolute(path)
        words = tuple(word for word in options.split(",") if word)
        for word in words:
            name, equals, _ = word.partition("=")
            if name not in (TMPFS_VALUES if equals else TMPFS_FLAGS):
                raise InvalidRequest(f"invalid tmpfs option [{quoted(word)}]")
        return cls("", target, "ro" in words, MountType.TMPFS, mode=options, tmpfs=words)

    def checked(self) -> MountOption:
        """Return a ``--mount`` with normal paths. Raises: InvalidRequest in the words of docker's daemon."""
        prefix = f'invalid mount config for type "{self.type}"'
        if self.type is MountType.TMPFS and self.source:
            raise InvalidRequest(f"{prefix}: field Source must not be specified")
        if self.is_bind and not self.source:
            raise InvalidRequest(f"{prefix}: field Source must not be empty")
        for path in (self.target, self.source if self.is_bind else self.target):
            if not path.startswith("/"):
                raise InvalidRequest(f"{prefix}: invalid mount path: '{path}' mount path must be absolute")
        if posixpath.normpath(self.target).strip("/") == "":
            raise InvalidRequest(f"{prefix}: invalid specification: destination can't be '/'")
        if self.propagation and self.propagation not in PROPAGATIONS:
            raise InvalidRequest(f"{prefix}: invalid propagation mode: {self.propagation}")
        if self.type is MountType.VOLUME:
            self._check_volume(prefix)
        source = "/" + posixpath.normpath(self.source).lstrip("/") if self.is_bind else self.source
        return replace(self, source=source, target="/" + posixpath.normpath(self.target).lstrip("/"))

    def _check_volume(self, prefix: str) -> None:
        if self.source:
            check_volume_name(self.source)
        elif self.is_read_only:
            raise InvalidRequest(f"{prefix}: must not set ReadOnly mode when using anonymous volumes")
        elif self.subpath:
            raise InvalidRequest(f"{prefix}: must not set Subpath when using anonymous volumes")

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "source": self.source,
            "target": self.target,
            "read_only": self.is_read_only,
            "type": self.type.value,
            "short": self.is_short,
            "mode": self.mode,
            "propagation": self.propagation,
            "recursion": self.recursion.value,
            "copy": self.has_copy,
            "subpath": self.subpath,
            "tmpfs": list(self.tmpfs),
            "labels": dict(self.labels),
            "driver_options": dict(self.driver_options),
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> MountOption:
        """Return what `to_json` has written. Raises: KeyError, TypeError, ValueError."""
        return cls(
            source=members["source"],
            target=members["target"],
            is_read_only=members["read_only"],
            type=MountType(members["type"]),
            is_short=members["short"],
            mode=members["mode"],
            propagation=members["propagation"],
            recursion=Recursion(members["recursion"]),
            has_copy=members["copy"],
            subpath=members["subpath"],
            tmpfs=tuple(members["tmpfs"]),
            labels=members["labels"],
            driver_options=members["driver_options"],
        )


def parse_volumes_from(text: str) -> tuple[str, bool]:
    """Return the container and whether its mounts are to be read-only. Raises: InvalidRequest."""
    name, colon, mode = text.partition(":")
    if not name:
        raise InvalidRequest('invalid name or ID supplied: ""')
    return name, colon == ":" and "ro" in _mode_words(mode)


def _is_mode(text: str) -> bool:
    return all(any(word in group for group in _MODES) for word in text.split(","))


def _mode_words(mode: str) -> tuple[str, ...]:
    words = tuple(mode.split(",")) if mode else ()
    groups = [group for word in words for group in _MODES if word in group]
    if len(groups) != len(words) or len(set(groups)) != len(groups):
        raise InvalidRequest(f"invalid mode: {mode}")
    return words


def _target(path: str, kind: MountType, prefix: str) -> str:
    try:
        return _absolute(path)
    except InvalidRequest as error:
        raise InvalidRequest(f'{prefix}: invalid mount config for type "{kind}": {error}') from None


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise InvalidRequest(f"invalid mount path: '{path}' mount path must be absolute")
    normal = "/" + posixpath.normpath(path).lstrip("/")
    if normal == "/":
        raise InvalidRequest("invalid specification: destination can't be '/'")
    return normal


def _extra_field(name: str, kind: MountType, prefix: str) -> InvalidRequest:
    return InvalidRequest(f'{prefix}: invalid mount config for type "{kind}": field {name} must not be specified')


def check_targets(options: Sequence[MountOption]) -> None:
    """Check that no two mounts have one target, a tmpfs and something else excepted. Raises: InvalidRequest."""
    taken: set[str] = set()
    for option in options:
        if option.type is MountType.TMPFS and option.is_short:
            continue
        if option.target in taken:
            raise InvalidRequest(f"Duplicate mount point: {option.target}")
        taken.add(option.target)
