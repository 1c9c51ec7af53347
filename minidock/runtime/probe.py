"""Finds out by trying what this user may do on this machine, and explains what is missing."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence

from minidock.core.id_mode import IdMode
from minidock.errors import StoreUnwritable
from minidock.runtime import ids, spawn, syscalls
from minidock.runtime.base import Isolation, RuntimeReport
from minidock.runtime.orders import Trial

FUSE = "fuse-overlayfs"
_COPIED = "root file systems are copied"
_CAP_SYS_CHROOT, _CAP_SYS_ADMIN = 18, 21
_RESTRICTIONS = (
    # file, the value that forbids, what to do about it
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor refuses user namespaces (Ubuntu 23.10 and later): "
        "run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, "
        "or install an AppArmor profile for this python",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "user namespaces are switched off: run `sudo sysctl user.max_user_namespaces=15000`",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are for root only: run `sudo sysctl kernel.unprivileged_userns_clone=1`",
    ),
)
_CHROOT_REASON = (
    "processes are not isolated: they run with a changed root directory only, without /proc, mounts, "
    "a host name or a network of their own, and see the host's processes; "
    "the volumes of an image are plain directories of its container; "
    "for isolation give this container CAP_SYS_ADMIN (docker run --privileged) or run as a plain user"
)


def probe(directory: str) -> RuntimeReport:
    """Return what works for this user with files in ``directory``, or in its nearest parent that exists.

    Raises: StoreUnwritable if nothing can be created there.
    """
    id_mode = ids.id_mode()
    is_root = id_mode is not IdMode.SINGLE
    if is_root and not _has_capability(_CAP_SYS_ADMIN):
        return _chroot_report(("this root has no CAP_SYS_ADMIN, so it cannot mount or make namespaces",))
    failures = _try(directory, id_mode)
    reasons = tuple(_explain(step, code) for step, code in failures)
    fuse = fuse_program()
    if [step for step, _ in failures] == ["overlay"] and fuse:
        reasons = (reasons[0].replace(_COPIED, f"{FUSE} takes its place"),)
        return RuntimeReport(Isolation.NAMESPACES, id_mode, has_overlay=True, reasons=reasons, fuse=fuse)
    if all(step in ("overlay", "fuse") for step, _ in failures):
        return RuntimeReport(Isolation.NAMESPACES, id_mode, has_overlay=not failures, reasons=reasons)
    if is_root:
        return _chroot_report(reasons)
    return RuntimeReport(Isolation.UNAVAILABLE, id_mode, has_overlay=False, reasons=reasons)


def fuse_program() -> str:
    """Return the path of fuse-overlayfs if it is installed and its device can be opened, else nothing."""
    program = shutil.which(FUSE)
    return os.path.abspath(program) if program and os.access("/dev/fuse", os.R_OK | os.W_OK) else ""


def _chroot_report(reasons: tuple[str, ...]) -> RuntimeReport:
    if not _has_capability(_CAP_SYS_CHROOT):
        reasons = (*reasons, "this root has no CAP_SYS_CHROOT either")
        return RuntimeReport(Isolation.UNAVAILABLE, ids.id_mode(), has_overlay=False, reasons=reasons)
    return RuntimeReport(Isolation.CHROOT, ids.id_mode(), has_overlay=False, reasons=(*reasons, _CHROOT_REASON))


def _has_capability(number: int) -> bool:
    return bool(syscalls.permitted_capabilities() >> number & 1)


def _try(directory: str, id_mode: IdMode) -> Sequence[tuple[str, int]]:
    directory = os.path.abspath(directory)
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    try:
        place = tempfile.mkdtemp(prefix=".probe-", dir=directory)
    except OSError as error:
        raise StoreUnwritable(f"cannot write to {directory}: {error.strerror}") from error
    try:
        for name in ("lower", "layer/full/empty", "upper", "work", "merged"):
            os.makedirs(f"{place}/{name}")
        outside = (os.geteuid(), os.getegid()) if id_mode is IdMode.SINGLE else None
        orders = Trial(
            user_namespace=outside,
            is_user_namespace=id_mode.is_user_namespace,
            directory=place,
            fuse=fuse_program(),
        )
        stub = spawn.spawn("try", orders, executable=sys.executable)
        said = stub.messages()
        stub.wait()
    finally:
        _remove(place)
    for message in said:
        if message[0] == "tried":
            failures: list[tuple[str, int]] = message[1]
            return failures
    return [("trial", said[0][2] if said else 0)]


def _remove(place: str) -> None:
    try:
        os.chmod(f"{place}/work/work", 0o700)  # overlayfs makes it with mode 000, in which rmtree may not look
    except FileNotFoundError:
        pass
    shutil.rmtree(place)


def _explain(step: str, code: int) -> str:
    reason = os.strerror(code).lower()
    if step in ("user namespace", "namespaces", "mount"):
        for path, value, remedy in _RESTRICTIONS:
            if _content(path) == value:
                return f"{step}: {reason}; {remedy}"
        return f"{step}: {reason}; {_outer_container_hint()}"
    if step == "proc":
        return f"/proc: {reason}; inside docker use --security-opt systempaths=unconfined"
    if step == "mount_setattr" and code == errno.ENOSYS:
        return "the kernel is older than 5.12 and cannot make mounts read-only recursively; use a newer one"
    if step == "overlay":
        return (
            f"overlay: {reason}; {_COPIED}, which is slower: "
            "put the store on a local ext4, xfs, btrfs or tmpfs (MINIDOCK_ROOT)"
        )
    return f"{step}: {reason}"


def _outer_container_hint() -> str:
    return (
        "the seccomp or AppArmor profile of a surrounding container may forbid it: inside docker use "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    )


def _content(path: str) -> str | None:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None
