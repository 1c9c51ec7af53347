"""What decides which system calls a user may make: as long as it stays the same, one trial will do."""

from __future__ import annotations

import os
import sys

import minidock

_RULES = (
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/user/max_user_namespaces",
    "/proc/self/attr/current",
)
_STATUS = (b"CapEff:", b"CapBnd:", b"NoNewPrivs:", b"Seccomp:", b"Seccomp_filters:")


def circumstances(runtime: str, directory: str) -> str:
    """Return one line that names the kernel, its rules, the user, his privileges, the file system and the program."""
    words = [minidock.__version__, runtime, sys.executable, os.uname().release, f"{os.geteuid()}:{os.getegid()}"]
    words += [_content(path) for path in _RULES]
    words += [str(os.stat(f"/proc/self/ns/{name}").st_ino) for name in ("user", "mnt", "pid", "net")]
    with open("/proc/self/status", "rb") as file:
        words += [line.split()[1].decode() for line in file if line.startswith(_STATUS)]
    try:
        words.append(str(os.stat(directory).st_dev))
    except FileNotFoundError:
        return ""  # there is nothing to remember it in either
    return " ".join(words)


def _content(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().strip(b"\n\0 ").decode("ascii", "replace") or "-"
    except OSError:
        return "-"
