"""System calls that Python 3.11 does not offer; each returns its result or raises OSError that names the call.

Used by the stub (`minidock.runtime.stub`), so it imports nothing but ctypes and os.
Source: the kernel's syscall tables for x86_64 and asm-generic (aarch64, riscv64), `man 2` of each call.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_SYNCHRONOUS, MS_NOATIME, MS_NODIRATIME, MS_STRICTATIME = 16, 1024, 2048, 1 << 24
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED = 4096, 16384, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH = 2

ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_BOTH_EMPTY = 0x4 | 0x40

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_NEW_LISTENER, SECCOMP_WAIT_KILLABLE = 8, 32
STATX_BTIME = 0x800
KEYCTL_JOIN_SESSION_KEYRING = 1

SIGKILL = 9  # importing `signal` takes as long as all else that the stub needs
_SIGCHLD = 17
_IGNORED = struct.pack("@PPPP", 1, 0, 0, 0)  # struct sigaction with SIG_IGN
_SIG_BLOCK, _SIG_SETMASK = 0, 2
ALL_SIGNALS = range(1, 65)
_SIGNAL_SET_SIZE = 8
_SIZE_OF_STATUS = 16384
_TRIES_OF_A_WAY_UP = 10_000

_X86_64 = {
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "unshare": 272,
    "setns": 308,
    "prctl": 157,
    "seccomp": 317,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "rt_sigtimedwait": 128,
    "capget": 125,
    "capset": 126,
    "keyctl": 250,
    "sethostname": 170,
    "setdomainname": 171,
    "accept4": 288,
    "prlimit64": 302,
    "statx": 332,
}
_GENERIC = {
    "mount": 40,
    "umount2": 39,
    "pivot_root": 41,
    "unshare": 97,
    "setns": 268,
    "prctl": 167,
    "seccomp": 277,
    "rt_sigaction": 134,
    "rt_sigprocmask": 135,
    "rt_sigtimedwait": 137,
    "capget": 90,
    "capset": 91,
    "keyctl": 219,
    "sethostname": 161,
    "setdomainname": 162,
    "accept4": 242,
    "prlimit64": 261,
    "statx": 291,
}
_EVERYWHERE = {"open_tree": 428, "move_mount": 429, "close_range": 436, "openat2": 437, "mount_setattr": 442}
_NUMBERS = {**(_X86_64 if os.uname().machine == "x86_64" else _GENERIC), **_EVERYWHERE}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _call(name: str, what: str, *arguments: int | bytes | None) -> int:
    values = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a or 0) for a in arguments]
    result = int(_libc.syscall(ctypes.c_long(_NUMBERS[name]), *values))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"{name} {what}".strip())
    return result


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount ``source`` of file system ``kind`` on ``target``."""
    strings = (os.fsencode(source), os.fsencode(target), os.fsencode(kind))
    _call("mount", kind or source, *strings, flags, os.fsencode(data) if data else None)


def umount(target: str, flags: int = 0) -> None:
    """Unmount what is mounted on ``target``."""
    _call("umount2", target, os.fsencode(target), flags)


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root of this mount namespace and put the former root on ``old``."""
    _call("pivot_root", "", os.fsencode(new), os.fsencode(old))


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _call("unshare", hex(flags), flags)


def setns(fd: int, flags: int) -> None:
    """Move this process into the namespaces ``flags`` of the process behind a pidfd, or of a namespace descriptor."""
    _call("setns", hex(flags), fd, flags)


def prctl(option: int, value: int = 0) -> int:
    """Return the result of a prctl(2) option with one argument."""
    return _call("prctl", str(option), option, value, 0, 0, 0)


def set_process_name(name: str) -> None:
    """Call this thread ``name``, of 15 bytes at most, where lists of processes show it."""
    _call("prctl", name, PR_SET_NAME, os.fsencode(name), 0, 0, 0)


def clear_ambient_capabilities() -> None:
    """Empty the ambient capability set of this thread."""
    _call("prctl", "ambient", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def sethostname(name: str) -> None:
    """Name this UTS namespace."""
    encoded = os.fsencode(name)
    _call("sethostname", name, encoded, len(encoded))


def setdomainname(name: str) -> None:
    """Set the NIS domain of this UTS namespace."""
    encoded = os.fsencode(name)
    _call("setdomainname", name, encoded, len(encoded))


def set_rlimit(number: int, soft: int, hard: int, pid: int = 0) -> None:
    """Set a resource limit of a process (of this one) by its number; -1 stands for no limit."""
    _call("prlimit64", str(number), pid, number, struct.pack("=qq", soft, hard), None)


def accept(listener: int) -> int:
    """Return a descriptor of the next connection of a listening socket (`_socket` alone has no such method)."""
    return _call("accept4", "", listener, None, None, os.O_CLOEXEC)


def join_new_session_keyring() -> None:
    """Give this process a session keyring of its own."""
    _call("keyctl", "", KEYCTL_JOIN_SESSION_KEYRING, None)


def permitted_capabilities() -> int:
    """Return the permitted capability set of this thread as a bit mask."""
    header = struct.pack("=Ii", 0x20080522, 0)
    data = ctypes.create_string_buffer(24)
    _call("capget", "", header, ctypes.addressof(data))
    words = struct.unpack("=6I", data.raw)
    return int(words[1] | words[4] << 32)


def capset(*, effective: int, permitted: int, inheritable: int) -> None:
    """Set the capability sets of this thread, given as bit masks."""
    header = struct.pack("=Ii", 0x20080522, 0)
    words = [(mask >> shift) & 0xFFFFFFFF for shift in (0, 32) for mask in (effective, permitted, inheritable)]
    _call("capset", "", header, struct.pack("=6I", *words))


def openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    """Return a descriptor of ``path`` below ``directory``, its links followed as the RESOLVE_ bits say.

    A ".." on the way cannot be followed while anybody on the machine renames or mounts something, whatever it is: the
    kernel then says EAGAIN (openat2(2)), and the same call is made again.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)
    left = _TRIES_OF_A_WAY_UP
    while True:
        try:
            return _call("openat2", path, directory, os.fsencode(path), how, len(how))
        except BlockingIOError:
            left -= 1
            if not left:
                raise
            os.sched_yield()


