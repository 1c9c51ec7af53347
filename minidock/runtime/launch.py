"""What the stub is told: plain values that `marshal` can carry, made from a `ProcessSpec` by the parent."""

from __future__ import annotations

import os
import re
from typing import TypedDict

from minidock.core.id_mode import IdMode
from minidock.core.namespaces import HOST, Namespaces
from minidock.core.networking import Endpoint, NetworkKind
from minidock.core.process import Mount, MountType, Overlay, ProcessSpec, Recursion
from minidock.errors import RuntimeProblem
from minidock.runtime import seccomp, syscalls
from minidock.runtime.devices import devices_of
from minidock.runtime.network import name_files
from minidock.runtime.system_mounts import APT_CONFIG


class Limits(TypedDict):
    """What keeps the process within limits, see `minidock.runtime.confinement`.

    ``groups`` are the directories of control groups to join, ``possible`` those of every group that the container may
    have had by the time it ends. ``rlimits`` are (number, soft, hard, whether the hard limit is above the caller's).
    """

    groups: list[str]
    possible: list[str]
    oom_marker: str
    oom_score_adj: int | None
    rlimits: list[tuple[int, int, int, bool]]
    cpus: list[int]
    nice: int


class Process(TypedDict):
    """The process itself, for `start` and `exec` alike."""

    args: list[str]
    env: list[str]
    cwd: str
    make_cwd: bool
    uid: int
    gid: int
    groups: list[int]
    has_terminal: bool
    has_init: bool
    limits: Limits
    capabilities: int  # a bit for each that it may have
    no_new_privileges: bool
    filter: bytes  # of system calls, as BPF; empty for none
    records_owners: bool  # the filter asks


class OverlayOrders(TypedDict):
    """An overlay to mount on the source of a mount first."""

    lowers: list[str]
    upper: str
    work: str
    is_user_namespace: bool


class MountOrders(TypedDict):
    """One mount, in terms of the system calls; ``data`` and ``flags`` are those of a tmpfs."""

    source: str
    subpath: str
    target: str
    is_tmpfs: bool
    is_read_only: bool
    is_recursive: bool
    is_read_only_below: bool
    propagation: int
    is_propagation_recursive: bool
    flags: int
    data: str
    overlay: OverlayOrders | None


class Oci(TypedDict):
    """An OCI runtime that starts the process; ``bundle`` is a directory of the container, hidden while it runs."""

    program: str
    options: list[str]
    hides_cgroups: bool
    bundle: str
    files: list[tuple[str, bytes]]  # name in the bundle, content
    has_terminal: bool


class EndpointOrders(TypedDict):
    """A connection with a network: where the others on it are found, addresses with prefix lengths, names."""

    directory: str
    address: str
    gateway: str
    address6: str
    gateway6: str
    mac: str
    names: list[str]
    is_internal: bool


# Port of the container, protocol, address on the host (empty: every one), the ports of the host that will do.
PortOrders = tuple[int, str, str, int, int]


class NetworkOrders(TypedDict):
    """What the relay of a container is told."""

    id: str
    endpoints: list[EndpointOrders]
    ports: list[PortOrders]
    resolvers: list[str]
    opens_host: bool
    control: str  # the directory in which it listens for changes; empty for none


class Launch(TypedDict):
    """A container to start, in namespaces or (``is_chroot``) in a changed root directory."""

    process: Process
    is_chroot: bool
    user_namespace: tuple[int, int] | None  # to make: the host ids that 0 and 0 stand for
    is_user_namespace: bool  # that one, or one that all of minidock is in
    own_network: bool
    network: NetworkOrders | None  # where the network of its own leads to, if anywhere
    joins: tuple[int, int] | None  # PID and start time of the container whose network it is to use
    is_volatile: bool
    hostname: str
    lowers: list[str]
    upper: str
    work: str
    copied: str
    owners: str  # where the owners of what cannot have attributes are noted
    fuse: str  # the program that stands in for overlayfs, if one does
    is_read_only: bool
    shm_size: int
    is_privileged: bool
    is_unmasked: bool
    shared: list[str]  # the namespaces of the host that it uses: ipc, pid, uts, cgroup
    has_shm: bool
    domain: str
    devices: list[tuple[str, str]]  # node on the host, path inside
    sysctls: list[tuple[str, str]]
    mounts: list[MountOrders]
    files: list[tuple[str, bytes]]  # path inside, content
    secrets: list[tuple[str, bytes, int, int, int]]  # path inside, content, mode, owner, group
    oci: Oci | None


