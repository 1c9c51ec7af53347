"""Takes down whose files are in a container that knows one user only, for the layer that is made of it.

The filter of the container's processes passes the calls that set owners or make devices on to this supervisor, which
is the launcher's monitor. It finds the file as the caller would, writes the owner into a private attribute of it, and
answers. An attribute goes wherever the file goes: it is copied up, renamed and linked with it. Links and fifos cannot
have any: those are noted by inode, with the time of birth, since inodes are used again.

A path is walked from the root of the calling process, never out of it; the content of its memory and its links may
change at any time, so that nothing but what was opened is ever changed. Runs in the stub.
Source: seccomp_unotify(2); chown(2), mknod(2).
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import stat
import struct

from minidock.runtime import syscalls
from minidock.runtime.emulation import (
    ARCHITECTURES,
    AT,
    AT_FDCWD,
    BLOCK,
    CHARACTER,
    DESCRIPTOR,
    FILE_TYPE,
    LINK,
    MAKING,
    OWNING,
    SHORT,
)

OWNER_XATTR = "user.minidock.owner"
DEVICE_XATTR = "user.minidock.device"
_CAPABILITY_XATTR = "security.capability"

_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_NOTICE = "=QIIiIQ6Q"  # id, pid, flags; number, machine, address of the instruction, arguments
_ANSWER = "=QqiI"
_SIZE = struct.calcsize(_NOTICE)
_AT_SYMLINK_NOFOLLOW, _AT_EMPTY_PATH = 0x100, 0x1000
_PATH_MAX = 4096
_SAFE = syscalls.RESOLVE_NO_MAGICLINKS
# Below these is nothing of the image; what they lead to depends on who looks.
_ELSEWHERE = (b"/proc", b"/dev", b"/sys")
_MACHINES = {value: name for name, value in ARCHITECTURES.items()}


class Supervisor:
    """The owners of the files of one container.

    ``channel`` is a socket on which the container's process hands over its filter's descriptor; ``base`` the directory
    that receives changes; ``notes`` the file for what cannot have attributes.
    """

    def __init__(self, channel: int, base: int, notes: str) -> None:
        self.channel = channel
        self.listener = -1
        self._base = base
        self._notes = notes

    def take(self) -> bool:
        """Receive the filter's descriptor; False if the process has ended, or has no filter to be asked about."""
        peer = _socket.socket(fileno=self.channel)
        try:
            _, messages, _, _ = peer.recvmsg(1, _socket.CMSG_SPACE(4))
        finally:
            peer.detach()
        for _, _, data in messages:
            self.listener = struct.unpack("i", data[:4])[0]
            os.set_inheritable(self.listener, False)
        return self.listener >= 0

    def answer(self) -> None:
        """Carry out one call. A caller that has been killed meanwhile needs no answer."""
        notice = bytearray(_SIZE)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, notice)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):
                raise
            return
        identity, pid, _, number, machine, _, *arguments = struct.unpack(_NOTICE, notice)
        code = 0
        try:
            self._carry_out(identity, pid, number, _MACHINES[machine], arguments)
        except OSError as error:
            code = error.errno or errno.EIO
        try:
            fcntl.ioctl(self.listener, _SEND, struct.pack(_ANSWER, identity, 0, -code, 0))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _carry_out(self, identity: int, pid: int, number: int, machine: str, arguments: list[int]) -> None:
        call = _Call(self.listener, identity, pid)
        try:
            call.begin()
            kind = OWNING[machine].get(number)
            if kind is None:
                self._make(call, MAKING[machine][number], arguments)
                return
            target, uid, gid = _chown_of(call, kind, arguments)
            if target is None:
                return
            bits = 16 if number in SHORT.get(machine, ()) else 32
            self._record(call, target, _id(uid, bits), _id(gid, bits))
        finally:
            call.close()

    def _record(self, call: _Call, target: int, uid: int, gid: int) -> None:
        """Take down the owner of an open file; -1 leaves a part of it as it is."""
        if not call.is_of_image(target):
            return
        path, info = f"/proc/self/fd/{target}", os.fstat(target)
        if stat.S_ISLNK(info.st_mode) or stat.S_ISFIFO(info.st_mode) or stat.S_ISSOCK(info.st_mode):
            self._note(target, info, uid, gid)
            return
        before = _attribute(path, OWNER_XATTR)
        old_uid, old_gid = _ids(before)
        uid, gid = (old_uid if uid < 0 else uid), (old_gid if gid < 0 else gid)
        try:
            if uid or gid:
                text = f"{uid}:{gid}".encode()
                if text != before:
                    os.setxattr(path, OWNER_XATTR, text)
            elif before is not None:
                os.removexattr(path, OWNER_XATTR)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self._note(target, info, uid, gid)
        if stat.S_ISREG(info.st_mode):
            _drop_privileges(path, info.st_mode)

    def _note(self, target: int, info: os.stat_result, uid: int, gid: int) -> None:
        """Note the owner of a link or fifo, by its inode in the directory that receives changes."""
        os.utime(f"/proc/self/fd/{target}", ns=(info.st_atime_ns, info.st_mtime_ns))  # so that it is there
        inside = os.readlink(f"/proc/self/fd/{target}").lstrip("/")
        beneath = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
        own = syscalls.openat2(self._base, inside, os.O_PATH | os.O_NOFOLLOW, beneath)
        try:
            line = f"{os.fstat(own).st_ino} {syscalls.birth_time(own)} {max(uid, 0)} {max(gid, 0)}\n"
        finally:
            os.close(own)
        fd = os.open(self._notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(fd, line.encode())
        os.close(fd)

    def _make(self, call: _Call, index: int, arguments: list[int]) -> None:
        """Make an empty file that stands for a device in the layer."""
        directory = _signed(arguments[0]) if index == 2 else AT_FDCWD
        path, mode, device = call.path(arguments[index - 1]), arguments[index], arguments[index + 1] & 0xFFFFFFFF
        kind = {CHARACTER: "char", BLOCK: "block"}[mode & FILE_TYPE]
        if not device:
            raise PermissionError(errno.EPERM, "that would be a whiteout")
        above, _, name = path.rpartition(b"/")
        parent = call.open(directory, above or (b"/" if path.startswith(b"/") else b"."), follows=True)
        if name in (b"", b".", b".."):
            raise FileExistsError(errno.EEXIST, "a directory")
        if parent is None or not call.is_of_image(parent):
            raise PermissionError(errno.EPERM, "not in the image")
        place = f"/proc/self/fd/{parent}/{os.fsdecode(name)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(place, flags, mode & 0o7777 & ~call.umask())
        try:
            os.setxattr(fd, DEVICE_XATTR, f"{kind}:{os.major(device)}:{os.minor(device)}".encode())
        finally:
            os.close(fd)


class _Call:
    """A call that waits for its answer, and what was opened to find its file."""

    def __init__(self, listener: int, identity: int, pid: int) -> None:
        self._listener = listener
        self._identity = identity
        self._pid = pid
        self._opened: list[int] = []
        self._root = -1

    def begin(self) -> None:
        """Open the root of the caller. Raises: OSError if it has gone."""
        self._root = self._keep(os.open(f"/proc/{self._pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self._check()

    def close(self) -> None:
        """Close everything."""
        for fd in self._opened:
            os.close(fd)

    def _keep(self, fd: int) -> int:
        self._opened.append(fd)
        return fd

    def _check(self) -> None:
        """Make sure that the process still waits, so that its PID is its own. Raises: OSError."""
        fcntl.ioctl(self._listener, _IS_VALID, struct.pack("=Q", self._identity))

    def path(self, address: int) -> bytes:
        """Return the string at an address of the caller."""
        memory = os.open(f"/proc/{self._pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._check()
            text = b""
            while b"\0" not in text:
                # Up to the end of the page: the next one may not be there.
                part = os.pread(memory, _PATH_MAX - (address + len(text)) % _PATH_MAX, address + len(text))
                text += part
                if not part or len(text) > 2 * _PATH_MAX:
                    raise OSError(errno.EFAULT, "not a string")
        finally:
            os.close(memory)
        found = text.partition(b"\0")[0]
        if len(found) >= _PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, "path")
        return found

    def umask(self) -> int:
        """Return what the caller takes from the modes of new files."""
        with open(f"/proc/{self._pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
        return 0o022

    def descriptor(self, number: int) -> int:
        """Return a descriptor of what the caller has open."""
        name = "cwd" if number == AT_FDCWD else f"fd/{number}"
        try:
            fd = os.open(f"/proc/{self._pid}/{name}", os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            raise OSError(errno.EBADF, "descriptor") from None
        self._keep(fd)
        self._check()
        return fd

    def open(self, directory: int, path: bytes, *, follows: bool) -> int | None:
        """Return a descriptor of a file that the caller names, None for one that is not of the image."""
        if not path:
            raise FileNotFoundError(errno.ENOENT, "empty path")
        flags = os.O_PATH | (0 if follows else os.O_NOFOLLOW)
        if not path.startswith(b"/"):
            base = self.descriptor(directory)
            try:
                return self._keep(syscalls.openat2(base, os.fsdecode(path), flags, syscalls.RESOLVE_BENEATH | _SAFE))
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.ELOOP):
                    raise
            # It leads up, or by an absolute link: from the root then.
            path = os.fsencode(os.readlink(f"/proc/self/fd/{base}")) + b"/" + path
        if path.startswith(_ELSEWHERE):
            return None
        try:
            return self._keep(syscalls.openat2(self._root, os.fsdecode(path), flags, syscalls.RESOLVE_IN_ROOT | _SAFE))
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None  # a link into /proc
            raise

    def is_of_image(self, fd: int) -> bool:
        """Whether an open file stands in the root file system itself, not in something mounted on it."""
        return _mount_of(fd) == _mount_of(self._root)


def _chown_of(call: _Call, kind: str, arguments: list[int]) -> tuple[int | None, int, int]:
    """Return the file that a call means (None: not of the image), and the ids it sets."""
    if kind == DESCRIPTOR:
        return call.descriptor(_signed(arguments[0])), arguments[1], arguments[2]
    if kind == AT:
        path, flags = call.path(arguments[1]), arguments[4]
        if not path and flags & _AT_EMPTY_PATH:
            return call.descriptor(_signed(arguments[0])), arguments[2], arguments[3]
        follows = not flags & _AT_SYMLINK_NOFOLLOW
        return call.open(_signed(arguments[0]), path, follows=follows), arguments[2], arguments[3]
    return call.open(AT_FDCWD, call.path(arguments[0]), follows=kind != LINK), arguments[1], arguments[2]


def _signed(value: int) -> int:
    """Return an argument that is an int in C."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def _id(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return -1 if value == (1 << bits) - 1 else value


def _mount_of(fd: int) -> bytes:
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        for line in file:
            if line.startswith(b"mnt_id:"):
                return line
    return b""


def _ids(text: bytes | None) -> tuple[int, int]:
    """Return the owner in an attribute; what a container has put there itself may be anything."""
    uid, _, gid = (text or b"0:0").partition(b":")
    return (int(uid), int(gid)) if uid.isdigit() and gid.isdigit() else (0, 0)


def _attribute(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
        return None


def _drop_privileges(path: str, mode: int) -> None:
    """Do what the kernel does to a program that changes hands."""
    privileged = mode & stat.S_ISUID
    if mode & stat.S_IXGRP:
        privileged |= mode & stat.S_ISGID
    if privileged:
        os.chmod(path, stat.S_IMODE(mode) & ~privileged)
    if _attribute(path, _CAPABILITY_XATTR) is not None:
        os.removexattr(path, _CAPABILITY_XATTR)
