"""Says in docker's words why a program cannot be executed, before a runtime says it in words of its own, or not at all.

Looks at what execve would look at, inside the root file system. Runs in the stub.
"""

from __future__ import annotations

import os
import stat

from minidock.runtime import execute, messages
from minidock.runtime.rootfs import through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.mountpoints import MountPoints
    from minidock.runtime.orders import Process

_HEAD_SIZE = 256


def check_program(points: MountPoints, process: Process) -> None:
    """Raise messages.Failure if no candidate for the program of ``process`` can be executed."""
    denied = ""
    for candidate in execute.candidates(process):
        try:
            fd = points.find(os.path.join(process["cwd"], candidate))
        except OSError:
            continue
        try:
            denied = _reason(points, fd) or ""
        finally:
            os.close(fd)
        if not denied:
            return
    raise messages.Failure("not-executable", denied) if denied else messages.Failure("not-found", "")


def _reason(points: MountPoints, fd: int) -> str | None:
    """Return why a file cannot be executed. Raises messages.Failure if its interpreter is missing."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        return "is a directory: permission denied"
    if not stat.S_ISREG(mode) or not mode & 0o111:
        return "permission denied"
    with open(through(fd), "rb") as file:
        head = file.read(_HEAD_SIZE)
    if head.startswith(b"\x7fELF"):
        return None
    if not head.startswith(b"#!"):
        return "exec format error"
    words = head[2:].partition(b"\n")[0].split()
    try:
        os.close(points.find(os.fsdecode(words[0])))
    except (IndexError, OSError):
        text = "no such file or directory (its interpreter is missing)"
        raise messages.Failure("not-found", text) from None
    return None
