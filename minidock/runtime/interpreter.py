"""The Python that is executed inside a container's namespaces, protected from being overwritten there.

A program of the image named ``#!/proc/self/exe`` runs the launcher's own binary and can keep a descriptor of it;
whoever may write to it outside may do so from inside later (the runc weakness CVE-2019-5736, with Python in runc's
place). That is root, and a plain user whose Python is his own. So the binary is executed from a mount that is
read-only for ever, or from a sealed copy in memory.
"""

from __future__ import annotations

import fcntl
import os
import sys

from minidock.core.id_mode import IdMode
from minidock.runtime import ids, messages, syscalls


def is_writable() -> bool:
    """Whether this user may change the Python that runs this, now or after a chmod."""
    path = os.path.realpath(sys.executable)
    is_owner = os.stat(path).st_uid == os.geteuid()
    return ids.id_mode() is IdMode.ROOT or is_owner or os.access(path, os.W_OK)


def protected() -> int:
    """Return a descriptor to execute as ``/proc/self/fd/N``; its number is none that the stub uses."""
    path = os.path.realpath(sys.executable)
    try:
        low = _read_only_mount(path)
    except OSError:  # before Linux 5.12, or a plain user
        low = sealed_copy(path)
    high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, messages.FIRST_FREE_FD)
    os.close(low)
    return high


def _read_only_mount(path: str) -> int:
    fd = syscalls.clone_tree(syscalls.AT_FDCWD, path)
    try:
        syscalls.mount_setattr(fd, syscalls.ATTR_RDONLY)
    except OSError:
        os.close(fd)
        raise
    return fd


def sealed_copy(path: str) -> int:
    """Return a descriptor of a copy in memory that nobody can change."""
    copy = os.memfd_create("python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(path, "rb") as source:
        while os.sendfile(copy, source.fileno(), None, 1 << 24):
            pass
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    return copy
