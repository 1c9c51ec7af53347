"""Stacks layers with fuse-overlayfs where the kernel's overlayfs is refused. Runs in the stub.

The connection is opened and mounted here, so that the program needs no privilege of its own and stays outside of the
container: it starts to serve when the mount is there, and ends with it.
"""

from __future__ import annotations

import os

from minidock.runtime import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minidock.runtime.orders import Launch


class Server:
    """A process that waits to serve one mount."""

    def __init__(self, program: str, lowers: list[str], upper: str, work: str) -> None:
        """Start it in the namespaces of this process; the user namespace must be that of the mount."""
        self._connection = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        wait, self._go = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._go)
                _serve(program, wait, self._connection, [upper, work, *lowers])
            finally:
                os._exit(125)
        os.close(wait)

    def mount(self, place: str) -> None:
        """Mount the layers on ``place``."""
        options = f"fd={self._connection},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
        syscalls.mount("fuse-overlayfs", place, "fuse.fuse-overlayfs", syscalls.MS_NODEV, options)
        os.write(self._go, b"x")
        os.statvfs(place)  # answered once it serves

    def let_go(self) -> None:
        """Leave the mount to another process, which has been forked."""
        os.close(self._go)
        os.close(self._connection)

    def wait(self) -> None:
        """Wait until everything is written: the mount is gone, or was never made."""
        os.waitpid(self._pid, 0)


def server_of(launch: Launch) -> Server | None:
    """Start what serves the root file system of a container, if it needs that."""
    if not launch["fuse"] or launch["copied"] or not launch["lowers"]:
        return None
    return Server(launch["fuse"], launch["lowers"], launch["upper"], launch["work"])


def _serve(program: str, wait: int, connection: int, directories: list[str]) -> None:
    """Become the program as soon as the connection is mounted; do nothing if it never is."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, syscalls.SIGKILL)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)  # the streams are those of the container
    opened = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in directories]
    for fd in (connection, *opened):
        os.set_inheritable(fd, True)
    if os.read(wait, 1) != b"x":
        return
    upper, work, *lowers = (f"/proc/self/fd/{fd}" for fd in opened)
    options = f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work}"
    os.execve(program, [program, "-f", "-o", options, f"/dev/fd/{connection}"], {})
