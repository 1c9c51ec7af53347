"""The stub's side of a container's network: starts the relay, gives it the container's namespace, outlives it."""

from __future__ import annotations

import _socket
import marshal
import os
import struct

from minidock.runtime import messages, monitor, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from minidock.runtime.orders import NetworkOrders

_LONGEST_ANSWER = 1 << 16
_LAST_WORDS = 1.0  # seconds for what has been sent when the container ends
_QUIET = 0.02


class Connection:
    """A relay that has been forked, before this process leaves the host's network and process numbers."""

    def __init__(self, orders: NetworkOrders) -> None:
        self._life, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if not self._pid:
            self._life.close()
            _relay(orders, theirs)
        theirs.close()
        self.process = os.pidfd_open(self._pid)

    def join(self) -> list[tuple[int, str, str, int]]:
        """Connect this process's network namespace; return the published ports: container, protocol, address, host's.

        Raises: messages.Failure.
        """
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            self._life.sendmsg([b"n"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", namespace))])
        except BrokenPipeError:
            pass  # it has failed already, and said why
        finally:
            os.close(namespace)
        try:
            said = self._life.recv(_LONGEST_ANSWER)
        except ConnectionResetError:
            said = self._life.recv(_LONGEST_ANSWER)  # it ended without the namespace; its words come after this error
        if not said:
            raise messages.Failure("problem", "the relay of the container's network ended before it had begun")
        ports, failure = marshal.loads(said)
        if failure:
            raise messages.Failure("problem", failure)
        return list(ports)

    def end(self) -> None:
        """Let the relay pass on what it still has, and wait until it is gone: then the ports are free."""
        self._life.close()
        os.waitpid(self._pid, 0)


def _relay(orders: NetworkOrders, life: _socket.socket) -> NoReturn:
    """Be the relay until the stub ends."""
    try:
        _leave_everything_but([life.fileno()])
        _serve(orders, life)
    finally:
        os._exit(0)


def _serve(orders: NetworkOrders, life: _socket.socket) -> None:
    import resource

    from minidock.runtime.network import relay
    from minidock.runtime.network.destinations import reason
    from minidock.runtime.network.gateway import Gateway
    from minidock.runtime.network.loop import IN, Loop
    from minidock.runtime.network.published import bind_all

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = Loop()
    try:
        bound = bind_all(orders["ports"])
        namespace = _received(life)
        served = relay.Relay(loop, orders, Gateway(orders, namespace), bound)
        os.close(namespace)
    except EOFError:
        return  # the launch has failed elsewhere
    except BaseException as error:
        life.send(marshal.dumps(([], reason(error))))
        return
    life.send(marshal.dumps(([one.said for one in bound], "")))
    is_over = False

    def end(events: int) -> None:
        nonlocal is_over
        is_over = True

    loop.want(life.fileno(), IN, end)
    while not is_over:
        loop.turn()
    loop.forget(life.fileno())
    served.close()
    loop.after(_LAST_WORDS, lambda: os._exit(0))
    while loop.turn(_QUIET):
        pass


def _leave_everything_but(kept: list[int]) -> None:
    """Close what the stub has open: the streams of the container, its pipes."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # the listing's own


def _received(life: _socket.socket) -> int:
    """Return the descriptor of the container's network namespace. Raises: EOFError."""
    data, control, _, _ = life.recvmsg(1, _socket.CMSG_SPACE(4))
    if not data:
        raise EOFError
    return int(struct.unpack("i", control[0][2][:4])[0])


def join_namespace(pid: int, start_ticks: int, *, has_user_namespace: bool) -> None:
    """Move this process into the network of another container, and into the user namespace that owns that.

    Raises: messages.Failure if that container has ended.
    """
    import fcntl

    from minidock.runtime import joining

    process = joining.open_process(pid, start_ticks)
    namespace = os.open(f"/proc/{monitor.visible(pid)}/ns/net", os.O_RDONLY)
    if has_user_namespace:
        owner = fcntl.ioctl(namespace, 0xB701)
        syscalls.setns(owner, syscalls.CLONE_NEWUSER)
        os.close(owner)
    syscalls.setns(namespace, syscalls.CLONE_NEWNET)
    os.close(namespace)
    os.close(process)