def clone_tree(directory: int, path: str = "", *, is_recursive: bool = False) -> int:
    """Return a detached copy of the mount at ``path`` (or of the descriptor itself), to be placed by `move_mount`."""
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if is_recursive else 0) | (0 if path else AT_EMPTY_PATH)
    return _call("open_tree", path, directory, os.fsencode(path), flags)


def move_mount(mount_fd: int, target_fd: int) -> None:
    """Put a detached mount on the file or directory of ``target_fd``."""
    _call("move_mount", "", mount_fd, b"", target_fd, b"", MOVE_MOUNT_BOTH_EMPTY)


def mount_setattr(mount_fd: int, attributes: int, *, is_recursive: bool = False, propagation: int = 0) -> None:
    """Add attributes (ATTR_RDONLY and so on) to the mount of a descriptor, and set how mounts spread (MS_SLAVE …)."""
    attr = struct.pack("=QQQQ", attributes, 0, propagation, 0)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if is_recursive else 0)
    _call("mount_setattr", hex(attributes), mount_fd, b"", flags, attr, len(attr))


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """Close every descriptor from ``first`` to ``last``."""
    _call("close_range", "", first, last, 0)


def ignored_signals(self_fd: int) -> list[int]:
    """Return the signals that this process ignores; ``self_fd`` is its directory in a /proc."""
    fd = os.open("status", os.O_RDONLY, dir_fd=self_fd)
    try:
        mask = int(os.read(fd, _SIZE_OF_STATUS).partition(b"SigIgn:")[2].split(None, 1)[0], 16)
    finally:
        os.close(fd)
    return [number for number in ALL_SIGNALS if mask >> number - 1 & 1]


def reset_signals(numbers: Iterable[int] = ALL_SIGNALS) -> None:
    """Give signals their default action, which an exec does to none that is ignored, and block none.

    The C library would leave out the two that it uses itself, and a signal that a parent ignores stays ignored.
    """
    default = bytes(64)
    for number in numbers:
        try:
            _call("rt_sigaction", str(number), number, default, None, _SIGNAL_SET_SIZE)
        except OSError:
            continue  # KILL and STOP cannot be changed
    _call("rt_sigprocmask", "", _SIG_SETMASK, bytes(_SIGNAL_SET_SIZE), None, _SIGNAL_SET_SIZE)


def block_signals(numbers: Iterable[int]) -> None:
    """Let signals wait until `wait_signal` takes them."""
    for number in numbers:
        if number != _SIGCHLD:  # ignoring that would reap children unseen
            # A blocked signal is kept although it is ignored, and it shows that somebody deals with it.
            _call("rt_sigaction", str(number), number, _IGNORED, None, _SIGNAL_SET_SIZE)
    _call("rt_sigprocmask", "", _SIG_BLOCK, _signal_set(numbers), None, _SIGNAL_SET_SIZE)


def wait_signal(numbers: Iterable[int]) -> int:
    """Wait for one of the signals, which are blocked, and return its number."""
    while True:
        try:
            return _call("rt_sigtimedwait", "", _signal_set(numbers), None, None, _SIGNAL_SET_SIZE)
        except InterruptedError:
            continue  # stopped and continued


def _signal_set(numbers: Iterable[int]) -> bytes:
    return sum(1 << (number - 1) for number in numbers).to_bytes(_SIGNAL_SET_SIZE, sys.byteorder)


def seccomp_load(program: bytes) -> None:
    """Install a BPF program (8 bytes an instruction) as a seccomp filter of this process."""
    _seccomp(program, 0)


def seccomp_listen(program: bytes) -> int:
    """Install a filter that asks; return the descriptor from which its questions are read and answered."""
    try:
        # A caller that waits can only be killed: otherwise each signal would have it ask again.
        return _seccomp(program, SECCOMP_NEW_LISTENER | SECCOMP_WAIT_KILLABLE)
    except OSError:
        return _seccomp(program, SECCOMP_NEW_LISTENER)  # a kernel before 5.19


def _seccomp(program: bytes, flags: int) -> int:
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    return _call("seccomp", "", SECCOMP_SET_MODE_FILTER, flags, header)


def birth_time(fd: int) -> int:
    """Return when a file was made, in nanoseconds; 0 where its file system does not say."""
    data = ctypes.create_string_buffer(256)
    _call("statx", "", fd, b"", AT_EMPTY_PATH, STATX_BTIME, ctypes.addressof(data))
    if not struct.unpack_from("=I", data, 0)[0] & STATX_BTIME:
        return 0
    seconds, nanoseconds = struct.unpack_from("=qI", data, 80)
    return int(seconds * 1_000_000_000 + nanoseconds)
