"""What `minidock doctor` asks the kernel and the machine: each check looks at one thing and says what follows from it.

A check tries what it can try without leaving anything behind; what only a whole container can show is tried by
`minidock.runtime.probe`.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import zlib

from minidock.core.cgroups import CPU, CPUSET, MEMORY, PIDS, Trees
from minidock.core.diagnosis import Finding, Verdict
from minidock.core.id_map import subordinate_ranges
from minidock.core.id_mode import IdMode
from minidock.runtime import ids, syscalls
from minidock.runtime.cgroups import Cgroups

_NEEDED_KERNEL = (5, 12)
_KERNEL_PARTS = (((5, 11), "overlayfs for plain users"), ((5, 12), "recursively read-only mounts"))
_USER_RESTRICTIONS = (
    # file, the value that forbids, what is so, what helps
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "switched off (user.max_user_namespaces = 0)",
        "sudo sysctl user.max_user_namespaces=15000",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "for root only (kernel.unprivileged_userns_clone = 0)",
        "sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "restricted by AppArmor (kernel.apparmor_restrict_unprivileged_userns = 1)",
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for this python",
    ),
)
_NO_PROCESSES = "no RUN and no `run`; builds of COPY and metadata, import, history and df work"


def kernel() -> Finding:
    """Is the kernel new enough?"""
    release = os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers >= _NEEDED_KERNEL:
        return Finding("kernel", Verdict.OK, release)
    missing = ", ".join(f"{what} ({need[0]}.{need[1]})" for need, what in _KERNEL_PARTS if numbers < need)
    return Finding("kernel", Verdict.PROBLEM, release, f"missing: {missing}", "use Linux 5.12 or later")


def user_namespaces() -> Finding:
    """May this user make user namespaces? Rules that forbid it are named; root needs none."""
    subject = "user namespaces"
    if ids.id_mode() is IdMode.ROOT:
        return Finding(subject, Verdict.OK, "not needed by root")
    for path, value, found, remedy in _USER_RESTRICTIONS:
        if _content(path) == value:
            return Finding(subject, Verdict.PROBLEM, found, _NO_PROCESSES, remedy)
    most = _content("/proc/sys/user/max_user_namespaces")
    return Finding(subject, Verdict.OK, f"allowed, at most {most}" if most else "allowed")


def id_ranges() -> Finding:
    """Has this user a range of ids, and the programs that map it?"""
    subject = "id ranges"
    if ids.id_mode() is IdMode.ROOT:
        return Finding(subject, Verdict.OK, "not needed by root")
    uid = ids.outside_uid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    ranges = {
        path: bool(subordinate_ranges(_content(path) or "", name, uid)) for path in ("/etc/subuid", "/etc/subgid")
    }
    programs = {program: shutil.which(program) for program in ("newuidmap", "newgidmap")}
    lacking = [path for path, has in ranges.items() if not has] + [name for name, path in programs.items() if not path]
    if not lacking:
        return Finding(subject, Verdict.OK, "ranges in /etc/subuid and /etc/subgid, newuidmap is installed")
    return Finding(
        subject,
        Verdict.NOTE,
        f"missing: {', '.join(lacking)}",
        "containers have a single id: owners other than root are emulated",
        f"sudo apt-get install uidmap; sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}",
    )


def system_calls() -> Finding:
    """Are the newer system calls there, or filtered by a surrounding container?"""
    missing = []
    for name, works in (("openat2", _has_openat2), ("pidfd_open", _has_pidfd), ("mount_setattr", _has_mount_setattr)):
        if not works():
            missing.append(name)
    if not missing:
        return Finding("system calls", Verdict.OK, "openat2, pidfd_open, mount_setattr")
    return Finding(
        "system calls",
        Verdict.PROBLEM,
        f"refused: {', '.join(missing)}",
        "paths of images cannot be resolved safely: no RUN and no `run`",
        "use a newer kernel, or in a surrounding container one with --security-opt seccomp=unconfined",
    )


def _has_openat2() -> bool:
    try:
        os.close(syscalls.openat2(syscalls.AT_FDCWD, "/", os.O_PATH, syscalls.RESOLVE_NO_MAGICLINKS))
    except OSError:
        return False
    return True


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _has_mount_setattr() -> bool:
    try:
        syscalls.mount_setattr(-1, 0)
    except OSError as error:
        return error.errno != errno.ENOSYS  # a bad descriptor, or no permission: the call is there
    return True


def seccomp() -> Finding:
    """Can system calls be filtered, and answered by another process?"""
    actions = (_content("/proc/sys/kernel/seccomp/actions_avail") or "").split()
    if not actions:
        consequence = "containers run without a filter of system calls"
        return Finding(
            "seccomp", Verdict.WARNING, "not available", consequence, "use a kernel with CONFIG_SECCOMP_FILTER"
        )
    if "user_notif" not in actions:
        consequence = "with a single id the owners that a RUN sets are not recorded"
        return Finding("seccomp", Verdict.NOTE, "without user notification", consequence, "use Linux 5.0 or later")
    return Finding("seccomp", Verdict.OK, "filters and user notification")


def fuse() -> Finding:
    """Could fuse-overlayfs stand in for overlayfs?"""
    program = shutil.which("fuse-overlayfs")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
        device = ""
    except OSError as error:
        device = (error.strerror or "").lower()
    if program and not device:
        return Finding("fuse", Verdict.OK, f"{program}, /dev/fuse opens")
    found = ", ".join(
        [*([] if program else ["fuse-overlayfs is not installed"]), *([f"/dev/fuse: {device}"] if device else [])]
    )
    return Finding("fuse", Verdict.NOTE, found, "matters only where overlayfs is refused")


def proc() -> Finding:
    """Is /proc whole? In a container of docker parts of it are covered, and a new one cannot be mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        covered = sorted({line.split()[4] for line in mounts if line.split()[4].startswith("/proc/")})
    masked = [path for path in covered if path != "/proc/sys/fs/binfmt_misc"]
    if not masked:
        return Finding("/proc", Verdict.OK, "whole")
    return Finding(
        "/proc",
        Verdict.NOTE,
        f"covered in part: {', '.join(masked[:3])}{' …' if masked[3:] else ''}",
        "a plain user inside a container cannot mount a new one",
        "start the surrounding container with --security-opt systempaths=unconfined",
    )


