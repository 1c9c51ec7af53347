"""Has an OCI runtime (crun, runc) start the container around which everything else has been prepared. Runs in the stub.

::

    parent ── monitor ── keeper ── first process of the container
                         PID 1 of a PID namespace that holds the runtime and the container; a mount namespace with
                         the root file system, the bundle and the runtime's state, all of it in memory

The runtime itself only comes and goes (``create``, ``start``). When the keeper dies, however that happens, the kernel
ends the container and every trace of it is gone. A joining process finds the state through the keeper.
"""

from __future__ import annotations

import _socket
import os
import select
import struct
import time

from minidock.runtime import (
    confinement,
    execute,
    joining,
    loopback,
    messages,
    monitor,
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
    from minidock.runtime.orders import Join, Launch, Limits, Oci

_LOG, _PID, _CONSOLE, _STATE, _ROOTFS = "log.json", "pid", "console", "state", "rootfs"
_CGROUPS = "/sys/fs/cgroup"
_LOG_SIZE = 1 << 16
_NAME = "box"  # of the container, in a state directory of its own
_DESCRIPTORS_SIZE = 64
_EXECUTION_TIMEOUT = 1.0  # seconds, for a container whose program is the runtime itself
_POLL_INTERVAL = 0.0005  # seconds
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
    pid = _create(oci, ["create", "--bundle", os.getcwd()])
    os.close(points.root)
    confinement.adopt(groups, pid)
    confinement.tighten(limits, pid)
    if not launch["is_privileged"]:
        _forbid_devices(pid)
    _announce(host, pid)
    _detach_streams()
    _start(oci, pid)
    os.close(messages.STATUS_FD)
    os._exit(_reap(pid))


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
        _write(name, content)
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
    for name in (_STATE, _ROOTFS):
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


def _create(oci: Oci, words: list[str], prefix: str = "") -> int:
    """Call the runtime for a new process; return its PID in this PID namespace."""
    listener = None
    if oci["has_terminal"]:
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        os.fchmod(listener.fileno(), 0o600)  # which the file gets, whatever the umask
        listener.bind(prefix + _CONSOLE)
        listener.listen(1)
        words = [*words, "--console-socket", prefix + _CONSOLE]
    number = _spawn(oci, [*words, "--pid-file", prefix + _PID, _NAME], prefix)
    if listener is not None:
        _pass_terminal(listener, number)
    _check(number, prefix)
    with open(prefix + _PID) as file:
        return int(file.read())


def _pass_terminal(listener: _socket.socket, runtime: int) -> None:
    """Hand the terminal on that the runtime sends, unless it ends without one."""
    watched = os.pidfd_open(runtime)
    poll = select.poll()
    for fd in (watched, listener.fileno()):
        poll.register(fd, select.POLLIN)
    ready = [fd for fd, _ in poll.poll()]
    os.close(watched)
    if listener.fileno() not in ready:
        return
    peer = _socket.socket(fileno=syscalls.accept(listener.fileno()))
    _, ancillary, _, _ = peer.recvmsg(1024, _socket.CMSG_SPACE(_DESCRIPTORS_SIZE))
    for _level, _kind, data in ancillary:
        (master,) = struct.unpack("i", data[:4])
        execute.hand_over(master)
        os.close(master)
    peer.close()
    listener.close()


def _spawn(oci: Oci, words: list[str], prefix: str = "") -> int:
    bundle = os.getcwd()
    command = [
        oci["program"],
        *oci["options"],
        "--root",
        f"{bundle}/{_STATE}",
        "--log",
        prefix + _LOG,
        "--log-format",
        "json",
        *words,
    ]
    environment = {"PATH": execute.DEFAULT_PATH, "XDG_RUNTIME_DIR": bundle, "HOME": "/"}
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.reset_signals()  # whatever it ignores, the container would ignore; posix_spawn ignores two of them
            os.execve(oci["program"], command, environment)
        except BaseException:
            os._exit(monitor.LAUNCH_FAILED)
    return pid


def _start(oci: Oci, pid: int) -> None:
    """Have the runtime start the container, and wait until the program of its first process runs.

    Until then the process is the runtime's own, and a signal that the program may ignore would end it.
    """
    waiting = _program(pid)
    _call(oci, ["start", _NAME])
    deadline = time.monotonic() + _EXECUTION_TIMEOUT
    while waiting is not None and _program(pid) == waiting and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)


def _program(pid: int) -> tuple[int, int] | None:
    """Return what tells the file that a process executes from others, or None of one that has ended."""
    try:
        found = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _call(oci: Oci, words: list[str]) -> None:
    _check(_spawn(oci, words), "")


