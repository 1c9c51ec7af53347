"""Has an OCI runtime (crun, runc) start the container around which everything else has been prepared. Runs in the stub.

::

    parent ── monitor ── keeper ── first process of the container
                         PID 1 of a PID namespace that holds the runtime and the container; a mount namespace with
                         the root file system, the bundle and the runtime's state, all of it in memory

The runtime itself only comes and goes (``create``, ``start``). When the keeper dies, however that happens, the kernel
ends the container and every trace of it is gone. A joining process (`delegate_join`) finds the state through the
keeper.
"""

from __future__ import annotations

import os

from minidock.runtime import (
    confinement,
    execute,
    loopback,
    messages,
    oci_calls,
    preflight,
    rootfs,
    syscalls,
    system_mounts,
    volumes,
)
from minidock.runtime.mountpoints import MountPoints
from minidock.runtime.rootfs import through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from minidock.runtime.fuse import Server
    from minidock.runtime.orders import Launch, Oci

_ROOTFS = "rootfs"
_CGROUPS = "/sys/fs/cgroup"
_PLAIN = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC


def keep(launch: Launch, oci: Oci, base: int, records_end: int, alive: int, server: Server | None) -> NoReturn:
    """Prepare the container, have it started, wait for its first process and exit with its code."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, syscalls.SIGKILL)
    limits = launch["process"]["limits"]
    confinement.settle(limits)
    groups = confinement.open_groups(limits)
    execute.check_monitor(alive)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # whoever joins has to find it; nobody inside can
    host = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    points = _prepare(launch, oci, base, records_end, server)
    if launch["own_network"]:
        loopback.rise()
    preflight.check_program(points, launch["process"])
    pid = oci_calls.create(oci, ["create", "--bundle", os.getcwd()])
    os.close(points.root)
    confinement.adopt(groups, pid)
    confinement.tighten(limits, pid)
    if not launch["is_privileged"]:
        _forbid_devices(pid)
    oci_calls.announce(host, pid)
    oci_calls.detach_streams()
    oci_calls.start(oci, pid)
    os.close(messages.STATUS_FD)
    os._exit(oci_calls.reap(pid))


def _prepare(launch: Launch, oci: Oci, base: int, records_end: int, server: Server | None) -> MountPoints:
    """Mount all but the runtime's own file systems below the bundle, which becomes the working directory."""
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP)
    trees = volumes.open_sources(launch["mounts"])
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc", _PLAIN)
    _withdraw_cgroups(oci)
    root = rootfs.mount_root(launch, server)
    _enter_bundle(oci["bundle"])
    for name, content in oci["files"]:
        oci_calls.write(name, content)
    points = MountPoints(_moved(root, _ROOTFS), base)
    try:
        secrets = rootfs.mount_files(points, launch)
        proc = points.built_in("proc")
        syscalls.mount("tmpfs", through(proc), "tmpfs", _PLAIN)  # stands for the /proc that nothing may be mounted in
        system_mounts.mount_sys(points, launch)
        dev = system_mounts.mount_dev(points, launch)
        if oci["has_terminal"]:
            os.close(os.open("console", os.O_CREAT | os.O_EXCL, 0o620, dir_fd=dev))  # crun binds the terminal on it
        os.close(dev)
        volumes.mount_volumes(points, launch["mounts"], trees, secrets)
        os.close(proc)
        os.chdir(oci["bundle"])  # mounting layers leads away
        syscalls.umount(f"{_ROOTFS}/proc")
        _make_directory(points, launch)
    finally:
        messages.send(records_end, points.records)
        os.close(records_end)
    return points


def _enter_bundle(place: str) -> None:
    """Make ``place`` an empty file system in memory, and the working directory."""
    syscalls.mount("tmpfs", place, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=700,size=4096k")
    os.chdir(place)
    for name in (oci_calls.STATE, _ROOTFS):
        os.mkdir(name, 0o755)


def _moved(root: int, target: str) -> int:
    """Return a descriptor of the tree of mounts ``root``, put on the directory ``target``."""
    tree = syscalls.clone_tree(root, is_recursive=True)
    place = os.open(target, os.O_PATH | os.O_DIRECTORY)
    syscalls.move_mount(tree, place)
    for fd in (root, tree, place):
        os.close(fd)
    return os.open(target, os.O_PATH | os.O_DIRECTORY)


def _withdraw_cgroups(oci: Oci) -> None:
    """Take the control groups away from the runtime: what would be limited is limited before it starts.

    crun must not see any (it refuses the layout with both versions), runc must, but does without those it cannot write.
    """
    try:
        top = os.open(_CGROUPS, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    if oci["hides_cgroups"]:
        syscalls.mount("tmpfs", _CGROUPS, "tmpfs", _PLAIN, "mode=755")
    else:
        syscalls.mount_setattr(top, syscalls.ATTR_RDONLY, is_recursive=True)
    os.close(top)


def _forbid_devices(pid: int) -> None:
    """Let no device node that a container makes work: the runtimes mount its root and /dev without that flag anew."""
    helper = os.fork()
    if helper == 0:
        try:
            syscalls.setns(os.pidfd_open(pid), syscalls.CLONE_NEWNS)
            for path, attributes in (("/", 0), ("/dev", syscalls.ATTR_NOSUID)):
                place = os.open(path, os.O_PATH | os.O_DIRECTORY)
                syscalls.mount_setattr(place, attributes | syscalls.ATTR_NODEV)
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitpid(helper, 0)[1]:
        raise messages.Failure("problem", "the devices of the host could not be kept out of reach")


def _make_directory(points: MountPoints, launch: Launch) -> None:
    """Make the working directory; unlike a mount point it stays, unless nothing shall change."""
    path = launch["process"]["cwd"] if launch["process"]["make_cwd"] else "/"
    if launch["is_read_only"]:
        os.close(points.find_or_make(path, is_directory=True))
        return
    done = ""
    for name in path.split("/"):
        if not name:
            continue
        try:
            parent = points.find(done or ".")
            done += f"/{name}"
            os.mkdir(name, 0o755, dir_fd=parent)
            os.close(parent)
        except FileExistsError:
            os.close(parent)
        except OSError as error:
            raise messages.Failure("problem", f"mkdir {done}: {(error.strerror or '').lower()}") from None
