"""Which system calls a container may make: docker's default profile, and profiles in docker's JSON.

A profile is a default answer and rules; of the rules for one call the first whose conditions hold gives the answer.
Source: moby, profiles/seccomp (the default, of 2026, as facts); seccomp(2) for what the numbers mean.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.errors import InvalidRequest

EPERM, ENOSYS = 1, 38
_ARGUMENTS = 6
_LARGEST = 2**64 - 1
_CLONE_NEW = 0x7E020000  # every CLONE_NEW… but NEWTIME, which clone does not take

# How docker calls the machines, and how libseccomp does.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MACHINES = {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_X86": "i386", "SCMP_ARCH_AARCH64": "aarch64"}
_FAMILIES = {"amd64": ("amd64", "x32", "x86"), "arm64": ("arm64", "arm")}


class Action(StrEnum):
    """What happens to a call, in the words of the OCI runtime specification."""

    ALLOW = "SCMP_ACT_ALLOW"
    ERRNO = "SCMP_ACT_ERRNO"
    KILL_PROCESS = "SCMP_ACT_KILL_PROCESS"
    KILL_THREAD = "SCMP_ACT_KILL_THREAD"
    KILL = "SCMP_ACT_KILL"
    TRAP = "SCMP_ACT_TRAP"
    LOG = "SCMP_ACT_LOG"


class Operator(StrEnum):
    """How an argument is compared."""

    EQUAL = "SCMP_CMP_EQ"
    NOT_EQUAL = "SCMP_CMP_NE"
    LESS = "SCMP_CMP_LT"
    LESS_OR_EQUAL = "SCMP_CMP_LE"
    GREATER_OR_EQUAL = "SCMP_CMP_GE"
    GREATER = "SCMP_CMP_GT"
    MASKED_EQUAL = "SCMP_CMP_MASKED_EQ"


@dataclass(frozen=True, slots=True)
class Condition:
    """Argument ``index`` compared with ``value``; for MASKED_EQUAL ``value`` is the mask and ``other`` the result."""

    index: int
    operator: Operator
    value: int
    other: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """The answer to the calls ``names`` if all ``conditions`` hold; ``errno`` belongs to `Action.ERRNO`."""

    names: tuple[str, ...]
    action: Action = Action.ALLOW
    conditions: tuple[Condition, ...] = ()
    errno: int = EPERM


@dataclass(frozen=True, slots=True)
class Profile:
    """Rules, and the answer to every other call.

    Programs for ``machines`` beside the one that this is may run as well; None stands for all that are known.
    """

    rules: tuple[Rule, ...]
    default: Action = Action.ERRNO
    default_errno: int = EPERM
    machines: tuple[str, ...] | None = None


UNCONFINED_PROFILE = Profile((), Action.ALLOW)

# Calls that change nothing outside of the process's own reach.
_PLAIN = """
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat getcpu getcwd
getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername
getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents
io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr
mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl
msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat
openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl
pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg
remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64
sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid
setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit
set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt
shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs
statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink
unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""
_OF_MACHINE = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
}
_OF_CAPABILITY = {
    "DAC_READ_SEARCH": "open_by_handle_at",
    "SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr "
        "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl "
        "quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"
    ),
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module init_module finit_module",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "SYS_RAWIO": "iopl ioperm",
    "SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "SYS_TTY_CONFIG": "vhangup",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYSLOG": "syslog",
    "BPF": "bpf",
    "PERFMON": "perf_event_open",
}
# Every family but AF_ALG and AF_VSOCK, the way out of containers more than once.
_SOCKETS = (Condition(0, Operator.LESS, 38), Condition(0, Operator.EQUAL, 39), Condition(0, Operator.GREATER, 40))
_PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


