"""Turns the privileged launcher into the user of the container: capabilities, ids, seccomp. Runs in the stub.

Source: capabilities(7); user_namespaces(7) for the rules of id maps.
"""

from __future__ import annotations

import _socket
import os
import struct

from minidock.runtime import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.orders import Process

_SYS_ADMIN = 1 << 21
_MOST_CAPABILITIES = 64


def map_single_id(self_fd: int, inside: tuple[int, int], outside: tuple[int, int]) -> None:
    """Map one user and one group id in a new user namespace; ``self_fd`` is this process's directory in a /proc."""
    _write(self_fd, "setgroups", "deny")  # a group map without privilege needs it
    _write(self_fd, "uid_map", f"{inside[0]} {outside[0]} 1\n")
    _write(self_fd, "gid_map", f"{inside[1]} {outside[1]} 1\n")


def enter_user_namespace(outside: tuple[int, int]) -> None:
    """Become root of a new user namespace, where 0 and 0 stand for the ids ``outside``."""
    self_fd = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        map_single_id(self_fd, (0, 0), outside)
    finally:
        os.close(self_fd)


def _write(directory: int, name: str, text: str) -> None:
    fd = os.open(name, os.O_WRONLY, dir_fd=directory)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def assume(process: Process, *, self_fd: int, is_single_id: bool, supervisor: int) -> None:
    """Become the user of ``process`` with its capabilities at most, and with its filter of system calls.

    A filter that asks has its descriptor handed over on the socket ``supervisor``.
    """
    uid, gid = process["uid"], process["gid"]
    if is_single_id and (uid, gid) != (0, 0):
        # The only id there is gets another name in a namespace of its own; the files of root appear under it.
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        map_single_id(self_fd, (uid, gid), (0, 0))
    may_gain = not process["no_new_privileges"]
    if not may_gain:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    _limit_capabilities(process["capabilities"])
    if is_single_id:
        # exec computes the capabilities of root anew, within the bounding set; capset itself may be emulated.
        _load_filter(process, supervisor)
        return
    if may_gain:
        _load_filter(process, supervisor)
    os.setgroups(sorted({gid, *process["groups"]}))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if uid == 0:
        kept = process["capabilities"] & syscalls.permitted_capabilities()
        syscalls.capset(effective=kept, permitted=kept, inheritable=0)
    if not may_gain:
        _load_filter(process, supervisor)  # as late as can be: it may well forbid what has just been done


def _load_filter(process: Process, supervisor: int) -> None:
    """Install the filter: that needs CAP_SYS_ADMIN, or no_new_privs, which disables setuid programs.

    Without either (a root in a container that may not mount) that container's own filter has to do.
    """
    may_load = process["no_new_privileges"] or syscalls.permitted_capabilities() & _SYS_ADMIN
    if not process["filter"] or not may_load:
        return
    if not process["records_owners"]:
        syscalls.seccomp_load(process["filter"])
        return
    listener = syscalls.seccomp_listen(process["filter"])
    peer = _socket.socket(fileno=supervisor)
    peer.sendmsg([b"f"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", listener))])
    peer.detach()
    os.close(listener)


def _limit_capabilities(kept: int) -> None:
    """Drop all others from the bounding set, and everything from the inheritable and the ambient one."""
    for capability in range(_MOST_CAPABILITIES):
        if kept >> capability & 1:
            continue
        try:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
        except OSError:
            break  # EINVAL: the kernel knows no more; EPERM: without CAP_SETPCAP nothing can be dropped
    held = syscalls.permitted_capabilities()
    syscalls.capset(effective=held, permitted=held, inheritable=0)
    syscalls.clear_ambient_capabilities()
