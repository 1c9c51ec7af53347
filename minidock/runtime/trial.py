"""Tries, in a process of its own, every system call that a container needs. Runs in the stub.

Nothing is left behind: the mounts go with the namespace, the directory belongs to the parent.
"""

from __future__ import annotations

import os

from minidock.runtime import fuse, identity, messages, rootfs, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from minidock.runtime.orders import Trial


def run(orders: Trial) -> int:
    """Send ``("tried", failures)``: a list of (step, error number), empty if everything works."""
    failures: list[tuple[str, int]] = []
    outside = orders["user_namespace"]
    steps: list[tuple[str, Callable[[], object]]] = []
    if outside is not None:
        steps.append(("user namespace", lambda: identity.enter_user_namespace(outside)))
    kinds = (syscalls.CLONE_NEWPID, syscalls.CLONE_NEWIPC, syscalls.CLONE_NEWUTS, syscalls.CLONE_NEWCGROUP)
    steps.append(("namespaces", lambda: syscalls.unshare(syscalls.CLONE_NEWNS | sum(kinds))))
    for step, action in steps:
        if not _works(step, action, failures):
            messages.send(messages.STATUS_FD, ("tried", failures))
            return 0
    pid = os.fork()  # only a process that is born in the PID namespace may mount its /proc
    if pid == 0:
        _try_mounts(orders, failures)
        os._exit(0)
    os.waitpid(pid, 0)
    return 0


def _try_mounts(orders: Trial, failures: list[tuple[str, int]]) -> None:
    directory = orders["directory"]
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("mount", lambda: syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)),
        ("proc", lambda: syscalls.mount("proc", f"{directory}/lower", "proc", flags)),
        ("tmpfs", lambda: syscalls.mount("tmpfs", f"{directory}/lower", "tmpfs", flags)),
        ("mount_setattr", _try_read_only_tree),
    )
    for step, action in steps:
        _works(step, action, failures)
    if not failures and not _works("overlay", lambda: _try_overlay(orders), failures) and orders["fuse"]:
        _works("fuse", lambda: _try_fuse(orders), failures)
    messages.send(messages.STATUS_FD, ("tried", failures))


def _works(step: str, action: Callable[[], object], failures: list[tuple[str, int]]) -> bool:
    try:
        action()
    except OSError as error:
        failures.append((step, error.errno or 0))
        return False
    return True


def _try_read_only_tree() -> None:
    tree = syscalls.clone_tree(syscalls.AT_FDCWD, "/sys", is_recursive=True)
    syscalls.mount_setattr(tree, syscalls.ATTR_RDONLY, is_recursive=True)
    os.close(tree)


def _try_overlay(orders: Trial) -> None:
    directory = orders["directory"]
    os.chdir(directory)
    is_user_namespace = orders["is_user_namespace"]
    layers = "lowerdir=layer,upperdir=upper,workdir=work"
    rootfs.mount_overlay("merged", layers, is_user_namespace=is_user_namespace, is_volatile=False)
    os.rmdir("merged/full/empty")  # this needs whiteouts to work, the next what `userxattr` is about
    os.rmdir("merged/full")


def _try_fuse(orders: Trial) -> None:
    directory = orders["directory"]
    server = fuse.Server(orders["fuse"], [f"{directory}/layer"], f"{directory}/upper", f"{directory}/work")
    try:
        server.mount(f"{directory}/merged")
        os.rmdir(f"{directory}/merged/full/empty")
        os.rmdir(f"{directory}/merged/full")
        syscalls.umount(f"{directory}/merged")
    finally:
        server.let_go()
        server.wait()
