"""Looks around from inside a container, with this machine's Python, and prints what it sees as JSON.

Executed by `tests.runtime.test_declared`, in a container that has /usr of this machine; it may import nothing else.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource

PR_GET_SECUREBITS, PR_GET_KEEPCAPS = 27, 7
KEYCTL_GET_KEYRING_ID, SESSION_KEYRING = 0, -3
KEYCTL_NUMBER = {"x86_64": 250, "aarch64": 219}


def status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def text(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


def descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the one that listed them
    return found


def mounts() -> list[list[str]]:
    """Return place, file system and options of every mount; of an overlay without its layers."""
    found = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields = line.split()
            kind = fields[fields.index("-") + 1]
            found.append([fields[4], kind, fields[5]])
    return found


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    keyring = libc.syscall(KEYCTL_NUMBER.get(os.uname().machine, -1), KEYCTL_GET_KEYRING_ID, SESSION_KEYRING, 0)
    found = status()
    umask = os.umask(0)
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "SigBlk")
    seen = {
        "descriptors": descriptors(),
        "environment": dict(word.split("=", 1) for word in text("/proc/self/environ").strip("\0").split("\0")),
        "status": {name: found[name] for name in names},
        "ids": [*os.getresuid(), *os.getresgid()],
        "groups": sorted(os.getgroups()),
        "cwd": os.getcwd(),
        "umask": umask,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "processors": sorted(os.sched_getaffinity(0)),
        "limits": [resource.getrlimit(number) for number in range(16)],
        "oom_score_adj": text("/proc/self/oom_score_adj"),
        "personality": text("/proc/self/personality"),
        "session": [os.getpid(), os.getpgid(0), os.getsid(0), os.getppid()],
        "securebits": libc.prctl(PR_GET_SECUREBITS, 0, 0, 0, 0),
        "keepcaps": libc.prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0),
        "keyring": keyring,
        "mounts": mounts(),
        "root": sorted(os.listdir("/")),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