def default_profile(capabilities: Collection[str], machine: str) -> Profile:
    """Return docker's profile for a process with these ``capabilities`` (without CAP_)."""
    names = f"{_PLAIN} {_OF_MACHINE.get(machine, '')}".split()
    for capability in sorted(capabilities):
        names += _OF_CAPABILITY.get(capability, "").split()
    rules = [Rule(tuple(dict.fromkeys(names)))]
    rules += [Rule(("socket",), conditions=(condition,)) for condition in _SOCKETS]
    rules += [Rule(("personality",), conditions=(Condition(0, Operator.EQUAL, kind),)) for kind in _PERSONALITIES]
    if "SYS_ADMIN" not in capabilities:
        rules.append(Rule(("clone",), conditions=(Condition(0, Operator.MASKED_EQUAL, _CLONE_NEW),)))
        # Not EPERM: with ENOSYS the C library falls back to clone, whose flags can be looked at.
        rules.append(Rule(("clone3",), Action.ERRNO, errno=ENOSYS))
    return Profile(tuple(rules))


def parse_profile(text: str, capabilities: Collection[str], machine: str, kernel: tuple[int, int]) -> Profile:
    """Return the profile in docker's JSON, without the rules that are for other machines, kernels or capabilities.

    Raises: InvalidRequest.
    """
    try:
        members = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"decoding seccomp profile failed: {error}") from error
    if not isinstance(members, dict) or "defaultAction" not in members:
        raise InvalidRequest("decoding seccomp profile failed: no defaultAction")
    try:
        chosen = [item for item in members.get("syscalls") or [] if _applies(item, capabilities, machine, kernel)]
        errno = members.get("defaultErrnoRet")
        return Profile(
            tuple(rule for item in chosen for rule in _rules(item)),
            Action(members["defaultAction"]),
            EPERM if errno is None else int(errno),
            _machines(members, machine),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"decoding seccomp profile failed: {error}") from error


def _machines(members: Mapping[str, Any], machine: str) -> tuple[str, ...]:
    """Return the machines that a profile names beside this one."""
    names, pairs = members.get("architectures") or [], members.get("archMap") or []
    if names and pairs:
        raise InvalidRequest(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either of them"
        )
    for pair in pairs:
        if _MACHINES.get(pair["architecture"]) == machine:
            names = pair.get("subArchitectures") or []
    return tuple(_MACHINES[name] for name in names if name in _MACHINES)


def _applies(item: Mapping[str, Any], capabilities: Collection[str], machine: str, kernel: tuple[int, int]) -> bool:
    architecture = _ARCHITECTURES.get(machine, machine)
    includes, excludes = item.get("includes") or {}, item.get("excludes") or {}
    held = {f"CAP_{name}" for name in capabilities}

    def matches_architecture(names: Any) -> bool:
        return bool(set(names) & set(_FAMILIES.get(architecture, (architecture,))))

    if includes.get("arches") and not matches_architecture(includes["arches"]):
        return False
    if includes.get("caps") and not set(includes["caps"]) <= held:
        return False
    if includes.get("minKernel") and kernel < _version(includes["minKernel"]):
        return False
    if excludes.get("arches") and matches_architecture(excludes["arches"]):
        return False
    if excludes.get("minKernel") and kernel >= _version(excludes["minKernel"]):
        return False
    return not (excludes.get("caps") and set(excludes["caps"]) & held)


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _rules(item: Mapping[str, Any]) -> list[Rule]:
    """Return the rules of one entry: several if it looks at one argument more than once, which means "or"."""
    if item.get("name") and item.get("names"):
        raise InvalidRequest("both 'name' and 'names' are specified in the seccomp profile, use either of them")
    names, errno = tuple(item.get("names") or [item["name"]]), item.get("errnoRet")
    conditions = [
        Condition(
            int(argument["index"]),
            Operator(argument["op"]),
            int(argument["value"]) & _LARGEST,
            int(argument.get("valueTwo", 0)) & _LARGEST,
        )
        for argument in item.get("args") or []
    ]
    if any(not 0 <= condition.index < _ARGUMENTS for condition in conditions):
        raise ValueError("the index of an argument is not one of 0 to 5")
    is_either = len({condition.index for condition in conditions}) < len(conditions)
    alternatives = [(condition,) for condition in conditions] if is_either else [tuple(conditions)]
    action, number = Action(item["action"]), EPERM if errno is None else int(errno)
    return [Rule(names, action, alternative, number) for alternative in alternatives]