def cgroups(groups: Cgroups | None = None) -> Finding:
    """Can limits of memory, processors and processes be set?"""
    subject, consequence = "cgroups", "limits such as --memory are kept by weaker means or not at all"
    groups = groups or Cgroups()
    trees, bases = groups.trees(), groups.bases()
    if not trees.legacy and trees.unified is None:
        return Finding(subject, Verdict.WARNING, "none mounted", consequence)
    version = "version 2" if not trees.legacy else "version 1" if trees.unified is None else "both versions"
    usable = [name for name in (MEMORY, CPU, PIDS, CPUSET) if name in bases]
    if {MEMORY, CPU, PIDS} <= bases.keys():  # cpuset is often not delegated
        return Finding(subject, Verdict.OK, f"{version}, {', '.join(usable)}")
    found = f"{version}, only {', '.join(usable)}" if usable else f"{version}, none for this user"
    remedy = _remedy_of_groups(trees, {MEMORY, CPU, PIDS} - {*bases})
    return Finding(subject, Verdict.WARNING, found, consequence, remedy)


def _remedy_of_groups(trees: Trees, missing: set[str]) -> str:
    """Return what a plain user types to get groups with these controllers in this shell; empty if nothing helps."""
    if not trees.legacy:
        is_delegable = os.path.isdir("/run/systemd/system")
        return "systemd-run --user --scope -p Delegate=yes minidock …" if is_delegable else ""
    user = os.geteuid()
    if not user or not missing <= trees.legacy.keys():
        return ""
    places = " ".join(f"{trees.legacy[name].top}/user-{user}" for name in sorted(missing))
    steps = f"sudo mkdir -p $d; sudo chown -R {user} $d; echo $$ | sudo tee $d/cgroup.procs"
    return f"for d in {places}; do {steps}; done"


def network() -> Finding:
    """Are the pieces for a network of one's own there: packet filter rules, pairs of interfaces, tap devices?"""
    known = _kernel_options()
    has = {
        "nf_tables": _is_loaded("nf_tables") or "CONFIG_NF_TABLES" in known,
        "veth": _is_loaded("veth") or "CONFIG_VETH" in known,
        "tun": os.access("/dev/net/tun", os.R_OK | os.W_OK),
    }
    missing = [name for name, is_there in has.items() if not is_there]
    there = ", ".join(name for name, is_there in has.items() if is_there)
    if not missing:
        return Finding("network", Verdict.OK, there)
    return Finding(
        "network",
        Verdict.NOTE,
        f"not seen: {', '.join(missing)}{'; there: ' + there if there else ''}",
        "matters for networks other than host and none",
        f"as root: modprobe {' '.join(missing)}",
    )


def _kernel_options() -> frozenset[str]:
    """Return what the kernel was built with, as far as it tells."""
    data = b""
    for path in ("/proc/config.gz", f"/boot/config-{os.uname().release}"):
        try:
            with open(path, "rb") as file:
                data = file.read()
            break
        except OSError:
            continue
    if data.startswith(b"\x1f\x8b"):
        data = zlib.decompress(data, wbits=31)
    lines = data.decode("ascii", "replace").splitlines()
    return frozenset(line.partition("=")[0] for line in lines if line.endswith(("=y", "=m")))


def _is_loaded(module: str) -> bool:
    return os.path.isdir(f"/sys/module/{module}")


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []


def _content(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
