"""``RUN --mount=…``: what it says, and what that means for a step.

Source: BuildKit, frontend/dockerfile/instructions/commands_runmount.go and dockerfile2llb/convert_runmount.go,
convert_secrets.go, convert_ssh.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

from minidock.core.csv_line import fields_of
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.quoting import quoted
from minidock.core.suggest import did_you_mean
from minidock.core.truth import FALSE, TRUE
from minidock.core.units import parse_size
from minidock.errors import InvalidRequest, InvalidUnit

DEFAULT_SSH = "default"
_KEYS = (
    *("type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid"),
    *("src", "dst", "destination", "ro", "rw", "readwrite", "env"),
)
_LARGEST_ID = 2**32 - 1

_Choice = TypeVar("_Choice", bound=StrEnum)


class MountType(StrEnum):
    """What is mounted."""

    BIND = "bind"
    CACHE = "cache"
    TMPFS = "tmpfs"
    SECRET = "secret"  # a kind of mount
    SSH = "ssh"


class Sharing(StrEnum):
    """What a step does whose cache mount another build uses: share it, take a private one, wait."""

    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class RunMount:
    """One mount as written; what is absent is empty or None. ``size`` is bytes."""

    type: MountType = MountType.BIND
    from_: str = ""
    source: str = ""
    target: str = ""
    is_read_only: bool | None = None
    id: str = ""
    sharing: Sharing | None = None
    is_required: bool = False
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None

    def path(self, workdir: str) -> str | None:
        """Return the absolute path of the mount in a step; None for a secret that is a variable only.

        Raises: InstructionError.
        """
        target = self.target
        if self.type is MountType.SECRET and not target:
            return None if self.env is not None else f"/run/secrets/{posixpath.basename(self.key)}"
        if self.type is MountType.SSH and not target:
            return ""  # numbered by the step
        path = posixpath.normpath(posixpath.join("/", workdir, target))
        path = "/" + path.lstrip("/")
        if path == "/":
            raise InstructionError(f"invalid mount target {quoted(path)}")
        return path

    @property
    def key(self) -> str:
        """What names a cache, a secret or an ssh agent."""
        match self.type:
            case MountType.CACHE:
                return self.id or posixpath.normpath(self.target)
            case MountType.SECRET:
                return self.source or self.id or posixpath.basename(self.target)
            case MountType.SSH:
                return self.id or DEFAULT_SSH
            case _:
                return self.id


def source_of(text: str) -> str:
    """Return the stage, image or context that a mount names with ``from``, empty if it names none.

    The type may be a variable and is not looked at. Raises: InstructionError.
    """
    found = ""
    for field in _fields(text):
        key, equals, value = field.partition("=")
        if key.lower() == "from" and equals:
            if "$" in value[:-1]:
                raise InstructionError("'from' doesn't support variable expansion, define alias stage instead")
            found = value
    return found


def parse(text: str, expand: Callable[[str], str]) -> RunMount:
    """Return a mount with its variables replaced by ``expand``. Raises: InstructionError, ExpansionError."""
    source_of(text)
    mount = RunMount()
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        mount = _valued(mount, field, key, expand(value)) if equals else _bare(mount, field, key)
    _check(mount)
    if mount.is_read_only is None:
        mount = replace(mount, is_read_only=mount.type not in (MountType.CACHE, MountType.TMPFS))
    return mount


def _fields(text: str) -> tuple[str, ...]:
    try:
        return fields_of(text)
    except InvalidRequest as error:
        raise InstructionError(f"failed to parse csv mounts: {error}") from error


def _bare(mount: RunMount, field: str, key: str) -> RunMount:
    match key:
        case "readonly" | "ro":
            return replace(mount, is_read_only=True)
        case "readwrite" | "rw":
            return replace(mount, is_read_only=False)
        case "required":
            return _required(mount, key, value=True)
        case _:
            raise InstructionError(f"invalid field '{field}' must be a key=value pair")


def _valued(mount: RunMount, field: str, key: str, value: str) -> RunMount:
    match key:
        case "type":
            return replace(mount, type=_choice(MountType, value, f"unsupported mount type {quoted(value)}"))
        case "sharing":
            return replace(mount, sharing=_choice(Sharing, value, f"unsupported sharing value {quoted(value)}"))
        case "from":
            return replace(mount, from_=value)
        case "source" | "src":
            return replace(mount, source=value)
        case "target" | "dst" | "destination":
            return replace(mount, target=value)
        case "readonly" | "ro":
            return replace(mount, is_read_only=_truth(key, value))
        case "readwrite" | "rw":
            return replace(mount, is_read_only=not _truth(key, value))
        case "required":
            return _required(mount, key, value=None, text=value)
        case "size":
            return replace(mount, size=_size(mount, key, value))
        case "id":
            return replace(mount, id=value)
        case "mode":
            return replace(mount, mode=_number(key, value, 8))
        case "uid":
            return replace(mount, uid=_number(key, value, 10))
        case "gid":
            return replace(mount, gid=_number(key, value, 10))
        case "env":
            return replace(mount, env=value)
        case _:
            hint = did_you_mean(key, _KEYS, is_case_sensitive=True)
            raise InstructionError(f"unexpected key '{key}' in '{field}'{hint}")


def _choice(kind: type[_Choice], value: str, problem: str) -> _Choice:
    try:
        return kind(value.lower())
    except ValueError:
        raise InstructionError(problem + did_you_mean(value, list(kind), is_case_sensitive=True)) from None


def _truth(key: str, value: str) -> bool:
    if value not in TRUE | FALSE:
        raise InstructionError(f"invalid value for {key}: {value}")
    return value in TRUE


def _required(mount: RunMount, key: str, *, value: bool | None, text: str = "") -> RunMount:
    if mount.type not in (MountType.SECRET, MountType.SSH):
        raise InstructionError(f"unexpected key '{key}' for mount type '{mount.type}'")
    return replace(mount, is_required=_truth(key, text) if value is None else value)


def _size(mount: RunMount, key: str, value: str) -> int:
    if mount.type is not MountType.TMPFS:
        raise InstructionError(f"unexpected key '{key}' for mount type '{mount.type}'")
    try:
        return parse_size(value)
    except InvalidUnit as error:
        raise InstructionError(f"invalid value for {key}: {value}") from error


def _number(key: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or value.strip(digits) or int(value, base) > _LARGEST_ID:
        raise InstructionError(f"invalid value {value} for {key}")
    return int(value, base)


def _check(mount: RunMount) -> None:
    if mount.type in (MountType.BIND, MountType.TMPFS):
        for name in ("mode", "uid", "gid"):
            if getattr(mount, name) is not None:
                raise InstructionError(f"{name} not allowed for {quoted(mount.type)} type mounts")
    if mount.type is MountType.SECRET:
        _check_secret(mount)
    if mount.sharing is not None and mount.type is not MountType.CACHE:
        raise InstructionError(f"invalid cache sharing set for {mount.type} mount")
    if mount.type is MountType.SSH and mount.source:
        raise InstructionError("ssh does not support source")


def _check_secret(mount: RunMount) -> None:
    if mount.from_:
        raise InstructionError("secret mount should not have a from")
    if mount.sharing is not None:
        raise InstructionError("secret mount should not define sharing")
    if not (mount.source or mount.target or mount.id):
        raise InstructionError("invalid secret mount. one of source, target required")
    if mount.source and mount.id:
        raise InstructionError("both source and id can't be set")