def _check(number: int, prefix: str) -> None:
    """Wait for the runtime; raise messages.Failure with what it has logged if it failed."""
    if monitor.exit_code(os.waitpid(number, 0)[1]) == 0:
        return
    try:
        with open(prefix + _LOG, "rb") as file:
            log = file.read(_LOG_SIZE)
    except FileNotFoundError:
        log = b""
    raise messages.Failure("oci", log.decode("utf-8", "replace"))


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


def _announce(host: int, pid: int) -> None:
    """Tell the parent the PID of the container as the host knows it; ``host`` is the host's /proc."""
    own = os.readlink("self", dir_fd=host)
    with open(f"{through(host)}/{own}/task/{own}/children", "rb") as file:
        children = [int(text) for text in file.read().split()]
    for child in children:
        if _inner_pid(host, child) == pid:
            ticks = monitor.start_ticks(child, through(host))
            messages.send(messages.STATUS_FD, ("started", child, ticks))
            return
    raise messages.Failure("problem", "the container ended before it was started")


def _inner_pid(host: int, pid: int) -> int:
    """Return the PID that a child of this process has in the PID namespace of this process."""
    level = len(_namespace_pids(host, os.readlink("self", dir_fd=host)))
    return _namespace_pids(host, str(pid))[level - 1]


def _namespace_pids(host: int, pid: str) -> list[int]:
    with open(f"{through(host)}/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"NSpid:"):
                return [int(text) for text in line.split()[1:]]
    return []


def _detach_streams() -> None:
    """Let go of the streams of the process: whoever reads must see their end when the process closes its own."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2, messages.TERMINAL_FD):
        os.dup2(null, fd)


def _reap(pid: int) -> int:
    """Reap whatever ends until it is ``pid``; return its exit code."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return monitor.exit_code(status)


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


def join(oci: Oci, orders: Join) -> int:
    """Have the runtime start one more process in the container, wait for it and return its exit code."""
    container = joining.open_process(orders["pid"], orders["start_ticks"])
    keeper_pid = int(monitor.stat_fields(orders["pid"])[1])  # as long as it is a child, its parent lives
    keeper = os.pidfd_open(keeper_pid)
    directory = os.open(f"/proc/{keeper_pid}", os.O_PATH | os.O_DIRECTORY)
    kinds = joining.unshared(directory)
    host = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    bundle = os.open("cwd", os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
    joining.join_owner(directory)
    syscalls.setns(keeper, syscalls.CLONE_NEWPID)
    ending, held = os.pipe()
    limits = orders["process"]["limits"]
    pid = monitor.fork(
        lambda alive: _run_joined(oci, limits, (keeper, kinds), (host, bundle), (ending, held)), is_silent=True
    )
    os.close(ending)
    return _watch(pid, container, held)


def _watch(pid: int, container: int, held: int) -> int:
    """Wait for a child; have it end its process when the parent or the container is gone."""
    child = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(child, select.POLLIN)
    poll.register(container, select.POLLIN)
    poll.register(messages.ORDERS_FD, 0)  # a hang-up is always reported
    poll.poll()
    os.close(held)
    return monitor.exit_code(os.waitpid(pid, 0)[1])


def _run_joined(
    oci: Oci, limits: Limits, keeper: tuple[int, int], places: tuple[int, int], ending: tuple[int, int]
) -> NoReturn:
    os.close(ending[1])
    confinement.join(limits)  # with the runtime in the groups too: its process runs as soon as it is made
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    syscalls.setns(*keeper)
    os.fchdir(places[1])
    # A directory for what belongs to this process: several may join at the same time.
    os.mkdir(str(os.getpid()), 0o700)
    prefix = f"{os.getpid()}/"
    for name, content in oci["files"]:
        _write(prefix + name, content)
    words = ["exec", "--detach", "--process", f"{prefix}process.json"]
    pid = _create(oci, words, prefix)
    _announce(places[0], pid)
    _detach_streams()
    os.close(messages.STATUS_FD)
    _wait_or_kill(pid, ending[0])
    code = _reap(pid)
    _remove(prefix)
    os._exit(code)


def _wait_or_kill(pid: int, ending: int) -> None:
    """Wait until a child has ended, or nobody holds the other end of ``ending``: then it is killed."""
    child = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(child, select.POLLIN)
    poll.register(ending, 0)
    if child not in [fd for fd, _ in poll.poll()]:
        os.kill(pid, syscalls.SIGKILL)


def _remove(directory: str) -> None:
    for name in os.listdir(directory):
        os.unlink(f"{directory}{name}")
    os.rmdir(directory)


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, content)
    os.close(fd)
