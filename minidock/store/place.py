"""What kind of place a store is in: file system, attributes, locks, space."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator

from minidock.core.diagnosis import Finding, Verdict
from minidock.core.id_mode import IdMode
from minidock.core.units import human_size
from minidock.store.statcache import file_system, keeps_ctime

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs", "fuse.sshfs", "beegfs")
_LITTLE = 1 << 30


def place_findings(root: str, id_mode: IdMode) -> Iterator[Finding]:
    """Yield what there is to say about a store at ``root``, or about the place where it would be."""
    place = os.path.abspath(root)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    kind = file_system(os.stat(place).st_dev)
    yield _file_system(place, kind)
    yield _space(place)
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as directory:
            yield _attributes(directory, id_mode)
            yield _locks(directory)
    except OSError as error:
        reason = (error.strerror or "").lower()
        remedy = "choose another place: --root DIR or MINIDOCK_ROOT"
        yield Finding("store", Verdict.PROBLEM, f"{place}: {reason}", "nothing can be built or run", remedy)


def _file_system(place: str, kind: str) -> Finding:
    found = f"{place} is on {kind}"
    remedy = "put the store on a local ext4, xfs, btrfs or tmpfs: MINIDOCK_ROOT"
    if kind in _NETWORK:
        consequence = "locks, renames and overlayfs are not reliable on network file systems"
        return Finding("store", Verdict.WARNING, found, consequence, remedy)
    if kind == "overlay":
        consequence = "the layers of a container cannot be stacked here, root file systems are copied: slower"
        return Finding("store", Verdict.WARNING, found, consequence, remedy)
    if not keeps_ctime(os.stat(place).st_dev):
        consequence = "its ctime is not known to tell of every change: files of a context there are read in every build"
        return Finding("store", Verdict.NOTE, found, consequence)
    return Finding("store", Verdict.OK, f"{found}, which keeps ctime")


def _space(place: str) -> Finding:
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    found = f"{human_size(free)} free"
    if status.f_files and not status.f_favail:
        return Finding("space", Verdict.PROBLEM, "no inodes free", "nothing can be written", "minidock system prune")
    if free < _LITTLE:
        return Finding("space", Verdict.WARNING, found, "builds may run out of space", "minidock system prune -a")
    return Finding("space", Verdict.OK, found)


def _attributes(directory: str, id_mode: IdMode) -> Finding:
    name = "trusted.minidock.probe" if id_mode is IdMode.ROOT else "user.minidock.probe"
    try:
        os.setxattr(directory, name, b"1")
    except OSError as error:
        if error.errno == errno.EPERM and id_mode is IdMode.ROOT:
            return Finding(
                "attributes", Verdict.NOTE, "trusted.* is refused", "root without CAP_SYS_ADMIN: no overlayfs"
            )
        consequence = "owners cannot be recorded, overlayfs cannot mark replaced directories"
        remedy = "put the store on another file system: MINIDOCK_ROOT"
        return Finding("attributes", Verdict.WARNING, f"{name} cannot be set", consequence, remedy)
    return Finding("attributes", Verdict.OK, f"{name.partition('.')[0]}.* can be set")


def _locks(directory: str) -> Finding:
    first, second = (os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC) for _ in range(2))
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding("locks", Verdict.OK, "flock excludes others")
        consequence = "two commands at once may damage the store"
        return Finding("locks", Verdict.PROBLEM, "flock excludes nobody", consequence, "use a local file system")
    except OSError as error:
        remedy = "put the store on a local file system: MINIDOCK_ROOT"
        return Finding("locks", Verdict.PROBLEM, (error.strerror or "").lower(), "no command can write", remedy)
    finally:
        os.close(first)
        os.close(second)
