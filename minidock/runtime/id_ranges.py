"""The user namespace of a plain user who has been given ranges of ids: 0 is the user, 1 and up are the ranges.

All programs of a store share one, as long as one of them lives: so each may signal, enter and end what another has
started, as root may. Nobody keeps it alive for its own sake. It is made by a child, mapped by newuidmap and newgidmap,
and entered by this process only when that has worked.

Source: user_namespaces(7), ioctl_ns(2), newuidmap(1).
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import sys
import tempfile

from minidock.core.dataclass import dataclass
from minidock.core.id_map import IdMap, subordinate_ranges
from minidock.errors import IdRangesUnavailable
from minidock.runtime import syscalls

PROGRAMS = {"uid": "newuidmap", "gid": "newgidmap"}
FILES = {"uid": "/etc/subuid", "gid": "/etc/subgid"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NS_GET_OWNER_UID = 0xB704


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of a user namespace."""

    uid: IdMap
    gid: IdMap

    @classmethod
    def parse(cls, text: str) -> Maps:
        """Return the maps in a line of `str`. Raises: ValueError."""
        uid, _, gid = text.partition(";")
        return cls(IdMap.parse(uid), IdMap.parse(gid))

    def __str__(self) -> str:
        return f"{self.uid};{self.gid}"


def maps_of_user() -> Maps:
    """Return the maps that the files of this machine allow this user. Raises: IdRangesUnavailable."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        raise IdRangesUnavailable(f"uid {uid} has no account, which newuidmap asks for") from None
    ranges = {}
    for kind, path in FILES.items():
        ranges[kind] = subordinate_ranges(_content(path), name, uid)
        if not ranges[kind]:
            raise IdRangesUnavailable(
                f"{path} has no line for {name}",
                hint=f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}",
            )
    return Maps(IdMap.of(uid, ranges["uid"]), IdMap.of(os.getegid(), ranges["gid"]))


def enter(maps: Maps, known: int) -> int:
    """Become root of the namespace with the inode ``known``, or of a new one; return its inode.

    This process must have one thread. Raises: IdRangesUnavailable, in which case nothing has changed.
    """
    namespace = _living(maps, known) if known else None
    if namespace is None:
        namespace = _made(maps)
    try:
        syscalls.setns(namespace, syscalls.CLONE_NEWUSER)
        return os.fstat(namespace).st_ino
    except OSError as error:
        raise IdRangesUnavailable(f"the user namespace cannot be entered: {_reason(error)}") from error
    finally:
        os.close(namespace)


def _living(maps: Maps, inode: int) -> int | None:
    """Return a descriptor of the namespace with this inode and these maps if a process is in it."""
    own = f"user:[{inode}]"
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/ns/user") != own:
                continue
            fd = os.open(f"/proc/{name}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # it has ended, or is somebody else's
        if os.fstat(fd).st_ino == inode and _owner(fd) == os.geteuid() and _maps_of(name) == maps:
            return fd
        os.close(fd)
    return None


def _owner(namespace: int) -> int:
    answer = bytearray(4)
    fcntl.ioctl(namespace, _NS_GET_OWNER_UID, answer)
    return int.from_bytes(answer, sys.byteorder)


def _maps_of(pid: str | int) -> Maps | None:
    try:
        return Maps(IdMap.parse(_content(f"/proc/{pid}/uid_map")), IdMap.parse(_content(f"/proc/{pid}/gid_map")))
    except ValueError:
        return None


def _made(maps: Maps) -> int:
    """Return a descriptor of a new namespace with these maps. Raises: IdRangesUnavailable."""
    programs = {kind: shutil.which(program, path=_PATH) for kind, program in PROGRAMS.items()}
    for kind, program in PROGRAMS.items():
        if programs[kind] is None:
            raise IdRangesUnavailable(f"{program} is not installed", hint="sudo apt-get install uidmap")
    told, telling = os.pipe()
    held, holding = os.pipe()
    child = os.fork()
    if child == 0:
        _hold(telling, (told, holding), held)
    os.close(telling)
    os.close(held)
    try:
        said = os.read(told, 16)
        if said != b"ok":
            number = int(said or b"0")
            raise IdRangesUnavailable(f"no user namespace can be made: {os.strerror(number).lower()}")
        for kind, allowed in (("uid", maps.uid), ("gid", maps.gid)):
            _call([str(programs[kind]), str(child), *allowed.words])
        if _maps_of(child) != maps:
            raise IdRangesUnavailable("newuidmap has made other maps than asked for")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(told)
        os.close(holding)
        os.waitpid(child, 0)


def _hold(telling: int, others: tuple[int, int], held: int) -> None:
    """Be the first process of a new user namespace until the parent has entered it, or given up."""
    try:
        for fd in others:
            os.close(fd)
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(telling, b"ok")
        os.read(held, 1)
    except OSError as error:
        os.write(telling, str(error.errno or 0).encode())
    finally:
        os._exit(0)


def _call(command: list[str]) -> None:
    """Call newuidmap or newgidmap. Raises: IdRangesUnavailable with what it says."""
    with tempfile.TemporaryFile() as problems:
        actions = [(os.POSIX_SPAWN_DUP2, problems.fileno(), 2)]
        try:
            pid = os.posix_spawn(command[0], command, {}, file_actions=actions)
        except OSError as error:
            raise IdRangesUnavailable(f"{command[0]}: {_reason(error)}") from error
        if os.waitpid(pid, 0)[1]:
            problems.seek(0)
            said = problems.read().decode("utf-8", "replace").strip().splitlines()
            text = said[-1] if said else "it failed without a word"
            raise IdRangesUnavailable(
                text if text.startswith("new") else f"{command[0]}: {text}",
                hint=f"is it setuid root, or has it the capability cap_set{os.path.basename(command[0])[3:6]}?",
            )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
