"""A process as the configuration of an OCI runtime: a pure function from `ProcessSpec` to config.json.

What every container of minidock has in common is already in place when the runtime starts: the user and network
namespaces, the root file system with its volumes and network files, /dev and /sys. The runtime adds the other
namespaces and what belongs to them, the masks, the identity and the filter.

Source: OCI runtime-spec 1.0.2, config.md and config-linux.md.
"""

from __future__ import annotations

from typing import Any

from minidock.core.process import ProcessSpec
from minidock.errors import RuntimeProblem
from minidock.runtime.emulation import MACHINES
from minidock.runtime.launch import shared_namespaces
from minidock.runtime.oci_seccomp import seccomp_of
from minidock.runtime.system_mounts import APT_CONFIG, READ_ONLY, masked

VERSION = "1.0.2"
ROOTFS = "rootfs"  # in the bundle
_UMASK = 0o022
_PLAIN = ["nosuid", "noexec", "nodev"]


def config_of(spec: ProcessSpec, *, is_single_id: bool, machine: str) -> dict[str, Any]:
    """Return config.json for ``spec``. Raises: RuntimeProblem, naming what OCI runtimes cannot be asked for."""
    _refuse(spec)
    emulates_root = is_single_id and spec.user.uid == 0 and machine in MACHINES
    linux: dict[str, Any] = {
        "namespaces": [{"type": name} for name in ("pid", "ipc", "uts", "mount")],
        "maskedPaths": [] if spec.security.shows_all else [f"/{path}" for path in masked()],
        "readonlyPaths": [] if spec.security.shows_all else [f"/{path}" for path in READ_ONLY],
    }
    seccomp = seccomp_of(spec.security, emulates_root=emulates_root)
    if seccomp is not None:
        linux["seccomp"] = seccomp
    config: dict[str, Any] = {
        "ociVersion": VERSION,
        "process": process_of(spec, is_single_id=is_single_id),
        "root": {"path": ROOTFS, "readonly": spec.rootfs.is_read_only},
        "mounts": [
            # With a /dev of somebody else's runc does not try to make devices, which it cannot in a user namespace.
            {"destination": "/dev", "type": "bind", "source": f"{ROOTFS}/dev", "options": ["rbind"]},
            {"destination": "/proc", "type": "proc", "source": "proc", "options": _PLAIN},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": _PLAIN},
        ],
        "linux": linux,
    }
    sysctls = dict(spec.security.sysctls)
    if spec.networking.domain:
        sysctls["kernel.domainname"] = spec.networking.domain
    if sysctls:
        linux["sysctl"] = sysctls
    if spec.hostname:
        config["hostname"] = spec.hostname
    return config


def process_of(spec: ProcessSpec, *, is_single_id: bool) -> dict[str, Any]:
    """Return the member ``process`` of config.json, which is also what ``exec --process`` takes.

    Raises: RuntimeProblem for a user that there cannot be.
    """
    if is_single_id and (spec.user.uid, spec.user.gid) != (0, 0):
        # They insist on the id 0 in every user namespace; with one id it can have one name only.
        raise _cannot("start another user than root where there is a single id")
    env = list(spec.env)
    if is_single_id and spec.user.uid == 0 and not any(entry.startswith("APT_CONFIG=") for entry in env):
        env.append(f"APT_CONFIG={APT_CONFIG}")
    user: dict[str, Any] = {"uid": spec.user.uid, "gid": spec.user.gid, "umask": _UMASK}
    if not is_single_id:
        user["additionalGids"] = sorted({spec.user.gid, *spec.user.groups})
    return {
        "terminal": spec.has_terminal,
        "user": user,
        "args": list(spec.args),
        "env": env,
        "cwd": spec.cwd,
        "capabilities": _capabilities(spec),
        "rlimits": [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": _limit(limit.soft), "hard": _limit(limit.hard)}
            for limit in spec.resources.ulimits
        ],
        # With a single id capset is one of the calls that appear to succeed: the filter has to be loaded after it.
        "noNewPrivileges": spec.security.no_new_privileges or is_single_id,
    }


def _limit(value: int) -> int:
    return (1 << 64) - 1 if value < 0 else value


def _capabilities(spec: ProcessSpec) -> dict[str, list[str]]:
    """Return the capability sets; those of another user than root are for programs that carry capabilities only."""
    names = [f"CAP_{name}" for name in spec.security.capabilities]
    of_root = names if spec.user.uid == 0 else []
    return {"bounding": names, "effective": of_root, "permitted": of_root, "inheritable": [], "ambient": []}


def _refuse(spec: ProcessSpec) -> None:
    for mount in spec.mounts:
        if mount.propagation.endswith("shared"):
            raise _cannot(f"share mounts below {mount.target} with the host")
        if mount.target.startswith("/proc/"):
            raise _cannot(f"mount onto {mount.target}")
    for option in shared_namespaces(spec.security.namespaces):
        raise _cannot(f"use a namespace of the host (--{'cgroupns' if option == 'cgroup' else option} host)")
    for name, _ in spec.security.sysctls:
        if name.startswith("net."):
            raise _cannot(f"set {name}")
    if spec.has_init:
        raise _cannot("start a small init process (--init)")


def _cannot(what: str) -> RuntimeProblem:
    return RuntimeProblem(f"this runtime cannot {what}", hint="leave it out, or use --runtime native")