class Join(TypedDict):
    """One more process in a running container; ``mode`` of the container is found by looking at it."""

    process: Process
    pid: int
    start_ticks: int
    is_single_id: bool
    base: str
    owners: str
    oci: Oci | None


class Files(TypedDict):
    """What `cp` wants of a container: one that runs (``pid``), or one that is mounted for it (``launch``)."""

    launch: Launch | None
    pid: int
    start_ticks: int
    is_single_id: bool
    is_read: bool
    path: str
    follows: bool


class Trial(TypedDict):
    """What to try for `Runtime.probe`, in an empty directory that the parent made and removes."""

    user_namespace: tuple[int, int] | None
    is_user_namespace: bool
    directory: str
    fuse: str


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
            has_init=spec.has_init and not is_chroot,
            may_ask=not (is_chroot or oci or fuse),
        ),
        is_chroot=is_chroot,
        user_namespace=(os.geteuid(), os.getegid()) if id_mode is IdMode.SINGLE else None,
        is_user_namespace=id_mode.is_user_namespace,
        own_network=spec.networking.has_own_namespace,
        network=_network_orders(spec),
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
        mounts=[_mount_orders(mount, is_user_namespace=id_mode.is_user_namespace) for mount in spec.mounts],
        files=network_files(spec),
        secrets=[(file.target, file.content, file.mode, file.uid, file.gid) for file in spec.files],
        oci=oci,
    )


def shared_namespaces(namespaces: Namespaces) -> list[str]:
    """Return the names of those that are the host's."""
    return [name for name in ("ipc", "pid", "uts", "cgroup") if getattr(namespaces, name) == HOST]


def _can_ask() -> bool:
    """Whether the kernel lets a filter ask a supervisor."""
    return b"user_notif" in (_read("/proc/sys/kernel/seccomp/actions_avail") or b"").split()


_FLAGS = {
    "ro": (syscalls.MS_RDONLY, True),
    "rw": (syscalls.MS_RDONLY, False),
    "noexec": (syscalls.MS_NOEXEC, True),
    "exec": (syscalls.MS_NOEXEC, False),
    "nosuid": (syscalls.MS_NOSUID, True),
    "suid": (syscalls.MS_NOSUID, False),
    "sync": (syscalls.MS_SYNCHRONOUS, True),
    "async": (syscalls.MS_SYNCHRONOUS, False),
    "noatime": (syscalls.MS_NOATIME, True),
    "atime": (syscalls.MS_NOATIME, False),
    "nodiratime": (syscalls.MS_NODIRATIME, True),
    "diratime": (syscalls.MS_NODIRATIME, False),
    "strictatime": (syscalls.MS_STRICTATIME, True),
    "nostrictatime": (syscalls.MS_STRICTATIME, False),
    # Without a devices cgroup a device node would be the host's device: never on a mount of a container.
    "nodev": (0, True),
    "dev": (0, True),
    "relatime": (0, True),
    "norelatime": (0, True),
    "dirsync": (0, True),
}
_OCTAL = re.compile(r"\\([0-7]{3})")
_PROPAGATION = {"shared": syscalls.MS_SHARED, "slave": syscalls.MS_SLAVE, "private": syscalls.MS_PRIVATE}


