"""Makes the orders of a container to start, or a process in one, from a `ProcessSpec`."""

from __future__ import annotations

import os

from minidock.core.id_mode import IdMode
from minidock.core.namespaces import HOST, Namespaces
from minidock.core.process import ProcessSpec
from minidock.runtime import seccomp
from minidock.runtime.devices import devices_of
from minidock.runtime.host_files import read
from minidock.runtime.mount_orders import mount_orders
from minidock.runtime.network_orders import network_files, network_orders
from minidock.runtime.orders import Launch, Limits, Oci, Process
from minidock.runtime.system_mounts import APT_CONFIG


def no_limits() -> Limits:
    """Return the limits of a process that is no part of a container's life."""
    return Limits(groups=[], possible=[], oom_marker="", oom_score_adj=None, rlimits=[], cpus=[], nice=0)


def process_of(
    spec: ProcessSpec, limits: Limits, *, id_mode: IdMode, has_init: bool = False, may_ask: bool = True
) -> Process:
    """Return the part of a spec that concerns the process, not its root file system.

    If ``may_ask``, the owners that it sets are taken down where the spec says into which file.
    """
    env = list(spec.env)
    emulates_root = id_mode is IdMode.SINGLE and spec.user.uid == 0
    is_asking = may_ask and id_mode.is_user_namespace and bool(spec.rootfs.owners) and _can_ask()
    may_make = emulates_root or "MKNOD" in spec.security.capabilities
    records_owners = is_asking and spec.user.uid == 0 and may_make
    if id_mode is IdMode.SINGLE and spec.user.uid == 0 and not any(entry.startswith("APT_CONFIG=") for entry in env):
        env.append(f"APT_CONFIG={APT_CONFIG}")
    return Process(
        args=list(spec.args),
        env=env,
        cwd=spec.cwd,
        make_cwd=spec.make_cwd,
        uid=spec.user.uid,
        gid=spec.user.gid,
        groups=list(spec.user.groups),
        has_terminal=spec.has_terminal,
        has_init=has_init,
        limits=limits,
        capabilities=spec.security.capability_mask,
        no_new_privileges=spec.security.no_new_privileges,
        records_owners=records_owners,
        filter=seccomp.program(
            emulates_root=emulates_root,
            records_owners=records_owners,
            profile=spec.security.seccomp,
            capabilities=spec.security.profile_capabilities,
        ),
    )


def launch_of(
    spec: ProcessSpec,
    limits: Limits,
    *,
    is_chroot: bool,
    id_mode: IdMode,
    oci: Oci | None = None,
    fuse: str = "",
) -> Launch:
    """Return the orders for starting ``spec``."""
    rootfs = spec.rootfs
    shared = shared_namespaces(spec.security.namespaces)
    return Launch(
        process=process_of(
            spec,
            limits,
            id_mode=id_mode,
            has_init=spec.has_init,
            may_ask=not (is_chroot or oci or fuse),
        ),
        is_chroot=is_chroot,
        user_namespace=(os.geteuid(), os.getegid()) if id_mode is IdMode.SINGLE else None,
        is_user_namespace=id_mode.is_user_namespace,
        own_network=spec.networking.has_own_namespace,
        network=network_orders(spec),
        joins=spec.networking.joined,
        is_volatile=spec.is_build_step,
        hostname="" if "uts" in shared else spec.hostname,
        lowers=[os.path.abspath(lower) for lower in rootfs.lowers],
        upper=os.path.abspath(rootfs.upper) if rootfs.upper else "",
        work=os.path.abspath(rootfs.work) if rootfs.work else "",
        copied=os.path.abspath(rootfs.copied) if rootfs.copied else "",
        owners=os.path.abspath(rootfs.owners) if rootfs.owners else "",
        fuse=fuse,
        is_read_only=rootfs.is_read_only,
        shm_size=spec.resources.shm_size,
        is_privileged=spec.security.is_privileged,
        is_unmasked=spec.security.shows_all,
        shared=shared,
        has_shm=spec.security.namespaces.ipc != "none",
        domain=spec.networking.domain,
        devices=devices_of(spec.security),
        sysctls=list(spec.security.sysctls),
        mounts=[mount_orders(mount, is_user_namespace=id_mode.is_user_namespace) for mount in spec.mounts],
        files=network_files(spec),
        has_fixed_files=rootfs.is_read_only or spec.is_build_step,
        secrets=[(file.target, file.content, file.mode, file.uid, file.gid) for file in spec.files],
        oci=oci,
    )


def shared_namespaces(namespaces: Namespaces) -> list[str]:
    """Return the names of those that are the host's."""
    return [name for name in ("ipc", "pid", "uts", "cgroup") if getattr(namespaces, name) == HOST]


def _can_ask() -> bool:
    """Whether the kernel lets a filter ask a supervisor."""
    return b"user_notif" in (read("/proc/sys/kernel/seccomp/actions_avail") or b"").split()
