"""A caller with everything that must not reach a container; starts a container nevertheless, and says what it sees.

Executed by `tests.runtime.test_declared`, as a program: what it does to itself it could not undo.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from minidock.core.process import Mount, ProcessSpec, User
from minidock.core.security import Security
from minidock.runtime import syscalls
from minidock.runtime.base import Isolation, ProcessIO
from minidock.runtime.native import NativeRuntime
from minidock.runtime.oci import OciRuntime, found
from tests.runtime.inside import KEYCTL_GET_KEYRING_ID, KEYCTL_NUMBER, SESSION_KEYRING
from tests.runtime.machine import Containers, finish

KEYCTL_JOIN_SESSION_KEYRING = 1
NICE = 3


def make_a_mess() -> dict[str, Any]:
    """Open files, ignore and block signals, set whatever is inherited; return what a container is to share anyway."""
    for number in range(3, 40):
        os.dup2(os.open("/etc/passwd", os.O_RDONLY), number + 100)
    for fd in range(3, 140):
        try:
            os.set_inheritable(fd, True)
        except OSError:
            continue
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number != signal.SIGCHLD else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGALRM])
    os.environ["LEAKED"] = "yes"
    os.umask(0o077)
    os.chdir("/usr/bin")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("77")
    libc = ctypes.CDLL(None, use_errno=True)
    keyctl = KEYCTL_NUMBER[os.uname().machine]
    libc.syscall(keyctl, KEYCTL_JOIN_SESSION_KEYRING, None)
    held = syscalls.permitted_capabilities()
    if held:
        syscalls.capset(effective=held, permitted=held, inheritable=held)
        os.setgroups([4, 24, 27])
    return {
        "keyring": libc.syscall(keyctl, KEYCTL_GET_KEYRING_ID, SESSION_KEYRING, 0),
        "limits": [resource.getrlimit(number) for number in range(16)],
        "processors": sorted(os.sched_getaffinity(0)),
    }


def main() -> None:
    """Take the orders from the command line; print what the caller had and what the process saw."""
    orders = json.loads(sys.argv[1])
    if orders["runtime"] == "native":
        runtime = NativeRuntime(Isolation.NAMESPACES)
    else:
        runtime = OciRuntime(found()[orders["runtime"]], Isolation.NAMESPACES)
    box = Containers(runtime, Path(orders["lower"]), Path(orders["place"]), is_copied=orders["is_copied"])
    spec = replace(
        box.spec(orders["python"], "-I", "-c", orders["script"]),
        env=("PATH=/bin", "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu", "HOME=/tmp"),
        cwd="/tmp",
        user=User(*orders["user"][:2], tuple(orders["user"][2])),
        mounts=(Mount("/usr", "/usr", is_read_only=True),),
        security=Security(seccomp=orders["seccomp"]),
        is_build_step=orders["is_build_step"],
    )
    other = box.shell("cat /proc/self/status", security=spec.security)
    mess = make_a_mess()
    code, text = _exec(box, spec) if orders["is_exec"] else box.run(spec)
    if code:
        sys.exit(f"{code}: {text}")
    os.write(1, json.dumps([mess, json.loads(text), box.run(other)[1]]).encode())


def _exec(box: Containers, spec: ProcessSpec) -> tuple[int, str]:
    """Run the spec in a container that is there already."""
    first = box.runtime.start(replace(spec, args=("sleep", "1000")), ProcessIO())
    read_end, write_end = os.pipe()
    second = box.runtime.exec(first.started, replace(spec, make_cwd=False), ProcessIO(None, write_end, write_end))
    os.close(write_end)
    result = finish(second, read_end)
    first.kill(9)
    first.wait()
    return result


if __name__ == "__main__":
    main()