def _mount_orders(mount: Mount, *, is_user_namespace: bool) -> MountOrders:
    if mount.propagation.removeprefix("r") in ("shared", "slave"):
        _check_spreads(mount)
    flags, data = syscalls.MS_NOSUID | syscalls.MS_NOEXEC, []
    for option in mount.options:
        if option not in _FLAGS:
            data.append(option)
            continue
        flag, is_set = _FLAGS[option]
        flags = flags | flag if is_set else flags & ~flag
    is_recursive = not mount.propagation or mount.propagation.startswith("r")
    return MountOrders(
        source=mount.source,
        subpath=mount.subpath,
        target=mount.target,
        is_tmpfs=mount.type is MountType.TMPFS,
        is_read_only=mount.is_read_only,
        is_recursive=mount.recursion is not Recursion.DISABLED,
        is_read_only_below=mount.recursion is not Recursion.WRITABLE,
        propagation=_PROPAGATION[mount.propagation.removeprefix("r") or "private"],
        is_propagation_recursive=is_recursive,
        flags=flags | syscalls.MS_NODEV | (syscalls.MS_RDONLY if mount.is_read_only else 0),
        data=",".join(data),
        overlay=None if mount.overlay is None else _overlay_orders(mount.overlay, is_user_namespace=is_user_namespace),
    )


def _overlay_orders(overlay: Overlay, *, is_user_namespace: bool) -> OverlayOrders:
    return OverlayOrders(
        lowers=list(overlay.lowers), upper=overlay.upper, work=overlay.work, is_user_namespace=is_user_namespace
    )


def _check_spreads(mount: Mount) -> None:
    """Refuse to share with a mount of the host that shares with nobody. Raises: RuntimeProblem."""
    path, place, tags = os.path.realpath(mount.source), "", ""
    for line in (_read("/proc/self/mountinfo") or b"").decode("utf-8", "surrogateescape").splitlines():
        fields = line.split()
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if len(point) >= len(place) and (path == point or path.startswith(f"{point.rstrip('/')}/")):
            place, tags = point, " ".join(fields[6 : fields.index("-")])
    if "shared:" in tags or ("slave" in mount.propagation and "master:" in tags):
        return
    kind = "shared or slave" if "slave" in mount.propagation else "shared"
    raise RuntimeProblem(f"path {mount.source} is mounted on {place} but it is not a {kind} mount")


def _network_orders(spec: ProcessSpec) -> NetworkOrders | None:
    networking = spec.networking
    if networking.kind is not NetworkKind.PRIVATE:
        return None
    return NetworkOrders(
        id=spec.id,
        endpoints=[endpoint_orders(endpoint) for endpoint in networking.endpoints],
        ports=[
            (port.container_port, port.protocol, port.host_ip, port.host_port, port.host_port_end)
            for port in networking.published
        ],
        resolvers=list(networking.dns) or name_files.resolvers(_read("/etc/resolv.conf") or b""),
        opens_host=networking.opens_host,
        control=networking.control,
    )


def endpoint_orders(endpoint: Endpoint) -> EndpointOrders:
    """Return what a relay is told of a connection with a network."""
    return EndpointOrders(
        directory=endpoint.directory,
        address=endpoint.address,
        gateway=endpoint.gateway,
        address6=endpoint.address6,
        gateway6=endpoint.gateway6,
        mac=endpoint.mac,
        names=list(endpoint.names),
        is_internal=endpoint.is_internal,
    )


def network_files(spec: ProcessSpec) -> list[tuple[str, bytes]]:
    """Return the files that every container is given, as (path, content): its names and its name servers."""
    networking = spec.networking
    if networking.joined is not None:
        root = f"/proc/{networking.joined[0]}/root"  # of the container whose network it is: the very same names
        shared = [(path, _read(f"{root}{path}")) for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")]
        return [(path, content) for path, content in shared if content is not None]
    files = []
    host = _read("/etc/resolv.conf")
    if networking.kind is NetworkKind.PRIVATE or host is not None or networking.dns:
        files.append(("/etc/resolv.conf", name_files.resolv_conf(networking, host or b"")))
    hosts = (_read("/etc/hosts") if networking.kind is NetworkKind.HOST else None) or b""
    files.append(("/etc/hosts", name_files.hosts(networking, spec.hostname, hosts)))
    if spec.hostname:
        files.append(("/etc/hostname", f"{spec.hostname}\n".encode()))
    return files


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
