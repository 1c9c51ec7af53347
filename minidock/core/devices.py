"""Devices of the host that a container is given. Source: docker/cli, opts of ``--device``, as seen from outside."""

from __future__ import annotations

import posixpath
import re

from minidock.core.dataclass import dataclass
from minidock.errors import FlagError

ALL_ACCESS = "rwm"
_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")


@dataclass(frozen=True, slots=True)
class Device:
    """A device node or a directory of them: ``source`` on the host, ``target`` inside, ``access`` of r, w and m."""

    source: str
    target: str
    access: str = ALL_ACCESS

    @classmethod
    def parse(cls, text: str) -> Device:
        """Return the device of ``SOURCE[:TARGET][:ACCESS]``. Raises: FlagError in docker's words."""
        source, *rest = text.split(":")
        if not source or len(rest) > 2:
            raise FlagError(f"bad format for path: {text}")
        if len(rest) == 2 and not _is_access(rest[1]):
            raise FlagError(f"bad mode specified: {rest[1]}")
        access = rest.pop() if rest and _is_access(rest[-1]) else ALL_ACCESS
        target = rest[0] if rest else source
        if not target.startswith("/"):
            raise FlagError(f"{target} is not an absolute path")
        return cls(posixpath.normpath(source), posixpath.normpath(target), access)


def _is_access(text: str) -> bool:
    return bool(text) and set(text) <= set(ALL_ACCESS) and len(set(text)) == len(text)


def parse_device_rule(text: str) -> str:
    """Return the value of ``--device-cgroup-rule``. Raises: FlagError in docker's words."""
    if not _RULE.fullmatch(text):
        raise FlagError(f"invalid device cgroup format '{text}'")
    return text
