"""What the stub is told: plain values that `marshal` can carry. `launch` makes them from a `ProcessSpec`."""

from __future__ import annotations

from typing import TypedDict


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
    has_fixed_files: bool  # whether they cannot be written
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
