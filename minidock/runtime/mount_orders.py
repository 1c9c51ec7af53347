"""The mounts of a container in terms of the system calls that make them."""

from __future__ import annotations

import os
import re

from minidock.core.process import Mount, MountType, Overlay, Recursion
from minidock.errors import RuntimeProblem
from minidock.runtime import syscalls
from minidock.runtime.host_files import read
from minidock.runtime.orders import MountOrders, OverlayOrders

_FLAGS = {
    "ro": (syscalls.MS_RDONLY, True),
    "rw": (syscalls.MS_RDONLY, False),
    "noexec": (syscalls.MS_NOEXEC, True),
    "exec": (syscalls.MS_NOEXEC, False),
    "nosuid": (syscalls.MS_NOSUID, True),
    "suid": (syscalls.MS_NOSUID, False),
    "sync": (syscalls.MS_SYNCHRONOUS, True),
    "async": (syscalls.MS_SYNCHRONOUS, False),
    "noatime": (syscalls.MS_NOATIME, True),
    "atime": (syscalls.MS_NOATIME, False),
    "nodiratime": (syscalls.MS_NODIRATIME, True),
    "diratime": (syscalls.MS_NODIRATIME, False),
    "strictatime": (syscalls.MS_STRICTATIME, True),
    "nostrictatime": (syscalls.MS_STRICTATIME, False),
    # Without a devices cgroup a device node would be the host's device: never on a mount of a container.
    "nodev": (0, True),
    "dev": (0, True),
    "relatime": (0, True),
    "norelatime": (0, True),
    "dirsync": (0, True),
}
_OCTAL = re.compile(r"\\([0-7]{3})")
_PROPAGATION = {"shared": syscalls.MS_SHARED, "slave": syscalls.MS_SLAVE, "private": syscalls.MS_PRIVATE}


def mount_orders(mount: Mount, *, is_user_namespace: bool) -> MountOrders:
    """Return what to do for one mount. Raises: RuntimeProblem."""
    if mount.propagation.removeprefix("r") in ("shared", "slave"):
        _check_spreads(mount)
    flags, data = syscalls.MS_NOSUID | syscalls.MS_NOEXEC, []
    for option in mount.options:
        if option not in _FLAGS:
            data.append(option)
            continue
        flag, is_set = _FLAGS[option]
        flags = flags | flag if is_set else flags & ~flag
    is_recursive = not mount.propagation or mount.propagation.startswith("r")
    return MountOrders(
        source=mount.source,
        subpath=mount.subpath,
        target=mount.target,
        is_tmpfs=mount.type is MountType.TMPFS,
        is_read_only=mount.is_read_only,
        is_recursive=mount.recursion is not Recursion.DISABLED,
        is_read_only_below=mount.recursion is not Recursion.WRITABLE,
        propagation=_PROPAGATION[mount.propagation.removeprefix("r") or "private"],
        is_propagation_recursive=is_recursive,
        flags=flags | syscalls.MS_NODEV | (syscalls.MS_RDONLY if mount.is_read_only else 0),
        data=",".join(data),
        overlay=None if mount.overlay is None else _overlay_orders(mount.overlay, is_user_namespace=is_user_namespace),
    )


def _overlay_orders(overlay: Overlay, *, is_user_namespace: bool) -> OverlayOrders:
    return OverlayOrders(
        lowers=list(overlay.lowers), upper=overlay.upper, work=overlay.work, is_user_namespace=is_user_namespace
    )


def _check_spreads(mount: Mount) -> None:
    """Refuse to share with a mount of the host that shares with nobody. Raises: RuntimeProblem."""
    path, place, tags = os.path.realpath(mount.source), "", ""
    for line in (read("/proc/self/mountinfo") or b"").decode("utf-8", "surrogateescape").splitlines():
        fields = line.split()
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if len(point) >= len(place) and (path == point or path.startswith(f"{point.rstrip('/')}/")):
            place, tags = point, " ".join(fields[6 : fields.index("-")])
    if "shared:" in tags or ("slave" in mount.propagation and "master:" in tags):
        return
    kind = "shared or slave" if "slave" in mount.propagation else "shared"
    raise RuntimeProblem(f"path {mount.source} is mounted on {place} but it is not a {kind} mount")
