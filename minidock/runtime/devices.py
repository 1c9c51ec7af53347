"""Finds the devices of the host that a container is given. Runs in the parent of the launcher."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from minidock.core.devices import Device
from minidock.core.security import Security
from minidock.errors import RuntimeProblem

# What every container has of its own, or what no file system in memory belongs to. Source: containerd, HostDevices.
_OWN = ("ptmx", "pts", "shm", "fd", "mqueue", "console", "lxc", "lxd-fs", ".lxc", ".lxd-fs", ".udev")


def devices_of(security: Security) -> list[tuple[str, str]]:
    """Return the nodes on the host and their paths in the container. Raises: RuntimeProblem in docker's words."""
    found = {}
    if security.is_privileged:
        found = {path: path for path in _nodes("/dev", hidden=_OWN)}
    for device in security.devices:
        found.update({target: source for source, target in _expanded(device)})
    return [(source, target) for target, source in found.items()]


def _expanded(device: Device) -> Iterator[tuple[str, str]]:
    source = os.path.realpath(device.source)
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            nodes = list(_nodes(source))
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            nodes = [source]
        else:
            raise _problem(device, "not a device node")
    except OSError as error:
        raise _problem(device, (error.strerror or "").lower()) from error
    if not nodes:
        raise _problem(device, "no device nodes in it")
    yield from ((node, device.target + node.removeprefix(source)) for node in nodes)


def _problem(device: Device, reason: str) -> RuntimeProblem:
    return RuntimeProblem(f'error gathering device information while adding custom device "{device.source}": {reason}')


def _nodes(directory: str, hidden: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the device nodes below a directory; no link is followed, what cannot be read is left out."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except PermissionError:
        return
    for entry in entries:
        if entry.name in hidden:
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from _nodes(entry.path)
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            yield entry.path
